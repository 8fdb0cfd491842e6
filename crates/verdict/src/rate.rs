//! A token bucket: so many records per second, in bursts of twice as many, and an exact count of the rest.

/// Bounds what a failure storm may write. Knows no clock: the caller tells the time.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Tokens per second.
    rate: u64,
    /// Billionths of a token: one token a second is one of them a nanosecond.
    level: u64,
    /// When the level was last raised, nanoseconds.
    at: u64,
    suppressed: u64,
}

const TOKEN: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket that gains `rate` tokens a second, at most 1,000,000, and holds twice as many.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        let rate = rate.min(1_000_000);
        Self { rate, level: 2 * rate * TOKEN, at: 0, suppressed: 0 }
    }

    /// Takes a token at a time in nanoseconds. With one, returns how many calls went without since the
    /// last that got one; without, returns `None` and counts the call. A clock that went back gains none.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        let gained = now.saturating_sub(self.at).saturating_mul(self.rate);
        self.level = self.level.saturating_add(gained).min(2 * self.rate * TOKEN);
        self.at = now;
        match self.level.checked_sub(TOKEN) {
            Some(level) => {
                self.level = level;
                Some(core::mem::take(&mut self.suppressed))
            }
            None => {
                self.suppressed += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_of_twice_the_rate_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(5);
        let passed =
            |bucket: &mut TokenBucket, now| (0..100).filter(|_| bucket.take(now).is_some()).count();
        assert_eq!(passed(&mut bucket, SECOND), 10);
        assert_eq!(passed(&mut bucket, 2 * SECOND), 5);
        assert_eq!(passed(&mut bucket, 2 * SECOND + SECOND / 5), 1);
        assert_eq!(passed(&mut bucket, 100 * SECOND), 10);
    }

    #[test]
    fn every_call_is_written_or_counted() {
        let mut bucket = TokenBucket::new(1);
        let (mut written, mut suppressed) = (0, 0);
        for call in 0..1000 {
            if let Some(before) = bucket.take(call * SECOND / 100) {
                written += 1;
                suppressed += before;
            }
        }
        suppressed += bucket.take(1_000_000 * SECOND).unwrap();
        assert_eq!(written + suppressed, 1000);
        assert!(written < 15, "{written}");
    }

    #[test]
    fn no_clock_can_break_it() {
        let mut bucket = TokenBucket::new(u64::MAX);
        assert_eq!(bucket.take(u64::MAX), Some(0));
        assert_eq!(bucket.take(0), Some(0));
        assert_eq!(TokenBucket::new(0).take(u64::MAX), None);
    }
}
