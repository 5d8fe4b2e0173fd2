//! Ctrl-Z and `fg`.
//!
//! Workers have process groups of their own, so the terminal stops this process only. Tests would go on behind the prompt, and all the time
//! until `fg` would count as theirs: one that had long passed would have timed out.

use std::io;

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// Asked by the terminal to stop.
pub(crate) struct Suspension {
    asked: Signals,
}

impl Suspension {
    /// From now on the terminal's wish to stop is heard here.
    pub(crate) fn new() -> io::Result<Self> {
        let kind = SignalKind::from_raw(Signal::TSTP.as_raw());
        Ok(Self {
            asked: signal(kind)?,
        })
    }

    /// Waits until it is asked for.
    pub(crate) async fn asked(&mut self) {
        self.asked.recv().await;
    }

    /// Stops this process, until it is told to go on.
    pub(crate) fn stop() {
        // It can't fail: a process may always signal itself.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}
