//! The syntax of a source as one list of nodes, in the order of the source.
//!
//! What is found in a source takes many walks over its tree. Tree-sitter's cursors rebuild on each step what they know of a node; a list is
//! walked ten times as fast, and each node knows its parent.

use std::ops::{Range, RangeInclusive};
use std::sync::LazyLock;

use tree_sitter::Language;

use crate::parse::take_or_parse;

/// The nodes of a source that parses without an error, and of which they say all.
#[derive(Debug)]
pub(crate) struct Syntax<'s> {
    source: &'s str,
    nodes: Vec<Entry>,
}

/// A node: its place in the source, in bytes, and in the list.
#[derive(Debug)]
struct Entry {
    start: u32,
    end: u32,
    /// The line that it begins in, from 0.
    row: u32,
    parent: u32,
    /// The place behind the last node that is below it.
    next: u32,
    kind: u16,
    /// What its parent has it for; 0 for nothing.
    field: u16,
    is_named: bool,
    is_extra: bool,
}

/// One node of a [`Syntax`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'s> {
    syntax: &'s Syntax<'s>,
    place: u32,
}

/// A step on the way through nodes.
pub(crate) enum Step<'s> {
    /// To a node.
    Enter(Node<'s>),
    /// From a node back to what is around it.
    Leave,
}

/// What the grammar calls kinds of nodes and fields, by their numbers.
struct Grammar {
    kinds: Vec<&'static str>,
    fields: Vec<&'static str>,
}

static LANGUAGE: LazyLock<Language> = LazyLock::new(|| tree_sitter_python::LANGUAGE.into());

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    // Numbers of both are 16 bits wide.
    let numbers = || 0..=u16::MAX;
    let kinds = numbers().take(LANGUAGE.node_kind_count());
    let fields = numbers().take(LANGUAGE.field_count() + 1);
    Grammar {
        kinds: kinds
            .map(|kind| LANGUAGE.node_kind_for_id(kind).unwrap_or_default())
            .collect(),
        fields: fields
            .map(|field| LANGUAGE.field_name_for_id(field).unwrap_or_default())
            .collect(),
    }
});

impl<'s> Syntax<'s> {
    /// The syntax of a source; none if it doesn't parse, isn't plainly UTF-8, has 4 GiB or more, or has something that no node says.
    pub(crate) fn of(source: &'s [u8]) -> Option<Self> {
        let source = plain_utf8(source)?;
        u32::try_from(source.len()).ok()?;
        let tree = take_or_parse(source.as_bytes())?;
        if tree.root_node().has_error() {
            return None;
        }
        let mut nodes: Vec<Entry> = Vec::with_capacity(source.len() / 2);
        let mut cursor = tree.walk();
        let mut parents: Vec<u32> = Vec::new();
        // Offsets fit since the source's length does, and there are fewer nodes than twice as many: an empty one has a parent that isn't.
        let narrow = |number: usize| u32::try_from(number).ok();
        loop {
            let node = cursor.node();
            let place = narrow(nodes.len())?;
            nodes.push(Entry {
                start: narrow(node.start_byte())?,
                end: narrow(node.end_byte())?,
                row: narrow(node.start_position().row)?,
                parent: parents.last().copied().unwrap_or(place),
                next: place + 1,
                kind: node.kind_id(),
                field: cursor.field_id().map_or(0, Into::into),
                is_named: node.is_named(),
                is_extra: node.is_extra(),
            });
            if cursor.goto_first_child() {
                parents.push(place);
                continue;
            }
            while !cursor.goto_next_sibling() {
                let Some(parent) = parents.pop() else {
                    let syntax = Self { source, nodes };
                    return syntax.is_complete().then_some(syntax);
                };
                nodes[parent as usize].next = narrow(nodes.len())?;
                cursor.goto_parent();
            }
        }
    }

