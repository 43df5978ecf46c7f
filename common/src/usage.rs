//! What an attempt uses of its machine over time: processor, memory, GPUs.
//!
//! Both ends of a session keep the same series by the same rule, so that only what is new has to be sent. A series has a bound: when it is full,
//! neighbours become one, and from then on twice as many samples make one entry.

use serde::{Deserialize, Serialize};

/// Entries of a series at most. Even, so that all of them have a neighbour.
pub const MOST_ENTRIES: usize = 120;

/// What an attempt used at a time. Stored as a row of numbers, by the coordinator for people and by the worker for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct UsageSample {
    /// Seconds since its program started.
    pub seconds: u32,
    /// Thousandths of a processor core, on average since the sample before.
    pub cpu_millis: u32,
    /// Main memory in bytes; what its processes share is counted for each.
    pub memory: u64,
    /// How busy its GPUs were on average, in percent. None if it has none, or they do not tell.
    pub gpu_percent: Option<u8>,
    /// Memory in use on all of its GPUs, in bytes. None if it has none, or they do not tell.
    pub gpu_memory: Option<u64>,
}

type Row = (u32, u32, u64, Option<u8>, Option<u64>);

impl From<Row> for UsageSample {
    fn from((seconds, cpu_millis, memory, gpu_percent, gpu_memory): Row) -> Self {
        Self {
            seconds,
            cpu_millis,
            memory,
            gpu_percent,
            gpu_memory,
        }
    }
}

impl From<UsageSample> for Row {
    fn from(sample: UsageSample) -> Self {
        (
            sample.seconds,
            sample.cpu_millis,
            sample.memory,
            sample.gpu_percent,
            sample.gpu_memory,
        )
    }
}

/// What an attempt has used since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSeries {
    /// Samples that make one entry.
    group: u32,
    /// Samples in the last entry.
    last: u32,
    /// Ascending in time, of the first sample of each.
    entries: Vec<UsageSample>,
}

impl Default for UsageSeries {
    fn default() -> Self {
        Self {
            group: 1,
            last: 0,
            entries: Vec::new(),
        }
    }
}

impl UsageSeries {
    /// A series of which the parts are known.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn new(group: u32, last: u32, entries: Vec<UsageSample>) -> Result<Self, String> {
        if entries.len() > MOST_ENTRIES {
            return Err(format!(
                "has {} entries, at most {MOST_ENTRIES} are allowed",
                entries.len()
            ));
        }
        if !group.is_power_of_two() || last > group || (last == 0) != entries.is_empty() {
            return Err(format!(
                "says that {group} samples make an entry and {last} the last of {}",
                entries.len()
            ));
        }
        if entries.windows(2).any(|pair| pair[0].seconds > pair[1].seconds) {
            return Err("goes back in time".to_owned());
        }
        Ok(Self { group, last, entries })
    }

    /// Samples that make one entry.
    #[must_use]
    pub fn group(&self) -> u32 {
        self.group
    }

    /// Samples in the last entry; the others are whole.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Samples that it was made of.
    #[must_use]
    pub fn samples(&self) -> u64 {
        let whole = u64::try_from(self.entries.len().saturating_sub(1)).unwrap_or(u64::MAX);
        whole
            .saturating_mul(self.group.into())
            .saturating_add(self.last.into())
    }

    /// Its entries, ascending in time.
    #[must_use]
    pub fn entries(&self) -> &[UsageSample] {
        &self.entries
    }

    /// Takes the next sample. One that is older than the last entry is of a clock that was set back, and counts as of its time.
    pub fn push(&mut self, mut sample: UsageSample) {
        if let Some(newest) = self.entries.last_mut() {
            sample.seconds = sample.seconds.max(newest.seconds);
            if self.last < self.group {
                *newest = joined(*newest, self.last, sample, 1);
                self.last += 1;
                return;
            }
        }
        if self.entries.len() == MOST_ENTRIES {
            let pairs = self.entries.chunks(2);
            self.entries = pairs
                .map(|pair| match *pair {
                    [first, second] => joined(first, 1, second, 1),
                    _ => pair[0],
                })
                .collect();
            self.group = self.group.saturating_mul(2);
            self.last = self.group;
        }
        self.entries.push(sample);
        self.last = 1;
    }
}

