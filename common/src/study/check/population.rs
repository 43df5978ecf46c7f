//! Populations, and trainings that repeat what one of them found.

use super::Problems;
use super::space::add_all;
use crate::id::ParameterName;
use crate::params::Params;
use crate::space::{Domain, Space};
use crate::study::population::{Exploit, Explore, Population, Segment};
use crate::study::raw::{RawExploit, RawStrategy, RawStrategyName};

/// What the study file means if it says nothing.
pub(in crate::study) const SIZE: u32 = 16;
pub(in crate::study) const FRACTION: f64 = 0.25;
pub(in crate::study) const RESAMPLE: f64 = 0.25;
pub(in crate::study) const FACTORS: [f64; 2] = [0.8, 1.2];
/// Trials of a population at most: each is compared with all others.
const MOST: u32 = 10_000;
/// Strategies that can choose the points to begin with.
const SAMPLERS: [RawStrategyName; 2] = [RawStrategyName::Sobol, RawStrategyName::Random];

/// Whether a strategy is about a population.
pub(super) fn is_one(name: RawStrategyName) -> bool {
    matches!(name, RawStrategyName::Pbt | RawStrategyName::Pb2)
}

/// The strategy that proposes the points to begin with.
pub(super) fn sampler(raw: &RawStrategy, problems: &mut Problems) -> RawStrategyName {
    if !is_one(raw.name) {
        return raw.name;
    }
    let sampler = raw.sampler.unwrap_or(RawStrategyName::Sobol);
    if !SAMPLERS.contains(&sampler) {
        problems.add(
            "strategy.sampler",
            format!(
                "{} cannot choose the points that a population begins with, use sobol or random",
                sampler.name()
            ),
        );
        return RawStrategyName::Sobol;
    }
    sampler
}

/// Refuses keys that the strategy has no use for.
pub(super) fn refuse_others(raw: &RawStrategy, problems: &mut Problems) {
    let is_population = is_one(raw.name);
    let perturbs = raw.name == RawStrategyName::Pbt;
    let is_replay = raw.name == RawStrategyName::Replay;
    for (key, given, fits, who) in [
        (
            "population",
            raw.population.is_some(),
            is_population,
            "pbt and pb2",
        ),
        ("interval", raw.interval.is_some(), is_population, "pbt and pb2"),
        ("exploit", raw.exploit.is_some(), is_population, "pbt and pb2"),
        ("fraction", raw.fraction.is_some(), is_population, "pbt and pb2"),
        ("vary", !raw.vary.is_empty(), is_population, "pbt and pb2"),
        ("resample", raw.resample.is_some(), perturbs, "pbt"),
        ("factors", !raw.factors.is_empty(), perturbs, "pbt"),
        ("segments", !raw.segments.is_empty(), is_replay, "replay"),
        (
            "initial",
            is_replay && !raw.initial.is_empty(),
            false,
            "others than replay",
        ),
        (
            "history",
            is_replay && !raw.history.is_empty(),
            false,
            "others than replay",
        ),
        (
            "random_share",
            (is_replay || is_population) && raw.random_share.is_some(),
            false,
            "others",
        ),
    ] {
        if given && !fits {
            problems.add(
                format!("strategy.{key}"),
                format!("{} has no use for {key:?}, only {who}", raw.name.name()),
            );
        }
    }
}

/// The population that a study asks for.
pub(super) fn check(
    raw: &RawStrategy,
    space: Option<&Space>,
    last_step: Option<i64>,
    problems: &mut Problems,
) -> Option<Population> {
    let name = raw.name.name();
    let size = raw.population.unwrap_or(SIZE);
    if !(2..=MOST).contains(&size) {
        problems.add(
            "strategy.population",
            format!("must be from 2 to {MOST}, got {size}"),
        );
    }
    let interval = raw.interval.unwrap_or(0);
    if raw.interval.is_none() {
        problems.add(
            "strategy.interval",
            format!("is missing: {name} needs to know after how many steps trials are compared, such as 5"),
        );
    } else if interval < 1 {
        problems.add("strategy.interval", format!("must be at least 1, got {interval}"));
    }
    let Some(max_steps) = raw.max_steps.or(last_step) else {
        problems.add(
            "strategy.max_steps",
            format!("is missing: {name} needs to know the last step of a training; give it here, or as trial.steps.max"),
        );
        return None;
    };
    if max_steps <= interval {
        problems.add(
            "strategy.max_steps",
            format!("must be above interval, which is {interval}, got {max_steps}"),
        );
    }
    let exploit = match raw.exploit.unwrap_or_default() {
        RawExploit::Truncation => Exploit::Truncation {
            fraction: raw.fraction.unwrap_or(FRACTION),
        },
        RawExploit::Tournament => Exploit::Tournament,
    };
    match (exploit, raw.fraction) {
        (Exploit::Tournament, Some(_)) => {
            problems.add("strategy.fraction", "a tournament has no use for it, remove it");
        }
        (Exploit::Truncation { fraction }, _) if !(fraction > 0.0 && fraction <= 0.5) => {
            problems.add(
                "strategy.fraction",
                format!("must be above 0 and at most 0.5, got {fraction}; 0.25 replaces one trial in four"),
            );
        }
        _ => {}
    }
    let vary = space.map(|space| vary(raw, space, problems)).unwrap_or_default();
    Some(Population {
        explore: explore(raw, problems),
        size,
        interval,
        max_steps,
        exploit,
        vary,
    })
}

