//! What a worker reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dx_py_core::{Marker, TestId, TestResult, TestStatus};

use crate::ProtocolError;
use crate::codec::{Reader, Writer};
use crate::message::{ResultKind, TestResultMessage};
use crate::parts::{nanoseconds, read_items, read_result, write_items, write_result};

/// How a worker introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Python's version.
    pub python: String,
    /// pytest's version.
    pub pytest: String,
    /// `sys.executable`.
    pub executable: String,
    /// `sys.prefix`.
    pub prefix: String,
    /// The folders of the standard library.
    pub stdlib: Vec<String>,
    /// `sys.path` after configuration.
    pub sys_path: Vec<String>,
    /// pytest's root directory.
    pub rootdir: String,
    /// pytest's configuration file, or empty.
    pub inifile: String,
    /// `config.args`.
    pub args: Vec<String>,
    /// Third-party plugins with their versions.
    pub plugins: Vec<String>,
    /// What may need a controller beside the workers: hooks that report, or start something once.
    pub reporting: Vec<String>,
    /// Why the session can't be split over several workers; empty if it can.
    pub one_worker: String,
    /// The outcomes that the short summary names, by the letters of pytest's `-r`.
    pub report_chars: String,
    /// How many of the slowest phases pytest was asked to list; 0 for all.
    pub durations: Option<u32>,
}

/// A collected test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedItem {
    /// The test ID.
    pub id: String,
    /// The function's name without parameters.
    pub function: String,
    /// The classes around it, joined by `::`; empty if there are none.
    pub class_name: String,
    /// The line of its definition, from 1.
    pub line: u32,
    /// Its place in the order of the session, from 0.
    pub place: u32,
    /// The names that `-k` looks into.
    pub keywords: Vec<String>,
    /// Its marks, the nearest first.
    pub markers: Vec<Marker>,
    /// Whether what other tests are and do may bear on it: it is given a fixture of a plugin that lives longer than a test, or somebody who
    /// isn't known takes part in how tests are collected or run.
    pub is_bound: bool,
    /// The project's fixtures that it is given and that live longer than a test.
    pub shared_fixtures: Vec<String>,
    /// What it has in common with other tests, which then run in the same worker: a class, a fixture of a module.
    pub bonds: Vec<String>,
}

/// A collected file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Its node ID.
    pub file: String,
    /// Its absolute path.
    pub path: String,
    /// Its tests, in pytest's order.
    pub items: Vec<CollectedItem>,
}

/// A file that failed to be collected, or skipped itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionReport {
    /// The collector's node ID.
    pub node: String,
    /// The file's absolute path.
    pub path: String,
    /// The error, or the reason.
    pub text: String,
    /// What was captured while it was imported: titles and texts.
    pub sections: Vec<(String, String)>,
    /// [`TestStatus::Error`] or [`TestStatus::Skipped`].
    pub status: TestStatus,
}

/// What a warm interpreter could import before it is asked for a worker: nothing if that would not be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preloadable {
    /// The installed modules that code of the project imports while tests are collected, and plugins.
    pub modules: Vec<String>,
    /// The packages of all installed modules that were loaded then.
    pub packages: Vec<String>,
    /// Which of these modules have assertions that pytest has rewritten.
    pub rewritten: Vec<String>,
    /// The folders that are searched for modules beside those of the environment.
    pub folders: Vec<String>,
    /// The variables that were changed meanwhile, for a moment at least.
    pub variables: Vec<String>,
    /// Whether some are still changed, which code that isn't Python may ask for unseen.
    pub stay_changed: bool,
}

/// How collection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionDone {
    /// The folders that pytest looked into, absolute.
    pub listings: Vec<String>,
    /// Whether everything was collected.
    pub full: bool,
    /// Why everything was collected although only a part was asked for; else empty.
    pub reason: String,
    /// How many tests of which files pytest's own options and hooks left out.
    pub deselected: Vec<(String, u32)>,
    /// Conftests of some folder whose hooks pytest calls for all tests, absolute.
    pub wide: Vec<String>,
    /// The plugin whose order of all tests can't be split over several workers; empty if there is none.
    pub one_worker: String,
    /// The conftest whose order of all tests may matter; empty if there is none.
    pub ordered: String,
    /// Where pytest's cache is; empty if the session does without.
    pub cache: String,
    /// The warnings of the collection, for a controller, in a form that only Python reads; empty if there are none.
    pub warnings: Vec<u8>,
    /// What a warm interpreter could import, if it was looked at.
    pub preloadable: Option<Preloadable>,
}

