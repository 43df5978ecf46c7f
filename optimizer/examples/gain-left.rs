//! Measures how often studies end too early, and how early, by what is left to gain: one JSON line for each function and strategy. Asserts nothing.
//!
//! `gain-left [STRATEGIES [SEEDS [TRIALS [PATIENCE]]]]`. Each study is looked at as a coordinator does; what it is told is left to gain is compared with what the
//! function really has left (`covered`), and it ends where a coordinator would end it. The limit is about a hundredth of how much better than the median of
//! random points the optimum is; `within_limit` are the studies that ended with no more left. With a patience the study ends when so many
//! results were not better by more than a tenth of the limit instead, and no model is asked. Set `OPENBLAS_NUM_THREADS=1` where the system's
//! OpenBLAS has threads of its own.
#![expect(clippy::print_stdout, reason = "figures are on standard output")]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::f64::consts::PI;
use std::num::NonZeroU32;
use std::time::Instant;

use serde_json::json;
use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::space::{Domain, Parameter, Scale, Space};
use tunesmith_common::study::{Acquisition, Budget, Objective, StrategyName, StrategySpec, StudySpec};
use tunesmith_optimizer::{FinishedTrial, Gain, LOOKS, Memory, StudyView, build, gain_left, looks};

const CONFIDENCE: f64 = 0.95;

/// A function of points in the unit cube, with its least value.
struct Function {
    name: &'static str,
    dimensions: usize,
    value: fn(&[f64]) -> f64,
    least: f64,
    /// The limit of what may be left to gain.
    limit: f64,
}

const FUNCTIONS: [Function; 4] = [
    Function {
        name: "branin",
        dimensions: 2,
        value: branin,
        least: 0.397_887,
        limit: 0.35,
    },
    Function {
        name: "bowl",
        dimensions: 4,
        value: bowl,
        least: 0.0,
        limit: 0.005,
    },
    Function {
        name: "hartmann6",
        dimensions: 6,
        value: hartmann6,
        least: -3.322_37,
        limit: 0.032,
    },
    Function {
        name: "levy",
        dimensions: 3,
        value: levy,
        least: 0.0,
        limit: 0.2,
    },
];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let strategies = arguments.next().unwrap_or_else(|| "gp,tpe,random".to_owned());
    let seeds: u64 = arguments.next().map_or(Ok(20), |seeds| seeds.parse())?;
    let trials: u64 = arguments.next().map_or(Ok(100), |trials| trials.parse())?;
    let patience: Option<usize> = arguments.next().map(|patience| patience.parse()).transpose()?;
    for strategy in strategies.split(',') {
        for function in &FUNCTIONS {
            measure(strategy, function, seeds, trials, patience)?;
        }
    }
    Ok(())
}

