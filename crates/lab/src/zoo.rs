//! The zoo: one Envoy with a way to fail for every row of the judge's tables, kept apart from each other.
//!
//! Here the module is an access logger everywhere, since much of what fails never reaches an HTTP filter. It is
//! mounted by the shipped patches, `envoyfilter.yaml`, so their filters let every failure of the zoo through.
//! `door` is the listener whose routes lead to clusters that fail; what a filter, a setting of the connection
//! manager or a listener does has a listener of its own. A group is a file: its part of the configuration,
//! and the scenarios that use it.

mod cache;
mod content;
mod crash;
mod downstream;
mod far;
mod filters;
pub mod frames;
mod limits;
mod listener;
mod play;
mod quic;
mod request;
mod site;
mod upstream;
mod whole;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::{bootstrap, with};
use crate::envoy::Envoy;
use crate::envoyfilter::Patches;
use crate::mock::Mock;
use crate::module::Module;
use crate::proxy::{Options, Proxy};
use crate::streams::{self, Names};
use crate::{Doing as _, Error, PATIENCE, Result};

use self::far::Far;
pub use self::play::Scenario;
use self::site::{Parts, Peers, Site};

/// The listener whose routes lead to the clusters that fail.
pub(crate) const DOOR: &str = "door";

/// The running zoo. Everything stops when it is dropped.
#[derive(Debug)]
pub struct Zoo {
    /// The proxy.
    pub proxy: Proxy,
    /// The server behind it.
    pub mock: Mock,
    names: Names,
    peers: Peers,
    _far: Far,
    folder: TempDir,
    envoy: Envoy,
    module: Module,
    patches: Patches,
}

/// All scenarios, group by group.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    let groups = [
        request::SCENARIOS,
        filters::SCENARIOS,
        content::SCENARIOS,
        cache::SCENARIOS,
        limits::SCENARIOS,
        upstream::SCENARIOS,
        far::SCENARIOS,
        quic::SCENARIOS,
        listener::SCENARIOS,
        whole::SCENARIOS,
        downstream::SCENARIOS,
    ];
    groups.into_iter().flatten()
}

impl Zoo {
    /// Starts the server, the odd peers and the proxy.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(envoy: &Envoy, module: &Module) -> Result<Self> {
        let mock = Mock::start()?;
        let folder = tempfile::tempdir().doing(|| "making a folder for the zoo".to_owned())?;
        let peers = Peers::start(&mock)?;
        let patches = Patches::shipped(module)?;
        let mut parts = Parts::default();
        let site = Site { envoy, patches: &patches, peers: &peers, folder: folder.path() };
        let builds = [
            request::build,
            filters::build,
            content::build,
            cache::build,
            limits::build,
            upstream::build,
            listener::build,
        ];
        for build in builds {
            build(&site, &mut parts)?;
        }
        let far = Far::start(envoy)?;
        far.build(&mut parts)?;
        let mut bootstrap = bootstrap("client", &parts.listeners(&site)?, &parts.clusters);
        if let Some(resources) = bootstrap.get_mut("static_resources") {
            let secret = json!({ "secret": { "inline_string": "zoo" } });
            let secrets = json!({ "secrets": [{ "name": "secret", "generic_secret": secret }] });
            *resources = with(resources.take(), secrets);
        }
        if let Some(members) = bootstrap.as_object_mut() {
            members.insert(
                "layered_runtime".to_owned(),
                json!({ "layers": [
                { "name": "zoo", "static_layer": parts.runtime },
            ] }),
            );
        }
        let proxy = Proxy::start(envoy, &bootstrap, &Options::default())?;
        let names = Names::new(&[peers.ports(), far.ports()?].concat());
        Ok(Self {
            proxy,
            mock,
            names,
            peers,
            _far: far,
            folder,
            envoy: envoy.clone(),
            module: module.clone(),
            patches,
        })
    }

    /// The Envoy that the proxy is.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    fn site(&self) -> Site<'_> {
        Site {
            envoy: &self.envoy,
            patches: &self.patches,
            peers: &self.peers,
            folder: self.folder.path(),
        }
    }

    /// A record whose volatile facts are replaced by what they stand for.
    fn normal(&self, record: Value) -> Value {
        self.names.normal(record)
    }

    /// The record of the request with that id; `None` when its stream has ended without one.
    ///
    /// # Errors
    /// When the stream does not end, or there are two records of it.
    pub fn record(&self, id: &str) -> Result<Option<Value>> {
        match streams::of(&self.proxy, id, 1)?.as_slice() {
            [] => Ok(None),
            [record] => Ok(Some(self.normal(record.clone()))),
            more => Err(Error::new(format!("reading the record of {id}"), format!("{more:?}"))),
        }
    }

    /// The record of a stream or connection without an id, told by one of its facts.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn record_that_says(&self, key: &str, fact: &str) -> Result<Value> {
        let wanted = |record: &Value| {
            record.get("request_id").is_none()
                && record.get(key).and_then(Value::as_str).is_some_and(|own| own.starts_with(fact))
        };
        let record = self.proxy.wait_for_record(PATIENCE, wanted)?;
        Ok(self.normal(record))
    }
}
