use super::*;
use crate::document::Place;
use crate::id::StudyName;
use crate::measurement::{From as ValueFrom, Goal};
use crate::params::ParamValue;
use crate::space::{Domain, Scale};

mod bad_input;
mod bad_rules;
mod limits;
mod objectives;
mod population;
mod round_trip;
mod schema;
mod zoom;

/// A study with every key of the format.
pub(super) const FULL: &str = r#"
name: digits-mlp
message: "SGD against Adam, wide learning rates"
parent: digits
objective: {metric: val_acc, goal: maximize, from: best}
space:
  lr:        {type: float, low: 1e-5, high: 1e-1, scale: log}
  batch:     {type: int, low: 4, high: 256, scale: log2}
  optimizer: {type: categorical, choices: [sgd, adam]}
  momentum:  {type: float, low: 0, high: 0.99, when: {optimizer: [sgd]}}
  width:     {type: ordinal, choices: [32, 64, 128, 256]}
  dropout:   {type: float, low: 0, high: 0.5, step: 0.1}
  nesterov:  {type: bool, when: {optimizer: sgd}}
  epochs:    {type: constant, value: 50}
constraints: ["batch * width <= 16384"]
strategy: {name: grid, seed: 7, shuffle: true, points: 3, initial: [{lr: 0.01, optimizer: adam}], random_share: 0.25, history: [digits, digits-wide]}
early_stopping:
  - {rule: median, warmup_steps: 5, min_trials: 5, shadow: true}
  - {rule: percentile, keep: 25, interval: 2}
  - {rule: threshold, metric: loss, above: 10, after_step: 3}
  - {rule: plateau, patience: 10, min_delta: 0.001}
  - {rule: diverging, metric: loss, goal: minimize, factor: 2}
  - {rule: below_baseline, trial: 3, tolerance: 0.01}
  - {rule: below_baseline, curve: [[1, 0.5], [10, 0.9]]}
budget: {trials: 64, parallel: 8, wall_time: 4h, gpu_hours: 40, cost: 99.5, failures: 10, target: 0.985,
  no_improvement: {patience: 30, min_delta: 0.001, gain_below: 0.002, confidence: 0.9, shadow: true}}
priority: 2
trial:
  command: ["python", "train.py", "--lr={lr}", "--batch={batch}", "--out={checkpoint_dir}", "{args}"]
  env: {OMP_NUM_THREADS: "4", MOMENTUM: "{momentum}"}
  workdir: "{trial_dir}"
  metrics: {stdout: json}
  steps: {name: epoch, max: 50}
  resources: {gpus: 1, gpu_memory: 16GiB, cpus: 4, memory: 16GiB, labels: {zone: a}}
  max_runtime: 30m
  retries: 2
  grace: 45s
"#;

/// The least that is a study.
const LEAST: &str =
    "objective: {metric: loss, goal: minimize}\nspace:\n  x: {type: float, low: 0, high: 1}\n";

fn parse(text: &str) -> StudySpec {
    StudyFile::parse(text, "study.yaml")
        .unwrap_or_else(|error| panic!("{error}"))
        .1
}

#[test]
fn a_manual_study_draws_no_trials_of_its_own() {
    let refused = StudyFile::parse(
        &format!("{LEAST}strategy: {{name: manual, random_share: 0.1}}\n"),
        "study.yaml",
    );
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("strategy.random_share: a manual study has no trials of its own"),
        "{message}"
    );
}

fn domain<'a>(spec: &'a StudySpec, name: &str) -> &'a Domain {
    &spec.space.parameters()[spec.space.index_of(name).unwrap()].domain
}

