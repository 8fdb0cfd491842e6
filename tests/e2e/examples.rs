//! The examples that are shipped are what runs here, but for ports and the module's place.

use std::sync::Arc;

use failgate_lab::client::Request;
use failgate_lab::hop::{Mount, PATIENCE};
use failgate_lab::peers::Refused;
use failgate_lab::proxy::{Options, Proxy};
use failgate_lab::{Error, Result};
use failgate_verdict::settings::Settings;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{Rig, test, yaml};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "the_example_of_a_plain_envoy_runs", plain_envoy));
    trials.push(test(rig, "the_example_of_a_wasmplugin_is_the_default_and_runs", wasmplugin));
}

/// Sets a member that the example has.
fn set(config: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let place = config.pointer_mut(pointer);
    *place.ok_or_else(|| Error::new("changing the example", format!("it has no {pointer}")))? =
        value;
    Ok(())
}

fn plain_envoy(rig: &Rig) -> Result<()> {
    const FILTER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
    const ENDPOINT: &str = "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
    let nobody = Refused::open()?;
    let mut config = yaml("examples/envoy.yaml")?;
    set(&mut config, "/static_resources/listeners/0/address/socket_address/port_value", json!(0))?;
    set(&mut config, ENDPOINT, json!(nobody.port()))?;
    set(&mut config, &format!("{FILTER}/vm_config/code/local/filename"), json!(rig.module.path))?;
    let proxy = Proxy::start(&rig.envoy, &config, &Options::default())?;
    let response = Request::get("/").send(proxy.port("http")?)?;
    let record = proxy.wait_for_record(PATIENCE, |_| true)?;
    let line = proxy.access_log().wait_for(PATIENCE, |_| true)?;
    let told = response.values("proxy-status").join(", ");
    let counted = proxy.admin("/stats/prometheus")?;
    let found = (
        record["cause"] == "connection_refused",
        line == "503 UF connect connection_refused",
        told == r#""envoy"; error=connection_refused; gate=connect; cause=connection_refused"#,
        counted.contains(r#"failgate_failures_total{gate="connect",cause="connection_refused"} 1"#),
    );
    if found == (true, true, true, true) {
        return Ok(());
    }
    Err(Error::new(
        format!("{found:?}"),
        format!("{record:#}\n{line}\n{told}\n{}", proxy.dump_log()),
    ))
}

fn wasmplugin(rig: &Rig) -> Result<()> {
    let plugin = yaml("examples/wasmplugin.yaml")?;
    if plugin["spec"]["failStrategy"] != "FAIL_OPEN" {
        return Err(Error::new("the example", "its failStrategy can stop traffic"));
    }
    let configuration = plugin["spec"]["pluginConfig"].to_string();
    let (settings, problems) = Settings::parse(configuration.as_bytes());
    let defaults = Settings::default();
    if !problems.is_empty() || settings.criteria() != defaults.criteria() {
        return Err(Error::new("reading the example", format!("{problems:?}")));
    }
    if (Settings { grpc_statuses: None, ..settings }) != defaults {
        return Err(Error::new("the example", "what it calls the default is not"));
    }
    let hop = rig.hop(Mount::Filter, &configuration)?;
    hop.send("example", "/refused")?;
    let record = hop.record("example")?.unwrap_or_default();
    if record["cause"] == "connection_refused" {
        Ok(())
    } else {
        Err(Error::new("the record", record))
    }
}
