use tunesmith_optimizer::Proposal;

use super::*;

fn session(more: &Value) -> Session {
    let mut init = json!({
        "space": [{"name": "x", "kind": "float", "lo": 0, "hi": 1}],
        "strategy": {"name": "asha", "sampler": "random"},
        "steps": 50,
        "from": "mean of last 2",
    });
    for (key, value) in more.as_object().unwrap() {
        init[key] = value.clone();
    }
    Session::new(&init).unwrap()
}

/// Asks for a new trial and trains it to a rung; the answer to its last report.
fn train(session: &mut Session, values: &[f64]) -> (u64, Value) {
    let asked = session.ask().unwrap();
    assert!(asked["params"]["x"].is_number(), "{asked}");
    let id = asked["id"].as_u64().unwrap();
    let answers = (1..)
        .zip(values)
        .map(|(step, value)| report(session, id, step, *value));
    (id, answers.last().unwrap())
}

fn report(session: &mut Session, id: u64, step: i64, value: f64) -> Value {
    let request = json!({"id": id, "step": step, "value": value});
    session.report(&request).unwrap()
}

fn rest(session: &mut Session, id: u64) {
    session.rest(&json!({"id": id})).unwrap();
}

fn train_and_rest(session: &mut Session, value: f64) -> u64 {
    let (id, answer) = train(session, &[value]);
    assert_eq!(answer, json!({"stop": false, "pause": true}), "trial {id}");
    rest(session, id);
    id
}

#[test]
fn trials_rest_at_the_first_rung_and_the_best_goes_on_from_there() {
    let mut session = session(&json!({}));
    for value in [0.5, 0.4, 0.6] {
        train_and_rest(&mut session, value);
    }
    assert_eq!(session.ask().unwrap(), json!({"id": 2, "resume": 1}));
    assert_eq!(session.ask().unwrap()["id"], 4, "one of three goes on");
}

#[test]
fn a_trial_that_is_among_the_best_as_it_reaches_a_rung_does_not_pause() {
    let mut session = session(&json!({}));
    for value in [0.5, 0.4] {
        train_and_rest(&mut session, value);
    }
    assert_eq!(
        train(&mut session, &[0.3]).1,
        json!({"stop": false, "pause": false})
    );
    assert_eq!(session.ask().unwrap()["id"], 4);
}

#[test]
fn a_trial_goes_on_only_once_it_has_paused() {
    let mut session = session(&json!({}));
    train_and_rest(&mut session, 0.5);
    let (second, answer) = train(&mut session, &[0.4]);
    assert_eq!(answer["pause"], true);
    train_and_rest(&mut session, 0.6);
    assert_eq!(session.ask().unwrap()["id"], 4);
    rest(&mut session, second);
    assert_eq!(session.ask().unwrap(), json!({"id": 2, "resume": 1}));
    assert!(session.rest(&json!({"id": 2})).is_err(), "it trains");
}

#[test]
fn a_trial_that_comes_to_another_rung_before_it_has_paused_rests_there() {
    let mut session = session(&json!({}));
    for value in [0.5, 0.4] {
        train_and_rest(&mut session, value);
    }
    let (third, answer) = train(&mut session, &[0.6]);
    assert_eq!(answer["pause"], true);
    for step in [2, 3] {
        assert_eq!(
            report(&mut session, third, step, 0.6)["pause"],
            false,
            "it is told once"
        );
    }
    rest(&mut session, third);
    assert_eq!(session.ask().unwrap(), json!({"id": 2, "resume": 1}));
    let rungs = &session.promotions.as_ref().unwrap().view()[0];
    assert_eq!((rungs[0].resting, rungs[1].resting), (1, 1));
}

