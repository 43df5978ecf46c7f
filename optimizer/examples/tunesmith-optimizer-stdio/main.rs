//! Drives any strategy over standard input and output, for programs that compare optimisers: one JSON object a line in, one out.
//!
//! `init` may say how many `objectives` (1 if it does not) and measured `constraints` (0) there are. `tell` then has `values` instead of `value`, of
//! which smaller is better, and `violations`, which are none where they are 0 or less; null where one is missing. What is not finite counts as failed: null, `NaN`, `Infinity`.
//!
//! `init` may have `early_stopping`, rules as in a study file, with `steps`, the last step of a training, and `from`, how a trial's value comes from what
//! it reports, as in a study file. Then `report` with `id`, `step` and `value` says whether the trial should `stop`, and `tell` of one that has
//! stopped has `partial`, the step that it reached.
//!
//! `algorithm` is the name of a strategy, or `gp-ei` or `gp-ucb`; `init` may have `strategy` instead, a strategy with its keys, as in a study file, but for `seed`, `initial`
//! and `history`. Where
//! there is nothing more to try, as at the end of a grid, the `id` in the answer to `ask` is null. All strategies go but `pbt` and `pb2`, whose trials
//! begin with another one's weights.
//!
//! With `asha`, `hyperband` and `bohb`, `steps` and `from` are as above, and `report` also says whether the trial should `pause`. `rest` with `id` says that it has, and that it can go on from the last step
//! that it reported. `ask` may answer with the `id` of a trial that rests and, instead of `params`, `resume`, that step: it goes on. If there is a
//! `budget` and it is used up, the answer's `id` is null where there is nothing to do.
#![expect(clippy::print_stdout, reason = "the protocol is on standard output")]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::num::NonZeroU32;

use serde_json::{Value, json};
use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Condition, Domain, Parameter, Scale, Space};
use tunesmith_common::study::{Budget, Objective, Schedule, StrategySpec, StudyFile, StudySpec};
use tunesmith_optimizer::{
    FinishedTrial, Memory, Promotions, RunningTrial, SearchStrategy, Stoppers, StrategyError, StudyView,
    build, fallback,
};

struct Session {
    spec: StudySpec,
    objectives: usize,
    constraints: usize,
    strategy: Box<dyn SearchStrategy>,
    next: u64,
    cursor: Option<u64>,
    running: BTreeMap<u64, Begun>,
    finished: Vec<FinishedTrial>,
    memory: Memory,
    stoppers: Stoppers,
    promotions: Option<Promotions>,
    /// Trials that were trained to the end.
    completed: u64,
}

/// A trial that has not ended.
struct Begun {
    encoded: Vec<f64>,
    /// What it reported, by step.
    curve: BTreeMap<i64, f64>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Trains,
    /// It was told to pause, and has not said that it has.
    IsToRest,
    Rests,
}

impl Begun {
    /// What it has come to, as the coordinator takes a trial's value from its curve.
    fn value(&self, from: ValueFrom) -> f64 {
        let last = self.curve.values().next_back().copied().unwrap_or(f64::NAN);
        let finite = |most: usize| {
            let newest = self.curve.values().rev().take(most).copied();
            newest.filter(|value| value.is_finite())
        };
        match from {
            ValueFrom::Last => last,
            ValueFrom::Best => finite(usize::MAX).reduce(f64::min).unwrap_or(last),
            ValueFrom::MeanOfLast(most) => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let (sum, count) = finite(most).fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
                if count > 0.0 { sum / count } else { last }
            }
        }
    }

    fn last_step(&self) -> Option<i64> {
        self.curve.keys().next_back().copied()
    }
}

fn main() -> anyhow::Result<()> {
    let mut session: Option<Session> = None;
    for line in std::io::stdin().lock().lines() {
        let request = read(&line?)?;
        let answer = match (request["op"].as_str(), session.as_mut()) {
            (Some("init"), _) => {
                session = Some(Session::new(&request)?);
                json!({"ok": true})
            }
            (_, None) => anyhow::bail!("init first"),
            (Some("ask"), Some(session)) => session.ask()?,
            (Some("tell"), Some(session)) => session.tell(&request)?,
            (Some("report"), Some(session)) => session.report(&request)?,
            (Some("rest"), Some(session)) => session.rest(&request)?,
            (other, _) => anyhow::bail!("unknown op {other:?}"),
        };
        println!("{answer}");
    }
    Ok(())
}

/// A request. Values that are no numbers may be written as `null` or, which many programs do, as `NaN`, `Infinity` and `-Infinity`.
fn read(line: &str) -> serde_json::Result<Value> {
    serde_json::from_str(line).or_else(|error| {
        let plain = ["NaN", "-Infinity", "Infinity"]
            .iter()
            .fold(line.to_owned(), |line, word| line.replace(word, "null"));
        serde_json::from_str(&plain).map_err(|_| error)
    })
}

