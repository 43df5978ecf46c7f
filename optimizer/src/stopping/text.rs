//! Judgements in words.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{Goal, MetricName};

/// A number for people: six digits, more only where they are needed elsewhere.
pub(super) fn show(number: f64) -> String {
    const DIGITS: i32 = 6;
    if number.is_nan() {
        return "NaN".to_owned();
    }
    let magnitude = number.abs();
    if magnitude.is_infinite() || magnitude < f64::MIN_POSITIVE {
        return (number + 0.0).to_string();
    }
    if !(1e-4..1e9).contains(&magnitude) {
        let text = format!("{number:.5e}");
        return match text.split_once('e') {
            Some((mantissa, exponent)) => format!("{}e{exponent}", trim(mantissa)),
            None => text,
        };
    }
    #[expect(clippy::cast_possible_truncation, reason = "between -4 and 9")]
    let exponent = magnitude.log10().floor() as i32;
    let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
    trim(&format!("{number:.decimals$}")).to_owned()
}

fn trim(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Two numbers that are to be told apart: all their digits if six do not do it.
pub(super) fn show_both(a: f64, b: f64) -> (String, String) {
    let (short_a, short_b) = (show(a), show(b));
    if short_a == short_b {
        (a.to_string(), b.to_string())
    } else {
        (short_a, short_b)
    }
}

/// Where worse numbers lie.
pub(super) fn worse(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "above",
        Goal::Maximize => "below",
    }
}

/// Worse than a share of the other trials.
pub(super) fn percentile(
    metric: &MetricName,
    goal: Goal,
    keep: f64,
    (value, reference): (f64, f64),
    step: i64,
    trials: usize,
) -> String {
    let (value, reference) = show_both(value, reference);
    let worse = worse(goal);
    let of = format!("of the running averages of {trials} other trials at that step");
    if is_median(keep) {
        return format!(
            "best {metric} so far {value} at step {step} is {worse} {reference}, the median {of}"
        );
    }
    format!(
        "best {metric} so far {value} at step {step} is {worse} {reference}, where the best {} % {of} begin",
        show(keep)
    )
}

/// Whether half of the trials are kept.
pub(super) fn is_median(keep: f64) -> bool {
    (keep - 50.0).abs() < f64::EPSILON
}

/// Not among the best of a rung.
pub(super) fn halving(
    metric: &MetricName,
    (value, needed): (f64, f64),
    step: i64,
    kept: usize,
    trials: usize,
    rung: i64,
) -> String {
    let (short, needed_text) = show_both(value, needed);
    let so_far = if value.is_nan() {
        format!("{metric} has no finite value up to step {step}: it")
    } else {
        format!("best {metric} so far {short} at step {step}")
    };
    let best = if kept == 1 {
        "the best".to_owned()
    } else {
        format!("among the best {kept}")
    };
    let needed = if needed.is_nan() {
        String::new()
    } else {
        format!(" ({needed_text} needed)")
    };
    format!("{so_far} is not {best} of {trials} trials at the rung of step {rung}{needed}")
}

/// Worse than the best trial at the same steps.
pub(super) fn pairwise(
    metric: &MetricName,
    goal: Goal,
    (value, reference): (f64, f64),
    best: TrialNumber,
    steps: usize,
    (found, p): (f64, f64),
) -> String {
    let (value, reference) = show_both(value, reference);
    let (found, p) = show_both(found, p);
    let worse = worse(goal);
    format!(
        "{metric} over {steps} steps is {value} on average, {worse} {reference} of the best trial so far, {best}, at the same steps; p-value {found}, below {p}"
    )
}

/// Outside bounds.
pub(super) fn threshold(metric: &MetricName, side: &str, value: f64, bound: f64, step: i64) -> String {
    let (value, bound) = show_both(value, bound);
    format!("{metric} {value} at step {step} is {side} the threshold {bound}")
}

/// No improvement.
pub(super) fn plateau(metric: &MetricName, best: f64, min_delta: f64, since: i64, step: i64) -> String {
    let by = if min_delta > 0.0 {
        format!(" by more than {}", show(min_delta))
    } else {
        String::new()
    };
    let steps = step.saturating_sub(since);
    format!(
        "{metric} has not improved{by} on {} of step {since} for {steps} steps, up to step {step}",
        show(best)
    )
}

/// Not a finite number.
pub(super) fn not_finite(metric: &MetricName, value: f64, step: i64) -> String {
    format!("{metric} is {} at step {step}", show(value))
}

/// Climbing away from its best.
pub(super) fn climbing(
    metric: &MetricName,
    goal: Goal,
    (value, reference): (f64, f64),
    (best, factor, range): (f64, f64, f64),
    step: i64,
    reports: u32,
) -> String {
    let (value, reference) = show_both(value, reference);
    let (best, factor, range) = (show(best), show(factor), show(range));
    let worse = worse(goal);
    let row = if reports == 1 {
        "1 report".to_owned()
    } else {
        format!("{reports} reports in a row")
    };
    format!(
        "{metric}, smoothed, is {value} at step {step}: for {row} {worse} {reference}, {factor} times its range of {range} from its best {best}"
    )
}

/// Unlikely to end better than the best.
pub(super) fn outlook(
    metric: &MetricName,
    goal: Goal,
    (expected, best): (f64, f64),
    trial: TrialNumber,
    probability: f64,
    step: i64,
    trials: usize,
) -> String {
    let beyond = match goal {
        Goal::Minimize => "below",
        Goal::Maximize => "above",
    };
    let (expected, best) = show_both(expected, best);
    let percent = show((probability * 1e4).round() / 100.0);
    format!(
        "{metric} at step {step} is expected to end at {expected}, and {beyond} {best}, which trial {trial} had, with a probability of {percent} percent: \
         {trials} other trials and formulas of learning curves say so"
    )
}

/// Under a baseline.
pub(super) fn baseline(
    metric: &MetricName,
    goal: Goal,
    (value, reference): (f64, f64),
    name: &str,
    tolerance: f64,
    step: i64,
) -> String {
    let worse = worse(goal);
    let distance = show((value - reference).abs());
    let (value, reference) = show_both(value, reference);
    let tolerated = if tolerance > 0.0 {
        format!(", by {distance} where {} is tolerated", show(tolerance))
    } else {
        String::new()
    };
    format!("{metric} {value} at step {step} is {worse} {reference}, {name}{tolerated}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_but_told_apart() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.5, "0.5"),
            (100.0, "100"),
            (1.0 / 3.0, "0.333333"),
            (123_456.789, "123457"),
            (0.000_123_456_789, "0.000123457"),
            (-2.5e-7, "-2.5e-7"),
            (1e12, "1e12"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, text) in cases {
            assert_eq!(show(number), text);
        }
        assert_eq!(
            show_both(0.5, 0.500_000_1),
            ("0.5".to_owned(), "0.5000001".to_owned())
        );
    }
}