#[test]
fn the_strategy_learns_what_a_trial_has_come_to_at_each_rung_and_in_the_end() {
    let mut session = session(&json!({}));
    for value in [0.5, 0.4] {
        train_and_rest(&mut session, value);
    }
    let (id, answer) = train(&mut session, &[0.3, 0.2, 0.1]);
    assert_eq!(answer["pause"], true, "nobody else has come to the second rung");
    rest(&mut session, id);
    session.tell(&json!({"id": id, "value": 0.1})).unwrap();
    let seen: Vec<_> = session
        .finished
        .iter()
        .filter(|seen| seen.trial.0 == id)
        .map(|seen| (seen.value.unwrap(), seen.last_step, seen.partial))
        .collect();
    let mean = f64::midpoint(0.2, 0.1);
    assert_eq!(
        seen,
        [(0.3, Some(1), true), (mean, Some(3), true), (0.1, Some(3), false)]
    );
}

#[test]
fn where_nothing_else_is_left_the_one_that_has_come_furthest_is_trained_to_the_end() {
    let mut session = session(&json!({"budget": 2}));
    let first = train_and_rest(&mut session, 0.4);
    train_and_rest(&mut session, 0.5);
    assert_eq!(session.ask().unwrap(), json!({"id": first, "resume": 1}));
    let answers = (2..=49).map(|step| report(&mut session, first, step, 0.4));
    assert!(answers.into_iter().all(|answer| answer["pause"] == false));
    report(&mut session, first, 50, 0.4);
    session.tell(&json!({"id": first, "value": 0.4})).unwrap();
    assert_eq!(session.ask().unwrap(), json!({"id": null}), "one was");
}

#[test]
fn a_trial_that_a_rule_stops_is_not_told_to_pause() {
    let rules = json!([{"rule": "threshold", "above": 0.5}]);
    let mut session = session(&json!({"early_stopping": rules}));
    assert_eq!(
        train(&mut session, &[0.6]).1,
        json!({"stop": true, "pause": false})
    );
}

/// Asks and tells, with two trials under way at a time, until there is nothing more or `most` trials have ended; the points.
fn drive(init: &Value, most: usize) -> Vec<Value> {
    let mut session = Session::new(init).unwrap();
    let (mut points, mut running) = (Vec::new(), Vec::new());
    while points.len() < most {
        let asked = session.ask().unwrap();
        if asked["id"].is_null() {
            break;
        }
        points.push(asked["params"].clone());
        running.push(asked);
        if let [oldest, _] = &running[..] {
            let x = oldest["params"]["x"].as_f64().unwrap();
            // One in a while fails.
            let value = (points.len() % 5 != 4).then(|| (x - 0.3).powi(2));
            let mut told = json!({"id": oldest["id"], "value": value});
            if init["objectives"] == 2 {
                told["values"] = json!([value, x]);
                told["violations"] = json!([0.5 - x]);
            }
            session.tell(&told).unwrap();
            running.remove(0);
        }
    }
    points
}

fn space() -> Value {
    json!([
        {"name": "kind", "kind": "cat", "choices": ["a", "b"]},
        {"name": "x", "kind": "float", "lo": 1e-3, "hi": 1, "log": true},
        {"name": "n", "kind": "int", "lo": 1, "hi": 4, "cond": ["kind", ["a"]]},
    ])
}

#[test]
fn every_strategy_that_proposes_is_driven() {
    let of_one_objective = [
        "auto",
        "random",
        "sobol",
        "gp",
        "gp-ei",
        "gp-ucb",
        "tpe",
        "cmaes",
        "evolution",
    ];
    let objectives = of_one_objective.map(|name| (name, 1));
    for (algorithm, objectives) in objectives.into_iter().chain([("nsga2", 2), ("gp", 2)]) {
        let init = json!({
            "space": space(), "algorithm": algorithm, "objectives": objectives, "constraints": objectives - 1, "seed": 7,
        });
        let points = drive(&init, 24);
        assert_eq!(points.len(), 24, "{algorithm}");
        for point in &points {
            assert_eq!(point["n"].is_null(), point["kind"] == "b", "{algorithm}: {point}");
        }
        assert_eq!(drive(&init, 24), points, "{algorithm} says the same again");
    }
}

