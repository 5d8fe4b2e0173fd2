//! The client's side of zygotes: interpreters that have pytest imported, and fork workers in milliseconds.
//!
//! A zygote belongs to a project's `.dx/zygote/` folder, and to everything that a fork can't be made to share with whoever asks for it:
//! the interpreter, the working directory, the terminal, resource limits, and the variables that Python reads when it starts. All of
//! that is in its name. It is started after a run, so that no run pays for it, and ends by itself when it is idle.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use dx_py_core::Hasher;
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Pid, Resource, Signal};
use tokio::io::AsyncReadExt;

use crate::launch::{ExitCause, LaunchSpec};
use crate::surroundings::{surroundings, umask};

/// How long a zygote is waited for; one that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_millis(1000);
/// How long the modules of a project may take to be imported.
const START_UP: Duration = Duration::from_secs(60);
/// For how long a zygote that turned out to be impossible isn't tried again.
const UNFIT_FOR: Duration = Duration::from_secs(3600);

/// How many descriptors can be sent at once (`SCM_MAX_FD` of Linux).
const MOST_DESCRIPTORS: usize = 253;

/// The variables that Python, its site module or the C library read when an interpreter starts, by how their names begin.
const AT_START: [&str; 13] = [
    "PYTHON",
    "LC_",
    "LANG",
    "TZ",
    "HOME",
    "LD_",
    "MALLOC_",
    "GLIBC_",
    "VIRTUAL_ENV",
    "CONDA_",
    "TMPDIR",
    "TEMP",
    "TMP",
];

/// Where the zygotes of a project are, and how they are started.
#[derive(Clone, Debug)]
pub struct Zygotes {
    /// The folder with their sockets, below `.dx/`.
    pub folder: PathBuf,
    /// Installed modules that they import beside pytest.
    pub preload: Vec<String>,
    /// Whether they import what the tests of earlier runs imported as well.
    pub auto_preload: bool,
    /// After how long without work they end.
    pub idle: Duration,
}

/// What is known of a zygote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Whether it serves.
    pub serves: bool,
    /// What it says of itself: JSON.
    pub state: String,
}

impl Zygotes {
    /// The modules that a zygote is told to import: a star stands for those that were seen.
    fn modules(&self) -> impl Iterator<Item = &str> {
        let seen = self.auto_preload.then_some("*");
        self.preload.iter().map(String::as_str).chain(seen)
    }

