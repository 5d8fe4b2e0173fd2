"""The pytest plugin of snapshots: its options, the fixture `dx_snapshot`, and what a session tells of snapshots at its end. What cached
fixtures need to know of a session is here too, and the options by which plain pytest leaves out what is fresh (`plain_selection`).

In a worker of dx-py it is there as well, and `session` does what the hooks here do elsewhere. A session in which no snapshot is compared
imports nothing more than this file. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Optional

import pytest

#: How `dx-py test` tells its workers what to do: `update` or `ci`.
VARIABLE = "DX_PY_SNAPSHOTS"
#: Beside test files: where their snapshots are.
FOLDER = "__snapshots__"
#: What a worker was told so, since its tests don't see the variable.
told = ""
#: How many megabytes cached fixtures may take together, and what a worker was told so.
LIMIT_VARIABLE = "DX_PY_FIXTURES_MB"
fixtures_limit = ""
_OF_DX_PY = ("dx_py_test_runner.session", "dx_py_test_runner.controller")


class Context:
    """What snapshots need to know of a pytest session."""

    def __init__(self, root: str, mode: str, color: bool) -> None:
        self.root = root
        #: `new` makes pending snapshots, `update` accepts all, `ci` and `none` write nothing.
        self.mode = mode
        self.color = color
        #: The test that runs.
        self.item: Any = None
        #: Told of files that a test depends on, with the frame that asks.
        self.note_read: Optional[Callable[[str, Any], None]] = None
        #: The observer of this process, in a worker.
        self.trace: Any = None
        #: What was compared, once something was: a `Snapshots`.
        self.snapshots: Any = None


#: The sessions of this process: one may run within another.
_contexts: list[Context] = []


def current() -> Optional[Context]:
    """The innermost session; None outside of pytest."""
    return _contexts[-1] if _contexts else None


def trace() -> Any:
    """The observer of this process; None outside of a worker of dx-py."""
    return next((context.trace for context in _contexts if context.trace is not None), None)


def pytest_addoption(parser: Any) -> None:
    """Add the options, unless another plugin has taken their names."""
    group = parser.getgroup("dx-py", "snapshots")
    for option, name, text in (
        ("--update-snapshots", "dx_update_snapshots", "accept all snapshots that are new or differ"),
        ("--snapshots-ci", "dx_snapshots_ci", "write no snapshots, and fail if there are some that no test uses"),
    ):
        try:
            group.addoption(option, dest=name, action="store_true", default=False, help=text)
        except ValueError:
            pass

    group = parser.getgroup("dx-py selection", "leaving out tests by the records of `dx-py test`")
    try:
        group.addoption("--dx", dest="dx_selects", action="store_true", default=False, help="leave out fresh tests")
        group.addoption(
            "--dx-changed-since",
            dest="dx_changed_since",
            metavar="REV",
            help="leave out fresh tests, and those that changes since this git revision can't reach",
        )
    except ValueError:
        pass


def _is_of_dx_py(config: Any) -> bool:
    """Whether this is a session of dx-py's own."""
    plugins = config.pluginmanager.get_plugins()
    return any(type(plugin).__module__ in _OF_DX_PY for plugin in plugins)


def _selects(option: Any) -> bool:
    return bool(getattr(option, "dx_selects", False)) or getattr(option, "dx_changed_since", None) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: Any) -> None:
    """Keep the environment that pytest was started in: other plugins and conftests may add to it."""
    if _selects(early_config.known_args_namespace) and not _is_of_dx_py(early_config):
        early_config._dx_environ = dict(os.environ)


def _mode(config: Any) -> str:
    asked = told or os.environ.get(VARIABLE)
    if asked in ("update", "ci"):
        return asked
    if getattr(config.option, "dx_snapshots_ci", False):
        return "ci"
    if getattr(config.option, "dx_update_snapshots", False):
        return "update"
    return "none" if os.environ.get("CI") else "new"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: Any) -> None:
    """Begin a session."""
    context = Context(str(config.rootpath), _mode(config), False)
    _contexts.append(context)
    config._dx_snapshots = context
    # A worker does it itself, and a controller runs no tests; what runs there is chosen already.
    if not _is_of_dx_py(config):
        from dx_py_test_runner.snapshot_session import PlainSession

        config.pluginmanager.register(PlainSession(config, context), "dx-py-snapshots")
        if _selects(config.option):
            from dx_py_test_runner.plain_selection import PlainSelection

            environ = getattr(config, "_dx_environ", None) or dict(os.environ)
            config.pluginmanager.register(PlainSelection(config, environ), "dx-py-selection")


def pytest_unconfigure(config: Any) -> None:
    """End the session."""
    context = getattr(config, "_dx_snapshots", None)
    if context in _contexts:
        _contexts.remove(context)


@pytest.fixture
def dx_snapshot() -> Any:
    """`dx_snapshot(value, name=None, *, inline=None, redact=None)` asserts that a value is what was accepted for it."""
    from dx_py_test_runner.snapshots import snapshot

    return snapshot
