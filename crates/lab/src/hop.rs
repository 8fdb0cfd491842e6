//! One hop: a caller, one Envoy as a client's sidecar, and behind it a server that fails on purpose.
//!
//! Every way to fail has a path of its own, so that a scenario disturbs no other and a person can try one
//! with curl. The clusters are named as Istio names a mesh's.

use serde_json::{Value, json};

use crate::client::{Request, Response};
use crate::config::{
    bootstrap, cluster, extension, http, limits, listener, outlier_detection, plugin, retries,
    retry_after, route, typed, wasm_access_logger, wasm_filter, with,
};
use crate::envoy::Envoy;
use crate::mock::{ENDPOINTS, Mock};
use crate::module::Module;
use crate::peers::{BlackHole, RawServer, Refused};
use crate::proxy::{self, Options, Proxy};
use crate::streams::{self, Names};
use crate::{Error, Result, wait_until};

pub use crate::PATIENCE;

/// How the module is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// As an HTTP filter.
    Filter,
    /// As an access logger of the HTTP connection manager.
    AccessLogger,
}

/// What a hop may have more than the usual.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// How Envoy is started.
    pub options: Options,
    /// More access logs, which see what the module has left for them.
    pub access_logs: Vec<Value>,
    /// More clusters, such as a collector's.
    pub clusters: Vec<Value>,
    /// Members of the bootstrap; null for none.
    pub bootstrap: Value,
}

/// A running hop. Everything stops when it is dropped.
#[derive(Debug)]
pub struct Hop {
    /// The proxy.
    pub proxy: Proxy,
    /// The server behind it.
    pub mock: Mock,
    port: u16,
    names: Names,
    _black_hole: BlackHole,
    _refused: Refused,
    _plain: RawServer,
}

