//! What a proxy knows of a stream when it has ended: all that the judge may look at.
//!
//! Whoever fills it (the filter from attributes, the command line from a log line) leaves out what it does
//! not know. An absent fact is unknown, and unknown is not the same as absent: see [`UpstreamHost`].

use crate::cause::Cause;
use crate::flags::Flags;
use crate::terms::Direction;

/// The evidence of one stream. `Evidence::default()` knows nothing at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// Was it an HTTP stream, or a connection without one?
    pub stream: Stream,
    /// The listener's traffic direction.
    pub direction: Direction,
    /// Who speaks: the node's cluster (`app.namespace`) or its id.
    pub proxy: Option<&'a str>,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    pub protocol: Option<&'a str>,
    /// The status sent to the caller, 100 to 599. `None` when no response was sent, which logs write as 0.
    pub status: Option<u16>,
    /// The gRPC status, **only for a gRPC request**: Envoy makes one up for every other response.
    pub grpc_status: Option<u32>,
    /// The response flags.
    pub flags: Flags,
    /// The response code details, with spaces or underscores.
    pub details: Option<&'a str>,
    /// The connection termination details.
    pub termination: Option<&'a str>,
    /// The upstream transport failure reason, with spaces or underscores.
    pub transport: Option<&'a str>,
    /// The downstream transport failure reason.
    pub downstream_transport: Option<&'a str>,
    /// Requests sent upstream or tried to; 0 means that no upstream was asked at all.
    pub attempts: Option<u64>,
    /// Endpoints in the upstream cluster, healthy or not.
    pub endpoints: Option<u64>,
    /// The endpoint that was picked.
    pub upstream_host: UpstreamHost<'a>,
    /// The upstream cluster's name.
    pub cluster: Option<&'a str>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// Did the last attempt get a connection that was ready to use?
    pub connection_ready: Option<bool>,
    /// Did the first byte of a response come back from upstream?
    pub response_started: Option<bool>,
    /// What the upstream hop said of the response, **only when it can be believed**.
    pub hop: Option<Hop<'a>>,
}

/// What the proxy next to this one said of the response that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Its name.
    pub name: &'a str,
    /// Why the request failed there; `application_error` when the application itself answered so.
    pub cause: Cause,
}

/// What kind of thing ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// One HTTP request and its response.
    #[default]
    Http,
    /// A TCP connection, or one that never became HTTP.
    Connection,
}

/// The endpoint that was picked. "None was picked" and "the log does not say" lead to different causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamHost<'a> {
    /// The source has no such field.
    #[default]
    Unknown,
    /// The source has the field, and it says that none was picked.
    Absent,
    /// `address:port`.
    Address(&'a str),
}

impl<'a> Evidence<'a> {
    /// Was the final response made by this proxy, rather than passed on from upstream?
    /// Only the details can tell: `via_upstream` is Envoy's word for "not made here".
    #[must_use]
    pub fn is_local_reply(&self) -> bool {
        self.details.is_some_and(|details| !crate::details::is_upstreams(details))
    }

    /// The endpoint that was picked, when one is known to have been.
    #[must_use]
    pub fn upstream_address(&self) -> Option<&'a str> {
        match self.upstream_host {
            UpstreamHost::Address(address) => Some(address),
            UpstreamHost::Unknown | UpstreamHost::Absent => None,
        }
    }
}
