//! What is written reads back, and nothing that is read panics.

use proptest::prelude::*;

use super::*;

/// Text forms of valid keys that may be combined freely.
fn any_study() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        (-1e6..1e6_f64, 1e-3..1e6_f64)
            .prop_map(|(low, width)| format!("{{type: float, low: {low:?}, high: {:?}}}", low + width)),
        (1e-9..1.0_f64, 2.0..1e6_f64)
            .prop_map(|(low, high)| format!("{{type: float, low: {low:?}, high: {high:?}, scale: log}}")),
        (-1000..1000_i64, 9..1000_i64, 1..9_i64).prop_map(|(low, width, step)| format!(
            "{{type: int, low: {low}, high: {}, step: {step}}}",
            low + width
        )),
        prop::collection::hash_set("[a-z]{1,6}", 1..6).prop_map(|set| {
            let choices: Vec<_> = set.into_iter().map(|choice| format!("'{choice}'")).collect();
            format!("{{type: categorical, choices: [{}]}}", choices.join(", "))
        }),
        prop::collection::btree_set(-50..50_i32, 1..6).prop_map(|set| format!(
            "{{type: ordinal, choices: {:?}}}",
            set.into_iter().collect::<Vec<_>>()
        )),
        Just("{type: bool}".to_owned()),
        any::<i32>().prop_map(|value| format!("{{type: constant, value: {value}}}")),
    ];
    let strategy = prop_oneof![
        Just("random".to_owned()),
        any::<u64>().prop_map(|seed| format!("{{name: sobol, seed: {seed}}}")),
        (any::<bool>(), 1..20_u32)
            .prop_map(|(shuffle, points)| format!("{{name: grid, shuffle: {shuffle}, points: {points}}}")),
        prop::sample::select(vec!["log_ei", "ei", "ucb"])
            .prop_map(|acquisition| format!("{{name: gp, acquisition: {acquisition}}}")),
        (
            prop::sample::select(vec!["asha", "hyperband", "bohb"]),
            prop::sample::select(vec![
                "",
                ", sampler: gp, acquisition: ei",
                ", sampler: tpe",
                ", brackets: 2"
            ]),
            1..3_i64,
            2..5_u32,
        )
            .prop_map(|(name, more, min, reduction)| format!(
                "{{name: {name}, min_steps: {min}, reduction: {reduction}, max_steps: 60{more}}}"
            )),
    ];
    let rule = prop_oneof![
        (0..9_i64, 1..9_u32)
            .prop_map(|(warmup, min)| format!("{{rule: median, warmup_steps: {warmup}, min_trials: {min}}}")),
        Just("{rule: median, metric: loss, goal: minimize}".to_owned()),
        Just("{rule: below_baseline, metric: m, goal: maximize}".to_owned()),
        (0.1..99.9_f64, any::<bool>())
            .prop_map(|(keep, shadow)| format!("{{rule: percentile, keep: {keep:?}, shadow: {shadow}}}")),
        any::<f32>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|above| format!("{{rule: threshold, above: {above:?}}}")),
        (1..99_i64, 0.0..1.0_f64).prop_map(|(patience, delta)| format!(
            "{{rule: plateau, patience: {patience}, min_delta: {delta:?}, warmup_steps: 2}}"
        )),
        (1..9_u32).prop_map(|patience| format!(
            "{{rule: diverging, metric: loss, goal: minimize, patience: {patience}}}"
        )),
        (1..9_u64).prop_map(|trial| format!("{{rule: below_baseline, trial: {trial}, tolerance: 0.5}}")),
        (1..9_i64, 0.0..1.0_f64).prop_map(|(step, value)| format!(
            "{{rule: below_baseline, curve: [[0, 1.5], [{step}, {value:?}]]}}"
        )),
        (1..9_u32, 20..90_i64, 1..9_u32, 0..9_i64).prop_map(|(percent, max, trials, warmup)| format!(
            "{{rule: curve, probability: 0.0{percent}, max_steps: {max}, min_trials: {trials}, warmup_steps: {warmup}}}"
        )),
        (1e-6..0.5_f64).prop_map(|p| format!("{{rule: wilcoxon, p: {p:?}}}")),
        (1..9_i64, 2..5_u32, 40..90_i64, 1..3_u32).prop_map(|(min, reduction, max, brackets)| format!(
            "{{rule: asha, min_steps: {min}, reduction: {reduction}, max_steps: {max}, brackets: {brackets}}}"
        )),
    ];
    let trial = (any::<u32>(), 0..=100_u32, any::<u64>(), 0..64_u32).prop_map(|(seconds, retries, memory, gpus)| {
        format!(
            "{{command: ['a', '{{args}}'], max_runtime: {}, retries: {retries}, resources: {{gpus: {gpus}, memory: {memory}}}}}",
            u64::from(seconds) + 1
        )
    });
    (
        prop::collection::vec(parameter, 1..6),
        strategy,
        prop::collection::vec(rule, 0..4),
        trial,
        prop::option::of(1..99_u64),
        prop::collection::vec((any::<bool>(), -1e3..1e3_f64, 0..3_u32), 0..5),
    )
        .prop_map(|(parameters, strategy, rules, trial, trials, bounds)| {
            let parameters: String = parameters
                .iter()
                .enumerate()
                .map(|(i, p)| format!("  p{i}: {p}\n"))
                .collect();
            let budget = trials
                .map(|trials| format!("budget: {{trials: {trials}}}\n"))
                .unwrap_or_default();
            let bounds: Vec<String> = bounds
                .into_iter()
                .map(|(least, bound, from)| {
                    let key = if least { "at_least" } else { "at_most" };
                    let from = ["last", "best", "mean of last 2"][from as usize];
                    format!("{{metric: mem, {key}: {bound:?}, from: {from}}}")
                })
                .collect();
            // Rungs are for one objective. With several each rule names its metric, which the rules above leave to the one there is.
            let more = if rules.is_empty() && !strategy.contains("max_steps") {
                ", {metric: n, goal: minimize}"
            } else {
                ""
            };
            format!(
                "objective: [{{metric: m, goal: maximize, from: mean of last 3}}{more}]\nspace:\n{parameters}\
                 constraints: [{}]\nstrategy: {strategy}\nearly_stopping: [{}]\n{budget}trial: {trial}\n",
                bounds.join(", "),
                rules.join(", ")
            )
        })
}

