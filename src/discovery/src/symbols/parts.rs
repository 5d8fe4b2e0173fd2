//! The parts of a frame that matter only to those who mention them: plain definitions and imports at the top of a file.
//!
//! To bind a name to a literal, or to a function whose signature is made of literals, can't fail and does nothing else; so whether it is
//! there, and what it says, is seen by nobody but who asks for that name. The same is true of an import from the standard library, if what
//! it asks for is there, which whoever compares frames has to find out ([`Part::import`]); and of a function under a decorator from there that
//! does nothing else than to make another one of it. A new constant or helper, or another version
//! number, leaves all those tests as they are that reach no mention of it. The *rest* of the frame is everything else, and counts for whoever
//! imports the file.
//!
//! Two more things are apart. *Annotations* of functions are text where the file postpones their evaluation, for those who ask for them. What
//! stands below `if TYPE_CHECKING:` never runs, unless somebody sets that.
//!
//! A name that anything else in the frame mentions is no part, as it may be needed while the file is imported.

use std::collections::BTreeMap;

use dx_py_core::{Digest, Hasher};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::decorators::{Standard, decorators, pure};
use super::definitions::{Definition, kind};
use super::docs::Docs;
use super::identifiers;
use super::standard::is_standard;
use super::unread::{Annotations, for_type_checkers, postpones_annotations};
use crate::syntax::Node;
use crate::tokens::{Tokens, name_hash};

/// A frame taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The fingerprint of what counts for whoever imports the file.
    pub rest: Digest,
    /// The parts, by the names that they bind.
    pub parts: BTreeMap<String, Part>,
    /// The fingerprints of the annotations that aren't evaluated, by the names of their functions.
    pub annotations: BTreeMap<String, Digest>,
    /// The names that these mention, as hashes, sorted.
    pub annotated: Vec<u64>,
    /// The fingerprint of what only type checkers read.
    pub type_checking: Digest,
    /// The fingerprints of the docstrings of the file and of its functions, by their names.
    pub docs: BTreeMap<String, Digest>,
    /// Those of its classes.
    pub docs_of_classes: BTreeMap<String, Digest>,
    /// The fingerprint of the list of those that have none.
    pub without_docs: Digest,
}

/// One part of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its fingerprint.
    pub digest: Digest,
    /// How many statements of the rest are before it: from there on the name is bound.
    pub place: u64,
    /// What it imports, if it does: a part only if that is the standard library's.
    pub import: Option<Import>,
    /// What decorates it, which is the standard library's too.
    pub decorators: Vec<Import>,
}

/// What an import asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module.
    pub module: String,
    /// What of the module; none if the module itself is asked for.
    pub name: Option<String>,
}

impl Layout {
    /// The names of the parts in which two frames differ; none if their rests do.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Option<impl Iterator<Item = &'a str>> {
        let differs = |name: &&String| self.parts.get(*name) != other.parts.get(*name);
        let gone = |name: &&String| !self.parts.contains_key(*name);
        let own = self.parts.keys().filter(differs);
        let others = other.parts.keys().filter(gone);
        (self.rest == other.rest).then(|| own.chain(others).map(String::as_str))
    }

    /// Whether functions that both have are annotated differently. Whoever asks for others asks for their names.
    pub fn differs_in_annotations(&self, other: &Self) -> bool {
        in_common(&self.annotations, &other.annotations)
            .next()
            .is_some()
    }

    /// What both have that is documented differently: functions by their names with those of classes around them, the file itself by an
    /// empty name, and all that is inside of a function by one that ends in [`INSIDE`](super::INSIDE).
    pub fn documented_otherwise<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        in_common(&self.docs, &other.docs)
    }

    /// Whether a class that both have is.
    pub fn differs_in_docs_of_classes(&self, other: &Self) -> bool {
        in_common(&self.docs_of_classes, &other.docs_of_classes)
            .next()
            .is_some()
    }
}

/// The names that both have, of what differs.
fn in_common<'a>(
    some: &'a BTreeMap<String, Digest>,
    others: &'a BTreeMap<String, Digest>,
) -> impl Iterator<Item = &'a str> {
    let differ = |(name, digest): &(&String, &Digest)| {
        others.get(*name).is_some_and(|other| other != *digest)
    };
    some.iter().filter(differ).map(|(name, _)| name.as_str())
}

