"""What a snapshot that matches costs: 10,000 snapshots of 10 kB, in 100 files, by dx-py's plugin and by syrupy, under plain pytest.

    python benches/snapshots.py --python VENV/bin/python [--tests 10000] [--size 10000] [--rounds 3]

The interpreter must have pytest, syrupy, and BLAKE3 (`dx_py_test_runner._native`, or the package `blake3`). Each is run in a folder of its
own: once to accept everything, twice so that what is kept is warm, then in rounds, taking turns with the same tests without snapshots.
Printed are the shortest times, and what a snapshot costs beyond the test around it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKER = Path(__file__).resolve().parent.parent / "worker"
HEAD = """import random

def text(seed, size=SIZE):
    words = random.Random(seed)
    lines = [" ".join(f"{words.getrandbits(40):010x}" for _ in range(7)) for _ in range(size // 77 + 1)]
    return "\\n".join(lines)[:size]

TEXTS = {number: text(number) for number in range(FIRST, FIRST + COUNT)}
"""
#: Of each way: what a test does with its text, what stands above the tests, and the options.
WAYS = {
    "no snapshots": ("assert len(TEXTS[{n}]) == SIZE", "", "", ["-p", "no:syrupy"]),
    "dx-py": (
        "dx.snapshot(TEXTS[{n}])",
        "",
        "import dx_py_test_runner as dx\n",
        ["-p", "no:syrupy", "-p", "dx_py_test_runner.plugin"],
    ),
    "syrupy": ("assert TEXTS[{n}] == snapshot", "snapshot", "", []),
}
UPDATE = {"dx-py": "--update-snapshots", "syrupy": "--snapshot-update"}


def write(folder: Path, way: str, tests: int, size: int) -> None:
    call, parameters, imports, _ = WAYS[way]
    each = tests // 100
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number in range(100):
        head = HEAD.replace("SIZE", str(size)).replace("FIRST", str(number * each)).replace("COUNT", str(each))
        bodies = []
        for at in range(number * each, (number + 1) * each):
            bodies.append(f"def test_{at}({parameters}):\n    {call.format(n=at).replace('SIZE', str(size))}\n")
        (folder / f"test_{number:03}.py").write_text(imports + head + "\n".join(bodies))


def run(python: str, folder: Path, way: str, *more: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    environment["PYTHONPATH"] = str(WORKER)
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *WAYS[way][3], *more]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{way}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folders = {}
        for way in WAYS:
            folders[way] = folder = Path(top) / way.replace(" ", "_")
            folder.mkdir()
            write(folder, way, asked.tests, asked.size)
            run(asked.python, folder, way, *([UPDATE[way]] if way in UPDATE else []))
            run(asked.python, folder, way)
            run(asked.python, folder, way)
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(asked.rounds):
            for way in WAYS:
                times[way].append(run(asked.python, folders[way], way))
    base = min(times["no snapshots"])
    print(f"{asked.tests} tests, {asked.size} bytes each; shortest of {asked.rounds}")
    for way, found in times.items():
        cost = (min(found) - base) / asked.tests * 1e6
        print(f"{way:<14} {min(found):7.2f} s" + (f"   {cost:7.1f} µs a snapshot" if way in UPDATE else ""))


if __name__ == "__main__":
    main()
