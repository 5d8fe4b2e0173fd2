//! The variables through which the tests of a file can tell each other something.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use crate::syntax::Node;

/// Functions whose attributes outlive a test.
const WIDE_SETUPS: [&str; 4] = ["setUpClass", "setUpModule", "setup_class", "setup_module"];

/// Finds the names of what tests can change and see: variables of the module and of classes that don't hold something constant, those
/// that some function declares `global`, attributes that are set for a whole class, and fixtures that live longer than a test.
pub(super) fn shared_variables(
    root: Node<'_>,
    tests: &FxHashSet<usize>,
    shared: &mut BTreeSet<String>,
) {
    let names = |node: Node<'_>, shared: &mut BTreeSet<String>| {
        let identifiers = node
            .descendants()
            .filter(|node| node.kind() == "identifier");
        shared.extend(identifiers.map(|node| node.text().to_owned()));
    };
    // Whether a node lies in a function, and whether in one that sets something up for many tests.
    let mut pending: Vec<(Node<'_>, bool, bool)> = vec![(root, false, false)];
    while let Some((node, in_function, is_wide)) = pending.pop() {
        let (mut in_function, mut is_wide) = (in_function, is_wide);
        match node.kind() {
            "global_statement" | "nonlocal_statement" => names(node, shared),
            "decorated_definition" if !tests.contains(&node.id()) => {
                let decorators = node.named_children();
                let wide = decorators
                    .filter(|child| child.kind() == "decorator")
                    .any(|decorator| decorator.text().contains("scope"));
                if wide && let Some(definition) = node.field("definition") {
                    is_wide = true;
                    shared.extend(definition.field("name").map(|name| name.text().to_owned()));
                }
            }
            "function_definition" => {
                in_function = true;
                let name = node.field("name").map(Node::text);
                is_wide |= name.is_some_and(|name| WIDE_SETUPS.contains(&name));
            }
            "assignment" | "augmented_assignment" | "named_expression" => {
                let left = node.field("left").or_else(|| node.field("name"));
                let right = node.field("right");
                let counts = match in_function {
                    true => is_wide || left.is_some_and(is_of_another),
                    false => !right.is_some_and(is_constant),
                };
                if counts && let Some(left) = left {
                    names(left, shared);
                }
            }
            "for_statement" | "as_pattern" | "with_item" if !in_function => {
                let left = node.field("left").or_else(|| node.field("alias"));
                if let Some(left) = left {
                    names(left, shared);
                }
            }
            _ => {}
        }
        let inner = node.named_children();
        pending.extend(inner.map(|child| (child, in_function, is_wide)));
    }
    // They stand for the object that the attribute is of.
    for own in ["self", "cls", "request"] {
        shared.remove(own);
    }
}

/// Whether what is assigned to is an attribute of something else than the test's own instance: a class's, a module's.
fn is_of_another(left: Node<'_>) -> bool {
    left.kind() == "attribute"
        && left
            .field("object")
            .is_some_and(|object| object.text() != "self")
}

/// Whether a value can't be changed: numbers, strings and the like, and tuples of them.
fn is_constant(value: Node<'_>) -> bool {
    let mut pending = vec![value];
    while let Some(node) = pending.pop() {
        match node.kind() {
            "string" => {
                if node
                    .named_children()
                    .any(|part| part.kind() == "interpolation")
                {
                    return false;
                }
            }
            "integer" | "float" | "true" | "false" | "none" | "ellipsis" | "comment" => {}
            "tuple"
            | "parenthesized_expression"
            | "unary_operator"
            | "binary_operator"
            | "concatenated_string" => {
                pending.extend(node.named_children());
            }
            _ => return false,
        }
    }
    true
}
