//! Which study gets which free place: matching of trials to workers.
//!
//! Weighted fair sharing: the next place goes to the study that has the fewest running trials for its priority, among those
//! that want one and fit somewhere; of those that are equal, to the one that has waited longest. Among workers that fit, the one that the trial fits most tightly, so that large places stay
//! whole for large trials.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use tunesmith_common::study::Resources;
use tunesmith_common::worker::Gpu;
use tunesmith_common::{CheckpointStoreId, StudyId, WorkerId};

/// Trials that wait and can be trained only by somebody who reaches their checkpoints, by where these are.
pub type BoundTo = BTreeMap<CheckpointStoreId, u32>;

/// What a study could use.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The study.
    pub study: StudyId,
    /// Trials that it would start now.
    pub wants: u32,
    /// Trials that it runs, those on offer included.
    pub running: u32,
    /// Its share of the pool in relation to other studies, at least 1.
    pub priority: u32,
    /// Grows with each place that any study is offered: when this one was last. The pool fills it in.
    pub served: u64,
    /// Of all that could start if that many might run: trials that go on from a checkpoint, by where it is.
    pub bound: BoundTo,
    /// Of the same, trials that anybody can train, new ones included.
    pub free: u32,
    /// What each trial needs.
    pub resources: Resources,
}

impl Demand {
    /// Whether it has a use for a worker that reaches these places.
    pub(crate) fn is_for(&self, stores: &[CheckpointStoreId]) -> bool {
        self.free > 0 || stores.iter().any(|store| self.bound.contains_key(store))
    }

    /// One of its trials gets a place on such a worker.
    fn take(&mut self, stores: &[CheckpointStoreId]) {
        self.wants -= 1;
        self.running = self.running.saturating_add(1);
        let bound = stores.iter().find(|store| self.bound.contains_key(store));
        match bound.and_then(|store| self.bound.get_mut(store)) {
            Some(count) => {
                *count = count.saturating_sub(1);
                self.bound.retain(|_, count| *count > 0);
            }
            None => self.free = self.free.saturating_sub(1),
        }
    }
}

/// What a worker has free.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// The worker.
    pub id: WorkerId,
    /// Trials that it takes in addition.
    pub slots: u32,
    /// Processor cores not spoken for.
    pub cpus: f64,
    /// Main memory not spoken for, in bytes.
    pub memory: u64,
    /// GPUs not in use.
    pub gpus: Vec<Gpu>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Places of checkpoints that it reaches.
    pub stores: Vec<CheckpointStoreId>,
}

/// A place for a trial of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The study.
    pub study: StudyId,
    /// The worker.
    pub worker: WorkerId,
    /// UUIDs of the GPUs it gets.
    pub gpus: Vec<String>,
}

/// Result of a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dispatch {
    /// Places given, in order.
    pub grants: Vec<Grant>,
    /// Studies that wanted more than they got, with the reason.
    pub unmet: HashMap<StudyId, Unmet>,
}

/// Why a study did not get (all of) what it wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Every place that would fit is taken.
    Busy,
    /// No worker has that much free at once, as far as this round can see.
    NoFit,
}

/// Gives free places to studies. Takes what it gives from `workers`.
pub fn dispatch(demands: &mut [Demand], workers: &mut [WorkerView]) -> Dispatch {
    let mut result = Dispatch::default();
    let mut served = demands.iter().map(|demand| demand.served).max().unwrap_or(0);
    loop {
        if workers.iter().all(|worker| worker.slots == 0) {
            // As everybody would find out one by one.
            let why = if workers.is_empty() {
                Unmet::NoFit
            } else {
                Unmet::Busy
            };
            let waiting = demands.iter().filter(|demand| demand.wants > 0);
            let waiting: Vec<StudyId> = waiting.map(|demand| demand.study).collect();
            for study in waiting {
                result.unmet.entry(study).or_insert(why);
            }
            break;
        }
        let mut order: Vec<usize> = (0..demands.len())
            .filter(|&index| demands[index].wants > 0 && !result.unmet.contains_key(&demands[index].study))
            .collect();
        order.sort_by(|&a, &b| right(&demands[a], &demands[b]));
        let Some(&neediest) = order.first() else { break };
        let demand = &mut demands[neediest];
        match place(demand, workers) {
            Some((worker, gpus)) => {
                served += 1;
                demand.served = served;
                result.grants.push(Grant {
                    study: demand.study,
                    worker,
                    gpus,
                });
            }
            None => {
                let busy = workers.iter().any(|worker| worker.slots == 0);
                result
                    .unmet
                    .insert(demand.study, if busy { Unmet::Busy } else { Unmet::NoFit });
            }
        }
    }
    result
}

/// Orders studies as they have a right to the next place.
pub(crate) fn by_right(demands: &mut [Demand]) {
    demands.sort_by(right);
}

