//! The slice of a test: the part of its file that its outcome can depend on (Weiser, *Program Slicing*, 1981), by its text alone.
//!
//! A test file is its test functions, and a *frame* of everything else: imports, fixtures, helpers, classes with their other methods,
//! decorators that do something when the file is imported. A test's slice is the frame, its own function, and each test function that
//! the two may call or that shares a variable with it that one could change and the other see. So an edit of one test, or a new one,
//! leaves the slices of the others as they are, while an edit of anything that they have in common changes all of them.
//!
//! By its text nearly every variable may be shared: each test that says `form.name` may mean the `name` that a class of the file has. Where
//! it was seen in which variables tests leave something, a slice *by leftovers* goes by these alone.
//!
//! Comments and layout don't count. A file that doesn't parse, or code that could find out about the rest of the file (its line
//! numbers, its globals by computed names), has no slices: the whole file counts then.

use std::collections::BTreeSet;

use dx_py_core::{Digest, Hasher};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::syntax::Syntax;
use crate::tokens::Tokens;

mod functions;
mod reach;
mod shared;

use functions::{Finder, Found};
use reach::{Joined, Reach};
use shared::shared_variables;

/// Names that let code see its own place, its source, or names that it makes up while it runs.
const REVEALING: [&str; 23] = [
    "__code__",
    "__dict__",
    "_getframe",
    "co_firstlineno",
    "currentframe",
    "doctest",
    "extract_stack",
    "extract_tb",
    "f_lineno",
    "findsource",
    "format_stack",
    "getframeinfo",
    "getmembers",
    "getrepr",
    "getsource",
    "getsourcelines",
    "inspect",
    "linecache",
    "lineno",
    "longrepr",
    "longreprtext",
    "tb_lineno",
    "traceback",
];
/// Functions of Python's own that do, by whatever name they are called, but that aren't meant where something else has an attribute of
/// their name.
const REVEALING_BUILTINS: [&str; 2] = ["globals", "locals"];
/// Functions that do, where they are called by their plain names.
const REVEALING_CALLS: [&str; 6] = ["__import__", "compile", "dir", "eval", "exec", "vars"];
/// With the module's own name, a way to the module's globals.
const WAYS_TO_MODULES: [&str; 2] = ["modules", "import_module"];

/// The slices of one file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slices {
    /// The digest of the slice of the test functions of a name; none if the whole file counts for them.
    digests: FxHashMap<String, Option<Digest>>,
    /// What the frame says; none if something in it could tell it about the rest of the file.
    frame: Option<Digest>,
    /// What each test function says; none for one that could find out about the rest.
    tests: Vec<Option<Digest>>,
    reach: Reach,
    /// What the frame reaches.
    of_frame: Vec<usize>,
}

/// A part of a file: its name if it is a test function, what it says, and the names that it mentions.
#[derive(Debug)]
struct Part {
    name: String,
    digest: Digest,
    tokens: Tokens,
    /// Whether something in it could tell it about the rest of the file.
    reveals: bool,
}

impl Part {
    /// The part below `node`; `stem` is the file's name without its ending.
    fn new(name: &str, classes: &str, tokens: Tokens, stem: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.field(classes).field(name).field(tokens.bytes());
        Self {
            name: name.to_owned(),
            digest: hasher.finish(),
            reveals: reveals(&tokens, stem),
            tokens,
        }
    }
}

