"""A pytest plugin that writes the outcome of each test to the file that ORACLE_OUT names.

If ORACLE_DETAILS names a file as well, everything else that pytest's terminal would show goes there: the texts of failures, captured
output, reasons, properties, warnings, and what became of files that weren't collected.
"""

import json, os, warnings

seen = {}
details = {"tests": {}, "collection_errors": {}, "collection_skipped": {}, "warnings": [], "deselected": 0}
rank = ["passed", "skipped", "xfailed", "xpassed", "failed", "error"]


def outcome_of(report):
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.skipped:
        return "skipped"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "passed" if report.when == "call" else None


def without(prefix, text):
    return text[len(prefix) :] if text.startswith(prefix) else text


def reason_of(longrepr):
    return without("Skipped: ", str(longrepr[2] if isinstance(longrepr, tuple) else longrepr))


def pytest_runtest_logreport(report):
    test = details["tests"].setdefault(report.nodeid, {"reports": [], "sections": [], "properties": []})
    test["properties"] = [[str(name), str(value)] for name, value in report.user_properties] or test["properties"]
    outcome = outcome_of(report)
    if outcome in ("failed", "error"):
        test["reports"].append([report.when, outcome, report.longreprtext])
    elif outcome == "skipped":
        test["reports"].append([report.when, outcome, reason_of(report.longrepr)])
    elif outcome in ("xfailed", "xpassed"):
        test["reports"].append([report.when, outcome, without("reason: ", report.wasxfail)])
    # The terminal shows the sections of each failed report, and below a failed call those of the teardown.
    bad = any(kind in ("failed", "error") for _, kind, _ in test["reports"])
    if outcome in ("failed", "error"):
        shown = report.sections
    elif bad and report.when == "teardown":
        shown = [section for section in report.sections if "teardown" in section[0]]
    else:
        shown = []
    test["sections"] += [list(section) for section in shown if list(section) not in test["sections"]]
    if outcome is not None:
        seen[report.nodeid] = max(seen.get(report.nodeid, "passed"), outcome, key=rank.index)


def pytest_collectreport(report):
    if report.failed:
        details["collection_errors"][report.nodeid] = [report.longreprtext, *map(list, report.sections)]
    elif report.skipped:
        details["collection_skipped"][report.nodeid] = reason_of(report.longrepr)


def pytest_deselected(items):
    details["deselected"] += len(items)


def pytest_warning_recorded(warning_message, nodeid):
    text = warnings.formatwarning(
        str(warning_message.message),
        warning_message.category,
        warning_message.filename,
        warning_message.lineno,
        warning_message.line,
    )
    details["warnings"].append([nodeid, text])


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        return  # one of xdist's workers: the controller is told of everything
    with open(os.environ["ORACLE_OUT"], "w") as f:
        json.dump(seen, f)
    if "ORACLE_DETAILS" in os.environ:
        with open(os.environ["ORACLE_DETAILS"], "w") as f:
            json.dump(details, f)
