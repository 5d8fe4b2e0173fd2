//! The controller: a session that runs no tests, for plugins that report or start something once for all workers.
//!
//! It is fed with what came of each test, and at its end gives what plugins have to say. It is waited for before workers start, so
//! that they find what was started for them.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dx_py_core::{TestResult, TestStatus};
use dx_py_protocol::Command as Order;

use crate::launch::{LaunchSpec, die_with_parent};

/// Marks, in what the controller prints, around what it has to tell: what isn't told lies outside of them.
const MARKS: [u8; 2] = [2, 3];

/// The controller couldn't be started, or ended before it was ready.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The interpreter can't be executed.
    #[error("can't start the session for plugins that report: {path}", path = .path.display())]
    Spawn {
        /// The interpreter.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended; its output tells why.
    #[error("the session for plugins that report ended before any test ran\n{0}")]
    Ended(String),
}

/// What the controller's session came to.
#[derive(Debug, Default)]
pub struct ControllerEnd {
    /// What plugins have to say.
    pub text: String,
    /// What it printed to standard error.
    pub errors: String,
    /// The exit code that a hook decided on.
    pub decided_code: Option<u8>,
}

/// A running controller. Dropping it kills it.
#[derive(Debug)]
pub struct Controller {
    child: Child,
    feed: Option<Sender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    output: Receiver<Vec<u8>>,
    errors: Option<JoinHandle<String>>,
    printed: Vec<u8>,
    /// The hooks that need it; if there are none it may be ended and forgotten.
    pub reporting: Vec<String>,
}

impl Controller {
    /// Starts a controller and waits until its session has begun. `more` are arguments for pytest beside those of the workers.
    ///
    /// # Errors
    /// If it can't be started, or ends at once.
    pub fn start(spec: &LaunchSpec, more: &[&str]) -> Result<Self, ControllerError> {
        let mut command = Command::new(&spec.python);
        command
            .arg(spec.worker_dir.join("dx_py_test_runner/boot.py"))
            .args(["controller", "--"])
            .args(&spec.pytest_args)
            .args(more)
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        die_with_parent(&mut command);
        let failed = |source| ControllerError::Spawn {
            path: spec.python.clone(),
            source,
        };
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three streams are pipes");
        };
        let (feed, fed) = channel();
        let (sender, output) = channel();
        let mut controller = Self {
            child,
            feed: Some(feed),
            writer: Some(thread::spawn(move || pass_on(&fed, stdin))),
            output,
            errors: Some(thread::spawn(move || read_all(stderr))),
            printed: Vec::new(),
            reporting: Vec::new(),
        };
        thread::spawn(move || read_pieces(stdout, &sender));
        loop {
            if let Some(told) = controller.take_told() {
                controller.reporting = told.lines().map(str::to_owned).collect();
                return Ok(controller);
            }
            match controller.output.recv() {
                Ok(piece) => controller.printed.extend(piece),
                Err(_) => {
                    let end = controller.end(None);
                    return Err(ControllerError::Ended(end.text + &end.errors));
                }
            }
        }
    }

    /// What stands between the marks in what was printed so far, if they are there; it is taken out.
    fn take_told(&mut self) -> Option<String> {
        let at = |mark: u8, bytes: &[u8]| bytes.iter().position(|byte| *byte == mark);
        let start = at(MARKS[0], &self.printed)?;
        let end = start + at(MARKS[1], &self.printed[start..])?;
        let told = String::from_utf8_lossy(&self.printed[start + 1..end]).into_owned();
        self.printed.drain(start..=end);
        Some(told)
    }

    fn send(&self, order: &Order) {
        if let Some(feed) = &self.feed {
            // A controller that died is noticed at its end.
            let _ = feed.send(order.encode(0));
        }
    }

    /// Tells it of a test.
    pub fn tell_test(&self, result: &TestResult) {
        // Where pytest said nothing, the worker's death is told instead.
        let reports = result.reports.iter().filter(|_| result.raw.is_empty());
        self.send(&Order::TellTest {
            id: result.id.clone(),
            status: result.status,
            message: result.message().to_owned(),
            text: reports.map(|report| report.text.as_str()).collect(),
            raw: result.raw.clone(),
        });
    }

    /// Tells it of a file that failed to be collected, or skipped itself.
    pub fn tell_collection(&self, node: &str, text: &str, status: TestStatus) {
        self.send(&Order::TellCollection {
            node: node.to_owned(),
            text: text.to_owned(),
            status,
            warnings: Vec::new(),
        });
    }

    /// Tells it of the warnings of the collection.
    pub fn tell_warnings(&self, warnings: Vec<u8>) {
        self.send(&Order::TellCollection {
            node: String::new(),
            text: String::new(),
            status: TestStatus::Passed,
            warnings,
        });
    }

    /// Ends the session, and gives what it has to say. It is killed if it takes longer than `limit`.
    pub fn finish(mut self, limit: Option<Duration>) -> ControllerEnd {
        self.send(&Order::Finish);
        self.end(limit)
    }

    fn end(&mut self, limit: Option<Duration>) -> ControllerEnd {
        self.feed = None;
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let piece = match deadline {
                Some(deadline) => self
                    .output
                    .recv_timeout(deadline.saturating_duration_since(Instant::now())),
                None => self
                    .output
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            match piece {
                Ok(piece) => self.printed.extend(piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.kill();
                    break;
                }
            }
        }
        let _ = self.child.wait();
        let decided_code = self.take_told().and_then(|told| told.parse().ok());
        let errors = self.errors.take().and_then(|thread| thread.join().ok());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        ControllerEnd {
            text: String::from_utf8_lossy(&self.printed).into_owned(),
            errors: errors.unwrap_or_default(),
            decided_code,
        }
    }

    fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(fed: &Receiver<Vec<u8>>, mut stdin: impl Write) {
    for bytes in fed {
        if stdin.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error has to do.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_pieces(mut stream: impl Read, sender: &Sender<Vec<u8>>) {
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if sender.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}
