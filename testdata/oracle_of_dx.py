"""A pytest plugin that writes the outcome of each test to the file that ORACLE_OUT names."""

import json, os

seen = {}
rank = ["passed", "skipped", "xfailed", "xpassed", "failed", "error"]


def pytest_runtest_logreport(report):
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    elif report.skipped:
        outcome = "skipped"
    elif report.failed:
        outcome = "failed" if report.when == "call" else "error"
    elif report.when == "call":
        outcome = "passed"
    else:
        return
    seen[report.nodeid] = max(seen.get(report.nodeid, "passed"), outcome, key=rank.index)


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        return  # one of xdist's workers: the controller is told of everything
    with open(os.environ["ORACLE_OUT"], "w") as f:
        json.dump(seen, f)
