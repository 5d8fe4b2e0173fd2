//! Docstrings: they are data, which matters to those alone who ask for it.

use std::collections::BTreeMap;

use dx_py_core::{Digest, Hasher};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::attributes::makes_names;
use super::names::{attribute_of, is_bound, is_label, is_local, is_of_argument, is_plain_string};
use super::outside_of_functions;
use super::ways::is_defined;
use crate::syntax::Node;
use crate::tokens::words;

/// What a docstring is asked for by.
pub(super) const DOC: &str = "__doc__";

/// Names by which code asks for docstrings without that one.
pub(super) const DOC_READERS: [&str; 9] = [
    "Cmd",
    "classify_class_attrs",
    "co_consts",
    "doctest",
    "getdoc",
    "getmembers",
    "pydoc",
    "register_introspection_functions",
    "shortDescription",
];

/// Names by which it may find that of a class among its attributes. A function's is in no list of its own, and that of a file is found by
/// who gets hold of the module.
const LISTS_OF_ATTRIBUTES: [&str; 3] = ["__dict__", "dir", "vars"];

/// The docstrings of a file.
pub(super) struct Docs {
    /// Their statements, by the identities of the nodes.
    pub(super) statements: FxHashSet<usize>,
    /// Their strings, as far as no value is put into one.
    pub(super) strings: FxHashSet<usize>,
    /// Their fingerprints by the name of what they are about, with those of the classes around it; what is inside of a function has that
    /// function's name with [`INSIDE`] behind it, and the file itself has none. What has no docstring is there as well.
    pub(super) digests: BTreeMap<String, Digest>,
    /// Those of classes, which aren't among the others.
    pub(super) of_classes: BTreeMap<String, Digest>,
    /// The fingerprint of what has none.
    pub(super) without: Digest,
}

/// How code may ask for docstrings.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// For what any says.
    pub for_docs: bool,
    /// Whether there is one.
    pub for_presence: bool,
    /// For all attributes of what may be a class.
    pub for_attributes: bool,
    /// For these, or for one whose name it doesn't say.
    pub for_any_attribute: bool,
}

impl Asks {
    /// Whether one of the two that differ is asked for; `presence` says whether some may have come or gone.
    pub fn sees(self, docs: bool, of_classes: bool, presence: bool) -> bool {
        self.sees_docs(presence) && (docs || of_classes) || self.for_attributes && of_classes
    }

    /// Whether docstrings that differ are asked for.
    pub fn sees_docs(self, presence: bool) -> bool {
        self.for_docs || self.for_presence && presence
    }

    /// Adds what is asked for by a node of itself.
    pub(super) fn add_question(&mut self, node: Node<'_>, docs: &Docs) {
        let asks = asks(node, docs);
        let is_for_presence = asks && is_about_presence(node);
        self.for_presence |= is_for_presence;
        self.for_docs |= asks && !is_for_presence;
    }

    fn add(&mut self, node: Node<'_>, docs: &Docs) {
        self.add_question(node, docs);
        self.for_attributes |= node.kind() == "identifier"
            && LISTS_OF_ATTRIBUTES.contains(&node.text())
            && !is_of_self(node)
            && !is_asked_for_one(node)
            && !is_of_argument(node)
            && !is_local(node);
        self.for_any_attribute |= self.for_attributes || makes_names(node);
    }

    /// How the code of a function asks.
    pub(super) fn of_function(function: Node<'_>, docs: &Docs) -> Self {
        let mut found = Self::default();
        function
            .descendants()
            .for_each(|node| found.add(node, docs));
        found
    }

    /// How what isn't in functions asks.
    pub(super) fn of_frame(root: Node<'_>, docs: &Docs) -> Self {
        let mut found = Self::default();
        outside_of_functions(root, |node| {
            // What the function does is its own.
            if node.kind() != "function_definition" {
                found.add(node, docs);
            }
        });
        found
    }
}

