//! What a person sees.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use dx_py_core::{Doing, Event, Phase, RunSummary, TestId, TestResult, TestStatus};

use super::Reporter;
use super::closing::final_line;
use super::short_summary::ShortSummary;
use super::snapshots;
use super::style::{Look, Style, count, duration, one_line};
use crate::snapshots::shown::in_traceback;

/// A run with at most so many tests is short enough to name each of them.
const SHORT_RUN: usize = 30;
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How the terminal report looks.
#[derive(Clone, Debug)]
pub struct TerminalOptions {
    /// -1 for quiet, 0, 1 and more for verbose.
    pub verbosity: i8,
    /// Whether to use colours.
    pub color: bool,
    /// Whether a progress line can be rewritten in place.
    pub progress: bool,
    /// The terminal's width.
    pub width: usize,
    /// How many of the slowest phases to list; 0 for all.
    pub durations: Option<usize>,
    /// Whether tracebacks are shown.
    pub tracebacks: bool,
}

/// A file that couldn't be collected.
struct CollectionError {
    node: String,
    text: String,
    sections: Vec<(String, String)>,
}

/// The report for a terminal.
pub struct TerminalReporter<W: Write> {
    out: W,
    options: TerminalOptions,
    style: Style,
    planned: usize,
    done: usize,
    bad: usize,
    progress_shown: Option<Instant>,
    failures: Vec<TestResult>,
    collection: Vec<CollectionError>,
    warnings: BTreeMap<String, Vec<String>>,
    notes: Vec<String>,
    contradictions: Vec<(TestId, TestStatus, TestStatus)>,
    sections: Vec<String>,
    phases: Vec<(Duration, Phase, TestId)>,
    summary: ShortSummary,
}

impl<W: Write> TerminalReporter<W> {
    /// A report to `out`.
    pub fn new(out: W, options: TerminalOptions) -> Self {
        let style = Style {
            color: options.color,
        };
        Self {
            out,
            options,
            style,
            planned: 0,
            done: 0,
            bad: 0,
            progress_shown: None,
            failures: Vec::new(),
            collection: Vec::new(),
            warnings: BTreeMap::new(),
            notes: Vec::new(),
            contradictions: Vec::new(),
            sections: Vec::new(),
            phases: Vec::new(),
            summary: ShortSummary::default(),
        }
    }

    fn clear_progress(&mut self) -> io::Result<()> {
        if self.progress_shown.take().is_some() {
            write!(self.out, "\r\x1b[2K")?;
        }
        Ok(())
    }

    fn progress(&mut self, now: &str) -> io::Result<()> {
        let due = self
            .progress_shown
            .is_none_or(|shown| shown.elapsed() >= PROGRESS_EVERY);
        if !self.options.progress || self.options.verbosity != 0 || !due {
            return Ok(());
        }
        let percent = self.done * 100 / self.planned.max(1);
        let bad = if self.bad > 0 {
            format!(" · {} failed", self.bad)
        } else {
            String::new()
        };
        let line = format!(
            "[{}/{}] {percent}%{bad} · {}",
            self.done,
            self.planned,
            one_line(now)
        );
        let line: String = line
            .chars()
            .take(self.options.width.saturating_sub(1))
            .collect();
        write!(self.out, "\r\x1b[2K{line}")?;
        self.out.flush()?;
        self.progress_shown = Some(Instant::now());
        Ok(())
    }

    fn test_line(&mut self, result: &TestResult) -> io::Result<()> {
        let named =
            self.options.verbosity >= 1 || self.options.verbosity == 0 && self.planned <= SHORT_RUN;
        let notable = result.status.is_bad() || result.second_opinion;
        if self.options.verbosity < 0 && !notable
            || !named && !notable && result.status != TestStatus::XPassed
        {
            return Ok(());
        }
        self.clear_progress()?;
        let (sign, look) = sign(result.status);
        let word = match result.status {
            TestStatus::Passed => String::new(),
            status => format!(" {status}"),
        };
        let time = self
            .style
            .paint(Look::Dim, &format!("({})", duration(result.duration)));
        let message = result.message().lines().next().unwrap_or("");
        let message = if message.is_empty() {
            String::new()
        } else {
            format!(" - {}", one_line(message))
        };
        let opinion = if result.second_opinion {
            " (on second opinion)"
        } else {
            ""
        };
        let sign = self.style.paint(look, &format!("{sign}{word}"));
        writeln!(
            self.out,
            "{sign} {} {time}{opinion}{message}",
            one_line(result.id.as_str())
        )
    }

