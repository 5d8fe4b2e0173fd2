//! The seam between drivers and worker processes, so that drivers can be tested against simulated workers.

use std::future::Future;
use std::time::Duration;

use dx_py_daemon::{ConnectionError, ExitCause, Interpreter, LaunchError, LaunchSpec};
use dx_py_protocol::{Command, Report};

/// A worker that a driver speaks with.
pub trait Connection {
    /// Sends a command; the error is a phrase.
    fn send(
        &mut self,
        command: &Command,
        sequence: u64,
    ) -> impl Future<Output = Result<(), String>>;
    /// The next report; `None` when the worker has gone. Must be safe to cancel.
    fn recv(&mut self) -> impl Future<Output = Result<Option<Report>, String>>;
    /// The next report if it has arrived: asking costs much less than to wait for it. An error isn't told again by `recv`.
    fn arrived(&mut self) -> Result<Option<Report>, String> {
        Ok(None)
    }
    /// Asks the worker to stop, as Ctrl-C would.
    fn interrupt(&mut self);
    /// Has the worker and what it started stand still, or go on.
    fn suspend(&mut self, stands: bool);
    /// Waits for the worker's end; gives the cause and what it printed last.
    fn ended(&mut self) -> impl Future<Output = (ExitCause, String)>;
    /// Waits until a worker that has said goodbye has done all that it does at its end.
    fn done(&mut self) -> impl Future<Output = ()> {
        async {
            self.ended().await;
        }
    }
    /// The CPU time that the worker and what it started have used so far; none if that isn't known.
    fn cpu_time(&self) -> Option<Duration>;
    /// Ends a worker that hangs; gives the stacks of its threads.
    fn kill(&mut self) -> impl Future<Output = String>;
}

/// Starts workers.
pub trait Launcher {
    /// What it starts.
    type Worker: Connection;
    /// Starts the worker of slot `number`.
    ///
    /// # Errors
    /// If it can't be started.
    fn launch(&self, number: u32) -> Result<Self::Worker, LaunchError>;
}

/// Starts real interpreters.
#[derive(Debug)]
pub struct Processes(pub LaunchSpec);

impl Launcher for Processes {
    type Worker = Interpreter;

    fn launch(&self, number: u32) -> Result<Interpreter, LaunchError> {
        Interpreter::spawn(&self.0, number)
    }
}

fn in_full(error: ConnectionError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Connection for Interpreter {
    async fn send(&mut self, command: &Command, sequence: u64) -> Result<(), String> {
        Interpreter::send(self, command, sequence)
            .await
            .map_err(|error| error.to_string())
    }

    async fn recv(&mut self) -> Result<Option<Report>, String> {
        Interpreter::recv(self).await.map_err(in_full)
    }

    fn arrived(&mut self) -> Result<Option<Report>, String> {
        Interpreter::arrived(self).map_err(in_full)
    }

    fn interrupt(&mut self) {
        Interpreter::interrupt(self);
    }

    fn suspend(&mut self, stands: bool) {
        Interpreter::suspend(self, stands);
    }

    async fn ended(&mut self) -> (ExitCause, String) {
        let cause = self.wait_exit().await;
        (cause, self.last_output().await)
    }

    async fn done(&mut self) {
        self.wait_done().await;
    }

    fn cpu_time(&self) -> Option<Duration> {
        Interpreter::cpu_time(self)
    }

    async fn kill(&mut self) -> String {
        self.kill_with_stacks().await
    }
}