impl Docs {
    /// Those below the root.
    pub(super) fn of(root: Node<'_>) -> Self {
        let mut found = Self {
            statements: FxHashSet::default(),
            strings: FxHashSet::default(),
            digests: BTreeMap::new(),
            of_classes: BTreeMap::new(),
            without: Hasher::new().finish(),
        };
        let mut without = Hasher::new();
        let mut hashers: BTreeMap<(String, bool), Hasher> = BTreeMap::new();
        for node in root.descendants() {
            let body = match node.kind() {
                "module" => Some(node),
                "function_definition" | "class_definition" => node.field("body"),
                _ => None,
            };
            let Some(body) = body else { continue };
            let owner = owner(node);
            let Some((statement, string)) = docstring(body) else {
                without.field(&owner.0).field([u8::from(owner.1)]);
                hashers.entry(owner).or_default().field(b"");
                continue;
            };
            let hasher = hashers.entry(owner).or_default();
            found.statements.insert(statement.id());
            found.strings.insert(string.id());
            hasher.field(string.text());
        }
        for ((name, is_class), hasher) in hashers {
            let digests = match is_class {
                true => &mut found.of_classes,
                false => &mut found.digests,
            };
            digests.insert(name, hasher.finish());
        }
        found.without = without.finish();
        found
    }
}

/// What is behind the name of a function for all that is inside of it.
pub const INSIDE: &str = ".<locals>";

/// The name of a definition with those of the classes around it, or of all that is inside of a function; and whether it is a class'.
fn owner(definition: Node<'_>) -> (String, bool) {
    let mut is_class = definition.kind() == "class_definition";
    let mut is_inside = false;
    let mut names = Vec::new();
    let mut around = Some(definition);
    while let Some(node) = around {
        let is_function = node.kind() == "function_definition";
        if is_function {
            names.clear();
            is_class = false;
            is_inside = node != definition;
        }
        if is_function || node.kind() == "class_definition" {
            names.extend(node.field("name").map(Node::text));
        }
        around = node.parent();
    }
    names.reverse();
    let mut name = names.join(".");
    if is_inside {
        name.push_str(INSIDE);
    }
    (name, is_class)
}

/// The statement of a body that is its docstring, and the string.
fn docstring(body: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let statement = body.named_children().find(|node| !node.is_extra())?;
    let mut parts = statement.named_children();
    let string = parts.next()?;
    let is_docstring = statement.kind() == "expression_statement"
        && parts.next().is_none()
        && is_plain_string(string);
    is_docstring.then_some((statement, string))
}

/// Whether code asks for docstrings by a node; `docs` are no code.
fn asks(node: Node<'_>, docs: &Docs) -> bool {
    match node.kind() {
        "identifier" => {
            let name = node.text();
            DOC_READERS.contains(&name)
                || name == DOC && !is_set(node)
                || name == "help" && is_built_in(node)
        }
        "string_content" => {
            let is_doc = node
                .parent()
                .is_some_and(|string| docs.strings.contains(&string.id()));
            !is_doc && words(node.text()).any(|word| word == DOC)
        }
        _ => false,
    }
}

/// Whether a name is that of what Python has everywhere, as far as the file's own names tell.
pub(super) fn is_built_in(name: Node<'_>) -> bool {
    !is_label(name) && !is_local(name) && !is_bound(name) && !is_defined(name)
}

/// Whether an attribute is only compared with None.
fn is_about_presence(name: Node<'_>) -> bool {
    let comparison = attribute_of(name).and_then(Node::parent);
    let Some(comparison) = comparison.filter(|node| node.kind() == "comparison_operator") else {
        return false;
    };
    let mut operators = comparison.fields("operators").map(Node::text);
    let is_none = |node: Node<'_>| node.kind() == "none";
    operators.all(|operator| matches!(operator, "is" | "is not"))
        && comparison.named_children().count() == 2
        && comparison.named_children().any(is_none)
}

