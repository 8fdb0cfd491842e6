//! What was judged live is judged the same from every kind of log: for each record that a real Envoy led to,
//! and for whatever else may be said of a stream.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

#[path = "formats/losses.rs"]
mod losses;
#[path = "formats/render.rs"]
mod render;

use std::collections::BTreeSet;

use failgate_cli::read::{Keys, Line, line, nanoseconds};
use failgate_lab::records;
use failgate_verdict::evidence::{Evidence, Hop, Stream, UpstreamHost};
use failgate_verdict::judge::Criteria;
use failgate_verdict::record::{Facts, Record};
use failgate_verdict::terms::Direction;
use failgate_verdict::{Flags, judge};
use losses::{LOSSES, Loss};
use proptest::prelude::*;
use render::{FORMATS, Format, START, Told};
use serde_json::Value;

/// What `inspect` says of a line; `None` when it tells of no failure.
fn read(text: &str) -> Option<Record> {
    match line(text.as_bytes(), &mut Keys::default()) {
        Line::Stream(stream) => stream.judge(&Criteria::default()),
        Line::Record(record) => Some(*record),
        other @ (Line::Other | Line::Malformed(_)) => panic!("{other:?}: {text}"),
    }
}

/// What the judge says of what the format can carry.
fn expected(told: &Told<'_>) -> Option<Record> {
    let verdict = judge(&told.evidence)?;
    Some(Record::new(&verdict, &told.evidence, &told.facts))
}

fn holds(format: &Format, told: &Told<'_>) {
    let text = (format.line)(told);
    let told = format.carried(told);
    assert_eq!(read(&text), expected(&told.told()), "{}: {text}", format.name);
}

/// Every record on file, with its volatile facts.
fn corpus() -> Vec<Record> {
    let timed = |mut record: Value| {
        if let Some(time) = record.get_mut("time") {
            *time = START.into();
        }
        serde_json::from_value(record).unwrap()
    };
    records::corpus(records::WORLDS).unwrap().into_iter().map(timed).collect()
}

/// The evidence that led to a record. What the record does not keep is found by trying.
fn evidence(record: &Record) -> Told<'_> {
    let known = Evidence {
        stream: if record.protocol.is_some() { Stream::Http } else { Stream::Connection },
        direction: record.direction.unwrap_or_default(),
        proxy: record.proxy.as_deref(),
        protocol: record.protocol.as_deref(),
        status: record.response_code,
        grpc_status: record.grpc_status,
        flags: Flags::parse(&record.response_flags.join(",")).unwrap(),
        details: record.response_code_details.as_deref(),
        termination: record.connection_termination_details.as_deref(),
        transport: record.upstream_transport_failure_reason.as_deref(),
        downstream_transport: record.downstream_transport_failure_reason.as_deref(),
        upstream_host: record
            .upstream_host
            .as_deref()
            .map_or(UpstreamHost::Absent, UpstreamHost::Address),
        cluster: record.upstream_cluster.as_deref(),
        route: record.route_name.as_deref(),
        hop: record.hop.as_ref().map(|hop| Hop { name: &hop.name, cause: hop.cause }),
        ..Evidence::default()
    };
    let facts = Facts {
        start: record.time.as_deref().and_then(nanoseconds),
        duration: record.duration_ms.map(|duration| duration * 1_000_000),
        method: record.method.as_deref(),
        request_id: record.request_id.as_deref(),
        ..Facts::default()
    };
    let attempts = record.retry.as_ref().and_then(|retry| retry.attempts);
    let attempts = attempts.map_or(vec![1, 0], |attempts| vec![attempts]);
    for attempts in attempts {
        for endpoints in [Some(1), Some(0), None] {
            for (ready, started) in [(true, false), (true, true), (false, false)] {
                let evidence = Evidence {
                    attempts: Some(attempts),
                    endpoints,
                    connection_ready: Some(ready),
                    response_started: Some(started),
                    ..known
                };
                let told = Told { evidence, facts };
                if expected(&told).as_ref() == Some(record) {
                    return told;
                }
            }
        }
    }
    panic!("no evidence leads to {record:#?}");
}

