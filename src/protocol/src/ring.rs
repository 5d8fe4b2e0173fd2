//! A ring in shared memory for one producer and one consumer, without locks.
//!
//! The file starts with a header: magic, version, capacity, and the two indices in cache lines of their own, so that the two sides
//! don't slow each other down. Indices only grow; a byte's place is its index modulo the capacity. The producer publishes the head
//! after the data (release), the consumer reads it before the data (acquire), and the other way round for the tail. This is the
//! bounded queue of Lamport (1983), with byte counts for slots. The wake-up isn't here: a message on the stream tells of each payload.
//!
//! Behind the ring lies the end of the stream that the worker hasn't sent yet: where in the stream it starts, how long it is, and the
//! bytes. It only grows until it is sent, and its length is published after its bytes, so that it can be read at any time.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapMut, MmapOptions};

use crate::ProtocolError;

const MAGIC: [u8; 4] = *b"DXRB";
const VERSION: u32 = 2;
const CAPACITY_AT: usize = 8;
const HEAD_AT: usize = 64;
const TAIL_AT: usize = 128;
const DATA_AT: usize = 192;
/// Before what isn't sent yet: its place in the stream, and its length.
const UNSENT_HEADER: usize = 16;
/// How much of the stream may wait: 64 KiB.
const UNSENT_CAPACITY: usize = 64 << 10;

/// A file without a name: of memory alone where the system has that, so that what is written there is never written to a disk.
fn unnamed_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, memfd_create};
        if let Ok(file) = memfd_create("dx-py-ring", MemfdFlags::CLOEXEC) {
            return Ok(file.into());
        }
    }
    tempfile::tempfile()
}

/// The shared memory itself.
#[derive(Debug)]
pub struct Ring {
    map: MmapMut,
    capacity: u64,
}

impl Ring {
    /// Makes the file of a ring that holds `capacity` bytes of payloads. It has no name, so it goes away with its last user.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn create(capacity: u64) -> Result<File, ProtocolError> {
        let make = || -> io::Result<File> {
            let file = unnamed_file()?;
            file.set_len(size_with(capacity))?;
            // SAFETY: the file was made here and has no name, so nobody else can change or shorten it.
            let mut map = unsafe { MmapOptions::new().map_mut(&file)? };
            map[..4].copy_from_slice(&MAGIC);
            map[4..8].copy_from_slice(&VERSION.to_le_bytes());
            map[CAPACITY_AT..CAPACITY_AT + 8].copy_from_slice(&capacity.to_le_bytes());
            Ok(file)
        };
        make().map_err(ProtocolError::RingSetup)
    }

    fn open(file: &File) -> Result<Self, ProtocolError> {
        let len = file.metadata().map_err(ProtocolError::RingSetup)?.len();
        if len <= DATA_AT as u64 {
            return Err(ProtocolError::NotARing("it is too short"));
        }
        // SAFETY: the file has no name and only the two ends of the ring have it; neither shortens it. What the other end
        // writes at the same time is only read after the indices say so.
        let map = unsafe { MmapOptions::new().map_mut(file) }.map_err(ProtocolError::RingSetup)?;
        let word = |at: usize| u32::from_le_bytes([map[at], map[at + 1], map[at + 2], map[at + 3]]);
        if map[..4] != MAGIC {
            return Err(ProtocolError::NotARing("its first bytes are others"));
        }
        if word(4) != VERSION {
            return Err(ProtocolError::NotARing("it has another version"));
        }
        let capacity = u64::from(word(CAPACITY_AT)) | u64::from(word(CAPACITY_AT + 4)) << 32;
        if len != size_with(capacity) {
            return Err(ProtocolError::NotARing("its capacity isn't its size"));
        }
        Ok(Self { map, capacity })
    }

    fn index(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.map.len());
        // SAFETY: the place lies within the map and is aligned to 8 bytes since maps are aligned to pages. Indices, and what isn't
        // sent yet, are only accessed atomically once the ring is in use.
        unsafe { AtomicU64::from_ptr(self.map.as_ptr().add(at).cast::<u64>().cast_mut()) }
    }

    /// The place of byte `index`, and how many of `len` bytes fit before the end.
    fn place(&self, index: u64, len: usize) -> (usize, usize) {
        let at = (index % self.capacity) as usize;
        (DATA_AT + at, len.min(self.capacity as usize - at))
    }
}

