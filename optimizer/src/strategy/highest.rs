//! Shows a strategy that knows no fidelities only results that can be compared: those of the highest rung that enough trials have reached.
//!
//! After Falkner, Klein and Hutter 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", algorithm 2, whose models are of the
//! largest budget with enough results. What a trial had come to at a rung is its first result at or beyond the rung's step; a trial that failed
//! is one of every rung; one that has not ended and has a result there is that result, and not one of those under way. Beyond the last rung lie the trials that were trained to the end.

use std::collections::HashSet;

use tunesmith_common::TrialNumber;

use super::SearchStrategy;
use super::memory::Memory;
use super::tried::Prefix;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView};

/// Results of a rung that are enough for a model, and those beyond the number of parameters.
const LEAST_RESULTS: usize = 10;
const MORE_THAN_PARAMETERS: usize = 2;

/// A strategy that is shown one rung.
#[derive(Debug)]
pub(super) struct HighestRung {
    pub(super) then: Box<dyn SearchStrategy>,
    /// Steps of the rungs, ascending.
    pub(super) rungs: Vec<i64>,
}

/// What is kept between proposals. A fold over the history in its order, so that it is the same whether it was kept or made again.
#[derive(Debug, Default)]
struct Sorted {
    read: Prefix,
    /// By rung, and last for those trained to the end.
    levels: Vec<Level>,
    /// What the strategy was shown: which level.
    shown: Option<usize>,
    inner: Memory,
}

#[derive(Debug, Default)]
struct Level {
    seen: HashSet<TrialNumber>,
    results: Vec<FinishedTrial>,
}

impl Sorted {
    fn read(&mut self, finished: &[FinishedTrial], rungs: &[i64]) {
        if !self.read.is_of(finished) || self.levels.len() != rungs.len() + 1 {
            *self = Self::default();
            self.levels.resize_with(rungs.len() + 1, Level::default);
        }
        for trial in finished.iter().skip(self.read.length) {
            for (index, level) in self.levels.iter_mut().enumerate() {
                let reaches = match rungs.get(index) {
                    Some(rung) => trial.last_step.is_some_and(|step| step >= *rung) || !trial.partial,
                    None => !trial.partial,
                };
                if (reaches || trial.failed) && (trial.is_of_other() || level.seen.insert(trial.trial)) {
                    level.results.push(trial.clone());
                }
            }
        }
        self.read = Prefix::of(finished);
    }

    /// The highest level with so many results, or the lowest.
    fn highest(&self, least: usize) -> usize {
        let enough = |level: &Level| level.results.iter().filter(|trial| !trial.failed).count() >= least;
        self.levels.iter().rposition(enough).unwrap_or(0)
    }
}