impl Slices {
    /// The slices of a source; none if it doesn't parse, or isn't plainly UTF-8. `stem` is the file's name without its ending: who
    /// mentions it may compare with places in it.
    pub fn of(source: &[u8], stem: &str) -> Option<Self> {
        let syntax = Syntax::of(source)?;
        let root = syntax.root();
        let functions = Finder::functions(root);
        let left_out: FxHashSet<usize> = functions.iter().map(|found| found.node.id()).collect();
        let test = |found: &Found<'_>| {
            let tokens = Tokens::of(found.node, &FxHashSet::default());
            Part::new(&found.name, &found.classes, tokens, stem)
        };
        let mut shared = BTreeSet::new();
        shared_variables(root, &left_out, &mut shared);
        let frame = Part::new("", "", Tokens::of(root, &left_out), stem);
        let tests: Vec<Part> = functions.iter().map(test).collect();
        let reach = Reach::new(&tests, shared);
        let told = |part: &Part| (!part.reveals).then_some(part.digest);
        let mut slices = Self {
            digests: FxHashMap::default(),
            frame: told(&frame),
            of_frame: reach.reached_by_frame(&frame),
            reach,
            tests: tests.iter().map(told).collect(),
        };
        let names = slices.reach.names();
        slices.digests = names
            .map(|name| (name.to_owned(), slices.compute(name, None)))
            .collect();
        Some(slices)
    }

    /// The digest of the slice of the test functions of that name, in whatever class of the file; none if there is no such function,
    /// or the whole file counts for it. Behind a `|` follow, for a slice by leftovers, the variables that count, as
    /// `Input::slice_by_leftovers` writes them.
    pub fn digest(&self, slice: &str) -> Option<Digest> {
        match parts(slice) {
            (function, Some(joints)) => self.compute(function, Some(&joints)),
            (function, None) => self.digests.get(function).copied().flatten(),
        }
    }

    /// The names of the test functions that aren't in a slice.
    pub fn left_out(&self, slice: &str) -> FxHashSet<&str> {
        let (function, joints) = parts(slice);
        let named = self.reach.named(function).unwrap_or_default();
        let within = self.within(named, joints.as_ref());
        let left_out = |numbers: &[usize]| numbers.iter().all(|number| !within.contains(number));
        let tests = self.reach.names();
        tests
            .filter(|name| self.reach.named(name).is_some_and(left_out))
            .collect()
    }

    /// The names of the variables that the file's tests may share, by its text.
    pub fn shared(&self) -> impl Iterator<Item = &str> {
        self.reach.variables()
    }

    fn compute(&self, function: &str, joints: Option<&Joints<'_>>) -> Option<Digest> {
        let named = self.reach.named(function)?;
        let mut hasher = Hasher::new();
        hasher.field(self.frame?.0);
        for number in self.within(named, joints) {
            hasher.field(self.tests[number]?.0);
        }
        Some(hasher.finish())
    }

    /// The tests in the slice of these.
    fn within(&self, tests: &[usize], joints: Option<&Joints<'_>>) -> BTreeSet<usize> {
        let start = tests.iter().chain(&self.of_frame).copied();
        self.reach.closure(start, |variable| match joints {
            None => Joined::ToAll,
            Some(joints) => match joints.get(variable).map(Vec::as_slice) {
                None => Joined::ToNone,
                Some([]) => Joined::ToAll,
                Some(leavers) => Joined::To(leavers),
            },
        })
    }
}

/// Of a slice by leftovers the variables that count, with the test functions that left something there, none for any.
type Joints<'s> = FxHashMap<&'s str, Vec<&'s str>>;

/// The test function of a slice, and, of one by leftovers, the variables that count.
fn parts(slice: &str) -> (&str, Option<Joints<'_>>) {
    let Some((function, variables)) = slice.split_once('|') else {
        return (slice, None);
    };
    let joint = |said| match str::split_once(said, '=') {
        Some((name, leavers)) => (name, leavers.split('+').collect()),
        None => (said, Vec::new()),
    };
    (function, Some(variables.split(',').map(joint).collect()))
}

