//! Progress on standard error: a bar where somebody watches, a line now and then where a file does.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::progress::Status;
use crate::output::Screen;

/// Least time between two lines of progress in a file.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Redraws per second of the bar.
const REDRAWS: u8 = 5;

/// The display.
#[derive(Debug)]
pub(crate) enum Display {
    /// On a terminal.
    Bar {
        /// The bar.
        bar: ProgressBar,
        /// Where the terminal is.
        screen: Screen,
    },
    /// Anywhere else.
    Lines {
        /// Where to.
        screen: Screen,
        /// The line written last, and when.
        last: Option<(String, Instant)>,
    },
}

impl Display {
    /// The display that fits standard error.
    pub(crate) fn new(screen: &Screen) -> Self {
        if !screen.error_is_terminal() {
            return Self::Lines {
                screen: *screen,
                last: None,
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        bar.set_style(style(false, screen.error_style().color));
        Self::Bar { bar, screen: *screen }
    }

    /// Says something at once.
    pub(crate) fn news(&mut self, line: &str) {
        match self {
            Self::Bar { bar, screen } => bar.suspend(|| screen.message(line)),
            Self::Lines { screen, .. } => screen.message(line),
        }
    }

    /// Shows where the study stands.
    pub(crate) fn show(&mut self, status: &Status) {
        let waiting = if status.waiting.is_empty() {
            String::new()
        } else {
            format!("waiting: {}", status.waiting)
        };
        match self {
            Self::Bar { bar, screen } => {
                if let Some(total) = status.total
                    && bar.length() != Some(total)
                {
                    bar.set_length(total);
                    bar.set_style(style(true, screen.error_style().color));
                }
                bar.set_position(status.ended);
                bar.set_prefix(joined([&status.harvest, &waiting], ", "));
                bar.set_message(status.pace.clone());
                bar.tick();
            }
            Self::Lines { screen, last } => {
                let now = Instant::now();
                let line = joined([&status.pace, &status.harvest, &waiting], ", ");
                let due = last.as_ref().is_none_or(|(before, at)| {
                    *before != line && now.saturating_duration_since(*at) >= LINE_INTERVAL
                });
                if due {
                    screen.message(&line);
                    *last = Some((line, now));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn joined<const N: usize>(parts: [&String; N], separator: &str) -> String {
    let parts: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(separator)
}

/// Two lines: what comes of it may be longer than what a bar leaves of a line.
fn style(total_is_known: bool, color: bool) -> ProgressStyle {
    let template = match (total_is_known, color) {
        (true, true) => "{bar:24.green} {wide_msg}\n{prefix}",
        (true, false) => "{bar:24} {wide_msg}\n{prefix}",
        (false, true) => "{spinner:.green} {wide_msg}\n{prefix}",
        (false, false) => "{spinner} {wide_msg}\n{prefix}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
