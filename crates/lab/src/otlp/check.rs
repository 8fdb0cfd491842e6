//! What is in a body, and is it OTLP in JSON? Two who should know are asked, and one who is strict.
//!
//! The types of the crate `opentelemetry-proto` and OpenTelemetry's own codec for Python each read it. Both
//! pass over keys that they do not know, as receivers must; here a key that the types do not give back is an
//! error, since it is one that we have misspelt.

use std::fs;
use std::process::Command;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::program::run;
use crate::{Doing as _, Error, Result, python};

/// One log record with what it belongs to. Attributes are objects; what is absent is null, empty or 0, as in
/// protobuf.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The attributes of its resource.
    pub resource: Value,
    /// Its scope: `name` and `version`.
    pub scope: Value,
    /// Its own attributes.
    pub attributes: Value,
    /// Its body.
    pub body: Value,
    /// What kind of event it is.
    pub event_name: String,
    /// From 1 (TRACE) to 24 (FATAL4).
    pub severity_number: i32,
    /// The severity in words.
    pub severity_text: String,
    /// When it happened, in nanoseconds of Unix time.
    pub time_unix_nano: u64,
    /// When it was seen, in nanoseconds of Unix time.
    pub observed_time_unix_nano: u64,
    /// 32 hexadecimal digits, or nothing.
    pub trace_id: String,
    /// 16 hexadecimal digits, or nothing.
    pub span_id: String,
    /// The trace flags.
    pub flags: u32,
}

/// The log records of all bodies, in their order.
///
/// # Errors
/// When a body is not OTLP in JSON, has a key that OTLP does not have, an attribute twice, or an id that is
/// none; the error names the body by its number and the place. When Python's codec cannot be had.
pub fn check(bodies: &[impl AsRef<[u8]>]) -> Result<Vec<Log>> {
    let mut logs = Vec::new();
    let mut texts = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        let doing = || format!("reading body {number} as OTLP");
        let text = std::str::from_utf8(body.as_ref()).doing(doing)?;
        let sent: Value = serde_json::from_str(text).doing(doing)?;
        let read: ExportLogsServiceRequest = serde_json::from_str(text).doing(doing)?;
        let given_back = serde_json::to_value(&read).doing(doing)?;
        same(&sent, &given_back, &mut String::new()).doing(doing)?;
        logs.extend(self::logs(read).doing(doing)?);
        texts.push(text);
    }
    ask_python(&texts)?;
    Ok(logs)
}

/// Whether all that was `sent` is in what was `read`, which may have more: whatever has a default.
fn same(sent: &Value, read: &Value, place: &mut String) -> Result<(), String> {
    let length = place.len();
    match (sent, read) {
        (Value::Object(sent), Value::Object(read)) => {
            for (key, sent) in sent {
                place.push('.');
                place.push_str(key);
                let read = read.get(key).ok_or_else(|| format!("{place}: no such key"))?;
                same(sent, read, place)?;
                place.truncate(length);
            }
            Ok(())
        }
        (Value::Array(sent), Value::Array(read)) if sent.len() == read.len() => {
            for (number, (sent, read)) in sent.iter().zip(read).enumerate() {
                *place += &format!("[{number}]");
                same(sent, read, place)?;
                place.truncate(length);
            }
            Ok(())
        }
        // A number of 64 bits may be written either way, and hexadecimal digits too.
        _ if word(sent).eq_ignore_ascii_case(&word(read)) => Ok(()),
        _ => Err(format!("{place}: {sent} was read as {read}")),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The log records of bodies in protobuf, in their order.
///
/// # Errors
/// When a body is not OTLP, has an attribute twice, or an id that is none.
pub fn decode(bodies: &[impl AsRef<[u8]>]) -> Result<Vec<Log>> {
    let mut logs = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        let doing = || format!("reading body {number} as OTLP");
        let request = ExportLogsServiceRequest::decode(body.as_ref()).doing(doing)?;
        logs.extend(self::logs(request).doing(doing)?);
    }
    Ok(logs)
}

/// The log records of a request.
fn logs(request: ExportLogsServiceRequest) -> Result<Vec<Log>, String> {
    let mut logs = Vec::new();
    for resource_logs in request.resource_logs {
        let resource = resource_logs.resource.map(|it| it.attributes).unwrap_or_default();
        let resource = object(resource)?;
        for scope_logs in resource_logs.scope_logs {
            let scope =
                scope_logs.scope.map(|it| json!({ "name": it.name, "version": it.version }));
            for record in scope_logs.log_records {
                logs.push(Log {
                    resource: resource.clone(),
                    scope: scope.clone().unwrap_or_default(),
                    attributes: object(record.attributes)?,
                    body: any(record.body)?,
                    event_name: record.event_name,
                    severity_number: record.severity_number,
                    severity_text: record.severity_text,
                    time_unix_nano: record.time_unix_nano,
                    observed_time_unix_nano: record.observed_time_unix_nano,
                    trace_id: id(&record.trace_id, 16)?,
                    span_id: id(&record.span_id, 8)?,
                    flags: record.flags,
                });
            }
        }
    }
    Ok(logs)
}

fn object(attributes: Vec<KeyValue>) -> Result<Value, String> {
    let mut object = Map::new();
    for KeyValue { key, value, .. } in attributes {
        if key.is_empty() {
            return Err("an attribute without a key".to_owned());
        }
        if object.insert(key.clone(), any(value)?).is_some() {
            return Err(format!("the attribute {key} stands there twice"));
        }
    }
    Ok(object.into())
}

fn any(value: Option<AnyValue>) -> Result<Value, String> {
    Ok(match value.and_then(|value| value.value) {
        None => Value::Null,
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(truth)) => truth.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => number.into(),
        Some(Any::ArrayValue(list)) => {
            list.values.into_iter().map(|value| any(Some(value))).collect::<Result<_, _>>()?
        }
        Some(Any::KvlistValue(list)) => object(list.values)?,
        Some(Any::BytesValue(bytes)) => bytes.into(),
        Some(other) => return Err(format!("{other:?} is not for logs")),
    })
}

