//! Studies of several objectives, as a person uses them.

use super::*;

#[test]
fn of_several_objectives_the_whole_pareto_set_is_printed_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    memory.change_study(|study| {
        study.pareto_set = vec![2, 1];
        study.spec.get_or_insert_default().more_objectives = vec![pb::Objective {
            metric: "ms".to_owned(),
            goal: pb::Goal::Minimize.into(),
            from: String::new(),
        }];
    });
    for (arguments, numbers) in [
        (&["--output", "json"][..], &[2, 1][..]),
        (&["--top", "1", "--output", "json"], &[2]),
    ] {
        let ended = fake
            .run(&[&["study", "best", "digits"], arguments].concat())
            .expect_code(0);
        let list: pb::ListTrialsResponse = serde_json::from_str(&ended.stdout).unwrap();
        let found: Vec<u64> = list.trials.iter().map(|trial| trial.number).collect();
        assert_eq!(found, numbers);
    }
    let ended = fake.run(&["study", "show", "digits"]).expect_code(0);
    assert!(ended.stdout.contains("Pareto set  2 trials"), "{}", ended.stdout);
    fake.run(&[
        "trial", "add", "digits", "lr=0.1", "--value", "0.5", "--value", "ms=-2",
    ])
    .expect_code(0);
    let added = memory.lock().added.last().unwrap().result.clone().unwrap();
    assert_eq!((added.value, added.values.get("ms")), (Some(0.5), Some(&-2.0)));
    let refused = fake
        .run(&["trial", "add", "digits", "--value", "ms=fast"])
        .expect_code(2);
    assert!(refused.stderr.contains("METRIC=NUMBER"), "{}", refused.stderr);
}
