//! The test functions that a file's frame can do without.

use crate::syntax::Node;

/// Finds the test functions that a frame does without.
pub(super) struct Finder<'s> {
    functions: Vec<Found<'s>>,
    /// The classes that are being looked into, the outermost first.
    classes: Vec<String>,
}

/// A test function: its name, the classes around it, and what the frame is without.
pub(super) struct Found<'s> {
    pub(super) name: String,
    pub(super) classes: String,
    pub(super) node: Node<'s>,
}

impl<'s> Finder<'s> {
    /// The test functions below the root of a source's tree.
    pub(super) fn functions(root: Node<'s>) -> Vec<Found<'s>> {
        let mut finder = Self {
            functions: Vec::new(),
            classes: Vec::new(),
        };
        finder.block(root);
        finder.functions
    }

    fn block(&mut self, block: Node<'s>) {
        for child in block.named_children() {
            match child.kind() {
                "function_definition" => self.function(child, child),
                "class_definition" => self.class(child),
                "decorated_definition" => self.decorated(child),
                _ => {}
            }
        }
    }

    fn class(&mut self, class: Node<'s>) {
        let name = class.field("name");
        if let (Some(name), Some(body)) = (name, class.field("body")) {
            self.classes.push(name.text().to_owned());
            self.block(body);
            self.classes.pop();
        }
    }

    fn decorated(&mut self, decorated: Node<'s>) {
        let Some(definition) = decorated.field("definition") else {
            return;
        };
        let decorators: Vec<How> = decorated
            .named_children()
            .filter(|child| child.kind() == "decorator")
            .map(|decorator| self.how(decorator))
            .collect();
        if decorators.contains(&How::Unknown) {
            return;
        }
        let is_bare = decorators.iter().all(|how| *how == How::Marks);
        match definition.kind() {
            // What is called when the file is imported stays in the frame.
            "function_definition" if is_bare => self.function(definition, decorated),
            "function_definition" => self.function(definition, definition),
            "class_definition" => self.class(definition),
            _ => {}
        }
    }

    fn function(&mut self, function: Node<'s>, whole: Node<'s>) {
        let Some(name) = function.field("name") else {
            return;
        };
        let name = name.text().to_owned();
        let signature = [function.field("parameters"), function.field("return_type")];
        let calls = signature.into_iter().flatten().any(has_call);
        if name.starts_with("test") && !calls {
            self.functions.push(Found {
                name,
                classes: self.classes.join("::"),
                node: whole,
            });
        }
    }

    /// What a decorator does to a test function when the file is imported.
    fn how(&self, decorator: Node<'_>) -> How {
        let Some(expression) = decorator.named_children().next() else {
            return How::Unknown;
        };
        let (target, arguments) = match expression.kind() {
            "call" => (expression.field("function"), expression.field("arguments")),
            _ => (Some(expression), None),
        };
        let target = target.map_or("", |target| target.text());
        let known = target.starts_with("pytest.mark.")
            || target.starts_with("mark.")
            || target.starts_with("unittest.skip")
            || ["patch", "mock.patch", "unittest.mock.patch"]
                .iter()
                .any(|patch| {
                    let rest = target.strip_prefix(patch);
                    rest.is_some_and(|rest| matches!(rest, "" | ".object" | ".dict" | ".multiple"))
                });
        match known {
            false => How::Unknown,
            true if arguments.is_some_and(calls_more_than_param) => How::Calls,
            true => How::Marks,
        }
    }
}

/// What a decorator does when the file is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// It marks the function, or keeps what is to be patched.
    Marks,
    /// The same, and its arguments call something.
    Calls,
    /// Nobody knows: it may keep the function for others.
    Unknown,
}

fn has_call(node: Node<'_>) -> bool {
    node.descendants()
        .any(|node| matches!(node.kind(), "call" | "await" | "named_expression"))
}

/// Whether arguments call anything but `pytest.param`.
fn calls_more_than_param(arguments: Node<'_>) -> bool {
    arguments.descendants().any(|node| match node.kind() {
        "call" => node
            .field("function")
            .is_none_or(|function| function.text() != "pytest.param"),
        kind => matches!(kind, "await" | "yield" | "named_expression"),
    })
}
