//! The post-link step: leaves out of the compiled module what no callback can reach.
//!
//! The SDK exports every callback of the ABI and its traits have a hundred methods, most with a body
//! that calls the host; they stay in the vtables, and the linker cannot know that nobody calls them.
//! Here the world is closed: the host enters through [`EXPORTS`], and the table is not exported.

use std::collections::HashSet;

use walrus::ir::{Visitor, dfs_in_order};
use walrus::{
    ElementItems, Export, ExportItem, FunctionBuilder, FunctionId, FunctionKind, Module,
    ModuleConfig, TypeId, passes,
};

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
    let unused = module.exports.iter();
    let unused = unused.filter(|export| EXPORTS.iter().all(|(name, _)| export.name != *name));
    for export in unused.map(Export::id).collect::<Vec<_>>() {
        module.exports.delete(export);
    }
    let custom: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for section in custom {
        module.customs.delete(section);
    }
    clear_uncallable(&mut module);
    passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

/// Puts a trap in the place of each function of the table that no call can reach.
///
/// A call through the table names the type that it expects and traps on any other, so a function whose
/// type no reachable call names is never called: nothing changes but the size.
fn clear_uncallable(module: &mut Module) {
    let mut table = Vec::new();
    for element in module.elements.iter() {
        match &element.items {
            ElementItems::Functions(functions) => table.extend(functions.iter().copied()),
            ElementItems::Expressions(..) => return, // not what Rust's linker writes
        }
    }
    let reachable = reachable(module, &table);
    let mut trap = FunctionBuilder::new(&mut module.types, &[], &[]);
    trap.func_body().unreachable();
    let trap = trap.finish(Vec::new(), &mut module.funcs);
    for element in module.elements.iter_mut() {
        if let ElementItems::Functions(functions) = &mut element.items {
            for function in functions.iter_mut().filter(|it| !reachable.contains(it)) {
                *function = trap;
            }
        }
    }
}

/// What the exports call, by name or through the table, and what that calls in turn.
fn reachable(module: &Module, table: &[FunctionId]) -> HashSet<FunctionId> {
    let exports = module.exports.iter().filter_map(|export| match export.item {
        ExportItem::Function(function) => Some(function),
        ExportItem::Table(_)
        | ExportItem::Memory(_)
        | ExportItem::Global(_)
        | ExportItem::Tag(_) => None,
    });
    let mut named = Named::default();
    named.functions.extend(exports.chain(module.start));
    let mut reachable = HashSet::new();
    while let Some(function) = named.functions.pop() {
        if !reachable.insert(function) {
            continue;
        }
        let before = named.types.len();
        if let FunctionKind::Local(local) = &module.funcs.get(function).kind {
            dfs_in_order(&mut named, local, local.entry_block());
        }
        if named.types.len() > before {
            let callable =
                table.iter().filter(|it| named.types.contains(&module.funcs.get(**it).ty()));
            named.functions.extend(callable);
        }
    }
    reachable
}

/// The functions and the types that instructions name.
#[derive(Default)]
struct Named {
    functions: Vec<FunctionId>,
    types: HashSet<TypeId>,
}

impl Visitor<'_> for Named {
    fn visit_function_id(&mut self, function: &FunctionId) {
        self.functions.push(*function);
    }

    fn visit_type_id(&mut self, it: &TypeId) {
        self.types.insert(*it);
    }
}
