//! What is in use on this machine, and by which attempt: looked at every few seconds, whether there is a coordinator or not.
//!
//! Each attempt keeps what it used so far ([`UsageSeries`]), also on disk, so that a restart of this daemon or of the coordinator loses none of it.
//! Only looks; nothing is decided by it.

mod machine;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tunesmith_common::clock::{Clock, Monotonic};
use tunesmith_common::usage::UsageSample;
use tunesmith_common::{LeaseKey, Timestamp};

use crate::attempt::records::ProcessId;
use crate::attempt::{Attempt, AttemptStore};
use crate::resources::{GpuEyes, GpuUse};
use crate::supervisor::process::{self, Process};

pub(crate) use machine::MachineUse;

/// Between two looks. A look reads a few small files for each process of the machine.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looks after which what an attempt used is written down again.
const WRITE_EVERY: u32 = 12;

/// One look at the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    /// By whomever.
    pub(crate) machine: MachineUse,
    /// This worker's GPUs, in their order.
    pub(crate) gpus: Vec<GpuUse>,
    /// Attempts that run, each with its newest sample and how many it has had.
    pub(crate) attempts: Vec<(LeaseKey, UsageSample, u64)>,
}

/// Looks at the machine.
#[derive(Debug)]
pub(crate) struct Sampler {
    store: AttemptStore,
    clock: Arc<dyn Clock>,
    eyes: Eyes,
    looks: watch::Sender<Arc<Look>>,
}

/// What is remembered from one look to the next.
#[derive(Debug)]
struct Eyes {
    gpus: GpuEyes,
    /// When and how the machine's processors stood.
    machine: Option<machine::Ticks>,
    attempts: HashMap<LeaseKey, Seen>,
    looks: u32,
}

/// How an attempt stood.
#[derive(Clone, Copy, Debug)]
struct Seen {
    supervisor: ProcessId,
    at: Monotonic,
    /// Clock ticks that its processes have had.
    ticks: u64,
}

impl Sampler {
    /// And where its looks can be seen.
    pub(crate) fn new(
        store: AttemptStore,
        clock: Arc<dyn Clock>,
        gpus: GpuEyes,
    ) -> (Self, watch::Receiver<Arc<Look>>) {
        let (looks, seen) = watch::channel(Arc::default());
        let eyes = Eyes {
            gpus,
            machine: None,
            attempts: HashMap::new(),
            looks: 0,
        };
        (
            Self {
                store,
                clock,
                eyes,
                looks,
            },
            seen,
        )
    }

    /// Looks until it is cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let Self {
            store,
            clock,
            mut eyes,
            looks,
        } = self;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (store, clock) = (store.clone(), Arc::clone(&clock));
            let looked = tokio::task::spawn_blocking(move || {
                let look = eyes.look(&store.attempts(), &*clock);
                (eyes, look)
            });
            let Ok((kept, look)) = looked.await else {
                tracing::error!("looking at what is in use broke down");
                return;
            };
            eyes = kept;
            looks.send_replace(Arc::new(look));
        }
    }
}

impl Eyes {
    fn look(&mut self, attempts: &[Attempt], clock: &dyn Clock) -> Look {
        let running: Vec<&Attempt> = attempts.iter().filter(|attempt| is_running(attempt)).collect();
        let gpus = self.gpus.look(
            &running
                .iter()
                .flat_map(|attempt| attempt.gpus())
                .collect::<Vec<_>>(),
        );
        let (machine, ticks) = machine::look(self.machine.as_ref());
        self.machine = ticks;
        let processes = process::all();
        let mut seen = HashMap::with_capacity(running.len());
        let mut used = Vec::with_capacity(running.len());
        self.looks = self.looks.wrapping_add(1);
        for attempt in running {
            let Some((now, mut sample)) = self.sample(attempt, &processes, clock) else {
                continue;
            };
            (sample.gpu_percent, sample.gpu_memory) = of_gpus(&gpus, attempt.gpus());
            let samples = attempt.used(sample, self.looks.is_multiple_of(WRITE_EVERY));
            seen.insert(attempt.lease(), now);
            used.push((attempt.lease(), sample, samples));
        }
        self.attempts = seen;
        Look {
            machine,
            gpus,
            attempts: used,
        }
    }

