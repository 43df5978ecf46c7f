//! Everything on one machine by one command.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use tunesmith_e2e::{ProbeStudy, Program, Ran, Records, Signal, eventually, marked, tunesmith};

use crate::world::running;

/// The command `tunesmith` with a home of its own.
fn at_home(home: &std::path::Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = tunesmith(None, arguments);
    command.env("HOME", home).env("TUNESMITH_COORDINATOR", url);
    command
}

async fn run(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || command.output().unwrap().into())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_starts_everything_and_ctrl_c_leaves_nothing_behind() {
    let (home, records) = (tempfile::tempdir().unwrap(), Records::new());
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let url = format!("http://{address}");
    let log = home.path().join("up.log");
    let up = || {
        Program::start(
            at_home(home.path(), &url, &["up", "--listen", &address, "--slots", "2"]),
            &log,
        )
    };
    let file = home.path().join("study.yaml");
    fs::write(
        &file,
        ProbeStudy::new("home", &records, 2, &["--open-end", "--child"]).yaml(),
    )
    .unwrap();
    let file = file.display().to_string();

    let mut first = up();
    eventually("it is up", async || {
        let ran = run(at_home(
            home.path(),
            &url,
            &["worker", "list", "--output", "json"],
        ))
        .await;
        if ran.out.contains("READY") {
            Ok(())
        } else {
            Err((ran.err, first.output()))
        }
    })
    .await;
    let _ = run(at_home(home.path(), &url, &["run", &file, "--detach"]))
        .await
        .expect_code(0);
    running(&records, 2, 4).await;
    first.signal(Signal::INT);
    let status = first.ended().await;
    assert!(status.success(), "{status}: {}", first.output());
    // The data folder lies in the home, which only what `up` started has in its environment.
    let home_mark = format!("HOME={}\0", home.path().display());
    eventually("nothing lives", async || {
        let left = [records.alive(), marked(&home_mark)].concat();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;

    // The study goes on with the next `up`.
    let mut second = up();
    records.release();
    eventually("the study ends", async || {
        let ran = run(at_home(
            home.path(),
            &url,
            &["study", "show", "home", "--output", "json"],
        ))
        .await;
        if ran.out.contains("STUDY_STATE_DONE") {
            Ok(())
        } else {
            Err((ran.out, ran.err))
        }
    })
    .await;
    second.signal(Signal::INT);
    assert!(second.ended().await.success(), "{}", second.output());
    eventually("nothing lives", async || {
        let left = [records.alive(), marked(&home_mark)].concat();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}
