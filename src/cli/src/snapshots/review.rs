//! Shows one pending snapshot after the other, and asks what becomes of it.

use std::io::{self, Read, Write};

use super::{Pending, Snapshots, chain, shown};
use crate::report::style::{Look, count, one_line};
use crate::run::exit;
use crate::watch::keys::Terminal;

/// What the user decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Accept,
    Reject,
    Skip,
    AcceptRest,
    RejectRest,
    Quit,
}

/// How many lines of a change are shown.
const MOST_LINES: usize = 400;
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;

/// Reviews them; gives the exit code. Without a terminal the keys are read from standard input all the same.
///
/// # Errors
/// If nothing can be shown or read.
pub fn review(snapshots: &Snapshots, found: &[Pending], out: &mut dyn Write) -> anyhow::Result<u8> {
    if found.is_empty() {
        writeln!(out, "no snapshots are pending")?;
        return Ok(0);
    }
    let _terminal = Terminal::take_whole();
    let (mut accepted, mut rejected, mut failed) = (0, 0, false);
    let mut rest = None;
    for (at, pending) in found.iter().enumerate() {
        let decision = match rest {
            Some(decision) => decision,
            None => {
                show(snapshots, pending, (at + 1, found.len()), out)?;
                ask(out)?
            }
        };
        let decision = match decision {
            Decision::AcceptRest => *rest.insert(Decision::Accept),
            Decision::RejectRest => *rest.insert(Decision::Reject),
            decision => decision,
        };
        let accept = match decision {
            Decision::Accept => true,
            Decision::Reject => false,
            Decision::Quit => break,
            _ => continue,
        };
        match snapshots.settle(&pending.path, &|name| name == pending.name, accept) {
            Ok(done) if accept => accepted += done.len(),
            Ok(done) => rejected += done.len(),
            Err(error) => {
                failed = true;
                writeln!(out, "{}", snapshots.style.paint(Look::Red, &chain(&error)))?;
            }
        }
    }
    let left = found.len() - accepted - rejected;
    writeln!(
        out,
        "{} accepted, {rejected} rejected, {left} left",
        count(accepted, "snapshot")
    )?;
    Ok(if failed { exit::FAILED } else { 0 })
}

fn show(
    snapshots: &Snapshots,
    pending: &Pending,
    (number, total): (usize, usize),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let style = snapshots.style;
    let title = format!("[{number}/{total}] {}", one_line(&pending.name));
    writeln!(out, "\n{}", style.paint(Look::Bold, &title))?;
    let change = match snapshots.change(pending) {
        Ok(change) => change,
        Err(error) => {
            writeln!(out, "{}", style.paint(Look::Red, &chain(&error)))?;
            return Ok(());
        }
    };
    let state = match (pending.entry.inline.is_empty(), change.is_new) {
        (false, _) => "inline",
        (true, true) => "new",
        (true, false) => "changed",
    };
    let place = format!("{state} in {}", one_line(&pending.file));
    writeln!(out, "{}", style.paint(Look::Dim, &place))?;
    let lines: Vec<&str> = change.diff.lines().collect();
    let shown = &lines[..lines.len().min(MOST_LINES)];
    for line in shown::painted(shown, style) {
        writeln!(out, "{line}")?;
    }
    if lines.len() > shown.len() {
        writeln!(out, "… {}", count(lines.len() - shown.len(), "more line"))?;
    }
    Ok(())
}

/// Asks until a key is known. The end of the input is the end of the review.
fn ask(out: &mut dyn Write) -> io::Result<Decision> {
    write!(
        out,
        "a accept · r reject · s skip · A accept the rest · R reject the rest · q quit: "
    )?;
    out.flush()?;
    let mut byte = [0];
    loop {
        if io::stdin().read(&mut byte)? == 0 {
            writeln!(out)?;
            return Ok(Decision::Quit);
        }
        let decision = match byte[0] {
            b'a' | b'y' => Decision::Accept,
            b'r' | b'n' => Decision::Reject,
            b's' | b' ' => Decision::Skip,
            b'A' => Decision::AcceptRest,
            b'R' => Decision::RejectRest,
            b'q' | INTERRUPT | END => Decision::Quit,
            _ => continue,
        };
        writeln!(out, "{}", char::from(byte[0]).escape_default())?;
        return Ok(decision);
    }
}
