//! What is known of a study that is being followed, and what of it is news. Pure: no clock, no terminal.

use std::collections::HashSet;
use std::time::Duration;

use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use crate::output::human;
use crate::view::parts;

/// Failed trials that are told one by one; more would drown the rest.
const FAILURES_TOLD: usize = 10;
/// Ended trials below which no time is estimated: the first ones say little.
const TRIALS_FOR_ESTIMATE: u64 = 3;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    study: Option<pb::Study>,
    first_revision: Option<u64>,
    failed: HashSet<u64>,
    failures_told: usize,
}

/// Where a study stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Trials ended.
    pub(crate) ended: u64,
    /// Trials there will be, if that is known.
    pub(crate) total: Option<u64>,
    /// How far it is: trials ended and running, time left.
    pub(crate) pace: String,
    /// What came of it: best value, trials stopped and failed, steps saved. May be empty.
    pub(crate) harvest: String,
    /// Why nothing runs, if nothing runs.
    pub(crate) waiting: String,
}

impl Progress {
    /// Takes in one message; returns what a person wants to know at once, a line each.
    pub(crate) fn apply(&mut self, message: pb::WatchStudyResponse) -> Vec<String> {
        let first = *self.first_revision.get_or_insert(message.revision);
        match message.event {
            Some(pb::watch_study_response::Event::Study(study)) => self.apply_study(study),
            Some(pb::watch_study_response::Event::Trial(trial)) => self
                .apply_trial(&trial, message.revision > first)
                .into_iter()
                .collect(),
            Some(pb::watch_study_response::Event::Points(_)) | None => vec![],
        }
    }

    fn apply_study(&mut self, study: pb::Study) -> Vec<String> {
        let mut news = vec![];
        let spec = study.spec.as_ref();
        if let Some(before) = &self.study {
            let old = before.best.as_ref().and_then(|best| best.value);
            if let Some((best, value)) = study.best.as_ref().and_then(|best| Some((best, best.value?)))
                && old.is_none_or(|old| old.to_bits() != value.to_bits())
            {
                let parameters = parts::parameters_line(best, &parts::parameter_names(spec));
                let value = human::short_number(value);
                news.push(format!(
                    "best so far: {} = {value}, trial {}  {parameters}",
                    parts::metric(spec),
                    best.number
                ));
            }
            let known = &before.pareto_set;
            let joined: Vec<String> = study
                .pareto_set
                .iter()
                .filter(|number| !known.contains(number))
                .map(u64::to_string)
                .collect();
            if !joined.is_empty() {
                news.push(format!(
                    "Pareto set: {} now, with {} {}",
                    human::plural(study.pareto_set.len() as u64, "trial"),
                    if joined.len() == 1 { "trial" } else { "trials" },
                    human::shorten(&joined.join(", "), 80)
                ));
            }
            if before.state() != study.state() && study.state() == pb::StudyState::Paused {
                news.push("the study is paused; running trials go on".to_owned());
            }
            if before.state() == pb::StudyState::Paused && study.state() == pb::StudyState::Active {
                news.push("the study goes on".to_owned());
            }
        }
        let known = self.study.as_ref().map_or(0, |before| before.warnings.len());
        news.extend(
            study
                .warnings
                .iter()
                .skip(known)
                .map(|warning| format!("warning: {}", human::clean(warning))),
        );
        self.study = Some(study);
        news
    }

    fn apply_trial(&mut self, trial: &pb::Trial, is_news: bool) -> Option<String> {
        if trial.state() != pb::TrialState::Failed || !self.failed.insert(trial.number) || !is_news {
            return None;
        }
        self.failures_told += 1;
        if self.failures_told > FAILURES_TOLD {
            return None;
        }
        let reason = human::shorten(&human::clean(&trial.state_reason), 200);
        let more = if self.failures_told == FAILURES_TOLD {
            " (further failures are counted, not listed)"
        } else {
            ""
        };
        Some(format!("trial {} failed: {reason}{more}", trial.number))
    }