/// Beginnings of names that pytest and unittest look for in modules.
const LOOKED_FOR: [&str; 10] = [
    "Test",
    "collect_ignore",
    "load_tests",
    "pytest",
    "setUp",
    "setup",
    "tearDown",
    "teardown",
    "test",
    "_pytest",
];

/// Names with underscores around them that mean nothing to the language: what a module says of itself.
pub const ABOUT_ITSELF: [&str; 9] = [
    "__author__",
    "__copyright__",
    "__credits__",
    "__date__",
    "__email__",
    "__license__",
    "__maintainer__",
    "__status__",
    "__version__",
];

/// What binds a name.
struct Binding<'s> {
    name: &'s str,
    node: Node<'s>,
    /// The function, if it is one, without its decorators.
    function: Option<Node<'s>>,
    import: Option<Import>,
    decorators: Vec<Import>,
}

/// A part, and how many statements of the rest are before it.
struct Found<'s> {
    binding: Binding<'s>,
    place: usize,
}

/// The statements of a frame.
#[derive(Default)]
struct Statements<'s> {
    parts: Vec<Found<'s>>,
    /// The imports that are taken apart, by the identities of their nodes.
    imports: Vec<usize>,
    /// What is imported there and no part, with its place.
    imported: Vec<(Node<'s>, Import, usize)>,
    place: usize,
}

/// What the frame of a file is made of.
pub(super) struct Frame {
    /// Its fingerprint as a whole.
    pub(super) digest: Digest,
    /// The same taken apart.
    pub(super) layout: Layout,
    /// Its tokens.
    pub(super) tokens: Tokens,
    /// The names that it mentions, but for those that parts bind and those that it only hands on.
    pub(super) names: Vec<u64>,
    /// The names that it only hands on: it imports them from a module by what they are called there, and mentions them nowhere else.
    pub(super) handed_on: Vec<u64>,
}

