//! Checks of values that people and programs give for a space: complete points, and points of which only some values are given.

use crate::params::{ParamValue, Params};

use super::check::requirement;
use super::coding::{describe, list};
use super::error::{nearest, quote, show};
use super::points::Values;
use super::types::Domain;
use super::{Space, SpaceError};

impl Space {
    /// Whether values are a point of this space: all active parameters, no other, each with a possible value, and the constraints
    /// hold. Constants may be left out.
    ///
    /// # Errors
    /// All that is wrong; the constraints are looked at once the values themselves are right.
    pub fn check(&self, params: &Params) -> Result<(), Vec<SpaceError>> {
        self.point(params).map(|_| ())
    }

    /// The values as [`Self::decode`] would give them: in order, `1` as `1.0` where the parameter is a float and `32.0` as `32`
    /// where it is an int, values within a billionth of a step on it, constants filled in.
    ///
    /// # Errors
    /// As [`Self::check`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the values are replaced by those returned"
    )]
    pub fn normalize(&self, params: Params) -> Result<Params, Vec<SpaceError>> {
        self.point(&params).map(|values| self.collect(values))
    }

    /// [`Self::normalize`] for points of which the strategy chooses what was left out, see [`Self::complete`].
    ///
    /// # Errors
    /// All that is wrong: unknown names, impossible values, and values that cannot be active together. Constraints are
    /// looked at where all their parameters are given.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the values are replaced by those returned"
    )]
    pub fn normalize_partial(&self, params: Params) -> Result<Params, Vec<SpaceError>> {
        let (values, mut problems) = self.accept_each(&params);
        let required = self.required(&values);
        for (index, allowed) in required.iter().enumerate() {
            let Some(allowed) = allowed else { continue };
            let parent = &self.parameters()[index];
            let name = parent.name.as_str();
            match &values[index] {
                Some(value) if !allowed.contains(value) => {
                    let message = self.refuse_given(index, value, &values);
                    problems.push(SpaceError::new(name, "", message));
                }
                None if allowed.is_empty() => {
                    let message = format!(
                        "no value of {name} allows all of the given parameters; leave some of them out"
                    );
                    problems.push(SpaceError::new(name, "", message));
                }
                _ => {}
            }
        }
        if problems.is_empty() {
            self.check_constraints(&values, &mut problems);
        }
        if problems.is_empty() {
            Ok(self.collect(values))
        } else {
            Err(problems)
        }
    }

    /// Whether all constraints hold. One that mentions an inactive parameter does.
    #[must_use]
    pub fn satisfies(&self, params: &Params) -> bool {
        self.constraints()
            .iter()
            .all(|constraint| constraint.holds(params))
    }

    fn point(&self, params: &Params) -> Result<Values, Vec<SpaceError>> {
        let (values, mut problems) = self.resolve(params);
        if problems.is_empty() {
            self.check_constraints(&values, &mut problems);
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }

    /// The values by parameter, and what is wrong with them, but for the constraints.
    pub(super) fn resolve(&self, params: &Params) -> (Values, Vec<SpaceError>) {
        let (mut values, mut problems) = self.accept_each(params);
        // A parameter whose value was refused or is missing: what depends on it can be neither missing nor superfluous.
        let mut unknown: Vec<bool> = self
            .parameters()
            .iter()
            .zip(&values)
            .map(|(p, v)| v.is_none() && params.value(p.name.as_str()).is_some())
            .collect();
        for (index, parameter) in self.parameters().iter().enumerate() {
            if parameter
                .conditions
                .iter()
                .any(|condition| unknown[condition.parent])
            {
                unknown[index] = true;
            }
            if unknown[index] {
                continue;
            }
            let name = parameter.name.as_str();
            match (self.is_active(index, &values), &values[index], &parameter.domain) {
                (true, None, Domain::Constant(constant)) => values[index] = Some(constant.clone()),
                (true, None, domain) => {
                    unknown[index] = true;
                    problems.push(SpaceError::new(
                        name,
                        "",
                        format!("missing; give {}", describe(domain)),
                    ));
                }
                (false, Some(value), _) => {
                    let message = self.refuse_inactive(index, value, &values);
                    problems.push(SpaceError::new(name, "", message));
                    // What depends on it is inactive too, and is told so.
                    values[index] = None;
                }
                (true, Some(_), _) | (false, None, _) => {}
            }
        }
        (values, problems)
    }

    /// Each given value as its parameter has it, and what is wrong with those that are missing here.
    pub(super) fn accept_each(&self, params: &Params) -> (Values, Vec<SpaceError>) {
        let mut values: Values = vec![None; self.parameters().len()];
        let mut problems = Vec::new();
        for (name, value) in params.iter() {
            let name = name.as_str();
            let Some(index) = self.index_of(name) else {
                let known = self.parameters().iter().map(|p| p.name.as_str());
                let message = match nearest(name, known) {
                    Some(hint) => format!("no such parameter in the search space; did you mean {hint}?"),
                    None => "no such parameter in the search space".to_owned(),
                };
                problems.push(SpaceError::new(name, "", message));
                continue;
            };
            match self.coding(index).accept(&self.parameters()[index].domain, value) {
                Ok(value) => values[index] = Some(value),
                Err(message) => problems.push(SpaceError::new(name, "", message)),
            }
        }
        (values, problems)
    }

    /// Why a parameter that was given is inactive.
    fn refuse_inactive(&self, index: usize, value: &ParamValue, values: &[Option<ParamValue>]) -> String {
        let failed = self.parameters()[index].conditions.iter().find(|c| {
            !values[c.parent]
                .as_ref()
                .is_some_and(|value| c.values.contains(value))
        });
        let Some(condition) = failed else {
            return format!("{} is not possible here", show(value));
        };
        let parent = &self.parameters()[condition.parent];
        let rule = requirement(parent, &condition.values);
        match &values[condition.parent] {
            Some(actual) => format!(
                "only active when {rule}, but it is {}; leave it out",
                show(actual)
            ),
            None => format!(
                "only active when {rule}, but {} is not active itself; leave it out",
                parent.name
            ),
        }
    }

    /// Why a given value does not go with the other given ones.
    fn refuse_given(&self, index: usize, value: &ParamValue, values: &[Option<ParamValue>]) -> String {
        let name = &self.parameters()[index].name;
        let clash = self
            .parameters()
            .iter()
            .enumerate()
            .find_map(|(child, parameter)| {
                let given = values[child].is_some();
                let condition = parameter
                    .conditions
                    .iter()
                    .find(|c| c.parent == index && !c.values.contains(value))?;
                given.then_some((parameter, condition))
            });
        match clash {
            Some((child, condition)) => format!(
                "{name} is {}, but {}, which is given too, needs {}; leave one of them out",
                show(value),
                child.name,
                list(&condition.values)
            ),
            None => format!(
                "{name} is {}, which leaves other given parameters inactive; leave some of them out",
                show(value)
            ),
        }
    }

    fn check_constraints(&self, values: &[Option<ParamValue>], problems: &mut Vec<SpaceError>) {
        for constraint in self.constraints() {
            if constraint.holds_for(&|index| values.get(index).and_then(Option::as_ref)) {
                continue;
            }
            let named: Vec<String> = constraint
                .mentioned()
                .iter()
                .filter_map(|index| {
                    let value = values.get(*index)?.as_ref()?;
                    Some(format!("{} = {}", self.parameters()[*index].name, show(value)))
                })
                .collect();
            let message = format!(
                "the constraint {} does not hold for {}",
                quote(constraint.text()),
                named.join(", ")
            );
            problems.push(SpaceError::whole(message));
        }
    }
}
