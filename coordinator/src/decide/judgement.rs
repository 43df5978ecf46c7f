//! How trials stand at the steps at which a schedule looks at them: as judgements, for people and for the record.
//!
//! What such a judgement says depends on what trials had come to by then, and on nothing else, so that it can be made again.

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::study::StudySpec;
use tunesmith_optimizer::{Promotions, Ranking, Standing};

use super::course::Course;

/// Stands for the schedule where judgements name the place of their rule.
pub(super) const SCHEDULE_INDEX: u32 = u32::MAX;

impl Course {
    /// How a trial stands at the last step at which it was looked at, as the judgement that stops it there. None if it was not looked at, or there is
    /// nobody to compare it with.
    pub(super) fn judgement(&self, number: TrialNumber, spec: &StudySpec) -> Option<StopDecision> {
        let (step, value, needed, trials, text) = match self {
            Self::Halving(_, promotions) => {
                let standing = promotions.standing(number)?;
                let text = explain_standing(promotions, &standing, spec);
                (
                    standing.rung,
                    standing.value,
                    standing.needed,
                    standing.trials,
                    text,
                )
            }
            Self::Population(members) => {
                let ranking = members.contest.ranking(number)?;
                let text = explain_ranking(&ranking, spec);
                (ranking.mark, ranking.value, ranking.needed, ranking.trials, text)
            }
            Self::Replay(_) => return None,
        };
        Some(StopDecision {
            rule_index: SCHEDULE_INDEX,
            rule: self.name().to_owned(),
            shadow: false,
            metric: spec.objective.metric.clone(),
            step,
            value: as_reported(value, spec),
            reference: as_reported(needed, spec),
            compared_trials: trials - 1,
            text,
        })
    }
}

/// Turns a value back, as its metric was reported.
pub(super) fn as_reported(value: f64, spec: &StudySpec) -> f64 {
    spec.objective.goal.to_minimize(value) + 0.0
}

pub(super) fn explain_standing(promotions: &Promotions, standing: &Standing, spec: &StudySpec) -> String {
    let metric = &spec.objective.metric;
    let (rung, trials, kept) = (standing.rung, standing.trials, standing.kept);
    let value = as_reported(standing.value, spec);
    let needed = if standing.needed.is_finite() {
        format!("{} is needed", as_reported(standing.needed, spec))
    } else {
        "too few have come so far".to_owned()
    };
    let bracket = match promotions.brackets() {
        0 | 1 => String::new(),
        _ => format!(" of bracket {}", standing.bracket),
    };
    format!(
        "{metric} is {value} at the rung of step {rung}{bracket}; of {trials} trials there the best {kept} go on, {needed}"
    )
}

fn explain_ranking(ranking: &Ranking, spec: &StudySpec) -> String {
    let metric = &spec.objective.metric;
    let (value, needed) = (
        as_reported(ranking.value, spec),
        as_reported(ranking.needed, spec),
    );
    let (mark, trials) = (ranking.mark, ranking.trials);
    match ranking.opponent {
        Some(opponent) => {
            format!(
                "{metric} is {value} at step {mark}, where trial {opponent} had {needed}: a child of a better one takes its place"
            )
        }
        None => format!(
            "{metric} is {value} at step {mark}, where of {trials} trials those stay that have {needed} or better: a child of one of the best takes its \
             place"
        ),
    }
}
