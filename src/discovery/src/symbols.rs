//! The symbols of a source: its functions, each with a fingerprint of its body, and a *frame* of everything else.
//!
//! The frame is what importing the file does and shows: its statements, classes, the names that it binds in their order, and of each
//! function the decorators, the signature, the docstring, and what kind of function it is. As long as the frame is the same, and so is
//! the body of each function that ran, the file did what it did before: the other bodies are text that nobody read. Comments and
//! layout count in neither.
//!
//! A function here is one that isn't inside another one; what is nested in it (closures, lambdas, comprehensions) is part of it.

use std::ops::RangeInclusive;

use dx_py_core::{Digest, Hasher};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::syntax::{Node, Step, Syntax};
use crate::tokens::Tokens;
pub use crate::tokens::name_hash;

mod attributes;
mod decorators;
mod definitions;
mod docs;
mod handed;
mod modules;
mod names;
mod parts;
mod questions;
mod standard;
mod strings;
mod unread;
mod ways;

use definitions::definitions;
use docs::Docs;
pub use docs::{Asks, INSIDE, text_lists_attributes};
use modules::asked;
pub use modules::{ANY_MODULE, ModuleValues};
use parts::Frame;
pub use parts::{ABOUT_ITSELF, Import, Layout, Part};
pub use questions::Questions;
pub use standard::is_standard;
pub use strings::Named;
use unread::sets_type_checking;
pub use ways::ANNOTATION_READERS;
use ways::{frame_executes, frame_gets_globals, frame_gets_modules};

/// Names by which code learns of lines, also those of others, or of source that it was not seen to read.
const LINES: [&str; 17] = [
    "co_firstlineno",
    "co_lines",
    "co_positions",
    "extract_stack",
    "extract_tb",
    "f_lineno",
    "findsource",
    "format_exc",
    "format_exception",
    "format_stack",
    "format_tb",
    "getframeinfo",
    "getsourcelines",
    "print_exc",
    "tb_lineno",
    "walk_stack",
    "walk_tb",
];

/// The symbols of one file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    frame: Digest,
    /// The frame taken apart.
    pub layout: Layout,
    /// The names that the frame mentions, as hashes, but for those that its parts bind and those that it only hands on.
    pub frame_names: Vec<u64>,
    /// The names that the frame only hands on: it imports them from a module by what they are called there.
    pub handed_on: Vec<u64>,
    /// The names that code of the file may ask others for, as hashes, sorted: attributes, words in strings, names of imports.
    pub asked: Vec<u64>,
    /// What code of the file may hand around as modules.
    pub module_values: ModuleValues,
    /// What its strings may name modules by.
    pub strings: Named,
    /// Whether code of the frame runs code with the names for it to know, which gets modules as strings say.
    pub frame_executes: bool,
    /// Whether code of the file may set what tells type checkers from interpreters.
    pub sets_type_checking: bool,
    /// Whether code of the frame may get any module, and so names in it that it doesn't mention.
    pub frame_gets_modules: bool,
    /// Whether it may get what the file knows by any name.
    pub frame_gets_globals: bool,
    /// How code of the frame may ask for docstrings.
    pub frame_asks: Asks,
    /// The names by which code of the frame may hand functions on as objects, as hashes, sorted.
    pub frame_hands: Vec<u64>,
    digests: FxHashMap<String, Digest>,
    functions: Vec<Function>,
    /// The names that functions mention, as hashes.
    names: Vec<u64>,
    /// Whether the code of the frame may learn of lines.
    pub frame_sees_lines: bool,
}

/// One function.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name with those of the classes around it. Several may have one name; their bodies have one fingerprint then.
    pub name: String,
    /// Its lines, the first being that of its first decorator, from 1.
    pub lines: RangeInclusive<u32>,
    /// Whether it may learn of lines.
    pub sees_lines: bool,
    /// Whether it may get any module, and so names in it that it doesn't mention.
    pub gets_modules: bool,
    /// Whether it may get what its file knows by any name.
    pub gets_globals: bool,
    /// Whether it runs code with the names for it to know.
    pub executes: bool,
    /// How it may ask for docstrings.
    pub asks: Asks,
    /// Its name without those of classes, as a hash.
    pub simple: u64,
    /// The places of all names that it mentions in the list of its file.
    mentions: Vec<u32>,
    /// The places of those by which it may hand functions on as objects.
    hands: Vec<u32>,
}

