//! Evidence that nobody expects: whatever comes, there is a record, and the request is as it was.

use std::sync::Arc;

use failgate_lab::client::send_raw;
use failgate_lab::hop::{Hop, Mount, PATIENCE};
use failgate_lab::{Error, Result};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{Rig, one_hop, test};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(rig, "details_of_64_kilobytes_are_judged_and_cut", long_details));
    trials.push(test(rig, "bytes_that_are_no_utf_8_are_replaced", no_utf_8));
    trials.push(test(rig, "text_of_a_caller_cannot_leave_its_string", no_injection));
}

fn both_mounts(rig: &Rig, claim: impl Fn(&Hop) -> Result<()>) -> Result<()> {
    for mount in [Mount::Filter, Mount::AccessLogger] {
        let hop = rig.hop(mount, "")?;
        claim(&hop).inspect_err(|_| eprintln!("{}", hop.proxy.dump_log()))?;
        hop.proxy.stat("wasm.envoy.wasm.runtime.v8.active").and_then(|running| {
            if running > 0 { Ok(()) } else { Err(Error::new("the VM", "it is gone")) }
        })?;
    }
    Ok(())
}

fn expect(record: &Value, key: &str, expected: &str) -> Result<()> {
    if record[key] == expected {
        return Ok(());
    }
    Err(Error::new(format!("{key} is not {expected:?}"), format!("{record:#}")))
}

/// The name of a policy is its author's, and Envoy has no bound for it.
fn long_details(rig: &Rig) -> Result<()> {
    both_mounts(rig, |hop| {
        let status = hop.send("long", "/long-policy")?.status;
        let record = hop.record("long")?.unwrap_or_default();
        expect(&record, "cause", "authorization_denied")?;
        one_hop::valid(&record)?;
        let length = |key: &str| record[key].as_str().map_or(0, str::len);
        if (status, length("response_code_details"), length("policy")) == (403, 512, 512) {
            return Ok(());
        }
        Err(Error::new(format!("status {status}"), format!("{record:#}")))
    })
}

fn no_utf_8(rig: &Rig) -> Result<()> {
    both_mounts(rig, |hop| {
        let request = b"GET /status/503 HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: caf\xe9\xff\r\n\r\n";
        let (response, _) = send_raw(hop.port(), request, PATIENCE)?;
        let record = hop.record("caf\u{fffd}\u{fffd}")?.unwrap_or_default();
        one_hop::valid(&record)?;
        expect(&record, "cause", "application_error")?;
        if response.starts_with(b"HTTP/1.1 503") {
            return Ok(());
        }
        Err(Error::new("the response", String::from_utf8_lossy(&response)))
    })
}

fn no_injection(rig: &Rig) -> Result<()> {
    let id = r#"a","cause":"forged","x":"\u0041{}"#;
    both_mounts(rig, |hop| {
        hop.send(id, "/status/503")?;
        let record = hop.record(id)?.unwrap_or_default();
        expect(&record, "cause", "application_error")?;
        expect(&record, "request_id", id)
    })
}
