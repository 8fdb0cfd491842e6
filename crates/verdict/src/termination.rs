//! Connection termination details: why this proxy ended a connection that carried no HTTP stream.
//!
//! Source: `CONNECTION_TERMINATION_DETAILS` in Envoy's access log documentation, and what Envoy 1.40 was
//! seen to print for network filters and listeners.

use crate::cause::{Cause, cause};
use crate::text::Pattern::{self, Is, Starts};

/// One kind of termination details.
#[derive(Debug)]
pub struct Termination {
    /// What the details are.
    pub pattern: Pattern,
    /// What they mean.
    pub cause: Cause,
}

const fn row(pattern: Pattern, name: &str) -> Termination {
    Termination { pattern, cause: cause(name) }
}

/// Every kind; the first row that matches decides.
#[rustfmt::skip]
pub const TERMINATION: &[Termination] = &[
    row(Starts("rbac_access_denied"),               "connection_denied"),
    row(Is("transport_socket_timeout_was_reached"), "downstream_tls_timeout"),
];

/// What termination details say; `None` when they are in no row.
#[must_use]
pub fn cause_of(details: &str) -> Option<Cause> {
    TERMINATION.iter().find(|row| row.pattern.matches(details)).map(|row| row.cause)
}
