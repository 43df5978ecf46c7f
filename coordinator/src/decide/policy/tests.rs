use tunesmith_common::study::StudyFile;
use tunesmith_common::{StudyId, Timestamp};

use super::*;
use crate::decide::{Price, Prices};
use crate::store::{Lineage, StudyState};

const HOUR: Duration = Duration::from_secs(3_600);

fn policy(name: &str, matches: Match, caps: Caps) -> Policy {
    Policy {
        name: name.to_owned(),
        matches,
        caps,
    }
}

fn terms(policies: Vec<Policy>) -> Terms {
    Terms {
        prices: Prices {
            currency: "EUR".to_owned(),
            list: vec![Price::default()],
        },
        policies,
    }
}

/// One policy for every study.
fn capped(caps: Caps) -> Terms {
    terms(vec![policy("guests", Match::default(), caps)])
}

const ALL: Caps = Caps {
    gpu_hours: Some(20.0),
    wall_time: Some(Duration::from_secs(8 * 3_600)),
    cost: Some(50.0),
    trials: Some(100),
    parallel: Some(4),
    max_runtime: Some(Duration::from_secs(4 * 3_600)),
};

fn study(more: &str) -> RawStudy {
    let text = format!(
        "name: s-1\nobjective: {{metric: acc, goal: maximize}}\nspace: {{x: {{type: float, low: 0, high: 1}}}}\n{more}"
    );
    StudyFile::parse(&text, "s.yaml").unwrap().0
}

/// The study as it is created under these terms.
fn governed(
    terms: &Terms,
    creator: &str,
    mut raw: RawStudy,
) -> Result<(RawStudy, Option<ByPolicy>), SpecErrors> {
    let spec = StudySpec::from_raw(raw.clone(), 0).unwrap();
    let policy = terms.govern(&mut raw, &spec, creator)?;
    StudySpec::from_raw(raw.clone(), 0).expect("what a policy sets is a study");
    Ok((raw, policy))
}

/// Keys that are set for this study.
fn sets(terms: &Terms, more: &str) -> Vec<String> {
    governed(terms, "ann", study(more)).unwrap().1.unwrap().sets
}