    /// Whether the study has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let over =
            |study: &pb::Study| matches!(study.state(), pb::StudyState::Done | pb::StudyState::Archived);
        self.study.as_ref().is_some_and(over)
    }

    /// Where the study stands; none before anything is known.
    pub(crate) fn status(&self, now: Timestamp) -> Option<Status> {
        let study = self.study.as_ref()?;
        let spec = study.spec.as_ref();
        let counts = study.counts.unwrap_or_default();
        let ended = parts::ended(&counts);
        let total = spec
            .and_then(|spec| spec.budget.as_ref())
            .and_then(|budget| budget.trials);
        let running = counts.running + counts.stopping;
        let mut pace = vec![match total {
            Some(total) => format!("{}/{} trials", human::count(ended), human::count(total)),
            None => human::plural(ended, "trial"),
        }];
        if running > 0 {
            pace.push(format!("{} running", human::count(running)));
        }
        if let Some(left) = time_left(study, now) {
            pace.push(format!("about {} left", human::duration(left)));
        }
        let mut harvest = vec![];
        if let Some((best, value)) = study.best.as_ref().and_then(|best| Some((best, best.value?))) {
            harvest.push(format!(
                "best {} {} (trial {})",
                parts::metric(spec),
                human::short_number(value),
                best.number
            ));
        }
        if !study.pareto_set.is_empty() {
            harvest.push(format!(
                "{} in the Pareto set",
                human::plural(study.pareto_set.len() as u64, "trial")
            ));
        }
        for (count, word) in [
            (counts.early_stopped, "stopped early"),
            (counts.timed_out, "timed out"),
            (counts.failed, "failed"),
        ] {
            if count > 0 {
                harvest.push(format!("{} {word}", human::count(count)));
            }
        }
        if study.steps_saved > 0 {
            harvest.push(format!(
                "{} saved",
                human::plural(study.steps_saved, &parts::step_name(spec))
            ));
        }
        let waiting = if running == 0 {
            human::shorten(&human::clean(&study.pending_reason), 120)
        } else {
            String::new()
        };
        Some(Status {
            ended,
            total,
            pace: pace.join(", "),
            harvest: harvest.join(", "),
            waiting,
        })
    }
}

