"""Turns pytest's reports on one test into one result, in the form of the protocol."""

from __future__ import annotations

from typing import Any, Optional

PASSED, SKIPPED, XFAILED, XPASSED, FAILED, ERROR = range(6)
_PHASES = {"setup": 0, "call": 1, "teardown": 2}


def status_of(report: Any) -> Optional[int]:
    """The status that one report stands for; None if it says nothing (a set-up that passed, a rerun)."""
    if hasattr(report, "wasxfail"):
        if report.skipped:
            return XFAILED
        if report.passed:
            return XPASSED
    if report.outcome == "skipped":
        return SKIPPED
    if report.outcome == "failed":
        return FAILED if report.when == "call" else ERROR
    if report.outcome == "passed" and report.when == "call":
        return PASSED
    return None


def message_of(report: Any, status: int) -> str:
    """One line, or a few, that say why: the reason of a skip or an expected failure, or the exception."""
    if status in (XFAILED, XPASSED):
        reason = str(getattr(report, "wasxfail", ""))
        return reason[len("reason: ") :] if reason.startswith("reason: ") else reason
    longrepr = report.longrepr
    if status == SKIPPED:
        reason = longrepr[2] if isinstance(longrepr, tuple) and len(longrepr) == 3 else str(longrepr or "")
        return reason[len("Skipped: ") :] if reason.startswith("Skipped: ") else str(reason)
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    return str(longrepr or "").strip().rpartition("\n")[2]


def text_of(report: Any) -> str:
    """The failure as pytest renders it."""
    try:
        return str(report.longreprtext)
    except Exception as error:  # a user's exception may fail to render itself
        return f"<the failure could not be rendered: {error!r}>"


class Outcome:
    """The reports of one test, joined."""

    __slots__ = ("status", "phases", "reports", "sections", "properties")

    def __init__(self) -> None:
        self.status: Optional[int] = None
        self.phases = [0, 0, 0]
        self.reports: list[tuple[int, int, str, str]] = []
        self.sections: list[tuple[str, str]] = []
        self.properties: list[tuple[str, str]] = []

    def add(self, report: Any) -> None:
        """Take one of pytest's reports into account."""
        phase = _PHASES.get(report.when, 1)
        self.phases[phase] += max(0, int(report.duration * 1e9))
        if report.user_properties:
            self.properties = [(str(name), str(value)) for name, value in report.user_properties]
        status = status_of(report)
        if status is None:
            return
        if self.status is None or status > self.status:
            self.status = status
        if status != PASSED:
            text = text_of(report) if status >= FAILED else ""
            self.reports.append((phase, status, message_of(report, status), text))
        if status >= FAILED or phase == 2:
            self.sections = [(str(title), str(content)) for title, content in report.sections]

    def limit(self, elapsed: float) -> None:
        """Let no phase last longer than the whole test did: a test may replace the clock that pytest measures with."""
        left = int(elapsed * 1e9)
        for phase, nanoseconds in enumerate(self.phases):
            self.phases[phase] = min(nanoseconds, left)
            left -= self.phases[phase]

    def note_sections(self, report: Any) -> None:
        """Keep what a later phase captured, once something has failed."""
        if self.status is not None and self.status >= FAILED and report.sections:
            self.sections = [(str(title), str(content)) for title, content in report.sections]
