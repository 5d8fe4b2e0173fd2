"""Runs the command `dx-py` that was installed with this package, and gives what it reports.

A run is a process of its own: it ends its workers when it is interrupted, it can't be left half done by this process, and what it
prints goes to this process's terminal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from .errors import CommandError

#: As in `queries`: what a run does depends on what is on record.
_READS_RECORDS = "dx_py_test_runner.reads_records"
#: How long a run may take to end by itself when this process is interrupted, and how long when it was told to, in seconds.
_GRACE, _LAST_GRACE = 1.0, 5.0

StrPath = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Report:
    """What pytest reported of one phase of a test."""

    #: setup, call or teardown.
    phase: str
    #: The phase's outcome.
    outcome: str
    #: One line.
    message: str
    #: The traceback, as pytest shows it.
    text: str


@dataclass(frozen=True)
class TestOutcome:
    """What came of a test."""

    #: The test's ID.
    id: str
    #: passed, failed, error, skipped, xfailed or xpassed.
    outcome: str
    #: How long it took, in seconds.
    duration: float
    #: Whether it didn't run, since the recorded outcome still holds.
    fresh: bool
    #: The message of a failure, or the reason of a skip; empty if there is none.
    message: str = ""
    #: Whether it failed among others and passed when it ran alone.
    second_opinion: bool = False
    #: What pytest reported, where there is something to tell.
    reports: tuple[Report, ...] = ()
    #: Captured output: titles and texts.
    sections: tuple[tuple[str, str], ...] = ()
    #: What the test told by `record_property`.
    properties: tuple[tuple[str, str], ...] = ()

    #: Not a class of tests, although its name begins like one.
    __test__ = False

    @property
    def is_bad(self) -> bool:
        """Whether it makes a run fail."""
        return self.outcome in ("failed", "error")


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    #: pytest's exit code.
    exit_code: int
    #: The tests that ran, and those that were fresh.
    tests: tuple[TestOutcome, ...]
    #: Files that couldn't be collected: node IDs and texts.
    collection_errors: tuple[tuple[str, str], ...]
    #: Warnings: node IDs, which may be empty, and texts.
    warnings: tuple[tuple[str, str], ...]
    #: What else there was to say.
    notes: tuple[str, ...]
    #: How long the run took, in seconds.
    wall: float
    #: Why it stopped early; empty if it didn't.
    stopped: str

    @property
    def ok(self) -> bool:
        """Whether all is well: no test failed, and the run went to its end."""
        return self.exit_code == 0

    @property
    def ran(self) -> int:
        """How many tests ran."""
        return sum(not test.fresh for test in self.tests)

    @property
    def fresh(self) -> int:
        """How many tests didn't run, since their recorded outcomes still hold."""
        return sum(test.fresh for test in self.tests)

    @property
    def failed(self) -> tuple[TestOutcome, ...]:
        """The tests that failed or had an error."""
        return tuple(test for test in self.tests if test.is_bad)


@dataclass(frozen=True)
class Affected:
    """A test that a run would run, or a file that it would collect again."""

    #: The test's ID, or the file's.
    id: str
    #: Why.
    reason: str
    #: Whether only the source tells of the test: it never ran.
    predicted: bool = False
    #: Whether it is a file, of which isn't known which tests it holds now.
    is_file: bool = False


def find_binary() -> str:
    """The path of the `dx-py` that was installed with this package.

    >>> import os, subprocess
    >>> from dx_py_test_runner.command import find_binary
    >>> os.path.basename(find_binary())
    'dx-py'
    """
    name = "dx-py" + (sysconfig.get_config_var("EXE") or "")
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    # With `pip install --target` or `--prefix` it lies beside the packages.
    package = os.path.dirname(os.path.abspath(__file__))
    folders += [os.path.join(package, *[os.pardir] * up, "bin") for up in (1, 4)]
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, name))
        if os.access(path, os.X_OK):
            return path
    raise CommandError(
        f"the command dx-py isn't installed for {sys.executable}\n"
        f"Install it there: `{sys.executable} -m pip install dx-py`."
    )


def environment() -> dict[str, str]:
    """The environment for the command: the virtual environment of this process is the one whose tests are meant."""
    variables = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        variables["VIRTUAL_ENV"] = sys.prefix
    return variables


