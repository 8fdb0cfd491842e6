//! The rig: the filter's module, a real Envoy, and a server that fails on purpose.
//!
//! A test builds the module ([`module::build`]), finds an Envoy ([`envoy::find`]), starts a
//! [`mock::Mock`] and a [`proxy::Proxy`] in front of it, sends requests ([`client::Request`]) and
//! reads the records that the filter wrote. Everything is synchronous, binds port 0 on loopback,
//! waits with deadlines and stops when it is dropped.

pub mod browser;
pub mod certs;
pub mod chromium;
pub mod client;
pub mod config;
mod debian;
pub mod envoy;
pub mod envoyfilter;
pub mod grpc;
pub mod hop;
pub mod http2;
pub mod lines;
mod link;
pub mod mesh;
pub mod mock;
pub mod module;
pub mod mount;
pub mod otlp;
pub mod peers;
mod process;
mod program;
pub mod prometheus;
pub mod proxy;
mod python;
pub mod records;
pub mod scenario;
mod streams;
mod tasks;
pub mod versions;
mod wire;
pub mod zoo;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What every fallible function of the lab returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was being done, and why it did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    doing: String,
    reason: String,
}

impl Error {
    /// An error that reads `doing: reason`.
    pub fn new(doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { doing: doing.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.reason)
    }
}

impl std::error::Error for Error {}

/// The root of the workspace that this crate was built in.
#[must_use]
pub fn workspace() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.ancestors().nth(2).unwrap_or(lab).to_path_buf()
}

/// Polls `condition` until it holds.
///
/// # Errors
/// When it does not hold `within` that time; the error names `what` was waited for.
pub fn wait_until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + within;
    while !condition() {
        if Instant::now() >= deadline {
            return Err(Error::new(
                format!("waiting for {what}"),
                format!("not within {within:?}"),
            ));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition that nobody announces is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// Gives any failure the name of what was being done.
pub(crate) trait Doing<T> {
    /// Wraps the error; `doing` is only called for one.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|reason| Error::new(doing(), reason))
    }
}

/// Locks, also after a panic elsewhere: that panic is reported by its own thread.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
