//! What a stream costs, counted by Envoy itself: at trace level it logs every call that the module makes.

use std::sync::Arc;

use failgate_lab::hop::{Hop, Mount};
use failgate_lab::{Error, Result};
use libtest_mimic::Trial;

use crate::{Rig, test};

/// Calls into the proxy for a stream that did not fail.
const SUCCESS: usize = 3;
/// Calls into the proxy for a server's own status of 400 to 499, which did not fail either.
const REFUSAL: usize = 4;
/// Calls into the proxy for a stream that failed.
const FAILURE: usize = 24;

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(
        rig,
        "a_success_costs_at_most_three_calls_into_the_proxy_and_a_servers_refusal_four",
        success,
    ));
    trials.push(test(rig, "a_failure_costs_at_most_twenty_four_calls_into_the_proxy", failure));
    trials.push(test(rig, "named_facts_cost_two_calls_more_and_a_success_none", named));
}

/// A hop whose worker has been configured: it has served a request.
fn traced(rig: &Rig, mount: Mount, configuration: &str) -> Result<Hop> {
    let hop = Hop::traced(&rig.envoy, &rig.module, mount, configuration)?;
    hop.send("first", "/status/200")?;
    hop.record("first")?;
    Ok(hop)
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
        at_most(REFUSAL, &calls(&hop, "refusal", "/status/404", &[])?, "a 404 of the server")?;
        let content_type = [("content-type", "application/grpc")];
        at_most(SUCCESS, &calls(&hop, "grpc", grpc, &content_type)?, "a gRPC success")?;
    }
    Ok(())
}

fn failure(rig: &Rig) -> Result<()> {
    // The header costs calls too where it is written.
    let always = r#"{"header":{"mode":"always"}}"#;
    let otlp = r#"{"header":{"mode":"always"},"otlp":{"cluster":"nobody","interval":"60s"}}"#;
    for (mount, configuration) in [
        (Mount::Filter, ""),
        (Mount::Filter, always),
        (Mount::Filter, otlp),
        (Mount::AccessLogger, ""),
    ] {
        let hop = traced(rig, mount, configuration)?;
        for path in ["/status/503", "/refused", "/denied", "/nowhere", "/reset-after-response/10"] {
            let content_type = [("content-type", "application/grpc")];
            at_most(FAILURE, &calls(&hop, path, path, &content_type)?, path)?;
        }
    }
    Ok(())
}

fn named(rig: &Rig) -> Result<()> {
    let fields = r#"{"fields":["path","authority","user_agent","trace","downstream_remote_address","requested_server_name"]}"#;
    let usual = traced(rig, Mount::Filter, "")?;
    let named = traced(rig, Mount::Filter, fields)?;
    let of = |hop, path| calls(hop, path, path, &[]);
    at_most(SUCCESS, &of(&named, "/status/200")?, "a success")?;
    at_most(of(&usual, "/denied")?.len() + 2, &of(&named, "/denied")?, "a failure")
}
