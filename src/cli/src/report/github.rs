//! Annotations for GitHub Actions.

use std::io::{self, Write};

use dx_py_core::{Event, TestResult};

use super::Reporter;

/// Writes an `::error` command for each failure.
pub struct GithubReporter<W: Write>(pub W);

fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

impl<W: Write> GithubReporter<W> {
    fn error(&mut self, file: &str, title: &str, message: &str) -> io::Result<()> {
        writeln!(
            self.0,
            "::error file={},title={}::{}",
            property(file),
            property(title),
            escape(message)
        )
    }

    fn failure(&mut self, result: &TestResult) -> io::Result<()> {
        self.error(result.id.file(), result.id.as_str(), result.message())
    }
}

impl<W: Write> Reporter for GithubReporter<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::TestFinished(result) if result.status.is_bad() => self.failure(result),
            Event::CollectionFailed { node, text, .. } => {
                self.error(node, "collection error", text)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::TestId;
    use std::time::Duration;

    #[test]
    fn failures_become_annotations_on_one_line() {
        let mut out = Vec::new();
        let result = TestResult::failure(
            TestId::new("a.py::test_b"),
            Duration::ZERO,
            "100%\nwrong".into(),
            String::new(),
        );
        GithubReporter(&mut out)
            .event(&Event::TestFinished(Box::new(result)))
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "::error file=a.py,title=a.py%3A%3Atest_b::100%25%0Awrong\n"
        );
    }
}
