//! The arguments of `dx-py`, as clap parses them. Nothing below `settings` reads them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use dx_py_core::Engine;

use crate::settings::Level;
use crate::shard::Shard;
use crate::verification::percent;

const AFTER_TEST: &str = "pytest's own options (-p, -o, -c, -W, --ignore, --deselect, --runxfail, --strict-markers, --stepwise, \
    --failed-first, --cov, --pdb, --collect-only …) are passed on; those of other plugins follow `--`.";

/// A test runner for Python that runs what a change can reach.
#[derive(Debug, Parser)]
#[command(
    name = "dx-py",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the tests that a change can have affected
    #[command(after_help = AFTER_TEST)]
    Test(Box<TestArgs>),
    /// Run every test, and report those that were called fresh and have another outcome
    #[command(after_help = AFTER_TEST)]
    Audit(Box<TestArgs>),
    /// List the tests found in the sources, without starting Python
    Discover(DiscoverArgs),
    /// Show what files import, and what imports them
    Graph(GraphArgs),
    /// Tell why a test is fresh or dirty
    Why(WhyArgs),
    /// Show recorded outcomes
    History(HistoryArgs),
    /// List tests whose outcome changed although nothing that they depend on did, and others that went back and forth
    Flaky(FlakyArgs),
    /// Review, accept or reject snapshots that are new or differ
    Snapshot(SnapshotArgs),
    /// List cached fixtures
    Fixtures(ListArgs),
    /// Delete the project's `.dx/` folder, or a part of it
    Clean(CleanArgs),
    /// Keep an interpreter warm for the next runs, or end it
    Daemon(DaemonArgs),
    /// Show the configuration
    Config(ConfigArgs),
    /// What the pytest plugin asks and tells
    #[command(hide = true)]
    Plugin(PluginArgs),
    /// Print what a shell completes commands and options from
    Completions(CompletionsArgs),
}

/// What every sub-command takes.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The Python interpreter [default: dx-py.toml, VIRTUAL_ENV, .venv, its own environment, python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
}

/// Arguments of `dx-py clean`.
#[derive(Debug, Clone, Args)]
pub struct CleanArgs {
    /// Only the cached fixtures
    #[arg(long)]
    pub fixtures: bool,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `dx-py test`.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Paths, node IDs, or globs over node IDs
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,

    /// Run every test, fresh or not
    #[arg(long, help_heading = "What changed")]
    pub all: bool,
    /// Only tests that changes since this git revision can reach
    #[arg(long, value_name = "REV", help_heading = "What changed")]
    pub changed_since: Option<String>,
    /// Only tests that failed at their last run
    #[arg(long, visible_alias = "last-failed", help_heading = "What changed")]
    pub lf: bool,
    /// Show what would run; run nothing and record nothing
    #[arg(long, help_heading = "What changed")]
    pub dry_run: bool,
    /// Say for each test why it runs
    #[arg(long, help_heading = "What changed")]
    pub explain: bool,
    /// Run so many of the fresh tests too, and fail if one has another outcome than the recorded one
    #[arg(long, value_name = "PERCENT", value_parser = percent, help_heading = "What changed")]
    pub verify_fresh: Option<f64>,
    /// Run again whenever something changes; keys say what else
    #[arg(long, conflicts_with = "dry_run", help_heading = "What changed")]
    pub watch: bool,

    /// Only tests whose names match the expression, as in pytest
    #[arg(short = 'k', value_name = "EXPR", help_heading = "Select")]
    pub keywords: Option<String>,
    /// Only tests whose marks match the expression, as in pytest
    #[arg(short = 'm', value_name = "EXPR", help_heading = "Select")]
    pub marks: Option<String>,

    /// Only one of N parts of the files, the K-th: for N machines
    #[arg(long, value_name = "K/N", help_heading = "Select")]
    pub shard: Option<Shard>,

