//! Every way in which a study file is known to go wrong, with the whole message that its author sees.

use super::*;

pub(super) fn refusal(text: &str) -> String {
    StudyFile::parse(text, "study.yaml").unwrap_err().to_string()
}

/// The message for a study with this space.
pub(super) fn space(parameters: &str) -> String {
    refusal(&format!(
        "objective: {{metric: loss, goal: minimize}}\nspace:\n{parameters}"
    ))
}

/// The message for the least study and some more.
pub(super) fn with(more: &str) -> String {
    refusal(&format!("{LEAST}{more}"))
}

pub(super) fn assert_all(refuse: impl Fn(&str) -> String, cases: &[(&str, &str)]) {
    for (text, message) in cases {
        assert_eq!(refuse(text), *message, "for {text}");
    }
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_key() {
    let cases = [
        (
            "  lr:\n    type: float\n    low: 0\n    hihg: 1\n",
            "study.yaml:6: unknown key \"hihg\" in space.lr; did you mean \"high\"?",
        ),
        (
            "  lr: {type: float, low: 0, high: 1, lerning_rate: 1}\n",
            "study.yaml:3: unknown key \"lerning_rate\" in space.lr; known are type, low, high, scale, step, choices, value, when",
        ),
    ];
    assert_all(space, &cases);
    let cases = [
        (
            "budgets: {}\n",
            "study.yaml:4: unknown key \"budgets\" at the top level; did you mean \"budget\"?",
        ),
        (
            "trial: {comand: [a]}",
            "study.yaml:4: unknown key \"comand\" in trial; did you mean \"command\"?",
        ),
        (
            "strategy: {nmae: grid}",
            "study.yaml:4: unknown key \"nmae\" in strategy; did you mean \"name\"?",
        ),
        (
            "early_stopping:\n  - {rule: median}\n  - {rule: median, warmup: 3}\n",
            "study.yaml:6: unknown key \"warmup\" in early_stopping[1]; known are rule, metric, goal, shadow, warmup_steps, \
             min_trials, interval, keep, above, below, after_step, patience, min_delta, factor, trial, constant, curve, tolerance, min_steps, reduction, max_steps, brackets, probability, p",
        ),
    ];
    assert_all(with, &cases);
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    let cases = [
        (
            "  lr: {type: float,\n    low: 1e-5x, high: 1}\n",
            "study.yaml:4: space.lr.low: expected a number, found the text \"1e-5x\"",
        ),
        (
            "  lr: {type: float, low: \"1e-5\", high: 1}\n",
            "study.yaml:3: space.lr.low: expected a number, found the text \"1e-5\"; remove the quotes",
        ),
        (
            "  lr: {type: float, low: [1], high: 1}\n",
            "study.yaml:3: space.lr.low: expected a number, found a list",
        ),
        (
            "  lr: 0.1\n",
            "study.yaml:3: space.lr: expected a parameter, such as {type: float, low: 0, high: 1}, found the number 0.1",
        ),
        (
            "  lr: {type: flaot}\n",
            "study.yaml:3: space.lr.type: unknown value \"flaot\"; did you mean \"float\"?",
        ),
        (
            "  lr: {low: 1}\n",
            "study.yaml:3: space.lr: the key \"type\" is missing",
        ),
        (
            "  o: {type: categorical, choices: [a, null]}\n",
            "study.yaml:3: space.o.choices[1]: expected a number, a text, true or false, found nothing",
        ),
        (
            "  o: {type: categorical, choices: sgd}\n",
            "study.yaml:3: space.o.choices: expected a list, found the text \"sgd\"",
        ),
        ("  - lr\n", "study.yaml:2: space: expected a map, found a list"),
    ];
    assert_all(space, &cases);
    let cases = [
        (
            "priority: high",
            "study.yaml:4: priority: expected a whole number from 0 to 4294967295, found the text \"high\"",
        ),
        (
            "budget: {trials: -3}",
            "study.yaml:4: budget.trials: expected a whole number of at least 0, found the number -3",
        ),
        (
            "budget: {trials: 1.5}",
            "study.yaml:4: budget.trials: expected a whole number of at least 0, found the number 1.5",
        ),
        (
            "budget: {wall_time: 4 hours}",
            "study.yaml:4: budget.wall_time: \"4 hours\" is not a duration; write it like \"30s\", \"5m\", \"1h30m\", \"2d\" or as a \
             number of seconds",
        ),
        (
            "budget: {wall_time: -4}",
            "study.yaml:4: budget.wall_time: \"-4\" is not a duration; write it like \"30s\", \"5m\", \"1h30m\", \"2d\" or as a number of seconds",
        ),
        (
            "trial: {command: [a], resources: {memory: 16Gi}}",
            "study.yaml:4: trial.resources.memory: \"16Gi\" is not a size; write it like \"16GiB\", \"500MB\" or as a number of bytes",
        ),
        (
            "trial: {command: python train.py}",
            "study.yaml:4: trial.command: expected a list of the program and its arguments, such as [\"python\", \"train.py\", \
             \"--lr={lr}\"], found the text \"python train.py\"",
        ),
        (
            "trial: {command: [python, {args}]}",
            "study.yaml:4: trial.command[1]: expected a text, found a map; if a placeholder such as {lr} is meant, put it in quotes",
        ),
        (
            "trial: {env: {}}",
            "study.yaml:4: trial: the key \"command\" is missing",
        ),
        (
            "constraints: [[x < 1]]",
            "study.yaml:4: constraints[0]: expected an expression over parameters in quotes, such as \"batch * width <= 16384\", or a \
             bound of a metric, such as {metric: mem_gb, at_most: 16}, found a list",
        ),
        (
            "strategy: annealing",
            "study.yaml:4: strategy: unknown value \"annealing\"; known are auto, manual, grid, random, sobol, gp, tpe, cmaes, evolution, nsga2, asha, hyperband, bohb, pbt, pb2, replay",
        ),
        (
            "strategy: {name: gp, acquisition: logei}",
            "study.yaml:4: strategy.acquisition: unknown value \"logei\"; did you mean \"log_ei\"?",
        ),
        (
            "strategy: {name: soblo}",
            "study.yaml:4: strategy.name: unknown value \"soblo\"; did you mean \"sobol\"?",
        ),
        (
            "early_stopping: [{rule: hyperband}]",
            "study.yaml:4: early_stopping[0].rule: unknown value \"hyperband\"; known are median, percentile, threshold, plateau, \
             diverging, below_baseline, asha, curve, wilcoxon",
        ),
        (
            "early_stopping: [{rule: below_baseline, curve: [[1]]}]",
            "study.yaml:4: early_stopping[0].curve[0]: expected a tuple of size 2, found a list of 1",
        ),
        (
            "early_stopping: [{rule: below_baseline, curve: [[1, 2, 3]]}]",
            "study.yaml:4: early_stopping[0].curve[0]: expected a list of 2, found a list of 3",
        ),
    ];
    assert_all(with, &cases);
    assert_eq!(
        refusal("space: {x: {type: bool}}"),
        "study.yaml:1: the key \"objective\" is missing"
    );
    assert_eq!(
        refusal("space: {x: {type: bool}}\nobjective: {metric: a, goal: min}"),
        "study.yaml:2: objective.goal: unknown value \"min\"; known are minimize, maximize"
    );
    assert_eq!(
        refusal("just text"),
        "study.yaml:1: expected a study: a map with the keys objective and space, found the text \"just text\""
    );
}

#[test]
fn keys_that_belong_to_other_types_are_refused() {
    let cases = [
        (
            "  lr: {type: float, low: 0, high: 1, choices: [1]}\n",
            "study.yaml:3: space.lr.choices: only categorical and ordinal parameters take \"choices\", this one is float",
        ),
        (
            "  o: {type: bool, low: 0}\n",
            "study.yaml:3: space.o.low: only float and int parameters take \"low\", this one is bool",
        ),
        (
            "  o: {type: bool, value: 0}\n",
            "study.yaml:3: space.o.value: only constant parameters take \"value\", this one is bool",
        ),
        (
            "  n: {type: int, low: 0.5, high: 2}\n",
            "study.yaml:3: space.n.low: must be a whole number, got 0.5",
        ),
        (
            "  n: {type: int, low: 0}\n",
            "study.yaml:3: space.n: the key \"high\" is missing",
        ),
        (
            "  c: {type: constant}\n",
            "study.yaml:3: space.c: the key \"value\" is missing",
        ),
        (
            "  c: {type: categorical}\n",
            "study.yaml:3: space.c: the key \"choices\" is missing",
        ),
    ];
    assert_all(space, &cases);
    let cases = [
        (
            "strategy: {name: random, points: 3}",
            "study.yaml:4: strategy.points: only the strategy grid takes \"points\"",
        ),
        (
            "strategy: {name: tpe, acquisition: ei}",
            "study.yaml:4: strategy.acquisition: only the strategy gp takes \"acquisition\"",
        ),
        (
            "early_stopping: [{rule: median, patience: 3}]",
            "study.yaml:4: early_stopping[0].patience: median does not take \"patience\", only plateau or diverging does",
        ),
        (
            "early_stopping: [{rule: below_baseline, trial: 0}]",
            "study.yaml:4: early_stopping[0].trial: must be at least 1, got 0",
        ),
        (
            "early_stopping: [{rule: below_baseline, trial: 1, constant: 2}]",
            "study.yaml:4: early_stopping[0]: takes one of trial, constant and curve, got trial and constant",
        ),
        (
            "early_stopping: [{rule: below_baseline, curve: [[3, 1], [3, 2]]}]",
            "study.yaml:4: early_stopping[0].curve[1]: steps must grow, 3 comes after 3",
        ),
        (
            "early_stopping: [{rule: threshold}]",
            "study.yaml:4: early_stopping[0]: threshold needs \"above\" or \"below\"",
        ),
        (
            "early_stopping: [{rule: percentile, keep: 100}]",
            "study.yaml:4: early_stopping[0].keep: must be between 0 and 100, exclusive, got 100",
        ),
        (
            "early_stopping: [{rule: percentile}]",
            "study.yaml:4: early_stopping[0]: the key \"keep\" is missing: the share of trials that is kept, such as 25",
        ),
        (
            "early_stopping: [{rule: threshold, above: 1, goal: minimize}]",
            "study.yaml:4: early_stopping[0].goal: threshold does not take \"goal\", only median or percentile or plateau or diverging \
             or below_baseline or asha or curve or wilcoxon does",
        ),
    ];
    assert_all(with, &cases);
}

#[test]
fn duplicate_parameters_name_both_lines() {
    assert_eq!(
        space("  lr: {type: bool}\n  x: {type: bool}\n  lr: {type: bool}\n"),
        "study.yaml:5: the key \"lr\" is given twice in space, first on line 3"
    );
    assert_eq!(
        space("  a.b: {type: bool}\n  a-b: {type: bool}\n"),
        "study.yaml:4: space.a-b: becomes the environment variable TUNESMITH_PARAM_A_B like \"a.b\"; rename one"
    );
}

#[test]
fn a_file_of_ten_megabytes_is_refused_by_its_size() {
    let text = format!("{LEAST}message: {}\n", "x".repeat(10_000_000));
    assert_eq!(
        refusal(&text),
        "study.yaml:1: 10000095 bytes are too many; a study file has at most 1048576"
    );
    assert_eq!(
        with(&format!("message: {}", "x".repeat(65_537))),
        "study.yaml:4: message: has 65537 bytes, at most 65536 are kept"
    );
}

#[test]
fn conditions_must_name_an_earlier_parameter() {
    let cases = [
        (
            "  optimizer: {type: categorical, choices: [sgd]}\n  m: {type: bool, when: {optimiser: sgd}}\n",
            "study.yaml:4: space.m.when.optimiser: there is no parameter \"optimiser\"; did you mean \"optimizer\"?",
        ),
        (
            "  m: {type: bool, when: {o: a}}\n  o: {type: categorical, choices: [a]}\n",
            "study.yaml:3: space.m.when.o: \"o\" stands after this parameter; move it before",
        ),
        (
            "  m: {type: bool, when: {m: true}}\n",
            "study.yaml:3: space.m.when.m: a parameter cannot depend on itself",
        ),
        (
            "  a: {type: bool, when: {c: true}}\n  b: {type: bool, when: {a: true}}\n  c: {type: bool, when: {b: true}}\n",
            "study.yaml:3: space.a.when.c: conditions form a cycle: a -> c -> b -> a",
        ),
    ];
    assert_all(space, &cases);
}

#[test]
fn placeholders_must_mean_something() {
    let command = |element: &str| format!("trial:\n  command:\n    - prog\n    - '{element}'\n");
    let cases = [
        (
            command("--x={trail}"),
            "study.yaml:7: trial.command[1]: unknown placeholder {trail}; did you mean {trial}? (column 5)",
        ),
        (
            command("{args} x"),
            "study.yaml:7: trial.command[1]: {args} stands for several arguments and must be an element of the command by itself; \
             use {args:json} within a text (column 1)",
        ),
        (
            command("{x"),
            "study.yaml:7: trial.command[1]: \"{\" begins a placeholder that never ends; write \"{{\" for a brace (column 1)",
        ),
        (
            "trial: {command: [a], env: {A: '{tral}'}}".to_owned(),
            "study.yaml:4: trial.env.A: unknown placeholder {tral}; did you mean {trial}? (column 1)",
        ),
        (
            "trial: {command: [a], workdir: '{trial_dri}'}".to_owned(),
            "study.yaml:4: trial.workdir: unknown placeholder {trial_dri}; did you mean {trial_dir}? (column 1)",
        ),
        (
            "trial: {command: [a], metrics: {file: '{trial_di}'}}".to_owned(),
            "study.yaml:4: trial.metrics.file: unknown placeholder {trial_di}; did you mean {trial_dir}? (column 1)",
        ),
        (
            "trial: {command: []}".to_owned(),
            "study.yaml:4: trial.command: is empty; give the program and its arguments",
        ),
        (
            "trial: {command: ['']}".to_owned(),
            "study.yaml:4: trial.command[0]: is empty; give the program to run",
        ),
        (
            "trial: {command: [\"a\\0b\"]}".to_owned(),
            "study.yaml:4: trial.command[0]: must not contain a NUL character: no command line can carry it",
        ),
        (
            "trial: {command: ['{args}']}".to_owned(),
            "study.yaml:4: trial.command[0]: {args} cannot be the program",
        ),
        (
            "trial: {command: [a], env: {TUNESMITH_SEED: 1}}".to_owned(),
            "study.yaml:4: trial.env.TUNESMITH_SEED: names that begin with TUNESMITH_ are set for each trial and cannot be changed",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(with(&text), message, "for {text}");
    }
}

#[test]
fn contradictory_budgets_are_refused() {
    let cases = [
        (
            "budget: {trials: 0}",
            "study.yaml:4: budget.trials: must be at least 1, got 0",
        ),
        (
            "budget: {parallel: 0}",
            "study.yaml:4: budget.parallel: must be at least 1, got 0",
        ),
        (
            "budget: {failures: 0}",
            "study.yaml:4: budget.failures: must be at least 1, got 0",
        ),
        (
            "budget: {wall_time: 0s}",
            "study.yaml:4: budget.wall_time: must be longer than 0s",
        ),
        (
            "budget: {target: .nan}",
            "study.yaml:4: budget.target: must be finite, got NaN",
        ),
        (
            "budget: {target: high}",
            "study.yaml:4: budget.target: expected a number, found the text \"high\"",
        ),
        (
            "budget: {gpu_hours: 4}",
            "study.yaml:4: budget.gpu_hours: no trial asks for a GPU; add trial.resources.gpus or remove this",
        ),
        (
            "budget: {gpu_hours: -4}\ntrial: {command: [a], resources: {gpus: 1}}",
            "study.yaml:4: budget.gpu_hours: must be above 0 and finite, got -4",
        ),
        (
            "budget: {cost: 0}\ntrial: {command: [a]}",
            "study.yaml:4: budget.cost: must be above 0 and finite, got 0",
        ),
        (
            "budget: {cost: 40}",
            "study.yaml:4: budget.cost: is 40, but only trials that run on workers cost anything; add trial or remove this",
        ),
        (
            "budget: {wall_time: 1h}\ntrial: {command: [a], max_runtime: 90m}",
            "study.yaml:5: trial.max_runtime: 1h30m is longer than the whole study, budget.wall_time is 1h",
        ),
        (
            "priority: 1001",
            "study.yaml:4: priority: must be between 1 and 1000, got 1001",
        ),
    ];
    assert_all(with, &cases);
}

#[test]
fn trials_must_be_runnable() {
    let cases = [
        (
            "retries: 101",
            "study.yaml:4: trial.retries: must be at most 100, got 101",
        ),
        (
            "grace: 2h",
            "study.yaml:4: trial.grace: must be at most 1h, got 2h",
        ),
        (
            "max_runtime: 0",
            "study.yaml:4: trial.max_runtime: must be longer than 0s",
        ),
        (
            "steps: {max: 0}",
            "study.yaml:4: trial.steps.max: must be at least 1, got 0",
        ),
        (
            "resources: {gpus: 2000}",
            "study.yaml:4: trial.resources.gpus: must be at most 1024, got 2000",
        ),
        (
            "resources: {gpu_memory: 1GiB}",
            "study.yaml:4: trial.resources.gpu_memory: no GPU is asked for; add gpus",
        ),
        (
            "resources: {cpus: -1}",
            "study.yaml:4: trial.resources.cpus: must be at least 0 and finite, got -1",
        ),
        (
            "metrics: {stdout: json, file: m}",
            "study.yaml:4: trial.metrics: takes one of stdout, regex and file, got several",
        ),
        (
            "metrics: {stdout: xml}",
            "study.yaml:4: trial.metrics.stdout: unknown value \"xml\"; known are json",
        ),
    ];
    for (keys, message) in cases {
        assert_eq!(with(&format!("trial: {{command: [a], {keys}}}")), message);
    }
    let regex = |pattern: &str| {
        with(&format!(
            "trial: {{command: [a], metrics: {{regex: '{pattern}'}}}}"
        ))
    };
    assert!(regex("(").starts_with(
        "study.yaml:4: trial.metrics.regex: pattern 1 is no usable regular expression: regex parse error"
    ));
    assert!(regex("loss").starts_with("study.yaml:4: trial.metrics.regex: pattern 1 names no metric"));
    assert!(regex(r"(?P<a>\w{1000}{1000})").contains("size limit"));
}

#[test]
fn names_must_be_names() {
    assert_eq!(
        with("name: ../../etc"),
        "study.yaml:4: name: '.' at position 1 is not allowed in a study name; use letters, digits, '.', '_' and '-', first a letter or a digit"
    );
    assert_eq!(
        space("  l r: {type: bool}\n"),
        "study.yaml:3: space.l r: ' ' at position 2 is not allowed in a parameter name; use letters, digits, '.', '_' and '-', \
         first a letter or '_'"
    );
    assert_eq!(
        refusal("objective: {metric: \"a\\nb\", goal: minimize}\nspace: {x: {type: bool}}"),
        "study.yaml:1: objective.metric: '\\n' at position 2 is not allowed in a metric name; use letters, digits, '.', '_', '/', ' ' and '-', \
         first a letter, a digit or '_'"
    );
    assert_eq!(
        refusal("objective: {metric: a, goal: minimize, from: mean of last 0}\nspace: {x: {type: bool}}"),
        "study.yaml:1: objective.from: expected last, best or \"mean of last 3\", found \"mean of last 0\""
    );
    assert_eq!(
        refusal("objective: {metric: a, goal: minimize}\nspace: {}"),
        "study.yaml:2: space: must have at least one parameter"
    );
}

#[test]
fn what_the_space_refuses_has_its_line() {
    let cases = [
        (
            "  lr:\n    type: float\n    low: 2\n    high: 1\n",
            "study.yaml:5: space.lr.low: low = 2.0 is above high = 1.0; exchange them",
        ),
        (
            "  lr: {type: float, low: 0, high: 1, scale: log}\n",
            "study.yaml:3: space.lr.low: scale log needs low > 0, this is 0.0; raise it, or use scale linear",
        ),
        (
            "  o: {type: categorical, choices: []}\n",
            "study.yaml:3: space.o.choices: there is nothing to choose from; give at least one value",
        ),
        (
            "  o: {type: categorical, choices: [a]}\n  m: {type: bool, when: {o: [b]}}\n",
            "study.yaml:4: space.m.when.o: o is never \"b\"; did you mean \"a\"?",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nconstraints: [\"x > 2\"]\n",
            "study.yaml:4: constraints: no point found in 10,000 draws that satisfies all of them; loosen them or the ranges",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nconstraints:\n  - x > 0\n  - 'y < 3'\n",
            "study.yaml:6: constraints[1]: column 1: \"y\" is no parameter; did you mean x?",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nstrategy: {initial: [{x: 2}]}\n",
            "study.yaml:4: strategy.initial[0].x: 2 is too large; give a number from 0.0 to 1.0",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nstrategy: {random_share: 10}\n",
            "study.yaml:4: strategy.random_share: must be from 0 to 1, got 10; 0.1 draws one trial in ten at random",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nstrategy: {history: [other, 'a/b', other]}\n",
            "study.yaml:4: strategy.history[1]: '/' at position 2 is not allowed in a study name; use letters, digits, '.', '_' and '-', first a letter or a digit\n\
             study.yaml:4: strategy.history[2]: \"other\" is named twice; remove one",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nstrategy: {history: study}\n",
            "study.yaml:4: strategy.history[0]: \"study\" is the name of this study, which has no trials before it begins; remove it, or choose another name",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nstrategy: {history: {a: 1}}\n",
            "study.yaml:4: strategy.history: expected a name or a list of names, found a map",
        ),
        (
            "  x: {type: float, low: 0, high: 1}\nparent: ''\n",
            "study.yaml:4: parent: a study name must not be empty",
        ),
    ];
    assert_all(space, &cases);
    let twice = "  a: {type: float, low: 2, high: 1}\n  b: {type: float, low: -1, high: 1, scale: log}\n";
    assert_eq!(
        space(twice),
        "study.yaml:3: space.a.low: low = 2.0 is above high = 1.0; exchange them\n\
         study.yaml:4: space.b.low: scale log needs low > 0, this is -1.0; raise it, or use scale linear"
    );
}
