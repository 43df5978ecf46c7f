//! Finding and starting the program, and saying in plain words why it cannot be started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::attempt::folder::{self, Folder};
use crate::attempt::records::Launch;

/// Added to the program's inclination to be killed when memory runs out: rather it than its supervisor.
const OOM_SCORE: i32 = 100;

/// Starts the program in a process group of its own.
///
/// # Errors
/// Why not, for people.
pub(super) fn start(folder: &Folder, launch: &Launch) -> Result<Child, String> {
    let Some((name, arguments)) = launch.argv.split_first() else {
        return Err("the command is empty".to_owned());
    };
    if !launch.workdir.is_dir() {
        return Err(format!(
            "the folder to run in does not exist: {}",
            launch.workdir.display()
        ));
    }
    let path = launch
        .env
        .get("PATH")
        .map(OsString::from)
        .or_else(|| std::env::var_os("PATH"));
    let program = find(name, &launch.workdir, path.as_deref())?;
    let output = |path: PathBuf| {
        let file = folder.with_reserve(|| folder::create(&path));
        file.map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let (stdout, stderr) = (output(folder.stdout())?, output(folder.stderr())?);
    let mut command = Command::new(&program);
    command
        .arg0(name)
        .args(arguments)
        .envs(&launch.env)
        .current_dir(&launch.workdir)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0);
    let child = command.spawn().map_err(|error| explain(&program, &error))?;
    prefer_for_oom(child.id());
    Ok(child)
}

/// The file that `name` means: itself if it has a slash, relative to `workdir`; else the first in a folder of `path`.
fn find(name: &str, workdir: &Path, path: Option<&OsStr>) -> Result<PathBuf, String> {
    if name.contains('/') {
        let program = workdir.join(name);
        return match check(&program) {
            Ok(()) => Ok(program),
            Err(error) => Err(explain(&program, &error)),
        };
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    let mut refused = None;
    for dir in path.as_bytes().split(|byte| *byte == b':') {
        let program = workdir.join(OsStr::from_bytes(dir)).join(name);
        match check(&program) {
            Ok(()) => return Ok(program),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_not_a_folder(&error) => {}
            Err(error) => refused = refused.or_else(|| Some(explain(&program, &error))),
        }
    }
    let path = path.to_string_lossy();
    Err(refused
        .unwrap_or_else(|| format!("command not found: {name:?} is in none of the folders of PATH: {path}")))
}

fn is_not_a_folder(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOTDIR)
}

fn check(program: &Path) -> io::Result<()> {
    if std::fs::metadata(program)?.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    Ok(rustix::fs::access(program, Access::EXEC_OK)?)
}

fn explain(program: &Path, error: &io::Error) -> String {
    let exists = program.exists();
    let remedy = match Errno::from_io_error(error) {
        Some(Errno::NOENT) if exists => ": the interpreter that its first line names does not exist",
        Some(Errno::NOENT) => ": command not found",
        Some(Errno::ACCESS) if exists => {
            ": not executable; `chmod +x` it, or name its interpreter in the command"
        }
        Some(Errno::NOEXEC) => {
            ": it is no program for this machine; a script needs a first line such as `#!/bin/sh`"
        }
        Some(Errno::TOOBIG) => ": its arguments and environment are too long; use the parameters' file",
        _ => "",
    };
    format!("cannot start {}: {error}{remedy}", program.display())
}

fn prefer_for_oom(pid: u32) {
    let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    // Only an inclination: not worth an error.
    let _ = std::fs::write(
        format!("/proc/{pid}/oom_score_adj"),
        (own + OOM_SCORE).min(1000).to_string(),
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_executable_of_path_is_taken_and_refusals_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        make("a/tool", 0o644);
        make("b/tool", 0o755);
        make("a/plain", 0o644);
        std::fs::create_dir_all(dir.path().join("a/folder")).unwrap();
        let path = OsString::from("/nonexistent:a:b");
        let find = |name: &str| find(name, dir.path(), Some(&path));
        assert_eq!(find("tool").unwrap(), dir.path().join("b/tool"));
        assert_eq!(find("./b/tool").unwrap(), dir.path().join("./b/tool"));
        let refused = |name: &str, words: &str| {
            let error = find(name).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        refused(
            "nothing",
            "command not found: \"nothing\" is in none of the folders of PATH: /nonexistent:a:b",
        );
        refused(
            "./nothing",
            "./nothing: No such file or directory (os error 2): command not found",
        );
        refused(
            "plain",
            "a/plain: Permission denied (os error 13): not executable; `chmod +x`",
        );
        refused("folder", "Is a directory");
    }
}
