//! The record, version 1: one JSON object for one failure, facts and verdict together.
//!
//! The facts keep the key names of Istio's access log. An absent fact is left out, never written as `-`,
//! an empty string or null. Every string is bounded. `schema/record.v1.json` describes the same object,
//! and the end-to-end tests hold real records against it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::cluster::ClusterName;
use crate::evidence::{self, Evidence};
use crate::judge::Verdict;
use crate::look::look;
use crate::terms::{DecidedBy, Delivered, Direction, Gate, Responder, Side};
use crate::text::bounded;
use crate::trace::Trace;

/// The schema version, the value of `v`.
pub const VERSION: u8 = 1;

/// No string of a record is longer, in bytes of UTF-8; a longer one is cut at a character boundary.
pub const STRING_BYTES: usize = 512;

/// One failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The schema version: 1.
    pub v: u8,
    /// Start of the request: RFC 3339 in UTC, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Where the request stopped.
    pub gate: Gate,
    /// Why.
    pub cause: Cause,
    /// On whose side the cause is.
    pub side: Side,
    /// Who produced what the caller received.
    pub responder: Responder,
    /// Did the request reach the application?
    pub delivered: Delivered,
    /// The RFC 9209 error type, where the cause has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Which kind of evidence decided.
    pub decided_by: DecidedBy,
    /// What to look at, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look: Vec<String>,
    /// The policy that denied: `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the upstream hop said, when it can be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// What was tried before giving up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Who speaks: the node's cluster (`app.namespace`) or its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// `inbound` or `outbound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// `HTTP/1.1`, `HTTP/2` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The request's method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path without its query, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The authority (`Host`), where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The user agent, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The status that the caller received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_code: Option<u16>,
    /// The gRPC status, of a gRPC request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u32>,
    /// The short names of the response flags, in the order of their bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_flags: Vec<String>,
    /// The response code details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_code_details: Option<String>,
    /// The connection termination details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_termination_details: Option<String>,
    /// The upstream transport failure reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_transport_failure_reason: Option<String>,
    /// The downstream transport failure reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstream_transport_failure_reason: Option<String>,
    /// The caller's `address:port`, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstream_remote_address: Option<String>,
    /// The server name that the caller asked for in TLS, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_server_name: Option<String>,
    /// The upstream cluster's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_cluster: Option<String>,
    /// The endpoint that was picked: `address:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_host: Option<String>,
    /// The route's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_name: Option<String>,
    /// The service that the upstream cluster stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// `x-request-id`: what joins the records of one request on several proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The trace that the request belongs to, 32 hexadecimal digits, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span that the request belongs to, 16 hexadecimal digits, where `fields` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// From the first byte of the request to the end of the stream, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Records that the rate limit dropped since the last one of this VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<u64>,
}

/// What the upstream hop said of the response that it sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The hop's name: its node cluster or node id.
    pub name: String,
    /// Where the request stopped there.
    pub gate: Gate,
    /// Why.
    pub cause: Cause,
}

/// What was tried before giving up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Requests sent upstream or tried to, when more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
    /// Were the retries used up (`URX`)?
    #[serde(default, skip_serializing_if = "is_false")]
    pub exhausted: bool,
}

/// A service, as an Istio cluster name tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its host name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its port, or on an inbound sidecar the workload's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The DestinationRule subset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
}

/// Facts that a record states and no verdict depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Start of the request, nanoseconds since 1970 in UTC.
    pub start: Option<u64>,
    /// Its whole duration, nanoseconds.
    pub duration: Option<u64>,
    /// The request's method.
    pub method: Option<&'a str>,
    /// `x-request-id`.
    pub request_id: Option<&'a str>,
    /// What the configuration asks for beyond that.
    pub extra: Extra<'a>,
}

/// What is in a record only if the configuration names it, since it may tell of persons: see [`EXTRA_FIELDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra<'a> {
    /// The path; its query is left out.
    pub path: Option<&'a str>,
    /// The authority.
    pub authority: Option<&'a str>,
    /// The user agent.
    pub user_agent: Option<&'a str>,
    /// The caller's `address:port`.
    pub downstream_remote_address: Option<&'a str>,
    /// The server name that the caller asked for in TLS.
    pub requested_server_name: Option<&'a str>,
    /// Where the request belongs in a trace.
    pub trace: Option<&'a Trace>,
}

