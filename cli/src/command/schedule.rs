//! `tunesmith trial schedule`: the parameters that a training of a population went through.

use std::fmt::Write as _;

use pbjson_types::Value;
use pbjson_types::value::Kind;
use tunesmith_proto::v1 as pb;

use super::{study, trial};
use crate::context::Context;
use crate::error::CliError;
use crate::names::TrialRef;
use crate::output::human;
use crate::view::parts;

/// Ancestors that are followed at most; there are never as many.
const MOST: usize = 100_000;

pub(super) async fn execute(name: &TrialRef, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let of = study::fetch(&client, &name.study_resource()).await?;
    let mut newest = trial::fetch(&client, name).await?;
    let mut until = newest.last_step;
    let mut segments = Vec::new();
    while segments.len() < MOST {
        segments.push(pb::Segment {
            until,
            seed: Some(newest.seed),
            parameters: newest.parameters.clone(),
        });
        let Some(parent) = newest.parent.take() else {
            break;
        };
        until = Some(parent.step);
        newest = trial::fetch(&client, &name.sibling(parent.trial)).await?;
    }
    segments.reverse();
    let strategy = pb::Strategy {
        name: "replay".to_owned(),
        segments,
        ..Default::default()
    };
    let names = parts::parameter_names(of.spec.as_ref());
    context
        .screen
        .result(&strategy, || as_yaml(&strategy, &names, name))
}

/// Part of a study file.
fn as_yaml(strategy: &pb::Strategy, names: &[&str], trial: &TrialRef) -> String {
    let mut text = format!(
        "# How trial {trial} was trained. Put it into a study file to do so again.\nstrategy:\n  name: replay\n  segments:\n"
    );
    for segment in &strategy.segments {
        let parameters = segment.parameters.clone().unwrap_or_default();
        let values = parts::parameters(&parameters, names);
        let values: Vec<String> = values
            .into_iter()
            .map(|(name, value)| format!("{}: {}", quoted(name), plain(value)))
            .collect();
        let until = segment
            .until
            .map_or(String::new(), |until| format!("until: {until}, "));
        let seed = segment
            .seed
            .map_or(String::new(), |seed| format!("seed: {seed}, "));
        let _ = writeln!(
            text,
            "    - {{{until}{seed}parameters: {{{}}}}}",
            values.join(", ")
        );
    }
    text
}

/// A value as YAML reads it back.
fn plain(value: &Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => quoted(text),
        _ => human::clean(&parts::value_exact(value)),
    }
}

/// A text in double quotes, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
