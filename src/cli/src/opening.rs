//! The project's database, opened: what a run knows before anything is compared with the world.

use std::path::Path;

use anyhow::Context;
use dx_py_catalog::{Catalog, UniverseId};
use dx_py_core::{Digest, Hasher, blob};

use crate::arrangement::Arrangement;
use crate::auto::Busyness;
use crate::database;
use crate::invocation::Invocation;
use crate::python::{self, Interpreter};
use crate::settings::Project;
use crate::world::file_system_now;

/// A database that was opened for an invocation.
pub struct Opening {
    /// The project.
    pub project: Project,
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The catalog.
    pub catalog: Catalog,
    /// The universe of the invocation.
    pub universe: UniverseId,
    /// How sessions were arranged last.
    pub arrangement: Arrangement,
    /// How busy workers were last.
    pub busyness: Option<Busyness>,
    /// Things to tell the user.
    pub notes: Vec<String>,
    /// What tells the universe from others.
    pub key: Digest,
    /// The digest of the invocation.
    pub invocation: Digest,
    /// The file system's time in nanoseconds: what changes later may be seen by tests, or not.
    pub now_ns: i64,
}

impl Opening {
    /// Finds the interpreter and opens the catalog.
    ///
    /// # Errors
    /// If there is no interpreter, or the database can't be used.
    pub fn new(
        project: Project,
        python: Option<&Path>,
        invocation: &Invocation,
    ) -> anyhow::Result<Self> {
        let interpreter = python::find(
            python,
            project.config.python.as_deref(),
            &project.root,
            &project.cwd,
        )?;
        let dx = project.dx_dir();
        database::prepare(&dx).with_context(|| {
            format!(
                "can't create {}\nThe database is kept there; make the folder writable.",
                dx.display()
            )
        })?;
        let now_ns =
            file_system_now(&dx).with_context(|| format!("can't write in {}", dx.display()))?;
        let (mut catalog, aside) = Catalog::open(&dx.join("catalog.db"))?;
        let mut notes = Vec::new();
        if let Some(aside) = aside {
            notes.push(format!(
                "the catalog was damaged; it is kept as {}, and a new one was begun",
                aside.kept_as.display()
            ));
        }
        let invocation = invocation.digest(&project);
        let (binary, prefix) = interpreter.identity();
        let key = Hasher::new()
            .field(invocation.0)
            .field(binary.as_os_str().as_encoded_bytes())
            .field(prefix.as_os_str().as_encoded_bytes())
            .finish();
        let universe = catalog.universe(key)?;
        let arrangement = catalog
            .note(&arrangement_note(key))?
            .and_then(|value| blob::decode(&value).ok())
            .unwrap_or_default();
        let busyness = catalog
            .note(&busyness_note(key))?
            .and_then(|value| blob::decode(&value).ok());
        Ok(Self {
            project,
            interpreter,
            catalog,
            universe,
            arrangement,
            busyness,
            notes,
            key,
            invocation,
            now_ns,
        })
    }
}

/// Under which name the arrangement of a universe's sessions is kept.
pub fn arrangement_note(key: Digest) -> String {
    format!("arrangement:{}", hex(key))
}

/// Under which name it is kept how busy the workers of a universe were.
pub fn busyness_note(key: Digest) -> String {
    format!("busyness:{}", hex(key))
}

/// Under which name it is kept what workers were last started for.
pub fn shape_note(key: Digest) -> String {
    format!("shape:{}", hex(key))
}

/// A digest as text.
pub fn hex(digest: Digest) -> String {
    digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