#[test]
fn the_corpus_is_judged_from_every_format_as_the_live_filter_judged_it() {
    let corpus = corpus();
    assert!(corpus.len() >= 180, "{} records", corpus.len());
    let mut exact = 0;
    for record in &corpus {
        let told = evidence(record);
        for format in FORMATS {
            holds(format, &told);
            // A format that carries everything leads to the very same record. What the next proxy said in a
            // header is in no access log.
            let read = read(&(format.line)(&told));
            if format.is_complete && record.hop.is_none() {
                assert_eq!(
                    read.map(render::as_logged),
                    Some(render::as_logged(record.clone())),
                    "{}",
                    format.name
                );
                exact += 1;
            }
        }
    }
    assert!(exact >= 600, "{exact} exact");
}

#[test]
fn the_corpus_reads_back_as_records_behind_every_prefix() {
    for record in corpus() {
        let json = serde_json::to_string(&record).unwrap();
        for line in render::record_lines(&json) {
            assert_eq!(read(&line).as_ref(), Some(&record), "{line}");
        }
    }
}

/// A format that lacks evidence tells the cause, or the less exact one that is right without it.
#[test]
fn what_a_format_cannot_tell_is_known_and_nothing_else_is_lost() {
    let mut used = [false; LOSSES.len()];
    let mut missing = BTreeSet::new();
    for record in corpus() {
        let told = evidence(&record);
        for format in FORMATS {
            let read = read(&(format.line)(&told)).map(|record| record.cause.name());
            if read == Some(record.cause.name()) {
                continue;
            }
            let leads_there = |lacks: &[&str]| {
                let less = render::without(&told, lacks);
                let cause = judge(&less.told().evidence).map(|verdict| verdict.cause.name());
                cause == read && !lacks.iter().any(|key| format.has(key))
            };
            let explains = |loss: &Loss| {
                loss.exact == record.cause.name() && loss.read == read && leads_there(loss.lacks)
            };
            if let Some(loss) = LOSSES.iter().position(explains) {
                used[loss] = true;
                continue;
            }
            // The row that is missing, if it is one of the usual ones.
            let lacks = LOSSES.iter().map(|loss| loss.lacks).find(|lacks| leads_there(lacks));
            missing.insert((record.cause.name(), lacks, read, format.name));
        }
    }
    assert!(missing.is_empty(), "rows for losses.rs: {missing:#?}");
    for (loss, used) in LOSSES.iter().zip(used) {
        assert!(used, "nothing shows {loss:?}");
    }
}

/// What stands in a text as it is: Envoy escapes nothing there, and its own words have no spaces.
fn word() -> impl Strategy<Value = String> {
    let is_suffixed = |word: &String| word.contains('|') && word.ends_with(';');
    "[a-zA-Z_{(|:.<][!#-~]{0,40}"
        .prop_filter("Istio's suffix is taken off", move |word| !is_suffixed(word))
}

fn details() -> impl Strategy<Value = Option<String>> {
    use failgate_verdict::details::{DETAILS, RESETS};
    let patterns: Vec<String> = DETAILS.iter().map(|row| row.pattern.text().to_owned()).collect();
    let resets: Vec<String> = RESETS
        .iter()
        .flat_map(|row| {
            let reason = row.pattern.text();
            ["before", "after"]
                .map(|when| format!("upstream_reset_{when}_response_started{{{reason}}}"))
        })
        .collect();
    prop_oneof![
        Just(None),
        Just(Some("via_upstream".to_owned())),
        proptest::sample::select(patterns).prop_map(Some),
        proptest::sample::select(resets).prop_map(Some),
        word().prop_map(Some),
    ]
}