impl Hop {
    /// Starts the server, its unreachable neighbours and the proxy; `configuration` is the plugin's.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(
        envoy: &Envoy,
        module: &Module,
        mount: Mount,
        configuration: &str,
    ) -> Result<Self> {
        Self::start_with(envoy, module, mount, configuration, &Extras::default())
    }

    /// A hop whose Envoy logs every call that the module makes into it.
    ///
    /// # Errors
    /// As [`Hop::start`].
    pub fn traced(
        envoy: &Envoy,
        module: &Module,
        mount: Mount,
        configuration: &str,
    ) -> Result<Self> {
        let levels = Some("wasm:trace".to_owned());
        let options = Options { component_log_level: levels, ..Options::default() };
        let extras = Extras { options, ..Extras::default() };
        Self::start_with(envoy, module, mount, configuration, &extras)
    }

    /// A hop with more than the usual.
    ///
    /// # Errors
    /// As [`Hop::start`].
    pub fn start_with(
        envoy: &Envoy,
        module: &Module,
        mount: Mount,
        configuration: &str,
        extras: &Extras,
    ) -> Result<Self> {
        let mock = Mock::start()?;
        let black_hole = BlackHole::open()?;
        let refused = Refused::open()?;
        let plain = RawServer::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
        let ports = Ports {
            mock: mock.port(),
            black_hole: black_hole.port(),
            refused: refused.port(),
            plain: plain.port(),
        };
        let plugin = plugin(&module.path, configuration);
        let listener = outbound(mount, &plugin, &extras.access_logs);
        let clusters = [clusters(ports), extras.clusters.clone()].concat();
        let bootstrap = bootstrap("client", &[listener], &clusters);
        let bootstrap = with(bootstrap, extras.bootstrap.clone());
        let proxy = Proxy::start(envoy, &bootstrap, &extras.options)?;
        let names = Names::new(&[
            (ports.mock, "mock"),
            (ports.black_hole, "black-hole"),
            (ports.refused, "refused"),
            (ports.plain, "plain-text"),
        ]);
        let port = proxy.port("outbound")?;
        Ok(Self {
            proxy,
            mock,
            port,
            names,
            _black_hole: black_hole,
            _refused: refused,
            _plain: plain,
        })
    }

    /// The port that callers use.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A GET request with a request id, by which its record is found.
    #[must_use]
    pub fn get(&self, id: &str, path: &str) -> Request {
        Request::get(path).header("x-request-id", id)
    }

    /// Sends it and reads the response to its end.
    ///
    /// # Errors
    /// When the proxy is not there, or what comes back is not HTTP.
    pub fn send(&self, id: &str, path: &str) -> Result<Response> {
        self.get(id, path).send(self.port)
    }

    /// Waits until a request waits for a connection to a service.
    ///
    /// # Errors
    /// When none does in time.
    pub fn wait_for_pending(&self, of: &str) -> Result<()> {
        self.wait_for_stat(&format!("cluster.{}.upstream_rq_pending_active", service(of)), 1)
    }

    /// Waits until a counter or gauge of the proxy has reached `value`.
    fn wait_for_stat(&self, name: &str, value: u64) -> Result<()> {
        let reached = || self.proxy.stat(name).is_ok_and(|now| now >= value);
        wait_until(PATIENCE, &format!("{name} to reach {value}"), reached)
    }

    /// Waits until outlier detection has ejected the only endpoint of a service. Envoy's main thread
    /// ejects, some time after a worker has seen the last error.
    ///
    /// # Errors
    /// When it has not in time.
    pub fn wait_for_ejection(&self, of: &str) -> Result<()> {
        self.wait_for_stat(
            &format!("cluster.{}.outlier_detection.ejections_active", service(of)),
            1,
        )
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

    /// All records, when so many streams have ended.
    ///
    /// # Errors
    /// When that many do not end in time.
    pub fn records_of(&self, streams: usize) -> Result<Vec<Value>> {
        streams::ended(&self.proxy, streams, |_| true)
    }

    /// The record of a request that has no id, of which the access log says `says`.
    ///
    /// # Errors
    /// When the stream does not end, or there is not exactly one such record.
    pub fn record_without_id(&self, says: &str) -> Result<Value> {
        let which = |line: &str| line.contains(" id=- ") && line.contains(says);
        let mut records = streams::ended(&self.proxy, 1, which)?;
        records.retain(|record| record.get("response_code_details").is_some_and(|own| own == says));
        match records.as_slice() {
            [record] => Ok(self.normal(record.clone())),
            other => Err(Error::new(format!("reading the record of {says}"), format!("{other:?}"))),
        }
    }

    /// Keeps everything running until the user presses Ctrl-C, and prints what the proxy logs meanwhile.
    ///
    /// # Errors
    /// When the interrupt cannot be listened for.
    pub fn follow(mut self) -> Result<()> {
        proxy::follow(&mut [&mut self.proxy], |line| println!("{line}"))
    }

    /// A record whose volatile facts are replaced by what they stand for.
    #[must_use]
    pub fn normal(&self, record: Value) -> Value {
        self.names.normal(record)
    }
}

fn outbound(mount: Mount, plugin: &Value, logs: &[Value]) -> Value {
    let (mut filters, mut loggers) = (vec![rbac(), rate_limit()], Vec::new());
    match mount {
        // Where Istio puts a WasmPlugin: behind its own authorization, before fault injection.
        Mount::Filter => filters.push(wasm_filter(plugin)),
        Mount::AccessLogger => loggers.push(wasm_access_logger(plugin)),
    }
    filters.push(extension(FAULT, "extensions.filters.http.fault.v3.HTTPFault", json!({})));
    loggers.extend_from_slice(logs);
    loggers.push(streams::access_log());
    let http = with(http(&routes(), &filters), json!({ "access_log": loggers }));
    listener("outbound", "OUTBOUND", http)
}

const FAULT: &str = "envoy.filters.http.fault";
const RATE_LIMIT: &str = "envoy.filters.http.local_ratelimit";

/// AuthorizationPolicies as Istio turns them into policies of Envoy's, one with a very long name.
fn rbac() -> Value {
    let denied = |prefix: &str| {
        json!({
            "permissions": [{ "url_path": { "path": { "prefix": prefix } } }],
            "principals": [{ "any": true }],
        })
    };
    let long = format!("ns[default]-policy[{}]-rule[0]", "x".repeat(65_536));
    let rules = json!({ "action": "DENY", "policies": {
        "ns[default]-policy[deny]-rule[0]": denied("/denied"),
        long: denied("/long-policy"),
    } });
    let rules = json!({ "rules": rules });
    extension("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC", rules)
}

