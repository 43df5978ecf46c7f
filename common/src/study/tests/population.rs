//! Populations and repeated schedules in the study file.

use super::bad_input::{assert_all, refusal};
use crate::study::{Exploit, Explore, RawStudy, Schedule, StudyFile, StudySpec};

const SPACE: &str = "objective: {metric: a, goal: minimize}
space:
  lr: {type: float, low: 0.001, high: 1, scale: log}
  kind: {type: categorical, choices: [x, y]}
  fixed: {type: constant, value: 3}
";

fn parsed(strategy: &str) -> StudySpec {
    StudyFile::parse(&format!("{SPACE}strategy: {strategy}\n"), "study.yaml")
        .unwrap()
        .1
}

#[test]
fn what_is_left_out_of_a_population_has_its_default() {
    let spec = parsed("{name: pbt, interval: 5, max_steps: 50}");
    let Some(Schedule::Population(population)) = spec.strategy.schedule else {
        panic!("{:?}", spec.strategy.schedule)
    };
    assert_eq!((population.size, population.name()), (16, "pbt"));
    assert_eq!(population.exploit, Exploit::Truncation { fraction: 0.25 });
    let vary: Vec<&str> = population.vary.iter().map(|name| name.as_str()).collect();
    assert_eq!(vary, ["lr", "kind"], "what is constant cannot vary");
    let marks: Vec<i64> = population.marks_after(7).collect();
    assert_eq!(
        marks,
        [10, 15, 20, 25, 30, 35, 40, 45],
        "the end is no comparison"
    );
    let spec = parsed("{name: pb2, interval: 5, max_steps: 50}");
    let Some(Schedule::Population(population)) = spec.strategy.schedule else {
        panic!("{:?}", spec.strategy.schedule)
    };
    let vary: Vec<&str> = population.vary.iter().map(|name| name.as_str()).collect();
    assert_eq!((vary, population.explore), (vec!["lr"], Explore::Model));
}

#[test]
fn a_study_that_is_written_down_reads_back_to_the_same_study() {
    for strategy in [
        "{name: pbt, interval: 5, max_steps: 50, seed: 1}",
        "{name: pbt, sampler: random, population: 7, interval: 2, max_steps: 50, exploit: tournament, vary: [lr], resample: 0.5, factors: [2], seed: 1}",
        "{name: pbt, interval: 2, max_steps: 50, fraction: 0.5, seed: 1, initial: [{lr: 0.1}]}",
        "{name: pb2, interval: 5, max_steps: 50, vary: [lr], seed: 1}",
        "{name: replay, seed: 1, segments: [{until: 3, seed: 7, parameters: {lr: 0.1, kind: x, fixed: 3}}, {until: 9, parameters: {lr: 0.2, kind: y, fixed: 3}}]}",
    ] {
        let spec = parsed(strategy);
        let written = RawStudy::from(&spec);
        let json = serde_json::to_string(&written).unwrap();
        let read: RawStudy = serde_json::from_str(&json).unwrap();
        assert_eq!(StudySpec::try_from(read).unwrap(), spec, "{strategy}");
    }
}

#[test]
fn populations_that_cannot_be_are_refused() {
    let with = |strategy: &str| refusal(&format!("{SPACE}strategy: {strategy}\n"));
    let cases = [
        (
            "{name: pbt, max_steps: 9}",
            "study.yaml:6: strategy.interval: is missing: pbt needs to know after how many steps trials are compared, such as 5",
        ),
        (
            "{name: pbt, interval: 5}",
            "study.yaml:6: strategy.max_steps: is missing: pbt needs to know the last step of a training; give it here, or as trial.steps.max",
        ),
        (
            "{name: pbt, interval: 0, max_steps: 9}",
            "study.yaml:6: strategy.interval: must be at least 1, got 0",
        ),
        (
            "{name: pbt, interval: 9, max_steps: 9}",
            "study.yaml:6: strategy.max_steps: must be above interval, which is 9, got 9",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, population: 1}",
            "study.yaml:6: strategy.population: must be from 2 to 10000, got 1",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, fraction: 0.6}",
            "study.yaml:6: strategy.fraction: must be above 0 and at most 0.5, got 0.6; 0.25 replaces one trial in four",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, exploit: tournament, fraction: 0.3}",
            "study.yaml:6: strategy.fraction: a tournament has no use for it, remove it",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, vary: [speed]}",
            "study.yaml:6: strategy.vary[0]: the space has no parameter \"speed\"",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, vary: [lr, lr]}",
            "study.yaml:6: strategy.vary[1]: \"lr\" is named twice",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, vary: [fixed]}",
            "study.yaml:6: strategy.vary[0]: \"fixed\" is constant, it cannot vary",
        ),
        (
            "{name: pb2, interval: 5, max_steps: 9, vary: [kind]}",
            "study.yaml:6: strategy.vary[0]: \"kind\" is no number, and pb2 varies numbers only; remove it, or use pbt",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, factors: [0.8, 0]}",
            "study.yaml:6: strategy.factors[1]: must be finite and above 0, got 0; 1.2 makes a number a fifth larger",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, resample: 2}",
            "study.yaml:6: strategy.resample: must be from 0 to 1, got 2",
        ),
        (
            "{name: pbt, interval: 5, max_steps: 9, sampler: gp}",
            "study.yaml:6: strategy.sampler: gp cannot choose the points that a population begins with, use sobol or random",
        ),
        (
            "{name: pb2, interval: 5, max_steps: 9, factors: [2]}",
            "study.yaml:6: strategy.factors: pb2 has no use for \"factors\", only pbt",
        ),
        (
            "{name: gp, population: 8}",
            "study.yaml:6: strategy.population: gp has no use for \"population\", only pbt and pb2",
        ),
        (
            "replay",
            "study.yaml:6: strategy.segments: is missing: replay needs to know what to repeat, such as what `tunesmith trial schedule` prints of a trial",
        ),
        (
            "{name: replay, segments: [{until: 5, parameters: {lr: 0.1, kind: x, fixed: 3}}, {until: 5, parameters: {lr: 0.1, kind: x, fixed: 3}}]}",
            "study.yaml:6: strategy.segments[1].until: must be above 5, got 5",
        ),
        (
            "{name: replay, segments: [{until: 5, parameters: {lr: 7, kind: x, fixed: 3}}]}",
            "study.yaml:6: strategy.segments[0].parameters.lr: 7 is too large; give a number from 0.001 to 1.0",
        ),
    ];
    assert_all(with, &cases);
}
