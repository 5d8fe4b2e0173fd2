//! The variables through which the tests of a file can tell each other something.

use std::collections::{BTreeSet, HashSet};

use tree_sitter::Node;

/// Functions whose attributes outlive a test.
const WIDE_SETUPS: [&str; 4] = ["setUpClass", "setUpModule", "setup_class", "setup_module"];

/// Finds the names of what tests can change and see: variables of the module and of classes that don't hold something constant, those
/// that some function declares `global`, attributes that are set for a whole class, and fixtures that live longer than a test.
pub(super) fn shared_variables(
    root: Node<'_>,
    source: &[u8],
    tests: &HashSet<usize>,
    shared: &mut BTreeSet<String>,
) {
    let text = |node: Node<'_>| String::from_utf8_lossy(&source[node.byte_range()]).into_owned();
    let names = |node: Node<'_>, shared: &mut BTreeSet<String>| {
        let mut pending = vec![node];
        while let Some(node) = pending.pop() {
            if node.kind() == "identifier" {
                shared.insert(text(node));
            }
            let mut cursor = node.walk();
            pending.extend(node.named_children(&mut cursor));
        }
    };
    // Whether a node lies in a function, and whether in one that sets something up for many tests.
    let mut pending: Vec<(Node<'_>, bool, bool)> = vec![(root, false, false)];
    while let Some((node, in_function, is_wide)) = pending.pop() {
        let (mut in_function, mut is_wide) = (in_function, is_wide);
        match node.kind() {
            "global_statement" | "nonlocal_statement" => names(node, shared),
            "decorated_definition" if !tests.contains(&node.id()) => {
                let mut cursor = node.walk();
                let decorators = node.named_children(&mut cursor);
                let wide = decorators
                    .filter(|child| child.kind() == "decorator")
                    .any(|decorator| text(decorator).contains("scope"));
                if wide && let Some(definition) = node.child_by_field_name("definition") {
                    is_wide = true;
                    shared.extend(definition.child_by_field_name("name").map(text));
                }
            }
            "function_definition" => {
                in_function = true;
                let name = node.child_by_field_name("name").map(text);
                is_wide |= name.is_some_and(|name| WIDE_SETUPS.contains(&&*name));
            }
            "assignment" | "augmented_assignment" | "named_expression" => {
                let left = node
                    .child_by_field_name("left")
                    .or_else(|| node.child_by_field_name("name"));
                let right = node.child_by_field_name("right");
                let counts = match in_function {
                    true => is_wide || left.is_some_and(|left| is_of_another(left, &text)),
                    false => !right.is_some_and(is_constant),
                };
                if counts && let Some(left) = left {
                    names(left, shared);
                }
            }
            "for_statement" | "as_pattern" | "with_item" if !in_function => {
                let left = node
                    .child_by_field_name("left")
                    .or_else(|| node.child_by_field_name("alias"));
                if let Some(left) = left {
                    names(left, shared);
                }
            }
            _ => {}
        }
        let mut cursor = node.walk();
        let inner = node.named_children(&mut cursor);
        pending.extend(inner.map(|child| (child, in_function, is_wide)));
    }
    // They stand for the object that the attribute is of.
    for own in ["self", "cls", "request"] {
        shared.remove(own);
    }
}

/// Whether what is assigned to is an attribute of something else than the test's own instance: a class's, a module's.
fn is_of_another(left: Node<'_>, text: &dyn Fn(Node<'_>) -> String) -> bool {
    left.kind() == "attribute"
        && left
            .child_by_field_name("object")
            .is_some_and(|object| text(object) != "self")
}

/// Whether a value can't be changed: numbers, strings and the like, and tuples of them.
fn is_constant(value: Node<'_>) -> bool {
    let mut pending = vec![value];
    while let Some(node) = pending.pop() {
        match node.kind() {
            "string" => {
                let mut cursor = node.walk();
                if node
                    .named_children(&mut cursor)
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
                let mut cursor = node.walk();
                pending.extend(node.named_children(&mut cursor));
            }
            _ => return false,
        }
    }
    true
}
