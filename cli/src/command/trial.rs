//! `tunesmith trial ...`.

use pbjson_types::value::Kind;
use pbjson_types::{Struct, Value};
use tunesmith_common::units::{ByteSize, UnitError};
use tunesmith_proto::v1 as pb;

use super::{request_id, schedule, study};
use crate::args::{LogsArgs, StateFilter, TrialAddArgs, TrialCommand, TrialListArgs};
use crate::client::Client;
use crate::context::Context;
use crate::error::CliError;
use crate::names::{self, TrialRef};
use crate::output::human;
use crate::view::{parts, trial as view};

pub(super) async fn execute(command: TrialCommand, context: &Context) -> Result<(), CliError> {
    match command {
        TrialCommand::List(args) => list(&args, context).await,
        TrialCommand::Show { trial } => show(&trial, context).await,
        TrialCommand::Add(args) => add(args, context).await,
        TrialCommand::Stop { trial } => stop(&trial, context).await,
        TrialCommand::Retry { trial } => retry(&trial, context).await,
        TrialCommand::Note { trial, text } => note(&trial, text, context).await,
        TrialCommand::Tag { trial, tags } => tag(&trial, tags, context).await,
        TrialCommand::Logs(args) => logs(&args, context).await,
        TrialCommand::Schedule { trial } => schedule::execute(&trial, context).await,
    }
}

async fn list(args: &TrialListArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = study::fetch(&client, &args.study.resource()).await?;
    let request = pb::ListTrialsRequest {
        parent: args.study.resource(),
        states: args
            .state
            .iter()
            .flat_map(|state| states(*state))
            .map(|state| i32::from(*state))
            .collect(),
        order_by: match (args.best, args.newest) {
            (true, _) => "value",
            (_, true) => "newest",
            _ => "number",
        }
        .to_owned(),
        ..Default::default()
    };
    let limit = if args.limit == 0 {
        usize::MAX
    } else {
        usize::try_from(args.limit).unwrap_or(usize::MAX)
    };
    let tagged = |trial: &pb::Trial| args.tag.iter().all(|tag| trial.tags.contains(tag));
    // One more than is shown tells whether there are more.
    let mut trials = client
        .trials_up_to(request, limit.saturating_add(1), tagged, "list trials")
        .await?;
    let more = trials.len() > limit;
    trials.truncate(limit);
    let response = pb::ListTrialsResponse {
        trials,
        next_page_token: String::new(),
    };
    let spec = found.spec.as_ref();
    context.screen.result(&response, || {
        if response.trials.is_empty() {
            return match (args.state.is_empty(), args.tag.is_empty()) {
                (true, true) => "No trials yet.\n",
                (false, true) => "No trials in that state.\n",
                (_, false) => "No trials with that tag.\n",
            }
            .to_owned();
        }
        view::list(&response.trials, spec, context.screen.style(), context.now())
    })?;
    if more {
        context.screen.message(&format!(
            "There are more than {limit} trials; see all with --limit 0."
        ));
    }
    Ok(())
}

fn states(filter: StateFilter) -> &'static [pb::TrialState] {
    match filter {
        StateFilter::Pending => &[pb::TrialState::Pending],
        // Handed out but not yet started is an instant that people do not ask for.
        StateFilter::Running => &[pb::TrialState::Leased, pb::TrialState::Running],
        StateFilter::Stopping => &[pb::TrialState::Stopping],
        StateFilter::Paused => &[pb::TrialState::Paused],
        StateFilter::Completed => &[pb::TrialState::Completed],
        StateFilter::EarlyStopped => &[pb::TrialState::EarlyStopped],
        StateFilter::TimedOut => &[pb::TrialState::TimedOut],
        StateFilter::Failed => &[pb::TrialState::Failed],
        StateFilter::Cancelled => &[pb::TrialState::Cancelled],
    }
}

pub(super) async fn fetch(client: &Client, trial: &TrialRef) -> Result<pb::Trial, CliError> {
    let request = pb::GetTrialRequest {
        name: trial.resource(),
    };
    let response = client
        .get_trial(request, &format!("look at trial {trial}"))
        .await?;
    Ok(response.trial.unwrap_or_default())
}