    /// The node of the whole file.
    pub(crate) fn root(&'s self) -> Node<'s> {
        Node {
            syntax: self,
            place: 0,
        }
    }

    /// Whether every byte of the source belongs to a token, a comment, or is white space: what the grammar passes over would be missing.
    fn is_complete(&self) -> bool {
        let is_blank = |range: Range<u32>| {
            let gap = &self.source.as_bytes()[range.start as usize..range.end as usize];
            gap.iter()
                .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c'))
        };
        let mut covered = if self.source.starts_with('\u{feff}') {
            3
        } else {
            0
        };
        let mut place = 0;
        while let Some(entry) = self.nodes.get(place as usize) {
            let node = Node {
                syntax: self,
                place,
            };
            if !node.is_leaf() && !node.is_loose() {
                place += 1;
                continue;
            }
            if entry.start > covered && !is_blank(covered..entry.start) {
                return false;
            }
            covered = covered.max(entry.end);
            place = entry.next;
        }
        // `of` has made sure that the length fits.
        is_blank(covered..self.source.len() as u32)
    }
}

/// A source as text, if it is UTF-8 and says nothing of another encoding.
fn plain_utf8(source: &[u8]) -> Option<&str> {
    let declares_encoding = source
        .split(|byte| *byte == b'\n')
        .take(2)
        .any(|line| line.starts_with(b"#") && line.windows(6).any(|word| word == b"coding"));
    match declares_encoding {
        true => None,
        false => std::str::from_utf8(source).ok(),
    }
}

impl PartialEq for Node<'_> {
    /// Of one syntax.
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<'s> Node<'s> {
    fn entry(self) -> &'s Entry {
        &self.syntax.nodes[self.place as usize]
    }

    fn at(self, place: u32) -> Self {
        Self {
            syntax: self.syntax,
            place,
        }
    }

    /// What tells it from the others.
    pub(crate) fn id(self) -> usize {
        self.place as usize
    }

    /// What the grammar calls it.
    pub(crate) fn kind(self) -> &'static str {
        GRAMMAR.kinds[usize::from(self.entry().kind)]
    }

    /// The number of its kind.
    pub(crate) fn kind_id(self) -> u16 {
        self.entry().kind
    }

    /// Whether it has a name in the grammar: tokens like `(` have none.
    pub(crate) fn is_named(self) -> bool {
        self.entry().is_named
    }

    /// Whether it may stand anywhere, as comments may.
    pub(crate) fn is_extra(self) -> bool {
        self.entry().is_extra
    }

    /// Whether what it says is taken as a whole: also the content of strings, of which only the escapes are nodes.
    pub(crate) fn is_leaf(self) -> bool {
        self.entry().next == self.place + 1 || self.kind() == "string_content"
    }

    /// Whether there is text between the nodes below it, which is what the format of a value in a string is made of.
    pub(crate) fn is_loose(self) -> bool {
        self.kind() == "format_specifier"
    }

    /// The part of the source that it is.
    pub(crate) fn text(self) -> &'s str {
        let entry = self.entry();
        // Nodes begin and end with characters.
        self.syntax
            .source
            .get(entry.start as usize..entry.end as usize)
            .unwrap_or_default()
    }

    /// Its lines, from 1.
    pub(crate) fn lines(self) -> RangeInclusive<u32> {
        let breaks = self.text().bytes().filter(|byte| *byte == b'\n').count();
        let first = self.entry().row + 1;
        // There are fewer of them than bytes, whose number fits.
        first..=first + breaks as u32
    }

    /// The node that it is part of; none for the root.
    pub(crate) fn parent(self) -> Option<Self> {
        (self.place > 0).then(|| self.at(self.entry().parent))
    }

    /// The nodes that are part of it.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let (mut place, end) = (self.place + 1, self.entry().next);
        std::iter::from_fn(move || {
            let child = (place < end).then(|| self.at(place))?;
            place = child.entry().next;
            Some(child)
        })
    }

    /// Those of them that have names.
    pub(crate) fn named_children(self) -> impl Iterator<Item = Self> {
        self.children().filter(|child| child.is_named())
    }

    /// What it has for a field, the first if there are several.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields(name).next()
    }

    /// All that it has for a field.
    pub(crate) fn fields(self, name: &str) -> impl Iterator<Item = Self> {
        self.children()
            .filter(move |child| GRAMMAR.fields[usize::from(child.entry().field)] == name)
    }

    /// It and all named ones that are below it.
    pub(crate) fn descendants(self) -> impl Iterator<Item = Self> {
        let places = self.place..self.entry().next;
        places
            .map(move |place| self.at(place))
            .filter(|node| node.is_named())
    }

    /// Goes through it and all that are below it. What `visit` answers to a node says whether those below are visited as well, and left then.
    pub(crate) fn walk(self, mut visit: impl FnMut(Step<'s>) -> bool) {
        let (mut place, end) = (self.place, self.entry().next);
        let mut ends: Vec<u32> = Vec::new();
        while place < end {
            while ends.pop_if(|end| *end == place).is_some() {
                visit(Step::Leave);
            }
            let node = self.at(place);
            let next = node.entry().next;
            place += 1;
            match visit(Step::Enter(node)) {
                true if next > place => ends.push(next),
                _ => place = next,
            }
        }
        for _ in ends {
            visit(Step::Leave);
        }
    }
}
