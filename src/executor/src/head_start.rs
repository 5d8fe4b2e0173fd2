//! Workers that are started while the run that they are for is still being prepared.

use std::cell::RefCell;
use std::collections::HashMap;

use dx_py_daemon::LaunchError;
use dx_py_protocol::Command;

use crate::connection::{Connection, Launcher};

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

    /// Starts the first worker of each of so many slots by `launcher`, whose workers may wait for [`HeadStart::begin`], which those that
    /// replace them don't. One that can't be started is tried again when it is wanted, which tells why.
    pub fn start(&self, launcher: &L, slots: u32) {
        for slot in 0..slots {
            if let Ok(worker) = launcher.launch(slot) {
                self.started.borrow_mut().insert(slot, worker);
            }
        }
    }

    /// Lets workers begin that wait for that. One that can't be told is gone, and another one is started when it is wanted.
    pub async fn begin(&self) {
        let mut started = std::mem::take(&mut *self.started.borrow_mut());
        let mut gone = Vec::new();
        for (slot, worker) in &mut started {
            if worker.send(&Command::Begin, 0).await.is_err() {
                gone.push(*slot);
            }
        }
        started.retain(|slot, _| !gone.contains(slot));
        *self.started.borrow_mut() = started;
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
    use std::rc::Rc;
    use std::time::Duration;

    use dx_py_daemon::ExitCause;
    use dx_py_protocol::Report;
    use tokio::runtime::Builder;

    use super::*;

    /// The how-manieth worker it is, of which slot, and how often it was told to begin.
    #[derive(Debug, PartialEq)]
    struct Worker(u32, u32, u32);

    impl Connection for Worker {
        async fn send(&mut self, command: &Command, _sequence: u64) -> Result<(), String> {
            assert_eq!(*command, Command::Begin);
            self.2 += 1;
            if self.1 == 2 {
                return Err("gone".to_owned());
            }
            Ok(())
        }

        async fn recv(&mut self) -> Result<Option<Report>, String> {
            Ok(None)
        }

        fn interrupt(&mut self) {}

        fn suspend(&mut self, _stands: bool) {}

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

    impl Launcher for Rc<Workers> {
        type Worker = Worker;

        fn launch(&self, number: u32) -> Result<Worker, LaunchError> {
            if number == 1 && self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err(LaunchError::Socket(io::ErrorKind::Other.into()));
            }
            self.launched.set(self.launched.get() + 1);
            Ok(Worker(self.launched.get(), number, 0))
        }
    }

    fn workers(failures: u32) -> Rc<Workers> {
        Rc::new(Workers {
            launched: Cell::new(0),
            failures: Cell::new(failures),
        })
    }

    #[test]
    fn each_worker_that_was_started_early_is_given_once() {
        let launcher = workers(2);
        let early = HeadStart::new(Rc::clone(&launcher));
        early.start(&launcher, 3);
        assert_eq!(launcher.launched.get(), 2);
        assert_eq!(early.launch(2).unwrap(), Worker(2, 2, 0));
        assert_eq!(early.launch(0).unwrap(), Worker(1, 0, 0));
        // One that could not be started is tried again, and whoever wants it hears why it fails.
        assert!(early.launch(1).is_err());
        assert_eq!(early.launch(1).unwrap(), Worker(3, 1, 0));
        // A second one of a slot replaces one that has died.
        assert_eq!(early.launch(0).unwrap(), Worker(4, 0, 0));
    }

    #[test]
    fn those_that_wait_are_told_to_begin_and_those_that_are_gone_by_then_replaced() {
        let (waiting, launcher) = (workers(0), workers(0));
        let early = HeadStart::new(Rc::clone(&launcher));
        early.start(&waiting, 3);
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(early.begin());
        assert_eq!(early.launch(0).unwrap(), Worker(1, 0, 1));
        assert_eq!(early.launch(1).unwrap(), Worker(2, 1, 1));
        // Its first one could not be told.
        assert_eq!(early.launch(2).unwrap(), Worker(1, 2, 0));
        assert_eq!(early.launch(0).unwrap(), Worker(2, 0, 0));
    }
}
