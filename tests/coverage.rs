//! Every row of the judge's tables was seen to be true in a real Envoy, or says why it was not.
//!
//! What was seen is on file: the records below `crates/lab/records/`, each compared whole with what a real
//! Envoy led to. Rows that are in none of them are listed in `unprovoked.json` beside them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use failgate_lab::records;
use failgate_verdict::cause::CAUSES;
use failgate_verdict::details::{DETAILS, Meaning, RESETS, Reset, meaning};
use failgate_verdict::flags::FLAGS;
use failgate_verdict::termination::TERMINATION;
use failgate_verdict::transport::TRANSPORT;
use serde::Deserialize;
use serde_json::Value;

/// Rows by their table and their text, such as `reset overflow`.
type Rows = BTreeSet<String>;

/// The rows that no record shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unprovoked {
    /// Rows that this lab cannot make Envoy produce, and why.
    cannot_be_provoked: BTreeMap<String, String>,
    /// Rows that wait for somebody to write their scenario.
    not_yet_provoked: Rows,
}

fn row(table: &str, text: &str) -> String {
    format!("{table} {text}")
}

fn all() -> Rows {
    let flags = FLAGS.iter().map(|it| row("flag", it.short));
    let details = DETAILS.iter().map(|it| row("details", it.pattern.text()));
    let resets = RESETS.iter().map(|it| row("reset", it.pattern.text()));
    let transport = TRANSPORT.iter().map(|it| row("transport", it.pattern.text()));
    let termination = TERMINATION.iter().map(|it| row("termination", it.pattern.text()));
    let causes = CAUSES.iter().map(|it| row("cause", it.name));
    flags.chain(details).chain(resets).chain(transport).chain(termination).chain(causes).collect()
}

/// The rows that a record shows: in each table the one that decides, which is the first that matches.
fn shown(record: &Value) -> Rows {
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    let mut rows = Rows::new();
    rows.extend(text("cause").map(|name| row("cause", name)));
    for flag in record.get("response_flags").and_then(Value::as_array).into_iter().flatten() {
        rows.insert(row("flag", flag.as_str().unwrap()));
    }
    let mut transports: Vec<&str> = text("upstream_transport_failure_reason").into_iter().collect();
    if let Some(details) = text("response_code_details") {
        let first = DETAILS.iter().find(|it| it.pattern.matches(details));
        rows.extend(first.map(|it| row("details", it.pattern.text())));
        if meaning(details) == Some(Meaning::ResetBefore) {
            let reset = Reset::parse(details);
            rows.extend(reset.row().map(|it| row("reset", it.pattern.text())));
            transports.extend(reset.transport);
        }
    }
    for reason in transports {
        let first = TRANSPORT.iter().find(|it| it.pattern.matches(reason));
        rows.extend(first.map(|it| row("transport", it.pattern.text())));
    }
    if let Some(details) = text("connection_termination_details") {
        let first = TERMINATION.iter().find(|it| it.pattern.matches(details));
        rows.extend(first.map(|it| row("termination", it.pattern.text())));
    }
    rows
}

/// Adds what is shown by every record in a value: a list, or an object of lists.
fn gather(value: &Value, rows: &mut Rows) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| gather(value, rows)),
        Value::Object(object) if object.contains_key("cause") => rows.extend(shown(value)),
        Value::Object(object) => object.values().for_each(|value| gather(value, rows)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn seen() -> Rows {
    let mut rows = Rows::new();
    for world in fs::read_dir(records::folder()).unwrap() {
        let world = world.unwrap().path();
        if world.is_dir() {
            for file in fs::read_dir(world).unwrap() {
                gather(&read(&file.unwrap().path()), &mut rows);
            }
        }
    }
    rows
}

#[test]
fn every_row_was_seen_in_a_real_envoy_or_says_why_not() {
    let unprovoked = read(&records::folder().join("unprovoked.json"));
    let unprovoked: Unprovoked = serde_json::from_value(unprovoked).unwrap();
    let (all, seen) = (all(), seen());
    println!(
        "{} of {} rows seen; {} cannot be provoked, {} not yet",
        seen.len(),
        all.len(),
        unprovoked.cannot_be_provoked.len(),
        unprovoked.not_yet_provoked.len()
    );

    for (row, reason) in &unprovoked.cannot_be_provoked {
        assert!(reason.split(' ').count() > 3, "{row}: the reason is {reason:?}");
        assert!(!unprovoked.not_yet_provoked.contains(row), "{row} is listed twice");
    }
    let mut listed = unprovoked.not_yet_provoked;
    listed.extend(unprovoked.cannot_be_provoked.into_keys());
    let unknown: Rows = listed.difference(&all).cloned().collect();
    assert!(unknown.is_empty(), "listed, and in no table: {unknown:#?}");
    let needless: Rows = listed.intersection(&seen).cloned().collect();
    assert!(needless.is_empty(), "listed, and seen all the same: {needless:#?}");
    let missing: Rows =
        all.difference(&seen).filter(|row| !listed.contains(*row)).cloned().collect();
    assert!(missing.is_empty(), "neither seen nor listed: {missing:#?}");
}
