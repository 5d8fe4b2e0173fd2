//! What a run has to tell of snapshots at its end.

use dx_py_core::{SnapshotName, SnapshotSummary};

use super::style::{Look, Style, one_line};

/// The lines, without line ends; none if there is nothing to tell.
pub fn lines(snapshots: &SnapshotSummary, style: Style) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for problem in &snapshots.problems {
        lines.push(style.paint(Look::Red, &format!("snapshots: {}", one_line(problem))));
    }
    let count = |number| match number {
        1 => "1 snapshot is".to_owned(),
        number => format!("{number} snapshots are"),
    };
    if !snapshots.accepted.is_empty() {
        let text = format!("{} accepted", count(snapshots.accepted.len()));
        lines.push(style.paint(Look::Green, &text));
    }
    if !snapshots.pending.is_empty() {
        let count = count(snapshots.pending.len());
        let text = format!("{count} pending: dx-py snapshot review");
        lines.push(style.paint(Look::Yellow, &text));
    }
    if !snapshots.unused.is_empty() {
        let count = count(snapshots.unused.len());
        let text = format!("{count} used by no test: dx-py snapshot prune");
        lines.push(style.paint(Look::Yellow, &text));
        let named =
            |(file, name): &SnapshotName| format!("  {}: {}", one_line(file), one_line(name));
        lines.extend(snapshots.unused.iter().map(named));
    }
    lines
}