fn transport() -> impl Strategy<Value = Option<String>> {
    use failgate_verdict::transport::TRANSPORT;
    let patterns: Vec<String> = TRANSPORT.iter().map(|row| row.pattern.text().to_owned()).collect();
    prop_oneof![2 => Just(None), 1 => proptest::sample::select(patterns).prop_map(Some), 1 => word().prop_map(Some)]
}

fn cluster() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some("outbound|8080||reviews.default.svc.cluster.local".to_owned())),
        Just(Some("inbound|8080||".to_owned())),
        Just(Some("BlackHoleCluster".to_owned())),
        word().prop_map(Some),
    ]
}

#[derive(Debug, Clone)]
struct Owned {
    texts: [Option<String>; 7],
    cluster: Option<String>,
    status: Option<u16>,
    grpc_status: Option<u32>,
    flags: u64,
    numbers: [Option<u64>; 2],
    host: Option<String>,
    marks: (bool, bool, bool),
    direction: u8,
}

fn owned() -> impl Strategy<Value = Owned> {
    let texts = (
        details(),
        proptest::option::of(word()),
        transport(),
        proptest::option::of(word()),
        proptest::option::of(word()),
        proptest::option::of(word()),
        proptest::option::of(word()),
    );
    let statuses = prop_oneof![Just(None), (100_u16..600).prop_map(Some)];
    let flags = prop_oneof![Just(0), (0_u32..31).prop_map(|bit| 1 << bit), 0..(1_u64 << 31)];
    let numbers = (proptest::option::of(0_u64..5), proptest::option::of(0_u64..3));
    let host = proptest::option::of(Just("10.0.0.1:8080".to_owned()));
    (
        texts,
        cluster(),
        statuses,
        proptest::option::of(0_u32..18),
        flags,
        numbers,
        host,
        any::<(bool, bool, bool)>(),
        0_u8..3,
    )
        .prop_map(
            |(texts, cluster, status, grpc_status, flags, numbers, host, marks, direction)| Owned {
                texts: texts.into(),
                cluster,
                status,
                grpc_status,
                flags,
                numbers: numbers.into(),
                host,
                marks,
                direction,
            },
        )
}

impl Owned {
    fn told(&self) -> Told<'_> {
        let [details, termination, transport, downstream_transport, route, id, proxy] =
            self.texts.each_ref().map(Option::as_deref);
        let (is_http, ready, started) = self.marks;
        let is_http = is_http || self.status.is_some();
        let evidence = Evidence {
            stream: if is_http { Stream::Http } else { Stream::Connection },
            direction: Direction::from_number(self.direction.into()),
            proxy,
            protocol: is_http.then_some("HTTP/2"),
            status: self.status,
            grpc_status: self.grpc_status.filter(|_| is_http),
            flags: Flags(self.flags),
            details,
            termination,
            transport,
            downstream_transport,
            attempts: self.numbers[0],
            endpoints: self.numbers[1],
            upstream_host: self.host.as_deref().map_or(UpstreamHost::Absent, UpstreamHost::Address),
            cluster: self.cluster.as_deref(),
            route,
            connection_ready: Some(ready),
            response_started: Some(started),
            hop: None,
        };
        let method = is_http.then_some("GET");
        Told {
            evidence,
            facts: Facts {
                start: nanoseconds(START),
                duration: Some(7_000_000),
                method,
                request_id: id,
                ..Facts::default()
            },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_format_carries_reads_back_to_the_same_verdict(owned in owned()) {
        for format in FORMATS {
            holds(format, &owned.told());
        }
    }

    #[test]
    fn no_line_is_worse_than_malformed(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let _ = line(text.as_bytes(), &mut Keys::default());
        let _ = line(&bytes, &mut Keys::default());
        let _ = line(format!("{{\"response_flags\":{text}").as_bytes(), &mut Keys::default());
        let _ = line(format!("[2026-01-31T23:59:59.999Z] \"{text}").as_bytes(), &mut Keys::default());
    }
}
