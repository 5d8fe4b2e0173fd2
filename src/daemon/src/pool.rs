//! Which interpreters are free, which are busy, and who waits for one.

use std::collections::{BTreeSet, VecDeque};

/// A place in the queue of those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// This worker serves it.
    Worker(u32),
    /// None is free: the request waits, and is served in turn.
    Queued(Ticket),
}

/// The state of a pool. Every worker is either available or busy, and nobody is both.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    available: VecDeque<u32>,
    busy: BTreeSet<u32>,
    waiting: VecDeque<Ticket>,
    next_ticket: u64,
    closed: bool,
}

impl Pool {
    /// A pool without workers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a worker. If somebody waits, it serves the first of them: their ticket is given back.
    pub fn add(&mut self, worker: u32) -> Option<Ticket> {
        if self.closed || self.busy.contains(&worker) || self.available.contains(&worker) {
            return None;
        }
        self.offer(worker)
    }

    /// Asks for a worker; `None` once the pool is shut down.
    pub fn request(&mut self) -> Option<Grant> {
        if self.closed {
            return None;
        }
        Some(match self.available.pop_front() {
            Some(worker) => {
                self.busy.insert(worker);
                Grant::Worker(worker)
            }
            None => {
                let ticket = Ticket(self.next_ticket);
                self.next_ticket += 1;
                self.waiting.push_back(ticket);
                Grant::Queued(ticket)
            }
        })
    }

    /// A worker has done its work. It goes to the first that waits, whose ticket is given back, or becomes available.
    pub fn release(&mut self, worker: u32) -> Option<Ticket> {
        if !self.busy.remove(&worker) || self.closed {
            return None;
        }
        self.offer(worker)
    }

    fn offer(&mut self, worker: u32) -> Option<Ticket> {
        match self.waiting.pop_front() {
            Some(ticket) => {
                self.busy.insert(worker);
                Some(ticket)
            }
            None => {
                self.available.push_back(worker);
                None
            }
        }
    }

    /// A worker is gone.
    pub fn remove(&mut self, worker: u32) {
        self.busy.remove(&worker);
        self.available.retain(|other| *other != worker);
    }

    /// Ends the pool: nobody is served any more. Gives the workers that are to be ended.
    pub fn shut_down(&mut self) -> Vec<u32> {
        self.closed = true;
        self.waiting.clear();
        let mut all: Vec<u32> = self.available.drain(..).collect();
        all.extend(std::mem::take(&mut self.busy));
        all
    }

    /// How many workers are available.
    pub fn available(&self) -> usize {
        self.available.len()
    }

    /// The workers that are busy.
    pub fn busy(&self) -> impl Iterator<Item = u32> + '_ {
        self.busy.iter().copied()
    }

    /// How many workers there are.
    pub fn len(&self) -> usize {
        self.available.len() + self.busy.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Property 3: worker pool invariant
        #[test]
        fn available_and_busy_are_all_and_nobody_is_both(steps in prop::collection::vec((0u8..4, 0u32..6), 0..200)) {
            let mut pool = Pool::new();
            let mut all: BTreeSet<u32> = BTreeSet::new();
            let mut queue: VecDeque<Ticket> = VecDeque::new();
            for (step, worker) in steps {
                let served = match step {
                    0 => { all.insert(worker); pool.add(worker) }
                    1 => {
                        if let Some(Grant::Queued(ticket)) = pool.request() {
                            prop_assert_eq!(pool.available(), 0);
                            queue.push_back(ticket);
                        }
                        None
                    }
                    2 => pool.release(worker),
                    _ => { all.remove(&worker); pool.remove(worker); None }
                };
                if let Some(ticket) = served {
                    prop_assert_eq!(Some(ticket), queue.pop_front(), "requests are served in turn");
                }
                let busy: BTreeSet<u32> = pool.busy().collect();
                let free: BTreeSet<u32> = pool.available.iter().copied().collect();
                prop_assert!(busy.is_disjoint(&free));
                prop_assert_eq!(busy.union(&free).copied().collect::<BTreeSet<_>>(), all.clone());
                prop_assert_eq!(pool.len(), all.len());
                prop_assert!(queue.is_empty() || free.is_empty(), "nobody waits while a worker is free");
            }
            let ended: BTreeSet<u32> = pool.shut_down().into_iter().collect();
            prop_assert_eq!(ended, all);
            prop_assert_eq!(pool.request(), None);
        }
    }
}
