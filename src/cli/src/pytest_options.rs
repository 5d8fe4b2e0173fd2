//! pytest's own options: which there are, which take a value, and whether tests can notice them.
//!
//! `dx-py test` takes them as if they were its own and passes them on. Options that aren't known here go behind `--`.

use std::collections::HashSet;
use std::ffi::OsString;

/// Options of pytest and its most common plugins that take a value, joined with `=` or in the next argument.
const WITH_VALUE: [&str; 44] = [
    "-p",
    "-c",
    "--config-file",
    "-o",
    "--override-ini",
    "-W",
    "--pythonwarnings",
    "--rootdir",
    "--confcutdir",
    "--ignore",
    "--ignore-glob",
    "--deselect",
    "--import-mode",
    "--basetemp",
    "--capture",
    "--assert",
    "--log-level",
    "--log-format",
    "--log-date-format",
    "--log-cli-level",
    "--log-cli-format",
    "--log-cli-date-format",
    "--log-file",
    "--log-file-level",
    "--log-file-mode",
    "--log-auto-indent",
    "--log-disable",
    "--doctest-glob",
    "--doctest-report",
    "--last-failed-no-failures",
    "--lfnf",
    "--pdbcls",
    "--cov",
    "--cov-report",
    "--cov-config",
    "--cov-fail-under",
    "--cov-context",
    "--dist",
    "--junit-prefix",
    "--pastebin",
    "--durations-min",
    "--show-capture",
    "--verbosity",
    "--code-highlight",
];
/// The same, for options without a value.
const FLAGS: [&str; 47] = [
    "--strict",
    "--strict-markers",
    "--strict-config",
    "--runxfail",
    "--setup-show",
    "--setup-only",
    "--setup-plan",
    "--fixtures",
    "--funcargs",
    "--fixtures-per-test",
    "--markers",
    "--collect-only",
    "--co",
    "--sw",
    "--stepwise",
    "--sw-skip",
    "--stepwise-skip",
    "--sw-reset",
    "--stepwise-reset",
    "--ff",
    "--failed-first",
    "--nf",
    "--new-first",
    "--pdb",
    "--trace",
    "--cache-clear",
    "--cache-show",
    "--doctest-modules",
    "--doctest-continue-on-failure",
    "--doctest-ignore-import-errors",
    "--pyargs",
    "--noconftest",
    "--keep-duplicates",
    "--collect-in-virtualenv",
    "--continue-on-collection-errors",
    "--no-cov",
    "--cov-branch",
    "--cov-append",
    "--cov-reset",
    "--no-cov-on-fail",
    "--trace-config",
    "--no-showlocals",
    "--no-header",
    "--no-summary",
    "--full-trace",
    "--disable-warnings",
    "--disable-pytest-warnings",
];
/// Options that take a value and that dx-py has itself, as pytest's arguments may hold them too.
const SHARED_WITH_VALUE: [&str; 11] = [
    "-k",
    "-m",
    "-n",
    "-r",
    "--maxfail",
    "--tb",
    "--color",
    "--durations",
    "--junit-xml",
    "--junitxml",
    "--timeout",
];
/// Options that only change what is shown.
const DISPLAY: [&str; 21] = [
    "-r",
    "-v",
    "-q",
    "-l",
    "--verbose",
    "--quiet",
    "--verbosity",
    "--tb",
    "--color",
    "--code-highlight",
    "--durations",
    "--durations-min",
    "--show-capture",
    "--showlocals",
    "--no-showlocals",
    "--no-header",
    "--no-summary",
    "--full-trace",
    "--disable-warnings",
    "--disable-pytest-warnings",
    "--force-short-summary",
];

/// The same, for options without a value.
const OWN_FLAGS: [&str; 6] = ["-x", "-s", "-h", "--exitfirst", "--lf", "--last-failed"];

