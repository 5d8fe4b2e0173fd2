"""What a session of plain pytest, or of pytest-xdist, does about snapshots: knows which test runs, writes, and tells at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from typing import Any

import pytest

from .plugin import FOLDER, Context

_KEY = "dx_py_snapshots"


class PlainSession:
    """Hears of the tests of one session."""

    def __init__(self, config: Any, context: Context) -> None:
        self._config = config
        self._context = context
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._deselected: set[str] = set()
        self._pending: set[tuple[str, str]] = set()
        self._accepted: set[tuple[str, str]] = set()
        self._unused: set[tuple[str, str]] = set()
        self._problems: list[str] = []
        self._is_worker = hasattr(config, "workerinput")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, Any, None]:
        """Know which test runs."""
        context = self._context
        before, context.item = context.item, item
        context.color = self._has_color()
        if context.snapshots is not None:
            context.snapshots.restart()
        yield
        context.item = before

    def _has_color(self) -> bool:
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        # A report for a script holds the same text.
        return bool(reporter is not None and reporter.hasmarkup and not getattr(self._config.option, "xmlpath", None))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Know which tests passed."""
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self._passed.add(report.nodeid)
        elif not report.passed:
            self._failed.add(report.nodeid)

    def pytest_deselected(self, items: Any) -> None:
        """Know of which files not all tests are there."""
        self._deselected.update(item.nodeid.partition("::")[0] for item in items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: Any) -> None:
        """Write what was gathered, and find what nobody used."""
        context = self._context
        items = getattr(session, "items", [])
        if context.snapshots is not None or any_snapshots(items):
            from .snapshots import snapshots_of

            snapshots = snapshots_of(context)
            self._try(snapshots.flush)
            self._pending |= snapshots.pending
            self._accepted |= snapshots.accepted
            self._try(lambda: self._find_unused(items))
            self._try(snapshots.store.close)
        if self._is_worker:
            self._config.workeroutput[_KEY] = [
                sorted(map(list, names)) for names in (self._pending, self._accepted, self._unused)
            ] + [self._problems]
            return
        if context.mode == "update" and self._pending:
            self._accept_inline()
        if self._unused and context.mode == "ci" and session.exitstatus == 0:
            session.exitstatus = 1

    def _try(self, work: Callable[[], None]) -> None:
        from .snapshot_text import Damaged

        try:
            work()
        except (Damaged, OSError) as error:
            self._problems.append(str(error))

    def _find_unused(self, items: list[Any]) -> None:
        partial = set(self._deselected)
        partial.update(arg.partition("::")[0] for arg in map(str, self._config.args) if "::" in arg)
        passed = self._passed - self._failed
        self._unused.update(self._context.snapshots.unused(passed, collected(items, partial)))

    def _accept_inline(self) -> None:
        from .snapshots import snapshots_of

        done, problems = snapshots_of(self._context).accept_inline(self._pending)
        self._problems += problems
        self._accepted |= done
        self._pending -= done

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Hear what a worker of xdist has to tell."""
        told = getattr(node, "workeroutput", {}).get(_KEY)
        if told:
            for names, more in zip((self._pending, self._accepted, self._unused), told):
                names.update(map(tuple, more))
            self._problems += told[3]

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what is pending, what was accepted and what nobody uses."""
        for problem in self._problems:
            terminalreporter.write_line(f"snapshots: {problem}", red=True)
        if self._accepted:
            terminalreporter.write_line(f"{count(self._accepted)} accepted", green=True)
        if self._pending:
            terminalreporter.write_line(f"{count(self._pending)} pending: dx-py snapshot review", yellow=True)
        if self._unused:
            terminalreporter.write_line(f"{count(self._unused)} used by no test:", yellow=True)
            for path, name in sorted(self._unused):
                terminalreporter.write_line(f"  {path}: {name}")


def count(names: set[tuple[str, str]]) -> str:
    """`1 snapshot is`, `2 snapshots are`."""
    return "1 snapshot is" if len(names) == 1 else f"{len(names)} snapshots are"


def any_snapshots(items: Iterable[Any]) -> bool:
    """Whether a folder of snapshots lies beside one of these tests."""
    folders = {os.path.dirname(path_of(item)) for item in items}
    return any(os.path.isdir(os.path.join(folder, FOLDER)) for folder in folders)


def path_of(item: Any) -> str:
    """The file that a test is in."""
    return str(getattr(item, "path", None) or item.fspath)


def collected(items: Iterable[Any], partial: set[str]) -> dict[str, tuple[str, set[str]]]:
    """The files of these tests by node ID, each with its path and the IDs of its tests, without those of which some are left out."""
    found: dict[str, tuple[str, set[str]]] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        path = path_of(item)
        if file not in partial and path not in partial:
            found.setdefault(file, (path, set()))[1].add(item.nodeid)
    return found