/// What the setting `fields` may name. No other header's value is ever in a record.
pub const EXTRA_FIELDS: &[&str] = &[
    "path",
    "authority",
    "user_agent",
    "downstream_remote_address",
    "requested_server_name",
    "trace",
];

impl Record {
    /// Writes down a verdict with the evidence that led to it.
    #[must_use]
    pub fn new(verdict: &Verdict<'_>, evidence: &Evidence<'_>, facts: &Facts<'_>) -> Self {
        let row = verdict.cause.row();
        Self {
            v: VERSION,
            time: facts.start.map(rfc_3339),
            gate: row.gate,
            cause: verdict.cause,
            side: verdict.side,
            responder: verdict.responder,
            delivered: verdict.delivered,
            error: row.error.map(ToString::to_string),
            decided_by: verdict.decided_by,
            look: look_from(verdict, evidence),
            policy: verdict.policy.and_then(|policy| fact(Some(&policy.to_string()))),
            hop: evidence.hop.map(hop),
            retry: retry(evidence),
            proxy: fact(evidence.proxy),
            direction: Some(evidence.direction).filter(|it| *it != Direction::Unspecified),
            protocol: fact(evidence.protocol),
            method: fact(facts.method),
            path: fact(facts.extra.path.map(without_query)),
            authority: fact(facts.extra.authority),
            user_agent: fact(facts.extra.user_agent),
            response_code: evidence.status,
            grpc_status: evidence.grpc_status,
            response_flags: evidence.flags.short_names(),
            response_code_details: fact(evidence.details),
            connection_termination_details: fact(evidence.termination),
            upstream_transport_failure_reason: fact(evidence.transport),
            downstream_transport_failure_reason: fact(evidence.downstream_transport),
            downstream_remote_address: fact(facts.extra.downstream_remote_address),
            requested_server_name: fact(facts.extra.requested_server_name),
            upstream_cluster: fact(evidence.cluster),
            upstream_host: fact(evidence.upstream_address()),
            route_name: fact(evidence.route),
            service: evidence.cluster.and_then(service),
            request_id: fact(facts.request_id),
            trace_id: facts.extra.trace.map(|trace| trace.trace_id.clone()),
            span_id: facts.extra.trace.map(|trace| trace.span_id.clone()),
            duration_ms: facts.duration.map(|nanoseconds| nanoseconds / 1_000_000),
            suppressed: None,
        }
    }
}

/// A fact as a record states it: bounded, and left out when it is empty.
fn fact(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| bounded(text, STRING_BYTES).to_string())
}

