//! Values of the configuration that have a form of their own.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What becomes of running trials when the worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OnExit {
    /// They are stopped with their grace and given back: they run again elsewhere, at no cost to their retries.
    Stop,
    /// They are finished first; nothing new is taken. A second signal ends the wait.
    Finish,
    /// They go on without the worker, and the next start on the same state folder takes them over.
    Leave,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which GPUs to offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GpuChoice {
    /// All that this process may use.
    #[default]
    All,
    /// None.
    None,
    /// These: indices of the machine, UUIDs, or beginnings of UUIDs. Not empty.
    These(Vec<String>),
}

impl FromStr for GpuChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            text => {
                let entries: Vec<String> = text.split(',').map(|entry| entry.trim().to_owned()).collect();
                let well_formed = |entry: &String| {
                    entry.parse::<u32>().is_ok() || entry.starts_with("GPU-") || entry.starts_with("MIG-")
                };
                match entries.iter().find(|entry| !well_formed(entry)) {
                    None => Ok(Self::These(entries)),
                    Some(entry) => Err(format!(
                        "{entry:?} names no GPU; give \"all\", \"none\", or indices and UUIDs such as \"0,1\" or \"GPU-5d3a\""
                    )),
                }
            }
        }
    }
}

impl TryFrom<String> for GpuChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GpuChoice> for String {
    fn from(choice: GpuChoice) -> Self {
        match choice {
            GpuChoice::All => "all".to_owned(),
            GpuChoice::None => "none".to_owned(),
            GpuChoice::These(entries) => entries.join(","),
        }
    }
}

/// A label of the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub(super) key: String,
    pub(super) value: String,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!("{text:?} is no label; write it as KEY=VALUE")),
        }
    }
}

/// Labels are a table in the file.
pub(super) mod label_table {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Label;

    pub(in super::super) fn serialize<S: Serializer>(
        labels: &[Label],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(labels.iter().map(|label| (&label.key, &label.value)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Label>, D::Error> {
        let table = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(table
            .into_iter()
            .map(|(key, value)| Label { key, value })
            .collect())
    }
}
