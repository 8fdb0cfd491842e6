//! The table of records: those that were kept, the latest first, each linked to its explanation.

use failgate_verdict::Record;
use failgate_verdict::terms::{DECIDED_BY, DELIVERED, RESPONDERS, Term};
use failgate_verdict::text::bounded;
use maud::{Markup, html};

use super::parts::{class, link, long};
use crate::inspect::table;
use crate::report::kept::Row;
use crate::report::tally::Tally;
use crate::screen::count;

/// What the line of evidence shows of a long text.
const EVIDENCE: usize = 160;

/// A time with nanoseconds and a zone is no longer; what is longer is none.
const TIME: usize = 35;

/// The section of the page.
pub fn section(tally: &Tally) -> Markup {
    let rows = tally.kept.rows();
    let shown = rows.len() as u64;
    html! {
        section #records aria-labelledby="records-title" {
            h2 #records-title { "Records" }
            p.sub {
                @if shown < tally.failures {
                    "Showing " (count(shown)) " of " (count(tally.failures)) ": the latest of each cause."
                } @else if shown > 1 {
                    "All " (count(shown)) ", the latest first."
                }
            }
            // Without JavaScript there is nothing to search with, so the box is not there.
            form #search role="search" hidden {
                label for="words" { "Search" }
                input #words type="search" autocomplete="off" spellcheck="false" placeholder="words, all of which must occur";
                p #found role="status" {}
            }
            table.records role="table" aria-labelledby="records-title" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for head in ["time (UTC)", "cause", "status", "where", "look at"] {
                            th scope="col" role="columnheader" { (head) }
                        }
                    }
                }
                @for row in rows { (drawn(row)) }
            }
        }
    }
}

fn drawn(row: &Row) -> Markup {
    let record = &row.record;
    let gate = record.cause.row().gate;
    html! {
        tbody.(class(gate)) role="rowgroup" {
            tr role="row" {
                td.time role="cell" { (time(record)) }
                td role="cell" { span.gate { (gate) } (link(record.cause)) }
                td.status role="cell" { (table::status(record)) @if !record.response_flags.is_empty() { " " span.flags { (long(&table::flags(record))) } } }
                td role="cell" { (long(&table::place(record))) }
                td role="cell" { @if let Some(look) = record.look.first() { (long(look)) } }
            }
            tr role="row" {
                td.more role="cell" colspan="5" { (more(row)) }
            }
        }
    }
}

fn time(record: &Record) -> Markup {
    let time = record.time.as_deref().unwrap_or("no time");
    let said = time.trim_end_matches('Z').replacen('T', " ", 1);
    html! {
        @if said.len() <= TIME { span.at { (said) } } @else { (long(time)) }
    }
}

fn more(row: &Row) -> Markup {
    let record = &row.record;
    let evidence = [
        &record.response_code_details,
        &record.upstream_transport_failure_reason,
        &record.downstream_transport_failure_reason,
        &record.connection_termination_details,
    ];
    let evidence = evidence.into_iter().flatten().next().map_or("no details", String::as_str);
    let start = bounded(evidence, EVIDENCE);
    let json = serde_json::to_string_pretty(record).unwrap_or_default();
    html! {
        details {
            summary { span.foreign { (start) @if start.len() < evidence.len() { "…" } } }
            ul {
                li { "delivered: " (said(DELIVERED, record.delivered)) }
                li { "answered by: " (said(RESPONDERS, record.responder)) }
                li { "decided by: the " (said(DECIDED_BY, record.decided_by)) }
                li { "found in line " (count(row.line)) @if let Some(file) = &row.file { " of " (crate::screen::plain(file)) } }
            }
            pre tabindex="0" { (json) }
        }
    }
}

fn said<T: PartialEq>(terms: &'static [Term<T>], value: T) -> &'static str {
    terms.iter().find(|term| term.value == value).map_or("", |term| term.says)
}
