//! Starts one interpreter and speaks the protocol with it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dx_py_core::Engine;
use dx_py_protocol::{Command as Order, FrameDecoder, ProtocolError, Report, Ring, RingConsumer};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

use crate::cpu;
use crate::output::Tail;
use crate::zygote::{Fork, Zygotes};

/// The capacity of a worker's ring: 4 MiB.
const RING_CAPACITY: u64 = 4 << 20;

/// How often it is looked for what a worker has written and not sent yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a worker does about plugins that report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    #[default]
    Mute,
    /// It is the only session, and passes on what plugins say in it.
    Lone,
    /// It adds pytest's reports to its results, since a controller hears of them.
    Told,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Mute => "mute",
            Self::Lone => "lone",
            Self::Told => "told",
        }
    }
}

/// How workers are started.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// The interpreter.
    pub python: PathBuf,
    /// The folder that holds the package `dx_py_test_runner`.
    pub worker_dir: PathBuf,
    /// The working directory.
    pub cwd: PathBuf,
    /// Environment variables to set.
    pub env: Vec<(OsString, OsString)>,
    /// Arguments for pytest.
    pub pytest_args: Vec<OsString>,
    /// The folder in which each worker has its temporary files; `None` leaves the choice to pytest.
    pub basetemp: Option<PathBuf>,
    /// How many workers the run has.
    pub workers: usize,
    /// A name for the run.
    pub run_id: String,
    /// What workers do about plugins that report.
    pub role: Role,
    /// What runs the tests.
    pub engine: Engine,
    /// Whether workers wait for [`Order::Begin`] before they run anything of the project's.
    pub waits: bool,
    /// Whether workers print to this process's standard output and error.
    pub inherit_output: bool,
    /// Where interpreters are that can be forked; `None` starts one for each worker.
    pub zygotes: Option<Zygotes>,
}

/// A worker couldn't be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The interpreter can't be executed.
    #[error("can't start the Python interpreter {path}\nName another with --python PATH.", path = .path.display())]
    Spawn {
        /// The interpreter.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket can't be made.
    #[error("can't make a socket for a worker")]
    Socket(#[source] io::Error),
    /// The ring can't be made.
    #[error(transparent)]
    Ring(#[from] ProtocolError),
}

/// The connection with a worker broke.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Reading or writing failed.
    #[error("the connection with the worker broke")]
    Io(#[from] io::Error),
    /// What arrived isn't the protocol.
    #[error("the worker sent something that isn't a report")]
    Protocol(#[from] ProtocolError),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCause {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Nobody knows.
    Unknown,
}

impl From<ExitStatus> for ExitCause {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl std::fmt::Display for ExitCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => {
                let name = match signal {
                    4 => " (SIGILL)",
                    6 => " (SIGABRT)",
                    7 => " (SIGBUS)",
                    8 => " (SIGFPE)",
                    9 => " (SIGKILL; perhaps the system ran out of memory)",
                    11 => " (SIGSEGV)",
                    15 => " (SIGTERM)",
                    _ => "",
                };
                write!(f, "signal {signal}{name}")
            }
            Self::Unknown => f.write_str("an unknown cause"),
        }
    }
}

/// Lets a process die with the thread that starts it, so that a killed dx-py leaves none behind.
pub(crate) fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only a system call is made, which is safe there.
    unsafe {
        command.pre_exec(|| {
            #[cfg(target_os = "linux")]
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        });
    }
}

/// The process of a worker: started here, or forked by a zygote.
#[derive(Debug)]
enum Process {
    Child(Child),
    Fork(Fork),
}

impl Process {
    /// Its number, until it has ended.
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Child(child) => Pid::from_raw(i32::try_from(child.id()?).ok()?),
            Self::Fork(fork) => fork.pid(),
        }
    }

    /// Waits until it has ended. May be cancelled without loss.
    async fn wait(&mut self) -> ExitCause {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.into(),
                Err(_) => ExitCause::Unknown,
            },
            Self::Fork(fork) => fork.wait().await,
        }
    }
}

/// What a worker prints.
struct Output {
    stdout: Option<Receiver>,
    stderr: Receiver,
}

