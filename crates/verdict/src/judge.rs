//! The judge: did the stream fail, and if so, which row of which table says why?
//!
//! Total and pure. Response code details decide first, since they name what triggered the response; then,
//! without an HTTP stream, what ended the connection; then the flags; then the statuses. What no table
//! knows is `unrecognized`, never an error.

use crate::cause::{Cause, cause};
use crate::cluster::BLACK_HOLE;
use crate::details::{self, Meaning, Reset};
use crate::evidence::{Evidence, Stream, UpstreamHost};
use crate::flags::Flags;
use crate::policy::Policy;
use crate::terms::{DecidedBy, Delivered, Direction, Gate, Responder, Side};
use crate::text::starts;
use crate::{termination, transport};

const APPLICATION_ERROR: Cause = cause("application_error");
const CLIENT_RESET: Cause = cause("client_reset");
const CONNECTION_DENIED: Cause = cause("connection_denied");
const CONNECTION_FAILURE: Cause = cause("connection_failure");
const CONNECTION_POOL_OVERFLOW: Cause = cause("connection_pool_overflow");
const DIRECT_RESPONSE: Cause = cause("direct_response");
const DOWNSTREAM_TLS_ERROR: Cause = cause("downstream_tls_error");
const EGRESS_BLOCKED: Cause = cause("egress_blocked");
const ENDPOINTS_UNHEALTHY: Cause = cause("endpoints_unhealthy");
const MALFORMED_REQUEST: Cause = cause("malformed_request");
const MAX_REQUESTS_OVERFLOW: Cause = cause("max_requests_overflow");
const NO_ENDPOINTS: Cause = cause("no_endpoints");
const NO_HEALTHY_UPSTREAM: Cause = cause("no_healthy_upstream");
const RESPONSE_INCOMPLETE: Cause = cause("response_incomplete");
const UNRECOGNIZED: Cause = cause("unrecognized");
const UPGRADE_REFUSED: Cause = cause("upgrade_refused");
const UPSTREAM_OVERFLOW: Cause = cause("upstream_overflow");

/// The route that Istio gives to requests for unknown hosts under `REGISTRY_ONLY`.
const BLOCK_ALL: &str = "block_all";

/// What the evidence comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Why the stream failed; its row says at which gate and on whose side.
    pub cause: Cause,
    /// On whose side the cause is, seen from this proxy.
    pub side: Side,
    /// Who produced what the caller received.
    pub responder: Responder,
    /// Did the request reach the application?
    pub delivered: Delivered,
    /// Which kind of evidence decided.
    pub decided_by: DecidedBy,
    /// The policy that denied, when the details name one.
    pub policy: Option<Policy<'a>>,
}

/// What counts as a failure beyond doubt is fixed; which gRPC statuses of an upstream count is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// The gRPC statuses that count as failures when the upstream sent them: bit N is status N.
    grpc_failures: u32,
}

/// The statuses that OpenTelemetry's RPC conventions count as errors of a server: UNKNOWN,
/// `DEADLINE_EXCEEDED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, `DATA_LOSS`.
impl Default for Criteria {
    fn default() -> Self {
        Self::with_grpc_failures([2, 4, 12, 13, 14, 15])
    }
}

/// Judges by the default [`Criteria`]; `None` means that the stream did not fail.
#[must_use]
pub fn judge<'a>(evidence: &Evidence<'a>) -> Option<Verdict<'a>> {
    Criteria::default().judge(evidence)
}

impl Criteria {
    /// Other gRPC statuses, each from 1 to 16; numbers outside that are ignored.
    #[must_use]
    pub fn with_grpc_failures(statuses: impl IntoIterator<Item = u32>) -> Self {
        let known = statuses.into_iter().filter(|status| (1..=16).contains(status));
        Self { grpc_failures: known.fold(0, |set, status| set | 1 << status) }
    }

    /// The gRPC statuses that count as failures when the upstream sent them, in order.
    pub fn grpc_failures(&self) -> impl Iterator<Item = u32> {
        (1..=16).filter(|status| self.grpc_failures >> status & 1 == 1)
    }

