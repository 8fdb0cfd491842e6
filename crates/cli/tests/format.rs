//! The format that `failgate format` prints, in a real Envoy: what `inspect` says of its lines is what the
//! filter says live of the same streams.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use failgate_cli::format;
use failgate_cli::read::{Keys, Line, line};
use failgate_lab::config::access_log_on_stdout;
use failgate_lab::hop::{Extras, Hop, Mount};
use failgate_lab::scenario::ONE_HOP;
use failgate_lab::{PATIENCE, envoy, module};
use failgate_verdict::judge::Criteria;
use serde_json::{Value, json};

#[test]
fn a_line_in_our_format_gets_the_record_that_the_filter_writes() {
    let say = |progress: &str| eprintln!("  {progress}");
    let module = module::build(&say).unwrap();
    let envoy = envoy::find(&say).unwrap();
    let loggers =
        [access_log_on_stdout(&format::json()), access_log_on_stdout(&json!(format::text()))];
    let extras = Extras { access_logs: loggers.to_vec(), ..Extras::default() };
    let hop = Hop::start_with(&envoy, &module, Mount::Filter, "", &extras).unwrap();
    let (mut failures, mut successes) = (0, 0);
    for scenario in ONE_HOP {
        for outcome in scenario.play(&hop).unwrap() {
            let Some(live) = outcome.record else {
                successes += 1;
                continue;
            };
            failures += 1;
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
    hop.mock.check().unwrap();
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
