//! The module: built once however many ask, small, and loaded by a real Envoy.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use failgate_lab::envoy;
use failgate_lab::module::{self, EXPORTS};
use failgate_lab::proxy::{Options, Proxy};
use serde_json::json;

#[test]
fn however_many_ask_there_is_one_module_with_only_the_exports_of_the_table() {
    let modules: BTreeSet<_> = thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|_| scope.spawn(|| module::build(&|_| ()))).collect();
        builds.into_iter().map(|it| it.join().unwrap().unwrap().path).collect()
    });
    assert_eq!(modules.len(), 1);
    let bytes = fs::read(modules.first().unwrap()).unwrap();
    let module = walrus::Module::from_buffer(&bytes).unwrap();
    let exports: BTreeSet<_> = module.exports.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(exports, EXPORTS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn envoy_loads_the_module_and_the_plugin_starts() {
    let module = module::build(&|progress| eprintln!("{progress}")).unwrap();
    let config = json!({"name": "failgate", "fail_open": false, "vm_config": {
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module.path}},
    }});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "route_config": {"virtual_hosts": []},
        "http_filters": [
            {"name": "failgate", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": config}},
            {"name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    let bootstrap = json!({"static_resources": {"listeners": [{
        "name": "outbound",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }]}});
    let envoy = envoy::find(&|progress| eprintln!("{progress}")).unwrap();
    let proxy = Proxy::start(&envoy, &bootstrap, &Options::default()).unwrap();
    assert!(proxy.stat("wasm.envoy.wasm.runtime.v8.active").unwrap() > 0, "{}", proxy.dump_log());
}
