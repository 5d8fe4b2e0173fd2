"""What is known of a project without running anything: the tests in its sources, and the records of earlier runs.

Both are read in this process by the compiled part, which lets other threads run meanwhile.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional, Union, overload

from . import _native

#: Audit events, by which a worker learns what a test looked at: the compiled part raises none for the files that it reads.
_READS_PROJECT = "dx_py_test_runner.reads_project"
_READS_RECORDS = "dx_py_test_runner.reads_records"

StrPath = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Marker:
    """A mark on a test, such as `@pytest.mark.skipif(condition, reason="…")`."""

    #: The name after `pytest.mark.`.
    name: str
    #: The positional arguments, as the source has them.
    args: tuple[str, ...] = ()
    #: The names of the keyword arguments, and their values as the source has them.
    kwargs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Discovered:
    """A test that a source defines. A parametrised function is one test here, and one for each set of parameters when it runs."""

    #: pytest's node ID, without parameters.
    id: str
    #: The file, relative to pytest's root directory, with `/` between folders.
    file: str
    #: The line of `def`, from 1.
    line: int
    #: The class, if it is a method; nested ones are joined by `::`.
    class_name: Optional[str]
    #: The function's name.
    function: str
    #: The marks written on the function and on its classes, the nearest first.
    markers: tuple[Marker, ...]
    #: Whether pytest's configuration lets it collect the test.
    collected: bool


@dataclass(frozen=True)
class RecordedRun:
    """A run on record."""

    #: Its number.
    run: str
    #: When it began.
    started: datetime
    #: How long it took, in seconds; None if it never ended.
    wall: Optional[float]
    #: Its exit code, which is pytest's; None if it never ended.
    exit_code: Optional[int]
    #: How many tests ran.
    ran: int
    #: How many tests were fresh.
    fresh: int
    #: What was asked for.
    command: str


@dataclass(frozen=True)
class RecordedOutcome:
    """What came of a test in a run on record."""

    #: The test's ID.
    test: str
    #: The run's number.
    run: str
    #: When the run began.
    started: datetime
    #: passed, failed, error, skipped, xfailed or xpassed.
    outcome: str
    #: How long the test took, in seconds.
    duration: float
    #: The message of a failure, or the reason of a skip; empty if there is none.
    message: str


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def discover(root: StrPath = ".", *, paths: tuple[StrPath, ...] = ()) -> list[Discovered]:
    """The tests that the sources of the project around the folder `root` define; only those below `paths`, if some are given.

    No Python is started and nothing is imported. What is found predicts what pytest will collect: inherited and generated tests aren't
    seen. A file that can't be read is left out, with a `RuntimeWarning`.

    Raises `ConfigurationError` if the folder isn't there or its configuration is invalid, and `PathError` if a path isn't there or
    lies outside of the project.

    >>> import dx_py_test_runner as dx
    >>> [test.id for test in dx.discover("shop")]
    ['test_cart.py::test_total', 'test_cart.py::TestCart::test_is_empty', 'test_price.py::test_rounding']
    >>> test = dx.discover("shop", paths=("test_cart.py",))[1]
    >>> test.line, test.class_name, test.function, [marker.name for marker in test.markers]
    (8, 'TestCart', 'test_is_empty', ['slow'])
    """
    sys.audit(_READS_PROJECT, os.fspath(root))
    tests, problems = _native.discover(os.fspath(root), [os.fspath(path) for path in paths])
    for path, problem in problems:
        warnings.warn(f"{path} can't be read: {problem}", RuntimeWarning, stacklevel=2)
    return [
        Discovered(
            id,
            file,
            line,
            class_name,
            function,
            tuple(Marker(name, tuple(args), tuple(kwargs)) for name, args, kwargs in markers),
            collected,
        )
        for id, file, line, class_name, function, markers, collected in tests
    ]


@overload
def history(test: None = None, *, root: StrPath = ".", limit: int = 20) -> list[RecordedRun]: ...


@overload
def history(test: str, *, root: StrPath = ".", limit: int = 20) -> list[RecordedOutcome]: ...


def history(
    test: Optional[str] = None, *, root: StrPath = ".", limit: int = 20
) -> Union[list[RecordedRun], list[RecordedOutcome]]:
    """The newest runs on record, the newest first; or the newest outcomes of `test`: an ID, a part of one, or a glob over IDs.

    At most `limit` are given, and none if the project around the folder `root` has no records yet.

    Raises `ConfigurationError` if the folder isn't there, and `CatalogError` if the records can't be read.

    >>> import dx_py_test_runner as dx
    >>> dx.history(root="shop")
    []
    >>> result = dx.run(root="shop", output=False)
    >>> [(run.ran, run.fresh, run.exit_code) for run in dx.history(root="shop")]
    [(3, 0, 1)]
    >>> [(row.test, row.outcome) for row in dx.history("*::test_total", root="shop")]
    [('test_cart.py::test_total', 'passed')]
    """
    if limit < 0:
        raise ValueError(f"limit must not be negative: {limit}")
    sys.audit(_READS_RECORDS, os.fspath(root))
    if test is None:
        runs = _native.runs(os.fspath(root), limit)
        return [
            RecordedRun(run, _time(started), wall, exit_code, ran, fresh, command)
            for run, started, wall, exit_code, ran, fresh, command in runs
        ]
    rows = _native.outcomes(os.fspath(root), test, limit)
    return [
        RecordedOutcome(name, run, _time(started), outcome, duration, message)
        for name, run, started, outcome, duration, message in rows
    ]