/// Where what isn't sent yet begins, behind a ring of that capacity.
fn unsent_at(capacity: u64) -> u64 {
    (DATA_AT as u64 + capacity).next_multiple_of(8)
}

/// The size of the whole file.
fn size_with(capacity: u64) -> u64 {
    unsent_at(capacity.min(u64::MAX / 2)) + (UNSENT_HEADER + UNSENT_CAPACITY) as u64
}

/// The writing end. There must be only one.
#[derive(Debug)]
pub struct RingProducer(Ring);

impl RingProducer {
    /// The writing end of the ring in `file`.
    ///
    /// # Errors
    /// If the file isn't a ring.
    pub fn new(file: &File) -> Result<Self, ProtocolError> {
        Ring::open(file).map(Self)
    }

    /// Puts a payload in; its offset, or `None` if there is no room.
    pub fn push(&mut self, payload: &[u8]) -> Option<u64> {
        let head = self.0.index(HEAD_AT).load(Ordering::Relaxed);
        let tail = self.0.index(TAIL_AT).load(Ordering::Acquire);
        let free = self.0.capacity.checked_sub(head.wrapping_sub(tail))?;
        if payload.len() as u64 > free {
            return None;
        }
        let (at, first) = self.0.place(head, payload.len());
        self.0.map[at..at + first].copy_from_slice(&payload[..first]);
        let rest = payload.len() - first;
        self.0.map[DATA_AT..DATA_AT + rest].copy_from_slice(&payload[first..]);
        self.0
            .index(HEAD_AT)
            .store(head + payload.len() as u64, Ordering::Release);
        Some(head)
    }
}

impl RingProducer {
    /// Writes bytes of the stream that aren't sent yet behind those `held` bytes that wait already; `start` is the place in the stream of
    /// the first that waits. `false` if there is no room.
    pub fn hold(&mut self, start: u64, held: usize, bytes: &[u8]) -> bool {
        if held + bytes.len() > UNSENT_CAPACITY {
            return false;
        }
        let at = unsent_at(self.0.capacity) as usize;
        if held == 0 {
            self.0.index(at).store(start, Ordering::Release);
        }
        let begin = at + UNSENT_HEADER + held;
        self.0.map[begin..begin + bytes.len()].copy_from_slice(bytes);
        // The length is published after the bytes that it counts.
        let len = (held + bytes.len()) as u64;
        self.0.index(at + 8).store(len, Ordering::Release);
        true
    }

    /// Says that nothing waits any more: all was sent.
    pub fn release(&mut self) {
        let at = unsent_at(self.0.capacity) as usize;
        self.0.index(at + 8).store(0, Ordering::Release);
    }
}

/// The reading end. There must be only one.
#[derive(Debug)]
pub struct RingConsumer(Ring);

impl RingConsumer {
    /// The reading end of the ring in `file`.
    ///
    /// # Errors
    /// If the file isn't a ring.
    pub fn new(file: &File) -> Result<Self, ProtocolError> {
        Ring::open(file).map(Self)
    }

