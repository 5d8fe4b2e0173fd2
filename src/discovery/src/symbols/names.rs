//! What a name in a source isn't: one of elsewhere.

use crate::syntax::{Node, Step};

/// Whether a name is only what an argument or an attribute is called.
pub(super) fn is_label(name: Node<'_>) -> bool {
    is_of_argument(name)
        || name.parent().is_some_and(|parent| {
            parent.kind() == "attribute" && parent.field("attribute") == Some(name)
        })
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
    let mut around = name.parent();
    if around.is_some_and(|parent| parent.field("attribute") == Some(name)) {
        return false;
    }
    while let Some(node) = around {
        if matches!(node.kind(), "function_definition" | "lambda")
            && let Some(is_own) = binds(node, name.text())
        {
            return is_own;
        }
        around = node.parent();
    }
    false
}

/// Whether what a function knows by that name is its own variable, other than one of a function or class inside of it; none if it doesn't
/// say what that is.
fn binds(function: Node<'_>, name: &str) -> Option<bool> {
    let is_named = |node: Option<Node<'_>>| {
        node.is_some_and(|node| node.kind() == "identifier" && node.text() == name)
    };
    let (mut is_bound, mut is_elsewhere) = (false, false);
    function.walk(|step| {
        let Step::Enter(node) = step else {
            return true;
        };
        match node.kind() {
            "function_definition" | "lambda" | "class_definition" if node != function => {
                return false;
            }
            // It is the module's, or imported, which is what is asked about.
            "global_statement" | "import_statement" | "import_from_statement" => {
                is_elsewhere |= node
                    .descendants()
                    .any(|descendant| is_named(Some(descendant)));
            }
            "parameters" | "lambda_parameters" => {
                is_bound |= node.named_children().any(|each| {
                    let inner = each.field("name").or_else(|| each.named_children().next());
                    is_named(Some(each)) || is_named(inner)
                });
            }
            "assignment" => is_bound |= is_named(node.field("left")),
            _ => {}
        }
        true
    });
    (is_bound || is_elsewhere).then_some(!is_elsewhere)
}

/// Whether a name is what a statement binds.
pub(super) fn is_bound(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| {
        matches!(parent.kind(), "assignment" | "augmented_assignment")
            && parent.field("left") == Some(name)
    })
}
