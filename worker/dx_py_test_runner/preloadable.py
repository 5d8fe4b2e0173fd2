"""Which installed modules the project's own code imports while its tests are collected: a warm interpreter may import them ahead."""

from __future__ import annotations

import os
import sys
from typing import Any, Optional

from .internals import variables_of_module
from .readers import is_installed
from .rewriting import is_rewritten
from .trace import Trace
from .variables import is_volatile

#: Packages that put others into the place of the standard library's modules: what was imported before them is as it was.
_PATCHES_ALL = ("gevent", "eventlet")


class Preloadable:
    """Tells, once tests are collected, what a warm interpreter could have imported before."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._environment = _environment()

    def told(self) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
        """The installed modules that code of the project imports, and plugins; the packages of all installed modules that are loaded;
        which of these have assertions that pytest has rewritten; the folders that are searched beside those of the environment, where
        something may come to hide modules; and the variables that were changed meanwhile, for a moment at least.

        None of these if importing modules ahead would not be the same, since nobody saw how the project's code has changed the environment,
        which they may ask.
        """
        if any(name in sys.modules for name in _PATCHES_ALL) or not self._sees_changes():
            return [], [], [], [], []
        modules = list(sys.modules.items())
        installed = {
            name: file for name, file in ((name, _file_of(module)) for name, module in modules) if is_installed(file)
        }
        by_file: dict[str, list[str]] = {}
        for name, file in self._trace.known_modules:
            if installed.get(name) == file:
                by_file.setdefault(file, []).append(name)
        found: set[str] = set()
        for importer, imported in self._trace.known_imports:
            if imported in by_file and (not importer or self._trace.is_of_project(importer)):
                found.update(by_file[imported])
        inside = (os.path.join(sys.prefix, ""), os.path.join(sys.base_prefix, ""))
        paths = [path for path in sys.path if isinstance(path, str) and path and not path.startswith(inside)]
        folders = [path for path in paths if not is_installed(os.path.join(path, ""))]
        changed = sorted(name for name in self._trace.changed_variables if not is_volatile(name))
        packages = {name.partition(".")[0] for name in installed}
        # Of a package that something else stands for nothing is as it would be.
        packages = {name for name in packages if name in installed or name not in sys.modules}
        rewritten = sorted(name for name, module in modules if name in installed and is_rewritten(module))
        return sorted(found), sorted(packages), rewritten, folders, changed

    def _sees_changes(self) -> bool:
        before, now = self._environment, _environment()
        changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        return changed <= {os.fsencode(name) for name in self._trace.changed_variables}


def _environment() -> dict[bytes, bytes]:
    """The variables, but for those of pytest and pytest-cov, which set them in each run."""
    return {name: value for name, value in os.environb.items() if not name.startswith((b"PYTEST_", b"COV_CORE_"))}


def _file_of(module: Any) -> Optional[str]:
    space = variables_of_module(module)
    file = space.get("__file__")
    if isinstance(file, str):
        return file
    # A package without a file of its own has folders.
    folders = list(space.get("__path__", ()))
    return os.path.join(str(folders[0]), "") if folders else None