    /// Takes out the payload of `len` bytes at `offset`, which must be the next.
    ///
    /// # Errors
    /// If it isn't, or isn't all there: the other end is broken.
    pub fn take(&mut self, offset: u64, len: u32) -> Result<Vec<u8>, ProtocolError> {
        let tail = self.0.index(TAIL_AT).load(Ordering::Relaxed);
        let head = self.0.index(HEAD_AT).load(Ordering::Acquire);
        let held = head.wrapping_sub(tail);
        if offset != tail || held > self.0.capacity || u64::from(len) > held {
            return Err(ProtocolError::Ring {
                tail,
                head,
                offset,
                len,
            });
        }
        let len = len as usize;
        let (at, first) = self.0.place(tail, len);
        let mut payload = self.0.map[at..at + first].to_vec();
        payload.extend_from_slice(&self.0.map[DATA_AT..DATA_AT + len - first]);
        self.0
            .index(TAIL_AT)
            .store(tail + len as u64, Ordering::Release);
        Ok(payload)
    }
}

impl RingConsumer {
    /// The end of the stream that the worker hasn't sent yet, and where in the stream it starts; `None` if there is none, or if it was
    /// being sent just now.
    pub fn unsent(&self) -> Option<(u64, Vec<u8>)> {
        let at = unsent_at(self.0.capacity) as usize;
        let look = || {
            let len = self.0.index(at + 8).load(Ordering::Acquire);
            (self.0.index(at).load(Ordering::Acquire), len)
        };
        let (start, len) = look();
        let len = usize::try_from(len).ok()?;
        if len == 0 || len > UNSENT_CAPACITY {
            return None;
        }
        let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
        for word in 0..len.div_ceil(8) {
            let place = at + UNSENT_HEADER + word * 8;
            bytes.extend(self.0.index(place).load(Ordering::Relaxed).to_ne_bytes());
        }
        bytes.truncate(len);
        fence(Ordering::Acquire);
        // What was sent meanwhile may have been written over.
        let (again, grown) = look();
        (again == start && grown >= len as u64).then_some((start, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn ends(capacity: u64) -> (RingProducer, RingConsumer) {
        let file = Ring::create(capacity).unwrap();
        (
            RingProducer::new(&file).unwrap(),
            RingConsumer::new(&file).unwrap(),
        )
    }

    proptest! {
        #[test]
        fn a_ring_is_a_bounded_queue(capacity in 1u64..64, steps in prop::collection::vec((any::<bool>(), 0usize..40), 0..100)) {
            let (mut producer, mut consumer) = ends(capacity);
            let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
            let mut next = 0u8;
            for (push, len) in steps {
                if push {
                    let payload: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let used: usize = model.iter().map(|(_, payload)| payload.len()).sum();
                    let offset = producer.push(&payload);
                    prop_assert_eq!(offset.is_some(), used + len <= capacity as usize);
                    if let Some(offset) = offset {
                        model.push_back((offset, payload));
                    }
                } else if let Some((offset, payload)) = model.pop_front() {
                    prop_assert_eq!(consumer.take(offset, payload.len() as u32).unwrap(), payload);
                }
            }
        }
    }

    #[test]
    fn two_threads_lose_and_mix_up_nothing() {
        let (mut producer, mut consumer) = ends(1000);
        let (send, receive) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for number in 0u32..20_000 {
                let payload = number.to_le_bytes().repeat((number % 50) as usize + 1);
                loop {
                    if let Some(offset) = producer.push(&payload) {
                        send.send((offset, payload)).unwrap();
                        break;
                    }
                    std::thread::yield_now();
                }
            }
        });
        let mut count = 0;
        for (offset, payload) in receive {
            assert_eq!(
                consumer.take(offset, payload.len() as u32).unwrap(),
                payload
            );
            count += 1;
        }
        writer.join().unwrap();
        assert_eq!(count, 20_000);
    }

    #[test]
    fn a_wrong_place_is_an_error() {
        let (mut producer, mut consumer) = ends(16);
        producer.push(b"abc").unwrap();
        assert!(consumer.take(1, 1).is_err());
        assert!(
            consumer
                .take(0, 4)
                .unwrap_err()
                .to_string()
                .contains("bytes 0 to 3")
        );
        assert!(RingProducer::new(&tempfile::tempfile().unwrap()).is_err());
    }
}