impl Session {
    fn new(request: &Value) -> anyhow::Result<Self> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for raw in request["space"].as_array().into_iter().flatten() {
            parameters.push(parameter(raw, &parameters)?);
        }
        let space = Space::new(parameters, Vec::new()).map_err(|errors| {
            anyhow::anyhow!(
                "{}",
                errors
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            )
        })?;
        let trained = trained_by(request)?;
        let schedule = trained.strategy.schedule.clone();
        let mut spec = StudySpec {
            name: "stdio".parse()?,
            message: String::new(),
            parent: None,
            project: None,
            objective: Objective {
                metric: "value".parse()?,
                goal: Goal::Minimize,
                from: trained.objective.from,
            },
            more_objectives: Vec::new(),
            measured_constraints: Vec::new(),
            space,
            strategy: StrategySpec {
                seed: request["seed"].as_u64().unwrap_or(0),
                ..trained.strategy
            },
            early_stopping: Vec::new(),
            budget: Budget {
                trials: request["budget"].as_u64(),
                ..Budget::default()
            },
            priority: NonZeroU32::MIN,
            trial: None,
        };
        let count = |key: &str| match &request[key] {
            Value::Null => Ok(None),
            count => count.as_u64().map(usize::try_from).transpose()?.map_or_else(
                || anyhow::bail!("{key} is {count}, which is no number of them"),
                |count| Ok(Some(count)),
            ),
        };
        let objectives = count("objectives")?.unwrap_or(1).max(1);
        spec.more_objectives = vec![spec.objective.clone(); objectives - 1];
        let strategy = build(&spec);
        let constraints = count("constraints")?.unwrap_or(0);
        anyhow::ensure!(
            schedule.is_none() || (objectives == 1 && constraints == 0),
            "strategy is for one objective without constraints, but there are {objectives} and {constraints}: give algorithm instead"
        );
        Ok(Self {
            stoppers: Stoppers::new(&trained.early_stopping, &trained.objective),
            promotions: match schedule {
                None => None,
                Some(Schedule::Halving(halving)) => Some(Promotions::new(&halving)),
                Some(Schedule::Population(_) | Schedule::Replay(_)) => {
                    anyhow::bail!(
                        "strategy is one whose trials begin with another one's weights, which is not spoken of here"
                    )
                }
            },
            completed: 0,
            objectives,
            constraints,
            spec,
            strategy,
            next: 1,
            cursor: None,
            running: BTreeMap::new(),
            finished: Vec::new(),
            memory: Memory::default(),
        })
    }

    fn ask(&mut self) -> anyhow::Result<Value> {
        if let Some(answer) = self.promote() {
            return Ok(answer);
        }
        if self.promotions.is_some() && self.is_used_up() {
            return Ok(json!({"id": null}));
        }
        let running: Vec<RunningTrial<'_>> = self
            .running
            .iter()
            .map(|(&trial, begun)| RunningTrial {
                trial: TrialNumber(trial),
                encoded: &begun.encoded,
            })
            .collect();
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next: TrialNumber(self.next),
            proposed: self.next - 1,
            cursor: self.cursor,
            finished: &self.finished,
            running: &running,
        };
        let point = match self.strategy.propose(&view, 1, &mut self.memory) {
            Ok(mut proposal) => proposal.points.remove(0),
            Err(StrategyError::Exhausted | StrategyError::WaitsForPeople) => return Ok(json!({"id": null})),
            // As the coordinator does.
            Err(error @ StrategyError::Fit { .. }) => fallback(&view, &error)?.points.remove(0),
            Err(error) => return Err(error.into()),
        };
        self.cursor = point.cursor.or(self.cursor);
        let params: serde_json::Map<String, Value> = point
            .params
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), plain(value)))
            .collect();
        let begun = Begun {
            encoded: point.encoded,
            curve: BTreeMap::new(),
            stage: Stage::Trains,
        };
        self.running.insert(self.next, begun);
        self.next += 1;
        Ok(json!({"id": self.next - 1, "params": params}))
    }

    fn report(&mut self, request: &Value) -> anyhow::Result<Value> {
        let (Some(id), Some(step)) = (request["id"].as_u64(), request["step"].as_i64()) else {
            anyhow::bail!("report needs id and step");
        };
        let value = request["value"].as_f64().unwrap_or(f64::NAN);
        let metric = &self.spec.objective.metric;
        let decisions = self.stoppers.report(TrialNumber(id), metric, step, value);
        let stop = decisions.iter().any(|decision| !decision.shadow);
        let begun = self.running.get_mut(&id).ok_or_else(|| not_running(id))?;
        begun.curve.insert(step, value);
        let trains = begun.stage == Stage::Trains;
        let pause = self.reach(id, step) && trains && !stop && self.pauses(id);
        Ok(json!({"stop": stop, "pause": pause}))
    }

    /// Takes note of the rungs that a trial reaches with this report; whether there are any. Of several the strategy learns of the highest alone.
    fn reach(&mut self, id: u64, step: i64) -> bool {
        let (Some(promotions), Some(begun)) = (&mut self.promotions, self.running.get(&id)) else {
            return false;
        };
        let value = begun.value(self.spec.objective.from);
        let rungs = promotions.reached_by(TrialNumber(id), step);
        for rung in &rungs {
            promotions.reach(TrialNumber(id), *rung, value);
        }
        if !rungs.is_empty() {
            self.finished.push(FinishedTrial {
                trial: TrialNumber(id),
                encoded: begun.encoded.clone().into(),
                value: Some(value),
                failed: false,
                partial: true,
                last_step: Some(step),
                others: Box::default(),
                violations: Box::default(),
            });
        }
        !rungs.is_empty()
    }

    /// Whether a trial that has reached a rung is to rest there.
    fn pauses(&mut self, id: u64) -> bool {
        let trial = TrialNumber(id);
        let Some(promotions) = &mut self.promotions else {
            return false;
        };
        if promotions.standing(trial).is_none_or(|standing| standing.goes_on) {
            return false;
        }
        promotions.rest(trial);
        // All that runs, with nothing else left to do: it would be the next to go on.
        let rests = |other: TrialNumber| other == trial || is_at_rest(&self.running, other);
        let alone = self
            .running
            .iter()
            .all(|(other, begun)| *other == id || begun.stage == Stage::Rests);
        let last = alone && self.completed == 0 && self.is_used_up();
        if last
            && let Some(promotions) = &mut self.promotions
            && promotions.next(rests).is_none()
            && promotions.furthest(rests) == Some(trial)
        {
            promotions.leave(trial);
            return false;
        }
        if let Some(begun) = self.running.get_mut(&id) {
            begun.stage = Stage::IsToRest;
        }
        true
    }

    /// Whether no more trials may be proposed.
    fn is_used_up(&self) -> bool {
        self.spec.budget.trials.is_some_and(|limit| self.next > limit)
    }

    /// The answer to who asks for work, if a trial that rests is to go on. The one that has come furthest does where nothing else is left to do and none
    /// was trained to the end.
    fn promote(&mut self) -> Option<Value> {
        let nothing_else = self.completed == 0
            && self.is_used_up()
            && self.running.values().all(|begun| begun.stage == Stage::Rests);
        let promotions = self.promotions.as_mut()?;
        let rests = |trial: TrialNumber| is_at_rest(&self.running, trial);
        let next = promotions.next(rests).map(|(trial, _)| trial);
        let trial = next.or_else(|| promotions.furthest(rests).filter(|_| nothing_else))?;
        promotions.leave(trial);
        let begun = self.running.get_mut(&trial.0)?;
        begun.stage = Stage::Trains;
        Some(json!({"id": trial.0, "resume": begun.last_step()}))
    }

    fn rest(&mut self, request: &Value) -> anyhow::Result<Value> {
        let id = request["id"]
            .as_u64()
            .ok_or_else(|| anyhow::anyhow!("rest without id"))?;
        let begun = self.running.get_mut(&id).ok_or_else(|| not_running(id))?;
        anyhow::ensure!(
            begun.stage == Stage::IsToRest,
            "trial {id} was not told to pause: tell its value if it has ended"
        );
        begun.stage = Stage::Rests;
        // It may have come to another rung before it had paused.
        if let Some(promotions) = &mut self.promotions {
            promotions.rest(TrialNumber(id));
        }
        Ok(json!({"ok": true}))
    }

    fn tell(&mut self, request: &Value) -> anyhow::Result<Value> {
        let id = request["id"]
            .as_u64()
            .ok_or_else(|| anyhow::anyhow!("tell without id"))?;
        let begun = self.running.remove(&id).ok_or_else(|| not_running(id))?;
        let numbers = |key: &str, count: usize| -> anyhow::Result<Box<[f64]>> {
            let given = request[key].as_array().map_or(&[][..], Vec::as_slice);
            anyhow::ensure!(
                given.len() <= count,
                "{} {key}, but init said {count}",
                given.len()
            );
            let number = |k: usize| given.get(k).and_then(Value::as_f64).unwrap_or(f64::NAN);
            Ok((0..count).map(number).collect())
        };
        let values = numbers("values", self.objectives)?;
        let value = request["value"]
            .as_f64()
            .or_else(|| values.first().copied().filter(|value| !value.is_nan()));
        let partial = request["partial"].as_i64();
        self.completed += u64::from(partial.is_none() && value.is_some());
        if let Some(promotions) = &mut self.promotions {
            promotions.leave(TrialNumber(id));
        }
        self.stoppers.trial_ended(TrialNumber(id), value);
        self.finished.push(FinishedTrial {
            trial: TrialNumber(id),
            value,
            failed: value.is_none(),
            partial: partial.is_some(),
            last_step: partial.or_else(|| begun.last_step()),
            encoded: begun.encoded.into(),
            others: values[1..].into(),
            violations: numbers("violations", self.constraints)?,
        });
        Ok(json!({"ok": true}))
    }
}

