//! What functions may leave behind for those that run after them: by the names of variables and attributes.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use tree_sitter::Node;

use super::descendants;
use crate::tokens::name_hash;

/// Methods that change the object that they are called on.
const CHANGING: [&str; 19] = [
    "__setitem__",
    "add",
    "append",
    "appendleft",
    "clear",
    "connect",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "push",
    "put",
    "register",
    "remove",
    "set",
    "setdefault",
    "update",
];

/// Calls whose value is the same for whoever uses it.
const STATELESS: [&str; 15] = [
    "NewType",
    "ParamSpec",
    "Path",
    "Struct",
    "TypeVar",
    "attrgetter",
    "auto",
    "cast",
    "compile",
    "frozenset",
    "getLogger",
    "itemgetter",
    "namedtuple",
    "object",
    "version",
];

/// The variables of a file that can change, as hashes of their names.
pub(super) struct State {
    /// Those of the module.
    pub(super) variables: FxHashSet<u64>,
    /// Those of classes, which are reached by attributes.
    pub(super) attributes: FxHashSet<u64>,
    /// Names that imports bind, wherever they stand, and those that stand for something with another name.
    pub(super) borrowed: FxHashSet<u64>,
    /// Whether an import binds names that it doesn't say.
    pub(super) imports_all: bool,
}

impl State {
    pub(super) fn of(root: Node<'_>, source: &[u8]) -> Self {
        let mut state = Self {
            variables: FxHashSet::default(),
            attributes: FxHashSet::default(),
            borrowed: FxHashSet::default(),
            imports_all: false,
        };
        let mut pending = vec![(root, false, false)];
        while let Some((node, mut in_class, mut in_function)) = pending.pop() {
            match node.kind() {
                "function_definition" | "lambda" => in_function = true,
                "class_definition" => in_class = true,
                // Whatever it holds at first.
                "global_statement" => {
                    for name in identifiers(node, source) {
                        state.variables.insert(name_hash(name));
                    }
                }
                "import_statement" | "import_from_statement" => {
                    let names = imported_names(node, source);
                    state.borrowed.extend(names.into_iter().map(name_hash));
                }
                "wildcard_import" => state.imports_all = true,
                _ if in_function => {}
                // An annotation alone binds nothing.
                "assignment" if node.child_by_field_name("right").is_none() => {}
                "assignment"
                | "augmented_assignment"
                | "named_expression"
                | "for_statement"
                | "as_pattern"
                | "with_item" => {
                    let field = |name| node.child_by_field_name(name);
                    let target = assigned(node);
                    let is_stateless = field("right")
                        .or(field("value"))
                        .is_some_and(|value| is_stateless(value, source));
                    let names = match node.kind() {
                        "assignment" | "named_expression" if is_stateless => {
                            // It may be another name of something that can change.
                            let names =
                                target.map_or_else(Vec::new, |target| identifiers(target, source));
                            state.borrowed.extend(names.into_iter().map(name_hash));
                            Vec::new()
                        }
                        _ => target.map_or_else(Vec::new, |target| identifiers(target, source)),
                    };
                    let known = match in_class {
                        true => &mut state.attributes,
                        false => &mut state.variables,
                    };
                    known.extend(names.into_iter().map(name_hash));
                }
                _ => {}
            }
            let mut cursor = node.walk();
            let children = node.named_children(&mut cursor);
            pending.extend(children.map(|child| (child, in_class, in_function)));
        }
        state
    }
}

/// What an assignment, a loop or the like binds.
fn assigned(node: Node<'_>) -> Option<Node<'_>> {
    ["left", "name", "alias"]
        .into_iter()
        .find_map(|field| node.child_by_field_name(field))
}

/// What a function may change that others see.
pub(super) struct Touched<'a> {
    /// The attributes that it sets, or whose objects it changes.
    pub(super) attributes: BTreeSet<&'a str>,
    /// The variables of the module and of classes that it sets, or whose objects it may change or hand on to those who do.
    pub(super) variables: BTreeSet<&'a str>,
    /// The names from elsewhere that may be variables of another module, with whose objects it does so.
    pub(super) borrowed: BTreeSet<&'a str>,
    /// Whether it may set attributes of any name.
    pub(super) any_attribute: bool,
    /// Whether it may do so for the time of a test, by pytest's `monkeypatch`.
    pub(super) patches: bool,
    /// Whether a parameter of it has a value by default that can change.
    pub(super) keeps_defaults: bool,
}

