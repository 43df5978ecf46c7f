//! What is in use on a worker's machine, on the wire.

use tunesmith_common::usage::{UsageSample, UsageSeries};

use super::ConvertError;
use crate::v1;

/// A series on the wire; None of one without entries. Where its GPUs did not tell, among entries where they did, there is a 0.
#[must_use]
pub fn series_to_wire(series: &UsageSeries) -> Option<v1::UsageSeries> {
    let entries = series.entries();
    if entries.is_empty() {
        return None;
    }
    let told = |of: fn(&UsageSample) -> bool| entries.iter().any(of);
    let (percent, memory) = (
        told(|entry| entry.gpu_percent.is_some()),
        told(|entry| entry.gpu_memory.is_some()),
    );
    Some(v1::UsageSeries {
        seconds: entries.iter().map(|entry| entry.seconds).collect(),
        cpu_millis: entries.iter().map(|entry| entry.cpu_millis).collect(),
        memory_bytes: entries.iter().map(|entry| entry.memory).collect(),
        gpu_percent: entries
            .iter()
            .filter(|_| percent)
            .map(|entry| entry.gpu_percent.unwrap_or(0).into())
            .collect(),
        gpu_memory_bytes: entries
            .iter()
            .filter(|_| memory)
            .map(|entry| entry.gpu_memory.unwrap_or(0))
            .collect(),
        group: series.group(),
        last: series.last(),
    })
}

/// A series from the wire; empty if it is absent.
///
/// # Errors
/// If columns differ in length, it is too long or its numbers do not fit together.
pub fn series_from_wire(series: Option<&v1::UsageSeries>, field: &str) -> Result<UsageSeries, ConvertError> {
    let Some(wire) = series else {
        return Ok(UsageSeries::default());
    };
    let count = wire.seconds.len();
    let columns = [
        ("cpu_millis", wire.cpu_millis.len(), false),
        ("memory_bytes", wire.memory_bytes.len(), false),
        ("gpu_percent", wire.gpu_percent.len(), true),
        ("gpu_memory_bytes", wire.gpu_memory_bytes.len(), true),
    ];
    for (name, length, may_be_left_out) in columns {
        if length != count && !(may_be_left_out && length == 0) {
            let message = format!("has {length} entries, and seconds has {count}");
            return Err(ConvertError::new(format!("{field}.{name}"), message));
        }
    }
    let mut entries = Vec::with_capacity(count);
    for index in 0..count {
        let percent = match wire.gpu_percent.get(index) {
            None => None,
            Some(percent @ 0..=100) => u8::try_from(*percent).ok(),
            Some(percent) => {
                let message = format!("is {percent}; it must be at most 100");
                return Err(ConvertError::new(
                    format!("{field}.gpu_percent[{index}]"),
                    message,
                ));
            }
        };
        entries.push(UsageSample {
            seconds: wire.seconds[index],
            cpu_millis: wire.cpu_millis[index],
            memory: wire.memory_bytes[index],
            gpu_percent: percent,
            gpu_memory: wire.gpu_memory_bytes.get(index).copied(),
        });
    }
    UsageSeries::new(wire.group, wire.last, entries).map_err(|message| ConvertError::new(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> UsageSeries {
        let mut series = UsageSeries::default();
        for seconds in [5, 10] {
            series.push(UsageSample {
                seconds,
                cpu_millis: 1_500,
                memory: 1 << 33,
                gpu_percent: Some(97),
                gpu_memory: Some(1 << 34),
            });
        }
        series
    }

    #[test]
    fn a_series_survives_the_wire_with_and_without_gpus() {
        assert_eq!(
            series_from_wire(series_to_wire(&series()).as_ref(), "usage").unwrap(),
            series()
        );
        let mut plain = UsageSeries::default();
        plain.push(UsageSample {
            seconds: 5,
            ..Default::default()
        });
        assert_eq!(
            series_from_wire(series_to_wire(&plain).as_ref(), "usage").unwrap(),
            plain
        );
        assert_eq!(series_to_wire(&UsageSeries::default()), None);
        assert_eq!(series_from_wire(None, "usage").unwrap(), UsageSeries::default());
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        let wire = series_to_wire(&series()).unwrap();
        let refused = |change: &dyn Fn(&mut v1::UsageSeries)| {
            let mut wire = wire.clone();
            change(&mut wire);
            series_from_wire(Some(&wire), "usage").unwrap_err().to_string()
        };
        assert!(refused(&|wire| wire.memory_bytes.truncate(1)).contains("usage.memory_bytes"));
        assert!(refused(&|wire| wire.gpu_percent.truncate(1)).contains("usage.gpu_percent"));
        assert!(refused(&|wire| wire.gpu_percent[1] = 101).contains("usage.gpu_percent[1]"));
        assert!(refused(&|wire| wire.group = 3).contains("usage"));
        assert!(refused(&|wire| wire.seconds[0] = 11).contains("back in time"));
    }
}
