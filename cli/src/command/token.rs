//! `tunesmith token ...`. A token's secret is shown once and goes nowhere but standard output or a private file.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tunesmith_proto::v1 as pb;

use crate::args::TokenCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::output::human;
use crate::view::pool as view;

pub(super) async fn execute(command: TokenCommand, context: &Context) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { label, worker, file } => create(label, worker, file.as_deref(), context).await,
        TokenCommand::List => list(context).await,
        TokenCommand::Revoke { id } => revoke(id, context).await,
    }
}

async fn create(label: String, worker: bool, file: Option<&Path>, context: &Context) -> Result<(), CliError> {
    // Opened first: a token that could not be written down would be lost.
    let file = file
        .map(|path| Ok::<_, CliError>((path, new_private_file(path)?)))
        .transpose()?;
    let kind = if worker {
        pb::TokenKind::Worker
    } else {
        pb::TokenKind::User
    };
    let request = pb::CreateTokenRequest {
        kind: kind.into(),
        label,
    };
    let made = async {
        context
            .client()
            .await?
            .create_token(request, "create a token")
            .await
    }
    .await;
    let mut response = match (made, &file) {
        (Ok(response), _) => response,
        (Err(error), Some((path, _))) => {
            // It is empty, and ours.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    let id = response
        .token
        .as_ref()
        .map(|token| human::clean(&token.id))
        .unwrap_or_default();
    match file {
        Some((path, mut file)) => {
            writeln!(file, "{}", response.secret).map_err(|error| CliError::file("write", path, &error))?;
            response.secret.clear();
            context
                .screen
                .message(&format!("Token {id} is in {}.", path.display()));
            if context.screen.json() {
                context.screen.result(&response, String::new)
            } else {
                Ok(())
            }
        }
        None => {
            context.screen.message(&format!("Token {id}, shown this once:"));
            context
                .screen
                .result(&response, || human::clean(&response.secret))
        }
    }
}

fn new_private_file(path: &Path) -> Result<std::fs::File, CliError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| CliError::file("create", path, &error))
}

async fn list(context: &Context) -> Result<(), CliError> {
    let response = context
        .client()
        .await?
        .list_tokens(pb::ListTokensRequest {}, "list tokens")
        .await?;
    context.screen.result(&response, || {
        view::tokens(&response.tokens, context.screen.style(), context.now())
    })
}

async fn revoke(id: String, context: &Context) -> Result<(), CliError> {
    let shown = human::clean(&id);
    let response = context
        .client()
        .await?
        .revoke_token(pb::RevokeTokenRequest { id }, &format!("revoke token {shown:?}"))
        .await?;
    context
        .screen
        .result(&response, || format!("Token {shown} is worthless now.\n"))
}
