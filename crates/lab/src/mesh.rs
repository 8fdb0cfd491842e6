//! A mesh: a caller, the client's sidecar, mTLS, the server's sidecar, and a server that fails on purpose.
//!
//! Both sidecars are real Envoys with what Istio configures: listeners, clusters and routes by its names,
//! SPIFFE identities, its retries. What a case does to a cluster stays there: a service that is ejected or
//! full is another one than `mock-server`, by a name of its own, with the same sidecar behind it.

pub mod cases;
mod client;
mod play;
mod server;
pub(crate) mod tls;

use serde_json::{Value, json};

use crate::certs::{Authority, TRUST_DOMAIN};
use crate::client::Request;
use crate::config::{plugin, wasm_filter};
use crate::envoy::Envoy;
use crate::grpc::Call;
use crate::mock::Mock;
use crate::module::Module;
use crate::peers::{BlackHole, Refused};
use crate::proxy::{self, Proxy};
use crate::streams::{self, Names};
use crate::{PATIENCE, Result, wait_until};

/// The port of every service that HTTP is spoken on.
pub const HTTP: u16 = 8080;
/// The port of every service that gRPC is spoken on.
pub const GRPC: u16 = 9090;

/// What is mounted in which sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The plugin's configuration in the client's sidecar; `None` is a sidecar without the module.
    pub client: Option<String>,
    /// The plugin's configuration in the server's sidecar; `None` is a sidecar without the module.
    pub server: Option<String>,
}

impl Default for Options {
    /// The module in both, with its own defaults.
    fn default() -> Self {
        Self { client: Some(String::new()), server: Some(String::new()) }
    }
}

/// A running mesh. Everything stops when it is dropped.
#[derive(Debug)]
pub struct Mesh {
    /// The client's sidecar: callers talk to it, see [`Mesh::port`].
    pub client: Proxy,
    /// The server's sidecar.
    pub server: Proxy,
    /// The server behind it.
    pub mock: Mock,
    names: Names,
    _black_hole: BlackHole,
    _refused: Refused,
}

/// The records of one request, or of several, on both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sides {
    /// What the client's sidecar wrote.
    pub client: Vec<Value>,
    /// What the server's sidecar wrote: a record for every try that reached it and failed there.
    pub server: Vec<Value>,
}

impl Mesh {
    /// Starts the server, its unreachable neighbours and both sidecars.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(envoy: &Envoy, module: &Module, options: &Options) -> Result<Self> {
        let mock = Mock::start()?;
        let black_hole = BlackHole::open()?;
        let refused = Refused::open()?;
        let authority = Authority::new(TRUST_DOMAIN)?;
        let mount = |configuration: &Option<String>| {
            configuration.as_ref().map(|it| wasm_filter(&plugin(&module.path, it)))
        };
        let own = tls::Identity::new(&authority, server::ACCOUNT)?;
        let bootstrap = server::bootstrap(mount(&options.server).as_ref(), &own, &mock);
        let server = Proxy::start(envoy, &bootstrap, &proxy::Options::default())?;

        let ends = client::Ends {
            http: server.port(server::HTTP)?,
            grpc: server.port(server::GRPC)?,
            black_hole: black_hole.port(),
            refused: refused.port(),
        };
        let own = tls::Identity::new(&authority, client::ACCOUNT)?;
        let peer = authority.spiffe_id("default", server::ACCOUNT);
        let bootstrap = client::bootstrap(mount(&options.client).as_ref(), &own, &peer, ends);
        let client = Proxy::start(envoy, &bootstrap, &proxy::Options::default())?;

        let names = Names::new(&[
            (ends.http, "mock-server-sidecar:8080"),
            (ends.grpc, "mock-server-sidecar:9090"),
            (mock.port(), "mock:8080"),
            (mock.grpc_port(), "mock:9090"),
            (ends.black_hole, "black-hole"),
            (ends.refused, "refused"),
        ]);
        Ok(Self { client, server, mock, names, _black_hole: black_hole, _refused: refused })
    }

    /// The port where the client's sidecar takes what is meant for a service's [`HTTP`] or [`GRPC`] port.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn port(&self, of: u16) -> Result<u16> {
        self.client.port(&client::listener_name(of))
    }

    /// The server's sidecar as a caller without a sidecar sees it: a port for HTTP that takes plain text
    /// too, as a workload does whose PeerAuthentication says PERMISSIVE.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn permissive_port(&self) -> Result<u16> {
        self.server.port(server::PERMISSIVE)
    }

    /// A GET request to a service, with a request id, by which its records are found.
    #[must_use]
    pub fn get(&self, id: &str, service: &str, path: &str) -> Request {
        Request::get(path).header("host", service).header("x-request-id", id)
    }

    /// A gRPC call to a service, with a request id, by which its records are found.
    #[must_use]
    pub fn call(&self, id: &str, service: &str, call: &Call) -> Call {
        call.clone().header("host", service).header("x-request-id", id)
    }

    /// The records of a request that has ended, when `tries` of its tries have ended at the server's
    /// sidecar: 0 if it never got there, several if it was retried.
    ///
    /// # Errors
    /// When the streams do not end in time.
    pub fn records(&self, id: &str, tries: usize) -> Result<Sides> {
        let normal = |records: Vec<Value>| -> Vec<Value> {
            records.into_iter().map(|record| self.names.normal(record)).collect()
        };
        Ok(Sides {
            client: normal(streams::of(&self.client, id, 1)?),
            server: normal(streams::of(&self.server, id, tries)?),
        })
    }

    /// Waits until a request waits for a connection to a service.
    ///
    /// # Errors
    /// When none does in time.
    pub fn wait_for_pending(&self, service: &str, port: u16) -> Result<()> {
        self.wait_for_stat(service, port, "upstream_rq_pending_active")
    }

    /// Waits until outlier detection has ejected the only endpoint of a service. Envoy's main thread
    /// ejects, some time after a worker has seen the last error.
    ///
    /// # Errors
    /// When it has not in time.
    pub fn wait_for_ejection(&self, service: &str, port: u16) -> Result<()> {
        self.wait_for_stat(service, port, "outlier_detection.ejections_active")
    }

    fn wait_for_stat(&self, service: &str, port: u16, stat: &str) -> Result<()> {
        let name = format!("cluster.{}.{stat}", client::cluster_name(service, port));
        let there = || self.client.stat(&name).is_ok_and(|now| now > 0);
        wait_until(PATIENCE, &name, there)
    }

    /// Everything that both sidecars have said, to be printed when a test fails.
    #[must_use]
    pub fn dump_log(&self) -> String {
        format!("client:\n{}server:\n{}", self.client.dump_log(), self.server.dump_log())
    }

    /// Keeps everything running until the user presses Ctrl-C, and prints what the sidecars log meanwhile.
    ///
    /// # Errors
    /// When the interrupt cannot be listened for.
    pub fn follow(mut self) -> Result<()> {
        proxy::follow(&mut [&mut self.client, &mut self.server], |line| println!("{line}"))
    }
}

impl Sides {
    /// The causes on both sides, in order.
    #[must_use]
    pub fn causes(&self) -> [Vec<&str>; 2] {
        [&self.client, &self.server].map(|records| {
            records.iter().filter_map(|record| record.get("cause")?.as_str()).collect()
        })
    }

    /// As it stands in a file; nothing when neither side has a record.
    #[must_use]
    pub fn json(&self) -> Value {
        if self.client.is_empty() && self.server.is_empty() {
            return Value::Null;
        }
        json!({ "client": self.client, "server": self.server })
    }
}
