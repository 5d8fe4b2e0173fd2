//! Small projects made of independent pieces, so that they can be edited and shrunk piece by piece.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

/// A part of a file that can be taken out by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What it was made from; the name of a template.
    pub feature: String,
    /// A number that it keeps when it is edited.
    pub number: u64,
    /// Its text.
    pub text: String,
}

/// A project: the pieces of each file, and how it is run. The first piece of a file is its head, which stays as long as the file does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Pieces by path.
    pub files: BTreeMap<String, Vec<Piece>>,
    /// Variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Arguments that say which tests run.
    pub arguments: Vec<String>,
}

/// What shrinking can take out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A file.
    File(String),
    /// A piece of a file, by its number.
    Piece(u64),
    /// A variable of the environment.
    Variable(String),
    /// All arguments.
    Arguments,
}

impl Sample {
    /// The parts that can go.
    pub fn parts(&self) -> BTreeSet<Part> {
        let files = self.files.iter().flat_map(|(path, pieces)| {
            let tails = pieces.iter().skip(1).map(|piece| Part::Piece(piece.number));
            tails.chain((path != "pytest.ini").then(|| Part::File(path.clone())))
        });
        files
            .chain(self.environment.keys().cloned().map(Part::Variable))
            .chain((!self.arguments.is_empty()).then_some(Part::Arguments))
            .collect()
    }

    /// The project without these parts.
    pub fn without(&self, gone: &BTreeSet<Part>) -> Self {
        let mut small = self.clone();
        small
            .files
            .retain(|path, _| !gone.contains(&Part::File(path.clone())));
        for pieces in small.files.values_mut() {
            pieces.retain(|piece| !gone.contains(&Part::Piece(piece.number)));
        }
        small
            .environment
            .retain(|name, _| !gone.contains(&Part::Variable(name.clone())));
        if gone.contains(&Part::Arguments) {
            small.arguments.clear();
        }
        small
    }

    /// The names of what it is made from.
    pub fn features(&self) -> BTreeSet<&str> {
        let pieces = self.files.values().flatten();
        let mut features: BTreeSet<&str> = pieces.map(|piece| piece.feature.as_str()).collect();
        features.extend(self.arguments.iter().map(String::as_str));
        features.remove("");
        features
    }

    /// Writes the project over what is in the folder, and removes files that are no more in it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, before: Option<&Self>, dir: &Path) -> Result<()> {
        for path in before.iter().flat_map(|before| before.files.keys()) {
            if !self.files.contains_key(path) {
                fs::remove_file(dir.join(path))?;
            }
        }
        for (path, pieces) in &self.files {
            let target = dir.join(path);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
            if fs::read_to_string(&target).ok().as_deref() != Some(&text) {
                fs::write(target, text)?;
            }
        }
        Ok(())
    }
}
