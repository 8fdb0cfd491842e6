//! Every key of a record once: where it stands, what OpenTelemetry calls it, and what it says.
//!
//! The record's JSON and the attributes of a log record in OTLP are both written from these rows. (What reads
//! records derives its reading from the type; a test holds the two against each other.) OpenTelemetry's names
//! are those of its semantic conventions: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/>.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::json;
use crate::record::Record;
use crate::terms::Direction;
use crate::text::split_once;

/// What a record says under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// Nothing: the key is left out.
    Absent,
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// `true`; what is false is left out.
    True,
    /// Texts in order, one at least.
    Texts(&'a [String]),
}

/// What a key is in OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `failgate.` and the key.
    Own,
    /// An attribute of the semantic conventions.
    Semantic(&'static str),
    /// Both.
    Both(&'static str),
    /// No attribute: OTLP has another place for it.
    Elsewhere,
}

/// One key: a row of [`KEYS`].
pub struct Key {
    /// Where it stands in the record; the part before a dot is an object of its own.
    pub path: &'static str,
    /// What OpenTelemetry calls it.
    pub attribute: Attribute,
    /// What a record says there.
    get: Get,
}

/// Where in a record it is. These functions are as small as can be: there are many of them in the module.
enum Get {
    Text(fn(&Record) -> &Option<String>),
    Word(fn(&Record) -> Option<&str>),
    Texts(fn(&Record) -> &Vec<String>),
    Number(fn(&Record) -> Option<u64>),
    True(fn(&Record) -> bool),
}

const fn key(path: &'static str, attribute: Attribute, get: Get) -> Key {
    Key { path, attribute, get }
}

impl Key {
    /// What a record says under this key.
    #[must_use]
    pub fn fact<'a>(&self, record: &'a Record) -> Fact<'a> {
        match self.get {
            Get::Text(get) => get(record).as_deref().map_or(Fact::Absent, Fact::Text),
            Get::Word(get) => get(record).map_or(Fact::Absent, Fact::Text),
            Get::Texts(get) if get(record).is_empty() => Fact::Absent,
            Get::Texts(get) => Fact::Texts(get(record)),
            Get::Number(get) => get(record).map_or(Fact::Absent, Fact::Number),
            Get::True(get) => {
                if get(record) {
                    Fact::True
                } else {
                    Fact::Absent
                }
            }
        }
    }
}

use Attribute::{Both, Elsewhere, Own, Semantic};

/// Every key, in the order in which a record has them. What stands in one object stands together.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("v",                                   Elsewhere, Get::Number(|it| Some(it.v.into()))),
    key("time",                                Elsewhere, Get::Text(|it| &it.time)),
    key("gate",                                Own, Get::Word(|it| Some(it.gate.name()))),
    key("cause",                               Both("error.type"), Get::Word(|it| Some(it.cause.name()))),
    key("side",                                Own, Get::Word(|it| Some(it.side.name()))),
    key("responder",                           Own, Get::Word(|it| Some(it.responder.name()))),
    key("delivered",                           Own, Get::Word(|it| Some(it.delivered.name()))),
    key("error",                               Own, Get::Text(|it| &it.error)),
    key("decided_by",                          Own, Get::Word(|it| Some(it.decided_by.name()))),
    key("look",                                Own, Get::Texts(|it| &it.look)),
    key("policy",                              Own, Get::Text(|it| &it.policy)),
    key("hop.name",                            Own, Get::Word(|it| it.hop.as_ref().map(|hop| hop.name.as_str()))),
    key("hop.gate",                            Own, Get::Word(|it| it.hop.as_ref().map(|hop| hop.gate.name()))),
    key("hop.cause",                           Own, Get::Word(|it| it.hop.as_ref().map(|hop| hop.cause.name()))),
    key("retry.attempts",                      Own, Get::Number(|it| it.retry.as_ref().and_then(|retry| retry.attempts))),
    key("retry.exhausted",                     Own, Get::True(|it| it.retry.as_ref().is_some_and(|retry| retry.exhausted))),
    key("proxy",                               Own, Get::Text(|it| &it.proxy)),
    key("direction",                           Own, Get::Word(|it| it.direction.map(Direction::name))),
    key("protocol",                            Own, Get::Text(|it| &it.protocol)),
    key("method",                              Semantic("http.request.method"), Get::Text(|it| &it.method)),
    key("path",                                Semantic("url.path"), Get::Text(|it| &it.path)),
    key("authority",                           Own, Get::Text(|it| &it.authority)),
    key("user_agent",                          Semantic("user_agent.original"), Get::Text(|it| &it.user_agent)),
    key("response_code",                       Semantic("http.response.status_code"), Get::Number(|it| it.response_code.map(u64::from))),
    key("grpc_status",                         Elsewhere, Get::Number(|it| it.grpc_status.map(u64::from))),
    key("response_flags",                      Own, Get::Texts(|it| &it.response_flags)),
    key("response_code_details",               Own, Get::Text(|it| &it.response_code_details)),
    key("connection_termination_details",      Own, Get::Text(|it| &it.connection_termination_details)),
    key("upstream_transport_failure_reason",   Own, Get::Text(|it| &it.upstream_transport_failure_reason)),
    key("downstream_transport_failure_reason", Own, Get::Text(|it| &it.downstream_transport_failure_reason)),
    key("downstream_remote_address",           Own, Get::Text(|it| &it.downstream_remote_address)),
    key("requested_server_name",               Semantic("tls.client.server_name"), Get::Text(|it| &it.requested_server_name)),
    key("upstream_cluster",                    Own, Get::Text(|it| &it.upstream_cluster)),
    key("upstream_host",                       Own, Get::Text(|it| &it.upstream_host)),
    key("route_name",                          Own, Get::Text(|it| &it.route_name)),
    key("service.host",                        Semantic("server.address"), Get::Word(|it| it.service.as_ref().and_then(|service| service.host.as_deref()))),
    key("service.port",                        Semantic("server.port"), Get::Number(|it| it.service.as_ref().and_then(|service| service.port).map(u64::from))),
    key("service.subset",                      Own, Get::Word(|it| it.service.as_ref().and_then(|service| service.subset.as_deref()))),
    key("request_id",                          Own, Get::Text(|it| &it.request_id)),
    key("trace_id",                            Elsewhere, Get::Text(|it| &it.trace_id)),
    key("span_id",                             Elsewhere, Get::Text(|it| &it.span_id)),
    key("duration_ms",                         Own, Get::Number(|it| it.duration_ms)),
    key("suppressed",                          Own, Get::Number(|it| it.suppressed)),
];

