"""Who has a say in how a test runs: whether the lean path keeps what pytest and its plugins would do with it, and if not, why.

The lean path (`lean.py`) does what pytest's own implementations of the run hooks do, without calling the hooks for a test that passes.
It may be taken only where these are all that is implemented, or where what a plugin adds is known not to concern the test. An
implementation that isn't known, of a conftest's, a plugin's or a newer pytest's, sends the tests it holds for through pytest's protocol.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from . import needs

_IN_EACH_PHASE = (
    "_pytest.threadexception",
    "_pytest.unraisableexception",
    "_pytest.runner",
    "_pytest.capture",
    "_pytest.logging",
)
#: pytest's own implementations of the hooks that the lean path replaces, by module. `lean.py` tells how each is kept.
_KEPT = {
    "pytest_runtest_protocol": (
        "_pytest.runner",
        "_pytest.faulthandler",
        "_pytest.unittest",
        "_pytest.assertion",
        "_pytest.warnings",
    ),
    "pytest_runtest_logstart": ("_pytest.terminal", "_pytest.logging"),
    "pytest_runtest_logfinish": ("_pytest.terminal", "_pytest.logging"),
    "pytest_runtest_setup": (*_IN_EACH_PHASE, "_pytest.skipping"),
    "pytest_runtest_call": (*_IN_EACH_PHASE, "_pytest.skipping"),
    "pytest_runtest_teardown": _IN_EACH_PHASE,
    "pytest_runtest_makereport": ("_pytest.runner", "_pytest.unittest", "_pytest.skipping", "_pytest.tmpdir"),
    "pytest_runtest_logreport": (
        "_pytest.terminal",
        "_pytest.logging",
        "_pytest.main",
        "_pytest.cacheprovider",
        "dx_py_test_runner.session",
    ),
    "pytest_assertion_pass": (),
}
Concern = Callable[[Any, frozenset[str]], str]

#: The one hook that a test's call can go through alone.
_CALL_HOOK = "pytest_pyfunc_call"

#: Marks for which pytest's protocol does something that the lean path leaves to it.
_MARKS_OF_PYTEST = frozenset(("filterwarnings",))
#: Marks that the lean path asks `skipping` about.
MARKS_OF_SKIPPING = frozenset(("skip", "skipif", "xfail"))


def is_known() -> bool:
    """Whether the internals of this pytest are known to the lean engine."""
    return (8, 4) <= getattr(pytest, "version_tuple", (0,))[:2] < (10, 0)


def of_run(config: Any, role: str, tells_passes: bool) -> str:
    """Why no test of the session can take the lean path; empty if some may."""
    if not is_known():
        return f"the internals of pytest {pytest.__version__} aren't known to the lean engine"
    if getattr(sys.flags, "context_aware_warnings", False):
        return "warnings are kept for each context"
    if role == "told":
        return "a controller hears of every test"
    if tells_passes:
        return "-rP shows the output of tests that pass"
    for option in ("setupshow", "setuponly", "setupplan", "fulltrace"):
        if getattr(config.option, option, False):
            return f"--{option} was given"
    if getattr(config.option, "tbstyle", "auto") == "native":
        return "--tb=native shows pytest's own frames"
    if getattr(config.option, "capture", "fd") not in ("fd", "sys", "no"):
        return f"--capture={config.option.capture} was given"
    logging_plugin = config.pluginmanager.getplugin("logging-plugin")
    if logging_plugin is not None and logging_plugin._log_cli_enabled():
        return "log_cli is on"
    if role == "lone":
        for reason in needs.reporting(config):
            return reason
    return ""


class Say:
    """What holds for all tests below one module or class."""

    __slots__ = ("reason", "call_by_hook", "plain_parameters", "marks", "marked", "chain", "count", "ihook")

    def __init__(self, parent: Any) -> None:
        self.chain: list[list[Any]] = [node.own_markers for node in parent.listchain()]
        self.count = self.marks_above()
        self.marks = frozenset(mark.name for marks in self.chain for mark in marks)
        self.marked = not MARKS_OF_SKIPPING.isdisjoint(self.marks)
        self.ihook = parent.ihook
        self.reason = _unknown(self.ihook, parent.config) or _by_mark(self.marks)
        self.call_by_hook = any(
            module_of(implementation) not in ("_pytest.python", *_IF_CALLED)
            for implementation in getattr(self.ihook, _CALL_HOOK).get_hookimpls()
        )

        #: Whether nobody sees the fixtures as which parameters are handed over.
        self.plain_parameters = all(
            module_of(implementation) in _OF_FIXTURES
            for name in ("pytest_fixture_setup", "pytest_fixture_post_finalizer")
            for implementation in getattr(self.ihook, name).get_hookimpls()
        )

    def marks_above(self) -> int:
        """How many marks the parents have."""
        return sum(map(len, self.chain))


def _by_mark(names: frozenset[str]) -> str:
    for name in names & _MARKS_OF_PYTEST:
        return f"the mark {name}"
    return ""


def of_item(item: Any, say: Say, concerns: list[Concern]) -> str:
    """Why a test can't take the lean path though its parents' hooks allow it; empty if it can."""
    if say.reason:
        return say.reason
    marks = say.marks
    if item.own_markers:
        own = frozenset(mark.name for mark in item.own_markers)
        if not own <= marks:
            reason = _by_mark(own)
            if reason:
                return reason
            marks = marks | own
    for concern in concerns:
        reason = concern(item, marks)
        if reason:
            return reason
    return ""


def module_of(implementation: Any) -> str:
    """Where an implementation of a hook comes from."""
    return getattr(implementation.function, "__module__", "") or ""


def _unknown(ihook: Any, config: Any) -> str:
    """The first implementation that the lean path doesn't keep, if there is one."""
    for name, kept in _KEPT.items():
        # pytest asks everybody about the protocol, also conftests of other folders.
        asked = config.hook if name == "pytest_runtest_protocol" else ihook
        for implementation in getattr(asked, name).get_hookimpls():
            module = module_of(implementation)
            if module in kept or module in _PLUGINS or module in _AT_OTHER_TIMES:
                continue
            where = getattr(implementation.plugin, "__file__", None) or module
            return f"{name} in {where}"
    return ""


