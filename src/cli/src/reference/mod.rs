//! The reference chapters of the book, written from what the program itself goes by: clap's definitions and the table of settings.
//! `cargo xtask docs` puts them into `docs/src`, and a test here fails if one there is out of date.

mod keys;

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;

/// Stands at the top of each.
const WRITTEN: &str =
    "<!-- Written by `cargo xtask docs`. Edit the code that it comes from. -->\n\n";

/// The reference chapters: the name of each in `docs/src`, and its text.
pub fn chapters() -> [(&'static str, String); 2] {
    [
        ("commands.md", commands()),
        ("configuration.md", keys::configuration()),
    ]
}

/// Every command with its arguments and options.
fn commands() -> String {
    let mut program = Cli::command();
    program.build();
    let mut text = format!(
        "{WRITTEN}# Command line\n\n\
         `dx-py COMMAND --help` shows the same. Exit codes are pytest's: 0 if all is well, also if nothing had to run; 1 if tests \
         failed; 2 if the run was interrupted; 3 for an error of pytest's or dx-py's own; 4 for wrong usage; 5 if there are no tests.\n"
    );
    let subcommands: Vec<&Command> = program.get_subcommands().filter(is_shown).collect();
    text.push_str("\n| command | what it does |\n| --- | --- |\n");
    for command in &subcommands {
        let name = command.get_name();
        let about = cell(&about(command));
        push(
            &mut text,
            format_args!("| [`dx-py {name}`](#dx-py-{name}) | {about} |\n"),
        );
    }
    let mut told: Vec<(String, String)> = Vec::new();
    for command in subcommands {
        describe(&mut text, command, "dx-py", &mut told);
    }
    text
}

/// A section for a command, and one for each of its own.
fn describe(text: &mut String, command: &Command, parent: &str, told: &mut Vec<(String, String)>) {
    let name = format!("{parent} {}", command.get_name());
    push(
        text,
        format_args!("\n## {name}\n\n{}.\n", about(command).trim_end_matches('.')),
    );
    let usage = command.clone().render_usage().to_string();
    push(
        text,
        format_args!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")),
    );
    let tables = tables(command);
    match told.iter().find(|(_, other)| *other == tables) {
        Some((same, _)) if tables.lines().count() > 20 => {
            let link = same.replace(' ', "-");
            push(
                text,
                format_args!("\nIt takes what [`{same}`](#{link}) takes.\n"),
            );
        }
        _ => {
            text.push_str(&tables);
            if let Some(note) = command.get_after_help() {
                push(text, format_args!("\n{note}\n"));
            }
            told.push((name.clone(), tables));
        }
    }
    for inner in command.get_subcommands().filter(is_shown) {
        describe(text, inner, &name, told);
    }
}

/// A table of arguments and options for each heading of the help.
fn tables(command: &Command) -> String {
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in &arguments {
        let heading = argument.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    // As in the help: what has no heading stands first.
    headings.sort_by_key(Option::is_some);
    let mut text = String::new();
    for heading in headings {
        if let Some(heading) = heading {
            push(&mut text, format_args!("\n**{heading}**\n"));
        }
        let title = if heading.is_some() {
            "option"
        } else {
            "argument or option"
        };
        push(
            &mut text,
            format_args!("\n| {title} | meaning |\n| --- | --- |\n"),
        );
        let below = arguments
            .iter()
            .filter(|argument| argument.get_help_heading() == heading);
        for argument in below {
            push(
                &mut text,
                format_args!("| {} | {} |\n", names(argument), cell(&meaning(argument))),
            );
        }
    }
    text
}

/// How an argument is written: `-n`, `--workers <N>`.
fn names(argument: &Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .into_iter()
        .flatten()
        .map(|name| format!("<{name}>"))
        .collect();
    let value = values.join(" ");
    let mut names: Vec<String> = Vec::new();
    names.extend(argument.get_short().map(|letter| format!("-{letter}")));
    let long = argument.get_long_and_visible_aliases().unwrap_or_default();
    names.extend(long.iter().map(|name| format!("--{name}")));
    match names.last_mut() {
        None => names.push(value),
        Some(last) if !value.is_empty() => {
            last.push(' ');
            last.push_str(&value);
        }
        Some(_) => {}
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// An argument's help, with its values and what holds without it.
fn meaning(argument: &Arg) -> String {
    let mut text = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    if !argument.get_action().takes_values() {
        return text;
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}`: {help}", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        push(&mut text, format_args!(" ({})", values.join("; ")));
    }
    let defaults = argument.get_default_values();
    if !defaults.is_empty() {
        let defaults: Vec<_> = defaults
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        push(
            &mut text,
            format_args!("; `{}` if not given", defaults.join(" ")),
        );
    }
    text
}

fn is_shown(command: &&Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// A text for the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // A `String` takes all that is written to it.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_book_has_these_chapters_as_they_are_now() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
        for (name, text) in chapters() {
            let there = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(
                there == text,
                "docs/src/{name} is out of date: `cargo xtask docs` writes it\n{text}"
            );
        }
    }

    #[test]
    fn every_option_is_in_the_reference() {
        fn look(command: &Command, text: &str) {
            for argument in command.get_arguments() {
                if let Some(long) = argument.get_long().filter(|long| *long != "help") {
                    assert!(text.contains(&format!("`--{long}")), "--{long}");
                }
            }
            for inner in command.get_subcommands() {
                look(inner, text);
            }
        }
        look(&Cli::command(), &commands());
    }
}
