//! Decides again what the coordinator decided, from what is stored: the same suggestions, the same stops.

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::StudySpec;
use tunesmith_common::{Params, TrialNumber};
use tunesmith_optimizer::{Memory, Stoppers, StudyView, build};
use tunesmith_proto::convert::{study::from_wire, value::params_to_wire};
use tunesmith_proto::v1;

use crate::trail::{Fact, Step, Trail};

fn spec_of(study: &v1::Study) -> StudySpec {
    let raw = from_wire(study.spec.clone().unwrap()).unwrap();
    StudySpec::try_from(raw).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Suggests every trial again from the study's seed and the trial's number, as strategies do that learn nothing from results.
///
/// # Panics
/// If a trial of the study's strategy has other parameters.
pub fn audit_suggestions(study: &v1::Study, trials: &[v1::Trial]) {
    let spec = spec_of(study);
    let strategy = build(&spec);
    let (mut proposed, mut cursor) = (0, None);
    for trial in trials {
        let provenance = trial.provenance.clone().unwrap_or_default();
        if provenance.origin != "strategy" {
            continue;
        }
        assert_eq!(
            (provenance.strategy.as_str(), provenance.seed),
            (strategy.name(), spec.strategy.seed),
            "trial {} was suggested otherwise",
            trial.number
        );
        let view = StudyView {
            space: &spec.space,
            seed: spec.strategy.seed,
            next: TrialNumber(trial.number),
            proposed,
            cursor,
            finished: &[],
            running: &[],
        };
        let again = strategy
            .propose(&view, 1, &mut Memory::default())
            .unwrap()
            .points
            .remove(0);
        let parameters: &Params = &again.params;
        assert_eq!(
            trial.parameters,
            Some(params_to_wire(parameters)),
            "trial {} is not what its seed and number suggest",
            trial.number
        );
        proposed += 1;
        cursor = again.cursor.or(cursor);
    }
}

/// What the early stoppers are told.
#[derive(Clone, Debug)]
enum Told {
    Point {
        trial: u64,
        metric: MetricName,
        step: i64,
        value: f64,
        restarts: bool,
        at: i64,
    },
    End {
        trial: u64,
        value: Option<f64>,
    },
}

impl Told {
    fn trial(&self) -> u64 {
        match self {
            Self::Point { trial, .. } | Self::End { trial, .. } => *trial,
        }
    }
}

/// A decision: trial, rule, step, and the numbers that were compared.
type Decision = (u64, u32, i64, [f64; 3]);

/// Judges every stored point again, commit by commit, and compares what the rules say with what is stored.
///
/// Returns how many decisions there are.
///
/// # Panics
/// If a stop is stored that the rules do not make, or one that they make is not stored.
pub async fn audit_decisions(trail: &Trail, study: &v1::Study) -> usize {
    let spec = spec_of(study);
    let name = study.name.trim_start_matches("studies/");
    let (mut before, mut count) = (Vec::<Told>::new(), 0);
    let mut ended = BTreeSet::new();
    let mut reported = BTreeSet::new();
    let mut stoppers = Stoppers::new(&spec.early_stopping, &spec.objective);
    for (revision, steps) in by_revision(trail.of(name).await) {
        let mut stored = Vec::new();
        let mut told = Vec::new();
        for step in steps {
            match step.fact {
                Fact::Owner { .. } | Fact::Row => {}
                Fact::Decision {
                    trial,
                    rule,
                    step,
                    numbers,
                } => stored.push((trial, rule, step, numbers)),
                Fact::Points {
                    trial,
                    attempt,
                    metric,
                    points,
                } => {
                    let mut restarts = reported.insert((trial, attempt, metric.clone()));
                    let metric: MetricName = metric.parse().unwrap();
                    for (step, value, at) in points {
                        told.push(Told::Point {
                            trial,
                            metric: metric.clone(),
                            step,
                            value,
                            restarts,
                            at,
                        });
                        restarts = false;
                    }
                }
                Fact::End { trial, state, value } => {
                    if ended.insert(trial) {
                        let counts = state != "FAILED" && state != "CANCELLED";
                        told.push(Told::End {
                            trial,
                            value: value.filter(|_| counts),
                        });
                    }
                }
            }
        }
        count += stored.len();
        let mut said = Vec::new();
        for order in orders(&told) {
            let said_now = tell(&mut stoppers, &order);
            if same(&said_now, &stored) {
                before.extend(order);
                said.clear();
                break;
            }
            said.push(said_now);
            // The stoppers have seen it in this order now: begin again.
            stoppers = Stoppers::new(&spec.early_stopping, &spec.objective);
            tell(&mut stoppers, &before);
        }
        assert!(
            said.is_empty(),
            "study {name}, revision {revision}: stored {stored:?}, but the rules say {said:?} of {told:?}"
        );
    }
    count
}

fn by_revision(steps: Vec<Step>) -> BTreeMap<u64, Vec<Step>> {
    let mut revisions: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
    for step in steps {
        revisions.entry(step.revision).or_default().push(step);
    }
    revisions
}

/// Orders in which what is in one commit may have come: nothing stored says in which it did. By time; as stored; trial by trial,
/// each with its end.
fn orders(told: &[Told]) -> Vec<Vec<Told>> {
    let mut by_time = told.to_vec();
    by_time.sort_by_key(|told| match told {
        Told::Point { at, .. } => *at,
        Told::End { .. } => i64::MAX,
    });
    let mut by_trial = told.to_vec();
    by_trial.sort_by_key(Told::trial);
    let mut backwards = told.to_vec();
    backwards.sort_by_key(|told| u64::MAX - told.trial());
    vec![by_time, told.to_vec(), by_trial, backwards]
}

fn tell(stoppers: &mut Stoppers, told: &[Told]) -> Vec<Decision> {
    let mut said = Vec::new();
    for told in told {
        match told {
            Told::Point {
                trial,
                metric,
                step,
                value,
                restarts,
                ..
            } => {
                if *restarts {
                    stoppers.metric_restarted(TrialNumber(*trial), metric, *step);
                }
                let decisions = stoppers.report(TrialNumber(*trial), metric, *step, *value);
                #[expect(clippy::cast_precision_loss, reason = "a number of trials of a test")]
                said.extend(decisions.into_iter().map(|it| {
                    let numbers = [it.value, it.reference, it.compared_trials as f64];
                    (*trial, it.rule_index, it.step, numbers)
                }));
            }
            Told::End { trial, value } => stoppers.trial_ended(TrialNumber(*trial), *value),
        }
    }
    said
}

fn same(said: &[Decision], stored: &[Decision]) -> bool {
    let near = |a: f64, b: f64| {
        (a - b).abs() <= 1e-12 * a.abs().max(b.abs()) || (a.is_nan() && b.is_nan()) || a.total_cmp(&b).is_eq()
    };
    let equal = |a: &Decision, b: &Decision| {
        (a.0, a.1, a.2) == (b.0, b.1, b.2) && a.3.iter().zip(b.3).all(|(a, b)| near(*a, b))
    };
    said.len() == stored.len()
        && said
            .iter()
            .all(|said| stored.iter().any(|stored| equal(said, stored)))
}
