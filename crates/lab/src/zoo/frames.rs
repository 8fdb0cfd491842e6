//! HTTP/2 in frames, for servers and callers that say what no library lets them say.
//!
//! Source: RFC 9113 for the frames, RFC 7541 for the header blocks, which are literals only.

use crate::Result;
use crate::peers::RawServer;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The only stream of a connection here: a client's first.
const STREAM: u32 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let [_, length @ ..] = length;
    [&length, &[kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// Settings that set nothing, which both ends begin with.
#[must_use]
pub fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// Headers, as they are: nothing here looks whether they make sense.
#[must_use]
pub fn headers(headers: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0); // a literal that nobody remembers, with a name of its own
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(127) & 127);
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS | if end { END_STREAM } else { 0 }, STREAM, &block)
}

/// Data of the stream.
#[must_use]
pub fn data(data: &[u8], end: bool) -> Vec<u8> {
    frame(DATA, if end { END_STREAM } else { 0 }, STREAM, data)
}

/// The end of the stream, with an error code.
#[must_use]
pub fn rst_stream(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, STREAM, &code.to_be_bytes())
}

/// The end of the connection, before any stream was looked at.
#[must_use]
pub fn go_away() -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0; 8])
}

/// A request's first words on a connection of its own.
#[must_use]
pub fn request(request: &[(&str, &str)], end: bool) -> Vec<u8> {
    [PREFACE, &settings(), &headers(request, end)].concat()
}

/// A GET request with a request id, on a connection of its own.
#[must_use]
pub fn get(path: &str, id: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
        ("x-request-id", id),
    ];
    request(&fields, true)
}

/// A gRPC response of one message.
fn grpc(message: &[u8]) -> Vec<u8> {
    let head = headers(&[(":status", "200"), ("content-type", "application/grpc")], false);
    let message = crate::grpc::framed(message);
    [head, data(&message, false), headers(&[("grpc-status", "0")], true)].concat()
}

/// A server's name, and the frames that it answers with.
type Answer = (&'static str, fn() -> Vec<u8>);

/// Servers that answer the first request of a connection in their own way.
pub(super) const ANSWERS: &[Answer] = &[
    ("goes-away", go_away),
    ("refuses-the-stream", || rst_stream(7)),
    ("cancels-the-stream", || rst_stream(8)),
    ("resets-with-connect-error", || rst_stream(10)),
    ("resets-without-error", || rst_stream(0)),
    ("says-an-invalid-header", || headers(&[(":status", "200"), ("Upper Case", "a")], false)),
    ("says-less-than-it-promised", || {
        [headers(&[(":status", "200"), ("content-length", "5")], false), data(b"abc", true)]
            .concat()
    }),
    // envoy.service.auth.v3.CheckResponse: status.code PERMISSION_DENIED.
    ("authorizer-that-denies", || grpc(&[0x0a, 2, 0x08, 7])),
    // The same with OK, and a header to be added that is none.
    ("authorizer-that-babbles", || {
        let header = [&[0x0a, 8, 0x0a, 3][..], b"a\nb", &[0x12, 1], b"c"].concat();
        let ok = [&[0x12, 10][..], &header].concat();
        grpc(&[&[0x0a, 0, 0x1a, 12][..], &ok].concat())
    }),
    // envoy.service.ratelimit.v3.RateLimitResponse: overall_code OVER_LIMIT.
    ("limiter-that-limits", || grpc(&[0x08, 2])),
    ("limiter-of-grpc", || grpc(&[0x08, 2])),
    // envoy.service.ext_proc.v3.ProcessingResponse: immediate_response, with status.code 403 and details.
    ("processor-that-answers", || {
        grpc(&[&[0x3a, 20, 0x0a, 3, 0x08, 0x93, 3, 0x2a, 13][..], b"words of zoo."].concat())
    }),
    // The same: request_headers.response.header_mutation.set_headers.header, key a and raw_value b.
    ("processor-that-meddles", || {
        grpc(
            &[
                &[0x0a, 14, 0x0a, 12, 0x12, 10, 0x0a, 8, 0x0a, 6, 0x0a, 1][..],
                b"a",
                &[0x1a, 1],
                b"b",
            ]
            .concat(),
        )
    }),
];

/// A server that answers so when the headers of a request are there.
pub(super) fn peer(answer: Vec<u8>) -> Result<RawServer> {
    let answer = [settings(), answer].concat();
    RawServer::when(move |seen| has_headers(seen).then(|| answer.clone()))
}

/// Have the headers of a request come?
fn has_headers(seen: &[u8]) -> bool {
    let mut rest = seen.strip_prefix(PREFACE).unwrap_or_default();
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        let Some(next) = payload.get(usize::try_from(length).unwrap_or(usize::MAX)..) else {
            return false;
        };
        if *kind == HEADERS {
            return true;
        }
        rest = next;
    }
    false
}
