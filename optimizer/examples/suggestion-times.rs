//! Measures how long suggestions take, and what memory a strategy needs: one JSON line for each figure. Asserts nothing.
//!
//! `suggestion-times [STRATEGIES [SIZES [DIMENSIONS [OBJECTIVES]]]]`, each separated by commas. Each figure is of consecutive suggestions of one
//! study that begins with so many finished trials: model, refits and all, as one slot after the other would ask. Those beginning with `anew` are of
//! the first suggestions of studies with other results, of which nothing is known yet, as after a restart: all is fitted anew. Beside each stands
//! a probe of the machine's speed at that moment. Set `OPENBLAS_NUM_THREADS=1` where the system's OpenBLAS has threads of its own.
#![expect(clippy::print_stdout, reason = "figures are on standard output")]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
#![expect(clippy::disallowed_methods, reason = "measures time")]
#![expect(
    clippy::disallowed_types,
    reason = "probes the machine with LAPACK, from one thread"
)]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ndarray::Array2;
use ndarray_linalg::{Cholesky as _, UPLO};
use serde_json::json;
use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::space::{Domain, Parameter, Scale, Space};
use tunesmith_common::study::{Acquisition, Budget, Objective, StrategyName, StrategySpec, StudySpec};
use tunesmith_optimizer::{FinishedTrial, Memory, StudyView, build};

/// Suggestions that are timed: a quarter of the finished trials, within these, and for how long at most.
const SUGGESTIONS: (u64, u64) = (16, 120);
const LONGEST: Duration = Duration::from_secs(20);
/// Studies of which the first suggestion is timed, and for how long at most.
const STUDIES: u64 = 21;
const LONGEST_ANEW: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let strategies = arguments
        .next()
        .unwrap_or_else(|| "gp,tpe,sobol,random".to_owned());
    let sizes = arguments
        .next()
        .unwrap_or_else(|| "50,100,200,1000,10000,100000".to_owned());
    let dimensions = arguments.next().unwrap_or_else(|| "6,20".to_owned());
    let objectives = arguments.next().unwrap_or_else(|| "1".to_owned());
    for strategy in strategies.split(',') {
        for d in dimensions.split(',') {
            for n in sizes.split(',') {
                for m in objectives.split(',') {
                    measure(strategy, d.parse()?, n.parse()?, m.parse()?)?;
                }
            }
        }
    }
    Ok(())
}

fn measure(name: &str, d: usize, n: u64, objectives: u32) -> anyhow::Result<()> {
    let mut spec = spec(name, d)?;
    spec.more_objectives = vec![spec.objective.clone(); usize::try_from(objectives.saturating_sub(1))?];
    let strategy = build(&spec);
    let mut finished = history(0, d, n, objectives);
    let (before, probe) = (resident_mib(), probe());
    let mut memory = Memory::default();
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let began = Instant::now();
    // The first one comes to a strategy without memory and is not among these.
    let suggestions = usize::try_from((n / 4).clamp(SUGGESTIONS.0, SUGGESTIONS.1))?;
    while times.len() <= suggestions && (times.len() < 10 || began.elapsed() < LONGEST) {
        let next = TrialNumber(finished.len() as u64 + 1);
        let (asked, on_cpu) = (Instant::now(), cpu_time());
        let proposal = strategy.propose(&view(&spec, &finished), 1, &mut memory)?;
        times.push(asked.elapsed());
        cpu.push(cpu_time().saturating_sub(on_cpu));
        for point in proposal.points {
            finished.push(trial(next, point.encoded, objectives));
        }
    }
    times.remove(0);
    let cpu = cpu[1..].iter().sum::<Duration>() / u32::try_from(times.len())?;
    times.sort();
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let at = |times: &[Duration], share: usize| milliseconds(times[(times.len() - 1) * share / 100]);
    let memory_mib = (10.0 * (resident_mib() - before)).round() / 10.0;
    let mut anew = Vec::new();
    let begun = Instant::now();
    for study in 1..=STUDIES {
        if study > 1 && begun.elapsed() > LONGEST_ANEW {
            break;
        }
        let finished = history(study, d, n, objectives);
        let asked = Instant::now();
        strategy.propose(&view(&spec, &finished), 1, &mut Memory::default())?;
        anew.push(asked.elapsed());
    }
    anew.sort();
    let figure = json!({
        "figure": "suggestion", "strategy": name, "dimensions": d, "objectives": objectives, "finished": n,
        "p50_ms": at(&times, 50), "p95_ms": at(&times, 95), "max_ms": at(&times, 100), "mean_cpu_ms": milliseconds(cpu), "samples": times.len(),
        "anew_p50_ms": at(&anew, 50), "anew_max_ms": at(&anew, 100), "anew_samples": anew.len(),
        "memory_mib": memory_mib, "probe_ms": milliseconds(probe),
    });
    println!("{figure}");
    Ok(())
}

