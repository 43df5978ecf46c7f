//! Studies over spaces of every kind, and every entry of the registry.

use std::num::NonZeroU32;

use tunesmith_common::TrialNumber;
use tunesmith_common::constraint::Constraint;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::params::{ParamValue, Params};
use tunesmith_common::space::{Condition, Domain, Parameter, Scale, Space};
use tunesmith_common::study::{
    Acquisition, Budget, Halving, HalvingName, Objective, Schedule, StrategyName, StrategySpec, StudySpec,
};
use tunesmith_optimizer::{Memory, Proposal, SearchStrategy, StrategyError, StudyView, Suggestion};

pub(crate) fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: Vec::new(),
    }
}

pub(crate) fn float(name: &str, low: f64, high: f64, scale: Scale) -> Parameter {
    parameter(
        name,
        Domain::Float {
            low,
            high,
            scale,
            step: None,
        },
    )
}

pub(crate) fn int(name: &str, low: i64, high: i64, scale: Scale) -> Parameter {
    parameter(
        name,
        Domain::Int {
            low,
            high,
            scale,
            step: 1,
        },
    )
}

pub(crate) fn choices(name: &str, values: &[&str]) -> Parameter {
    let choices = values
        .iter()
        .map(|value| ParamValue::Text((*value).to_owned()))
        .collect();
    parameter(name, Domain::Categorical { choices })
}

pub(crate) fn space(parameters: Vec<Parameter>, constraints: &[&str]) -> Space {
    let constraints = constraints
        .iter()
        .map(|text| Constraint::parse(text, &parameters).unwrap())
        .collect();
    Space::new(parameters, constraints).unwrap()
}

/// A space of every kind that there is.
pub(crate) fn spaces() -> Vec<(&'static str, Space)> {
    let momentum = Parameter {
        conditions: vec![Condition {
            parent: 0,
            values: vec![ParamValue::Text("sgd".to_owned())],
        }],
        ..float("momentum", 0.0, 0.99, Scale::Linear)
    };
    let many = (0..1_000)
        .map(|i| float(&format!("x{i}"), -1.0, 1.0, Scale::Linear))
        .collect();
    vec![
        (
            "continuous",
            space(
                vec![
                    float("lr", 1e-5, 0.1, Scale::Log),
                    float("decay", 0.0, 1.0, Scale::Linear),
                ],
                &[],
            ),
        ),
        (
            "conditional",
            space(
                vec![
                    choices("optimizer", &["sgd", "adam", "lion"]),
                    momentum,
                    int("depth", 1, 7, Scale::Log),
                ],
                &[],
            ),
        ),
        (
            "constrained",
            space(
                vec![
                    int("batch", 4, 256, Scale::Log2),
                    int("width", 32, 512, Scale::Linear),
                    float("x", 0.0, 1.0, Scale::Linear),
                ],
                &["batch * width <= 16384", "x < 0.5"],
            ),
        ),
        (
            "one point",
            space(
                vec![
                    choices("only", &["this"]),
                    parameter("fixed", Domain::Constant(ParamValue::Int(3))),
                ],
                &[],
            ),
        ),
        (
            "finite",
            space(
                vec![
                    choices("a", &["p", "q", "r"]),
                    parameter("flag", Domain::Boolean),
                    parameter(
                        "level",
                        Domain::Ordinal {
                            choices: (0..4).map(ParamValue::Int).collect(),
                        },
                    ),
                ],
                &[],
            ),
        ),
        ("1,000 parameters", space(many, &[])),
    ]
}

pub(crate) fn study(space: Space, name: StrategyName, seed: u64, initial: Vec<Params>) -> StudySpec {
    StudySpec {
        name: "contract".parse().unwrap(),
        message: String::new(),
        parent: None,
        project: None,
        objective: Objective {
            metric: "loss".parse().unwrap(),
            goal: Goal::Minimize,
            from: ValueFrom::Last,
        },
        more_objectives: Vec::new(),
        measured_constraints: Vec::new(),
        space,
        strategy: StrategySpec {
            name,
            schedule: None,
            seed,
            initial,
            history: Vec::new(),
            random_share: 0.0,
        },
        early_stopping: Vec::new(),
        budget: Budget::default(),
        priority: NonZeroU32::MIN,
        trial: None,
    }
}

pub(crate) fn grid(shuffle: bool, points: u32) -> StrategyName {
    StrategyName::Grid {
        shuffle,
        points: NonZeroU32::new(points).unwrap(),
    }
}

pub(crate) fn gp(acquisition: Acquisition) -> StrategyName {
    StrategyName::Gp { acquisition }
}

/// Every entry of the registry.
pub(crate) fn registry() -> [StrategyName; 13] {
    [
        StrategyName::Auto,
        StrategyName::Manual,
        grid(false, 3),
        grid(true, 3),
        StrategyName::Random,
        StrategyName::Sobol,
        gp(Acquisition::LogEi),
        gp(Acquisition::Ei),
        gp(Acquisition::Ucb),
        StrategyName::Tpe,
        StrategyName::Cmaes,
        StrategyName::Evolution,
        StrategyName::Nsga2,
    ]
}

/// Whether results matter to what a strategy proposes.
pub(crate) fn learns(name: StrategyName) -> bool {
    // Without a wildcard, so that who adds a strategy comes by here, and to the registry.
    match name {
        StrategyName::Gp { .. }
        | StrategyName::Tpe
        | StrategyName::Cmaes
        | StrategyName::Evolution
        | StrategyName::Nsga2 => true,
        StrategyName::Auto
        | StrategyName::Manual
        | StrategyName::Grid { .. }
        | StrategyName::Random
        | StrategyName::Sobol => false,
    }
}

/// The schedules that make a difference to a strategy: under one `tpe` is shown one rung.
pub(crate) fn schedules(name: StrategyName) -> Vec<Option<Schedule>> {
    if name != StrategyName::Tpe {
        return vec![None];
    }
    let bohb = Halving {
        name: HalvingName::Bohb,
        min_steps: 1,
        reduction: 3,
        max_steps: 9,
        brackets: 3,
    };
    vec![None, Some(Schedule::Halving(bohb))]
}

pub(crate) fn view(spec: &StudySpec, next: u64) -> StudyView<'_> {
    StudyView {
        space: &spec.space,
        seed: spec.strategy.seed,
        next: TrialNumber(next),
        proposed: 0,
        cursor: None,
        finished: &[],
        running: &[],
    }
}

/// Everything about a suggestion, bit for bit.
pub(crate) type Bits = (Params, Vec<u64>, String, Option<u64>);

pub(crate) fn bits(suggestion: &Suggestion) -> Bits {
    let encoded = suggestion.encoded.iter().map(|x| x.to_bits()).collect();
    (
        suggestion.params.clone(),
        encoded,
        suggestion.note.clone(),
        suggestion.cursor,
    )
}

pub(crate) fn all_bits(proposal: &Result<Proposal, StrategyError>) -> Result<Vec<Bits>, StrategyError> {
    proposal
        .clone()
        .map(|proposal| proposal.points.iter().map(bits).collect())
}

/// A proposal without anything remembered.
pub(crate) trait Afresh {
    fn afresh(&self, view: &StudyView<'_>, count: usize) -> Result<Proposal, StrategyError>;
}

impl Afresh for dyn SearchStrategy {
    fn afresh(&self, view: &StudyView<'_>, count: usize) -> Result<Proposal, StrategyError> {
        self.propose(view, count, &mut Memory::default())
    }
}
