//! The `Proxy-Status` header: who is told, who is believed, and what of it anybody sees on the wire.
//!
//! A caller behind a client's sidecar *without* the module sees what the server's sidecar sent.

use std::sync::Arc;

use failgate_lab::grpc::Call;
use failgate_lab::hop::Mount;
use failgate_lab::mesh::{GRPC, HTTP, Mesh, Options};
use failgate_lab::{Error, Result};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::{Rig, test};

#[rustfmt::skip]
pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "the_servers_sidecar_tells_a_caller_that_came_over_mtls", tells_over_mtls));
    trials.push(test(rig, "a_caller_in_plain_text_is_told_nothing_in_a_mesh", tells_nobody_in_plain_text));
    trials.push(test(rig, "always_tells_a_caller_in_plain_text_too", always_tells));
    trials.push(test(rig, "the_calling_application_sees_nothing_of_ours", the_application_sees_nothing));
    trials.push(test(rig, "without_the_module_at_the_server_nobody_says_application", nobody_was_asked));
    trials.push(test(rig, "a_header_that_is_off_is_neither_written_nor_read", off_is_off));
    trials.push(test(rig, "always_on_both_sides_shows_one_member_a_failure", always_on_both_sides));
    trials.push(test(rig, "a_forged_member_changes_nothing_and_does_not_travel_on", forgery));
    trials.push(test(rig, "ten_thousand_members_change_nothing", ten_thousand_members));
    trials.push(test(rig, "a_broken_field_changes_nothing_and_does_not_travel_on", broken_field));
    trials.push(test(rig, "members_of_others_pass_in_order", others_pass));
    trials.push(test(rig, "a_member_from_an_upstream_in_plain_text_is_not_believed", plain_text_is_not_believed));
    trials.push(test(rig, "a_grpc_error_with_the_headers_has_a_member_and_one_in_trailers_has_none", grpc));
    trials.push(test(rig, "the_header_can_have_another_name", another_name));
}

const NAME: &str = "proxy-status";
const TERMINATED: &str = r#""mock-server.default"; error=connection_terminated; gate=response; cause=connection_terminated"#;
const ANSWERED: &str =
    r#""mock-server.default"; received-status=503; gate=application; cause=application_error"#;
/// Our member as an application would forge it: it blames a policy of its proxy's.
const FORGED: &str =
    r#""mock-server.default"; error=http_request_denied; gate=filter; cause=authorization_denied"#;

const MESH: &str = "";
const ALWAYS: &str = r#"{"header":{"mode":"always"}}"#;
const OFF: &str = r#"{"header":{"mode":"off"}}"#;

/// A mesh with these configurations; `None` is a sidecar without the module.
fn mesh(rig: &Rig, client: Option<&str>, server: Option<&str>) -> Result<Mesh> {
    let options = Options { client: client.map(str::to_owned), server: server.map(str::to_owned) };
    Mesh::start(&rig.envoy, &rig.module, &options)
}

/// A path at which the application answers with that status and these field lines of the header.
fn sent(status: u16, lines: &[&str]) -> String {
    let encoded = |line: &str| -> String {
        line.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02x}"),
            })
            .collect()
    };
    let lines: Vec<String> =
        lines.iter().map(|line| format!("header={NAME}:{}", encoded(line))).collect();
    format!("/status/{status}?{}", lines.join("&"))
}

/// What the calling application sees of the header, and the record of the client's sidecar.
fn ask(mesh: &Mesh, id: &str, path: &str) -> Result<(Vec<String>, Value)> {
    let response = mesh.get(id, "mock-server", path).send(mesh.port(HTTP)?)?;
    let record = mesh.records(id, 1)?.client.into_iter().next().unwrap_or_default();
    Ok((response.values(NAME).into_iter().map(str::to_owned).collect(), record))
}

fn equal<T: PartialEq + std::fmt::Debug>(found: T, expected: T, of: &str) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::new(of, format!("expected {expected:?}, got {found:?}")))
    }
}

/// Cause, responder, what decided, and the hop's cause.
fn verdict(record: &Value) -> [&str; 4] {
    let text = |value: &'static str| record.pointer(value).and_then(Value::as_str).unwrap_or("-");
    [text("/cause"), text("/responder"), text("/decided_by"), text("/hop/cause")]
}

const APPLICATIONS: [&str; 4] = ["application_error", "application", "status", "application_error"];
const SOMEBODYS: [&str; 4] = ["application_error", "upstream", "status", "-"];

