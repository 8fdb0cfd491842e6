//! The OTLP receiver behaves as it is told, seen by a client that tells exactly how an exchange ended.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use failgate_lab::PATIENCE;
use failgate_lab::client::{Ending, Request, Response};
use failgate_lab::grpc::Call;
use failgate_lab::otlp::{Behaviour, Encoding, PATH, Receiver, http_date};

fn logs(body: &str) -> Request {
    Request::new("POST", PATH).header("content-type", "application/json").body(body)
}

fn send(receiver: &Receiver, behaviour: Behaviour) -> Response {
    receiver.behave(behaviour);
    logs("{}").send(receiver.port()).unwrap()
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

#[test]
fn it_answers_as_it_is_told_to() {
    let receiver = Receiver::start().unwrap();
    let accepted = send(&receiver, Behaviour::Accept);
    assert_eq!((accepted.status, text(&accepted), accepted.ending), (200, "{}", Ending::Complete));
    assert_eq!(accepted.values("content-type"), ["application/json"]);

    let partial = send(&receiver, Behaviour::Partial(2));
    let said = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"on purpose"}}"#;
    assert_eq!((partial.status, text(&partial)), (200, said));

    for code in [429, 502, 503, 504, 400, 413] {
        let refused = send(&receiver, Behaviour::Status(code, None));
        assert_eq!((refused.status, refused.values("retry-after").len()), (code, 0));
    }
    for after in ["7", "soon", &http_date(Duration::from_secs(90))] {
        let refused = send(&receiver, Behaviour::Status(503, Some(after.to_owned())));
        assert_eq!((refused.status, refused.values("retry-after")), (503, vec![after]));
    }

    let no_json = send(&receiver, Behaviour::NoJson);
    assert_eq!((no_json.status, no_json.ending), (200, Ending::Complete));
    assert!(!text(&no_json).starts_with(['{', '[']));

    let cut = send(&receiver, Behaviour::CutShort);
    assert_eq!((cut.status, cut.ending), (200, Ending::Closed));
    assert!(!cut.body.is_empty());

    receiver.behave(Behaviour::Babble);
    assert!(logs("{}").send(receiver.port()).is_err(), "that is no HTTP");

    let tries = receiver.tries();
    assert_eq!(tries.len(), 14);
    assert_eq!(receiver.pauses().len(), 13);
    assert_eq!(tries.iter().filter(|it| it.answer.delivers()).count(), receiver.delivered().len());
    assert_eq!(receiver.delivered().len(), 3);
    receiver.check().unwrap();
}

#[test]
fn a_late_answer_comes_after_its_time_and_not_before() {
    let receiver = Receiver::start().unwrap();
    let pause = Duration::from_millis(150);
    receiver.behave(Behaviour::Late(pause));
    let began = Instant::now();
    let silent = logs("{}").within(Duration::from_millis(1)).send(receiver.port()).unwrap();
    assert_eq!((silent.status, silent.ending), (0, Ending::Silent));
    assert_eq!(logs("{}").send(receiver.port()).unwrap().status, 200);
    assert!(began.elapsed() >= pause);
}

#[test]
fn it_speaks_http_2_too_and_keeps_bodies_as_they_came() {
    let receiver = Receiver::start().unwrap();
    assert_eq!(logs("one").send(receiver.port()).unwrap().status, 200);
    assert_eq!(logs("two").send_http2(receiver.port()).unwrap().status, 200);
    receiver.behave(Behaviour::Status(503, None));
    assert_eq!(logs("three").send_http2(receiver.port()).unwrap().status, 503);
    receiver.behave(Behaviour::CutShort);
    let cut = logs("four").send_http2(receiver.port()).unwrap();
    assert_ne!(cut.ending, failgate_lab::http2::Ending::Complete);
    let tries = receiver.wait_for(PATIENCE, 4).unwrap();
    let seen: Vec<_> = tries.iter().map(|it| (format!("{:?}", it.version), &it.body[..])).collect();
    let seen: Vec<_> = seen.iter().map(|(version, body)| (version.as_str(), *body)).collect();
    let expected: [(&str, &[u8]); 4] =
        [("HTTP/1.1", b"one"), ("HTTP/2.0", b"two"), ("HTTP/2.0", b"three"), ("HTTP/2.0", b"four")];
    assert_eq!(seen, expected);
    assert_eq!(receiver.delivered(), ["one", "two"]);
}

#[test]
fn it_takes_protobuf_and_grpc_too() {
    let receiver = Receiver::start().unwrap();
    let export = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    // A field that nobody knows, which a receiver passes over.
    let message = [0x78, 0x01];
    let call = Call::at(export, &message).send(receiver.port()).unwrap();
    assert_eq!((call.status, call.messages), (Some(0), vec![vec![]]));
    let logs = Request::new("POST", PATH).header("content-type", "application/x-protobuf");
    let taken = logs.body(message).send(receiver.port()).unwrap();
    assert_eq!((taken.status, taken.body), (200, vec![]));
    receiver.behave(Behaviour::Partial(3));
    let partial = Call::at(export, &message).send(receiver.port()).unwrap();
    assert_eq!(partial.messages, [b"\x0a\x0e\x08\x03\x12\x0aon purpose"]);
    receiver.behave(Behaviour::Status(503, None));
    assert_eq!(Call::at(export, &message).send(receiver.port()).unwrap().status, Some(14));
    let seen: Vec<_> = receiver.tries().iter().map(|it| (it.encoding, it.body.clone())).collect();
    let expected = [Encoding::Grpc, Encoding::Protobuf, Encoding::Grpc, Encoding::Grpc];
    assert_eq!(seen, expected.map(|encoding| (encoding, message.to_vec().into())));
    receiver.check().unwrap();
}

#[test]
fn a_dead_receiver_refuses_and_comes_back_on_its_port() {
    let receiver = Receiver::start().unwrap();
    receiver.behave(Behaviour::Late(Duration::from_secs(3600)));
    let port = receiver.port();
    let waiting = logs("{}").start(port).unwrap();
    receiver.wait_for(PATIENCE, 1).unwrap();
    receiver.die();
    let ended = waiting.finish().unwrap();
    assert!(matches!(ended.ending, Ending::Closed | Ending::Reset), "{ended:?}");
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    receiver.behave(Behaviour::Accept);
    receiver.revive().unwrap();
    receiver.revive().unwrap();
    assert_eq!(logs("{}").send(port).unwrap().status, 200);
    assert_eq!(receiver.tries().len(), 2);
}

#[test]
fn a_request_for_something_else_is_refused_and_noted() {
    for (request, status) in [
        (logs("{}").header("x", "y"), 200),
        (Request::get(PATH).header("content-type", "application/json"), 405),
        (Request::new("POST", "/v1/traces").header("content-type", "application/json"), 404),
        (Request::new("POST", PATH).header("content-type", "text/plain").body("{}"), 415),
    ] {
        let receiver = Receiver::start().unwrap();
        assert_eq!(request.send(receiver.port()).unwrap().status, status);
        assert_eq!(receiver.check().is_ok(), status == 200, "{request:?}");
        assert_eq!(receiver.tries().len(), usize::from(status == 200));
    }
}
