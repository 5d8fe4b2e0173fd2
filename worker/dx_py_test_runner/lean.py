"""The lean path: runs a test through pytest's own objects, without hooks and reports as long as nothing goes wrong.

pytest's protocol calls some twenty hook implementations for each phase of a test, most of them to set up what was just taken down for
the test before: capture, logging, warnings, the hooks of assertions. Here that is set up once for the tests of a module (`_Scene`), and
after each phase it is looked whether the test has changed or used any of it. What a test leaves behind is put back as pytest puts it
back. A phase that raises, or has something to report, is reported by pytest's own hooks, with the same traceback, sections and order.

Which tests may take this path is decided in `say.py`. How each of pytest's implementations is kept:

- `runner`: its set-up and teardown are called; the call is `_call`, which differs in not asking hooks who calls the function.
- `skipping`: called for tests with its marks; a test that adds a mark while it runs is found by the number of marks.
- `capture`: stays resumed; after each phase the size of what was captured is looked at, and whether the streams are still in place.
- `logging`: its handlers stay attached; their records are separated by phase.
- `warnings`: one context for all, its filters compared after each test; registries are reset for each, as entering a context does.
- `unraisableexception`, `threadexception`: their queues are looked at after each phase, and handed to them if there is something.
- `assertion`: its hooks are installed for the module. `tmpdir`: told that phases passed. `cacheprovider`: told of tests that pass.
- `faulthandler`, `unittest`, `terminal`: have nothing to do for plain functions in a worker, or the lean path isn't taken.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Optional

import pytest
from _pytest import runner, skipping
from _pytest.python import pytest_pyfunc_call

from . import say
from .outcome import PASSED, Outcome

_fstat = os.fstat
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
        self._scene: Optional[_Scene] = None
        self._parent: Any = None
        self._concerns: Optional[list[say.Concern]] = None
        self._reraise: tuple[type[BaseException], ...] = (pytest.exit.Exception, KeyboardInterrupt)
        self.reason = reason
        if not reason:
            try:
                self._tools = _Tools(config)
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
            return f"tests of type {type(item).__module__}.{type(item).__qualname__}"
        parent = item.parent
        known = self._says.get(parent)
        if known is None or known.marks_above() != known.count:
            known = self._says[parent] = say.Say(parent)
        if self._concerns is None:
            self._concerns = say.concerns(self._config)
        return say.of_item(item, known, self._concerns)

    def close(self) -> None:
        """Put everything back as it is between two tests of pytest's."""
        scene, self._scene, self._parent = self._scene, None, None
        if scene is not None:
            scene.close()

    def run(self, item: Any, successor: Any, outcome: Outcome) -> None:
        """Run a test that `takes` has accepted; its result is in `outcome`.

        Reports on phases that aren't plain passes go through pytest's hooks, from which the caller must add them to `outcome`.
        """
        known = self._says[item.parent]
        scene = self._scene
        if scene is None or self._parent is not item.parent or not scene.is_intact():
            self.close()
            scene = self._scene = _Scene(self._tools, item.parent, known.ihook)
            self._parent = item.parent
        tools = self._tools
        marked = known.marked or not say.MARKS_OF_SKIPPING.isdisjoint({mark.name for mark in item.own_markers})
        test = _Test(item, outcome, marked, known)
        if not item._request:
            item._initrequest()
        passed: dict[str, bool] = {}
        item.stash[tools.tmppath_result_key] = passed
        scene.begin_test(item)
        try:
            if self._phase(scene, test, 0, _set_up_marked if marked else runner.pytest_runtest_setup, (item,)):
                passed["setup"] = True
                test.is_reported = test.is_reported or test.has_new_marks()
                call = _call_marked if test.is_reported else _call_by_hook if known.call_by_hook else _call
                if self._phase(scene, test, 1, call, (item,)):
                    passed["call"] = True
            session = item.session
            if session.shouldfail or session.shouldstop:
                successor = None
            self._phase(scene, test, 2, runner.pytest_runtest_teardown, (item, successor))
        finally:
            item._request = False
            item.funcargs = None
            scene.end_test(item)
        if outcome.status is None:
            outcome.status = PASSED
            if item.user_properties:
                outcome.properties = [(str(name), str(value)) for name, value in item.user_properties]
            tools.forget_failure(item.nodeid)

    def _phase(
        self, scene: _Scene, test: _Test, phase: int, work: Callable[..., None], arguments: tuple[Any, ...]
    ) -> bool:
        """Run one phase; gives whether it passed."""
        item = test.item
        when = _PHASES[phase]
        scene.begin_phase(item, when)
        error: Optional[BaseException] = None
        began = self._clock()
        try:
            work(*arguments)
        except BaseException as caught:
            error = caught.with_traceback(_without_own_frames(caught.__traceback__))
        duration = self._clock() - began
        scene.end_phase(item, when)
        if error is None and scene.has_late_errors():
            test.outcome.phases[phase] += int(duration * 1e9)
            test.is_reported = True
            return self._report_late_errors(scene, item, when, *arguments[1:])
        # Sub-tests report while the test runs, and the report on the whole says how many of them failed.
        plain = not test.is_reported and not test.outcome.heard
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

    def _report(self, scene: _Scene, item: Any, when: Any, error: Optional[BaseException], duration: float) -> bool:
        """Report on a phase as pytest does; gives whether it passed."""
        excinfo = None
        if error is not None:
            excinfo = pytest.ExceptionInfo.from_exc_info((type(error), error, error.__traceback__))  # type: ignore[arg-type]
        now = _wall()
        call: Any = runner.CallInfo(None, excinfo, now - duration, now, duration, when, _ispytest=True)
        ihook = item.ihook
        with scene.paused():
            report = ihook.pytest_runtest_makereport(item=item, call=call)
            ihook.pytest_runtest_logreport(report=report)
            if runner.check_interactive_exception(call, report):
                ihook.pytest_exception_interact(node=item, call=call, report=report)
        return bool(report.passed)

    def _report_late_errors(self, scene: _Scene, item: Any, when: Any, *successor: Any) -> bool:
        """Let pytest's hooks for the phase, whose work is done, warn of errors that nobody could raise when they happened, or raise
        them: the failure shows pytest's own frames."""
        done: Any = _Done(item)
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