async fn show(trial: &TrialRef, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = fetch(&client, trial).await?;
    let response = pb::GetTrialResponse {
        trial: Some(found.clone()),
    };
    if context.screen.json() {
        return context.screen.result(&response, String::new);
    }
    let of = study::fetch(&client, &trial.study_resource()).await?;
    let request = pb::ListPointsRequest {
        name: trial.resource(),
        ..Default::default()
    };
    let curves = client
        .list_points(request, &format!("read the curves of {trial}"))
        .await?
        .curves;
    context.screen.out(&view::show(
        &found,
        &of,
        &curves,
        context.screen.style(),
        context.now(),
    ))
}

async fn add(args: TrialAddArgs, context: &Context) -> Result<(), CliError> {
    let parameters = parse_parameters(&args.parameters)?;
    let result = result(&args.value)?;
    let finished = result.is_some();
    let request = pb::AddTrialRequest {
        parent: args.study.resource(),
        parameters: Some(parameters),
        note: args.note.unwrap_or_default(),
        tags: args.tag,
        result,
        request_id: request_id(),
    };
    let response = context
        .client()
        .await?
        .add_trial(request, &format!("add a trial to {:?}", args.study.0.as_str()))
        .await?;
    let trial = response.trial.clone().unwrap_or_default();
    context.screen.result(&response, || {
        let name = names::short_trial(&trial.name);
        let parameters = parts::parameters_line(&trial, &[]);
        let what = if finished { "is recorded" } else { "will be run" };
        format!("Trial {name} {what}: {parameters}\n")
    })
}

/// The result of a trial that was run elsewhere, if one is given: `0.97`, or `acc=0.97` and so on.
fn result(words: &[String]) -> Result<Option<pb::Result>, CliError> {
    let mut result = pb::Result {
        state: pb::TrialState::Completed.into(),
        ..Default::default()
    };
    for word in words {
        let (metric, number) = match word.rsplit_once('=') {
            Some((metric, number)) => (Some(metric), number),
            None => (None, word.as_str()),
        };
        let value: f64 = number.parse().map_err(|_| {
            CliError::usage(
                format!("--value {word:?} is no value"),
                "write a number, such as 0.97, or METRIC=NUMBER, such as val_acc=0.97",
            )
        })?;
        let before = match metric {
            None => result.value.replace(value),
            Some(metric) => result.values.insert(metric.to_owned(), value),
        };
        if before.is_some() {
            return Err(CliError::usage(
                format!("--value {word:?} is the second value of its metric"),
                "give one value for each metric",
            ));
        }
    }
    Ok((!words.is_empty()).then_some(result))
}

/// Reads `name=value` words. A value that is a number, `true` or `false` is one; quotes make it a text.
fn parse_parameters(words: &[String]) -> Result<Struct, CliError> {
    let mut parameters = Struct::default();
    for word in words {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::usage(
                format!("{word:?} is no parameter"),
                "write PARAMETER=VALUE, such as lr=0.01",
            ));
        };
        let value = Value {
            kind: Some(parse_value(value)),
        };
        if parameters.fields.insert(name.to_owned(), value).is_some() {
            return Err(CliError::usage(
                format!("parameter {name:?} is given twice"),
                "give each parameter once",
            ));
        }
    }
    Ok(parameters)
}

pub(super) fn parse_value(text: &str) -> Kind {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Bool(value)) => return Kind::BoolValue(value),
        Ok(serde_json::Value::String(value)) => return Kind::StringValue(value),
        _ => {}
    }
    match text.parse::<f64>() {
        // Texts such as "nan" and "infinity" are numbers to Rust, but no values of a parameter.
        Ok(number) if number.is_finite() => Kind::NumberValue(number),
        _ => Kind::StringValue(text.to_owned()),
    }
}

async fn stop(trial: &TrialRef, context: &Context) -> Result<(), CliError> {
    let request = pb::StopTrialRequest {
        name: trial.resource(),
    };
    let response = context
        .client()
        .await?
        .stop_trial(request, &format!("stop trial {trial}"))
        .await?;
    let state = response.trial.as_ref().map(pb::Trial::state).unwrap_or_default();
    context.screen.result(&response, || {
        format!("Trial {trial} is {}.\n", parts::trial_state(state).0)
    })
}

