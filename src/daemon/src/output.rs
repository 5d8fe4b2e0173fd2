//! The last part of what a worker printed outside of tests, for messages about its death.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is kept: 64 KiB.
const LIMIT: usize = 64 << 10;

/// The tail of a stream, filled by a task of its own.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Reads `stream` to its end in a task, keeping the last part.
    pub fn follow(stream: impl AsyncRead + Unpin + 'static) -> (Self, tokio::task::JoinHandle<()>) {
        let tail = Self::default();
        let kept = tail.clone();
        let task = tokio::task::spawn_local(async move {
            let mut stream = stream;
            let mut buffer = vec![0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                kept.keep(&buffer[..count]);
            }
        });
        (tail, task)
    }

    fn keep(&self, bytes: &[u8]) {
        if let Ok(mut kept) = self.0.lock() {
            kept.extend(bytes);
            let over = kept.len().saturating_sub(LIMIT);
            kept.drain(..over);
        }
    }

    /// What is kept by now, as text.
    pub fn text(&self) -> String {
        self.0.lock().map_or_else(
            |_| String::new(),
            |mut kept| String::from_utf8_lossy(kept.make_contiguous()).into_owned(),
        )
    }
}
