//! Where code may get hold of a module as an object, and so of names in it that it doesn't mention.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::identifiers;
use super::names::{is_bound, is_inside_import, is_label};
use super::parts::ABOUT_ITSELF;
use super::strings::{is_inside, names_in};
use super::ways::{is_call_of_globals, root_of, string_of_module};
use crate::syntax::Node;
use crate::tokens::{name_hash, words};

/// Stands for every module: what the names of a module's own are is asked, or all of them are taken over.
pub const ANY_MODULE: u64 = 0;

/// What a file may hand around as modules, all names as hashes.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleValues {
    /// Last names of what is imported and used otherwise than for one of its attributes, whether it is a module or not; or [`ANY_MODULE`].
    pub whole: Vec<u64>,
    /// Attributes of what is imported that are used so, each behind the last name of that.
    pub members: Vec<(u64, u64)>,
    /// Last names of what is imported under another name.
    pub renamed: Vec<u64>,
}

impl ModuleValues {
    /// Those of a file.
    pub(super) fn of(root: Node<'_>) -> Self {
        let mut imported: FxHashMap<&str, Vec<&str>> = FxHashMap::default();
        let [mut whole, mut renamed] = [(); 2].map(|()| FxHashSet::<u64>::default());
        let mut members: FxHashSet<(u64, u64)> = FxHashSet::default();
        root.descendants().for_each(|node| match node.kind() {
            "wildcard_import" => {
                whole.insert(ANY_MODULE);
            }
            "import_statement" | "import_from_statement" => {
                let is_from = node.kind() == "import_from_statement";
                for name in node.fields("name") {
                    let alias = name.field("alias");
                    let dotted = name.field("name").unwrap_or(name).text();
                    let first = dotted.split('.').next().unwrap_or(dotted);
                    let bound = alias.map_or(first, Node::text);
                    let last = dotted.rsplit('.').next().unwrap_or(dotted);
                    if alias.is_some() && bound != last {
                        renamed.insert(name_hash(last));
                    }
                    let modules = imported.entry(bound).or_default();
                    match is_from {
                        true => modules.push(dotted),
                        false => modules.extend(dotted.split('.')),
                    }
                }
            }
            _ => {}
        });
        if root.descendants().any(is_call_of_globals) {
            let modules = imported.values().flatten();
            whole.extend(modules.map(|name| name_hash(name)));
        }
        root.descendants().for_each(|node| {
            if node.kind() == "identifier"
                && let Some(modules) = imported.get(node.text())
            {
                let modules = modules.iter().map(|name| name_hash(name));
                match used_as_value(node) {
                    Some(Used::Itself) => whole.extend(modules),
                    Some(Used::Attribute(name)) => {
                        members.extend(modules.map(|module| (module, name_hash(name))));
                    }
                    None => {}
                }
            }
            if is_bare_question(node) {
                whole.insert(ANY_MODULE);
            }
            if let Some(said) = string_of_module(node) {
                whole.extend(words(said.text()).map(name_hash));
            }
        });
        Self {
            whole: whole.into_iter().collect(),
            members: members.into_iter().collect(),
            renamed: renamed.into_iter().collect(),
        }
    }
}

/// The names that may be asked of other modules: those of attributes and of imports, and the words of strings but for `prose`, sorted hashes.
pub(super) fn asked(root: Node<'_>, prose: &FxHashSet<usize>) -> Vec<u64> {
    let mut found: FxHashSet<u64> = FxHashSet::default();
    root.descendants().for_each(|node| match node.kind() {
        "string_content" if is_inside(node, prose) => {}
        "attribute" => {
            let name = node.field("attribute");
            found.extend(name.map(|name| name_hash(name.text())));
        }
        "import_from_statement" => {
            for name in node.fields("name") {
                found.extend(identifiers(name).map(name_hash));
            }
        }
        "string_content" => found.extend(names_in(node.text()).map(name_hash)),
        _ => {}
    });
    let mut found: Vec<u64> = found.into_iter().collect();
    found.sort_unstable();
    found
}

/// Whether `dir()`, `vars()` or `locals()` are called without a value, or taken for something else than a call: at the top of a file they
/// tell its names.
fn is_bare_question(node: Node<'_>) -> bool {
    let is_one = node.kind() == "identifier" && matches!(node.text(), "dir" | "locals" | "vars");
    // A class may have attributes that are called so.
    if !is_one || is_label(node) || is_bound(node) {
        return false;
    }
    let Some(parent) = node.parent() else {
        return false;
    };
    let is_call = parent.kind() == "call" && parent.field("function") == Some(node);
    let arguments = parent.field("arguments");
    let is_question =
        !is_call || arguments.is_none_or(|arguments| arguments.named_children().count() == 0);
    is_question && !is_inside_function(node) && !is_given_to_own(node)
}

