use super::*;
use failgate_verdict::Record;
use serde_json::{Value, json};

/// A failure as one of the two tells it.
fn told(is_record: bool, facts: &Value) -> Box<Failure> {
    let mut record = json!({
        "v": 1, "time": "2026-01-31T23:59:59.123Z", "gate": "endpoint", "cause": "no_endpoints", "side": "upstream",
        "responder": "this_proxy", "delivered": "no", "decided_by": "details", "direction": "outbound",
        "response_code": 503, "response_flags": ["UH"], "response_code_details": "no_healthy_upstream",
        "upstream_cluster": "outbound|80||reviews.default.svc.cluster.local", "request_id": "id", "duration_ms": 7,
        "method": "GET",
    });
    let mut pod = None;
    for (key, value) in facts.as_object().unwrap() {
        if key == "pod" {
            pod = value.as_str();
        } else if value.is_null() {
            record.as_object_mut().unwrap().remove(key);
        } else {
            record[key] = value.clone();
        }
    }
    let record: Box<Record> = Box::new(serde_json::from_value(record).unwrap());
    let identity = Identity::of(&record, is_record, pod);
    Box::new(Failure { record, line: 0, file: None, identity })
}

fn record(facts: &Value) -> Box<Failure> {
    told(true, facts)
}

fn line(facts: &Value) -> Box<Failure> {
    told(false, facts)
}

/// What comes out of it, by whether the filter told it.
fn shown(failures: impl IntoIterator<Item = Box<Failure>>) -> Vec<bool> {
    let (mut window, mut shown) = (Window::default(), Vec::new());
    let mut show = |failure: Box<Failure>| shown.push(failure.identity.unwrap().is_record());
    for (number, failure) in (1..).zip(failures) {
        window.add(failure, number);
        while let Some(failure) = window.next(number) {
            show(failure);
        }
    }
    while let Some(failure) = window.rest() {
        show(failure);
    }
    shown
}

#[test]
fn a_record_and_its_line_are_one_failure_and_the_record_wins() {
    let none = json!({});
    assert_eq!(shown([record(&none), line(&none)]), [true]);
    assert_eq!(shown([line(&none), record(&none)]), [true]);
    // Twice over: each record has one line.
    assert_eq!(shown([record(&none), line(&none), line(&none)]), [true, false]);
    assert_eq!(shown([record(&none), record(&none), line(&none), line(&none)]), [true, true]);
}

#[test]
fn what_a_line_does_not_say_does_not_tell_it_from_its_record() {
    let proxy = json!({ "proxy": "client.default", "upstream_host": "10.0.0.1:80" });
    for less in [
        json!({ "direction": null, "upstream_cluster": null }),
        json!({ "duration_ms": null, "response_code_details": null }),
        json!({ "time": "2026-01-31T23:59:59Z" }),
        json!({ "time": "2026-01-31T23:59:59.122Z" }),
        json!({ "time": "2026-02-01T00:59:59.123+01:00" }),
        json!({ "pod": "client-1", "proxy": "client-1" }),
        json!({ "proxy": "client.default" }),
    ] {
        assert_eq!(shown([record(&proxy), line(&less)]), [true], "{less}");
        assert_eq!(shown([line(&less), record(&proxy)]), [true], "{less}");
    }
}

#[test]
fn two_streams_of_one_request_are_two_failures() {
    let proxy =
        json!({ "proxy": "client.default", "upstream_host": "10.0.0.1:80", "pod": "client-1" });
    for other in [
        json!({ "request_id": "other" }),
        json!({ "time": "2026-01-31T23:59:59.125Z" }),
        json!({ "time": "2026-01-31T23:59:58Z" }),
        json!({ "direction": "inbound" }),
        json!({ "upstream_cluster": "inbound|80||" }),
        json!({ "upstream_host": "10.0.0.2:80" }),
        json!({ "response_code": 504 }),
        json!({ "response_flags": ["UH", "URX"] }),
        json!({ "response_flags": null }),
        json!({ "response_code_details": "via_upstream" }),
        json!({ "duration_ms": 8 }),
        json!({ "method": "POST" }),
        json!({ "proxy": "server.default" }),
        json!({ "pod": "client-2", "proxy": "client-2" }),
    ] {
        assert_eq!(shown([record(&proxy), line(&other)]), [true, false], "{other}");
        assert_eq!(shown([line(&other), record(&proxy)]), [false, true], "{other}");
    }
}

#[test]
fn without_a_request_id_or_a_time_both_are_left() {
    for key in ["request_id", "time"] {
        let lacks = json!({ key: null });
        let mut window = Window::default();
        for (number, failure) in (1..).zip([record(&lacks), line(&lacks)]) {
            window.add(failure, number);
            assert!(window.next(number).is_some(), "{key}");
        }
    }
}

#[test]
fn a_line_waits_for_its_record_and_others_wait_behind_it() {
    let mut window = Window::default();
    window.add(line(&json!({})), 1);
    window.add(record(&json!({ "request_id": "other" })), 2);
    assert_eq!(window.next(1 + AHEAD), None);
    assert!(!window.next(2 + AHEAD).unwrap().identity.unwrap().is_record());
    assert!(window.next(2 + AHEAD).unwrap().identity.unwrap().is_record());
    assert!(window.is_empty());
    // Too late to take it back, and not counted again.
    window.add(record(&json!({})), 2 + AHEAD);
    assert_eq!(window.rest(), None);
}

#[test]
fn a_line_is_overdue_after_a_while_and_a_record_at_once() {
    let mut window = Window::default();
    window.add(record(&json!({})), 1);
    assert!(window.next_in_time().is_some());
    window.add(line(&json!({ "request_id": "other" })), 2);
    let deadline = Instant::now() + Duration::from_secs(60);
    while window.next_in_time().is_none() {
        assert!(Instant::now() < deadline, "it never comes");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_help_says_how_far_apart_the_two_may_be() {
    use clap::CommandFactory as _;
    let mut arguments = crate::args::Arguments::command();
    let help = arguments.find_subcommand_mut("inspect").unwrap().render_long_help().to_string();
    let apart = crate::screen::count(REMEMBERED as u64);
    let help = help.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("at most {apart} other failures")), "{help}");
}

#[test]
fn memory_is_bounded_and_the_youngest_are_remembered() {
    let id = |number: usize| json!({ "request_id": number.to_string() });
    let mut window = Window::default();
    for number in 0..REMEMBERED + 10 {
        window.add(record(&id(number)), number as u64 + 1);
        assert!(window.next(number as u64 + 1).is_some());
    }
    assert_eq!((window.order.len(), window.seen.len()), (REMEMBERED, REMEMBERED));
    window.add(line(&id(9)), 1);
    assert!(window.rest().is_some(), "its record is forgotten");
    window.add(line(&id(11)), 1);
    assert!(window.rest().is_none(), "its record is remembered");
    for _ in 0..100 {
        window.add(record(&json!({})), 1);
        window.rest();
    }
    assert_eq!(window.seen[&hashed("id")].len(), OF_ONE_ID);
}
