//! Early stopping: a study's rules, judged at each report in time that does not grow with the study.
//!
//! # What a rule sees
//!
//! Of a trial and a metric, the value by step: of several reported at one step the last counts, and a new attempt that starts
//! again at a step replaces what was reported from there on. NaN and infinities are steps reached without a value: they never
//! enter a median, an average or a baseline. Everything judged is a function of these curves and of which trials have ended with
//! which value; the order in which trials reported does not matter, so that replaying the stored points rebuilds the state.
//!
//! # The rules
//!
//! A metric has the direction of the objective, unless the rules on it give its own. With values turned so that smaller is better,
//! `x(s)` a trial's value at step s, all steps being those at or before the step judged:
//!
//! * `median` and `percentile` (Golovin et al. 2017, "Google Vizier", section 3.2.2): stop if `min x` is greater than the
//!   quantile `keep / 100` of the running averages, `mean x` up to the same step, of the other trials that have reached it, running
//!   or ended in whatever way. Quantiles are interpolated linearly between neighbours. A trial that reported before and after the
//!   step counts with its average so far; from step 512 on, steps that differ by up to 3 percent count as the same, see `cells`.
//! * `threshold`: stop if a value lies outside the bounds.
//! * `curve`: stop if the probability that the trial ends better than the best that has ended is below a bound, see `outlook`.
//! * `plateau`: stop if the last improvement by more than `min_delta` is `patience` steps ago.
//! * `diverging`: stop at NaN and infinities; and if the smoothed value `m`, with `m <- (m + x) / 2`, lies above
//!   `min x + factor (max x - min x)` for `patience` reports in a row, where the reports of that row are not in the maximum and at
//!   least five are.
//! * `below_baseline`: stop if `x(s)` is greater than the baseline at s by more than `tolerance`. A trial's curve has at s the value
//!   last reported; a running trial's only once it has reached s.
//! * `asha` (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", in the form that stops trials instead of
//!   pausing them): rungs lie at the steps `min_steps reduction^k` below `max_steps`. A trial enters a rung at its first report at or
//!   after it, with `min x`; a report that enters several is judged at the highest. Stop if there are n >= reduction trials in the rung,
//!   itself, running, and ended ones included, and at least floor(n / reduction) of them are better: equals of the last that goes on go
//!   on. One without a finite value is worse than all. Trials are divided between brackets by their number, see `rungs`; those of
//!   bracket b enter no rung before the b-th, counted from 0, and are compared with each other only.
//! * `wilcoxon` (Wilcoxon 1945, "Individual Comparisons by Ranking Methods"): with b(s) the curve of the best trial that has ended, and s
//!   the steps at which both have a finite value, all of them wherever the report is: stop if there are `min_steps` of these, the sum of
//!   `x(s) - b(s)` is above 0, and the signed-rank test that the differences are not larger than 0 has a p-value below `p`.
//!
//! Reports behind the last step of their trial are taken in, but only their value itself is judged (`threshold`, NaN); `wilcoxon`, which
//! knows no order of steps, judges at them, too. A warm-up of
//! w > 0 steps covers the steps up to w; with an interval of n, the first report in each n steps is judged.
//!
//! # Cost
//!
//! A report costs O(log n) in the number n of trials per comparison step between the trial's last report and this one (mostly one);
//! one behind the trial's last step, and a new attempt, also O(k) in the number k of its points. The first report ever in a
//! comparison step that other trials have passed enters them there, once: O(n). A rung costs O(log n) once for each trial. `curve` costs O(k) and
//! some tens of microseconds, but few times in a trial: see `outlook::knot`. `wilcoxon` costs O(k log k). Memory: 13 bytes per trial and comparison step
//! that it has reached, 16 per point of a trial that has not ended; curves of ended trials only as baselines.

mod bulk;
mod cells;
mod cohort;
mod engine;
mod fold;
mod judge;
pub(crate) mod multiset;
mod outlook;
mod rungs;
mod signed_rank;
mod text;
mod track;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use engine::{Restorer, Stoppers};
