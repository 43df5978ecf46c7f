//! How a range of numbers is laid out on [0, 1): the continuous scales, and integers rounded from them.

use super::numbers::{BELOW_ONE, float, same, unit, whole};
use super::types::Scale;

/// A range of floating-point numbers on a scale.
///
/// * Linear: `low + u * (high - low)`.
/// * Log: `low * (high / low)^u`.
/// * Reverse log: `low + high - low * (high / low)^(1 - u)`, the mirror image of log, as in Vizier: the density grows towards
///   `high` in proportion to `1 / (low + high - x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    low: f64,
    high: f64,
    scale: Scale,
}

impl Curve {
    /// `low < high`, and both positive unless the scale is linear.
    pub(super) fn new(low: f64, high: f64, scale: Scale) -> Self {
        // A zero has no sign for people: `-0.0` would be printed as such.
        Self {
            low: low + 0.0,
            high: high + 0.0,
            scale,
        }
    }

    /// Whether its scale is the mirror image of another one.
    pub(super) fn is_mirrored(&self) -> bool {
        self.scale == Scale::ReverseLog
    }

    /// The value at a position. The first position is exactly `low`, the last one exactly `high`.
    pub(super) fn at(&self, position: f64) -> f64 {
        let u = unit(position);
        if u <= 0.0 {
            return self.low;
        }
        if u >= BELOW_ONE {
            return self.high;
        }
        let value = match self.scale {
            Scale::Linear => self.low + u * (self.high - self.low),
            Scale::Log | Scale::Log2 => (self.low.ln() + u * self.log_width()).exp(),
            Scale::ReverseLog => self.low + self.high - (self.high.ln() - u * self.log_width()).exp(),
        };
        value.clamp(self.low, self.high) + 0.0
    }

    /// The position of a value within the range.
    pub(super) fn position(&self, value: f64) -> f64 {
        if same(value, self.high) {
            return BELOW_ONE;
        }
        unit(match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log | Scale::Log2 => (value.ln() - self.low.ln()) / self.log_width(),
            Scale::ReverseLog => (self.high.ln() - (self.low + self.high - value).ln()) / self.log_width(),
        })
    }

    /// Value `index` of `points` spread evenly over the scale, both ends included; the middle if there is one only.
    pub(super) fn grid(&self, index: u64, points: u64) -> f64 {
        if points <= 1 {
            return self.at(0.5);
        }
        if index + 1 >= points {
            return self.high;
        }
        self.at(float(index) / float(points - 1))
    }

    fn log_width(&self) -> f64 {
        self.high.ln() - self.low.ln()
    }
}

/// Whole numbers on a logarithmic scale or on its mirror image.
///
/// The scale runs from `low - 0.5` to `high + 0.5` and is rounded, so that each number owns the stretch of the scale
/// that is nearest to it, and the two at the ends are not cut in half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct IntCurve {
    low: i64,
    high: i64,
    mirrored: bool,
}

impl IntCurve {
    /// `0 < low < high <= 2^44`.
    pub(super) fn new(low: i64, high: i64, mirrored: bool) -> Self {
        Self { low, high, mirrored }
    }

    /// Whether its scale is the mirror image of another one.
    pub(super) fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// The number at a position.
    pub(super) fn at(&self, position: f64) -> i64 {
        let u = unit(position);
        let u = if self.mirrored { 1.0 - u } else { u };
        let (start, width) = self.extent();
        self.mirror(whole((start + u * width).exp().round()).clamp(self.low, self.high))
    }

    /// The position of a number within the range; it lies inside the stretch that the number owns.
    pub(super) fn position(&self, value: i64) -> f64 {
        let (start, width) = self.extent();
        let u = ((self.mirror(value) as f64).ln() - start) / width;
        unit(if self.mirrored { 1.0 - u } else { u })
    }

    /// The stretch of the scale that a number owns, `[from, to)`.
    pub(super) fn stretch(&self, value: i64) -> (f64, f64) {
        let (start, width) = self.extent();
        let value = self.mirror(value) as f64;
        let edge = |value: f64| ((value.ln() - start) / width).clamp(0.0, 1.0);
        let (from, to) = (edge(value - 0.5), edge(value + 0.5));
        if self.mirrored {
            (1.0 - to, 1.0 - from)
        } else {
            (from, to)
        }
    }

    /// Numbers in the range.
    pub(super) fn count(&self) -> u64 {
        self.high.abs_diff(self.low) + 1
    }

    /// Number `index` of `points` different ones spread over the scale, both ends included; `points` is at most
    /// [`Self::count`]. Where the scale is finer than 1, the next whole number is taken instead.
    pub(super) fn grid(&self, index: u64, points: u64) -> i64 {
        if points <= 1 {
            return self.at(0.5);
        }
        let index = index.min(points - 1);
        let step = i64::try_from(if self.mirrored { points - 1 - index } else { index }).unwrap_or(i64::MAX);
        let (low, high) = (self.low as f64, self.high as f64);
        let even = whole(
            (low.ln() + step as f64 / float(points - 1) * (high.ln() - low.ln()))
                .exp()
                .round(),
        );
        self.mirror(even.max(self.low.saturating_add(step)).min(self.high))
    }

    fn mirror(&self, value: i64) -> i64 {
        if self.mirrored {
            self.low + self.high - value
        } else {
            value
        }
    }

    fn extent(&self) -> (f64, f64) {
        let start = (self.low as f64 - 0.5).ln();
        (start, (self.high as f64 + 0.5).ln() - start)
    }
}
