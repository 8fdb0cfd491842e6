//! The rows of the judge's tables, and those that a record shows to be true.

use std::collections::BTreeSet;

use failgate_verdict::cause::CAUSES;
use failgate_verdict::details::{DETAILS, Meaning, RESETS, Reset, meaning};
use failgate_verdict::flags::FLAGS;
use failgate_verdict::termination::TERMINATION;
use failgate_verdict::transport::TRANSPORT;
use serde_json::Value;

/// Rows by their table and their text, such as `reset overflow`.
pub type Rows = BTreeSet<String>;

fn row(table: &str, text: &str) -> String {
    format!("{table} {text}")
}

/// Every row of every table.
pub fn all() -> Rows {
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
        let reset = Reset::parse(details);
        if meaning(details) == Some(Meaning::ResetBefore) {
            rows.extend(reset.row().map(|it| row("reset", it.pattern.text())));
            transports.extend(reset.transport);
        } else if meaning(details) == Some(Meaning::ResetAfter) {
            let decides = reset.row().filter(|it| it.answered);
            rows.extend(decides.map(|it| row("reset", it.pattern.text())));
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
pub fn gather(value: &Value, rows: &mut Rows) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| gather(value, rows)),
        Value::Object(object) if object.contains_key("cause") => rows.extend(shown(value)),
        Value::Object(object) => object.values().for_each(|value| gather(value, rows)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
