//! Makes the judgements of a study again, those of its rules and those of its schedule, and compares them with what is stored.

use std::collections::{BTreeMap, HashMap, HashSet};

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::study::StudySpec;
use tunesmith_common::trial::TrialState;
use tunesmith_optimizer::Stoppers;

use super::{Backtest, Event, What};
use crate::decide::course::Course;
use crate::decide::judgement::SCHEDULE_INDEX;
use crate::decide::values::Values;
use crate::store::{DecisionRow, End};

/// What came of making the judgements of a study again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Judgements that are the same.
    pub same: u64,
    /// Those that are not: the trial, what is stored, and what is judged now.
    pub different: Vec<(TrialNumber, Option<DecisionRow>, Option<DecisionRow>)>,
}

impl Backtest {
    /// Of a study with its own rules, shadows included, whose judgements are made again.
    #[must_use]
    pub fn of_its_own(spec: StudySpec) -> Self {
        let rules = spec.early_stopping.clone();
        let mut own = Self::new(spec);
        own.spec.early_stopping = rules;
        own
    }

    /// Makes all judgements again and compares them with those that are stored. As long as nobody has stopped a trial, each rule judges it once. Of a
    /// schedule, whoever is not among the best is judged; what is stored of that is compared.
    #[must_use]
    pub fn judge_again(mut self, stored: Vec<DecisionRow>) -> Judged {
        self.in_order();
        let (of_schedule, of_rules): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .partition(|row| row.decision.rule_index == SCHEDULE_INDEX);
        let mut judged = Judged::default();
        self.compare_rules(&mut judged, of_rules);
        self.compare_schedule(&mut judged, of_schedule);
        judged.different.sort_by_key(|(trial, ..)| *trial);
        judged
    }

    fn compare_rules(&self, judged: &mut Judged, stored: Vec<DecisionRow>) {
        let rules = self.spec.early_stopping.len();
        let is_rule =
            |row: &DecisionRow| usize::try_from(row.decision.rule_index).is_ok_and(|index| index < rules);
        let mut again = self.rules_again();
        for row in stored.into_iter().filter(is_rule) {
            match again.remove(&(row.trial, row.decision.rule_index)) {
                Some(found) if is_same(&found.decision, &row.decision) => judged.same += 1,
                found => judged.different.push((row.trial, Some(row), found)),
            }
        }
        // Whom a person, a limit or a schedule stopped was not judged any more.
        let states: HashMap<TrialNumber, &TrialState> = self
            .trials
            .iter()
            .map(|known| (known.number, &known.state))
            .collect();
        let was_judged = |row: &DecisionRow| match states.get(&row.trial) {
            None | Some(TrialState::Cancelled(_) | TrialState::TimedOut(_)) => false,
            Some(TrialState::EarlyStopped(_)) => row.decision.shadow,
            Some(_) => true,
        };
        let more = again.into_values().filter(was_judged);
        judged
            .different
            .extend(more.map(|row| (row.trial, None, Some(row))));
    }

    /// The first judgement of each rule about each trial.
    fn rules_again(&self) -> BTreeMap<(TrialNumber, u32), DecisionRow> {
        let mut stoppers = Stoppers::new(&self.spec.early_stopping, &self.spec.objective);
        let mut is_stopped = vec![false; self.trials.len()];
        let mut again = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            if let What::WentOn(_) = event.what {
                let next = self.events.get(place + 1);
                // Of several that went on at once all are known with the last.
                if !next.is_some_and(|next| next.at == event.at && matches!(next.what, What::WentOn(_))) {
                    stoppers = self.as_if_never_ended(&self.events[..=place]);
                }
                continue;
            }
            let trial = self.trials[event.trial].number;
            let decisions = self.tell(&mut stoppers, event);
            let What::Point { attempt, .. } = event.what else {
                continue;
            };
            for decision in decisions {
                if is_stopped[event.trial] {
                    continue;
                }
                is_stopped[event.trial] = !decision.shadow;
                let key = (trial, decision.rule_index);
                let row = DecisionRow {
                    trial,
                    attempt,
                    decision,
                    at: event.at,
                };
                again.entry(key).or_insert(row);
            }
        }
        again
    }

    /// What rules know after these events: a study is loaded anew where trials go on whose time was up.
    fn as_if_never_ended(&self, events: &[Event]) -> Stoppers {
        let went_on = |event: &Event| match event.what {
            What::WentOn(end) => Some((event.trial, end)),
            _ => None,
        };
        let undone: HashSet<(usize, usize)> = events.iter().filter_map(went_on).collect();
        let mut stoppers = Stoppers::new(&self.spec.early_stopping, &self.spec.objective);
        for event in events {
            if !matches!(event.what, What::EarlierEnd(end) if undone.contains(&(event.trial, end))) {
                self.tell(&mut stoppers, event);
            }
        }
        stoppers
    }

    /// Lets rules know what happened. Returns their judgements.
    fn tell(&self, stoppers: &mut Stoppers, event: &Event) -> Vec<StopDecision> {
        let known = &self.trials[event.trial];
        let (end, values) = match event.what {
            What::Point {
                metric,
                step,
                value,
                begins,
                ..
            } => {
                let name = &self.metrics[metric];
                if begins {
                    stoppers.metric_restarted(known.number, name, step);
                }
                return stoppers.report(known.number, name, step, value);
            }
            What::End(end) => (end, known.values.clone()),
            What::EarlierEnd(end) => {
                let end = &known.stages.earlier_ends[end];
                let values = Values {
                    first: end.value,
                    more: end.more_values.clone(),
                };
                (End::TimedOut, values)
            }
            What::WentOn(_) => return Vec::new(),
        };
        stoppers.trial_ended(known.number, self.ranking(known.number, end, values));
        Vec::new()
    }

    /// Each judgement has seen what trials had come to up to its time.
    fn compare_schedule(&self, judged: &mut Judged, mut stored: Vec<DecisionRow>) {
        let Some(mut course) = Course::of(&self.spec) else {
            return;
        };
        let goal = self.spec.objective.goal;
        let mut results = Vec::new();
        for known in &self.trials {
            if let Course::Population(members) = &mut course {
                let parent = known.stages.parent.as_ref();
                let begun = parent.map(|parent| (parent.step, goal.to_minimize(parent.value)));
                members.contest.enter(known.number, &[], begun);
            }
            let of_trial = known.stages.rungs.iter();
            results.extend(of_trial.map(|result| (known.number, result)));
        }
        results.sort_by_key(|(_, result)| result.at);
        stored.sort_by_key(|row| row.at);
        let mut results = results.into_iter().peekable();
        for row in stored {
            while let Some((trial, result)) = results.next_if(|(_, result)| result.at <= row.at) {
                course.reach(trial, result.rung, goal.to_minimize(result.value));
            }
            match course.judgement(row.trial, &self.spec) {
                Some(found) if is_same(&found, &row.decision) => judged.same += 1,
                found => {
                    let found = found.map(|decision| DecisionRow {
                        decision,
                        ..row.clone()
                    });
                    judged.different.push((row.trial, Some(row), found));
                }
            }
        }
    }
}

/// Whether two judgements are the same, numbers bit for bit: what is no number is the same as itself.
fn is_same(a: &StopDecision, b: &StopDecision) -> bool {
    let numbers = |decision: &StopDecision| [decision.value, decision.reference].map(f64::to_bits);
    let others = |decision: &StopDecision| StopDecision {
        value: 0.0,
        reference: 0.0,
        ..decision.clone()
    };
    numbers(a) == numbers(b) && others(a) == others(b)
}
