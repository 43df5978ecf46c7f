//! What strategies are shown, and what they answer.

use tunesmith_common::TrialNumber;
use tunesmith_common::params::Params;
use tunesmith_common::space::Space;

use super::random::MAX_TRIES;

/// What a strategy may know: everything that its proposal may depend on.
#[derive(Clone, Copy, Debug)]
pub struct StudyView<'a> {
    /// What may be varied.
    pub space: &'a Space,
    /// Seed of everything random in the study.
    pub seed: u64,
    /// Number that the next trial will have.
    pub next: TrialNumber,
    /// Trials that the strategy has proposed so far, whatever became of them; those of people and programs are not counted.
    pub proposed: u64,
    /// [`Suggestion::cursor`] of the last of those trials that has one.
    pub cursor: Option<u64>,
    /// Trials that have ended, in the order in which they ended, however they did. Those of other studies that this one learns from come first,
    /// and are the same in every view of the study.
    pub finished: &'a [FinishedTrial],
    /// Trials that have not ended: waiting, running or resting. In the order of their numbers.
    pub running: &'a [RunningTrial<'a>],
}

impl<'a> StudyView<'a> {
    /// The trials of other studies among [`Self::finished`].
    pub(super) fn of_others(&self) -> &'a [FinishedTrial] {
        let count = self.finished.partition_point(FinishedTrial::is_of_other);
        &self.finished[..count]
    }
}

/// A trial that has ended, as strategies see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedTrial {
    /// Its number; 0 for a trial of another study.
    pub trial: TrialNumber,
    /// Its point in the encoded space, shape `(d,)`: each coordinate in [0, 1), NaN where the parameter was inactive.
    pub encoded: Box<[f64]>,
    /// The objective's value with its sign changed where needed so that smaller is better. As reported: may be NaN or infinite.
    /// None if the trial has no value that counts.
    pub value: Option<f64>,
    /// Whether the trial failed: there is something wrong with this point, whatever it reported.
    pub failed: bool,
    /// Whether it was stopped early, so that `value` is that of a training which went no further than `last_step`.
    pub partial: bool,
    /// The highest step reported, if any was.
    pub last_step: Option<i64>,
    /// Values of the second and further objectives, in their order, with signs as in `value`. NaN where there is none. Empty in a study of one
    /// objective.
    pub others: Box<[f64]>,
    /// For each constraint on a metric, by how much it is violated, in units of the metric: it holds where this is 0 or less. NaN where the
    /// metric was not reported. Empty in a study without such constraints.
    pub violations: Box<[f64]>,
}

impl FinishedTrial {
    /// A trial of one objective that went as far as it was to.
    #[must_use]
    pub fn completed(trial: TrialNumber, encoded: impl Into<Box<[f64]>>, value: f64) -> Self {
        Self {
            trial,
            encoded: encoded.into(),
            value: Some(value),
            failed: false,
            partial: false,
            last_step: None,
            others: Box::default(),
            violations: Box::default(),
        }
    }

    /// Whether it is a trial of another study.
    #[must_use]
    pub fn is_of_other(&self) -> bool {
        self.trial.0 == 0
    }
}

/// A trial that has not ended, as strategies see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningTrial<'a> {
    /// Its number.
    pub trial: TrialNumber,
    /// Its point in the encoded space, shape `(d,)`: each coordinate in [0, 1), NaN where the parameter is inactive.
    pub encoded: &'a [f64],
}

/// Points to evaluate, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// At least one.
    pub points: Vec<Suggestion>,
}

/// One point to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Values of the active parameters.
    pub params: Params,
    /// The same point encoded, shape `(d,)`: what [`Space::encode`] makes of `params`.
    pub encoded: Vec<f64>,
    /// What people should know about how it was chosen. May be empty.
    pub note: String,
    /// How far the strategy's enumeration is with this point, if it enumerates; to be stored with the trial and shown in
    /// [`StudyView::cursor`].
    pub cursor: Option<u64>,
}

impl Suggestion {
    /// `params` are values of `space`; `point` is what they were decoded from.
    pub(super) fn new(space: &Space, params: Params, point: Vec<f64>) -> Self {
        // Encoded again, so that the history is the same whether it was kept or rebuilt from the stored parameters. A space
        // encodes what it decoded; if it refused, the point itself would be the same point.
        let encoded = space.encode(&params).unwrap_or(point);
        Self {
            params,
            encoded,
            note: String::new(),
            cursor: None,
        }
    }
}

/// What a strategy's model expects at some points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// For each objective what is expected at each point, with its sign as in [`FinishedTrial::value`], and one standard deviation better and worse
    /// on the scale on which the model works. Noise is left aside. Empty if the model is not one of each objective.
    pub objectives: Vec<Vec<[f64; 3]>>,
    /// How promise is measured: `log_ei`, `ei`, `ucb`, `log_ehvi`, `mean` and `distance` where little is to be gained any more, or
    /// `log_probability` where no result satisfies the measured constraints.
    pub acquisition: &'static str,
    /// How promising each point is: the larger, the sooner it is tried. Where the next trial goes elsewhere, points among those that were left aside promise
    /// as little as the least of the others.
    pub promise: Vec<f64>,
}

/// Why a strategy proposes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// Every point was proposed.
    #[error("every point of the search space was proposed")]
    Exhausted,
    /// The strategy leaves it to people and programs to add trials.
    #[error("the strategy is manual: people and programs add the trials")]
    WaitsForPeople,
    /// No point was found that satisfies the constraints.
    #[error(
        "none of {tries} points tried satisfies the constraints; loosen them, or narrow the search space to where they hold"
    )]
    NoFeasiblePoint {
        /// Points that were tried.
        tries: u64,
    },
    /// The strategy has no model of the objective.
    #[error("the strategy {strategy} has no model of the objective, only gp has")]
    NoModel {
        /// The strategy.
        strategy: &'static str,
    },
    /// The strategy's model cannot be fitted to the results. Whoever asked may draw a point at random instead.
    #[error("the model cannot be fitted: {reason}")]
    Fit {
        /// Why.
        reason: String,
    },
}

impl StrategyError {
    /// After as many random draws as are made.
    pub(super) fn no_feasible_draw() -> Self {
        Self::NoFeasiblePoint {
            tries: u64::from(MAX_TRIES),
        }
    }
}

/// Proposes up to `count` points one after the other: `one` gets the view as it is after the points before were proposed, made and begun.
///
/// An error ends the batch; it is returned only if there was no point before it.
pub(super) fn one_by_one(
    view: &StudyView<'_>,
    count: usize,
    mut one: impl FnMut(&StudyView<'_>) -> Result<Suggestion, StrategyError>,
) -> Result<Proposal, StrategyError> {
    let mut points: Vec<Suggestion> = Vec::with_capacity(count.min(1_024));
    while points.len() < count {
        let made = points.len() as u64;
        let running: Vec<RunningTrial<'_>>;
        let view = if points.is_empty() {
            *view
        } else {
            let begun = (view.next.0..).zip(&points).map(|(number, point)| RunningTrial {
                trial: TrialNumber(number),
                encoded: &point.encoded,
            });
            running = view.running.iter().copied().chain(begun).collect();
            StudyView {
                next: TrialNumber(view.next.0.saturating_add(made)),
                proposed: view.proposed.saturating_add(made),
                cursor: points.iter().rev().find_map(|point| point.cursor).or(view.cursor),
                running: &running,
                ..*view
            }
        };
        match one(&view) {
            Ok(point) => points.push(point),
            Err(error) if points.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(Proposal { points })
}