#[test]
fn a_full_study_reads_as_meant() {
    let spec = parse(FULL);
    assert_eq!(spec.name.as_str(), "digits-mlp");
    assert_eq!(spec.objective.goal, Goal::Maximize);
    assert_eq!(spec.objective.from, ValueFrom::Best);
    assert_eq!(
        domain(&spec, "lr"),
        &Domain::Float {
            low: 1e-5,
            high: 0.1,
            scale: Scale::Log,
            step: None
        }
    );
    assert_eq!(
        domain(&spec, "batch"),
        &Domain::Int {
            low: 4,
            high: 256,
            scale: Scale::Log2,
            step: 1
        }
    );
    assert_eq!(domain(&spec, "epochs"), &Domain::Constant(ParamValue::Int(50)));
    let names: Vec<_> = spec.space.parameters().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "lr",
            "batch",
            "optimizer",
            "momentum",
            "width",
            "dropout",
            "nesterov",
            "epochs"
        ]
    );
    let momentum = &spec.space.parameters()[3];
    assert_eq!(momentum.conditions[0].parent, 2);
    assert_eq!(
        momentum.conditions[0].values,
        [ParamValue::Text("sgd".to_owned())]
    );
    assert_eq!(
        spec.strategy.name,
        StrategyName::Grid {
            shuffle: true,
            points: 3.try_into().unwrap()
        }
    );
    assert_eq!(spec.strategy.seed, 7);
    assert_eq!(spec.strategy.initial.len(), 1);
    assert_eq!(spec.strategy.random_share.to_bits(), 0.25_f64.to_bits());
    assert_eq!(spec.parent.as_ref().map(StudyName::as_str), Some("digits"));
    let history: Vec<&str> = spec.strategy.history.iter().map(StudyName::as_str).collect();
    assert_eq!(history, ["digits", "digits-wide"]);
    assert_eq!(spec.early_stopping.len(), 7);
    assert!(spec.early_stopping[0].shadow);
    assert_eq!(spec.budget.wall_time.unwrap().as_secs(), 4 * 3600);
    let rule = NoImprovement {
        patience: Some(30),
        min_delta: 0.001,
        gain_below: Some(0.002),
        confidence: 0.9,
        shadow: true,
    };
    assert_eq!(spec.budget.no_improvement, Some(rule));
    let trial = spec.trial.unwrap();
    assert_eq!(trial.env["OMP_NUM_THREADS"], "4");
    assert_eq!(
        trial.resources.gpus,
        GpuRequest {
            count: 1,
            memory: 16 << 30
        }
    );
    assert_eq!(trial.max_runtime.unwrap().as_secs(), 1800);
    assert_eq!(trial.grace.as_secs(), 45);
}

#[test]
fn everything_but_objective_and_space_has_a_default() {
    let (raw, spec) = StudyFile::parse(LEAST, "runs/my study.v2.yaml").unwrap();
    assert_eq!(spec.name.as_str(), "my-study.v2");
    assert_eq!(raw.strategy.seed, None);
    assert_eq!(spec.strategy.name, StrategyName::Auto);
    assert_eq!(spec.objective.from, ValueFrom::Last);
    assert_eq!(spec.priority.get(), 1);
    assert_eq!(spec.budget, Budget::default());
    assert!(spec.trial.is_none() && spec.early_stopping.is_empty() && spec.message.is_empty());

    let spec = parse(&format!(
        "{LEAST}strategy: sobol\ntrial: {{command: [./train]}}\n"
    ));
    assert_eq!(spec.strategy.name, StrategyName::Sobol);
    let trial = spec.trial.unwrap();
    assert_eq!(
        (
            trial.metrics,
            trial.steps.name.as_str(),
            trial.retries,
            trial.grace.as_secs()
        ),
        (MetricSource::StdoutJson, "step", 0, 30)
    );
}

#[test]
fn rules_have_their_defaults() {
    let rules = "early_stopping: [{rule: median}, {rule: threshold, below: 1}, {rule: plateau}, {rule: diverging}, {rule: below_baseline}, {rule: asha}, {rule: curve, max_steps: 50}, {rule: wilcoxon}]";
    let rules: Vec<_> = parse(&format!("{LEAST}{rules}"))
        .early_stopping
        .into_iter()
        .map(|stopper| stopper.rule)
        .collect();
    assert_eq!(
        rules,
        [
            StopperRule::Percentile {
                metric: None,
                goal: None,
                keep: 50.0,
                warmup_steps: 0,
                min_trials: 5,
                interval: 1
            },
            StopperRule::Threshold {
                metric: None,
                above: None,
                below: Some(1.0),
                after_step: -1
            },
            StopperRule::Plateau {
                metric: None,
                goal: None,
                patience: 10,
                min_delta: 0.0,
                warmup_steps: 0
            },
            StopperRule::Diverging {
                metric: None,
                goal: None,
                factor: 1.0,
                patience: 3
            },
            StopperRule::BelowBaseline {
                metric: None,
                goal: None,
                baseline: Baseline::Best,
                tolerance: 0.0,
                warmup_steps: 0
            },
            StopperRule::Asha {
                metric: None,
                goal: None,
                min_steps: 1,
                reduction: 3,
                max_steps: None,
                brackets: 1
            },
            StopperRule::Curve {
                metric: None,
                goal: None,
                probability: 0.05,
                max_steps: 50,
                warmup_steps: 2,
                min_trials: 4
            },
            StopperRule::Wilcoxon {
                metric: None,
                goal: None,
                p: 0.1,
                min_steps: 5
            },
        ]
    );
}

