//! The token service.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use tunesmith_proto::v1;
use tunesmith_proto::v1::token_service_server::TokenService;

use super::status::ApiError;
use super::{Api, actor, view};
use crate::auth::TokensError;
use crate::store::{StoreError, TokenKind};

/// Characters of a label.
const MAX_LABEL: usize = 128;

#[tonic::async_trait]
impl TokenService for Api {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let actor = actor(&request);
        let kind = match v1::TokenKind::try_from(request.get_ref().kind) {
            Ok(v1::TokenKind::User) => TokenKind::User,
            Ok(v1::TokenKind::Worker) => TokenKind::Worker,
            _ => {
                let message = format!(
                    "must be TOKEN_KIND_USER or TOKEN_KIND_WORKER, got {}",
                    request.get_ref().kind
                );
                return Err(ApiError::invalid("kind", message).into());
            }
        };
        let label = request.into_inner().label;
        if label.is_empty() || label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
            let message = format!(
                "must be 1 to {MAX_LABEL} characters, none of them a control character; say who gets the token"
            );
            return Err(ApiError::invalid("label", message).into());
        }
        let (tokens, store) = (Arc::clone(&self.tokens), Arc::clone(self.store()));
        let audit = self.audit(&actor, "create_token", String::new(), label.clone());
        let made = self
            .engines
            .uncancelled(async move {
                let made = match tokens.create(kind, &label).await {
                    Ok(made) => made,
                    Err(TokensError::Store(error)) => return Err(error),
                    Err(TokensError::Random(_) | TokensError::File { .. }) => return Ok(None),
                };
                let audit = crate::store::AuditRow {
                    subject: format!("tokens/{}", made.0.id),
                    ..audit
                };
                store.audit_add(&audit).await?;
                Ok(Some(made))
            })
            .await
            .map_err(ApiError::from)?;
        let (row, secret) = made.ok_or_else(|| ApiError::Internal("no random numbers".to_owned()))?;
        Ok(Response::new(v1::CreateTokenResponse {
            token: Some(view::token(&row)),
            secret: secret.expose().to_owned(),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let rows = self.store().token_list().await.map_err(ApiError::from)?;
        Ok(Response::new(v1::ListTokensResponse {
            tokens: rows.iter().map(view::token).collect(),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let actor = actor(&request);
        let id = request.into_inner().id;
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ApiError::invalid("id", "must be the id of a token, as ListTokens shows it").into());
        }
        let (tokens, store) = (Arc::clone(&self.tokens), Arc::clone(self.store()));
        let audit = self.audit(&actor, "revoke_token", format!("tokens/{id}"), String::new());
        let revoked: Result<(), StoreError> = self
            .engines
            .uncancelled(async move {
                tokens.revoke(&id).await?;
                store.audit_add(&audit).await
            })
            .await;
        revoked.map_err(ApiError::from)?;
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }
}
