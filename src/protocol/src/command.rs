//! What a worker is told.

use dx_py_core::{TestId, TestStatus};

use crate::ProtocolError;
use crate::codec::{Reader, Writer};
use crate::message::{MessageKind, TestMessage};

/// What a worker is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Configure pytest. Until then a worker runs nothing of the project's, since there may be nothing to run.
    Begin,
    /// Collect tests: all that pytest's own arguments name, or only these paths.
    Collect {
        /// Only these; `None` for everything.
        only: Option<Vec<String>>,
        /// Absolute paths of new test modules that this worker rewrites before it collects, so that others needn't.
        rewrite: Vec<String>,
        /// The node IDs of the files whose items are made, where several workers share that; the modules of others are imported only.
        share: Option<Vec<String>>,
        /// Of these others the node IDs of those whose import does nothing but bind names, so that it can be left out; with what must be
        /// imported already for that: modules, and `module:name` for what one must have, separated by spaces.
        inert: Vec<(String, String)>,
        /// The folders of the files that a session imports which collects everything, absolute, each time that it comes to one of
        /// another folder, and whether that file is a conftest; empty if that isn't known, or if what is collected is all that counts.
        folders: Vec<(String, bool)>,
    },
    /// Run these tests of one collected file.
    Run {
        /// The file's node ID.
        file: String,
        /// The tests in their order; never empty.
        tests: Vec<TestId>,
    },
    /// There is no more work.
    Finish,
    /// Stop after the current test.
    Stop,
    /// For a controller: a test ran.
    TellTest {
        /// The test.
        id: TestId,
        /// What it came to.
        status: TestStatus,
        /// Why, in a line, if pytest said nothing of it.
        message: String,
        /// More of that.
        text: String,
        /// pytest's reports and warnings; empty if there are none.
        raw: Vec<u8>,
    },
    /// For a controller: what came of collecting.
    TellCollection {
        /// The collector's node ID.
        node: String,
        /// The error, or the reason.
        text: String,
        /// [`TestStatus::Error`] or [`TestStatus::Skipped`]; [`TestStatus::Passed`] if there is nothing to tell but warnings.
        status: TestStatus,
        /// pytest's warnings; empty if there are none.
        warnings: Vec<u8>,
    },
}

impl Command {
    fn kind(&self) -> MessageKind {
        match self {
            Self::Begin => MessageKind::Begin,
            Self::Collect { .. } => MessageKind::Collect,
            Self::Run { .. } => MessageKind::Run,
            Self::Finish => MessageKind::Finish,
            Self::Stop => MessageKind::Stop,
            Self::TellTest { .. } => MessageKind::TellTest,
            Self::TellCollection { .. } => MessageKind::TellCollection,
        }
    }

    /// Its payload.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Collect {
                only,
                rewrite,
                share,
                inert,
                folders,
            } => {
                out.u8(u8::from(only.is_some()));
                out.strs(only.as_deref().unwrap_or_default());
                out.strs(rewrite);
                out.u8(u8::from(share.is_some()));
                out.strs(share.as_deref().unwrap_or_default());
                out.pairs(inert);
                out.list(folders, |out, (folder, is_conftest)| {
                    out.str(folder).u8(u8::from(*is_conftest));
                });
            }
            Self::Run { file, tests } => {
                out.str(file);
                out.list(tests, |out, test| {
                    out.str(test.as_str());
                });
            }
            Self::TellTest {
                id,
                status,
                message,
                text,
                raw,
            } => {
                out.str(id.as_str()).u8(status.code());
                out.str(message).str(text).blob(raw);
            }
            Self::TellCollection {
                node,
                text,
                warnings,
                ..
            } => {
                out.str(node).str(text).blob(warnings);
            }
            Self::Begin | Self::Finish | Self::Stop => {}
        }
        out.finish()
    }

    /// Header and payload; `sequence` is the job's number.
    pub fn encode(&self, sequence: u64) -> Vec<u8> {
        let payload = self.payload();
        let mut header = TestMessage::new(self.kind(), sequence, payload.len() as u32);
        if let Self::TellCollection { status, .. } = self {
            header.argument = status.code().into();
        }
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(payload);
        bytes
    }

    /// Reads a command.
    ///
    /// # Errors
    /// If the payload isn't one of its kind.
    pub fn decode(header: &TestMessage, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut data = Reader::new(payload);
        let command = match header.kind()? {
            MessageKind::Collect => {
                let is_part = data.u8()? > 0;
                let paths = data.strs()?;
                let rewrite = data.strs()?;
                let is_shared = data.u8()? > 0;
                let share = data.strs()?;
                Self::Collect {
                    only: is_part.then_some(paths),
                    rewrite,
                    share: is_shared.then_some(share),
                    inert: data.pairs()?,
                    folders: data.list(|data| Ok((data.str()?, data.u8()? == 1)))?,
                }
            }
            MessageKind::Run => Self::Run {
                file: data.str()?,
                tests: data.list(|data| Ok(TestId::new(data.str()?)))?,
            },
            MessageKind::Begin => Self::Begin,
            MessageKind::Finish => Self::Finish,
            MessageKind::Stop => Self::Stop,
            MessageKind::TellTest => Self::TellTest {
                id: TestId::new(data.str()?),
                status: status(data.u8()?.into())?,
                message: data.str()?,
                text: data.str()?,
                raw: data.blob()?,
            },
            MessageKind::TellCollection => Self::TellCollection {
                node: data.str()?,
                text: data.str()?,
                status: status(header.argument)?,
                warnings: data.blob()?,
            },
        };
        data.end()?;
        Ok(command)
    }
}

fn status(code: u64) -> Result<TestStatus, ProtocolError> {
    let code = u8::try_from(code).unwrap_or(u8::MAX);
    TestStatus::from_code(code).ok_or(ProtocolError::Status(code))
}