#[test]
fn texts_that_other_yaml_readers_change_stay_what_was_written() {
    let text = "
objective: {metric: loss, goal: minimize}
space:
  a: {type: categorical, choices: [no, off, yes, '2', 1, 3.0, 1e-5, true, 1_000, 0x10, 'null']}
trial:
  command: [prog, --version, 1.10, no]
  env: {LIST: no, NUMBER: 010, FLAG: true}
";
    let (raw, spec) = StudyFile::parse(text, "t.yaml").unwrap();
    let word = |text: &str| ParamValue::Text(text.to_owned());
    let choices: Vec<_> = raw
        .space
        .value("a")
        .unwrap()
        .choices
        .clone()
        .unwrap()
        .into_iter()
        .map(|choice| choice.0)
        .collect();
    let expected = [
        word("no"),
        word("off"),
        word("yes"),
        word("2"),
        ParamValue::Int(1),
        ParamValue::Float(3.0),
        ParamValue::Float(1e-5),
        ParamValue::Bool(true),
        word("1_000"),
        ParamValue::Int(16),
        word("null"),
    ];
    assert_eq!(choices, expected);
    let trial = spec.trial.unwrap();
    assert_eq!(trial.command, ["prog", "--version", "1.10", "no"]);
    assert_eq!(
        (
            trial.env["LIST"].as_str(),
            trial.env["NUMBER"].as_str(),
            trial.env["FLAG"].as_str()
        ),
        ("no", "010", "true")
    );
}

#[test]
fn json_is_the_same_study() {
    let (raw, spec) = StudyFile::parse(FULL, "study.yaml").unwrap();
    let json = serde_json::to_string_pretty(&raw).unwrap();
    let (raw_again, spec_again) = StudyFile::parse(&json, "study.json").unwrap();
    assert_eq!(raw_again, raw);
    assert_eq!(spec_again, spec);
    assert_eq!(serde_json::from_str::<RawStudy>(&json).unwrap(), raw);
}

#[test]
fn overrides_change_the_study_and_are_named_in_errors() {
    let with = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        StudyFile::parse_with(&format!("{LEAST}strategy: random\n"), "s.yaml", &arguments)
    };
    let (_, spec) = with(&[
        "budget.trials=10",
        "space.x.low=-1e-3",
        "strategy.seed=5",
        "space.y={type: bool}",
    ])
    .unwrap();
    assert_eq!(spec.budget.trials, Some(10));
    assert_eq!(spec.strategy.seed, 5);
    assert_eq!(spec.strategy.name, StrategyName::Random);
    assert_eq!(
        domain(&spec, "x"),
        &Domain::Float {
            low: -1e-3,
            high: 1.0,
            scale: Scale::Linear,
            step: None
        }
    );
    assert_eq!(domain(&spec, "y"), &Domain::Boolean);
    let error = |argument| with(&[argument]).unwrap_err().to_string();
    assert_eq!(
        error("budget.trails=10"),
        "--set budget.trails=10: unknown key \"trails\" in budget; did you mean \"trials\"?"
    );
    assert_eq!(
        error("budget.trials=0"),
        "--set budget.trials=0: budget.trials: must be at least 1, got 0"
    );
    assert_eq!(
        error("budget.trials=many"),
        "--set budget.trials=many: budget.trials: expected a whole number of at least 0, found the text \"many\""
    );
    assert_eq!(
        error("budget"),
        "--set budget: expected key=value, such as budget.trials=10"
    );
}

