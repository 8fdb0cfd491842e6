//! The verdict in the proxy's own access log, in the formats that the documents show.

use std::sync::Arc;

use failgate_lab::config::access_log_on_stdout;
use failgate_lab::hop::{Extras, Hop, Mount, PATIENCE};
use failgate_lab::{Error, Result, workspace};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "the_access_log_of_a_failed_request_has_its_verdict", in_the_access_log));
    trials.push(test(rig, "filter_state_can_be_switched_off", switched_off));
    trials.push(test(rig, "an_access_logger_leaves_no_filter_state_and_breaks_nothing", in_the_other_mount));
}

/// The block of that language in the page on access logs.
pub fn documented(language: &str) -> Result<String> {
    let page = std::fs::read_to_string(workspace().join("docs/access-log.md"));
    let page = page.map_err(|error| Error::new("reading the page on access logs", error))?;
    let block =
        page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
    block
        .map(str::to_owned)
        .ok_or_else(|| Error::new("reading the page on access logs", format!("no {language}")))
}

/// Access logs in both formats.
pub fn access_logs() -> Result<Vec<Value>> {
    let json: Value = serde_json::from_str(&documented("json")?)
        .map_err(|error| Error::new("reading the format", error))?;
    Ok(vec![access_log_on_stdout(&json!(documented("text")?)), access_log_on_stdout(&json)])
}

fn hop(rig: &Rig, mount: Mount, configuration: &str) -> Result<Hop> {
    let extras = Extras { access_logs: access_logs()?, ..Extras::default() };
    Hop::start_with(&rig.envoy, &rig.module, mount, configuration, &extras)
}

/// The end of the text line and the JSON line of one request.
fn lines(hop: &Hop, id: &str, path: &str) -> Result<(String, Value)> {
    hop.send(id, path)?;
    let text = hop
        .proxy
        .access_log()
        .wait_for(PATIENCE, |line| line.starts_with('[') && line.contains(id))?;
    let json = hop
        .proxy
        .access_log()
        .wait_for(PATIENCE, |line| line.starts_with('{') && line.contains(id))?;
    let json = serde_json::from_str(&json)
        .map_err(|error| Error::new("reading the access log", format!("{error}: {json}")))?;
    let text = text.split(id).nth(1).unwrap_or_default().trim().to_owned();
    Ok((text, json))
}

/// Sends a request and expects this verdict, or none, in its lines in both formats.
pub fn expect(hop: &Hop, id: &str, path: &str, verdict: Option<[&str; 3]>) -> Result<()> {
    let (text, json) = lines(hop, id, path)?;
    let [gate, cause, look] = verdict.unwrap_or(["-", "-", "-"]);
    let of = |key: &str| json[key].as_str().unwrap_or("-").to_owned();
    let found = [of("failure_gate"), of("failure_cause"), of("failure_look")];
    if text == format!("{gate} {cause} \"{look}\"") && found == [gate, cause, look] {
        return Ok(());
    }
    Err(Error::new(
        path,
        format!("expected {verdict:?}, got {text} and {json}\n{}", hop.proxy.dump_log()),
    ))
}

/// The verdict on a request for `/refused`.
pub const REFUSED: [&str; 3] =
    ["connect", "connection_refused", "Service/refused.default targetPort of port 8080"];

fn in_the_access_log(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::Filter, "")?;
    expect(&hop, "id-refused", "/refused", Some(REFUSED))?;
    expect(
        &hop,
        "id-denied",
        "/denied",
        Some(["filter", "authorization_denied", "AuthorizationPolicy/default/deny rule 0"]),
    )?;
    expect(
        &hop,
        "id-late",
        "/reset-after-response/20",
        Some([
            "response",
            "response_incomplete",
            "the application: it closed or reset in the middle of its response",
        ]),
    )?;
    expect(&hop, "id-fine", "/status/200", None)
}

fn switched_off(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::Filter, r#"{"filterState":{"enabled":false}}"#)?;
    expect(&hop, "id-off", "/refused", None)
}

fn in_the_other_mount(rig: &Rig) -> Result<()> {
    let hop = hop(rig, Mount::AccessLogger, "")?;
    expect(&hop, "id-logger", "/refused", None)?;
    hop.record("id-logger")?.map(drop).ok_or_else(|| Error::new("the record", hop.proxy.dump_log()))
}
