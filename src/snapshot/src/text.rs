//! The text of snapshot files: entries sorted by name, made to be read in a review, to be merged, and to survive editors.
//!
//! ```text
//! # dx-py snapshots, format 1
//!
//! ## test_invoice
//! | Total: 12.50
//! |
//! | Thank you
//!
//! ## test_logo
//! @ bytes
//! @ file test_shop/test_logo-3f2a90c1d2e4b5a6.bin
//! ```
//!
//! A line of content begins with `| `. One that an editor or a terminal may change or hide begins with `\ ` and has escapes.

use std::collections::BTreeMap;

/// The first line of a file.
pub const HEAD: &str = "# dx-py snapshots, format 1";
/// The kind of a snapshot that holds plain text.
pub const TEXT: &str = "text";
/// The kind of a snapshot that holds bytes.
pub const BYTES: &str = "bytes";

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the content is: `text`, `value` (a written form of a Python value), or `bytes`.
    pub kind: String,
    /// The content; empty if a file beside holds it. For a pending inline snapshot, the source of its new literal.
    pub content: String,
    /// The file that holds the content, relative to the folder of the snapshots; empty if it is here.
    pub file: String,
    /// For a pending inline snapshot: where its literal stands, and its source as it was. Else empty.
    pub inline: String,
}

impl Entry {
    /// A snapshot of plain text.
    pub fn text(content: impl Into<String>) -> Self {
        Self {
            kind: TEXT.into(),
            content: content.into(),
            file: String::new(),
            inline: String::new(),
        }
    }
}

/// The snapshots of a file by their names.
pub type Entries = BTreeMap<String, Entry>;

/// The text isn't a snapshot file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Damaged {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what to do.
    pub what: String,
}

/// Whether a character can be lost, or hides what follows: controls, line ends, what changes the direction of text, a byte order mark.
fn is_special(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// White space as Python knows it.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn needs_escapes(line: &str) -> bool {
    line.ends_with(is_space) || line.contains(is_special)
}

/// Text on one line without characters that can be lost or misread.
pub fn escape(text: &str) -> String {
    let kept = text.trim_end_matches(is_space).len();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c == '\\' {
            out.push_str("\\\\");
        } else if at < kept && !is_special(c) && c != '\t' && c != '\n' {
            out.push(c);
        } else if (c as u32) < 0x100 {
            out.push_str(&format!("\\x{:02x}", c as u32));
        } else {
            out.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
    }
    out
}

/// The text that [`escape`] was given; `None` if it can't have been.
pub fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits;
        if let Some(more) = after.strip_prefix('\\') {
            out.push('\\');
            rest = more;
            continue;
        } else if let Some(more) = after.strip_prefix('x') {
            digits = more.get(..2)?;
            rest = &more[2..];
        } else {
            (digits, rest) = after.strip_prefix("u{")?.split_once('}')?;
        }
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() > 6 || !digits.bytes().all(lower) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
    }
    out.push_str(rest);
    Some(out)
}

/// The text of a file with these entries.
pub fn render(entries: &Entries) -> String {
    let mut out = String::from(HEAD);
    for (name, entry) in entries {
        out.push_str("\n\n## ");
        out.push_str(&escape(name));
        if entry.kind != TEXT {
            out.push_str("\n@ ");
            out.push_str(&entry.kind);
        }
        if !entry.inline.is_empty() {
            out.push_str("\n@ inline ");
            out.push_str(&escape(&entry.inline));
        }
        if !entry.file.is_empty() {
            out.push_str("\n@ file ");
            out.push_str(&escape(&entry.file));
            continue;
        }
        for line in entry.content.split('\n') {
            if line.is_empty() {
                out.push_str("\n|");
            } else if needs_escapes(line) {
                out.push_str("\n\\ ");
                out.push_str(&escape(line));
            } else {
                out.push_str("\n| ");
                out.push_str(line);
            }
        }
    }
    out.push('\n');
    out
}

/// An entry that is being read.
struct Open {
    name: String,
    entry: Entry,
    lines: Vec<String>,
}

