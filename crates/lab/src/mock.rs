//! The mock server: one HTTP endpoint per way in which a server fails, on real sockets.
//!
//! HTTP/1.1 and HTTP/2 (prior knowledge) on the same port. What an endpoint does to its connection is
//! done to the real one: a reset is a RST, a close is a FIN. `wire.rs` knows how.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::wire::{self, Control, Cut, Wire};
use crate::{Doing as _, Error, Result, lock};

/// What the mock server answers to; every other path is a 404.
///
/// `?header=NAME:VALUE`, percent-encoded and as often as needed, adds response headers to any answer.
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

/// A running mock server; it stops when it is dropped.
#[derive(Debug)]
pub struct Mock {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<BTreeMap<String, usize>>,
    connections: AtomicUsize,
    panics: Mutex<Vec<String>>,
}

impl Mock {
    /// Starts the server on a free port of loopback.
    ///
    /// # Errors
    /// When there is no free port or no thread.
    pub fn start() -> Result<Self> {
        let doing = || "starting the mock server".to_owned();
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name("mock").enable_all().build();
        let runtime = runtime.doing(doing)?;
        let listener =
            runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).doing(doing)?;
        let port = listener.local_addr().doing(doing)?.port();
        let shared = Arc::new(Shared::default());
        runtime.spawn(accept(listener, Tasks(Arc::clone(&shared))));
        Ok(Self { port, shared, runtime: Some(runtime) })
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests for this path (without a query) have arrived, answered or not.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        lock(&self.shared.requests).get(path).copied().unwrap_or(0)
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Whether the server itself is sound.
    ///
    /// # Errors
    /// When one of its tasks has panicked.
    pub fn check(&self) -> Result<()> {
        match lock(&self.shared.panics).as_slice() {
            [] => Ok(()),
            panics => Err(Error::new("serving as the mock server", panics.join("; "))),
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        if let Err(error) = self.check() {
            eprintln!("{error}");
        }
    }
}

/// Starts tasks and notes when one of them panics: tokio would keep that to itself.
#[derive(Debug, Clone)]
struct Tasks(Arc<Shared>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let task = tokio::spawn(async move { drop(task.await) });
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                lock(&shared.panics).push(error.to_string());
            }
        });
    }
}

async fn accept(listener: TcpListener, tasks: Tasks) {
    loop {
        // A peer that has left before it was accepted is no reason to stop.
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        tasks.0.connections.fetch_add(1, Ordering::SeqCst);
        hyper::rt::Executor::execute(&tasks, connection(socket, tasks.clone()));
    }
}

async fn connection(socket: TcpStream, tasks: Tasks) {
    // Without this, what is written right before a cut could wait for an acknowledgement and be lost.
    let _ = socket.set_nodelay(true);
    let socket = Arc::new(socket);
    let control = Control::new();
    let cut = {
        let wire = Wire { socket: Arc::clone(&socket), control: control.clone() };
        let service = service_fn(|request| answer(request, tasks.clone(), control.clone()));
        let builder = auto::Builder::new(tasks.clone());
        let serving = builder.serve_connection(TokioIo::new(wire), service);
        tokio::select! {
            biased;
            cut = control.ordered() => Some(cut),
            // However a peer leaves is its own affair; the tests look at it from the other side.
            _ = serving => None,
        }
    };
    if let Some(cut) = cut {
        // Fails when the peer has left first, and then there is nothing left to cut.
        let _ = wire::end(socket, cut).await;
    }
}

type Reply = Response<Either<Full<Bytes>, Channel<Bytes>>>;

async fn answer(
    request: Request<Incoming>,
    tasks: Tasks,
    control: Control,
) -> Result<Reply, Infallible> {
    let path = request.uri().path().to_owned();
    *lock(&tasks.0.requests).entry(path.clone()).or_default() += 1;
    let mut reply = respond(&request, &path, &tasks, control).await;
    for (name, value) in extra_headers(request.uri().query().unwrap_or_default()) {
        reply.headers_mut().append(name, value);
    }
    Ok(reply)
}

async fn respond(
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
        ("reset-after-response", [_]) => some_data_then(tasks, control, pause, Cut::Reset),
        ("close-after-response", [_]) => some_data_then(tasks, control, pause, Cut::Close),
        _ => text(StatusCode::NOT_FOUND, "no such endpoint\n"),
    }
}

async fn cut_after(pause: Duration, control: &Control, how: Cut) -> Reply {
    sleep(pause).await;
    control.cut(how).await
}

fn some_data_then(tasks: &Tasks, control: Control, pause: Duration, how: Cut) -> Reply {
    // More than any head, so that the head alone never looks like the data.
    const DATA: &[u8] = &[b'.'; 4096];
    let (mut sender, body): (Sender<Bytes>, _) = Channel::new(1);
    let due = control.written() + DATA.len() as u64;
    hyper::rt::Executor::execute(tasks, async move {
        if sender.send_data(Bytes::from_static(DATA)).await.is_ok() {
            control.wait_for_written(due).await;
            sleep(pause).await;
            // The sender stays alive meanwhile: without it the body would end in good order.
            control.cut(how).await
        }
    });
    Response::new(Either::Right(body))
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
fn extra_headers(query: &str) -> Vec<(HeaderName, HeaderValue)> {
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

fn percent_decoded(text: &str) -> Vec<u8> {
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

    #[test]
    fn a_task_that_panics_is_reported() {
        let mock = Mock::start().unwrap();
        let tasks = Tasks(Arc::clone(&mock.shared));
        let _runtime = mock.runtime.as_ref().unwrap().enter();
        hyper::rt::Executor::execute(&tasks, async { panic!("on purpose") });
        let reported = || mock.check().is_err();
        crate::wait_until(Duration::from_secs(10), "the report", reported).unwrap();
        assert!(mock.check().unwrap_err().to_string().contains("on purpose"));
    }
}
