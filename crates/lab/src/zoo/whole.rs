//! What happens to a whole proxy: it is overloaded, or leaves. Each scenario has a proxy of its own.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::play::{Play, Scenario, connect, scenario};
use super::site::to_the_server;
use super::{Zoo, frames};
use crate::client::Request;
use crate::config::{bootstrap, http, with};
use crate::proxy::{Options, Proxy};
use crate::{Doing as _, Error, PATIENCE, Result, lines, wait_until};

const LISTENER: &str = "whole";
const PRESSURE: &str = "envoy.resource_monitors.injected_resource";

impl Zoo {
    /// Another proxy with the module, with these members of its bootstrap.
    fn another(&self, members: Value) -> Result<Proxy> {
        let site = self.site();
        let listener = site.listener(LISTENER, http(&[to_the_server()], &[]));
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
        "resource_monitors": [crate::config::extension(PRESSURE, kind, json!({ "filename": file }))],
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
    let doing = || format!("writing {}", file.display());
    let fresh = file.with_extension("new");
    fs::write(&fresh, pressure).doing(doing)?;
    fs::rename(&fresh, file).doing(doing)
}

/// No more requests, then no more reading, and then the connections that there are.
fn overloaded(play: &mut Play<'_>) -> Result<()> {
    let folder = tempfile::tempdir().doing(|| "making a folder for a pressure".to_owned())?;
    let file = folder.path().join("pressure");
    press(&file, "0.0")?;
    let proxy = play.zoo.another(overload_manager(&file))?;
    let port = proxy.port(LISTENER)?;
    let [one, two] = ["early-1", "early-2"].map(|id| format!("overloaded-{id}"));
    let half = format!(
        "POST /delay/15000 HTTP/1.1\r\nhost: a\r\nx-request-id: {one}\r\ncontent-length: 8\r\n\r\nhalf"
    );
    let mut half = connect(port, half.as_bytes())?;
    let mut early = connect(port, &frames::get("/delay/15000", &two))?;
    let there = || [&one, &two].iter().all(|id| play.zoo.mock.requests_of(id) > 0);
    wait_until(PATIENCE, "both requests to reach the server", there)?;
    // Until the workers have heard of a pressure, they go on.
    let answered = |status: u16| {
        let answer = || Request::get("/status/200").send(port);
        let so = || answer().is_ok_and(|answer| answer.status == status);
        wait_until(PATIENCE, &format!("a {status}"), so)
    };
    press(&file, "0.6")?;
    answered(503)?;
    press(&file, "0.8")?;
    answered(500)?;
    half.write_all(b"half").doing(|| "sending the other half".to_owned())?;
    proxy.wait_for_record(PATIENCE, |it| it.get("request_id") == Some(&json!(one)))?;
    press(&file, "0.95")?;
    answered(0)?;
    early.write_all(&frames::settings()).doing(|| "saying one word more".to_owned())?;
    for (key, fact) in [
        ("response_code", json!(503)),
        ("response_code", json!(500)),
        ("request_id", json!(one)),
        ("request_id", json!(two)),
    ] {
        play.found(proxy.wait_for_record(PATIENCE, |it| it.get(key) == Some(&fact))?);
    }
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

/// What happens to all streams of a proxy at once.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("an_overloaded_proxy_refuses_requests_and_then_stops_reading", &["proxy_overloaded"; 4], overloaded),
    scenario("a_proxy_that_leaves_takes_its_streams_along", &["connection_closed_locally"], leaving),
];