impl Symbols {
    /// The symbols of a source; none if it doesn't parse, or isn't plainly UTF-8.
    pub fn of(source: &[u8]) -> Option<Self> {
        let syntax = Syntax::of(source)?;
        let root = syntax.root();
        let docs = Docs::of(root);
        let found: Vec<_> = definitions(root)
            .into_iter()
            .map(|each| {
                let body = Tokens::of(each.body, &docs.statements);
                (each, body)
            })
            .collect();
        // Who does may do by their words what it likes.
        let asks_for_docstrings = source.windows(7).any(|part| part == b"__doc__");
        let prose = match asks_for_docstrings {
            true => FxHashSet::default(),
            false => docs.strings.clone(),
        };
        let frame = Frame::of(root, &found, &docs, &prose);
        let mut bodies: FxHashMap<String, Hasher> = FxHashMap::default();
        let mut functions = Vec::with_capacity(found.len());
        let mut names = Names::default();
        for (each, body) in found {
            let whole = Tokens::of(each.node, &prose);
            bodies
                .entry(each.name.clone())
                .or_default()
                .field(body.bytes());
            functions.push(each.function(&whole, &docs, &mut names));
        }
        let digests = bodies
            .into_iter()
            .map(|(name, hasher)| (name, hasher.finish()))
            .collect();
        Some(Self {
            frame: frame.digest,
            layout: frame.layout,
            frame_names: frame.names,
            handed_on: frame.handed_on,
            asked: asked(root, &prose),
            module_values: ModuleValues::of(root),
            strings: Named::of(root, &docs.strings),
            frame_executes: frame_executes(root),
            frame_gets_modules: frame_gets_modules(root),
            frame_gets_globals: frame_gets_globals(root),
            frame_asks: Asks::of_frame(root, &docs),
            frame_hands: handed::by_frame(root, &docs),
            sets_type_checking: sets_type_checking(root),
            digests,
            functions,
            names: names.names,
            frame_sees_lines: sees_lines(&frame.tokens),
        })
    }

    /// The fingerprint of the frame.
    pub fn frame(&self) -> Digest {
        self.frame
    }

    /// The fingerprint of the functions of that name; none if there is none.
    pub fn digest(&self, name: &str) -> Option<Digest> {
        self.digests.get(name).copied()
    }

    /// The functions that code whose first line this is may belong to, as their numbers. Code of the frame belongs to none.
    pub fn at(&self, line: u32) -> impl Iterator<Item = usize> {
        let functions = self.functions.iter().enumerate();
        functions
            .filter(move |(_, function)| function.lines.contains(&line))
            .map(|(number, _)| number)
    }

    /// The functions by their numbers, in the order of the source.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// All names that a function of this file mentions, as hashes.
    pub fn mentions(&self, function: &Function) -> impl Iterator<Item = u64> {
        self.at_places(&function.mentions)
    }

    /// The names by which a function of this file may hand functions on as objects, as hashes.
    pub fn handed(&self, function: &Function) -> impl Iterator<Item = u64> {
        self.at_places(&function.hands)
    }

    fn at_places(&self, places: &[u32]) -> impl Iterator<Item = u64> {
        places
            .iter()
            .filter_map(|place| self.names.get(*place as usize).copied())
    }
}

/// A list of names, each of them once.
#[derive(Default)]
struct Names {
    names: Vec<u64>,
    places: FxHashMap<u64, u32>,
}

