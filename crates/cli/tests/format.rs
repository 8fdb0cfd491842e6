//! The format that `failgate format` prints, in a real Envoy: what `inspect` says of its lines is what the
//! filter says live of the same streams.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::io::Write as _;
use std::process::Command;

use failgate_cli::format;
use failgate_cli::read::{Keys, Line, line};
use failgate_lab::config::access_log_on_stdout;
use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::scenario::ONE_HOP;
use failgate_lab::{PATIENCE, envoy, module};
use failgate_verdict::judge::Criteria;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

#[test]
fn a_line_in_our_format_gets_the_record_that_the_filter_writes() {
    let say = |progress: &str| eprintln!("  {progress}");
    let module = module::build(&say).unwrap();
    let envoy = envoy::find(&say).unwrap();
    let loggers =
        [access_log_on_stdout(&format::json()), access_log_on_stdout(&json!(format::text()))];
    let extras = Extras { access_logs: loggers.to_vec(), ..Extras::default() };
    let hop = Hop::start_with(&envoy, &module, Mount::Filter, "", &extras).unwrap();
    let (mut failures, mut successes, mut nameless) = (0, 0, 0);
    for scenario in ONE_HOP {
        for outcome in scenario.play(&hop).unwrap() {
            let Some(live) = outcome.record else {
                successes += 1;
                continue;
            };
            failures += 1;
            nameless += usize::from(live.get("request_id").is_none());
            // Whoever sent bytes that are no request has no id; the details are the only ones of their kind.
            let own = live.get("request_id").or(live.get("response_code_details")).unwrap();
            let own = own.as_str().unwrap();
            for (kind, start) in [("JSON", '{'), ("text", '[')] {
                let is_its = |line: &str| {
                    let named = line.split(['"', ' ']).any(|word| word == own);
                    line.starts_with(start) && named
                };
                let line = hop.proxy.access_log().wait_for(PATIENCE, is_its).unwrap();
                let read = hop.normal(judged(&line).unwrap_or_else(|| panic!("{line}")));
                assert_eq!(as_logged(read), as_logged(live.clone()), "{kind}: {line}");
            }
        }
    }
    assert!(failures >= 30 && successes >= 3, "{failures} failures, {successes} successes");
    // And nothing else is a failure.
    let lines = hop.proxy.access_log().all();
    assert_eq!(lines.iter().filter(|line| judged(line).is_some()).count(), 2 * failures);
    // Together with the records each failure still counts once; without a request id nobody can tell.
    let log = hop.proxy.log().all();
    for start in ['{', '['] {
        let logged: Vec<String> =
            lines.iter().filter(|line| line.starts_with(start)).cloned().collect();
        for all in [[log.clone(), logged.clone()], [logged, log.clone()]] {
            let records = inspected(&all.concat().join("\n"));
            assert_eq!(records.len(), failures + nameless, "{start}");
        }
    }
    hop.mock.check().unwrap();
}

/// What `failgate inspect` makes of a log.
fn inspected(log: &str) -> Vec<Value> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_failgate"));
    let output = command.args(["inspect", "--format", "json"]).arg(file.path()).output().unwrap();
    let records = str::from_utf8(&output.stdout).unwrap().lines();
    records.map(|record| serde_json::from_str(record).unwrap()).collect()
}

fn judged(text: &str) -> Option<Value> {
    match line(text.as_bytes(), &mut Keys::default()) {
        Line::Stream(stream) => {
            Some(serde_json::to_value(stream.judge(&Criteria::default())?).unwrap())
        }
        Line::Record(_) | Line::Other | Line::Malformed(_) => panic!("{text}"),
    }
}

/// An access log has underscores where the attribute has spaces.
fn as_logged(mut record: Value) -> Value {
    for key in ["response_code_details", "upstream_transport_failure_reason"] {
        if let Some(text) = record.get(key).and_then(Value::as_str) {
            record[key] = text.replace(' ', "_").into();
        }
    }
    record
}
