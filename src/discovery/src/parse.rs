//! Finds the tests in one source.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use dx_py_core::{Marker, RelPath, TestCase, TestId};
use tree_sitter::{Node, Parser, Tree};

thread_local! {
    /// A parser keeps its memory, which for a small source takes longer to get than to use.
    static PARSER: RefCell<Parser> = RefCell::new(python_parser());
}

fn python_parser() -> Parser {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .expect("the grammar and the library are pinned to versions that fit");
    parser
}

/// The syntax tree of a source; `None` only if the parser gives up.
pub fn parse(source: &[u8]) -> Option<Tree> {
    PARSER.with_borrow_mut(|parser| parser.parse(source, None))
}

/// Sources that were found changed, with their trees, until more is looked for in them.
static CHANGED: Mutex<Vec<(Vec<u8>, Tree)>> = Mutex::new(Vec::new());

/// How many bytes these sources may have together; a tree takes some twenty times as many.
const CHANGED_BYTES: usize = 512 << 10;

/// Keeps the tree of a source that has changed: its tests and imports have been found in it, and its symbols are about to be looked for.
pub(crate) fn keep(source: Vec<u8>, tree: Tree) {
    let mut kept = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes: usize = kept.iter().map(|(source, _)| source.len()).sum();
    if bytes + source.len() <= CHANGED_BYTES {
        kept.push((source, tree));
    }
}

/// The tree of a source: the one that is kept, which is let go, or else a new one. `None` only if the parser gives up.
pub(crate) fn take_or_parse(source: &[u8]) -> Option<Tree> {
    let mut kept = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    let place = kept.iter().position(|(known, _)| known == source);
    let tree = place.map(|place| kept.swap_remove(place).1);
    drop(kept);
    tree.or_else(|| parse(source))
}

/// Whether a function of that name is a test: `test*`, as pytest collects, or `*_test`.
pub fn is_test_function(name: &str) -> bool {
    name.starts_with("test") || name.ends_with("_test")
}

/// Whether a class of that name holds tests.
pub fn is_test_class(name: &str) -> bool {
    name.starts_with("Test")
}

/// The tests of a source: functions by their name or by a `pytest.mark` on them, at the top level and in classes `Test*`, wherever
/// an `if`, `try` or `with` puts them. Sources with syntax errors give what can be made out.
pub fn tests(path: &RelPath, tree: &Tree, source: &[u8]) -> Vec<TestCase> {
    let mut finder = Finder {
        path,
        source,
        found: Vec::new(),
    };
    finder.block(tree.root_node(), &[], &[]);
    finder.found
}

struct Finder<'a> {
    path: &'a RelPath,
    source: &'a [u8],
    found: Vec<TestCase>,
}

