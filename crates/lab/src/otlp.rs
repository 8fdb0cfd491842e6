//! A receiver of OTLP logs: a real server, HTTP/1.1 and HTTP/2 (prior knowledge) on one port, that takes JSON,
//! protobuf and gRPC, and can be told while it runs how to behave, as collectors do on a bad day.
//!
//! It keeps every body as it came. [`check`] says whether a body is OTLP in JSON and what is in it; [`decode`]
//! reads what is in protobuf.

mod check;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::rt::Executor as _;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message as _;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

pub use self::check::{Log, check, decode};
use crate::tasks::Tasks;
use crate::wire::{self, Control, Cut, Wire};
use crate::{Doing as _, Error, Result, grpc, lock};

/// The path that logs are sent to over HTTP.
pub const PATH: &str = "/v1/logs";

/// The path that logs are sent to over gRPC.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// gRPC's status for what may work later.
const UNAVAILABLE: u32 = 14;

/// How a request is written, and its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// OTLP/HTTP in JSON.
    Json,
    /// OTLP/HTTP in protobuf.
    Protobuf,
    /// OTLP/gRPC.
    Grpc,
}

impl Encoding {
    fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => HeaderValue::from_static("application/json"),
            Self::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Self::Grpc => grpc::CONTENT,
        }
    }
}

/// How the receiver answers a request that is in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// 200: all records are taken.
    #[default]
    Accept,
    /// 200: all but so many records are taken.
    Partial(u64),
    /// As [`Behaviour::Accept`], after that time.
    Late(Duration),
    /// This status, with this `Retry-After` as it stands here; see [`http_date`]. gRPC has its UNAVAILABLE
    /// instead.
    Status(u16, Option<String>),
    /// 200 and a part of the body that was announced, then a FIN.
    CutShort,
    /// Bytes that are of no protocol.
    Babble,
    /// 200 with a body that is not JSON.
    NoJson,
}

impl Behaviour {
    /// Whether a sender may take the records for delivered (but for those of [`Behaviour::Partial`]).
    #[must_use]
    pub fn delivers(&self) -> bool {
        match self {
            Self::Accept | Self::Partial(_) | Self::Late(_) | Self::NoJson => true,
            Self::Status(..) | Self::CutShort | Self::Babble => false,
        }
    }
}

/// A request that was in order, and how it was answered.
#[derive(Debug, Clone)]
pub struct Try {
    /// When its body was there in full.
    pub at: Instant,
    /// How it was answered, or is being answered.
    pub answer: Behaviour,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// How it is written.
    pub encoding: Encoding,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came, over gRPC the message.
    pub body: Bytes,
}

/// A running receiver; it stops when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    running: Mutex<Option<Runtime>>,
    /// Bound and not listening: the port stays ours while the receiver is dead.
    _reservation: Socket,
}

#[derive(Debug, Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    tries: Mutex<Vec<Try>>,
    more: Condvar,
    mistakes: Mutex<Vec<String>>,
    tasks: Tasks,
}

impl Receiver {
    /// Starts the receiver on a free port of loopback; it accepts everything.
    ///
    /// # Errors
    /// When there is no free port or no thread.
    pub fn start() -> Result<Self> {
        let reservation = bind(0).doing(doing)?;
        let address = reservation.local_addr().doing(doing)?.as_socket();
        let port = address.map(|it| it.port()).ok_or_else(|| Error::new(doing(), "no port"))?;
        let receiver = Self {
            port,
            shared: Arc::default(),
            running: Mutex::default(),
            _reservation: reservation,
        };
        receiver.revive()?;
        Ok(receiver)
    }

    /// The port it listens on, also after it has died.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Behaves like this from the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// Dies: ends every connection and refuses new ones. A request under way is not answered any more.
    pub fn die(&self) {
        if let Some(runtime) = lock(&self.running).take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again, on the same port; nothing when it is alive.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn revive(&self) -> Result<()> {
        let mut running = lock(&self.running);
        if running.is_some() {
            return Ok(());
        }
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("otlp").enable_all().build();
        let runtime = runtime.doing(doing)?;
        let socket = bind(self.port).doing(doing)?;
        socket.listen(1024).doing(doing)?;
        socket.set_nonblocking(true).doing(doing)?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(socket.into()).doing(doing)?
        };
        runtime.spawn(accept(listener, Arc::clone(&self.shared)));
        *running = Some(runtime);
        Ok(())
    }