fn explore(raw: &RawStrategy, problems: &mut Problems) -> Explore {
    if raw.name == RawStrategyName::Pb2 {
        return Explore::Model;
    }
    let resample = raw.resample.unwrap_or(RESAMPLE);
    if !(0.0..=1.0).contains(&resample) {
        problems.add(
            "strategy.resample",
            format!("must be from 0 to 1, got {resample}"),
        );
    }
    let factors = match raw.factors.as_slice() {
        [] => FACTORS.to_vec(),
        given => given.to_vec(),
    };
    for (index, factor) in factors.iter().enumerate() {
        if !(factor.is_finite() && *factor > 0.0) {
            problems.add(
                format!("strategy.factors[{index}]"),
                format!("must be finite and above 0, got {factor}; 1.2 makes a number a fifth larger"),
            );
        }
    }
    Explore::Perturb { resample, factors }
}

/// The parameters that may change.
fn vary(raw: &RawStrategy, space: &Space, problems: &mut Problems) -> Vec<ParameterName> {
    let is_number = |domain: &Domain| matches!(domain, Domain::Float { .. } | Domain::Int { .. });
    let by_model = raw.name == RawStrategyName::Pb2;
    if raw.vary.is_empty() {
        let all = space.parameters().iter();
        let all = all.filter(|parameter| match &parameter.domain {
            Domain::Constant(_) => false,
            domain => !by_model || is_number(domain),
        });
        let names: Vec<_> = all.map(|parameter| parameter.name.clone()).collect();
        if names.is_empty() {
            problems.add("strategy.vary", "no parameter of the space can be varied");
        }
        return names;
    }
    let mut names: Vec<ParameterName> = Vec::new();
    for (index, name) in raw.vary.iter().enumerate() {
        let path = format!("strategy.vary[{index}]");
        let Some(place) = space.index_of(name) else {
            problems.add(path, format!("the space has no parameter {name:?}"));
            continue;
        };
        let parameter = &space.parameters()[place];
        match &parameter.domain {
            Domain::Constant(_) => problems.add(path, format!("{name:?} is constant, it cannot vary")),
            domain if by_model && !is_number(domain) => problems.add(
                path,
                format!("{name:?} is no number, and pb2 varies numbers only; remove it, or use pbt"),
            ),
            _ if names.contains(&parameter.name) => problems.add(path, format!("{name:?} is named twice")),
            _ => names.push(parameter.name.clone()),
        }
    }
    names
}

/// The segments of a training that is repeated.
pub(super) fn segments(
    raw: &RawStrategy,
    space: Option<&Space>,
    last_step: Option<i64>,
    problems: &mut Problems,
) -> Option<Vec<Segment>> {
    if raw.segments.is_empty() {
        problems.add(
            "strategy.segments",
            "is missing: replay needs to know what to repeat, such as what `tunesmith trial schedule` prints of a trial",
        );
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut from = 0;
    for (index, segment) in raw.segments.iter().enumerate() {
        let path = format!("strategy.segments[{index}]");
        let is_last = index + 1 == raw.segments.len();
        let Some(until) = segment.until.or(last_step.filter(|_| is_last)) else {
            problems.add(
                format!("{path}.until"),
                "is missing: all but the last segment need their last step, and that one trial.steps.max",
            );
            continue;
        };
        if until <= from {
            problems.add(
                format!("{path}.until"),
                format!("must be above {from}, got {until}"),
            );
        }
        from = until;
        let path = format!("{path}.parameters");
        let params = segment
            .parameters
            .iter()
            .map(|(name, value)| {
                let name = problems.take(&path, name.parse::<ParameterName>())?;
                Some((name, value.0.clone()))
            })
            .collect::<Option<Params>>();
        if let (Some(space), Some(params)) = (space, params) {
            match space.normalize(params) {
                Ok(params) => segments.push(Segment {
                    until,
                    seed: segment.seed,
                    params,
                }),
                Err(errors) => add_all(errors, &path, problems),
            }
        }
    }
    Some(segments)
}
