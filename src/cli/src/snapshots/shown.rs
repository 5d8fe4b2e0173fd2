//! How a change of a snapshot is shown.

use dx_py_snapshot::diff::{Piece, unified, words};

use crate::report::style::{Look, Style};

/// A change of a snapshot.
pub struct Change {
    /// Whether nothing was accepted before.
    pub is_new: bool,
    /// The diff.
    pub diff: String,
}

impl Change {
    /// Between what was accepted, if anything was, and what is now.
    pub fn between(old: Option<&[u8]>, new: &[u8], is_bytes: bool) -> Self {
        let Some(old) = old else {
            let new = text_of(new, is_bytes);
            let lines = new.split('\n').map(|line| format!("+{line}\n"));
            return Self {
                is_new: true,
                diff: lines.collect(),
            };
        };
        Self {
            is_new: false,
            diff: unified(&text_of(old, is_bytes), &text_of(new, is_bytes)),
        }
    }
}

/// Content as text: bytes as hexadecimal digits, control characters as escapes.
fn text_of(content: &[u8], is_bytes: bool) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if !is_bytes => {
            let lines = text.split('\n').map(crate::report::style::one_line);
            lines.collect::<Vec<_>>().join("\n")
        }
        _ => {
            let mut out = format!("{} bytes", content.len());
            for (at, row) in content.chunks(16).enumerate() {
                let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                out.push_str(&format!("\n{:08x}  {}", at * 16, digits.join(" ")));
            }
            out
        }
    }
}

/// The lines of a diff with colours, in which the words that changed are marked; each with what stands before it.
pub fn painted(lines: &[&str], style: Style) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if line.starts_with("@@ ") || at < 2 && ["--- accepted", "+++ now"].contains(&line) {
            out.push(style.paint(Look::Dim, line));
            at += 1;
            continue;
        }
        let removed = run(&lines[at..], '-');
        let added = run(&lines[at + removed.len()..], '+');
        if removed.is_empty() && added.is_empty() {
            out.push(line.to_owned());
            at += 1;
            continue;
        }
        let pairs: Vec<_> = match removed.len() == added.len() {
            true => removed
                .iter()
                .zip(added)
                .map(|(old, new)| words(&old[1..], &new[1..]))
                .collect(),
            false => Vec::new(),
        };
        for (place, old) in removed.iter().enumerate() {
            let marked = pairs
                .get(place)
                .and_then(Option::as_ref)
                .map(|pair| &pair.0);
            out.push(one('-', &old[1..], marked, Look::Red, style));
        }
        for (place, new) in added.iter().enumerate() {
            let marked = pairs
                .get(place)
                .and_then(Option::as_ref)
                .map(|pair| &pair.1);
            out.push(one('+', &new[1..], marked, Look::Green, style));
        }
        at += removed.len() + added.len();
    }
    out
}

/// The lines at the start that begin with a sign.
fn run<'a, 'b>(lines: &'a [&'b str], sign: char) -> &'a [&'b str] {
    let length = lines
        .iter()
        .take_while(|line| line.starts_with(sign))
        .count();
    &lines[..length]
}

fn one(
    sign: char,
    line: &str,
    marked: Option<&Vec<Piece<'_>>>,
    look: Look,
    style: Style,
) -> String {
    let text: String = match marked {
        Some(pieces) if style.color => pieces
            .iter()
            .map(|(text, differs)| match differs {
                true => format!("\x1b[7m{text}\x1b[27m"),
                false => (*text).to_owned(),
            })
            .collect(),
        _ => line.to_owned(),
    };
    style.paint(look, &format!("{sign}{text}"))
}

/// A traceback with its failed snapshots' diffs in colours: the lines that pytest begins with `E` and that hold one. Gives `None` for a
/// text without any.
pub fn in_traceback(text: &str, style: Style) -> Option<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_head = |line: &&str| line.starts_with('E') && line.trim_end().ends_with(" --- accepted");
    let start = lines.iter().position(is_head)?;
    let prefix = lines[start].strip_suffix("--- accepted")?;
    let follows = lines
        .get(start + 1)
        .and_then(|line| line.strip_prefix(prefix));
    if follows != Some("+++ now") {
        return None;
    }
    let diff: Vec<&str> = lines[start..]
        .iter()
        .map_while(|line| {
            line.strip_prefix(prefix)
                .or_else(|| (line.trim_end() == "E").then_some(" "))
        })
        .enumerate()
        .take_while(|(at, line)| {
            *at < 2 || line.is_empty() || line.starts_with([' ', '+', '-', '@'])
        })
        .map(|(_, line)| line)
        .collect();
    let red = |line: &&str| match line.starts_with("E ") {
        true => style.paint(Look::Red, line),
        false => (*line).to_owned(),
    };
    let end = start + diff.len();
    let before = lines[..start].iter().map(red);
    let shown = painted(&diff, style)
        .into_iter()
        .map(|line| format!("{prefix}{line}"));
    let after = lines[end..].iter().map(red);
    Some(before.chain(shown).chain(after).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_in_a_traceback_is_shown_in_colours_with_words_marked() {
        let text = ">   dx.snapshot(x)\nE   dx_py_test_runner.SnapshotMismatch: test_a isn't what a.snap says\nE   --- accepted\nE   +++ now\nE   @@ -1,2 +1,2 @@\nE    same\nE   -total 1 EUR\nE   +total 2 EUR\nE   Accept it";
        let shown = in_traceback(text, Style { color: true })
            .unwrap()
            .join("\n");
        assert!(
            shown.contains("E   \x1b[31m-total \x1b[7m1\x1b[27m EUR\x1b[0m"),
            "{shown}"
        );
        assert!(
            shown.contains("E   \x1b[32m+total \x1b[7m2\x1b[27m EUR\x1b[0m"),
            "{shown}"
        );
        assert!(shown.ends_with("\x1b[31mE   Accept it\x1b[0m"), "{shown}");
        assert_eq!(
            in_traceback("E   assert 1 == 2", Style { color: true }),
            None
        );
        let plain = in_traceback(text, Style { color: false })
            .unwrap()
            .join("\n");
        assert_eq!(plain, text);
    }
}
