//! Variables of the environment as inputs, one by one or all together.

use std::ffi::OsString;

use dx_py_core::{Digest, Hasher};

/// The name of the input that all variables are, of a test that looks at which there are, or starts a process that is handed them.
pub const ALL: &str = "*";

/// Variables that differ between terminals and runs and that no test's outcome is meant to depend on. The worker has the same in
/// `variables.py`.
const VOLATILE: [&str; 32] = [
    "_",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TERM_SESSION_ID",
    "TMUX",
    "TMUX_PANE",
    "STY",
    "WINDOWID",
    "COLUMNS",
    "LINES",
    "LS_COLORS",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "XDG_SESSION_ID",
    "XDG_RUNTIME_DIR",
    "PYTHONHASHSEED",
    "GPG_TTY",
    "ITERM_SESSION_ID",
    "KONSOLE_DBUS_SERVICE",
    "KONSOLE_DBUS_SESSION",
    "KONSOLE_DBUS_WINDOW",
    "VSCODE_GIT_IPC_HANDLE",
    "VSCODE_IPC_HOOK_CLI",
];
const VOLATILE_PREFIXES: [&str; 2] = ["PYTEST_", "DX_PY_"];

/// The variables that are inputs, by their names, in order.
fn all() -> Vec<(OsString, OsString)> {
    let is_volatile = |name: &str| {
        VOLATILE.contains(&name)
            || VOLATILE_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let mut all: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| !is_volatile(&name.to_string_lossy()))
        .collect();
    all.sort();
    all
}

/// The digest of all variables that are inputs.
pub fn digest_of_all() -> Digest {
    let mut hasher = Hasher::new();
    for (name, value) in all() {
        hasher
            .field(name.as_encoded_bytes())
            .field(value.as_encoded_bytes());
    }
    hasher.finish()
}

/// The value of the variable that an input of this name is about, or of all.
pub fn values_of(name: &str) -> Vec<OsString> {
    match name {
        ALL => all().into_iter().map(|(_, value)| value).collect(),
        name => std::env::var_os(name).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_leaves_the_same_variables_out() {
        let worker = include_str!("../../../worker/dx_py_test_runner/variables.py");
        let names = |from: &str, to: char| -> Vec<&str> {
            let list = worker.split_once(from).map_or("", |(_, rest)| rest);
            let list = list.split(to).next().unwrap_or_default();
            list.split('"').skip(1).step_by(2).collect()
        };
        assert_eq!(names("_VOLATILE = frozenset(", '}'), VOLATILE);
        assert_eq!(names("_PREFIXES = (", ')'), VOLATILE_PREFIXES);
    }
}
