//! Peers that are not servers: one that nobody reaches, one that refuses, one that answers in plain
//! bytes or not at all. Nothing here needs privileges or leaves loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::client::Leave;
use crate::{Doing as _, Error, Result, lock};

/// A port whose SYNs are dropped: a listener that never accepts, with its accept queue full.
#[derive(Debug)]
pub struct BlackHole {
    port: u16,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens the port, fills its queue, and has seen a connect hang before it returns.
    ///
    /// # Errors
    /// When the queue cannot be filled.
    pub fn open() -> Result<Self> {
        const DOING: &str = "opening a black hole";
        let listener = bind().doing(|| DOING.to_owned())?;
        listener.listen(0).doing(|| DOING.to_owned())?;
        let port = port_of(&listener)?;
        let mut queue = Vec::new();
        // Linux takes one more than the backlog; other systems a few more.
        while queue.len() < 64 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match TcpStream::connect_timeout(&address, Duration::from_millis(150)) {
                Ok(connection) => queue.push(connection),
                Err(reason) if reason.kind() == std::io::ErrorKind::TimedOut => {
                    return Ok(Self { port, _listener: listener, _queue: queue });
                }
                Err(reason) => return Err(Error::new(DOING, reason)),
            }
        }
        Err(Error::new(DOING, "its queue never fills up"))
    }

    /// The port that nobody reaches.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A port that refuses: bound, so that nobody else takes it, and not listening.
#[derive(Debug)]
pub struct Refused {
    port: u16,
    _socket: Socket,
}

impl Refused {
    /// Takes a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn open() -> Result<Self> {
        let socket = bind().doing(|| "taking a port that refuses".to_owned())?;
        Ok(Self { port: port_of(&socket)?, _socket: socket })
    }

    /// The port that refuses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A TCP server that answers the first bytes of each connection in its own way, then listens in
/// silence until the peer leaves, or leaves first.
#[derive(Debug)]
pub struct RawServer {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    connections: AtomicUsize,
    open: Mutex<Vec<(Weak<TcpStream>, JoinHandle<()>)>>,
}

/// What it makes of all that has come so far; `None` is to wait for more.
type Answer = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

impl RawServer {
    /// Answers the first bytes with what `answer` makes of them; nothing is an answer too.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Result<Self> {
        Self::serve(move |seen| Some(answer(seen)), None)
    }

    /// Answers when `answer` makes something of all that has come so far, once.
    ///
    /// # Errors
    /// When no port is free.
    pub fn when(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Result<Self> {
        Self::serve(answer, None)
    }

    /// Answers the first bytes with these, and leaves.
    ///
    /// # Errors
    /// When no port is free.
    pub fn leaving(bytes: impl Into<Vec<u8>>, leave: Leave) -> Result<Self> {
        let bytes = bytes.into();
        Self::serve(move |_| Some(bytes.clone()), Some(leave))
    }

    fn serve(
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
        leave: Option<Leave>,
    ) -> Result<Self> {
        let doing = || "starting a raw server".to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(doing)?;
        let port = listener.local_addr().doing(doing)?.port();
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &(Arc::new(answer) as Arc<Answer>), leave)
        });
        Ok(Self { port, shared, accepting: Some(accepting) })
    }

    /// Answers with these bytes, whatever it is asked: TLS to it meets plain text.
    ///
    /// # Errors
    /// When no port is free.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        Self::start(move |_| bytes.clone())
    }

    /// Accepts and never says a word.
    ///
    /// # Errors
    /// When no port is free.
    pub fn silent() -> Result<Self> {
        Self::start(|_| Vec::new())
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Stops the server.
    ///
    /// # Errors
    /// When its answer has panicked.
    pub fn check(mut self) -> Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let mut sound = true;
        if let Some(accepting) = self.accepting.take() {
            // Only a connection wakes a thread that waits for one.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            sound &= accepting.join().is_ok();
        }
        let open = std::mem::take(&mut *lock(&self.shared.open));
        for (socket, thread) in open {
            if let Some(socket) = socket.upgrade() {
                // Fails only for a connection that the peer has ended.
                let _ = socket.shutdown(Shutdown::Both);
            }
            sound &= thread.join().is_ok();
        }
        let panicked = || Error::new("serving raw bytes", "a thread panicked");
        if sound { Ok(()) } else { Err(panicked()) }
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error}");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Shared, answer: &Arc<Answer>, leave: Option<Leave>) {
    while let Ok((socket, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // The thread owns the socket, which ends with it, also when it panics.
        let socket = Arc::new(socket);
        let handle = Arc::downgrade(&socket);
        let answer = Arc::clone(answer);
        let thread = thread::spawn(move || converse(&socket, &*answer, leave));
        lock(&shared.open).push((handle, thread));
    }
}

fn converse(mut socket: &TcpStream, answer: &Answer, leave: Option<Leave>) {
    let mut buffer = [0; 16 * 1024];
    let mut seen = Vec::new();
    let mut answered = false;
    while let Ok(length) = socket.read(&mut buffer) {
        if length == 0 {
            break;
        }
        seen.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if !answered && let Some(reply) = answer(&seen) {
            answered = true;
            // What fails from here on fails only when the peer has left first.
            let gone = match (socket.write_all(&reply), leave) {
                (Err(_), _) => true,
                (Ok(()), Some(Leave::Reset)) => {
                    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
                    true
                }
                (Ok(()), Some(Leave::Close)) => socket.shutdown(Shutdown::Write).is_err(),
                (Ok(()), None) => false,
            };
            if gone {
                break;
            }
        }
    }
}

fn bind() -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

fn port_of(socket: &Socket) -> Result<u16> {
    let doing = || "looking up a socket's port".to_owned();
    let address = socket.local_addr().doing(doing)?;
    address.as_socket().map(|it| it.port()).ok_or_else(|| Error::new(doing(), "it has none"))
}