impl Frame {
    /// Of a source with these functions and the tokens of their bodies. The words of `prose` are no names.
    pub(super) fn of<'s>(
        root: Node<'s>,
        found: &[(Definition<'s>, Tokens)],
        docs: &Docs,
        prose: &FxHashSet<usize>,
    ) -> Self {
        let mut left_out: FxHashSet<usize> = found.iter().map(|(each, _)| each.body.id()).collect();
        let tokens = Tokens::of(root, &left_out.union(&docs.statements).copied().collect());
        let postponed = postpones_annotations(root);
        let mut annotations = Annotations::default();
        if postponed {
            for (each, _) in found {
                annotations.take(each);
            }
        }
        left_out.extend(&annotations.nodes);
        let (unread, type_checking) = for_type_checkers(root);
        left_out.extend(unread);
        let without_prose = left_out.union(prose).copied().collect();
        let without_prose = Tokens::of(root, &without_prose);
        left_out.extend(&docs.statements);
        let run = Tokens::of(root, &left_out);
        let Statements {
            parts,
            imports,
            imported,
            ..
        } = statements(root, postponed, &left_out, &|name: &str| {
            let evaluated = annotations.evaluated.get(&name_hash(name));
            run.count(name) + evaluated.copied().unwrap_or(0)
        });
        let kinds: Vec<(usize, Digest)> = found
            .iter()
            .map(|(each, body)| {
                let signature = annotations.signatures.get(&each.node.id());
                (each.node.id(), seen_of(each, body, signature))
            })
            .collect();
        let with_kinds = |of: &Tokens, counts: &dyn Fn(usize) -> bool| {
            let mut hasher = Hasher::new();
            hasher.field(of.bytes());
            for (_, seen) in kinds.iter().filter(|(node, _)| counts(*node)) {
                hasher.field(seen.0);
            }
            hasher.finish()
        };
        let mut hasher = Hasher::new();
        hasher.field(with_kinds(&tokens, &|_| true).0);
        for (name, digest) in docs.digests.iter().chain(&docs.of_classes) {
            hasher.field(name).field(digest.0);
        }
        let digest = hasher.finish();
        let mut by_name: BTreeMap<&str, (Hasher, Part)> = BTreeMap::new();
        for Found { binding, place } in &parts {
            let own = Tokens::of(binding.node, &left_out);
            let is_own = |node| binding.function.is_some_and(|own| own.id() == node);
            let place = *place as u64;
            let (hasher, part) = by_name.entry(binding.name).or_insert_with(|| {
                let part = Part {
                    digest: Hasher::new().finish(),
                    place,
                    import: None,
                    decorators: Vec::new(),
                };
                (Hasher::new(), part)
            });
            hasher
                .field(with_kinds(&own, &is_own).0)
                .field(place.to_le_bytes());
            for import in binding.import.iter().chain(&binding.decorators) {
                hash_import(hasher, Some(import));
            }
            part.import.clone_from(&binding.import);
            part.decorators.extend(binding.decorators.iter().cloned());
        }
        let by_name = by_name.into_iter().map(|(name, (hasher, part))| {
            let digest = hasher.finish();
            (name.to_owned(), Part { digest, ..part })
        });
        let digests = by_name.collect();
        left_out.extend(parts.iter().map(|part| part.binding.node.id()));
        let functions = parts.iter().filter_map(|part| part.binding.function);
        let is_part: FxHashSet<usize> = functions.map(Node::id).collect();
        left_out.extend(imports);
        let rest = Tokens::of(root, &left_out);
        let rest = with_kinds(&rest, &|node| !is_part.contains(&node));
        let mut hasher = Hasher::new();
        hasher.field(rest.0);
        for (node, import, place) in &imported {
            let own = Tokens::of(*node, &FxHashSet::default());
            hasher
                .field(own.bytes())
                .field((*place as u64).to_le_bytes());
            hash_import(&mut hasher, Some(import));
        }
        let rest = hasher.finish();
        let bound: FxHashSet<u64> = parts
            .iter()
            .map(|part| name_hash(part.binding.name))
            .collect();
        let mentioned = without_prose
            .name_hashes()
            .chain(annotations.evaluated.keys().copied());
        let mut handed_on = handed_on(root, &|name| {
            let is_evaluated = annotations.evaluated.contains_key(&name_hash(name));
            (!is_evaluated).then(|| without_prose.count(name))
        });
        handed_on.retain(|name| !bound.contains(name));
        let names = mentioned.filter(|name| !bound.contains(name) && !handed_on.contains(name));
        Self {
            digest,
            layout: Layout {
                rest,
                parts: digests,
                annotations: annotations.digests,
                annotated: annotations.names.into_iter().collect(),
                type_checking,
                docs: docs.digests.clone(),
                docs_of_classes: docs.of_classes.clone(),
                without_docs: docs.without,
            },
            names: names.collect(),
            handed_on: handed_on.into_iter().collect(),
            tokens,
        }
    }
}

/// The names that a file imports from modules by what they are called there, and mentions as often as that says them; `count` tells how often
/// the frame mentions a name, if nothing else does.
fn handed_on(root: Node<'_>, count: &dyn Fn(&str) -> Option<u32>) -> FxHashSet<u64> {
    let mut said: FxHashMap<&str, u32> = FxHashMap::default();
    let imports = root
        .named_children()
        .filter(|node| node.kind() == "import_from_statement");
    for name in imports.flat_map(|node| node.fields("name")) {
        let asked = name.field("name").unwrap_or(name).text();
        let alias = name.field("alias").map(Node::text);
        if alias.is_none_or(|alias| alias == asked) {
            *said.entry(asked).or_default() += 1 + u32::from(alias.is_some());
        }
    }
    let only_there = said
        .into_iter()
        .filter(|(name, said)| count(name) == Some(*said));
    only_there.map(|(name, _)| name_hash(name)).collect()
}

/// What is seen of a function without calling it, beside its signature, unless that is given as well.
fn seen_of(definition: &Definition<'_>, body: &Tokens, signature: Option<&Digest>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(signature.map_or(&[][..], |signature| &signature.0));
    hasher.field([kind(definition.body, body)]);
    hasher.finish()
}

fn hash_import(hasher: &mut Hasher, import: Option<&Import>) {
    let fields = import.map(|import| [Some(&import.module), import.name.as_ref()]);
    for field in fields.into_iter().flatten().flatten() {
        hasher.field(field.as_bytes());
    }
}

/// The statements of a frame without what is `left_out`; `count` tells how often what runs mentions a name.
fn statements<'s>(
    root: Node<'s>,
    postponed: bool,
    left_out: &FxHashSet<usize>,
    count: &dyn Fn(&str) -> u32,
) -> Statements<'s> {
    let mut found = Statements::default();
    let counts = |node: &Node<'s>| !node.is_extra() && !left_out.contains(&node.id());
    let standard = Standard::of(root);
    let bindings: Vec<(Node<'s>, Option<Binding<'s>>)> = root
        .named_children()
        .filter(counts)
        .map(|node| (node, binding(node, postponed, &standard)))
        .collect();
    // A function may be defined several times: for type checkers, mostly.
    let mut definitions: FxHashMap<&str, u32> = FxHashMap::default();
    for (_, binding) in &bindings {
        if let Some(function) = binding.as_ref().filter(|each| each.function.is_some()) {
            *definitions.entry(function.name).or_default() += 1;
        }
    }
    let is_only_here = |binding: &Binding<'_>| {
        let own = match binding.function {
            Some(_) => definitions.get(binding.name).copied(),
            None => Some(1),
        };
        may_be_part(binding.name) && own == Some(count(binding.name))
    };
    // What decorates a part is told with it.
    let mut in_decorators: FxHashMap<&str, u32> = FxHashMap::default();
    for (node, binding) in &bindings {
        let part = binding.as_ref().filter(|binding| is_only_here(binding));
        let decorators = part.map(|_| decorators(*node)).into_iter().flatten();
        for name in decorators.flat_map(identifiers) {
            *in_decorators.entry(name).or_default() += 1;
        }
    }
    let count_beyond = |name: &str| {
        let told = in_decorators.get(name).copied();
        count(name).saturating_sub(told.unwrap_or(0))
    };
    for (node, binding) in bindings {
        match binding {
            Some(binding) => {
                let is_part = is_only_here(&binding);
                found.add(binding, is_part);
            }
            None if found.take_apart(node, &count_beyond) => {}
            None => found.place += 1,
        }
    }
    found
}

