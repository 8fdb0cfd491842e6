//! The module: built once however many ask, small, and loaded by a real Envoy.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::thread;
use std::time::Duration;

use failgate_lab::client::Request;
use failgate_lab::envoy;
use failgate_lab::module::{self, EXPORTS};
use failgate_lab::proxy::{Options, Proxy};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

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
fn the_module_holds_no_path_of_the_machine_that_built_it() {
    let module = module::build(&|progress| eprintln!("{progress}")).unwrap();
    let bytes = fs::read(module.path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for local in [failgate_lab::workspace(), env::home_dir().unwrap()] {
        let local = local.to_str().unwrap();
        assert!(!text.contains(local), "{local}");
    }
}

#[test]
fn envoy_loads_the_module_and_it_reports_failures_and_mistakes() {
    let module = module::build(&|progress| eprintln!("{progress}")).unwrap();
    let settings = json!({"log": {"level": "loud", "maxPerSecond": 1.5}}).to_string();
    let config = json!({"name": "failgate", "fail_open": false,
    "configuration": {
        "@type": "type.googleapis.com/google.protobuf.StringValue", "value": settings},
    "vm_config": {
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module.path}},
    }});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "route_config": {"virtual_hosts": []},
        "access_log": [{"name": "failgate", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
            "config": config}}],
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
    for mistake in [
        "log.level: must be one of debug, info, warn, error, is \"loud\"",
        "log.maxPerSecond: must be a whole number from 1 to 10000, is 1.5",
    ] {
        proxy
            .wait_for_line(SOON, |line| line.contains(mistake))
            .unwrap_or_else(|error| panic!("{error}\n{}", proxy.dump_log()));
    }
    let response = Request::get("/nowhere").send(proxy.port("outbound").unwrap()).unwrap();
    assert_eq!(response.status, 404);
    // Both mounts see the stream: the filter first, then the access logger.
    let records = proxy
        .wait_for_records(SOON, 2)
        .unwrap_or_else(|error| panic!("{error}\n{}", proxy.dump_log()));
    assert_eq!(records.len(), 2);
    for mut record in records {
        for volatile in ["time", "request_id", "duration_ms"] {
            assert!(record.as_object_mut().unwrap().remove(volatile).is_some(), "{volatile}");
        }
        let expected = json!({
            "v": 1, "gate": "route", "cause": "route_not_found", "side": "local",
            "responder": "this_proxy", "delivered": "no", "error": "destination_not_found",
            "decided_by": "details", "method": "GET", "protocol": "HTTP/1.1",
            "look": ["VirtualService hosts and http.match", "Gateway servers.hosts", "Sidecar egress.hosts"],
            "response_code": 404, "response_code_details": "route_not_found", "response_flags": ["NR"],
        });
        assert_eq!(record, expected);
    }
}
