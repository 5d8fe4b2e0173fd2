"""`pytest --dx`: a session of plain pytest, or of pytest-xdist, that leaves out what is fresh by the records of `dx-py test`.

The command is asked once, by the session that the user started; workers of xdist are handed its answer, since all of them must collect the
same. What ran is told when the session ends: a test that failed isn't left out the next time. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any, Optional

import pytest

from .errors import CommandError
from .outcome import PASSED, message_of, status_of
from .plain_arguments import comparable, doubt, measures_coverage, variables
from .plain_records import Answer, Records, Told

_KEY = "dx_py_selection"
#: Hooks that pytest calls for tests everywhere, also those of a conftest in another folder.
_WIDE_HOOKS = (
    "pytest_collection_modifyitems",
    "pytest_collection_finish",
    "pytest_collection",
    "pytest_runtest_protocol",
    "pytest_make_parametrize_id",
)
#: The outcomes of a test by their status, the gravest last.
_GRAVITY = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")
_NO_TESTS = 5


class PlainSelection:
    """Leaves tests out of one session."""

    def __init__(self, config: Any, environ: dict[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._is_worker = hasattr(config, "workerinput")
        self._revision: Optional[str] = getattr(config.option, "dx_changed_since", None)
        self._answer = Answer()
        self._records: Optional[Records] = None
        self._began = time.perf_counter()
        self._first_conftests: set[Any] = set()
        #: How many tests were left out since they are fresh, and since no change reaches them.
        self._left_out = (0, 0)
        self._outcomes: dict[str, Told] = {}
        self._ended: set[str] = set()
        self._problem = ""
        #: Whether the header has said all that there is to say.
        self._is_told = False

    # What is asked

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: Any) -> None:
        """Ask, before anything is collected and before xdist starts workers."""
        if self._is_worker:
            told = self._config.workerinput.get(_KEY)
            self._answer = Answer("its controller has told it nothing") if told is None else Answer.unpacked(told)
            return
        reason = doubt(self._config, self._environ)
        if reason:
            self._answer = Answer(reason)
            return
        invocation = self._config.invocation_params
        words, no_capture = comparable([str(word) for word in invocation.args])
        self._records = Records(str(invocation.dir), words, no_capture, variables(self._environ))
        try:
            self._answer = self._records.ask(str(self._config.rootpath), self._revision)
        except CommandError as error:
            raise pytest.UsageError(f"--dx: {error}") from None
        if measures_coverage(self._config):
            self._answer.doubt = "coverage is measured, which would be wrong for a part of the tests"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the answer to a worker of xdist."""
        node.workerinput[_KEY] = self._answer.packed()

    def pytest_report_header(self) -> str:
        """Say what is known."""
        answer = self._answer
        self._is_told = bool(answer.doubt)
        if self._is_told:
            return self._summary()
        fresh = len(answer.fresh) + len(answer.fresh_from_here)
        more = f", {len(answer.not_reached)} that nothing since {self._revision} reaches" if self._revision else ""
        return f"dx-py: {answer.recorded} tests on record, {fresh} fresh{more}"

    # What is left out

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, Any, None]:
        """Know which conftests were there from the start."""
        self._first_conftests = set(self._config.pluginmanager.get_plugins())
        yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> Generator[None, Any, None]:
        """Leave tests out, when all others have seen all tests."""
        # xdist adds a group to IDs.
        ids = {id(item): item.nodeid for item in items}
        yield
        if self._answer.doubt or not len(self._answer) or not items:
            return
        wide = self._unknown_wide_conftest()
        if wide:
            self._answer.doubt = f"{wide} has a say in tests of other folders, which the records don't know of"
            return
        fresh, others = self._selected([ids.get(id(item), item.nodeid) for item in items])
        kept, left = [], []
        counts = [0, 0]
        for item in items:
            test = ids.get(id(item), item.nodeid)
            if test in fresh or test in others:
                left.append(item)
                counts[test in others] += 1
            else:
                kept.append(item)
        if left:
            items[:] = kept
            self._left_out = (counts[0], counts[1])
            self._config.hook.pytest_deselected(items=left)

    def _selected(self, tests: list[str]) -> tuple[set[str], set[str]]:
        """Of these tests those that are left out: that are fresh, and that are not reached."""
        answer = self._answer
        # Of two tests with one ID nobody can say which one is on record.
        single = {test for test, count in Counter(tests).items() if count == 1}
        names = {name for names in answer.fresh_from_here.values() for name in names}
        here = {name for name in names if _is_found_here(name)}
        found = {test for test, names in answer.fresh_from_here.items() if here.issuperset(names)}
        fresh = (answer.fresh | found) & single
        others = answer.not_reached & single
        run = {_file_of(test) for test in tests if test not in fresh and test not in others} & answer.units
        if run:
            fresh = {test for test in fresh if _file_of(test) not in run}
            others = {test for test in others if _file_of(test) not in run}
        return fresh, others

    def _unknown_wide_conftest(self) -> str:
        """A conftest that was loaded with a folder, and whose hooks are called for all tests, if the records know nothing of it."""
        for name in _WIDE_HOOKS:
            for implementation in getattr(self._config.hook, name).get_hookimpls():
                plugin = implementation.plugin
                file = getattr(plugin, "__file__", None)
                is_conftest = isinstance(file, str) and os.path.basename(file) == "conftest.py"
                if is_conftest and plugin not in self._first_conftests and file not in self._answer.wide:
                    return str(file)
        return ""

    def pytest_report_collectionfinish(self) -> Optional[str]:
        """Say how many tests were left out, or why none, if the header hasn't."""
        return None if self._is_told else self._summary()

    def _summary(self) -> str:
        fresh, others = self._left_out
        if self._answer.doubt:
            return f"dx-py: every test runs: {self._answer.doubt}"
        line = f"dx-py: {_count(fresh, 'fresh test')} left out"
        return line + (f", and {others} that nothing since {self._revision} reaches" if self._revision else "")

    # What came of it

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the outcomes of tests, those of xdist's workers too."""
        if self._records is None or report.outcome == "rerun":
            return
        test = self._plain(report.nodeid)
        status = status_of(report) or PASSED
        outcome = _GRAVITY[status]
        known = self._outcomes.get(test)
        if known is None:
            answer = self._answer
            known = Told(test, "passed", 0.0, "", test in answer.fresh or test in answer.fresh_from_here)
            self._outcomes[test] = known
        known.duration += getattr(report, "duration", 0.0)
        if _GRAVITY.index(outcome) > _GRAVITY.index(known.outcome):
            known.outcome, known.message = outcome, (message_of(report, status).splitlines() or [""])[0][:500]
        if report.when == "teardown":
            self._ended.add(test)

    def _plain(self, test: str) -> str:
        """The ID without the group that xdist adds with `--dist loadgroup`."""
        if getattr(self._config.option, "dist", None) == "loadgroup" and test.rfind("@") > test.rfind("]"):
            return test.rpartition("@")[0]
        return test

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker of xdist has left out: the same as every other."""
        told = getattr(node, "workeroutput", {}).get(_KEY)
        if told:
            self._left_out = (told[0], told[1])
            self._answer.doubt = told[2]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: Any) -> None:
        """Make it a success that nothing had to run, and tell what came of what ran."""
        if self._is_worker:
            self._config.workeroutput[_KEY] = [*self._left_out, self._answer.doubt]
            return
        if session.exitstatus == _NO_TESTS and sum(self._left_out):
            session.exitstatus = 0
        self._tell(int(session.exitstatus))

    def _tell(self, exit_code: int) -> None:
        option = self._config.option
        runs_tests = not any(getattr(option, name, False) for name in ("collectonly", "setuponly", "setupplan"))
        tests = [told for test, told in self._outcomes.items() if test in self._ended or told.outcome in _GRAVITY[4:]]
        if self._records is None or not self._answer.recorded or not runs_tests or not tests:
            return
        words = " ".join(str(word) for word in self._config.invocation_params.args)
        wall = time.perf_counter() - self._began
        try:
            self._records.tell(tests, sum(self._left_out), wall, exit_code, f"pytest {words}")
        except CommandError as error:
            self._problem = str(error)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what the header couldn't: with xdist, how many tests were left out; and what went wrong."""
        if self._config.pluginmanager.hasplugin("dsession") and not self._is_told:
            terminalreporter.write_line(self._summary())
        if self._problem:
            terminalreporter.write_line(f"dx-py: the outcomes aren't recorded: {self._problem}", red=True)


def _is_found_here(name: str) -> bool:
    """Whether a module or package of this name comes from the working directory."""
    try:
        spec = getattr(sys.modules.get(name), "__spec__", None) or find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    folder = os.path.realpath(os.getcwd())
    return any(os.path.realpath(place).startswith(os.path.join(folder, name)) for place in places)


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
