//! The symbols of a source: its functions, each with a fingerprint of its body, and a *frame* of everything else.
//!
//! The frame is what importing the file does and shows: its statements, classes, the names that it binds in their order, and of each
//! function the decorators, the signature, the docstring, and what kind of function it is. As long as the frame is the same, and so is
//! the body of each function that ran, the file did what it did before: the other bodies are text that nobody read. Comments and
//! layout count in neither.
//!
//! A function here is one that isn't inside another one; what is nested in it (closures, lambdas, comprehensions) is part of it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use dx_py_core::{Digest, Hasher};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use tree_sitter::Node;

use crate::slice::sound_tree;
use crate::tokens::Tokens;
pub use crate::tokens::name_hash;

mod aliases;
mod definitions;
mod modules;
mod parts;
mod standard;
mod state;
mod unread;

use aliases::{Aliases, aliases};
use definitions::{definitions, prose};
pub use modules::{ANNOTATION_READERS, ANY_MODULE};
use modules::{asked, frame_gets_modules, module_values};
use parts::Frame;
pub use parts::{ABOUT_ITSELF, Import, Layout, Part};
pub use standard::is_standard;
use state::State;
use unread::sets_type_checking;

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

/// Parts of the names of decorators that keep what a function gave: its body doesn't run again.
const KEEPING: [&str; 5] = ["cache", "memo", "lazy", "once", "singleton"];

/// Functions that give what others have put into `os.environ`, without that name.
const ASKING_FOR_VARIABLES: [&str; 6] = [
    "environb",
    "expanduser",
    "expandvars",
    "getenv",
    "getenvb",
    "gettempdir",
];

/// The symbols of one file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    /// The key of the file, which tells its variables from those of others.
    file: String,
    frame: Digest,
    /// The frame taken apart.
    pub layout: Layout,
    /// The names that the frame mentions, as hashes, but for those that its parts bind.
    pub frame_names: Vec<u64>,
    /// The names that code of the file may ask others for, as hashes, sorted: attributes, words in strings, names of imports.
    pub asked: Vec<u64>,
    /// Last names of modules that code of the file may hand around as values, as hashes: what is imported, and used otherwise than for one
    /// of its attributes.
    pub module_values: Vec<u64>,
    /// Whether code of the file may set what tells type checkers from interpreters.
    pub sets_type_checking: bool,
    /// Whether code of the frame may get any module, and so names in it that it doesn't mention.
    pub frame_gets_modules: bool,
    digests: FxHashMap<String, Digest>,
    functions: Vec<Function>,
    /// The names that functions mention, as hashes.
    names: Vec<u64>,
    /// The variables of the module, as hashes, sorted.
    variables: Vec<u64>,
    /// The classes outside of functions.
    pub classes: Vec<Class>,
    /// Names of what is called, or decorates, outside of functions: of the classes among them objects may live on.
    pub called: Vec<u64>,
    /// Names that the frame gives to what has another one.
    pub aliases: Vec<Alias>,
    /// Whether the code of the frame may learn of lines.
    pub frame_sees_lines: bool,
}

/// Another name of something: whoever mentions it may get what who mentions the names that it stands for does.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The key of the name, as functions have it that mention it.
    pub key: u64,
    /// The keys of what it may stand for.
    pub meanings: Vec<u64>,
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
    /// Whether who calls it may give it something: it has parameters, or may be sent something or called in parts later.
    pub takes: bool,
    /// Whether it is called by an operator or the like, without its name.
    pub is_special: bool,
    /// The name of the class that it is in, as a hash.
    pub class: Option<u64>,
    /// Whether it may set attributes of any name until the test ends, if `monkeypatch` is pytest's.
    pub patches: bool,
    /// Keys of what it may leave behind for those that run later, whatever objects live on: values in a cache and in variables.
    pub leaves: Vec<u64>,
    /// Keys of names from elsewhere. If that is a variable of another module it may leave something there.
    pub borrows: Vec<u64>,
    /// The attributes that it sets, or whose objects it changes: left behind if their object lives on. Keys as well.
    pub sets: Vec<u64>,
    /// Its name without those of classes, as a hash.
    pub simple: u64,
    /// The places of all names that it mentions in the list of its file.
    mentions: Vec<u32>,
}

/// A class: its name and those of its bases.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: u64,
    /// Its bases.
    pub bases: Vec<u64>,
}