/// Something that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who read: `m:` and a module's file, with a zero byte and the number of a piece of code behind it if that is told apart; `t:` and a
    /// test ID, `f:` and a file's node ID.
    pub owner: String,
    /// What kind of thing: 0 file, 1 existence, 2 listing, 3 variable, 4 project, 5 unknowable.
    pub kind: u8,
    /// Which: an absolute path, a name.
    pub key: String,
}

/// What a worker observed since it last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Names of modules and their files.
    pub modules: Vec<(String, String)>,
    /// Importing and imported files; `?` and a name for what wasn't found.
    pub imports: Vec<(String, String)>,
    /// What was read.
    pub reads: Vec<Read>,
    /// Absolute paths that were written.
    pub written: Vec<String>,
    /// Absolute paths whose times, mode or owner were set.
    pub touched: Vec<String>,
    /// Whether the process saw all functions of the project that ran so far.
    pub is_traced: bool,
    /// Pieces of code that are new, numbered on through the process: the absolute file, and the first line from 1. Line 0 stands for
    /// code that isn't the file's text.
    pub code: Vec<(String, u32)>,
    /// The numbers of code that ran, by the tests each of which ran it. Empty stands for what ran before all tests, `s:` for what ran later
    /// for all of them, `c:` for what the project's code looked at; `i:`, a file's node ID, a zero byte and its path for what importing and
    /// collecting it ran, which leaves nothing for others.
    pub ran: Vec<(Vec<String>, Vec<u32>)>,
    /// What tests left for those that run later.
    pub left: Vec<Left>,
    /// Names under which something may be found that isn't compared: each test that mentions one may have left something there.
    pub opaque: Vec<String>,
}

/// What a test left for those that run later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The test.
    pub test: String,
    /// The fixture that was set up for it when this was left; empty if there is none.
    pub fixture: String,
    /// The names of which code must mention one to find it, `*` for any, each with digests of what is there.
    pub places: Vec<(String, u64)>,
}

impl Left {
    /// The digests by names.
    pub fn by_names(&self) -> BTreeMap<&str, BTreeSet<u64>> {
        let mut names: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for (name, digest) in &self.places {
            names.entry(name).or_default().insert(*digest);
        }
        names
    }
}

/// How a worker ran its tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineReport {
    /// How many took the lean path.
    pub lean: u32,
    /// Why others went through pytest's whole protocol, and how many.
    pub full_protocol: Vec<(String, u32)>,
    /// How busy it was.
    pub load: Load,
}

/// How busy a worker was while it ran tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// For how long it ran tests: waits for a processor, or for a job, don't count.
    pub elapsed: Duration,
    /// For how much of that neither it nor a child process of its had anything to do.
    pub idle: Duration,
    /// The CPU time that it needed before the first test.
    pub start: Duration,
    /// The most memory that it had, in bytes.
    pub memory: u64,
}

/// What a worker tells of snapshots at its end. Each has the file that holds it, relative to the root, and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Those that are new or differ, and wait to be accepted.
    pub pending: Vec<(String, String)>,
    /// Those that an update accepted.
    pub accepted: Vec<(String, String)>,
    /// Those that no test uses.
    pub unused: Vec<(String, String)>,
    /// What couldn't be done.
    pub problems: Vec<String>,
}

