"""What stays set up while tests run on the lean path.

pytest's hooks set up capture, logging, warnings and the hooks of assertions for each phase of each test. A `Scene` does it once for
all tests for which the same hooks are asked, and after each phase it is looked whether the test has changed or used any of it. `lean.py`
tells how each of pytest's implementations is kept.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Optional

from .probes import load

_fstat = os.fstat


class Tools:
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
        self._watch: Any = None
        if manager.hasplugin("faulthandler") and float(config.getini("faulthandler_timeout") or 0) > 0:
            from _pytest.faulthandler import pytest_runtest_protocol as watch

            self._watch = watch
        #: How pytest-cov is told which phase of which test runs, if it wants to know.
        self.note_context: Optional[Callable[[Any, str], None]] = getattr(
            manager.getplugin("_cov_contexts"), "switch_context", None
        )
        last_failed = getattr(manager.getplugin("lfplugin"), "lastfailed", None)
        self._last_failed: dict[str, bool] = last_failed if isinstance(last_failed, dict) else {}

    def watch(self, item: Any) -> Callable[[], None]:
        """Start `faulthandler`'s watch over a test, if it is wanted; gives what ends it."""
        if self._watch is None:
            return _nothing
        watch = self._watch(item)
        next(watch)
        return watch.close  # type: ignore[no-any-return]

    def forget_failure(self, name: str) -> None:
        """What `cacheprovider` does when a test has passed."""
        if self._last_failed:
            self._last_failed.pop(name, None)


def _nothing() -> None:
    """Nobody watches."""


class Scene:
    """What stays set up while tests run for which the same hooks are asked."""

    def __init__(self, tools: Tools, parent: Any, ihook: Any) -> None:
        self._tools = tools
        self._ihook = ihook
        self._names_a_test = False
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
        if self._names_a_test:
            os.environ.pop("PYTEST_CURRENT_TEST", None)
        self._detach_handlers()
        self._stack.close()

    def suits(self, ihook: Any) -> bool:
        """Whether it is the same for tests that ask these hooks, and nothing has been changed."""
        return (ihook is self._ihook or _same_hooks(ihook, self._ihook)) and self.is_intact()

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
        self._records: dict[str, list[Any]] = {}
        self._stash_records(item)

    def _stash_records(self, item: Any) -> None:
        if self._logging is not None:
            item.stash[self._tools.records_key] = self._records
            item.stash[self._tools.handler_key] = self._caplog

    def end_test(self, item: Any) -> None:
        """What leaving them does."""
        if self._logging is not None:
            for key in (self._tools.records_key, self._tools.handler_key):
                # pytest's own hook has done so if it reported on the teardown.
                if key in item.stash:
                    del item.stash[key]
        self.tell_warnings(item)

    def tell_warnings(self, item: Any) -> None:
        """Tell of the warnings of a test."""
        if self._log:
            recorded = self._ihook.pytest_warning_recorded
            for message in self._log:
                arguments = {"warning_message": message, "nodeid": item.nodeid, "when": "runtest", "location": None}
                recorded.call_historic(kwargs=arguments)
            self._log.clear()

    # Tests without fixtures

    def begin_call(self, item: Any) -> None:
        """What is seen of `begin_test`, and of `begin_phase` for the call, by a test that has no fixtures to be set up before it."""
        self._tools.filters_mutated()
        self._note_context(item, "call")
        if self._logging is not None:
            self._begin_logging()
        # It isn't taken away between tests, when nothing of the user's runs.
        self._names_a_test = True

    def is_quiet(self) -> bool:
        """Whether such a test has printed and logged nothing, and no error came late."""
        return not ((self._logging is not None and self._report.records) or any(self._queues) or self._is_captured())

    def give_records(self, item: Any, *when: str) -> None:
        """Let hooks that report on such a test find what it has logged."""
        self._records = dict.fromkeys(when, self._caplog.records) if self._logging is not None else {}
        self._stash_records(item)

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
            self._files = (*_identity(1), *_identity(2))

    def _is_captured(self) -> bool:
        """Whether something was captured, or the streams aren't where they were."""
        if sys.stdout is not self._out or sys.stderr is not self._err:
            return True
        if self._is_fd:
            return _is_written(*self._files)
        if self._tools.method == "sys":
            return bool(self._out.buffer.tell() or self._err.buffer.tell())
        return False

    # Phases

    def _begin_logging(self) -> None:
        if not self._contexts or not self._are_handlers_attached():
            self._detach_handlers()
            self._attach_handlers()
        if self._report.records:
            self._report.reset()
        if self._caplog.records:
            self._caplog.reset()

    def _note_context(self, item: Any, when: str) -> None:
        note = self._tools.note_context
        if note is not None:
            note(item, "run" if when == "call" else when)

    def begin_phase(self, item: Any, when: str) -> None:
        """What pytest's wrappers do before a phase, and pytest-cov's."""
        self._note_context(item, when)
        if self._logging is not None and self._tools.manager.getplugin("logging-plugin") is None:
            # A fixture may unregister the plugin for its test.
            self._detach_handlers()
        elif self._logging is not None:
            self._begin_logging()
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

    def paused(self) -> Pause:
        """A context in which output isn't captured: hooks that report run in it."""
        return Pause(self._tools.capture)


class Pause:
    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def __enter__(self) -> None:
        self._capture.suspend_global_capture(in_=False)

    def __exit__(self, *_exception: object) -> None:
        self._capture.resume_global_capture()


def _same_hooks(one: Any, other: Any) -> bool:
    """Whether two proxies leave out the same conftests; pytest makes one for each folder."""
    left_out = getattr(one, "remove_mods", None)
    return left_out is not None and left_out == getattr(other, "remove_mods", None) and one.pm is other.pm


def _is_written_in_python(out_device: int, out: int, error_device: int, error: int) -> bool:
    """Whether one of the standard streams leads elsewhere than to these files, or they aren't empty."""
    try:
        streams = _fstat(1), _fstat(2)
    except OSError:
        return True
    identities = [(stream.st_dev, stream.st_ino) for stream in streams]
    return identities != [(out_device, out), (error_device, error)] or any(stream.st_size for stream in streams)


def _compiled() -> Callable[[int, int, int, int], bool]:
    probes = load()
    is_known = probes is not None and probes.is_written(0, 0, 0, 0) is not None
    return probes.is_written if is_known else _is_written_in_python  # type: ignore[union-attr]


_is_written = _compiled()


def _identity(fd: int) -> tuple[int, int]:
    status = _fstat(fd)
    return status.st_dev, status.st_ino
