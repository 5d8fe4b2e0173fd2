"""What a snapshot that matches costs: 10,000 snapshots of 10 kB, in 100 files, by dx-py's plugin and by syrupy, under plain pytest.

    python benches/snapshots.py --python VENV/bin/python [--snapshots 10000] [--size 10000] [--rounds 5]

The interpreter must have pytest, syrupy and dx-py's distribution installed; with `--tree` the package is that of this tree instead, which
has no compiled part and needs the package `blake3`. Each is run in a folder of its own: once to accept everything, twice so that what is
kept is warm, then in rounds, taking turns with the same tests that only look at the size of each text, and with those that hash its
bytes, which are there already, and do nothing more. Printed are the medians, and the CPU time that a snapshot costs beyond the test around it and beyond the hash.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKER = Path(__file__).resolve().parent.parent / "worker"
#: What a file begins with. Its texts are made fast, so that what is measured isn't lost in the noise of that.
HEAD = """import hashlib

def text(seed, size=SIZE):
    digits = hashlib.shake_128(str(seed).encode()).hexdigest(size // 2 + 1)
    return "\\n".join(digits[at : at + 76] for at in range(0, size, 76))[:size]

TEXTS = {number: text(number) for number in range(FIRST, FIRST + COUNT)}
BYTES = {number: text.encode() for number, text in TEXTS.items()}
"""
#: Of each way: what a test does with its text, what stands above the tests, and the options.
WAYS = {
    "no snapshots": ("assert len(TEXTS[n]) == SIZE", "", "", ["-p", "no:syrupy"]),
    "hashes": (
        "assert len(blake3(BYTES[n])) == 32",
        "",
        "from dx_py_test_runner.snapshot_index import blake3\n",
        ["-p", "no:syrupy"],
    ),
    "dx-py": (
        "dx.snapshot(TEXTS[n])",
        "",
        "import dx_py_test_runner as dx\n",
        ["-p", "no:syrupy", "-p", "dx_py_test_runner.plugin"],
    ),
    "syrupy": ("assert TEXTS[n] == snapshot", "snapshot", "", []),
}
UPDATE = {"dx-py": "--update-snapshots", "syrupy": "--snapshot-update"}


def write(folder: Path, way: str, snapshots: int, size: int) -> None:
    """One test to a file compares a hundredth of the snapshots, so that the tests around them count for little."""
    call, parameters, imports, _ = WAYS[way]
    each = snapshots // 100
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number in range(100):
        head = HEAD.replace("SIZE", str(size)).replace("FIRST", str(number * each)).replace("COUNT", str(each))
        body = f"def test_all({parameters}):\n    for n in TEXTS:\n        {call.replace('SIZE', str(size))}\n"
        (folder / f"test_{number:03}.py").write_text(imports + head + "\n" + body)


def run(python: str, tree: bool, folder: Path, way: str, *more: str) -> tuple[float, float]:
    """Wall seconds and CPU seconds."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    if tree:
        environment["PYTHONPATH"] = str(WORKER)
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *WAYS[way][3], *more]
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    took, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{way}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--snapshots", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folders = {}
        for way in WAYS:
            folders[way] = folder = Path(top) / way.replace(" ", "_")
            folder.mkdir()
            write(folder, way, asked.snapshots, asked.size)
            run(asked.python, asked.tree, folder, way, *([UPDATE[way]] if way in UPDATE else []))
            run(asked.python, asked.tree, folder, way)
            run(asked.python, asked.tree, folder, way)
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(asked.rounds):
            for way in WAYS:
                times[way].append(run(asked.python, asked.tree, folders[way], way))
    wall = {way: statistics.median(wall for wall, _ in found) for way, found in times.items()}
    cpu = {way: statistics.median(cpu for _, cpu in found) for way, found in times.items()}
    print(f"{asked.snapshots} snapshots of {asked.size} bytes; medians of {asked.rounds}")
    for way in WAYS:
        each, more = ((cpu[way] - cpu[base]) / asked.snapshots * 1e6 for base in ("no snapshots", "hashes"))
        compared = f"   {each:7.1f} µs CPU a snapshot, {more:7.1f} beyond its hash" if way in UPDATE else ""
        print(f"{way:<14} {wall[way]:7.2f} s, {cpu[way]:6.2f} s CPU{compared}")


if __name__ == "__main__":
    main()