impl Names {
    /// The place of a name in the list.
    fn place(&mut self, name: u64) -> u32 {
        *self.places.entry(name).or_insert_with(|| {
            self.names.push(name);
            // A file doesn't have more names than bytes, and those that are parsed have less than 4 GiB.
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// Visits the nodes that aren't in the bodies of functions.
fn outside_of_functions<'s>(root: Node<'s>, mut visit: impl FnMut(Node<'s>)) {
    let mut bodies = Vec::new();
    root.walk(|step| match step {
        Step::Enter(node) if bodies.pop_if(|body| *body == node).is_some() => false,
        Step::Enter(node) => {
            visit(node);
            if node.kind() == "function_definition" {
                bodies.extend(node.field("body"));
            }
            true
        }
        Step::Leave => true,
    });
}

/// The names below a node, those of attributes too.
fn identifiers(node: Node<'_>) -> impl Iterator<Item = &str> {
    let found = node.descendants();
    found
        .filter(|node| node.kind() == "identifier")
        .map(Node::text)
}

fn sees_lines(tokens: &Tokens) -> bool {
    LINES.iter().any(|name| tokens.mentions(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
import functools

LIMIT = 3
CACHE = {}
logger = logging.getLogger(__name__)

def plain(a, b=LIMIT):
    \"\"\"About plain.\"\"\"
    logger.debug(a)
    return a + b

class Base:
    items = []

    def add(self, x):
        self.items.append(x)

    @property
    def size(self):
        return len(self.items)

    @size.setter
    def size(self, to):
        self._size = to

if LIMIT:
    def other():
        def inner():
            return 1
        return inner

@functools.lru_cache
def kept():
    CACHE[1] = 2
";

    fn symbols(source: &str) -> Symbols {
        Symbols::of(source.as_bytes()).expect("it parses")
    }

    /// Whether a change of the file changes its frame, and the functions whose fingerprints it changes.
    fn change(from: &str, to: &str) -> (bool, Vec<String>) {
        let after = FILE.replace(from, to);
        assert_ne!(FILE, after, "{from}");
        let (before, after) = (symbols(FILE), symbols(&after));
        let mut changed: Vec<String> = before
            .functions()
            .iter()
            .map(|function| function.name.clone())
            .filter(|name| before.digest(name) != after.digest(name))
            .collect();
        changed.dedup();
        (before.frame() != after.frame(), changed)
    }

    #[test]
    fn an_edit_of_a_body_changes_that_function_alone() {
        for (from, to, function) in [
            ("return a + b", "return a - b", "plain"),
            ("self.items.append(x)", "pass", "Base.add"),
            ("return len(self.items)", "return 0", "Base.size"),
            ("self._size = to", "self._size = 2", "Base.size"),
            ("return 1", "return 2", "other"),
            ("return 1", "yield 2", "other"),
            ("CACHE[1] = 2", "CACHE[1] = 3", "kept"),
        ] {
            assert_eq!(
                change(from, to),
                (false, vec![function.to_owned()]),
                "{from}"
            );
        }
    }

    #[test]
    fn comments_and_layout_change_nothing() {
        for (from, to) in [
            ("    return a + b", "    # sum\n\n    return (\n a + b)"),
            (
                "import functools\n",
                "import functools  # for a cache\n\n\n",
            ),
        ] {
            let (frame, changed) = change(from, to);
            // Parentheses are said, if nothing else is.
            assert!(!frame && changed.len() <= 1, "{from}");
        }
        assert_eq!(
            change("    return a + b", "\n    return a +  b # so"),
            (false, vec![])
        );
    }

    #[test]
    fn what_importing_does_and_shows_is_in_the_frame() {
        for (from, to) in [
            ("LIMIT = 3", "LIMIT = 4"),
            ("LIMIT = 3", "LIMIT = f'{3:>{4}}'"),
            ("b=LIMIT", "b=2"),
            ("def plain(a,", "def plain(a: int,"),
            ("items = []", "items = [1]"),
            ("class Base:", "class Base(Other):"),
            ("@property", "@cached"),
            ("def other", "def another"),
            ("if LIMIT:", "if not LIMIT:"),
            ("About plain.", "About."),
            ("    return a + b", "    yield a + b"),
            ("self.items.append(x)", "super().append(x)"),
        ] {
            assert!(change(from, to).0, "{from} -> {to}");
        }
    }

    #[test]
    fn formats_of_values_in_strings_are_told_apart() {
        let frame = |spec: &str| symbols(&format!("X = f'{{1:>{spec}}}'\n")).frame();
        assert_ne!(frame("{4}"), frame("{5}"));
        assert_ne!(frame("0{4}"), frame("1{4}"));
        assert_ne!(frame("{4}.1"), frame("{4}.2"));
    }

    #[test]
    fn code_belongs_to_the_function_around_it() {
        let symbols = symbols(FILE);
        let names = |line| -> Vec<&str> {
            symbols
                .at(line)
                .map(|number| &*symbols.functions()[number].name)
                .collect()
        };
        let line =
            |text: &str| FILE.lines().position(|line| line.contains(text)).unwrap() as u32 + 1;
        assert_eq!(names(1), [""; 0]);
        assert_eq!(names(line("class Base")), [""; 0]);
        assert_eq!(names(line("def plain")), ["plain"]);
        assert_eq!(names(line("def inner")), ["other"]);
        assert_eq!(names(line("@property")), ["Base.size"]);
        assert_eq!(names(line("@functools")), ["kept"]);
    }

    #[test]
    fn words_of_docstrings_are_no_names() {
        let mentions = |source: &str, name: &str| {
            let symbols = symbols(source);
            let first = &symbols.functions()[0];
            symbols
                .mentions(first)
                .any(|found| found == name_hash(name))
        };
        let plain = "def get():\n    \"\"\"Go forward.\"\"\"\n    def inner():\n        'As far'\n    return 'a word'\n";
        assert!(mentions(plain, "word") && mentions(plain, "inner"));
        assert!(!mentions(plain, "forward") && !mentions(plain, "far"));
        // Who asks for docstrings may go by them, and what is put into a string is code.
        assert!(mentions(&format!("{plain}print(get.__doc__)\n"), "forward"));
        assert!(mentions("def get():\n    f'{forward}'\n", "forward"));
    }

    #[test]
    fn what_does_not_parse_has_no_symbols() {
        for source in ["def f(: pass\n", "# coding: latin-1\nx = 1\n"] {
            assert!(Symbols::of(source.as_bytes()).is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_edit_of_a_word_changes_the_frame_or_a_function(at: proptest::sample::Index) {
            let words: Vec<usize> = FILE.char_indices().filter(|(_, c)| c.is_alphanumeric()).map(|(at, _)| at).collect();
            let at = words[at.index(words.len())];
            let mut after = FILE.to_owned();
            after.insert(at, 'x');
            if let Some(after) = Symbols::of(after.as_bytes()) {
                let before = symbols(FILE);
                let same = before.frame() == after.frame() && before.functions().iter().all(|function| before.digest(&function.name) == after.digest(&function.name));
                proptest::prop_assert!(!same);
            }
        }

        #[test]
        fn no_source_makes_it_panic(source in "(def |async |class |lambda: |:|\n|    |\\(|\\)|'|\"|=|x|@|,|yield |global x){0,40}") {
            let _ = Symbols::of(source.as_bytes());
        }
    }
}