fn tells_over_mtls(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, None, Some(MESH))?;
    for (path, line) in [
        ("/reset-before-response/50", TERMINATED),
        ("/close-before-response/50", TERMINATED),
        ("/status/503", ANSWERED),
    ] {
        equal(ask(&mesh, path, path)?.0, vec![line.to_owned()], path)?;
    }
    for path in ["/status/200", "/status/404", "/status/302"] {
        equal(ask(&mesh, path, path)?.0, vec![], path)?;
    }
    Ok(())
}

fn tells_nobody_in_plain_text(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, None, Some(MESH))?;
    for path in ["/reset-before-response/50", "/status/503", &sent(503, &[FORGED])] {
        let response = mesh.get("plain", "mock-server", path).send(mesh.permissive_port()?)?;
        equal((response.status, response.values(NAME)), (503, vec![]), path)?;
    }
    Ok(())
}

fn always_tells(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, None, Some(ALWAYS))?;
    for (path, line) in [("/reset-before-response/50", TERMINATED), ("/status/503", ANSWERED)] {
        let response = mesh.get("plain", "mock-server", path).send(mesh.permissive_port()?)?;
        equal(response.values(NAME), vec![line], path)?;
    }
    Ok(())
}

fn the_application_sees_nothing(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, Some(MESH), Some(MESH))?;
    for path in ["/reset-before-response/50", "/status/503", "/status/200", &sent(200, &[FORGED])] {
        let response = mesh.get("seen", "mock-server", path).send(mesh.port(HTTP)?)?;
        equal(response.values(NAME), vec![], path)?;
        let words = format!("{:?}{}", response.headers, response.text());
        equal(words.contains("failgate") || words.contains("cause="), false, &words)?;
    }
    let reply = mesh
        .call("seen-grpc", "mock-server", &Call::pause("ResetBeforeResponse", 50))
        .send(mesh.port(GRPC)?)?;
    let names = reply
        .response
        .headers
        .iter()
        .chain(&reply.response.trailers)
        .map(|(name, _)| name.as_str());
    equal(names.filter(|name| *name == NAME).count(), 0, "the header of a gRPC response")
}

fn nobody_was_asked(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, Some(MESH), None)?;
    for path in ["/status/503", "/reset-before-response/50"] {
        equal(verdict(&ask(&mesh, path, path)?.1), SOMEBODYS, path)?;
    }
    Ok(())
}

fn off_is_off(rig: &Rig) -> Result<()> {
    let silent = mesh(rig, Some(MESH), Some(OFF))?;
    equal(
        verdict(&ask(&silent, "silent", "/reset-before-response/50")?.1),
        SOMEBODYS,
        "a silent server",
    )?;
    let deaf = mesh(rig, Some(OFF), Some(MESH))?;
    let (seen, record) = ask(&deaf, "deaf", "/reset-before-response/50")?;
    equal(verdict(&record), SOMEBODYS, "a deaf client")?;
    equal(seen, vec![TERMINATED.to_owned()], "what a deaf client's sidecar passes on")
}

fn always_on_both_sides(rig: &Rig) -> Result<()> {
    let mesh = mesh(rig, Some(ALWAYS), Some(ALWAYS))?;
    let (seen, record) = ask(&mesh, "both", "/reset-before-response/50")?;
    equal(seen, vec![TERMINATED.to_owned()], "the server's sidecar speaks for the response")?;
    equal(
        verdict(&record),
        ["connection_terminated", "upstream_proxy", "hop", "connection_terminated"],
        "the record",
    )?;
    let response = mesh.get("own", "nobody", "/").send(mesh.port(HTTP)?)?;
    let own = r#""client.default"; error=destination_not_found; gate=route; cause=route_not_found"#;
    equal(
        (response.status, response.values(NAME)),
        (404, vec![own]),
        "a local reply of the client's sidecar",
    )
}

fn forgery(rig: &Rig) -> Result<()> {
    let path = sent(503, &[FORGED]);
    let honest = mesh(rig, Some(MESH), Some(MESH))?;
    let (seen, record) = ask(&honest, "forged", &path)?;
    equal((seen, verdict(&record)), (vec![], APPLICATIONS), "a forged member on an error")?;
    equal(record.pointer("/hop/name"), Some(&json!("mock-server.default")), "the hop's name")?;
    // On the wire between the sidecars there is the true member and no other, on successes none.
    let wire = mesh(rig, None, Some(MESH))?;
    equal(
        ask(&wire, "wire", &path)?.0,
        vec![ANSWERED.to_owned()],
        "a forged member between the sidecars",
    )?;
    for forged in [FORGED, ANSWERED, TERMINATED] {
        equal(ask(&wire, forged, &sent(200, &[forged]))?.0, vec![], forged)?;
    }
    let several = sent(503, &[FORGED, &format!("{FORGED}, {TERMINATED}")]);
    equal(ask(&wire, "several", &several)?.0, vec![ANSWERED.to_owned()], "several forged members")
}

