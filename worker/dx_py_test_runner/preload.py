"""Imports what workers will need, before they are forked.

pytest and parts of the standard library always; what the project asks for if importing it changes nothing that a test could find out:
a module that warns, starts a thread, opens a file or changes the process in another way is refused. It would have to be unimported, so
the interpreter starts over without it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.metadata
import os
import signal
import sys
import threading
import warnings
from typing import Any

#: What pytest imports when it is used, and suites often do. No module that warns when it is imported, or starts anything.
_STANDARD = (
    "_pytest._argcomplete",
    "argparse",
    "asyncio",
    "base64",
    "bisect",
    "calendar",
    "concurrent.futures",
    "configparser",
    "contextvars",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "doctest",
    "email.message",
    "faulthandler",
    "fractions",
    "hashlib",
    "html",
    "http.client",
    "importlib.metadata",
    "importlib.metadata._adapters",
    "importlib.metadata._text",
    "importlib.resources",
    "inspect",
    "json",
    "logging",
    "pdb",
    "pickle",
    "platform",
    "pprint",
    "queue",
    "random",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "statistics",
    "string",
    "subprocess",
    "tempfile",
    "textwrap",
    "timeit",
    "tomllib",
    "traceback",
    "typing",
    "unittest.mock",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
    "zipfile",
    "zoneinfo",
)


#: How the names of folders and files end, in lower case, that tell of an installed distribution.
OF_DISTRIBUTIONS = (".dist-info", ".egg-info")

#: Stands, among the modules that are asked for, for those that tests were seen to import.
SEEN = "*"


def preload(modules: list[str]) -> dict[str, Any]:
    """Import pytest, the standard library's modules and those named; gives what came of the latter, to be shown.

    If one is refused this doesn't return: the process starts over without it.
    """
    import _pytest.config

    for name in _pytest.config.default_plugins:
        _try_import(f"_pytest.{name}")
    for name in _STANDARD:
        _try_import(name)
    for name in (
        "economy",
        "gate",
        "lean",
        "say",
        "items",
        "collect",
        "session",
        "controller",
        "outcome",
        "needs",
        "shortcuts",
    ):
        importlib.import_module(f"{__package__}.{name}")
    refused = dict(entry.split("=", 1) for entry in modules if "=" in entry)
    loaded: dict[str, int] = {}
    for name in [entry for entry in modules if "=" not in entry and entry != SEEN]:
        before = len(sys.modules)
        why = changes(name)
        if why:
            _start_over(modules, name, why)
        loaded[name] = len(sys.modules) - before
    return {"preloaded": loaded, "refused": refused, "modules": len(sys.modules)}


def _try_import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # this version has none


def changes(name: str, is_vouched_for: bool = True) -> str:
    """Import a module; gives what that changes beside adding modules, or why it can't be imported, or nothing.

    For a module that nobody vouches for it is seen elsewhere what it asks, and whether pytest rewrites its assertions; so it may draw
    numbers from `random`, which begins anew in each fork.
    """
    before, known = _process(), set(sys.modules)
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            return f"can't be imported: {type(error).__name__}: {error}".splitlines()[0]
        if log:
            return f"warns: {log[0].message}".splitlines()[0]
        if list(warnings.filters) != filters:
            return "changes the filters of warnings"
    file = getattr(module, "__file__", None) or ""
    is_standard = name.partition(".")[0] in getattr(sys, "stdlib_module_names", ())
    if not is_standard and "/site-packages/" not in file and "/dist-packages/" not in file:
        return "isn't installed: what belongs to the project is imported by each worker"
    new = {name.partition(".")[0] for name in sys.modules.keys() - known}
    plugins = new & _rewritten_names() if is_vouched_for else ()
    if plugins:
        return (
            f"imports {min(plugins)}, which is of a pytest plugin: pytest rewrites its assertions when it is imported"
        )
    after = _process()
    if not is_vouched_for:
        after["the state of random"] = before["the state of random"]
    changed = [what for what in before if before[what] != after[what]]
    return "changes " + ", ".join(changed) if changed else ""


@functools.lru_cache
def _rewritten_names() -> frozenset[str]:
    """The packages and modules of distributions with plugins for pytest. It warns of those that it finds imported."""
    names = set()
    for distribution in importlib.metadata.distributions():
        if any(entry.group == "pytest11" for entry in distribution.entry_points):
            for file in distribution.files or ():
                names.add(file.parts[0].partition(".")[0])
    return frozenset(names)


def _process() -> dict[str, Any]:
    """What of the process a test could find changed."""
    import locale
    import logging
    import random
    import socket

    return {
        "the environment": dict(os.environb),
        "threads": _count("/proc/self/task") or threading.active_count(),
        "open files": _count("/proc/self/fd"),
        "the search for modules": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "handlers of signals": [signal.getsignal(one) for one in sorted(signal.valid_signals())],
        "hooks": (
            sys.excepthook,
            sys.unraisablehook,
            threading.excepthook,
            sys.displayhook,
            sys.gettrace(),
            sys.getprofile(),
        ),
        "the state of random": hash(random.getstate()),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the folder": os.getcwd(),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold(), gc.isenabled()),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "sockets": socket.getdefaulttimeout(),
    }


def _count(folder: str) -> int:
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def _start_over(modules: list[str], name: str, why: str) -> None:
    rest = [f"{name}={why}" if entry == name else entry for entry in modules]
    own = sys.argv[: len(sys.argv) - len(modules)]
    os.execv(sys.executable, [sys.executable, *own, *rest])
