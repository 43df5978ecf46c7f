//! What must hold for rows before any database sees them. All stores refuse the same rows with the same words.
//!
//! The schema states most of these rules a second time; here they also guard the memory store, and numbers that the databases'
//! signed columns could not hold. A refusal is a bug of the caller, never of a user.

use std::collections::HashSet;
use std::hash::Hash;

use tunesmith_common::params::ParamValue;
use tunesmith_common::{StudyId, Timestamp};

use super::{Changes, PointChunk, StoreError, StudyRow, StudyState, TrialRow};

/// Checks everything that a commit of `study` is about to write.
pub(super) fn check_changes(study: StudyId, changes: &Changes) -> Result<(), StoreError> {
    if let Some(row) = &changes.study {
        if row.id != study {
            return Err(invalid(format!("study {} in a commit of study {study}", row.id)));
        }
        check_study(row)?;
    }
    changes.trials.iter().try_for_each(check_trial)?;
    changes.points.iter().try_for_each(check_points)?;
    for row in &changes.attempts {
        fits("trial of an attempt", row.trial.0)?;
        fits("peak_memory", row.peak_memory)?;
        for (name, number) in [("price_per_hour", row.price_per_hour), ("cost", row.cost)] {
            if !number.is_finite() {
                return Err(invalid(format!(
                    "attempt at trial {}: {name} is {number}",
                    row.trial
                )));
            }
        }
    }
    for row in &changes.decisions {
        fits("trial of a decision", row.trial.0)?;
        fits("compared_trials", row.decision.compared_trials)?;
    }
    for row in &changes.requests {
        row.trials
            .iter()
            .try_for_each(|trial| fits("trial of a request", trial.0))?;
    }
    once("trial", changes.trials.iter().map(|row| row.number))?;
    once(
        "attempt",
        changes.attempts.iter().map(|row| (row.trial, row.attempt)),
    )?;
    once("request", changes.requests.iter().map(|row| row.id))?;
    once(
        "points",
        changes
            .points
            .iter()
            .map(|row| (row.trial, row.attempt, row.metric.as_str(), row.first_seq)),
    )
}

/// Checks a study about to be created or changed.
pub(super) fn check_study(row: &StudyRow) -> Result<(), StoreError> {
    for (name, sum) in [("gpu_seconds", row.gpu_seconds), ("cost", row.cost)] {
        if !sum.is_finite() {
            return Err(invalid(format!("study {}: {name} is {sum}", row.id)));
        }
    }
    let ended = match row.state {
        StudyState::Active | StudyState::Paused | StudyState::Ending(_) => false,
        StudyState::Done(_) | StudyState::Archived(_) => true,
    };
    if ended != row.done_at.is_some() {
        return Err(invalid(format!(
            "study {}: state is {:?}, done_at is {}",
            row.id,
            row.state,
            shown(row.done_at)
        )));
    }
    Ok(())
}

fn check_trial(row: &TrialRow) -> Result<(), StoreError> {
    let number = row.number;
    if number.0 == 0 {
        return Err(invalid("trial 0: numbers count from 1".to_owned()));
    }
    fits("trial number", number.0)?;
    if row.state.is_final() != row.ended_at.is_some() {
        let (state, at) = (row.state.name(), shown(row.ended_at));
        return Err(invalid(format!(
            "trial {number}: state is {state}, ended_at is {at}"
        )));
    }
    if let Some(lease) = row.state.lease()
        && lease.attempt != row.attempt
    {
        return Err(invalid(format!(
            "trial {number}: attempt {} has the lease of {}",
            row.attempt, lease.attempt
        )));
    }
    for (name, value) in row.params.iter() {
        if let ParamValue::Float(value) = value
            && !value.is_finite()
        {
            return Err(invalid(format!("trial {number}: parameter {name} is {value}")));
        }
    }
    Ok(())
}

fn check_points(chunk: &PointChunk) -> Result<(), StoreError> {
    let PointChunk {
        trial,
        metric,
        first_seq,
        last_seq,
        ..
    } = chunk;
    fits("trial of points", trial.0)?;
    fits("last_seq", *last_seq)?;
    let count = chunk.steps.len();
    let (values, times, arrivals) = (chunk.values.len(), chunk.times.len(), chunk.arrivals.len());
    if count == 0 || [values, times, arrivals] != [count; 3] {
        return Err(invalid(format!(
            "trial {trial}, {metric}: {count} steps, {values} values, {times} times, {arrivals} arrivals"
        )));
    }
    if first_seq > last_seq {
        return Err(invalid(format!(
            "trial {trial}, {metric}: points from {first_seq} to {last_seq}"
        )));
    }
    Ok(())
}

/// Databases have signed 64-bit columns.
pub(super) fn fits(what: &str, number: u64) -> Result<(), StoreError> {
    match i64::try_from(number) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(format!("{what} is {number}, more than {}", i64::MAX))),
    }
}

fn once<K: Eq + Hash>(what: &str, keys: impl ExactSizeIterator<Item = K>) -> Result<(), StoreError> {
    if keys.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(keys.len());
    for (position, key) in keys.enumerate() {
        if !seen.insert(key) {
            return Err(invalid(format!(
                "{what} number {} of the commit is there twice",
                position + 1
            )));
        }
    }
    Ok(())
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "not set".to_owned(), |at| at.to_string())
}

fn invalid(what: String) -> StoreError {
    StoreError::Invalid(what)
}