class _Test:
    """A test while it runs."""

    __slots__ = ("item", "outcome", "is_reported", "_marks", "_say")

    def __init__(self, item: Any, outcome: Outcome, marked: bool, known: say.Say) -> None:
        self.item = item
        self.outcome = outcome
        # Whether pytest's hooks report on its phases: once one is reported, all that follow are.
        self.is_reported = marked
        self._marks = len(item.own_markers)
        self._say = known

    def has_new_marks(self) -> bool:
        """Whether marks were added while it ran, which may mean that it was expected to fail."""
        return len(self.item.own_markers) != self._marks or self._say.marks_above() != self._say.count


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


class _Tools:
    """What pytest's plugins hold, looked up once."""

    def __init__(self, config: Any) -> None:
        from _pytest.assertion import pytest_runtest_protocol as assertion_protocol
        from _pytest.capture import CaptureManager
        from _pytest.logging import caplog_handler_key, caplog_records_key, catching_logs
        from _pytest.tmpdir import tmppath_result_key
        from _pytest.warnings import catch_warnings_for_item

        manager = config.pluginmanager
        self.config = config
        self.manager: Any = manager
        self.capture: CaptureManager = manager.getplugin("capturemanager")
        self.method: str = self.capture._method
        self.logging: Any = manager.getplugin("logging-plugin")
        self.catching_logs: Any = catching_logs
        self.records_key, self.handler_key = caplog_records_key, caplog_handler_key
        self.tmppath_result_key = tmppath_result_key
        self.warnings: Any = catch_warnings_for_item if manager.hasplugin("warnings") else None
        self.assertion: Any = assertion_protocol
        self.queues: list[Any] = []
        if manager.hasplugin("unraisableexception"):
            from _pytest import unraisableexception as unraisable

            self.queues.append(config.stash[unraisable.unraisable_exceptions])
        if manager.hasplugin("threadexception"):
            from _pytest import threadexception as thread

            self.queues.append(config.stash[thread.thread_exceptions])
        self.filters_mutated: Callable[[], None] = warnings._filters_mutated  # type: ignore[attr-defined]
        last_failed = getattr(manager.getplugin("lfplugin"), "lastfailed", None)
        self._last_failed: dict[str, bool] = last_failed if isinstance(last_failed, dict) else {}

    def forget_failure(self, name: str) -> None:
        """What `cacheprovider` does when a test has passed."""
        if self._last_failed:
            self._last_failed.pop(name, None)


