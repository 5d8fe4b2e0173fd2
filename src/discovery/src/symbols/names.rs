//! What a name in a source isn't: one of elsewhere.

use rustc_hash::{FxHashMap, FxHashSet};

use super::identifiers;
use crate::syntax::{Node, Step};

/// Whether a name is only what an argument or an attribute is called.
pub(super) fn is_label(name: Node<'_>) -> bool {
    is_of_argument(name) || attribute_of(name).is_some()
}

/// The attribute that has this name.
pub(super) fn attribute_of(name: Node<'_>) -> Option<Node<'_>> {
    name.parent()
        .filter(|parent| parent.kind() == "attribute" && parent.field("attribute") == Some(name))
}

/// Whether a name is only what an argument is called.
pub(super) fn is_of_argument(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| {
        matches!(
            parent.kind(),
            "keyword_argument" | "default_parameter" | "typed_default_parameter"
        ) && parent.field("name") == Some(name)
    })
}

/// Whether a name that isn't an attribute's is that of a variable of the functions around it.
pub(super) fn is_local(name: Node<'_>) -> bool {
    Scopes::default().is_local(name)
}

/// The variables of functions, for who asks about many names.
#[derive(Default)]
pub(super) struct Scopes<'s> {
    /// By the identities of the functions.
    variables: FxHashMap<usize, Variables<'s>>,
}

/// The names that a function says what they are.
#[derive(Default)]
struct Variables<'s> {
    own: FxHashSet<&'s str>,
    /// Those of the module, and those that it imports.
    others: FxHashSet<&'s str>,
}

impl<'s> Scopes<'s> {
    /// As [`is_local`].
    pub(super) fn is_local(&mut self, name: Node<'s>) -> bool {
        let mut around = name.parent();
        if around.is_some_and(|parent| parent.field("attribute") == Some(name)) {
            return false;
        }
        // What a parameter is by default is said outside of its function.
        let (mut inner, mut is_default) = (name, false);
        while let Some(node) = around {
            is_default |= matches!(node.kind(), "default_parameter" | "typed_default_parameter")
                && node.field("value") == Some(inner);
            inner = node;
            let is_function = matches!(node.kind(), "function_definition" | "lambda");
            if is_function && !std::mem::take(&mut is_default) {
                let variables = self.variables.entry(node.id());
                let variables = variables.or_insert_with(|| Variables::of(node));
                if variables.others.contains(name.text()) {
                    return false;
                }
                if variables.own.contains(name.text()) {
                    return true;
                }
            }
            around = node.parent();
        }
        false
    }
}

impl<'s> Variables<'s> {
    /// Those of a function, without those of functions and classes inside of it.
    fn of(function: Node<'s>) -> Self {
        let mut found = Self::default();
        let identifier = |node: Option<Node<'s>>| {
            node.filter(|node| node.kind() == "identifier")
                .map(Node::text)
        };
        function.walk(|step| {
            let Step::Enter(node) = step else {
                return true;
            };
            match node.kind() {
                "function_definition" | "lambda" | "class_definition" if node != function => {
                    return false;
                }
                "global_statement" | "import_statement" | "import_from_statement" => {
                    found.others.extend(identifiers(node));
                }
                "parameters" | "lambda_parameters" => {
                    for each in node.named_children() {
                        let inner = each.field("name").or_else(|| each.named_children().next());
                        found
                            .own
                            .extend(identifier(Some(each)).or(identifier(inner)));
                    }
                }
                "assignment" => found.own.extend(identifier(node.field("left"))),
                _ => {}
            }
            true
        });
        found
    }
}

/// Whether a name is what a statement binds.
pub(super) fn is_bound(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| {
        matches!(parent.kind(), "assignment" | "augmented_assignment")
            && parent.field("left") == Some(name)
    })
}

/// Whether a node is in a statement that imports something.
pub(super) fn is_inside_import(node: Node<'_>) -> bool {
    let mut around = Some(node);
    while let Some(node) = around {
        if matches!(
            node.kind(),
            "import_statement" | "import_from_statement" | "future_import_statement"
        ) {
            return true;
        }
        if node.kind().ends_with("_statement") || node.kind() == "block" {
            return false;
        }
        around = node.parent();
    }
    false
}

/// Whether a node is a string into which no value is put when the code runs.
pub(super) fn is_plain_string(node: Node<'_>) -> bool {
    matches!(node.kind(), "string" | "concatenated_string")
        && !node
            .descendants()
            .any(|node| node.kind() == "interpolation")
}
