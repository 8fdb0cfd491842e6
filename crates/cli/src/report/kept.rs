//! The records that the table shows: of each cause the latest, all causes sharing the room fairly.
//!
//! When there is no room left, the cause with the most records gives its oldest one up. So a flood of one cause
//! does not wash the others away.

use std::collections::BTreeMap;
use std::sync::Arc;

use failgate_verdict::record::{Hop, Service};
use failgate_verdict::{Cause, Record};

use super::names::harmless;
use super::tally::upstream;

/// Records that are kept at most.
pub const RECORDS: usize = 1000;

/// What their texts may take in the page together.
pub const BYTES: usize = 2 << 20;

/// What a list in a record may have; no filter writes more.
const ENTRIES: usize = 32;

/// A record, and where it was found.
#[derive(Debug)]
pub struct Row {
    /// The record; nothing in it is long or hides anything.
    pub record: Record,
    /// Its line.
    pub line: u64,
    /// Its input, when there are several.
    pub file: Option<Arc<str>>,
    bytes: usize,
}

impl Row {
    fn upstream(&self) -> Option<String> {
        upstream(&self.record)
    }
}

/// When, and which one: later is greater, and what has no time is older than all that has.
type Age = (Option<u64>, u64);

/// The records that are kept.
#[derive(Debug, Default)]
pub struct Kept {
    causes: BTreeMap<Cause, BTreeMap<Age, Row>>,
    records: usize,
    bytes: usize,
    seen: u64,
}

impl Kept {
    /// Keeps it, if it is among the latest.
    pub fn add(&mut self, record: &Record, time: Option<u64>, line: u64, file: Option<&Arc<str>>) {
        self.seen += 1;
        let record = tidy(record);
        let bytes = length(&record);
        let row = Row { record, line, file: file.cloned(), bytes };
        self.causes.entry(row.record.cause).or_default().insert((time, self.seen), row);
        self.records += 1;
        self.bytes += bytes;
        while self.records > RECORDS || self.bytes > BYTES {
            // The last record of a cause stays: it is its example.
            let most = self
                .causes
                .values_mut()
                .filter(|rows| rows.len() > 1)
                .max_by_key(|rows| rows.len());
            let Some((_, row)) = most.and_then(BTreeMap::pop_first) else { return };
            self.records -= 1;
            self.bytes -= row.bytes;
        }
    }

    /// All of them, the latest first.
    pub fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.causes.values().flatten().collect();
        rows.sort_unstable_by(|a, b| b.0.cmp(a.0));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// How many there are of a cause.
    pub fn of(&self, cause: Cause) -> usize {
        self.causes.get(&cause).map_or(0, BTreeMap::len)
    }

    /// The latest of a cause that has this upstream, or else the latest of the cause.
    pub fn example(&self, cause: Cause, upstream: Option<&str>) -> Option<&Row> {
        let mut rows = self.causes.get(&cause)?.values().rev();
        let latest = rows.clone().next();
        rows.find(|row| row.upstream().as_deref() == upstream).or(latest)
    }
}

/// The record with no text that is long or hides anything. Every member is named, so that a new one is thought of.
fn tidy(record: &Record) -> Record {
    let Record {
        v,
        time,
        gate: _,
        cause,
        side,
        responder,
        delivered,
        error,
        decided_by,
        look,
        policy,
        hop,
        retry,
        proxy,
        direction,
        protocol,
        method,
        path,
        authority,
        user_agent,
        response_code,
        grpc_status,
        response_flags,
        response_code_details,
        connection_termination_details,
        upstream_transport_failure_reason,
        downstream_transport_failure_reason,
        downstream_remote_address,
        requested_server_name,
        upstream_cluster,
        upstream_host,
        route_name,
        service,
        request_id,
        trace_id,
        span_id,
        duration_ms,
        suppressed,
    } = record;
    let text = |text: &Option<String>| text.as_deref().map(|text| harmless(text).into_owned());
    let list = |list: &[String]| -> Vec<String> {
        list.iter().take(ENTRIES).map(|text| harmless(text).into_owned()).collect()
    };
    Record {
        v: *v,
        time: text(time),
        gate: cause.row().gate,
        cause: *cause,
        side: *side,
        responder: *responder,
        delivered: *delivered,
        error: text(error),
        decided_by: *decided_by,
        look: list(look),
        policy: text(policy),
        hop: hop.as_ref().map(|hop| Hop { name: harmless(&hop.name).into_owned(), ..*hop }),
        retry: retry.clone(),
        proxy: text(proxy),
        direction: *direction,
        protocol: text(protocol),
        method: text(method),
        path: text(path),
        authority: text(authority),
        user_agent: text(user_agent),
        response_code: *response_code,
        grpc_status: *grpc_status,
        response_flags: list(response_flags),
        response_code_details: text(response_code_details),
        connection_termination_details: text(connection_termination_details),
        upstream_transport_failure_reason: text(upstream_transport_failure_reason),
        downstream_transport_failure_reason: text(downstream_transport_failure_reason),
        downstream_remote_address: text(downstream_remote_address),
        requested_server_name: text(requested_server_name),
        upstream_cluster: text(upstream_cluster),
        upstream_host: text(upstream_host),
        route_name: text(route_name),
        service: service.as_ref().map(|service| Service {
            host: text(&service.host),
            port: service.port,
            subset: text(&service.subset),
        }),
        request_id: text(request_id),
        trace_id: text(trace_id),
        span_id: text(span_id),
        duration_ms: *duration_ms,
        suppressed: *suppressed,
    }
}

