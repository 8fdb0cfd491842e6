//! The mock server: one HTTP endpoint and one gRPC method per way in which a server fails, on real
//! sockets.
//!
//! HTTP/1.1 and HTTP/2 (prior knowledge) on one port, gRPC on another. What an endpoint does to its
//! connection is done to the real one: a reset is a RST, a close is a FIN. `wire.rs` knows how. Here is
//! what serves and counts; `mock/http.rs` and `mock/service.rs` are what is served.

mod http;
#[rustfmt::skip] // It is compared with what prost generates.
pub mod proto;
mod service;

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
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

pub use self::http::ENDPOINTS;
pub(crate) use self::http::percent_decoded;
use crate::wire::{self, Control, Cut, Wire};
use crate::{Doing as _, Result, lock, tasks};

/// A running mock server; it stops when it is dropped.
#[derive(Debug)]
pub struct Mock {
    port: u16,
    grpc_port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<BTreeMap<String, usize>>,
    ids: Mutex<BTreeMap<String, usize>>,
    cancelled: Mutex<BTreeMap<String, usize>>,
    connections: AtomicUsize,
    grpc_connections: AtomicUsize,
    tasks: tasks::Tasks,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    /// HTTP/1.1 and HTTP/2.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
}

impl Mock {
    /// Starts the server on two free ports of loopback.
    ///
    /// # Errors
    /// When there is no free port or no thread.
    pub fn start() -> Result<Self> {
        let doing = || "starting the mock server".to_owned();
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name("mock").enable_all().build();
        let runtime = runtime.doing(doing)?;
        let shared = Arc::new(Shared::default());
        let listen = |protocol| {
            let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
            let port = listener.local_addr()?.port();
            runtime.spawn(accept(listener, protocol, Tasks(Arc::clone(&shared))));
            std::io::Result::Ok(port)
        };
        let port = listen(Protocol::Http).doing(doing)?;
        let grpc_port = listen(Protocol::Grpc).doing(doing)?;
        Ok(Self { port, grpc_port, shared, runtime: Some(runtime) })
    }

    /// The port it serves HTTP on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port it serves gRPC on.
    #[must_use]
    pub fn grpc_port(&self) -> u16 {
        self.grpc_port
    }

    /// How many requests for this path (without a query) have arrived, answered or not. A gRPC method's
    /// path is such as `/mock.MockService/Status`.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        lock(&self.shared.requests).get(path).copied().unwrap_or(0)
    }

    /// How many requests with this `x-request-id` have arrived, answered or not.
    #[must_use]
    pub fn requests_of(&self, id: &str) -> usize {
        lock(&self.shared.ids).get(id).copied().unwrap_or(0)
    }

    /// How many requests for this path were given up by their callers before there was a response: by a
    /// RST_STREAM or with their connection. What the mock server has cut itself does not count.
    #[must_use]
    pub fn cancelled(&self, path: &str) -> usize {
        lock(&self.shared.cancelled).get(path).copied().unwrap_or(0)
    }

    /// How many connections it has accepted on the HTTP port.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections it has accepted on the gRPC port.
    #[must_use]
    pub fn grpc_connections(&self) -> usize {
        self.shared.grpc_connections.load(Ordering::SeqCst)
    }

    /// Whether the server itself is sound.
    ///
    /// # Errors
    /// When one of its tasks has panicked.
    pub fn check(&self) -> Result<()> {
        self.shared.tasks.check("serving as the mock server")
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

/// Starts tasks that know what the server has counted.
#[derive(Debug, Clone)]
struct Tasks(Arc<Shared>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.tasks.execute(task);
    }
}

async fn accept(listener: TcpListener, protocol: Protocol, tasks: Tasks) {
    loop {
        // A peer that has left before it was accepted is no reason to stop.
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let accepted = match protocol {
            Protocol::Http => &tasks.0.connections,
            Protocol::Grpc => &tasks.0.grpc_connections,
        };
        accepted.fetch_add(1, Ordering::SeqCst);
        hyper::rt::Executor::execute(&tasks, connection(socket, protocol, tasks.clone()));
    }
}

async fn connection(socket: TcpStream, protocol: Protocol, tasks: Tasks) {
    // Without this, what is written right before a cut could wait for an acknowledgement and be lost.
    let _ = socket.set_nodelay(true);
    let socket = Arc::new(socket);
    let control = Control::new();
    let cut = {
        let wire = Wire { socket: Arc::clone(&socket), control: control.clone() };
        let service =
            service_fn(|request| answer(request, protocol, tasks.clone(), control.clone()));
        let builder = auto::Builder::new(tasks.clone());
        let builder = match protocol {
            Protocol::Http => builder,
            Protocol::Grpc => builder.http2_only(),
        };
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
    protocol: Protocol,
    tasks: Tasks,
    control: Control,
) -> Result<Reply, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    *lock(&tasks.0.requests).entry(path.clone()).or_default() += 1;
    if let Some(Ok(id)) = request.headers().get("x-request-id").map(HeaderValue::to_str) {
        *lock(&tasks.0.ids).entry(id.to_owned()).or_default() += 1;
    }
    let mut unanswered =
        Unanswered { tasks: tasks.clone(), control: control.clone(), path: Some(path.clone()) };
    let mut reply = match protocol {
        Protocol::Http => http::respond(&request, &path, &tasks, control).await,
        Protocol::Grpc => service::respond(request, &path, &tasks, control).await,
    };
    for (name, value) in http::extra_headers(&query) {
        reply.headers_mut().append(name, value);
    }
    unanswered.path = None;
    Ok(reply)
}

/// A request without a response: when hyper drops it in that state, its caller has given it up.
struct Unanswered {
    tasks: Tasks,
    control: Control,
    path: Option<String>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && !self.control.is_cut()
        {
            *lock(&self.tasks.0.cancelled).entry(path).or_default() += 1;
        }
    }
}

async fn cut_after(pause: Duration, control: &Control, how: Cut) -> Reply {
    sleep(pause).await;
    control.cut(how).await
}

/// More than any head, so that the head alone never looks like the data.
const DATA: Bytes = Bytes::from_static(&[b'.'; 4096]);

fn data_then(data: Bytes, tasks: &Tasks, control: Control, pause: Duration, how: Cut) -> Reply {
    let (mut sender, body): (Sender<Bytes>, _) = Channel::new(1);
    let due = control.written() + data.len() as u64;
    hyper::rt::Executor::execute(tasks, async move {
        if sender.send_data(data).await.is_ok() {
            control.wait_for_written(due).await;
            sleep(pause).await;
            // The sender stays alive meanwhile: without it the body would end in good order.
            control.cut(how).await
        }
    });
    Response::new(Either::Right(body))
}

#[cfg(test)]
mod tests {
    use super::*;

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
