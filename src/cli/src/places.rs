//! What pytest starts from if the user names places.
//!
//! Where it is known which files the whole project holds, a place only chooses among their tests. Else pytest is given the places, as
//! on its own command line: who names one file doesn't wait for the others to be imported, and gets what pytest gives, also where it
//! wouldn't come to the place by itself. What was found there is kept as a list of files like that of the whole project.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use dx_py_core::{RelPath, blob};

use crate::file_list::FileList;
use crate::invocation::Invocation;
use crate::selection::Selection;
use crate::session::Session;
use crate::settings::Project;

/// Of how many sets of places it is kept which files they hold.
const MOST_LISTS: usize = 64;

/// Lets pytest start from the places that the selection names, if the list of the whole project's files doesn't say what they hold.
///
/// # Errors
/// If the catalog can't be read.
pub fn narrow_to_places(
    session: &mut Session,
    invocation: &mut Invocation,
    selection: &Selection,
) -> anyhow::Result<()> {
    let places = selection.places(&session.project.root);
    if places.is_empty() || !invocation.paths.is_empty() || tells_of(session, &places) {
        return Ok(());
    }
    let asked = Invocation {
        paths: starting_paths(&session.project, selection, &places),
        ..invocation.clone()
    };
    let Some(points) = asked.starting_points(&session.project) else {
        return Ok(());
    };
    if session.start.as_ref() == Some(&points) {
        return Ok(()); // as it does by itself
    }
    session.start_from(&asked)?;
    if session.file_list.is_some() || selection.has_globs() {
        invocation.paths = asked.paths;
        return Ok(());
    }
    // Somebody may have asked for more before.
    for paths in kept_lists(session)?.into_iter().rev() {
        let wider = Invocation {
            paths,
            ..invocation.clone()
        };
        let start = wider.starting_points(&session.project);
        let holds = |place: &RelPath| start.iter().flatten().any(|point| place.is_within(point));
        if points.iter().all(holds) {
            session.start_from(&wider)?;
            if tells_of(session, &places) {
                invocation.paths = wider.paths;
                return Ok(());
            }
        }
    }
    session.start_from(&asked)?;
    invocation.paths = asked.paths;
    Ok(())
}

/// What pytest is given to find all that the patterns name.
fn starting_paths(project: &Project, selection: &Selection, places: &[PathBuf]) -> Vec<String> {
    let mut paths = Vec::new();
    if selection.has_globs() {
        // They choose among all that pytest finds by itself.
        match &project.ini.test_paths[..] {
            configured @ [_, ..] if project.cwd == project.root => {
                paths.extend_from_slice(configured)
            }
            _ => paths.push(".".to_owned()),
        }
    }
    for place in places {
        let argument = project.argument(place);
        if !paths.contains(&argument) {
            paths.push(argument);
        }
    }
    paths
}

/// Whether the list of files says what these places hold.
fn tells_of(session: &Session, places: &[PathBuf]) -> bool {
    let list = session.file_list.as_ref();
    list.is_some_and(|list| !places.iter().any(|place| is_outside(session, list, place)))
}

/// Whether pytest wouldn't collect all of a place by itself.
fn is_outside(session: &Session, list: &FileList, place: &Path) -> bool {
    let project = &session.project;
    let is_collected = |file: &RelPath| {
        let mut known = session.state.files.iter();
        let known = known.find(|known| known.path == file.as_str());
        known.is_some_and(|known| list.files.contains(&known.file))
            || list.broken.iter().any(|path| path == file.as_str())
    };
    RelPath::new(&project.root, place).is_some_and(|inner| {
        // Of a file that isn't named as test files are pytest collects more if it is named itself.
        let is_test_file = project.is_test_file(&inner);
        place.is_file() && !(is_test_file && is_collected(&inner))
            || place.is_dir() && !project.looks_into(&inner)
    })
}

/// From what pytest started where it is kept which files there are, the last one at the end.
fn kept_lists(session: &Session) -> anyhow::Result<VecDeque<Vec<String>>> {
    let kept = session.catalog.note(&session.lists_note())?;
    Ok(kept
        .and_then(|value| blob::decode(&value).ok())
        .unwrap_or_default())
}

/// Counts the list of files of a run with this invocation as the one that was used last, and forgets those that many others were used
/// after.
///
/// # Errors
/// If the catalog can't be read or written.
pub fn keep_latest_lists(session: &mut Session, invocation: &Invocation) -> anyhow::Result<()> {
    let mut lists = kept_lists(session)?;
    if lists.back() == Some(&invocation.paths) {
        return Ok(());
    }
    lists.retain(|other| *other != invocation.paths);
    lists.push_back(invocation.paths.clone());
    while lists.len() > MOST_LISTS {
        if let Some(paths) = lists.pop_front() {
            let oldest = Invocation {
                paths,
                ..Invocation::default()
            };
            let note = session.file_list_note(oldest.base_digest(&session.project));
            session.catalog.forget_note(&note)?;
        }
    }
    let note = session.lists_note();
    Ok(session.catalog.set_note(&note, &blob::encode(&lists)?)?)
}
