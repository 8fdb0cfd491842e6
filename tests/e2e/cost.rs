//! What a stream costs, counted by Envoy itself: at trace level it logs every call that the module makes.

use std::sync::Arc;

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::{Error, Result};
use libtest_mimic::Trial;

use crate::{Rig, test};

/// Calls into the proxy for a stream that did not fail.
const SUCCESS: usize = 3;
/// Calls into the proxy for a stream that failed.
const FAILURE: usize = 24;

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "a_success_costs_at_most_three_calls_into_the_proxy", success));
    trials.push(test(rig, "a_failure_costs_at_most_twenty_four_calls_into_the_proxy", failure));
}

/// The calls that the module made for this request.
fn calls(hop: &Hop, id: &str, path: &str, headers: &[(&str, &str)]) -> Result<Vec<String>> {
    let before = hop.proxy.log().all().len();
    let mut request = hop.get(id, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(hop.port())?;
    hop.record(id)?;
    let lines = hop.proxy.log().all();
    let calls: Vec<String> = lines
        .iter()
        .skip(before)
        .filter(|line| line.contains("[vm->host] env.proxy_"))
        .cloned()
        .collect();
    if calls.is_empty() {
        return Err(Error::new(
            "counting calls",
            format!("Envoy logs none\n{}", hop.proxy.dump_log()),
        ));
    }
    Ok(calls)
}

/// A hop whose worker has its VM: the first request may come while that reads its configuration, in calls of
/// its own.
fn traced(rig: &Rig, mount: Mount, configuration: &str) -> Result<Hop> {
    let hop = Hop::traced(&rig.envoy, &rig.module, mount, configuration)?;
    hop.send("first", "/status/200")?;
    hop.record("first")?;
    Ok(hop)
}

fn at_most(most: usize, calls: &[String], of: &str) -> Result<()> {
    if calls.len() <= most {
        return Ok(());
    }
    Err(Error::new(of, format!("{} calls, at most {most}\n{}", calls.len(), calls.join("\n"))))
}

fn success(rig: &Rig) -> Result<()> {
    let grpc = "/status/200?header=content-type:application/grpc&header=grpc-status:0";
    for mount in [Mount::Filter, Mount::AccessLogger] {
        let hop = traced(rig, mount, "")?;
        at_most(SUCCESS, &calls(&hop, "plain", "/status/200", &[])?, "a plain success")?;
        at_most(SUCCESS, &calls(&hop, "redirect", "/status/302", &[])?, "a redirect")?;
        let content_type = [("content-type", "application/grpc")];
        at_most(SUCCESS, &calls(&hop, "grpc", grpc, &content_type)?, "a gRPC success")?;
    }
    Ok(())
}

fn failure(rig: &Rig) -> Result<()> {
    // The header costs calls too where it is written.
    let always = r#"{"header":{"mode":"always"}}"#;
    for (mount, configuration) in
        [(Mount::Filter, ""), (Mount::Filter, always), (Mount::AccessLogger, "")]
    {
        let hop = traced(rig, mount, configuration)?;
        for path in ["/status/503", "/refused", "/denied", "/nowhere", "/reset-after-response/10"] {
            let content_type = [("content-type", "application/grpc")];
            at_most(FAILURE, &calls(&hop, path, path, &content_type)?, path)?;
        }
    }
    Ok(())
}