/// An id in hexadecimal digits. One of zeros only is as good as none, and must not be sent.
fn id(bytes: &[u8], length: usize) -> Result<String, String> {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let nothing = bytes.is_empty();
    if nothing || bytes.len() == length && bytes.iter().any(|byte| *byte != 0) {
        return Ok(text);
    }
    Err(format!("{text:?} is not an id of {length} bytes"))
}

const PACKAGES: [&str; 2] = ["opentelemetry-proto-json==0.66b1", "typing-extensions==4.16.0"];

/// Reads each body of the file and prints a list with what is wrong with each, or null.
const SCRIPT: &str = "\
import json, sys
sys.path.insert(0, sys.argv[1])
from opentelemetry.proto_json.collector.logs.v1.logs_service import ExportLogsServiceRequest
def read(body):
    try:
        ExportLogsServiceRequest.from_json(body)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
with open(sys.argv[2], encoding='utf-8') as file:
    print(json.dumps([read(body) for body in json.load(file)]))
";

/// Has OpenTelemetry's own codec read all bodies.
fn ask_python(bodies: &[&str]) -> Result<()> {
    const DOING: &str = "asking OpenTelemetry's codec for Python";
    let doing = || DOING.to_owned();
    let progress = |progress: &str| eprintln!("  {progress}");
    let packages = python::packages("otlp", &PACKAGES, &progress)?;
    let python = python::with_pip("install python3 with pip or venv", &progress)?;
    let file = tempfile::NamedTempFile::new().doing(doing)?;
    fs::write(file.path(), json!(bodies).to_string()).doing(doing)?;
    // Isolated, so that what else is installed on this machine plays no part.
    let mut command = Command::new(python);
    command.args(["-I", "-S", "-c", SCRIPT]).arg(packages).arg(file.path());
    let answer: Vec<Value> = serde_json::from_str(&run(&mut command, DOING)?).doing(doing)?;
    if answer.len() != bodies.len() {
        return Err(Error::new(DOING, format!("{} answers", answer.len())));
    }
    match answer.iter().enumerate().find(|(_, wrong)| !wrong.is_null()) {
        Some((number, wrong)) => Err(Error::new(DOING, format!("body {number}: {wrong}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({ "resourceLogs": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": "client.default" } },
            ] },
            "scopeLogs": [{
                "scope": { "name": "failgate", "version": "0.1.0" },
                "logRecords": [{
                    "timeUnixNano": "1544712660300000000",
                    "observedTimeUnixNano": 1_544_712_660_300_000_001_u64,
                    "severityNumber": 13,
                    "severityText": "WARN",
                    "eventName": "failgate.failure",
                    "body": { "stringValue": "é" },
                    "attributes": [
                        { "key": "http.response.status_code", "value": { "intValue": "503" } },
                        { "key": "look", "value": { "arrayValue": { "values": [
                            { "stringValue": "a" }, { "boolValue": true },
                        ] } } },
                    ],
                    "traceId": "5B8efff798038103d269b633813fc60c",
                    "spanId": "eee19b7ec3c1b174",
                    "flags": 1,
                }],
            }],
        }] })
    }

    #[test]
    fn a_body_in_order_is_read_whole() {
        let empty = json!({ "resourceLogs": [] });
        let logs = check(&[good().to_string(), empty.to_string(), good().to_string()]).unwrap();
        assert_eq!(logs.len(), 2);
        let expected = Log {
            resource: json!({ "service.name": "client.default" }),
            scope: json!({ "name": "failgate", "version": "0.1.0" }),
            attributes: json!({ "http.response.status_code": 503, "look": ["a", true] }),
            body: json!("é"),
            event_name: "failgate.failure".to_owned(),
            severity_number: 13,
            severity_text: "WARN".to_owned(),
            time_unix_nano: 1_544_712_660_300_000_000,
            observed_time_unix_nano: 1_544_712_660_300_000_001,
            trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
            span_id: "eee19b7ec3c1b174".to_owned(),
            flags: 1,
        };
        assert_eq!(logs, [expected.clone(), expected]);
        let same: ExportLogsServiceRequest = serde_json::from_value(good()).unwrap();
        assert_eq!(decode(&[same.encode_to_vec()]).unwrap(), logs[..1]);
        assert!(decode(&[good().to_string()]).is_err(), "that is not protobuf");
    }

    /// What each mistake makes of the body that is in order.
    #[test]
    fn a_body_with_a_mistake_is_refused_with_its_place() {
        const RECORD: &str = "/resourceLogs/0/scopeLogs/0/logRecords/0";
        let with = |place: &str, key: &str, value: Value| {
            let mut body = good();
            body.pointer_mut(place).unwrap()[key] = value;
            body.to_string()
        };
        let twice = good()["resourceLogs"][0]["resource"]["attributes"][0].clone();
        let zeros = "0".repeat(32);
        let mistakes = [
            (
                "a severity by its name",
                with(RECORD, "severityNumber", json!("SEVERITY_NUMBER_WARN")),
            ),
            ("a severity that there is not", with(RECORD, "severityNumber", json!(25))),
            ("an id in base64", with(RECORD, "traceId", json!("W47/95gDgQPSabYzgT/GDA=="))),
            ("an id that is too short", with(RECORD, "spanId", json!("eee19b7e"))),
            ("an id of zeros", with(RECORD, "traceId", json!(zeros))),
            ("a key in snake case", with(RECORD, "trace_id", json!("00"))),
            ("an unknown key", with(RECORD, "colour", json!("red"))),
            ("an unknown key on top", with("", "colour", json!("red"))),
            (
                "a key of older versions",
                with("/resourceLogs/0", "instrumentationLibraryLogs", json!([])),
            ),
            ("a bare value", with(RECORD, "body", json!("text"))),
            ("a value of no kind", with(RECORD, "body", json!({ "textValue": "text" }))),
            (
                "a number that is text",
                with(&format!("{RECORD}/attributes/0"), "value", json!({ "intValue": "x" })),
            ),
            ("a time that is no number", with(RECORD, "timeUnixNano", json!("yesterday"))),
            (
                "an attribute twice",
                with("/resourceLogs/0/resource", "attributes", json!([twice, twice])),
            ),
            ("a part that is cut off", good().to_string().trim_end_matches('}').to_owned()),
            ("nothing", String::new()),
        ];
        for (mistake, body) in mistakes {
            let refused = check(&[good().to_string(), body]);
            let error = refused.err().unwrap_or_else(|| panic!("{mistake} is taken")).to_string();
            assert!(error.contains("body 1"), "{mistake}: {error}");
        }
    }

    /// Each of the two is there for what the other lets pass.
    #[test]
    fn the_second_reader_sees_mistakes_by_itself() {
        let text = good().to_string();
        ask_python(&[&text, &text]).unwrap();
        let named =
            text.replace(r#""severityNumber":13"#, r#""severityNumber":"SEVERITY_NUMBER_WARN""#);
        let error = ask_python(&[&text, &named]).unwrap_err().to_string();
        assert!(error.contains("body 1") && error.contains("severity_number"), "{error}");
    }
}
