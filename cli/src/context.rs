//! What every command needs: the screen, the clock, and a way to the coordinator.

use std::sync::Arc;

use tunesmith_common::clock::SystemClock;
use tunesmith_common::{Clock, Timestamp};

use crate::args::{GlobalArgs, OutputFormat};
use crate::client::Client;
use crate::error::CliError;
use crate::output::Screen;
use crate::settings::{Environment, Settings};

/// What every command needs.
#[derive(Debug)]
pub struct Context {
    /// Where results and messages go.
    pub screen: Screen,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The environment.
    pub environment: Environment,
    global: GlobalArgs,
}

impl Context {
    /// The context of this process.
    #[must_use]
    pub fn of_process(global: GlobalArgs) -> Self {
        let environment = Environment::of_process();
        let screen = Screen::of_process(global.output == OutputFormat::Json, environment.no_color);
        Self {
            screen,
            clock: Arc::new(SystemClock),
            environment,
            global,
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The coordinator's address and token.
    ///
    /// # Errors
    /// If the URL is malformed or a token file that was named cannot be read.
    pub fn settings(&self) -> Result<Settings, CliError> {
        Settings::load(&self.global, &self.environment)
    }

    /// A connection to the coordinator.
    ///
    /// # Errors
    /// As [`Self::settings`], or if nobody answers.
    pub async fn client(&self) -> Result<Client, CliError> {
        Client::connect(&self.settings()?).await
    }
}
