//! Cuts a stream of bytes into reports.

use crate::ProtocolError;
use crate::message::TestResultMessage;
use crate::payload::Report;
use crate::ring::RingConsumer;

/// Takes the bytes of a worker's stream and gives its reports, with payloads from the ring where they are there.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    at: usize,
    ring: RingConsumer,
    /// How much of the stream has arrived.
    arrived: u64,
    /// How much of it was taken in: more, if it was read before it was sent.
    taken: u64,
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new(ring: RingConsumer) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            ring,
            arrived: 0,
            taken: 0,
        }
    }

    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        let known = usize::try_from(self.taken - self.arrived).unwrap_or(usize::MAX);
        self.arrived += bytes.len() as u64;
        self.taken = self.taken.max(self.arrived);
        self.extend(bytes.get(known..).unwrap_or_default());
    }

    /// Takes what the worker has written and not sent yet; gives whether there was any.
    pub fn look(&mut self) -> bool {
        let Some((start, bytes)) = self.ring.unsent() else {
            return false;
        };
        // What comes before it may still be under way.
        let known = self.taken.checked_sub(start);
        let known = known.and_then(|known| usize::try_from(known).ok());
        let Some(new) = known.and_then(|known| bytes.get(known..)) else {
            return false;
        };
        self.taken += new.len() as u64;
        self.extend(new);
        !new.is_empty()
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next report, if all of it has arrived.
    ///
    /// # Errors
    /// If the bytes aren't a report. The stream can't be read any further then.
    pub fn next_report(&mut self) -> Result<Option<Report>, ProtocolError> {
        let pending = &self.buffer[self.at..];
        if pending.len() < TestResultMessage::SIZE {
            return Ok(None);
        }
        let header = TestResultMessage::parse(pending)?;
        let body = &pending[TestResultMessage::SIZE..];
        if header.is_in_ring() {
            let payload = self.ring.take(header.ring_offset, header.payload_len)?;
            self.at += TestResultMessage::SIZE;
            return Report::decode(&header, &payload).map(Some);
        }
        let len = header.payload_len as usize;
        let Some(payload) = body.get(..len) else {
            return Ok(None);
        };
        let report = Report::decode(&header, payload)?;
        self.at += TestResultMessage::SIZE + len;
        Ok(Some(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Ring, RingProducer};
    use dx_py_core::TestId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_waits_is_read_once_whenever_the_worker_dies(steps in prop::collection::vec((0u8..5, 0usize..200), 0..80)) {
            let file = Ring::create(4096).unwrap();
            let mut producer = RingProducer::new(&file).unwrap();
            let mut decoder = FrameDecoder::new(RingConsumer::new(&file).unwrap());
            let (mut unsent, mut under_way, mut sent) = (Vec::<u8>::new(), Vec::<u8>::new(), 0u64);
            let (mut written, mut read) = (Vec::new(), Vec::new());
            let mut number = 0;
            let mut frame = |len: usize| {
                number += 1;
                let report = Report::TestStarted(TestId::new(format!("{number} {}", "x".repeat(len))));
                let (header, payload) = report.encode();
                written.push(report);
                [&header.to_bytes()[..], &payload].concat()
            };
            for (step, len) in steps {
                match step {
                    0 | 1 => {
                        let bytes = frame(len);
                        prop_assert!(producer.hold(sent, unsent.len(), &bytes));
                        unsent.extend(bytes);
                    }
                    2 => {
                        let bytes = [std::mem::take(&mut unsent), frame(len)].concat();
                        sent += bytes.len() as u64;
                        under_way.extend(bytes);
                        // It may die before it says that nothing waits any more.
                        if len % 3 > 0 {
                            producer.release();
                        } else {
                            break;
                        }
                    }
                    3 => {
                        let some: Vec<u8> = under_way.drain(..len.min(under_way.len())).collect();
                        decoder.push(&some);
                    }
                    _ => {
                        decoder.look();
                    }
                }
                while let Some(report) = decoder.next_report().unwrap() {
                    read.push(report);
                }
            }
            decoder.push(&under_way);
            decoder.look();
            while let Some(report) = decoder.next_report().unwrap() {
                read.push(report);
            }
            prop_assert_eq!(read, written);
        }
    }

    #[test]
    fn reports_come_out_whole_however_the_bytes_arrive() {
        let file = Ring::create(4096).unwrap();
        let mut producer = RingProducer::new(&file).unwrap();
        let small = Report::TestStarted(TestId::new("a.py::test_b"));
        let large = Report::Stopped {
            reason: "x".repeat(2000),
        };
        let mut bytes = Vec::new();
        let (header, payload) = small.encode();
        bytes.extend(header.to_bytes());
        bytes.extend(payload);
        let (header, payload) = large.encode();
        let offset = producer.push(&payload).unwrap();
        bytes.extend(header.in_ring_at(offset).to_bytes());
        let mut decoder = FrameDecoder::new(RingConsumer::new(&file).unwrap());
        let mut reports = Vec::new();
        for byte in bytes {
            decoder.push(&[byte]);
            while let Some(report) = decoder.next_report().unwrap() {
                reports.push(report);
            }
        }
        assert_eq!(reports, [small, large]);
    }
}
