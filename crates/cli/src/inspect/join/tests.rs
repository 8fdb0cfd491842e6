use std::slice;

use super::*;
use crate::read::{Keys, Line, line};
use failgate_verdict::judge;

/// A stream of Istio's JSON access log, at that millisecond.
fn hop(direction: &str, at: u32, code: u16, flags: &str, details: &str, attempts: u32) -> Hop {
    let (cluster, proxy) = match direction {
        "inbound" => ("inbound|8080||", "mock-server.default"),
        _ => ("outbound|8080||mock-server.default.svc.cluster.local", "client.default"),
    };
    chained(direction, proxy, cluster, at, (code, flags, details, attempts))
}

fn chained(
    direction: &str,
    proxy: &str,
    cluster: &str,
    at: u32,
    (code, flags, details, attempts): (u16, &str, &str, u32),
) -> Hop {
    let text = format!(
        r#"{{"start_time":"2026-01-31T23:59:59.{at:03}Z","method":"GET","protocol":"HTTP/1.1","response_code":{code},"response_flags":"{flags}","response_code_details":"{details}","upstream_host":"10.0.0.1:8080","upstream_cluster":"{cluster}","request_id":"id","direction":"{direction}","proxy":"{proxy}","attempts":{attempts},"duration":5}}"#
    );
    let Line::Stream(stream) = line(text.as_bytes(), &mut Keys::default()) else {
        panic!("{text}")
    };
    match stream.judge(&judge::Criteria::default()) {
        Some(record) => {
            let identity = Identity::of(&record, false, None);
            Hop::failed(Failure { record: Box::new(record), line: 1, file: None, identity })
        }
        None => Hop::succeeded(&stream, 1, None),
    }
}

fn story(hops: impl IntoIterator<Item = Hop>) -> Story {
    let mut stories = Stories::default();
    for hop in hops {
        assert_eq!(stories.add(hop), None);
    }
    let story = stories.next().unwrap();
    assert_eq!(stories.next(), None);
    story
}

fn decided(story: &Story) -> (&str, usize) {
    (story.culprit().unwrap().cause.name(), story.decisive().unwrap())
}

const TERMINATED: &str = "upstream_reset_before_response_started{connection_termination}";
const GONE: &str = "downstream_remote_disconnect";

#[test]
fn a_caller_that_gave_up_is_a_timeout_and_not_a_client_that_left() {
    let client = hop("outbound", 0, 504, "UT", "response_timeout", 1);
    let server = hop("inbound", 1, 0, "DC", GONE, 1);
    for hops in [[client.clone(), server.clone()], [server, client]] {
        assert_eq!(decided(&story(hops)), ("response_timeout", 0));
    }
}

#[test]
fn a_connection_that_broke_at_the_server_is_not_the_applications_error() {
    let client = hop("outbound", 0, 503, "-", "via_upstream", 1);
    let server = hop("inbound", 1, 503, "UC", TERMINATED, 1);
    let story = story([server, client]);
    assert_eq!(decided(&story), ("connection_terminated", 1));
    assert_eq!(story.hops[0].at.direction, Direction::Outbound);
}

#[test]
fn a_caller_that_left_everywhere_left_at_the_first_hop() {
    let hops = [hop("outbound", 0, 0, "DC", GONE, 1), hop("inbound", 1, 0, "DC", GONE, 1)];
    assert_eq!(decided(&story(hops)), ("client_disconnected", 0));
}

#[test]
fn tries_are_counted_and_the_last_one_decides() {
    let hops = [
        hop("inbound", 1, 503, "UC", TERMINATED, 1),
        hop("inbound", 30, 503, "UC", TERMINATED, 1),
        hop("inbound", 60, 503, "-", "via_upstream", 1),
        hop("outbound", 0, 503, "URX", "via_upstream", 3),
    ];
    let story = story(hops);
    assert_eq!(story.tries(), 3);
    assert_eq!(decided(&story), ("application_error", 3));
    assert!(story.hops.is_sorted_by_key(|hop| hop.start));
}