    /// Number of workers; `auto` is one for each core, and more for tests that wait
    #[arg(short = 'n', long = "workers", value_name = "N", help_heading = "Run")]
    pub workers: Option<String>,
    /// Stop after the first failure
    #[arg(short = 'x', long = "exitfirst", help_heading = "Run")]
    pub exit_first: bool,
    /// Stop after so many failures
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub maxfail: Option<usize>,
    /// Seconds that a test may take
    #[arg(long, value_name = "SECONDS", help_heading = "Run")]
    pub timeout: Option<f64>,
    /// Don't run failing files once more, alone
    #[arg(long, help_heading = "Run")]
    pub no_second_opinion: bool,
    /// What a change must touch for a test to run: a `module` that it imports, or a `symbol`, a function that it runs
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Select")]
    pub select: Option<Level>,
    /// What runs the tests: `lean`, or `pytest` for its whole protocol
    #[arg(long, value_name = "ENGINE", default_value_t, help_heading = "Run")]
    pub engine: Engine,
    /// Don't capture output
    #[arg(short = 's', help_heading = "Run")]
    pub no_capture: bool,
    /// Accept all snapshots that are new or differ
    #[arg(long, conflicts_with = "ci", help_heading = "Run")]
    pub update_snapshots: bool,
    /// Write no snapshots, and fail if there are some that no test uses
    #[arg(long, help_heading = "Run")]
    pub ci: bool,
    #[command(flatten)]
    pub common: CommonArgs,

    /// More output
    #[arg(short = 'v', long, action = clap::ArgAction::Count, help_heading = "Report")]
    pub verbose: u8,
    /// Less output
    #[arg(short = 'q', long, action = clap::ArgAction::Count, help_heading = "Report")]
    pub quiet: u8,
    /// Style of tracebacks
    #[arg(long, value_name = "STYLE", value_enum, help_heading = "Report")]
    pub tb: Option<TracebackStyle>,
    /// Which outcomes the short summary names: pytest's letters, such as `A` for all
    #[arg(short = 'r', value_name = "CHARS", help_heading = "Report")]
    pub report_chars: Option<String>,
    /// Show local variables in tracebacks
    #[arg(short = 'l', long = "showlocals", help_heading = "Report")]
    pub show_locals: bool,
    /// Show the N slowest set-ups, calls and teardowns (0: all)
    #[arg(long, value_name = "N", help_heading = "Report")]
    pub durations: Option<usize>,
    /// Write a JUnit XML report to a file, or to standard output with `-`
    #[arg(
        long,
        visible_alias = "junitxml",
        value_name = "PATH",
        help_heading = "Report"
    )]
    pub junit_xml: Option<PathBuf>,
    /// Write a JSON report to a file, or to standard output with `-`
    #[arg(long, value_name = "PATH", help_heading = "Report")]
    pub json: Option<PathBuf>,
    /// When to use colours
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        help_heading = "Report"
    )]
    pub color: ColorChoice,

    /// Arguments for pytest
    #[arg(last = true, value_name = "PYTEST ARGS")]
    pub pytest_args: Vec<String>,
}

/// pytest's styles of tracebacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TracebackStyle {
    /// Long for the outermost and innermost entry, short between
    Auto,
    /// Everything
    Long,
    /// A line or two for each entry
    Short,
    /// One line for each failure
    Line,
    /// Python's own
    Native,
    /// None
    No,
}

impl TestArgs {
    /// After how many failures the run stops; none if never.
    pub fn failure_limit(&self) -> Option<usize> {
        if self.exit_first {
            return Some(1);
        }
        self.maxfail.filter(|limit| *limit > 0)
    }

    /// What pytest must know of how results are to be shown: tracebacks and assertions are worded there.
    pub fn display_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.verbose > 0 {
            arguments.push(format!("-{}", "v".repeat(self.verbose.into())));
        }
        arguments.extend(self.tb.map(|style| format!("--tb={}", style.as_str())));
        arguments.extend(self.report_chars.as_ref().map(|chars| format!("-r{chars}")));
        arguments.extend(self.show_locals.then(|| "--showlocals".to_owned()));
        arguments
    }

    /// All that pytest must know to do what was asked for on its own.
    pub fn as_pytest_arguments(&self) -> Vec<String> {
        let mut arguments = self.display_arguments();
        let valued = [("-k", &self.keywords), ("-m", &self.marks)];
        for (option, value) in valued {
            arguments.extend(
                value
                    .iter()
                    .flat_map(|value| [option.to_owned(), value.clone()]),
            );
        }
        arguments.extend((0..self.quiet).map(|_| "-q".to_owned()));
        arguments.extend(self.lf.then(|| "--lf".to_owned()));
        arguments.extend(self.no_capture.then(|| "-s".to_owned()));
        arguments.extend(
            self.failure_limit()
                .map(|limit| format!("--maxfail={limit}")),
        );
        arguments.extend(self.durations.map(|count| format!("--durations={count}")));
        arguments.extend(self.pytest_args.iter().cloned());
        arguments.extend(self.patterns.iter().cloned());
        arguments
    }
}