/// The arguments of worker `number`, but for the numbers of its socket and its ring.
fn arguments(spec: &LaunchSpec, number: u32) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![
        number.to_string().into(),
        spec.workers.to_string().into(),
        spec.basetemp.clone().unwrap_or_default().into(),
        spec.run_id.clone().into(),
        spec.role.as_str().into(),
        spec.engine.as_str().into(),
        if spec.waits { "later" } else { "now" }.into(),
        "--".into(),
    ];
    all.extend(spec.pytest_args.iter().cloned());
    all
}

/// Lets a zygote fork the worker, if there is one that serves.
fn fork(spec: &LaunchSpec, number: u32, inherited: &[OwnedFd; 2]) -> Option<(Fork, Output)> {
    let zygotes = spec.zygotes.as_ref().filter(|_| !spec.inherit_output)?;
    let (stdout, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).ok()?;
    let (stderr, error) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).ok()?;
    let streams = [
        inherited[0].as_fd(),
        inherited[1].as_fd(),
        out.as_fd(),
        error.as_fd(),
    ];
    let fork = zygotes.fork(spec, &arguments(spec, number), streams)?;
    let output = Output {
        stdout: Receiver::from_owned_fd(stdout).ok(),
        stderr: Receiver::from_owned_fd(stderr).ok()?,
    };
    Some((fork, output))
}

