//! The client's sidecar: outbound listeners, and a cluster per service and port.
//!
//! Every service leads to the same server's sidecar, except for two that nobody answers for. What is said
//! of a service here is what its DestinationRule and its VirtualService would say.

use serde_json::{Value, json};

use super::tls::Identity;
use super::{GRPC, HTTP};
use crate::config::{
    self, cluster, extension, http_by_host, http2, limits, listener, outlier_detection, retries,
    retry_after, typed, unlimited, with,
};
use crate::streams;

/// Its service account.
pub(super) const ACCOUNT: &str = "client";

/// The service that nothing is said of. It does not eject, so that no case disturbs another.
pub(super) const MOCK_SERVER: &str = "mock-server";
/// One connection with one stream on it, and one request that waits for it.
pub(super) const FULL_POOL: &str = "full-pool";
/// One request at a time.
pub(super) const MAX_REQUESTS: &str = "max-requests";
/// Five errors in a row eject its endpoint.
pub(super) const EJECTED: &str = "ejected";
/// Two errors in a row eject its endpoint; a retry waits for as many seconds as `retry-after` says.
pub(super) const EJECTED_WHILE_RETRYING: &str = "ejected-while-retrying";
/// Nobody answers a SYN; five errors in a row eject the endpoint.
pub(super) const BLACK_HOLE: &str = "black-hole";
/// The connection is refused; three errors in a row eject the endpoint.
pub(super) const REFUSED: &str = "refused";
/// The route's timeout is short.
pub(super) const SLOW: &str = "slow";

/// A path of [`BLACK_HOLE`] with half a connect timeout's delay, no retries, and a connection pool of its
/// own, since a pool's requests all fail with its connection.
pub(super) const NEIGHBOUR: &str = "/neighbour";

/// The ports behind the clusters.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// The server's sidecar, for HTTP.
    pub http: u16,
    /// The server's sidecar, for gRPC.
    pub grpc: u16,
    /// Where SYNs are dropped.
    pub black_hole: u16,
    /// Where connections are refused.
    pub refused: u16,
}

/// The name of the listener for a port of all services.
pub(super) fn listener_name(port: u16) -> String {
    format!("0.0.0.0_{port}")
}

/// The name of the cluster for a service's port.
pub(super) fn cluster_name(service: &str, port: u16) -> String {
    format!("outbound|{port}||{service}.default.svc.cluster.local")
}

/// The bootstrap; `module` is the module as an HTTP filter, `peer` whom all services belong to.
pub(super) fn bootstrap(module: Option<&Value>, own: &Identity, peer: &str, ends: Ends) -> Value {
    let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
    for port in [HTTP, GRPC] {
        let services = services(port, ends);
        let hosts: Vec<_> = services.iter().map(|service| virtual_host(service, port)).collect();
        listeners.push(outbound(port, &hosts, module));
        clusters.extend(services.iter().map(|service| outbound_cluster(service, port, own, peer)));
    }
    config::bootstrap(ACCOUNT, &listeners, &clusters)
}

/// A service's port: where it leads to, and what sets it apart.
#[derive(Default)]
struct Service {
    name: &'static str,
    end: u16,
    /// Members of its cluster.
    cluster: Value,
    /// Members of its route's action.
    action: Value,
    /// A route before that.
    first: Option<Value>,
}

fn services(port: u16, ends: Ends) -> Vec<Service> {
    let end = if port == GRPC { ends.grpc } else { ends.http };
    let to = |name| Service { name, end, ..Service::default() };
    let limited = |members| json!({ "circuit_breakers": limits(with(unlimited(), members)) });
    let ejecting = |errors| json!({ "outlier_detection": outlier_detection(errors) });
    let one_connection = limited(json!({ "max_connections": 1, "max_pending_requests": 1 }));
    let one_stream =
        if port == GRPC { http2(json!({ "max_concurrent_streams": 1 })) } else { Value::Null };
    let patient = with(retries(), retry_after());
    vec![
        to(MOCK_SERVER),
        Service { cluster: with(one_connection, one_stream), ..to(FULL_POOL) },
        Service { cluster: limited(json!({ "max_requests": 1 })), ..to(MAX_REQUESTS) },
        Service { cluster: ejecting(5), ..to(EJECTED) },
        Service {
            cluster: ejecting(2),
            action: json!({ "retry_policy": patient }),
            ..to(EJECTED_WHILE_RETRYING)
        },
        Service {
            end: ends.black_hole,
            cluster: with(ejecting(5), json!({ "connect_timeout": "1s" })),
            first: Some(neighbour(&cluster_name(BLACK_HOLE, port))),
            ..to(BLACK_HOLE)
        },
        Service { end: ends.refused, cluster: ejecting(3), ..to(REFUSED) },
        Service { action: json!({ "timeout": "2s" }), ..to(SLOW) },
    ]
}

/// See [`NEIGHBOUR`].
fn neighbour(cluster: &str) -> Value {
    let delay = json!({ "fixed_delay": "0.5s", "percentage": { "numerator": 100 } });
    json!({
        "name": "neighbour",
        "match": { "path_separated_prefix": NEIGHBOUR },
        "route": { "cluster": cluster, "priority": "HIGH" },
        "typed_per_filter_config": { FAULT: typed(FAULT_KIND, json!({ "delay": delay })) },
    })
}

fn virtual_host(service: &Service, port: u16) -> Value {
    let action = json!({
        "cluster": cluster_name(service.name, port),
        "timeout": "60s",
        "retry_policy": retries(),
    });
    let action = with(action, service.action.clone());
    let last = json!({ "name": "default", "match": { "prefix": "/" }, "route": action });
    let routes: Vec<_> = service.first.clone().into_iter().chain([last]).collect();
    let host = format!("{}.default.svc.cluster.local", service.name);
    let domains = [service.name, &format!("{}.default", service.name), &host];
    config::virtual_host(&format!("{host}:{port}"), &domains, &routes)
}

fn outbound_cluster(service: &Service, port: u16, own: &Identity, peer: &str) -> Value {
    let cluster = cluster(&cluster_name(service.name, port), &[service.end]);
    let host = format!("{}.default.svc.cluster.local", service.name);
    let sni = format!("outbound_.{port}_._.{host}");
    // Istio's names for what is spoken in the mesh come first: by them a sidecar knows a sidecar.
    let (protocol, alpn) = if port == GRPC {
        (http2(json!({})), ["istio-h2", "istio", "h2"])
    } else {
        (Value::Null, ["istio-http/1.1", "istio", "http/1.1"])
    };
    let limits = json!({ "circuit_breakers": limits(unlimited()) });
    let tls = json!({ "transport_socket": own.upstream(&sni, peer, &alpn) });
    [limits, tls, protocol, service.cluster.clone()].into_iter().fold(cluster, with)
}

fn outbound(port: u16, hosts: &[Value], module: Option<&Value>) -> Value {
    // Istio puts a WasmPlugin before fault injection.
    let mut filters: Vec<_> = module.into_iter().cloned().collect();
    filters.push(extension(FAULT, FAULT_KIND, json!({})));
    let access_log = json!({ "access_log": [streams::access_log()] });
    listener(&listener_name(port), "OUTBOUND", with(http_by_host(hosts, &filters), access_log))
}

const FAULT: &str = "envoy.filters.http.fault";
const FAULT_KIND: &str = "extensions.filters.http.fault.v3.HTTPFault";
