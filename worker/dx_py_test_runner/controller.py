"""The controller: a session without tests of its own, for plugins that report.

It hears of every test what the workers' pytest said of it, in the form that pytest gives reports to cross processes, and what warnings
there were, and runs the hooks with it; so plugins and conftests that write a report, or start something once for all workers, do so
here. pytest-cov combines and reports what the workers measured in such a session too, which hears of nothing.
"""

from __future__ import annotations

import marshal
import os
import sys
import traceback
from collections.abc import Generator
from typing import Any, Optional

import pytest
from _pytest.config import UsageError, _prepareconfig

from . import needs, wire
from . import plugin as snapshots
from .boot import become_worker, leave_xdist_out, usage_text
from .coverage_data import leaving_out_own_code
from .outcome import ERROR, FAILED, SKIPPED
from .speech import silence, speaking
from .warning_messages import from_data

#: The exit code of a controller whose arguments are wrong.
_NO_SESSION = 4


class ControllerPlugin:
    """A session that collects nothing, and says nothing but what plugins have to say at its end."""

    def __init__(self, feed: Optional[wire.Feed]) -> None:
        self._feed = feed
        self.decided_code: Optional[int] = None

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config: Any) -> Generator[None, None, None]:
        """Keep pytest-cov, which begins to measure here, from waiting for workers of xdist's."""
        options = early_config.known_args_namespace
        leave_xdist_out(options)
        with leaving_out_own_code(bool(getattr(options, "cov_source", None))):
            yield

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: Any) -> None:
        """Silence the terminal report. A session that hears of nothing stays out of pytest's cache.

        The cache's plugin is there all the same, since the user's arguments may have its options.
        """
        silence(config)
        for name in ("lfplugin", "nfplugin", "stepwiseplugin") if self._feed is None else ():
            plugin = config.pluginmanager.getplugin(name)
            if plugin is not None:
                config.pluginmanager.unregister(plugin)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: Any) -> bool:
        """Collect nothing."""
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """Hear of the tests; pytest-cov's wrapper around it combines and reports."""
        if self._feed is None:
            return True
        # The orchestrator waits for this: from here on workers find what was started for them.
        _tell("\n".join(needs.reporting(session.config)))
        while True:
            command = self._feed.receive()
            if command is None:
                os._exit(1)  # the orchestrator is gone
            kind, _sequence, argument, payload = command
            if kind == wire.FINISH:
                return True
            if kind == wire.TELL_TEST:
                self._tell_test(session, wire.Unpack(payload))
            elif kind == wire.TELL_COLLECTION:
                self._tell_collection(session, wire.Unpack(payload), argument)

    def _tell_test(self, session: Any, data: wire.Unpack) -> None:
        config = session.config
        node, status, message, text, raw = data.text(), data.u8(), data.text(), data.text(), data.blob()
        kept, warned = marshal.loads(raw) if raw else ([], [])
        reports = [config.hook.pytest_report_from_serializable(config=config, data=report) for report in kept]
        if not reports:
            # The worker died, or was killed: pytest has said nothing of the test.
            path = node.partition("::")[0]
            reports = [
                pytest.TestReport(
                    nodeid=node,
                    location=(path, None, node.rpartition("::")[2]),
                    keywords={},
                    outcome="failed" if status in (FAILED, ERROR) else "passed",
                    longrepr=f"{message}\n{text}",
                    when="call",
                )
            ]
        session.testscollected += 1
        location = getattr(reports[0], "location", (node, None, node))
        config.hook.pytest_runtest_logstart(nodeid=node, location=location)
        for report in reports:
            if report is not None:
                config.hook.pytest_runtest_logreport(report=report)
        config.hook.pytest_runtest_logfinish(nodeid=node, location=location)
        self._tell_warnings(session, warned)

    def _tell_warnings(self, session: Any, warned: list[dict[str, Any]]) -> None:
        for data in warned:
            session.config.hook.pytest_warning_recorded.call_historic(kwargs=from_data(data))

    def _tell_collection(self, session: Any, data: wire.Unpack, status: int) -> None:
        node, text, raw = data.text(), data.text(), data.blob()
        if raw:
            self._tell_warnings(session, marshal.loads(raw))
        if status not in (ERROR, SKIPPED):
            return
        longrepr: Any = text if status == ERROR else (node, None, f"Skipped: {text}")
        outcome: Any = "failed" if status == ERROR else "skipped"
        report = pytest.CollectReport(nodeid=node, outcome=outcome, longrepr=longrepr, result=[])
        session.config.hook.pytest_collectreport(report=report)

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> Generator[None, None, None]:
        """See whether a hook decides on another exit code."""
        yield
        if session.exitstatus != exitstatus:
            self.decided_code = int(session.exitstatus)

    def pytest_internalerror(self, excrepr: Any) -> None:
        """An error of a plugin's: pytest's own report of it is silent here."""
        sys.stderr.write("".join(f"INTERNALERROR> {line}\n" for line in str(excrepr).split("\n")))
        self.decided_code = 3

    # The innermost wrapper: pytest's own summary, which wraps the hook as well, stays silent.
    @pytest.hookimpl(trylast=True, hookwrapper=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Let plugins write what they have to say."""
        with speaking(terminalreporter, sys.stdout):
            yield
        sys.stdout.flush()


def control(arguments: list[str]) -> int:
    """Run the session that hears of tests from standard input; gives pytest's exit code."""
    feed = wire.Feed(os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    plugin = ControllerPlugin(feed)
    try:
        code = _run(arguments, plugin)
    except UsageError as error:
        sys.stderr.write(usage_text(error))
        return _NO_SESSION
    if plugin.decided_code is not None:
        _tell(str(plugin.decided_code))
    return code


def _tell(text: str) -> None:
    """Tell the orchestrator something, between what plugins print."""
    sys.stdout.write(f"\x02{text}\x03")
    sys.stdout.flush()


def report(arguments: list[str]) -> int:
    """Run the session that reports coverage; gives pytest's exit code, which is 1 only if the coverage is below `--cov-fail-under`."""
    try:
        return _run([*arguments, "--cov-append"], ControllerPlugin(None))
    except UsageError as error:
        sys.stderr.write(usage_text(error))
        return _NO_SESSION
    except Exception:  # Python's own exit code for it is 1, which has a meaning here
        traceback.print_exc()
        return 3


def _run(arguments: list[str], plugin: ControllerPlugin) -> int:
    config = _prepareconfig(arguments, [plugin, snapshots])
    try:
        become_worker(config, 0, 1, "", "")
        if hasattr(config.option, "cacheclear"):
            config.option.cacheclear = False  # the workers do it, and what they have written stays
        return int(config.hook.pytest_cmdline_main(config=config) or 0)
    finally:
        config._ensure_unconfigure()
