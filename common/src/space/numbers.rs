//! Small conversions between positions in [0, 1), counts and values, in one place because they must not truncate.

/// Largest number below 1: the last position of a dimension.
pub(super) const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

/// Whole numbers up to here, and their negatives, are exact as floating-point numbers, in JSON and in every language.
pub(super) const LARGEST_INT: i64 = 1 << 53;

/// Levels a dimension may have. With more, a level's centre rounds into its neighbour.
pub(super) const MOST_LEVELS: u64 = 1 << 50;

/// Largest integer on a logarithmic scale. Above it, the rounding of `exp` is no longer small against 1.
pub(super) const LARGEST_LOG_INT: i64 = 1 << 44;

/// A position in [0, 1), whatever was given; NaN is 0.
pub(super) fn unit(position: f64) -> f64 {
    if position.is_nan() {
        0.0
    } else {
        position.clamp(0.0, BELOW_ONE)
    }
}

/// The level, one of `0..levels`, in which a position lies.
pub(super) fn level_at(position: f64, levels: u64) -> u64 {
    let last = levels.saturating_sub(1);
    u64::try_from(whole(unit(position) * float(levels)))
        .unwrap_or(0)
        .min(last)
}

/// Centre of a level.
pub(super) fn centre(level: u64, levels: u64) -> f64 {
    unit((float(level) + 0.5) / float(levels))
}

/// A number without its fraction; saturates, NaN is 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "this is the point: `as` drops the fraction and saturates"
)]
pub(super) fn whole(number: f64) -> i64 {
    number as i64
}

/// A count as a floating-point number; exact up to 2^53.
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// A count as a signed number; callers have at most 2^54 of anything.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether two numbers are the same; for numbers that people wrote, where there is no rounding to forgive.
#[expect(clippy::float_cmp, reason = "equality is meant")]
pub(super) fn same(a: f64, b: f64) -> bool {
    a == b
}
