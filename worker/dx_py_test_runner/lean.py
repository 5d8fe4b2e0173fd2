"""The lean path: runs a test through pytest's own objects, without hooks and reports as long as nothing goes wrong.

pytest's protocol calls some twenty hook implementations for each phase of a test, most of them to set up what was just taken down for
the test before: capture, logging, warnings, the hooks of assertions. Here that is set up once for many tests (`scene.py`), and after each
phase it is looked whether the test has changed or used any of it. What a test leaves behind is put back as pytest puts it back. A phase
that raises, or has something to report, is reported by pytest's own hooks, with the same traceback, sections and order. A test that uses no
fixture, between others of its module or class, has nothing to set up and to tear down: it is only called, with its parameters if it has
some, which pytest hands over as fixtures.

Which tests may take this path is decided in `say.py`. How each of pytest's implementations is kept:

- `runner`: its set-up and teardown are called; the call is `_call`, which differs in not asking hooks who calls the function.
- `skipping`: called for tests with its marks; a test that adds a mark while it runs is found by the number of marks.
- `capture`: stays resumed; after each phase the size of what was captured is looked at, and whether the streams are still in place.
- `logging`: its handlers stay attached; their records are separated by phase.
- `warnings`: one context for all, its filters compared after each test; registries are reset for each, as entering a context does.
- `unraisableexception`, `threadexception`: their queues are looked at after each phase, and handed to them if there is something.
- `assertion`: its hooks are installed for the module. `tmpdir`: told that phases passed. `cacheprovider`: told of tests that pass.
- `faulthandler`: its watch is started and ended for each test.
- `unittest`: its items are run as they are, and are reported on if they have kept an error. `terminal`: has nothing to do in a worker.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Optional

import pytest
from _pytest import python, runner, skipping
from _pytest.python import pytest_pyfunc_call
from _pytest.unittest import TestCaseFunction

from . import say
from .outcome import PASSED, Outcome
from .scene import Scene, Tools

#: What a parameter's fixture returns it with.
_DIRECT = getattr(python, "get_direct_param_fixture_func", None)
_wall = time.time
_HERE = __file__
_PHASES = ("setup", "call", "teardown")


class Lean:
    """Runs tests of one session on the lean path, and keeps account of why others didn't take it."""

    def __init__(self, config: Any, reason: str, clock: Callable[[], float]) -> None:
        #: Why tests went through pytest's protocol, and how many did.
        self.reasons: dict[str, int] = {}
        #: How many took the lean path.
        self.count = 0
        self._config = config
        self._clock = clock
        self._says: dict[Any, say.Say] = {}
        self._scene: Optional[Scene] = None
        self._concerns: Optional[list[say.Concern]] = None
        self._reraise: tuple[type[BaseException], ...] = (pytest.exit.Exception, KeyboardInterrupt)
        self.reason = reason
        if not reason:
            try:
                self._tools = Tools(config)
            except (AttributeError, ImportError, KeyError) as error:
                self.reason = f"pytest {pytest.__version__} has other internals: {error}"

    def takes(self, item: Any) -> bool:
        """Whether a test takes the lean path; counts those that don't."""
        reason = self.reason or self._reason(item)
        if reason:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            return False
        self.count += 1
        return True

    def _reason(self, item: Any) -> str:
        if type(item) is not pytest.Function:
            if type(item) is not TestCaseFunction:
                return f"tests of type {type(item).__module__}.{type(item).__qualname__}"
            if "twisted.trial.unittest" in sys.modules:
                return "Twisted tells of errors in its own way"
        parent = item.parent
        known = self._says.get(parent)
        if known is None or known.marks_above() != known.count:
            known = self._says[parent] = say.Say(parent)
        if self._concerns is None:
            self._concerns = say.concerns(self._config)
        return say.of_item(item, known, self._concerns)

    def close(self) -> None:
        """Put everything back as it is between two tests of pytest's."""
        scene, self._scene = self._scene, None
        if scene is not None:
            scene.close()

    def run(self, item: Any, successor: Any, outcome: Outcome) -> None:
        """Run a test that `takes` has accepted; its result is in `outcome`.

        Reports on phases that aren't plain passes go through pytest's hooks, from which the caller must add them to `outcome`.
        """
        known = self._says[item.parent]
        scene = self._scene
        if scene is None or not scene.suits(known.ihook):
            self.close()
            scene = self._scene = Scene(self._tools, item.parent, known.ihook)
        marked = known.marked or not say.MARKS_OF_SKIPPING.isdisjoint({mark.name for mark in item.own_markers})
        test = _Test(item, outcome, marked, known)
        # What an earlier test has left is an error of this one's set-up.
        is_plain = not (marked or test.is_unit or scene.has_late_errors())
        arguments = _arguments(item, known) if is_plain else None
        watch = self._tools.watch(item)
        try:
            if arguments is not None:
                item.funcargs = arguments
                self._run_bare(scene, test, successor)
            else:
                self._run_phases(scene, test, successor)
        finally:
            watch()
        if outcome.status is None:
            outcome.status = PASSED
            if item.user_properties:
                outcome.properties = [(str(name), str(value)) for name, value in item.user_properties]
            self._tools.forget_failure(item.nodeid)

    def _run_phases(self, scene: Scene, test: _Test, successor: Any) -> None:
        """Run a test through its three phases."""
        item = test.item
        if not item._request:
            item._initrequest()
        passed: dict[str, bool] = {}
        item.stash[self._tools.tmppath_result_key] = passed
        scene.begin_test(item)
        try:
            if self._phase(
                scene, test, 0, _set_up_marked if test.is_reported else runner.pytest_runtest_setup, (item,)
            ):
                passed["setup"] = True
                test.is_reported = test.is_reported or test.has_new_marks()
                is_called = not test.say.call_by_hook and not test.is_unit
                call = _call_marked if test.is_reported else _call if is_called else _call_by_hook
                if self._phase(scene, test, 1, call, (item,)):
                    passed["call"] = True
            self._tear_down(scene, test, successor)
        finally:
            scene.end_test(item)

    def _tear_down(self, scene: Scene, test: _Test, successor: Any) -> None:
        item, session = test.item, test.item.session
        try:
            if session.shouldfail or session.shouldstop:
                successor = None
            self._phase(scene, test, 2, runner.pytest_runtest_teardown, (item, successor))
        finally:
            item._request = False
            item.funcargs = None

    def _run_bare(self, scene: Scene, test: _Test, successor: Any) -> None:
        """Run a test with nothing to set up. If nobody has anything to tell, and the next test has the same parent, there is nothing to
        tear down either; else it goes on as any other."""
        item = test.item
        stack = item.session._setupstate.stack
        stack[item] = entry = ([item.teardown], None)
        scene.begin_call(item)
        error, duration = self._time(_call, (item,))
        if error is None and scene.is_quiet() and not test.outcome.heard and not test.has_new_marks():
            test.outcome.phases[1] += int(duration * 1e9)
            session = item.session
            stays = type(successor) is pytest.Function and successor.parent is item.parent and len(entry[0]) == 1
            if stays and not (session.shouldfail or session.shouldstop):
                del stack[item]
                item._request = False
                item.funcargs = None
                scene.tell_warnings(item)
                return
            scene.give_records(item)
        else:
            scene.give_records(item, "call")
            self._judge(scene, test, 1, error, duration, (item,))
        try:
            self._tear_down(scene, test, successor)
        finally:
            scene.end_test(item)

    def _phase(
        self, scene: Scene, test: _Test, phase: int, work: Callable[..., None], arguments: tuple[Any, ...]
    ) -> bool:
        """Run one phase; gives whether it passed."""
        scene.begin_phase(test.item, _PHASES[phase])
        error, duration = self._time(work, arguments)
        return self._judge(scene, test, phase, error, duration, arguments)

    def _time(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> tuple[Optional[BaseException], float]:
        """What was raised, and how long it took in seconds."""
        error: Optional[BaseException] = None
        began = self._clock()
        try:
            work(*arguments)
        except BaseException as caught:
            error = caught.with_traceback(_without_own_frames(caught.__traceback__))
        return error, self._clock() - began

    def _judge(
        self,
        scene: Scene,
        test: _Test,
        phase: int,
        error: Optional[BaseException],
        duration: float,
        arguments: tuple[Any, ...],
    ) -> bool:
        """Gather what a phase has printed and logged, and report on it if there is a need; gives whether it passed."""
        item = test.item
        when = _PHASES[phase]
        scene.end_phase(item, when)
        if error is None and scene.has_late_errors():
            test.outcome.phases[phase] += int(duration * 1e9)
            test.is_reported = True
            return self._report_late_errors(scene, item, when, *arguments[1:])
        # Sub-tests report while the test runs, and the report on the whole says how many of them failed.
        plain = not test.is_reported and not test.outcome.heard and not test.has_kept_errors()
        if error is None and plain and not (phase == 1 and test.has_new_marks()):
            test.outcome.phases[phase] += int(duration * 1e9)
            return True
        if phase == 1 and item.stash.get(skipping.xfailed_key, None) is None:
            item.stash[skipping.xfailed_key] = skipping.evaluate_xfail_marks(item)
        if isinstance(error, self._reraise):
            self.close()
            raise error
        test.is_reported = True
        return self._report(scene, item, when, error, duration)

    def _report(self, scene: Scene, item: Any, when: Any, error: Optional[BaseException], duration: float) -> bool:
        """Report on a phase as pytest does; gives whether it passed."""
        excinfo = None
        if error is not None:
            excinfo = pytest.ExceptionInfo.from_exc_info((type(error), error, error.__traceback__))  # type: ignore[arg-type]
        now = _wall()
        call: Any = runner.CallInfo(None, excinfo, now - duration, now, duration, when, _ispytest=True)
        ihook = item.ihook
        with scene.paused():
            if error is not None and _is_expected(item, error):
                # Nobody reads the text of a failure that was expected, and it takes longer to write than most tests to run.
                item.repr_failure = item._repr_failure_py = _no_text
            report = ihook.pytest_runtest_makereport(item=item, call=call)
            vars(item).pop("repr_failure", None)
            vars(item).pop("_repr_failure_py", None)
            ihook.pytest_runtest_logreport(report=report)
            if runner.check_interactive_exception(call, report):
                ihook.pytest_exception_interact(node=item, call=call, report=report)
        return bool(report.passed)

    def _report_late_errors(self, scene: Scene, item: Any, when: Any, *successor: Any) -> bool:
        """Let pytest's hooks for the phase, whose work is done, warn of errors that nobody could raise when they happened, or raise
        them: the failure shows pytest's own frames."""
        done: Any = (_DoneUnit if type(item) is TestCaseFunction else _Done)(item)
        following = {"nextitem": successor[0]} if successor else {}
        with scene.paused():
            report = runner.call_and_report(done, when, **following)
        return bool(report.passed)


class _Done:
    """Stands for a test whose phase has run: to set it up, to run it and to tear it down does nothing."""

    def __init__(self, item: Any) -> None:
        self._item = item
        self.session = self._setupstate = self

    def __getattr__(self, name: str) -> Any:
        item = self.__dict__["_item"]
        try:
            return getattr(item, name)
        except AttributeError:
            return getattr(item.session, name)

    def runtest(self) -> None:
        """The call."""

    def setup(self, _item: Any) -> None:
        """The set-up."""

    def teardown_exact(self, _successor: Any) -> None:
        """The teardown."""


class _DoneUnit(_Done):
    """The same for one of unittest's, whose reports tell of the errors that it has kept."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return TestCaseFunction


class _Test:
    """A test while it runs."""

    __slots__ = ("item", "outcome", "is_reported", "is_unit", "say", "_marks")

    def __init__(self, item: Any, outcome: Outcome, marked: bool, known: say.Say) -> None:
        self.item = item
        self.outcome = outcome
        # Whether pytest's hooks report on its phases: once one is reported, all that follow are.
        self.is_reported = marked
        self._marks = len(item.own_markers)
        self.is_unit = type(item) is TestCaseFunction
        self.say = known

    def has_kept_errors(self) -> bool:
        """Whether unittest has told the item of failures and skips, which aren't raised."""
        return self.is_unit and bool(self.item._excinfo)

    def has_new_marks(self) -> bool:
        """Whether marks were added while it ran, which may mean that it was expected to fail."""
        return len(self.item.own_markers) != self._marks or self.say.marks_above() != self.say.count


def _arguments(item: Any, known: say.Say) -> Optional[dict[str, Any]]:
    """The arguments of a test for which there is nothing to set up: it uses no fixture, its parameters are what it is called with, and what
    it is in is set up already. None if there is more to do."""
    if known.call_by_hook:
        return None
    stack = item.session._setupstate.stack
    if not stack:
        return None
    node, (_, exception) = next(reversed(stack.items()))
    if node is not item.parent or exception is not None:
        return None
    names = item.fixturenames
    if not names:
        return {}
    callspec = getattr(item, "callspec", None)
    if callspec is None or not known.plain_parameters:
        return None
    arguments, definitions = {}, item._fixtureinfo.name2fixturedefs
    for name in names:
        found = definitions.get(name)
        # A wider scope means that tests are brought together, and nothing else.
        if not found or found[-1].func is not _DIRECT or name not in callspec.params:
            return None
        arguments[name] = callspec.params[name]
    return arguments


def _is_expected(item: Any, error: BaseException) -> bool:
    """Whether `skipping` will say that a failure was expected."""
    if item.config.option.runxfail or isinstance(error, pytest.skip.Exception):
        return False
    if isinstance(error, pytest.xfail.Exception):
        return True
    xfailed = item.stash.get(skipping.xfailed_key, None)
    if xfailed is None:
        return False
    raises = xfailed.raises
    return raises is None or isinstance(raises, (type, tuple)) and isinstance(error, raises)


def _no_text(*_arguments: object, **_options: object) -> str:
    return ""


def _set_up_marked(item: Any) -> None:
    skipping.pytest_runtest_setup(item)
    runner.pytest_runtest_setup(item)


def _call_marked(item: Any) -> None:
    xfailed = item.stash.get(skipping.xfailed_key, None)
    if xfailed is None:
        item.stash[skipping.xfailed_key] = xfailed = skipping.evaluate_xfail_marks(item)
    if xfailed and not item.config.option.runxfail and not xfailed.run:
        raise pytest.xfail.Exception("[NOTRUN] " + xfailed.reason, pytrace=False)
    _call_by_hook(item)


def _call_by_hook(item: Any) -> None:
    """The call, with other ways to call a function than pytest's own."""
    _call(item, lambda item: item.runtest())


def _call(item: Any, function: Callable[[Any], object] = pytest_pyfunc_call) -> None:
    """What `runner` does for the call."""
    runner._update_current_test_var(item, "call")
    if hasattr(sys, "last_type"):
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
    try:
        function(item)
    except Exception as error:
        sys.last_type = type(error)
        sys.last_value = error
        if sys.version_info >= (3, 12):
            sys.last_exc = error
        traceback = error.__traceback__
        sys.last_traceback = traceback.tb_next if traceback is not None else None
        raise


def _without_own_frames(traceback: Any) -> Any:
    """A traceback as it would be without this module: pytest hides its own frames, and can't know ours."""
    while traceback is not None and traceback.tb_next is not None and traceback.tb_frame.f_code.co_filename == _HERE:
        traceback = traceback.tb_next
    return traceback
