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
    /// The access-log operator; `None` where Envoy has none.
    pub operator: Option<&'static str>,
}

const fn row(key: &'static str, attribute: &'static str, operator: &'static str) -> Field {
    let operator = if operator.is_empty() { None } else { Some(operator) };
    Field { key, attribute, operator }
}

/// Every fact that the judge, a record or the filter uses.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    row("start_time",                          "request.time",                      "%START_TIME%"),
    row("duration",                            "request.duration",                  "%DURATION%"),
    row("protocol",                            "request.protocol",                  "%PROTOCOL%"),
    row("method",                              "request.method",                    "%REQ(:METHOD)%"),
    row("request_id",                          "request.id",                        "%REQ(X-REQUEST-ID)%"),
    row("response_code",                       "response.code",                     "%RESPONSE_CODE%"),
    row("grpc_status",                         "response.grpc_status",              "%GRPC_STATUS_NUMBER%"),
    row("response_flags",                      "response.flags",                    "%RESPONSE_FLAGS%"),
    row("response_code_details",               "response.code_details",             "%RESPONSE_CODE_DETAILS%"),
    row("connection_termination_details",      "connection.termination_details",    "%CONNECTION_TERMINATION_DETAILS%"),
    row("upstream_transport_failure_reason",   "upstream.transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    row("downstream_transport_failure_reason", "connection.transport_failure_reason", "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"),
    row("upstream_cluster",                    "xds.cluster_name",                  "%UPSTREAM_CLUSTER_RAW%"),
    row("upstream_host",                       "upstream.address",                  "%UPSTREAM_HOST%"),
    row("upstream_request_attempt_count",      "upstream.request_attempt_count",    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    row("upstream_endpoints",                  "upstream.num_endpoints",            ""),
    row("upstream_connection_ready",           "upstream.cx_pool_ready_duration",   ""),
    row("upstream_response_started",           "response.backend_latency",          ""),
    row("route_name",                          "xds.route_name",                    "%ROUTE_NAME%"),
    row("direction",                           "xds.listener_direction",            ""),
    row("downstream_mtls",                     "connection.mtls",                   ""),
    row("upstream_peer_uri_san",               "upstream.uri_san_peer_certificate", "%UPSTREAM_PEER_URI_SAN%"),
    row("upstream_local_uri_san",              "upstream.uri_san_local_certificate", "%UPSTREAM_LOCAL_URI_SAN%"),
    row("node_cluster",                        "xds.node.cluster",                  ""),
    row("node_id",                             "xds.node.id",                       ""),
];

/// The attribute of the fact with that key, for constants only: a key without a row does not compile.
#[must_use]
pub const fn attribute(key: &str) -> &'static str {
    let mut rows = FIELDS;
    while let [row, rest @ ..] = rows {
        if crate::cause::equal(row.key, key) {
            return row.attribute;
        }
        rows = rest;
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
                assert!(row.operator.is_none() || row.operator != other.operator);
            }
        }
    }

    #[test]
    fn a_key_leads_to_its_attribute() {
        for row in FIELDS {
            assert_eq!(attribute(row.key), row.attribute);
        }
    }
}