/// What a statement of the top binds that is no import.
fn binding<'s>(node: Node<'s>, postponed: bool, standard: &Standard<'_>) -> Option<Binding<'s>> {
    let (function, decorators) = match node.kind() {
        "function_definition" => (Some(node), Vec::new()),
        "decorated_definition" => {
            let definition = node.field("definition");
            let function =
                definition.filter(|definition| definition.kind() == "function_definition")?;
            (Some(function), pure(node, standard)?)
        }
        "expression_statement" => (None, Vec::new()),
        _ => return None,
    };
    let name = match function {
        Some(function) => defined(function, postponed)?,
        None => assigned(node)?,
    };
    Some(Binding {
        name,
        node,
        function,
        import: None,
        decorators,
    })
}

impl<'s> Statements<'s> {
    /// Adds what binds a name, as a part or to what counts for everybody.
    fn add(&mut self, binding: Binding<'s>, is_part: bool) {
        let place = self.place;
        if is_part {
            self.parts.push(Found { binding, place });
            return;
        }
        if let Some(import) = binding.import {
            self.imported.push((binding.node, import, place));
        }
        self.place += 1;
    }

    /// Takes an import from the standard library apart; false if it is another one, or may be.
    fn take_apart(&mut self, node: Node<'s>, count: &dyn Fn(&str) -> u32) -> bool {
        if !matches!(node.kind(), "import_statement" | "import_from_statement") {
            return false;
        }
        let module = node.field("module_name");
        let from = module.map(Node::text);
        let names: Vec<Node<'s>> = node.fields("name").collect();
        let dotted = |name: Node<'s>| name.field("name").unwrap_or(name);
        // Of others the order matters: they may import each other, and this file.
        let are_standard = match from {
            Some(from) => is_standard(from),
            None => names
                .iter()
                .map(|name| dotted(*name).text())
                .all(|module| is_standard(module) && !module.contains('.')),
        };
        if !are_standard || names.is_empty() {
            return false;
        }
        self.imports.push(node.id());
        for name in names {
            let asked = dotted(name).text();
            let bound = name.field("alias");
            let bound = bound.map_or(asked, Node::text);
            let import = Import {
                module: from.unwrap_or(asked).to_owned(),
                name: from.map(|_| asked.to_owned()),
            };
            let own = [Some(name), module].into_iter().flatten();
            let own = own.flat_map(identifiers);
            let own = own.filter(|own| *own == bound).count();
            let is_only_here = usize::try_from(count(bound)).is_ok_and(|count| count == own);
            let is_part = may_be_part(bound) && is_only_here;
            let binding = Binding {
                name: bound,
                node: name,
                function: None,
                import: Some(import),
                decorators: Vec::new(),
            };
            self.add(binding, is_part);
        }
        true
    }
}

