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
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new(ring: RingConsumer) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            ring,
        }
    }

    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
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
