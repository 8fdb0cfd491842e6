//! The causes that occurred: ranked, and explained in the words of `failgate explain`.

use failgate_verdict::Cause;
use failgate_verdict::terms::{GATES, Gate};
use maud::{Markup, html};

use super::parts::{bar, class, failures, link, long, prose, share, when};
use crate::explain::{command, guide};
use crate::report::names::{Names, Split};
use crate::report::tally::{Counted, Tally};
use crate::screen::{count, plain};

/// Causes that are ranked in the open; the others are folded.
const TOP: usize = 12;

/// Names in the explanation of a cause.
const SHOWN: usize = 3;

/// The section with all causes, the most frequent first.
pub fn ranking(tally: &Tally) -> Markup {
    let ranked = tally.ranked();
    let largest = ranked.first().map_or(0, |(_, counted)| counted.failures);
    let (top, rest) = ranked.split_at(ranked.len().min(TOP));
    html! {
        section #causes aria-labelledby="causes-title" {
            h2 #causes-title { "Causes" }
            (table(top, largest, tally.failures))
            @if !rest.is_empty() {
                details.rest {
                    summary { "The other " (rest.len()) " causes" }
                    (table(rest, largest, tally.failures))
                }
            }
        }
    }
}

fn table(causes: &[(Cause, &Counted)], largest: u64, failures: u64) -> Markup {
    html! {
        table.ranking role="table" {
            thead role="rowgroup" { tr role="row" { th scope="col" role="columnheader" { "cause" } th.number scope="col" role="columnheader" { "failures" } th scope="col" role="columnheader" { "look at first" } } }
            tbody role="rowgroup" {
                @for (cause, counted) in causes {
                    tr role="row" {
                        th scope="row" role="rowheader" {
                            (link(*cause)) span.sub { (cause.row().gate) ", " (cause.row().side) " side" }
                            (bar(&Split::of(*cause, counted.failures), largest))
                        }
                        td.number role="cell" { (count(counted.failures)) span.sub { (share(counted.failures, failures)) } }
                        td role="cell" { @for (look, _) in counted.looks.top(1).names { (long(look)) } }
                    }
                }
            }
        }
    }
}

/// The section with what they mean, in the order of the pipeline.
pub fn explanations(tally: &Tally) -> Markup {
    html! {
        section #explanations aria-labelledby="explanations-title" {
            h2 #explanations-title { "What the causes mean" }
            @for gate in GATES.iter().filter(|gate| tally.at(gate.value) > 0) {
                section.explained.(class(gate.value)) {
                    h3 id=(format!("gate-{}", gate.name)) { (gate.name) }
                    p.sub { (gate.says) }
                    @for (cause, counted) in of(tally, gate.value) { (explained(cause, counted, tally)) }
                }
            }
        }
    }
}

fn of(tally: &Tally, gate: Gate) -> impl Iterator<Item = (Cause, &Counted)> {
    let there = tally.causes.iter().filter(move |(cause, _)| cause.row().gate == gate);
    there.map(|(cause, counted)| (*cause, counted))
}

fn explained(cause: Cause, counted: &Counted, tally: &Tally) -> Markup {
    let row = cause.row();
    let upstreams = counted.upstreams.top(1);
    let upstream = upstreams.names.first().map(|(name, _)| *name);
    let example = tally.kept.example(cause, upstream);
    let kept = tally.kept.of(cause) as u64;
    html! {
        article {
            h4 id=(format!("cause-{}", row.name)) { (row.name) }
            p.sub {
                "on the " (row.side) " side · " (failures(counted.failures)) " (" (share(counted.failures, tally.failures)) ")"
                @if let Some((first, last)) = counted.times {
                    " · " (when(first, None)) @if first != last { " to " (when(last, Some(first))) } " UTC"
                }
                " · "
                a.find href="#records" data-words=(row.name) { (count(kept)) @if kept == 1 { " record" } @else { " records" } " in the table" }
            }
            @if let Some(guide) = guide::of(cause) {
                p { (prose(guide.means)) }
                p.not { (prose(guide.is_not)) }
            }
            dl {
                (list("look at", &counted.looks, counted))
                (list("upstream", &counted.upstreams, counted))
                (list("proxy", &counted.proxies, counted))
            }
            @if let Some(guide) = guide::of(cause) {
                @if let Some(row) = example {
                    p.sub { "Commands, with the names of line " (count(row.line)) @if let Some(file) = &row.file { " of " (plain(file)) } ":" }
                    pre.command tabindex="0" { code {
                        @for (index, template) in guide.commands.iter().enumerate() {
                            @if index > 0 { "\n" }
                            (plain(&command::filled(template, Some(&row.record))))
                        }
                    } }
                }
            }
        }
    }
}

fn list(title: &str, names: &Names, counted: &Counted) -> Markup {
    let top = names.top(SHOWN);
    html! {
        @if !top.names.is_empty() {
            div {
                dt { (title) }
                @for (name, split) in &top.names {
                    dd { (long(name)) @if split.total() < counted.failures { " " span.sub { (share(split.total(), counted.failures)) } } }
                }
                @if top.others > 0 { dd.sub { "others " (share(top.others, counted.failures)) } }
            }
        }
    }
}