fn measure(
    strategy: &str,
    function: &Function,
    seeds: u64,
    trials: u64,
    patience: Option<usize>,
) -> anyhow::Result<()> {
    let (mut asked, mut covered) = (0_u32, 0_u32);
    let (mut ended, mut sound, mut saved) = (0_u32, 0_u32, 0_u64);
    let (mut longest, mut left) = (0.0_f64, Vec::new());
    for seed in 0..seeds {
        let spec = spec(strategy, function.dimensions, seed)?;
        let searching = build(&spec);
        let mut memory = Memory::default();
        let mut finished: Vec<FinishedTrial> = Vec::new();
        let (mut gains, mut bests): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let (mut best, mut best_trial) = (f64::INFINITY, TrialNumber(1));
        for number in 1..=trials {
            let view = StudyView {
                space: &spec.space,
                seed,
                next: TrialNumber(number),
                proposed: number - 1,
                cursor: None,
                finished: &finished,
                running: &[],
            };
            let Some(point) = searching.propose(&view, 1, &mut memory)?.points.pop() else {
                break;
            };
            let value = (function.value)(&point.encoded);
            if value < best {
                (best, best_trial) = (value, TrialNumber(number));
            }
            finished.push(FinishedTrial::completed(
                TrialNumber(number),
                point.encoded,
                value,
            ));
            bests.push(best);
            if let Some(patience) = patience {
                let before = bests.len().checked_sub(1 + patience).map(|k| bests[k]);
                if before.is_some_and(|before| before - best <= 0.1 * function.limit) {
                    ended += 1;
                    sound += u32::from(best - function.least <= function.limit);
                    saved += trials - number;
                    left.push(best - function.least);
                    break;
                }
                continue;
            }
            if looks(&spec.space, finished.len()).is_ok_and(|looks| looks.last() != Some(&finished.len())) {
                continue;
            }
            let began = Instant::now();
            let gain = gain_left(&spec.space, seed, &finished, best_trial, CONFIDENCE)?;
            longest = longest.max(began.elapsed().as_secs_f64());
            let Gain::AtMost(gain) = gain else { continue };
            asked += 1;
            covered += u32::from(best - function.least <= gain);
            gains.push(gain);
            let last = &gains[gains.len().saturating_sub(LOOKS)..];
            if last.len() == LOOKS && last.iter().all(|gain| *gain <= function.limit) {
                ended += 1;
                sound += u32::from(best - function.least <= function.limit);
                saved += trials - number;
                left.push(best - function.least);
                break;
            }
        }
    }
    left.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "function": function.name, "strategy": strategy, "patience": patience, "studies": seeds, "trials": trials, "limit": function.limit,
            "ended": ended, "within_limit": sound, "mean_trials_saved": saved as f64 / seeds as f64,
            "asked": asked, "covered": covered, "left_median": left.get(left.len() / 2), "left_most": left.last(), "longest_seconds": longest,
        })
    );
    Ok(())
}

fn branin(x: &[f64]) -> f64 {
    let (a, b) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    (b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0).powi(2)
        + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos()
        + 10.0
}

fn bowl(x: &[f64]) -> f64 {
    x.iter().map(|x| (x - 0.37).powi(2)).sum()
}

fn levy(x: &[f64]) -> f64 {
    let w: Vec<f64> = x.iter().map(|x| 1.0 + (20.0 * x - 11.0) / 4.0).collect();
    let middle: f64 = w[..w.len() - 1]
        .iter()
        .map(|w| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2)))
        .sum();
    let last = w[w.len() - 1];
    (PI * w[0]).sin().powi(2) + middle + (last - 1.0).powi(2) * (1.0 + (2.0 * PI * last).sin().powi(2))
}

fn hartmann6(x: &[f64]) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    -(0..4)
        .map(|i| {
            let off: f64 = (0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum();
            ALPHA[i] * (-off).exp()
        })
        .sum::<f64>()
}

fn spec(strategy: &str, dimensions: usize, seed: u64) -> anyhow::Result<StudySpec> {
    let parameter = |k: usize| {
        anyhow::Ok(Parameter {
            name: format!("x{k}").parse()?,
            domain: Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
            conditions: Vec::new(),
        })
    };
    let parameters = (0..dimensions).map(parameter).collect::<Result<_, _>>()?;
    Ok(StudySpec {
        name: "gain-left".parse()?,
        message: String::new(),
        parent: None,
        project: None,
        objective: Objective {
            metric: "value".parse()?,
            goal: Goal::Minimize,
            from: ValueFrom::Last,
        },
        more_objectives: Vec::new(),
        measured_constraints: Vec::new(),
        space: Space::new(parameters, Vec::new()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?,
        strategy: StrategySpec {
            name: match strategy {
                "gp" => StrategyName::Gp {
                    acquisition: Acquisition::LogEi,
                },
                "tpe" => StrategyName::Tpe,
                "random" => StrategyName::Random,
                other => anyhow::bail!("{other:?} is none of gp, tpe, random"),
            },
            seed,
            initial: Vec::new(),
            history: Vec::new(),
            random_share: 0.0,
            schedule: None,
        },
        early_stopping: Vec::new(),
        budget: Budget::default(),
        priority: NonZeroU32::MIN,
        trial: None,
    })
}
