//! `cargo xtask bench`: dx-py and the runners that users could take instead, on synthetic suites, interleaved in one run; or, with
//! `--corpus`, with pytest and pytest-xdist on real projects.

mod case;
mod corpus;
mod counts;
mod machine;
mod measure;
mod peers;
mod plot;
mod report;
mod rows;
mod run;
mod suites;

use anyhow::{Result, bail};

use crate::project::{build, root};
use machine::Machine;
use peers::Peer;
use run::Bench;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// How many rounds are measured; one before them is not
    #[arg(long, default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    runs: usize,
    /// Only these suites
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(case::NAMES))]
    suite: Vec<String>,
    /// Small suites, to see that everything works; the results stay in target/bench
    #[arg(long)]
    quick: bool,
    /// Real projects instead, those named or all that are prepared
    #[arg(long, num_args = 0.., value_name = "NAME")]
    corpus: Option<Vec<String>>,
}

/// Runs it.
///
/// # Errors
/// If pytest can't run a suite, or results can't be written.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let dx = build()?;
    let installed = peers::install()?;
    let pytest = installed.iter().find(|one| one.peer == Peer::Pytest);
    let Some(Ok(venv)) = pytest.map(|one| &one.venv) else {
        bail!("no pytest");
    };
    let machine = Machine::look(venv)?;
    let home = root().join("target/bench");
    let mut measured = Vec::new();
    if args.corpus.is_none() || !args.suite.is_empty() {
        let bench = Bench {
            dx: &dx,
            installed: &installed,
            home: &home.join("suites"),
            runs: args.runs,
        };
        for suite in case::suites(machine.cores, args.quick) {
            if args.suite.is_empty() || args.suite.iter().any(|name| name == suite.name) {
                let result = bench.suite(&suite, &machine.circumstances(args.runs))?;
                println!("\n{}", result.markdown());
                measured.push(result);
            }
        }
    }
    let corpus = match &args.corpus {
        Some(names) => {
            let text = corpus::measure_all(names, &dx, &machine, args.runs, &home)?;
            println!("\n{text}");
            Some(text)
        }
        None => None,
    };
    let folder = if args.quick {
        home
    } else {
        root().join("benches/results")
    };
    let legend = report::legend(machine.cores, &installed);
    report::write(&folder, &machine, &legend, &measured, corpus)?;
    if !args.quick {
        report::show(&root().join("README.md"), &machine.date, &measured)?;
    }
    Ok(())
}
