//! A Wasm module that a proxy loads, and that crashes when a request comes.

use walrus::{FunctionBuilder, Module, ValType};

/// The module: what the ABI asks for, and one callback that traps.
pub(super) fn module() -> Vec<u8> {
    use ValType::I32;
    let mut module = Module::default();
    let memory = module.memories.add_local(false, false, 1, None, None);
    module.exports.add("memory", memory);
    for (name, takes, gives, crashes) in [
        ("proxy_abi_version_0_2_1", &[][..], &[][..], false),
        ("proxy_on_memory_allocate", &[I32], &[I32], false),
        ("proxy_on_context_create", &[I32, I32], &[], false),
        ("proxy_on_request_headers", &[I32, I32, I32], &[I32], true),
    ] {
        let mut function = FunctionBuilder::new(&mut module.types, takes, gives);
        let arguments = takes.iter().map(|kind| module.locals.add(*kind)).collect();
        let mut body = function.func_body();
        if crashes {
            body.unreachable();
        } else if !gives.is_empty() {
            body.i32_const(1024);
        }
        let function = function.finish(arguments, &mut module.funcs);
        module.exports.add(name, function);
    }
    module.emit_wasm()
}
