//! The only code that writes to standard output and standard error.
//!
//! Standard output carries the result and nothing else; everything said on the way goes to standard error. A reader that goes
//! away (`tunesmith study list | head -1`) is not an error.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::{protojson, table};
use crate::error::CliError;

/// How results look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether colours and bold may be used.
    pub color: bool,
    /// Columns of the terminal; none if the output is not one.
    pub width: Option<u16>,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Text that matters.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text that matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Good news.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad news.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// News to think about.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    json: bool,
    style: Style,
    error_style: Style,
    error_is_terminal: bool,
}

impl Screen {
    /// The screen of this process. `no_color` is the user's wish to see no colours.
    #[must_use]
    pub fn of_process(json: bool, no_color: bool) -> Self {
        let out_is_terminal = std::io::stdout().is_terminal();
        let error_is_terminal = std::io::stderr().is_terminal();
        let width = if out_is_terminal {
            table::terminal_width()
        } else {
            None
        };
        Self {
            json,
            style: Style {
                color: out_is_terminal && !no_color,
                width,
            },
            error_style: Style {
                color: error_is_terminal && !no_color,
                width: None,
            },
            error_is_terminal,
        }
    }

    /// Whether the result is to be one JSON document.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// How results on standard output look.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// How messages on standard error look.
    #[must_use]
    pub fn error_style(&self) -> Style {
        self.error_style
    }

    /// Whether somebody watches standard error live.
    #[must_use]
    pub fn error_is_terminal(&self) -> bool {
        self.error_is_terminal
    }

    /// Writes the result: `document` as JSON, or what `text` makes of it.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn result<T: Serialize>(&self, document: &T, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json {
            self.out(&protojson::to_text(document)?)
        } else {
            self.out(&text())
        }
    }

    /// Writes text to standard output, with a line end if it has none.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn out(&self, text: &str) -> Result<(), CliError> {
        let end = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.out_bytes(text.as_bytes())?;
        self.out_bytes(end.as_bytes())
    }

    /// Writes bytes to standard output as they are, and at once.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn out_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::BrokenPipe => CliError::OutputClosed,
                _ => CliError::file("write", "standard output".as_ref(), &error),
            })
    }

    /// Says something that is not the result.
    pub fn message(&self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        // Nobody is left to be told that nobody listens.
        let _ = write!(std::io::stderr().lock(), "{text}{end}");
    }

    /// Says why the command failed.
    pub fn failure(&self, error: &CliError) {
        let text = error.render();
        match text.strip_prefix("error:") {
            Some(rest) => self.message(&format!("{}{rest}", self.error_style.red("error:"))),
            None if text.is_empty() => {}
            None => self.message(&text),
        }
    }

    /// Asks something; the answer is typed on the same line.
    pub fn prompt(&self, question: &str) {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(question.as_bytes()).and_then(|()| err.flush());
    }

    /// Says something that the user should think about.
    pub fn warning(&self, text: &str) {
        self.message(&format!("{} {text}", self.error_style.yellow("warning:")));
    }
}
