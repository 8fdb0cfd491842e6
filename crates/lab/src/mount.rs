//! The shipped access-logger mount, `envoyfilter.yaml`, in a sidecar that is shaped as Istio shapes one.
//!
//! Two differences to a real one: nothing redirects connections here, so a caller names the address that it meant
//! in a PROXY header, and the listener filter that reads it stands where `original_dst` stands; and the gateway is
//! a listener of the same Envoy. A second Envoy calls over TLS. Envoy logs whenever it calls the module, so a
//! scenario tells not only what was recorded but also how often the module was asked.

mod play;
mod sidecar;

use std::sync::Mutex;

use serde_json::{Value, json};

use self::sidecar::{GATEWAY, Ports};
use crate::certs::{Authority, TRUST_DOMAIN};
use crate::client::Request;
use crate::envoy::Envoy;
use crate::envoyfilter::Patches;
use crate::mesh::tls::Identity;
use crate::mock::Mock;
use crate::peers::{RawServer, Refused};
use crate::proxy::{Options, Proxy};
use crate::streams::Names;
use crate::{Error, PATIENCE, Result, lines, lock, wait_until};

pub use self::play::{FAILURES, SUCCESSES, Scenario};

/// What Envoy writes at trace level when it calls the module.
const ENTRY: &str = "[host->vm] ";
/// The same, for the end of a stream.
const LOGGED: &str = "[host->vm] proxy_on_log";

/// The running sidecar, its caller and the servers. Everything stops when it is dropped.
#[derive(Debug)]
pub struct Mounted {
    /// The sidecar.
    pub proxy: Proxy,
    /// The Envoy that it is.
    pub envoy: Envoy,
    /// The server behind it.
    pub mock: Mock,
    caller: Proxy,
    names: Names,
    refused: Refused,
    silent: RawServer,
    _websocket: RawServer,
    /// How often something was watched. Who watches lets nobody else do anything meanwhile.
    turns: Mutex<usize>,
}

/// What a sidecar may have more than the usual.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The port of a web server that is a service of the mesh.
    pub modules: Option<u16>,
    /// An HTTP filter, where Istio puts a WasmPlugin.
    pub filter: Option<Value>,
}

/// What came of something, as far as the module is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Every record that was written, volatile facts replaced.
    pub records: Vec<Value>,
    /// Every call of Envoy into the module.
    pub entries: Vec<String>,
}

impl Mounted {
    /// Starts the servers, the sidecar with these patches, and its caller.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(envoy: &Envoy, patches: &Patches, extras: &Extras) -> Result<Self> {
        let mock = Mock::start()?;
        let refused = Refused::open()?;
        let silent = RawServer::silent()?;
        let switching =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let websocket = RawServer::answering(switching)?;
        let ports = Ports {
            mock: mock.port(),
            grpc: mock.grpc_port(),
            refused: refused.port(),
            silent: silent.port(),
            websocket: websocket.port(),
        };
        let authority = Authority::new(TRUST_DOMAIN)?;
        let own = Identity::new(&authority, "sidecar")?;
        let options =
            Options { component_log_level: Some("wasm:trace".to_owned()), ..Options::default() };
        let proxy =
            Proxy::start(envoy, &sidecar::bootstrap(&ports, &own, patches, extras)?, &options)?;
        let inbound = proxy.port("virtualInbound")?;
        let peer = authority.spiffe_id("default", "sidecar");
        let caller = sidecar::caller(&Identity::new(&authority, "caller")?, &peer, inbound);
        let caller = Proxy::start(envoy, &caller, &Options::default())?;
        let names = Names::new(&[
            (ports.mock, "mock"),
            (ports.grpc, "grpc"),
            (ports.refused, "refused"),
            (ports.silent, "silent"),
            (ports.websocket, "websocket"),
        ]);
        let (_websocket, turns) = (websocket, Mutex::new(0));
        Ok(Self {
            proxy,
            envoy: envoy.clone(),
            mock,
            caller,
            names,
            refused,
            silent,
            _websocket,
            turns,
        })
    }

    /// Plays a scenario and tells what came of it, when it has come to as many records as it should and the
    /// proxy has dealt with everything that happened before.
    ///
    /// # Errors
    /// When it cannot be provoked, or there are fewer records in time.
    pub fn watch(&self, scenario: &Scenario) -> Result<Outcome> {
        self.watch_often(scenario, 1)
    }

    /// The same, for a scenario that is played so many times.
    ///
    /// # Errors
    /// As [`Mounted::watch`].
    pub fn watch_often(&self, scenario: &Scenario, times: usize) -> Result<Outcome> {
        let mut turns = lock(&self.turns);
        *turns += 1;
        let before = self.proxy.log().all().len();
        let since = || self.proxy.log().all().split_off(before);
        let records = |lines: &[String]| -> Result<Vec<Value>> {
            lines.iter().filter_map(|line| lines::record(line).transpose()).collect()
        };
        let scenes = (0..times).map(|_| scenario.play(self)).collect::<Result<Vec<_>>>()?;
        let expected = scenario.causes.len() * times;
        let enough = || records(&since()).is_ok_and(|own| own.len() >= expected);
        wait_until(PATIENCE, &format!("the records of {}", scenario.name), enough)?;
        drop(scenes);
        // One worker does one thing after another: when it has told of a request that comes now, it has nothing
        // left to tell of what was before.
        let last = json!(format!("last-{turns}"));
        let id = last.as_str().unwrap_or_default();
        Request::get("/").header("x-request-id", id).send(self.proxy.port(GATEWAY)?)?;
        let is_last = |record: &Value| record.get("request_id") == Some(&last);
        self.proxy.wait_for_record(PATIENCE, is_last)?;
        let mut lines = since();
        let end = lines.iter().rposition(|line| line.contains(LOGGED));
        let lost = || Error::new(scenario.name, "Envoy logs no call into the module");
        lines.truncate(end.ok_or_else(lost)?);
        let records = records(&lines)?.into_iter().map(|record| self.names.normal(record));
        let records = records.collect();
        lines.retain(|line| line.contains(ENTRY));
        Ok(Outcome { records, entries: lines })
    }
}

impl Outcome {
    /// Whether the records have the causes that the scenario expects, each after one call into the module.
    ///
    /// # Errors
    /// When they have not; the error shows the records.
    pub fn check(&self, scenario: &Scenario) -> Result<()> {
        let causes = self.records.iter().filter_map(|record| record.get("cause")?.as_str());
        let causes: Vec<&str> = causes.collect();
        let logged = self.entries.iter().filter(|line| line.contains(LOGGED)).count();
        if causes == scenario.causes && logged == causes.len() {
            return Ok(());
        }
        let expected = scenario.causes;
        let reason = format!("expected {expected:?}, got {causes:?} and {logged} calls\n{self:#?}");
        Err(Error::new(scenario.name, reason))
    }
}