class _Scene:
    """What stays set up while tests of one module or class run."""

    def __init__(self, tools: _Tools, parent: Any, ihook: Any) -> None:
        self._tools = tools
        self._ihook = ihook
        self._stack = stack = ExitStack()
        self._queues = tools.queues
        self._log: list[Any] = []
        self._is_fd = tools.method == "fd"
        if tools.warnings is not None:
            stack.enter_context(tools.warnings(config=tools.config, ihook=ihook, when="runtest", item=None))
            self._log = warnings._showwarnmsg_impl.__self__  # type: ignore[attr-defined]
        # The generator of its hook wrapper: what it installs holds for all that share the hooks.
        hooks = tools.assertion(parent)
        next(hooks)
        stack.callback(hooks.close)
        self._loggers = 0
        self._attach_handlers()
        tools.capture.resume_global_capture()
        stack.callback(tools.capture.suspend_global_capture, in_=False)
        self._note_warnings()
        self._note_streams()

    def close(self) -> None:
        """Take everything down."""
        self._detach_handlers()
        self._stack.close()

    # Warnings

    def _note_warnings(self) -> None:
        self._show = warnings._showwarnmsg_impl  # type: ignore[attr-defined]
        self._show_public = warnings.showwarning
        self._filters = warnings.filters
        self._copy = list(warnings.filters)

    def is_intact(self) -> bool:
        """Whether the filters of warnings, and what shows them, are what they were."""
        return (
            warnings.filters is self._filters
            and warnings._showwarnmsg_impl is self._show  # type: ignore[attr-defined]
            and warnings.showwarning is self._show_public
            and self._filters == self._copy
        )

    def begin_test(self, item: Any) -> None:
        """What entering pytest's contexts for a test does."""
        self._tools.filters_mutated()
        if self._logging is not None:
            self._records: dict[str, list[Any]] = {}
            item.stash[self._tools.records_key] = self._records
            item.stash[self._tools.handler_key] = self._caplog

    def end_test(self, item: Any) -> None:
        """What leaving them does."""
        if self._logging is not None:
            del item.stash[self._tools.records_key]
            del item.stash[self._tools.handler_key]
        if self._log:
            recorded = self._ihook.pytest_warning_recorded
            for message in self._log:
                arguments = {"warning_message": message, "nodeid": item.nodeid, "when": "runtest", "location": None}
                recorded.call_historic(kwargs=arguments)
            self._log.clear()

    # Logging

    def _attach_handlers(self) -> None:
        import logging

        self._logging = plugin = self._tools.logging
        self._root = logging.getLogger()
        self._contexts: list[Any] = []
        if plugin is None:
            return
        self._caplog, self._report = plugin.caplog_handler, plugin.report_handler
        self._contexts = [
            self._tools.catching_logs(handler, level=plugin.log_level) for handler in (self._caplog, self._report)
        ]
        for context in self._contexts:
            context.__enter__()
        self._handlers = list(self._root.handlers)
        self._level = self._root.level
        self._muted = self._count_muted()
        self._caplog.reset()
        self._report.reset()

    def _detach_handlers(self) -> None:
        for context in reversed(self._contexts):
            context.__exit__(None, None, None)
        self._contexts = []

    def _count_muted(self) -> int:
        """How many loggers don't pass on what they hear: pytest attaches its handlers to each of them."""
        loggers = self._root.manager.loggerDict.values()
        return sum(1 for logger in loggers if getattr(logger, "propagate", True) is False)

    def _are_handlers_attached(self) -> bool:
        root = self._root
        return root.handlers == self._handlers and root.level == self._level and self._count_muted() == self._muted

    # Capture

    def _note_streams(self) -> None:
        self._out, self._err = sys.stdout, sys.stderr
        if self._is_fd:
            self._files = (_identity(1), _identity(2))

    def _is_captured(self) -> bool:
        """Whether something was captured, or the streams aren't where they were."""
        if sys.stdout is not self._out or sys.stderr is not self._err:
            return True
        if self._is_fd:
            try:
                out, err = _fstat(1), _fstat(2)
            except OSError:
                return True
            return bool(
                out.st_size
                or err.st_size
                or (out.st_dev, out.st_ino) != self._files[0]
                or (err.st_dev, err.st_ino) != self._files[1]
            )
        if self._tools.method == "sys":
            return bool(self._out.buffer.tell() or self._err.buffer.tell())
        return False

    # Phases

    def begin_phase(self, _item: Any, when: str) -> None:
        """What pytest's wrappers do before a phase."""
        if self._logging is not None and self._tools.manager.getplugin("logging-plugin") is None:
            # A fixture may unregister the plugin for its test.
            self._detach_handlers()
        elif self._logging is not None:
            if not self._contexts or not self._are_handlers_attached():
                self._detach_handlers()
                self._attach_handlers()
            if self._report.records:
                self._report.reset()
            if self._caplog.records:
                self._caplog.reset()
            self._caplog.records = self._records[when] = []
        capture = self._tools.capture
        if capture._capture_fixture is not None:
            capture.activate_fixture()

    def end_phase(self, item: Any, when: str) -> None:
        """What they do after one: gather what was captured and logged."""
        capture = self._tools.capture
        if capture._capture_fixture is not None:
            capture.deactivate_fixture()
        if self._is_captured():
            capture.suspend_global_capture(in_=False)
            out, err = capture.read_global_capture()
            item.add_report_section(when, "stdout", out)
            item.add_report_section(when, "stderr", err)
            capture.resume_global_capture()
            self._note_streams()
        if self._logging is not None and self._report.records:
            item.add_report_section(when, "log", self._report.stream.getvalue().strip())

    def has_late_errors(self) -> bool:
        """Whether errors were gathered that nobody could raise when they happened."""
        return any(self._queues)

    def paused(self) -> _Pause:
        """A context in which output isn't captured: hooks that report run in it."""
        return _Pause(self._tools.capture)


class _Pause:
    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def __enter__(self) -> None:
        self._capture.suspend_global_capture(in_=False)

    def __exit__(self, *_exception: object) -> None:
        self._capture.resume_global_capture()


def _identity(fd: int) -> tuple[int, int]:
    status = _fstat(fd)
    return status.st_dev, status.st_ino