    /// Judges; `None` means that the stream did not fail.
    #[must_use]
    pub fn judge<'a>(&self, evidence: &Evidence<'a>) -> Option<Verdict<'a>> {
        if !self.failed(evidence) {
            return None;
        }
        let (cause, decided_by) = match evidence.stream {
            Stream::Http => self.stream(evidence),
            Stream::Connection => connection(evidence),
        };
        let responder = responder(cause, evidence);
        Some(Verdict {
            cause,
            side: side(cause, decided_by),
            responder,
            delivered: delivered(cause, responder, evidence),
            decided_by,
            policy: evidence.details.or(evidence.termination).and_then(Policy::parse),
        })
    }

    /// Did the stream fail at all?
    fn failed(&self, evidence: &Evidence<'_>) -> bool {
        let flags = evidence.flags.without(Flags::HARMLESS);
        if evidence.stream == Stream::Connection {
            let reasons = [present(evidence.termination), present(evidence.transport)];
            let told = reasons.iter().any(Option::is_some) || handshake_failed(evidence);
            return !flags.is_empty() || told;
        }
        let Some(status) = evidence.status else { return true };
        if status == 101 && flags.without(Flags::DC).without(Flags::DR).is_empty() {
            return false; // the protocol was switched, and then the client closed its connection
        }
        !flags.is_empty()
            || status >= 500
            || (status >= 400 && evidence.is_local_reply())
            || evidence.details.is_some_and(details::is_cut)
            || self.grpc_failed(evidence)
    }

    fn grpc_failed(&self, evidence: &Evidence<'_>) -> bool {
        match evidence.grpc_status {
            None | Some(0) => false,
            // Nobody received it: Envoy makes one up of the redirect's status.
            Some(_) if evidence.details.is_some_and(details::is_replaced) => false,
            Some(_) if evidence.is_local_reply() => true,
            Some(status) => self.grpc_failures.checked_shr(status).unwrap_or(0) & 1 == 1,
        }
    }

    /// The cause of a failed HTTP stream.
    fn stream(&self, evidence: &Evidence<'_>) -> (Cause, DecidedBy) {
        let Some(details) = present(evidence.details) else {
            return self.undetailed(evidence);
        };
        match details::meaning(details) {
            Some(Meaning::Cause(CLIENT_RESET))
                if evidence.flags.any_of(Flags::DPE) && !evidence.flags.any_of(Flags::DR) =>
            {
                // This proxy reset the stream itself, over what the client had sent.
                (MALFORMED_REQUEST, DecidedBy::Details)
            }
            Some(Meaning::Cause(cause)) => (refined(cause, evidence), DecidedBy::Details),
            Some(Meaning::ResetBefore) => reset(Reset::parse(details), evidence),
            Some(Meaning::ResetAfter) => {
                let row = Reset::parse(details).row().filter(|row| row.answered);
                (row.map_or(RESPONSE_INCOMPLETE, |row| row.cause), DecidedBy::Details)
            }
            Some(Meaning::Upstreams | Meaning::Replaced) => {
                self.answered(evidence).unwrap_or_else(|| by_flags(evidence))
            }
            None if evidence.flags.cause().is_some() => by_flags(evidence),
            None => (UNRECOGNIZED, DecidedBy::Details),
        }
    }

    /// The cause of a failed HTTP stream without details.
    fn undetailed(&self, evidence: &Evidence<'_>) -> (Cause, DecidedBy) {
        if evidence.flags.cause().is_some() {
            return by_flags(evidence);
        }
        if let Some(answered) = self.answered(evidence) {
            return answered;
        }
        let multiplexed = matches!(evidence.protocol, Some("HTTP/2" | "HTTP/3"));
        if evidence.status.is_none() && evidence.flags.is_empty() && multiplexed {
            return (CLIENT_RESET, DecidedBy::Status); // RST_STREAM(NO_ERROR) leaves no other trace
        }
        by_flags(evidence)
    }

    /// The answer that came from upstream was the failure; the next hop may have said why.
    fn answered(&self, evidence: &Evidence<'_>) -> Option<(Cause, DecidedBy)> {
        let decided_by = self.answered_by(evidence)?;
        match evidence.hop {
            Some(hop) if hop.cause != APPLICATION_ERROR => Some((hop.cause, DecidedBy::Hop)),
            _ => Some((APPLICATION_ERROR, decided_by)),
        }
    }

    fn answered_by(&self, evidence: &Evidence<'_>) -> Option<DecidedBy> {
        if evidence.status.is_some_and(|status| status >= 500) {
            Some(DecidedBy::Status)
        } else if self.grpc_failed(evidence) {
            Some(DecidedBy::Grpc)
        } else {
            None
        }
    }
}

