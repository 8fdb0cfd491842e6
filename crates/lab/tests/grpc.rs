//! Every method of the mock server's gRPC service, seen by a client that trusts nobody.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may say what it expects and stop there, as the test itself may"
)]

use std::time::{Duration, Instant};

use failgate_lab::client::{Leave, Request};
use failgate_lab::grpc::{Call, Reply, send_all, send_all_on};
use failgate_lab::http2::{Connection, Ending};
use failgate_lab::mock::Mock;
use failgate_lab::peers::RawServer;
use failgate_lab::wait_until;

const SOON: Duration = Duration::from_secs(10);
const DELAY: &str = "/mock.MockService/Delay";

/// The reply of a fresh mock server, which must still be sound afterwards.
fn reply(call: &Call) -> Reply {
    let mock = Mock::start().unwrap();
    let reply = call.clone().within(SOON).send(mock.grpc_port()).unwrap();
    mock.check().unwrap();
    reply
}

/// HTTP status, gRPC status, number of messages, and the end of a method that pauses.
fn ending(method: &str) -> (u16, Option<u32>, usize, Ending) {
    let reply = reply(&Call::pause(method, 20));
    (reply.response.status, reply.status, reply.messages.len(), reply.response.ending)
}

fn delayed(mock: &Mock) -> impl Fn() -> bool {
    || mock.requests(DELAY) == 1
}