fn not_running(id: u64) -> anyhow::Error {
    anyhow::anyhow!("trial {id} is not running")
}

fn is_at_rest(running: &BTreeMap<u64, Begun>, trial: TrialNumber) -> bool {
    running
        .get(&trial.0)
        .is_some_and(|begun| begun.stage == Stage::Rests)
}

/// A study with the strategy, the rules of early stopping and the length of a training that `init` says, and nothing else of it.
fn trained_by(request: &Value) -> anyhow::Result<StudySpec> {
    let given = |key: &str, default: Value| match &request[key] {
        Value::Null => default,
        value => value.clone(),
    };
    let strategy = match (&request["strategy"], request["algorithm"].as_str()) {
        (Value::Null, None) if request["algorithm"].is_null() => json!("auto"),
        (Value::Null, None) => anyhow::bail!("algorithm is {}, which is no name", request["algorithm"]),
        (Value::Null, Some("gp-ei")) => json!({"name": "gp", "acquisition": "ei"}),
        (Value::Null, Some("gp-ucb")) => json!({"name": "gp", "acquisition": "ucb"}),
        (Value::Null, Some(name)) => json!(name),
        (strategy, _) => strategy.clone(),
    };
    for key in ["seed", "initial", "history"] {
        anyhow::ensure!(
            strategy[key].is_null(),
            "strategy.{key} is not spoken of here: init has the seed, and trials are only those that ask made"
        );
    }
    let study = json!({
        "objective": {"metric": "value", "goal": "minimize", "from": given("from", json!("last"))},
        "space": {"x": {"type": "float", "low": 0, "high": 1}},
        "strategy": strategy,
        "early_stopping": given("early_stopping", json!([])),
        "trial": {"command": ["train"], "steps": {"max": given("steps", json!(1))}},
    });
    let (_, spec) = StudyFile::parse(&study.to_string(), "init.json")?;
    Ok(spec)
}

