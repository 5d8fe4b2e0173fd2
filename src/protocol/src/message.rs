//! The fixed headers.

use dx_py_core::{TestCase, TestStatus};

use crate::ProtocolError;
use crate::command::Command;

/// The version of the protocol.
pub const VERSION: u16 = 1;
/// The largest payload: 256 MiB.
pub const MAX_PAYLOAD: u32 = 256 << 20;
/// Payloads over this size go through the ring: 1 KiB.
pub const INLINE_LIMIT: usize = 1024;
const COMMAND_MAGIC: [u8; 4] = *b"DXTM";
const RESULT_MAGIC: [u8; 4] = *b"DXTR";
/// The flag of a report whose payload lies in the ring.
pub const IN_RING: u8 = 1;

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum MessageKind {
    /// Collect tests.
    Collect = 1,
    /// Run tests of one file.
    Run = 2,
    /// There is no more work.
    Finish = 3,
    /// Stop after the current test.
    Stop = 4,
    /// For a controller: hear of a test that ran.
    TellTest = 5,
    /// For a controller: hear of a file that failed to be collected or skipped itself.
    TellCollection = 6,
    /// Go on with what a worker may do before it is sure that there is something to run.
    Begin = 7,
}

/// What a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ResultKind {
    /// The worker introduces itself.
    Hello = 1,
    /// A file's tests.
    Collected = 2,
    /// A file that failed to be collected or skipped itself.
    CollectionReport = 3,
    /// Collection has ended.
    CollectionDone = 4,
    /// The worker wants a job.
    Next = 5,
    /// A test began.
    TestStarted = 6,
    /// A test ended.
    TestFinished = 7,
    /// A job ended.
    JobDone = 8,
    /// pytest recorded a warning.
    Warning = 9,
    /// What was observed.
    Trace = 10,
    /// The run can't go on.
    Fatal = 11,
    /// The worker exits.
    Bye = 12,
    /// The worker stops early.
    Stopped = 13,
    /// What plugins have to say at the end.
    Section = 14,
    /// How tests were run.
    Engine = 15,
    /// The worker doesn't have the tests of a job.
    Lacks = 16,
    /// What there is to tell of snapshots.
    Snapshots = 17,
}

impl MessageKind {
    fn from_code(code: u16) -> Result<Self, ProtocolError> {
        [
            Self::Collect,
            Self::Run,
            Self::Finish,
            Self::Stop,
            Self::TellTest,
            Self::TellCollection,
            Self::Begin,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == code)
        .ok_or(ProtocolError::Kind(code))
    }
}

impl ResultKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Hello,
        Self::Collected,
        Self::CollectionReport,
        Self::CollectionDone,
        Self::Next,
        Self::TestStarted,
        Self::TestFinished,
        Self::JobDone,
        Self::Warning,
        Self::Trace,
        Self::Fatal,
        Self::Bye,
        Self::Stopped,
        Self::Section,
        Self::Engine,
        Self::Lacks,
        Self::Snapshots,
    ];

    /// The kind of that number.
    ///
    /// # Errors
    /// If there is none.
    pub fn from_code(code: u16) -> Result<Self, ProtocolError> {
        Self::ALL
            .into_iter()
            .find(|kind| *kind as u16 == code)
            .ok_or(ProtocolError::Kind(code))
    }
}

/// The header of a command: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed)]
pub struct TestMessage {
    magic: [u8; 4],
    version: u16,
    kind: u16,
    /// The job's number.
    pub sequence: u64,
    /// A number, for the kinds that need one.
    pub argument: u64,
    /// The length of the payload that follows.
    pub payload_len: u32,
    flags: u32,
}

/// The header of a report: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed)]
pub struct TestResultMessage {
    magic: [u8; 4],
    version: u16,
    kind: u16,
    /// The job's number.
    pub sequence: u64,
    /// Wall time of a test from its start to its end, in nanoseconds.
    pub duration_ns: u64,
    /// Where in the ring the payload starts, if it is there.
    pub ring_offset: u64,
    /// The length of the payload.
    pub payload_len: u32,
    /// A status or an exit code, by the kind.
    pub status: u8,
    flags: u8,
    /// The worker's number.
    pub worker: u16,
}

const _: () = assert!(size_of::<TestMessage>() == TestMessage::SIZE);
const _: () = assert!(size_of::<TestResultMessage>() == TestResultMessage::SIZE);

