//! Daemons, supervisors and disks that fail.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::clock::SystemClock;
use tunesmith_common::worker::AttemptOutcome;
use tunesmith_worker::attempt::{AttemptError, AttemptStore};

use crate::world::{World, alive, content, eventually, points, shell};

/// Prints a line for each file `go-N` that appears, and ends after the last.
const STEPS: &str = r#"i=1; while [ $i -le 6 ]; do
    until [ -e go-$i ]; do sleep 0.005; done
    echo "{\"loss\": $i, \"epoch\": $i}"; printf '{"metric":"half'; i=$((i+1)); echo "\",\"value\":1}"
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_training_goes_on_over_restarts_of_the_daemon_and_nothing_is_read_twice_or_missed() {
    let mut world = World::new().await;
    let mut attempt = world.script(STEPS).await;
    let lease = attempt.lease();
    let trial = world.folder(&attempt).parent().unwrap().to_owned();
    eventually("it has started", || attempt.started().is_some()).await;
    let started = attempt.started();
    for step in 1..=6 {
        let gone = world.without_daemon().await;
        // Printed while nobody looks, or half of it.
        std::fs::write(trial.join(format!("go-{step}")), "").unwrap();
        if step % 2 == 0 {
            let log = trial.join("2/stdout.log");
            eventually("it has printed", || {
                std::fs::read_to_string(&log).unwrap().matches("half\"").count() == step
            })
            .await;
        }
        world = World::again(gone).await;
        attempt = world.store.attempt(&lease).unwrap();
        assert_eq!(attempt.started(), started, "the same process");
        eventually("the step is read", || attempt.last_seq() == 2 * step as u64).await;
    }
    let end = world.end_of(&attempt).await;
    assert_eq!((&end.outcome, end.last_seq), (&AttemptOutcome::Exited(0), 12));
    let expected: Vec<String> = (1..=6)
        .flat_map(|i| [format!("loss {i} {i}"), format!("half {i} 1")])
        .collect();
    assert_eq!(points(&attempt).await, expected);
    // Told again, and the same.
    let world = world.restart_daemon().await;
    let attempt = world.store.attempt(&lease).unwrap();
    assert_eq!((attempt.end(), attempt.started()), (Some(end), started));
    assert_eq!(points(&attempt).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_ends_while_there_is_no_daemon_is_told_of_rightly() {
    for (last, outcome) in [
        ("exit 5", AttemptOutcome::Exited(5)),
        ("kill -SEGV $$", AttemptOutcome::Signalled(11)),
    ] {
        let world = World::new().await;
        let attempt = world
            .script(&format!(
                "until [ -e go ]; do sleep 0.005; done; echo '{{\"loss\":1}}'; {last}"
            ))
            .await;
        let lease = attempt.lease();
        let folder = world.folder(&attempt);
        eventually("it has started", || attempt.started().is_some()).await;
        let gone = world.without_daemon().await;
        std::fs::write(folder.parent().unwrap().join("go"), "").unwrap();
        content(&folder.join("exit.json")).await;
        let mut world = World::again(gone).await;
        let attempt = world.store.attempt(&lease).unwrap();
        let end = world.end_of(&attempt).await;
        assert_eq!((end.outcome, end.last_seq), (outcome, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_does_not_hide_that_the_supervisor_was_killed() {
    let mut world = World::new().await;
    let attempt = world
        .script(r#"while :; do echo '{"loss":1}'; sleep 0.001; done"#)
        .await;
    eventually("points are read", || attempt.last_seq() > 10).await;
    let state = content(&world.folder(&attempt).join("state.json")).await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let pid = state["supervisor"]["pid"].to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    assert!(killed.success());
    let end = world.end_of(&attempt).await;
    assert!(matches!(end.outcome, AttemptOutcome::Lost(_)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_spare_supervisor_costs_nothing_and_none_outlives_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (pids, wrapper) = (dir.path().join("pids"), dir.path().join("supervisor"));
    let mut world = World::with(|options| {
        let real = std::mem::replace(&mut options.supervisor, wrapper.clone());
        let text = format!(
            "#!/bin/sh\necho $$ >> {}\nexec {} \"$@\"\n",
            pids.display(),
            real.display()
        );
        std::fs::write(&wrapper, text).unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o700)).unwrap();
    })
    .await;
    let started = |number: usize| {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        text.lines().nth(number - 1).map(str::to_owned)
    };
    let runs = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    let mut supervisors = Vec::new();
    for (number, kill) in [(1, false), (2, true), (3, false)] {
        let mut assignment = shell("echo '{\"loss\":1}'; until [ -e end ]; do sleep 0.005; done");
        assignment.lease.trial.0 = number;
        let attempt = world.launch(assignment).await;
        let folder = world.folder(&attempt);
        let state = || {
            let text = std::fs::read(folder.join("state.json")).unwrap_or_default();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default()
        };
        eventually("it has started", || attempt.started().is_some()).await;
        supervisors.push(state()["supervisor"]["pid"].to_string());
        let next = supervisors.len() + 1;
        eventually("the next one is ready", || started(next).is_some()).await;
        if kill {
            let spare = started(next).unwrap();
            assert!(
                Command::new("kill")
                    .args(["-KILL", &spare])
                    .status()
                    .unwrap()
                    .success()
            );
            eventually("it is dead", || !runs(&spare)).await;
            supervisors.push(spare);
        }
        std::fs::write(folder.parent().unwrap().join("end"), "").unwrap();
        let end = world.end_of(&attempt).await;
        assert_eq!((end.outcome, end.last_seq), (AttemptOutcome::Exited(0), 1));
    }
    let listed: Vec<String> = (1..=supervisors.len()).filter_map(started).collect();
    assert_eq!(
        listed, supervisors,
        "each was made beforehand, and used unless it was killed"
    );
    let spare = started(supervisors.len() + 1).unwrap();
    assert!(runs(&spare));
    world.without_daemon().await;
    assert!(!runs(&spare));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_costs_the_attempt_and_leaves_nobody_behind() {
    for daemon_sees_it in [true, false] {
        let mut world = World::new().await;
        let attempt = world
            .script(
                r#"echo '{"loss":1}'; sleep 1000 & env -i setsid sleep 1000 &
                sh -c 'env -i sleep 1000 & exit 0'
                setsid sh -c 'sleep 1000 & exit 0'
                env -i sh -c 'echo ready > ready; exec sleep 1000' & wait"#,
            )
            .await;
        let lease = attempt.lease();
        let folder = world.folder(&attempt);
        content(&folder.parent().unwrap().join("ready")).await;
        eventually("a point is read", || attempt.last_seq() == 1).await;
        let state: serde_json::Value =
            serde_json::from_str(&content(&folder.join("state.json")).await).unwrap();
        let pid = state["supervisor"]["pid"].to_string();
        let session = |pid: &str| {
            let ps = Command::new("ps").args(["-s", pid, "-o", "stat="]).output();
            let states = String::from_utf8(ps.unwrap().stdout).unwrap();
            // Zombies wait for the machine's first process, which takes its time.
            states.lines().filter(|state| !state.starts_with('Z')).count()
        };
        let kill = || {
            assert!(
                Command::new("kill")
                    .args(["-KILL", &pid])
                    .status()
                    .unwrap()
                    .success()
            )
        };
        if daemon_sees_it {
            kill();
        } else {
            let gone = world.without_daemon().await;
            kill();
            world = World::again(gone).await;
        }
        let attempt = world.store.attempt(&lease).unwrap();
        let end = world.end_of(&attempt).await;
        assert!(
            matches!(&end.outcome, AttemptOutcome::Lost(text) if text.contains("supervisor")),
            "{end:?}"
        );
        assert_eq!(end.last_seq, 1);
        assert_eq!(alive(&folder), Vec::<i32>::new());
        assert_eq!(session(&pid), 0, "those that have no mark live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused() {
    let world = World::new().await;
    let second = AttemptStore::open(world.options.clone(), Arc::new(SystemClock)).await;
    assert!(matches!(second, Err(AttemptError::InUse(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_a_power_failure_left_torn_is_launched_anew() {
    for torn in ["", "{\"lease\": {\"st", "\0\0\0\0"] {
        let mut world = World::new().await;
        let attempt = world.script("echo '{\"loss\":1}'").await;
        world.end_of(&attempt).await;
        let folder = world.folder(&attempt);
        let gone = world.without_daemon().await;
        std::fs::write(folder.join("launch.json"), torn).unwrap();
        let mut world = World::again(gone).await;
        assert!(world.store.attempts().is_empty(), "nothing is known of it");
        let attempt = world.script("echo '{\"loss\":2}'").await;
        world.end_of(&attempt).await;
        assert_eq!(points(&attempt).await, ["loss 1 2"], "none of the earlier ones");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_version_is_left_alone() {
    let mut world = World::new().await;
    let attempt = world.script("true").await;
    world.end_of(&attempt).await;
    let launch = world.folder(&attempt).join("launch.json");
    let gone = world.without_daemon().await;
    std::fs::write(&launch, "{\"lease\": 3}").unwrap();
    let world = World::again(gone).await;
    assert!(world.store.launch(shell("true")).await.is_err());
    assert_eq!(std::fs::read_to_string(&launch).unwrap(), "{\"lease\": 3}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_spool_is_read_again_from_the_output() {
    let mut world = World::new().await;
    let attempt = world
        .script(r#"for i in 1 2 3 4 5; do echo "{\"loss\":$i,\"epoch\":$i}"; done; exec sleep 1000"#)
        .await;
    let lease = attempt.lease();
    let spool = world.folder(&attempt).join("spool/points");
    eventually("everything is read", || attempt.last_seq() == 5).await;
    let before = points(&attempt).await;
    let gone = world.without_daemon().await;
    let mut bytes = std::fs::read(&spool).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&spool, bytes).unwrap();
    world = World::again(gone).await;
    let attempt = world.store.attempt(&lease).unwrap();
    eventually("everything is read again", || attempt.last_seq() == 5).await;
    assert_eq!(points(&attempt).await, before);
    attempt.kill_stale().await.unwrap();
    let end = world.end_of(&attempt).await;
    assert!(
        end.warnings
            .iter()
            .any(|warning| warning.contains("spool were damaged")),
        "{end:?}"
    );
}

/// A small file system that goes away with this.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "none"])
            .arg(&at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
async fn a_full_disk_neither_ends_the_training_nor_loses_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path().join("disk")) else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let mut world = World::with(|options| options.state_dir = disk.0.join("state")).await;
    let script = r#"cd "$TUNESMITH_TRIAL_DIR"
        report() { echo "{\"metric\":\"loss\",\"value\":$1,\"epoch\":$1}"; }
        report 1
        until [ -e full ]; do sleep 0.005; done
        i=2; while [ $i -le 3000 ]; do report $i; i=$((i+1)); done >> lines 2> /dev/null
        cat FIFO > /dev/null; exit 4"#;
    let attempt = world.script(&script.replace("FIFO", "fifo")).await;
    let folder = world.folder(&attempt);
    let trial = folder.parent().unwrap().to_owned();
    assert!(
        Command::new("mkfifo")
            .arg(trial.join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    eventually("the first point is read", || attempt.last_seq() == 1).await;
    // Only now is there nothing left.
    let fill = disk.0.join("fill");
    assert!(
        !Command::new("dd")
            .args(["if=/dev/zero", "bs=4k"])
            .arg(format!("of={}", fill.display()))
            .output()
            .unwrap()
            .status
            .success()
    );
    // An empty file needs no space.
    std::fs::write(trial.join("full"), "").unwrap();
    // What the program prints cannot be written either, but it lives.
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.join("stdout.log"))
        .unwrap();
    let line = b"{\"metric\":\"loss\",\"value\":7,\"epoch\":7}\n";
    let mut tries = 0..20_000;
    while tries.next().is_some() && std::io::Write::write_all(&mut log, line).is_ok() {}
    assert!(!alive(&folder).is_empty());
    std::fs::write(trial.join("fifo"), "").unwrap();
    let end = tokio::time::timeout(Duration::from_secs(60), world.end_of(&attempt))
        .await
        .unwrap();
    assert_eq!(end.outcome, AttemptOutcome::Exited(4));
    assert_eq!(
        points(&attempt).await.first().map(String::as_str),
        Some("loss 1 1")
    );
    assert_eq!(points(&attempt).await.len() as u64, end.last_seq);
    let lease = attempt.lease();
    drop(attempt);
    world = world.restart_daemon().await;
    assert_eq!(
        world.store.attempt(&lease).unwrap().end(),
        Some(end),
        "the end was written down"
    );
    world.without_daemon().await;
}