impl SearchStrategy for HighestRung {
    fn name(&self) -> &'static str {
        self.then.name()
    }

    fn is_costly(&self) -> bool {
        self.then.is_costly()
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let sorted: &mut Sorted = memory.of();
        sorted.read(view.finished, &self.rungs);
        let least = LEAST_RESULTS.max(view.space.dimensions().len() + MORE_THAN_PARAMETERS);
        let level = sorted.highest(least);
        if sorted.shown != Some(level) {
            sorted.shown = Some(level);
            sorted.inner = Memory::default();
        }
        // One that rests, or trains beyond the rung, has a result here: it is not one of which nothing is known.
        let seen = &sorted.levels[level].seen;
        let running = view.running.iter().filter(|trial| !seen.contains(&trial.trial));
        let shown = StudyView {
            finished: &sorted.levels[level].results,
            running: &running.copied().collect::<Vec<_>>(),
            ..*view
        };
        let mut proposal = self.then.propose(&shown, count, &mut sorted.inner)?;
        let note = match self.rungs.get(level) {
            Some(rung) => format!("from what was seen at step {rung}"),
            None => "from what was trained to the end".to_owned(),
        };
        for point in &mut proposal.points {
            if point.note.is_empty() && sorted.levels[level].results.len() >= least {
                point.note.clone_from(&note);
            }
        }
        Ok(proposal)
    }

    fn at_end(&self, view: &StudyView<'_>) -> Option<StrategyError> {
        self.then.at_end(view)
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::study::{StudyFile, StudySpec};

    use super::super::view::RunningTrial;
    use super::*;

    /// A result of a trial at a step; `partial` unless it is its end.
    fn result(trial: u64, step: i64, value: f64, partial: bool) -> FinishedTrial {
        FinishedTrial {
            trial: TrialNumber(trial),
            encoded: [value].into(),
            value: Some(value),
            failed: false,
            partial,
            last_step: Some(step),
            others: Box::default(),
            violations: Box::default(),
        }
    }

    fn shown(finished: &[FinishedTrial], least: usize) -> (usize, Vec<(u64, i64)>) {
        let mut sorted = Sorted::default();
        // In pieces, as a study comes to know them.
        for end in 0..=finished.len() {
            sorted.read(&finished[..end], &[1, 3, 9]);
        }
        let level = sorted.highest(least);
        let results = sorted.levels[level].results.iter();
        (
            level,
            results
                .map(|trial| (trial.trial.0, trial.last_step.unwrap_or(0)))
                .collect(),
        )
    }

    #[test]
    fn the_highest_rung_with_enough_results_is_shown_with_what_each_trial_had_come_to_there() {
        let mut finished = vec![
            result(1, 1, 0.5, true),
            result(2, 1, 0.4, true),
            result(3, 1, 0.3, true),
            result(2, 3, 0.35, true),
            result(3, 4, 0.25, true),
            result(3, 9, 0.2, true),
        ];
        assert_eq!(shown(&finished, 3), (0, vec![(1, 1), (2, 1), (3, 1)]));
        assert_eq!(shown(&finished, 2), (1, vec![(2, 3), (3, 4)]));
        assert_eq!(
            shown(&finished, 9),
            (0, vec![(1, 1), (2, 1), (3, 1)]),
            "the lowest if there are few"
        );
        // Trained to the end without a stop at the rungs; and one that failed.
        finished.push(result(4, 27, 0.1, false));
        finished.push(FinishedTrial {
            failed: true,
            value: None,
            ..result(5, 2, 0.9, false)
        });
        assert_eq!(shown(&finished, 1), (3, vec![(4, 27), (5, 2)]));
        assert_eq!(shown(&finished, 2), (2, vec![(3, 9), (4, 27), (5, 2)]));
    }

    #[test]
    fn a_kept_memory_proposes_what_an_empty_one_does() {
        let (spec, strategy) = bohb();
        let mut finished = Vec::new();
        let mut memory = Memory::default();
        for next in 1..60_u64 {
            let x = spec_point(next);
            finished.push(result(next, 1, x, true));
            if next % 2 == 0 {
                finished.push(result(next / 2, 3, spec_point(next / 2) + 0.1, true));
            }
            if next % 4 == 0 {
                finished.push(result(next / 4, 9, spec_point(next / 4), false));
            }
            let view = StudyView {
                space: &spec.space,
                seed: 3,
                next: TrialNumber(next + 1),
                proposed: next,
                cursor: None,
                finished: &finished,
                running: &[],
            };
            let kept = strategy.propose(&view, 2, &mut memory).unwrap();
            assert_eq!(
                kept,
                strategy.propose(&view, 2, &mut Memory::default()).unwrap(),
                "{next}"
            );
        }
    }

    #[test]
    fn a_trial_that_rests_at_the_rung_that_is_shown_counts_once() {
        let (spec, strategy) = bohb();
        let finished: Vec<FinishedTrial> = (1..=20)
            .map(|trial| result(trial, 1, spec_point(trial), true))
            .collect();
        let proposed = |running: &[RunningTrial<'_>]| {
            let view = StudyView {
                space: &spec.space,
                seed: 3,
                next: TrialNumber(30),
                proposed: 29,
                cursor: None,
                finished: &finished,
                running,
            };
            strategy.propose(&view, 8, &mut Memory::default()).unwrap()
        };
        let alive = |trial: u64, encoded| RunningTrial {
            trial: TrialNumber(trial),
            encoded,
        };
        // The best ones, where it matters most whether they count as good or as bad.
        let best = finished.iter().filter(|seen| seen.encoded[0] < 0.3);
        let rest: Vec<_> = best.map(|seen| alive(seen.trial.0, &seen.encoded[..])).collect();
        let alone = proposed(&[]);
        assert_eq!(proposed(&rest), alone);
        let place = &alone.points[0].encoded[..];
        let begun: Vec<_> = (21..30).map(|trial| alive(trial, place)).collect();
        assert_ne!(proposed(&begun), alone, "nothing is known of them yet");
    }

    fn bohb() -> (StudySpec, Box<dyn SearchStrategy>) {
        let text = "objective: {metric: loss, goal: minimize}\nspace: {x: {type: float, low: 0, high: 1}}\n\
                    strategy: {name: bohb, max_steps: 9, seed: 3}\n";
        let (_, spec) = StudyFile::parse(text, "study.yaml").unwrap();
        let strategy = super::super::build(&spec);
        (spec, strategy)
    }

    fn spec_point(trial: u64) -> f64 {
        (trial as f64 * 0.618_033_988_749) % 1.0
    }
}