/// Whether a value is given to a name, or to the attribute that it names.
fn is_set(name: Node<'_>) -> bool {
    let Some(parent) = name.parent() else {
        return false;
    };
    let (target, around) = match parent.kind() {
        "attribute" if parent.field("attribute") == Some(name) => (parent, parent.parent()),
        _ => (name, Some(parent)),
    };
    around
        .is_some_and(|around| around.kind() == "assignment" && around.field("left") == Some(target))
}

/// Whether a namespace is asked for one attribute, whose name is said.
fn is_asked_for_one(name: Node<'_>) -> bool {
    let Some(namespace) = name.parent().filter(|parent| parent.kind() == "attribute") else {
        return false;
    };
    let Some(parent) = namespace.parent() else {
        return false;
    };
    let asked = match parent.kind() {
        "subscript" => parent.field("subscript"),
        "comparison_operator" => {
            let mut operators = parent.fields("operators").map(Node::text);
            let asked = parent.named_children().next();
            asked.filter(|asked| {
                *asked != namespace && operators.all(|operator| matches!(operator, "in" | "not in"))
            })
        }
        "attribute" => {
            let method = parent.field("attribute").map(Node::text);
            let call = parent.parent().filter(|around| around.kind() == "call");
            let arguments = call.and_then(|call| call.field("arguments"));
            arguments
                .filter(|_| matches!(method, Some("get" | "pop" | "setdefault")))
                .and_then(|arguments| arguments.named_children().next())
        }
        _ => None,
    };
    asked.is_some_and(|asked| asked.kind() == "string" && is_plain_string(asked))
}

/// Whether the attributes of `self` are asked for.
fn is_of_self(name: Node<'_>) -> bool {
    let Some(parent) = name.parent() else {
        return false;
    };
    let asked = match parent.kind() {
        "attribute" => parent.field("object"),
        "call" => parent.field("arguments").and_then(|arguments| {
            let mut arguments = arguments.named_children();
            arguments.next().filter(|_| arguments.next().is_none())
        }),
        _ => None,
    };
    asked.is_some_and(|asked| asked.kind() == "identifier" && asked.text() == "self")
}