    /// Processor and memory of one attempt.
    fn sample(
        &self,
        attempt: &Attempt,
        processes: &[Process],
        clock: &dyn Clock,
    ) -> Option<(Seen, UsageSample)> {
        let (_, started) = attempt.started()?;
        let before = self.attempts.get(&attempt.lease());
        let supervisor = before
            .map(|seen| seen.supervisor)
            .or_else(|| attempt.supervisor())?;
        // Another process may have its number by now.
        processes.iter().find(|process| process.id == supervisor)?;
        let mut own = process::descendants(processes, supervisor.pid);
        own.retain(|process| !process.zombie);
        let (at, ticks) = (clock.monotonic(), process::ticks(&own));
        let passed = since(started, clock.now());
        let cpu_millis = match before {
            // One that ended without being waited for takes its time along.
            Some(seen) => millis(ticks.saturating_sub(seen.ticks), at.saturating_since(seen.at)),
            None => millis(ticks, passed),
        };
        let seconds = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX);
        let sample = UsageSample {
            seconds,
            cpu_millis,
            memory: process::memory(&own),
            ..UsageSample::default()
        };
        Some((
            Seen {
                supervisor,
                at,
                ticks,
            },
            sample,
        ))
    }
}

fn is_running(attempt: &Attempt) -> bool {
    let held = attempt.held();
    held.started && !held.ended
}

fn since(started: Timestamp, now: Timestamp) -> Duration {
    now.saturating_since(started)
}

/// Thousandths of a core that so many clock ticks in that time are.
fn millis(ticks: u64, passed: Duration) -> u32 {
    let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
    let had = ticks.saturating_mul(1_000_000) / process::ticks_per_second();
    u32::try_from(had / passed).unwrap_or(u32::MAX)
}

/// What an attempt's GPUs say: how busy they are on average, and their memory together. None where one of them does not tell.
fn of_gpus(gpus: &[GpuUse], own: &[String]) -> (Option<u8>, Option<u64>) {
    let mut of = gpus.iter().filter(|gpu| own.contains(&gpu.uuid)).peekable();
    if of.peek().is_none() {
        return (None, None);
    }
    let (mut percent, mut memory, mut count) = (Some(0_u32), Some(0_u64), 0);
    for gpu in of {
        percent = percent.zip(gpu.percent).map(|(sum, one)| sum + u32::from(one));
        memory = memory.zip(gpu.memory).map(|(sum, one)| sum.saturating_add(one));
        count += 1;
    }
    (percent.and_then(|sum| u8::try_from(sum / count).ok()), memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_put_together_and_one_that_does_not_tell_leaves_it_open() {
        let gpu = |uuid: &str, percent, memory| GpuUse {
            uuid: uuid.to_owned(),
            percent,
            memory,
        };
        let gpus = [
            gpu("a", Some(90), Some(5)),
            gpu("b", Some(51), Some(7)),
            gpu("c", None, Some(1)),
        ];
        let own = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<String>>()
        };
        assert_eq!(of_gpus(&gpus, &own(&["a", "b"])), (Some(70), Some(12)));
        assert_eq!(of_gpus(&gpus, &own(&["a", "c"])), (None, Some(6)));
        assert_eq!(of_gpus(&gpus, &own(&[])), (None, None));
    }

    #[test]
    fn ticks_are_shares_of_a_core() {
        let second = process::ticks_per_second();
        assert_eq!(millis(second, Duration::from_secs(2)), 500);
        assert_eq!(millis(3 * second, Duration::from_secs(1)), 3_000);
        assert_eq!(millis(0, Duration::ZERO), 0);
    }
}
