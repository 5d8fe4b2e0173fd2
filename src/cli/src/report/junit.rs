//! The JUnit XML report, in the form that Jenkins and its kin read.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dx_py_core::{Event, TestId, TestResult, TestStatus};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Reporter, write_report};

/// Writes one document at the end of the run. Fresh tests are in it with their recorded outcome.
#[derive(Debug)]
pub struct JunitReporter {
    target: PathBuf,
    cases: Vec<TestCase>,
    /// Where fresh tests are among the cases: one may run after all.
    fresh: HashMap<TestId, usize>,
}

impl JunitReporter {
    /// A report to `target`; `-` is standard output.
    pub fn new(target: PathBuf) -> Self {
        Self {
            target,
            cases: Vec::new(),
            fresh: HashMap::new(),
        }
    }

    fn ended(&mut self, result: &TestResult) {
        let status = status_of(result);
        let mut case = case_of(&result.id, status, result.duration);
        let (errors, output): (Vec<_>, Vec<_>) = result
            .sections
            .iter()
            .partition(|(title, _)| title.contains("stderr"));
        let joined = |sections: Vec<&(String, String)>| {
            let texts: Vec<String> = sections
                .iter()
                .map(|(title, content)| format!("{title}\n{content}"))
                .collect();
            clean(&texts.join("\n"))
        };
        if !output.is_empty() {
            case.set_system_out(joined(output));
        }
        if !errors.is_empty() {
            case.set_system_err(joined(errors));
        }
        for (name, value) in &result.properties {
            case.add_property((clean(name), clean(value)));
        }
        match self.fresh.remove(&result.id) {
            Some(place) => self.cases[place] = case,
            None => self.cases.push(case),
        }
    }

    /// The XML document.
    ///
    /// # Errors
    /// If it can't be serialised.
    pub fn document(&mut self, wall: Duration) -> io::Result<String> {
        let mut suite = TestSuite::new("dx-py");
        suite.add_test_cases(self.cases.iter().cloned());
        suite.set_time(wall);
        let mut report = Report::new("dx-py");
        report.set_time(wall);
        report.add_test_suite(suite);
        report.to_string().map_err(io::Error::other)
    }
}

