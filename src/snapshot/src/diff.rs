//! How two contents differ: a unified diff, what it makes of the old one, and the words that changed.

use similar::{Algorithm, ChangeTag, DiffTag, capture_diff_slices, group_diff_ops};

/// How many lines around a change are shown.
const AROUND: usize = 3;
/// From how many pairs of words on nobody looks for the ones that changed.
const MOST_PAIRS: usize = 250_000;

/// The unified diff of two contents, with its head; empty if they are equal. Each line of it ends with a line end.
///
/// A content that ends with a line end has an empty last line, so that nothing needs to be said of line ends that are missing.
pub fn unified(old: &str, new: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (old.split('\n').collect(), new.split('\n').collect());
    let ops = capture_diff_slices(Algorithm::Patience, &before, &after);
    let mut out = String::new();
    for group in group_diff_ops(ops, AROUND) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        if group.iter().all(|op| op.tag() == DiffTag::Equal) {
            continue;
        }
        if out.is_empty() {
            out.push_str("--- accepted\n+++ now\n");
        }
        let range = |start: usize, end: usize| match end - start {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            length => format!("{},{length}", start + 1),
        };
        let removed = range(first.old_range().start, last.old_range().end);
        let added = range(first.new_range().start, last.new_range().end);
        out.push_str(&format!("@@ -{removed} +{added} @@\n"));
        for change in group.iter().flat_map(|op| op.iter_changes(&before, &after)) {
            out.push(match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            });
            out.push_str(change.value());
            out.push('\n');
        }
    }
    out
}

/// What a unified diff makes of `old`; `None` if it isn't one of `old`.
pub fn apply(old: &str, diff: &str) -> Option<String> {
    let before: Vec<&str> = old.split('\n').collect();
    let mut after: Vec<&str> = Vec::new();
    let mut at = 0;
    let body = diff.strip_suffix('\n').unwrap_or(diff);
    for line in body.split('\n').skip(2) {
        if let Some(range) = line.strip_prefix("@@ -") {
            let (start, length) = range
                .split_once(" +")?
                .0
                .split_once(',')
                .unwrap_or((range.split_once(' ')?.0, "1"));
            let start: usize = start.parse().ok()?;
            // A hunk that removes nothing names the line before it.
            let start = if length == "0" {
                start
            } else {
                start.checked_sub(1)?
            };
            after.extend(before.get(at..start)?);
            at = start;
            continue;
        }
        let (sign, text) = line.split_at_checked(1)?;
        match sign {
            "+" => after.push(text),
            " " | "-" if before.get(at) != Some(&text) => return None,
            " " => after.push(text),
            "-" => {}
            _ => return None,
        }
        at += usize::from(sign != "+");
    }
    after.extend(before.get(at..)?);
    Some(after.join("\n"))
}

/// A piece of a line, and whether the other line lacks it.
pub type Piece<'a> = (&'a str, bool);

/// Two lines, in pieces that are in both or in one of them; `None` if they have little in common.
pub fn words<'a>(old: &'a str, new: &'a str) -> Option<(Vec<Piece<'a>>, Vec<Piece<'a>>)> {
    let (before, after) = (pieces(old), pieces(new));
    if before.len() * after.len() > MOST_PAIRS {
        return None;
    }
    let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut common = 0;
    for change in ops.iter().flat_map(|op| op.iter_changes(&before, &after)) {
        match change.tag() {
            ChangeTag::Equal => {
                common += 1;
                left.push((change.value(), false));
                right.push((change.value(), false));
            }
            ChangeTag::Delete => left.push((change.value(), true)),
            ChangeTag::Insert => right.push((change.value(), true)),
        }
    }
    (common * 5 >= before.len() + after.len()).then_some((left, right))
}

/// A line's words, the spaces between them, and every other character.
fn pieces(line: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        c if c.is_whitespace() => 2,
        _ => 0,
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (at, c) in line.char_indices() {
        let now = kind(c);
        if at > start && (now == 0 || now != before) {
            found.push(&line[start..at]);
            start = at;
        }
        before = now;
    }
    if start < line.len() {
        found.push(&line[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        // Property 16: snapshot diff generation
        #[test]
        fn applying_the_diff_to_the_old_gives_the_new(old in "([ab+@-]{0,2}\n){0,12}[ab\r -]{0,2}", edits in prop::collection::vec((any::<prop::sample::Index>(), "[ab+@-]{0,2}", 0u8..3), 0..6)) {
            let mut lines: Vec<String> = old.split('\n').map(str::to_owned).collect();
            for (at, text, what) in edits {
                let place = at.index(lines.len());
                match what {
                    0 => lines[place] = text,
                    1 => lines.insert(place, text),
                    _ if lines.len() > 1 => drop(lines.remove(place)),
                    _ => {}
                }
            }
            let new = lines.join("\n");
            let diff = unified(&old, &new);
            prop_assert_eq!(diff.is_empty(), old == new);
            prop_assert_eq!(apply(&old, &diff), Some(new.clone()));
            // It is shown where it was made.
            if old != new {
                prop_assert!(diff.starts_with("--- accepted\n+++ now\n@@ "));
            }
        }

        #[test]
        fn any_two_texts_have_a_diff(old: String, new: String) {
            prop_assert_eq!(apply(&old, &unified(&old, &new)), Some(new.clone()));
        }

        #[test]
        fn pieces_of_lines_are_the_lines(old: String, new: String) {
            if let Some((left, right)) = words(&old, &new) {
                let joined = |pieces: &[Piece<'_>]| pieces.iter().map(|(text, _)| *text).collect::<String>();
                prop_assert_eq!(joined(&left), old.as_str());
                prop_assert_eq!(joined(&right), new.as_str());
            }
        }
    }

    #[test]
    fn a_diff_reads_as_usual() {
        assert_eq!(
            unified("a\nb\nc\nd\ne\nf\ng", "a\nb\nc\nD\ne\nf\ng\nh"),
            "--- accepted\n+++ now\n@@ -1,7 +1,8 @@\n a\n b\n c\n-d\n+D\n e\n f\n g\n+h\n"
        );
        let (left, right) = words("total = 12.50 EUR", "total = 13.50 EUR").unwrap();
        let marked = |pieces: Vec<Piece<'_>>| {
            pieces
                .into_iter()
                .filter(|piece| piece.1)
                .map(|piece| piece.0.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (marked(left), marked(right)),
            (vec!["12".to_owned()], vec!["13".to_owned()])
        );
    }
}
