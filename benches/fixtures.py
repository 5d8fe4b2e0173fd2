"""What a cached fixture costs: a numpy array of 1 GB, restored by dx-py and unpickled from a file, in new processes.

    python benches/fixtures.py --python VENV/bin/python [--megabytes 1000] [--rounds 5]

The interpreter must have pytest and numpy. The files are in the page cache, as they are in a project that is worked on. Printed are the
shortest and the longest times: until the value is there, and until each of its pages was read; what pytest says that the set-up took; and
the memory of two processes that have restored the same value and read all of it, before and after one of them writes a tenth of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = Path(__file__).resolve().parent.parent / "worker"
MAKE = """
import pickle, sys, time
import numpy
from dx_py_test_runner.fixture_store import ALGORITHM, Store, dumps
folder, megabytes = sys.argv[1], int(sys.argv[2])
value = numpy.arange(megabytes * 125_000, dtype="float64")
began = time.perf_counter()
Store(folder).keep("array", bytes(32), {}, dumps(value))
kept = time.perf_counter() - began
with open(folder + "/plain.pickle", "wb") as file:
    pickle.dump(value, file, 5)
print({1: "BLAKE3", 2: "BLAKE2b"}[ALGORITHM], kept)
"""
RESTORE = """
import json, pickle, sys, time
import numpy, numpy._core.numeric
from dx_py_test_runner.fixture_store import Store
folder, way = sys.argv[1:]
began = time.perf_counter()
if way == "restored":
    value = Store(folder).find("array", bytes(32)).load()
else:
    with open(folder + "/plain.pickle", "rb") as file:
        value = pickle.load(file)
there = time.perf_counter() - began
total = value[::512].sum()
touched = time.perf_counter() - began
assert value.flags.writeable and total > 0 and value[-1] == len(value) - 1
print(json.dumps([there, touched]))
"""
#: Two of these share the pages of one value. They do what is asked for line by line.
SHARE = """
import json, sys
import numpy
from dx_py_test_runner.fixture_store import Store
value = None
for line in sys.stdin:
    if line == "restore\\n":
        value = Store(sys.argv[1]).find("array", bytes(32)).load()
        value[::512].sum()
    elif line == "write\\n":
        value[: len(value) // 10] += 1
    with open("/proc/self/smaps_rollup") as file:
        rows = dict(row.split(":") for row in file.read().splitlines()[1:])
    print(json.dumps({name: int(rows[name].split()[0]) // 1024 for name in ("Rss", "Pss", "Private_Dirty")}), flush=True)
"""
CONFTEST = """
import dx_py_test_runner as dx
import numpy

@dx.fixture(scope="session", cache=True)
def array():
    return numpy.arange(SIZE, dtype="float64")
"""
TEST = """
def test_it(array):
    assert array[-1] == len(array) - 1
"""


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    return {**kept, "PYTHONPATH": str(WORKER), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "DX_PY_FIXTURES_MB": "100000"}


def run(python: str, code: str, *arguments: str) -> str:
    """The output of a new process."""
    command = [python, "-c", code, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def span(times: list[float]) -> str:
    return f"{min(times) * 1e3:9.2f} to {max(times) * 1e3:9.2f} ms"


def through_pytest(python: str, folder: Path, megabytes: int, rounds: int) -> None:
    """What pytest says that the set-up of the fixture took, when it is made and when it is restored."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(CONFTEST.replace("SIZE", str(megabytes * 125_000)))
    (folder / "test_it.py").write_text(TEST)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "dx_py_test_runner.plugin",
        "--durations=0",
        "-vv",
        "--durations-min=0",
    ]
    times = []
    for _ in range(rounds + 1):
        done = subprocess.run(
            [python, "-m", "pytest", *options], cwd=folder, env=environment(), capture_output=True, text=True
        )
        found = re.search(r"([\d.]+)s setup", done.stdout)
        if done.returncode != 0 or found is None:
            sys.exit(done.stdout + done.stderr)
        times.append(float(found[1]))
    print(
        f"set-up in pytest: {times[0]:.2f} s when it is made, {min(times[1:]):.2f} to {max(times[1:]):.2f} s when it is restored"
    )


def shared_memory(python: str, folder: Path) -> None:
    """The memory of two processes with the same value."""
    command = [python, "-c", SHARE, str(folder)]
    pair = [
        subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    def ask(number: int, what: str) -> dict[str, int]:
        process = pair[number]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(what + "\n")
        process.stdin.flush()
        answer: dict[str, int] = json.loads(process.stdout.readline())
        return answer

    steps = [
        ("before", "", ""),
        ("both restored and read it", "restore", "restore"),
        ("the first wrote a tenth", "write", ""),
    ]
    for title, first, second in steps:
        ask(0, first), ask(1, second)
        for number in range(2):
            told = ", ".join(f"{name} {size} MB" for name, size in ask(number, "").items())
            print(f"{title:<28} process {number + 1}: {told}")
    for process in pair:
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        digest, kept = run(asked.python, MAKE, top, str(asked.megabytes)).split()
        print(f"an array of {asked.megabytes} MB; kept in {float(kept):.2f} s, digests by {digest}, on the disk")
        times: dict[str, list[list[float]]] = {"restored": [], "unpickled": []}
        for _ in range(asked.rounds):
            for way, found in times.items():
                found.append(json.loads(run(asked.python, RESTORE, top, way)))
        for way, found in times.items():
            there, touched = ([pair[at] for pair in found] for at in range(2))
            print(f"{way:<10} {span(there)}; with every page read {span(touched)}")
        shared_memory(asked.python, folder)
        through_pytest(asked.python, folder, asked.megabytes, asked.rounds)


if __name__ == "__main__":
    main()