/// A test case as the report has it: a dotted class name for the file and the classes, and the test's own name.
fn case_of(id: &TestId, status: TestCaseStatus, time: Duration) -> TestCase {
    let text = clean(id.as_str());
    // Two colons within a parameter separate nothing.
    let (plain, parameters) = text.split_at(text.find('[').unwrap_or(text.len()));
    let mut parts: Vec<&str> = plain.split("::").collect();
    let name = if parts.len() > 1 {
        format!("{}{parameters}", parts.pop().unwrap_or_default())
    } else {
        text.clone()
    };
    let file = parts.first().copied().unwrap_or_default();
    let mut class = file.strip_suffix(".py").unwrap_or(file).replace('/', ".");
    for part in parts.iter().skip(1) {
        class.push('.');
        class.push_str(part);
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case.set_time(time);
    case
}

/// The text without the characters that XML 1.0 has no form for (<https://www.w3.org/TR/xml/#charsets>); each is replaced by U+FFFD.
fn clean(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars()
        .map(|c| if allowed(&c) { c } else { '\u{fffd}' })
        .collect()
}

fn status_of(result: &TestResult) -> TestCaseStatus {
    let report = result.reports.iter().max_by_key(|report| report.status);
    let mut status = match result.status {
        TestStatus::Passed | TestStatus::XPassed => return TestCaseStatus::success(),
        TestStatus::Skipped | TestStatus::XFailed => TestCaseStatus::skipped(),
        TestStatus::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        TestStatus::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    status.set_type(match result.status {
        TestStatus::XFailed => "pytest.xfail",
        TestStatus::Skipped => "pytest.skip",
        _ => "failure",
    });
    status.set_message(report.map_or(String::new(), |report| clean(&report.message)));
    if let Some(report) = report.filter(|report| !report.text.is_empty()) {
        status.set_description(clean(&report.text));
    }
    status
}

impl Reporter for JunitReporter {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::TestFinished(result) => self.ended(result),
            Event::TestFresh {
                id,
                status,
                duration,
            } => {
                let result = TestResult::bare(id.clone(), *status, *duration);
                let mut case = case_of(id, status_of(&result), *duration);
                case.add_property(("dx-py.status", "fresh"));
                self.fresh.insert(id.clone(), self.cases.len());
                self.cases.push(case);
            }
            Event::CollectionFailed { node, text, .. } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_type("collection");
                status
                    .set_message("collection failure")
                    .set_description(clean(text));
                let node = TestId::new(node.as_str());
                self.cases.push(case_of(&node, status, Duration::ZERO));
            }
            Event::Finished(summary) => {
                let text = self.document(summary.wall)?;
                write_report(&self.target, text.as_bytes())?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::{Phase, PhaseReport};
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::events::Event as Xml;
    use std::collections::BTreeMap;

    fn results() -> impl Strategy<Value = Vec<TestResult>> {
        let text = "(\\PC|[\u{0}-\u{1f}\u{7f}\u{fffe}]|[<>&\"']|]]>){0,12}";
        let result = (
            text,
            0u8..6,
            text,
            text,
            prop::collection::vec((text, text), 0..3),
        )
            .prop_map(|(id, status, message, body, pairs)| {
                let status = TestStatus::from_code(status).unwrap();
                let mut result = TestResult::bare(
                    TestId::new(format!("a.py::{id}")),
                    status,
                    Duration::from_millis(1),
                );
                result.reports.push(PhaseReport {
                    phase: Phase::Call,
                    status,
                    message,
                    text: body,
                });
                result.sections = pairs.clone();
                result.properties = pairs;
                result
            });
        prop::collection::vec(result, 0..8)
    }

    proptest! {
        // Property 19: JUnit XML validity
        #[test]
        fn the_report_is_well_formed_and_its_counts_add_up(results in results()) {
            let mut reporter = JunitReporter::new("-".into());
            results.iter().for_each(|result| reporter.ended(result));
            let text = reporter.document(Duration::from_secs(1)).unwrap();
            let valid = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(text.chars().all(valid), "a character that XML has no form for");
            let mut reader = Reader::from_str(&text);
            let (mut depth, mut counts) = (0, BTreeMap::<String, usize>::new());
            let mut suite = BTreeMap::new();
            loop {
                let event = reader.read_event().unwrap();
                if let Xml::Start(start) | Xml::Empty(start) = &event {
                    let name = start.name().as_ref().to_owned();
                    let attributes: BTreeMap<String, String> = start
                        .attributes()
                        .map(|attribute| attribute.unwrap())
                        .map(|attribute| (attribute.key.as_ref().to_owned(), attribute.value.to_string()))
                        .collect();
                    if name == "testcase" {
                        prop_assert!(attributes.contains_key("name") && attributes.contains_key("classname") && attributes.contains_key("time"));
                    }
                    if name == "testsuite" {
                        suite = attributes;
                    }
                    *counts.entry(name).or_default() += 1;
                }
                match event {
                    Xml::Start(_) => depth += 1,
                    Xml::End(_) => depth -= 1,
                    Xml::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(depth, 0);
            let of = |name: &str| counts.get(name).copied().unwrap_or(0);
            prop_assert_eq!(of("testsuites"), 1);
            prop_assert_eq!(of("testsuite"), 1);
            prop_assert_eq!(of("testcase"), results.len());
            let with = |kinds: &[TestStatus]| results.iter().filter(|result| kinds.contains(&result.status)).count();
            prop_assert_eq!(of("failure"), with(&[TestStatus::Failed]));
            prop_assert_eq!(of("error"), with(&[TestStatus::Error]));
            prop_assert_eq!(of("skipped"), with(&[TestStatus::Skipped, TestStatus::XFailed]));
            prop_assert_eq!(&suite["tests"], &results.len().to_string());
            prop_assert_eq!(&suite["failures"], &of("failure").to_string());
            prop_assert_eq!(&suite["errors"], &of("error").to_string());
            let with_output = results.iter().filter(|result| result.sections.iter().any(|(title, _)| !title.contains("stderr"))).count();
            prop_assert_eq!(of("system-out"), with_output);
        }
    }
}
