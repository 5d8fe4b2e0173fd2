//! The book in `docs/`: every command in it is run, in a fresh project for each chapter, and what is shown below it is what it prints.

mod chapter;
mod output;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::chapter::{Chapter, Step};
use self::output::{masked, matches};
use crate::installed::installed_python;
use crate::support::{Project, python, sees_functions};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapters_folder() -> PathBuf {
    repository().join("docs/src")
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(chapters_folder().join(name)).expect("the chapter can be read")
}

/// The chapters by the names of their files.
fn chapters() -> BTreeSet<String> {
    let entries = std::fs::read_dir(chapters_folder()).expect("the book is there");
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Does what a chapter says, in its order.
fn follow(name: &str) {
    let chapter = Chapter::parse(&text_of(name));
    let python = if chapter.needs_package {
        let Some(python) = installed_python() else {
            return;
        };
        python
    } else {
        python()
    };
    let environment = python
        .parent()
        .and_then(Path::parent)
        .expect("the interpreter is in an environment");
    let project = match &chapter.project {
        Some(folder) => Project::copy_of(&repository().join(folder)),
        None => Project::new(&[]),
    };
    // The built binary goes before one that is installed there.
    let binaries = tempfile::tempdir().expect("a temporary folder can be made");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dx-py"), binaries.path().join("dx-py"))
        .expect("links can be made");
    let mut path = vec![binaries.path().to_path_buf(), environment.join("bin")];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let path = std::env::join_paths(path).expect("paths have no colons");
    let real = std::fs::canonicalize(project.path()).expect("the project is there");
    let places = [
        (environment.display().to_string(), "/home/me/venv"),
        (real.display().to_string(), "/home/me/project"),
    ];
    for step in &chapter.steps {
        let (command, exit, shown, needs_functions, in_ci) = match step {
            Step::Write { file, text } => {
                project.write(file, text);
                continue;
            }
            Step::Run {
                command,
                exit,
                output,
                needs_functions,
                in_ci,
            } => (command, *exit, output, *needs_functions, *in_ci),
        };
        if needs_functions && !sees_functions() {
            continue;
        }
        let mut shell = project.start(Path::new("sh"));
        shell
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .env("PATH", &path)
            .env("VIRTUAL_ENV", environment)
            .env_remove("COLUMNS");
        if in_ci {
            shell.env("CI", "true");
        }
        let run = shell.output().expect("the shell can be started");
        let printed: Vec<String> = String::from_utf8_lossy(&run.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        let context = format!("docs/src/{name}: $ {command}\n{}", printed.join("\n"));
        assert_eq!(run.status.code(), Some(exit), "{context}");
        let (expected, printed) = (masked(shown, &places), masked(&printed, &places));
        assert!(
            expected.is_empty() || matches(&expected, &printed),
            "{context}\n\nafter masking this is shown:\n{}\n\nand this was printed:\n{}",
            expected.join("\n"),
            printed.join("\n"),
        );
    }
}

macro_rules! followed {
    ($($test:ident: $name:literal),* $(,)?) => {
        /// The chapters that have something to do.
        const FOLLOWED: &[&str] = &[$($name),*];

        $(
            #[test]
            fn $test() {
                follow($name);
            }
        )*
    };
}

followed! {
    start: "start.md",
    moving: "moving.md",
    selection: "selection.md",
    blind_spots: "blind-spots.md",
    ci: "ci.md",
    snapshots: "snapshots.md",
    fixtures: "fixtures.md",
    python_api: "python.md",
    troubleshooting: "troubleshooting.md",
}

#[test]
fn every_chapter_with_commands_is_followed() {
    for name in chapters() {
        let has_steps = !Chapter::parse(&text_of(&name)).steps.is_empty();
        assert_eq!(FOLLOWED.contains(&&*name), has_steps, "{name}");
    }
}

/// The targets of links in a text of Markdown.
fn links(text: &str) -> Vec<&str> {
    let parts = text.split("](").skip(1);
    parts.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a text's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_chapter_is_in_the_summary_and_every_link_leads_somewhere() {
    let summary = text_of("SUMMARY.md");
    let mut listed: BTreeSet<String> = links(&summary).into_iter().map(str::to_owned).collect();
    listed.insert("SUMMARY.md".to_owned());
    assert_eq!(listed, chapters());
    for name in chapters() {
        let text = text_of(&name);
        for link in links(&text)
            .into_iter()
            .filter(|link| !link.contains("://"))
        {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { &name } else { file };
            assert!(chapters().contains(target), "{name}: {link}");
            let is_there = anchor.is_empty() || anchors(&text_of(target)).contains(anchor);
            assert!(is_there, "{name}: {link}");
        }
    }
}

/// Commands within sentences and tables: `dx-py test --lf`.
fn commands_in(text: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut is_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            let spans = line.split('`').skip(1).step_by(2);
            commands.extend(spans.filter(|span| span.starts_with("dx-py ")));
        }
    }
    commands
}

#[test]
fn every_command_within_a_sentence_is_one_that_dx_py_takes() {
    // What clap is asked for the help of has been parsed before it.
    let binary = env!("CARGO_BIN_EXE_dx-py");
    let mut seen = BTreeSet::new();
    for name in chapters() {
        let text = text_of(&name);
        if text.starts_with("<!-- Written by") {
            continue;
        }
        for command in commands_in(&text) {
            let (own, others) = command.split_once(" -- ").unwrap_or((command, ""));
            let arguments = own.trim_start_matches("dx-py ");
            let line = format!("'{binary}' {arguments} --help -- {others}");
            let run = Command::new("sh").args(["-c", &line]).output();
            let run = run.expect("the shell can be started");
            let told = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{name}: `{command}`: {told}");
            seen.insert(command.to_owned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn the_table_of_plugins_names_tests_and_versions_that_are_there() {
    let read = |path: &str| {
        std::fs::read_to_string(repository().join(path)).expect("the file can be read")
    };
    let mut tests = read("tests/e2e/plugins.rs");
    for entry in std::fs::read_dir(repository().join("tests/e2e/plugins")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        tests += &std::fs::read_to_string(path).expect("the file can be read");
    }
    let pinned = read("testdata/plugins.txt") + &read("testdata/plugins-pytest8.txt");
    let text = text_of("plugins.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let (plugin, version, names) = (row[1], row[2], row[4]);
        let package = if plugin.starts_with("`subtests`") {
            "pytest"
        } else {
            plugin
        };
        let pin = format!("{package}=={version}");
        assert!(pinned.lines().any(|line| line == pin), "{pin}");
        for name in names.split('`').skip(1).step_by(2) {
            assert!(tests.contains(&format!("fn {name}()")), "{plugin}: {name}");
        }
    }
}