#[test]
fn what_is_allowed_but_hardly_meant_is_a_warning() {
    let warnings = |more: &str| parse(&format!("{LEAST}{more}")).warnings();
    assert_eq!(warnings(""), Vec::<String>::new());
    assert_eq!(
        warnings("budget: {trials: 2, parallel: 8}"),
        ["budget.parallel is 8, but there are only 2 trials"]
    );
    assert_eq!(
        warnings("strategy: {name: grid, points: 7}\nbudget: {trials: 5}"),
        ["the grid has 7 points, of which budget.trials allows 5"]
    );
    assert_eq!(
        warnings(
            "trial: {command: [./a b], steps: {max: 5}}\nearly_stopping: [{rule: median, warmup_steps: 5}, {rule: plateau, metric: acc, goal: maximize}]"
        ),
        [
            "early_stopping[0] never judges: it waits for step 5, and trial.steps.max is 5",
            "trial.command[0] is \"./a b\", a program whose name contains a space: no shell splits it into arguments",
        ]
    );
    for (strategy, warning) in [
        (
            "{name: asha, max_steps: 9}",
            "the objective alone decides which trials go on: a bound of a metric in constraints counts for the best trial only",
        ),
        (
            "{name: bohb, max_steps: 9}",
            "the objective alone decides which trials go on: a bound of a metric in constraints counts for the best trial and what the sampler proposes only",
        ),
        (
            "{name: pbt, interval: 3, max_steps: 9}",
            "the objective alone decides which trials are replaced: a bound of a metric in constraints counts for the best trial only",
        ),
    ] {
        let more = "constraints: [{metric: mem_gb, at_most: 16}]\ntrial: {command: [a, '{checkpoint_dir}']}";
        assert_eq!(warnings(&format!("strategy: {strategy}\n{more}")), [warning]);
    }
    let wide: String = (0..5).map(|i| format!("  p{i}: {{type: bool}}\n")).collect();
    assert_eq!(
        parse(&format!("objective: {{metric: loss, goal: minimize}}\nspace:\n{wide}  c: {{type: constant, value: 1}}\nstrategy: grid\n")).warnings(),
        ["a grid over 5 parameters tries few values of each; sobol or random cover such a space better"]
    );
}

#[test]
fn what_a_study_comes_to_is_told_with_what_auto_chooses() {
    let outlook = |space: &str, more: &str| {
        let file = format!("objective: {{metric: loss, goal: minimize}}\nspace: {{{space}}}\n{more}");
        let facts = parse(&file).outlook().into_iter();
        facts
            .map(|(what, fact)| format!("{what}: {fact}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        outlook("n: {type: int, low: 1, high: 6}", "budget: {trials: 9}"),
        [
            "Strategy: auto chose grid in random order: the space has 6 combinations, within the budget of 9 trials",
            "Grid: 6 points",
            "Trials: 6",
        ]
    );
    assert_eq!(
        outlook("x: {type: float, low: 0, high: 1}", "budget: {trials: 9}"),
        [
            "Strategy: auto chose gp: the space has continuous parameters, and it learns most from each trial",
            "Trials: 9",
        ]
    );
    assert_eq!(
        outlook(
            "x: {type: float, low: 0, high: 1}",
            "strategy: tpe\nbudget: {trials: 9}"
        ),
        ["Trials: 9"],
        "nothing was left to choose"
    );
}

#[test]
fn studies_are_named_after_their_files() {
    let name = |file: &str| name_of_file(file).map(|name| name.to_string());
    assert_eq!(name("digits.yaml").as_deref(), Some("digits"));
    assert_eq!(name("/a/b/My Study (2).yml").as_deref(), Some("My-Study--2-"));
    assert_eq!(name("-").as_deref(), None);
    assert_eq!(name(&format!("{}.yaml", "x".repeat(300))).unwrap().len(), 128);
}

#[test]
fn a_stored_study_needs_its_seed() {
    let (raw, _) = StudyFile::parse(LEAST, "s.yaml").unwrap();
    assert_eq!(
        StudySpec::try_from(raw.clone()).unwrap_err().to_string(),
        "strategy.seed: is missing"
    );
    assert_eq!(StudySpec::from_raw(raw, 42).unwrap().strategy.seed, 42);
}

#[test]
fn problems_are_sorted_by_line_and_all_of_them_are_shown() {
    let text = "\
objective: {metric: 'a\\b', goal: minimize}
priority: 0
space:
  x: {type: bool}
budget: {trials: 0,
  target: .nan}
";
    let error = StudyFile::parse(text, "s.yaml").unwrap_err();
    let lines = error.problems.iter().map(|problem| match problem.place {
        Some(Place::File { line, .. }) => line,
        _ => 0,
    });
    assert_eq!(lines.collect::<Vec<_>>(), [1, 2, 5, 6]);
}