impl Finder<'_> {
    fn text(&self, node: Node<'_>) -> String {
        String::from_utf8_lossy(&self.source[node.byte_range()]).into_owned()
    }

    fn name(&self, node: Node<'_>) -> Option<String> {
        node.child_by_field_name("name").map(|name| self.text(name))
    }

    fn block(&mut self, node: Node<'_>, classes: &[String], marks: &[Marker]) {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match child.kind() {
                "function_definition" => self.function(child, classes, Vec::new(), marks),
                "class_definition" => self.class(child, classes, Vec::new(), marks),
                "decorated_definition" => {
                    let own = self.marks(child);
                    match child.child_by_field_name("definition") {
                        Some(inner) if inner.kind() == "function_definition" => {
                            self.function(inner, classes, own, marks);
                        }
                        Some(inner) => self.class(inner, classes, own, marks),
                        None => {}
                    }
                }
                "if_statement" | "elif_clause" | "else_clause" | "try_statement"
                | "except_clause" | "finally_clause" | "with_statement" | "for_statement"
                | "while_statement" | "block" | "match_statement" | "case_clause" | "ERROR" => {
                    self.block(child, classes, marks);
                }
                _ => {}
            }
        }
    }

    fn function(&mut self, node: Node<'_>, classes: &[String], own: Vec<Marker>, marks: &[Marker]) {
        let Some(name) = self.name(node) else { return };
        if !is_test_function(&name) && own.is_empty() {
            return;
        }
        let mut id = self.path.as_str().to_owned();
        for part in classes.iter().chain([&name]) {
            id.push_str("::");
            id.push_str(part);
        }
        let mut markers = own;
        markers.extend_from_slice(marks);
        self.found.push(TestCase {
            id: TestId::new(id),
            file: self.path.clone(),
            class: (!classes.is_empty()).then(|| classes.join("::")),
            function: name,
            line: u32::try_from(node.start_position().row + 1).unwrap_or(u32::MAX),
            markers,
        });
    }

    fn class(&mut self, node: Node<'_>, classes: &[String], own: Vec<Marker>, marks: &[Marker]) {
        let Some(name) = self.name(node).filter(|name| is_test_class(name)) else {
            return;
        };
        let Some(body) = node.child_by_field_name("body") else {
            return;
        };
        let mut classes = classes.to_vec();
        classes.push(name);
        let mut all = own;
        all.extend_from_slice(marks);
        self.block(body, &classes, &all);
    }

    /// The marks among the decorators, the nearest to the definition first.
    fn marks(&self, decorated: Node<'_>) -> Vec<Marker> {
        let mut cursor = decorated.walk();
        let mut marks: Vec<Marker> = decorated
            .named_children(&mut cursor)
            .filter(|child| child.kind() == "decorator")
            .filter_map(|decorator| self.mark(decorator.named_child(0)?))
            .collect();
        marks.reverse();
        marks
    }

    fn mark(&self, expression: Node<'_>) -> Option<Marker> {
        let (target, arguments) = match expression.kind() {
            "call" => (
                expression.child_by_field_name("function")?,
                expression.child_by_field_name("arguments"),
            ),
            _ => (expression, None),
        };
        let dotted = self.text(target);
        let name = dotted
            .strip_prefix("pytest.mark.")
            .or_else(|| dotted.strip_prefix("mark."))?;
        let mut marker = Marker::bare(name);
        if let Some(arguments) = arguments {
            let mut cursor = arguments.walk();
            for argument in arguments.named_children(&mut cursor) {
                match argument.kind() {
                    "keyword_argument" => {
                        let value = argument.child_by_field_name("value")?;
                        marker.kwargs.push((self.name(argument)?, self.text(value)));
                    }
                    "comment" => {}
                    _ => marker.args.push(self.text(argument)),
                }
            }
        }
        Some(marker)
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use proptest::prelude::*;

    fn found(source: &str) -> Vec<TestCase> {
        let path = RelPath::from_text("t.py").unwrap();
        tests(&path, &parse(source.as_bytes()).unwrap(), source.as_bytes())
    }

    fn ids(source: &str) -> Vec<String> {
        found(source)
            .iter()
            .map(|test| test.id.name().to_owned())
            .collect()
    }

    #[test]
    fn a_tree_that_is_kept_is_that_of_its_very_source_and_let_go_when_it_is_taken() {
        let is_kept = |source: &[u8]| {
            let kept = CHANGED.lock().unwrap();
            kept.iter().any(|(known, _)| known == source)
        };
        let source = b"def test_kept(): pass\n";
        keep(source.to_vec(), parse(source).unwrap());
        let other = take_or_parse(b"def test_kept(): 1\n").unwrap();
        assert_eq!(other.root_node().end_byte(), 19);
        assert!(is_kept(source));
        let taken = take_or_parse(source).unwrap();
        assert_eq!(taken.root_node().end_byte(), source.len());
        assert!(!is_kept(source));
        let large = vec![b'#'; CHANGED_BYTES + 1];
        keep(large.clone(), parse(&large).unwrap());
        assert!(!is_kept(&large));
    }

    #[test]
    fn definitions_are_found_wherever_they_are_bound() {
        let source = "
if True:
    def test_a(): pass
else:
    async def test_b():
        def test_inner(): pass
try:
    class TestC:
        class TestD:
            def test_e(self): pass
        def helper(self): pass
except ImportError:
    pass
class Other:
    def test_f(self): pass
def g_test(): pass
";
        assert_eq!(
            ids(source),
            ["test_a", "test_b", "TestC::TestD::test_e", "g_test"]
        );
    }

    #[test]
    fn marks_of_function_and_class_are_kept_in_order() {
        let source = "
@pytest.mark.slow
class TestA:
    @pytest.mark.parametrize('x', [1, 2], ids=str)
    @pytest.mark.skip
    def test_b(self, x): pass
@pytest.mark.network
def check(): pass
";
        let tests = found(source);
        let names: Vec<&str> = tests[0].markers.iter().map(|mark| &*mark.name).collect();
        assert_eq!(names, ["skip", "parametrize", "slow"]);
        assert_eq!(tests[0].markers[1].args, ["'x'", "[1, 2]"]);
        assert_eq!(
            tests[0].markers[1].kwargs,
            [("ids".to_owned(), "str".to_owned())]
        );
        assert_eq!((tests[0].line, &*tests[1].function), (6, "check"));
    }

    #[test]
    fn syntax_errors_and_bytes_that_are_no_text_do_not_matter() {
        assert_eq!(ids("def test_a(): pass\ndef broken(:\n"), ["test_a"]);
        let path = RelPath::from_text("t.py").unwrap();
        let source = b"# \xff\xfe\ndef test_a(): pass\n";
        assert_eq!(tests(&path, &parse(source).unwrap(), source).len(), 1);
    }

    proptest! {
        // Property 1: test function detection
        #[test]
        fn exactly_the_functions_with_a_tests_name_or_mark_are_found(
            functions in prop::collection::vec(("(test_|test|check_|)[a-z]{1,5}(_test|)", any::<bool>(), any::<bool>()), 0..12),
        ) {
            let mut source = String::new();
            let mut expected = Vec::new();
            for (number, (name, marked, in_class)) in functions.iter().enumerate() {
                let name = if in_class | marked { format!("{name}{number}") } else { name.clone() };
                let pad = if *in_class { "    " } else { "" };
                if *in_class {
                    source.push_str(&format!("class TestK{number}:\n"));
                }
                if *marked {
                    source.push_str(&format!("{pad}@pytest.mark.m{number}\n"));
                }
                source.push_str(&format!("{pad}def {name}():\n{pad}    return 1\n"));
                if name.starts_with("test") || name.ends_with("_test") || *marked {
                    expected.push(if *in_class { format!("TestK{number}::{name}") } else { name });
                }
            }
            prop_assert_eq!(ids(&source), expected);
        }
    }
}
