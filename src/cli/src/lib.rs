//! The command line of dx-py: arguments become settings, settings become one verb.

mod alone;
mod args;
mod arrangement;
mod auto;
mod bearings;
mod changes;
mod commands;
mod compiles;
mod conductor;
mod coverage;
mod daemon;
mod database;
mod distributions;
mod early;
mod execution;
mod expression;
mod file_list;
mod fixtures;
mod forecast;
mod functions;
mod ini;
mod invocation;
mod jobs;
mod leftovers;
mod lesson;
pub mod library;
mod listener;
mod lookup;
mod named;
mod opening;
mod places;
mod plan;
mod plugin_mode;
mod pytest_cache;
mod pytest_options;
mod python;
mod record;
pub mod reference;
mod report;
mod run;
mod scratch;
mod search_path;
mod selection;
mod session;
mod settings;
mod shard;
mod snapshots;
mod sources;
mod specs;
mod standard_library;
mod states;
mod temporary;
mod unseen;
mod variables;
mod verification;
mod walk;
mod watch;
mod words;
mod worker_files;
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Command};
use crate::run::exit;

/// Runs `dx-py` with the process's arguments; gives its exit code, which is pytest's.
pub fn main() -> ExitCode {
    let arguments = std::env::args_os().collect();
    // It takes a millisecond to make.
    let mut command = Cli::command();
    let arguments = pytest_options::moved_behind_dashes(&command, arguments);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(error) => {
            let help = !error.use_stderr();
            // If the terminal is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if help { 0 } else { exit::USAGE });
        }
    };
    let result = match &cli.command {
        Command::Test(args) if args.watch => watch::watch(args),
        Command::Test(args) => run::test(args),
        Command::Audit(args) => run::audit(args),
        Command::Discover(args) => printed(|out| commands::discover(args, out)),
        Command::Graph(args) => printed(|out| commands::graph(args, out)),
        Command::Why(args) => printed(|out| lookup::why(args, out)),
        Command::History(args) => printed(|out| lookup::history(args, out)),
        Command::Flaky(args) => printed(|out| lookup::flaky(args, out)),
        Command::Snapshot(args) => printed(|out| snapshots::snapshot(&args.action, out)),
        Command::Fixtures(args) => printed(|out| fixtures::list(args, out)),
        Command::Clean(args) if args.fixtures => printed(fixtures::clean),
        Command::Clean(_) => printed(|out| commands::clean(out)),
        Command::Daemon(args) => printed(|out| daemon::daemon(&args.action, out)),
        Command::Completions(args) => printed(|out| commands::completions(args, out)),
        Command::Plugin(args) => printed(|out| plugin_mode::plugin(args, out)),
        Command::Config(args) => printed(|out| commands::config(&args.action, out)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if is_broken_pipe(&error) {
                // Whoever read the output has seen enough.
                return ExitCode::from(exit::INTERRUPTED);
            }
            eprintln!("dx-py: {}", chain(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

/// Runs a command that writes to standard output. Whoever reads it may stop at any line, and the disk that it goes to may be full:
/// both are errors, told once.
fn printed(command: impl FnOnce(&mut dyn Write) -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let code = command(&mut out)?;
    out.flush()?;
    Ok(code)
}

/// The error and its causes, each of which is told once.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(&format!("\n  {cause}"));
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// 4 for what the user can correct in the command or the configuration, 3 for everything else.
fn code_of(error: &anyhow::Error) -> u8 {
    let usage = error.is::<settings::SettingsError>()
        || error
            .downcast_ref::<library::QueryError>()
            .is_some_and(|error| !matches!(error, library::QueryError::Catalog(_)))
        || error.is::<selection::SelectionError>()
        || error.is::<python::InterpreterError>()
        || error.is::<changes::ChangesError>();
    if usage { exit::USAGE } else { exit::INTERNAL }
}
