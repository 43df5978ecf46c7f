//! From points of the encoded space to values and back.

use crate::params::{ParamValue, Params};

use super::{Space, SpaceError};

/// Values by parameter; none where the parameter is inactive, or not given.
pub(super) type Values = Vec<Option<ParamValue>>;

impl Space {
    /// The values of the active parameters at a point of the encoded space, in order.
    ///
    /// `point` has a number in [0, 1) for each of [`Self::dimensions`]; those of inactive parameters are ignored. Other numbers
    /// are moved to the nearest end, NaN and missing numbers count as 0. Position 0 is the lowest value exactly, the last
    /// position below 1 the highest. Constraints are not looked at.
    #[must_use]
    pub fn decode(&self, point: &[f64]) -> Params {
        let values = self.values_by(|index| Some(self.coding(index).decode(at(point, index))));
        self.collect(values)
    }

    /// [`Self::decode`] with some values given: those stay, the point decides the rest.
    ///
    /// Where a given parameter needs others to have certain values, and those are not given, they are chosen among these
    /// only: with `momentum` given, `optimizer` is one that has a momentum. Values that [`Self::normalize_partial`] refuses
    /// are ignored.
    #[must_use]
    pub fn complete(&self, fixed: &Params, point: &[f64]) -> Params {
        let (given, _) = self.accept_each(fixed);
        let required = self.required(&given);
        let values = self.values_by(|index| {
            if let Some(value) = &given[index] {
                return Some(value.clone());
            }
            let position = at(point, index);
            match required[index].as_deref() {
                Some(allowed) if !allowed.is_empty() => {
                    let level = super::numbers::level_at(position, allowed.len() as u64);
                    usize::try_from(level)
                        .ok()
                        .and_then(|level| allowed.get(level))
                        .cloned()
                }
                _ => Some(self.coding(index).decode(position)),
            }
        });
        self.collect(values)
    }

    /// The point of the encoded space at which these values lie: NaN for inactive parameters, the centre of its level for a
    /// value that is one, otherwise the value's place on its scale.
    ///
    /// Decoding it gives the same values: exactly for levels, categories and whole numbers; for continuous floats within
    /// 1e-12 of the value on scale log, and within 1e-12 of the larger bound's magnitude on the others. Constraints are not looked at.
    ///
    /// # Errors
    /// The first thing that [`Self::check`] would say about the values themselves.
    pub fn encode(&self, params: &Params) -> Result<Vec<f64>, SpaceError> {
        let (values, problems) = self.resolve(params);
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        Ok(values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                value
                    .as_ref()
                    .map_or(f64::NAN, |value| self.coding(index).encode(value))
            })
            .collect())
    }

    /// Where the number of the parameter with this index lies that is `factor` times the one at `position`, as near to that as there is one. On scale
    /// `reverse_log` its distance from the other end is multiplied. A number that stays the same so is moved to the next one. None if its values are
    /// no numbers.
    #[must_use]
    pub fn scaled(&self, index: usize, position: f64, factor: f64) -> Option<f64> {
        self.coding(index).scaled(position, factor)
    }

    /// Values of all parameters in order, as `choose` gives them for those that are active.
    pub(super) fn values_by(&self, mut choose: impl FnMut(usize) -> Option<ParamValue>) -> Values {
        let mut values: Values = Vec::with_capacity(self.parameters().len());
        for index in 0..self.parameters().len() {
            let active = self.is_active(index, &values);
            values.push(if active { choose(index) } else { None });
        }
        values
    }

    /// Whether a parameter is active, given the values of those before it.
    pub(super) fn is_active(&self, index: usize, values: &[Option<ParamValue>]) -> bool {
        self.parameters()[index].conditions.iter().all(|condition| {
            values
                .get(condition.parent)
                .and_then(Option::as_ref)
                .is_some_and(|value| condition.values.contains(value))
        })
    }

    /// The values that are there, with their names.
    pub(super) fn collect(&self, values: Values) -> Params {
        let named = self.parameters().iter().zip(values);
        Params::from_distinct(
            named
                .filter_map(|(p, value)| Some((p.name.clone(), value?)))
                .collect(),
        )
    }

    /// For each parameter, the values it must have one of so that all given ones are active; none if it does not matter.
    pub(super) fn required(&self, given: &[Option<ParamValue>]) -> Vec<Option<Vec<ParamValue>>> {
        let mut required: Vec<Option<Vec<ParamValue>>> = vec![None; given.len()];
        for index in (0..given.len()).rev() {
            if given[index].is_none() && required[index].is_none() {
                continue;
            }
            for condition in &self.parameters()[index].conditions {
                match &mut required[condition.parent] {
                    Some(allowed) => allowed.retain(|value| condition.values.contains(value)),
                    none => *none = Some(condition.values.clone()),
                }
            }
        }
        required
    }
}

fn at(point: &[f64], index: usize) -> f64 {
    point.get(index).copied().unwrap_or(0.0)
}
