//! What trainings themselves say they did: the folder in which `tunesmith-probe` keeps its records, and how to read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

/// The curve that `tunesmith-probe` prints: climbs towards a height that depends on the parameter `x`.
#[must_use]
pub fn probe_value(x: f64, step: i64) -> f64 {
    let step = i32::try_from(step).map_or(f64::MAX, f64::from);
    (1.0 - (x - 0.3) * (x - 0.3)) * (1.0 - 1.0 / (step + 1.0))
}

/// One attempt as its training saw it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Process ids of the training; one, unless an attempt was started twice.
    pub pids: Vec<u32>,
    /// Metric, step and value of each line, in order. The last one may not have been printed if there is no `ended`.
    pub points: Vec<(String, i64, f64)>,
    /// Signals that it saw.
    pub signals: usize,
    /// Whether it came to its end.
    pub ended: bool,
    /// Whether the record's last line has no end: it is being written.
    pub unfinished: bool,
}

/// Folder of the records of one test's trainings.
#[derive(Debug)]
pub struct Records {
    folder: TempDir,
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// An empty folder.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The folder, for `RECORD_DIR`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets trainings that wait (`--hold-at`) go on.
    ///
    /// # Panics
    /// If the folder is gone.
    pub fn release(&self) {
        fs::write(self.folder.path().join("go"), "").unwrap();
    }

    /// Every attempt of which there is a record, by trial and attempt.
    ///
    /// # Panics
    /// If a record is malformed.
    #[must_use]
    pub fn read(&self) -> BTreeMap<(u64, u32), Told> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let Some((trial, attempt)) = key(&path) else {
                continue;
            };
            all.insert((trial, attempt), parse(&fs::read_to_string(&path).unwrap()));
        }
        all
    }

    /// Trainings that were started, over all attempts.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.read().values().map(|told| told.pids.len()).sum()
    }

    /// Processes alive whose environment names this folder: the trainings of this test and all that they started.
    #[must_use]
    pub fn alive(&self) -> Vec<u32> {
        let mark = format!("RECORD_DIR={}\0", self.folder.path().display());
        marked(&mark)
    }
}

/// Living processes whose environment contains `mark`.
#[must_use]
pub fn marked(mark: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        // Empty for a zombie.
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let found = environment
            .windows(mark.len())
            .any(|window| window == mark.as_bytes());
        (found && pid != std::process::id()).then_some(pid)
    });
    found.collect()
}

fn key(path: &Path) -> Option<(u64, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.to_owned();
    let (trial, attempt) = name.split_once('-')?;
    Some((trial.parse().ok()?, attempt.parse().ok()?))
}

fn parse(text: &str) -> Told {
    // A reader may see a line that is being written up to where a page of the file ends.
    let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", text));
    let mut told = Told {
        unfinished: !rest.is_empty(),
        ..Told::default()
    };
    for line in whole.lines() {
        let fact: Value = serde_json::from_str(line).unwrap();
        match fact["fact"].as_str().unwrap() {
            "start" => told
                .pids
                .push(u32::try_from(fact["pid"].as_u64().unwrap()).unwrap()),
            "point" => {
                let metric = fact["metric"].as_str().unwrap().to_owned();
                told.points.push((
                    metric,
                    fact["step"].as_i64().unwrap(),
                    fact["value"].as_f64().unwrap(),
                ));
            }
            "signal" => told.signals += 1,
            "end" | "crash" => told.ended = true,
            _ => {}
        }
    }
    told
}

/// A study whose trials are trainings of `tunesmith-probe`.
#[derive(Clone, Debug)]
pub struct ProbeStudy {
    /// Its name.
    pub name: String,
    /// Options of the program.
    pub options: Vec<String>,
    /// Keys of `budget`, such as `trials: 4`.
    pub budget: String,
    /// Further keys of `trial`, each on a line of its own.
    pub trial: Vec<String>,
    /// Further lines at the top.
    pub more: Vec<String>,
    folder: PathBuf,
}

impl ProbeStudy {
    /// A study of so many trials, two at a time, with these options of the program.
    #[must_use]
    pub fn new(name: &str, records: &Records, trials: u64, options: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            budget: format!("trials: {trials}, parallel: 2"),
            trial: vec!["grace: 1s".to_owned()],
            more: vec!["strategy: {name: random, seed: 7}".to_owned()],
            folder: records.folder().to_owned(),
        }
    }

    /// With a further key of `trial`.
    #[must_use]
    pub fn trial(mut self, line: &str) -> Self {
        self.trial.push(line.to_owned());
        self
    }

    /// With this budget.
    #[must_use]
    pub fn budget(mut self, budget: &str) -> Self {
        budget.clone_into(&mut self.budget);
        self
    }

    /// The study file.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut command = vec!["tunesmith-probe".to_owned()];
        command.extend(self.options.iter().cloned());
        command.push("{args}".to_owned());
        let command = serde_json::to_string(&command).unwrap();
        let mut yaml = format!(
            "name: {}\nobjective: {{metric: score, goal: maximize, from: best}}\n\
             space:\n  x: {{type: float, low: 0.0, high: 1.0}}\nbudget: {{{}}}\n",
            self.name, self.budget
        );
        for line in &self.more {
            yaml.push_str(line);
            yaml.push('\n');
        }
        yaml.push_str(&format!(
            "trial:\n  command: {command}\n  env: {{RECORD_DIR: {:?}}}\n",
            self.folder.display().to_string()
        ));
        for line in &self.trial {
            yaml.push_str(&format!("  {line}\n"));
        }
        yaml
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_that_is_being_written_is_left_for_later() {
        let whole = "{\"fact\":\"start\",\"pid\":7}\n{\"fact\":\"point\",\"metric\":\"score\",\"step\":1,\"value\":0.5}\n";
        for end in 0..=whole.len() {
            let told = parse(&whole[..end]);
            assert_eq!(told.pids.len(), usize::from(end > whole.find('\n').unwrap()));
            assert_eq!(told.points.len(), usize::from(end == whole.len()));
            assert_eq!(told.unfinished, end > 0 && !whole[..end].ends_with('\n'));
        }
    }
}
