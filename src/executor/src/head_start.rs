//! Workers that are started while the run that they are for is still being prepared.

use std::cell::RefCell;
use std::collections::HashMap;

use dx_py_daemon::LaunchError;

use crate::connection::Launcher;

/// Starts workers, or gives those that it has started already.
#[derive(Debug)]
pub struct HeadStart<L: Launcher> {
    launcher: L,
    started: RefCell<HashMap<u32, L::Worker>>,
}

impl<L: Launcher> HeadStart<L> {
    /// Nothing is started yet.
    pub fn new(launcher: L) -> Self {
        Self {
            launcher,
            started: RefCell::default(),
        }
    }

    /// Starts the first worker of each of so many slots. One that can't be started is tried again when it is wanted, which tells why.
    pub fn start(&self, slots: u32) {
        for slot in 0..slots {
            if let Ok(worker) = self.launcher.launch(slot) {
                self.started.borrow_mut().insert(slot, worker);
            }
        }
    }
}

impl<L: Launcher> Launcher for HeadStart<L> {
    type Worker = L::Worker;

    fn launch(&self, number: u32) -> Result<L::Worker, LaunchError> {
        let started = self.started.borrow_mut().remove(&number);
        started.map_or_else(|| self.launcher.launch(number), Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    use dx_py_daemon::ExitCause;
    use dx_py_protocol::{Command, Report};

    use super::*;
    use crate::connection::Connection;

    /// The how-manieth worker it is, of which slot.
    #[derive(Debug, PartialEq)]
    struct Worker(u32, u32);

    impl Connection for Worker {
        async fn send(&mut self, _command: &Command, _sequence: u64) -> Result<(), String> {
            Ok(())
        }

        async fn recv(&mut self) -> Result<Option<Report>, String> {
            Ok(None)
        }

        fn interrupt(&mut self) {}

        async fn ended(&mut self) -> (ExitCause, String) {
            (ExitCause::Unknown, String::new())
        }

        fn cpu_time(&self) -> Option<Duration> {
            None
        }

        async fn kill(&mut self) -> String {
            String::new()
        }
    }

    /// Starts workers, but for the first ones of slot 1.
    struct Workers {
        launched: Cell<u32>,
        failures: Cell<u32>,
    }

    impl Launcher for Workers {
        type Worker = Worker;

        fn launch(&self, number: u32) -> Result<Worker, LaunchError> {
            if number == 1 && self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err(LaunchError::Socket(io::ErrorKind::Other.into()));
            }
            self.launched.set(self.launched.get() + 1);
            Ok(Worker(self.launched.get(), number))
        }
    }

    #[test]
    fn each_worker_that_was_started_early_is_given_once() {
        let early = HeadStart::new(Workers {
            launched: Cell::new(0),
            failures: Cell::new(2),
        });
        early.start(3);
        assert_eq!(early.launcher.launched.get(), 2);
        assert_eq!(early.launch(2).unwrap(), Worker(2, 2));
        assert_eq!(early.launch(0).unwrap(), Worker(1, 0));
        // One that could not be started is tried again, and whoever wants it hears why it fails.
        assert!(early.launch(1).is_err());
        assert_eq!(early.launch(1).unwrap(), Worker(3, 1));
        // A second one of a slot replaces one that has died.
        assert_eq!(early.launch(0).unwrap(), Worker(4, 0));
    }
}