impl TracebackStyle {
    /// pytest's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Long => "long",
            Self::Short => "short",
            Self::Line => "line",
            Self::Native => "native",
            Self::No => "no",
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Arguments of `dx-py discover`.
#[derive(Debug, Clone, Args)]
pub struct DiscoverArgs {
    /// Only files below these paths
    pub paths: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dx-py graph`.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// The file to tell about; without it, every file
    pub file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `dx-py why`.
#[derive(Debug, Clone, Args)]
pub struct WhyArgs {
    /// A test ID, or a part of one
    pub test: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub common: CommonArgs,
    /// Arguments for pytest that the tests were run with
    #[arg(last = true, value_name = "PYTEST ARGS")]
    pub pytest_args: Vec<String>,
}

/// Arguments of `dx-py history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// A test ID, a part of one, or a glob; without it, the runs
    pub test: Option<String>,
    /// How many rows at most
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dx-py flaky`.
#[derive(Debug, Clone, Args)]
pub struct FlakyArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dx-py snapshot`.
#[derive(Debug, Clone, Args)]
pub struct SnapshotArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: SnapshotAction,
}

/// What `dx-py snapshot` does.
#[derive(Debug, Clone, Subcommand)]
pub enum SnapshotAction {
    /// Show what is pending, and decide on each by a key
    Review(PatternArgs),
    /// Accept what is pending
    Accept(PatternArgs),
    /// Forget what is pending
    Reject(PatternArgs),
    /// List what is pending, and what no test uses
    List(ListArgs),
    /// Remove what no test uses, as far as runs have told
    Prune,
}

/// Which pending snapshots are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct PatternArgs {
    /// Parts of test IDs and names, or globs over them; without any, all
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
}

/// Arguments of `dx-py snapshot list` and `dx-py fixtures`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dx-py config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do with it
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What `dx-py config` does.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigAction {
    /// Print the settings in force, and where each comes from
    Show(CommonArgs),
}

/// Arguments of `dx-py plugin`, which the plugin `dx_py_test_runner` of plain pytest starts.
#[derive(Debug, Clone, Args)]
pub struct PluginArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: PluginAction,
}

/// What `dx-py plugin` does.
#[derive(Debug, Clone, Subcommand)]
pub enum PluginAction {
    /// Print, as JSON, what a session of pytest may leave out
    Ask(PluginSessionArgs),
    /// Record what came of it, as told in JSON on standard input
    Tell(PluginSessionArgs),
}

/// The session of pytest that is meant.
#[derive(Debug, Clone, Args)]
pub struct PluginSessionArgs {
    /// Leave out what changes since this git revision can't reach, too
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Output isn't captured
    #[arg(short = 's')]
    pub no_capture: bool,
    #[command(flatten)]
    pub common: CommonArgs,
    /// The arguments of pytest that bear on outcomes
    #[arg(last = true, value_name = "PYTEST ARGS")]
    pub pytest_args: Vec<String>,
}

/// Arguments of `dx-py completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `dx-py daemon`.
#[derive(Debug, Clone, Args)]
pub struct DaemonArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: DaemonAction,
}

/// What `dx-py daemon` does.
#[derive(Debug, Clone, Subcommand)]
pub enum DaemonAction {
    /// Start the interpreter now, rather than after the next run
    Start(CommonArgs),
    /// End all that the project has
    Stop,
    /// Show what runs, and what it has imported
    Status,
}
