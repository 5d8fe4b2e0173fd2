//! The controller's seat in a run: whether there is one, what it hears, and what it has to say at the end.

use std::time::Duration;

use dx_py_core::TestResult;
use dx_py_daemon::{Controller, ControllerEnd, LaunchSpec};
use dx_py_protocol::CollectionReport;

/// How long the controller of an interrupted run may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// What came of starting a controller.
pub enum Start {
    /// It is there, for these hooks.
    Needed(Vec<String>),
    /// Its own session has nothing to report: it has ended.
    Idle,
    /// It couldn't start. Perhaps the workers can't either, and tell it better.
    Failed(String),
}

/// The controller, if there is one.
#[derive(Debug, Default)]
pub struct Listener {
    controller: Option<Controller>,
    failed: bool,
}

impl Listener {
    /// Whether there is a controller.
    pub fn is_there(&self) -> bool {
        self.controller.is_some()
    }

    /// Whether one was asked for and couldn't start.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Starts it. `more` are arguments for pytest.
    pub fn start(&mut self, spec: &LaunchSpec, more: &[&str]) -> Start {
        match Controller::start(spec, more) {
            Ok(controller) if controller.reporting.is_empty() => {
                controller.finish(None);
                Start::Idle
            }
            Ok(controller) => {
                let reporting = controller.reporting.clone();
                self.controller = Some(controller);
                Start::Needed(reporting)
            }
            Err(error) => {
                self.failed = true;
                Start::Failed(error.to_string())
            }
        }
    }

    /// Tells it of a test.
    pub fn hear(&self, result: &TestResult) {
        if let Some(controller) = &self.controller {
            controller.tell_test(result);
        }
    }

    /// Tells it of a file that wasn't collected.
    pub fn hear_of_file(&self, report: &CollectionReport) {
        if let Some(controller) = &self.controller {
            controller.tell_collection(&report.node, &report.text, report.status);
        }
    }

    /// Tells it of the warnings of the collection: those of one worker, since each meets them.
    pub fn hear_of_warnings(&self, warnings: Vec<u8>) {
        if let Some(controller) = &self.controller
            && !warnings.is_empty()
        {
            controller.tell_warnings(warnings);
        }
    }

    /// Ends it, and gives what it has to say.
    pub fn end(&mut self, interrupted: bool) -> Option<ControllerEnd> {
        let controller = self.controller.take()?;
        Some(controller.finish(interrupted.then_some(GRACE)))
    }
}
