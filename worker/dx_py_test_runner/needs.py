"""What plugins and conftests need that several workers can't give, each on its own.

Workers look like xdist's, so a plugin that writes a report leaves that to the controller; and what must be done once for all tests
is left to it as well. Whether there is such a plugin is decided by the hooks that are implemented, not by names; the names here are
only those of plugins known to do their work in any worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from _pytest import fixtures

#: Modules of pytest, of this package, and of plugins that treat each test by itself, whatever else the session holds.
WELL_KNOWN = (
    "_pytest.",
    "dx_py_test_runner.",
    "_hypothesis_pytestplugin",
    "xdist.",
    "pytest_asyncio.",
    "anyio.",
    "pytest_timeout",
    "pytest_mock",
    "pytest_benchmark.",
    "pytest_codspeed.",
)
#: Plugins that need no controller, though they implement hooks that report: what they report each worker's results carry.
_AT_HOME_IN_WORKERS = (
    *WELL_KNOWN,
    "hypothesis.",
    "pytest_cov.",
    "pytest_django.",
    "pytest_randomly",
    "pytest_rerunfailures",
    "pytest_env.",
    "pytest_dotenv.",
    "pytest_socket",
    "pytest_order.",
    "inline_snapshot.",
)
#: Plugins whose order of tests nothing depends on: they shuffle, or work under xdist.
_ORDER_IS_A_WISH = (
    *WELL_KNOWN,
    "pytest_django.",
    "pytest_randomly",
    "random_order.",
    "pytest_reverse",
    "pytest_split.",
)
#: Hooks that hear of every test, of every warning, or of the end of all.
_REPORTING = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_collectreport",
    "pytest_warning_recorded",
    "pytest_terminal_summary",
    "pytest_sessionfinish",
)
#: Hooks in which things are started once for all workers, by whoever finds that it isn't one of them.
_STARTING = ("pytest_configure", "pytest_sessionstart", "pytest_unconfigure", "pytest_sessionfinish")
_WORKER_SIGNS = frozenset(
    (
        "workerinput",
        "slaveinput",
        "PYTEST_XDIST_WORKER",
        "is_xdist_worker",
        "is_xdist_master",
        "is_xdist_controller",
        "get_xdist_worker_id",
    )
)
#: Options of pytest and of plugins with which a session goes by the order of all tests, or writes what all of them did;
#: each with the name that the user knows.
_WHOLE_SESSION_OPTIONS = (
    ("stepwise", "--stepwise"),
    ("lf", "--last-failed"),
    ("failedfirst", "--failed-first"),
    ("newfirst", "--new-first"),
    ("update_snapshots", "--snapshot-update"),
    ("inline_snapshot", "--inline-snapshot"),
    ("benchmark_only", "--benchmark-only"),
    ("benchmark_enable", "--benchmark-enable"),
    ("benchmark_json", "--benchmark-json"),
    ("benchmark_autosave", "--benchmark-autosave"),
    ("benchmark_save", "--benchmark-save"),
    ("benchmark_compare", "--benchmark-compare"),
    ("report_log", "--report-log"),
)


#: Of modules whether they begin with one of these: it is asked of each implementation of some twenty hooks, and more than once.
_known_modules: dict[tuple[str, ...], dict[str, bool]] = {}


def implementations(config: Any, names: tuple[str, ...], known: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    """The implementations of these hooks by conftests, and by plugins whose modules don't begin with one of `known`: the hook's
    name, where it is, and the function."""
    # Before pytest 9 there is something around it elsewhere, which gives functions for hooks that take paths.
    hooks = config.pluginmanager.hook
    are_known = _known_modules.setdefault(known, {})
    for name in names:
        caller = getattr(hooks, name, None)
        for implementation in caller.get_hookimpls() if caller is not None else ():
            module = getattr(implementation.function, "__module__", "") or ""
            is_known = are_known.get(module)
            if is_known is None:
                is_known = are_known[module] = module.startswith(known)
            if not is_known:
                where = str(getattr(implementation.plugin, "__file__", None) or module)
                yield name, where, implementation.function


def one_worker(config: Any) -> str:
    """Why the session can't be split over several workers; empty if it can."""
    for option, name in _WHOLE_SESSION_OPTIONS:
        if getattr(config.option, option, None):
            return f"{name} goes by all tests of a session"
    if getattr(config.pluginmanager.getplugin("codspeed_plugin"), "is_codspeed_enabled", False):
        return "CodSpeed measures"
    for name, where, _ in implementations(
        config, ("pytest_runtestloop",), ("_pytest.", "dx_py_test_runner.", "pytest_cov.", "pytest_timeout")
    ):
        return f"{name} in {where} runs the tests in its own way"
    return ""


