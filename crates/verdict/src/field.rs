//! The facts and where they come from: JSON key ⇄ attribute ⇄ access-log operator, one row each.
//!
//! The filter reads attributes by it; whoever reads or prints access logs goes by the same rows. Sources:
//! Envoy's attribute list (`docs/root/intro/arch_overview/advanced/attributes.rst`) and its access log
//! operators; the keys are those of Istio's JSON access log where it has one.

/// One fact about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key of the fact in a JSON access log, and of most facts in a record.
    pub key: &'static str,
    /// The attribute: segments between dots.
    pub attribute: &'static str,
    /// The access-log operator; `%CEL(...)%` evaluates the attribute where Envoy has no operator of its own.
    pub operator: &'static str,
    /// What other people's JSON access logs call it; case, `_`, `-` and `.` do not matter.
    pub aliases: &'static [&'static str],
}

const fn row(
    key: &'static str,
    attribute: &'static str,
    operator: &'static str,
    aliases: &'static [&'static str],
) -> Field {
    Field { key, attribute, operator, aliases }
}

/// Every fact that the judge, a record or the filter uses.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    row("start_time",                          "request.time",                      "%START_TIME%",
        &["time", "timestamp", "ts"]),
    row("duration",                            "request.duration",                  "%DURATION%",
        &["duration_ms", "total_duration"]),
    row("protocol",                            "request.protocol",                  "%PROTOCOL%",
        &["http_protocol", "http_version"]),
    row("method",                              "request.method",                    "%REQ(:METHOD)%",
        &["request_method", "http_method", "verb"]),
    row("content_type",                        "request.headers.content-type",      "%REQ(CONTENT-TYPE)%",
        &["request_content_type", "req_content_type"]),
    row("request_id",                          "request.id",                        "%REQ(X-REQUEST-ID)%",
        &["x_request_id", "req_id"]),
    row("response_code",                       "response.code",                     "%RESPONSE_CODE%",
        &["status", "status_code", "code", "http_status", "http_status_code", "response_status"]),
    row("grpc_status",                         "response.grpc_status",              "%GRPC_STATUS_NUMBER%",
        &["grpc_status_number", "grpc_status_code", "grpc_response_status", "grpc_code"]),
    row("response_flags",                      "response.flags",                    "%RESPONSE_FLAGS%",
        &["flags", "response_flag", "flag", "response_flags_long"]),
    row("response_code_details",               "response.code_details",             "%RESPONSE_CODE_DETAILS%",
        &["code_details", "response_details", "details", "rcd"]),
    row("connection_termination_details",      "connection.termination_details",    "%CONNECTION_TERMINATION_DETAILS%",
        &["termination_details", "connection_termination"]),
    row("upstream_transport_failure_reason",   "upstream.transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        &["transport_failure_reason", "upstream_failure_reason", "upstream_transport_failure"]),
    row("downstream_transport_failure_reason", "connection.transport_failure_reason", "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        &["downstream_failure_reason"]),
    row("upstream_cluster",                    "xds.cluster_name",                  "%UPSTREAM_CLUSTER_RAW%",
        &["upstream_cluster_raw", "upstream_cluster_name", "cluster", "cluster_name"]),
    row("upstream_host",                       "upstream.address",                  "%UPSTREAM_HOST%",
        &["upstream_address", "upstream_addr", "upstream_remote_address", "upstream"]),
    row("upstream_request_attempt_count",      "upstream.request_attempt_count",    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        &["upstream_attempt_count", "request_attempt_count", "attempt_count", "attempts"]),
    row("upstream_endpoints",                  "upstream.num_endpoints",            "%CEL(upstream.num_endpoints)%",
        &["num_endpoints"]),
    row("upstream_connection_ready",           "upstream.cx_pool_ready_duration",   "%CEL(upstream.cx_pool_ready_duration)%",
        &["upstream_connection_pool_ready_duration", "cx_pool_ready_duration"]),
    row("upstream_response_started",           "response.backend_latency",          "%CEL(response.backend_latency)%",
        &["backend_latency", "response_duration"]),
    row("route_name",                          "xds.route_name",                    "%ROUTE_NAME%",
        &["route"]),
    row("direction",                           "xds.listener_direction",            "%CEL(xds.listener_direction)%",
        &["listener_direction", "traffic_direction"]),
    row("downstream_mtls",                     "connection.mtls",                   "%CEL(connection.mtls)%",
        &[]),
    row("upstream_peer_uri_san",               "upstream.uri_san_peer_certificate", "%UPSTREAM_PEER_URI_SAN%",
        &[]),
    row("upstream_local_uri_san",              "upstream.uri_san_local_certificate", "%UPSTREAM_LOCAL_URI_SAN%",
        &[]),
    row("node_cluster",                        "xds.node.cluster",                  "%CEL(xds.node.cluster)%",
        &["proxy"]),
    row("node_id",                             "xds.node.id",                       "%CEL(xds.node.id)%",
        &[]),
];

/// Facts that a record states only where the configuration names them, and that the filter reads as attributes.
#[rustfmt::skip]
pub const EXTRA: &[Field] = &[
    row("downstream_remote_address",           "source.address",                    "%DOWNSTREAM_REMOTE_ADDRESS%",
        &[]),
    row("requested_server_name",               "connection.requested_server_name",  "%REQUESTED_SERVER_NAME%",
        &[]),
];

/// The place in [`FIELDS`] of the fact with that key, for constants only: a key without a row does not
/// compile.
#[must_use]
pub const fn index(key: &str) -> usize {
    let (mut rows, mut index) = (FIELDS, 0);
    while let [row, rest @ ..] = rows {
        if crate::cause::equal(row.key, key) {
            return index;
        }
        (rows, index) = (rest, index + 1);
    }
    crate::cause::no_such_row()
}

/// The attribute of the fact with that key, for constants only: a key without a row does not compile.
#[must_use]
pub const fn attribute(key: &str) -> &'static str {
    let mut tables = [FIELDS, EXTRA].as_slice();
    while let &[mut rows, ref rest @ ..] = tables {
        while let [row, rest @ ..] = rows {
            if crate::cause::equal(row.key, key) {
                return row.attribute;
            }
            rows = rest;
        }
        tables = rest;
    }
    crate::cause::no_such_row()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_attribute_or_operator_stands_twice() {
        for (index, row) in FIELDS.iter().enumerate() {
            for other in &FIELDS[index + 1..] {
                assert_ne!(row.key, other.key);
                assert_ne!(row.attribute, other.attribute);
                assert_ne!(row.operator, other.operator);
            }
        }
    }

    #[test]
    fn what_has_no_operator_of_its_own_is_evaluated_by_its_attribute() {
        for row in FIELDS.iter().filter(|row| row.operator.starts_with("%CEL(")) {
            assert_eq!(row.operator, alloc::format!("%CEL({})%", row.attribute));
        }
    }

    #[test]
    fn a_key_leads_to_its_attribute() {
        for row in FIELDS.iter().chain(EXTRA) {
            assert_eq!(attribute(row.key), row.attribute);
        }
    }
}
