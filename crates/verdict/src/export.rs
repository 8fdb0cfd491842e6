//! The way of records to a collector: a bounded queue, one batch at a time, and what is tried again.
//!
//! Source: the OTLP specification, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>: what may be tried
//! again, `Retry-After`, partial success. Knows no clock and no network: the caller tells the time, sends what
//! is due, and says what came of it. Whatever is pushed is in the end sent, failed or dropped, and counted.

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::json::{self, Value};
use crate::otlp::TAIL;
use crate::text::{split_once, whole};

const SECOND: u64 = 1_000_000_000;

/// The first wait before a batch is tried again; each wait is twice the one before, up to 32 times this.
const FIRST_WAIT: u64 = SECOND;
const DOUBLINGS: u32 = 5;
/// The longest wait, nanoseconds, where the collector asks for none.
pub const LONGEST_WAIT: u64 = FIRST_WAIT << DOUBLINGS;
/// The longest wait that is, by `Retry-After`.
const LONGEST_ASKED: u64 = 300 * SECOND;

/// Log records on their way.
#[derive(Debug)]
pub struct Exporter {
    /// The beginning of each request.
    head: String,
    /// No more records than that are held, the batch included.
    max_queue: usize,
    /// No batch is larger.
    max_batch: usize,
    waiting: VecDeque<String>,
    batch: Option<Batch>,
    /// How many tries in a row have failed, whatever they held.
    failures: u32,
    /// Has the last answer been worse than a plain success?
    is_failing: bool,
    /// For the jitter.
    seed: u64,
}

#[derive(Debug)]
struct Batch {
    body: String,
    count: usize,
    /// When it is tried again, nanoseconds; `None` while it is on its way.
    again_at: Option<u64>,
}

/// What has come of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The collector has it, all but so many records.
    Accepted {
        /// Records that it has not taken, and never will.
        rejected: usize,
    },
    /// It may be tried again, not before so many nanoseconds have gone by.
    Again {
        /// Nanoseconds that the collector asks for.
        after: u64,
    },
    /// It is of no use to try again.
    Refused,
}

/// What is to be counted, and said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records that the collector has taken.
    pub sent: usize,
    /// Records that it has refused.
    pub failed: usize,
    /// Is it the first failure since the last success?
    pub begins_to_fail: bool,
}

impl Answer {
    /// Reads a response. `now` is in nanoseconds since 1970.
    #[must_use]
    pub fn of(status: u64, retry_after: Option<&str>, body: &[u8], now: u64) -> Self {
        match status {
            200..=299 => Self::Accepted { rejected: rejected(body).unwrap_or_default() },
            429 | 502..=504 => {
                let after = retry_after.and_then(|text| wait(text, now)).unwrap_or_default();
                Self::Again { after: after.min(LONGEST_ASKED) }
            }
            _ => Self::Refused,
        }
    }

    /// There was no response at all: no connection, or no answer in time.
    pub const NONE: Self = Self::Again { after: 0 };
}

/// `partialSuccess.rejectedLogRecords`, a number or a text.
fn rejected(body: &[u8]) -> Option<usize> {
    fn member<'a>(value: Value<'a>, name: &str) -> Option<Value<'a>> {
        match value {
            Value::Object(members) => {
                members.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
            }
            Value::Null
            | Value::Boolean(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::List(_) => None,
        }
    }
    let rejected =
        member(member(json::parse(body).ok()?, "partialSuccess")?, "rejectedLogRecords")?;
    let number = rejected.as_unsigned().or_else(|| whole(rejected.as_text()?))?;
    usize::try_from(number).ok()
}

/// `Retry-After` in nanoseconds: seconds, or a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn wait(text: &str, now: u64) -> Option<u64> {
    let text = text.trim_ascii();
    if let Some(seconds) = whole(text) {
        return Some(seconds.saturating_mul(SECOND));
    }
    Some(date(text)?.saturating_mul(SECOND).saturating_sub(now))
}

/// Seconds since 1970 of an IMF-fixdate: RFC 9110, section 5.6.7.
fn date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = split_once(text, ", ")?;
    let (time, number) = (date.strip_suffix(" GMT")?, whole);
    let (day, rest) = split_once(time, " ")?;
    let (month, rest) = split_once(rest, " ")?;
    let (year, rest) = split_once(rest, " ")?;
    let (hour, rest) = split_once(rest, ":")?;
    let (minute, second) = split_once(rest, ":")?;
    let at = MONTHS.as_bytes().chunks(3).position(|name| name == month.as_bytes())?;
    let (day, month, year) = (number(day)?, u64::try_from(at).ok()? + 1, number(year)?);
    if !((1970..=9999).contains(&year) && (1..=31).contains(&day)) {
        return None;
    }
    // Years from March, so that the leap day is the last of its year: the inverse of a record's time.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let in_day =
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)?;
    days.checked_sub(719_468).map(|days| days * 86_400 + in_day)
}