fn plain(value: &ParamValue) -> Value {
    match value {
        ParamValue::Bool(value) => json!(value),
        ParamValue::Int(value) => json!(value),
        ParamValue::Float(value) => json!(value),
        ParamValue::Text(value) => json!(value),
    }
}

fn given(value: &Value) -> ParamValue {
    match value {
        Value::Bool(value) => ParamValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(int) => ParamValue::Int(int),
            None => ParamValue::Float(number.as_f64().unwrap_or(0.0)),
        },
        other => ParamValue::Text(other.as_str().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

fn parameter(raw: &Value, before: &[Parameter]) -> anyhow::Result<Parameter> {
    let log = raw["log"].as_bool().unwrap_or(false);
    let scale = if log { Scale::Log } else { Scale::Linear };
    let bound = |key: &str| {
        raw[key]
            .as_f64()
            .ok_or_else(|| anyhow::anyhow!("{key} is missing in {raw}"))
    };
    let whole = |key: &str| {
        raw[key]
            .as_i64()
            .ok_or_else(|| anyhow::anyhow!("{key} is not a whole number in {raw}"))
    };
    let domain = match raw["kind"].as_str() {
        Some("float") => Domain::Float {
            low: bound("lo")?,
            high: bound("hi")?,
            scale,
            step: None,
        },
        Some("int") => Domain::Int {
            low: whole("lo")?,
            high: whole("hi")?,
            scale,
            step: 1,
        },
        Some("cat") => Domain::Categorical {
            choices: raw["choices"]
                .as_array()
                .into_iter()
                .flatten()
                .map(given)
                .collect(),
        },
        other => anyhow::bail!("unknown kind {other:?}"),
    };
    let mut conditions = Vec::new();
    if let Some([parent, values]) = raw["cond"].as_array().map(Vec::as_slice) {
        let place = before
            .iter()
            .position(|p| Some(p.name.as_str()) == parent.as_str());
        conditions.push(Condition {
            parent: place.ok_or_else(|| anyhow::anyhow!("unknown parent {parent}"))?,
            values: values.as_array().into_iter().flatten().map(given).collect(),
        });
    }
    Ok(Parameter {
        name: raw["name"].as_str().unwrap_or_default().parse()?,
        domain,
        conditions,
    })
}

#[cfg(test)]
mod tests;
