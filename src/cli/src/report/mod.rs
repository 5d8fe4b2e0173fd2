//! Reporters: each renders the events of a run in its own form and knows nothing of the runner.

mod closing;
pub mod github;
pub mod json;
pub mod junit;
mod short_summary;
mod snapshots;
pub mod style;
pub mod terminal;

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use dx_py_core::Event;

use crate::args::{ColorChoice, TestArgs, TracebackStyle};
use github::GithubReporter;
use json::JsonReporter;
use junit::JunitReporter;
use terminal::{TerminalOptions, TerminalReporter};

/// Renders events.
pub trait Reporter {
    /// Takes in an event.
    ///
    /// # Errors
    /// If the report can't be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Leaves the terminal to others for a while, as after Ctrl-Z.
    ///
    /// # Errors
    /// If that can't be written.
    fn suspended(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a whole report to `target`: standard output for `-`, else a file that is replaced at once; folders are made.
///
/// # Errors
/// If it can't be written; the error names the target.
pub(crate) fn write_report(target: &Path, content: &[u8]) -> io::Result<()> {
    if target.as_os_str() == "-" {
        return io::stdout().lock().write_all(content);
    }
    let write = || {
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("can't write {}: {error}", target.display()),
        )
    })
}

/// Whether a report for a script goes to standard output; the text goes to standard error then.
fn aside(args: &TestArgs) -> bool {
    [&args.json, &args.junit_xml]
        .iter()
        .any(|path| path.as_deref() == Some(Path::new("-")))
}

/// Where text for a person goes.
pub fn text_output(args: &TestArgs) -> Box<dyn Write> {
    if aside(args) {
        Box::new(io::stderr())
    } else {
        Box::new(io::BufWriter::new(io::stdout()))
    }
}

/// The reporters that the arguments and the surroundings ask for.
pub fn reporters(args: &TestArgs) -> Vec<Box<dyn Reporter>> {
    let aside = aside(args);
    let terminal = if aside {
        io::stderr().is_terminal()
    } else {
        io::stdout().is_terminal()
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = match args.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color && !dumb,
    };
    let size =
        rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col));
    let level = |count: u8| i8::try_from(count).unwrap_or(i8::MAX);
    let options = TerminalOptions {
        verbosity: level(args.verbose).saturating_sub(level(args.quiet)),
        color,
        progress: terminal && !dumb && !args.no_capture,
        width: if size == 0 { 80 } else { size.min(120) },
        durations: args.durations,
        tracebacks: args.tb != Some(TracebackStyle::No),
    };
    let mut all: Vec<Box<dyn Reporter>> = Vec::new();
    if aside {
        all.push(Box::new(TerminalReporter::new(io::stderr(), options)));
    } else {
        all.push(Box::new(TerminalReporter::new(io::stdout(), options)));
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        all.push(Box::new(GithubReporter(io::stdout())));
    }
    all.extend(
        args.json
            .clone()
            .map(|path| Box::new(JsonReporter::new(path)) as Box<dyn Reporter>),
    );
    all.extend(
        args.junit_xml
            .clone()
            .map(|path| Box::new(JunitReporter::new(path)) as Box<dyn Reporter>),
    );
    all
}

/// Sends an event to every reporter.
pub fn emit(reporters: &mut [Box<dyn Reporter>], event: &Event) -> io::Result<()> {
    reporters
        .iter_mut()
        .try_for_each(|reporter| reporter.event(event))
}
