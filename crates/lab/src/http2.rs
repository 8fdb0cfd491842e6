//! An HTTP/2 client with prior knowledge that tells exactly how a stream ended, and its connection.
//!
//! A [`Connection`] carries any number of [`Stream`]s at once; [`Request::send_http2`] makes one of its
//! own. A stream that is dropped is cancelled, a connection that is dropped says goodbye; how to leave
//! without a word is [`Connection::leave`].

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::header::HeaderMap;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};

use crate::client::{Leave, Request, values};
use crate::wire::{self, Control, Cut, Wire};
use crate::{Doing as _, Error, Result, lock, wait_until};

pub use h2::Reason;

/// What came back on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, or 0 when not even the head of a response arrived.
    pub status: u16,
    /// Headers without the pseudo ones, in the order in which each name first came, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Whether the head ended the stream: neither data nor trailers can follow then.
    pub head_only: bool,
    /// The body as far as it arrived.
    pub body: Vec<u8>,
    /// Trailers, in the same order as headers; empty when there were none.
    pub trailers: Vec<(String, String)>,
    /// How the stream ended.
    pub ending: Ending,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All of the response is here.
    Complete,
    /// The peer sent RST_STREAM with this reason.
    Reset(Reason),
    /// The peer sent GOAWAY with this reason, and the stream was not to be served any more.
    GoAway(Reason),
    /// The connection ended with a TCP FIN before the response was complete.
    ConnectionClosed,
    /// The connection ended with a TCP RST before the response was complete.
    ConnectionReset,
    /// Time was up before the response was complete.
    Silent,
}

impl Response {
    /// The values of one header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The values of one trailer, in order.
    #[must_use]
    pub fn trailer_values(&self, name: &str) -> Vec<&str> {
        values(&self.trailers, name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Request {
    /// Sends the request over HTTP/2 on a connection of its own; a `host` header becomes `:authority`.
    ///
    /// # Errors
    /// When the connection cannot be made, or what comes back is not HTTP/2.
    pub fn send_http2(&self, port: u16) -> Result<Response> {
        Connection::open_behind(port, &self.preamble)?.send(self)
    }

    /// Sends the request over HTTP/2, waits until `condition` holds, and cancels the stream. Not a byte
    /// of the response is read; the connection ends in good order behind the RST_STREAM.
    ///
    /// # Errors
    /// When the connection cannot be made, or the condition does not hold `within` the request's time.
    pub fn cancel_http2(&self, port: u16, condition: impl FnMut() -> bool) -> Result<()> {
        let stream = Connection::open_behind(port, &self.preamble)?.start(self)?;
        wait_until(self.within, "the moment to cancel", condition)?;
        stream.cancel();
        Ok(())
    }
}

/// An open connection to a port on loopback. A clone is the same connection.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    port: u16,
    control: Control,
    requests: Option<SendRequest<Bytes>>,
    driver: Mutex<Option<JoinHandle<()>>>,
    runtime: Runtime,
}

/// How long a connection may take to be made, or to say goodbye.
const PATIENCE: Duration = Duration::from_secs(5);

/// Room for every body of a test, so that a stream that nobody reads yet does not stop the others.
const WINDOW: u32 = 16 << 20;

impl Connection {
    /// Connects and sends the preface; what the peer makes of it shows in the first stream.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub fn open(port: u16) -> Result<Self> {
        Self::open_behind(port, &[])
    }

    /// Connects and says something of its own before HTTP/2 begins.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub fn open_behind(port: u16, preamble: &[u8]) -> Result<Self> {
        let doing = || format!("opening an HTTP/2 connection to port {port}");
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http2")
            .enable_all()
            .build()
            .doing(doing)?;
        let control = Control::new();
        let opening = async {
            let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.doing(doing)?;
            socket.set_nodelay(true).doing(doing)?;
            socket.write_all(preamble).await.doing(doing)?;
            let socket = Arc::new(socket);
            let wire = Wire { socket: Arc::clone(&socket), control: control.clone() };
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
            builder.enable_push(false);
            let (requests, connection) = builder.handshake(wire).await.doing(doing)?;
            let driver = tokio::spawn(drive(socket, control.clone(), connection));
            Ok::<_, Error>((requests, driver))
        };
        let opened = runtime.block_on(async { timeout(PATIENCE, opening).await });
        let (requests, driver) = opened.doing(doing)??;
        let (requests, driver) = (Some(requests), Mutex::new(Some(driver)));
        Ok(Self(Arc::new(Inner { port, control, requests, driver, runtime })))
    }

