//! One parameter's values: their order, their place in [0, 1), and which given values are among them.
//!
//! Made from a checked [`Domain`] only.

use std::collections::HashMap;

use crate::params::ParamValue;

use super::curve::{Curve, IntCurve};
use super::error::show;
use super::numbers::{BELOW_ONE, LARGEST_INT, centre, float, level_at, same, signed, whole};
use super::types::{Dimension, Domain, Scale};

/// How the values of one parameter are laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Coding {
    /// Any number of a range.
    Curve(Curve),
    /// Numbers in equal steps.
    Steps(Steps),
    /// Whole numbers in equal steps.
    Ints { low: i64, step: i64, count: u64 },
    /// Whole numbers on a logarithmic scale or its mirror image.
    IntCurve(IntCurve),
    /// `2^first`, `2^(first + 1)`, ...
    Powers { first: u32, count: u32 },
    /// A list; also that of a boolean.
    Choices(Choices),
    /// One value.
    Constant(ParamValue),
}

/// A list of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choices {
    values: Vec<ParamValue>,
    ordered: bool,
    places: HashMap<Key, u64>,
}

/// A value by what it means: `1` and `1.0` are one, `1` and `"1"` are two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bool(bool),
    Number(u64),
    Text(String),
}

impl Key {
    pub(super) fn of(value: &ParamValue) -> Self {
        match value {
            ParamValue::Bool(value) => Self::Bool(*value),
            ParamValue::Int(value) => Self::Number((*value as f64 + 0.0).to_bits()),
            ParamValue::Float(value) => Self::Number((*value + 0.0).to_bits()),
            ParamValue::Text(value) => Self::Text(value.clone()),
        }
    }
}

impl Choices {
    fn new(values: &[ParamValue], ordered: bool) -> Self {
        let places = values
            .iter()
            .zip(0..)
            .map(|(value, place)| (Key::of(value), place))
            .collect();
        Self {
            values: values.to_vec(),
            ordered,
            places,
        }
    }
}

/// Numbers `low + k * step` for `k` in `0..count`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    low: f64,
    high: f64,
    step: f64,
    count: u64,
    /// Power of ten of which `low` and `step` are whole multiples, if that is small enough to compute with exactly.
    shift: Option<f64>,
}

/// Most decimals for which stepped values are rounded to the decimal number that is meant.
const MOST_DECIMALS: i32 = 15;

