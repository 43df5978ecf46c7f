//! Histories of a study with everything going wrong, from seeds: lost sessions, dead machines, late leases, a store that refuses
//! or whose answer is lost, a coordinator that crashes between any two steps.
//!
//! The rules are the real ones, the store is the memory store; workers, network and clock are simulated, so that thousands of
//! histories run in seconds. `SIMULATION_SEED=17 cargo test --test simulation` runs one history again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audit;
mod worker;
mod world;

use world::{Faults, IN_STAGES, POPULATION, World};

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (0..count).collect(),
    }
}

#[test]
fn without_faults_every_trial_completes_in_one_attempt() {
    for seed in seeds(50) {
        let mut world = World::new(seed, Faults::none());
        world.run();
        world.audit.assert_attempts_at_most(1, seed);
    }
}

#[test]
fn trained_in_stages_without_faults_no_step_is_trained_twice() {
    let mut went_on = 0;
    let seeds = seeds(50);
    for seed in &seeds {
        let mut world = World::of(IN_STAGES, *seed, Faults::none());
        world.run();
        went_on += world.audit.assert_trained_once(*seed);
        assert_eq!(
            world.audit.left_behind(),
            0,
            "checkpoints that nobody needs stay, seed {seed}"
        );
    }
    assert!(went_on >= seeds.len(), "{went_on} trials went on");
}

#[test]
fn trained_in_stages_no_fact_is_lost_either() {
    let mut judged = 0;
    let seeds = seeds(150);
    for seed in &seeds {
        let mut world = World::of(IN_STAGES, *seed, Faults::all());
        world.run();
        judged += world.judged_again;
    }
    assert!(judged >= seeds.len() as u64, "{judged} judgements");
}

#[test]
fn a_population_comes_to_its_end_and_every_place_is_filled_once() {
    let mut children = 0;
    let seeds = seeds(50);
    for seed in &seeds {
        let mut world = World::of(POPULATION, *seed, Faults::none());
        world.run();
        children += world.audit.assert_lineage(*seed);
        world.audit.assert_places_taken(*seed);
        world.audit.assert_trained_once(*seed);
    }
    assert!(children >= 2 * seeds.len(), "{children} children");
}

#[test]
fn a_population_outlives_workers_and_coordinators() {
    let (mut children, mut judged) = (0, 0);
    let seeds = seeds(200);
    for seed in &seeds {
        let mut world = World::of(POPULATION, *seed, Faults::all());
        world.run();
        children += world.audit.assert_lineage(*seed);
        judged += world.judged_again;
        world.audit.assert_places_taken(*seed);
    }
    assert!(children >= seeds.len(), "{children} children");
    assert!(judged >= seeds.len() as u64, "{judged} judgements");
}

#[test]
fn whatever_goes_wrong_no_fact_is_lost_and_the_study_ends() {
    for seed in seeds(250) {
        World::new(seed, Faults::all()).run();
    }
}

#[test]
fn a_coordinator_that_crashes_at_every_other_commit_kills_no_training() {
    for seed in seeds(60) {
        let mut world = World::new(
            seed,
            Faults {
                coordinator_crash: 0.3,
                store_refuses: 0.1,
                answer_lost: 0.1,
                ..Faults::none()
            },
        );
        world.run();
        world.audit.assert_attempts_at_most(1, seed);
    }
}

#[test]
fn every_trial_ends_though_workers_keep_dying() {
    for seed in seeds(60) {
        World::new(
            seed,
            Faults {
                machine_death: 0.02,
                disconnect: 0.05,
                ..Faults::none()
            },
        )
        .run();
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let trace = |seed| {
        let mut world = World::new(seed, Faults::all());
        world.run();
        world.audit.trace()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
