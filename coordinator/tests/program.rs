//! The binary: configuration, first start, signals, exit status.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tunesmith-coordinator"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TUNESMITH_"))
    {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended if the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn it_says_where_it_listens_and_ends_well_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new");
    let (address_file, old) = (data.join("address"), folder.path().join("old"));
    for start in 0..2 {
        if start == 1 {
            // As a coordinator that was killed leaves it.
            std::fs::write(&address_file, "127.0.0.1:1\n").unwrap();
            std::fs::hard_link(&address_file, &old).unwrap();
        }
        let mut child = Killed(
            program()
                .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--data"])
                .arg(&data)
                .spawn()
                .unwrap(),
        );
        let mut log = BufReader::new(child.0.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "it ended before it listened"
            );
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["fields"]["message"] == "listening" {
                break line["fields"]["address"].as_str().unwrap().to_owned();
            }
        };
        assert_eq!(
            std::fs::read_to_string(&address_file).unwrap().trim(),
            address,
            "start {start}"
        );
        if start == 1 {
            // It was replaced whole: written in place it would have been empty for a moment.
            assert_eq!(std::fs::read_to_string(&old).unwrap(), "127.0.0.1:1\n");
        }
        signal(&child.0, rustix::process::Signal::TERM);
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        assert!(child.0.wait().unwrap().success(), "{rest}");
        assert!(
            rest.contains("stopped") && !rest.contains("WARN") && !rest.contains("ERROR"),
            "{rest}"
        );
        let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
        assert!(token.starts_with("ts_user_") && !rest.contains(token.trim()));
    }
}

#[test]
fn configuration_is_checked_and_shown_without_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coordinator.toml");
    std::fs::write(
        &file,
        "store = \"postgres://ann:geheim@db/t\"\nlease_ttl = \"1m\"\n",
    )
    .unwrap();
    let show = |args: &[&str]| {
        program()
            .args(["config", "show", "--config"])
            .arg(&file)
            .args(args)
            .output()
            .unwrap()
    };
    let shown = show(&["--lease-ttl", "5s", "--data", "/d"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && text.contains("lease_ttl = \"5s\""),
        "{text}"
    );
    assert!(
        text.contains("postgres://ann:***@db/t") && !text.contains("geheim"),
        "{text}"
    );

    let refused = show(&["--listen", "0.0.0.0:1"]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(
        message.starts_with("error: listen: 0.0.0.0:1 can be reached from other machines"),
        "{message}"
    );
    assert!(
        show(&["--listen", "0.0.0.0:1", "--allow-insecure-listen"])
            .status
            .success()
    );
}

#[cfg(not(feature = "crash-points"))]
#[test]
fn a_build_without_the_feature_has_no_point_at_which_to_crash() {
    let asked = program().arg("crash-points").output().unwrap();
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
}
