//! The command line of failgate: the judge of live traffic, for logs that are there already.
//!
//! ```text
//! a line ──▶ read ──▶ Record, or facts ──▶ Evidence ──▶ judge ──▶ Record ──▶ inspect: table, JSON, summary, stories
//!                                                             └──▶ report: one page of HTML
//! a word ──▶ explain ──▶ Evidence ──▶ judge ──▶ what it means, what it does not mean, what to look at
//! ```
//!
//! What a log line cannot say stays unknown; nothing here decides about a failure, the verdict crate does.

pub mod args;
pub mod causes;
pub mod check;
pub mod configuration;
pub mod explain;
pub mod format;
pub mod inspect;
pub mod manual;
pub mod read;
pub mod report;
pub mod screen;