impl Steps {
    /// `low <= high`, `step` between 0 and the range.
    pub(super) fn new(low: f64, high: f64, step: f64) -> Self {
        let ratio = (high - low) / step;
        // 0.3 / 0.1 is a little less than 3, and 0.3 is meant to be reached.
        let last = if (ratio - ratio.round()).abs() < 1e-6 {
            ratio.round()
        } else {
            ratio.floor()
        };
        let decimals = decimals(low).max(decimals(step));
        let shift = 10f64.powi(decimals);
        let exact = decimals <= MOST_DECIMALS && low.abs().max(high.abs()) * shift < float(1 << 50);
        let count = u64::try_from(whole(last)).unwrap_or(0).saturating_add(1);
        Self {
            low,
            high,
            step,
            count,
            shift: exact.then_some(shift),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The value as it is written in decimals: `0.3`, where the plain sum is `0.30000000000000004`.
    fn at(&self, index: u64) -> f64 {
        let sum = self.low + float(index) * self.step;
        let value = match self.shift {
            Some(shift) => (sum * shift).round() / shift,
            None => sum,
        };
        value.clamp(self.low, self.high) + 0.0
    }

    /// The step at which a value lies, within a billionth of a step.
    fn index(&self, value: f64) -> Option<u64> {
        let ratio = ((value - self.low) / self.step).round();
        let index = u64::try_from(whole(ratio))
            .ok()
            .filter(|index| *index < self.count)?;
        ((self.at(index) - value).abs() <= 1e-9 * self.step).then_some(index)
    }
}

/// Digits after the point in the shortest text of a number.
fn decimals(number: f64) -> i32 {
    let text = number.to_string();
    text.split_once('.').map_or(0, |(_, fraction)| {
        i32::try_from(fraction.len()).unwrap_or(i32::MAX)
    })
}

impl Coding {
    /// `domain` has passed the checks of a space.
    pub(super) fn new(domain: &Domain) -> Self {
        match domain {
            Domain::Float {
                low,
                high,
                step: Some(step),
                ..
            } => Self::Steps(Steps::new(*low, *high, *step)),
            Domain::Float {
                low,
                high,
                scale,
                step: None,
            } => Self::Curve(Curve::new(*low, *high, *scale)),
            Domain::Int {
                low,
                high,
                scale,
                step,
            } => match scale {
                Scale::Linear => {
                    let count = high.abs_diff(*low) / step.unsigned_abs().max(1) + 1;
                    Self::Ints {
                        low: *low,
                        step: *step,
                        count,
                    }
                }
                Scale::Log2 => {
                    let first = low.trailing_zeros();
                    Self::Powers {
                        first,
                        count: high.trailing_zeros() - first + 1,
                    }
                }
                Scale::Log => Self::IntCurve(IntCurve::new(*low, *high, false)),
                Scale::ReverseLog => Self::IntCurve(IntCurve::new(*low, *high, true)),
            },
            Domain::Categorical { choices } => Self::Choices(Choices::new(choices, false)),
            Domain::Ordinal { choices } => Self::Choices(Choices::new(choices, true)),
            Domain::Boolean => Self::Choices(Choices::new(
                &[ParamValue::Bool(false), ParamValue::Bool(true)],
                false,
            )),
            Domain::Constant(value) => Self::Constant(value.clone()),
        }
    }

    /// How a strategy should look at it.
    pub(super) fn dimension(&self) -> Dimension {
        match (self.levels(), self) {
            (Some(count), Self::Choices(Choices { ordered: false, .. })) => Dimension::Categorical(count),
            (Some(count), _) => Dimension::Levels(count),
            (None, _) => Dimension::Continuous,
        }
    }

    /// Number of levels, if its values are levels.
    fn levels(&self) -> Option<u64> {
        match self {
            Self::Curve(_) | Self::IntCurve(_) => None,
            Self::Steps(steps) => Some(steps.count()),
            Self::Ints { count, .. } => Some(*count),
            Self::Powers { count, .. } => Some(u64::from(*count)),
            Self::Choices(choices) => Some(choices.values.len() as u64),
            Self::Constant(_) => Some(1),
        }
    }

    /// The value at a level; the last one for a level beyond.
    fn level(&self, index: u64) -> ParamValue {
        match self {
            Self::Curve(curve) => ParamValue::Float(curve.at(0.0)),
            Self::IntCurve(curve) => ParamValue::Int(curve.at(0.0)),
            Self::Steps(steps) => ParamValue::Float(steps.at(index)),
            Self::Ints { low, step, .. } => ParamValue::Int(low + signed(index) * step),
            Self::Powers { first, .. } => ParamValue::Int(1 << (u64::from(*first) + index)),
            Self::Choices(Choices { values, .. }) => {
                values[usize::try_from(index).unwrap_or(usize::MAX).min(values.len() - 1)].clone()
            }
            Self::Constant(value) => value.clone(),
        }
    }

    /// The level of a value, if its values are levels and it is among them.
    fn level_of(&self, value: &ParamValue) -> Option<u64> {
        match (self, value) {
            (Self::Steps(steps), _) => number(value).and_then(|number| steps.index(number)),
            (Self::Ints { low, step, count }, ParamValue::Int(value)) => {
                let distance = u64::try_from(value.checked_sub(*low)?).ok()?;
                let step = step.unsigned_abs();
                (distance % step == 0 && distance / step < *count).then(|| distance / step)
            }
            (Self::Powers { first, count }, ParamValue::Int(value)) => {
                let exponent = value.trailing_zeros();
                let fits =
                    value.count_ones() == 1 && *value > 0 && exponent >= *first && exponent - first < *count;
                fits.then(|| u64::from(exponent - first))
            }
            (Self::Choices(choices), _) => choices.places.get(&Key::of(value)).copied(),
            (Self::Constant(constant), _) => (Key::of(constant) == Key::of(value)).then_some(0),
            (Self::Curve(_) | Self::IntCurve(_) | Self::Ints { .. } | Self::Powers { .. }, _) => None,
        }
    }

    /// The value at a position.
    pub(super) fn decode(&self, position: f64) -> ParamValue {
        match self {
            Self::Curve(curve) => ParamValue::Float(curve.at(position)),
            Self::IntCurve(curve) => ParamValue::Int(curve.at(position)),
            _ => self.level(level_at(position, self.levels().unwrap_or(1))),
        }
    }

    /// The position of a value that [`Self::accept`] returned.
    pub(super) fn encode(&self, value: &ParamValue) -> f64 {
        match (self, value) {
            (Self::Curve(curve), _) => curve.position(number(value).unwrap_or(0.0)),
            (Self::IntCurve(curve), ParamValue::Int(value)) => curve.position(*value),
            _ => centre(self.level_of(value).unwrap_or(0), self.levels().unwrap_or(1)),
        }
    }

    /// The position of the number at `position` times `factor`, as near to that as there is one; of the mirror image on a scale that is one. None if
    /// the values are no numbers.
    ///
    /// A number that this would leave where it is moves to the next one if there are levels, else by that share of half of the range.
    pub(super) fn scaled(&self, position: f64, factor: f64) -> Option<f64> {
        let (ParamValue::Int(_) | ParamValue::Float(_)) = self.decode(position) else {
            return None;
        };
        let low = number(&self.decode(0.0))?;
        let high = number(&self.decode(BELOW_ONE))?;
        let at = number(&self.decode(position))?;
        let wanted = match self {
            Self::Choices(_) | Self::Constant(_) => return None,
            Self::Curve(curve) if curve.is_mirrored() => low + high - factor * (low + high - at),
            Self::IntCurve(curve) if curve.is_mirrored() => low + high - factor * (low + high - at),
            _ => factor * at,
        };
        let wanted = wanted.clamp(low, high);
        let level = |index: f64, count: u64| {
            let moved = index.round().clamp(0.0, float(count - 1));
            let before = float(level_at(position, count));
            let moved = if same(moved, before) {
                (before + (factor - 1.0).signum()).clamp(0.0, float(count - 1))
            } else {
                moved
            };
            centre(u64::try_from(whole(moved)).unwrap_or(0), count)
        };
        Some(match self {
            Self::Steps(steps) => level((wanted - low) / steps.step, steps.count()),
            Self::Ints { step, count, .. } => level((wanted - low) / *step as f64, *count),
            Self::Powers { first, count } => level(wanted.log2() - f64::from(*first), u64::from(*count)),
            Self::IntCurve(curve) if same(wanted.round(), at) => {
                curve.position(whole((at + (factor - 1.0).signum()).clamp(low, high)))
            }
            Self::IntCurve(curve) => curve.position(whole(wanted.round())),
            Self::Curve(_) if same(wanted, at) && at > low && at < high => {
                (position + (factor - 1.0) / 2.0).clamp(0.0, BELOW_ONE)
            }
            Self::Curve(curve) => curve.position(wanted),
            Self::Choices(_) | Self::Constant(_) => position,
        })
    }

    /// A given value as this parameter has it: `1` is `1.0` for a float, `32.0` is `32` for an int.
    ///
    /// `domain` is the one this was made from. The error says why the value is refused, and what is allowed.
    pub(super) fn accept(&self, domain: &Domain, value: &ParamValue) -> Result<ParamValue, String> {
        let refuse = |why: &str| Err(format!("{} {why}; give {}", show(value), describe(domain)));
        match domain {
            Domain::Float { low, high, .. } => {
                let Some(number) = number(value) else {
                    return refuse("is not a number");
                };
                if !number.is_finite() {
                    return refuse("is not finite");
                }
                if number < *low {
                    return refuse("is too small");
                }
                if number > *high {
                    return refuse("is too large");
                }
                match self {
                    Self::Steps(steps) => match steps.index(number) {
                        Some(index) => Ok(ParamValue::Float(steps.at(index))),
                        None => refuse("is not on a step"),
                    },
                    _ => Ok(ParamValue::Float(number + 0.0)),
                }
            }
            Domain::Int { low, high, .. } => {
                let Some(number) = whole_number(value) else {
                    return refuse("is not a whole number");
                };
                if number < *low {
                    return refuse("is too small");
                }
                if number > *high {
                    return refuse("is too large");
                }
                let value = ParamValue::Int(number);
                match self {
                    Self::IntCurve(_) => Ok(value),
                    _ if self.level_of(&value).is_some() => Ok(value),
                    Self::Powers { .. } => refuse("is not a power of two"),
                    _ => refuse("is not on a step"),
                }
            }
            Domain::Categorical { .. } | Domain::Ordinal { .. } | Domain::Boolean | Domain::Constant(_) => {
                match self.level_of(value) {
                    Some(index) => Ok(self.level(index)),
                    None => refuse("is not possible"),
                }
            }
        }
    }

    /// Values that the grid takes: all of them, or `points` of a range without a step (an integer of step 1 counts as such).
    pub(super) fn grid_len(&self, points: u32) -> u64 {
        let points = u64::from(points.max(1));
        match self {
            Self::Curve(_) => points,
            Self::IntCurve(curve) => curve.count().min(points),
            Self::Ints { step: 1, count, .. } => points.min(*count),
            _ => self.levels().unwrap_or(1),
        }
    }

    /// Value `index` of the grid, in order.
    pub(super) fn grid_value(&self, index: u64, points: u32) -> ParamValue {
        let taken = self.grid_len(points);
        match self {
            Self::Curve(curve) => ParamValue::Float(curve.grid(index, taken)),
            Self::IntCurve(curve) => ParamValue::Int(curve.grid(index, taken)),
            Self::Ints { count, .. } if taken < *count => self.level(spread(index, taken, *count)),
            _ => self.level(index),
        }
    }

    /// Place of a value of the domain among those of the grid, if it is one of them.
    pub(super) fn grid_position(&self, value: &ParamValue, points: u32) -> Option<u64> {
        if let Self::Choices(_) | Self::Constant(_) = self {
            return self.level_of(value);
        }
        let target = number(value)?;
        let (mut start, mut end) = (0, self.grid_len(points));
        while start < end {
            let middle = start + (end - start) / 2;
            let found = number(&self.grid_value(middle, points))?;
            if same(found, target) {
                return Some(middle);
            }
            if found < target {
                start = middle + 1
            } else {
                end = middle
            }
        }
        None
    }
}

/// Index, among `count`, of the `index`-th of `taken` spread evenly, both ends included.
fn spread(index: u64, taken: u64, count: u64) -> u64 {
    if taken <= 1 {
        return (count - 1) / 2;
    }
    let (gaps, span) = (u128::from(taken - 1), u128::from(count - 1));
    u64::try_from((u128::from(index) * span + gaps / 2) / gaps)
        .unwrap_or(count - 1)
        .min(count - 1)
}

/// A number given as one.
fn number(value: &ParamValue) -> Option<f64> {
    match value {
        ParamValue::Int(value) => Some(*value as f64),
        ParamValue::Float(value) => Some(*value),
        ParamValue::Bool(_) | ParamValue::Text(_) => None,
    }
}

/// A whole number, also if it is written as `32.0`.
fn whole_number(value: &ParamValue) -> Option<i64> {
    match value {
        ParamValue::Int(value) => Some(*value),
        ParamValue::Float(value) if same(value.fract(), 0.0) && value.abs() <= LARGEST_INT as f64 => {
            Some(whole(*value))
        }
        ParamValue::Float(_) | ParamValue::Bool(_) | ParamValue::Text(_) => None,
    }
}

/// What a parameter allows, for error messages.
pub(super) fn describe(domain: &Domain) -> String {
    match domain {
        Domain::Float { low, high, step, .. } => {
            let range = format!(
                "a number from {} to {}",
                ParamValue::Float(*low),
                ParamValue::Float(*high)
            );
            match step {
                Some(step) => format!("{range} in steps of {}", ParamValue::Float(*step)),
                None => range,
            }
        }
        Domain::Int {
            low,
            high,
            scale: Scale::Log2,
            ..
        } => format!("a power of two from {low} to {high}"),
        Domain::Int {
            low, high, step: 1, ..
        } => format!("a whole number from {low} to {high}"),
        Domain::Int { low, high, step, .. } => {
            format!("a whole number from {low} to {high} in steps of {step}")
        }
        Domain::Categorical { choices } | Domain::Ordinal { choices } => list(choices),
        Domain::Boolean => "true or false".to_owned(),
        Domain::Constant(value) => show(value),
    }
}

/// `one of "sgd", "adam"`; long lists are cut.
pub(super) fn list(values: &[ParamValue]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<String> = values.iter().take(SHOWN).map(show).collect();
    if values.len() > SHOWN {
        text.push(format!("... ({} in all)", values.len()));
    }
    let text = text.join(", ");
    if values.len() == 1 {
        text
    } else {
        format!("one of {text}")
    }
}
