//! The judge of failgate: from what a proxy knows of an ended stream to a verdict.
//!
//! ```text
//! attributes, log lines ──▶ Evidence ──▶ judge ──▶ Verdict ──▶ Record ──▶ JSON
//!                                          │
//!                flags, details, resets, transport, termination: tables, one fact a row
//! ```
//!
//! The crate is pure: no I/O, no clock, no panic; whatever the evidence says, there is an answer, and what
//! it does not know it keeps. It does not know proxy-wasm, files or screens.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cause;
pub mod cluster;
pub mod details;
pub mod evidence;
pub mod export;
pub mod field;
pub mod flags;
mod json;
pub mod judge;
pub mod keys;
pub mod look;
pub mod otlp;
pub mod policy;
pub mod proxy_status;
pub mod rate;
pub mod record;
pub mod settings;
pub mod structured;
pub mod termination;
pub mod terms;
pub mod text;
pub mod trace;
pub mod transport;

pub use cause::Cause;
pub use evidence::Evidence;
pub use flags::Flags;
pub use judge::{Criteria, Verdict, judge};
pub use record::Record;
