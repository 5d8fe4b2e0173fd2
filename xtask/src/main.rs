//! The project's own chores.

mod bench;
mod ci;
mod corpus;
mod crash;
mod demo;
mod docs;
mod fuzz;
mod matrix;
mod mutate;
mod outcomes;
mod place;
mod project;
mod replay;
mod suite;
mod wheel;

use std::process::ExitCode;

use clap::Parser;

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Chore {
    /// Show the main job on a sample project: cold, fresh, after an edit
    Demo,
    /// Set up what is missing, then check format, lints and all tests
    Ci,
    /// Run the end-to-end tests under older and newer versions of Python and pytest
    Matrix,
    /// Write the reference chapters of the book, from the code
    Docs,
    /// Build what pip installs, check it, and try it in new virtual environments
    Wheel,
    /// Compare with other runners, on synthetic suites or on real projects
    Bench(bench::BenchArgs),
    /// Change a project in one place, and compare the selection with a full run, many times
    Mutate(mutate::MutateArgs),
    /// Run random small projects with pytest and with dx-py, edit them, and compare all that both tell
    FuzzPytest(fuzz::FuzzArgs),
    /// Run the suites of real projects with pytest and with dx-py in five ways, and compare every outcome
    Corpus(corpus::CorpusArgs),
    /// Walk a real project's history, and compare what selection reports of each commit with a full run of pytest
    Replay(replay::ReplayArgs),
    /// Kill runs at random moments, and check that nothing is lost
    Crash(crash::CrashArgs),
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Demo => demo::demo(),
        Chore::Ci => ci::ci(),
        Chore::Matrix => matrix::matrix(None),
        Chore::Docs => docs::docs(),
        Chore::Wheel => wheel::wheel().map(|_| ()),
        Chore::Bench(args) => bench::bench(&args),
        Chore::Mutate(args) => mutate::mutate(&args),
        Chore::FuzzPytest(args) => fuzz::fuzz(&args),
        Chore::Corpus(args) => corpus::corpus(&args),
        Chore::Replay(args) => replay::replay(&args),
        Chore::Crash(args) => crash::crash(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