/// The name of an option, and whether its value is joined to it; `None` for what is no option.
fn name_of(argument: &str) -> Option<(&str, bool)> {
    if let Some((name, _)) = argument.split_once('=')
        && name.starts_with("--")
    {
        return Some((name, true));
    }
    if argument.starts_with("--") && argument.len() > 2 {
        return Some((argument, false));
    }
    let second = argument.strip_prefix('-')?.chars().next()?;
    let name = &argument[..1 + second.len_utf8()];
    Some((name, argument.len() > name.len()))
}

/// Whether the value of this option is the next argument.
pub fn takes_next(argument: &str) -> bool {
    name_of(argument).is_some_and(|(name, joined)| {
        !joined && (WITH_VALUE.contains(&name) || SHARED_WITH_VALUE.contains(&name))
    })
}

/// Whether the next argument may be the value of an option that nobody here knows.
pub fn may_take_next(argument: &str) -> bool {
    name_of(argument).is_some_and(|(name, joined)| {
        let is_known = FLAGS.contains(&name) || DISPLAY.contains(&name) || takes_next(name);
        !joined && !is_known && !OWN_FLAGS.contains(&name)
    })
}

/// Whether an option only changes what is shown, so that no test can notice it.
pub fn only_displays(argument: &str) -> bool {
    name_of(argument).is_some_and(|(name, _)| DISPLAY.contains(&name))
}

/// The process's arguments with pytest's own options of `dx-py test` moved behind `--`. `command` is that of the process.
pub fn moved_behind_dashes(command: &clap::Command, arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments
        .get(1)
        .is_none_or(|verb| verb != "test" && verb != "audit")
    {
        return arguments;
    }
    let own = own_options_with_value(command);
    let (mut kept, mut moved) = (Vec::new(), Vec::new());
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        let name = argument.to_str().and_then(name_of);
        let Some((name, joined)) = name else {
            kept.push(argument);
            continue;
        };
        let with_value = WITH_VALUE.contains(&name);
        let takes_next = !joined && (with_value || own.contains(name));
        let target = if with_value || FLAGS.contains(&name) {
            &mut moved
        } else {
            &mut kept
        };
        target.push(argument);
        if takes_next {
            target.extend(rest.next());
        }
    }
    let rest: Vec<OsString> = rest.collect();
    if !moved.is_empty() || !rest.is_empty() {
        kept.push("--".into());
    }
    kept.extend(moved);
    kept.extend(rest);
    kept
}

/// The options of `dx-py test` that take a value, by all their names.
fn own_options_with_value(command: &clap::Command) -> HashSet<String> {
    let mut names = HashSet::new();
    for argument in command
        .find_subcommand("test")
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter(|argument| argument.get_action().takes_values())
    {
        names.extend(argument.get_short().map(|letter| format!("-{letter}")));
        let long = argument.get_long_and_visible_aliases().unwrap_or_default();
        names.extend(long.into_iter().map(|name| format!("--{name}")));
    }
    names
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn moved(arguments: &[&str]) -> String {
        let all = ["dx-py", "test"].iter().chain(arguments);
        let moved = moved_behind_dashes(&Cli::command(), all.map(OsString::from).collect());
        let words = moved[2..].iter().map(|word| word.to_str().unwrap_or("?"));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_of_pytest_are_passed_on_with_their_values() {
        assert_eq!(moved(&["-x", "tests"]), "-x tests");
        assert_eq!(
            moved(&["-p", "no:x", "-k", "-p", "tests", "--ff", "--", "-s"]),
            "-k -p tests -- -p no:x --ff -s"
        );
        assert_eq!(
            moved(&["-Werror", "-o", "a=b", "--ignore=x", "-rA", "--cov", "src"]),
            "-rA -- -Werror -o a=b --ignore=x --cov src"
        );
        assert_eq!(moved(&["--no-such-option"]), "--no-such-option");
    }

    #[test]
    fn values_stand_in_the_next_argument_or_are_joined() {
        assert!(takes_next("-p") && takes_next("--ignore") && takes_next("-k"));
        assert!(!takes_next("-px") && !takes_next("--ignore=x") && !takes_next("tests"));
        assert!(only_displays("-vv") && only_displays("--tb=short") && only_displays("-rA"));
        assert!(!only_displays("--runxfail") && !only_displays("tests"));
    }
}
