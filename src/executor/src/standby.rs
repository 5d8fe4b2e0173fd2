//! A worker that gets ready for a later phase while an earlier one still runs.
//!
//! Starting an interpreter and collecting is most of what a short second phase takes. Once it is likely that there will be one, its
//! worker can do that beside the others. What it tells is kept, and is heard by the driver of the later phase as if it came then.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

use dx_py_daemon::{ExitCause, LaunchError};
use dx_py_protocol::{Command, Report};
use tokio::sync::{Mutex, Notify};

use crate::connection::{Connection, Launcher};
use crate::run::{RunPlan, collect_command};

/// What is known of a later phase while an earlier one runs.
#[derive(Debug, Default)]
pub struct Foreseen {
    news: Notify,
    is_everything: Cell<bool>,
}

impl Foreseen {
    /// There will be one.
    pub fn phase(&self) {
        self.news.notify_one();
    }

    /// There will be one that collects everything.
    pub fn everything(&self) {
        self.is_everything.set(true);
        self.news.notify_one();
    }
}

/// Starts the one worker of a phase: the one that is ready, or getting so, if there is one.
#[derive(Debug)]
pub struct Standby<L: Launcher> {
    launcher: L,
    waiting: Mutex<Option<Prepared<L::Worker>>>,
}

impl<L: Launcher> Standby<L> {
    /// Nothing is started yet.
    pub fn new(launcher: L) -> Self {
        Self {
            launcher,
            waiting: Mutex::new(None),
        }
    }

    #[cfg(test)]
    pub(crate) fn launcher(&self) -> &L {
        &self.launcher
    }

    /// Starts the worker, and lets it collect everything, as in that plan, once that is known to be what it will have to do. It is given up
    /// if it dies, or if something can't be collected: that may be owed to what runs beside it. May be cancelled at any time: the later
    /// phase goes on from there.
    async fn prepare(&self, everything: &RunPlan, foreseen: &Foreseen) {
        // Nobody launches while this waits: the later phase begins when the earlier one, with this, has ended.
        let mut waiting = self.waiting.lock().await;
        // If it can't be started now, it will be tried again.
        *waiting = self.launcher.launch(0).ok().map(Prepared::new);
        while let Some(prepared) = &mut *waiting {
            match prepared.take_in().await {
                Preparation::GoesOn => {}
                Preparation::IsWaiting => {
                    while !foreseen.is_everything.get() {
                        foreseen.news.notified().await;
                    }
                    // One that has heard a part of what to collect is of no use, should this be cancelled meanwhile.
                    let Some(mut prepared) = waiting.take() else {
                        return;
                    };
                    if prepared.collect(everything).await.is_ok() {
                        *waiting = Some(prepared);
                    }
                }
                Preparation::IsReady => return,
                Preparation::Failed => *waiting = None,
            }
        }
    }

    /// Runs a phase, and prepares the later one beside it as soon as that is `foreseen`. `everything` is its plan, should it collect
    /// everything.
    pub async fn beside<T>(
        &self,
        phase: impl Future<Output = T>,
        everything: &RunPlan,
        foreseen: &Foreseen,
    ) -> T {
        let preparation = async {
            foreseen.news.notified().await;
            self.prepare(everything, foreseen).await;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            result = phase => result,
            () = preparation => unreachable!("it waits until the phase has ended"),
        }
    }

    /// Ends the worker, if there is one: its phase won't come.
    pub async fn dismiss(&self) {
        self.dismiss_if(|_| true).await;
    }

    /// Ends the worker if it was told to collect everything: the next phase collects a part.
    pub async fn keep_for_a_part(&self) {
        self.dismiss_if(|prepared| prepared.is_told).await;
    }

    async fn dismiss_if(&self, is_useless: impl FnOnce(&Prepared<L::Worker>) -> bool) {
        let mut waiting = self.waiting.lock().await;
        if let Some(mut prepared) = waiting.take_if(|prepared| is_useless(prepared)) {
            prepared.worker.interrupt();
            prepared.worker.ended().await;
        }
    }
}

impl<L: Launcher> Launcher for Standby<L> {
    type Worker = Prepared<L::Worker>;

    fn launch(&self, number: u32) -> Result<Self::Worker, LaunchError> {
        match self
            .waiting
            .try_lock()
            .ok()
            .and_then(|mut waiting| waiting.take())
        {
            Some(prepared) => Ok(prepared),
            None => self.launcher.launch(number).map(Prepared::new),
        }
    }
}

enum Preparation {
    GoesOn,
    /// To be told what to collect.
    IsWaiting,
    IsReady,
    Failed,
}

/// A worker, with what it told when nobody listened yet.
#[derive(Debug)]
pub struct Prepared<C> {
    worker: C,
    reports: VecDeque<Report>,
    /// Whether it has been told what to collect.
    is_told: bool,
}

impl<C: Connection> Prepared<C> {
    fn new(worker: C) -> Self {
        Self {
            worker,
            reports: VecDeque::new(),
            is_told: false,
        }
    }

    async fn collect(&mut self, plan: &RunPlan) -> Result<(), String> {
        self.is_told = true;
        self.worker.send(&collect_command(plan, 0), 0).await
    }

    async fn take_in(&mut self) -> Preparation {
        let Ok(Some(report)) = self.worker.recv().await else {
            return Preparation::Failed;
        };
        let state = match &report {
            Report::Hello(_) => Preparation::IsWaiting,
            Report::CollectionReport(report) if report.status.is_bad() => Preparation::Failed,
            Report::Fatal { .. } | Report::Bye { .. } => Preparation::Failed,
            Report::Next => Preparation::IsReady,
            _ => Preparation::GoesOn,
        };
        self.reports.push_back(report);
        state
    }
}

impl<C: Connection> Connection for Prepared<C> {
    async fn send(&mut self, command: &Command, sequence: u64) -> Result<(), String> {
        if matches!(command, Command::Collect { .. }) && std::mem::take(&mut self.is_told) {
            return Ok(());
        }
        self.worker.send(command, sequence).await
    }

    async fn recv(&mut self) -> Result<Option<Report>, String> {
        match self.reports.pop_front() {
            Some(report) => Ok(Some(report)),
            None => self.worker.recv().await,
        }
    }

    fn arrived(&mut self) -> Result<Option<Report>, String> {
        match self.reports.pop_front() {
            Some(report) => Ok(Some(report)),
            None => self.worker.arrived(),
        }
    }

    fn interrupt(&mut self) {
        self.worker.interrupt();
    }

    fn suspend(&mut self, stands: bool) {
        self.worker.suspend(stands);
    }

    async fn ended(&mut self) -> (ExitCause, String) {
        self.worker.ended().await
    }

    fn cpu_time(&self) -> Option<Duration> {
        self.worker.cpu_time()
    }

    async fn kill(&mut self) -> String {
        self.worker.kill().await
    }
}