fn rate_limit() -> Value {
    let kind = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    extension(RATE_LIMIT, kind, json!({ "stat_prefix": "local" }))
}

/// One request an hour.
fn one_request() -> Value {
    let all = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "local",
            "token_bucket": { "max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s" },
            "filter_enabled": all,
            "filter_enforced": all,
        }),
    )
}

/// The name that Istio gives to the cluster of port 8080 of a service in the namespace `default`.
fn service(name: &str) -> String {
    format!("outbound|8080||{name}.default.svc.cluster.local")
}

fn routes() -> Vec<Value> {
    let to = |name: &str| route("default", &format!("/{name}"), &service(name));
    let action = |mut route: Value, members: Value| {
        if let Some(action) = route.get_mut("route") {
            *action = with(action.take(), members);
        }
        route
    };
    let direct = |name: &str, prefix: &str, status: u16| {
        json!({
            "name": name,
            "match": { "path_separated_prefix": prefix },
            "direct_response": { "status": status },
        })
    };
    let mut routes = vec![
        to("full-pool"),
        to("max-requests"),
        to("ejected"),
        action(
            to("ejected-while-retrying"),
            json!({ "retry_policy": with(json!({ "retry_on": "5xx", "num_retries": 1 }), retry_after()) }),
        ),
        action(to("black-hole"), json!({ "retry_policy": retries() })),
        action(to("refused"), json!({ "retry_policy": retries() })),
        to("empty"),
        to("tls-to-plain-text"),
        action(route("default", "/slow", &service("mock-server")), json!({ "timeout": "0.2s" })),
        action(
            route("default", "/per-try-timeout", &service("mock-server")),
            json!({ "retry_policy": with(retries(), json!({ "retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.1s" })) }),
        ),
        route("default", "/no-cluster", "outbound|8080|v9|mock-server.default.svc.cluster.local"),
        with(
            route("default", "/fault", &service("mock-server")),
            json!({ "typed_per_filter_config": { FAULT: typed("extensions.filters.http.fault.v3.HTTPFault", json!({
                "abort": { "http_status": 503, "percentage": { "numerator": 100 } },
            })) } }),
        ),
        with(
            route("default", "/rate-limited", &service("mock-server")),
            json!({ "typed_per_filter_config": { RATE_LIMIT: one_request() } }),
        ),
        direct("maintenance", "/direct-response", 503),
        // What Istio answers to a request for an unknown host under REGISTRY_ONLY.
        direct("block_all", "/blocked", 502),
    ];
    // The server's own endpoints; nothing else has a route.
    for (endpoint, _) in ENDPOINTS {
        let name = endpoint.split('/').nth(1).unwrap_or_default();
        routes.push(json!({
            "name": "default",
            "match": { "path_separated_prefix": format!("/{name}") },
            "route": { "cluster": service("mock-server"), "timeout": "60s" },
        }));
    }
    routes
}

fn clusters(ports: Ports) -> Vec<Value> {
    let to = |name: &str, port: u16| cluster(&service(name), &[port]);
    let ejecting = |errors| json!({ "outlier_detection": outlier_detection(errors) });
    let tls = typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext", json!({}));
    vec![
        to("mock-server", ports.mock),
        with(
            to("full-pool", ports.mock),
            json!({ "circuit_breakers": limits(json!({ "max_connections": 1, "max_pending_requests": 1 })) }),
        ),
        with(
            to("max-requests", ports.mock),
            json!({ "circuit_breakers": limits(json!({ "max_requests": 1 })) }),
        ),
        with(to("ejected", ports.mock), ejecting(5)),
        with(to("ejected-while-retrying", ports.mock), ejecting(1)),
        with(
            with(to("black-hole", ports.black_hole), ejecting(3)),
            json!({ "connect_timeout": "0.2s" }),
        ),
        with(to("refused", ports.refused), ejecting(3)),
        cluster(&service("empty"), &[]),
        with(
            to("tls-to-plain-text", ports.plain),
            json!({ "transport_socket": { "name": "tls", "typed_config": tls } }),
        ),
    ]
}

#[derive(Clone, Copy)]
struct Ports {
    mock: u16,
    black_hole: u16,
    refused: u16,
    plain: u16,
}
