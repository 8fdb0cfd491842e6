//! Names counted, within a bound: the first so many names have a number each, all later ones have one together.

use std::borrow::Cow;
use std::collections::HashMap;

use failgate_verdict::Cause;
use failgate_verdict::record::STRING_BYTES;
use failgate_verdict::text::bounded;

use crate::screen::plain;

/// How often each cause was seen; causes without a number were not.
#[derive(Clone, Debug, Default)]
pub struct Split(Vec<(Cause, u64)>);

impl Split {
    /// Of one cause alone.
    pub fn of(cause: Cause, number: u64) -> Self {
        Self(vec![(cause, number)])
    }

    /// Counts one.
    pub fn add(&mut self, cause: Cause) {
        match self.0.iter_mut().find(|(it, _)| *it == cause) {
            Some((_, count)) => *count += 1,
            None => self.0.push((cause, 1)),
        }
    }

    /// Counts all of another.
    pub fn join(&mut self, other: &Self) {
        for (cause, count) in &other.0 {
            match self.0.iter_mut().find(|(it, _)| it == cause) {
                Some((_, sum)) => *sum += count,
                None => self.0.push((*cause, *count)),
            }
        }
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The causes in their order, with their numbers.
    pub fn causes(&self) -> Vec<(Cause, u64)> {
        let mut causes = self.0.clone();
        causes.sort_unstable();
        causes
    }

    /// The causes with their numbers, the most frequent first.
    pub fn ranked(&self) -> Vec<(Cause, u64)> {
        let mut causes = self.0.clone();
        causes.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        causes
    }
}

/// Names with what was counted of each.
#[derive(Debug)]
pub struct Names {
    bound: usize,
    named: HashMap<String, Split>,
    /// Of names that came when there was no room left.
    others: u64,
    /// Of failures that have no such name.
    nameless: u64,
}

/// The most frequent names, and what is left.
#[derive(Debug)]
pub struct Top<'a> {
    /// A name and its causes, the most frequent first.
    pub names: Vec<(&'a str, &'a Split)>,
    /// Failures of all other names.
    pub others: u64,
    /// Failures without a name.
    pub nameless: u64,
    /// Failures of names that came too late to have a number of their own; part of `others`.
    pub late: u64,
}

impl Names {
    /// Room for so many names.
    pub fn new(bound: usize) -> Self {
        Self { bound, named: HashMap::new(), others: 0, nameless: 0 }
    }

    /// Counts one failure of that name.
    pub fn add(&mut self, name: Option<&str>, cause: Cause) {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            self.nameless += 1;
            return;
        };
        let name = harmless(name);
        if let Some(split) = self.named.get_mut(&*name) {
            split.add(cause);
        } else if self.named.len() < self.bound {
            self.named.entry(name.into_owned()).or_default().add(cause);
        } else {
            self.others += 1;
        }
    }

    /// The so many most frequent ones; among equals the order is that of the alphabet.
    pub fn top(&self, number: usize) -> Top<'_> {
        let mut names: Vec<_> =
            self.named.iter().map(|(name, split)| (split.total(), name.as_str(), split)).collect();
        names.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let rest: u64 = names.iter().skip(number).map(|(count, ..)| count).sum();
        Top {
            names: names.into_iter().take(number).map(|(_, name, split)| (name, split)).collect(),
            others: rest + self.others,
            nameless: self.nameless,
            late: self.others,
        }
    }
}

/// A text of a log as the page may have it: bounded, and without characters that hide or turn others.
pub fn harmless(text: &str) -> Cow<'_, str> {
    plain(bounded(text, STRING_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(name: &str) -> Cause {
        Cause::named(name).unwrap()
    }

    #[test]
    fn every_failure_is_counted_once_whatever_the_bound() {
        let mut names = Names::new(3);
        let refused = cause("connection_refused");
        for (name, times) in [("a", 2), ("b", 5), ("c", 1), ("d", 7), ("", 4)] {
            for _ in 0..times {
                names.add(Some(name), refused);
            }
        }
        names.add(None, refused);
        let top = names.top(2);
        let shown: Vec<_> = top.names.iter().map(|(name, split)| (*name, split.total())).collect();
        assert_eq!(shown, [("b", 5), ("a", 2)]);
        assert_eq!((top.others, top.late, top.nameless), (8, 7, 5));
    }

    #[test]
    fn equal_numbers_have_an_order() {
        let mut names = Names::new(100);
        for name in ["x", "b", "a", "y"] {
            names.add(Some(name), cause("connection_refused"));
        }
        let top = names.top(4);
        assert!(top.names.is_sorted_by_key(|(name, _)| *name));
        let mut split = Split::default();
        for name in ["route_not_found", "connection_refused", "route_not_found", "no_endpoints"] {
            split.add(cause(name));
        }
        let ranked: Vec<_> = split.ranked().iter().map(|(cause, _)| cause.name()).collect();
        assert_eq!(ranked, ["route_not_found", "no_endpoints", "connection_refused"]);
    }

    #[test]
    fn a_name_is_bounded_and_hides_nothing() {
        let mut names = Names::new(1);
        names.add(Some(&"é\u{202e}".repeat(10_000)), cause("connection_refused"));
        let top = names.top(1);
        // Each character that is replaced by `\u{fffd}` was of two or three bytes.
        assert!(
            top.names[0].0.len() <= STRING_BYTES * 3 / 2 && !top.names[0].0.contains('\u{202e}')
        );
    }
}
