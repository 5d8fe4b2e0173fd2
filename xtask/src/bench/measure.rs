//! Runs a command and tells what it cost: wall time, the CPU time of all its processes, and the memory of the largest of them.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long processes that outlive the command may take to end. They don't count as wall time, but what they use counts as CPU time.
const LINGER: Duration = Duration::from_secs(3);

/// How long an interpreter that is kept warm has had nothing to do before a run. Nobody edits faster.
const BETWEEN_RUNS: Duration = Duration::from_millis(500);

/// How long the interpreter may take to try what it can import ahead.
const TRIALS: Duration = Duration::from_secs(60);

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds from the start to the end of the command.
    pub wall: f64,
    /// Seconds of CPU time, user and system, of the command and all processes below it.
    pub cpu: f64,
    /// The most memory that one of its processes had resident, in MB.
    pub peak: f64,
}

/// A run.
#[derive(Debug)]
pub struct Ran {
    /// What it cost.
    pub cost: Cost,
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// What it printed, both streams in one.
    pub text: String,
}

/// One process that has ended.
struct Ended {
    pid: i32,
    status: ExitStatus,
    cpu: f64,
    peak: f64,
}

/// Waits for any child; none if there is none, or, without `block`, none that has ended.
fn wait(block: bool) -> Option<Ended> {
    let mut status = 0;
    let flags = if block { 0 } else { libc::WNOHANG };
    // SAFETY: a `rusage` of zeros is a valid value, and both pointers are to live variables of the types that wait4 fills.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (
            libc::wait4(-1, &raw mut status, flags, &raw mut usage),
            usage,
        )
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds and kilobytes are small"
    )]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let unit = if cfg!(target_os = "macos") {
        1.0
    } else {
        1024.0
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds and kilobytes are small"
    )]
    let peak = usage.ru_maxrss as f64 * unit / 1e6;
    (pid > 0).then(|| Ended {
        pid,
        status: ExitStatus::from_raw(status),
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak,
    })
}

/// Makes this process the parent of those whose own parent ends before they do, so that their CPU time is seen.
fn adopt_orphans() {
    // SAFETY: this option takes a number and touches no memory.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
}

/// Runs a command with its output in a file. No other child of this process may be running.
///
/// # Errors
/// If it can't be started or takes longer than `limit`.
pub fn measure(command: &mut Command, printed: &Path, limit: Duration) -> Result<Ran> {
    measure_then(command, printed, limit, || Ok(()))
}

/// The same with an interpreter that is kept warm, as a user's runs find it: it has served an `earlier` run, which isn't measured, has tried
/// to import what that one imported, and is ended after the command. That counts as CPU time, but not as wall time. Each command has
/// something that is done before it. `dx` makes commands of the same dx-py in the same place.
///
/// # Errors
/// If the command can't be started or takes longer than `limit`, or if the interpreter can't be started or ended.
pub fn measure_warm(
    (earlier, before): (&mut Command, impl FnOnce() -> Result<()>),
    (command, prepare): (&mut Command, impl FnOnce() -> Result<()>),
    printed: &Path,
    limit: Duration,
    dx: impl Fn() -> Result<Command>,
) -> Result<Ran> {
    let daemon = |action: &str| -> Result<()> {
        let output = dx()?
            .args(["daemon", action])
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("dx-py daemon {action}: {said}");
        }
        Ok(())
    };
    adopt_orphans();
    daemon("start")?;
    before()?;
    let earlier = earlier.env("DX_PY_DAEMON", "1").stdin(Stdio::null());
    earlier
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    prepare()?;
    std::thread::sleep(BETWEEN_RUNS);
    if let Some(project) = command.get_current_dir() {
        wait_for_trials(project)?;
    }
    measure_then(command.env("DX_PY_DAEMON", "1"), printed, limit, || {
        daemon("stop")
    })
}

/// Waits until no interpreter of a project tries any more what it can import ahead: of all runs only the second one finds it doing that.
fn wait_for_trials(project: &Path) -> Result<()> {
    let began = Instant::now();
    let is_trying = || -> Result<bool> {
        for entry in fs::read_dir(project.join(".dx/zygote"))? {
            let path = entry?.path();
            let is_state = path.extension().is_some_and(|ending| ending == "json");
            // One that ends meanwhile tries nothing.
            let state = fs::read_to_string(&path).unwrap_or_default();
            if is_state && state.contains(r#""trying": true"#) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    while is_trying()? {
        if began.elapsed() > TRIALS {
            bail!("the warm interpreter still tries modules after {TRIALS:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn measure_then(
    command: &mut Command,
    printed: &Path,
    limit: Duration,
    after: impl FnOnce() -> Result<()>,
) -> Result<Ran> {
    adopt_orphans();
    let output = File::create(printed)?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    let began = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("can't start {command:?}"))?;
    let pid = i32::try_from(child.id())?;
    let (done, watched) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            kill_group(pid);
        }
        late
    });
    let mut cost = Cost::default();
    let mut code = -1;
    while let Some(ended) = wait(true) {
        cost.add(&ended);
        if ended.pid == pid {
            cost.wall = began.elapsed().as_secs_f64();
            code = ended.status.code().unwrap_or(-1);
            break;
        }
    }
    drop(done);
    let late = watchdog.join().unwrap_or(false);
    let ended = after();
    settle(pid, &mut cost);
    ended?;
    if late {
        bail!("took longer than {} s", limit.as_secs());
    }
    Ok(Ran {
        cost,
        code,
        text: String::from_utf8_lossy(&fs::read(printed)?).into_owned(),
    })
}

/// Waits for processes that outlived the command, and ends those of its group that stay.
fn settle(pid: i32, cost: &mut Cost) {
    for patience in [LINGER, Duration::from_secs(1)] {
        let since = Instant::now();
        while since.elapsed() < patience {
            match wait(false) {
                Some(ended) => cost.add(&ended),
                None if has_children() => std::thread::sleep(Duration::from_millis(5)),
                None => return,
            }
        }
        kill_group(pid);
    }
}

fn kill_group(pid: i32) {
    // SAFETY: a signal to a group that this process made; it touches no memory.
    unsafe {
        libc::kill(-pid, libc::SIGKILL);
    }
}

fn has_children() -> bool {
    // SAFETY: without a place for the result, waitid only looks; WNOWAIT leaves the child as it is.
    unsafe {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), flags) == 0
    }
}

impl Cost {
    fn add(&mut self, ended: &Ended) {
        self.cpu += ended.cpu;
        self.peak = self.peak.max(ended.peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: it waits for any child, so that two at a time would wait for each other's.
    #[test]
    fn code_output_time_and_orphans_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let printed = dir.path().join("printed.txt");
        let shell = |script: &str, limit: u64| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            measure(&mut command, &printed, Duration::from_secs(limit))
        };
        let ran = shell("echo out; echo err >&2; exit 3", 60).unwrap();
        assert_eq!((ran.code, ran.text.as_str()), (3, "out\nerr\n"));
        assert!(ran.cost.wall > 0.0 && ran.cost.cpu > 0.0 && ran.cost.peak > 0.0);
        let count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let alone = shell(count, 60).unwrap();
        let orphan = shell(&format!("({count}) & exit 0"), 60).unwrap();
        assert!(orphan.cost.cpu > alone.cost.cpu / 4.0);
        assert!(shell("sleep 60", 1).is_err());
    }
}
