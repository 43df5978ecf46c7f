//! Places on workers: what is free, what studies want, and which study gets which place.
//!
//! Every method is short and takes one lock; nothing waits under it.

use std::collections::{BTreeSet, HashMap};

use tunesmith_common::{CheckpointStoreId, LeaseKey, StudyId, WorkerId, WorkerName};

use super::registry::{Pool, State};
use super::worker::Taken;
use crate::decide::{Demand, Dispatch, Grant, Offer, Prices, Unmet, could_fit, dispatch};

/// A place that was taken for a study. To be handed back by [`Pool::offer_answered`].
#[derive(Debug)]
#[must_use = "a place that is not handed back stays taken"]
pub struct Place {
    number: u64,
    /// The place.
    pub grant: Grant,
    /// The worker's name, for people.
    pub worker_name: WorkerName,
    /// Places of checkpoints that the worker reaches.
    pub stores: Vec<CheckpointStoreId>,
    /// What an hour of it costs.
    pub price_per_hour: f64,
}

impl From<&Place> for Offer {
    fn from(place: &Place) -> Self {
        Self {
            worker: place.grant.worker,
            worker_name: place.worker_name.to_string(),
            stores: place.stores.clone(),
            gpus: place.grant.gpus.clone(),
            price_per_hour: place.price_per_hour,
        }
    }
}

impl Pool {
    /// Nothing of an attempt lives on its worker any more: its place is free.
    pub fn released(&self, worker: WorkerId, lease: &LeaseKey) {
        if let Some(worker) = self.lock().workers.get_mut(&worker) {
            worker.leases.remove(lease);
            worker.told.forget(lease);
        }
        self.changed.notify_one();
    }