/// Takes little-endian fields off the front of a header whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_at(N);
        self.0 = rest;
        head.try_into().expect("split_at gives N bytes")
    }
}

fn check(magic: [u8; 4], expected: [u8; 4], version: u16, len: u32) -> Result<(), ProtocolError> {
    if magic != expected {
        return Err(ProtocolError::Magic {
            expected,
            got: magic,
        });
    }
    if version != VERSION {
        return Err(ProtocolError::Version {
            expected: VERSION,
            got: version,
        });
    }
    if len > MAX_PAYLOAD {
        return Err(ProtocolError::PayloadTooLarge(len));
    }
    Ok(())
}

impl TestMessage {
    /// The size of the header in bytes.
    pub const SIZE: usize = 32;

    /// A header.
    pub fn new(kind: MessageKind, sequence: u64, payload_len: u32) -> Self {
        Self {
            magic: COMMAND_MAGIC,
            version: VERSION,
            kind: kind as u16,
            sequence,
            argument: 0,
            payload_len,
            flags: 0,
        }
    }

    /// The message that runs one test, and its payload.
    pub fn for_case(case: &TestCase, sequence: u64) -> (Self, Vec<u8>) {
        let payload = Command::Run {
            file: case.id.file().to_owned(),
            tests: vec![case.id.clone()],
        }
        .payload();
        let header = Self::new(MessageKind::Run, sequence, payload.len() as u32);
        (header, payload)
    }

    /// What it asks for.
    ///
    /// # Errors
    /// If the kind doesn't exist.
    pub fn kind(&self) -> Result<MessageKind, ProtocolError> {
        MessageKind::from_code(self.kind)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = Vec::with_capacity(Self::SIZE);
        out.extend(self.magic);
        out.extend({ self.version }.to_le_bytes());
        out.extend({ self.kind }.to_le_bytes());
        out.extend({ self.sequence }.to_le_bytes());
        out.extend({ self.argument }.to_le_bytes());
        out.extend({ self.payload_len }.to_le_bytes());
        out.extend({ self.flags }.to_le_bytes());
        out.try_into().expect("the fields add up to the size")
    }

    /// Reads and validates a header.
    ///
    /// # Errors
    /// If it is short, or magic, version, kind, flags or payload size are wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let bytes = bytes.get(..Self::SIZE).ok_or(ProtocolError::ShortHeader {
            expected: Self::SIZE,
            got: bytes.len(),
        })?;
        let mut fields = Fields(bytes);
        let message = Self {
            magic: fields.take(),
            version: u16::from_le_bytes(fields.take()),
            kind: u16::from_le_bytes(fields.take()),
            sequence: u64::from_le_bytes(fields.take()),
            argument: u64::from_le_bytes(fields.take()),
            payload_len: u32::from_le_bytes(fields.take()),
            flags: u32::from_le_bytes(fields.take()),
        };
        check(
            message.magic,
            COMMAND_MAGIC,
            message.version,
            message.payload_len,
        )?;
        message.kind()?;
        match message.flags {
            0 => Ok(message),
            flags => Err(ProtocolError::Flags(flags)),
        }
    }
}

impl TestResultMessage {
    /// The size of the header in bytes.
    pub const SIZE: usize = 40;

    /// A header whose payload follows on the stream.
    pub fn new(kind: ResultKind, sequence: u64, payload_len: u32) -> Self {
        Self {
            magic: RESULT_MAGIC,
            version: VERSION,
            kind: kind as u16,
            sequence,
            duration_ns: 0,
            ring_offset: 0,
            payload_len,
            status: 0,
            flags: 0,
            worker: 0,
        }
    }

    /// The same, with its payload in the ring at `offset`.
    pub fn in_ring_at(mut self, offset: u64) -> Self {
        self.ring_offset = offset;
        self.flags = IN_RING;
        self
    }

    /// What it tells.
    ///
    /// # Errors
    /// If the kind doesn't exist.
    pub fn kind(&self) -> Result<ResultKind, ProtocolError> {
        ResultKind::from_code(self.kind)
    }

    /// Whether the payload lies in the ring.
    pub fn is_in_ring(&self) -> bool {
        self.flags & IN_RING != 0
    }

