//! Failures over time: a bar a step, the gates on top of each other, and the same as a table.

use failgate_verdict::terms::{GATES, Gate};
use maud::{Markup, html};

use super::parts::{by_gate, class, extent, failures, number, when};
use crate::report::timeline::{Bar, Timeline, name};
use crate::screen::count;

/// The width of a bar with its gap, and the height of the highest one, in the drawing.
const BAR: f64 = 10.0;
const HEIGHT: f64 = 100.0;

/// There is room for so many bars: a single one is no wall.
const FEWEST: usize = 12;

/// The section of the page.
pub fn section(timeline: &Timeline) -> Markup {
    let (step, bars) = timeline.bars();
    html! {
        section #timeline aria-labelledby="timeline-title" {
            h2 #timeline-title { "Over time" }
            @if bars.is_empty() {
                p { "No line has a time." }
            } @else {
                (chart(step, &bars))
            }
            @if timeline.timeless > 0 && !bars.is_empty() {
                p.sub { (failures(timeline.timeless)) " without a time are not drawn." }
            }
        }
    }
}

fn chart(step: u64, bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.split.total()).max().unwrap_or_default();
    let peak = bars.iter().find(|bar| bar.split.total() == highest).map_or(0, |bar| bar.start);
    let first = bars.first().map_or(0, |bar| bar.start);
    let last = bars.last().map_or(0, |bar| bar.start);
    let step = name(step);
    let mut seen: Vec<Gate> =
        bars.iter().flat_map(|bar| by_gate(&bar.split)).map(|(gate, _)| gate).collect();
    seen.sort_unstable();
    seen.dedup();
    #[expect(clippy::cast_precision_loss, reason = "there are few bars")]
    let width = bars.len().max(FEWEST) as f64 * BAR;
    let most = format!("most at {}: {} in {step}", when(peak, Some(first)), count(highest));
    html! {
        figure.chart {
            figcaption { "Failures in steps of " (step) ", " (most) "." }
            svg role="img" viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none"
                aria-label=(format!("Failures over time in steps of {step}; {most}.")) {
                @for (index, bar) in bars.iter().enumerate() { (drawn(index, bar, highest)) }
            }
            p.axis {
                span { (when(first, None)) }
                @if bars.len() >= FEWEST { span { (when(last, Some(first))) } }
            }
            ul.legend aria-label="Colours" {
                @for gate in GATES.iter().filter(|gate| seen.contains(&gate.value)) {
                    li { span.swatch.(class(gate.value)) {} a href=(format!("#gate-{}", gate.name)) { (gate.name) } }
                }
            }
            details {
                summary { "The same as a table" }
                table.plain {
                    thead { tr { th scope="col" { "from (UTC)" } th.number scope="col" { "failures" } th scope="col" { "stopped at" } } }
                    tbody {
                        @for bar in bars {
                            tr {
                                th scope="row" { (when(bar.start, None)) }
                                td.number { (count(bar.split.total())) }
                                td { (said(bar)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn said(bar: &Bar) -> String {
    let gates = by_gate(&bar.split);
    gates
        .iter()
        .map(|(gate, number)| format!("{gate} {}", count(*number)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn drawn(index: usize, bar: &Bar, highest: u64) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "there are few bars")]
    let x = index as f64 * BAR;
    let total = bar.split.total();
    let whole = extent(total, highest, HEIGHT);
    let mut top = HEIGHT;
    html! {
        @if total > 0 {
            g {
                title { (when(bar.start, None)) ": " (count(total)) " (" (said(bar)) ")" }
                // The pointer need not hit a low bar.
                rect.air x=(number(x)) y="0" width=(number(BAR)) height=(number(HEIGHT)) {}
                @for (gate, count) in by_gate(&bar.split) {
                    @let height = extent(count, total, whole);
                    @let () = top = (top - height).max(0.0);
                    rect.(class(gate)) x=(number(x + 0.5)) y=(number(top)) width=(number(BAR - 1.0)) height=(number(height)) {}
                }
            }
        }
    }
}