/// Whether something in these tokens could tell code about the rest of its file.
fn reveals(tokens: &Tokens, stem: &str) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| tokens.mentions(name));
    REVEALING.iter().any(|name| tokens.uses(name))
        || if has(&["builtins", "__builtins__"]) {
            has(&REVEALING_BUILTINS)
        } else {
            let mut builtins = REVEALING_BUILTINS.iter();
            builtins.any(|name| tokens.mentions_plainly(name))
        }
        || REVEALING_CALLS.iter().any(|name| tokens.calls(name))
        || tokens.mentions("__name__") && has(&WAYS_TO_MODULES)
        || tokens.quotes(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(source: &str, function: &str) -> Option<Digest> {
        Slices::of(source.as_bytes(), "test_file")?.digest(function)
    }

    /// Whether the change of a source leaves the slice of `test_b` as it is.
    fn spares(before: &str, after: &str) -> bool {
        let before = digest(before, "test_b").expect("it has a slice");
        digest(after, "test_b") == Some(before)
    }

    const FILE: &str = "\
import pytest

LIMIT = 3
CACHE = {}

@pytest.fixture
def value():
    return 1

def helper():
    return LIMIT

class TestA:
    def help(self):
        return 2

    def test_m(self):
        assert self.help()

def test_a(value):
    \"\"\"About a.\"\"\"
    CACHE[1] = helper()

def test_b(value):
    assert helper() == LIMIT

@pytest.mark.parametrize('x', [1, LIMIT])
def test_c(x):
    assert CACHE
";

    #[test]
    fn an_edit_of_another_test_a_new_one_and_comments_spare_a_test() {
        for (from, to) in [
            ("CACHE[1] = helper()", "CACHE[2] = helper() or 5"),
            ("About a.", "About another."),
            ("assert self.help()", "assert self.help() == 2"),
            ("[1, LIMIT]", "[1, 2, LIMIT]"),
            (
                "def test_a(value)",
                "def test_new():\n    assert 0\n\ndef test_a(value)",
            ),
            ("def test_a(value):", "@pytest.mark.slow\ndef test_a():"),
            ("LIMIT = 3", "LIMIT = 3  # three\n\n"),
            (
                "    assert helper() == LIMIT",
                "\n    assert  helper(\n) == LIMIT # so",
            ),
        ] {
            let after = FILE.replace(from, to);
            assert_ne!(FILE, after);
            assert!(spares(FILE, &after), "{from} -> {to}");
        }
    }

    #[test]
    fn an_edit_of_what_tests_have_in_common_spares_none() {
        for (from, to) in [
            ("import pytest", "import pytest, os"),
            ("LIMIT = 3", "LIMIT = 4"),
            ("return LIMIT", "return LIMIT + 1"),
            ("return 1", "return 2"),
            ("return 2", "return 3"),
            ("assert helper() == LIMIT", "assert helper() != LIMIT"),
            ("def test_a(value):", "@register\ndef test_a(value):"),
            ("[1, LIMIT]", "[1, make()]"),
            ("def test_a(value)", "def test_a(value=make())"),
            ("class TestA:", "class TestA(Base):"),
        ] {
            let after = FILE.replace(from, to);
            assert_ne!(FILE, after);
            assert!(!spares(FILE, &after), "{from} -> {to}");
        }
    }

    #[test]
    fn structure_that_is_layout_counts() {
        let before = "def test_b():\n    if x:\n        y()\n    z()\n";
        assert!(!spares(before, &before.replace("    z()", "        z()")));
    }

    #[test]
    fn tests_that_share_a_variable_that_can_change_are_in_each_others_slices() {
        let both = |first: &str, second: &str, body: &str| {
            format!("{first}\ndef test_a():\n    {body}\n\ndef test_b():\n    {second}\n")
        };
        for (frame, use_in_b, use_in_a) in [
            ("CACHE = {}", "assert CACHE", "CACHE.clear()"),
            ("N = 1", "assert N", "global N; N = 2"),
            ("client = make()", "client.get()", "client.login()"),
            ("import lib", "assert lib.flag", "lib.flag = 1"),
            (
                "@pytest.fixture(scope='module')\ndef db(): pass",
                "use('db')",
                "db.add()",
            ),
            ("", "test_a()", "pass"),
            (
                "def help(): return CACHE\nCACHE = []",
                "help()",
                "CACHE.append(1)",
            ),
            (
                "class TestA:\n    @classmethod\n    def setup_class(cls): cls.db = 1",
                "x.db",
                "y.db",
            ),
        ] {
            let before = both(frame, use_in_b, use_in_a);
            let after = both(frame, use_in_b, &format!("{use_in_a}; more()"));
            assert!(!spares(&before, &after), "{before}");
        }
        let before = both("N = (1, 'a', -2)", "assert N", "assert N");
        assert!(spares(
            &before,
            &both("N = (1, 'a', -2)", "assert N", "assert not N")
        ));
    }

    #[test]
    fn by_leftovers_only_those_variables_count() {
        let before = "A, B = [], []\ndef test_a(): A.add(B)\n\ndef test_b(): assert B\n\ndef test_c(): assert A\n";
        let after = before.replace("A.add(B)", "A.add(B, 1)");
        let is_spared = |slice: &str| {
            let old = digest(before, slice).expect("it has a slice");
            digest(&after, slice) == Some(old)
        };
        for (slice, expected) in [
            ("test_b", false),
            ("test_b|", true),
            ("test_b|A", true),
            ("test_b|A,B", false),
            ("test_c|B", true),
            ("test_c|A", false),
            ("test_a|", false),
            ("test_b|B=test_a", false),
            ("test_b|B=test_c", true),
            ("test_c|A=test_c+test_a,B", false),
            ("test_c|A=test_c,B", true),
        ] {
            assert_eq!(is_spared(slice), expected, "{slice}");
        }
        assert_eq!(digest(before, "test_d|A"), None);
        let slices = Slices::of(before.as_bytes(), "test_file").expect("it parses");
        assert_eq!(slices.shared().collect::<Vec<_>>(), ["A", "B"]);
        let left_out = |slice| {
            let mut names: Vec<&str> = slices.left_out(slice).into_iter().collect();
            names.sort_unstable();
            names
        };
        assert_eq!(left_out("test_b|B"), ["test_c"]);
        assert_eq!(left_out("test_b|"), ["test_a", "test_c"]);
        assert_eq!(left_out("test_b|A=test_c,B=test_c"), ["test_a"]);
        assert!(left_out("test_b").is_empty());
    }

    #[test]
    fn code_that_can_find_out_about_the_rest_of_its_file_has_no_slice() {
        for body in [
            "assert globals()",
            "look = globals; look()",
            "from builtins import locals as here",
            "assert builtins.globals()",
            "getattr(module, 'globals')()",
            "from inspect import stack",
            "import traceback as tb",
            "assert str(error) == 'test_file.py:3'",
            "assert path.endswith('test_file')",
            "assert inspect.getsource(f)",
            "assert record.lineno == 3",
            "assert 'test_file.py:3' in text",
            "assert sys.modules[__name__].x",
            "eval('x')",
        ] {
            let source = format!("def test_b():\n    {body}\n\ndef test_a(): pass\n");
            assert_eq!(digest(&source, "test_b"), None, "{body}");
            assert!(digest(&source, "test_a").is_some(), "{body}");
            assert_eq!(
                digest(&format!("def help():\n    {body}\n{source}"), "test_a"),
                None
            );
        }
        for frame in [
            "import re\nX = re.compile('a')",
            "from flask.globals import request\nX = env.globals['a']",
            "import inspect\nX = '<tests.test_file.C object>'",
        ] {
            let source = format!("{frame}\ndef test_a(): pass\n");
            assert!(digest(&source, "test_a").is_some(), "{frame}");
        }
        for source in [
            "def test_a(: pass\n",
            "# coding: latin-1\ndef test_a(): pass\n",
            "def other(): pass\n",
        ] {
            assert_eq!(digest(source, "test_a"), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_edit_of_a_word_of_its_slice_changes_it(at: proptest::sample::Index) {
            let frame_and_own = FILE.split("def test_a").next().unwrap().to_owned() + "def test_b(value):\n    assert helper() == LIMIT\n";
            let words: Vec<usize> = frame_and_own.char_indices().filter(|(_, c)| c.is_alphanumeric()).map(|(at, _)| at).collect();
            let at = words[at.index(words.len())];
            // What is in the method of a test isn't in the slice.
            proptest::prop_assume!(!frame_and_own[..at].ends_with("test_m(") && !(frame_and_own.find("def test_m").unwrap()..frame_and_own.find("def test_b").unwrap()).contains(&at));
            let mut after = frame_and_own.clone();
            after.insert(at, 'x');
            proptest::prop_assert_ne!(digest(&frame_and_own, "test_b"), digest(&after, "test_b"));
        }

        #[test]
        fn no_source_makes_it_panic(source in "(def |test_a|class |:|\n|    |\\(|\\)|'|\"|f\"\\{|\\}|=|x|@|,|global |#){0,40}") {
            let _ = digest(&source, "test_a");
        }
    }
}
