//! Studies that look more closely at a part of another one's space.

use super::*;
use crate::space::Narrowing;

fn texts(values: &[&str]) -> Narrowing {
    Narrowing::Choices(
        values
            .iter()
            .map(|text| ParamValue::Text((*text).to_owned()))
            .collect(),
    )
}

fn range(low: f64, high: f64) -> Narrowing {
    Narrowing::Range {
        low: Some(ParamValue::Float(low)),
        high: Some(ParamValue::Float(high)),
    }
}

fn zoom(spec: &StudySpec, narrowings: &[(&str, Narrowing)]) -> Result<(StudySpec, Vec<String>), String> {
    let narrowings: Vec<(String, Narrowing)> = narrowings
        .iter()
        .map(|(name, narrowing)| ((*name).to_owned(), narrowing.clone()))
        .collect();
    let zoomed = spec
        .zoom(&"closer".parse().unwrap(), &narrowings)
        .map_err(|errors| errors.to_string())?;
    // What comes out is a study file that says the same.
    let text = serde_json::to_string(&zoomed.study).unwrap();
    let (raw, read) = StudyFile::parse(&text, "closer.json").unwrap();
    assert_eq!(raw, zoomed.study);
    Ok((read, zoomed.notes))
}

#[test]
fn what_is_narrowed_keeps_its_kind_and_the_rest_stays() {
    let spec = parse(FULL);
    let (closer, notes) = zoom(
        &spec,
        &[
            ("lr", range(1e-4, 1e-2)),
            (
                "width",
                Narrowing::Choices(vec![ParamValue::Int(256), ParamValue::Float(64.0)]),
            ),
            ("dropout", range(0.1, 0.3)),
            (
                "batch",
                Narrowing::Range {
                    low: None,
                    high: Some(ParamValue::Int(64)),
                },
            ),
        ],
    )
    .unwrap();
    let domain = |name: &str| {
        closer.space.parameters()[closer.space.index_of(name).unwrap()]
            .domain
            .clone()
    };
    let (low, high, scale) = (1e-4, 1e-2, Scale::Log);
    assert_eq!(
        domain("lr"),
        Domain::Float {
            low,
            high,
            scale,
            step: None
        }
    );
    let (scale, step) = (Scale::Log2, 1);
    assert_eq!(
        domain("batch"),
        Domain::Int {
            low: 4,
            high: 64,
            scale,
            step
        }
    );
    let choices = vec![ParamValue::Int(64), ParamValue::Int(256)];
    assert_eq!(domain("width"), Domain::Ordinal { choices });
    let (low, high, scale, step) = (0.1, 0.3, Scale::Linear, Some(0.1));
    assert_eq!(
        domain("dropout"),
        Domain::Float {
            low,
            high,
            scale,
            step
        }
    );
    assert_eq!(domain("momentum"), spec.space.parameters()[3].domain);
    assert_eq!((closer.name.as_str(), closer.message.as_str()), ("closer", ""));
    assert_eq!(closer.parent.as_ref(), Some(&spec.name));
    let history: Vec<&str> = closer.strategy.history.iter().map(StudyName::as_str).collect();
    assert_eq!(history, ["digits-mlp", "digits", "digits-wide"]);
    assert!(closer.strategy.initial.is_empty());
    assert_eq!(closer.strategy.name, spec.strategy.name);
    assert_eq!((&closer.budget, &closer.trial), (&spec.budget, &spec.trial));
    assert_eq!(closer.early_stopping.len(), spec.early_stopping.len() - 1);
    assert_eq!(
        notes,
        ["the rule below_baseline that compares with trial 3 of digits-mlp is left out"]
    );
}

