//! What a piece of source says, without its comments and its layout.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::syntax::{Node, Step};

/// The tokens of a piece of source with the structure that they are in, and the names that it mentions. Names are kept as hashes: two
/// that have the same are taken for one, and more is found to be mentioned than is.
#[derive(Debug, Default)]
pub struct Tokens {
    bytes: Vec<u8>,
    names: FxHashMap<u64, u32>,
    quoted: FxHashSet<u64>,
    calls: FxHashSet<u64>,
    /// How often names are those of attributes, or of modules that something is imported from.
    behind: FxHashMap<u64, u32>,
    /// How often names are only those of modules that are imported.
    imported: FxHashMap<u64, u32>,
}

/// What stands for a name.
pub fn name_hash(name: &str) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(name)
}

/// The words in a string that may be names.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter| !is_of_word(letter))
        .filter(|word| !word.is_empty())
}

/// Whether a letter may be one of a name.
pub(crate) fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What is before a word, which is a part of a text, and what is behind it.
pub(crate) fn around<'s>(text: &'s str, word: &str) -> (&'s str, &'s str) {
    let start = word.as_ptr().addr() - text.as_ptr().addr();
    (&text[..start], &text[start + word.len()..])
}

impl Tokens {
    /// The tokens below `node`, but for the nodes that are `left_out` by their identities.
    pub(crate) fn of(node: Node<'_>, left_out: &FxHashSet<usize>) -> Self {
        let mut tokens = Self::default();
        node.walk(|step| match step {
            Step::Enter(node) if node.is_extra() || left_out.contains(&node.id()) => false,
            Step::Enter(node) => {
                tokens.add(node);
                !node.is_leaf()
            }
            Step::Leave => {
                tokens.bytes.push(CLOSE);
                true
            }
        });
        tokens
    }

    fn add(&mut self, node: Node<'_>) {
        self.bytes.extend(node.kind_id().to_le_bytes());
        if !node.is_leaf() {
            self.bytes.push(OPEN);
            if node.is_loose() {
                self.say(node.text());
            }
            if node.kind() == "call"
                && let Some(function) = node.field("function")
                && function.kind() == "identifier"
            {
                self.calls.insert(name_hash(function.text()));
            }
            match node.kind() {
                "attribute" => count(&mut self.behind, node.field("attribute")),
                "import_from_statement" => {
                    let module = node.field("module_name");
                    count(
                        &mut self.behind,
                        module.into_iter().flat_map(Node::descendants),
                    );
                }
                "import_statement" => count(
                    &mut self.imported,
                    node.children()
                        .filter(|child| child.kind() == "dotted_name"),
                ),
                _ => {}
            }
            return;
        }
        self.bytes.push(LEAF);
        self.say(node.text());
        match node.kind() {
            "identifier" => self.mention(node.text()),
            // Names in strings may be asked for while the program runs.
            "string_content" => words(node.text()).for_each(|word| {
                self.mention(word);
                if !is_in_path_of_names(node.text(), word) {
                    self.quoted.insert(name_hash(word));
                }
            }),
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text.as_bytes());
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

    /// Whether a name is mentioned beyond statements that import a module of that name.
    pub fn uses(&self, name: &str) -> bool {
        let imported = self.imported.get(&name_hash(name)).copied();
        self.count(name) > imported.unwrap_or(0)
    }

    /// Whether a name is mentioned within a string, other than as one that another name follows, as in `name.other`.
    pub fn quotes(&self, name: &str) -> bool {
        self.quoted.contains(&name_hash(name))
    }

    /// Whether a name is mentioned other than as that of an attribute of something else, or of the module that something is imported from.
    pub fn mentions_plainly(&self, name: &str) -> bool {
        let behind = self.behind.get(&name_hash(name)).copied();
        self.count(name) > behind.unwrap_or(0)
    }

    /// Whether something is called by that name alone.
    pub fn calls(&self, name: &str) -> bool {
        self.calls.contains(&name_hash(name))
    }
}

/// Counts these nodes by what they say.
fn count<'t>(counts: &mut FxHashMap<u64, u32>, nodes: impl IntoIterator<Item = Node<'t>>) {
    for node in nodes {
        *counts.entry(name_hash(node.text())).or_default() += 1;
    }
}

/// Whether a word, which is a part of a text, is followed by another name, with a dot between them, which isn't a file's ending.
fn is_in_path_of_names(text: &str, word: &str) -> bool {
    let (_, after) = around(text, word);
    let next = after.strip_prefix('.').unwrap_or_default();
    next.starts_with(|c: char| c.is_alphabetic() || c == '_') && !next.starts_with("py")
}

const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const LEAF: u8 = 3;
