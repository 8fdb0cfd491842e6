//! The HTTP/2 client, against the mock server and against a peer that says what it is told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may say what it expects and stop there, as the test itself may"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use failgate_lab::client::Request;
use failgate_lab::http2::{Ending, Reason};
use failgate_lab::mock::Mock;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn http_requests_travel_over_http2_too() {
    let mock = Mock::start().unwrap();
    let send = |path: &str| Request::get(path).within(SOON).send_http2(mock.port()).unwrap();
    let answer = send("/status/503?header=via:a&header=via:b");
    assert_eq!((answer.status, answer.values("via")), (503, vec!["a", "b"]));
    assert!(answer.head_only && answer.ending == Ending::Complete);
    assert_eq!(send("/stream/3/5").text(), "chunk\nchunk\nchunk\n");
    for (path, status, ending) in [
        ("/reset-before-response/20", 0, Ending::ConnectionReset),
        ("/reset-after-response/20", 200, Ending::ConnectionReset),
        ("/close-before-response/20", 0, Ending::ConnectionClosed),
        ("/close-after-response/20", 200, Ending::ConnectionClosed),
    ] {
        let answer = send(path);
        let some = if status == 0 { 0 } else { 4096 };
        assert_eq!((answer.status, answer.body.len(), answer.ending), (status, some, ending));
    }
    let request = Request::new("POST", "/echo").header("host", "elsewhere").header("x-a", "1");
    let echo = request.header("x-a", "2").body("hi").send_http2(mock.port()).unwrap();
    let echo: serde_json::Value = serde_json::from_str(&echo.text()).unwrap();
    assert_eq!(echo["path"], "http://elsewhere/echo");
    assert_eq!(echo["headers"], serde_json::json!([["x-a", "1"], ["x-a", "2"]]));
    mock.check().unwrap();
}

#[test]
fn a_peer_that_resets_a_stream_or_says_goodbye_is_told_apart() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const RST_STREAM: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07";
    const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";
    for (frame, ending) in [
        (RST_STREAM, Ending::Reset(Reason::REFUSED_STREAM)),
        (GOAWAY, Ending::GoAway(Reason::ENHANCE_YOUR_CALM)),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut socket, _) = listener.accept().unwrap();
                socket.write_all(SETTINGS).unwrap();
                let mut seen = Vec::new();
                // A stream that is not open yet cannot be reset: wait for its HEADERS with END_STREAM.
                while !seen.windows(6).any(|it| it == b"\x01\x05\0\0\0\x01") {
                    let mut buffer = [0; 1024];
                    let length = socket.read(&mut buffer).unwrap();
                    assert_ne!(length, 0, "no request in {seen:?}");
                    seen.extend_from_slice(&buffer[..length]);
                }
                socket.write_all(frame).unwrap();
                // What it says then is its own affair.
                let _ = socket.read_to_end(&mut seen);
            });
            let answer = Request::get("/").within(SOON).send_http2(port).unwrap();
            assert_eq!((answer.status, answer.ending), (0, ending));
        });
    }
}