#[test]
fn a_parameter_that_can_no_longer_be_active_is_left_out_with_what_mentions_it() {
    let text = FULL
        .replace(
            "batch * width <= 16384\"",
            "batch * width <= 16384\", \"momentum * lr < 1\"",
        )
        .replace("\"--out={checkpoint_dir}\"", "\"--momentum={momentum}\"");
    let (closer, notes) = zoom(&parse(&text), &[("optimizer", texts(&["adam"]))]).unwrap();
    let names: Vec<&str> = closer
        .space
        .parameters()
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["lr", "batch", "optimizer", "width", "dropout", "epochs"]);
    let adam = ParamValue::Text("adam".to_owned());
    assert_eq!(closer.space.parameters()[2].domain, Domain::Constant(adam));
    let constraints: Vec<&str> = closer.space.constraints().iter().map(|c| c.text()).collect();
    assert_eq!(constraints, ["batch * width <= 16384"]);
    let trial = closer.trial.unwrap();
    assert_eq!(
        trial.command,
        ["python", "train.py", "--lr={lr}", "--batch={batch}", "{args}"]
    );
    assert_eq!(trial.env["MOMENTUM"], "");
    assert_eq!(
        notes[..2],
        [
            "momentum is left out, since optimizer no longer has a value with which it exists",
            "nesterov is left out, since optimizer no longer has a value with which it exists"
        ]
    );
    // With the only optimizer that has a momentum, it always exists.
    let (closer, _) = zoom(
        &parse(FULL),
        &[
            ("optimizer", texts(&["sgd"])),
            ("nesterov", Narrowing::Choices(vec![ParamValue::Bool(true)])),
        ],
    )
    .unwrap();
    assert!(closer.space.parameters().iter().all(|p| p.conditions.is_empty()));
    assert_eq!(
        closer.space.parameters()[6].domain,
        Domain::Constant(ParamValue::Bool(true))
    );
}