def is_of_others(ihook: Any, config: Any) -> bool:
    """Whether somebody who isn't known takes part in how tests run: then the outcome of one may bear on others, as where tests depend on
    each other by marks."""
    for name in (*_KEPT, _CALL_HOOK, "pytest_fixture_setup"):
        asked = config.hook if name == "pytest_runtest_protocol" else ihook
        for implementation in getattr(asked, name).get_hookimpls():
            module = module_of(implementation)
            is_known = module in _PLUGINS or module in _AT_OTHER_TIMES
            if not is_known and not module.startswith(("_pytest.", "dx_py_test_runner.")):
                return True
    return False


# What known plugins do with some tests


def _timeout(item: Any, marks: frozenset[str]) -> str:
    if "timeout" in marks or getattr(item.config, "_env_timeout", None):
        return "pytest-timeout watches the test"
    from pytest_timeout import SESSION_EXPIRE_KEY

    return "pytest-timeout watches the session" if item.config.stash.get(SESSION_EXPIRE_KEY, 0) else ""


def _hypothesis(item: Any, _marks: frozenset[str]) -> str:
    if "hypothesis" not in sys.modules:
        return ""
    core = sys.modules.get("hypothesis.core")
    if core is None or not getattr(core, "running_under_pytest", False):
        return "Hypothesis hasn't been told of pytest yet"
    attributes = getattr(item.obj, "__dict__", None) or {}
    for name in attributes:
        if "hypothesis" in name:
            return "Hypothesis runs the test"
    return ""


def _asyncio(item: Any, marks: frozenset[str]) -> str:
    return "pytest-asyncio runs the test" if "asyncio" in marks or _is_async(item.obj) else ""


def _anyio(item: Any, marks: frozenset[str]) -> str:
    if "anyio" in marks or "anyio_backend" in item.fixturenames or _is_async(item.obj):
        return "AnyIO runs the test"
    return ""


def _cov(item: Any, marks: frozenset[str]) -> str:
    return "pytest-cov pauses for the test" if "no_cover" in marks or "no_cover" in item.fixturenames else ""


def _benchmark(item: Any, marks: frozenset[str]) -> str:
    return "pytest-benchmark has a say" if "benchmark" in marks or "benchmark" in item.fixturenames else ""


def _codspeed(item: Any, _marks: frozenset[str]) -> str:
    plugin = item.config.pluginmanager.getplugin("codspeed_plugin")
    return "CodSpeed measures" if getattr(plugin, "is_codspeed_enabled", True) else ""


def _inline_snapshot(_item: Any, _marks: frozenset[str]) -> str:
    # It hears of calls that fail, which are reported.
    return ""


def _xprocess(item: Any, _marks: frozenset[str]) -> str:
    is_there = "xprocess" in item.fixturenames or hasattr(item.config, "_extlogfiles")
    return "pytest-xprocess adds what its processes log" if is_there else ""


def _is_async(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is None or bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))


#: Plugins that implement run hooks, and which tests they concern.
_PLUGINS: dict[str, Concern] = {
    "pytest_timeout": _timeout,
    "_hypothesis_pytestplugin": _hypothesis,
    "pytest_asyncio.plugin": _asyncio,
    "anyio.pytest_plugin": _anyio,
    "pytest_cov.plugin": _cov,
    "pytest_benchmark.plugin": _benchmark,
    "pytest_codspeed.plugin": _codspeed,
    "inline_snapshot.pytest_plugin": _inline_snapshot,
    "xprocess.pytest_xprocess": _xprocess,
}
#: Those whose `pytest_pyfunc_call` leaves all other tests alone.
_IF_CALLED = ("pytest_asyncio.plugin", "anyio.pytest_plugin")
#: Those that implement hooks of fixtures, and leave parameters alone; pytest's own show them with options that aren't for the lean path.
_OF_FIXTURES = (
    "_pytest.fixtures",
    "_pytest.setuponly",
    "_pytest.setupplan",
    "pytest_asyncio.plugin",
    "anyio.pytest_plugin",
    "dx_py_test_runner.session",
)
#: Plugins whose run hooks only matter for a session that reports, or in a controller.
_AT_OTHER_TIMES = ("xdist.plugin", "xdist.looponfail")


def concerns(config: Any) -> list[Concern]:
    """The questions of the plugins that are there: each tells why a test with these marks is theirs, or nothing."""
    plugins = config.pluginmanager.get_plugins()
    names = {getattr(plugin, "__name__", None) or type(plugin).__module__ for plugin in plugins}
    return [concern for name, concern in _PLUGINS.items() if name in names]
