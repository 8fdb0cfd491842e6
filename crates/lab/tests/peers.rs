//! Every endpoint of the mock server and every odd peer, seen by a client that trusts nobody.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may say what it expects and stop there, as the test itself may"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use failgate_lab::client::{Ending, Leave, Request, Response, send_all, send_raw};
use failgate_lab::mock::Mock;
use failgate_lab::peers::{BlackHole, RawServer, Refused};
use failgate_lab::wait_until;

const SOON: Duration = Duration::from_secs(10);

/// The response to one GET of a fresh mock server, which must still be sound afterwards.
fn get(path: &str) -> Response {
    let mock = Mock::start().unwrap();
    let response = Request::get(path).within(SOON).send(mock.port()).unwrap();
    mock.check().unwrap();
    response
}

fn ending(path: &str) -> (u16, bool, Ending) {
    let response = get(path);
    (response.status, !response.body.is_empty(), response.ending)
}

#[test]
fn a_status_is_the_one_asked_for() {
    assert_eq!(ending("/status/503"), (503, false, Ending::Complete));
    assert_eq!(ending("/status/200"), (200, false, Ending::Complete));
    assert_eq!(get("/status/101").status, 404);
    assert_eq!(get("/elsewhere").status, 404);
}

#[test]
fn a_response_carries_the_headers_that_the_query_names() {
    let path = "/status/500?header=proxy-status:a;%20error=x&header=proxy-status:b";
    assert_eq!(get(path).values("proxy-status"), ["a; error=x", "b"]);
}

#[test]
fn a_delayed_response_is_complete() {
    assert_eq!(ending("/delay/20"), (200, true, Ending::Complete));
}

#[test]
fn a_stream_has_as_many_chunks_as_asked_for() {
    assert_eq!(get("/stream/3/5").text(), "chunk\nchunk\nchunk\n");
}

#[test]
fn an_echo_shows_the_request_with_duplicate_headers() {
    let mock = Mock::start().unwrap();
    let request =
        Request::new("POST", "/echo?a=b").header("x-a", "1").header("x-a", "2").body("hi");
    let echo: serde_json::Value =
        serde_json::from_str(&request.send(mock.port()).unwrap().text()).unwrap();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["path"], "/echo?a=b");
    let pairs = echo["headers"].as_array().unwrap();
    let values: Vec<_> = pairs.iter().filter(|it| it[0] == "x-a").map(|it| &it[1]).collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn a_reset_before_the_response_is_a_tcp_rst() {
    assert_eq!(ending("/reset-before-response/20"), (0, false, Ending::Reset));
}

#[test]
fn a_reset_after_the_response_is_a_tcp_rst_behind_the_data() {
    assert_eq!(ending("/reset-after-response/50"), (200, true, Ending::Reset));
}

#[test]
fn a_close_before_the_response_is_a_tcp_fin() {
    assert_eq!(ending("/close-before-response/20"), (0, false, Ending::Closed));
}

#[test]
fn a_close_after_the_response_is_a_tcp_fin_behind_the_data() {
    assert_eq!(ending("/close-after-response/20"), (200, true, Ending::Closed));
}

#[test]
fn the_wrong_protocol_is_not_http() {
    let mock = Mock::start().unwrap();
    let error = Request::get("/wrong-protocol/20").within(SOON).send(mock.port()).unwrap_err();
    assert!(error.to_string().contains("this is no protocol"), "{error}");
    mock.check().unwrap();
}

#[test]
fn http2_with_prior_knowledge_is_spoken_on_the_same_port() {
    let mock = Mock::start().unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let (bytes, _) = send_raw(mock.port(), preface, Duration::from_millis(200)).unwrap();
    // The first frame of a server is SETTINGS: type 4 on stream 0.
    assert_eq!((bytes[3], &bytes[5..9]), (4, &[0; 4][..]));
}

#[test]
fn requests_and_connections_are_counted() {
    let mock = Mock::start().unwrap();
    let requests = vec![Request::get("/status/204?x=y"); 3];
    for response in send_all(mock.port(), &requests) {
        assert_eq!(response.unwrap().status, 204);
    }
    assert_eq!((mock.requests("/status/204"), mock.connections()), (3, 3));
    assert_eq!(mock.requests("/status/200"), 0);
}

#[test]
fn a_call_can_be_left_before_its_response() {
    let mock = Mock::start().unwrap();
    for (leave, arrived) in [(Leave::Close, 1), (Leave::Reset, 2)] {
        let seen = || mock.requests("/delay/60000") == arrived;
        Request::get("/delay/60000").within(SOON).cancel(mock.port(), leave, seen).unwrap();
    }
    mock.check().unwrap();
}

#[test]
fn a_call_can_be_left_in_the_middle_of_its_response() {
    let mock = Mock::start().unwrap();
    let mut call = Request::get("/stream/1000/50").within(SOON).start(mock.port()).unwrap();
    assert_eq!(call.wait_for_head().unwrap().status, 200);
    call.leave(Leave::Reset).unwrap();
    mock.check().unwrap();
}

#[test]
fn a_dropped_mock_server_is_gone() {
    let mock = Mock::start().unwrap();
    let port = mock.port();
    drop(mock);
    wait_until(SOON, "the port to be free", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
    })
    .unwrap();
}

#[test]
fn a_black_hole_lets_every_connect_hang() {
    let hole = BlackHole::open().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hole.port()));
    for _ in 0..3 {
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}

#[test]
fn a_refused_port_refuses() {
    let refused = Refused::open().unwrap();
    for _ in 0..3 {
        let error = TcpStream::connect((Ipv4Addr::LOCALHOST, refused.port())).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_raw_server_answers_the_first_bytes_only() {
    let server = RawServer::answering("220 hello\r\n").unwrap();
    let (bytes, ending) =
        send_raw(server.port(), b"\x16\x03\x01", Duration::from_millis(100)).unwrap();
    assert_eq!((bytes.as_slice(), ending), (&b"220 hello\r\n"[..], Ending::Silent));
    assert_eq!(server.connections(), 1);
    server.check().unwrap();
}

#[test]
fn a_silent_server_accepts_and_says_nothing() {
    let server = RawServer::silent().unwrap();
    let (bytes, ending) = send_raw(server.port(), b"hello", Duration::from_millis(100)).unwrap();
    assert_eq!((bytes.len(), ending), (0, Ending::Silent));
    server.check().unwrap();
}

#[test]
fn a_raw_server_that_panics_says_so() {
    let server = RawServer::start(|_| panic!("on purpose")).unwrap();
    send_raw(server.port(), b"x", SOON).unwrap();
    assert!(server.check().is_err());
}
