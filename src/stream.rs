//! What the proxy knows of the stream that has just ended, read at log time.
//!
//! A stream that did not fail costs at most three calls into the proxy: the flags, the response headers in
//! one piece, and then either the gRPC status or the request's content type. Only a stream that may have
//! failed is read further.

use alloc::string::String;

use failgate_verdict::evidence::{Evidence, Stream, UpstreamHost};
use failgate_verdict::field::attribute;
use failgate_verdict::flags::Flags;
use failgate_verdict::record::Facts;
use failgate_verdict::terms::Direction;

use crate::host;

/// An ended stream that may have failed, with everything that the proxy says of it.
pub struct Ended {
    flags: Flags,
    status: Option<u16>,
    grpc_status: Option<u32>,
    details: Option<String>,
    termination: Option<String>,
    transport: Option<String>,
    downstream_transport: Option<String>,
    protocol: Option<String>,
    method: Option<String>,
    cluster: Option<String>,
    route: Option<String>,
    upstream_host: Option<String>,
    request_id: Option<String>,
    direction: Direction,
    attempts: Option<u64>,
    endpoints: Option<u64>,
    connection_ready: bool,
    response_started: bool,
    start: Option<u64>,
    duration: Option<u64>,
    is_http: bool,
}

/// Reads the stream that has ended. `None` when it did not fail.
pub fn ended(mount: Mount) -> Option<Ended> {
    let flags = Flags(host::unsigned(const { attribute("response_flags") }).unwrap_or_default());
    let unflagged = flags.without(Flags::HARMLESS).is_empty();
    (!(unflagged && succeeded())).then(|| read(mount, flags))
}

/// How the module is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// As an HTTP filter: what ends is an HTTP stream.
    Filter,
    /// As an access logger: of an HTTP connection manager, a TCP proxy or a listener.
    AccessLogger,
}

/// Was the response beyond doubt a success, the flags aside?
fn succeeded() -> bool {
    let headers = host::response_headers();
    let Some(status) = headers.first(":status").and_then(number) else { return false };
    if status >= 400 {
        return false;
    }
    if headers.first("content-type").is_some_and(is_grpc) {
        host::number(const { attribute("grpc_status") }) == Some(0)
    } else {
        // A gRPC call that got an answer of another kind has failed, whatever its status.
        !host::request_header("content-type").is_some_and(|value| is_grpc(value.as_bytes()))
    }
}

fn read(mount: Mount, flags: Flags) -> Ended {
    let protocol = host::text(const { attribute("protocol") });
    let is_grpc =
        host::request_header("content-type").is_some_and(|value| is_grpc(value.as_bytes()));
    // For any other request the proxy makes a gRPC status up.
    let grpc_status = is_grpc.then(|| host::unsigned(const { attribute("grpc_status") })).flatten();
    let status = host::unsigned(const { attribute("response_code") });
    let direction = host::number(const { attribute("direction") }).unwrap_or_default();
    let is_http = mount == Mount::Filter || protocol.is_some();
    // A connection that failed its handshake never carried a stream.
    let downstream_transport = const { attribute("downstream_transport_failure_reason") };
    Ended {
        flags,
        status: status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status != 0),
        grpc_status: grpc_status.and_then(|status| u32::try_from(status).ok()),
        details: host::text(const { attribute("response_code_details") }),
        termination: host::text(const { attribute("connection_termination_details") }),
        transport: host::text(const { attribute("upstream_transport_failure_reason") }),
        downstream_transport: (!is_http).then(|| host::text(downstream_transport)).flatten(),
        method: host::text(const { attribute("method") }),
        cluster: host::text(const { attribute("upstream_cluster") }),
        route: host::text(const { attribute("route_name") }),
        upstream_host: host::text(const { attribute("upstream_host") }),
        request_id: host::text(const { attribute("request_id") }),
        direction: Direction::from_number(direction),
        attempts: host::unsigned(const { attribute("upstream_request_attempt_count") }),
        endpoints: host::unsigned(const { attribute("upstream_endpoints") }),
        connection_ready: host::attribute(const { attribute("upstream_connection_ready") })
            .is_some(),
        response_started: host::attribute(const { attribute("upstream_response_started") })
            .is_some(),
        start: host::unsigned(const { attribute("start_time") }),
        duration: host::unsigned(const { attribute("duration") }),
        is_http,
        protocol,
    }
}

impl Ended {
    /// The evidence for the judge. `proxy` says who speaks.
    pub fn evidence<'a>(&'a self, proxy: Option<&'a str>) -> Evidence<'a> {
        let upstream_host = self.upstream_host.as_deref();
        Evidence {
            stream: if self.is_http { Stream::Http } else { Stream::Connection },
            direction: self.direction,
            proxy,
            protocol: self.protocol.as_deref(),
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            details: self.details.as_deref(),
            termination: self.termination.as_deref(),
            transport: self.transport.as_deref(),
            downstream_transport: self.downstream_transport.as_deref(),
            attempts: self.attempts,
            endpoints: self.endpoints,
            upstream_host: upstream_host.map_or(UpstreamHost::Absent, UpstreamHost::Address),
            cluster: self.cluster.as_deref(),
            route: self.route.as_deref(),
            connection_ready: Some(self.connection_ready),
            response_started: Some(self.response_started),
        }
    }

    /// The facts that no verdict depends on.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            start: self.start,
            duration: self.duration,
            method: self.method.as_deref(),
            request_id: self.request_id.as_deref(),
        }
    }
}

/// `application/grpc` and what begins with it: `+proto`, `-web`.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type.starts_with(b"application/grpc")
}

fn number(text: &[u8]) -> Option<u16> {
    core::str::from_utf8(text).ok()?.parse().ok()
}
