//! The recorder in a thread of its own, so that neither workers nor the terminal wait for the catalog.
//!
//! What it is told waits there for a moment: files that many tests depend on are looked at once for all jobs that have ended by then, not
//! once for each, and the catalog is written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use dx_py_catalog::CatalogError;

use super::Recorder;

/// How long the recorder gathers what it is told: a tenth of the time that the run has taken, within these limits. What is left to the end
/// is waited for, and short runs consist of little else.
const GATHERING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

type Order<'a> = Box<dyn FnOnce(&mut Recorder<'a>) -> Result<(), CatalogError> + Send>;

/// What the thread and those who tell it something share.
#[derive(Default)]
struct State {
    has_failed: AtomicBool,
    /// Whether somebody waits for what was told.
    is_urgent: AtomicBool,
}

/// A recorder that works beside the run. Everything happens in the order in which it is told, up to the first error.
pub struct RecorderThread<'scope, 'a> {
    orders: Sender<Order<'a>>,
    thread: ScopedJoinHandle<'scope, (Recorder<'a>, Result<(), CatalogError>)>,
    state: Arc<State>,
}

impl<'scope, 'a: 'scope> RecorderThread<'scope, 'a> {
    /// Lets a recorder work in a thread of this scope.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        recorder: Recorder<'a>,
    ) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let work = move || {
            let mut recorder = recorder;
            let done = recorder
                .look_up()
                .and_then(|()| work(&mut recorder, &received, &shared));
            shared.has_failed.store(done.is_err(), Ordering::Relaxed);
            (recorder, done)
        };
        let builder = thread::Builder::new().name("recorder".to_owned());
        Ok(Self {
            orders,
            thread: builder.spawn_scoped(scope, work)?,
            state,
        })
    }

    /// Lets something be recorded soon.
    pub fn later(
        &self,
        order: impl FnOnce(&mut Recorder<'a>) -> Result<(), CatalogError> + Send + 'static,
    ) {
        // One that has failed takes no more, which `end` tells.
        let _ = self.orders.send(Box::new(order));
    }

    /// Waits until all that was told is recorded, and for an answer; nothing if recording has failed.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Recorder<'a>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let order = move |recorder: &mut Recorder<'a>| {
            // Whoever has asked waits for it.
            let _ = answer.send(question(recorder)?);
            Ok(())
        };
        self.orders.send(Box::new(order)).ok()?;
        self.hurry();
        answered.recv().ok()
    }

    /// Has what was told recorded now: there won't be much more.
    pub fn hurry(&self) {
        self.state.is_urgent.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Whether something couldn't be recorded: then nothing after it is.
    pub fn has_failed(&self) -> bool {
        self.state.has_failed.load(Ordering::Relaxed)
    }

    /// Waits until all that was told is recorded; gives the recorder back, and the first error.
    pub fn end(self) -> (Recorder<'a>, Result<(), CatalogError>) {
        self.hurry();
        drop(self.orders);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Does what a recorder is told until nobody can tell it more.
fn work<'a>(
    recorder: &mut Recorder<'a>,
    orders: &Receiver<Order<'a>>,
    state: &State,
) -> Result<(), CatalogError> {
    let began = Instant::now();
    // None is told any more once nobody is there to tell it.
    while let Ok(first) = orders.recv() {
        let told = std::iter::once(first).chain(gather(began, orders, state));
        let told: Vec<Order<'a>> = told.collect();
        // All jobs that these tell of have ended.
        recorder.look_again();
        for order in told {
            order(recorder)?;
        }
        recorder.flush()?;
        // Who asks next asks about what was read until then.
        recorder.look_again();
    }
    Ok(())
}

/// What else is told within a moment, unless somebody waits for it. Who tells something doesn't wake this thread meanwhile, which took
/// longer than to record most of it.
fn gather<'o, 'a>(
    began: Instant,
    orders: &'o Receiver<Order<'a>>,
    state: &State,
) -> impl Iterator<Item = Order<'a>> + use<'o, 'a> {
    let (least, most) = GATHERING;
    let until = Instant::now() + (began.elapsed() / 10).clamp(least, most);
    while !state.is_urgent.swap(false, Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left);
    }
    orders.try_iter()
}
