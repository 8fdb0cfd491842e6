//! What happens to a whole proxy: it is overloaded, or leaves. Each scenario has a proxy of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::play::{Play, Scenario, connect, scenario};
use super::site::{everything_to, filter, to_the_server};
use super::{Zoo, frames};
use crate::client::Request;
use crate::config::{bootstrap, extension, http, plugin, typed, wasm_access_logger, with};
use crate::proxy::{Options, Proxy};
use crate::{Doing as _, Error, PATIENCE, Result, lines, streams, wait_until};

const LISTENER: &str = "whole";
const PRESSURE: &str = "envoy.resource_monitors.injected_resource";

impl Zoo {
    /// Another proxy with the module, with these members of its bootstrap.
    fn another(&self, members: Value) -> Result<Proxy> {
        let http = http(&[to_the_server()], &[]);
        self.another_with(http, members)
    }

    /// The same, with a connection manager of its own.
    fn another_with(&self, http: Value, members: Value) -> Result<Proxy> {
        let site = self.site();
        let listener = site.patched(site.listener(LISTENER, http))?;
        let bootstrap = bootstrap("client", &[listener], &[site.cluster_of("mock", "mock")?]);
        Proxy::start(&self.envoy, &with(bootstrap, members), &Options::default())
    }
}

/// The pressure that the proxy is told of: above 0.5 it accepts no requests, above 0.7 it reads no HTTP/1, and
/// above 0.9 it closes connections.
fn overload_manager(file: &Path) -> Value {
    let above = |threshold: f64| json!([{ "name": PRESSURE, "threshold": { "value": threshold } }]);
    let shed = |point: &str, threshold: f64| {
        let name = format!("envoy.load_shed_points.{point}");
        json!({ "name": name, "triggers": above(threshold) })
    };
    let kind = "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig";
    json!({ "overload_manager": {
        "refresh_interval": "0.02s",
        "resource_monitors": [extension(PRESSURE, kind, json!({ "filename": file }))],
        "actions": [
            { "name": "envoy.overload_actions.stop_accepting_requests", "triggers": above(0.5) },
        ],
        "loadshed_points": [
            shed("http1_server_abort_dispatch", 0.7),
            shed("http2_server_go_away_and_close_on_dispatch", 0.9),
        ],
    } })
}

/// Writes the pressure as Envoy wants it: a new file that takes the place of the old.
fn press(file: &Path, pressure: &str) -> Result<()> {
    replace(file, pressure)
}

fn replace(file: &Path, content: &str) -> Result<()> {
    let doing = || format!("writing {}", file.display());
    let fresh = file.with_extension("new");
    fs::write(&fresh, content).doing(doing)?;
    fs::rename(&fresh, file).doing(doing)
}

/// No more requests, then no more reading, and then the connections that there are.
fn overloaded(play: &mut Play<'_>) -> Result<()> {
    let folder = tempfile::tempdir().doing(|| "making a folder for a pressure".to_owned())?;
    let file = folder.path().join("pressure");
    press(&file, "0.0")?;
    let proxy = play.zoo.another(overload_manager(&file))?;
    let port = proxy.port(LISTENER)?;
    let [waiting, answered, other] =
        ["waiting", "answered", "other"].map(|name| format!("overloaded-{name}"));
    let half = |path: &str, id: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n");
        connect(port, (head + "content-length: 8\r\n\r\nhalf").as_bytes())
    };
    let mut halves = [half("/delay/15000", &waiting)?, half("/stream/900/20", &answered)?];
    let mut early = connect(port, &frames::get("/delay/15000", &other))?;
    let there = || [&waiting, &other].iter().all(|id| play.zoo.mock.requests_of(id) > 0);
    wait_until(PATIENCE, "the requests to reach the server", there)?;
    let [_, started] = &mut halves;
    started.read_exact(&mut [0; 16]).doing(|| "reading the head of a response".to_owned())?;
    // Until the workers have heard of a pressure, they go on.
    let gets = |status: u16| {
        let answer = || Request::get("/status/200").send(port);
        let so = || answer().is_ok_and(|answer| answer.status == status);
        wait_until(PATIENCE, &format!("a {status}"), so)
    };
    press(&file, "0.6")?;
    gets(503)?;
    press(&file, "0.8")?;
    gets(500)?;
    for (half, id) in halves.iter_mut().zip([&waiting, &answered]) {
        half.write_all(b"half").doing(|| "sending the other half".to_owned())?;
        proxy.wait_for_record(PATIENCE, |it| it.get("request_id") == Some(&json!(id)))?;
    }
    press(&file, "0.95")?;
    let ended = || {
        // One word more makes Envoy look; it fails when Envoy has closed the connection.
        let _ = early.write_all(&frames::settings());
        let records = proxy.records().unwrap_or_default();
        records.iter().any(|it| it.get("request_id") == Some(&json!(other)))
    };
    wait_until(PATIENCE, "a connection of HTTP/2 to be closed", ended)?;
    for (key, fact) in [
        ("response_code", json!(503)),
        ("response_code", json!(500)),
        ("request_id", json!(waiting)),
        ("request_id", json!(answered)),
        ("request_id", json!(other)),
    ] {
        play.found(proxy.wait_for_record(PATIENCE, |it| it.get(key) == Some(&fact))?);
    }
    Ok(())
}