    /// The requests so far, those that were refused too.
    #[must_use]
    pub fn tries(&self) -> Vec<Try> {
        lock(&self.shared.tries).clone()
    }

    /// The bodies that a sender may take for delivered, in the order of their arrival.
    #[must_use]
    pub fn delivered(&self) -> Vec<Bytes> {
        let tries = self.tries().into_iter();
        tries.filter(|it| it.answer.delivers()).map(|it| it.body).collect()
    }

    /// How long after each request the next one came.
    #[must_use]
    pub fn pauses(&self) -> Vec<Duration> {
        let tries = self.tries();
        let pairs = tries.iter().zip(tries.iter().skip(1));
        pairs.map(|(one, next)| next.at.duration_since(one.at)).collect()
    }

    /// Waits until that many requests have come and returns all.
    ///
    /// # Errors
    /// When there are fewer `within` that time.
    pub fn wait_for(&self, within: Duration, count: usize) -> Result<Vec<Try>> {
        let deadline = Instant::now() + within;
        let mut tries = lock(&self.shared.tries);
        while tries.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("{} within {within:?}, not {count}", tries.len());
                return Err(Error::new("waiting for OTLP requests", reason));
            }
            let waited = self.shared.more.wait_timeout(tries, left);
            tries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(tries.clone())
    }

    /// Whether every request was in order and the receiver is sound.
    ///
    /// # Errors
    /// When somebody asked for something else than to take logs, or a task has panicked.
    pub fn check(&self) -> Result<()> {
        if let Some(mistake) = lock(&self.shared.mistakes).first() {
            return Err(Error::new("receiving OTLP", mistake));
        }
        self.shared.tasks.check("receiving OTLP")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.die();
        if let Err(error) = self.check() {
            eprintln!("{error}");
        }
    }
}

/// A `Retry-After` that names the time that far from now. HTTP knows whole seconds only, so it is up to a
/// second less.
#[must_use]
pub fn http_date(from_now: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + from_now)
}

fn doing() -> String {
    "starting an OTLP receiver".to_owned()
}

/// A socket on that port of loopback. Two may be bound to one port as long as only one of them listens.
fn bind(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // A peer that has left before it was accepted is no reason to stop.
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        shared.tasks.execute(connection(socket, Arc::clone(&shared)));
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let socket = Arc::new(socket);
    let control = Control::new();
    let cut = {
        let wire = Wire { socket: Arc::clone(&socket), control: control.clone() };
        let service = service_fn(|request| answer(request, Arc::clone(&shared), control.clone()));
        let builder = auto::Builder::new(shared.tasks.clone());
        let serving = builder.serve_connection(TokioIo::new(wire), service);
        tokio::select! {
            biased;
            cut = control.ordered() => Some(cut),
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
    shared: Arc<Shared>,
    control: Control,
) -> Result<Reply, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let refuse = |status, reason: &str| {
        lock(&shared.mistakes).push(format!("{line}: {reason}"));
        Ok(reply(status, Encoding::Json, json!({ "message": reason }).to_string()))
    };
    let encoding = match encoding(&request) {
        Ok(encoding) => encoding,
        Err((status, reason)) => return refuse(status, reason),
    };
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        // The sender has left in the middle of its body: hyper drops this in a moment.
        return std::future::pending().await;
    };
    let mut body = body.to_bytes();
    if encoding == Encoding::Grpc {
        match grpc::unframed(&body).as_deref() {
            Ok([message]) => body = body.slice_ref(message),
            _ => return refuse(StatusCode::BAD_REQUEST, "not one message"),
        }
    }
    let behaviour = lock(&shared.behaviour).clone();
    lock(&shared.tries).push(Try {
        at: Instant::now(),
        answer: behaviour.clone(),
        version: head.version,
        encoding,
        headers: head.headers,
        body,
    });
    shared.more.notify_all();
    Ok(match behaviour {
        Behaviour::Accept => taken(encoding, 0),
        Behaviour::Late(pause) => {
            sleep(pause).await;
            taken(encoding, 0)
        }
        Behaviour::Partial(rejected) => taken(encoding, rejected),
        Behaviour::Status(..) if encoding == Encoding::Grpc => {
            let mut reply = reply(StatusCode::OK, encoding, "");
            reply.headers_mut().insert(grpc::STATUS, HeaderValue::from(UNAVAILABLE));
            reply
        }
        Behaviour::Status(code, retry_after) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let reason = json!({ "message": "on purpose" }).to_string();
            let mut reply = reply(status, Encoding::Json, reason);
            if let Some(Ok(after)) = retry_after.as_deref().map(HeaderValue::from_str) {
                reply.headers_mut().insert(RETRY_AFTER, after);
            }
            reply
        }
        Behaviour::NoJson => reply(StatusCode::OK, encoding, "\u{1}this is no JSON"),
        Behaviour::CutShort => cut_short(&shared, encoding, control),
        Behaviour::Babble => control.cut(Cut::Babble).await,
    })
}