fn stored(raw: RawStudy, policy: Option<ByPolicy>) -> StudyRow {
    StudyRow {
        id: StudyId(uuid::Uuid::nil()),
        name: "s-1".parse().unwrap(),
        spec: raw,
        lineage: Lineage::default(),
        state: StudyState::Active,
        state_reason: String::new(),
        strategy_note: String::new(),
        active_time: Duration::ZERO,
        gpu_seconds: 0.0,
        cost: 0.0,
        creator: "ann".to_owned(),
        policy,
        created_at: Timestamp::UNIX_EPOCH,
        done_at: None,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn what_a_study_leaves_open_gets_the_limit_of_its_policy_and_the_rest_stays() {
    let more = "budget: {trials: 100, cost: 7}\ntrial: {command: [train], resources: {gpus: 1}}";
    let (raw, policy) = governed(&capped(ALL), "ann", study(more)).unwrap();
    assert_eq!((raw.budget.trials, raw.budget.cost), (Some(100), Some(7.0)));
    assert_eq!((raw.budget.parallel, raw.budget.gpu_hours), (Some(4), Some(20.0)));
    assert_eq!(raw.budget.wall_time, Some(HumanDuration(8 * HOUR)));
    assert_eq!(raw.trial.unwrap().max_runtime, Some(HumanDuration(4 * HOUR)));
    let policy = policy.unwrap();
    assert_eq!(policy.name, "guests");
    assert_eq!(
        policy.sets,
        [
            "budget.parallel",
            "budget.wall_time",
            "budget.gpu_hours",
            "trial.max_runtime"
        ]
    );
}

#[test]
fn limits_that_could_never_be_reached_are_not_set() {
    let of_all = ["budget.trials", "budget.parallel", "budget.wall_time"];
    assert_eq!(sets(&capped(ALL), ""), of_all, "asked and told");
    let without_gpus = sets(&capped(ALL), "trial: {command: [train]}");
    assert_eq!(without_gpus[3..], ["budget.cost", "trial.max_runtime"]);
}

#[test]
fn asking_for_more_is_refused_with_field_value_policy_and_remedy_all_at_once() {
    let more = "budget: {trials: 101, parallel: 5, wall_time: 9h, gpu_hours: 20.5, cost: 50.01}\n\
                trial: {command: [train], resources: {gpus: 1}, max_runtime: 5h}";
    let SpecErrors(errors) = governed(&capped(ALL), "ann", study(more)).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let told = [
        "budget.trials: is 101, but the policy \"guests\" has max_trials = 100;",
        "budget.parallel: is 5, but the policy \"guests\" has max_parallel = 4;",
        "budget.wall_time: is 9h, but the policy \"guests\" has max_wall_time = 8h;",
        "budget.gpu_hours: is 20.5, but the policy \"guests\" has max_gpu_hours = 20;",
        "budget.cost: is 50.01, but the policy \"guests\" has max_cost = 50;",
        "trial.max_runtime: is 5h, but the policy \"guests\" has max_runtime = 4h;",
    ];
    assert_eq!(texts.len(), told.len(), "{texts:#?}");
    for (text, told) in texts.iter().zip(told) {
        assert!(text.starts_with(told), "{text} is not {told}");
        assert!(
            text.ends_with(
                "; ask for no more, leave it out to get what the policy gives, or have whoever runs the coordinator change the policy"
            ),
            "{text}"
        );
    }
}

#[test]
fn a_trial_is_never_longer_than_the_study_that_a_policy_allows() {
    let short = "budget: {wall_time: 1h}\ntrial: {command: [train]}";
    let (raw, _) = governed(&capped(ALL), "ann", study(short)).unwrap();
    assert_eq!(raw.trial.unwrap().max_runtime, Some(HumanDuration(HOUR)));
    let caps = Caps {
        wall_time: Some(HOUR),
        ..Caps::default()
    };
    let long = study("trial: {command: [train], max_runtime: 2h}");
    let SpecErrors(errors) = governed(&capped(caps), "ann", long).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .starts_with("trial.max_runtime: is 2h, but the policy \"guests\" has max_wall_time = 1h;"),
        "{errors:?}"
    );
}

#[test]
fn the_first_policy_that_fits_counts_and_all_that_it_names_must_be_true() {
    let only = |trials| Caps {
        trials: Some(trials),
        ..Caps::default()
    };
    let of = |creators: &[&str], name_prefix: &str, labels: &[(&str, &str)]| Match {
        creators: creators.iter().map(|&name| name.to_owned()).collect(),
        name_prefix: name_prefix.to_owned(),
        labels: labels
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    };
    let terms = terms(vec![
        policy("admins", of(&["root"], "", &[]), Caps::default()),
        policy("both", of(&["ann", "kim"], "s-", &[("gpu", "h100")]), only(1)),
        policy("creators", of(&["ann"], "", &[]), only(2)),
        policy("names", of(&[], "s-", &[]), only(3)),
    ]);
    let h100 = "trial: {command: [train], resources: {labels: {gpu: h100, zone: a}}}";
    let cases = [
        ("root", h100, Some("admins"), None),
        ("ann", h100, Some("both"), Some(1)),
        ("kim", h100, Some("both"), Some(1)),
        ("ann", "", Some("creators"), Some(2)),
        ("kim", "", Some("names"), Some(3)),
        ("kim", "name: other", None, None),
    ];
    for (creator, more, expected, trials) in cases {
        let mut raw = study(if more.starts_with("name") { "" } else { more });
        if more.starts_with("name") {
            raw.name = Some("other".to_owned());
        }
        let (raw, policy) = governed(&terms, creator, raw).unwrap();
        assert_eq!(
            (
                policy.as_ref().map(|policy| policy.name.as_str()),
                raw.budget.trials
            ),
            (expected, trials),
            "{creator} {more}"
        );
    }
}

#[test]
fn an_edit_is_held_to_the_policy_of_whoever_made_the_study_and_knows_what_the_policy_had_set() {
    let terms = capped(ALL);
    let more = "trial: {command: [train], max_runtime: 1h}";
    let (raw, policy) = governed(&terms, "ann", study(more)).unwrap();
    let row = stored(raw.clone(), policy);
    let edit = |change: &dyn Fn(&mut RawStudy)| {
        let mut raw = raw.clone();
        change(&mut raw);
        let spec = StudySpec::from_raw(raw.clone(), 0).unwrap();
        let policy = terms.govern_edit(&mut raw, &spec, &row, false)?;
        Ok::<_, SpecErrors>((raw, policy.unwrap().sets))
    };
    // Sent back as it was shown, with one other change.
    let (_, sets) = edit(&|raw| raw.budget.trials = Some(9)).unwrap();
    assert_eq!(sets, ["budget.parallel", "budget.wall_time", "budget.cost"]);
    // Left out.
    let (raw, sets) = edit(&|raw| raw.budget = tunesmith_common::study::RawBudget::default()).unwrap();
    assert_eq!((raw.budget.cost, sets.len()), (Some(50.0), 4));
    assert!(edit(&|raw| raw.budget.cost = Some(51.0)).is_err());
    // What is not edited is no reason to refuse an edit.
    let long = |raw: &mut RawStudy| raw.trial.as_mut().unwrap().max_runtime = Some(HumanDuration(5 * HOUR));
    assert!(edit(&long).is_ok());
    let mut raw = row.spec.clone();
    long(&mut raw);
    let spec = StudySpec::from_raw(raw.clone(), 0).unwrap();
    let refused = terms.govern_edit(&mut raw, &spec, &row, true).unwrap_err();
    assert_eq!(refused.0[0].path, "trial.max_runtime");
}