#[test]
fn what_cannot_be_narrowed_so_is_refused_with_the_remedy() {
    let spec = parse(FULL);
    for (name, narrowing, message) in [
        (
            "lrr",
            range(0.1, 0.2),
            "ranges.lrr: no such parameter in the search space; did you mean lr?",
        ),
        (
            "lr",
            range(0.2, 0.1),
            "ranges.lr: 0.2 is above 0.1; exchange them",
        ),
        ("lr", texts(&["a"]), "ranges.lr: a is no number, but it is float"),
        (
            "lr",
            Narrowing::Choices(vec![ParamValue::Int(1), ParamValue::Int(2)]),
            "ranges.lr: takes a range or one value, since it is float; give a low and a high bound",
        ),
        (
            "optimizer",
            texts(&["adam", "lion"]),
            "ranges.optimizer: lion is not among its values, sgd, adam",
        ),
        (
            "optimizer",
            texts(&[]),
            "ranges.optimizer: has no values left; give at least one",
        ),
        (
            "optimizer",
            range(0.0, 1.0),
            "ranges.optimizer: takes values and no range, since it is categorical; give some of sgd, adam",
        ),
        (
            "width",
            Narrowing::Range {
                low: Some(ParamValue::Int(256)),
                high: Some(ParamValue::Int(32)),
            },
            "ranges.width: has no values left; give at least one",
        ),
        (
            "epochs",
            texts(&["51"]),
            "ranges.epochs: 51 is not among its values, 50",
        ),
        ("batch", range(5.0, 64.0), "space.batch.low: "),
    ] {
        let error = zoom(&spec, &[(name, narrowing)]).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    let twice = zoom(&spec, &[("lr", range(0.01, 0.1)), ("lr", range(0.01, 0.1))]);
    assert_eq!(twice, Err("ranges.lr: is given twice; give one range".to_owned()));
}

#[test]
fn the_box_around_some_points_has_them_and_a_margin() {
    let spec = parse(FULL);
    let point = |text: &str| {
        let values: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).unwrap();
        let params = values
            .into_iter()
            .map(|(name, value)| {
                (
                    name.parse().unwrap(),
                    serde_json::from_value::<RawValue>(value).unwrap().0,
                )
            })
            .collect();
        spec.space.encode(&spec.space.normalize(params).unwrap()).unwrap()
    };
    let one = point(r#"{"lr": 0.001, "batch": 32, "optimizer": "adam", "width": 128, "dropout": 0.2}"#);
    let other = point(
        r#"{"lr": 0.002, "batch": 32, "optimizer": "sgd", "width": 128, "dropout": 0.5, "momentum": 0.9, "nesterov": true}"#,
    );
    let around = |points: &[&[f64]], margin: f64| {
        let narrowings = spec.space.around(points, margin);
        let named = spec.space.parameters().iter().map(|p| p.name.as_str());
        let given: Vec<(&str, Narrowing)> = named
            .zip(narrowings)
            .filter_map(|(name, n)| Some((name, n?)))
            .collect();
        let (closer, _) = zoom(&spec, &given).unwrap();
        for point in points {
            let params = spec.space.decode(point);
            let known = params
                .iter()
                .filter(|(name, _)| closer.space.index_of(name.as_str()).is_some())
                .map(|(name, value)| (name.clone(), value.clone()));
            closer.space.check(&known.collect()).unwrap();
        }
        given
            .into_iter()
            .map(|(name, n)| (name.to_owned(), n))
            .collect::<std::collections::HashMap<_, _>>()
    };
    let found = around(&[&one, &other], 0.1);
    assert_eq!(
        found["lr"],
        Narrowing::Range {
            low: Some(ParamValue::Float(0.000398)),
            high: Some(ParamValue::Float(0.00503))
        },
        "a tenth of four decades on each side, to three digits"
    );
    assert_eq!(
        found["batch"],
        Narrowing::Range {
            low: Some(ParamValue::Int(16)),
            high: Some(ParamValue::Int(64))
        }
    );
    assert!(!found.contains_key("optimizer"), "both occur");
    assert_eq!(
        found["width"],
        Narrowing::Choices([64, 128, 256].map(ParamValue::Int).into())
    );
    assert_eq!(
        found["dropout"],
        Narrowing::Range {
            low: Some(ParamValue::Float(0.1)),
            high: Some(ParamValue::Float(0.5))
        }
    );
    assert_eq!(
        found["nesterov"],
        Narrowing::Choices(vec![ParamValue::Bool(true)]),
        "of those that have it"
    );
    assert!(!found.contains_key("epochs"));
    // Rounding does not lead out of the range.
    let text =
        "objective: {metric: a, goal: minimize}\nspace: {x: {type: float, low: 0.1235, high: 0.9876}}\n";
    let narrow = parse(text).space;
    assert_eq!(
        narrow.around(&[&[0.2]], 0.1999),
        [Some(Narrowing::Range {
            low: Some(ParamValue::Float(0.1235)),
            high: Some(ParamValue::Float(0.47))
        })]
    );
    let found = around(&[&one], 0.0);
    assert_eq!(found["optimizer"], texts(&["adam"]));
    assert_eq!(found["width"], Narrowing::Choices(vec![ParamValue::Int(128)]));
    assert!(!found.contains_key("momentum"), "no point has it");
    assert!(around(&[&one], 1.0).keys().all(|name| name == "optimizer"));
}

fn with_strategy(strategy: &str) -> StudySpec {
    parse(&format!(
        "objective: {{metric: loss, goal: minimize}}
space:
  lr: {{type: float, low: 0.001, high: 1, scale: log}}
  momentum: {{type: float, low: 0, high: 1}}
  kind: {{type: categorical, choices: [x, y]}}
strategy: {strategy}
"
    ))
}

#[test]
fn a_population_goes_on_varying_what_still_can() {
    let still = range(0.5, 0.5);
    for vary in ["", ", vary: [momentum, lr]"] {
        let spec = with_strategy(&format!("{{name: pbt, interval: 5, max_steps: 50{vary}}}"));
        let (closer, notes) = zoom(&spec, &[("momentum", still.clone())]).unwrap();
        let Some(Schedule::Population(population)) = closer.strategy.schedule else {
            panic!("{:?}", closer.strategy)
        };
        let varies: Vec<&str> = population.vary.iter().map(|name| name.as_str()).collect();
        let expected = if vary.is_empty() {
            vec!["lr", "kind"]
        } else {
            vec!["lr"]
        };
        assert_eq!(varies, expected);
        assert_eq!(notes, ["momentum no longer varies while a training goes on"]);
    }
    // Not all the others instead.
    let spec = with_strategy("{name: pbt, interval: 5, max_steps: 50, vary: [momentum]}");
    assert_eq!(
        zoom(&spec, &[("momentum", still)]).unwrap_err(),
        "ranges: leave no values to vary while a training goes on: strategy.vary is momentum; leave one of these a range"
    );
}

#[test]
fn a_study_that_repeats_one_training_is_refused() {
    let spec = with_strategy(
        "{name: replay, segments: [{until: 5, parameters: {lr: 0.1, momentum: 0, kind: x}}, {until: 9, parameters: {lr: 0.2, momentum: 0, kind: x}}]}",
    );
    assert_eq!(
        zoom(&spec, &[]).unwrap_err(),
        "name: is a study that repeats one training, in which there is nothing to look at more closely; name another study"
    );
}
