//! The post-link step: [`EXPORTS`] and what they can reach, and no section that only a debugger reads.

use walrus::{Export, ModuleConfig, passes};

use crate::module::EXPORTS;
use crate::{Doing as _, Error, Result};

/// [`EXPORTS`] and what they can reach, and no section that only a debugger reads.
///
/// # Errors
/// When the module is none, or lacks an export.
pub(crate) fn link(compiled: &[u8]) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(compiled)
        .doing(|| "reading the compiled module".to_owned())?;
    for (name, reason) in EXPORTS {
        if !module.exports.iter().any(|export| export.name == *name) {
            let reason = format!("the export {name} is missing ({reason})");
            return Err(Error::new("linking the module", reason));
        }
    }
    // A function that nobody defines becomes an import, and a module with an unknown import is rejected.
    for import in module.imports.iter() {
        if import.module != "env" || !import.name.starts_with("proxy_") {
            let reason =
                format!("it imports {}.{}, which no proxy has", import.module, import.name);
            return Err(Error::new("linking the module", reason));
        }
    }
    let unused = module.exports.iter();
    let unused = unused.filter(|export| EXPORTS.iter().all(|(name, _)| export.name != *name));
    for export in unused.map(Export::id).collect::<Vec<_>>() {
        module.exports.delete(export);
    }
    let custom: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for section in custom {
        module.customs.delete(section);
    }
    passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}