    /// The name of the zygote whose forks are like the interpreters that `spec` asks for.
    fn name(&self, spec: &LaunchSpec) -> String {
        let mut hasher = Hasher::new();
        for path in [&spec.python, &spec.worker_dir, &spec.cwd] {
            hasher.field(path.as_os_str().as_bytes());
        }
        for name in self.modules() {
            hasher.field(name);
        }
        let mut variables: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| {
                let name = name.as_bytes();
                AT_START
                    .iter()
                    .any(|start| name.starts_with(start.as_bytes()))
            })
            .collect();
        variables.sort();
        for (name, value) in variables {
            hasher.field(name.as_bytes()).field(value.as_bytes());
        }
        for resource in [
            Resource::As,
            Resource::Core,
            Resource::Cpu,
            Resource::Data,
            Resource::Fsize,
            Resource::Memlock,
            Resource::Nofile,
            Resource::Nproc,
            Resource::Stack,
        ] {
            let limit = rustix::process::getrlimit(resource);
            hasher.field(format!("{:?} {:?}", limit.current, limit.maximum));
        }
        for part in surroundings() {
            hasher.field(part);
        }
        hasher.finish().to_string()
    }

    /// Asks for a worker with these arguments and streams (its socket, its ring, standard output and standard error). `None` if no
    /// zygote serves, or it can't be used.
    pub(crate) fn fork(
        &self,
        spec: &LaunchSpec,
        arguments: &[OsString],
        streams: [BorrowedFd<'_>; 4],
    ) -> Option<Fork> {
        if !self.folder.exists() {
            return None;
        }
        let numbers = handed_down();
        if numbers.len() > MOST_DESCRIPTORS - streams.len() {
            return None;
        }
        let link = connect(&self.folder, &self.name(spec)).ok()?;
        let request = request(spec, arguments, &numbers);
        // SAFETY: nothing closes what was handed down, and this process has one thread here.
        let more = numbers
            .iter()
            .map(|number| unsafe { BorrowedFd::borrow_raw(*number) });
        let all: Vec<BorrowedFd<'_>> = streams.into_iter().chain(more).collect();
        send(&link, &request, &all).ok()?;
        Fork::read_from(link).ok().flatten()
    }

    /// Asks the zygote that `spec` would be forked from which of these files, named by absolute paths, it can't compile without a warning.
    /// `None` if none serves, or it can't say.
    #[must_use]
    pub fn not_compiling(&self, spec: &LaunchSpec, files: &[PathBuf]) -> Option<Vec<PathBuf>> {
        if !self.folder.exists() {
            return None;
        }
        let mut body = b"compile".to_vec();
        for file in files {
            body.push(0);
            body.extend_from_slice(file.as_os_str().as_bytes());
        }
        let mut link = connect(&self.folder, &self.name(spec)).ok()?;
        link.write_all(&framed(&body)).ok()?;
        let mut said = Vec::new();
        link.read_to_end(&mut said).ok()?;
        let mut parts = said.split(|byte| *byte == 0);
        // It says this last: what came before is whole.
        let broken = parts.next_back().filter(|end| *end == b"compiled");
        broken.map(|_| {
            parts
                .map(|path| PathBuf::from(OsStr::from_bytes(path)))
                .collect()
        })
    }

    /// Starts a zygote for `spec`, unless it was found impossible lately; one that serves is told to begin anew if what it has imported has
    /// changed. It isn't waited for.
    ///
    /// # Errors
    /// If the folder can't be made or the interpreter not be started.
    pub fn start(&self, spec: &LaunchSpec) -> io::Result<()> {
        let name = self.name(spec);
        match connect(&self.folder, &name) {
            Ok(mut link) => link.write_all(&framed(b"look"))?,
            Err(_) if self.is_unfit(&name) => {}
            Err(_) => self.launch(spec, &name).map(drop)?,
        }
        Ok(())
    }

    /// Makes the folder, if it isn't there: for this user alone.
    pub(crate) fn prepare_folder(&self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let meta = fs::symlink_metadata(&self.folder)?;
        if meta.uid() != rustix::process::getuid().as_raw() || meta.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder of zygotes can be entered by others",
            ));
        }
        Ok(())
    }

    fn launch(&self, spec: &LaunchSpec, name: &str) -> io::Result<Child> {
        self.prepare_folder()?;
        let mut command = Command::new(&spec.python);
        command
            .arg(spec.worker_dir.join("dx_py_test_runner/boot.py"))
            .arg("zygote")
            .arg(&self.folder)
            .arg(name)
            .arg(self.idle.as_secs().to_string())
            .args(self.modules())
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command.spawn()
    }

    /// Starts a zygote for `spec` as [`Self::start`] does, and waits until it serves or turns out to be impossible. `None` if it ended
    /// without a word.
    ///
    /// # Errors
    /// If the folder can't be made or the interpreter not be started.
    pub fn start_and_wait(&self, spec: &LaunchSpec) -> io::Result<Option<Status>> {
        let name = self.name(spec);
        let ready = || connect(&self.folder, &name).is_ok();
        if !ready() {
            let mut child = self.launch(spec, &name)?;
            let began = Instant::now();
            // A run that has just ended may have started one, which isn't ready either: two don't serve at once.
            while !(ready() && self.has_tried(&name))
                && (child.try_wait()?.is_none() || self.is_starting(&name))
                && began.elapsed() < START_UP
            {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(self.status().into_iter().find(|status| status.name == name))
    }

    /// Whether it knows of each module that tests were seen to import whether it can be imported ahead.
    fn has_tried(&self, name: &str) -> bool {
        !self.state(name).contains(r#""trying": true"#)
    }

    /// What one says of itself; empty if nothing is known of it.
    fn state(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{name}.json"))).unwrap_or_default()
    }

    /// Whether somebody holds the lock of the one that serves, or is about to.
    fn is_starting(&self, name: &str) -> bool {
        let lock = fs::File::open(self.folder.join(format!("{name}.lock")));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    fn is_unfit(&self, name: &str) -> bool {
        let state = self.folder.join(format!("{name}.json"));
        let is_recent = fs::metadata(&state)
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| {
                SystemTime::now()
                    .duration_since(time)
                    .is_ok_and(|age| age < UNFIT_FOR)
            });
        is_recent && fs::read_to_string(state).is_ok_and(|text| text.starts_with(r#"{"pid": 0"#))
    }

    /// What is known of each zygote of the project.
    pub fn status(&self) -> Vec<Status> {
        let mut found: Vec<Status> = self
            .names()
            .into_iter()
            .map(|name| Status {
                serves: connect(&self.folder, &name).is_ok(),
                state: self.state(&name),
                name,
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some(
                    entry
                        .file_name()
                        .to_str()?
                        .strip_suffix(".json")?
                        .to_owned(),
                )
            })
            .collect()
    }

    /// Tells every zygote of the project to end when its workers have; gives how many there were.
    pub fn stop(&self) -> usize {
        let told = |name: &String| {
            connect(&self.folder, name).is_ok_and(|mut link| {
                // What it does about it is to close the connection.
                link.write_all(&framed(b"stop")).is_ok() && link.read(&mut [0; 16]).is_ok()
            })
        };
        self.names().iter().filter(|name| told(name)).count()
    }
}

/// The descriptors, beside the standard streams, that a program which this process starts would have: a make's job server, sockets
/// that a supervisor opened.
fn handed_down() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let is_handed_down = |number: &i32| {
        // SAFETY: the number was listed a moment ago; one that was closed since (the listing's own) gives an error.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
    };
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|number| *number > 2)
        .filter(is_handed_down)
        .collect()
}

/// Connects with a socket in `folder`. Paths of sockets may have some hundred bytes, so the folder is named by a descriptor.
fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let opened = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&opened);
    let link = UnixStream::connect(format!("/proc/self/fd/{number}/{name}.sock"))?;
    let peer = rustix::net::sockopt::socket_peercred(&link)?;
    if peer.uid != rustix::process::getuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    link.set_read_timeout(Some(PATIENCE))?;
    link.set_write_timeout(Some(PATIENCE))?;
    Ok(link)
}

