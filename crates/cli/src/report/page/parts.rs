//! Parts that several sections have: numbers, times, names, bars.

use failgate_verdict::Cause;
use failgate_verdict::record::rfc_3339;
use failgate_verdict::terms::{GATES, Gate};
use failgate_verdict::text::bounded;
use maud::{Markup, html};

use crate::report::names::{Names, Split};
use crate::screen::count;

/// Names in a list.
const SHOWN: usize = 10;

/// A text longer than this is folded.
const FOLDED: usize = 120;

/// How wide the drawing of a bar is; the page stretches it.
pub const WIDTH: f64 = 1000.0;

/// A part of a whole in percent, which is 100 only for the whole and never 0 for a part.
pub fn share(part: u64, whole: u64) -> String {
    if part == whole {
        return "100\u{a0}%".to_owned();
    }
    if part == 0 {
        return "0\u{a0}%".to_owned();
    }
    let (part, whole) = (u128::from(part), u128::from(whole.max(1)));
    if part * 100 < whole {
        return "< 1\u{a0}%".to_owned();
    }
    format!("{}\u{a0}%", ((part * 200 + whole) / (whole * 2)).min(99))
}

/// `3 failures`.
pub fn failures(number: u64) -> String {
    if number == 1 { "1 failure".to_owned() } else { format!("{} failures", count(number)) }
}

/// `2026-01-31 23:59:59`, or the time of day alone on the day of another time.
pub fn when(nanoseconds: u64, other: Option<u64>) -> String {
    let text = rfc_3339(nanoseconds).replace('T', " ");
    let text = text.get(..19).unwrap_or_default();
    let same = other.is_some_and(|other| rfc_3339(other).get(..10) == text.get(..10));
    text.get(if same { 11 } else { 0 }..).unwrap_or_default().to_owned()
}

/// The class that gives a gate its colour.
pub fn class(gate: Gate) -> String {
    format!("g-{gate}")
}

/// The length of a part in a drawing; whatever happened at all is seen.
pub fn extent(part: u64, whole: u64, length: f64) -> f64 {
    if part == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a drawing needs no more than 53 bits")]
    let exact = part as f64 / whole.max(1) as f64 * length;
    exact.max(length / 100.0).min(length)
}

/// A number in a drawing.
pub fn number(value: f64) -> String {
    format!("{value:.2}")
}

/// A text, folded when it is long: its beginning is seen, and the whole of it on demand.
pub fn long(text: &str) -> Markup {
    let start = bounded(text, FOLDED);
    html! {
        @if start.len() == text.len() {
            span.foreign { (text) }
        } @else {
            details.long { summary { span.foreign { (start) "…" } } span.foreign { (text) } }
        }
    }
}

/// A sentence of ours, which may have code between backticks.
pub fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// How many stopped at each gate, in the order of the gates.
pub fn by_gate(split: &Split) -> Vec<(Gate, u64)> {
    let causes = split.causes();
    let count = |gate: Gate| -> u64 {
        causes.iter().filter(|(cause, _)| cause.row().gate == gate).map(|(_, count)| count).sum()
    };
    GATES
        .iter()
        .map(|gate| (gate.value, count(gate.value)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// A bar as long as its part of the largest, in the colours of the gates.
pub fn bar(split: &Split, largest: u64) -> Markup {
    let total = split.total();
    let whole = extent(total, largest, WIDTH);
    let mut from = 0.0;
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (gate, count) in by_gate(split) {
                @let width = extent(count, total, whole).min(whole - from);
                rect.(class(gate)) x=(number(from)) y="0" width=(number(width)) height="10" {}
                @let () = from += width;
            }
        }
    }
}

/// A cause as a link to its explanation.
pub fn link(cause: Cause) -> Markup {
    html! { a.cause href=(format!("#cause-{cause}")) { (cause) } }
}

/// The most frequent names, each with its bar and its most frequent cause.
pub fn names(names: &Names, failures: u64, kind: &str) -> Markup {
    let top = names.top(SHOWN);
    let largest = top.names.first().map_or(0, |(_, split)| split.total());
    html! {
        @if top.names.is_empty() {
            p { "No line names one." }
        } @else {
            table.ranking role="table" {
                thead role="rowgroup" { tr role="row" { th scope="col" role="columnheader" { (kind) } th.number scope="col" role="columnheader" { "failures" } th scope="col" role="columnheader" { "mostly" } } }
                tbody role="rowgroup" {
                    @for (name, split) in &top.names {
                        tr role="row" {
                            th scope="row" role="rowheader" { (long(name)) (bar(split, largest)) }
                            td.number role="cell" { (count(split.total())) span.sub { (share(split.total(), failures)) } }
                            td role="cell" { @if let Some((cause, number)) = split.ranked().first() {
                                (link(*cause))
                                @if *number < split.total() { span.sub { (share(*number, split.total())) } }
                            } }
                        }
                    }
                    (rest("all others", top.others, failures))
                    (rest("none named", top.nameless, failures))
                }
            }
            @if top.late > 0 {
                p.sub { "Of the others, " (count(top.late)) " have names that came when there was no room for more." }
            }
        }
    }
}

fn rest(name: &str, number: u64, failures: u64) -> Markup {
    html! {
        @if number > 0 {
            tr.rest role="row" { th scope="row" role="rowheader" { (name) } td.number role="cell" { (count(number)) span.sub { (share(number, failures)) } } td role="cell" {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_more_exact_than_it_is_true() {
        assert_eq!(share(1, 1), "100\u{a0}%");
        assert_eq!(share(99_999, 100_000), "99\u{a0}%");
        assert_eq!(share(1, 100_000), "< 1\u{a0}%");
        assert_eq!(share(0, 5), "0\u{a0}%");
        assert_eq!(share(616, 1000), "62\u{a0}%");
        assert_eq!(share(1, 100), "1\u{a0}%");
        assert_eq!(share(u64::MAX / 2, u64::MAX), "50\u{a0}%");
    }

    #[test]
    fn whatever_happened_is_seen_and_no_bar_is_too_long() {
        assert_eq!(extent(0, 10, 100.0), 0.0);
        assert_eq!(extent(1, 1_000_000, 100.0), 1.0);
        assert_eq!(extent(10, 10, 100.0), 100.0);
        assert_eq!(extent(1, 0, 100.0), 100.0);
    }

    #[test]
    fn the_day_is_said_once() {
        let first = 1_795_290_458_000_000_000;
        assert_eq!(when(first, None), "2026-11-21 19:47:38");
        assert_eq!(when(first + 1_000_000_000, Some(first)), "19:47:39");
        assert_eq!(when(first + 86_400_000_000_000, Some(first)), "2026-11-22 19:47:38");
    }

    #[test]
    fn a_long_text_is_folded_and_whole() {
        let text = format!("{}<b>", "é".repeat(100));
        let markup = long(&text).into_string();
        assert!(markup.contains("<details"), "{markup}");
        assert!(
            markup.contains(&format!("{}&lt;b&gt;</span></details>", "é".repeat(100))),
            "{markup}"
        );
        assert_eq!(long("short").into_string(), r#"<span class="foreign">short</span>"#);
    }
}
