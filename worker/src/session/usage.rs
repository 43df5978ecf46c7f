//! Telling the coordinator what is in use: after each look at the machine, if it wants to know.
//!
//! Lost messages do no harm: in each session all that is known of an attempt is told first, and again where looks were skipped.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tunesmith_common::LeaseKey;
use tunesmith_common::usage::{UsageSample, UsageSeries};
use tunesmith_proto::convert::lease_to_wire;
use tunesmith_proto::convert::usage::series_to_wire;
use tunesmith_proto::v1;

use crate::usage::Look;

/// What was told in this session.
#[derive(Debug)]
pub(super) struct Telling {
    looks: watch::Receiver<Arc<Look>>,
    /// Whether the coordinator wants to know.
    wanted: bool,
    /// Whether there is a look that was not told.
    due: bool,
    /// Samples of each attempt that were told.
    told: HashMap<LeaseKey, u64>,
}

impl Telling {
    pub(super) fn new(mut looks: watch::Receiver<Arc<Look>>, hello: &v1::CoordinatorHello) -> Self {
        let wanted = hello.usage_interval.is_some();
        // What was seen before is worth telling, unless there was no look yet.
        let due = wanted && looks.borrow_and_update().machine.all_memory > 0;
        Self {
            looks,
            wanted,
            due,
            told: HashMap::new(),
        }
    }

    /// Waits for the next look; for ever if nobody wants to know. Cancelling it loses nothing.
    pub(super) async fn changed(&mut self) {
        if !self.wanted || self.looks.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.due = true;
    }

    /// The report that is due, if one is. `all_of` has all that is known of an attempt.
    pub(super) fn take(
        &mut self,
        all_of: impl Fn(&LeaseKey) -> Option<UsageSeries>,
    ) -> Option<v1::UsageReport> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        let look = Arc::clone(&self.looks.borrow_and_update());
        let mut told = HashMap::with_capacity(look.attempts.len());
        let mut attempts = Vec::with_capacity(look.attempts.len());
        for (lease, sample, samples) in &look.attempts {
            told.insert(*lease, *samples);
            let next = self.told.get(lease).is_some_and(|told| told + 1 == *samples);
            let series = if next { single(*sample) } else { all_of(lease) };
            attempts.extend(
                series
                    .as_ref()
                    .and_then(series_to_wire)
                    .map(|series| v1::AttemptUsage {
                        lease: Some(lease_to_wire(lease)),
                        series: Some(series),
                        whole: !next,
                    }),
            );
        }
        self.told = told;
        let gpus = look.gpus.iter().map(|gpu| v1::GpuUsage {
            uuid: gpu.uuid.clone(),
            percent: gpu.percent.map(u32::from),
            memory_bytes: gpu.memory,
            trial: String::new(),
        });
        Some(v1::UsageReport {
            machine: Some(v1::MachineUsage {
                cpus: look.machine.cpus,
                all_cpus: look.machine.all_cpus,
                memory_bytes: look.machine.memory,
                all_memory_bytes: look.machine.all_memory,
            }),
            gpus: gpus.collect(),
            attempts,
        })
    }
}

fn single(sample: UsageSample) -> Option<UsageSeries> {
    let mut series = UsageSeries::default();
    series.push(sample);
    Some(series)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tunesmith_common::{Attempt, LeaseId, StudyId, TrialNumber};
    use uuid::Uuid;

    use super::*;
    use crate::usage::MachineUse;

    fn lease() -> LeaseKey {
        LeaseKey {
            study: StudyId(Uuid::from_u128(1)),
            trial: TrialNumber(2),
            attempt: Attempt(1),
            id: LeaseId(Uuid::from_u128(3)),
        }
    }

    fn look(seconds: u32, samples: u64) -> Arc<Look> {
        let sample = UsageSample {
            seconds,
            ..UsageSample::default()
        };
        let machine = MachineUse {
            all_memory: 1,
            ..MachineUse::default()
        };
        Arc::new(Look {
            machine,
            gpus: Vec::new(),
            attempts: vec![(lease(), sample, samples)],
        })
    }

    fn hello(interval: Option<Duration>) -> v1::CoordinatorHello {
        v1::CoordinatorHello {
            usage_interval: interval.map(Into::into),
            ..Default::default()
        }
    }

    #[test]
    fn a_coordinator_that_does_not_ask_is_not_told() {
        let (_sender, looks) = watch::channel(look(5, 1));
        let mut telling = Telling::new(looks, &hello(None));
        assert_eq!(telling.take(|_| None), None);
    }

    #[tokio::test]
    async fn all_is_told_first_and_where_looks_were_missed_and_else_what_is_new() {
        let (sender, looks) = watch::channel(look(5, 1));
        let mut telling = Telling::new(looks, &hello(Some(Duration::from_secs(5))));
        let mut known = UsageSeries::default();
        let told = |telling: &mut Telling, known: &UsageSeries| {
            let report = telling.take(|_| Some(known.clone())).unwrap();
            let used = report.attempts[0].clone();
            (used.whole, used.series.unwrap().seconds)
        };
        for seconds in [5, 10, 15, 20] {
            known.push(UsageSample {
                seconds,
                ..UsageSample::default()
            });
        }
        assert_eq!(told(&mut telling, &known), (true, vec![5, 10, 15, 20]));
        assert_eq!(telling.take(|_| None), None, "it was told");
        sender.send_replace(look(10, 2));
        telling.changed().await;
        assert_eq!(told(&mut telling, &known), (false, vec![10]));
        sender.send_replace(look(15, 3));
        sender.send_replace(look(20, 4));
        telling.changed().await;
        assert_eq!(
            told(&mut telling, &known),
            (true, vec![5, 10, 15, 20]),
            "one was missed"
        );
    }

    #[test]
    fn there_is_nothing_to_tell_before_the_first_look() {
        let (_sender, looks) = watch::channel(Arc::default());
        let mut telling = Telling::new(looks, &hello(Some(Duration::from_secs(5))));
        assert_eq!(telling.take(|_| None), None);
    }
}
