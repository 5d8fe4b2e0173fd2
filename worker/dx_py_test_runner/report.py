"""Combines what the workers' coverage measured, and reports it.

pytest-cov itself does both, in a session without tests, so that its options mean what they mean in pytest.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator
from typing import Any

import pytest
from _pytest.config import UsageError, _prepareconfig

from .boot import become_worker


class ReportPlugin:
    """A session that collects nothing and says nothing but what plugins have to say at its end."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: Any) -> None:
        """Silence the terminal report, and keep a session without tests out of pytest's cache.

        Its plugin stays, since the user's arguments may have its options.
        """
        for name in ("lfplugin", "nfplugin", "stepwiseplugin"):
            plugin = config.pluginmanager.getplugin(name)
            if plugin is not None:
                config.pluginmanager.unregister(plugin)
        self._silent = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter._tw._file = self._silent

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: Any) -> bool:
        """Collect nothing."""
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """Run nothing; pytest-cov's wrapper around it combines and reports."""
        return True

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Let plugins write what they have to say."""
        terminalreporter._tw._file = sys.stdout
        yield
        sys.stdout.flush()
        terminalreporter._tw._file = self._silent


def report(arguments: list[str]) -> int:
    """Run the session; gives pytest's exit code, which is 1 only if the coverage is below `--cov-fail-under`."""
    try:
        return _report([*arguments, "--cov-append"])
    except UsageError as error:
        print(*error.args, sep="\n", file=sys.stderr)
        return 4
    except Exception:  # Python's own exit code for it is 1, which has a meaning here
        traceback.print_exc()
        return 3


def _report(arguments: list[str]) -> int:
    try:
        # xdist's controller would start workers of its own.
        config = _prepareconfig([*arguments, "-n", "0", "--dist", "no"], [ReportPlugin()])
    except UsageError:  # there is no xdist
        config = _prepareconfig(arguments, [ReportPlugin()])
    try:
        become_worker(config, 0, 1, "", "")
        if hasattr(config.option, "cacheclear"):
            config.option.cacheclear = False  # the workers have done it, and what they wrote since stays
        return int(config.hook.pytest_cmdline_main(config=config) or 0)
    finally:
        config._ensure_unconfigure()