impl Exporter {
    /// An empty queue. Each request begins with `head`, holds `max_batch` records at most, and no more than
    /// `max_queue` are held at any time; both are 1 at least.
    #[must_use]
    pub fn new(head: String, max_queue: usize, max_batch: usize) -> Self {
        let max_queue = max_queue.max(1);
        let max_batch = max_batch.clamp(1, max_queue);
        let waiting = VecDeque::new();
        Self {
            head,
            max_queue,
            max_batch,
            waiting,
            batch: None,
            failures: 0,
            is_failing: false,
            seed: 0,
        }
    }

    /// How many records are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting.len() + self.batch.as_ref().map_or(0, |batch| batch.count)
    }

    /// Takes a log record. Returns how many were dropped to make room for it: the oldest. A batch that is on
    /// its way cannot be dropped any more.
    pub fn push(&mut self, record: String) -> usize {
        self.waiting.push_back(record);
        if self.held() <= self.max_queue {
            return 0;
        }
        let rests = self.batch.take_if(|batch| batch.again_at.is_some());
        if let Some(batch) = rests {
            return batch.count;
        }
        self.waiting.pop_front();
        1
    }

    /// The request that is to be sent now, if there is one; say with [`Self::answered`] what came of it.
    pub fn due(&mut self, now: u64) -> Option<&str> {
        match &mut self.batch {
            Some(batch) if batch.again_at.is_none_or(|at| now < at) => return None,
            Some(batch) => batch.again_at = None,
            none => *none = Some(next(&mut self.waiting, &self.head, self.max_batch)?),
        }
        self.batch.as_ref().map(|batch| batch.body.as_str())
    }

    /// Is there so much that the next batch need not wait for its time?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batch.is_none() && self.waiting.len() >= self.max_batch
    }

    /// Says what came of the request that is on its way.
    pub fn answered(&mut self, answer: Answer, now: u64) -> Outcome {
        let on_its_way = self.batch.take_if(|batch| batch.again_at.is_none());
        let Some(mut batch) = on_its_way else { return Outcome::default() };
        let was_failing = self.is_failing;
        self.is_failing = answer != Answer::Accepted { rejected: 0 };
        let begins_to_fail = self.is_failing && !was_failing;
        match answer {
            Answer::Accepted { rejected } => {
                self.failures = 0;
                let failed = rejected.min(batch.count);
                Outcome { sent: batch.count - failed, failed, begins_to_fail }
            }
            Answer::Again { after } => {
                // Between half of it and all, so that the proxies of a mesh do not come back all at once.
                let half = (FIRST_WAIT << self.failures.min(DOUBLINGS)) / 2;
                let wait = half + self.random(now) % (half + 1);
                batch.again_at = Some(now.saturating_add(after).saturating_add(wait));
                self.batch = Some(batch);
                self.failures = self.failures.saturating_add(1);
                Outcome { begins_to_fail, ..Outcome::default() }
            }
            Answer::Refused => {
                self.failures = self.failures.saturating_add(1);
                Outcome { sent: 0, failed: batch.count, begins_to_fail }
            }
        }
    }

    /// Hands over what waits; of a batch that is on its way or will be tried again only the count.
    pub fn close(&mut self) -> (VecDeque<String>, usize) {
        let batch = self.batch.take().map_or(0, |batch| batch.count);
        (core::mem::take(&mut self.waiting), batch)
    }

    /// Xorshift, begun with the time: good enough to tell proxies apart.
    fn random(&mut self, now: u64) -> u64 {
        let mut it = self.seed ^ now | 1;
        it ^= it << 13;
        it ^= it >> 7;
        it ^= it << 17;
        self.seed = it;
        it
    }
}

