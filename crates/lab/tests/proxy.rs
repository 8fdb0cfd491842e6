//! A real Envoy: found, started, asked, and gone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may say what it expects and stop there, as the test itself may"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use failgate_lab::client::Request;
use failgate_lab::envoy::{self, Envoy};
use failgate_lab::mock::Mock;
use failgate_lab::proxy::{self, Options, Proxy};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

fn envoy() -> Envoy {
    envoy::find(&|progress| eprintln!("{progress}")).unwrap()
}

/// One listener `outbound` whose route has `action`, and a cluster `mock` at `port`.
fn bootstrap(action: &Value, port: u16) -> Value {
    let route = json!({"match": {"prefix": "/"}, "name": "only"});
    let mut route = route.as_object().unwrap().clone();
    route.extend(action.as_object().unwrap().clone());
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "access_log": [{"name": "stdout", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string":
                "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}}}],
    });
    let socket = |port| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({"static_resources": {
        "listeners": [{"name": "outbound", "address": socket(0), "filter_chains": [{"filters": [
            {"name": "http", "typed_config": manager}]}]}],
        "clusters": [{"name": "mock", "type": "STATIC", "load_assignment": {"cluster_name": "mock",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(port)}}]}]}}],
    }})
}

fn greeting() -> Value {
    bootstrap(&json!({"direct_response": {"status": 418, "body": {"inline_string": "hi"}}}), 9)
}

#[test]
fn an_envoy_serves_is_asked_and_is_gone_when_dropped() {
    let proxy = Proxy::start(&envoy(), &greeting(), &Options::default()).unwrap();
    let response = Request::get("/").send(proxy.port("outbound").unwrap()).unwrap();
    assert_eq!((response.status, response.text().as_str()), (418, "hi"));
    assert_eq!(proxy.stat("http.outbound.downstream_rq_4xx").unwrap(), 1);
    assert!(proxy.admin_post("/logging?wasm=debug").unwrap().contains("wasm: debug"));
    let error = proxy.port("inbound").unwrap_err().to_string();
    assert!(error.contains("inbound") && error.contains("[outbound]"), "{error}");

    let process = Path::new("/proc").join(proxy.pid().to_string());
    assert!(process.exists());
    drop(proxy);
    assert!(!process.exists());
}

#[test]
fn a_shutdown_returns_everything_that_envoy_said() {
    let proxy = Proxy::start(&envoy(), &greeting(), &Options::default()).unwrap();
    Request::get("/").send(proxy.port("outbound").unwrap()).unwrap();
    let said = proxy.shutdown().unwrap();
    assert!(said.contains("418 - direct_response"), "{said}");
}

#[test]
fn a_rejected_bootstrap_is_an_error_that_names_the_field() {
    let mut bootstrap = greeting();
    bootstrap["static_resources"]["listeners"][0]["no_such_field"] = json!(1);
    let error = Proxy::start(&envoy(), &bootstrap, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("no_such_field"), "{error}");
}

#[test]
fn envoy_sees_each_fault_of_the_mock_server_as_what_it_is() {
    let mock = Mock::start().unwrap();
    let bootstrap = bootstrap(&json!({"route": {"cluster": "mock"}}), mock.port());
    let proxy = Proxy::start(&envoy(), &bootstrap, &Options::default()).unwrap();
    let port = proxy.port("outbound").unwrap();
    let termination = "503 UC upstream_reset_before_response_started{connection_termination}";
    let late = "200 UPE upstream_reset_after_response_started{protocol_error}";
    for (path, seen) in [
        ("/status/200", "200 - via_upstream"),
        ("/status/503", "503 - via_upstream"),
        ("/reset-before-response/20", termination),
        ("/close-before-response/20", termination),
        ("/reset-after-response/50", late),
        ("/close-after-response/50", late),
        ("/wrong-protocol/20", "502 UPE upstream_reset_before_response_started{protocol_error}"),
    ] {
        let before = proxy.access_log().all().len();
        Request::get(path).within(SOON).send(port).unwrap();
        failgate_lab::wait_until(SOON, path, || proxy.access_log().all().len() > before)
            .unwrap_or_else(|error| panic!("{error}\n{}", proxy.dump_log()));
        assert_eq!(proxy.access_log().all()[before], seen, "{path}\n{}", proxy.dump_log());
    }
    mock.check().unwrap();
}

#[test]
fn a_killed_process_leaves_no_envoy_behind() {
    const VICTIM: &str = "FAILGATE_LAB_VICTIM";
    let name = "a_killed_process_leaves_no_envoy_behind";
    if env::var_os(VICTIM).is_some() {
        let mut proxy = Proxy::start(&envoy(), &greeting(), &Options::default()).unwrap();
        eprintln!("envoy is {}", proxy.pid());
        proxy::follow(&mut [&mut proxy], |_| ()).unwrap();
        return;
    }
    let mut victim = Command::new(env::current_exe().unwrap());
    victim.args(["--exact", name, "--nocapture"]).env(VICTIM, "1");
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(victim.stderr.take().unwrap()).lines().map_while(Result::ok);
    let pid = lines.filter_map(|line| Some(line.strip_prefix("envoy is ")?.to_owned())).next();
    let process = Path::new("/proc").join(pid.unwrap()).join("cmdline");
    let running = || fs::read(&process).is_ok_and(|arguments| !arguments.is_empty());
    assert!(running());
    victim.kill().unwrap();
    victim.wait().unwrap();
    failgate_lab::wait_until(SOON, "Envoy to be gone", || !running()).unwrap();
}
