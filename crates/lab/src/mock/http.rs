//! The HTTP endpoints of the mock server.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::{DATA, Reply, Tasks, cut_after, data_then};
use crate::wire::{Control, Cut};

/// What the mock server answers to; every other path is a 404.
///
/// `?header=NAME:VALUE`, percent-encoded and as often as needed, adds response headers to any answer, to
/// a gRPC method's too.
#[rustfmt::skip]
pub const ENDPOINTS: &[(&str, &str)] = &[
    ("/status/{code}",               "that status, from 200 to 999"),
    ("/delay/{ms}",                  "200 after that time"),
    ("/echo",                        "the request as JSON: method, path, headers as pairs in order"),
    ("/stream/{n}/{ms}",             "200 with n chunks, that time before each"),
    ("/reset-before-response/{ms}",  "a RST after that time, instead of a response"),
    ("/reset-after-response/{ms}",   "the head and some data, a RST after that time"),
    ("/close-before-response/{ms}",  "a FIN after that time, instead of a response"),
    ("/close-after-response/{ms}",   "the head and some data, a FIN after that time"),
    ("/wrong-protocol/{ms}",         "after that time, bytes that are of no protocol"),
];

/// Answers one request, or cuts its connection and never returns.
pub(super) async fn respond(
    request: &Request<Incoming>,
    path: &str,
    tasks: &Tasks,
    control: Control,
) -> Reply {
    let mut segments = path.split('/').skip(1);
    let endpoint = segments.next().unwrap_or_default();
    let numbers: Vec<u64> = segments.map_while(|segment| segment.parse().ok()).collect();
    let pause = Duration::from_millis(numbers.last().copied().unwrap_or(0));
    match (endpoint, numbers.as_slice()) {
        ("status", [code]) => match u16::try_from(*code).map(StatusCode::from_u16) {
            Ok(Ok(status)) if !status.is_informational() => text(status, ""),
            _ => text(StatusCode::NOT_FOUND, "no such status\n"),
        },
        ("delay", [_]) => {
            sleep(pause).await;
            text(StatusCode::OK, "late\n")
        }
        ("echo", []) => echo(request),
        ("stream", [count, _]) => {
            let (mut sender, body) = Channel::new(1);
            let count = *count;
            hyper::rt::Executor::execute(tasks, async move {
                for _ in 0..count {
                    sleep(pause).await;
                    if sender.send_data(Bytes::from_static(b"chunk\n")).await.is_err() {
                        return;
                    }
                }
            });
            Response::new(Either::Right(body))
        }
        ("reset-before-response", [_]) => cut_after(pause, &control, Cut::Reset).await,
        ("close-before-response", [_]) => cut_after(pause, &control, Cut::Close).await,
        ("wrong-protocol", [_]) => cut_after(pause, &control, Cut::Babble).await,
        ("reset-after-response", [_]) => data_then(DATA, tasks, control, pause, Cut::Reset),
        ("close-after-response", [_]) => data_then(DATA, tasks, control, pause, Cut::Close),
        _ => text(StatusCode::NOT_FOUND, "no such endpoint\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(Bytes::from_static(body.as_bytes()))));
    *reply.status_mut() = status;
    reply
}

fn echo(request: &Request<Incoming>) -> Reply {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), text(value))).collect();
    let body = json!({
        "method": request.method().as_str(),
        "path": request.uri().to_string(),
        "headers": headers,
    });
    Response::new(Either::Left(Full::new(Bytes::from(body.to_string()))))
}

/// The `header=NAME:VALUE` pairs of a query. What is not a header is left out.
pub(super) fn extra_headers(query: &str) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = query.split('&').filter_map(|pair| pair.strip_prefix("header="));
    let parse = |pair: &str| {
        let pair = percent_decoded(pair);
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let (name, value) = pair.split_at_checked(colon)?;
        let value = value.get(1..)?;
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    pairs.filter_map(parse).collect()
}

/// The bytes that `%XX` stand for; what only looks like that stays as it is.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                decoded.push(byte);
                decoded.extend(part.bytes().skip(2));
            }
            None => {
                decoded.push(b'%');
                decoded.extend(part.bytes());
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_adds_several_values_of_one_header() {
        let headers = extra_headers("header=via:a&x=y&header=via:%22b%20c%22&header=no");
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("via", &b"a"[..]), ("via", &b"\"b c\""[..])]);
    }
}