def cache(config: Any) -> str:
    """Where pytest's cache is; empty if the session does without."""
    folder = getattr(getattr(config, "cache", None), "_cachedir", None)
    return "" if folder is None else str(folder)


def file_of(item: Any) -> str:
    """The node ID of an item's file."""
    return str(item.nodeid.partition("::")[0])


def order(config: Any, before: list[Any], items: list[Any]) -> tuple[str, str]:
    """Why the order of all tests counts, if a hook has put whole files, or tests of several files, into another order than that of
    collection, or than pytest itself, which brings tests together that share a parameter of a wide fixture; `before` holds the items as
    collected. The first reason is that of plugins made for it, which need one worker; the second one that of conftests, which mostly
    want the slow tests last, but may mean more."""
    runs = _runs(items)
    present = set(runs)
    if runs == [file for file in _runs(before) if file in present]:
        return "", ""
    left = set(items)
    if runs == _runs([item for item in fixtures.reorder_items(before) if item in left]):
        return "", ""
    by_conftest = ""
    for name, where, _ in implementations(config, ("pytest_collection_modifyitems",), _ORDER_IS_A_WISH):
        reason = f"{name} in {where} decides on the order of tests of several files"
        if not _is_conftest(where):
            return reason, ""
        by_conftest = reason
    return "", by_conftest


def _runs(items: list[Any]) -> list[str]:
    """The files of items, without those that follow themselves."""
    files = [file_of(item) for item in items]
    return [file for file, before in zip(files, [None, *files]) if file != before]


def controller(config: Any) -> list[str]:
    """What may need a controller, asked in a worker. Plugins that look whether they are in a worker may have more to say elsewhere."""
    reasons = reporting(config)
    for plugin in config.pluginmanager.get_plugins():
        module = getattr(plugin, "__name__", None) or type(plugin).__module__
        if module.startswith(_AT_HOME_IN_WORKERS) or getattr(plugin, "__file__", None) is None:
            continue
        functions = [value for value in list(vars(plugin).values()) if type(value) is FunctionType]
        if any(_tells_workers_apart(function) for function in functions if function.__module__ == plugin.__name__):
            reasons.append(f"{plugin.__file__} tells workers from their controller")
    return sorted(set(reasons))


def reporting(config: Any) -> list[str]:
    """What reports, or starts something once for all workers."""
    reasons = [f"{name} in {where}" for name, where, _ in implementations(config, _REPORTING, _AT_HOME_IN_WORKERS)]
    for name, where, function in implementations(config, _STARTING, _AT_HOME_IN_WORKERS):
        if _is_conftest(where) and _tells_workers_apart(function):
            reasons.append(f"{name} in {where}")
    option = getattr(config.option, "xmlpath", None)
    if option:
        reasons.append("--junitxml")
    return reasons


def _is_conftest(where: str) -> bool:
    return where.endswith("conftest.py")


def _tells_workers_apart(function: Any) -> bool:
    """Whether the code of a function has a name or a text by which workers are told from their controller."""
    code = getattr(function, "__code__", None)
    pending = [code] if type(code) is CodeType else []
    while pending:
        one = pending.pop()
        if not _WORKER_SIGNS.isdisjoint(one.co_names):
            return True
        for constant in one.co_consts:
            if type(constant) is CodeType:
                pending.append(constant)
            elif isinstance(constant, str) and constant in _WORKER_SIGNS:
                return True
    return False
