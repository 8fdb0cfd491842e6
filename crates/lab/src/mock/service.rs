//! The gRPC service `mock.MockService`: what `proto/mock.proto` promises, by hand over hyper.
//!
//! A method that cuts its connection needs the socket, which no gRPC library hands out; what is left
//! of gRPC is five bytes before each message and a status at the end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use prost::Message;
use tokio::time::sleep;

use super::{DATA, Reply, Tasks, cut_after, data_then, proto};
use crate::grpc::{self, CONTENT, SERVICE};
use crate::wire::{Control, Cut};

/// Statuses of gRPC's own that the service answers with unasked.
const INVALID_ARGUMENT: u32 = 3;
const UNIMPLEMENTED: u32 = 12;

/// Answers one call, or cuts its connection and never returns.
pub(super) async fn respond(
    request: Request<Incoming>,
    path: &str,
    tasks: &Tasks,
    control: Control,
) -> Reply {
    let Ok(body) = request.into_body().collect().await else {
        // The caller has left in the middle of its message: hyper drops this in a moment.
        return std::future::pending().await;
    };
    let body = body.to_bytes();
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE));
    let method = method.and_then(|path| path.strip_prefix('/')).unwrap_or_default();
    match call(method, &body, tasks, control).await {
        Ok(reply) => reply,
        Err(reason) => early(INVALID_ARGUMENT, &reason),
    }
}

async fn call(method: &str, body: &[u8], tasks: &Tasks, control: Control) -> Result<Reply, String> {
    if method == "Status" {
        let request: proto::StatusRequest = only_message(body)?;
        return Ok(match request {
            proto::StatusRequest { code: 0, .. } => ok("ok"),
            proto::StatusRequest { code, after_headers: true } => late(None, code, "on purpose"),
            proto::StatusRequest { code, after_headers: false } => early(code, "on purpose"),
        });
    }
    let pause = || {
        let request: proto::PauseRequest = only_message(body)?;
        Ok::<_, String>(Duration::from_millis(request.milliseconds))
    };
    let message = || {
        let text = String::from_utf8_lossy(&DATA).into_owned();
        Bytes::from(grpc::framed(&proto::Reply { text }.encode_to_vec()))
    };
    let mut reply = match method {
        "Delay" => {
            sleep(pause()?).await;
            return Ok(ok("late"));
        }
        "ResetBeforeResponse" => cut_after(pause()?, &control, Cut::Reset).await,
        "CloseBeforeResponse" => cut_after(pause()?, &control, Cut::Close).await,
        "WrongProtocol" => cut_after(pause()?, &control, Cut::Babble).await,
        "ResetAfterResponse" => data_then(message(), tasks, control, pause()?, Cut::Reset),
        "CloseAfterResponse" => data_then(message(), tasks, control, pause()?, Cut::Close),
        _ => return Ok(early(UNIMPLEMENTED, "no such method")),
    };
    reply.headers_mut().insert(CONTENT_TYPE, CONTENT);
    Ok(reply)
}

fn only_message<M: Message + Default>(body: &[u8]) -> Result<M, String> {
    match grpc::unframed(body)?.as_slice() {
        [message] => M::decode(*message).map_err(|reason| reason.to_string()),
        messages => Err(format!("one message, please, not {}", messages.len())),
    }
}

/// One message and the status 0.
fn ok(text: &str) -> Reply {
    late(Some(proto::Reply { text: text.to_owned() }), 0, "")
}

/// The status in trailers behind the headers and a message, if there is one.
fn late(message: Option<proto::Reply>, code: u32, reason: &str) -> Reply {
    let (mut sender, body) = Channel::new(2);
    let message = message.map(|message| grpc::framed(&message.encode_to_vec()));
    let message = message.map(|message| Frame::data(Bytes::from(message)));
    for frame in message.into_iter().chain([Frame::trailers(status(code, reason))]) {
        // There is room for both, and the other end is right here.
        let _ = sender.try_send(frame);
    }
    let mut reply = Response::new(Either::Right(body));
    reply.headers_mut().insert(CONTENT_TYPE, CONTENT);
    reply
}

/// The status in the headers, which end the stream.
fn early(code: u32, reason: &str) -> Reply {
    let mut reply = Response::new(Either::Left(Full::default()));
    *reply.headers_mut() = status(code, reason);
    reply.headers_mut().insert(CONTENT_TYPE, CONTENT);
    reply
}

fn status(code: u32, reason: &str) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from(code))]);
    if let Ok(reason) = HeaderValue::from_str(reason)
        && !reason.is_empty()
    {
        headers.insert(grpc::MESSAGE, reason);
    }
    headers
}
