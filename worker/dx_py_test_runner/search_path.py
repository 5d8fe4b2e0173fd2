"""Gives a session that collects a part the search path of one that collects everything.

pytest adds the folder of each test file and conftest that it imports to `sys.path`, or the one above its package. What a test imports while
it runs may lie in the folder of another file, or be hidden by something there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from _pytest.pathlib import resolve_package_path

#: Before this version all conftests are imported before the first test file is.
_MIXES = 8


class SearchPath:
    """What a session adds to the path that collects everything: `folders` are those of the files that it imports, each time that it comes
    to one of another folder, and whether that file is a conftest."""

    def __init__(self, config: Any, folders: list[tuple[str, bool]]) -> None:
        # With the third mode nothing is added; where packages without `__init__.py` count it is told otherwise what is.
        mode = config.getoption("importmode")
        is_known = mode in ("prepend", "append") and not _ini(config, "consider_namespace_packages")
        self._appends = mode == "append"
        if int(pytest.__version__.partition(".")[0]) < _MIXES:
            folders = sorted(folders, key=lambda visit: not visit[1])
        self._folders = [folder for folder, _ in folders] if is_known else []
        self._before = list(sys.path)

    def begin(self, paths: list[str]) -> None:
        """Add what is added before the first of the files with these absolute paths is imported."""
        own = {os.path.dirname(path) for path in paths}
        first = next((at for at, folder in enumerate(self._folders) if folder in own), 0)
        self._add(self._folders[:first])

    def complete(self) -> None:
        """Add the rest, so that it is searched in the same order."""
        self._add(self._folders)

    def _add(self, folders: list[str]) -> None:
        roots = {folder: _root_of(folder) for folder in folders}
        visits = [roots[folder] for folder in folders]
        if self._appends:
            sys.path += [root for root in dict.fromkeys(visits) if root not in sys.path]
            return
        # One that is come to again is put first again.
        wanted = list(dict.fromkeys(reversed(visits)))
        if [path for path in dict.fromkeys(sys.path) if path in wanted] != wanted:
            for root in reversed(wanted):
                while sys.path.count(root) > self._before.count(root):
                    sys.path.remove(root)
                if sys.path[0] != root:
                    sys.path.insert(0, root)


def _ini(config: Any, name: str) -> Any:
    try:
        return config.getini(name)
    except (KeyError, ValueError):
        return None  # this version has none


def _root_of(folder: str) -> str:
    """What pytest adds to the path for a file in a folder."""
    package = resolve_package_path(Path(folder, "conftest.py"))
    return folder if package is None else str(package.parent)
