//! What the proxy knows of a stream: when its response headers pass, and when it has ended.
//!
//! A stream that did not fail costs at most three calls into the proxy: the response headers in one piece,
//! either the gRPC status or the request's content type, and then the details; the flags too where a server's
//! status is 400 to 499. Only a stream that may have failed is read further, and nothing is read twice.

use alloc::boxed::Box;
use alloc::string::String;

use failgate_verdict::details;
use failgate_verdict::evidence::{Evidence, Hop, Stream, UpstreamHost};
use failgate_verdict::field::{self, attribute};
use failgate_verdict::flags::Flags;
use failgate_verdict::proxy_status::Claim;
use failgate_verdict::record::{Extra, Facts};
use failgate_verdict::terms::Direction;
use failgate_verdict::text::whole;
use failgate_verdict::trace::Trace;

use crate::host::{self, Headers};

/// What the response headers say.
#[derive(Clone, Copy, Default)]
pub struct Head {
    /// The status; `None` when there is no response.
    pub status: Option<u16>,
    /// Does the response say that it is gRPC?
    pub is_grpc: bool,
    /// The gRPC status, where it comes with the headers: the response has no more than those.
    pub grpc_status: Option<u32>,
}

impl Head {
    /// Reads response headers.
    pub fn of(headers: &Headers) -> Self {
        let is_grpc = headers.first("content-type").is_some_and(is_grpc);
        let grpc_status = headers.first("grpc-status").filter(|_| is_grpc).and_then(number);
        Self { status: headers.first(":status").and_then(number), is_grpc, grpc_status }
    }

    /// Is it a status of 400 to 499? A server's own is no failure, this proxy's is one.
    pub fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status))
            && self.grpc_status.is_none_or(|status| status == 0)
    }

    /// Has the request failed, or may it have, as far as the headers tell?
    pub fn is_error(&self) -> bool {
        self.status.is_none_or(|status| status >= 400)
            || self.grpc_status.is_some_and(|status| status != 0)
    }
}

/// What the router has chosen: it stays as it is once there is a response.
pub struct Chosen {
    pub direction: Direction,
    cluster: Option<String>,
    route: Option<String>,
    upstream_host: Option<String>,
    attempts: Option<u64>,
    endpoints: Option<u64>,
}

impl Chosen {
    pub fn read(direction: Direction, flags: Flags) -> Self {
        // Whether the cluster has endpoints at all matters where none could be picked.
        let endpoints = flags.any_of(Flags::UH);
        Self {
            direction,
            cluster: host::text(const { attribute("upstream_cluster") }),
            route: host::text(const { attribute("route_name") }),
            upstream_host: host::text(const { attribute("upstream_host") }),
            attempts: host::unsigned(const { attribute("upstream_request_attempt_count") }),
            endpoints: endpoints
                .then(|| host::unsigned(const { attribute("upstream_endpoints") }))
                .flatten(),
        }
    }

    fn evidence<'a>(&'a self, evidence: Evidence<'a>) -> Evidence<'a> {
        let upstream_host = self.upstream_host.as_deref();
        Evidence {
            direction: self.direction,
            attempts: self.attempts,
            endpoints: self.endpoints,
            upstream_host: upstream_host.map_or(UpstreamHost::Absent, UpstreamHost::Address),
            cluster: self.cluster.as_deref(),
            route: self.route.as_deref(),
            ..evidence
        }
    }
}

/// The listener's traffic direction.
pub fn direction() -> Direction {
    Direction::from_number(host::number(const { attribute("direction") }).unwrap_or_default())
}

/// What was learnt when the response headers passed, kept for the end of the stream.
pub struct Passed {
    pub head: Head,
    /// Read only for a response that is an error.
    pub chosen: Option<Box<Chosen>>,
    /// The details, with the flags that were set then: where no flag has come since, they still hold.
    pub details: Option<(Flags, String)>,
    /// What the next hop said, when it can be believed.
    pub claim: Option<Box<Claim>>,
}

impl Passed {
    /// The details that were learnt then, where they still hold with these flags.
    fn kept(&mut self, flags: Flags) -> Option<String> {
        self.details.take().filter(|(before, _)| *before == flags).map(|(_, details)| details)
    }
}

/// The response code details as they are now.
pub fn details() -> Option<String> {
    host::text(const { attribute("response_code_details") })
}

/// A response that is an error, at the moment when its headers pass.
pub struct Response<'a> {
    pub head: Head,
    pub flags: Flags,
    pub details: Option<&'a str>,
    pub chosen: &'a Chosen,
    pub claim: Option<&'a Claim>,
}

