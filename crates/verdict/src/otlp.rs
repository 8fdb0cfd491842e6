//! Records as OTLP logs, in JSON.
//!
//! Sources: the OTLP specification (<https://opentelemetry.io/docs/specs/otlp/>: 64-bit numbers are texts, ids
//! are hexadecimal, enumerations are numbers) and the semantic conventions for attributes, HTTP and RPC.

use alloc::string::String;
use core::fmt::Write as _;

use crate::json;
use crate::keys::{Attribute, Fact, KEYS};
use crate::record::Record;
use crate::terms::{GRPC_STATUSES, Side};
use crate::text::split_once;

/// The name of the event.
pub const EVENT: &str = "failgate.failure";

/// The beginning of an export request: who speaks, up to the list of log records. `proxy` is the name of the
/// workload, `instance` that of this one proxy.
#[must_use]
pub fn head(proxy: Option<&str>, instance: Option<&str>, version: &str) -> String {
    let mut out = String::from("{\"resourceLogs\":[{\"resource\":{\"attributes\":[");
    // The name that the conventions want where there is none.
    attribute(&mut out, "", "service.name", Fact::Text(proxy.unwrap_or("unknown_service:envoy")));
    attribute(&mut out, "", "service.instance.id", instance.map_or(Fact::Absent, Fact::Text));
    out.push_str("]},\"scopeLogs\":[{\"scope\":{\"name\":\"failgate\",\"version\":");
    json::quote(&mut out, version);
    out.push_str("},\"logRecords\":[");
    out
}

/// The end of an export request, behind the last log record.
pub const TAIL: &str = "]}]}]}";

/// One log record. The request began at `start` and ended `now`, both in nanoseconds since 1970.
#[must_use]
pub fn log_record(record: &Record, start: Option<u64>, now: u64) -> String {
    let mut out = String::new();
    // A caller that went away is no error of the system that it has left.
    let (number, text) = if record.side == Side::Downstream { (13, "WARN") } else { (17, "ERROR") };
    // Writing to a string does not fail.
    _ = write!(
        out,
        "{{\"timeUnixNano\":\"{}\",\"observedTimeUnixNano\":\"{now}\",\"severityNumber\":{number},\
         \"severityText\":\"{text}\",\"eventName\":\"{EVENT}\",\"body\":{{\"stringValue\":",
        start.unwrap_or(now)
    );
    let mut body = String::from(record.gate.name());
    body.push_str(": ");
    body.push_str(record.cause.name());
    if let Some(look) = record.look.first() {
        body.push_str("; look at ");
        body.push_str(look);
    }
    json::quote(&mut out, &body);
    out.push('}');
    for (key, id) in [("traceId", &record.trace_id), ("spanId", &record.span_id)] {
        if let Some(id) = id {
            json::separate(&mut out);
            json::quote(&mut out, key);
            out.push(':');
            json::quote(&mut out, id);
        }
    }
    out.push_str(",\"attributes\":[");
    for key in KEYS {
        let fact = key.fact(record);
        let (own, semantic) = match key.attribute {
            Attribute::Own => (true, None),
            Attribute::Semantic(name) => (false, Some(name)),
            Attribute::Both(name) => (true, Some(name)),
            Attribute::Elsewhere => (false, None),
        };
        if let Some(name) = semantic {
            attribute(&mut out, "", name, fact);
        }
        if own {
            attribute(&mut out, "failgate.", key.path, fact);
        }
    }
    if let Some((name, version)) = record.protocol.as_deref().and_then(|it| split_once(it, "/")) {
        attribute(&mut out, "", "network.protocol.name", Fact::Text(&name.to_ascii_lowercase()));
        attribute(&mut out, "", "network.protocol.version", Fact::Text(version));
    }
    if let Some(status) = record.grpc_status {
        let name = usize::try_from(status).ok().and_then(|status| GRPC_STATUSES.get(status));
        let number = alloc::format!("{status}");
        let name = Fact::Text(name.copied().unwrap_or(&number));
        attribute(&mut out, "", "rpc.system.name", Fact::Text("grpc"));
        attribute(&mut out, "", "rpc.response.status_code", name);
    }
    out.push_str("]}");
    out
}

fn attribute(out: &mut String, prefix: &str, name: &str, fact: Fact<'_>) {
    if matches!(fact, Fact::Absent) {
        return;
    }
    json::separate(out);
    out.push_str("{\"key\":\"");
    out.push_str(prefix);
    out.push_str(name);
    out.push_str("\",\"value\":{");
    match fact {
        Fact::Absent => {}
        Fact::Text(text) => string(out, text),
        Fact::Number(number) => _ = write!(out, "\"intValue\":\"{number}\""),
        Fact::True => out.push_str("\"boolValue\":true"),
        Fact::Texts(texts) => {
            out.push_str("\"arrayValue\":{\"values\":[");
            for text in texts {
                json::separate(out);
                out.push('{');
                string(out, text);
                out.push('}');
            }
            out.push_str("]}");
        }
    }
    out.push_str("}}");
}