    fn rule(&mut self, title: &str, fill: char) -> io::Result<()> {
        let room = self
            .options
            .width
            .saturating_sub(title.chars().count() + 2)
            .max(6);
        let (left, right) = (room / 2, room - room / 2);
        let line = |length: usize| fill.to_string().repeat(length);
        let text = format!("{} {title} {}", line(left), line(right));
        let text = self.style.paint(Look::Bold, &text);
        writeln!(self.out, "{text}")
    }

    fn traceback(&mut self, text: &str) -> io::Result<()> {
        if let Some(lines) = in_traceback(text, self.style) {
            return lines
                .iter()
                .try_for_each(|line| writeln!(self.out, "{line}"));
        }
        for line in text.lines() {
            if line.starts_with("E ") {
                writeln!(self.out, "{}", self.style.paint(Look::Red, line))?;
            } else {
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    fn sections(&mut self, sections: &[(String, String)]) -> io::Result<()> {
        for (title, content) in sections {
            self.rule(title, '╌')?;
            self.traceback(content)?;
        }
        Ok(())
    }

    fn failures(&mut self) -> io::Result<()> {
        let collection = std::mem::take(&mut self.collection);
        let failures = std::mem::take(&mut self.failures);
        if self.options.tracebacks {
            for error in &collection {
                self.rule(&format!("ERROR collecting {}", one_line(&error.node)), '─')?;
                self.traceback(&error.text)?;
                self.sections(&error.sections)?;
            }
            for result in &failures {
                for report in result
                    .reports
                    .iter()
                    .filter(|report| report.status.is_bad())
                {
                    let id = one_line(result.id.as_str());
                    let title = match report.phase {
                        Phase::Call => id,
                        phase => format!("ERROR at {} of {id}", phase.as_str()),
                    };
                    self.rule(&title, '─')?;
                    self.traceback(if report.text.is_empty() {
                        &report.message
                    } else {
                        &report.text
                    })?;
                }
                self.sections(&result.sections)?;
            }
        }
        for result in self.summary.passes_with_output() {
            self.rule(&format!("PASSED {}", one_line(result.id.as_str())), '─')?;
            self.sections(&result.sections)?;
        }
        self.warnings()?;
        for section in std::mem::take(&mut self.sections) {
            writeln!(self.out, "{}", section.trim_end())?;
        }
        self.slowest()?;
        let lines = self.summary.lines(&self.style);
        if !lines.is_empty() {
            self.rule("short test summary", '═')?;
        }
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn warnings(&mut self) -> io::Result<()> {
        let warnings = std::mem::take(&mut self.warnings);
        if warnings.is_empty() || self.options.verbosity < 0 {
            return Ok(());
        }
        self.rule("warnings summary", '═')?;
        for (text, places) in &warnings {
            match places.as_slice() {
                [] => {}
                [place] => writeln!(self.out, "{}", one_line(place))?,
                [first, rest @ ..] => writeln!(
                    self.out,
                    "{} and {}",
                    one_line(first),
                    count(rest.len(), "other test")
                )?,
            }
            for line in text.trim_end().lines() {
                writeln!(self.out, "  {line}")?;
            }
        }
        Ok(())
    }

    fn slowest(&mut self) -> io::Result<()> {
        let Some(limit) = self.options.durations else {
            return Ok(());
        };
        let mut phases = std::mem::take(&mut self.phases);
        phases.sort_by_key(|(time, _, _)| std::cmp::Reverse(*time));
        let limit = if limit == 0 { phases.len() } else { limit };
        self.rule(&format!("slowest {}", count(limit, "duration")), '═')?;
        for (time, phase, test) in phases.iter().take(limit) {
            writeln!(
                self.out,
                "{:.2}s {:<8} {}",
                time.as_secs_f64(),
                phase.as_str(),
                one_line(test.as_str())
            )?;
        }
        Ok(())
    }

    fn contradictions(&mut self) -> io::Result<()> {
        let contradictions = std::mem::take(&mut self.contradictions);
        if contradictions.is_empty() {
            return Ok(());
        }
        self.rule("called fresh, but another outcome", '═')?;
        for (id, recorded, status) in &contradictions {
            let id = one_line(id.as_str());
            writeln!(
                self.out,
                "{id}: {} before, {} now",
                recorded.as_str(),
                status.as_str()
            )?;
        }
        writeln!(
            self.out,
            "Such a test depends on something that wasn't seen, or on chance. `dx-py why TEST` tells what was seen; `env` in dx-py.toml\nnames variables that count."
        )
    }

    fn finish(&mut self, summary: &RunSummary) -> io::Result<()> {
        self.clear_progress()?;
        self.failures()?;
        self.contradictions()?;
        for note in std::mem::take(&mut self.notes) {
            writeln!(
                self.out,
                "{} {}",
                self.style.paint(Look::Yellow, "note:"),
                note.trim_end()
            )?;
        }
        if self.options.verbosity > 0 {
            for (reason, count) in &summary.full_protocol {
                let line = format!("pytest's whole protocol for {count} of the tests: {reason}");
                writeln!(self.out, "{}", self.style.paint(Look::Dim, &line))?;
            }
        }
        for line in snapshots::lines(&summary.snapshots, self.style) {
            writeln!(self.out, "{line}")?;
        }
        if let Some(reason) = &summary.stopped {
            writeln!(
                self.out,
                "{}",
                self.style.paint(Look::Red, &format!("! {reason} !"))
            )?;
        }
        let bad = summary.exit_code != 0;
        let look = if bad { Look::Red } else { Look::Green };
        let line = final_line(summary);
        writeln!(
            self.out,
            "{} {line}",
            self.style.paint(look, if bad { "✗" } else { "✓" })
        )?;
        self.out.flush()
    }
}

/// Who has been busy, and what with.
fn busy(worker: u32, doing: &Doing) -> (String, &'static str) {
    let what = match doing {
        Doing::Test(test) => return (one_line(test.as_str()), "running"),
        Doing::Collecting => "collecting",
        Doing::BetweenTests => "setting up or tearing down between tests",
        Doing::Ending => "ending its session",
    };
    (format!("worker gw{worker}"), what)
}

fn sign(status: TestStatus) -> (&'static str, Look) {
    match status {
        TestStatus::Passed => ("✓", Look::Green),
        TestStatus::Skipped => ("⚠", Look::Yellow),
        TestStatus::XFailed => ("x", Look::Yellow),
        TestStatus::XPassed => ("X", Look::Yellow),
        TestStatus::Failed | TestStatus::Error => ("✗", Look::Red),
    }
}

impl<W: Write> Reporter for TerminalReporter<W> {
    fn suspended(&mut self) -> io::Result<()> {
        self.clear_progress()?;
        self.out.flush()
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started {
                dirty,
                fresh,
                workers,
                python,
            } => {
                self.planned = *dirty;
                if self.options.verbosity >= 0 {
                    let version = env!("CARGO_PKG_VERSION");
                    let workers = count(*workers, "worker");
                    // Before a first collection nothing is known.
                    let known = match (dirty, fresh) {
                        (0, 0) => String::new(),
                        _ => format!(" · {dirty} to run, {fresh} fresh"),
                    };
                    writeln!(self.out, "dx-py {version} · {python} · {workers}{known}")?;
                }
            }
            Event::Asked {
                report_chars,
                durations,
            } => {
                self.summary.ask_for(report_chars);
                self.options.durations = self.options.durations.or(*durations);
            }
            Event::Planned { total } => self.planned = *total,
            Event::TestStarted { id, .. } => self.progress(id.as_str())?,
            Event::Slow {
                worker,
                doing,
                elapsed,
            } => {
                self.clear_progress()?;
                let (who, what) = busy(*worker, doing);
                let slow = self.style.paint(Look::Yellow, "⚠ slow");
                let so_far = duration(*elapsed);
                writeln!(self.out, "{slow} {who} has been {what} for {so_far}")?;
                self.progress(&who)?;
            }
            Event::TestFinished(result) => {
                self.done += 1;
                self.bad += usize::from(result.status.is_bad());
                if self.options.durations.is_some() {
                    for (phase, time) in [Phase::Setup, Phase::Call, Phase::Teardown]
                        .into_iter()
                        .zip(result.phases)
                    {
                        self.phases.push((time, phase, result.id.clone()));
                    }
                }
                self.test_line(result)?;
                self.summary.add(result);
                if result.status.is_bad() {
                    self.failures.push((**result).clone());
                }
            }
            Event::TestFresh { id, status, .. } => {
                if self.options.verbosity >= 2 {
                    let text = format!("· {} fresh ({status})", one_line(id.as_str()));
                    writeln!(self.out, "{}", self.style.paint(Look::Dim, &text))?;
                }
            }
            Event::CollectionFailed {
                node,
                text,
                sections,
            } => {
                self.clear_progress()?;
                writeln!(
                    self.out,
                    "{} {}",
                    self.style.paint(Look::Red, "✗ error collecting"),
                    one_line(node)
                )?;
                self.summary.add_collection_error(node);
                self.collection.push(CollectionError {
                    node: node.clone(),
                    text: text.clone(),
                    sections: sections.clone(),
                });
            }
            Event::CollectionSkipped { node, reason } => {
                self.summary.add_skipped(node.clone(), reason.clone());
                if self.options.verbosity >= 0 {
                    let sign = self.style.paint(Look::Yellow, "⚠ skipped");
                    writeln!(self.out, "{sign} {} - {}", one_line(node), one_line(reason))?;
                }
            }
            Event::WarningRecorded { node, text } => {
                let places = self.warnings.entry(text.clone()).or_default();
                if !node.is_empty() && !places.contains(node) {
                    places.push(node.clone());
                }
            }
            Event::Contradicted {
                id,
                recorded,
                status,
            } => self.contradictions.push((id.clone(), *recorded, *status)),
            Event::Note(text) => self.notes.push(text.clone()),
            Event::Section(text) => self.sections.push(text.clone()),
            Event::Finished(summary) => self.finish(summary)?,
            // `--explain` tells it, and the JSON report.
            Event::Dirty(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(verbosity: i8, events: &[Event]) -> String {
        let mut out = Vec::new();
        let options = TerminalOptions {
            verbosity,
            color: false,
            progress: false,
            width: 60,
            durations: None,
            tracebacks: true,
        };
        let mut reporter = TerminalReporter::new(&mut out, options);
        events
            .iter()
            .for_each(|event| reporter.event(event).unwrap());
        drop(reporter);
        String::from_utf8(out).unwrap()
    }

    fn ended(status: TestStatus, name: &str) -> Event {
        Event::TestFinished(Box::new(TestResult::bare(
            TestId::new(name),
            status,
            Duration::from_millis(3),
        )))
    }

    #[test]
    fn a_short_run_names_each_test_and_shows_failures_in_full() {
        let failed = TestResult::failure(
            TestId::new("a.py::test_b"),
            Duration::from_millis(4),
            "assert 1 == 2\nmore".into(),
            ">   x\nE   assert 1 == 2".into(),
        );
        let mut summary = RunSummary {
            wall: Duration::from_millis(500),
            recorded: Duration::from_secs(2),
            exit_code: 1,
            ..RunSummary::default()
        };
        summary.count_ran(TestStatus::Passed);
        summary.count_ran(TestStatus::Failed);
        summary.count_fresh(TestStatus::Passed);
        let text = shown(
            0,
            &[
                Event::Started {
                    dirty: 2,
                    fresh: 1,
                    workers: 2,
                    python: "Python 3.13.0, pytest-9.0.0".into(),
                },
                ended(TestStatus::Passed, "a.py::test_a"),
                Event::TestFinished(Box::new(failed)),
                Event::Finished(summary),
            ],
        );
        insta::assert_snapshot!(text, @r"
        dx-py 0.1.0 · Python 3.13.0, pytest-9.0.0 · 2 workers · 2 to run, 1 fresh
        ✓ a.py::test_a (3 ms)
        ✗ failed a.py::test_b (4 ms) - assert 1 == 2
        ─────────────────────── a.py::test_b ───────────────────────
        >   x
        E   assert 1 == 2
        ════════════════════ short test summary ════════════════════
        FAILED a.py::test_b - assert 1 == 2
        ✗ 1 failed, 1 passed in 0.50 s · 1 fresh · 4.0x speed-up over recorded durations
        ");
    }

    #[test]
    fn quiet_runs_tell_the_end_and_fresh_runs_that_nothing_ran() {
        let mut summary = RunSummary {
            wall: Duration::from_millis(30),
            ..RunSummary::default()
        };
        summary.fresh = [5, 1, 0, 0, 0, 0];
        assert_eq!(
            shown(-1, &[Event::Finished(summary)]),
            "✓ nothing to run: 6 fresh (5 passed, 1 skipped) in 0.03 s\n"
        );
        let mut summary = RunSummary::default();
        summary.count_ran(TestStatus::Passed);
        assert_eq!(
            shown(
                -1,
                &[ended(TestStatus::Passed, "a"), Event::Finished(summary)]
            ),
            "✓ 1 passed in 0.00 s\n"
        );
    }
}
