//! Decorators of the standard library, as a file names them.

use rustc_hash::FxHashMap;

use super::outside_of_functions;
use super::parts::Import;
use super::standard::is_standard;
use crate::syntax::Node;

/// What a file has of the standard library by the imports at its top, by the names that nothing else binds; with the lines that end them.
pub(super) struct Standard<'s> {
    names: FxHashMap<&'s str, (Import, u32)>,
}

impl<'s> Standard<'s> {
    /// Of the file with this root.
    pub(super) fn of(root: Node<'s>) -> Self {
        let mut names: FxHashMap<&str, Option<(Import, u32)>> = FxHashMap::default();
        let mut bind = |name: &'s str, import: Option<(Import, u32)>| {
            let mut is_first = false;
            let known = names.entry(name).or_insert_with(|| {
                is_first = true;
                import
            });
            if !is_first {
                *known = None;
            }
        };
        outside_of_functions(root, |node| match node.kind() {
            "import_statement" | "import_from_statement" => {
                let module = node.field("module_name").map(Node::text);
                let is_at_top = node.parent() == Some(root);
                for name in node.fields("name") {
                    let asked = name.field("name").unwrap_or(name).text();
                    let import = Import {
                        module: module.unwrap_or(asked).to_owned(),
                        name: module.map(|_| asked.to_owned()),
                    };
                    let is_plain = is_at_top && is_standard(&import.module);
                    let import = is_plain.then(|| (import, *node.lines().end()));
                    bind(name.field("alias").map_or(asked, Node::text), import);
                }
            }
            "assignment" => {
                let target = node
                    .field("left")
                    .filter(|left| left.kind() == "identifier");
                target.into_iter().for_each(|name| bind(name.text(), None));
            }
            "function_definition" | "class_definition" => {
                let name = node.field("name");
                name.into_iter().for_each(|name| bind(name.text(), None));
            }
            _ => {}
        });
        let names = names.into_iter();
        Self {
            names: names
                .filter_map(|(name, import)| Some((name, import?)))
                .collect(),
        }
    }

    /// What of the standard library a decorator is, or what it calls, if that has been imported above it.
    pub(super) fn decorator(&self, decorator: Node<'_>) -> Option<Import> {
        let line = *decorator.lines().start();
        let imported = |name: Node<'_>| {
            let (import, end) = self.names.get(name.text())?;
            (*end < line).then_some(import)
        };
        let mut called = decorator.named_children().next()?;
        if called.kind() == "call" {
            called = called.field("function")?;
        }
        match called.kind() {
            "identifier" => {
                let import = imported(called)?;
                import.name.is_some().then(|| import.clone())
            }
            "attribute" => {
                let module = imported(called.field("object")?)?;
                module.name.is_none().then(|| Import {
                    module: module.module.clone(),
                    name: called.field("attribute").map(|name| name.text().to_owned()),
                })
            }
            _ => None,
        }
    }
}

/// The decorators of a definition.
pub(super) fn decorators(decorated: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let children = decorated.named_children();
    children.filter(|child| child.kind() == "decorator")
}

/// Those that make another function of a function, which can't fail and is seen by nobody but who has it.
const PURE: [(&str, &str); 7] = [
    ("contextlib", "asynccontextmanager"),
    ("contextlib", "contextmanager"),
    ("functools", "cache"),
    ("functools", "lru_cache"),
    ("typing", "final"),
    ("typing", "overload"),
    ("typing", "override"),
];

/// What the decorators of a definition are, if each is of [`PURE`], by names and arguments that can't fail.
pub(super) fn pure(decorated: Node<'_>, standard: &Standard<'_>) -> Option<Vec<Import>> {
    decorators(decorated)
        .map(|decorator| {
            let import = standard.decorator(decorator)?;
            let name = import.name.as_deref()?;
            let is_pure = PURE.contains(&(&*import.module, name));
            let call = decorator
                .named_children()
                .next()
                .filter(|called| called.kind() == "call");
            let fits = call.is_none_or(|call| name == "lru_cache" && has_plain_arguments(call));
            (is_pure && fits).then_some(import)
        })
        .collect()
}

fn has_plain_arguments(call: Node<'_>) -> bool {
    let arguments = call.field("arguments").into_iter();
    arguments.flat_map(Node::named_children).all(|argument| {
        let name = argument.field("name").map(Node::text);
        let value = argument.field("value").unwrap_or(argument);
        let is_known = name.is_none_or(|name| matches!(name, "maxsize" | "typed"));
        is_known
            && matches!(
                value.kind(),
                "integer" | "none" | "true" | "false" | "comment"
            )
    })
}
