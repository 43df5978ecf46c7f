//! `tunesmith study zoom`: a study in a part of another one's space.

use pbjson_types::Value;
use tunesmith_proto::convert::study::from_wire;
use tunesmith_proto::v1 as pb;

use super::run;
use super::trial::parse_value;
use crate::args::ZoomArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::human;
use crate::study_file;

pub(super) async fn zoom(args: ZoomArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let request = pb::PlanZoomRequest {
        name: args.study.resource(),
        study: args.name.clone().unwrap_or_default(),
        best: args.best.unwrap_or_default(),
        around_trial: args.around.unwrap_or_default(),
        margin: args.margin,
        ranges: args
            .ranges
            .iter()
            .map(|word| range(word))
            .collect::<Result<_, _>>()?,
    };
    let doing = format!("zoom into study \"{}\"", args.study.0);
    let plan = client
        .plan_zoom(request, &doing)
        .await
        .map_err(|error| match error {
            taken @ CliError::NameTaken { .. } => taken.hint("choose another with --name"),
            other => other,
        })?;
    let around = match plan.trials.as_slice() {
        [] => String::new(),
        [one] => format!(" around trial {one}"),
        several => format!(" around its trials {}", listed(several)),
    };
    context.screen.message(&format!(
        "A part of study {}{around}; {} lie in it, {} do not.",
        args.study.0,
        human::plural(plan.taken, "trial"),
        human::count(plan.left_out)
    ));
    for note in &plan.notes {
        context.screen.warning(&human::clean(note));
    }
    let spec = plan.spec.unwrap_or_default();
    let name = spec.name.clone();
    let spec = study_file::change(spec, &args.set, &name)?;
    if args.print {
        let unreadable = |error: &dyn std::fmt::Display| {
            CliError::usage(format!("no study file: {error}"), "use the same version")
        };
        let raw = from_wire(spec).map_err(|error| unreadable(&error))?;
        let mut text = serde_json::to_string_pretty(&raw).map_err(|error| unreadable(&error))?;
        text.push('\n');
        return context.screen.out_bytes(text.as_bytes());
    }
    let response = Box::pin(run::submit(&client, spec, "choose another with --name")).await?;
    run::announce(&response.study.clone().unwrap_or_default(), &[], context);
    context.screen.result(&response, || {
        format!(
            "Follow it with `tunesmith study watch {}`.\n",
            human::clean(&name)
        )
    })
}

/// The first few numbers.
fn listed(trials: &[u64]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = trials.iter().take(SHOWN).map(u64::to_string).collect();
    if trials.len() > SHOWN {
        words.push(format!("and {} more", trials.len() - SHOWN));
    }
    words.join(", ")
}

/// What is left of a parameter: `lr=1e-4..1e-2`, `lr=1e-4..`, `opt=adam,sgd`.
fn range(word: &str) -> Result<pb::ZoomRange, CliError> {
    let refused = |why: &str| {
        CliError::usage(
            format!("--range {word}: {why}"),
            "write NAME=LOW..HIGH, NAME=LOW.., NAME=..HIGH or NAME=VALUE,VALUE",
        )
    };
    let (name, values) = word
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| refused("the name of a parameter and = are missing"))?;
    let mut range = pb::ZoomRange {
        parameter: name.trim().to_owned(),
        ..Default::default()
    };
    if let Some((low, high)) = values.split_once("..") {
        let bound = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(value);
        (range.low, range.high) = (bound(low), bound(high));
        if range.low.is_none() && range.high.is_none() {
            return Err(refused("both bounds are missing"));
        }
    } else {
        range.choices = values.split(',').map(|text| value(text.trim())).collect();
        if values.trim().is_empty() {
            return Err(refused("the values are missing"));
        }
    }
    Ok(range)
}

fn value(text: &str) -> Value {
    Value {
        kind: Some(parse_value(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_bounds_or_values() {
        let number = |number| Some(Value::from(number));
        let read = range("lr=1e-4..0.01").unwrap();
        assert_eq!(
            (read.parameter.as_str(), read.low, read.high),
            ("lr", number(1e-4), number(0.01))
        );
        let read = range("lr=..0.01").unwrap();
        assert_eq!((read.low, read.high), (None, number(0.01)));
        let read = range("opt=adam, sgd,true,3,\"3\"").unwrap();
        let texts = |text: &str| Value::from(text.to_owned());
        let three = Value::from(3.0);
        assert_eq!(
            read.choices,
            [texts("adam"), texts("sgd"), Value::from(true), three, texts("3")]
        );
        for wrong in ["lr", "=1..2", "lr=..", "lr="] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