#[test]
fn an_ok_has_a_message_and_its_status_in_trailers() {
    for ok in [reply(&Call::status(0)), reply(&Call::status_after_headers(0))] {
        assert_eq!((ok.status, ok.messages.len(), ok.trailers_only()), (Some(0), 1, false));
        assert_eq!(ok.response.headers[0].0, "content-type", "{ok:?}");
        assert_eq!(ok.response.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
        assert_eq!(ok.ending(), Ending::Complete);
    }
}

#[test]
fn a_failed_status_is_trailers_only() {
    let failed = reply(&Call::status(14));
    assert_eq!((failed.status, failed.message.as_deref()), (Some(14), Some("on purpose")));
    assert!(failed.trailers_only());
    assert_eq!(failed.response.values("grpc-status"), ["14"]);
    assert_eq!((failed.response.status, failed.messages.len()), (200, 0));
    assert!(failed.response.trailers.is_empty());
    assert_eq!(failed.ending(), Ending::Complete);
}

#[test]
fn a_failed_status_can_come_behind_headers() {
    let failed = reply(&Call::status_after_headers(13));
    assert_eq!((failed.status, failed.message.as_deref()), (Some(13), Some("on purpose")));
    assert!(!failed.trailers_only());
    assert_eq!(failed.response.trailer_values("grpc-status"), ["13"]);
    assert!(failed.response.values("grpc-status").is_empty());
    assert_eq!(failed.ending(), Ending::Complete);
}

#[test]
fn a_delay_is_a_late_ok() {
    let before = Instant::now();
    assert_eq!(ending("Delay"), (200, Some(0), 1, Ending::Complete));
    assert!(before.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_reset_before_the_response_is_a_tcp_rst() {
    assert_eq!(ending("ResetBeforeResponse"), (0, None, 0, Ending::ConnectionReset));
}

#[test]
fn a_reset_after_the_response_is_a_tcp_rst_behind_one_message() {
    assert_eq!(ending("ResetAfterResponse"), (200, None, 1, Ending::ConnectionReset));
}

#[test]
fn a_close_before_the_response_is_a_tcp_fin() {
    assert_eq!(ending("CloseBeforeResponse"), (0, None, 0, Ending::ConnectionClosed));
}

#[test]
fn a_close_after_the_response_is_a_tcp_fin_behind_one_message() {
    assert_eq!(ending("CloseAfterResponse"), (200, None, 1, Ending::ConnectionClosed));
}

#[test]
fn the_wrong_protocol_is_not_http2() {
    let mock = Mock::start().unwrap();
    let call = Call::pause("WrongProtocol", 20).within(SOON);
    let error = call.send(mock.grpc_port()).unwrap_err().to_string();
    assert!(error.contains("WrongProtocol") && error.contains("frame"), "{error}");
    mock.check().unwrap();
}

#[test]
fn an_unknown_method_is_unimplemented_and_nonsense_an_invalid_argument() {
    assert_eq!(reply(&Call::pause("Elsewhere", 0)).status, Some(12));
    assert_eq!(reply(&Call::at("/mock.Elsewhere/Status", b"")).status, Some(12));
    let nonsense = reply(&Call::at("/mock.MockService/Status", b"\xff"));
    assert_eq!(nonsense.status, Some(3));
    assert!(nonsense.message.unwrap().contains("decode"));
}

#[test]
fn a_cancel_reaches_the_server_and_the_connection_stays() {
    let mock = Mock::start().unwrap();
    let connection = Connection::open(mock.grpc_port()).unwrap();
    let call = Call::pause("Delay", 60_000).within(SOON);
    let stream = connection.start(call.request()).unwrap();
    wait_until(SOON, "the call", delayed(&mock)).unwrap();
    assert_eq!(mock.cancelled(DELAY), 0);
    stream.cancel();
    wait_until(SOON, "the cancel", || mock.cancelled(DELAY) == 1).unwrap();
    assert_eq!(Call::status(0).send_on(&connection).unwrap().status, Some(0));
    assert_eq!(mock.grpc_connections(), 1);
    mock.check().unwrap();
}

#[test]
fn a_cancelled_call_needs_no_connection_to_wait_for() {
    let mock = Mock::start().unwrap();
    let call = Call::pause("Delay", 60_000).within(SOON);
    call.cancel(mock.grpc_port(), delayed(&mock)).unwrap();
    wait_until(SOON, "the cancel", || mock.cancelled(DELAY) == 1).unwrap();
    mock.check().unwrap();
}

#[test]
fn a_stream_can_be_cancelled_in_the_middle_of_its_response() {
    let mock = Mock::start().unwrap();
    let connection = Connection::open(mock.grpc_port()).unwrap();
    let call = Call::pause("ResetAfterResponse", 60_000).within(SOON);
    let mut stream = connection.start(call.request()).unwrap();
    let so_far = Reply::read(stream.wait_for_body(4096).unwrap()).unwrap();
    assert_eq!((so_far.response.status, so_far.ending()), (200, Ending::Silent));
    stream.cancel();
    assert_eq!(Call::status(0).send_on(&connection).unwrap().status, Some(0));
    mock.check().unwrap();
}

#[test]
fn a_connection_that_is_left_takes_its_calls_with_it() {
    for leave in [Leave::Close, Leave::Reset] {
        let mock = Mock::start().unwrap();
        let connection = Connection::open(mock.grpc_port()).unwrap();
        let call = Call::pause("Delay", 60_000).within(SOON);
        let stream = connection.start(call.request()).unwrap();
        wait_until(SOON, "the call", delayed(&mock)).unwrap();
        connection.leave(leave).unwrap();
        assert_eq!(stream.finish().unwrap().ending, Ending::ConnectionClosed);
        wait_until(SOON, "the cancel", || mock.cancelled(DELAY) == 1).unwrap();
        assert!(Call::status(0).send_on(&connection).is_err());
        mock.check().unwrap();
    }
}

#[test]
fn what_the_mock_server_cuts_itself_is_not_cancelled() {
    let mock = Mock::start().unwrap();
    let call = Call::pause("ResetBeforeResponse", 0).within(SOON);
    let reply = call.send(mock.grpc_port()).unwrap();
    assert_eq!(reply.ending(), Ending::ConnectionReset);
    assert_eq!(mock.requests("/mock.MockService/ResetBeforeResponse"), 1);
    assert_eq!(mock.cancelled("/mock.MockService/ResetBeforeResponse"), 0);
}

#[test]
fn calls_at_once_share_a_connection_or_have_their_own() {
    let mock = Mock::start().unwrap();
    let calls = vec![Call::pause("Delay", 300).within(SOON); 3];
    let one_by_one = Duration::from_millis(900);
    let connection = Connection::open(mock.grpc_port()).unwrap();
    let before = Instant::now();
    let replies = send_all_on(&connection, &calls);
    assert!(before.elapsed() < one_by_one);
    assert_eq!(mock.grpc_connections(), 1);
    let before = Instant::now();
    let replies = replies.into_iter().chain(send_all(mock.grpc_port(), &calls));
    assert!(before.elapsed() < one_by_one);
    assert!(replies.map(Result::unwrap).all(|reply| reply.status == Some(0)));
    assert_eq!((mock.grpc_connections(), mock.connections()), (4, 0));
    assert_eq!(mock.requests(DELAY), 6);
    mock.check().unwrap();
}

#[test]
fn a_cancel_over_http2_and_a_leave_over_http1_reach_the_server() {
    let mock = Mock::start().unwrap();
    let request = Request::get("/delay/60000").within(SOON);
    request.cancel_http2(mock.port(), || mock.requests("/delay/60000") == 1).unwrap();
    wait_until(SOON, "the cancel", || mock.cancelled("/delay/60000") == 1).unwrap();
    request.cancel(mock.port(), Leave::Close, || mock.requests("/delay/60000") == 2).unwrap();
    wait_until(SOON, "the close", || mock.cancelled("/delay/60000") == 2).unwrap();
    mock.check().unwrap();
}

#[test]
fn a_silent_peer_is_silent() {
    let server = RawServer::silent().unwrap();
    let call = Call::status(0).within(Duration::from_millis(100));
    let reply = call.send(server.port()).unwrap();
    assert_eq!((reply.status, reply.ending()), (None, Ending::Silent));
    server.check().unwrap();
}