/// Whether the text of a module that isn't the project's may get attributes of a class without their names.
pub fn text_lists_attributes(text: &[u8]) -> bool {
    let others = [
        "getattr",
        "attrgetter",
        "metaclass",
        "__prepare__",
        "locals",
    ];
    words(&String::from_utf8_lossy(text))
        .any(|word| LISTS_OF_ATTRIBUTES.contains(&word) || others.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::super::Symbols;
    use super::super::parts::tests::{difference, layout};
    use super::Asks;

    fn symbols(source: &str) -> Symbols {
        Symbols::of(source.as_bytes()).expect("it parses")
    }

    const FILE: &str = "\
'''About it.'''
import os
@c
class A(B):
    'About A.'
    x = 1
    def f(self):
        'About f.'
        def inner():
            'About inner.'
        return inner

def g():
    return 1
run(A, g)
";

    #[test]
    fn a_docstring_is_apart_from_all_else() {
        for (from, to) in [
            ("About it", "On it"),
            ("About A", "On A"),
            ("About f", "On f"),
            ("About inner", "On inner"),
            ("'About f.'\n", "'''About f.\n\n    More.'''\n"),
            ("'About f.'\n", "'About' ' f'\n"),
            ("        'About f.'\n", ""),
            ("def g():\n", "def g():\n    'About g.'\n"),
        ] {
            let after = FILE.replace(from, to);
            assert_ne!(FILE, after);
            let layouts = [FILE, &*after].map(layout);
            let of_classes = layouts[0].differs_in_docs_of_classes(&layouts[1]);
            assert_eq!(of_classes, from == "About A", "{after}");
            let names: Vec<&str> = layouts[0].documented_otherwise(&layouts[1]).collect();
            let expected = match to.rsplit(' ').next() {
                _ if of_classes => vec![],
                Some("it") => vec![""],
                Some("inner") => vec!["A.f.<locals>"],
                _ if to.contains("def g") => vec!["g"],
                _ => vec!["A.f"],
            };
            assert_eq!(names, expected, "{after}");
            assert_eq!(difference(FILE, &after), Some(Vec::new()), "{after}");
            let [before, now] = [FILE, &*after].map(symbols);
            assert_ne!(before.frame(), now.frame(), "{after}");
            for function in before.functions() {
                let name = &function.name;
                assert_eq!(before.digest(name), now.digest(name), "{after}");
            }
        }
    }

    #[test]
    fn what_runs_is_no_docstring() {
        for (from, to) in [
            ("'About A.'", "f'About {a()}.'"),
            ("'About A.'", "'About', A()"),
            ("'About A.'", "x = 'About A.'"),
            ("    x = 1\n", "    x = 1\n    'Not about A.'\n"),
        ] {
            let after = FILE.replace(from, to);
            assert_eq!(difference(FILE, &after), None, "{after}");
        }
        let body = FILE.replace("return 1", "return 'About g.'");
        assert_ne!(symbols(FILE).digest("g"), symbols(&body).digest("g"));
    }

    #[test]
    fn a_new_definition_is_asked_for_by_its_name() {
        let after = FILE.replace("def g", "def h():\n    'About h.'\n\ndef g");
        let names = |before: &str, after: &str| {
            let [before, after] = [before, after].map(layout);
            let names = before.documented_otherwise(&after);
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(names(FILE, &after).is_empty());
        let of_two = "def f(): 'a'\ndef f(): 'b'\n";
        assert_eq!(names(of_two, &of_two.replace('b', "c")), ["f"]);
    }

    #[test]
    fn who_may_ask_for_docstrings_is_found() {
        let reads = |line: &str| {
            let symbols = symbols(&format!("def f(self):\n    'Has __doc__.'\n    {line}\n"));
            assert_eq!(symbols.frame_asks, Asks::default());
            symbols.functions()[0].asks
        };
        let docs = Asks {
            for_docs: true,
            ..Asks::default()
        };
        for line in [
            "x.__doc__",
            "x.__doc__ += y",
            "x.__doc__ = y.__doc__",
            "x[y.__doc__] = 1",
            "getattr(x, '__doc__')",
            "getdoc(x)",
            "import doctest",
            "help(x)",
            "inspect.getmembers(x)",
            "def g(): return x.__doc__",
        ] {
            assert_eq!(reads(line), docs, "{line}");
        }
        let presence = Asks {
            for_presence: true,
            ..Asks::default()
        };
        for line in ["x.__doc__ is None", "if None is not x.y.__doc__: pass"] {
            assert_eq!(reads(line), presence, "{line}");
        }
        for line in [
            "x.__doc__ == None",
            "x.__doc__ is y",
            "x.__doc__ is y is None",
        ] {
            assert_eq!(reads(line), docs, "{line}");
        }
        for line in [
            "vars(x)",
            "type(self).__dict__",
            "map(vars, x)",
            "dir(x)",
            "y in x.__dict__",
            "x.__dict__ in y",
        ] {
            let asks = reads(line);
            assert!(!asks.for_docs && asks.for_attributes, "{line}");
        }
        for line in [
            "pass",
            "x.__doc__ = 'A.'",
            "g(help='A.')",
            "x.help",
            "class A:\n        help: str",
            "vars(self)",
            "self.__dict__",
            "if 'a' in x.__dict__ and 'b' not in y.__dict__: pass",
            "'Not a doc__.'",
        ] {
            assert_eq!(reads(line), Asks::default(), "{line}");
        }
        for frame in [
            "x = y.__doc__\n",
            "class A:\n    x = __doc__\n",
            "@c(y.__doc__)\ndef f(): pass\n",
        ] {
            assert_eq!(symbols(frame).frame_asks, docs, "{frame}");
        }
        let frame_asks = symbols("def f(): x.__doc__\n").frame_asks;
        assert_eq!(frame_asks, Asks::default());
    }
}