fn right(a: &Demand, b: &Demand) -> Ordering {
    share(a)
        .total_cmp(&share(b))
        .then_with(|| a.served.cmp(&b.served))
        .then_with(|| a.study.cmp(&b.study))
}

fn share(demand: &Demand) -> f64 {
    f64::from(demand.running) / f64::from(demand.priority.max(1))
}

/// Whether a worker with nothing to do could run a trial with these needs.
///
/// # Errors
/// What is missing, for people.
pub(crate) fn could_fit(needs: &Resources, worker: &WorkerView) -> Result<(), String> {
    for (key, wanted) in &needs.labels {
        match worker.labels.get(key) {
            Some(value) if value == wanted => {}
            _ => return Err(format!("label {key}={wanted}")),
        }
    }
    if worker.slots == 0 {
        return Err("a free slot".to_owned());
    }
    let fitting = worker
        .gpus
        .iter()
        .filter(|gpu| gpu.memory >= needs.gpus.memory)
        .count();
    if fitting < usize::try_from(needs.gpus.count).unwrap_or(usize::MAX) {
        return Err(match needs.gpus.memory {
            0 => format!("{} GPUs", needs.gpus.count),
            bytes => format!(
                "{} GPUs with {}",
                needs.gpus.count,
                tunesmith_common::units::ByteSize(bytes)
            ),
        });
    }
    if worker.cpus + 1e-9 < needs.cpus {
        return Err(format!("{} processor cores", needs.cpus));
    }
    if worker.memory < needs.memory {
        return Err(format!(
            "{} of memory",
            tunesmith_common::units::ByteSize(needs.memory)
        ));
    }
    Ok(())
}

