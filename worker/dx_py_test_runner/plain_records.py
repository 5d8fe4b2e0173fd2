"""What a session of plain pytest asks the command `dx-py` and tells it. PYTEST_DONT_REWRITE"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from .command import find_binary
from .errors import CommandError

#: As in `queries`: what a session leaves out depends on what is on record.
_READS_RECORDS = "dx_py_test_runner.reads_records"


@dataclass
class Answer:
    """What a session may leave out; empty if nothing is known."""

    #: Why every test runs, if so.
    doubt: str = ""
    #: How many tests are on record.
    recorded: int = 0
    #: The tests that are fresh.
    fresh: set[str] = field(default_factory=set)
    #: The tests that are fresh if these modules are found in the working directory.
    fresh_from_here: dict[str, list[str]] = field(default_factory=dict)
    #: Others that the changes since a revision can't reach.
    not_reached: set[str] = field(default_factory=set)
    #: The node IDs of files whose tests run all or not at all.
    units: set[str] = field(default_factory=set)
    #: Conftests that are known to have a say in tests of other folders.
    wide: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.fresh) + len(self.fresh_from_here) + len(self.not_reached)

    def packed(self) -> str:
        """A text for a worker of xdist."""
        return json.dumps(
            {name: list(value) if isinstance(value, set) else value for name, value in vars(self).items()}
        )

    @classmethod
    def unpacked(cls, text: str) -> Answer:
        """What `packed` has packed."""
        values = json.loads(text)
        for name in ("fresh", "not_reached", "units", "wide"):
            values[name] = set(values[name])
        return cls(**values)


@dataclass
class Told:
    """What came of a test."""

    id: str
    #: As in `TestOutcome`.
    outcome: str
    #: In seconds.
    duration: float
    #: One line.
    message: str
    #: Whether it ran although it is fresh.
    was_fresh: bool


class Records:
    """The records that compare with a session."""

    def __init__(self, folder: str, arguments: Sequence[str], no_capture: bool, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = dict(environ)
        self._options = [f"--python={sys.executable}"] + ["-s"] * no_capture
        self._arguments = list(arguments)
        options = [word for word in arguments if not os.path.exists(os.path.join(folder, word.partition("::")[0]))]
        #: The command whose records would compare.
        self._recorder = shlex.join(["dx-py", "test"] + ["-s"] * no_capture + (["--", *options] if options else []))

    def ask(self, root: str, changed_since: Optional[str]) -> Answer:
        """What the session with the root directory `root` may leave out. Raises `CommandError` if there is no answer."""
        sys.audit(_READS_RECORDS, self._folder)
        options = [] if changed_since is None else [f"--changed-since={changed_since}"]
        text = self._run("ask", options, "")
        try:
            found: dict[str, Any] = json.loads(text)
            if os.path.realpath(found["root"]) != os.path.realpath(root):
                return Answer(
                    f"the records here are of {found['root']}, and the root directory of this session is {root}"
                )
            answer = Answer(
                recorded=found["recorded"],
                fresh=set(found["fresh"]),
                fresh_from_here=found["fresh_from_here"],
                not_reached=set(found["not_reached"]),
                units=set(found["units"]),
                wide=set(found["wide"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"dx-py gave an answer that this package doesn't understand: {type(error).__name__}: {error}\n"
                "Both must be of one version: install them together with `pip install dx-py`."
            ) from error
        if not answer.recorded:
            answer.doubt = (
                f"nothing is on record for this interpreter and these arguments; `{self._recorder}` makes records"
            )
        return answer

    def tell(self, tests: Sequence[Told], left_out: int, wall: float, exit_code: int, command: str) -> None:
        """Have outcomes recorded. Raises `CommandError` if they can't be."""
        document = {
            "wall": wall,
            "exit_code": exit_code,
            "left_out": left_out,
            "command": command,
            "tests": [asdict(test) for test in tests],
        }
        self._run("tell", [], json.dumps(document))

    def _run(self, verb: str, options: list[str], text: str) -> str:
        command = [find_binary(), "plugin", verb, *self._options, *options]
        if self._arguments:
            command += ["--", *self._arguments]
        try:
            done = subprocess.run(
                command,
                input=text,
                cwd=self._folder,
                env=self._environ,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except OSError as error:
            raise CommandError(f"can't start {command[0]}: {error.strerror}") from error
        if done.returncode:
            code = done.returncode
            what = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            told = done.stderr.strip()
            raise CommandError(f"`dx-py plugin {verb}` {what}" + (f":\n{told}" if told else ""), code, told)
        return done.stdout
