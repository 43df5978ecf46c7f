//! Time as an argument: the only place that may ask the operating system what time it is.
//!
//! Two clocks that must not be confused: [`Timestamp`] is wall-clock time, for people and for the database; durations and
//! deadlines are measured on the monotonic clock, which no administrator and no time server can set.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Wall-clock time in whole microseconds since 1970-01-01T00:00:00Z, the resolution that Postgres keeps.
///
/// Informative only: no decision compares timestamps of two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// From microseconds since the Unix epoch; negative values are before it.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, saturating at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// Time passed since `earlier`; zero if `earlier` is later than this.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same instant for libraries that know the `time` crate; years beyond its range are cut to its ends.
    #[must_use]
    pub fn to_offset_date_time(self) -> OffsetDateTime {
        let end = if self.0 < 0 {
            OffsetDateTime::UNIX_EPOCH
        } else {
            time::macros::datetime!(9999-12-31 23:59:59 UTC)
        };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).unwrap_or(end)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_offset_date_time().format(&Rfc3339) {
            Ok(text) => f.write_str(&text),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self::from)
            .map_err(serde::de::Error::custom)
    }
}

/// Time of a monotonic clock, as the duration since an arbitrary start that stays the same within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Time passed since `earlier`; zero if `earlier` is later than this.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Tells the time. Held as `Arc<dyn Clock>`.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall-clock time, for people and for the database.
    fn now(&self) -> Timestamp;

    /// Monotonic time, for durations and deadlines; counts on while the machine is suspended.
    fn monotonic(&self) -> Monotonic;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may read the wall clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from(OffsetDateTime::from(std::time::SystemTime::now()))
    }

    fn monotonic(&self) -> Monotonic {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(spec.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(spec.tv_nsec).unwrap_or(0);
        Monotonic(Duration::new(seconds, nanos))
    }
}

/// A clock that stands still until told to move, for tests and simulations.
#[derive(Debug)]
pub struct TestClock {
    now: Mutex<(Timestamp, Monotonic)>,
}

impl TestClock {
    /// A clock that stands at `now`, with its monotonic time at zero.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Mutex::new((now, Monotonic::default())),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = (now.0.saturating_add(by), now.1 + by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.now
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    fn monotonic(&self) -> Monotonic {
        self.now
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_from_its_text() {
        let at = Timestamp::from_micros(1_763_900_000_123_456);
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, "\"2025-11-23T12:13:20.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), at);
    }

    #[test]
    fn the_test_clock_moves_only_when_told() {
        let clock = TestClock::at(Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.now().as_micros(), 3_000_000);
        assert_eq!(clock.monotonic(), Monotonic(Duration::from_secs(3)));
    }
}
