//! Pieces of an Envoy configuration, as Istio shapes them, in JSON.
//!
//! Each function makes one thing that Envoy has a name for. What a scenario needs beyond that it sets on
//! the result.

use std::path::Path;

use serde_json::{Value, json};

/// Sets members of an object, in place: `with(cluster, json!({"connect_timeout": "1s"}))`.
#[must_use]
pub fn with(mut object: Value, members: Value) -> Value {
    if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
        object.extend(members);
    }
    object
}

/// A message of a type that Envoy finds by its name.
#[must_use]
pub fn typed(kind: &str, members: Value) -> Value {
    with(json!({ "@type": format!("type.googleapis.com/envoy.{kind}") }), members)
}

/// A named extension.
#[must_use]
pub fn extension(name: &str, kind: &str, members: Value) -> Value {
    json!({ "name": name, "typed_config": typed(kind, members) })
}

fn socket(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// A cluster over HTTP/1.1 with these endpoints on loopback, and Istio's connect timeout of 10 s.
#[must_use]
pub fn cluster(name: &str, ports: &[u16]) -> Value {
    let endpoints: Vec<_> =
        ports.iter().map(|port| json!({ "endpoint": { "address": socket(*port) } })).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
        // Istio switches the panic mode off, in which Envoy uses endpoints that it knows to be bad.
        "common_lb_config": { "healthy_panic_threshold": { "value": 0 } },
    })
}

/// What makes a retry wait for as many seconds as the response's `retry-after` says.
#[must_use]
pub fn retry_after() -> Value {
    json!({ "rate_limited_retry_back_off": {
        "reset_headers": [{ "name": "retry-after", "format": "SECONDS" }],
    } })
}

/// What makes a cluster speak HTTP/2 to its endpoints, with these options.
#[must_use]
pub fn http2(options: Value) -> Value {
    http2_with(options, json!({}))
}

/// What makes a cluster speak HTTP/2, with these options, and these of any HTTP.
#[must_use]
pub fn http2_with(options: Value, common: Value) -> Value {
    const OPTIONS: &str = "extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({
        "explicit_http_config": { "http2_protocol_options": options },
        "common_http_protocol_options": common,
    });
    json!({ "typed_extension_protocol_options": {
        format!("envoy.{OPTIONS}"): typed(OPTIONS, options),
    } })
}

/// What makes a cluster speak HTTP/1.1, with these options that have to do with an upstream.
#[must_use]
pub fn http_with(options: Value) -> Value {
    const OPTIONS: &str = "extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({
        "explicit_http_config": { "http_protocol_options": {} },
        "upstream_http_protocol_options": options,
    });
    json!({ "typed_extension_protocol_options": {
        format!("envoy.{OPTIONS}"): typed(OPTIONS, options),
    } })
}

/// Outlier detection as a DestinationRule writes it: so many errors in a row, all endpoints may go.
#[must_use]
pub fn outlier_detection(errors: u32) -> Value {
    json!({
        "consecutive_5xx": errors,
        "enforcing_consecutive_5xx": 100,
        "base_ejection_time": "30s",
        "max_ejection_percent": 100,
        "enforcing_success_rate": 0,
    })
}

/// Circuit breaker limits of a cluster.
#[must_use]
pub fn limits(thresholds: Value) -> Value {
    json!({ "thresholds": [thresholds] })
}

/// Istio's limits where a DestinationRule sets none: as good as no limits.
#[must_use]
pub fn unlimited() -> Value {
    json!({
        "max_connections": u32::MAX,
        "max_pending_requests": u32::MAX,
        "max_requests": u32::MAX,
        "max_retries": u32::MAX,
    })
}

/// Istio's default retries.
#[must_use]
pub fn retries() -> Value {
    json!({
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled",
        "num_retries": 2,
        "retry_back_off": { "base_interval": "0.01s" },
    })
}

/// A route for a path's beginning, which is taken off before the request goes to the cluster.
#[must_use]
pub fn route(name: &str, prefix: &str, cluster: &str) -> Value {
    json!({
        "name": name,
        "match": { "path_separated_prefix": prefix },
        "route": {
            "cluster": cluster,
            "timeout": "60s",
            "regex_rewrite": {
                "pattern": { "regex": format!("^{prefix}/?") },
                "substitution": "/",
            },
        },
    })
}

