//! All tokens in memory, for a check on every call that waits for nothing.
//!
//! Read again after each change made here, and every few seconds for changes made by another coordinator on the same database.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use tunesmith_common::Clock;

use super::token::{self, Secret};
use crate::store::{Store, StoreError, TokenKind, TokenRow};

/// How long a token that was revoked elsewhere may still be accepted.
const REFRESH: Duration = Duration::from_secs(5);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What the token is for.
    pub kind: TokenKind,
    /// Who has it, for the audit.
    pub label: Arc<str>,
}

#[derive(Debug)]
struct Known {
    principal: Principal,
    hash: [u8; 32],
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The operating system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written to its file.
    #[error("cannot write the token file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens {
    known: RwLock<HashMap<String, Known>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// The tokens of `store`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, StoreError> {
        let tokens = Arc::new(Self {
            known: RwLock::default(),
            store,
            clock,
        });
        tokens.refresh().await?;
        Ok(tokens)
    }

    /// Reads all tokens again.
    ///
    /// # Errors
    /// Those of the store; what was known before stays.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let rows = self.store.token_list().await?;
        let known = rows
            .into_iter()
            .filter(|row| row.revoked_at.is_none())
            .map(|row| {
                let principal = Principal {
                    kind: row.kind,
                    label: row.label.into(),
                };
                (
                    row.id,
                    Known {
                        principal,
                        hash: row.secret_hash,
                    },
                )
            })
            .collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Keeps up with other coordinators until `shutdown` is cancelled.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "tokens could not be read; the known ones stay valid"
                );
            }
        }
    }

    /// Whose token this is; none if it is nobody's, for whatever reason.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<Principal> {
        let (id, secret) = token::split(token)?;
        let hash = token::hash(secret);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // An unknown id takes as long as a wrong secret.
        let expected = known.get(id).map_or([0; 32], |known| known.hash);
        let same = bool::from(expected.ct_eq(&hash));
        known
            .get(id)
            .filter(|_| same)
            .map(|known| known.principal.clone())
    }

    /// Who has the token with this id, and the hash of its secret; none if it does not exist or was revoked.
    pub(super) fn known(&self, id: &str) -> Option<(Principal, [u8; 32])> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id).map(|known| (known.principal.clone(), known.hash))
    }

    /// Makes a token and stores its hash. Only from a task that nobody cancels.
    ///
    /// # Errors
    /// If there are no random numbers, or it could not be stored.
    pub async fn create(&self, kind: TokenKind, label: &str) -> Result<(TokenRow, Secret), TokensError> {
        let (row, secret) = self.make(kind, label)?;
        self.store.token_add(&row).await?;
        self.refresh().await?;
        Ok((row, secret))
    }

    /// Makes a token worthless. Only from a task that nobody cancels.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such token.
    pub async fn revoke(&self, id: &str) -> Result<(), StoreError> {
        self.store.token_revoke(id, self.clock.now()).await?;
        self.refresh().await
    }

    /// Makes the first token of each kind that has none, and writes it to `admin.token` and `worker.token` in `folder`.
    ///
    /// The file comes first: a start that is interrupted leaves a worthless file, which the next start replaces, and never a
    /// token that nobody has.
    ///
    /// # Errors
    /// If a token could not be made, stored or written.
    pub async fn ensure_first(&self, folder: &Path) -> Result<Vec<PathBuf>, TokensError> {
        let mut written = vec![];
        for (kind, label, file) in [
            (TokenKind::User, "admin", "admin.token"),
            (TokenKind::Worker, "worker", "worker.token"),
        ] {
            let exists = {
                let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
                known.values().any(|known| known.principal.kind == kind)
            };
            if exists {
                continue;
            }
            let (row, secret) = self.make(kind, label)?;
            let path = folder.join(file);
            write_private(&path, secret.expose()).map_err(|source| TokensError::File {
                path: path.clone(),
                source,
            })?;
            self.store.token_add(&row).await?;
            written.push(path);
        }
        self.refresh().await?;
        Ok(written)
    }

    fn make(&self, kind: TokenKind, label: &str) -> Result<(TokenRow, Secret), TokensError> {
        let made = token::make(kind)?;
        let row = TokenRow {
            id: made.id,
            kind,
            label: label.to_owned(),
            secret_hash: made.hash,
            created_at: self.clock.now(),
            revoked_at: None,
        };
        Ok((row, made.secret))
    }
}

/// Replaces a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("token.new");
    // A leftover may have other rights.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::MemoryStore;
    use tunesmith_common::clock::SystemClock;

    #[tokio::test]
    async fn first_tokens_are_made_once_and_only_their_owner_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let tokens = Tokens::load(Arc::clone(&store), Arc::new(SystemClock))
            .await
            .unwrap();
        assert_eq!(tokens.ensure_first(folder.path()).await.unwrap().len(), 2);
        assert!(tokens.ensure_first(folder.path()).await.unwrap().is_empty());
        let path = folder.path().join("worker.token");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let token = std::fs::read_to_string(path).unwrap();
        assert_eq!(tokens.check(token.trim()).unwrap().kind, TokenKind::Worker);
        assert!(
            store
                .token_list()
                .await
                .unwrap()
                .iter()
                .all(|row| !token.contains(&format!("{:?}", row.secret_hash)))
        );
    }

    #[tokio::test]
    async fn wrong_and_revoked_tokens_are_nobodys() {
        let tokens = Tokens::load(Arc::new(MemoryStore::default()), Arc::new(SystemClock))
            .await
            .unwrap();
        let (row, secret) = tokens.create(TokenKind::User, "ann").await.unwrap();
        assert_eq!(&*tokens.check(secret.expose()).unwrap().label, "ann");
        let mut wrong = secret.expose().to_owned();
        let last = wrong.pop().unwrap();
        wrong.push(if last == 'A' { 'B' } else { 'A' });
        assert_eq!(tokens.check(&wrong), None);
        tokens.revoke(&row.id).await.unwrap();
        assert_eq!(tokens.check(secret.expose()), None);
    }
}