/// Whether whoever asks for a name says it as it is: two underscores may have been put before it in a class, and the language takes some
/// letters for others.
fn may_be_part(name: &str) -> bool {
    name.is_ascii()
        && !LOOKED_FOR.iter().any(|start| name.starts_with(start))
        && (!name.contains("__") || ABOUT_ITSELF.contains(&name))
}

/// The name of a function whose definition can't fail.
fn defined(node: Node<'_>, postponed: bool) -> Option<&str> {
    let field = |name| node.field(name);
    if field("type_parameters").is_some() || !postponed && field("return_type").is_some() {
        return None;
    }
    let parameters = field("parameters")?;
    for parameter in parameters.named_children() {
        let is_annotated = matches!(
            parameter.kind(),
            "typed_parameter" | "typed_default_parameter"
        );
        let default = parameter.field("value");
        if is_annotated && !postponed || default.is_some_and(|value| !is_literal(value)) {
            return None;
        }
    }
    Some(field("name")?.text())
}

/// The name that is bound to a literal.
fn assigned(statement: Node<'_>) -> Option<&str> {
    let assignment = statement
        .named_children()
        .next()
        .filter(|_| statement.named_children().count() == 1)
        .filter(|node| node.kind() == "assignment")?;
    let field = |name| assignment.field(name);
    let (target, value) = (field("left")?, field("right")?);
    let is_plain = target.kind() == "identifier" && field("type").is_none() && is_literal(value);
    is_plain.then(|| target.text())
}

/// Whether to evaluate an expression can't fail and takes nothing from elsewhere.
fn is_literal(value: Node<'_>) -> bool {
    let mut pending = vec![value];
    while let Some(node) = pending.pop() {
        match node.kind() {
            "integer" | "float" | "true" | "false" | "none" | "ellipsis" | "comment"
            | "string_start" | "string_content" | "string_end" => continue,
            // Those of sets and of keys must be hashable, which lists aren't.
            "set" | "pair" if has_unhashable(node) => return false,
            "string"
            | "concatenated_string"
            | "tuple"
            | "list"
            | "dictionary"
            | "pair"
            | "set"
            | "parenthesized_expression" => {}
            "unary_operator" if is_number(node.field("argument")) => continue,
            _ => return false,
        }
        pending.extend(node.named_children());
    }
    true
}

fn is_number(node: Option<Node<'_>>) -> bool {
    node.is_some_and(|node| matches!(node.kind(), "integer" | "float"))
}

