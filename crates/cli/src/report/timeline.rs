//! Failures over time, within a bound: when there are too many steps, the steps become longer.

use std::collections::BTreeMap;

use failgate_verdict::Cause;

use super::names::Split;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long a step may be, in seconds.
#[rustfmt::skip]
const STEPS: &[u64] = &[
    1, 2, 5, 10, 15, 30,
    MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 10 * DAY, 30 * DAY, 90 * DAY, 360 * DAY, 3600 * DAY,
];

/// Steps that are kept while counting. Many more than bars, so that a bar is exact whatever its step.
const KEPT: usize = 4096;

/// Bars that are drawn at most.
pub const BARS: u64 = 60;

/// What was counted at which time.
#[derive(Debug)]
pub struct Timeline {
    step: u64,
    counts: BTreeMap<u64, Split>,
    /// Failures whose line has no time.
    pub timeless: u64,
    /// The first time, nanoseconds since 1970.
    pub first: Option<u64>,
    /// The last one.
    pub last: Option<u64>,
}

/// One bar.
#[derive(Debug)]
pub struct Bar {
    /// When it begins, nanoseconds since 1970.
    pub start: u64,
    /// What was counted in it.
    pub split: Split,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { step: 1, counts: BTreeMap::new(), timeless: 0, first: None, last: None }
    }
}

impl Timeline {
    /// Counts one failure.
    pub fn add(&mut self, time: Option<u64>, cause: Cause) {
        let Some(time) = time else {
            self.timeless += 1;
            return;
        };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        self.counts.entry(seconds(time) / self.step).or_default().add(cause);
        while self.counts.len() > KEPT {
            let step = self.step;
            self.widen(next(step));
        }
    }

    fn widen(&mut self, step: u64) {
        let factor = step / self.step;
        let mut counts: BTreeMap<u64, Split> = BTreeMap::new();
        for (at, split) in std::mem::take(&mut self.counts) {
            counts.entry(at / factor).or_default().join(&split);
        }
        (self.step, self.counts) = (step, counts);
    }

    /// The bars from the first failure to the last, without a gap, and how many seconds each of them stands for.
    pub fn bars(&self) -> (u64, Vec<Bar>) {
        let (Some(first), Some(last)) = (self.first, self.last) else { return (1, Vec::new()) };
        let (first, last) = (seconds(first), seconds(last));
        let fits =
            |step: &&u64| step.is_multiple_of(self.step) && last / **step - first / **step < BARS;
        let step = STEPS.iter().find(fits).copied().unwrap_or(u64::MAX);
        let mut bars: Vec<Bar> = (first / step..=last / step)
            .map(|at| Bar { start: at * step * 1_000_000_000, split: Split::default() })
            .collect();
        for (at, split) in &self.counts {
            let index = at * self.step / step - first / step;
            let bar = usize::try_from(index).ok().and_then(|index| bars.get_mut(index));
            if let Some(bar) = bar {
                bar.split.join(split);
            }
        }
        (step, bars)
    }
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000_000_000
}

/// The next step that whole ones of these fit into.
fn next(step: u64) -> u64 {
    let longer = STEPS.iter().find(|longer| **longer > step && longer.is_multiple_of(step));
    longer.copied().unwrap_or(step.saturating_mul(10))
}

/// `5 min`.
pub fn name(seconds: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")];
    let unit = units.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    unit.map_or_else(String::new, |(unit, name)| format!("{} {name}", seconds / unit))
}

/// How long that is, in its two largest units: `2 h 5 min`.
pub fn span(seconds: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")];
    let (mut rest, mut words) = (seconds, Vec::new());
    for (unit, name) in units {
        if rest >= unit && words.len() < 2 {
            words.push(format!("{} {name}", rest / unit));
            rest %= unit;
        } else if !words.is_empty() {
            break;
        }
    }
    if words.is_empty() { "less than a second".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(seconds: impl IntoIterator<Item = u64>) -> Timeline {
        let mut timeline = Timeline::default();
        for second in seconds {
            timeline.add(Some(second * 1_000_000_000), Cause::named("no_endpoints").unwrap());
        }
        timeline
    }

    #[test]
    fn a_bar_has_a_length_that_people_use_and_there_are_not_too_many() {
        for (span, step, bars) in [
            (0, 1, 1),
            (59, 1, 60),
            (60, 2, 31),
            (3600, 2 * MINUTE, 31),
            (DAY - 1, 30 * MINUTE, 48),
            (30 * DAY, DAY, 31),
        ] {
            let (found, list) = timeline([0, span]).bars();
            assert_eq!((found, list.len()), (step, bars), "{span}");
        }
    }

    #[test]
    fn every_failure_is_in_the_bar_of_its_time_also_when_steps_were_joined() {
        // Three times as many seconds as are kept, in an order that is not theirs, and one far away.
        let seconds = 3 * KEPT as u64;
        let timeline = timeline((0..seconds).map(|it| 1_000_000 + it * 7919 % seconds));
        assert!(timeline.counts.len() <= KEPT && timeline.step > 1, "{}", timeline.step);
        let (step, bars) = timeline.bars();
        for bar in &bars {
            let start = super::seconds(bar.start);
            let within = (1_000_000..1_000_000 + seconds).filter(|it| it / step * step == start);
            assert_eq!(bar.split.total(), within.count() as u64, "{start}");
        }
        assert_eq!(bars.iter().map(|bar| bar.split.total()).sum::<u64>(), seconds);
    }

    #[test]
    fn a_clock_that_is_far_off_takes_neither_memory_nor_bars() {
        let timeline = timeline((0..20_000).map(|it| it * 800_000).chain([18_000_000_000]));
        assert!(timeline.counts.len() <= KEPT);
        let (_, bars) = timeline.bars();
        assert!(bars.len() as u64 <= BARS, "{}", bars.len());
        assert_eq!(bars.iter().map(|bar| bar.split.total()).sum::<u64>(), 20_001);
    }

    #[test]
    fn what_has_no_time_is_counted_beside() {
        let mut timeline = timeline([5]);
        timeline.add(None, Cause::named("no_endpoints").unwrap());
        assert_eq!((timeline.timeless, timeline.bars().1.len()), (1, 1));
        assert!(Timeline::default().bars().1.is_empty());
    }

    #[test]
    fn lengths_are_said_in_their_largest_units() {
        assert_eq!(name(300), "5 min");
        assert_eq!(name(DAY), "1 d");
        assert_eq!(span(0), "less than a second");
        assert_eq!(span(61), "1 min 1 s");
        assert_eq!(span(2 * HOUR + 61), "2 h 1 min");
        assert_eq!(span(DAY + 5), "1 d");
    }
}
