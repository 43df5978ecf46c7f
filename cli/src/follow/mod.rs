//! Following a study until it ends: watch it, say what happens, come back when the coordinator was away.

mod display;
mod progress;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::Streaming;
use tunesmith_common::Clock;
use tunesmith_proto::v1 as pb;

use crate::client::Client;
use crate::error::{self, CliError};
use crate::output::Screen;
use display::Display;
use progress::Progress;

/// How often the display is refreshed without news: times go on.
const REFRESH: Duration = Duration::from_millis(500);
/// Waits between attempts to reach a coordinator that is away; the last one repeats.
const AWAY_WAITS: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How following ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The study has ended.
    Ended,
    /// The user does not want to wait.
    Interrupted,
}

/// Signals by which a user says that he does not want to wait.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn install() -> Result<Self, CliError> {
        let install = |kind| {
            signal(kind).map_err(|error| {
                CliError::usage(format!("cannot listen for signals: {error}"), "use --detach")
            })
        };
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Follows `studies/{study}` until it ends or the user interrupts. A coordinator that is away is waited for, however long.
///
/// # Errors
/// If the coordinator refuses, for instance because the study was deleted.
pub(crate) async fn follow(
    client: &Client,
    study: &str,
    screen: &Screen,
    clock: &dyn Clock,
) -> Result<Outcome, CliError> {
    let mut interrupts = Interrupts::install()?;
    let mut follower = Follower {
        client,
        study,
        progress: Progress::default(),
        display: Display::new(screen),
        clock,
    };
    let outcome = tokio::select! {
        outcome = follower.until_the_end() => outcome,
        () = interrupts.next() => Ok(Outcome::Interrupted),
    };
    follower.display.finish();
    outcome
}

struct Follower<'a> {
    client: &'a Client,
    study: &'a str,
    progress: Progress,
    display: Display,
    clock: &'a dyn Clock,
}

impl Follower<'_> {
    async fn until_the_end(&mut self) -> Result<Outcome, CliError> {
        let mut failures = 0;
        loop {
            let request = pb::WatchStudyRequest {
                name: self.study.to_owned(),
                include_points: false,
            };
            let broken = match self.client.watch_study(request).await {
                Ok(mut stream) => match self.listen(&mut stream, &mut failures).await {
                    Ok(true) => return Ok(Outcome::Ended),
                    Ok(false) => None,
                    Err(status) => Some(status),
                },
                Err(status) => Some(status),
            };
            if let Some(status) = broken
                && !error::is_away(&status)
            {
                return Err(self
                    .client
                    .error(&status, &format!("follow {:?}", crate::names::short(self.study))));
            }
            if failures == AWAY_WAITS.len() / 2 {
                self.display
                    .news("the coordinator is away; trainings go on, waiting for it to come back");
            }
            let wait = AWAY_WAITS
                .get(failures)
                .or(AWAY_WAITS.last())
                .copied()
                .unwrap_or_default();
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes in one watch until it breaks; returns whether the study has ended.
    async fn listen(
        &mut self,
        stream: &mut Streaming<pb::WatchStudyResponse>,
        failures: &mut usize,
    ) -> Result<bool, tonic::Status> {
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                message = stream.message() => {
                    let Some(message) = message? else { return Ok(false) };
                    if *failures > AWAY_WAITS.len() / 2 {
                        self.display.news("the coordinator is back");
                    }
                    *failures = 0;
                    for news in self.progress.apply(message) {
                        self.display.news(&news);
                    }
                    if self.progress.has_ended() {
                        return Ok(true);
                    }
                }
                _ = refresh.tick() => {}
            }
            if let Some(status) = self.progress.status(self.clock.now()) {
                self.display.show(&status);
            }
        }
    }
}