    /// What a study could use from now on. None if it is no longer served here.
    pub fn demand(&self, study: StudyId, demand: Option<Demand>) {
        let mut state = self.lock();
        match demand {
            Some(demand) => {
                state.demands.insert(study, demand);
            }
            None => {
                state.demands.remove(&study);
                state.served.remove(&study);
                state.reasons.remove(&study);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Why trials of a study wait for a place; empty if they do not, or have not been looked at yet.
    #[must_use]
    pub fn pending_reason(&self, study: StudyId) -> String {
        self.lock().reasons.get(&study).cloned().unwrap_or_default()
    }

    /// Finds places for what studies want, and takes them. Each must be answered by [`Self::offer_answered`].
    pub(super) fn round(&self) -> Vec<Place> {
        let mut state = self.lock();
        let mut demands = state.open_demands();
        let mut workers: Vec<_> = state
            .workers
            .iter()
            .filter_map(|(&id, worker)| worker.view(id))
            .collect();
        let Dispatch { grants, unmet } = dispatch(&mut demands, &mut workers);

        let wanting: HashMap<StudyId, &Demand> =
            demands.iter().map(|demand| (demand.study, demand)).collect();
        let reasons = unmet
            .into_iter()
            .filter_map(|(study, why)| Some((study, state.explain(wanting.get(&study)?, why))))
            .collect();
        state.reasons = reasons;
        state.take(grants, &self.terms.prices)
    }

    /// Nothing of these attempts lives on their workers any more: takes for the study of `demand`, which is what it could use from now on,
    /// those of the places that it would get if the places of these workers were given away now. Each must be answered by
    /// [`Self::offer_answered`]. What is left is offered to all.
    pub fn refill(&self, released: &[(WorkerId, LeaseKey)], demand: Option<Demand>) -> Vec<Place> {
        let mut state = self.lock();
        for (worker, lease) in released {
            if let Some(worker) = state.workers.get_mut(worker) {
                worker.leases.remove(lease);
                worker.told.forget(lease);
            }
        }
        let taken = match demand {
            Some(demand) => {
                let study = demand.study;
                state.demands.insert(study, demand);
                let ids: BTreeSet<WorkerId> = released.iter().map(|(worker, _)| *worker).collect();
                let mut workers: Vec<_> = ids
                    .into_iter()
                    .filter_map(|id| state.workers.get(&id)?.view(id))
                    .collect();
                let mut grants = dispatch(&mut state.open_demands(), &mut workers).grants;
                grants.retain(|grant| grant.study == study);
                state.take(grants, &self.terms.prices)
            }
            None => Vec::new(),
        };
        drop(state);
        self.changed.notify_one();
        taken
    }

    /// A study has answered an offer. If it took the place, the place was taken again under the lease when the assignment was
    /// sent; if it had no use for it, it wants nothing until it says so.
    pub fn offer_answered(&self, place: Place, accepted: bool) {
        let Place { number, grant, .. } = place;
        let mut state = self.lock();
        if let Some(offered) = state.offered.get_mut(&grant.study) {
            *offered = offered.saturating_sub(1);
            if *offered == 0 {
                state.offered.remove(&grant.study);
            }
        }
        if let Some(worker) = state.workers.get_mut(&grant.worker) {
            worker.offers.remove(&number);
        }
        if !accepted && let Some(demand) = state.demands.get_mut(&grant.study) {
            demand.wants = 0;
        }
        drop(state);
        self.changed.notify_one();
    }
}

impl State {
    /// What studies want beyond what is on offer to them.
    pub(super) fn open_demands(&self) -> Vec<Demand> {
        let open = self.demands.values().map(|demand| {
            let on_offer = self.offered.get(&demand.study).copied().unwrap_or(0);
            Demand {
                wants: demand.wants.saturating_sub(on_offer),
                running: demand.running.saturating_add(on_offer),
                served: self.served.get(&demand.study).copied().unwrap_or(0),
                ..demand.clone()
            }
        });
        open.filter(|demand| demand.wants > 0).collect()
    }

    /// Takes granted places from their workers, at these prices.
    fn take(&mut self, grants: Vec<Grant>, prices: &Prices) -> Vec<Place> {
        let mut taken = Vec::with_capacity(grants.len());
        for grant in grants {
            let (Some(demand), Some(worker)) = (
                self.demands.get(&grant.study),
                self.workers.get_mut(&grant.worker),
            ) else {
                continue;
            };
            self.next_number += 1;
            let number = self.next_number;
            worker
                .offers
                .insert(number, Taken::new(&demand.resources, grant.gpus.clone()));
            *self.offered.entry(grant.study).or_default() += 1;
            self.served.insert(grant.study, number);
            taken.push(Place {
                number,
                worker_name: worker.name.clone(),
                stores: worker.resources.stores.clone(),
                price_per_hour: prices.per_hour(&worker.resources.labels, grant.gpus.len()),
                grant,
            });
        }
        taken
    }

    fn explain(&self, demand: &Demand, why: Unmet) -> String {
        let needs = &demand.resources;
        let connected: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.link.is_some())
            .collect();
        if connected.is_empty() {
            return match self.workers.len() {
                0 => "no worker has joined yet".to_owned(),
                count => format!("none of {count} workers is connected"),
            };
        }
        let taking: Vec<_> = connected
            .iter()
            .filter(|(_, worker)| worker.takes_trials())
            .collect();
        if taking.is_empty() {
            return format!("all {} connected workers are being drained", connected.len());
        }
        if !taking
            .iter()
            .any(|(_, worker)| demand.is_for(&worker.resources.stores))
        {
            return "no worker that takes trials reaches the checkpoint that a trial goes on from".to_owned();
        }
        let missing: Vec<String> = taking
            .iter()
            .filter_map(|(id, worker)| could_fit(needs, &worker.empty_view(**id)).err())
            .collect();
        if missing.len() == taking.len() {
            return format!(
                "no worker has what a trial needs: {}",
                missing.first().map_or("", String::as_str)
            );
        }
        let slots: u32 = taking.iter().map(|(_, worker)| worker.resources.slots).sum();
        match why {
            Unmet::Busy => match (slots, taking.len() - missing.len()) {
                (1, 1) => "the one slot of the one worker that would fit is busy".to_owned(),
                (_, 1) => format!("all {slots} slots of the one worker that would fit are busy"),
                (_, workers) => format!("all {slots} slots of {workers} workers that would fit are busy"),
            },
            Unmet::NoFit => "the workers that would fit have too little free at the moment".to_owned(),
        }
    }
}