async fn retry(trial: &TrialRef, context: &Context) -> Result<(), CliError> {
    let request = pb::RetryTrialRequest {
        name: trial.resource(),
        request_id: request_id(),
    };
    let response = context
        .client()
        .await?
        .retry_trial(request, &format!("retry trial {trial}"))
        .await?;
    let new = response.trial.clone().unwrap_or_default();
    context.screen.result(&response, || {
        format!(
            "Trial {} has the parameters of {trial} and will be run.\n",
            names::short_trial(&new.name)
        )
    })
}

async fn note(trial: &TrialRef, text: String, context: &Context) -> Result<(), CliError> {
    let removed = text.is_empty();
    let request = pb::UpdateTrialRequest {
        name: trial.resource(),
        note: text,
        ..Default::default()
    };
    let response = context
        .client()
        .await?
        .update_trial(request, &format!("write a note on trial {trial}"))
        .await?;
    let what = if removed {
        "has no note any more"
    } else {
        "has the note"
    };
    context
        .screen
        .result(&response, || format!("Trial {trial} {what}.\n"))
}

async fn tag(trial: &TrialRef, tags: Vec<String>, context: &Context) -> Result<(), CliError> {
    let request = pb::UpdateTrialRequest {
        name: trial.resource(),
        tags,
        update_mask: Some(pbjson_types::FieldMask {
            paths: vec!["tags".to_owned()],
        }),
        ..Default::default()
    };
    let response = context
        .client()
        .await?
        .update_trial(request, &format!("tag trial {trial}"))
        .await?;
    let tags = response.trial.as_ref().map_or(&[][..], |trial| &trial.tags);
    let what = if tags.is_empty() {
        "has no tags any more".to_owned()
    } else {
        format!("is tagged {}", human::clean(&tags.join(", ")))
    };
    context
        .screen
        .result(&response, || format!("Trial {trial} {what}.\n"))
}

async fn logs(args: &LogsArgs, context: &Context) -> Result<(), CliError> {
    if context.screen.json() {
        return Err(CliError::usage(
            "a log has no JSON form",
            "leave out --output json",
        ));
    }
    let tail_bytes = args
        .tail
        .as_deref()
        .map(|text| {
            let size: Result<ByteSize, UnitError> = text.parse();
            size.map(|size| size.0).map_err(|error| CliError::Usage {
                headline: format!("--tail: {error}"),
                hints: vec![],
            })
        })
        .transpose()?;
    let client = context.client().await?;
    let doing = format!("read the log of trial {}", args.trial);
    let request = pb::ReadLogRequest {
        name: args.trial.resource(),
        attempt: args.attempt.unwrap_or(0),
        tail_bytes,
        follow: args.follow,
        stderr: args.stderr,
    };
    let mut stream = client
        .read_log(request)
        .await
        .map_err(|status| client.error(&status, &doing))?;
    while let Some(chunk) = stream
        .message()
        .await
        .map_err(|status| client.error(&status, &doing))?
    {
        // With --tail it is what was not asked for.
        if chunk.skipped_bytes > 0 && args.tail.is_none() {
            context.screen.message(&format!(
                "({} are no longer kept)",
                human::bytes(chunk.skipped_bytes)
            ));
        }
        context.screen.out_bytes(&chunk.data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_booleans_or_texts() {
        let words = [
            "lr=1e-3",
            "n=64",
            "bias=true",
            "opt=adam",
            "zip=\"01234\"",
            "mode=nan",
            "expr=a=b",
            "empty=",
        ];
        let parameters = parse_parameters(&words.map(str::to_owned)).unwrap();
        let kind = |name: &str| parameters.fields[name].kind.clone().unwrap();
        assert_eq!(kind("lr"), Kind::NumberValue(1e-3));
        assert_eq!(kind("n"), Kind::NumberValue(64.0));
        assert_eq!(kind("bias"), Kind::BoolValue(true));
        assert_eq!(kind("opt"), Kind::StringValue("adam".to_owned()));
        assert_eq!(kind("zip"), Kind::StringValue("01234".to_owned()));
        assert_eq!(kind("mode"), Kind::StringValue("nan".to_owned()));
        assert_eq!(kind("expr"), Kind::StringValue("a=b".to_owned()));
        assert_eq!(kind("empty"), Kind::StringValue(String::new()));
        for bad in [vec!["lr"], vec!["=1"], vec!["lr=1", "lr=2"]] {
            let words: Vec<String> = bad.into_iter().map(str::to_owned).collect();
            assert!(parse_parameters(&words).is_err(), "{words:?}");
        }
    }
}