impl Symbols {
    /// The symbols of a source; none if it doesn't parse, or isn't plainly UTF-8. `file` is its key, which tells its variables from those of others.
    pub fn of(source: &[u8], file: &str) -> Option<Self> {
        let tree = sound_tree(source)?;
        let root = tree.root_node();
        let found: Vec<_> = definitions(root, source)
            .into_iter()
            .map(|each| {
                let body = Tokens::of(each.body, source, &HashSet::new());
                (each, body)
            })
            .collect();
        let state = State::of(root, source);
        let Aliases { aliases, kept } = aliases(root, source);
        // Who does may do by their words what it likes.
        let asks_for_docstrings = source.windows(7).any(|part| part == b"__doc__");
        let prose = match asks_for_docstrings {
            true => HashSet::new(),
            false => prose(root),
        };
        let frame = Frame::of(root, source, &found, &prose);
        let mut bodies: FxHashMap<String, Hasher> = FxHashMap::default();
        let mut functions = Vec::with_capacity(found.len());
        let mut names = Names::default();
        for (each, body) in found {
            let whole = Tokens::of(each.node, source, &prose);
            bodies
                .entry(each.name.clone())
                .or_default()
                .field(body.bytes());
            functions.push(each.function(source, file, &whole, &state, &kept, &mut names));
        }
        let digests = bodies
            .into_iter()
            .map(|(name, hasher)| (name, hasher.finish()))
            .collect();
        let mut variables: Vec<u64> = state.variables.into_iter().collect();
        variables.sort_unstable();
        Some(Self {
            file: file.to_owned(),
            frame: frame.digest,
            layout: frame.layout,
            frame_names: frame.names,
            asked: asked(root, source, &prose),
            module_values: module_values(root, source),
            frame_gets_modules: frame_gets_modules(root, source),
            sets_type_checking: sets_type_checking(root, source),
            digests,
            functions,
            names: names.names,
            variables,
            classes: classes(root, source),
            called: called(root, source),
            aliases,
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
        let places = function.mentions.iter();
        places.filter_map(|place| self.names.get(*place as usize).copied())
    }

    /// Keys of the variables of the module, by their names.
    pub fn variables(&self) -> impl Iterator<Item = u64> {
        self.variables.iter().map(|name| named(*name))
    }

    /// Keys of what a function of this file may get from others.
    pub fn gets(&self, function: &Function) -> Vec<u64> {
        let key_of = |name| match self.variables.binary_search(&name) {
            Ok(_) => own(&self.file, name),
            Err(_) => outside(name),
        };
        let mut keys: Vec<u64> = self
            .mentions(function)
            .flat_map(|name| [named(name), key_of(name)])
            .collect();
        let asks = ASKING_FOR_VARIABLES.map(|name| named(name_hash(name)));
        if asks.iter().any(|name| keys.contains(name)) {
            keys.push(named(name_hash("environ")));
        }
        keys
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

/// In place of a key: any attribute may be set.
pub const ANY_ATTRIBUTE: u64 = 0;

/// The classes that aren't in functions.
fn classes(root: Node<'_>, source: &[u8]) -> Vec<Class> {
    let mut found = Vec::new();
    outside_of_functions(root, |node| {
        if node.kind() == "class_definition"
            && let Some(name) = node.child_by_field_name("name")
        {
            let bases = node.child_by_field_name("superclasses");
            let bases = bases.map_or_else(Vec::new, |bases| state::identifiers(bases, source));
            found.push(Class {
                name: name_hash(state::text(name, source)),
                bases: bases.into_iter().map(name_hash).collect(),
            });
        }
    });
    found
}

/// The names of what is called outside of functions.
fn called(root: Node<'_>, source: &[u8]) -> Vec<u64> {
    let mut found = FxHashSet::default();
    outside_of_functions(root, |node| {
        let target = match node.kind() {
            "call" => node.child_by_field_name("function"),
            "decorator" => Some(node),
            _ => None,
        };
        if let Some(target) = target {
            found.extend(
                state::identifiers(target, source)
                    .into_iter()
                    .map(name_hash),
            );
        }
    });
    found.into_iter().collect()
}

/// A node and all that are below it, in no order that matters; with a stack of its own, since sources may be nested deeper than the machine's
/// stack bears.
fn descendants<'tree>(node: Node<'tree>) -> impl Iterator<Item = Node<'tree>> {
    let mut pending = vec![node];
    std::iter::from_fn(move || {
        let node = pending.pop()?;
        let mut cursor = node.walk();
        pending.extend(node.named_children(&mut cursor));
        Some(node)
    })
}

/// Visits the nodes that aren't in the bodies of functions.
fn outside_of_functions<'tree>(root: Node<'tree>, mut visit: impl FnMut(Node<'tree>)) {
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        visit(node);
        let body = match node.kind() {
            "function_definition" => node.child_by_field_name("body"),
            _ => None,
        };
        let mut cursor = node.walk();
        let children = node.named_children(&mut cursor);
        pending.extend(children.filter(|child| Some(*child) != body));
    }
}

/// Whether what a call or a decorator makes of a function keeps what it gave.
fn keeps(node: Node<'_>, source: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&source[node.byte_range()]).to_lowercase();
    KEEPING.iter().any(|part| text.contains(part))
}

/// The name of pytest's fixture that puts back what was set by it, as a hash.
pub fn monkeypatch() -> u64 {
    name_hash("monkeypatch")
}

/// The key of a module's variable for those in its file.
fn own(file: &str, name: u64) -> u64 {
    key(&[b"own", file.as_bytes(), &name.to_le_bytes()])
}

/// The key of a module's variable for those who reach it from outside.
fn outside(name: u64) -> u64 {
    key(&[b"outside", &name.to_le_bytes()])
}

/// The key of a name, of which this is the hash.
fn named(hash: u64) -> u64 {
    key(&[b"name", &hash.to_le_bytes()])
}

/// A key: equal parts give equal ones.
fn key(parts: &[&[u8]]) -> u64 {
    use std::hash::{Hash, Hasher as _};
    let mut hasher = rustc_hash::FxHasher::default();
    parts.hash(&mut hasher);
    hasher.finish()
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
        Symbols::of(source.as_bytes(), "lib.py").expect("it parses")
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
    fn functions_are_tied_by_names_variables_and_attributes() {
        let source = "
CACHE = {}
def fill(): CACHE[1] = 2
def look(): return CACHE
def call(): return fill()
class A:
    def put(self): self.rows.append(1)
    def alias(self):
        rows = self.rows
        rows.add(1)
    def show(self): return self.rows
    def free(self): return self.others
    def __iter__(self): return 1
@cache
def kept(): return 1
def ask(): return kept()
def plain(): return logger.name
";
        let symbols = symbols(source);
        let of = |name: &str| {
            let mut functions = symbols.functions().iter();
            functions
                .find(|function| function.name == name)
                .expect("it is there")
        };
        let ties = |from: &str, to: &str| {
            let (from, to) = (of(from), of(to));
            let mut left = from.leaves.iter().chain(&from.sets);
            left.any(|key| symbols.gets(to).contains(key))
        };
        for (from, to) in [
            ("fill", "look"),
            ("A.put", "A.show"),
            ("A.alias", "A.show"),
            ("kept", "ask"),
        ] {
            assert!(ties(from, to), "{from} -> {to}");
        }
        for (from, to) in [
            ("fill", "call"),
            ("call", "look"),
            ("A.put", "A.free"),
            ("A.show", "A.put"),
            ("plain", "look"),
        ] {
            assert!(!ties(from, to), "{from} -> {to}");
        }
        assert!(
            symbols
                .mentions(of("call"))
                .any(|name| name == of("fill").simple)
        );
        assert!(of("A.__iter__").is_special && !of("plain").is_special);
        let outside = Symbols::of(b"def get(): return lib.CACHE\n", "other.py").expect("it parses");
        let mut left = of("fill").leaves.iter();
        assert!(left.any(|key| outside.gets(&outside.functions()[0]).contains(key)));
    }

    #[test]
    fn a_variable_that_is_only_looked_at_is_left_as_it_is() {
        let leaves = |body: &str| {
            let source =
                format!("ROWS = []\nclass A:\n    rows = {{}}\ndef f(self, x):\n    {body}\n");
            !symbols(&source).functions()[0].leaves.is_empty()
        };
        for body in [
            "return len(ROWS)",
            "return x in ROWS",
            "return ROWS[0] + 1",
            "for row in ROWS: print(row)",
            "if not ROWS: return 1",
            "return self.rows[0] == 2",
            "x.name = 1",
        ] {
            assert!(!leaves(body), "{body}");
        }
        for body in [
            "ROWS.append(1)",
            "ROWS[0] = 1",
            "return ROWS",
            "known = ROWS",
            "fill(ROWS)",
            "del ROWS[0]",
            "ROWS.anything()",
            "A.rows = 1",
            "cls.name = 1",
            "lib.name = 1",
            "self.rows.update(a=1)",
        ] {
            assert!(leaves(body), "{body}");
        }
    }

    #[test]
    fn what_does_not_parse_has_no_symbols() {
        for source in ["def f(: pass\n", "# coding: latin-1\nx = 1\n"] {
            assert!(Symbols::of(source.as_bytes(), "lib.py").is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_edit_of_a_word_changes_the_frame_or_a_function(at: proptest::sample::Index) {
            let words: Vec<usize> = FILE.char_indices().filter(|(_, c)| c.is_alphanumeric()).map(|(at, _)| at).collect();
            let at = words[at.index(words.len())];
            let mut after = FILE.to_owned();
            after.insert(at, 'x');
            if let Some(after) = Symbols::of(after.as_bytes(), "lib.py") {
                let before = symbols(FILE);
                let same = before.frame() == after.frame() && before.functions().iter().all(|function| before.digest(&function.name) == after.digest(&function.name));
                proptest::prop_assert!(!same);
            }
        }

        #[test]
        fn no_source_makes_it_panic(source in "(def |async |class |lambda: |:|\n|    |\\(|\\)|'|\"|=|x|@|,|yield |global x){0,40}") {
            let _ = Symbols::of(source.as_bytes(), "lib.py");
        }
    }
}
