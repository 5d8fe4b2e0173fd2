//! A worker's end of the stream of reports, without the socket: what goes through the ring, what can wait, and what must be sent.

use std::fs::File;

use crate::ProtocolError;
use crate::message::{INLINE_LIMIT, MAX_PAYLOAD, TestResultMessage};
use crate::ring::RingProducer;

/// Writes reports. Those that can wait are kept in the shared memory, where the orchestrator sees them, until the next one that can't.
/// The Python twin is `PureRingWriter` in `wire.py`.
#[derive(Debug)]
pub struct ReportWriter {
    ring: RingProducer,
    unsent: Vec<u8>,
    /// How much of the stream was sent.
    sent: u64,
}

impl ReportWriter {
    /// A writer at the start of a stream, with the ring in `file`.
    ///
    /// # Errors
    /// If the file isn't a ring.
    pub fn new(file: &File) -> Result<Self, ProtocolError> {
        Ok(Self {
            ring: RingProducer::new(file)?,
            unsent: Vec::new(),
            sent: 0,
        })
    }

    /// Keeps a report until the next [`Self::frame`]; `false` if it must be sent since there is no room for it. `header` is that of a
    /// payload that follows on the stream, and its payload's length is filled in.
    pub fn queue(&mut self, header: TestResultMessage, payload: &[u8]) -> bool {
        let Ok(payload_len) = u32::try_from(payload.len()) else {
            return false;
        };
        if payload.len() > INLINE_LIMIT {
            return false;
        }
        let held = self.unsent.len();
        let mut header = header;
        header.payload_len = payload_len;
        self.unsent.extend_from_slice(&header.to_bytes());
        self.unsent.extend_from_slice(payload);
        let fits = self.ring.hold(self.sent, held, &self.unsent[held..]);
        if !fits {
            self.unsent.truncate(held);
        }
        fits
    }

    /// The bytes to send for a report: those that waited, the header, and the payload unless it went into the ring.
    ///
    /// # Errors
    /// If the payload is larger than the protocol allows.
    pub fn frame(
        &mut self,
        header: TestResultMessage,
        payload: &[u8],
    ) -> Result<Vec<u8>, ProtocolError> {
        let payload_len = u32::try_from(payload.len())
            .ok()
            .filter(|len| *len <= MAX_PAYLOAD)
            .ok_or(ProtocolError::PayloadTooLarge(
                u32::try_from(payload.len()).unwrap_or(u32::MAX),
            ))?;
        let mut header = header;
        header.payload_len = payload_len;
        let mut follows = payload;
        if payload.len() > INLINE_LIMIT
            && let Some(offset) = self.ring.push(payload)
        {
            header = header.in_ring_at(offset);
            follows = &[];
        }
        let mut bytes =
            Vec::with_capacity(self.unsent.len() + TestResultMessage::SIZE + follows.len());
        bytes.extend_from_slice(&self.unsent);
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(follows);
        Ok(bytes)
    }

    /// Says that all of what [`Self::frame`] gave, `len` bytes, was sent: nothing waits any more.
    pub fn sent(&mut self, len: usize) {
        self.sent += len as u64;
        if !self.unsent.is_empty() {
            self.unsent.clear();
            self.ring.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ResultKind;
    use crate::{FrameDecoder, Report, Ring, RingConsumer};
    use dx_py_core::TestId;
    use proptest::prelude::*;

    /// A report of that size, large or small, and its number.
    fn report(number: usize, len: usize) -> Report {
        Report::TestStarted(TestId::new(format!("{number} {}", "x".repeat(len))))
    }

    proptest! {
        #[test]
        fn reports_arrive_once_and_in_order_however_they_were_written(
            capacity in 1u64..5000,
            steps in prop::collection::vec((0u8..4, 0usize..2500), 0..80),
        ) {
            let file = Ring::create(capacity).unwrap();
            let mut writer = ReportWriter::new(&file).unwrap();
            let mut decoder = FrameDecoder::new(RingConsumer::new(&file).unwrap());
            let (mut written, mut read) = (Vec::new(), Vec::new());
            for (number, (step, len)) in steps.into_iter().enumerate() {
                if step == 3 {
                    decoder.look();
                } else {
                    let report = report(number, len);
                    let (header, payload) = report.encode();
                    written.push(report);
                    let waits = step > 0 && writer.queue(header, &payload);
                    prop_assert!(!waits || payload.len() <= INLINE_LIMIT);
                    if !waits {
                        let bytes = writer.frame(header, &payload).unwrap();
                        decoder.push(&bytes);
                        writer.sent(bytes.len());
                    }
                }
                while let Some(report) = decoder.next_report().unwrap() {
                    read.push(report);
                }
            }
            // It dies: what waits is there to be read.
            decoder.look();
            while let Some(report) = decoder.next_report().unwrap() {
                read.push(report);
            }
            prop_assert_eq!(read, written);
        }
    }

    #[test]
    fn what_can_wait_is_as_much_as_there_is_room_for() {
        let file = Ring::create(64).unwrap();
        let mut writer = ReportWriter::new(&file).unwrap();
        let header = TestResultMessage::new(ResultKind::TestStarted, 1, 0);
        let payload = [0; INLINE_LIMIT];
        let mut count = 0;
        while writer.queue(header, &payload) {
            count += 1;
        }
        assert_eq!(
            count,
            (64 << 10) / (TestResultMessage::SIZE + payload.len())
        );
        let bytes = writer.frame(header, &payload).unwrap();
        assert_eq!(
            bytes.len(),
            (count + 1) * (TestResultMessage::SIZE + payload.len())
        );
        writer.sent(bytes.len());
        assert!(writer.queue(header, &payload));
    }
}
