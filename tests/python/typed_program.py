"""A program that uses all of the API, for type checkers: it must be right, and what is wrong in it must be seen."""

from pathlib import Path
from typing import Optional

import dx_py_test_runner as dx
from dx_py_test_runner import Discovered, DxError, RecordedOutcome, RecordedRun, RunResult


def slow_tests(root: Path) -> list[str]:
    found: list[Discovered] = dx.discover(root, paths=("tests", root / "more"))
    return [test.id for test in found if any(marker.name == "slow" for marker in test.markers)]


def last_code(root: str) -> Optional[int]:
    runs: list[RecordedRun] = dx.history(root=root, limit=1)
    return runs[0].exit_code if runs else None


def times(test: str) -> list[float]:
    rows: list[RecordedOutcome] = dx.history(test)
    return [row.duration for row in rows]


def main() -> int:
    try:
        result: RunResult = dx.run("tests/**", all=True, workers=2, pytest_arguments=["-p", "no:cacheprovider"])
    except dx.CommandError as error:
        return error.exit_code or 3
    except DxError:
        return 3
    names: list[str] = [test.id for test in result.failed if not test.second_opinion]
    names += [test.id for test in dx.affected(changed_since="main") if test.predicted]
    digest: bytes = dx.blake3(memoryview("\n".join(names).encode()))
    dx.blake3("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dx.run(workers="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return result.exit_code if digest else 1
