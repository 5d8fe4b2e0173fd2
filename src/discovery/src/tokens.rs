//! What a piece of source says, without its comments and its layout.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use tree_sitter::Node;

/// The tokens of a piece of source with the structure that they are in, and the names that it mentions. Names are kept as hashes: two
/// that have the same are taken for one, and more is found to be mentioned than is.
#[derive(Debug, Default)]
pub struct Tokens {
    bytes: Vec<u8>,
    names: FxHashMap<u64, u32>,
    quoted: FxHashSet<u64>,
    calls: FxHashSet<u64>,
}

/// What stands for a name.
pub fn name_hash(name: &str) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(name)
}

/// The words in a string that may be names.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

impl Tokens {
    /// The tokens below `node`, but for the nodes that are `left_out` by their identities.
    pub fn of(node: Node<'_>, source: &[u8], left_out: &HashSet<usize>) -> Self {
        let mut tokens = Self::default();
        let mut cursor = node.walk();
        let mut depth = 0usize;
        loop {
            let node = cursor.node();
            let is_left_out = node.is_extra() || left_out.contains(&node.id());
            if !is_left_out {
                tokens.add(node, source);
                if !is_leaf(node) && cursor.goto_first_child() {
                    depth += 1;
                    continue;
                }
            }
            while depth > 0 && !cursor.goto_next_sibling() {
                cursor.goto_parent();
                depth -= 1;
                tokens.bytes.push(CLOSE);
            }
            if depth == 0 {
                return tokens;
            }
        }
    }

    fn add(&mut self, node: Node<'_>, source: &[u8]) {
        self.bytes.extend(node.kind_id().to_le_bytes());
        if !is_leaf(node) {
            self.bytes.push(OPEN);
            if is_loose(node) {
                let said = &source[node.byte_range()];
                self.bytes.extend((said.len() as u64).to_le_bytes());
                self.bytes.extend(said);
            }
            if node.kind() == "call"
                && let Some(function) = node.child_by_field_name("function")
                && function.kind() == "identifier"
            {
                self.calls.insert(name_hash(text(function, source)));
            }
            return;
        }
        let said = &source[node.byte_range()];
        self.bytes.push(LEAF);
        self.bytes.extend((said.len() as u64).to_le_bytes());
        self.bytes.extend(said);
        match node.kind() {
            "identifier" => self.mention(text(node, source)),
            // Names in strings may be asked for while the program runs.
            "string_content" => words(text(node, source)).for_each(|word| {
                self.mention(word);
                self.quoted.insert(name_hash(word));
            }),
            _ => {}
        }
    }

    fn mention(&mut self, name: &str) {
        *self.names.entry(name_hash(name)).or_default() += 1;
    }

    /// The tokens in a form in which two that say something else differ.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What stands for the names that are mentioned, also within strings.
    pub fn name_hashes(&self) -> impl Iterator<Item = u64> {
        self.names.keys().copied()
    }

    /// The same, and how often each is mentioned.
    pub fn name_counts(&self) -> impl Iterator<Item = (u64, u32)> {
        self.names.iter().map(|(name, count)| (*name, *count))
    }

    /// How often a name is mentioned, also within strings.
    pub fn count(&self, name: &str) -> u32 {
        self.names.get(&name_hash(name)).copied().unwrap_or(0)
    }

    /// Whether a name is mentioned, also within strings.
    pub fn mentions(&self, name: &str) -> bool {
        self.names.contains_key(&name_hash(name))
    }

    /// Whether a name is mentioned within a string.
    pub fn quotes(&self, name: &str) -> bool {
        self.quoted.contains(&name_hash(name))
    }

    /// Whether something is called by that name alone.
    pub fn calls(&self, name: &str) -> bool {
        self.calls.contains(&name_hash(name))
    }
}

const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const LEAF: u8 = 3;

fn text<'a>(node: Node<'_>, source: &'a [u8]) -> &'a str {
    std::str::from_utf8(&source[node.byte_range()]).unwrap_or_default()
}

/// Whether what a node says is taken as a whole: also the content of strings, of which only the escapes are nodes.
fn is_leaf(node: Node<'_>) -> bool {
    node.child_count() == 0 || node.kind() == "string_content"
}

/// Whether there is text between the nodes below a node, which is what the format of a value in a string is made of.
fn is_loose(node: Node<'_>) -> bool {
    node.kind() == "format_specifier"
}

/// Whether every byte of the source belongs to a token, a comment, or is white space: what the grammar passes over would be missing
/// in the tokens.
pub fn is_fully_covered(root: Node<'_>, source: &[u8]) -> bool {
    let blank = |range: std::ops::Range<usize>| {
        let gap = &source[range];
        gap.iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c'))
    };
    let mut covered = if source.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if !is_leaf(node) && !is_loose(node) && cursor.goto_first_child() {
            continue;
        }
        if node.start_byte() > covered && !blank(covered..node.start_byte()) {
            return false;
        }
        covered = covered.max(node.end_byte());
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return blank(covered..source.len());
            }
        }
    }
}
