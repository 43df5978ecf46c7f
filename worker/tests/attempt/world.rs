//! A state folder, a store in it, and programs to launch.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tunesmith_common::clock::SystemClock;
use tunesmith_common::id::{Attempt as AttemptNumber, LeaseId, LeaseKey, StudyId, TrialNumber};
use tunesmith_common::params::{ParamValue, Params};
use tunesmith_common::study::{MetricSource, Resources, Steps, TrialSpec};
use tunesmith_common::worker::{Assignment, AttemptEnd};
use tunesmith_worker::attempt::{Attempt, AttemptEvent, AttemptEventKind, AttemptStore, StoreOptions};
use uuid::Uuid;

/// Longer than anything takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// A worker's state, and the daemon that has it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: StoreOptions,
    pub(crate) store: AttemptStore,
    events: mpsc::Receiver<AttemptEvent>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(dir.path().join("state"));
        options.supervisor = PathBuf::from(env!("CARGO_BIN_EXE_tunesmith-worker"));
        change(&mut options);
        let (store, events) = open(&options).await;
        Self {
            dir,
            options,
            store,
            events,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The daemon goes; trainings stay.
    pub(crate) async fn without_daemon(self) -> (tempfile::TempDir, StoreOptions) {
        let Self {
            dir,
            options,
            store,
            events,
        } = self;
        drop(events);
        store.close().await;
        (dir, options)
    }

    /// A daemon comes.
    pub(crate) async fn again((dir, options): (tempfile::TempDir, StoreOptions)) -> Self {
        let (store, events) = open(&options).await;
        Self {
            dir,
            options,
            store,
            events,
        }
    }

    /// A daemon goes, and the next one comes.
    pub(crate) async fn restart_daemon(self) -> Self {
        Self::again(self.without_daemon().await).await
    }

    pub(crate) async fn launch(&self, assignment: Assignment) -> Attempt {
        self.store.launch(assignment).await.unwrap()
    }

    /// Launches a shell script.
    pub(crate) async fn script(&self, script: &str) -> Attempt {
        self.launch(shell(script)).await
    }

    pub(crate) async fn event(&mut self) -> AttemptEvent {
        tokio::time::timeout(DEADLINE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("a store")
    }

    /// Waits for the end, and checks that nothing of the attempt lives.
    pub(crate) async fn end_of(&mut self, attempt: &Attempt) -> AttemptEnd {
        loop {
            let event = self.event().await;
            if let AttemptEventKind::Ended(end) = event.kind
                && event.lease == attempt.lease()
            {
                assert_eq!(
                    alive(&self.folder(attempt)),
                    Vec::<i32>::new(),
                    "something outlives the attempt"
                );
                assert_eq!(attempt.end().as_ref(), Some(&*end));
                return *end;
            }
        }
    }

    pub(crate) fn folder(&self, attempt: &Attempt) -> PathBuf {
        folder(&self.options, &attempt.lease())
    }
}

async fn open(options: &StoreOptions) -> (AttemptStore, mpsc::Receiver<AttemptEvent>) {
    AttemptStore::open(options.clone(), Arc::new(SystemClock))
        .await
        .unwrap()
}

pub(crate) fn folder(options: &StoreOptions, lease: &LeaseKey) -> PathBuf {
    let study = options.state_dir.join("trials").join(lease.study.to_string());
    study
        .join(lease.trial.to_string())
        .join(lease.attempt.to_string())
}

pub(crate) fn lease(id: u128) -> LeaseKey {
    LeaseKey {
        study: StudyId(Uuid::from_u128(0x5eed)),
        trial: TrialNumber(7),
        attempt: AttemptNumber(2),
        id: LeaseId(Uuid::from_u128(id)),
    }
}

pub(crate) fn assignment(command: &[&str]) -> Assignment {
    let mut params = Params::new();
    params.insert("lr".parse().unwrap(), ParamValue::Float(1e-5));
    Assignment {
        lease: lease(0xfeed),
        study: "digits".parse().unwrap(),
        params,
        spec: TrialSpec {
            command: command.iter().map(|&element| element.to_owned()).collect(),
            env: std::collections::BTreeMap::new(),
            workdir: None,
            metrics: MetricSource::StdoutJson,
            steps: Steps {
                name: "epoch".to_owned(),
                max: None,
            },
            resources: Resources::default(),
            max_runtime: None,
            retries: 0,
            grace: Duration::from_secs(30),
        },
        gpus: Vec::new(),
        seed: 99,
        metrics: vec!["loss".parse().unwrap()],
        objectives: 1,
        resume: None,
        until: None,
        keep_checkpoint: false,
    }
}

/// A shell script, whose braces are not placeholders.
pub(crate) fn shell(script: &str) -> Assignment {
    assignment(&["sh", "-c", &script.replace('{', "{{").replace('}', "}}")])
}

/// All points as `metric step value`.
pub(crate) async fn points(attempt: &Attempt) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let batch = attempt.read_points(all.len() as u64 + 1, 100).await.unwrap();
        if batch.points.is_empty() {
            return all;
        }
        for point in batch.points {
            let metric = &batch.metrics[usize::try_from(point.metric).unwrap()];
            all.push(format!("{metric} {} {}", point.step, point.value));
        }
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a file and returns its content.
pub(crate) async fn content(path: &Path) -> String {
    eventually(&format!("{} is written", path.display()), || {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.size() > 0)
    })
    .await;
    std::fs::read_to_string(path).unwrap()
}

/// Processes that carry the attempt's mark; its supervisor does not.
pub(crate) fn alive(folder: &Path) -> Vec<i32> {
    let mark = format!("TUNESMITH_LEASE={}", folder.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    })
    .collect()
}
