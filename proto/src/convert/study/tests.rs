use tunesmith_common::study::{StudyFile, StudySpec};

use super::*;

const FULL: &str = r#"
name: digits
message: hello
parent: wide
objective: {metric: val_acc, goal: maximize, from: mean of last 3}
space:
  lr:        {type: float, low: 1e-5, high: 1e-1, scale: log}
  batch:     {type: int, low: 4, high: 256, scale: log2}
  optimizer: {type: categorical, choices: [sgd, adam, 3, 0.5, true]}
  momentum:  {type: float, low: 0, high: 0.9, step: 0.1, when: {optimizer: [sgd, 3]}}
  width:     {type: ordinal, choices: [32, 64, 128]}
  bias:      {type: bool}
  epochs:    {type: constant, value: 50}
constraints: ["batch * width <= 16384"]
strategy: {name: grid, seed: 18446744073709551615, shuffle: true, points: 3, initial: [{width: 64, lr: 0.01}], history: [wide, other]}
early_stopping:
  - {rule: median, warmup_steps: 5, min_trials: 4, shadow: true}
  - {rule: percentile, keep: 25, interval: 2}
  - {rule: threshold, metric: loss, above: 10, below: -1, after_step: 3}
  - {rule: plateau, patience: 7, min_delta: 0.001}
  - {rule: diverging, metric: loss, goal: minimize, factor: 2}
  - {rule: below_baseline, trial: 3, tolerance: 0.01}
  - {rule: below_baseline, constant: 0.5}
  - {rule: below_baseline, curve: [[1, 0.5], [10, 0.9]]}
budget: {trials: 64, parallel: 8, wall_time: 4h, gpu_hours: 40, cost: 99.5, failures: 10, target: 0.985,
  no_improvement: {patience: 30, min_delta: 0.001, gain_below: 0.002, confidence: 0.9, shadow: true}}
priority: 2
trial:
  command: ["python", "train.py", "{args}"]
  env: {OMP_NUM_THREADS: "4"}
  workdir: "{trial_dir}"
  metrics: {stdout: json}
  steps: {name: epoch, max: 50}
  resources: {gpus: 1, gpu_memory: 16GiB, cpus: 0.5, memory: 16GiB, labels: {zone: a}}
  max_runtime: 1500ms
  retries: 2
  grace: 45s
"#;

#[test]
fn a_study_survives_the_wire() {
    let (raw, spec) = StudyFile::parse(FULL, "digits.yaml").unwrap();
    let received = from_wire(to_wire(&raw)).unwrap();
    assert_eq!(StudySpec::try_from(received).unwrap(), spec);

    for (metrics, others) in [
        ("{regex: ['(?P<val_acc>NUMBER)']}", "regex"),
        ("{file: m.jsonl}", "file"),
    ] {
        let text = FULL.replace("{stdout: json}", metrics);
        let (raw, _) = StudyFile::parse(&text, "digits.yaml").unwrap();
        assert_eq!(
            from_wire(to_wire(&raw)).unwrap().trial.unwrap().metrics,
            raw.trial.unwrap().metrics,
            "{others}"
        );
    }
    for name in ["log_ei", "ei", "ucb"] {
        let text = format!(
            "objective: {{metric: loss, goal: minimize}}\nspace: {{x: {{type: bool}}}}\nstrategy: {{name: gp, acquisition: {name}}}\n"
        );
        let (raw, _) = StudyFile::parse(&text, "gp.yaml").unwrap();
        let mut wire = to_wire(&raw);
        assert_eq!(wire.strategy.as_ref().unwrap().acquisition, name);
        assert_eq!(from_wire(wire.clone()).unwrap(), raw);
        wire.strategy.as_mut().unwrap().acquisition = "pi".to_owned();
        let refused = from_wire(wire).unwrap_err().to_string();
        assert!(
            refused.contains("strategy.acquisition") && refused.contains("log_ei"),
            "{refused}"
        );
    }
    let several = "objective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize, from: best}]\nspace: {x: {type: int, low: 1, high: 9}}\n\
                   constraints: [\"x <= 5\", {metric: mem, at_most: 16}, {metric: acc, at_least: 0.5, from: mean of last 2}]\n";
    let (raw, _) = StudyFile::parse(several, "several.yaml").unwrap();
    let wire = to_wire(&raw);
    assert_eq!(
        wire.objective.as_ref().unwrap().metric,
        "acc",
        "the first, as ever"
    );
    assert_eq!(
        (wire.more_objectives.len(), wire.measured_constraints.len()),
        (1, 2)
    );
    assert_eq!(from_wire(wire).unwrap(), raw);
    let least = "objective: {metric: loss, goal: minimize}\nspace: {x: {type: bool}}\n";
    let (raw, _) = StudyFile::parse(least, "least.yaml").unwrap();
    assert_eq!(from_wire(to_wire(&raw)).unwrap(), raw);
}

type Spoil = fn(&mut v1::StudySpec);

#[test]
fn malformed_messages_are_refused_by_field() {
    let (raw, _) = StudyFile::parse(FULL, "digits.yaml").unwrap();
    let cases: [(Spoil, &str); 10] = [
        (
            |s| s.more_objectives.push(v1::Objective::default()),
            "more_objectives[0].goal: is missing",
        ),
        (|s| s.objective = None, "objective: is missing"),
        (
            |s| s.objective.as_mut().unwrap().goal = 0,
            "objective.goal: is missing",
        ),
        (
            |s| s.objective.as_mut().unwrap().goal = 9,
            "objective.goal: 9 is not a goal; use GOAL_MINIMIZE or GOAL_MAXIMIZE",
        ),
        (
            |s| s.space[1].name = "lr".to_owned(),
            "space: \"lr\" is given twice",
        ),
        (
            |s| s.space[0].r#type = "flaot".to_owned(),
            "space[0].type: unknown variant `flaot`, expected one of",
        ),
        (
            |s| s.space[2].choices[1].kind = None,
            "space[2].choices[1]: is null; give a number, a text or a boolean",
        ),
        (
            |s| s.strategy.as_mut().unwrap().name = "annealing".to_owned(),
            "strategy.name: unknown variant `annealing`, expected one of",
        ),
        (
            |s| s.early_stopping[3].rule = String::new(),
            "early_stopping[3].rule: unknown variant ``, expected one of",
        ),
        (
            |s| {
                s.trial.as_mut().unwrap().grace = Some(pbjson_types::Duration {
                    seconds: -1,
                    nanos: 0,
                })
            },
            "trial.grace: must not be negative, got -1 s 0 ns",
        ),
    ];
    for (spoil, message) in cases {
        let mut wire = to_wire(&raw);
        spoil(&mut wire);
        let error = from_wire(wire).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
