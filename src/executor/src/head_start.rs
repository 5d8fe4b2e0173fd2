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
