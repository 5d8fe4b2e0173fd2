//! Who sees that functions are documented otherwise: who asks for docstrings, and has hold of the function.

use dx_py_core::Input;
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::{Asks, Function, name_hash, text_lists_attributes};

use super::{Difference, is_about_distribution, is_installed, is_pytests, questions_of};
use crate::world::World;

/// What code may do about the docstrings that differ.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OfDocs {
    /// Ask for docstrings.
    pub(super) asks: bool,
    /// Hand one of the functions to who does.
    pub(super) hands: bool,
}

impl OfDocs {
    pub(super) fn add(&mut self, other: Self) {
        self.asks |= other.asks;
        self.hands |= other.hands;
    }
}

impl Difference {
    /// What a test that has this input may do by it about the functions whose docstrings differ.
    pub(super) fn of_docs(&mut self, input: &Input, world: &World) -> OfDocs {
        if self.documented.is_empty() {
            return OfDocs::default();
        }
        if let Some(known) = self.of_docs.get(input) {
            return *known;
        }
        let all = OfDocs {
            asks: true,
            hands: true,
        };
        let found = match input {
            Input::Symbol(_) => input.part_of_file().map(|(file, name)| match name {
                "*" => self.of_docs_in(file, world),
                _ => self.of_docs_in_part(file, name, world),
            }),
            Input::File(file) => Some(self.of_docs_in(file, world)),
            // Others see the difference in any case, or never: `is_seen_by` tells.
            _ => Some(OfDocs::default()),
        };
        let found = found.unwrap_or(all);
        self.of_docs.insert(input.clone(), found);
        found
    }

    /// The same of the functions of that name in a file, or of what is outside of its functions.
    fn of_docs_in_part(&self, file: &str, name: &str, world: &World) -> OfDocs {
        let mut found = OfDocs::default();
        match world.symbols(file) {
            Some(symbols) if name.is_empty() => found.add(self.of_docs_by_frame(file, &symbols)),
            Some(symbols) => {
                let functions = symbols.functions().iter();
                for function in functions.filter(|function| function.name == name) {
                    found.add(self.of_docs_by_function(file, &symbols, function));
                }
            }
            None => (found.asks, found.hands) = (true, true),
        }
        found
    }

    /// The same of a file of which all counts.
    fn of_docs_in(&self, file: &str, world: &World) -> OfDocs {
        let Some(text) = world.content(file) else {
            return OfDocs::default();
        };
        if is_installed(file) && !is_about_distribution(file) {
            let asks = !is_pytests(file)
                && questions_of(file, &text, world)
                    .is_none_or(|asked| asked.docs.sees_docs(self.is_in_presence_of_docs));
            // Who lists attributes elsewhere hands none of them to who asks for docstrings.
            let lists = asks && self.has_documented_methods && text_lists_attributes(&text);
            let hands = lists || !is_pytests(file) && self.is_said_in(&text, &self.documented);
            return OfDocs { asks, hands };
        }
        let Some(symbols) = world.symbols(file).filter(|_| file.ends_with(".py")) else {
            return OfDocs {
                asks: false,
                hands: self.is_said_in(&text, &self.documented),
            };
        };
        let mut found = self.of_docs_by_frame(file, &symbols);
        for function in symbols.functions() {
            found.add(self.of_docs_by_function(file, &symbols, function));
        }
        found
    }

    fn of_docs_by_frame(&self, file: &str, symbols: &Symbols) -> OfDocs {
        let mut found = self.of_docs_by(symbols.frame_asks, symbols.frame_hands.iter().copied());
        found.hands |= symbols.frame_gets_globals && self.is_documented_in(file, symbols);
        found
    }

    fn of_docs_by_function(&self, file: &str, symbols: &Symbols, function: &Function) -> OfDocs {
        let mut found = self.of_docs_by(function.asks, symbols.handed(function));
        found.hands |= function.gets_globals && self.is_documented_in(file, symbols);
        found
    }

    /// Whether one of the functions may be among all that a file knows by some name.
    fn is_documented_in(&self, file: &str, symbols: &Symbols) -> bool {
        let mut names = self.documented.iter().map(|name| name_hash(name));
        self.by_file.contains_key(file)
            || names.any(|name| symbols.asked.binary_search(&name).is_ok())
    }

    /// The same of code that asks so for docstrings and may hand these on.
    fn of_docs_by(&self, asks: Asks, mut handed: impl Iterator<Item = u64>) -> OfDocs {
        let documented: Vec<u64> = self.documented.iter().map(|name| name_hash(name)).collect();
        OfDocs {
            asks: asks.sees_docs(self.is_in_presence_of_docs),
            hands: self.has_documented_methods && asks.for_any_attribute
                || handed.any(|name| documented.contains(&name)),
        }
    }
}
