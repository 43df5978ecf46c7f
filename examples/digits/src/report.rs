//! The line printed after each epoch: one JSON object, as Python's `json` module would write it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// What is known after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochReport {
    /// Epochs trained, from 1.
    pub(crate) epoch: u32,
    /// Share of validation images read rightly, 0 to 1.
    pub(crate) val_acc: f64,
    /// Mean cross-entropy on the validation images, nats. NaN or infinite once training has diverged.
    pub(crate) val_loss: f64,
    /// The same on the training images, averaged over the epoch while the weights changed.
    pub(crate) loss: f64,
}

impl EpochReport {
    /// Whether there is no point in going on: weights that are not numbers never become numbers again.
    pub(crate) fn has_diverged(&self) -> bool {
        !(self.loss.is_finite() && self.val_loss.is_finite())
    }

    /// Writes the line and flushes it, so that readers of a pipe see it at once.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        let Self {
            epoch,
            val_acc,
            val_loss,
            loss,
        } = *self;
        writeln!(
            out,
            r#"{{"epoch": {epoch}, "val_acc": {}, "val_loss": {}, "loss": {}}}"#,
            json_number(val_acc),
            json_number(val_loss),
            json_number(loss)
        )?;
        out.flush()
    }
}

/// `value` so that it reads back to the same number; `NaN` and `Infinity`, which JSON lacks, as Python writes them.
fn json_number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 {
            "Infinity".to_owned()
        } else {
            "-Infinity".to_owned()
        }
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(report: EpochReport) -> String {
        let mut out = Vec::new();
        report.write_line(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_json_that_reads_back_to_the_same_numbers() {
        let report = EpochReport {
            epoch: 3,
            val_acc: 1.0,
            val_loss: 1e-20,
            loss: 0.1 + 0.2,
        };
        let text = line(report);
        assert!(
            text.starts_with(r#"{"epoch": 3, "val_acc": 1.0, "val_loss": 1e-20, "#) && text.ends_with("}\n"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<EpochReport>(&text).unwrap(), report);
    }

    #[test]
    fn what_json_lacks_is_written_as_python_does() {
        let report = EpochReport {
            epoch: 1,
            val_acc: 0.0,
            val_loss: f64::NAN,
            loss: f64::INFINITY,
        };
        assert!(report.has_diverged());
        assert_eq!(
            line(report),
            "{\"epoch\": 1, \"val_acc\": 0.0, \"val_loss\": NaN, \"loss\": Infinity}\n"
        );
    }
}
