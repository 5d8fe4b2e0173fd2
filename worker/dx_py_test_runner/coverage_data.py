"""What pytest-cov measures in workers: what it would in pytest, so nothing of this package; and what it measured in runs before this one
goes once, whichever worker is the first.

Each session of pytest-cov that isn't told to append deletes all data as it begins. Of several workers, one may begin when another has
saved what it measured: one that is slow to start, or that is started in place of one that crashed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class CoverageData:
    """Deletes the data of earlier runs under a lock, if no worker of this run has, and lets pytest-cov append.

    `folder` is where the lock's file may lie; what it holds is the ID of the run that deleted last.
    """

    def __init__(self, folder: str, run_id: str) -> None:
        self._lock = os.path.join(folder, "coverage.lock")
        self._run_id = run_id

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config: Any) -> Generator[None, None, None]:
        """Come before pytest-cov, which begins here."""
        options = early_config.known_args_namespace
        if (
            getattr(options, "cov_source", None)
            and not getattr(options, "no_cov", False)
            and not getattr(options, "cov_append", True)
        ):
            options.cov_append = self._delete(options)
        with leaving_out_own_code(bool(getattr(options, "cov_source", None))):
            yield

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_sessionstart(self, session: Any) -> Generator[None, None, None]:
        """Come before pytest-cov, which begins once more here in one of several workers."""
        with leaving_out_own_code(session.config.pluginmanager.hasplugin("_cov")):
            yield

    def _delete(self, options: Any) -> bool:
        """Whether earlier data is gone; where no lock can be had, pytest-cov deletes it as ever."""
        import fcntl

        import coverage  # type: ignore[import-not-found]

        try:
            with open(self._lock, "a+", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                lock.seek(0)
                if lock.read() != self._run_id:
                    coverage.Coverage(data_suffix=True, config_file=options.cov_config).erase()
                    lock.truncate(0)
                    lock.write(self._run_id)
        except OSError:
            return False
        return True


@contextmanager
def leaving_out_own_code(is_measured: bool) -> Iterator[None]:
    """Let measurements that begin in this context leave this package out: it lies below the project's folder, which is what is measured if
    nothing else is named."""
    if not is_measured:
        yield
        return
    from coverage import Coverage

    start = Coverage.start
    own = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "*")

    def start_without(self: Any) -> None:
        self.set_option("run:omit", [*(self.get_option("run:omit") or ()), own])
        start(self)

    Coverage.start = start_without
    try:
        yield
    finally:
        Coverage.start = start
