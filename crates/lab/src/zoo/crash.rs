//! Wasm modules that a proxy loads, and that end the stream when a request comes.

use walrus::{FunctionBuilder, Module, ValType};

/// How a module ends the stream.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// It traps.
    Crash,
    /// It asks the proxy to reset the stream.
    Close,
}

/// The module: what the ABI asks for, and one callback that ends the stream.
pub(super) fn module(end: End) -> Vec<u8> {
    use ValType::I32;
    let mut module = Module::default();
    let memory = module.memories.add_local(false, false, 1, None, None);
    module.exports.add("memory", memory);
    let kind = module.types.add(&[I32], &[I32]);
    let close = matches!(end, End::Close)
        .then(|| module.add_import_func("env", "proxy_close_stream", kind).0);
    for (name, takes, gives, ends) in [
        ("proxy_abi_version_0_2_1", &[][..], &[][..], false),
        ("proxy_on_memory_allocate", &[I32], &[I32], false),
        ("proxy_on_context_create", &[I32, I32], &[], false),
        ("proxy_on_request_headers", &[I32, I32, I32], &[I32], true),
    ] {
        let mut function = FunctionBuilder::new(&mut module.types, takes, gives);
        let arguments = takes.iter().map(|kind| module.locals.add(*kind)).collect();
        let mut body = function.func_body();
        match close {
            // The stream of the request is the first of the ABI's kinds; its answer is to stop.
            Some(close) if ends => body.i32_const(0).call(close).drop().i32_const(1),
            None if ends => body.unreachable(),
            Some(_) | None if gives.is_empty() => &mut body,
            Some(_) | None => body.i32_const(1024),
        };
        let function = function.finish(arguments, &mut module.funcs);
        module.exports.add(name, function);
    }
    module.emit_wasm()
}
