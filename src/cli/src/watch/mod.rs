//! `dx-py test --watch`: runs what a change can reach, each time that something changes.
//!
//! Each run is a process of its own: the same command without `--watch`. So a run that a change makes out of date is ended as by
//! Ctrl-C, keeps what it has recorded, and the next one begins with what is left.

mod filter;
pub mod keys;
mod pace;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use notify::{EventKind, RecursiveMode, Watcher};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::args::TestArgs;
use crate::run::exit;
use crate::settings::Project;
use filter::{Filter, Kind};
use keys::{Key, Keys, Terminal};
use pace::Pace;

/// How long a run that was told to end may take to do so; its own workers get two seconds.
const GRACE: Duration = Duration::from_secs(4);
const KEYS: &str = "a all · f failed · p pattern · t name · u update · ⏎ again · q quit";

/// Watches, until the user has had enough; gives the exit code.
///
/// # Errors
/// If there is no project, or its files can't be watched.
pub fn watch(args: &TestArgs) -> anyhow::Result<u8> {
    let project = Project::of_places(&args.patterns)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the event loop")?;
    let code = runtime.block_on(async { Watch::new(args, &project)?.run().await });
    // The thread that reads the keys waits for one more.
    runtime.shutdown_background();
    code
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What changes can reach.
    Changes,
    /// Everything that is looked at.
    All,
    /// What failed last.
    Failed,
    /// The same as for changes, with all snapshots accepted.
    Update,
}

struct Watch<'a> {
    args: &'a TestArgs,
    root: PathBuf,
    filter: Filter,
    pace: Pace,
    watcher: Box<dyn Watcher>,
    events: UnboundedReceiver<notify::Result<notify::Event>>,
    pattern: String,
    name: String,
    child: Option<Child>,
    /// The data that changed while tests ran, which they may have written themselves.
    touched: BTreeSet<PathBuf>,
    /// The sources for which the run before this one was ended.
    ended_for: BTreeSet<PathBuf>,
    /// Whether this run is for data that changed in the one before.
    is_second: bool,
    is_terminal: bool,
}