/// Whether what a name stands for is given to a function or a class of the file: called without a value in there, it tells of variables of
/// a function.
fn is_given_to_own(name: Node<'_>) -> bool {
    let call = name
        .parent()
        .filter(|parent| parent.kind() == "argument_list")
        .and_then(Node::parent);
    let function = call.and_then(|call| call.field("function"));
    let Some(function) = function.filter(|function| function.kind() == "identifier") else {
        return false;
    };
    let mut definitions = root_of(name)
        .named_children()
        .filter(|node| matches!(node.kind(), "class_definition" | "function_definition"));
    definitions.any(|node| {
        node.field("name")
            .is_some_and(|defined| defined.text() == function.text())
    })
}

fn is_inside_function(node: Node<'_>) -> bool {
    let mut around = node.parent();
    while let Some(node) = around {
        if matches!(node.kind(), "function_definition" | "lambda") {
            return true;
        }
        around = node.parent();
    }
    false
}

/// What is used of an imported name.
enum Used<'s> {
    /// What was imported.
    Itself,
    /// What the last attribute of a chain of them is, which may be a module in a package.
    Attribute(&'s str),
}

/// What is used as a value where a name is mentioned; none if it isn't the imported name. Attributes with underscores around them (`__dict__`)
/// are asked of the module itself.
fn used_as_value(node: Node<'_>) -> Option<Used<'_>> {
    let mut parent = node.parent()?;
    if parent.kind() == "attribute" && parent.field("attribute") == Some(node)
        || is_inside_import(node)
    {
        return None;
    }
    let (mut used, mut chain) = (Used::Itself, node);
    while parent.kind() == "attribute" && parent.field("object") == Some(chain) {
        let name = parent.field("attribute")?.text();
        if name.starts_with("__") && !ABOUT_ITSELF.contains(&name) {
            break;
        }
        used = Used::Attribute(name);
        chain = parent;
        parent = parent.parent()?;
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Syntax;

    /// Whether code may hand the module around whose last name is `lib`.
    fn hands_around(source: &str) -> bool {
        let syntax = Syntax::of(source.as_bytes()).expect("it parses");
        let found = ModuleValues::of(syntax.root());
        let members = found
            .members
            .iter()
            .filter(|(module, _)| *module != name_hash("Name"));
        let members = members.map(|(_, member)| member);
        let mut all = found.whole.iter().chain(members);
        all.any(|name| [name_hash("lib"), ANY_MODULE].contains(name))
    }

    #[test]
    fn a_module_that_is_used_for_its_attributes_is_no_value() {
        for source in [
            "import lib\nlib.f()\n",
            "import lib\ndef g(): return lib.A + lib.__version__\n",
            "import pkg.lib\npkg.lib.f()\n",
            "from pkg import lib\nlib.f()\n",
            "import pkg.lib as other\nother.f()\n",
            "import lib\nx.lib\n",
            "from x import Name\nf(Name.lib)\n",
            "def f(lib): return lib\n",
            "from lib import f\nf()\n",
            "def f(): return dir()\n",
            "import x\ndir(x)\n",
            "class A:\n    locals: dict[str, str]\n    vars = 1\n",
            "f(dir=1)\nx.vars\n",
            "class Lookup: pass\nclass A:\n    __dir__ = Lookup(dir, fallback=1)\n",
        ] {
            assert!(!hands_around(source), "{source}");
        }
    }

    #[test]
    fn a_module_that_is_handed_around_is_a_value() {
        for source in [
            "import lib\nf(lib)\n",
            "import lib\ndef g(): return vars(lib)\n",
            "import lib\nlib.__dict__\n",
            "import pkg.lib\nf(pkg.lib)\n",
            "import pkg.lib\nf(pkg.lib.__dict__)\n",
            "import pkg.lib\nf(pkg)\n",
            "import pkg\nf(pkg.lib)\n",
            "from pkg import lib\nf(lib)\n",
            "from pkg import lib as other\nf(other)\n",
            "import pkg.lib as other\nother = f(other)\n",
            "import lib\ndef g(x): return globals()[x]\n",
            "def g():\n    import lib\n    return lib\n",
            "from lib import *\n",
            "x = dir()\n",
            "x = list(map(f, vars()))\n",
            "ask = vars\n",
            "class A:\n    vars = vars\n",
            "ask = f(dir)\n",
            "x = importlib.import_module('pkg.lib')\n",
            "x = sys.modules['lib']\n",
        ] {
            assert!(hands_around(source), "{source}");
        }
    }
}
