//! The filter: failgate as a Proxy-Wasm module.
//!
//! One module, mounted as an HTTP filter or as an access logger. It looks at a stream when its response
//! headers pass and when it has ended, and never stands in the way of traffic: no pause, no body, no change
//! to a request; a response gains or loses a header member of ours and nothing else. What it reads goes to
//! the judge in `failgate-verdict`, which knows what it means.

// Elsewhere there is no proxy to be called. The standard library would bring an environment, files and the
// printing of backtraces into the module, which has a use for none of them.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;

mod collector;
mod header;
mod host;
mod metrics;
mod plugin;
mod report;
mod stream;