/// Starts an interpreter.
fn start(
    spec: &LaunchSpec,
    number: u32,
    inherited: &[OwnedFd; 2],
) -> Result<(Child, Option<Output>), LaunchError> {
    let failed = |source| LaunchError::Spawn {
        path: spec.python.clone(),
        source,
    };
    let numbers: Vec<RawFd> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new(&spec.python);
    command
        .arg(spec.worker_dir.join("dx_py_test_runner/boot.py"))
        .args(numbers.iter().map(ToString::to_string))
        .args(arguments(spec, number))
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if !spec.inherit_output {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    // SAFETY: between fork and exec only system calls are made, which are safe there. The process dies with the thread that
    // forked it; that is the thread of the current-thread runtime, which lives as long as the run.
    unsafe {
        command.pre_exec(move || {
            #[cfg(target_os = "linux")]
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            for number in &numbers {
                let fd = rustix::fd::BorrowedFd::borrow_raw(*number);
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(failed)?;
    let receiver = |fd: io::Result<OwnedFd>| fd.and_then(Receiver::from_owned_fd).map_err(failed);
    let stdout = child
        .stdout
        .take()
        .map(|stream| receiver(stream.into_owned_fd()));
    let stderr = child
        .stderr
        .take()
        .map(|stream| receiver(stream.into_owned_fd()));
    let output = match stderr {
        Some(stderr) => Some(Output {
            stdout: stdout.transpose()?,
            stderr: stderr?,
        }),
        None => None,
    };
    Ok((child, output))
}

/// A running worker. Dropping it kills it and its process group.
#[derive(Debug)]
pub struct Interpreter {
    process: Process,
    pid: Option<Pid>,
    stream: UnixStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
    stderr: Option<(Tail, Option<tokio::task::JoinHandle<()>>)>,
}

impl Interpreter {
    /// Starts worker `number`. Must be called within a `LocalSet` of a current-thread runtime.
    ///
    /// # Errors
    /// If the interpreter, its socket or its ring can't be had.
    pub fn spawn(spec: &LaunchSpec, number: u32) -> Result<Self, LaunchError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(LaunchError::Socket)?;
        ours.set_nonblocking(true).map_err(LaunchError::Socket)?;
        let stream = UnixStream::from_std(ours).map_err(LaunchError::Socket)?;
        let ring = Ring::create(RING_CAPACITY)?;
        let decoder = FrameDecoder::new(RingConsumer::new(&ring)?);
        let inherited = [OwnedFd::from(theirs), OwnedFd::from(ring)];
        let (process, output) = match fork(spec, number, &inherited) {
            Some((fork, output)) => (Process::Fork(fork), Some(output)),
            None => {
                let (child, output) = start(spec, number, &inherited)?;
                (Process::Child(child), output)
            }
        };
        drop(inherited);
        let stderr = output.map(|output| {
            if let Some(stdout) = output.stdout {
                Tail::follow(stdout);
            }
            let (tail, task) = Tail::follow(output.stderr);
            (tail, Some(task))
        });
        Ok(Self {
            pid: process.pid(),
            process,
            stream,
            decoder,
            buffer: vec![0; 64 << 10],
            stderr,
        })
    }

    /// Sends a command; `sequence` is the job's number.
    ///
    /// # Errors
    /// If the worker is gone.
    pub async fn send(&mut self, order: &Order, sequence: u64) -> Result<(), ConnectionError> {
        Ok(self.stream.write_all(&order.encode(sequence)).await?)
    }

    /// The next report; `None` when the worker has closed its end. May be cancelled without loss.
    ///
    /// # Errors
    /// If the connection breaks or carries something else.
    pub async fn recv(&mut self) -> Result<Option<Report>, ConnectionError> {
        loop {
            if let Some(report) = self.arrived()? {
                return Ok(Some(report));
            }
            let read = self.stream.read(&mut self.buffer);
            let count = match tokio::time::timeout(LOOK_EVERY, read).await {
                Ok(Ok(count)) => count,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    self.decoder.look();
                    continue;
                }
            };
            if count == 0 && !self.decoder.look() {
                return Ok(None);
            }
            self.decoder.push(&self.buffer[..count]);
        }
    }

    /// The next report if all of it has arrived.
    ///
    /// # Errors
    /// If the connection carries something else.
    pub fn arrived(&mut self) -> Result<Option<Report>, ConnectionError> {
        Ok(self.decoder.next_report()?)
    }

    /// Ends a worker that hangs, first asking `faulthandler` for the stack of every thread; gives what it printed last.
    pub async fn kill_with_stacks(&mut self) -> String {
        self.signal(Signal::ABORT);
        if tokio::time::timeout(Duration::from_secs(1), self.process.wait())
            .await
            .is_err()
        {
            self.kill();
        }
        self.wait_exit().await;
        self.last_output().await
    }

    /// The CPU time that the worker and what it started have used so far; none if the system doesn't tell.
    pub fn cpu_time(&self) -> Option<Duration> {
        cpu::time_of_group(self.pid?.as_raw_nonzero().get())
    }

    /// Asks the worker to stop, as Ctrl-C would.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Has the worker and every process of its group stand still, or go on.
    pub fn suspend(&self, stands: bool) {
        let signal = if stands { Signal::STOP } else { Signal::CONT };
        if let Some(pid) = self.pid {
            // An error means that the group is gone already.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Kills the worker and every process of its group.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid {
            // An error means that the group is gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.process.pid() {
            // An error means that the process is gone already.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the process to end, killing it if it hasn't after a second.
    pub async fn wait_exit(&mut self) -> ExitCause {
        match tokio::time::timeout(Duration::from_secs(1), self.process.wait()).await {
            Ok(cause) => cause,
            Err(_) => {
                self.kill();
                self.process.wait().await
            }
        }
    }

    /// Waits until a worker that has said goodbye has done all that it does at its end, killing it if it hasn't after a second.
    ///
    /// A fork closes its end of the connection when nothing is left but to give its memory back to the system, which takes longer than
    /// many a test: nobody has to wait for that but the zygote. What was started here is waited for, since nobody else would.
    pub async fn wait_done(&mut self) {
        if let Process::Fork(fork) = &mut self.process {
            let stream = &mut self.stream;
            let buffer = &mut self.buffer;
            let closed = async { while let Ok(1..) = stream.read(buffer).await {} };
            let done = async {
                tokio::select! {
                    _ = fork.wait() => (),
                    () = closed => (),
                }
            };
            if tokio::time::timeout(Duration::from_secs(1), done)
                .await
                .is_ok()
            {
                return;
            }
            self.kill();
        }
        self.wait_exit().await;
    }

    /// The last part of what the ended worker printed to standard error.
    pub async fn last_output(&mut self) -> String {
        let Some((tail, task)) = &mut self.stderr else {
            return String::new();
        };
        if let Some(task) = task.take() {
            // A grandchild may keep the pipe open: what is there by then has to do.
            let _ = tokio::time::timeout(Duration::from_millis(200), task).await;
        }
        tail.text()
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            // An error means that the group is gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
