"""Holds back what is the project's until it is known that there are tests for it.

A worker is started while the orchestrator still looks up what it shall do, if anything. It makes itself ready meanwhile, pytest's
configuration included, which is half of what precedes the first conftest; but what a conftest or a plugin of the project begins, such as a
database, isn't begun in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Optional

import pytest


class Gate:
    """Is closed until `wait` returns, which is called when it is to be opened, and when it is left. Without `wait` it is open."""

    def __init__(self, wait: Optional[Callable[[], None]]) -> None:
        self._wait = wait

    def open(self) -> None:
        """Wait, if that hasn't been done: something of the project's is about to run, such as a plugin's module."""
        wait, self._wait = self._wait, None
        if wait is not None:
            wait()

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_load_initial_conftests(self) -> Generator[None, Any, None]:
        """Wait before the first conftest is imported."""
        self.open()
        yield

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.open()