impl Response<'_> {
    /// Asks `judge` for its answer to the evidence so far.
    pub fn judged<T>(&self, judge: impl FnOnce(&Evidence<'_>) -> T) -> T {
        judge(&self.chosen.evidence(Evidence {
            flags: self.flags,
            status: self.head.status,
            grpc_status: self.head.grpc_status,
            details: self.details,
            hop: self.claim.map(hop),
            ..Evidence::default()
        }))
    }
}

/// The response flags as they are now.
pub fn flags() -> Flags {
    Flags(host::unsigned(const { attribute("response_flags") }).unwrap_or_default())
}

fn hop(claim: &Claim) -> Hop<'_> {
    Hop { name: &claim.name, cause: claim.cause }
}

/// How far the last attempt got.
#[derive(Default)]
struct Upstream {
    /// Why there was no connection.
    transport: Option<String>,
    connection_ready: bool,
    response_started: bool,
}

impl Upstream {
    /// Asks only what the answers so far leave open: without an attempt there was nothing; a response that has
    /// started came over a connection (a reason that is there all the same is an earlier attempt's); and with
    /// a reason there was none.
    fn read(chosen: &Chosen) -> Self {
        let is_there = |name| host::attribute(name).is_some();
        if chosen.attempts == Some(0) {
            Self::default()
        } else if is_there(const { attribute("upstream_response_started") }) {
            Self { transport: None, connection_ready: true, response_started: true }
        } else {
            let transport = host::text(const { attribute("upstream_transport_failure_reason") });
            let ready = const { attribute("upstream_connection_ready") };
            let connection_ready = transport.is_none() && is_there(ready);
            Self { transport, connection_ready, response_started: false }
        }
    }
}

/// An ended stream that may have failed, with everything that the proxy says of it.
pub struct Ended {
    is_http: bool,
    flags: Flags,
    status: Option<u16>,
    grpc_status: Option<u32>,
    details: Option<String>,
    termination: Option<String>,
    downstream_transport: Option<String>,
    protocol: Option<String>,
    request: Headers,
    method: Option<String>,
    request_id: Option<String>,
    chosen: Box<Chosen>,
    claim: Option<Box<Claim>>,
    upstream: Upstream,
    duration: Option<u64>,
}

/// Reads the stream that has ended. `None` when it did not fail.
pub fn ended(passed: Option<Passed>) -> Option<Ended> {
    let passed = passed.unwrap_or_else(|| {
        let head = Head::of(&host::response_headers());
        Passed { head, chosen: None, details: None, claim: None }
    });
    let grpc = Grpc::of(passed.head);
    if passed.head.is_refusal() && passed.claim.is_none() && grpc.succeeded() {
        return refused(grpc, passed);
    }
    let answered = !passed.head.is_error() && grpc.succeeded();
    // Only the details tell of a response that was cut without a flag. Where they say that it is the upstream's
    // or the route's own, no flag says otherwise, but for one of retries that ended in a redirect.
    let details = if answered { details() } else { None };
    if answered && details.as_deref().is_some_and(details::is_whole) {
        return None;
    }
    let flags = flags();
    let succeeded = answered
        && flags.without(Flags::HARMLESS).is_empty()
        && !details.as_deref().is_some_and(details::is_cut);
    (!succeeded).then(|| read(flags, grpc, passed, details))
}

/// Reads a refusal that has ended, further only if it may be this proxy's. `None` when it is the server's.
fn refused(grpc: Grpc, mut passed: Passed) -> Option<Ended> {
    let flags = flags();
    let details = passed.kept(flags).or_else(details);
    let is_servers = details.as_deref().is_none_or(details::is_upstreams);
    let succeeded = is_servers && flags.without(Flags::HARMLESS).is_empty();
    (!succeeded).then(|| read(flags, grpc, passed, details))
}

/// What one call into the proxy says of gRPC.
enum Grpc {
    /// The response is gRPC, and this is its status.
    Response(Option<u32>),
    /// It is not; is the request?
    Request(bool),
}

impl Grpc {
    fn of(head: Head) -> Self {
        if head.is_grpc { Self::Response(grpc_status()) } else { Self::Request(requested()) }
    }

    /// A gRPC call that got an answer of another kind has failed, whatever its status.
    fn succeeded(&self) -> bool {
        matches!(self, Self::Response(Some(0)) | Self::Request(false))
    }

    /// The status, of a gRPC request only: for any other the proxy makes one up.
    fn status(&self, request: &Headers) -> Option<u32> {
        match self {
            Self::Response(status) => {
                status.filter(|_| request.first("content-type").is_some_and(is_grpc))
            }
            Self::Request(true) => grpc_status(),
            Self::Request(false) => None,
        }
    }
}

fn grpc_status() -> Option<u32> {
    host::unsigned(const { attribute("grpc_status") }).and_then(|status| u32::try_from(status).ok())
}

fn requested() -> bool {
    host::request_header("content-type").is_some_and(|value| is_grpc(&value))
}