/// The record as JSON, on one line.
#[must_use]
pub fn write(record: &Record) -> String {
    let mut out = String::from("{");
    let mut open = "";
    for key in KEYS {
        let fact = key.fact(record);
        if matches!(fact, Fact::Absent) {
            continue;
        }
        let (object, name) = split_once(key.path, ".").unwrap_or(("", key.path));
        if object != open {
            if !open.is_empty() {
                out.push('}');
            }
            if !object.is_empty() {
                json::separate(&mut out);
                json::quote(&mut out, object);
                out.push_str(":{");
            }
            open = object;
        }
        json::separate(&mut out);
        json::quote(&mut out, name);
        out.push(':');
        value(&mut out, fact);
    }
    out.push_str(if open.is_empty() { "}" } else { "}}" });
    out
}

fn value(out: &mut String, fact: Fact<'_>) {
    match fact {
        Fact::Absent => {}
        Fact::Text(text) => json::quote(out, text),
        // Writing to a string does not fail.
        Fact::Number(number) => _ = write!(out, "{number}"),
        Fact::True => out.push_str("true"),
        Fact::Texts(texts) => {
            out.push('[');
            for text in texts {
                json::separate(out);
                json::quote(out, text);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A record that has every key.
    pub(crate) fn whole() -> Record {
        let json = json!({
            "v": 1,
            "time": "2026-11-21T19:47:38.123Z",
            "gate": "connect",
            "cause": "connection_refused",
            "side": "upstream",
            "responder": "this_proxy",
            "delivered": "no",
            "error": "connection_refused",
            "decided_by": "transport",
            "look": ["Service/a \"b\"", "c\n\u{1}\u{7f}\u{2028}é"],
            "policy": "default/deny",
            "hop": { "name": "b.default", "gate": "filter", "cause": "authorization_denied" },
            "retry": { "attempts": 3, "exhausted": true },
            "proxy": "a.default",
            "direction": "outbound",
            "protocol": "HTTP/1.1",
            "method": "GET",
            "path": "/a",
            "authority": "b.example:80",
            "user_agent": "curl/8",
            "response_code": 503,
            "grpc_status": 14,
            "response_flags": ["UF", "URX"],
            "response_code_details": "details{a|b}",
            "connection_termination_details": "ended",
            "upstream_transport_failure_reason": "refused",
            "downstream_transport_failure_reason": "TLS_error",
            "downstream_remote_address": "10.0.0.1:5000",
            "requested_server_name": "b.example",
            "upstream_cluster": "outbound|80|v1|b.default.svc.cluster.local",
            "upstream_host": "10.0.0.2:80",
            "route_name": "default",
            "service": { "host": "b.default.svc.cluster.local", "port": 80, "subset": "v1" },
            "request_id": "id",
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "duration_ms": 12,
            "suppressed": 7
        });
        serde_json::from_value(json).unwrap()
    }

    /// The least that a record has.
    pub(crate) fn least() -> Record {
        let json = json!({
            "v": 1,
            "gate": "unknown",
            "cause": "unrecognized",
            "side": "local",
            "responder": "none",
            "delivered": "maybe",
            "decided_by": "status"
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_rows_and_the_type_are_one_record() {
        let mut half = whole();
        half.retry.as_mut().unwrap().exhausted = false;
        half.service.as_mut().unwrap().host = None;
        half.suppressed = None;
        for record in [whole(), least(), half] {
            let written = write(&record);
            assert!(!written.contains(|it: char| it < ' '), "{written}");
            // Not only the same members: in the same order too.
            assert_eq!(written, serde_json::to_string(&record).unwrap());
        }
        assert_eq!(serde_json::from_str::<Record>(&write(&whole())).unwrap(), whole());
    }

    #[test]
    fn every_key_of_a_whole_record_has_one_row() {
        let written: Value = serde_json::from_str(&write(&whole())).unwrap();
        let paths = written.as_object().unwrap().iter().flat_map(|(name, value)| match value {
            Value::Object(inner) => {
                inner.keys().map(|inner| alloc::format!("{name}.{inner}")).collect()
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => alloc::vec![name.clone()],
        });
        let mut paths: Vec<String> = paths.collect();
        let mut rows: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
        paths.sort_unstable();
        rows.sort_unstable();
        assert_eq!(paths, rows);
    }
}