/// By these attributes are set whose names are made up.
const BY_COMPUTED_NAMES: [&str; 5] = ["setattr", "delattr", "__dict__", "globals", "vars"];

/// Functions that only look at what they are given.
const LOOKING: [&str; 21] = [
    "all",
    "any",
    "bool",
    "dict",
    "enumerate",
    "frozenset",
    "getattr",
    "hasattr",
    "id",
    "int",
    "isinstance",
    "issubclass",
    "len",
    "list",
    "print",
    "repr",
    "set",
    "sorted",
    "str",
    "tuple",
    "type",
];

/// What the function `node` changes, by its text.
pub(super) fn touched<'a>(node: Node<'_>, source: &'a [u8], state: &State) -> Touched<'a> {
    let mut attributes = BTreeSet::new();
    let mut variables = BTreeSet::new();
    // Which attributes a local variable may stand for.
    let mut aliases: FxHashMap<&str, BTreeSet<&str>> = FxHashMap::default();
    let mut changed_locals: BTreeSet<&str> = BTreeSet::new();
    let own = locals(node, source);
    let mut of_all: BTreeSet<&str> = BTreeSet::new();
    let mut borrowed: BTreeSet<&str> = BTreeSet::new();
    let is_foreign = |name: &str| {
        let hash = name_hash(name);
        (state.imports_all || state.borrowed.contains(&hash))
            && !state.variables.contains(&hash)
            && !own.contains(name)
    };
    let (mut any_attribute, mut patches) = (false, false);
    let mut roots: BTreeSet<&str> = BTreeSet::new();
    let mut change = |target: Node<'_>, attributes: &mut BTreeSet<&'a str>| {
        for target in single_targets(target) {
            let names = attribute_names(target, source);
            // What is set on anything else than an object of the function's own is there for all.
            let root = root_of(target, source);
            if root.is_some_and(|root| root != "cls" && own.contains(root)) {
                attributes.extend(names);
            } else {
                of_all.extend(names);
                roots.extend(root);
            }
        }
        changed_locals.extend(identifiers(target, source));
    };
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        let field = |name| node.child_by_field_name(name);
        match node.kind() {
            "assignment"
            | "augmented_assignment"
            | "named_expression"
            | "for_statement"
            | "as_pattern"
            | "with_item" => {
                let target = assigned(node);
                if let Some(target) = target {
                    if target.kind() == "identifier" {
                        let value = field("right").or(field("value")).unwrap_or(node);
                        let known = aliases.entry(text(target, source)).or_default();
                        known.extend(attribute_names(value, source));
                    }
                    if node.kind() == "augmented_assignment" || target.kind() != "identifier" {
                        change(target, &mut attributes);
                    }
                }
            }
            "delete_statement" => {
                let mut cursor = node.walk();
                for target in node.named_children(&mut cursor) {
                    change(target, &mut attributes);
                }
            }
            "call" => {
                let function = field("function").filter(|function| function.kind() == "attribute");
                let part = |name| function.and_then(|function| function.child_by_field_name(name));
                let is_changing =
                    part("attribute").is_some_and(|name| CHANGING.contains(&text(name, source)));
                if let Some(object) = part("object")
                    && is_changing
                {
                    change(object, &mut attributes);
                }
            }
            "identifier" if BY_COMPUTED_NAMES.contains(&text(node, source)) => {
                match is_undone(node, source) {
                    true => patches = true,
                    false => any_attribute = true,
                }
            }
            "identifier" => {
                let name = text(node, source);
                let hash = name_hash(name);
                // A function reaches the variables of classes as attributes only.
                let is_shared = state.variables.contains(&hash)
                    || state.attributes.contains(&hash) && is_attribute(node);
                if is_shared && !only_looks(node, source) {
                    variables.insert(name);
                } else if is_of_elsewhere(node, source, &is_foreign) && !only_looks(node, source) {
                    borrowed.insert(name);
                }
            }
            _ => {}
        }
        let mut cursor = node.walk();
        pending.extend(node.named_children(&mut cursor));
    }
    for (_, meant) in aliases
        .iter()
        .filter(|(name, _)| changed_locals.contains(*name))
    {
        attributes.extend(meant);
    }
    variables.extend(of_all);
    borrowed.extend(roots.into_iter().filter(|root| is_foreign(root)));
    Touched {
        attributes,
        variables,
        borrowed,
        any_attribute,
        patches,
        keeps_defaults: keeps_defaults(node, source),
    }
}

