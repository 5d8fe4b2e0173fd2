//! Runs a suite: every runner in its own copy, one after the other in each round, so that all see the same machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::case::{Case, Suite};
use super::counts::Counts;
use super::measure::{measure, measure_warm};
use super::peers::{self, Installed, Peer};
use super::rows::{Measured, Row};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(1_200);

/// What a suite is run with.
pub struct Bench<'a> {
    /// dx-py.
    pub dx: &'a Path,
    /// The other runners.
    pub installed: &'a [Installed],
    /// Where suites are laid.
    pub home: &'a Path,
    /// How many rounds count.
    pub runs: usize,
}

impl Bench<'_> {
    /// A runner's environment; dx-py's is pytest's.
    fn venv(&self, peer: Peer) -> Result<&Path, String> {
        let peer = if peer == Peer::Dx { Peer::Pytest } else { peer };
        let found = self.installed.iter().find(|one| one.peer == peer);
        match found.map(|one| &one.venv) {
            Some(Ok(venv)) => Ok(venv),
            // Why was told when it was tried; it names folders of this machine.
            Some(Err(_)) => Err("could not be installed".into()),
            None => Err("isn't among the peers".into()),
        }
    }

    fn dir(&self, suite: &Suite, case: &Case) -> PathBuf {
        let warm = if case.warm { ", warm" } else { "" };
        self.home
            .join(suite.name)
            .join(format!("{}{warm}", case.peer.name()))
    }

    /// Lays the suite once for each runner, since some write beside the tests.
    fn lay(&self, suite: &Suite) -> Result<()> {
        let home = self.home.join(suite.name);
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        for case in &suite.cases {
            let dir = self.dir(suite, case);
            if !dir.exists() {
                suite.content.write(&dir)?;
            }
        }
        Ok(())
    }

    /// Measures all rows of a suite.
    ///
    /// # Errors
    /// If the suite can't be laid or pytest can't run it.
    pub fn suite(&self, suite: &Suite, circumstances: &str) -> Result<Measured> {
        self.lay(suite)?;
        let mut rows: Vec<Row> = suite
            .cases
            .iter()
            .map(|case| Row {
                peer: case.peer,
                heading: case.heading(),
                costs: Vec::new(),
                counts: None,
                judged: Vec::new(),
                absent: self.venv(case.peer).err(),
            })
            .collect();
        let mut pytest = None;
        // A round that doesn't count fills the caches of bytecode for all, and shows whether outcomes are right.
        for round in 0..=self.runs {
            for (case, row) in suite.cases.iter().zip(&mut rows) {
                if row.absent.is_some() || case.once && round > 1 {
                    continue;
                }
                if let Err(error) = self.once(suite, case, round, &mut pytest, row) {
                    if case.peer == Peer::Pytest {
                        return Err(error);
                    }
                    row.absent = Some(format!("could not be run: {error:#}"));
                }
            }
            eprintln!("{}: round {round} of {}", suite.name, self.runs);
        }
        for (case, row) in suite.cases.iter().zip(&mut rows) {
            if case.once && self.runs > 1 {
                row.heading.push_str(" (1 run)");
            }
        }
        Ok(Measured {
            name: suite.name.to_owned(),
            title: suite.title.clone(),
            circumstances: circumstances.to_owned(),
            rows,
        })
    }

    fn once(
        &self,
        suite: &Suite,
        case: &Case,
        round: usize,
        pytest: &mut Option<Counts>,
        row: &mut Row,
    ) -> Result<()> {
        let dir = self.dir(suite, case);
        let Ok(venv) = self.venv(case.peer) else {
            bail!("no environment");
        };
        let mut command = peers::command(case.peer, self.dx, venv, &dir, case.workers)?;
        command.args(case.more);
        let printed = self
            .home
            .join(suite.name)
            .join(format!("{}.txt", row.heading));
        let prepare = |round| (case.prepare)(&dir, round);
        let ran = if case.warm {
            // The first round records what the tests import, which is what an interpreter has ready.
            if round == 0 {
                prepare(0)?;
                measure(&mut command, &printed, LIMIT)?;
            }
            let mut earlier = peers::command(case.peer, self.dx, venv, &dir, case.workers)?;
            earlier.args(case.more);
            measure_warm(
                (&mut earlier, || prepare(2 * round + 1)),
                (&mut command, || prepare(2 * round + 2)),
                &printed,
                LIMIT,
                || peers::plain(Peer::Dx, self.dx, venv, &dir),
            )?
        } else {
            prepare(round)?;
            measure(&mut command, &printed, LIMIT)?
        };
        row.counts = Counts::parse(case.peer, &ran.text);
        if case.peer == Peer::Pytest {
            let counts = row
                .counts
                .with_context(|| format!("pytest told no outcomes (see {})", printed.display()))?;
            pytest.get_or_insert(counts);
        }
        let wanted = pytest.context("pytest comes first")?;
        row.judged.push(match &row.counts {
            Some(counts) => counts.wrong(case.peer, &wanted, case.expect),
            None => Some(format!("told no outcomes, exit code {}", ran.code)),
        });
        if round > 0 {
            row.costs.push(ran.cost);
        }
        Ok(())
    }
}
