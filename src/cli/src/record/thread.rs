//! The recorder in a thread of its own, so that neither workers nor the terminal wait for the catalog.
//!
//! What it is told waits there for a moment: files that many tests depend on are looked at once for all jobs that have ended by then, not
//! once for each, and the catalog is written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use dx_py_catalog::CatalogError;

use super::Recorder;

/// How long the recorder gathers what it is told.
const GATHERING: Duration = Duration::from_millis(50);

type Order<'a> = Box<dyn FnOnce(&mut Recorder<'a>) -> Result<(), CatalogError> + Send>;

enum Message<'a> {
    /// Something that can wait a moment.
    Later(Order<'a>),
    /// Something that somebody waits for.
    Now(Order<'a>),
}

/// A recorder that works beside the run. Everything happens in the order in which it is told, up to the first error.
pub struct RecorderThread<'scope, 'a> {
    messages: Sender<Message<'a>>,
    thread: ScopedJoinHandle<'scope, (Recorder<'a>, Result<(), CatalogError>)>,
    has_failed: Arc<AtomicBool>,
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
        let (messages, received) = mpsc::channel();
        let has_failed = Arc::new(AtomicBool::new(false));
        let failed = Arc::clone(&has_failed);
        let work = move || {
            let mut recorder = recorder;
            let done = work(&mut recorder, &received);
            failed.store(done.is_err(), Ordering::Relaxed);
            (recorder, done)
        };
        let builder = thread::Builder::new().name("recorder".to_owned());
        Ok(Self {
            messages,
            thread: builder.spawn_scoped(scope, work)?,
            has_failed,
        })
    }

    /// Lets something be recorded soon.
    pub fn later(
        &self,
        order: impl FnOnce(&mut Recorder<'a>) -> Result<(), CatalogError> + Send + 'static,
    ) {
        // One that has failed takes no more, which `end` tells.
        let _ = self.messages.send(Message::Later(Box::new(order)));
    }

    /// Waits until all that was told is recorded, and for an answer; nothing if recording has failed.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Recorder<'a>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let order = Message::Now(Box::new(move |recorder| {
            // Whoever has asked waits for it.
            let _ = answer.send(question(recorder)?);
            Ok(())
        }));
        self.messages.send(order).ok()?;
        answered.recv().ok()
    }

    /// Whether something couldn't be recorded: then nothing after it is.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Waits until all that was told is recorded; gives the recorder back, and the first error.
    pub fn end(self) -> (Recorder<'a>, Result<(), CatalogError>) {
        drop(self.messages);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Does what a recorder is told until nobody can tell it more.
fn work<'a>(
    recorder: &mut Recorder<'a>,
    messages: &Receiver<Message<'a>>,
) -> Result<(), CatalogError> {
    loop {
        let (orders, is_last) = gather(messages);
        // All jobs that these tell of have ended.
        recorder.look_again();
        for order in orders {
            order(recorder)?;
        }
        recorder.flush()?;
        // Who asks next asks about what was read until then.
        recorder.look_again();
        if is_last {
            return Ok(());
        }
    }
}

/// What is told within a moment from the first message on, and whether it is the last.
fn gather<'a>(messages: &Receiver<Message<'a>>) -> (Vec<Order<'a>>, bool) {
    let mut orders = Vec::new();
    let mut until = None;
    loop {
        let received = match until {
            None => messages
                .recv()
                .map_err(|_closed| RecvTimeoutError::Disconnected),
            Some(until) => {
                messages.recv_timeout(Instant::saturating_duration_since(&until, Instant::now()))
            }
        };
        match received {
            Ok(Message::Later(order)) => {
                orders.push(order);
                until.get_or_insert_with(|| Instant::now() + GATHERING);
            }
            Ok(Message::Now(order)) => {
                orders.push(order);
                return (orders, false);
            }
            Err(RecvTimeoutError::Timeout) => return (orders, false),
            Err(RecvTimeoutError::Disconnected) => return (orders, true),
        }
    }
}
