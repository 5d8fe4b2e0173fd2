//! Pending inline snapshots, and how their literals get into the source.

use std::collections::BTreeMap;

use crate::text::Entries;

/// Why a literal can't be put into the source.
#[derive(Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// What stands there isn't what stood there.
    Changed,
    /// One place has several values.
    Several {
        /// The line.
        line: String,
    },
}

/// The source with the literals of these entries.
pub fn written(source: &str, entries: &Entries) -> Result<String, Misplaced> {
    let mut starts = vec![0];
    starts.extend(source.match_indices('\n').map(|(at, _)| at + 1));
    let mut edits: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for entry in entries.values() {
        let (place, old) = entry.inline.split_once(' ').ok_or(Misplaced::Changed)?;
        let range = offsets(&starts, place).ok_or(Misplaced::Changed)?;
        if source.get(range.0..range.1) != Some(old) {
            return Err(Misplaced::Changed);
        }
        let new = match source.contains("\r\n") {
            true => entry.content.replace('\n', "\r\n"),
            false => entry.content.clone(),
        };
        if *edits.entry(range).or_insert_with(|| new.clone()) != new {
            let line = place.split(':').next().unwrap_or_default().to_owned();
            return Err(Misplaced::Several { line });
        }
    }
    let mut out = source.to_owned();
    for ((start, end), new) in edits.into_iter().rev() {
        out.replace_range(start..end, &new);
    }
    Ok(out)
}

/// Where `LINE:COLUMN-LINE:COLUMN` begins and ends: lines from 1, columns in bytes from 0.
fn offsets(starts: &[usize], place: &str) -> Option<(usize, usize)> {
    let (from, to) = place.split_once('-')?;
    let offset = |text: &str| {
        let (line, column) = text.split_once(':')?;
        let line: usize = line.parse().ok()?;
        starts
            .get(line.checked_sub(1)?)?
            .checked_add(column.parse().ok()?)
    };
    Some((offset(from)?, offset(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Entry;

    fn entry(inline: &str, new: &str) -> Entry {
        Entry {
            inline: inline.into(),
            ..Entry::text(new)
        }
    }

    #[test]
    fn literals_are_replaced_where_they_stood_and_nowhere_else() {
        let source = "a = f(inline=\"\")\nb = f('ü', inline=\"x\")\n";
        let entries = Entries::from([
            (
                "one".into(),
                entry("1:13-1:15 \"\"", "\"\"\"\n    1\n\"\"\""),
            ),
            ("two".into(), entry("2:19-2:22 \"x\"", "\"y\"")),
        ]);
        let expected = "a = f(inline=\"\"\"\n    1\n\"\"\")\nb = f('ü', inline=\"y\")\n";
        assert_eq!(written(source, &entries).unwrap(), expected);
        assert_eq!(
            written(&format!("\n{source}"), &entries),
            Err(Misplaced::Changed)
        );
        let twice = Entries::from([
            ("one".into(), entry("1:13-1:15 \"\"", "\"1\"")),
            ("two".into(), entry("1:13-1:15 \"\"", "\"2\"")),
        ]);
        assert_eq!(
            written(source, &twice),
            Err(Misplaced::Several { line: "1".into() })
        );
    }
}