/// Names of hosts, each with a cluster of its own: what Envoy keeps for them goes with an update that it
/// rejects, though the cluster itself stays.
fn forgetful(play: &mut Play<'_>) -> Result<()> {
    const KIND: &str = "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
    let folder = tempfile::tempdir().doing(|| "making a folder for clusters".to_owned())?;
    let file = folder.path().join("clusters.json");
    let deliver = |version: &str, policy: &str| {
        let own = json!({ "sub_clusters_config": { "max_sub_clusters": 8 } });
        let members = json!({
            "name": "forgotten",
            "lb_policy": policy,
            "connect_timeout": "1s",
            "cluster_type": extension("envoy.clusters.dynamic_forward_proxy", KIND, own),
        });
        let cluster = typed("config.cluster.v3.Cluster", members);
        replace(&file, &json!({ "version_info": version, "resources": [cluster] }).to_string())
    };
    deliver("1", "CLUSTER_PROVIDED")?;
    let filter =
        filter("dynamic_forward_proxy", "FilterConfig", json!({ "sub_cluster_config": {} }));
    let source = json!({ "path_config_source": { "path": file } });
    let proxy = play.zoo.another_with(
        http(&[everything_to("forgotten")], &[filter]),
        json!({ "dynamic_resources": { "cds_config": source } }),
    )?;
    // It has this balancer and no other.
    deliver("2", "ROUND_ROBIN")?;
    let rejected = || proxy.stat("cluster_manager.cds.update_rejected").is_ok_and(|it| it > 0);
    wait_until(PATIENCE, "the update to be rejected", rejected)?;
    Request::get("/")
        .header("host", "127.0.0.1:1")
        .header("x-request-id", "forgotten")
        .send(proxy.port(LISTENER)?)?;
    play.found(proxy.wait_for_record(PATIENCE, |_| true)?);
    Ok(())
}

/// The admin interface, whose access log can be the module too.
fn administered(play: &mut Play<'_>) -> Result<()> {
    let loggers = [wasm_access_logger(&plugin(&play.zoo.module.path, "")), streams::access_log()];
    let proxy = play.zoo.another(json!({ "admin": { "access_log": loggers } }))?;
    Request::get("/nowhere").send(proxy.admin_port())?;
    play.found(proxy.wait_for_record(PATIENCE, |it| it.get("response_code") == Some(&json!(404)))?);
    Ok(())
}

/// A proxy that ends while a request is under way.
fn leaving(play: &mut Play<'_>) -> Result<()> {
    let proxy = play.zoo.another(json!({}))?;
    let request = play.get("/delay/4000");
    let call = request.start(proxy.port(LISTENER)?)?;
    play.wait_for_arrival()?;
    play.forget();
    let said = proxy.shutdown()?;
    drop(call);
    let mut records = said.lines().filter_map(|line| lines::record(line).transpose());
    let none = || Error::new("looking for the record of the last request", said.clone());
    play.found(records.next().ok_or_else(none)??);
    Ok(())
}

/// A response that is over before its request is, where Envoy lets the two ends close one by one.
fn answered_early(play: &mut Play<'_>) -> Result<()> {
    let half_close = "envoy.reloadable_features.allow_multiplexed_upstream_half_close";
    let layer = json!({ "name": "zoo", "static_layer": { half_close: true } });
    let proxy = play.zoo.another(json!({ "layered_runtime": { "layers": [layer] } }))?;
    let head = "POST /status/200 HTTP/1.1\r\nhost: a\r\nx-request-id: early\r\ncontent-length: 8\r\n\r\nhalf";
    let _socket = connect(proxy.port(LISTENER)?, head.as_bytes())?;
    play.found(
        proxy.wait_for_record(PATIENCE, |it| it.get("request_id") == Some(&json!("early")))?,
    );
    Ok(())
}

/// What happens to all streams of a proxy at once.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("an_overloaded_proxy_refuses_requests_and_then_stops_reading", &["proxy_overloaded"; 5], overloaded)
        .before("1.39", &["proxy_overloaded"; 5], "the details of an HTTP/2 stream that the overload manager closes are `overload_error:…`, not `forced_goaway`"),
    scenario("an_answer_before_the_end_of_the_request_resets_the_stream", &["local_reset"], answered_early),
    scenario("a_rejected_update_takes_the_clusters_of_hosts_away", &["cluster_not_found"], forgetful),
    scenario("the_admin_interface_has_an_access_log_too", &["filter_response"], administered),
    scenario("a_proxy_that_leaves_takes_its_streams_along", &["connection_closed_locally"], leaving),
];
