//! The closed word lists of a verdict: where a request stopped, on whose side, who answered, whether it arrived.
//!
//! The words are a contract: records, metrics, headers, screens and documents spell them as here. The
//! order of the gates is the order in which Envoy asks their questions.

use core::fmt;
use serde::{Deserialize, Serialize};

/// One gate of Envoy's pipeline; the order is the order in which a request meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Did a filter chain accept the connection?
    Listener,
    /// Could the request be decoded and accepted as valid HTTP, in time?
    Request,
    /// Did every HTTP filter let it pass?
    Filter,
    /// Did a route match?
    Route,
    /// Does the route's cluster exist and accept traffic?
    Cluster,
    /// Is there a healthy endpoint to pick?
    Endpoint,
    /// Was there room in the connection pool and under the circuit breaker?
    Pool,
    /// Could an upstream connection be made, TCP and TLS?
    Connect,
    /// Did a whole, valid response come back in time?
    Response,
    /// Was the client still there to receive it?
    Downstream,
    /// Every gate was passed; the application itself answered with an error.
    Application,
    /// Something failed that no row explains.
    Unknown,
}

/// Whose side a cause is on, in the terms of Envoy's flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The caller's side.
    Downstream,
    /// This proxy: its configuration, its policy, its limits.
    Local,
    /// The destination's side.
    Upstream,
}

/// Who produced what the caller received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Responder {
    /// A local reply of this proxy.
    ThisProxy,
    /// Another proxy behind this one made it.
    UpstreamProxy,
    /// The application made it.
    Application,
    /// The application or a proxy before it; the evidence does not say which.
    Upstream,
    /// No response was completed: a reset or a disconnect.
    None,
}

/// Did the request reach the application; that is: is a retry safe?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivered {
    /// It did not; a retry is safe.
    No,
    /// The evidence does not say; treat it as if it had.
    Maybe,
    /// It did.
    Yes,
}

/// The kind of evidence that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The response code details.
    Details,
    /// The upstream or downstream transport failure reason.
    Transport,
    /// The connection termination details.
    Termination,
    /// The response flags.
    Flags,
    /// The HTTP status.
    Status,
    /// The gRPC status.
    Grpc,
    /// What the upstream hop's header said.
    Hop,
}

/// Which way traffic flows through the listener, seen from the workload (`xds.listener_direction`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The listener does not say, as in a plain Envoy.
    #[default]
    Unspecified,
    /// Towards the workload: behind an inbound sidecar there is the application and nothing else.
    Inbound,
    /// Away from the workload; gateways count as outbound.
    Outbound,
}

/// A closed list of words: each value once, with its spelling and what it says.
pub struct Term<T: 'static> {
    /// The value.
    pub value: T,
    /// Its spelling everywhere outside the code.
    pub name: &'static str,
    /// The question asked there, or what it says, in a few words.
    pub says: &'static str,
}