    /// Sends the request and reads the response to its end, whatever that is.
    ///
    /// # Errors
    /// When the connection has ended already, or what comes back is not HTTP/2.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.start(request)?.finish()
    }

    /// Sends all requests at once on this connection; the results are in the same order.
    pub fn send_all(&self, requests: &[Request]) -> Vec<Result<Response>> {
        let streams: Vec<_> = requests.iter().map(|request| self.start(request)).collect();
        streams.into_iter().map(|stream| stream?.finish()).collect()
    }

    /// Sends the request and leaves the response to be read later, or never.
    ///
    /// # Errors
    /// When the connection has ended already, or the request cannot be sent over HTTP/2.
    pub fn start(&self, request: &Request) -> Result<Stream> {
        let Inner { port, runtime, requests, .. } = &*self.0;
        let doing = format!("{} {} over HTTP/2 on port {port}", request.method, request.path);
        let deadline = Instant::now() + request.within;
        let head = head(request, *port).doing(|| doing.clone())?;
        let Some(requests) = requests.clone() else {
            return Err(Error::new(doing, "the connection has been left"));
        };
        let ready = runtime.block_on(async { timeout_at(deadline.into(), requests.ready()).await });
        let mut requests = ready.doing(|| doing.clone())?.doing(|| doing.clone())?;
        let sent = requests.send_request(head, request.body.is_empty());
        let (head, mut upload) = sent.doing(|| doing.clone())?;
        if !request.body.is_empty() {
            // Fails when the stream has ended meanwhile, and then the response tells how.
            let _ = upload.send_data(Bytes::from(request.body.clone()), true);
        }
        let seen = Response {
            status: 0,
            headers: Vec::new(),
            head_only: false,
            body: Vec::new(),
            trailers: Vec::new(),
            ending: Ending::Silent,
        };
        let connection = self.clone();
        Ok(Stream { head: Some(head), rest: None, upload, seen, deadline, doing, connection })
    }

    /// Ends the connection here and now, streams and all, without a word of HTTP/2.
    ///
    /// # Errors
    /// When a peer that was sent a FIN does not close its side within five seconds.
    pub fn leave(&self, leave: Leave) -> Result<()> {
        self.0.control.order(match leave {
            Leave::Close => Cut::Close,
            Leave::Reset => Cut::Reset,
        });
        self.0.wait_for_the_end()
    }
}

impl Inner {
    fn wait_for_the_end(&self) -> Result<()> {
        let Some(driver) = lock(&self.driver).take() else { return Ok(()) };
        let doing = || format!("leaving an HTTP/2 connection to port {}", self.port);
        self.runtime.block_on(async { timeout(PATIENCE, driver).await }).doing(doing)?.doing(doing)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without a stream and without this, h2 has nothing left to do but to say goodbye.
        self.requests = None;
        if let Err(error) = self.wait_for_the_end() {
            eprintln!("{error}");
        }
    }
}

/// Runs the connection until it has ended, by itself or as ordered.
async fn drive(
    socket: Arc<TcpStream>,
    control: Control,
    connection: h2::client::Connection<Wire, Bytes>,
) {
    let cut = tokio::select! {
        biased;
        cut = control.ordered() => Some(cut),
        // How it ended, every stream has been told.
        _ = connection => None,
    };
    if let Some(cut) = cut {
        // Fails when the peer has left first, and then there is nothing left to cut.
        let _ = wire::end(socket, cut).await;
    }
}

/// A request under way. Dropping it cancels it, as [`Stream::cancel`] does.
#[derive(Debug)]
pub struct Stream {
    head: Option<ResponseFuture>,
    rest: Option<RecvStream>,
    upload: SendStream<Bytes>,
    seen: Response,
    deadline: Instant,
    doing: String,
    // The last one: what is above must be gone when the connection says goodbye.
    connection: Connection,
}