/// Whether the function, or one in it, has a parameter whose value by default can change.
fn keeps_defaults(function: Node<'_>, source: &[u8]) -> bool {
    descendants(function).any(|node| {
        let value = match node.kind() {
            "default_parameter" | "typed_default_parameter" => node.child_by_field_name("value"),
            _ => None,
        };
        value.is_some_and(|value| !is_stateless(value, source))
    })
}

/// The names that an import binds.
fn imported_names<'a>(import: Node<'_>, source: &'a [u8]) -> Vec<&'a str> {
    let mut cursor = import.walk();
    let names = import.children_by_field_name("name", &mut cursor);
    names
        .filter_map(|name| match name.kind() {
            "aliased_import" => name.child_by_field_name("alias"),
            // Of a dotted name the first part is bound.
            _ => name.named_child(0),
        })
        .map(|name| text(name, source))
        .collect()
}

/// Whether a name that isn't just called is one from elsewhere, or below one, as in `lib.NAME`.
fn is_of_elsewhere(name: Node<'_>, source: &[u8], is_foreign: &impl Fn(&str) -> bool) -> bool {
    let whole = name.parent().filter(|_| is_attribute(name)).unwrap_or(name);
    let is_called = whole.parent().is_some_and(|parent| {
        let function = parent.child_by_field_name("function");
        parent.kind() == "call" && function == Some(whole)
    });
    !is_called && root_of(whole, source).is_some_and(is_foreign) && !is_patched(whole, source)
}

/// Whether a value is given to `monkeypatch`, which puts back what it sets; who has another one of that name is known to set any attribute.
fn is_patched(value: Node<'_>, source: &[u8]) -> bool {
    let arguments = value.parent().filter(|list| list.kind() == "argument_list");
    let method = arguments
        .and_then(|list| list.parent())
        .and_then(|call| call.child_by_field_name("function"))
        .and_then(|function| function.child_by_field_name("attribute"));
    method.is_some_and(|method| is_undone(method, source))
}

/// Whether what is set here by that method is put back when the test ends: it is `monkeypatch`'s.
fn is_undone(name: Node<'_>, source: &[u8]) -> bool {
    let object = name
        .parent()
        .filter(|parent| parent.kind() == "attribute")
        .and_then(|parent| parent.child_by_field_name("object"));
    object.is_some_and(|object| text(object, source) == "monkeypatch")
        && ["setattr", "delattr"].contains(&text(name, source))
}

/// The parameters and the variables of a function.
fn locals<'a>(function: Node<'_>, source: &'a [u8]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let mut pending = vec![function];
    while let Some(node) = pending.pop() {
        let field = |name| node.child_by_field_name(name);
        let target = match node.kind() {
            "function_definition" | "lambda" => field("parameters"),
            "assignment"
            | "augmented_assignment"
            | "named_expression"
            | "for_statement"
            | "for_in_clause"
            | "as_pattern"
            | "with_item" => field("left").or(field("name")).or(field("alias")),
            _ => None,
        };
        match target {
            Some(target)
                if target.kind() == "parameters" || target.kind() == "lambda_parameters" =>
            {
                names.extend(identifiers(target, source));
            }
            Some(target) if target.kind() != "attribute" && target.kind() != "subscript" => {
                names.extend(identifiers(target, source));
            }
            _ => {}
        }
        let mut cursor = node.walk();
        pending.extend(node.named_children(&mut cursor));
    }
    let mut pending = vec![function];
    while let Some(node) = pending.pop() {
        if node.kind() == "global_statement" {
            for name in identifiers(node, source) {
                names.remove(name);
            }
        }
        let mut cursor = node.walk();
        pending.extend(node.named_children(&mut cursor));
    }
    names
}

/// Methods that give a part of what they are called on, as a subscript does.
const GIVING_A_PART: [&str; 2] = ["get", "setdefault"];

/// The variable that a chain of attributes and subscripts begins with; none for other expressions.
fn root_of<'a>(target: Node<'_>, source: &'a [u8]) -> Option<&'a str> {
    let mut node = target;
    loop {
        node = match node.kind() {
            "identifier" => return Some(text(node, source)),
            "attribute" => node.child_by_field_name("object")?,
            "subscript" => node.child_by_field_name("value")?,
            "call" => {
                let method = node.child_by_field_name("function")?;
                let name = method.child_by_field_name("attribute")?;
                if !GIVING_A_PART.contains(&text(name, source)) {
                    return None;
                }
                method
            }
            _ => return None,
        };
    }
}

