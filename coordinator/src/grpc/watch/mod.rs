//! Following a study: its present state, then what is committed.
//!
//! The news of a study are made once for all who watch it, by its feed, and written as events once; whoever watches passes them on.

mod feed;
mod news;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, WeakSender};
use tonic::Status;
use tunesmith_common::{StudyId, Timestamp};
use tunesmith_proto::convert::timestamp_to_wire;
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use super::status::ApiError;
use super::{Api, Messages};
use crate::engine::EngineHandle;
use feed::{Feed, is_over, study_view};
pub(crate) use news::{News, Wanted};

/// News that a slow watcher may lag behind before it is told to start again.
const WATCHED_NEWS: usize = 1_024;

/// What a feed tells.
#[derive(Clone, Debug)]
enum Told {
    News(Arc<News>),
    /// So many commits were missed.
    Missed(u64),
    /// The study was deleted, or has moved to another coordinator.
    Gone,
}

/// The studies that somebody watches.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<StudyId, WeakSender<Told>>>);

impl Feeds {
    /// What the feed of a study tells from now on. If it has none yet, also the way in for one.
    fn subscribe(&self, study: StudyId) -> (Receiver<Told>, Option<broadcast::Sender<Told>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = all.get(&study).and_then(WeakSender::upgrade) {
            return (feed.subscribe(), None);
        }
        let (feed, told) = broadcast::channel(WATCHED_NEWS);
        all.insert(study, feed.downgrade());
        (told, Some(feed))
    }

    /// Whoever comes from now on gets another feed.
    fn forget(&self, study: StudyId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&study);
    }

    /// The same, unless somebody has come. Whether it was forgotten.
    fn forget_unwatched(&self, study: StudyId, feed: &broadcast::Sender<Told>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unwatched = feed.receiver_count() == 0;
        if is_unwatched {
            all.remove(&study);
        }
        is_unwatched
    }
}

/// News, and which of them somebody wants.
pub(crate) type Followed = Result<(Arc<News>, Wanted), ApiError>;

impl Api {
    /// Follows a study.
    pub(crate) fn follow(&self, engine: &EngineHandle, points: bool) -> BoxStream<'static, Followed> {
        // Subscribed before the present state is read, so that nothing falls between.
        let (told, new) = self.feeds.subscribe(engine.id());
        if let Some(out) = new {
            let feed = Feed::new(self.clone(), engine.id(), out);
            self.tasks.spawn(feed.run(engine.watch()));
        }
        let watcher = Watcher {
            api: self.clone(),
            told,
            wanted: Wanted { after: None, points },
            stage: Stage::First(engine.clone()),
        };
        stream::unfold(watcher, Watcher::step).boxed()
    }

    /// The same as single messages.
    pub(super) fn watch(&self, engine: &EngineHandle, points: bool) -> Messages<v1::WatchStudyResponse> {
        let messages = self.follow(engine, points).flat_map(|followed| {
            stream::iter(match followed {
                Ok((news, wanted)) => news.messages(wanted).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(Status::from(error))],
            })
        });
        Box::pin(messages)
    }
}

/// Somebody who watches.
struct Watcher {
    api: Api,
    told: Receiver<Told>,
    wanted: Wanted,
    stage: Stage,
}

enum Stage {
    /// The present state comes first. The engine is not kept longer than that: it would be kept of a deleted study.
    First(EngineHandle),
    News,
    Ended,
}

impl Watcher {
    async fn step(mut self) -> Option<(Followed, Self)> {
        let draining = self.api.draining.clone();
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let next = async {
            match stage {
                Stage::First(engine) => self.first(&engine).await.map(Some),
                Stage::News => self.news().await,
                Stage::Ended => Ok(None),
            }
        };
        let followed = tokio::select! {
            // First, since the feed ends by it, too.
            biased;
            () = draining.cancelled() => Err(ApiError::Unavailable("the coordinator is stopping")),
            followed = next => followed.transpose()?,
        };
        Some((followed, self))
    }

    async fn first(&mut self, engine: &EngineHandle) -> Result<(Arc<News>, Wanted), ApiError> {
        let summary = self.api.summary(engine).await?;
        let best = summary.best.map(|(number, _)| number);
        let best = self.api.best_row(engine.id(), best).await?;
        let (revision, at) = (summary.revision, summary.study.updated_at);
        let study = study_view(&self.api, engine.id(), revision, &summary, best.as_ref());
        let is_last = is_over(&summary);
        let news = News::new(vec![message(revision, at, Event::Study(study))], is_last);
        let wanted = self.wanted;
        self.wanted.after = Some(revision);
        if !is_last {
            self.stage = Stage::News;
        }
        Ok((Arc::new(news), wanted))
    }

    async fn news(&mut self) -> Result<Option<(Arc<News>, Wanted)>, ApiError> {
        match self.told.recv().await {
            Ok(Told::News(news)) => {
                if !news.is_last {
                    self.stage = Stage::News;
                }
                Ok(Some((news, self.wanted)))
            }
            Ok(Told::Missed(missed)) | Err(RecvError::Lagged(missed)) => {
                let message =
                    format!("{missed} news were missed because they were read too slowly; watch again");
                Err(ApiError::OutOfRange(message))
            }
            Ok(Told::Gone) | Err(RecvError::Closed) => Err(ApiError::Unavailable(
                "the study was deleted or moved; watch again",
            )),
        }
    }
}

fn message(revision: u64, at: Timestamp, event: Event) -> v1::WatchStudyResponse {
    v1::WatchStudyResponse {
        revision,
        committed_at: Some(timestamp_to_wire(at)),
        event: Some(event),
    }
}