    /// The status as a test's.
    ///
    /// # Errors
    /// If there is no such status.
    pub fn test_status(&self) -> Result<TestStatus, ProtocolError> {
        TestStatus::from_code(self.status).ok_or(ProtocolError::Status(self.status))
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = Vec::with_capacity(Self::SIZE);
        out.extend(self.magic);
        out.extend({ self.version }.to_le_bytes());
        out.extend({ self.kind }.to_le_bytes());
        out.extend({ self.sequence }.to_le_bytes());
        out.extend({ self.duration_ns }.to_le_bytes());
        out.extend({ self.ring_offset }.to_le_bytes());
        out.extend({ self.payload_len }.to_le_bytes());
        out.extend([self.status, self.flags]);
        out.extend({ self.worker }.to_le_bytes());
        out.try_into().expect("the fields add up to the size")
    }

    /// Reads and validates a header.
    ///
    /// # Errors
    /// If it is short, or magic, version, kind, flags or payload size are wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let bytes = bytes.get(..Self::SIZE).ok_or(ProtocolError::ShortHeader {
            expected: Self::SIZE,
            got: bytes.len(),
        })?;
        let mut fields = Fields(bytes);
        let message = Self {
            magic: fields.take(),
            version: u16::from_le_bytes(fields.take()),
            kind: u16::from_le_bytes(fields.take()),
            sequence: u64::from_le_bytes(fields.take()),
            duration_ns: u64::from_le_bytes(fields.take()),
            ring_offset: u64::from_le_bytes(fields.take()),
            payload_len: u32::from_le_bytes(fields.take()),
            status: u8::from_le_bytes(fields.take()),
            flags: u8::from_le_bytes(fields.take()),
            worker: u16::from_le_bytes(fields.take()),
        };
        check(
            message.magic,
            RESULT_MAGIC,
            message.version,
            message.payload_len,
        )?;
        message.kind()?;
        match message.flags & !IN_RING {
            0 => Ok(message),
            flags => Err(ProtocolError::Flags(flags.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Property 4: message header sizes
        #[test]
        fn headers_have_their_fixed_sizes(sequence: u64, len in 0..MAX_PAYLOAD) {
            prop_assert_eq!(size_of::<TestMessage>(), 32);
            prop_assert_eq!(size_of::<TestResultMessage>(), 40);
            prop_assert_eq!(TestMessage::new(MessageKind::Run, sequence, len).to_bytes().len(), 32);
            prop_assert_eq!(TestResultMessage::new(ResultKind::Bye, sequence, len).to_bytes().len(), 40);
        }

        #[test]
        fn headers_come_back_from_their_bytes(sequence: u64, len in 0..MAX_PAYLOAD, offset: u64, kind in prop::sample::select(ResultKind::ALL.to_vec())) {
            let command = TestMessage::new(MessageKind::Collect, sequence, len);
            prop_assert_eq!(TestMessage::parse(&command.to_bytes()).unwrap(), command);
            let report = TestResultMessage::new(kind, sequence, len).in_ring_at(offset);
            prop_assert_eq!(TestResultMessage::parse(&report.to_bytes()).unwrap(), report);
        }

        // Property 6: protocol error handling
        #[test]
        fn damaged_headers_are_described_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..8, flip in 1u8..) {
            for error in [TestMessage::parse(&bytes).err(), TestResultMessage::parse(&bytes).err()].into_iter().flatten() {
                prop_assert!(!error.to_string().is_empty());
            }
            let mut damaged = TestMessage::new(MessageKind::Run, 1, 0).to_bytes();
            damaged[at] ^= flip;
            let parsed = TestMessage::parse(&damaged);
            prop_assert!(parsed.is_err() || parsed.unwrap().kind().unwrap() != MessageKind::Run);
        }
    }

    #[test]
    fn each_damage_has_its_own_message() {
        let good = TestResultMessage::new(ResultKind::Bye, 1, 0).to_bytes();
        let message = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            TestResultMessage::parse(&bytes).unwrap_err().to_string()
        };
        assert!(message(0, 0).contains("starts with"));
        assert!(message(4, 9).contains("version 9"));
        assert!(message(6, 99).contains("kind 99"));
        assert!(message(35, 255).contains("larger than the limit"));
        assert!(message(37, 8).contains("flags"));
        let short = TestResultMessage::parse(&good[..39]).unwrap_err();
        assert_eq!(short.to_string(), "a header of 40 bytes was cut to 39");
    }
}
