//! Drives any strategy over standard input and output, for programs that compare optimisers: one JSON object a line in, one out.
//!
//! `init` may say how many `objectives` (1 if it does not) and measured `constraints` (0) there are. `tell` then has `values` instead of `value`, of
//! which smaller is better, and `violations`, which are none where they are 0 or less; null where one is missing.
//!
//! `init` may have `early_stopping`, rules as in a study file, with `steps`, the last step of a training, and `from`, how a trial's value comes from what
//! it reports, as in a study file. Then `report` with `id`, `step` and `value` says whether the trial should `stop`, and `tell` of one that has
//! stopped has `partial`, the step that it reached.
#![expect(clippy::print_stdout, reason = "the protocol is on standard output")]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::num::NonZeroU32;

use serde_json::{Value, json};
use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Condition, Domain, Parameter, Scale, Space};
use tunesmith_common::study::{
    Acquisition, Budget, Objective, StrategyName, StrategySpec, StudyFile, StudySpec,
};

use tunesmith_optimizer::{FinishedTrial, Memory, RunningTrial, SearchStrategy, Stoppers, StudyView, build};

struct Session {
    spec: StudySpec,
    objectives: usize,
    constraints: usize,
    strategy: Box<dyn SearchStrategy>,
    next: u64,
    cursor: Option<u64>,
    running: BTreeMap<u64, Vec<f64>>,
    finished: Vec<FinishedTrial>,
    memory: Memory,
    stoppers: Stoppers,
}

fn main() -> anyhow::Result<()> {
    let mut session: Option<Session> = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = match request["op"].as_str() {
            Some("init") => {
                session = Some(Session::new(&request)?);
                json!({"ok": true})
            }
            Some("ask") => session
                .as_mut()
                .ok_or_else(|| anyhow::anyhow!("init first"))?
                .ask()?,
            Some("tell") => session
                .as_mut()
                .ok_or_else(|| anyhow::anyhow!("init first"))?
                .tell(&request)?,
            Some("report") => session
                .as_mut()
                .ok_or_else(|| anyhow::anyhow!("init first"))?
                .report(&request)?,
            other => anyhow::bail!("unknown op {other:?}"),
        };
        println!("{answer}");
    }
    Ok(())
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
        let gp = |acquisition| StrategyName::Gp { acquisition };
        let name = match request["algorithm"].as_str().unwrap_or("auto") {
            "auto" => StrategyName::Auto,
            "random" => StrategyName::Random,
            "sobol" => StrategyName::Sobol,
            "gp" => gp(Acquisition::LogEi),
            "gp-ei" => gp(Acquisition::Ei),
            "gp-ucb" => gp(Acquisition::Ucb),
            "tpe" => StrategyName::Tpe,
            "cmaes" => StrategyName::Cmaes,
            "evolution" => StrategyName::Evolution,
            "nsga2" => StrategyName::Nsga2,
            other => anyhow::bail!("unknown algorithm {other}"),
        };
        let mut spec = StudySpec {
            name: "stdio".parse()?,
            message: String::new(),
            parent: None,
            objective: Objective {
                metric: "value".parse()?,
                goal: Goal::Minimize,
                from: ValueFrom::Last,
            },
            more_objectives: Vec::new(),
            measured_constraints: Vec::new(),
            space,
            strategy: StrategySpec {
                name,
                seed: request["seed"].as_u64().unwrap_or(0),
                initial: Vec::new(),
                history: Vec::new(),
                random_share: 0.0,
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
        let (strategy, _) = build(&spec);
        let stopped = stopped_by(request)?;
        Ok(Self {
            stoppers: Stoppers::new(&stopped.early_stopping, &stopped.objective),
            objectives,
            constraints: count("constraints")?.unwrap_or(0),
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
        let running: Vec<RunningTrial<'_>> = self
            .running
            .iter()
            .map(|(&trial, encoded)| RunningTrial {
                trial: TrialNumber(trial),
                encoded,
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
        let point = self
            .strategy
            .propose(&view, 1, &mut self.memory)?
            .points
            .remove(0);
        self.cursor = point.cursor.or(self.cursor);
        let params: serde_json::Map<String, Value> = point
            .params
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), plain(value)))
            .collect();
        self.running.insert(self.next, point.encoded);
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
        Ok(json!({"stop": decisions.iter().any(|decision| !decision.shadow)}))
    }

    fn tell(&mut self, request: &Value) -> anyhow::Result<Value> {
        let id = request["id"]
            .as_u64()
            .ok_or_else(|| anyhow::anyhow!("tell without id"))?;
        let encoded = self
            .running
            .remove(&id)
            .ok_or_else(|| anyhow::anyhow!("trial {id} is not running"))?;
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
        let last_step = request["partial"].as_i64();
        self.stoppers.trial_ended(TrialNumber(id), value);
        self.finished.push(FinishedTrial {
            trial: TrialNumber(id),
            encoded: encoded.into(),
            value,
            failed: value.is_none(),
            partial: last_step.is_some(),
            last_step,
            others: values[1..].into(),
            violations: numbers("violations", self.constraints)?,
        });
        Ok(json!({"ok": true}))
    }
}

/// A study with the rules of early stopping that `init` gives, and nothing else of it.
fn stopped_by(request: &Value) -> anyhow::Result<StudySpec> {
    let given = |key: &str, default: Value| match &request[key] {
        Value::Null => default,
        value => value.clone(),
    };
    let study = json!({
        "objective": {"metric": "value", "goal": "minimize", "from": given("from", json!("last"))},
        "space": {"x": {"type": "float", "low": 0, "high": 1}},
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
