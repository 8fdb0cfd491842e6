//! What the groups build with: the peers that they lead to, and the parts of one bootstrap.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{DOOR, frames};
use crate::client::Leave;
use crate::config::{cluster, extension, http, http2, listener, route, with};
use crate::envoy::Envoy;
use crate::envoyfilter::{Context, Patches};
use crate::mock::Mock;
use crate::peers::{BlackHole, RawServer, Refused};
use crate::streams;
use crate::versions::Since;
use crate::{Doing as _, Error, Result};

/// The servers, by the names that records call them.
#[derive(Debug)]
pub(super) struct Peers {
    mock: u16,
    black_hole: BlackHole,
    refused: Refused,
    silent_resolver: UdpSocket,
    raw: BTreeMap<&'static str, RawServer>,
}

impl Peers {
    pub(super) fn start(mock: &Mock) -> Result<Self> {
        let mut raw = BTreeMap::new();
        for (name, answer) in frames::ANSWERS {
            raw.insert(*name, frames::peer(answer())?);
        }
        for (name, answer) in super::upstream::ANSWERS {
            raw.insert(*name, RawServer::answering(*answer)?);
        }
        for (name, bytes) in super::cache::CUT {
            raw.insert(*name, RawServer::leaving(*bytes, Leave::Close)?);
        }
        raw.insert("resets-at-once", RawServer::leaving("", Leave::Reset)?);
        raw.insert("silent", RawServer::silent()?);
        let (black_hole, refused) = (BlackHole::open()?, Refused::open()?);
        let silent_resolver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).doing(resolving)?;
        Ok(Self { mock: mock.port(), black_hole, refused, silent_resolver, raw })
    }

    /// The port of a resolver of names that never answers.
    pub(super) fn silent_resolver(&self) -> Result<u16> {
        Ok(self.silent_resolver.local_addr().doing(resolving)?.port())
    }

    /// Their ports, and the names that records call them.
    pub(super) fn ports(&self) -> Vec<(u16, &'static str)> {
        let mut ports = vec![
            (self.mock, "mock"),
            (self.black_hole.port(), "black-hole"),
            (self.refused.port(), "refused"),
        ];
        ports.extend(self.raw.iter().map(|(name, server)| (server.port(), *name)));
        ports
    }
}

fn resolving() -> String {
    "opening the port of a resolver of names".to_owned()
}

/// Where the parts are put together.
pub(super) struct Site<'a> {
    pub(super) envoy: &'a Envoy,
    pub(super) patches: &'a Patches,
    pub(super) peers: &'a Peers,
    /// For files that the configuration names.
    pub(super) folder: &'a Path,
}

/// The parts of the bootstrap that the groups have made.
#[derive(Default)]
pub(super) struct Parts {
    listeners: Vec<Value>,
    routes: Vec<Value>,
    pub(super) clusters: Vec<Value>,
    pub(super) runtime: Map<String, Value>,
}

impl Site<'_> {
    /// A listener with one connection manager.
    pub(super) fn listener(&self, name: &str, http: Value) -> Value {
        listener(name, "OUTBOUND", http)
    }

    /// The listener with the module where the shipped patches mount it, and behind it what tells that a stream
    /// has ended.
    pub(super) fn patched(&self, listener: Value) -> Result<Value> {
        let inbound = listener.get("traffic_direction").is_some_and(|own| own == "INBOUND");
        let context = if inbound { Context::SidecarInbound } else { Context::SidecarOutbound };
        self.patches.apply(context, listener).map(streams::watched)
    }

    /// Whether the Envoy to be configured has this.
    pub(super) fn has(&self, since: Since) -> bool {
        self.envoy.is_since(since.version)
    }

    /// A cluster whose one endpoint is this peer.
    pub(super) fn cluster_of(&self, name: &str, peer: &str) -> Result<Value> {
        let ports = self.peers.ports();
        let port = ports.iter().find(|(_, own)| *own == peer);
        let missing = || Error::new(format!("looking for the peer {peer}"), "there is none");
        Ok(cluster(name, &[port.ok_or_else(missing)?.0]))
    }
}

impl Parts {
    /// A listener that sends everything to the server behind these filters; `members` are its connection
    /// manager's.
    pub(super) fn gate(&mut self, site: &Site<'_>, name: &str, filters: &[Value], members: Value) {
        let http = with(http(&[to_the_server()], filters), members);
        self.listeners.push(site.listener(name, http));
    }

    /// A listener with these routes behind one filter.
    pub(super) fn gate_to(&mut self, site: &Site<'_>, name: &str, filter: Value, routes: &[Value]) {
        self.listeners.push(site.listener(name, http(routes, &[filter])));
    }

    /// A listener as it is.
    pub(super) fn listener(&mut self, listener: Value) {
        self.listeners.push(listener);
    }

    /// A cluster, and a route of the door to it under its name.
    pub(super) fn way(&mut self, cluster: Value) {
        self.way_with(cluster, json!({}));
    }

    /// A cluster, and a route of the door to it under its name, with these members of the route's action.
    pub(super) fn way_with(&mut self, cluster: Value, action: Value) {
        let name = cluster.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.clusters.push(cluster);
        self.route(&name, &name, action);
    }

    /// A route of the door to a cluster, with these members of its action.
    pub(super) fn route(&mut self, prefix: &str, cluster: &str, action: Value) {
        let mut route = route("default", &format!("/{prefix}"), cluster);
        if let Some(own) = route.get_mut("route") {
            *own = with(own.take(), action);
        }
        self.routes.push(route);
    }

    /// A setting of the runtime.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.runtime.insert(key.to_owned(), value);
    }

    /// All listeners, the door included, with the module.
    pub(super) fn listeners(&self, site: &Site<'_>) -> Result<Vec<Value>> {
        let door = site.listener(DOOR, http(&self.routes, &[]));
        let listeners = self.listeners.iter().cloned().chain([door]);
        listeners.map(|listener| site.patched(listener)).collect()
    }
}

/// The route of a listener that has nothing but the server behind it.
pub(super) fn to_the_server() -> Value {
    everything_to("mock")
}

/// The route of a listener with one cluster behind it.
pub(super) fn everything_to(cluster: &str) -> Value {
    json!({
        "name": "default",
        "match": { "prefix": "/" },
        "route": { "cluster": cluster, "timeout": "60s" },
    })
}

/// A filter that Envoy has under `envoy.filters.http.`.
pub(super) fn filter(name: &str, message: &str, members: Value) -> Value {
    let kind = format!("extensions.filters.http.{name}.v3.{message}");
    extension(&format!("envoy.filters.http.{name}"), &kind, members)
}

/// A gRPC service that is this cluster.
pub(super) fn grpc_service(cluster: &str) -> Value {
    json!({ "envoy_grpc": { "cluster_name": cluster }, "timeout": "10s" })
}

/// The cluster, speaking HTTP/2.
pub(super) fn over_http2(cluster: Value) -> Value {
    with(cluster, http2(json!({})))
}
