//! A case under way: what is asked, and of how many tries the server's sidecar must tell.

use super::cases::Outcome;
use super::{GRPC, HTTP, Mesh, client};
use crate::client::{Call, Request};
use crate::{PATIENCE, Result, grpc, wait_until};

/// A case under way.
pub(super) struct Play<'a> {
    pub(super) mesh: &'a Mesh,
    key: &'static str,
    asked: Vec<Asked>,
}

/// A request whose records will be looked for.
struct Asked {
    id: String,
    what: String,
    tries: usize,
}

/// How many tries of a request end at the server's sidecar.
pub(super) type Tries = usize;
/// It is stopped at the client's sidecar, or nobody is there.
pub(super) const NEVER: Tries = 0;
/// As a request does that is not retried.
pub(super) const ONCE: Tries = 1;
/// One of three tries was stopped before.
pub(super) const TWICE: Tries = 2;
/// With Istio's two retries.
pub(super) const THRICE: Tries = 3;

impl<'a> Play<'a> {
    pub(super) fn new(mesh: &'a Mesh, key: &'static str) -> Self {
        Self { mesh, key, asked: Vec::new() }
    }

    /// What came of all that was asked.
    pub(super) fn outcomes(self) -> Result<Vec<Outcome>> {
        let outcome = |Asked { id, what, tries }| {
            Ok(Outcome { request: what, records: self.mesh.records(&id, tries)? })
        };
        self.asked.into_iter().map(outcome).collect()
    }

    /// A GET request whose records will be looked for.
    pub(super) fn get(&mut self, tries: Tries, service: &str, path: &str) -> Request {
        let id = self.note(tries, format!("GET {service}{path}"));
        self.mesh.get(&id, service, path)
    }

    /// A gRPC call whose records will be looked for.
    pub(super) fn call(&mut self, tries: Tries, service: &str, call: &grpc::Call) -> grpc::Call {
        let id = self.note(tries, format!("{service}{}", call.request().path));
        self.mesh.call(&id, service, call)
    }

    fn note(&mut self, tries: Tries, what: String) -> String {
        let id = format!("{}-{}", self.key, self.asked.len() + 1);
        self.asked.push(Asked { id: id.clone(), what, tries });
        id
    }

    /// Sends a GET request and waits for whatever comes back.
    pub(super) fn ask(&mut self, tries: Tries, service: &str, path: &str) -> Result<()> {
        self.get(tries, service, path).send(self.http()?).map(drop)
    }

    /// Makes a gRPC call and waits for whatever comes back.
    pub(super) fn invoke(&mut self, tries: Tries, service: &str, call: &grpc::Call) -> Result<()> {
        self.call(tries, service, call).send(self.grpc()?).map(drop)
    }

    pub(super) fn http(&self) -> Result<u16> {
        self.mesh.port(HTTP)
    }

    pub(super) fn grpc(&self) -> Result<u16> {
        self.mesh.port(GRPC)
    }

    /// Waits until the server has the request that was noted last.
    pub(super) fn wait_for_arrival(&self) -> Result<()> {
        let id = self.asked.last().map(|asked| asked.id.as_str()).unwrap_or_default();
        let there = || self.mesh.mock.requests_of(id) > 0;
        wait_until(PATIENCE, &format!("{id} to reach the server"), there)
    }

    /// Sends a GET request that fails as those beside it do, at a time when they notice; it is a means, and
    /// its own records are not looked for.
    pub(super) fn neighbour(&self, port: u16) -> Result<Call> {
        Request::get(client::NEIGHBOUR).header("host", client::BLACK_HOLE).start(port)
    }
}
