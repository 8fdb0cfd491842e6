//! The socket below a connection of the lab's own: it counts what has been written and can be cut.
//!
//! Neither hyper nor h2 knows "reset this connection now". So whoever holds the [`Control`] orders the
//! [`Cut`], the connection's task drops the protocol in mid-air, and the socket, which that task still
//! holds, ends the way it was ordered.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How a connection ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// With a RST.
    Reset,
    /// With a FIN.
    Close,
    /// With bytes that are of no protocol; the peer is expected to leave.
    Babble,
}

/// The hold that a handler, or a caller, has on its connection.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cut: watch::Sender<Option<Cut>>,
    written: AtomicU64,
    progress: Notify,
}

impl Control {
    pub(crate) fn new() -> Self {
        let (cut, _) = watch::channel(None);
        Self(Arc::new(Shared { cut, written: AtomicU64::new(0), progress: Notify::new() }))
    }

    /// Cuts the connection. Never returns: the handler goes down with it.
    pub(crate) async fn cut(&self, how: Cut) -> ! {
        self.order(how);
        std::future::pending().await
    }

    /// Orders the cut and does not wait for it.
    pub(crate) fn order(&self, how: Cut) {
        self.0.cut.send_replace(Some(how));
    }

    /// Whether a cut has been ordered.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.borrow().is_some()
    }

    /// The order to cut, once it is given.
    pub(crate) async fn ordered(&self) -> Cut {
        let mut orders = self.0.cut.subscribe();
        loop {
            if let Some(cut) = *orders.borrow_and_update() {
                return cut;
            }
            if orders.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How many bytes the kernel has taken.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::SeqCst)
    }

    /// Waits until the kernel has taken that many bytes.
    pub(crate) async fn wait_for_written(&self, bytes: u64) {
        loop {
            let progress = self.0.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.written() >= bytes {
                return;
            }
            progress.await;
        }
    }

    fn count(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::SeqCst);
        self.0.progress.notify_waiters();
    }
}

/// Ends the socket as ordered. Whatever served on it has been dropped.
pub(crate) async fn end(socket: Arc<TcpStream>, cut: Cut) -> io::Result<()> {
    match cut {
        Cut::Reset => socket.set_zero_linger(),
        Cut::Close => {
            SockRef::from(&*socket).shutdown(Shutdown::Write)?;
            drain(&socket).await
        }
        Cut::Babble => {
            let mut rest: &[u8] = b"\x00\xffthis is no protocol at all\r\n\r\n";
            while !rest.is_empty() {
                socket.writable().await?;
                match socket.try_write(rest) {
                    Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                    Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {}
                    Err(reason) => return Err(reason),
                }
            }
            drain(&socket).await
        }
    }
}

/// Reads until the peer has left: a socket that is dropped with something unread sends a RST, not a
/// FIN. A peer that never leaves has had its FIN by then.
async fn drain(socket: &TcpStream) -> io::Result<()> {
    let rest = async {
        let mut buffer = [0; 4096];
        loop {
            socket.readable().await?;
            match socket.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {}
                Err(reason) => return Err(reason),
            }
        }
    };
    timeout(Duration::from_secs(5), rest).await.unwrap_or(Ok(()))
}

/// What hyper gets: the socket, shared with the task that may have to end it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) control: Control,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.socket.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {}
                Err(reason) => return Poll::Ready(Err(reason)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_write(buffer) {
                Ok(length) => {
                    self.control.count(length);
                    return Poll::Ready(Ok(length));
                }
                Err(reason) if reason.kind() == io::ErrorKind::WouldBlock => {}
                Err(reason) => return Poll::Ready(Err(reason)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.socket).shutdown(Shutdown::Write))
    }
}