/// Words that are for people to read: the module, which has no screen, goes without.
pub(crate) const fn for_people(words: &'static str) -> &'static str {
    if cfg!(target_family = "wasm") { "" } else { words }
}

const fn term<T>(value: T, name: &'static str, says: &'static str) -> Term<T> {
    Term { value, name, says: for_people(says) }
}

/// The gates, in order, each with the question that it asks.
#[rustfmt::skip]
pub const GATES: &[Term<Gate>] = &[
    term(Gate::Listener,    "listener",    "did a filter chain accept the connection (SNI, TLS, L4 policy, overload)?"),
    term(Gate::Request,     "request",     "could the request be decoded and accepted as valid HTTP, in time?"),
    term(Gate::Filter,      "filter",      "did every HTTP filter let it pass (RBAC, JWT, ext_authz, rate limit, fault, ...)?"),
    term(Gate::Route,       "route",       "did a route match?"),
    term(Gate::Cluster,     "cluster",     "does the route's cluster exist and accept traffic?"),
    term(Gate::Endpoint,    "endpoint",    "is there a healthy endpoint to pick?"),
    term(Gate::Pool,        "pool",        "was there room in the connection pool and under the circuit breaker?"),
    term(Gate::Connect,     "connect",     "could an upstream connection be made (TCP and TLS)?"),
    term(Gate::Response,    "response",    "did a whole, valid response come back in time?"),
    term(Gate::Downstream,  "downstream",  "was the client still there to receive it?"),
    term(Gate::Application, "application", "every gate was passed; the application itself answered with an error"),
    term(Gate::Unknown,     "unknown",     "something failed that no row explains; the raw evidence is kept"),
];

/// The sides.
#[rustfmt::skip]
pub const SIDES: &[Term<Side>] = &[
    term(Side::Downstream, "downstream", "the caller's side"),
    term(Side::Local,      "local",      "this proxy: its configuration, its policy, its limits"),
    term(Side::Upstream,   "upstream",   "the destination's side"),
];

/// The responders.
#[rustfmt::skip]
pub const RESPONDERS: &[Term<Responder>] = &[
    term(Responder::ThisProxy,     "this_proxy",     "a local reply of this proxy"),
    term(Responder::UpstreamProxy, "upstream_proxy", "another proxy behind this one made it"),
    term(Responder::Application,   "application",    "the application made it"),
    term(Responder::Upstream,      "upstream",       "the application or a proxy before it; the evidence does not say which"),
    term(Responder::None,          "none",           "no response was completed: a reset or a disconnect"),
];

/// The values of `delivered`.
#[rustfmt::skip]
pub const DELIVERED: &[Term<Delivered>] = &[
    term(Delivered::No,    "no",    "the request did not reach the application; a retry is safe"),
    term(Delivered::Maybe, "maybe", "the evidence does not say whether it reached the application"),
    term(Delivered::Yes,   "yes",   "the request reached the application"),
];

/// The kinds of evidence.
#[rustfmt::skip]
pub const DECIDED_BY: &[Term<DecidedBy>] = &[
    term(DecidedBy::Details,     "details",     "response code details"),
    term(DecidedBy::Transport,   "transport",   "transport failure reason"),
    term(DecidedBy::Termination, "termination", "connection termination details"),
    term(DecidedBy::Flags,       "flags",       "response flags"),
    term(DecidedBy::Status,      "status",      "HTTP status"),
    term(DecidedBy::Grpc,        "grpc",        "gRPC status"),
    term(DecidedBy::Hop,         "hop",         "the upstream hop's header"),
];

fn name<T: Copy + PartialEq>(terms: &'static [Term<T>], value: T) -> &'static str {
    terms.iter().find(|term| term.value == value).map_or("unknown", |term| term.name)
}

macro_rules! spelled_by {
    ($type:ty, $terms:expr) => {
        impl $type {
            /// The word for it in records, metrics, headers and on the screen.
            #[must_use]
            pub fn name(self) -> &'static str {
                name($terms, self)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

spelled_by!(Gate, GATES);
spelled_by!(Side, SIDES);
spelled_by!(Responder, RESPONDERS);
spelled_by!(Delivered, DELIVERED);
spelled_by!(DecidedBy, DECIDED_BY);

/// The gRPC statuses by their numbers, in the spelling of the gRPC documentation.
pub const GRPC_STATUSES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Direction {
    /// The word for it in a record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Reads `xds.listener_direction`; a number that is not known counts as unspecified.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Inbound,
            2 => Self::Outbound,
            _ => Self::Unspecified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// The name in the table and the one that serde writes are two forms of one fact.
    fn spelled_alike<T: Copy + PartialEq + Serialize>(terms: &'static [Term<T>], count: usize) {
        assert_eq!(terms.len(), count, "a value is missing or stands twice");
        for row in terms {
            let written: String = serde_json::to_string(&row.value).unwrap();
            assert_eq!(written, alloc::format!("\"{}\"", row.name));
            assert_eq!(name(terms, row.value), row.name);
        }
    }

    #[test]
    fn every_word_is_spelled_the_same_in_the_table_and_in_json() {
        spelled_alike(GATES, 12);
        spelled_alike(SIDES, 3);
        spelled_alike(RESPONDERS, 5);
        spelled_alike(DELIVERED, 3);
        spelled_alike(DECIDED_BY, 7);
    }

    #[test]
    fn the_table_of_gates_is_in_the_order_of_the_pipeline() {
        assert!(GATES.is_sorted_by_key(|row| row.value));
    }
}
