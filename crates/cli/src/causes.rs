//! The causes reference, `docs/causes.md`: every cause with its meaning, its evidence, what to check and an
//! example, from the same tables that decide and explain. `cargo xtask docs` writes it.

use failgate_verdict::cause::Cause;
use failgate_verdict::details::{DETAILS, Meaning, RESETS};
use failgate_verdict::evidence::Evidence;
use failgate_verdict::flags::FLAGS;
use failgate_verdict::look::look;
use failgate_verdict::termination::TERMINATION;
use failgate_verdict::terms::{Direction, GATES};
use failgate_verdict::text::Pattern;
use failgate_verdict::transport::TRANSPORT;
use serde_json::Value;

use crate::explain::{command, guide};

/// What the judge concludes from more than one row of the tables.
const CONCLUDED: &[(&str, &str)] = &[
    (
        "downstream_tls_error",
        "no HTTP stream, and a downstream transport failure reason that is a handshake's",
    ),
    ("connection_denied", "details of an RBAC denial without an HTTP stream"),
    (
        "egress_blocked",
        "`direct_response` or `no_healthy_upstream` from the cluster `BlackHoleCluster` or the route `block_all`",
    ),
    ("no_endpoints", "`UH` and no endpoint in the cluster (`upstream.num_endpoints` is 0)"),
    (
        "endpoints_unhealthy",
        "`UH` and endpoints in the cluster, or an attempt before this one, or a transport failure reason, or an upstream host",
    ),
    (
        "connection_pool_overflow",
        "`upstream_reset_before_response_started{overflow}`, and no upstream host",
    ),
    (
        "max_requests_overflow",
        "`upstream_reset_before_response_started{overflow}`, and an upstream host",
    ),
    (
        "malformed_request",
        "`http2.remote_reset` with `DPE` and without `DR`: this proxy reset the stream itself",
    ),
    ("response_incomplete", "`upstream_reset_after_response_started{...}`, whatever the reason"),
    ("client_reset", "an HTTP/2 stream that ended with no status, no flag and no details"),
    (
        "application_error",
        "`via_upstream`, or no details, with a status of 500 or more, a failing gRPC status, or `URX`",
    ),
    ("unrecognized", "a failure that no row explains"),
];

/// The document. Examples are taken from `records`, which a real Envoy led to.
#[must_use]
pub fn document(records: &[Value]) -> String {
    let mut text = String::from(
        "# The causes\n\n\
         Written by `cargo xtask docs` from the tables that decide; `failgate explain CAUSE` prints the same. The\n\
         gates are in the order in which a request meets them. Spaces and underscores are equal in Envoy's texts.\n",
    );
    for gate in GATES {
        text += &format!("\n## `{}`\n\n{}\n", gate.name, sentence(gate.says));
        for cause in Cause::all().filter(|cause| cause.row().gate == gate.value) {
            text += &section(cause, records);
        }
    }
    text
}

fn section(cause: Cause, records: &[Value]) -> String {
    let row = cause.row();
    let error = row.error.map(|error| format!(", RFC 9209 error `{error}`")).unwrap_or_default();
    let mut text = format!("\n### `{}`\n\n", row.name);
    text += &format!("On the {} side; delivered: {}{error}.\n", row.side, row.delivered);
    if let Some(guide) = guide::of(cause) {
        text += &format!("\n{}\n\n{}\n", guide.means, guide.is_not);
    }
    text += "\nEvidence:\n\n";
    text += &list(&evidence(cause));
    let outbound = Evidence { direction: Direction::Outbound, ..Evidence::default() };
    text += "\nLook at, most likely first:\n\n";
    text += &list(&look(cause, &outbound, None));
    if let Some(guide) = guide::of(cause) {
        let commands = guide.commands.iter().map(|template| command::filled(template, None) + "\n");
        text += &format!("\n```sh\n{}```\n", commands.collect::<String>());
    }
    let is_its = |record: &&Value| record.get("cause").is_some_and(|name| name == row.name);
    let own = |record: &&Value| record.get("decided_by").is_none_or(|by| by != "hop");
    match records.iter().filter(is_its).find(own) {
        Some(record) => {
            text += &format!("\nA record of a real Envoy:\n\n```json\n{record:#}\n```\n")
        }
        None => text += "\nThe lab does not provoke it yet.\n",
    }
    text
}

/// What leads to a cause: the rows of the tables, and what the judge concludes.
fn evidence(cause: Cause) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |kind: &str, texts: Vec<String>| {
        if !texts.is_empty() {
            lines.push(format!("{kind}: {}", texts.join(", ")));
        }
    };
    let flags = FLAGS.iter().filter(|flag| flag.cause == Some(cause));
    add(
        "response flag alone",
        flags.map(|flag| format!("`{}` ({})", flag.short, flag.long)).collect(),
    );
    let details = DETAILS.iter().filter(|row| row.meaning == Meaning::Cause(cause));
    add("response code details", details.map(|row| quoted(row.pattern)).collect());
    let resets = RESETS.iter().filter(|row| row.cause == cause);
    add("upstream reset before the response", resets.map(|row| quoted(row.pattern)).collect());
    let transport = TRANSPORT.iter().filter(|row| row.cause == cause);
    add("transport failure reason", transport.map(|row| quoted(row.pattern)).collect());
    let termination = TERMINATION.iter().filter(|row| row.cause == cause);
    add("connection termination details", termination.map(|row| quoted(row.pattern)).collect());
    let concluded = CONCLUDED.iter().filter(|(name, _)| *name == cause.name());
    lines.extend(concluded.map(|(_, text)| (*text).to_owned()));
    lines
}

fn quoted(pattern: Pattern) -> String {
    match pattern {
        Pattern::Is(text) => format!("`{text}`"),
        Pattern::Starts(text) => format!("`{text}...`"),
        Pattern::Ends(text) => format!("`...{text}`"),
        Pattern::Has(text) => format!("`...{text}...`"),
    }
}

fn list(entries: &[String]) -> String {
    entries.iter().map(|entry| format!("- {entry}\n")).collect()
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    let mut sentence: String = first.chain(characters).collect();
    if !sentence.ends_with(['?', '.']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_evidence() {
        for cause in Cause::all() {
            assert!(!evidence(cause).is_empty(), "{cause}");
        }
        for (name, _) in CONCLUDED {
            assert!(Cause::named(name).is_some(), "{name}");
        }
    }
}
