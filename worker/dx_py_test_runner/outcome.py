"""Turns pytest's reports on one test into one result, in the form of the protocol."""

from __future__ import annotations

import marshal
import os
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


def sub_test_of(report: Any) -> str:
    """Which part of a test a report is about, such as `[message] (i=1)`; empty for the test itself.

    Reports of sub-tests have the ID of their test, and a heading that tells more.
    """
    try:
        head, whole = report.head_line, report.location[2]
    except Exception:  # a plugin's report may lack what pytest's have
        return ""
    return head[len(whole) :].strip() if type(head) is str and head.startswith(whole) else ""


def place_of(report: Any, start: str) -> str:
    """Where a skip was decided, as pytest's summary shows it: relative to where the session began, wherever a test has gone since."""
    longrepr = report.longrepr
    if not isinstance(longrepr, tuple) or len(longrepr) != 3:
        return ""
    path, line, _ = longrepr
    if not isinstance(path, str):
        path = str(path)
    if os.path.isabs(path):
        path = os.path.relpath(path, start)
    by_mark = report.when == "setup" and "skip" in report.keywords and "pytestmark" not in report.keywords
    return path if by_mark or line is None else f"{path}:{line}"


def text_of(report: Any) -> str:
    """The failure as pytest renders it."""
    try:
        return str(report.longreprtext)
    except Exception as error:  # a user's exception may fail to render itself
        return f"<the failure could not be rendered: {error!r}>"


def sections_of(report: Any) -> list[tuple[str, str]]:
    """What was captured, with pytest's titles."""
    return [(str(title), str(content)) for title, content in report.sections]


class Outcome:
    """The reports of one test, joined."""

    #: The working directory of the session.
    start = os.getcwd()

    __slots__ = ("status", "phases", "reports", "sections", "properties", "heard", "elapsed", "_kept", "_warnings")

    def __init__(self) -> None:
        self.status: Optional[int] = None
        self.phases = [0, 0, 0]
        self.reports: list[tuple[int, int, str, str]] = []
        self.sections: list[tuple[str, str]] = []
        self.properties: list[tuple[str, str]] = []
        #: How many reports were added.
        self.heard = 0
        #: Nanoseconds from its start to its end.
        self.elapsed = 0
        self._kept: list[dict[str, Any]] = []
        self._warnings: list[dict[str, Any]] = []

    def add(self, report: Any) -> None:
        """Take one of pytest's reports into account."""
        self.heard += 1
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
            text = text_of(report) if status >= FAILED else place_of(report, self.start) if status == SKIPPED else ""
            message = message_of(report, status)
            if status >= FAILED:
                message = f"{sub_test_of(report)} {message}".lstrip(" ")
            self.reports.append((phase, status, message, text))

    def limit(self, elapsed: float) -> None:
        """Let no phase last longer than the whole test did: a test may replace the clock that pytest measures with, and a teardown wait for
        what comes next, which is no part of it."""
        left = self.elapsed = max(0, int(elapsed * 1e9))
        for phase, nanoseconds in enumerate(self.phases):
            self.phases[phase] = min(nanoseconds, left)
            left -= self.phases[phase]

    def note_sections(self, report: Any, of_passes: bool) -> None:
        """Keep what pytest shows below failures: all that a failed phase has, and once something has failed what the teardown captured.

        The sections of one phase aren't those of another and some more: hooks add to one report, and sub-tests have reports of their own.
        """
        if self.status is None or self.status < FAILED:
            if of_passes:
                self.sections = sections_of(report)
            return
        failed = (status_of(report) or PASSED) >= FAILED
        for section in sections_of(report):
            if section not in self.sections and (failed or report.when == "teardown" and "teardown" in section[0]):
                self.sections.append(section)

    def keep(self, config: Any, report: Any) -> None:
        """Keep a report for the controller, in the form that pytest gives it to cross processes."""
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        if data is not None:
            # What xdist adds, since plugins look for it.
            workerinput = getattr(config, "workerinput", {})
            data["worker_id"], data["testrun_uid"] = workerinput.get("workerid"), workerinput.get("testrunuid")
            self._kept.append(data)

    def keep_warning(self, data: dict[str, Any]) -> None:
        """Keep a warning for the controller."""
        self._warnings.append(data)

    def raw(self) -> bytes:
        """The kept reports and warnings as bytes; empty if there are no reports."""
        return dumped([self._kept, self._warnings]) if self._kept else b""


def dumped(value: list[Any]) -> bytes:
    """A value as bytes that `marshal` reads."""
    try:
        return marshal.dumps(value)
    except ValueError:  # a hook has added something that is no plain data
        return marshal.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """A value with everything that isn't plain data replaced by its text."""
    if value is None or type(value) in (str, int, float, bool, bytes):
        return value
    if isinstance(value, dict):
        return {_plain(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            type(value)(_plain(part) for part in value)
            if type(value) in (list, tuple)
            else [_plain(part) for part in value]
        )
    return str(value)