/// Two neighbours as one: shares on average, by the number of samples behind each, and the most memory, of which one may run out.
fn joined(first: UsageSample, of_first: u32, second: UsageSample, of_second: u32) -> UsageSample {
    let average = |a: u32, b: u32| {
        let sum = u64::from(a) * u64::from(of_first) + u64::from(b) * u64::from(of_second);
        let count = u64::from(of_first) + u64::from(of_second);
        u32::try_from((sum + count / 2) / count.max(1)).unwrap_or(u32::MAX)
    };
    let percent = match (first.gpu_percent, second.gpu_percent) {
        (Some(a), Some(b)) => u8::try_from(average(a.into(), b.into())).ok(),
        (a, b) => a.or(b),
    };
    UsageSample {
        seconds: first.seconds,
        cpu_millis: average(first.cpu_millis, second.cpu_millis),
        memory: first.memory.max(second.memory),
        gpu_percent: percent,
        gpu_memory: first.gpu_memory.max(second.gpu_memory),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(seconds: u32, cpu_millis: u32) -> UsageSample {
        UsageSample {
            seconds,
            cpu_millis,
            memory: u64::from(seconds),
            gpu_percent: None,
            gpu_memory: Some(7),
        }
    }

    #[test]
    fn a_full_series_is_thinned_and_keeps_its_averages_and_the_most_memory() {
        let mut series = UsageSeries::default();
        for index in (0..).take(MOST_ENTRIES) {
            series.push(sample(5 * index, index % 2 * 100));
        }
        assert_eq!((series.group(), series.entries().len()), (1, MOST_ENTRIES));
        series.push(sample(600, 9));
        assert_eq!(
            (series.group(), series.last(), series.entries().len()),
            (2, 1, MOST_ENTRIES / 2 + 1)
        );
        assert_eq!(
            series.entries()[1],
            UsageSample {
                seconds: 10,
                memory: 15,
                cpu_millis: 50,
                gpu_percent: None,
                gpu_memory: Some(7)
            }
        );
        series.push(sample(605, 19));
        assert_eq!(series.last(), 2);
        assert_eq!(series.entries()[MOST_ENTRIES / 2].cpu_millis, 14);
        series.push(sample(1, 0));
        assert_eq!(
            series.entries()[MOST_ENTRIES / 2 + 1].seconds,
            600,
            "time does not go back"
        );
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let entries = vec![sample(1, 1), sample(2, 1)];
        assert!(UsageSeries::new(2, 1, entries.clone()).is_ok());
        for (group, last) in [(3, 1), (0, 0), (2, 3), (2, 0)] {
            assert!(
                UsageSeries::new(group, last, entries.clone()).is_err(),
                "{group} {last}"
            );
        }
        assert!(UsageSeries::new(1, 1, vec![sample(2, 1), sample(1, 1)]).is_err());
        assert!(UsageSeries::new(1, 1, vec![sample(1, 1); MOST_ENTRIES + 1]).is_err());
    }

    proptest! {
        /// However long it goes on: bounded, in order, the average over all samples kept within rounding, and the same when it is read again.
        #[test]
        fn any_series_keeps_its_promises(values in prop::collection::vec((0_u32..100, 0_u32..64_000), 0..2_000)) {
            let mut series = UsageSeries::default();
            let (mut now, mut sum) = (0, 0_u64);
            for (passed, cpu) in &values {
                now += passed;
                sum += u64::from(*cpu);
                series.push(sample(now, *cpu));
            }
            let again = UsageSeries::new(series.group(), series.last(), series.entries().to_vec());
            prop_assert_eq!(again.as_ref(), Ok(&series));
            let text = serde_json::to_string(&series).unwrap();
            prop_assert_eq!(serde_json::from_str::<UsageSeries>(&text).unwrap(), series.clone());
            let count = series.entries().len();
            let samples = |index: usize| u64::from(if index + 1 == count { series.last() } else { series.group() });
            prop_assert_eq!(series.samples(), values.len() as u64);
            let kept: u64 = series.entries().iter().enumerate().map(|(index, entry)| u64::from(entry.cpu_millis) * samples(index)).sum();
            // Each time a sample joins an entry its average is rounded, which is off by half a unit of each sample in it.
            let most = u64::from(series.group() + 4) * values.len() as u64;
            prop_assert!(kept.abs_diff(sum) <= most, "{kept} {sum}");
            prop_assert!(count <= MOST_ENTRIES);
        }
    }
}