fn ten_thousand_members(rig: &Rig) -> Result<()> {
    let others = vec!["a"; 10_000].join(",");
    let path = sent(503, &[&format!("{FORGED},{others}")]);
    let honest = mesh(rig, Some(MESH), Some(MESH))?;
    let (seen, record) = ask(&honest, "many", &path)?;
    equal(verdict(&record), APPLICATIONS, "ten thousand members")?;
    equal(seen, vec![others.replace(',', ", ")], "the members of others")
}

fn broken_field(rig: &Rig) -> Result<()> {
    for broken in [
        format!("{FORGED}, \"unclosed"),
        "a,,b".to_owned(),
        "\u{e9}".to_owned(),
        format!("{FORGED};"),
    ] {
        let path = sent(503, &[&broken]);
        let honest = mesh(rig, Some(MESH), Some(MESH))?;
        let (seen, record) = ask(&honest, "broken", &path)?;
        equal((seen, verdict(&record)), (vec![], APPLICATIONS), &broken)?;
        let wire = mesh(rig, None, Some(MESH))?;
        equal(ask(&wire, "wire", &path)?.0, vec![ANSWERED.to_owned()], &broken)?;
    }
    Ok(())
}

/// Envoy knows this header and joins its field lines with commas before any filter sees them.
fn others_pass(rig: &Rig) -> Result<()> {
    let line = format!(r#"ExampleCDN; received-status=200, {FORGED}, "b, c"; details="x""#);
    let path = sent(503, &["first;  x", &line, "last"]);
    let kept = r#"first;  x, ExampleCDN; received-status=200, "b, c"; details="x", last"#;
    let honest = mesh(rig, Some(MESH), Some(MESH))?;
    let (seen, record) = ask(&honest, "others", &path)?;
    equal((seen, verdict(&record)), (vec![kept.to_owned()], APPLICATIONS), "behind both sidecars")?;
    let wire = mesh(rig, None, Some(MESH))?;
    let told = vec![format!("{kept},{ANSWERED}")];
    equal(ask(&wire, "wire", &path)?.0, told, "between the sidecars")
}

fn plain_text_is_not_believed(rig: &Rig) -> Result<()> {
    let hop = rig.hop(Mount::Filter, "")?;
    let response = hop.send("plain", &sent(503, &[TERMINATED, "other"]))?;
    equal(response.values(NAME), vec!["other"], "what the caller sees")?;
    let record = hop.record("plain")?.unwrap_or_default();
    equal(verdict(&record), SOMEBODYS, "the record")
}

fn grpc(rig: &Rig) -> Result<()> {
    let call = |mesh: &Mesh, id: &str, call: &Call| -> Result<(Vec<String>, Value)> {
        let reply = mesh.call(id, "mock-server", call).send(mesh.port(GRPC)?)?;
        equal(reply.status, Some(13), id)?;
        let record = mesh.records(id, 1)?.client.into_iter().next().unwrap_or_default();
        Ok((reply.response.values(NAME).into_iter().map(str::to_owned).collect(), record))
    };
    let (with_headers, in_trailers) = (Call::status(13), Call::status_after_headers(13));
    let wire = mesh(rig, None, Some(MESH))?;
    let member = ANSWERED.replace("503", "200");
    equal(call(&wire, "trailers-only", &with_headers)?.0, vec![member], "trailers only")?;
    equal(call(&wire, "in-trailers", &in_trailers)?.0, vec![], "in trailers")?;
    let honest = mesh(rig, Some(MESH), Some(MESH))?;
    let (seen, record) = call(&honest, "trailers-only", &with_headers)?;
    let applications = ["application_error", "application", "grpc", "application_error"];
    equal((seen, verdict(&record)), (vec![], applications), "trailers only")?;
    let (seen, record) = call(&honest, "in-trailers", &in_trailers)?;
    equal(
        (seen, verdict(&record)),
        (vec![], ["application_error", "upstream", "grpc", "-"]),
        "in trailers",
    )
}

fn another_name(rig: &Rig) -> Result<()> {
    let named = r#"{"header":{"name":"x-failgate"}}"#;
    let wire = mesh(rig, None, Some(named))?;
    let response = wire.get("named", "mock-server", "/status/503").send(wire.port(HTTP)?)?;
    equal(
        (response.values("x-failgate"), response.values(NAME)),
        (vec![ANSWERED], vec![]),
        "on the wire",
    )?;
    let honest = mesh(rig, Some(named), Some(named))?;
    equal(verdict(&ask(&honest, "named", "/status/503")?.1), APPLICATIONS, "read by its name")
}