/// Takes the tightest place for a trial from `workers`.
fn place(demand: &mut Demand, workers: &mut [WorkerView]) -> Option<(WorkerId, Vec<String>)> {
    let worker = workers
        .iter_mut()
        .filter(|worker| could_fit(&demand.resources, worker).is_ok() && demand.is_for(&worker.stores))
        .min_by(|a, b| {
            // Trials without GPUs keep away from workers with free ones; then spread over the emptiest worker.
            let spare_gpus = a.gpus.len().cmp(&b.gpus.len());
            spare_gpus
                .then_with(|| b.slots.cmp(&a.slots))
                .then_with(|| a.id.cmp(&b.id))
        })?;
    demand.take(&worker.stores);
    let needs = &demand.resources;
    let mut gpus = Vec::new();
    // The smallest GPUs that are large enough.
    worker
        .gpus
        .sort_by(|a, b| a.memory.cmp(&b.memory).then_with(|| a.uuid.cmp(&b.uuid)));
    worker.gpus.retain(|gpu| {
        let take = gpus.len() < usize::try_from(needs.gpus.count).unwrap_or(usize::MAX)
            && gpu.memory >= needs.gpus.memory;
        if take {
            gpus.push(gpu.uuid.clone());
        }
        !take
    });
    worker.slots -= 1;
    worker.cpus -= needs.cpus;
    worker.memory -= needs.memory;
    Some((worker.id, gpus))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tunesmith_common::study::GpuRequest;
    use uuid::Uuid;

    use super::*;

    fn study(n: u128) -> StudyId {
        StudyId(Uuid::from_u128(n))
    }

    fn demand(n: u128, wants: u32, priority: u32, resources: Resources) -> Demand {
        Demand {
            study: study(n),
            wants,
            running: 0,
            priority,
            served: 0,
            bound: BoundTo::default(),
            free: wants,
            resources,
        }
    }

    fn worker(n: u128, slots: u32, gpus: usize) -> WorkerView {
        let gpus = (0..gpus)
            .map(|g| Gpu {
                uuid: format!("GPU-{n}-{g}"),
                model: String::new(),
                memory: 16 << 30,
            })
            .collect();
        WorkerView {
            id: WorkerId(Uuid::from_u128(n)),
            slots,
            cpus: 8.0,
            memory: 64 << 30,
            gpus,
            labels: BTreeMap::new(),
            stores: Vec::new(),
        }
    }

    #[test]
    fn places_are_shared_by_priority() {
        let mut demands = [
            demand(1, 100, 1, Resources::default()),
            demand(2, 100, 3, Resources::default()),
        ];
        let result = dispatch(&mut demands, &mut [worker(1, 8, 0)]);
        let of = |n| {
            result
                .grants
                .iter()
                .filter(|grant| grant.study == study(n))
                .count()
        };
        assert_eq!((of(1), of(2)), (2, 6));
        assert_eq!(result.unmet.get(&study(1)), Some(&Unmet::Busy));
    }

    #[test]
    fn of_equal_studies_the_one_that_has_waited_longest_gets_the_place() {
        let mut served = demand(1, 5, 1, Resources::default());
        served.served = 7;
        let mut demands = [served, demand(2, 5, 1, Resources::default())];
        let result = dispatch(&mut demands, &mut [worker(1, 1, 0)]);
        assert_eq!(result.grants[0].study, study(2));
    }

    #[test]
    fn a_trial_whose_checkpoint_lies_somewhere_goes_to_whoever_reaches_it() {
        let store = |n| CheckpointStoreId(Uuid::from_u128(n));
        let at = |stores: &[u128]| WorkerView {
            stores: stores.iter().map(|n| store(*n)).collect(),
            ..worker(stores.first().copied().unwrap_or(9), 2, 0)
        };
        let bound = |wants, free| Demand {
            bound: [(store(2), 1)].into(),
            free,
            ..demand(1, wants, 1, Resources::default())
        };
        let mut one = [bound(1, 0)];
        let result = dispatch(&mut one, &mut [at(&[1])]);
        assert_eq!(
            (result.grants.len(), result.unmet.get(&study(1))),
            (0, Some(&Unmet::NoFit))
        );
        let result = dispatch(&mut one, &mut [at(&[1]), at(&[2])]);
        assert_eq!(result.grants[0].worker, WorkerId(Uuid::from_u128(2)));
        // One that is bound and two that are not; of all of them one may run, or all.
        for (wants, granted) in [(1, 1), (3, 2)] {
            let result = dispatch(&mut [bound(wants, 2)], &mut [at(&[1])]);
            assert_eq!(result.grants.len(), granted);
        }
    }

    #[test]
    fn a_study_that_fits_nowhere_does_not_hold_up_the_others() {
        let large = Resources {
            gpus: GpuRequest { count: 4, memory: 0 },
            ..Resources::default()
        };
        let mut demands = [demand(1, 1, 1000, large), demand(2, 1, 1, Resources::default())];
        let result = dispatch(&mut demands, &mut [worker(1, 8, 2)]);
        assert_eq!(result.grants.len(), 1);
        assert_eq!(result.unmet.get(&study(1)), Some(&Unmet::NoFit));
    }

    #[test]
    fn a_trial_without_gpus_leaves_gpu_workers_free() {
        let result = dispatch(
            &mut [demand(1, 1, 1, Resources::default())],
            &mut [worker(1, 8, 2), worker(2, 1, 0)],
        );
        assert_eq!(result.grants[0].worker, WorkerId(Uuid::from_u128(2)));
    }

    fn any_resources() -> impl Strategy<Value = Resources> {
        (0_u32..4, 0_u32..5, 0_u64..40).prop_map(|(gpus, cpus, memory)| Resources {
            gpus: GpuRequest {
                count: gpus,
                memory: 0,
            },
            cpus: f64::from(cpus),
            memory: memory << 30,
            labels: BTreeMap::new(),
        })
    }

    proptest! {
        /// Whatever is wanted: no GPU is given twice, no worker gets more than it has, no study more than it wants, and
        /// nothing that fits is left waiting beside a free place.
        #[test]
        fn never_over_capacity_and_never_idle_beside_demand(
            needs in prop::collection::vec((0_u32..6, 1_u32..4, any_resources()), 1..5),
            sizes in prop::collection::vec((0_u32..5, 0_usize..5), 1..5),
        ) {
            let demands: Vec<Demand> = needs
                .into_iter()
                .zip(1_u128..)
                .map(|((wants, priority, resources), n)| demand(n, wants, priority, resources))
                .collect();
            let workers: Vec<WorkerView> = sizes.into_iter().zip(1_u128..).map(|((slots, gpus), n)| worker(n, slots, gpus)).collect();
            let (mut left_demands, mut left_workers) = (demands.clone(), workers.clone());
            let result = dispatch(&mut left_demands, &mut left_workers);
            for worker in &workers {
                let granted: Vec<&Grant> = result.grants.iter().filter(|grant| grant.worker == worker.id).collect();
                prop_assert!(granted.len() <= worker.slots as usize);
                let needs = |grant: &&Grant| demands.iter().find(|demand| demand.study == grant.study).unwrap().resources.clone();
                prop_assert!(granted.iter().map(|grant| needs(grant).cpus).sum::<f64>() <= worker.cpus);
                prop_assert!(granted.iter().map(|grant| needs(grant).memory).sum::<u64>() <= worker.memory);
                let mut gpus: Vec<&String> = granted.iter().flat_map(|grant| &grant.gpus).collect();
                prop_assert!(gpus.iter().all(|uuid| worker.gpus.iter().any(|gpu| gpu.uuid == **uuid)));
                let count = gpus.len();
                gpus.sort();
                gpus.dedup();
                prop_assert_eq!(gpus.len(), count);
            }
            for (before, after) in demands.iter().zip(&left_demands) {
                let granted = result.grants.iter().filter(|grant| grant.study == before.study).count();
                prop_assert!(granted <= before.wants as usize);
                if after.wants > 0 {
                    prop_assert!(left_workers.iter().all(|worker| could_fit(&after.resources, worker).is_err()));
                }
            }
        }
    }
}