/// Whether a key, or an element of a set, isn't of a kind that is certainly hashable.
fn has_unhashable(node: Node<'_>) -> bool {
    let is_safe = |node: Node<'_>| {
        matches!(
            node.kind(),
            "integer"
                | "float"
                | "true"
                | "false"
                | "none"
                | "string"
                | "concatenated_string"
                | "comment"
        )
    };
    if let Some(key) = node.field("key") {
        return !is_safe(key);
    }
    node.named_children().any(|node| !is_safe(node))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Symbols;

    pub fn layout(source: &str) -> super::Layout {
        let symbols = Symbols::of(source.as_bytes()).expect("it parses");
        symbols.layout
    }

    /// The names of the parts that differ; none if more than parts do.
    pub fn difference(before: &str, after: &str) -> Option<Vec<String>> {
        let (before, after) = (layout(before), layout(after));
        let names = before.difference(&after)?;
        Some(names.map(str::to_owned).collect())
    }

    #[test]
    fn plain_definitions_are_parts() {
        for (before, after, name) in [
            ("", "import json\n", "json"),
            ("", "import json as j\n", "j"),
            ("", "import json as json\n", "json"),
            ("", "from datetime import datetime\n", "datetime"),
            ("", "from datetime import time as datetime\n", "datetime"),
            ("from re import b\n", "from re import (b, c)\n", "c"),
            ("from re import b\nb()\n", "from re import b, c\nb()\n", "c"),
            (
                "from re import b\nb()\n",
                "from re import (\n    c as d, b,\n)\nb()\n",
                "d",
            ),
            ("from re import b\n", "from abc import b\n", "b"),
            ("", "A = 1\n", "A"),
            ("A = 1\n", "", "A"),
            ("A = 1\n", "A = -1\n", "A"),
            ("A = 'x'\n", "A = {'x': [1, (2,)]}\n", "A"),
            ("__version__ = '1'\n", "__version__ = '2'\n", "__version__"),
            ("", "def f(a, *, b=1): return c\n", "f"),
            ("def f(a): return a\n", "def f(a, b=None): return a\n", "f"),
            ("def f(): return 1\n", "def f(): yield 1\n", "f"),
            ("", "def f(a): pass\ndef f(a=1): pass\n", "f"),
            ("def f(): return 1\n", "async def f(): return 1\n", "f"),
            (
                "from __future__ import annotations\n",
                "from __future__ import annotations\ndef f(a: int = 1) -> str: return a\n",
                "f",
            ),
        ] {
            let (before, after) = (
                format!("import os\n{before}x()\n"),
                format!("import os\n{after}x()\n"),
            );
            let (before, after) = match before.contains("__future__") {
                true => (
                    before.replacen("import os\n", "", 1),
                    after.replacen("import os\n", "", 1),
                ),
                false => (before, after),
            };
            assert_eq!(
                difference(&before, &after),
                Some(vec![name.to_owned()]),
                "{after}"
            );
        }
    }

    #[test]
    fn what_may_fail_or_do_more_is_no_part() {
        for (before, after) in [
            ("", "import os.path\n"),
            ("", "from . import a\n"),
            ("", "import a\n"),
            ("", "from a import b\n"),
            (
                "from a import b\nfrom c import d\n",
                "from c import d\nfrom a import b\n",
            ),
            ("", "from .a import b\n"),
            ("", "from a import *\n"),
            ("", "from a.b import c\n"),
            ("", "import re\nre.b()\n"),
            ("", "from datetime import datetime\ndatetime.b()\n"),
            ("", "import datetime\nfrom datetime import datetime\n"),
            ("from re import b\nb()\n", "from abc import b\nb()\n"),
            ("from a import b\nb()\n", "from a import b as c\nc()\n"),
            ("", "try:\n    import os\nexcept E: pass\n"),
            ("", "A = b\n"),
            ("", "A = f'{b}'\n"),
            ("", "A = [b]\n"),
            ("", "A = {[]: 1}\n"),
            ("", "A = {(1, [])}\n"),
            ("", "A: int = 1\n"),
            ("", "A, B = 1, 2\n"),
            ("", "A.b = 1\n"),
            ("", "A = B = 1\n"),
            ("", "A += 1\n"),
            ("", "@b\ndef f(): pass\n"),
            ("", "@functools.cache\ndef f(): pass\n"),
            (
                "import functools\n",
                "import functools\n@functools.wraps(x)\ndef f(): pass\n",
            ),
            (
                "import functools\n",
                "import functools\n@functools.lru_cache('a')\ndef f(): pass\n",
            ),
            (
                "import functools\n",
                "import functools\n@functools.cache\ndef f(a=b): pass\n",
            ),
            (
                "import functools\n",
                "import functools\n@functools.cache\nclass f: pass\n",
            ),
            (
                "from .functools import cache\n",
                "from .functools import cache\n@cache\ndef f(): pass\n",
            ),
            (
                "from functools import cache\ncache = x(cache)\n",
                "from functools import cache\ncache = x(cache)\n@cache\ndef f(): pass\n",
            ),
            (
                "import functools\n",
                "@functools.cache\ndef f(): pass\nimport functools\n",
            ),
            (
                "try:\n    from functools import cache\nexcept ImportError:\n    from a import cache\n",
                "try:\n    from functools import cache\nexcept ImportError:\n    from a import cache\n@cache\ndef f(): pass\n",
            ),
            ("@b\ndef f(): pass\n", "@b\ndef f(): pass\ndef f(): pass\n"),
            ("", "def f(a=b): pass\n"),
            ("", "def f(a: int): pass\n"),
            ("", "def f() -> int: pass\n"),
            ("", "def f[T](a): pass\n"),
            ("", "_A__b = 1\n"),
            ("", "\u{e4} = 1\n"),
            ("", "def test_a(): pass\n"),
            ("", "def pytest_configure(): pass\n"),
            ("", "def __getattr__(name): pass\n"),
            ("", "__all__ = ['f']\n"),
            ("", "class A: pass\n"),
            ("", "if x:\n    A = 1\n"),
            // Others in the frame mention them.
            ("A = 1\nclass B(A): pass\n", "A = 2\nclass B(A): pass\n"),
            ("A = 1\nA = 2\n", "A = 1\nA = 3\n"),
            ("A = 1\n__all__ = ['A']\n", "A = 2\n__all__ = ['A']\n"),
            ("A = 1\ndef f(x=A): pass\n", "A = 2\ndef f(x=A): pass\n"),
        ] {
            assert_eq!(difference(before, after), None, "{after}");
        }
    }

    #[test]
    fn functions_with_decorators_of_the_standard_library_are_parts() {
        for (import, decorated) in [
            ("import functools", "@functools.cache\ndef f(): pass\n"),
            ("import functools as t", "@t.lru_cache\ndef f(): pass\n"),
            (
                "import functools",
                "@functools.lru_cache(maxsize=None)\ndef f(a=1): pass\n",
            ),
            (
                "from contextlib import contextmanager as c",
                "@c\ndef f(): yield\n",
            ),
            (
                "import typing as t",
                "@t.overload\ndef f(a): pass\n@t.overload\ndef f(): pass\ndef f(a=1): pass\n",
            ),
        ] {
            let before = format!("{import}\nb = x(functools, t, c)\n");
            let after = format!("{before}{decorated}");
            let found = difference(&before, &after);
            assert_eq!(found, Some(vec!["f".to_owned()]), "{after}");
            // The import may be a part too, and the function is another one if something else has its name.
            let bound = import.rsplit(' ').next().unwrap_or(import);
            let both = format!("{import}\n{decorated}x()\n");
            let mut names = ["f", bound].map(str::to_owned);
            names.sort();
            assert_eq!(difference("x()\n", &both), Some(names.into()), "{after}");
            let part = &layout(&after).parts["f"];
            assert!(!part.decorators.is_empty(), "{after}");
        }
    }

    #[test]
    fn imports_tell_what_they_ask_for() {
        let layout = layout("import re as b\nfrom abc import d, e as f\n");
        let asked = |name: &str| {
            let import = layout.parts[name].import.clone().expect("it is one");
            (import.module, import.name)
        };
        assert_eq!(asked("b"), ("re".to_owned(), None));
        assert_eq!(asked("d"), ("abc".to_owned(), Some("d".to_owned())));
        assert_eq!(asked("f"), ("abc".to_owned(), Some("e".to_owned())));
    }

    #[test]
    fn the_place_among_what_runs_counts() {
        let before = "def f(): return A\nA = 1\nx = y()\n";
        let after = "def f(): return A\nx = y()\nA = 1\n";
        assert_eq!(difference(before, after), Some(vec!["A".to_owned()]));
        let among_parts = "A = 1\ndef f(): return A\nx = y()\n";
        assert_eq!(difference(before, among_parts), Some(Vec::new()));
    }
}
