//! Which parameters matter for an objective. Reads what is stored, computes beside the engines, and keeps the answer until there are new results.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::StudySpec;
use tunesmith_optimizer::importance::{
    Importance, ImportanceError, MOST_RESULTS, Observed, Settings, Share, importance,
};
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use crate::store::{End, StoreError, StoredTrial, StudyRow};

/// Trials read at a time of a study that is read as a whole.
const PAGE: u32 = 5_000;
/// Trials of a study that is read as a whole. Of a larger one, [`BLOCKS`] blocks are.
const MOST_READ: u64 = 10_000;
/// Blocks of trials that are read of a large study, spread evenly over it, and trials in each: twice as many as are computed with, since some have no
/// result.
const BLOCKS: u64 = 40;
const BLOCK: u32 = 100;

/// A trial's point in the encoded space, and its value with the sign that makes small good.
type Point = (Vec<f64>, f64);

impl Api {
    pub(super) async fn importance(
        &self,
        request: &v1::GetImportanceRequest,
    ) -> Result<v1::GetImportanceResponse, ApiError> {
        let best = request.quantile.unwrap_or(1.0);
        if !(best > 0.0 && best <= 1.0) {
            let message =
                format!("must be above 0 and at most 1, such as 0.25 for the best quarter; got {best}");
            return Err(ApiError::invalid("quantile", message));
        }
        let engine = self.study(&request.name).await?;
        let row = stored_study(self, &request.name, "name").await?;
        let spec = StudySpec::try_from(row.spec.clone())?;
        let objective = objective(&spec, &request.metric)?;
        let about = (objective, best.to_bits());
        let kept = async || {
            let revision = engine.call(|core, _, _| Ok(core.results_revision())).await?;
            Ok::<_, ApiError>((revision, self.answers.get(row.id, revision, about)))
        };
        if let (_, Some(answer)) = kept().await? {
            return Ok(answer);
        }
        // One at a time: it takes a whole processor. Whoever waited for the same answer finds it.
        let turn = self.replaying.clone().lock_owned().await;
        let (revision, known) = kept().await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let points = self.points_of(&row, &spec, objective).await?;
        let metric = spec
            .objectives()
            .nth(objective)
            .map(|known| known.metric.to_string());
        let settings = Settings {
            best,
            seed: spec.strategy.seed,
        };
        let computed = self.tasks.spawn_blocking(move || {
            let results: Vec<Observed<'_>> = points
                .iter()
                .map(|(point, value)| Observed { point, value: *value })
                .collect();
            let found = importance(&spec.space, &results, settings);
            drop(turn);
            found.map(|found| answer(&spec, found))
        });
        let computed = computed
            .await
            .map_err(|error| ApiError::Internal(format!("the forest could not be grown: {error}")))?;
        let mut answer = computed.map_err(|error| refused(&error, &row))?;
        answer.metric = metric.unwrap_or_default();
        answer.ended = revision.0;
        self.answers.keep(row.id, revision, about, answer.clone());
        Ok(answer)
    }

    /// The results of a study, or of a large one some of them, by the trials' numbers.
    async fn points_of(
        &self,
        row: &StudyRow,
        spec: &StudySpec,
        objective: usize,
    ) -> Result<Vec<Point>, StoreError> {
        let counts = self.store().trial_counts(row.id).await?;
        let trials: u64 = counts.iter().map(|(_, count)| *count).sum();
        let mut points = Vec::new();
        if trials > MOST_READ {
            for block in 0..BLOCKS {
                let after = TrialNumber(block * trials / BLOCKS);
                let page = self.store().trial_page(row.id, after, BLOCK).await?;
                points.extend(page.into_iter().filter_map(|trial| point(spec, objective, trial)));
            }
            return Ok(points);
        }
        let mut after = TrialNumber(0);
        loop {
            let page = self.store().trial_page(row.id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(points);
            };
            after = last.number();
            points.extend(page.into_iter().filter_map(|trial| point(spec, objective, trial)));
        }
    }
}

/// Which objective a metric is.
fn objective(spec: &StudySpec, metric: &str) -> Result<usize, ApiError> {
    if metric.is_empty() {
        return Ok(0);
    }
    let names = || spec.objectives().map(|objective| &objective.metric);
    names().position(|name| name.as_str() == metric).ok_or_else(|| {
        let names: Vec<&str> = names().map(MetricName::as_str).collect();
        let message = format!(
            "{metric:?} is no objective of the study; name one of {}",
            names.join(", ")
        );
        ApiError::invalid("metric", message)
    })
}

/// What is learned from a trial; nothing if it has no value that counts.
fn point(spec: &StudySpec, objective: usize, trial: StoredTrial) -> Option<Point> {
    let StoredTrial::Ended(trial) = trial else {
        return None;
    };
    if !matches!(trial.end, End::Completed | End::EarlyStopped | End::TimedOut) {
        return None;
    }
    let value = match objective.checked_sub(1) {
        None => trial.value,
        Some(further) => trial.more_values.get(further).copied().flatten(),
    };
    let goal = spec.objectives().nth(objective)?.goal;
    Some((spec.space.encode(&trial.params).ok()?, goal.to_minimize(value?)))
}

fn refused(error: &ImportanceError, row: &StudyRow) -> ApiError {
    let reason = match error {
        ImportanceError::TooFew { .. } | ImportanceError::TooFewBest { .. } => "TOO_FEW_RESULTS",
        ImportanceError::AllEqual { .. } | ImportanceError::NothingVaries => "NOTHING_TO_EXPLAIN",
    };
    let message = format!("study {}: {error}", row.name);
    ApiError::Precondition { reason, message }
}

fn answer(spec: &StudySpec, found: Importance) -> v1::GetImportanceResponse {
    let name = |index: usize| {
        spec.space
            .parameters()
            .get(index)
            .map_or_else(String::new, |parameter| parameter.name.to_string())
    };
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let by_share = |a: Share, b: Share| b.mean.total_cmp(&a.mean);
    let (mut parameters, mut pairs) = (found.parameters, found.pairs);
    // Those that are equal stay in the order of the space.
    parameters.sort_by(|a, b| by_share(a.share, b.share));
    pairs.sort_by(|a, b| by_share(a.share, b.share));
    v1::GetImportanceResponse {
        metric: String::new(),
        ended: 0,
        results: number(found.results),
        best: number(found.best),
        explained: found.explained,
        parameters: parameters
            .into_iter()
            .map(|effect| v1::ParameterImportance {
                parameter: name(effect.parameter),
                share: effect.share.mean,
                deviation: effect.share.deviation,
                active: number(effect.active),
            })
            .collect(),
        pairs: pairs
            .into_iter()
            .map(|pair| v1::PairImportance {
                first: name(pair.parameters[0]),
                second: name(pair.parameters[1]),
                share: pair.share.mean,
                deviation: pair.share.deviation,
            })
            .collect(),
    }
}

// A sample of a large study has to be large enough.
const _: () = assert!(BLOCKS * BLOCK as u64 >= 2 * MOST_RESULTS as u64);