#[test]
fn every_schedule_and_sampler_is_driven() {
    for strategy in ["asha", "hyperband", "bohb"] {
        for sampler in ["random", "sobol", "tpe", "gp"] {
            let drive = || {
                let mut session = session(&json!({
                    "space": space(), "strategy": {"name": strategy, "sampler": sampler}, "steps": 9, "from": "last", "seed": 3, "budget": 40,
                }));
                let (mut points, mut resumed) = (Vec::new(), 0);
                let mut at: BTreeMap<u64, (f64, i64)> = BTreeMap::new();
                loop {
                    let asked = session.ask().unwrap();
                    let Some(id) = asked["id"].as_u64() else { break };
                    if let Some(x) = asked["params"]["x"].as_f64() {
                        at.insert(id, (x, 0));
                        points.push(x);
                    } else {
                        assert_eq!(asked["resume"], at[&id].1, "{strategy} of {sampler}");
                        resumed += 1;
                    }
                    let (x, step) = at.get_mut(&id).unwrap();
                    loop {
                        *step += 1;
                        let value = (*x - 0.3).powi(2) + 1.0 / *step as f64;
                        if report(&mut session, id, *step, value)["pause"] == true {
                            rest(&mut session, id);
                            break;
                        }
                        if *step == 9 {
                            session.tell(&json!({"id": id, "value": value})).unwrap();
                            break;
                        }
                    }
                }
                assert!(
                    points.len() >= 40 && resumed > 0,
                    "{strategy} of {sampler}: {points:?}, {resumed}"
                );
                points
            };
            assert_eq!(drive(), drive(), "{strategy} of {sampler} says the same again");
        }
    }
}

#[test]
fn a_grid_ends_and_a_study_of_manual_trials_has_none() {
    let grid = json!({"name": "grid", "points": 3});
    let points = drive(&json!({"space": space(), "strategy": grid}), 100);
    assert_eq!(points.len(), 3 * 3 + 3, "{points:?}");
    assert_eq!(
        drive(&json!({"space": space(), "algorithm": "manual"}), 100),
        [Value::Null; 0]
    );
}

#[test]
fn a_strategy_that_is_not_to_be_had_is_refused_by_name() {
    for (more, expected) in [
        (json!({"algorithm": "gps"}), r#""gps"; did you mean "gp"?"#),
        (json!({"algorithm": 3}), "algorithm is 3, which is no name"),
        (
            json!({"strategy": {"name": "grid", "initial": [{"x": 0.5}]}}),
            "strategy.initial is not spoken of here",
        ),
    ] {
        let mut init = json!({"space": space()});
        init.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let why = format!("{:#}", Session::new(&init).err().unwrap());
        assert!(why.contains(expected), "{why}");
    }
}

/// A strategy whose model cannot be fitted.
#[derive(Debug)]
struct Unfit;

impl SearchStrategy for Unfit {
    fn name(&self) -> &'static str {
        "unfit"
    }

    fn propose(&self, _: &StudyView<'_>, _: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        Err(StrategyError::Fit {
            reason: "no hyperparameters fit".to_owned(),
        })
    }
}

#[test]
fn where_no_model_can_be_fitted_a_point_is_drawn_at_random() {
    let request = json!({
        "space": [{"name": "x", "kind": "float", "lo": 0.0, "hi": 1.0, "log": false}], "algorithm": "random", "seed": 1,
    });
    let mut session = Session::new(&request).unwrap();
    session.strategy = Box::new(Unfit);
    let points: Vec<Value> = (0..3)
        .map(|_| session.ask().unwrap()["params"]["x"].take())
        .collect();
    assert!(points.iter().all(Value::is_f64) && points[0] != points[1] && points[1] != points[2]);
}

#[test]
fn what_is_no_number_is_told_in_json_or_as_many_programs_write_it() {
    for word in ["null", "NaN", "Infinity", "-Infinity"] {
        let request = read(&format!(r#"{{"op": "tell", "id": 1, "value": {word}}}"#)).unwrap();
        assert_eq!(request, json!({"op": "tell", "id": 1, "value": null}));
    }
    let named = r#"{"op": "tell", "id": "NaN", "value": 1}"#;
    assert_eq!(read(named).unwrap()["id"], "NaN");
    assert!(
        read(r#"{"op": NaM}"#)
            .unwrap_err()
            .to_string()
            .contains("column 8")
    );
}