/// About what the texts take in the page, where a quotation mark takes six bytes.
fn length(record: &Record) -> usize {
    let texts = [
        &record.time,
        &record.error,
        &record.policy,
        &record.proxy,
        &record.protocol,
        &record.method,
        &record.path,
        &record.authority,
        &record.user_agent,
        &record.downstream_remote_address,
        &record.requested_server_name,
        &record.trace_id,
        &record.span_id,
        &record.response_code_details,
        &record.connection_termination_details,
        &record.upstream_transport_failure_reason,
        &record.downstream_transport_failure_reason,
        &record.upstream_cluster,
        &record.upstream_host,
        &record.route_name,
        &record.request_id,
    ];
    let service = record.service.iter().flat_map(|service| [&service.host, &service.subset]);
    let hop = record.hop.iter().map(|hop| hop.name.as_str());
    let lists = record.look.iter().chain(&record.response_flags).map(String::as_str);
    let texts = texts.into_iter().chain(service).filter_map(|text| text.as_deref());
    texts.chain(hop).chain(lists).map(escaped).sum()
}

fn escaped(text: &str) -> usize {
    text.bytes().map(|byte| if matches!(byte, b'<' | b'>' | b'&' | b'"') { 6 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(cause: &str) -> Record {
        let row = Cause::named(cause).unwrap().row();
        serde_json::from_value(json!({
            "v": 1, "gate": row.gate, "cause": cause, "side": row.side, "responder": "none",
            "delivered": "no", "decided_by": "flags"
        }))
        .unwrap()
    }

    #[test]
    fn a_flood_of_one_cause_leaves_the_others_their_room() {
        let mut kept = Kept::default();
        for at in 0..300 {
            kept.add(&record("route_not_found"), Some(at), at, None);
        }
        for at in 0..50 {
            kept.add(&record("no_endpoints"), Some(at), at, None);
        }
        for at in 300..5000 {
            kept.add(&record("connection_refused"), Some(at), at, None);
        }
        let of = |name| kept.of(Cause::named(name).unwrap());
        assert_eq!(
            [of("route_not_found"), of("no_endpoints"), of("connection_refused")],
            [300, 50, 650]
        );
        for at in 0..5000 {
            kept.add(&record("direct_response"), Some(at), at, None);
        }
        let of = |name| kept.of(Cause::named(name).unwrap());
        let shares = [of("route_not_found"), of("connection_refused"), of("direct_response")];
        assert_eq!((shares.iter().sum::<usize>(), of("no_endpoints")), (950, 50));
        assert!(shares.iter().all(|share| (300..=325).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_latest_stay_whatever_order_they_come_in_and_stand_first() {
        let mut kept = Kept::default();
        for at in 0..3000 {
            kept.add(&record("no_endpoints"), Some(at * 1009 % 3000), at, None);
        }
        kept.add(&record("no_endpoints"), None, 7, None);
        let lines: Vec<_> = kept.rows().iter().map(|row| row.line * 1009 % 3000).collect();
        let expected: Vec<_> = (2000..3000).rev().collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_example_is_the_latest_of_its_upstream() {
        let mut kept = Kept::default();
        for (line, upstream) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            let mut record = record("no_endpoints");
            record.upstream_cluster = Some(upstream.to_owned());
            kept.add(&record, Some(line), line, None);
        }
        let cause = Cause::named("no_endpoints").unwrap();
        let line = |upstream| kept.example(cause, upstream).map(|row| row.line);
        assert_eq!((line(Some("a")), line(Some("z")), line(None)), (Some(3), Some(4), Some(4)));
    }

    #[test]
    fn long_texts_take_the_room_of_many() {
        let mut kept = Kept::default();
        let mut long = record("no_endpoints");
        for text in [&mut long.route_name, &mut long.request_id, &mut long.method] {
            *text = Some("<".repeat(100_000));
        }
        for at in 0..2000 {
            kept.add(&long, Some(at), at, None);
        }
        assert!(kept.bytes <= BYTES && kept.records < 300, "{}", kept.records);
        kept.add(&record("direct_response"), None, 1, None);
        assert_eq!(kept.of(Cause::named("direct_response").unwrap()), 1);
    }
}