/// How a request is written, or what a real receiver says of it without reading on.
fn encoding(request: &Request<Incoming>) -> Result<Encoding, (StatusCode, &'static str)> {
    let kind = request.headers().get(CONTENT_TYPE);
    let (path, of) = match request.uri().path() {
        PATH => (PATH, &[Encoding::Json, Encoding::Protobuf][..]),
        GRPC_PATH => (GRPC_PATH, &[Encoding::Grpc][..]),
        _ => return Err((StatusCode::NOT_FOUND, "not the path of logs")),
    };
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "not a POST"));
    }
    let known = of.iter().find(|encoding| kind == Some(&encoding.content_type()));
    let unknown = if path == PATH { "neither JSON nor protobuf" } else { "not gRPC" };
    known.copied().ok_or((StatusCode::UNSUPPORTED_MEDIA_TYPE, unknown))
}

fn reply(status: StatusCode, encoding: Encoding, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(body.into())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
    reply
}

/// All records are taken but so many.
fn taken(encoding: Encoding, rejected: u64) -> Reply {
    let said = "on purpose";
    let partial = ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: said.to_owned(),
    };
    let partial_success = (rejected > 0).then_some(partial);
    let message = ExportLogsServiceResponse { partial_success }.encode_to_vec();
    match encoding {
        Encoding::Json if rejected == 0 => reply(StatusCode::OK, encoding, "{}"),
        Encoding::Json => {
            let partial =
                json!({ "rejectedLogRecords": rejected.to_string(), "errorMessage": said });
            reply(StatusCode::OK, encoding, json!({ "partialSuccess": partial }).to_string())
        }
        Encoding::Protobuf => reply(StatusCode::OK, encoding, message),
        Encoding::Grpc => {
            let (mut sender, body) = Channel::new(2);
            let status = HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from(0))]);
            let message = Frame::data(Bytes::from(grpc::framed(&message)));
            for frame in [message, Frame::trailers(status)] {
                // There is room for both, and the other end is right here.
                let _ = sender.try_send(frame);
            }
            let mut reply = Response::new(Either::Right(body));
            reply.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
            reply
        }
    }
}

/// Announces twice as much as it sends.
fn cut_short(shared: &Shared, encoding: Encoding, control: Control) -> Reply {
    // More than any head, so that the head alone never looks like the data.
    const DATA: Bytes = Bytes::from_static(&[b'{'; 4096]);
    let (mut sender, body) = Channel::new(1);
    let due = control.written() + DATA.len() as u64;
    shared.tasks.execute(async move {
        if sender.send_data(DATA).await.is_ok() {
            control.wait_for_written(due).await;
            // The sender stays alive meanwhile: without it the body would end in good order.
            control.cut(Cut::Close).await
        }
    });
    let mut reply = Response::new(Either::Right(body));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, encoding.content_type());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(2 * DATA.len()));
    reply
}