/// The cause of a failed connection that carried no HTTP stream.
fn connection(evidence: &Evidence<'_>) -> (Cause, DecidedBy) {
    if let Some(details) = present(evidence.details) {
        match details::meaning(details) {
            Some(Meaning::Cause(_)) if details::is_rbac(details) => {
                return (CONNECTION_DENIED, DecidedBy::Details);
            }
            Some(Meaning::Cause(cause)) => return (refined(cause, evidence), DecidedBy::Details),
            Some(
                Meaning::ResetBefore | Meaning::ResetAfter | Meaning::Upstreams | Meaning::Replaced,
            )
            | None => {}
        }
    }
    if let Some(cause) = present(evidence.termination).and_then(termination::cause_of) {
        return (cause, DecidedBy::Termination);
    }
    if handshake_failed(evidence) {
        return (DOWNSTREAM_TLS_ERROR, DecidedBy::Transport);
    }
    by_flags(evidence)
}

/// Did TLS with the caller fail? The listener filter that looks whether a connection begins with TLS leaves a
/// reason too where it does not, which is no failure: its text has a bar where a handshake's has a colon.
fn handshake_failed(evidence: &Evidence<'_>) -> bool {
    let inspected = |reason: &str| starts(reason, "TLS_error|error:");
    present(evidence.downstream_transport).is_some_and(|reason| !inspected(reason))
}

/// The cause of a reset before the response.
fn reset(reset: Reset<'_>, evidence: &Evidence<'_>) -> (Cause, DecidedBy) {
    let Some(row) = reset.row() else { return by_flags(evidence) };
    if row.connecting {
        let reason = reset.transport.or(evidence.transport);
        if let Some(cause) = present(reason).and_then(transport::cause_of) {
            return (cause, DecidedBy::Transport);
        }
    }
    // After a retry the address is that of an earlier attempt.
    let first = evidence.attempts.is_none_or(|attempts| attempts <= 1);
    let cause = match (row.cause, evidence.upstream_host) {
        (UPSTREAM_OVERFLOW, UpstreamHost::Absent) => CONNECTION_POOL_OVERFLOW,
        (UPSTREAM_OVERFLOW, UpstreamHost::Address(_)) if first => MAX_REQUESTS_OVERFLOW,
        (cause, _) => cause,
    };
    (cause, DecidedBy::Details)
}

/// The cause that the flags name, for want of anything better.
fn by_flags(evidence: &Evidence<'_>) -> (Cause, DecidedBy) {
    match evidence.flags.cause() {
        Some(CONNECTION_FAILURE) => match present(evidence.transport).and_then(transport::cause_of)
        {
            Some(cause) => (cause, DecidedBy::Transport),
            None => (CONNECTION_FAILURE, DecidedBy::Flags),
        },
        Some(cause) => (refined(cause, evidence), DecidedBy::Flags),
        None if evidence.flags.any_of(Flags::URX) => (APPLICATION_ERROR, DecidedBy::Flags),
        None if !evidence.flags.is_empty() => (UNRECOGNIZED, DecidedBy::Flags),
        None if present(evidence.termination).is_some() => (UNRECOGNIZED, DecidedBy::Termination),
        None => match present(evidence.transport) {
            Some(reason) => {
                (transport::cause_of(reason).unwrap_or(UNRECOGNIZED), DecidedBy::Transport)
            }
            None => (UNRECOGNIZED, DecidedBy::Status),
        },
    }
}

/// A cause that other evidence narrows to a more exact one.
fn refined(cause: Cause, evidence: &Evidence<'_>) -> Cause {
    let black_hole = evidence.cluster == Some(BLACK_HOLE);
    match cause {
        DIRECT_RESPONSE if black_hole || evidence.route == Some(BLOCK_ALL) => EGRESS_BLOCKED,
        NO_HEALTHY_UPSTREAM if black_hole => EGRESS_BLOCKED,
        NO_HEALTHY_UPSTREAM if evidence.endpoints == Some(0) => NO_ENDPOINTS,
        NO_HEALTHY_UPSTREAM
            if evidence.endpoints.is_some()
                || evidence.attempts.is_some_and(|attempts| attempts > 1)
                || present(evidence.transport).is_some()
                || evidence.upstream_address().is_some() =>
        {
            ENDPOINTS_UNHEALTHY
        }
        cause => cause,
    }
}