/// A path up to its query or fragment.
fn without_query(path: &str) -> &str {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// What to look at. Where the next hop said why, that is seen from there: an inbound sidecar.
fn look_from(verdict: &Verdict<'_>, evidence: &Evidence<'_>) -> Vec<String> {
    let there = match evidence.hop {
        Some(hop) if verdict.decided_by == DecidedBy::Hop => Evidence {
            direction: Direction::Inbound,
            proxy: Some(hop.name),
            cluster: None,
            route: None,
            ..*evidence
        },
        _ => *evidence,
    };
    look(verdict.cause, &there, verdict.policy.as_ref())
}

fn hop(hop: evidence::Hop<'_>) -> Hop {
    let name = bounded(hop.name, STRING_BYTES).to_string();
    Hop { name, gate: hop.cause.row().gate, cause: hop.cause }
}

fn retry(evidence: &Evidence<'_>) -> Option<Retry> {
    let attempts = evidence.attempts.filter(|attempts| *attempts > 1);
    let exhausted = evidence.flags.any_of(crate::Flags::URX);
    (attempts.is_some() || exhausted).then_some(Retry { attempts, exhausted })
}

fn service(cluster: &str) -> Option<Service> {
    let name = ClusterName::parse(cluster);
    let (host, subset) = (fact(name.host), fact(name.subset));
    (host.is_some() || name.port.is_some()).then_some(Service { host, port: name.port, subset })
}

/// `2026-01-31T23:59:59.999Z`, of nanoseconds since 1970.
///
/// The Gregorian calendar repeats every 400 years, 146,097 days; counting
/// years from March puts the leap day last, so a month's first day is a linear function of its number.
#[must_use]
pub fn rfc_3339(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    let (seconds, day) = (milliseconds / 1000 % 86_400, milliseconds / 86_400_000 + 719_468);
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millisecond = milliseconds % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::UpstreamHost;
    use crate::{Flags, judge};
    use serde_json::json;

    fn record(evidence: &Evidence<'_>) -> Record {
        Record::new(&judge(evidence).unwrap(), evidence, &Facts::default())
    }

    #[test]
    fn a_record_says_what_is_known_and_nothing_else() {
        let evidence = Evidence {
            direction: Direction::Outbound,
            status: Some(503),
            flags: Flags::parse("UF,URX").unwrap(),
            details: Some(
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
            ),
            attempts: Some(3),
            upstream_host: UpstreamHost::Address("10.0.0.1:8080"),
            cluster: Some("outbound|8080||mock-server.default.svc.cluster.local"),
            ..Evidence::default()
        };
        let written = serde_json::to_value(record(&evidence)).unwrap();
        assert_eq!(
            written,
            json!({
                "v": 1,
                "gate": "connect",
                "cause": "connection_refused",
                "side": "upstream",
                "responder": "this_proxy",
                "delivered": "maybe",
                "error": "connection_refused",
                "decided_by": "transport",
                "look": [
                    "Service/mock-server.default targetPort of port 8080",
                    "is the application listening on that port?"
                ],
                "retry": { "attempts": 3, "exhausted": true },
                "direction": "outbound",
                "response_code": 503,
                "response_flags": ["UF", "URX"],
                "response_code_details": "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                "upstream_cluster": "outbound|8080||mock-server.default.svc.cluster.local",
                "upstream_host": "10.0.0.1:8080",
                "service": { "host": "mock-server.default.svc.cluster.local", "port": 8080 }
            })
        );
    }

    #[test]
    fn a_record_reads_back_as_it_was() {
        let evidence = Evidence { status: Some(500), flags: Flags(1 << 40), ..Evidence::default() };
        let facts = Facts { start: Some(1), duration: Some(2_500_000), ..Facts::default() };
        let written = Record::new(&judge(&evidence).unwrap(), &evidence, &facts);
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), written);
    }

    #[test]
    fn no_string_is_longer_than_its_bound_whatever_came_in() {
        let long = "é".repeat(65_536);
        let evidence = Evidence {
            details: Some(&long),
            termination: Some(&long),
            transport: Some(&long),
            downstream_transport: Some(&long),
            protocol: Some(&long),
            cluster: Some(&long),
            route: Some(&long),
            proxy: Some(&long),
            upstream_host: UpstreamHost::Address(&long),
            ..Evidence::default()
        };
        let facts = Facts { method: Some(&long), request_id: Some(&long), ..Facts::default() };
        let verdict = judge(&evidence).unwrap();
        let json = serde_json::to_string(&Record::new(&verdict, &evidence, &facts)).unwrap();
        assert!(json.len() < 16 * STRING_BYTES, "{} bytes", json.len());
    }

    #[test]
    fn a_path_is_written_without_its_query() {
        assert_eq!(without_query("/a/b?token=c#d"), "/a/b");
        assert_eq!(without_query("/a/b#token"), "/a/b");
        assert_eq!(without_query("/a/b"), "/a/b");
        assert_eq!(without_query("?a"), "");
    }

    #[test]
    fn control_characters_cannot_leave_their_string() {
        let details = "a\"},\n{\u{0}\u{1b}[31m\u{2028}";
        let evidence = Evidence { details: Some(details), ..Evidence::default() };
        let json = serde_json::to_string(&record(&evidence)).unwrap();
        assert!(!json.contains(['\n', '\u{0}', '\u{1b}']));
        assert_eq!(json.lines().count(), 1);
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read.response_code_details.as_deref(), Some(details));
    }

    #[test]
    fn times_are_rfc_3339_across_leap_years_and_centuries() {
        let at = |seconds: u64| rfc_3339(seconds * 1_000_000_000);
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_799), "2000-02-29T23:59:59.000Z");
        assert_eq!(at(1_709_164_800), "2024-02-29T00:00:00.000Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(at(1_735_689_600), "2025-01-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(rfc_3339(1_795_290_458_123_456_789), "2026-11-21T19:47:38.123Z");
        assert_eq!(rfc_3339(u64::MAX), "2554-07-21T23:34:33.709Z");
    }
}