def run(
    *patterns: str,
    root: StrPath = ".",
    all: bool = False,
    changed_since: Optional[str] = None,
    last_failed: bool = False,
    keywords: Optional[str] = None,
    marks: Optional[str] = None,
    workers: Optional[int] = None,
    max_failures: Optional[int] = None,
    timeout: Optional[float] = None,
    python: Optional[StrPath] = None,
    pytest_arguments: Sequence[str] = (),
    output: bool = True,
) -> RunResult:
    """Run tests as `dx-py test` does in the folder `root`: those that a change can have affected, on all cores.

    `patterns` are paths, node IDs, or globs over node IDs; `keywords` and `marks` are pytest's `-k` and `-m`. With `all`, fresh tests run
    too. `changed_since` is a git revision. `timeout` is in seconds, for each test. The interpreter is that of `python` or the project's
    setting, else that of this process's virtual environment. With `output` the run prints as usual, else nothing.

    That tests fail is no error. Raises `CommandError` if the run couldn't be done: wrong usage, no pytest, an error of dx-py's own.
    When this process is interrupted, the run is ended first, and leaves no process behind.

    >>> import dx_py_test_runner as dx
    >>> result = dx.run(root="shop", output=False)
    >>> result.ok, result.ran, result.fresh
    (False, 3, 0)
    >>> [(test.id, test.message) for test in result.failed]
    [('test_price.py::test_rounding', 'assert 2 == 3')]
    >>> again = dx.run(root="shop", output=False)
    >>> again.ran, again.fresh  # what failed runs again
    (1, 2)
    """
    arguments = [*patterns]
    for option, wanted in (("--all", all), ("--lf", last_failed), ("-qq", not output)):
        if wanted:
            arguments.append(option)
    options = (
        ("--changed-since", changed_since),
        ("-k", keywords),
        ("-m", marks),
        ("-n", workers),
        ("--maxfail", max_failures),
        ("--timeout", timeout),
    )
    for option, value in options:
        if value is not None:
            # One word, so that a value that begins with a dash is a value.
            arguments.append(f"{option}={value}" if option.startswith("--") else f"{option}{value}")
    document, code = _report(arguments, root, python, pytest_arguments, output)
    return RunResult(
        exit_code=code,
        tests=tuple(_outcome(test) for test in document["tests"]),
        collection_errors=tuple((error["node"], error["text"]) for error in document["collection_errors"]),
        warnings=tuple((warning["node"], warning["text"]) for warning in document["warnings"]),
        notes=tuple(document["notes"]),
        wall=document["summary"]["wall"],
        stopped=document["summary"]["stopped"] or "",
    )


def affected(
    *patterns: str,
    root: StrPath = ".",
    changed_since: Optional[str] = None,
    keywords: Optional[str] = None,
    marks: Optional[str] = None,
    python: Optional[StrPath] = None,
    pytest_arguments: Sequence[str] = (),
) -> list[Affected]:
    """What `run` would run with the same arguments, and why. Nothing is run and nothing is recorded.

    Raises `CommandError` as `run` does.

    >>> import dx_py_test_runner as dx
    >>> [(test.id, test.reason) for test in dx.affected(root="shop", keywords="total")]
    [('test_cart.py::test_total', 'it never ran')]
    >>> result = dx.run(root="shop", output=False)
    >>> [test.id for test in dx.affected(root="shop")]
    ['test_price.py::test_rounding']
    """
    arguments = [*patterns, "--dry-run"]
    for option, value in (("--changed-since=", changed_since), ("-k", keywords), ("-m", marks)):
        if value is not None:
            arguments.append(option + value)
    document, _code = _report(arguments, root, python, pytest_arguments, output=False)
    tests = [Affected(test["id"], test["reason"], predicted=test["predicted"]) for test in document["would_run"]]
    files = [Affected(file["file"], file["reason"], is_file=True) for file in document["would_collect"]]
    return tests + files


def _outcome(test: dict[str, Any]) -> TestOutcome:
    reports = test.get("reports", ())
    return TestOutcome(
        id=test["id"],
        outcome=test["outcome"],
        duration=test["duration"],
        fresh=test["status"] == "fresh",
        message=test.get("message", ""),
        second_opinion=test.get("second_opinion", False),
        reports=tuple(Report(each["phase"], each["outcome"], each["message"], each["text"]) for each in reports),
        sections=tuple((each["title"], each["text"]) for each in test.get("sections", ())),
        properties=tuple((each["name"], each["value"]) for each in test.get("properties", ())),
    )


def _report(
    arguments: list[str],
    root: StrPath,
    python: Optional[StrPath],
    pytest_arguments: Sequence[str],
    output: bool,
) -> tuple[dict[str, Any], int]:
    """Run `dx-py test`; its JSON report and its exit code."""
    sys.audit(_READS_RECORDS, os.fspath(root))
    if not os.path.isdir(root):
        raise CommandError(f"can't run in {os.fspath(root)}: there is no such folder")
    with tempfile.TemporaryDirectory(prefix="dx-py-") as folder:
        path = os.path.join(folder, "report.json")
        command = [find_binary(), "test", f"--json={path}"]
        if python is not None:
            command.append(f"--python={os.path.abspath(python) if os.sep in os.fspath(python) else os.fspath(python)}")
        command += arguments
        if pytest_arguments:
            command += ["--", *pytest_arguments]
        sys.stdout.flush()
        sys.stderr.flush()
        with open(os.path.join(folder, "errors.txt"), "w+b") as errors:
            process = subprocess.Popen(
                command,
                cwd=root,
                env=environment(),
                stdin=None if output else subprocess.DEVNULL,
                stdout=None if output else subprocess.DEVNULL,
                stderr=None if output else errors,
            )
            code = _wait(process)
            errors.seek(0)
            told = errors.read().decode("utf-8", "replace").strip()
        try:
            with open(path, encoding="utf-8") as file:
                document: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            what = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            message = f"dx-py {what} and reported nothing" + (f":\n{told}" if told else "")
            raise CommandError(message, code, told) from None
    return document, code


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the command; if this process is interrupted meanwhile, for its end.

    Ctrl-C reaches the command as well, which needs a moment to end its workers; what only this process hears of is passed on.
    """
    try:
        return process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    for grace, told in ((_GRACE, signal.SIGTERM), (_LAST_GRACE, signal.SIGKILL)):
        try:
            process.wait(grace)
            return
        except subprocess.TimeoutExpired:
            process.send_signal(told)
    process.wait()
