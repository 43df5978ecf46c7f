//! The part of a space around some of its points.

use crate::params::ParamValue;

use super::numbers::{float, level_at, whole};
use super::{Dimension, Domain, Scale, Space};

/// What is left of a parameter's values.
#[derive(Clone, Debug, PartialEq)]
pub enum Narrowing {
    /// Those between two bounds, both included; a bound that is left out stays.
    Range {
        /// Smallest value.
        low: Option<ParamValue>,
        /// Largest value.
        high: Option<ParamValue>,
    },
    /// These.
    Choices(Vec<ParamValue>),
}

impl Space {
    /// The smallest box around some points of the encoded space, made wider on each side by `margin`, a share of the parameter's range from 0
    /// to 1 and of levels whole ones. Categories are those that occur. One entry for each parameter; none where it keeps all its
    /// values, and where no point has it.
    ///
    /// Bounds of floats are rounded outwards to numbers that people can read.
    #[must_use]
    pub fn around(&self, points: &[&[f64]], margin: f64) -> Vec<Option<Narrowing>> {
        let of = |index: usize| points.iter().filter_map(move |point| point.get(index).copied());
        (0..self.parameters().len())
            .map(|index| {
                let places: Vec<f64> = of(index).filter(|x| !x.is_nan()).collect();
                let low = places.iter().copied().reduce(f64::min)?;
                let high = places.iter().copied().reduce(f64::max)?;
                match self.dimensions()[index] {
                    Dimension::Categorical(count) => self.occurring(index, &places, count),
                    Dimension::Levels(count) => self.levels_around(index, low, high, count, margin),
                    Dimension::Continuous => self.range_around(index, low - margin, high + margin),
                }
            })
            .collect()
    }

    fn occurring(&self, index: usize, places: &[f64], count: u64) -> Option<Narrowing> {
        let mut levels: Vec<u64> = places.iter().map(|x| level_at(*x, count)).collect();
        levels.sort_unstable();
        levels.dedup();
        let value = |level: u64| self.coding(index).decode(centre_of(level, count));
        ((levels.len() as u64) < count).then(|| Narrowing::Choices(levels.into_iter().map(value).collect()))
    }

    fn levels_around(&self, index: usize, low: f64, high: f64, count: u64, margin: f64) -> Option<Narrowing> {
        // A level more on each side at least, if there is a margin at all.
        let more = u64::try_from(whole((margin * float(count)).ceil())).unwrap_or(count);
        let first = level_at(low, count).saturating_sub(more);
        let last = level_at(high, count).saturating_add(more).min(count - 1);
        if first == 0 && last + 1 == count {
            return None;
        }
        let value = |level: u64| self.coding(index).decode(centre_of(level, count));
        Some(match self.parameters()[index].domain {
            Domain::Ordinal { .. } => Narrowing::Choices((first..=last).map(value).collect()),
            _ => Narrowing::Range {
                low: Some(value(first)),
                high: Some(value(last)),
            },
        })
    }

    fn range_around(&self, index: usize, low: f64, high: f64) -> Option<Narrowing> {
        if low <= 0.0 && high >= 1.0 {
            return None;
        }
        let scale = match self.parameters()[index].domain {
            Domain::Float { scale, .. } | Domain::Int { scale, .. } => scale,
            _ => Scale::Linear,
        };
        let bound = |x: f64| self.coding(index).decode(x);
        let (mut first, mut last) = (bound(low), bound(high));
        if let (ParamValue::Float(a), ParamValue::Float(b)) = (&mut first, &mut last)
            && scale != Scale::ReverseLog
        {
            let width = *b - *a;
            let least = |x: f64| if scale == Scale::Log { x.abs() } else { width };
            *a = rounded(*a, least(*a), f64::floor);
            *b = rounded(*b, least(*b), f64::ceil);
            if let (ParamValue::Float(low), ParamValue::Float(high)) = (bound(0.0), bound(1.0)) {
                (*a, *b) = (a.max(low), b.min(high));
            }
        }
        // The ends of the whole range stay what they are.
        Some(Narrowing::Range {
            low: (low > 0.0).then_some(first),
            high: (high < 1.0).then_some(last),
        })
    }
}

/// The middle of a level.
fn centre_of(level: u64, count: u64) -> f64 {
    (float(level) + 0.5) / float(count)
}

/// A number rounded to a hundredth of the power of ten that `size` has, or a finer one; itself where that is no number.
fn rounded(x: f64, size: f64, round: impl Fn(f64) -> f64) -> f64 {
    let digits = 2.0 - size.log10().floor();
    if !(-300.0..=300.0).contains(&digits) {
        return x;
    }
    // By way of its text, which is the decimal number that is meant.
    let steps = round(x * 10_f64.powf(digits));
    format!("{steps}e{}", -digits)
        .parse()
        .ok()
        .filter(|rounded: &f64| rounded.is_finite())
        .unwrap_or(x)
}