/// The entries of a file.
///
/// # Errors
/// If the text isn't one, with the line.
pub fn parse(text: &str) -> Result<Entries, Damaged> {
    let mut entries = Entries::new();
    let mut open: Option<Open> = None;
    let mut number = 1;
    let damaged = |line: usize, what: String| Damaged { line, what };
    let mut rows = text.split('\n');
    if rows.next().map(|row| row.trim_end_matches('\r')) != Some(HEAD) {
        return Err(damaged(1, format!("it doesn't begin with `{HEAD}`")));
    }
    for row in rows {
        number += 1;
        let row = row.strip_suffix('\r').unwrap_or(row);
        let meaningless = || {
            let shown: String = row.chars().take(60).collect();
            damaged(number, format!("`{shown}` means nothing here"))
        };
        let unescaped = |text: &str| {
            let what = || damaged(number, format!("`{text}` has an escape that means nothing"));
            unescape(text).ok_or_else(what)
        };
        if let Some(name) = row.strip_prefix("## ") {
            close(open.take(), &mut entries).map_err(|what| damaged(number, what))?;
            open = Some(Open {
                name: unescaped(name)?,
                entry: Entry::text(""),
                lines: Vec::new(),
            });
            continue;
        }
        if row.trim().is_empty() {
            continue;
        }
        if ["<<<<<<< ", ">>>>>>> ", "||||||| "]
            .iter()
            .any(|mark| row.starts_with(mark))
            || row.starts_with("=======")
        {
            let what = "a merge conflict is left in it; resolve it, or remove the file and update the snapshots";
            return Err(damaged(number, what.to_owned()));
        }
        let open = open.as_mut().ok_or_else(meaningless)?;
        if let Some(line) = row.strip_prefix("| ") {
            open.lines.push(line.to_owned());
        } else if row == "|" {
            open.lines.push(String::new());
        } else if let Some(line) = row.strip_prefix("\\ ") {
            open.lines.push(unescaped(line)?);
        } else if let Some(line) = row.strip_prefix("@ ") {
            match line.split_once(' ') {
                Some(("file", file)) => open.entry.file = unescaped(file)?,
                Some(("inline", inline)) => open.entry.inline = unescaped(inline)?,
                _ => open.entry.kind = line.to_owned(),
            }
        } else {
            return Err(meaningless());
        }
    }
    close(open, &mut entries).map_err(|what| damaged(number, what))?;
    Ok(entries)
}

fn close(open: Option<Open>, entries: &mut Entries) -> Result<(), String> {
    let Some(Open {
        name,
        mut entry,
        lines,
    }) = open
    else {
        return Ok(());
    };
    if lines.is_empty() && entry.file.is_empty() {
        return Err(format!("the snapshot `{name}` has no content"));
    }
    entry.content = lines.join("\n");
    if entries.contains_key(&name) {
        return Err(format!(
            "there are two snapshots named `{name}`; a merge may have kept both: remove one"
        ));
    }
    entries.insert(name, entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text with everything that can go wrong: controls, white space, what looks like headers.
    fn content() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[ -~]{0,6}",
            Just("\n".to_owned()),
            Just(" \n".to_owned()),
            Just("\t".to_owned()),
            Just("## a".to_owned()),
            Just("\\".to_owned()),
            any::<char>().prop_map(String::from),
            (0u32..0x20).prop_map(|code| char::from_u32(code).unwrap().to_string()),
            Just("\u{202e}\u{a0}\r\n".to_owned()),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_rendered_is_parsed_and_shows_nothing_strange(entries in prop::collection::btree_map("[a-zA-Z:\\[\\] #\\\\/]{1,8}", (content(), "text|value"), 0..6)) {
            let entries: Entries = entries
                .into_iter()
                .map(|(name, (content, kind))| (name, Entry { kind, ..Entry::text(content) }))
                .collect();
            let text = render(&entries);
            prop_assert!(!text.split('\n').any(needs_escapes));
            prop_assert_eq!(parse(&text).unwrap(), entries.clone());
            // As a checkout on another system may leave it.
            prop_assert_eq!(parse(&text.replace('\n', "\r\n")).unwrap(), entries);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "(# dx-py snapshots, format 1\n)?[#@|\\\\ a-z\n<=xu{}]{0,60}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn conflicts_are_told_with_their_line() {
        let text = format!("{HEAD}\n\n## a\n<<<<<<< ours\n| 1\n=======\n| 2\n>>>>>>> theirs\n");
        let error = parse(&text).unwrap_err();
        assert_eq!(error.line, 4);
        assert!(error.to_string().contains("merge conflict"), "{error}");
    }
}
