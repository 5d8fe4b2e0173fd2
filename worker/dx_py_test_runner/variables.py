"""Which variables of the environment no outcome is meant to depend on, and the environment as a whole."""

from __future__ import annotations

import os
from typing import Optional

#: The name under which all variables are one input, of who looks at which there are, or hands them to another process.
ALL = "*"

#: Variables that differ between terminals and runs and that no test's outcome is meant to depend on. `cli/variables.rs` has the same.
_VOLATILE = frozenset(
    {
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
    }
)
_PREFIXES = ("PYTEST_", "DX_PY_")
#: How the names of variables begin that plugins set in each worker, beside those that are no inputs.
SET_IN_WORKERS = ("COV_CORE_",)


def is_volatile(name: str) -> bool:
    """Whether that variable isn't an input of any test."""
    return name in _VOLATILE or name.startswith(_PREFIXES)


def value_of(name: str) -> Optional[bytes]:
    """The value of a variable, or all that are inputs with their values; none if there is no such variable."""
    if name != ALL:
        value = os.environ.get(name)
        return None if value is None else os.fsencode(value)
    pairs = sorted((os.fsencode(key), os.fsencode(value)) for key, value in os.environ.items() if not is_volatile(key))
    return b"\0".join(key + b"=" + value for key, value in pairs)
