//! One project of a list: how it is installed, and where the corpus keeps it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::outcomes::{Outcomes, Run};
use crate::place::{LIMIT, Place};

/// The version of pytest where the list names none.
const PYTEST: &str = "9.2.0";
/// The version of Python where the list names none.
const PYTHON: &str = "3.13";

/// A project of a list.
#[derive(Debug)]
pub struct Suite {
    /// Its name in the list.
    pub name: String,
    /// The list.
    pub list: PathBuf,
    /// Where the corpus keeps it.
    pub place: Place,
    /// What its tests need beside it.
    pub requires: Vec<String>,
    /// pytest's version.
    pub pytest: String,
    /// Python's version.
    pub python: String,
    /// The folder in its sources that its tests are run from.
    pub subdir: String,
    dir: PathBuf,
    /// What the outcomes were taken with: they are taken again when it changes.
    key: String,
}

/// Reads a list.
///
/// # Errors
/// If it can't be read.
pub fn read_list(path: &Path, home: &Path) -> Result<Vec<Suite>> {
    let text = fs::read_to_string(path).with_context(|| format!("no list {}", path.display()))?;
    let table: BTreeMap<String, toml::Value> =
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
    let suites = table.into_iter().map(|(name, spec)| {
        let text = |key: &str| spec.get(key).and_then(|value| value.as_str());
        let texts = |key: &str| -> Vec<String> {
            let list = spec.get(key).and_then(|value| value.as_array());
            let list = list.into_iter().flatten();
            list.filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        let env = spec.get("env").and_then(|value| value.as_table());
        let env = env.into_iter().flatten();
        let subdir = text("subdir").unwrap_or_default().to_owned();
        let dir = home.join(&name);
        Suite {
            place: Place {
                name: name.clone(),
                source: dir.join("src").join(&subdir),
                venv: dir.join("venv"),
                scratch: dir.clone(),
                args: texts("args"),
                env: env
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect(),
                limit: LIMIT,
            },
            list: path.to_path_buf(),
            requires: texts("requires"),
            pytest: text("pytest").unwrap_or(PYTEST).to_owned(),
            python: text("python").unwrap_or(PYTHON).to_owned(),
            subdir,
            dir,
            key: spec.to_string(),
            name,
        }
    });
    Ok(suites.collect())
}

impl Suite {
    /// Whether it can be run.
    pub fn is_ready(&self) -> bool {
        self.dir.join("ready").exists()
    }

    /// pytest's outcomes in so many runs: those that were kept, if they are of this project as it is listed.
    ///
    /// # Errors
    /// If pytest can't run the tests.
    pub fn oracle(&self, count: usize) -> Result<Vec<Run>> {
        let kept = self.dir.join(format!("oracle{count}.json"));
        let document = fs::read_to_string(&kept).ok();
        let document: Value = document
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        if document["key"] == self.key.as_str() {
            let runs = document["runs"].as_array().into_iter().flatten();
            return runs.map(Run::from_json).collect();
        }
        let runs = (0..count.max(1))
            .map(|_| self.place.pytest(&[], &[]))
            .collect::<Result<Vec<Run>>>()?;
        let document = json!({
            "key": self.key,
            "runs": runs.iter().map(Run::to_json).collect::<Vec<_>>(),
        });
        fs::write(&kept, serde_json::to_vec(&document)?)?;
        Ok(runs)
    }

    /// What must be on the path for pytest-xdist. It is laid beside the environment, not into it: an installed plugin is an input of
    /// every test.
    ///
    /// # Errors
    /// If it can't be installed.
    pub fn xdist_paths(&self) -> Result<Vec<PathBuf>> {
        let overlay = self.dir.join("xdist");
        let has_it = Command::new(self.place.python())
            .args(["-c", "import xdist"])
            .stderr(Stdio::null())
            .status()?
            .success();
        if has_it {
            return Ok(Vec::new());
        }
        if !overlay.join("xdist").exists() {
            let status = Command::new("uv")
                .args(["pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&overlay)
                .arg("--python")
                .arg(self.place.python())
                .args(["pytest-xdist==3.8.0", "execnet==2.1.2"])
                .status()
                .context("can't start uv")?;
            if !status.success() {
                bail!("pytest-xdist can't be installed beside {}", self.name);
            }
        }
        Ok(vec![overlay])
    }

    /// A run under pytest-xdist with two workers for each way that it has to distribute tests: what suites share shows in some only.
    ///
    /// # Errors
    /// If it can't be installed or run.
    pub fn xdist(&self) -> Result<Vec<Outcomes>> {
        let paths = self.xdist_paths()?;
        ["load", "loadfile", "worksteal"]
            .iter()
            .map(|how| {
                let args = ["-p", "xdist", "-n", "2", "--dist", how];
                Ok(self.place.pytest(&args, &paths)?.outcomes)
            })
            .collect()
    }

    /// Takes what dx-py recorded away.
    ///
    /// # Errors
    /// If it can't be deleted.
    pub fn forget(&self) -> Result<()> {
        // pytest's root may be above the folder that the tests are run from.
        for folder in self.place.source.ancestors() {
            let recorded = folder.join(".dx");
            if recorded.exists() {
                fs::remove_dir_all(recorded)?;
            }
            if folder == self.dir.join("src") {
                break;
            }
        }
        Ok(())
    }
}