/// A study with these results, before its next trial.
fn view<'a>(spec: &'a StudySpec, finished: &'a [FinishedTrial]) -> StudyView<'a> {
    StudyView {
        space: &spec.space,
        seed: spec.strategy.seed,
        next: TrialNumber(finished.len() as u64 + 1),
        proposed: finished.len() as u64,
        cursor: None,
        finished,
        running: &[],
    }
}

/// Trials all over the space, and every third around the optimum, as a search leaves them behind: others for each study.
fn history(study: u64, d: usize, n: u64, objectives: u32) -> Vec<FinishedTrial> {
    let mut state = 1 + study;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (1..=n)
        .map(|number| {
            let x: Vec<f64> = (0..d)
                .map(|_| match number % 3 {
                    0 => 0.37 + 0.1 * (uniform() - 0.5),
                    _ => uniform(),
                })
                .collect();
            trial(TrialNumber(number), x, objectives)
        })
        .collect()
}

fn trial(trial: TrialNumber, encoded: Vec<f64>, objectives: u32) -> FinishedTrial {
    FinishedTrial {
        trial,
        value: Some(objective(&encoded, 0)),
        failed: false,
        partial: false,
        last_step: None,
        others: (1..objectives).map(|k| objective(&encoded, k)).collect(),
        violations: Box::default(),
        encoded: encoded.into(),
    }
}

/// A bowl with ripples, not equally wide along all parameters, and elsewhere for each objective.
fn objective(x: &[f64], which: u32) -> f64 {
    (0..)
        .zip(x)
        .map(|(k, x)| {
            let off = x - 0.37 - 0.1 * f64::from(which);
            (off * off + 0.02 * (1.0 - (30.0 * off).cos())) / f64::from(1 + k % 5)
        })
        .sum()
}

fn spec(name: &str, d: usize) -> anyhow::Result<StudySpec> {
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
    let parameters = (0..d).map(parameter).collect::<Result<_, _>>()?;
    Ok(StudySpec {
        name: "suggestion-times".parse()?,
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
            name: match name {
                "gp" => StrategyName::Gp {
                    acquisition: Acquisition::LogEi,
                },
                "tpe" => StrategyName::Tpe,
                "cmaes" => StrategyName::Cmaes,
                "evolution" => StrategyName::Evolution,
                "nsga2" => StrategyName::Nsga2,
                "sobol" => StrategyName::Sobol,
                "random" => StrategyName::Random,
                other => {
                    anyhow::bail!("{other:?} is none of gp, tpe, cmaes, evolution, nsga2, sobol, random")
                }
            },
            schedule: None,
            seed: 1,
            initial: Vec::new(),
            history: Vec::new(),
            random_share: 0.0,
        },
        early_stopping: Vec::new(),
        budget: Budget::default(),
        priority: NonZeroU32::MIN,
        trial: None,
    })
}

/// Time of one Cholesky factor of 1,000 x 1,000: the best of three.
fn probe() -> Duration {
    let n = 1_000;
    let matrix = Array2::from_shape_fn((n, n), |(i, j)| {
        0.99_f64.powf(i.abs_diff(j) as f64) + if i == j { 0.1 } else { 0.0 }
    });
    (0..3)
        .map(|_| {
            let began = cpu_time();
            std::hint::black_box(matrix.cholesky(UPLO::Lower)).ok();
            cpu_time().saturating_sub(began)
        })
        .min()
        .unwrap_or_default()
}

/// Time that this thread has computed, so that what else a machine does matters less; 0 where the system does not say.
fn cpu_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times.split_whitespace().next().and_then(|time| time.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Resident memory of this process, 0 where the system does not say.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    (kib.unwrap_or(0.0_f64) / 102.4).round() / 10.0
}