#[test]
fn an_endpoint_that_was_ejected_while_it_was_tried_leads_to_its_errors() {
    let hops = [
        hop("outbound", 0, 503, "UH", "no_healthy_upstream", 3),
        hop("inbound", 1, 503, "-", "via_upstream", 1),
    ];
    assert_eq!(decided(&story(hops)), ("application_error", 1));
    let refused = hop("outbound", 0, 503, "UH", "no_healthy_upstream", 1);
    assert_eq!(decided(&story([refused])), ("endpoints_unhealthy", 0));
}

#[test]
fn a_request_that_a_retry_saved_says_so() {
    let hops = [
        hop("inbound", 1, 503, "UC", TERMINATED, 1),
        hop("outbound", 0, 200, "-", "via_upstream", 2),
        hop("inbound", 30, 200, "-", "via_upstream", 1),
    ];
    let story = story(hops);
    assert!(story.recovered());
    assert_eq!(decided(&story), ("connection_terminated", 1));
    assert_eq!(story.tries(), 2);
}

#[test]
fn a_chain_of_services_is_followed_to_its_end() {
    let b = "outbound|80||b.default.svc.cluster.local";
    let c = "outbound|80||c.default.svc.cluster.local";
    let passed = (503, "-", "via_upstream", 1);
    let hops = [
        chained(
            "inbound",
            "c.default",
            "inbound|80||",
            3,
            (503, "UO", "upstream_reset_before_response_started{overflow}", 1),
        ),
        chained("outbound", "b.default", c, 2, passed),
        chained("inbound", "b.default", "inbound|80||", 1, passed),
        chained("outbound", "a.default", b, 0, passed),
    ];
    let story = story(hops);
    let proxies: Vec<_> = story.hops.iter().filter_map(|hop| hop.at.proxy.as_deref()).collect();
    assert_eq!(proxies, ["a.default", "b.default", "b.default", "c.default"]);
    assert_eq!(decided(&story), ("max_requests_overflow", 3));
}

#[test]
fn a_stream_that_is_told_twice_is_one_hop() {
    let told = hop("outbound", 0, 504, "UT", "response_timeout", 1);
    let Told::Failure(record) = &told.told else { panic!("{told:?}") };
    let mut nameless = record.clone();
    nameless.proxy = None;
    let hop = |record: &Record, is_record| {
        let identity = Identity::of(record, is_record, None);
        Hop::failed(Failure { record: Box::new(record.clone()), line: 1, file: None, identity })
    };
    assert_eq!(story([hop(&nameless, false), told.clone()]).hops, slice::from_ref(&told));
    // A record knows more than a line.
    let known = hop(record, true);
    assert_eq!(story([hop(&nameless, false), known.clone()]).hops, slice::from_ref(&known));
    assert_eq!(story([known.clone(), told.clone()]).hops, [known]);
}

#[test]
fn memory_is_bounded_in_stories_and_in_hops() {
    let mut stories = Stories::default();
    let failed = hop("outbound", 0, 504, "UT", "response_timeout", 1);
    let fine = hop("outbound", 0, 200, "-", "via_upstream", 1);
    let mut complete = 0;
    for number in 0..STORIES + 10 {
        let with_id =
            |hop: &Hop, prefix| Hop { id: Some(format!("{prefix}{number}")), ..hop.clone() };
        complete += usize::from(stories.add(with_id(&failed, "f")).is_some());
        assert_eq!(stories.add(with_id(&fine, "s")), None);
    }
    assert_eq!(complete, 10);
    assert_eq!(stories.succeeded.by_age.len(), STORIES);
    assert_eq!(stories.succeeded.by_id.len(), STORIES);
    let mut crowded = Stories::default();
    for number in 0..HOPS as u64 + 5 {
        let hop = Hop { start: Some(number), identity: None, ..failed.clone() };
        crowded.add(hop);
    }
    let story = crowded.next().unwrap();
    assert_eq!((story.hops.len(), story.more), (HOPS, 5));
}

#[test]
fn a_line_without_a_request_id_is_a_story_of_its_own() {
    let mut stories = Stories::default();
    let failed = Hop { id: None, ..hop("outbound", 0, 504, "UT", "response_timeout", 1) };
    assert!(stories.add(failed).is_some());
    let fine = Hop { id: None, ..hop("outbound", 0, 200, "-", "via_upstream", 1) };
    assert!(stories.add(fine).is_none());
}