/// The request for a worker: its umask, folder, numbers of descriptors, arguments and environment, as the zygote reads it.
fn request(spec: &LaunchSpec, arguments: &[OsString], descriptors: &[i32]) -> Vec<u8> {
    let mut body: Vec<u8> = b"fork".to_vec();
    let mut field = |bytes: &[u8]| {
        body.push(0);
        body.extend_from_slice(bytes);
    };
    field(umask().to_string().as_bytes());
    field(spec.cwd.as_os_str().as_bytes());
    let numbers: Vec<String> = descriptors.iter().map(ToString::to_string).collect();
    field(numbers.join(" ").as_bytes());
    field(arguments.len().to_string().as_bytes());
    for argument in arguments {
        field(argument.as_bytes());
    }
    let own =
        std::env::vars_os().filter(|(name, _)| spec.env.iter().all(|(other, _)| other != name));
    for (name, value) in own.chain(spec.env.iter().cloned()) {
        field(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    }
    framed(&body)
}

/// A request with its length before it.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], body].concat()
}

/// Sends the request, and the streams with its first byte.
fn send(link: &UnixStream, request: &[u8], streams: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(streams));
    let mut sent = rustix::net::sendmsg(
        link.as_fd(),
        &[IoSlice::new(request)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    while sent < request.len() {
        sent += rustix::net::send(link.as_fd(), &request[sent..], SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// A worker that a zygote forked. Dropping it lets the zygote kill it.
#[derive(Debug)]
pub(crate) struct Fork {
    pid: Pid,
    link: tokio::net::UnixStream,
    heard: Vec<u8>,
    ended: Option<ExitCause>,
}

impl Fork {
    /// Reads the number of the worker; `None` if the zygote refuses.
    fn read_from(mut link: UnixStream) -> io::Result<Option<Self>> {
        let mut heard = Vec::new();
        let mut buffer = [0; 64];
        while !heard.contains(&b'\n') {
            let count = link.read(&mut buffer)?;
            if count == 0 {
                return Ok(None);
            }
            heard.extend_from_slice(&buffer[..count]);
        }
        let Some(Said::Started(pid)) = next_line(&mut heard) else {
            return Ok(None);
        };
        link.set_nonblocking(true)?;
        Ok(Some(Self {
            pid,
            link: tokio::net::UnixStream::from_std(link)?,
            heard,
            ended: None,
        }))
    }

    /// The process, until it has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.ended.is_none().then_some(self.pid)
    }

    /// Waits until the worker has ended. May be cancelled without loss.
    pub(crate) async fn wait(&mut self) -> ExitCause {
        loop {
            if let Some(cause) = self.ended {
                return cause;
            }
            if let Some(Said::Ended(status)) = next_line(&mut self.heard) {
                self.ended = Some(std::os::unix::process::ExitStatusExt::from_raw(status))
                    .map(|status: std::process::ExitStatus| ExitCause::from(status));
                continue;
            }
            let mut buffer = [0; 64];
            match self.link.read(&mut buffer).await {
                Ok(count @ 1..) => self.heard.extend_from_slice(&buffer[..count]),
                _ => {
                    // The zygote is gone, and nobody tells any more how the worker ends.
                    let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
                    self.ended = Some(ExitCause::Unknown);
                }
            }
        }
    }
}

/// What a zygote says of a worker.
enum Said {
    Started(Pid),
    Ended(i32),
}

/// Takes a whole line out of what was heard.
fn next_line(heard: &mut Vec<u8>) -> Option<Said> {
    let end = heard.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = heard.drain(..=end).collect();
    let line = OsStr::from_bytes(line.trim_ascii()).to_str()?;
    let (what, number) = line.split_once(' ')?;
    let number: i32 = number.parse().ok()?;
    match what {
        "pid" => Pid::from_raw(number).map(Said::Started),
        "exit" => Some(Said::Ended(number)),
        _ => None,
    }
}