fn next(waiting: &mut VecDeque<String>, head: &str, max_batch: usize) -> Option<Batch> {
    let count = waiting.len().min(max_batch);
    let mut body = String::from(head);
    for record in waiting.drain(..count) {
        json::separate(&mut body);
        body.push_str(&record);
    }
    body.push_str(TAIL);
    (count > 0).then_some(Batch { body, count, again_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    fn exporter(max_queue: usize, max_batch: usize) -> Exporter {
        Exporter::new("[".to_string(), max_queue, max_batch)
    }

    fn push(exporter: &mut Exporter, records: impl IntoIterator<Item = u32>) -> usize {
        records.into_iter().map(|record| exporter.push(record.to_string())).sum()
    }

    const ACCEPTED: Answer = Answer::Accepted { rejected: 0 };

    #[test]
    fn records_go_in_batches_and_in_order() {
        let mut exporter = exporter(10, 3);
        assert_eq!(exporter.due(0), None);
        assert_eq!(push(&mut exporter, 1..=7), 0);
        assert_eq!(exporter.due(0), Some("[1,2,3]}]}]}"));
        assert_eq!(exporter.due(u64::MAX), None, "one at a time");
        assert!(!exporter.is_full());
        assert_eq!(exporter.answered(ACCEPTED, 0), Outcome { sent: 3, ..Outcome::default() });
        assert!(exporter.is_full());
        assert_eq!(exporter.due(0), Some("[4,5,6]}]}]}"));
        exporter.answered(ACCEPTED, 0);
        assert!(!exporter.is_full());
        assert_eq!(exporter.due(0), Some("[7]}]}]}"));
        assert_eq!(exporter.answered(ACCEPTED, 0).sent, 1);
        assert_eq!(exporter.answered(ACCEPTED, 0), Outcome::default(), "nothing was on its way");
        assert_eq!(exporter.held(), 0);
    }

    #[test]
    fn a_full_queue_drops_the_oldest() {
        let mut exporter = exporter(4, 2);
        assert_eq!(push(&mut exporter, 1..=6), 2);
        assert_eq!(exporter.due(0), Some("[3,4]}]}]}"));
        // What is on its way cannot be dropped; what waits behind it can.
        assert_eq!(push(&mut exporter, [7]), 1);
        exporter.answered(Answer::NONE, 0);
        // What comes back is the oldest, and goes as a whole.
        assert_eq!(push(&mut exporter, [8]), 2);
        assert_eq!(push(&mut exporter, [9]), 0);
        assert_eq!(exporter.due(0), Some("[6,7]}]}]}"));
        assert_eq!(exporter.held(), 4);
    }

    #[test]
    fn a_batch_as_large_as_the_queue_leaves_room_for_nothing_else() {
        let mut exporter = exporter(2, 5);
        push(&mut exporter, 1..=2);
        assert!(exporter.due(0).is_some());
        assert_eq!(push(&mut exporter, [3]), 1);
        assert_eq!(exporter.held(), 2);
    }

    #[test]
    fn what_failed_is_tried_again_later_and_later() {
        let mut exporter = exporter(10, 10);
        push(&mut exporter, [1]);
        let mut now = 5 * SECOND;
        for doubling in [0, 1, 2, 3, 4, 5, 5, 5] {
            assert!(exporter.due(now).is_some());
            let outcome = exporter.answered(Answer::NONE, now);
            assert_eq!((outcome.sent, outcome.failed), (0, 0));
            assert_eq!(outcome.begins_to_fail, now == 5 * SECOND);
            let whole = FIRST_WAIT << doubling;
            assert_eq!(exporter.due(now + whole / 2 - 1), None);
            assert!(exporter.due(now + whole).is_some());
            exporter.answered(Answer::Again { after: 0 }, now);
            exporter.failures -= 1;
            now += whole;
            now += whole;
        }
        assert!(exporter.due(now).is_some());
        assert_eq!(exporter.answered(ACCEPTED, now).sent, 1);
        push(&mut exporter, [2]);
        exporter.due(now);
        assert!(exporter.answered(Answer::NONE, now).begins_to_fail);
        assert!(exporter.due(now + FIRST_WAIT).is_some(), "a success resets the wait");
    }

    #[test]
    fn waits_differ() {
        let mut waits = Vec::new();
        for now in 0..50 {
            let mut exporter = exporter(1, 1);
            push(&mut exporter, [1]);
            exporter.due(now * 1_000_003);
            exporter.answered(Answer::NONE, now * 1_000_003);
            waits.push(exporter.batch.unwrap().again_at.unwrap() - now * 1_000_003);
        }
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 40, "{waits:?}");
    }

    #[test]
    fn only_what_may_be_tried_again_is() {
        let of = |status| Answer::of(status, None, b"", 0);
        for status in [429, 502, 503, 504] {
            assert_eq!(of(status), Answer::Again { after: 0 }, "{status}");
        }
        for status in [0, 100, 301, 400, 401, 404, 408, 413, 500, 501, 505] {
            assert_eq!(of(status), Answer::Refused, "{status}");
        }
        let mut exporter = exporter(5, 5);
        push(&mut exporter, 1..=2);
        exporter.due(0);
        let outcome = exporter.answered(Answer::Refused, 0);
        assert_eq!(outcome, Outcome { sent: 0, failed: 2, begins_to_fail: true });
        assert_eq!(exporter.held(), 0);
    }

    #[test]
    fn partial_success_is_counted_and_never_tried_again() {
        let cases: [(&[u8], usize); 9] = [
            (b"", 0),
            (b"{}", 0),
            (b"no JSON", 0),
            (br#"{"partialSuccess":{}}"#, 0),
            (br#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"x"}}"#, 2),
            (br#"{"partialSuccess":{"rejectedLogRecords":"2"}}"#, 2),
            (br#"{"partialSuccess":{"rejectedLogRecords":-2}}"#, 0),
            (br#"{"partialSuccess":{"rejectedLogRecords":99}}"#, 3),
            (br#"{"partialSuccess":[]}"#, 0),
        ];
        for (body, failed) in cases {
            let mut exporter = exporter(5, 5);
            push(&mut exporter, 1..=3);
            exporter.due(0);
            let outcome = exporter.answered(Answer::of(200, None, body, 0), 0);
            assert_eq!((outcome.sent, outcome.failed), (3 - failed, failed));
            assert_eq!(outcome.begins_to_fail, failed > 0);
            assert_eq!(exporter.held(), 0);
        }
    }

    #[test]
    fn only_the_first_failure_in_a_row_is_said() {
        let mut exporter = exporter(5, 1);
        let partly = Answer::Accepted { rejected: 1 };
        let answers = [partly, Answer::Refused, partly, ACCEPTED, ACCEPTED, Answer::Refused];
        let said = answers.map(|answer| {
            push(&mut exporter, [1]);
            exporter.due(0);
            exporter.answered(answer, 0).begins_to_fail
        });
        assert_eq!(said, [true, false, false, false, false, true]);
    }

    #[test]
    fn a_collector_is_given_the_time_that_it_asks_for() {
        let now = 784_111_770 * SECOND;
        let cases = [
            ("0", 0),
            (" 7 ", 7),
            ("999999", 300),
            ("18446744073709551615", 300),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
            ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("", 0),
            ("soon", 0),
            ("-1", 0),
            ("Sun, 06 Nov 1994 24:49:37 GMT", 0),
            ("Sun, 06 Foo 1994 08:49:37 GMT", 0),
            ("Sun, 99999999999999999999 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 18446744073709551615 08:49:37 GMT", 0),
        ];
        for (text, seconds) in cases {
            let expected = Answer::Again { after: seconds * SECOND };
            assert_eq!(Answer::of(503, Some(text), b"", now), expected, "{text}");
        }
        for (text, seconds) in [
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("Tue, 31 Dec 2024 23:59:59 GMT", 1_735_689_599),
            ("Wed, 01 Jan 2025 00:00:00 GMT", 1_735_689_600),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
        let mut exporter = exporter(1, 1);
        push(&mut exporter, [1]);
        exporter.due(0);
        exporter.answered(Answer::Again { after: 7 * SECOND }, 0);
        assert_eq!(exporter.due(7 * SECOND), None, "with some jitter on top");
        assert!(exporter.due(8 * SECOND).is_some());
    }

    #[test]
    fn whatever_happens_every_record_is_counted_once_and_the_queue_is_bounded() {
        let mut random = exporter(1, 1);
        for (max_queue, max_batch) in [(1, 1), (7, 3), (50, 100), (100, 10)] {
            let mut exporter = exporter(max_queue, max_batch);
            let (mut pushed, mut counted, mut now) = (0, 0, 0);
            for _ in 0..10_000 {
                now += random.random(now) % (2 * SECOND);
                match random.random(now) % 8 {
                    0..=3 => {
                        pushed += 1;
                        counted += exporter.push(String::new());
                    }
                    4 | 5 => _ = exporter.due(now),
                    choice => {
                        let answers = [ACCEPTED, Answer::NONE, Answer::Refused];
                        let answer = if choice == 6 { ACCEPTED } else { answers[now as usize % 3] };
                        let outcome = exporter.answered(answer, now);
                        counted += outcome.sent + outcome.failed;
                    }
                }
                assert!(exporter.held() <= max_queue);
                assert_eq!(pushed, counted + exporter.held());
            }
            let (waiting, batch) = exporter.close();
            assert_eq!(pushed, counted + waiting.len() + batch);
            assert_eq!(exporter.held(), 0);
        }
    }
}