/// What a worker tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It introduces itself.
    Hello(Hello),
    /// It collected a file.
    Collected(Collected),
    /// A file failed to be collected, or skipped itself.
    CollectionReport(CollectionReport),
    /// It has collected.
    CollectionDone(CollectionDone),
    /// It wants a job.
    Next,
    /// A test began.
    TestStarted(TestId),
    /// A test ended.
    TestFinished(Box<TestResult>),
    /// A job ended.
    JobDone {
        /// The job's number.
        job: u64,
    },
    /// It doesn't have the tests of a job, since their file was collected differently here, and wants another one.
    Lacks {
        /// The job's number.
        job: u64,
    },
    /// pytest recorded a warning.
    Warning {
        /// Where: a test ID, or empty.
        node: String,
        /// The warning.
        text: String,
    },
    /// What it observed.
    Trace(Trace),
    /// The run can't go on.
    Fatal {
        /// pytest's exit code.
        code: u8,
        /// What to show.
        text: String,
    },
    /// It exits.
    Bye {
        /// pytest's exit code.
        code: u8,
        /// Whether a hook of the user's decided on it.
        decided: bool,
    },
    /// What plugins have to say at the end of the session.
    Section(String),
    /// How it ran its tests.
    Engine(EngineReport),
    /// What there is to tell of snapshots.
    Snapshots(SnapshotReport),
    /// It stops early.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// If the payload isn't one of its kind.
    pub fn decode(header: &TestResultMessage, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut data = Reader::new(payload);
        let report = match header.kind()? {
            ResultKind::Hello => Self::Hello(Hello {
                python: data.str()?,
                pytest: data.str()?,
                executable: data.str()?,
                prefix: data.str()?,
                stdlib: data.strs()?,
                sys_path: data.strs()?,
                rootdir: data.str()?,
                inifile: data.str()?,
                args: data.strs()?,
                plugins: data.strs()?,
                reporting: data.strs()?,
                one_worker: data.str()?,
                report_chars: data.str()?,
                durations: data.u32()?.checked_sub(1),
            }),
            ResultKind::Collected => Self::Collected(Collected {
                file: data.str()?,
                path: data.str()?,
                items: read_items(&mut data)?,
            }),
            ResultKind::CollectionReport => Self::CollectionReport(CollectionReport {
                node: data.str()?,
                path: data.str()?,
                text: data.str()?,
                sections: data.pairs()?,
                status: header.test_status()?,
            }),
            ResultKind::CollectionDone => Self::CollectionDone(CollectionDone {
                listings: data.strs()?,
                full: data.u8()? == 1,
                reason: data.str()?,
                deselected: data.list(|data| Ok((data.str()?, data.u32()?)))?,
                wide: data.strs()?,
                one_worker: data.str()?,
                ordered: data.str()?,
                cache: data.str()?,
                warnings: data.blob()?,
                preloadable: match data.u8()? {
                    0 => None,
                    _ => Some(Preloadable {
                        modules: data.strs()?,
                        packages: data.strs()?,
                        rewritten: data.strs()?,
                        folders: data.strs()?,
                        variables: data.strs()?,
                        stay_changed: data.u8()? != 0,
                    }),
                },
            }),
            ResultKind::Next => Self::Next,
            ResultKind::TestStarted => Self::TestStarted(TestId::new(data.str()?)),
            ResultKind::TestFinished => {
                Self::TestFinished(Box::new(read_result(header, &mut data)?))
            }
            ResultKind::JobDone => Self::JobDone {
                job: header.sequence,
            },
            ResultKind::Lacks => Self::Lacks {
                job: header.sequence,
            },
            ResultKind::Warning => Self::Warning {
                node: data.str()?,
                text: data.str()?,
            },
            ResultKind::Trace => Self::Trace(Trace {
                modules: data.pairs()?,
                imports: data.pairs()?,
                reads: data.list(|data| {
                    Ok(Read {
                        owner: data.str()?,
                        kind: data.u8()?,
                        key: data.str()?,
                    })
                })?,
                written: data.strs()?,
                touched: data.strs()?,
                is_traced: data.u8()? != 0,
                code: data.list(|data| Ok((data.str()?, data.u32()?)))?,
                ran: data.list(|data| Ok((data.strs()?, data.list(|data| data.u32())?)))?,
                left: data.list(|data| {
                    Ok(Left {
                        test: data.str()?,
                        fixture: data.str()?,
                        places: data.list(|data| Ok((data.str()?, data.u64()?)))?,
                    })
                })?,
                opaque: data.strs()?,
            }),
            ResultKind::Fatal => Self::Fatal {
                code: header.status,
                text: data.str()?,
            },
            ResultKind::Bye => Self::Bye {
                code: header.status,
                decided: header.sequence != 0,
            },
            ResultKind::Section => Self::Section(data.str()?),
            ResultKind::Engine => Self::Engine(EngineReport {
                lean: data.u32()?,
                full_protocol: data.list(|data| Ok((data.str()?, data.u32()?)))?,
                load: Load {
                    elapsed: Duration::from_nanos(data.u64()?),
                    idle: Duration::from_nanos(data.u64()?),
                    start: Duration::from_nanos(data.u64()?),
                    memory: data.u64()?,
                },
            }),
            ResultKind::Snapshots => Self::Snapshots(SnapshotReport {
                pending: data.pairs()?,
                accepted: data.pairs()?,
                unused: data.pairs()?,
                problems: data.strs()?,
            }),
            ResultKind::Stopped => Self::Stopped {
                reason: data.str()?,
            },
        };
        data.end()?;
        Ok(report)
    }

    /// Its header, with the payload taken to follow on the stream, and its payload.
    pub fn encode(&self) -> (TestResultMessage, Vec<u8>) {
        let mut out = Writer::new();
        let (mut sequence, mut duration, mut status) = (0, 0, 0);
        let kind = match self {
            Self::Hello(hello) => {
                out.str(&hello.python).str(&hello.pytest);
                out.str(&hello.executable).str(&hello.prefix);
                out.strs(&hello.stdlib).strs(&hello.sys_path);
                out.str(&hello.rootdir).str(&hello.inifile);
                out.strs(&hello.args).strs(&hello.plugins);
                out.strs(&hello.reporting).str(&hello.one_worker);
                out.str(&hello.report_chars);
                out.u32(hello.durations.map_or(0, |count| count.saturating_add(1)));
                ResultKind::Hello
            }
            Self::Collected(file) => {
                out.str(&file.file).str(&file.path);
                write_items(&mut out, &file.items);
                ResultKind::Collected
            }
            Self::CollectionReport(report) => {
                out.str(&report.node).str(&report.path).str(&report.text);
                out.pairs(&report.sections);
                status = report.status.code();
                ResultKind::CollectionReport
            }
            Self::CollectionDone(done) => {
                out.strs(&done.listings).u8(u8::from(done.full));
                out.str(&done.reason);
                out.list(&done.deselected, |out, (file, count)| {
                    out.str(file).u32(*count);
                });
                out.strs(&done.wide);
                out.str(&done.one_worker).str(&done.ordered);
                out.str(&done.cache).blob(&done.warnings);
                out.u8(u8::from(done.preloadable.is_some()));
                if let Some(told) = &done.preloadable {
                    out.strs(&told.modules);
                    out.strs(&told.packages).strs(&told.rewritten);
                    out.strs(&told.folders).strs(&told.variables);
                    out.u8(u8::from(told.stay_changed));
                }
                ResultKind::CollectionDone
            }
            Self::Next => ResultKind::Next,
            Self::TestStarted(id) => {
                out.str(id.as_str());
                ResultKind::TestStarted
            }
            Self::TestFinished(result) => {
                write_result(&mut out, result);
                duration = nanoseconds(result.elapsed);
                status = result.status.code();
                ResultKind::TestFinished
            }
            Self::JobDone { job } => {
                sequence = *job;
                ResultKind::JobDone
            }
            Self::Lacks { job } => {
                sequence = *job;
                ResultKind::Lacks
            }
            Self::Warning { node, text } => {
                out.str(node).str(text);
                ResultKind::Warning
            }
            Self::Trace(trace) => {
                out.pairs(&trace.modules).pairs(&trace.imports);
                out.list(&trace.reads, |out, read| {
                    out.str(&read.owner).u8(read.kind).str(&read.key);
                });
                out.strs(&trace.written).strs(&trace.touched);
                out.u8(trace.is_traced.into());
                out.list(&trace.code, |out, (file, line)| {
                    out.str(file).u32(*line);
                });
                out.list(&trace.ran, |out, (owner, numbers)| {
                    out.strs(owner).list(numbers, |out, number| {
                        out.u32(*number);
                    });
                });
                out.list(&trace.left, |out, left| {
                    out.str(&left.test).str(&left.fixture).list(
                        &left.places,
                        |out, (name, delta)| {
                            out.str(name).u64(*delta);
                        },
                    );
                });
                out.strs(&trace.opaque);
                ResultKind::Trace
            }
            Self::Fatal { code, text } => {
                out.str(text);
                status = *code;
                ResultKind::Fatal
            }
            Self::Bye { code, decided } => {
                status = *code;
                sequence = u64::from(*decided);
                ResultKind::Bye
            }
            Self::Section(text) => {
                out.str(text);
                ResultKind::Section
            }
            Self::Engine(engine) => {
                out.u32(engine.lean);
                out.list(&engine.full_protocol, |out, (reason, count)| {
                    out.str(reason).u32(*count);
                });
                let load = &engine.load;
                for time in [load.elapsed, load.idle, load.start] {
                    out.u64(nanoseconds(time));
                }
                out.u64(load.memory);
                ResultKind::Engine
            }
            Self::Snapshots(snapshots) => {
                out.pairs(&snapshots.pending)
                    .pairs(&snapshots.accepted)
                    .pairs(&snapshots.unused)
                    .strs(&snapshots.problems);
                ResultKind::Snapshots
            }
            Self::Stopped { reason } => {
                out.str(reason);
                ResultKind::Stopped
            }
        };
        let payload = out.finish();
        let mut header = TestResultMessage::new(kind, sequence, payload.len() as u32);
        header.duration_ns = duration;
        header.status = status;
        (header, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::message::TestMessage;
    use dx_py_core::{AssertionStats, Phase, PhaseReport};
    use proptest::prelude::*;
    use std::time::Duration;

    fn results() -> impl Strategy<Value = TestResult> {
        let report =
            (0u8..3, 0u8..6, ".*", ".*").prop_map(|(phase, status, message, text)| PhaseReport {
                phase: Phase::from_code(phase).unwrap(),
                status: TestStatus::from_code(status).unwrap(),
                message,
                text,
            });
        let pairs = || prop::collection::vec((".*", ".*"), 0..3);
        (
            ".*",
            0u8..6,
            any::<[u32; 4]>(),
            prop::collection::vec(report, 0..4),
            pairs(),
            pairs(),
        )
            .prop_map(
                |(id, status, times, reports, sections, properties)| TestResult {
                    duration: times[..3]
                        .iter()
                        .map(|time| Duration::from_nanos((*time).into()))
                        .sum(),
                    elapsed: Duration::from_nanos(times[3].into()),
                    phases: [times[0], times[1], times[2]]
                        .map(|time| Duration::from_nanos(time.into())),
                    reports,
                    sections,
                    properties,
                    assertions: AssertionStats {
                        passed: times[0],
                        failed: times[1],
                    },
                    raw: times[0].to_le_bytes().to_vec(),
                    ..TestResult::bare(
                        TestId::new(id),
                        TestStatus::from_code(status).unwrap(),
                        Duration::ZERO,
                    )
                },
            )
    }

    proptest! {
        // Property 5: protocol message round trip
        #[test]
        fn results_and_commands_come_back_from_their_bytes(result in results(), file in ".*", tests in prop::collection::vec(".*", 0..5), sequence: u64) {
            let report = Report::TestFinished(Box::new(result));
            let (header, payload) = report.encode();
            prop_assert_eq!(Report::decode(&header, &payload).unwrap(), report);
            for command in [
                Command::Run { file: file.clone(), tests: tests.iter().map(|test| TestId::new(test.as_str())).collect() },
                Command::Collect { only: Some(tests.clone()), rewrite: Vec::new(), share: Some(vec![file.clone()]), inert: vec![(file.clone(), "a b:c".into())], folders: vec![(file.clone(), true)] },
                Command::Collect { only: Some(tests), rewrite: vec![file.clone()], share: None, inert: Vec::new(), folders: Vec::new() },
                Command::Collect { only: None, rewrite: Vec::new(), share: Some(Vec::new()), inert: Vec::new(), folders: Vec::new() },
                Command::TellTest {
                    id: TestId::new(file.as_str()),
                    status: TestStatus::Failed,
                    message: file.clone(),
                    text: file.clone(),
                    raw: file.into_bytes(),
                },
                Command::TellCollection { node: "a".into(), text: "b".into(), status: TestStatus::Error, warnings: vec![1] },
                Command::Begin,
                Command::Finish,
                Command::Stop,
            ] {
                let bytes = command.encode(sequence);
                let header = TestMessage::parse(&bytes).unwrap();
                prop_assert_eq!({ header.sequence }, sequence);
                prop_assert_eq!(Command::decode(&header, &bytes[TestMessage::SIZE..]).unwrap(), command);
            }
        }

        // Property 6: protocol error handling
        #[test]
        fn damaged_payloads_are_described_and_never_panic(kind in prop::sample::select(ResultKind::ALL.to_vec()), payload in prop::collection::vec(any::<u8>(), 0..200), status: u8) {
            let mut header = TestResultMessage::new(kind, 0, payload.len() as u32);
            header.status = status;
            if let Err(error) = Report::decode(&header, &payload) {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn a_cut_payload_is_an_error(result in results(), cut in 1usize..) {
            let (header, payload) = Report::TestFinished(Box::new(result)).encode();
            let len = payload.len() - 1 - cut % payload.len();
            prop_assert!(Report::decode(&header, &payload[..len]).is_err());
        }
    }

    #[test]
    fn every_other_report_comes_back() {
        let text = || "é\n".to_owned();
        let reports = [
            Report::Hello(Hello {
                python: text(),
                sys_path: vec![text()],
                reporting: vec![text()],
                durations: Some(0),
                ..Hello::default()
            }),
            Report::Collected(Collected {
                file: text(),
                path: text(),
                items: vec![CollectedItem {
                    id: text(),
                    function: text(),
                    class_name: String::new(),
                    line: 7,
                    place: 3,
                    keywords: vec![text()],
                    is_bound: true,
                    shared_fixtures: vec!["database".into()],
                    markers: vec![Marker {
                        name: text(),
                        args: vec![text()],
                        kwargs: vec![(text(), text())],
                    }],
                    bonds: vec![text()],
                }],
            }),
            Report::CollectionReport(CollectionReport {
                node: text(),
                path: text(),
                text: text(),
                sections: vec![(text(), text())],
                status: TestStatus::Error,
            }),
            Report::CollectionDone(CollectionDone {
                listings: vec![text()],
                full: true,
                reason: text(),
                deselected: vec![(text(), 3)],
                wide: vec![text()],
                one_worker: text(),
                ordered: text(),
                cache: text(),
                warnings: vec![1, 2],
                preloadable: Some(Preloadable {
                    modules: vec![text()],
                    packages: vec![text()],
                    rewritten: vec![text()],
                    folders: Vec::new(),
                    variables: vec![text()],
                    stay_changed: true,
                }),
            }),
            Report::Next,
            Report::TestStarted(TestId::new("a")),
            Report::JobDone { job: 9 },
            Report::Lacks { job: 9 },
            Report::Warning {
                node: text(),
                text: text(),
            },
            Report::Trace(Trace {
                modules: vec![(text(), text())],
                imports: vec![(text(), text())],
                reads: vec![Read {
                    owner: text(),
                    kind: 5,
                    key: text(),
                }],
                written: vec![text()],
                touched: vec![text()],
                is_traced: true,
                code: vec![(text(), 7)],
                ran: vec![(vec![text(), text()], vec![0, 70_000])],
                left: vec![Left {
                    test: text(),
                    fixture: text(),
                    places: vec![(text(), u64::MAX)],
                }],
                opaque: vec![text()],
            }),
            Report::Fatal {
                code: 4,
                text: text(),
            },
            Report::Bye {
                code: 1,
                decided: true,
            },
            Report::Section(text()),
            Report::Engine(EngineReport {
                lean: 7,
                full_protocol: vec![(text(), 3)],
                load: Load {
                    elapsed: Duration::from_nanos(7),
                    idle: Duration::from_nanos(5),
                    start: Duration::from_nanos(3),
                    memory: 2,
                },
            }),
            Report::Snapshots(SnapshotReport {
                pending: vec![(text(), text())],
                accepted: Vec::new(),
                unused: vec![(text(), text()), (text(), text())],
                problems: vec![text()],
            }),
            Report::Stopped { reason: text() },
        ];
        for report in reports {
            let (header, payload) = report.encode();
            assert_eq!(Report::decode(&header, &payload).unwrap(), report);
        }
    }
}