/// The module's configuration in a Wasm plugin: a file, what `pluginConfig` holds, and a root id.
#[must_use]
pub fn plugin(module: &Path, configuration: &str) -> Value {
    json!({
        "name": "failgate",
        "root_id": "failgate",
        "failure_policy": "FAIL_OPEN",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module } },
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration,
        },
    })
}

/// The module as an HTTP filter.
#[must_use]
pub fn wasm_filter(plugin: &Value) -> Value {
    extension("failgate", "extensions.filters.http.wasm.v3.Wasm", json!({ "config": plugin }))
}

/// The module as an access logger.
#[must_use]
pub fn wasm_access_logger(plugin: &Value) -> Value {
    let kind = "extensions.access_loggers.wasm.v3.WasmAccessLog";
    extension("failgate", kind, json!({ "config": plugin }))
}

/// The router, which every chain of HTTP filters ends with.
#[must_use]
pub fn router() -> Value {
    extension("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", json!({}))
}

/// An access log on stderr, among the lines of Envoy's own log.
#[must_use]
pub fn access_log(format: &str) -> Value {
    let format = json!({ "log_format": { "text_format_source": { "inline_string": format } } });
    extension("stderr", "extensions.access_loggers.stream.v3.StderrAccessLog", format)
}

/// An access log on stdout: lines of JSON when the format is an object, else of text.
#[must_use]
pub fn access_log_on_stdout(format: &Value) -> Value {
    let format = match format.as_str() {
        Some(text) => json!({ "text_format_source": { "inline_string": text } }),
        None => json!({ "json_format": format }),
    };
    let kind = "extensions.access_loggers.stream.v3.StdoutAccessLog";
    extension("stdout", kind, json!({ "log_format": format }))
}

/// These routes for requests to these hosts.
#[must_use]
pub fn virtual_host(name: &str, domains: &[&str], routes: &[Value]) -> Value {
    json!({ "name": name, "domains": domains, "routes": routes })
}

/// An HTTP connection manager with these routes for every host, and these filters before the router.
#[must_use]
pub fn http(routes: &[Value], filters: &[Value]) -> Value {
    http_by_host(&[virtual_host("every-host", &["*"], routes)], filters)
}

/// An HTTP connection manager with routes by host, and these filters before the router.
#[must_use]
pub fn http_by_host(hosts: &[Value], filters: &[Value]) -> Value {
    let mut filters = filters.to_vec();
    filters.push(router());
    json!({
        "stat_prefix": "http",
        "generate_request_id": true,
        // A caller's own request id is kept, so that its records can be found.
        "preserve_external_request_id": true,
        "route_config": {
            "name": "routes",
            // A route may lead to a cluster that does not exist, as it may in a mesh.
            "validate_clusters": false,
            // As Istio has it, and so that a caller need not name the port.
            "ignore_port_in_host_matching": true,
            "virtual_hosts": hosts,
        },
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "http_filters": filters,
    })
}

/// A filter chain that ends in a connection manager, under the name that Istio gives it.
#[must_use]
pub fn filter_chain(http: Value) -> Value {
    let kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({ "filters": [extension("envoy.filters.network.http_connection_manager", kind, http)] })
}

/// A proxy of connections to a cluster, under the name that Istio gives it.
#[must_use]
pub fn tcp_proxy(cluster: &str) -> Value {
    let own = json!({ "stat_prefix": "tcp", "cluster": cluster });
    let kind = "extensions.filters.network.tcp_proxy.v3.TcpProxy";
    extension("envoy.filters.network.tcp_proxy", kind, own)
}

/// A listener on a free port with one connection manager; `direction` is `INBOUND`, `OUTBOUND` or
/// `UNSPECIFIED`.
#[must_use]
pub fn listener(name: &str, direction: &str, http: Value) -> Value {
    json!({
        "name": name,
        "traffic_direction": direction,
        "address": socket(0),
        "filter_chains": [filter_chain(http)],
    })
}

/// A bootstrap of these listeners and clusters, with a node as Istio names a sidecar of `app` in the
/// namespace `default`.
#[must_use]
pub fn bootstrap(app: &str, listeners: &[Value], clusters: &[Value]) -> Value {
    json!({
        "node": {
            "id": format!("sidecar~127.0.0.1~{app}-0.default~default.svc.cluster.local"),
            "cluster": format!("{app}.default"),
        },
        "static_resources": { "listeners": listeners, "clusters": clusters },
    })
}
