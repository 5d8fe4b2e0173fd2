"""Whether pytest's terminal report is heard: the orchestrator has its own, but plugins write theirs through pytest's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Any


def silence(config: Any) -> None:
    """Let the terminal report write nowhere."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter._tw._file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)


@contextlib.contextmanager
def speaking(terminalreporter: Any, file: Any) -> Generator[None, None, None]:
    """Let a silenced terminal report write to `file` for a while."""
    writer = terminalreporter._tw
    silent, writer._file = writer._file, file
    try:
        yield
    finally:
        writer._file = silent