fn string(out: &mut String, text: &str) {
    out.push_str("\"stringValue\":");
    json::quote(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{least, whole};
    use alloc::vec::Vec;
    use serde_json::{Value, json};

    fn request(record: &Record, start: Option<u64>) -> Value {
        let mut out = head(Some("a.default"), Some("node~1"), "0.1.0");
        out.push_str(&log_record(record, start, 1_795_290_458_135_000_000));
        out.push_str(TAIL);
        serde_json::from_str(&out).unwrap()
    }

    fn text(key: &str, value: &str) -> Value {
        json!({ "key": key, "value": { "stringValue": value } })
    }

    #[test]
    fn a_record_is_a_log_record() {
        let request = request(&least(), None);
        let attributes = ["gate", "cause", "side", "responder", "delivered", "decided_by"];
        let values = ["unknown", "unrecognized", "local", "none", "maybe", "status"];
        let mut expected: Vec<Value> = attributes
            .iter()
            .zip(values)
            .map(|(key, value)| text(&alloc::format!("failgate.{key}"), value))
            .collect();
        expected.insert(1, text("error.type", "unrecognized"));
        assert_eq!(
            request,
            json!({ "resourceLogs": [{
                "resource": { "attributes": [
                    text("service.name", "a.default"),
                    text("service.instance.id", "node~1"),
                ] },
                "scopeLogs": [{
                    "scope": { "name": "failgate", "version": "0.1.0" },
                    "logRecords": [{
                        "timeUnixNano": "1795290458135000000",
                        "observedTimeUnixNano": "1795290458135000000",
                        "severityNumber": 17,
                        "severityText": "ERROR",
                        "eventName": "failgate.failure",
                        "body": { "stringValue": "unknown: unrecognized" },
                        "attributes": expected,
                    }]
                }]
            }] })
        );
    }

    #[test]
    fn every_fact_is_an_attribute_under_one_name() {
        let record = &request(&whole(), Some(1_795_290_458_123_000_000))["resourceLogs"][0]["scopeLogs"]
            [0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], "1795290458123000000");
        assert_eq!(record["traceId"], "5b8efff798038103d269b633813fc60c");
        assert_eq!(record["spanId"], "eee19b7ec3c1b174");
        assert_eq!(
            record["body"]["stringValue"],
            "connect: connection_refused; look at Service/a \"b\""
        );
        let attributes = record["attributes"].as_array().unwrap();
        let value = |key: &str| {
            let mut found = attributes.iter().filter(|attribute| attribute["key"] == key);
            let value = found.next().map(|attribute| attribute["value"].clone());
            assert!(found.next().is_none(), "{key} is there twice");
            value.unwrap_or_default()
        };
        for (key, expected) in [
            ("error.type", json!({ "stringValue": "connection_refused" })),
            ("failgate.cause", json!({ "stringValue": "connection_refused" })),
            ("failgate.gate", json!({ "stringValue": "connect" })),
            ("failgate.hop.cause", json!({ "stringValue": "authorization_denied" })),
            ("failgate.retry.attempts", json!({ "intValue": "3" })),
            ("failgate.retry.exhausted", json!({ "boolValue": true })),
            ("http.request.method", json!({ "stringValue": "GET" })),
            ("http.response.status_code", json!({ "intValue": "503" })),
            ("network.protocol.name", json!({ "stringValue": "http" })),
            ("network.protocol.version", json!({ "stringValue": "1.1" })),
            ("rpc.system.name", json!({ "stringValue": "grpc" })),
            ("rpc.response.status_code", json!({ "stringValue": "UNAVAILABLE" })),
            ("server.address", json!({ "stringValue": "b.default.svc.cluster.local" })),
            ("server.port", json!({ "intValue": "80" })),
            ("url.path", json!({ "stringValue": "/a" })),
            (
                "failgate.response_flags",
                json!({ "arrayValue": { "values": [{ "stringValue": "UF" }, { "stringValue": "URX" }] } }),
            ),
        ] {
            assert_eq!(value(key), expected, "{key}");
        }
        assert_eq!(value("failgate.grpc_status"), Value::Null);
        let elsewhere = KEYS.iter().filter(|key| key.attribute == Attribute::Elsewhere).count();
        // The cause has two names; protocol and gRPC status have two attributes of the conventions each.
        assert_eq!(attributes.len(), KEYS.len() - elsewhere + 1 + 2 + 2);
    }

    #[test]
    fn a_caller_that_went_away_is_a_warning() {
        let record = Record { side: Side::Downstream, ..whole() };
        let request = request(&record, None);
        let record = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(
            (&record["severityNumber"], &record["severityText"]),
            (&json!(13), &json!("WARN"))
        );
    }

    #[test]
    fn a_status_that_grpc_does_not_know_is_its_number() {
        let record = Record { grpc_status: Some(99), ..least() };
        let out = log_record(&record, None, 0);
        assert!(out.contains(r#"{"key":"rpc.response.status_code","value":{"stringValue":"99"}}"#));
    }
}
