//! The pipeline, drawn: how many came to each gate, how many it stopped, how many went on.
//!
//! A client may leave at any gate, and what is unknown happened nowhere that is known: these two stand beside
//! the flow, not in it. Two drawings of one thing: standing bars for wide pages, lying bars for narrow ones.

use failgate_verdict::terms::{GATES, Gate, Term};
use maud::{Markup, html};

use super::parts::{class, extent, number, share};
use crate::report::tally::Tally;
use crate::screen::count;

/// One gate, with what came to it.
struct Step {
    gate: &'static Term<Gate>,
    /// Stopped here.
    stopped: u64,
    /// Came this far; `None` beside the flow.
    came: Option<u64>,
}

fn steps(tally: &Tally) -> Vec<Step> {
    let in_flow = |gate: Gate| !matches!(gate, Gate::Downstream | Gate::Unknown);
    let mut coming: u64 =
        GATES.iter().filter(|gate| in_flow(gate.value)).map(|gate| tally.at(gate.value)).sum();
    let steps = GATES.iter().map(|gate| {
        let stopped = tally.at(gate.value);
        let came = in_flow(gate.value).then_some(coming);
        if came.is_some() {
            coming -= stopped;
        }
        Step { gate, stopped, came }
    });
    steps.collect()
}

/// The section of the page.
pub fn section(tally: &Tally) -> Markup {
    let all = tally.failures;
    let steps = steps(tally);
    let beside = steps.iter().any(|step| step.came.is_none() && step.stopped > 0);
    html! {
        section #pipeline aria-labelledby="pipeline-title" {
            h2 #pipeline-title { "The pipeline" }
            p.sub {
                "Where the failed requests stopped, of those that came so far. A request meets the gates in this order."
            }
            ol.pipeline {
                @for step in &steps {
                    li.(class(step.gate.value)).none[step.stopped == 0].beside[step.came.is_none()] {
                        (drawing(step, all, true))
                        p.gate title=(step.gate.says) {
                            @if step.stopped > 0 {
                                a href=(format!("#gate-{}", step.gate.name)) { (step.gate.name) }
                            } @else { (step.gate.name) }
                        }
                        (drawing(step, all, false))
                        p.stopped { b { (count(step.stopped)) } @if step.stopped > 0 { span.sub { (share(step.stopped, all)) } } }
                        @match step.came {
                            Some(came) if step.stopped > 0 && step.gate.value != Gate::Application => {
                                p.on { (count(came - step.stopped)) br; "went on" }
                            }
                            _ => p.on {}
                        }
                    }
                }
            }
            @if beside {
                p.sub { "Dashed: a client may leave at any gate, and of what is unknown no gate is known." }
            }
        }
    }
}

/// What went on is at the bottom, or to the left; what was stopped is above it, or behind it.
fn drawing(step: &Step, all: u64, standing: bool) -> Markup {
    let on = step.came.map_or(0, |came| came - step.stopped);
    let (on, stopped) = (extent(on, all, 100.0), extent(step.stopped, all, 100.0));
    let on = on.min(100.0 - stopped);
    let (lengths, offsets) = ([number(on), number(stopped)], [on, on + stopped]);
    let top = offsets.map(|offset| number(100.0 - offset));
    let [flow, stop] = &lengths;
    html! {
        @if standing {
            svg.standing viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                @let [flow_top, stop_top] = &top;
                rect.flow x="0" y=(flow_top) width="100" height=(flow) {}
                rect.stop x="0" y=(stop_top) width="100" height=(stop) {}
            }
        } @else {
            svg.lying viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                rect.flow x="0" y="0" width=(flow) height="10" {}
                rect.stop x=(flow) y="0" width=(stop) height="10" {}
            }
        }
    }
}