/// Time until the budget ends if the trials to come take as long as those that ended, in whole seconds.
fn time_left(study: &pb::Study, now: Timestamp) -> Option<Duration> {
    if study.state() != pb::StudyState::Active {
        return None;
    }
    let budget = study.spec.as_ref()?.budget.as_ref()?;
    let ended = parts::ended(&study.counts.unwrap_or_default());
    let active = parts::span(study.spending.clone().unwrap_or_default().wall_time.as_ref())
        .filter(|time| !time.is_zero())
        .or_else(|| Some(now.saturating_since(parts::at(study.created_at.as_ref())?)))?;
    let by_trials = budget
        .trials
        .filter(|_| ended >= TRIALS_FOR_ESTIMATE)
        .map(|trials| {
            let per_trial = active.div_f64(u32::try_from(ended).map_or(f64::from(u32::MAX), f64::from));
            let left = u32::try_from(trials.saturating_sub(ended)).unwrap_or(u32::MAX);
            per_trial.saturating_mul(left)
        });
    let by_time = parts::span(budget.wall_time.as_ref()).map(|limit| limit.saturating_sub(active));
    let left = match (by_trials, by_time) {
        (Some(a), Some(b)) => a.min(b),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return None,
    };
    Some(Duration::from_secs(left.as_secs().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn study_event(revision: u64, study: pb::Study) -> pb::WatchStudyResponse {
        let event = Some(pb::watch_study_response::Event::Study(study));
        pb::WatchStudyResponse {
            revision,
            committed_at: None,
            event,
        }
    }

    fn trial_event(revision: u64, trial: pb::Trial) -> pb::WatchStudyResponse {
        let event = Some(pb::watch_study_response::Event::Trial(trial));
        pb::WatchStudyResponse {
            revision,
            committed_at: None,
            event,
        }
    }

    fn failed(number: u64) -> pb::Trial {
        pb::Trial {
            state_reason: "exited with status 1".to_owned(),
            ..samples::trial(number, pb::TrialState::Failed, None)
        }
    }

    #[test]
    fn what_was_there_before_is_no_news() {
        let mut progress = Progress::default();
        assert!(
            progress
                .apply(study_event(7, samples::running_study()))
                .is_empty()
        );
        assert!(progress.apply(trial_event(7, failed(3))).is_empty());
        assert!(
            progress.apply(trial_event(9, failed(3))).is_empty(),
            "the snapshot of a second watch repeats it"
        );
        assert_eq!(
            progress.apply(trial_event(9, failed(4))),
            ["trial 4 failed: exited with status 1"]
        );
    }

    #[test]
    fn what_joins_the_pareto_set_is_told_once() {
        let mut progress = Progress::default();
        let study = |pareto_set: &[u64]| pb::Study {
            pareto_set: pareto_set.to_vec(),
            ..samples::study_of_two()
        };
        assert!(progress.apply_study(study(&[17])).is_empty(), "known before");
        assert_eq!(
            progress.apply_study(study(&[20, 17, 9])),
            ["Pareto set: 3 trials now, with trials 20, 9"]
        );
        assert_eq!(
            progress.apply_study(study(&[21])),
            ["Pareto set: 1 trial now, with trial 21"]
        );
        assert!(progress.apply_study(study(&[21])).is_empty());
        let status = progress.status(samples::NOW).unwrap();
        assert!(
            status.harvest.starts_with("1 trial in the Pareto set"),
            "{}",
            status.harvest
        );
    }

    #[test]
    fn a_new_best_is_told_once_and_failures_are_not_told_without_end() {
        let mut progress = Progress::default();
        progress.apply(study_event(1, samples::running_study()));
        let better = pb::Study {
            best: Some(samples::trial(9, pb::TrialState::Completed, Some(0.99))),
            ..samples::running_study()
        };
        let news = progress.apply(study_event(2, better.clone()));
        assert_eq!(
            news,
            ["best so far: val_acc = 0.99, trial 9  lr=0.0123 batch=64 optimizer=adam"]
        );
        assert!(progress.apply(study_event(3, better)).is_empty());
        let told = (0..50)
            .filter(|number| {
                !progress
                    .apply(trial_event(10 + number, failed(*number)))
                    .is_empty()
            })
            .count();
        assert_eq!(told, FAILURES_TOLD);
    }

    #[test]
    fn the_status_counts_what_is_saved_and_estimates_what_is_left() {
        let mut progress = Progress::default();
        assert!(progress.status(samples::NOW).is_none());
        progress.apply(study_event(1, samples::running_study()));
        let status = progress.status(samples::NOW).unwrap();
        assert_eq!(status.pace, "20/40 trials, 2 running, about 1 min 20 s left");
        assert_eq!(
            status.harvest,
            "best val_acc 0.98612 (trial 17), 7 stopped early, 1 failed, 112 epochs saved"
        );
        assert_eq!((status.ended, status.total), (20, Some(40)));
    }

    #[test]
    fn a_wall_time_budget_bounds_the_estimate() {
        let mut study = samples::running_study();
        let budget = study.spec.as_mut().unwrap().budget.as_mut().unwrap();
        budget.wall_time = Some(pbjson_types::Duration {
            seconds: 90,
            nanos: 0,
        });
        assert_eq!(time_left(&study, samples::NOW), Some(Duration::from_secs(10)));
        study.set_state(pb::StudyState::Paused);
        assert_eq!(time_left(&study, samples::NOW), None);
    }
}