#[test]
fn a_full_study_survives_storage() {
    let spec = parse(FULL);
    let raw = RawStudy::from(&spec);
    let json = serde_json::to_string(&raw).unwrap();
    assert_eq!(
        StudySpec::try_from(serde_json::from_str::<RawStudy>(&json).unwrap()).unwrap(),
        spec
    );
}

proptest! {
    /// Checked, written, stored as JSON, read and checked again: the same study.
    #[test]
    fn any_study_survives_storage(text in any_study()) {
        let (written, spec) = StudyFile::parse(&text, "any.yaml").map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let raw = RawStudy::from(&spec);
        let json = serde_json::to_string(&raw).unwrap();
        let read: RawStudy = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &raw);
        prop_assert_eq!(StudySpec::try_from(read).unwrap(), spec.clone());
        let (from_text, spec_again) = StudyFile::parse(&json, "any.json").unwrap();
        prop_assert_eq!(from_text, raw);
        prop_assert_eq!(spec_again, spec);
        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<RawStudy>(&json).unwrap(), written);
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", soup in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        let _ = StudyFile::parse(&text, &text);
        let _ = StudyFile::parse(&soup.concat(), "soup.yaml");
    }

    /// One line of a good study replaced by something else.
    #[test]
    fn no_damaged_study_panics(line in 0_usize..46, junk in "[-a-z0-9.:{}\\[\\]\"', ]{0,30}") {
        let mut lines: Vec<&str> = FULL.lines().collect();
        if let Some(slot) = lines.get_mut(line) {
            *slot = &junk;
        }
        let _ = StudyFile::parse(&lines.join("\n"), "damaged.yaml");
        let _ = StudyFile::parse_with(FULL, "full.yaml", &[junk.clone(), format!("{junk}={junk}"), format!("space.lr.low={junk}")]);
    }
}

/// Pieces of study files.
const WORDS: &[&str] = &[
    "objective: ",
    "{metric: a, goal: minimize}",
    "\n",
    "space:",
    "  x: ",
    "{type: float, ",
    "low: 0, ",
    "high: 1",
    "}",
    "[",
    "]",
    "- ",
    "choices: ",
    "when: ",
    "{x: [1]}",
    "strategy: ",
    "grid",
    "early_stopping: ",
    "{rule: median}",
    "trial: ",
    "command: ",
    "'{args}'",
    "budget: ",
    "1e-5",
    "-1",
    "~",
    "  ",
    ", ",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "|",
    ">",
    "? ",
    "---\n",
    "constraints: ",
    "x < 1",
    "{metric: a, at_most: 1}",
    "[{metric: b, goal: maximize}, ",
];
