//! How much one attempt may report. Pure.

use std::time::Duration;

use tunesmith_common::clock::Monotonic;

/// Points per second that may go on for ever.
const RATE: u64 = 2_000;
/// Points that may come at once.
const BURST: u64 = 100_000;
/// Points of one attempt.
pub(crate) const MAX_POINTS: u64 = 10_000_000;

/// A bucket of permissions that fills at a steady rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// In billionths of a point, so that no fraction is lost.
    nano_points: u64,
    filled: Monotonic,
}

const NANO: u64 = 1_000_000_000;

impl Bucket {
    pub(crate) fn full(now: Monotonic) -> Self {
        Self {
            nano_points: BURST * NANO,
            filled: now,
        }
    }

    /// Takes `count` permissions if there are as many.
    pub(crate) fn take(&mut self, count: u64, now: Monotonic) -> bool {
        // Longer than it takes to fill, and short enough to multiply.
        let passed = now
            .saturating_since(self.filled)
            .min(Duration::from_secs(BURST / RATE));
        let gained = u64::try_from(passed.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(RATE);
        self.nano_points = self.nano_points.saturating_add(gained).min(BURST * NANO);
        self.filled = self.filled.max(now);
        let wanted = count.saturating_mul(NANO);
        let enough = wanted <= self.nano_points;
        if enough {
            self.nano_points -= wanted;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_steady_rate() {
        let at = |millis| Monotonic(Duration::from_millis(millis));
        let mut bucket = Bucket::full(at(0));
        assert!(bucket.take(BURST, at(0)));
        assert!(!bucket.take(1, at(0)));
        assert!(bucket.take(2, at(1)));
        assert!(!bucket.take(1, at(1)));
        assert!(!bucket.take(RATE + 1, at(1_001)));
        assert!(bucket.take(RATE, at(1_001)));
        assert!(!bucket.take(BURST + 1, at(u64::MAX)));
        assert!(bucket.take(BURST, at(u64::MAX)));
    }
}