impl Stream {
    /// Reads the response to its end.
    ///
    /// # Errors
    /// When what comes back is not HTTP/2.
    pub fn finish(mut self) -> Result<Response> {
        self.read_until(|seen| seen.ending != Ending::Silent)?;
        Ok(self.seen)
    }

    /// Reads until the head of the response is there.
    ///
    /// # Errors
    /// When the stream ends without one, or what comes back is not HTTP/2.
    pub fn wait_for_head(&mut self) -> Result<Response> {
        self.wait_for(|seen| seen.status != 0)
    }

    /// Reads until that many bytes of the body are there.
    ///
    /// # Errors
    /// When the stream ends with fewer, or what comes back is not HTTP/2.
    pub fn wait_for_body(&mut self, length: usize) -> Result<Response> {
        self.wait_for(|seen| seen.body.len() >= length)
    }

    /// Sends RST_STREAM with CANCEL; the connection stays.
    pub fn cancel(mut self) {
        self.upload.send_reset(Reason::CANCEL);
    }

    fn wait_for(&mut self, enough: impl Fn(&Response) -> bool) -> Result<Response> {
        self.read_until(|seen| enough(seen) || seen.ending != Ending::Silent)?;
        if enough(&self.seen) {
            return Ok(self.seen.clone());
        }
        let reason = format!("only this came: {:?}", self.seen);
        Err(Error::new(self.doing.clone(), reason))
    }

    /// Reads until `enough` holds or time is up.
    fn read_until(&mut self, enough: impl Fn(&Response) -> bool) -> Result<()> {
        let connection = self.connection.clone();
        let deadline = self.deadline.into();
        while !enough(&self.seen) {
            let step = async { timeout_at(deadline, self.step()).await };
            match connection.0.runtime.block_on(step) {
                Err(_) => break,
                Ok(Ok(())) => {}
                Ok(Err(reason)) => match ending(&reason) {
                    Some(ending) => self.seen.ending = ending,
                    None => return Err(Error::new(self.doing.clone(), reason)),
                },
            }
        }
        Ok(())
    }

    /// Takes what comes next; dropped in mid-air, it has taken nothing.
    async fn step(&mut self) -> Result<(), h2::Error> {
        if let Some(head) = &mut self.head {
            let (head, rest) = head.await?.into_parts();
            self.head = None;
            self.seen.status = head.status.as_u16();
            self.seen.headers = pairs(&head.headers);
            self.seen.head_only = rest.is_end_stream();
            self.rest = Some(rest);
            return Ok(());
        }
        let Some(rest) = &mut self.rest else { return Ok(()) };
        if let Some(data) = rest.data().await {
            let data = data?;
            rest.flow_control().release_capacity(data.len())?;
            self.seen.body.extend_from_slice(&data);
            return Ok(());
        }
        if let Some(trailers) = rest.trailers().await? {
            self.seen.trailers = pairs(&trailers);
        }
        self.seen.ending = Ending::Complete;
        Ok(())
    }
}

/// How the peer ended a stream with this error; `None` when it broke the protocol.
fn ending(error: &h2::Error) -> Option<Ending> {
    match error.get_io().map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionReset) => return Some(Ending::ConnectionReset),
        // What h2 makes of a FIN.
        Some(ErrorKind::BrokenPipe) => return Some(Ending::ConnectionClosed),
        Some(_) | None => {}
    }
    let reason = error.reason().filter(|_| error.is_remote())?;
    Some(if error.is_reset() { Ending::Reset(reason) } else { Ending::GoAway(reason) })
}

fn head(request: &Request, port: u16) -> Result<hyper::Request<()>, hyper::http::Error> {
    let is_host = |name: &str| name.eq_ignore_ascii_case("host");
    let host = request.headers.iter().find(|(name, _)| is_host(name));
    let authority = host.map_or_else(|| format!("127.0.0.1:{port}"), |(_, host)| host.clone());
    let uri = hyper::Uri::builder().scheme("http").authority(authority);
    let uri = uri.path_and_query(request.path.as_str()).build()?;
    let mut head = hyper::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_host(name)) {
        head = head.header(name, value);
    }
    head.body(())
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let pairs = headers.iter();
    pairs.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}