fn read(flags: Flags, grpc: Grpc, mut passed: Passed, known: Option<String>) -> Ended {
    let protocol = host::text(const { attribute("protocol") });
    // Every HTTP stream has a protocol, also one whose request could not be decoded. What ends a
    // connection is told of one that carried no stream.
    let is_http = protocol.is_some();
    let connection = |name| if is_http { None } else { host::text(name) };
    let status = host::unsigned(const { attribute("response_code") });
    let request = host::request_headers();
    let details = known.or_else(|| passed.kept(flags)).or_else(details);
    let chosen = passed.chosen.unwrap_or_else(|| Box::new(Chosen::read(direction(), flags)));
    let upstream = Upstream::read(&chosen);
    Ended {
        is_http,
        flags,
        status: status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status != 0),
        grpc_status: grpc.status(&request),
        details,
        termination: connection(const { attribute("connection_termination_details") }),
        upstream,
        downstream_transport: connection(
            const { attribute("downstream_transport_failure_reason") },
        ),
        protocol,
        method: request.text(":method"),
        request_id: request.text("x-request-id"),
        request,
        chosen,
        claim: passed.claim,
        duration: host::unsigned(const { attribute("duration") }),
    }
}

impl Ended {
    /// The evidence for the judge. `proxy` says who speaks.
    pub fn evidence<'a>(&'a self, proxy: Option<&'a str>) -> Evidence<'a> {
        self.chosen.evidence(Evidence {
            stream: if self.is_http { Stream::Http } else { Stream::Connection },
            proxy,
            protocol: self.protocol.as_deref(),
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            details: self.details.as_deref(),
            termination: self.termination.as_deref(),
            transport: self.upstream.transport.as_deref(),
            downstream_transport: self.downstream_transport.as_deref(),
            connection_ready: Some(self.upstream.connection_ready),
            response_started: Some(self.upstream.response_started),
            hop: self.claim.as_deref().map(hop),
            ..Evidence::default()
        })
    }

    /// The facts that no verdict depends on. The stream has ended `now`, in nanoseconds since 1970.
    pub fn facts<'a>(&'a self, now: u64, extra: Extra<'a>) -> Facts<'a> {
        Facts {
            start: self.duration.and_then(|duration| now.checked_sub(duration)),
            duration: self.duration,
            method: self.method.as_deref(),
            request_id: self.request_id.as_deref(),
            extra,
        }
    }

    /// Those of the facts that may tell of persons that are named.
    pub fn extra(&self, fields: &[&str]) -> Named {
        let names = |field: &str| fields.contains(&field);
        let header = |field, header| if names(field) { self.request.text(header) } else { None };
        let attribute = |field, attribute| if names(field) { host::text(attribute) } else { None };
        Named {
            path: header("path", ":path"),
            authority: header("authority", ":authority"),
            user_agent: header("user_agent", "user-agent"),
            downstream_remote_address: attribute(
                "downstream_remote_address",
                const { field::attribute("downstream_remote_address") },
            ),
            requested_server_name: attribute(
                "requested_server_name",
                const { field::attribute("requested_server_name") },
            ),
            trace: if names("trace") { trace(&self.request) } else { None },
        }
    }

    /// Does the name of the request's user agent begin so?
    pub fn is_asked_by(&self, user_agent: &str) -> bool {
        let own = self.request.first("user-agent");
        own.is_some_and(|own| own.starts_with(user_agent.as_bytes()))
    }
}

/// What the configuration has named of a stream.
pub struct Named {
    path: Option<String>,
    authority: Option<String>,
    user_agent: Option<String>,
    downstream_remote_address: Option<String>,
    requested_server_name: Option<String>,
    trace: Option<Trace>,
}

impl Named {
    /// The same, for a record.
    pub fn borrowed(&self) -> Extra<'_> {
        Extra {
            path: self.path.as_deref(),
            authority: self.authority.as_deref(),
            user_agent: self.user_agent.as_deref(),
            downstream_remote_address: self.downstream_remote_address.as_deref(),
            requested_server_name: self.requested_server_name.as_deref(),
            trace: self.trace.as_ref(),
        }
    }
}

/// Where a request says that it belongs in a trace.
fn trace(request: &Headers) -> Option<Trace> {
    let header = |name| request.text(name);
    header("traceparent")
        .and_then(|value| Trace::from_traceparent(&value))
        .or_else(|| Trace::from_b3(&header("b3")?))
        .or_else(|| Trace::new(&header("x-b3-traceid")?, &header("x-b3-spanid")?))
}

/// `application/grpc` and what begins with it: `+proto`, `-web`.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type.starts_with(b"application/grpc")
}

fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    T::try_from(whole(core::str::from_utf8(text).ok()?)?).ok()
}