impl<'a> Watch<'a> {
    fn new(args: &'a TestArgs, project: &Project) -> anyhow::Result<Self> {
        let (send, events) = unbounded_channel();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more when the command ends.
            let _ = send.send(event);
        })
        .context("can't watch files")?;
        let mut watch = Self {
            args,
            root: project.root.clone(),
            filter: Filter::new(&project.root, project.dx_dir().join("catalog.db")),
            pace: Pace::default(),
            watcher: Box::new(watcher),
            events,
            pattern: String::new(),
            name: String::new(),
            child: None,
            touched: BTreeSet::new(),
            ended_for: BTreeSet::new(),
            is_second: false,
            is_terminal: io::stdout().is_terminal(),
        };
        let root = watch.root.clone();
        watch.look_into(&root)?;
        Ok(watch)
    }

    /// Watches a folder and those below it that matter; gives them.
    fn look_into(&mut self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let folders = dx_py_discovery::walk::folders(folder);
        for folder in &folders {
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Err(error) if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => {
                    return Err(error).with_context(|| {
                        format!("can't watch {}: the system allows no more watches\nRaise fs.inotify.max_user_watches, or run dx-py in a smaller folder.", folder.display())
                    });
                }
                // One that is gone by now needs no watch.
                _ => {}
            }
        }
        Ok(folders)
    }

    async fn run(mut self) -> anyhow::Result<u8> {
        let terminal = Terminal::take();
        let mut bytes = keys::bytes();
        let mut keys = Keys::default();
        let mut can_type = true;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        self.start(Wanted::Changes, "")?;
        loop {
            let due = self.pace.due();
            let waits = due.is_some() && !keys.is_asking();
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Ok(event)) => self.hear(event)?,
                    Some(Err(error)) => eprintln!("dx-py: {error}"),
                    None => return Ok(exit::INTERNAL),
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if waits => {
                    let paths = self.pace.take();
                    if self.child.is_some() {
                        self.ended_for.clone_from(&paths);
                        self.stop().await;
                    } else {
                        self.ended_for.clear();
                    }
                    self.is_second = false;
                    self.start(Wanted::Changes, &self.told(&paths))?;
                }
                status = wait(&mut self.child), if self.child.is_some() => {
                    self.child = None;
                    // What it came to it has said itself.
                    status?;
                    self.ended()?;
                }
                byte = bytes.recv(), if can_type => match byte {
                    None => can_type = false,
                    Some(byte) => {
                        let echo: &mut dyn Write = if terminal.is_there() { &mut io::stdout() } else { &mut io::sink() };
                        if let Some(key) = keys.take(byte, echo)?
                            && !self.heed(key).await?
                        {
                            return Ok(0);
                        }
                    }
                },
                _ = continued.recv() => terminal.take_again(),
                _ = interrupt.recv() => return self.end().await,
                _ = terminate.recv() => return self.end().await,
                _ = hangup.recv() => return self.end().await,
            }
        }
    }

    /// Ends at a signal.
    async fn end(&mut self) -> anyhow::Result<u8> {
        self.stop().await;
        if self.is_terminal {
            // Where a line was being typed.
            let _ = writeln!(io::stdout());
        }
        Ok(exit::INTERRUPTED)
    }

    fn hear(&mut self, event: notify::Event) -> anyhow::Result<()> {
        if matches!(event.kind, EventKind::Access(_)) {
            return Ok(());
        }
        for path in event.paths {
            if path.is_dir() {
                if !dx_py_discovery::walk::is_passed_over(&path) && !event.kind.is_remove() {
                    // What was put there before it was watched has no event of its own.
                    for folder in self.look_into(&path)? {
                        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
                        for file in files.filter(|file| !file.path().is_dir()) {
                            self.changed(file.path());
                        }
                    }
                }
            } else {
                self.changed(path);
            }
        }
        Ok(())
    }

    fn changed(&mut self, path: PathBuf) {
        let Some(kind) = self.filter.kind(&path) else {
            return;
        };
        if !self.filter.is_new(&path) {
            return;
        }
        let runs = self.child.is_some();
        // A source for which a run was ended already may be written by the tests themselves.
        if runs && (kind == Kind::Data || self.ended_for.contains(&path)) {
            self.touched.insert(path);
        } else {
            self.pace.changed(path, Instant::now());
        }
    }

    /// Does what a key asks for; false if that is the end.
    async fn heed(&mut self, key: Key) -> anyhow::Result<bool> {
        let wanted = match key {
            Key::Quit => {
                self.stop().await;
                return Ok(false);
            }
            Key::Help => {
                if self.child.is_none() {
                    self.foot()?;
                }
                return Ok(true);
            }
            Key::All => Wanted::All,
            Key::Failed => Wanted::Failed,
            Key::Update => Wanted::Update,
            Key::Again => Wanted::Changes,
            Key::Pattern(text) => self.narrow_to(text, |watch| &mut watch.pattern),
            Key::Name(text) => self.narrow_to(text, |watch| &mut watch.name),
        };
        self.stop().await;
        self.start(wanted, "")?;
        Ok(true)
    }

    /// Looks at what was typed only, or at everything again if nothing was; what is looked at anew runs, fresh or not.
    fn narrow_to(&mut self, text: String, what: fn(&mut Self) -> &mut String) -> Wanted {
        let wanted = if text.is_empty() {
            Wanted::Changes
        } else {
            Wanted::All
        };
        *what(self) = text;
        wanted
    }

    /// The command of a run: that of this process, but for what was typed since.
    fn command(&self, wanted: Wanted) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("can't find dx-py itself")?);
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let dashes = arguments.iter().position(|argument| argument == "--");
        let rest = arguments.split_off(dashes.unwrap_or(arguments.len()));
        arguments.retain(|argument| argument != "--watch");
        if !self.pattern.is_empty() {
            arguments.retain(|argument| {
                let mut patterns = self.args.patterns.iter();
                !patterns.any(|pattern| argument == pattern.as_str())
            });
            arguments.push(self.pattern.clone().into());
        }
        if !self.name.is_empty() {
            arguments.push(format!("-k={}", self.name).into());
        }
        match wanted {
            Wanted::Changes => {}
            Wanted::All if !self.args.all => arguments.push("--all".into()),
            Wanted::Failed if !self.args.lf => arguments.push("--lf".into()),
            Wanted::Update if !self.args.update_snapshots => {
                arguments.retain(|argument| argument != "--ci");
                arguments.push("--update-snapshots".into());
            }
            Wanted::All | Wanted::Failed | Wanted::Update => {}
        }
        command
            .args(arguments)
            .args(rest)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    fn start(&mut self, wanted: Wanted, why: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_terminal {
            // The screen, and what has scrolled off it.
            write!(out, "\x1b[2J\x1b[3J\x1b[H")?;
        }
        if !why.is_empty() {
            writeln!(out, "{why}")?;
        }
        out.flush()?;
        drop(out);
        self.touched.clear();
        self.filter.close();
        self.child = Some(self.command(wanted)?.spawn().context("can't start a run")?);
        Ok(())
    }

    /// Ends the run of the moment, if there is one. What it has recorded stays.
    async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::INT);
        }
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }

    /// A run has ended. If data has changed meanwhile, it is looked at once more: perhaps the tests haven't written it themselves.
    fn ended(&mut self) -> anyhow::Result<()> {
        let touched = std::mem::take(&mut self.touched);
        self.ended_for.clear();
        if !touched.is_empty() && !self.is_second {
            self.is_second = true;
            let why = self.told(&touched);
            return self.start(Wanted::Changes, &why);
        }
        self.is_second = false;
        self.filter.close();
        Ok(self.foot()?)
    }

    fn foot(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (what, text) in [("pattern", &self.pattern), ("name", &self.name)] {
            if !text.is_empty() {
                writeln!(out, "{what}: {text}")?;
            }
        }
        writeln!(out, "watching · {KEYS}")?;
        out.flush()
    }

    /// Which files changed, in a line.
    fn told(&self, paths: &BTreeSet<PathBuf>) -> String {
        let mut names = paths.iter().map(|path| {
            let inner = path.strip_prefix(&self.root).unwrap_or(path);
            inner.display().to_string()
        });
        let first: Vec<String> = names.by_ref().take(3).collect();
        match names.count() {
            0 => format!("changed: {}", first.join(", ")),
            more => format!("changed: {} and {more} more", first.join(", ")),
        }
    }
}

/// How the run of the moment ends; never, if there is none.
async fn wait(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}