/// What is local to the next hop is upstream of this one.
fn side(cause: Cause, decided_by: DecidedBy) -> Side {
    match (cause.row().side, decided_by) {
        (Side::Local, DecidedBy::Hop) => Side::Upstream,
        (side, _) => side,
    }
}

fn responder(cause: Cause, evidence: &Evidence<'_>) -> Responder {
    let upstreams = match (evidence.hop, evidence.direction) {
        (Some(hop), _) if hop.cause == APPLICATION_ERROR => Responder::Application,
        (Some(_), _) => Responder::UpstreamProxy,
        // Behind an inbound sidecar there is the application and nothing else.
        (None, Direction::Inbound) => Responder::Application,
        (None, Direction::Outbound | Direction::Unspecified) => Responder::Upstream,
    };
    let gate = cause.row().gate;
    let passed_on = evidence.details.is_some_and(details::is_upstreams);
    if passed_on && evidence.status.is_some() {
        upstreams
    } else if evidence.stream == Stream::Connection
        || evidence.status.is_none()
        || gate == Gate::Downstream
        || cause == RESPONSE_INCOMPLETE
        || cut_short(gate, evidence)
    {
        Responder::None
    } else if gate == Gate::Application || cause == UPGRADE_REFUSED {
        upstreams
    } else {
        Responder::ThisProxy
    }
}

/// A timeout or a protocol error that came after the response had started: its status is the upstream's,
/// and the caller got a part of it. A local reply has a status of 400 or more, or is gRPC's (200).
fn cut_short(gate: Gate, evidence: &Evidence<'_>) -> bool {
    matches!(gate, Gate::Request | Gate::Response) && response_headers_arrived(evidence)
}

fn response_headers_arrived(evidence: &Evidence<'_>) -> bool {
    let passed_on = evidence.status.is_some_and(|status| status < 400);
    passed_on && (evidence.grpc_status.is_none() || evidence.response_started == Some(true))
}

fn delivered(cause: Cause, responder: Responder, evidence: &Evidence<'_>) -> Delivered {
    let row = cause.row();
    let tried_before = tried_before(row.gate, evidence);
    match row.delivered {
        // Nobody has said that it was the application that answered.
        Delivered::Yes if responder == Responder::Upstream => Delivered::Maybe,
        Delivered::Yes => Delivered::Yes,
        // The response that came back is that of a proxy.
        Delivered::Maybe if responder == Responder::UpstreamProxy => Delivered::Maybe,
        // What an earlier attempt came to is not in the evidence: it may have been answered.
        Delivered::No if tried_before && row.gate >= Gate::Endpoint => Delivered::Maybe,
        // The stream was on its way upstream already when it was stopped for something else.
        Delivered::No if row.gate < Gate::Endpoint && under_way(evidence) => Delivered::Maybe,
        Delivered::No => Delivered::No,
        Delivered::Maybe if evidence.attempts == Some(0) => Delivered::No,
        Delivered::Maybe if evidence.response_started == Some(true) => Delivered::Yes,
        Delivered::Maybe if response_headers_arrived(evidence) => Delivered::Yes,
        Delivered::Maybe if evidence.connection_ready == Some(false) && !tried_before => {
            Delivered::No
        }
        Delivered::Maybe => Delivered::Maybe,
    }
}

/// Was there an attempt before the last one? Without their number, exhausted retries tell of one, and so does
/// an endpoint that had been picked before none could be.
fn tried_before(gate: Gate, evidence: &Evidence<'_>) -> bool {
    // A connection's attempts to connect are no requests.
    let picked = gate == Gate::Endpoint && evidence.upstream_address().is_some();
    let told = evidence.stream == Stream::Http && (picked || evidence.flags.any_of(Flags::URX));
    evidence.attempts.map_or(told, |attempts| attempts > 1)
}

/// Had an upstream connection taken the request? A connection without one opens the other side before it
/// knows whether it may.
fn under_way(evidence: &Evidence<'_>) -> bool {
    evidence.stream == Stream::Http
        && evidence.connection_ready == Some(true)
        && evidence.attempts.is_some_and(|attempts| attempts > 0)
}

/// An empty text says no more than none.
fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