/// What an assignment to several targets, in whatever brackets, assigns to.
fn single_targets(target: Node<'_>) -> Vec<Node<'_>> {
    let (mut found, mut pending) = (Vec::new(), vec![target]);
    while let Some(node) = pending.pop() {
        match node.kind() {
            "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "list_splat_pattern"
            | "expression_list"
            | "tuple"
            | "list"
            | "parenthesized_expression" => {
                let mut cursor = node.walk();
                pending.extend(node.named_children(&mut cursor));
            }
            _ => found.push(node),
        }
    }
    found
}

/// Whether the place of a variable's name says that its value is only looked at there.
fn only_looks(name: Node<'_>, source: &[u8]) -> bool {
    let mut node = name;
    while let Some(parent) = node.parent() {
        let is = |field| parent.child_by_field_name(field) == Some(node);
        match parent.kind() {
            // `lib.NAME` stands for the value as `NAME` does; of `NAME.more` only a call may change something.
            "attribute" => {
                let is_object = is("object");
                let use_ = parent.parent();
                let is_called = use_.is_some_and(|call| {
                    call.kind() == "call" && call.child_by_field_name("function") == Some(parent)
                });
                if is_object && is_called {
                    return false;
                }
                node = parent;
            }
            "subscript" if is("value") => node = parent,
            "subscript"
            | "comparison_operator"
            | "not_operator"
            | "boolean_operator"
            | "binary_operator"
            | "unary_operator"
            | "interpolation"
            | "parenthesized_expression"
            | "if_statement"
            | "elif_clause"
            | "while_statement"
            | "assert_statement"
            | "raise_statement"
            | "except_clause"
            | "type" => return true,
            "for_statement" | "for_in_clause" => return is("right"),
            "conditional_expression" => return false,
            "argument_list" => {
                let call = parent.parent();
                let function = call.and_then(|call| call.child_by_field_name("function"));
                return function.is_some_and(|function| LOOKING.contains(&text(function, source)));
            }
            _ => return false,
        }
    }
    false
}

pub(super) fn text<'a>(node: Node<'_>, source: &'a [u8]) -> &'a str {
    std::str::from_utf8(&source[node.byte_range()]).unwrap_or_default()
}

fn below<'a>(node: Node<'_>, source: &'a [u8], counts: impl Fn(Node<'_>) -> bool) -> Vec<&'a str> {
    let found = descendants(node).filter(|node| counts(*node));
    found.map(|node| text(node, source)).collect()
}

/// The names below a node, those of attributes too.
pub(super) fn identifiers<'a>(node: Node<'_>, source: &'a [u8]) -> Vec<&'a str> {
    below(node, source, |node| node.kind() == "identifier")
}

fn attribute_names<'a>(node: Node<'_>, source: &'a [u8]) -> Vec<&'a str> {
    below(node, source, is_attribute)
}

/// Whether a name is that of an attribute of something.
fn is_attribute(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| {
        parent.kind() == "attribute" && parent.child_by_field_name("attribute") == Some(name)
    })
}

/// Whether whoever uses a value gets the same, whatever was done with it.
fn is_stateless(value: Node<'_>, source: &[u8]) -> bool {
    let mut pending = vec![value];
    while let Some(node) = pending.pop() {
        match node.kind() {
            "integer"
            | "float"
            | "true"
            | "false"
            | "none"
            | "ellipsis"
            | "comment"
            | "string"
            | "concatenated_string"
            | "lambda" => continue,
            // A name stands for what it is assigned elsewhere.
            "identifier" | "attribute" => continue,
            "subscript"
            | "tuple"
            | "parenthesized_expression"
            | "unary_operator"
            | "binary_operator"
            | "boolean_operator"
            | "not_operator"
            | "comparison_operator"
            | "conditional_expression" => {}
            "call" => {
                let function = node.child_by_field_name("function");
                let name = function.map_or("", |function| text(function, source));
                if STATELESS.contains(&name.rsplit('.').next().unwrap_or(name)) {
                    continue;
                }
                return false;
            }
            _ => return false,
        }
        let mut cursor = node.walk();
        pending.extend(node.named_children(&mut cursor));
    }
    true
}
