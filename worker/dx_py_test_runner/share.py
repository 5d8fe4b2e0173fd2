"""The share of the collection that one of several workers has.

Each worker imports every test module, as pytest does: suites lean on what that leaves behind. But only one of them makes a file's items,
which takes longer than the import of most modules. A worker that runs tests of another one's file makes its items then. A module whose
import is known to leave nothing behind is imported by the one alone; the orchestrator reads that from its source.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable, Optional

import pytest

from . import say


#: Something that an import finds: what holds it, its name there, and what it is.
_Entry = tuple[dict[str, Any], str, Any]
_MISSING = object()


class Shared:
    """Which files are this worker's, and what is left of the others."""

    def __init__(self, session: Any, files: list[str], inert: dict[str, str]) -> None:
        self.session = session
        #: The node IDs of the files whose items it makes.
        self.files = frozenset(files)
        #: Whether the items of other files are left to others.
        self.is_partial = say.is_known()
        self._left: dict[str, list[Any]] = {}
        #: What must be imported for the import of a module to leave nothing behind.
        self._inert = inert
        #: The folders of which a module was imported: what pytest adds to the path for its modules is there.
        self._folders: set[str] = set()
        #: What modules would have found that weren't imported.
        self._found: dict[str, list[_Entry]] = {}

    def leave_out(self, collector: Any) -> None:
        """Let a module that is another worker's be imported only, when it is collected, or not even that."""
        if not self.is_partial or type(collector) is not pytest.Module:
            return
        if collector.nodeid in self.files:
            self._folders.add(_folder_of(collector))
            return
        self._left.setdefault(collector.nodeid, []).append(collector)
        needs = self._inert.get(collector.nodeid)
        found = None if needs is None or _folder_of(collector) not in self._folders else _find(needs.split())
        if found is not None:
            self._found[collector.nodeid] = found
            vars(collector)["collect"] = _nothing
        else:
            self._folders.add(_folder_of(collector))
            vars(collector)["collect"] = _import_of(collector)

    def module(self, file: str) -> Optional[Any]:
        """The collector of a file whose items aren't made yet."""
        return next(iter(self._left.get(file, ())), None)

    def make(self, files: list[str], quiet: bool) -> list[Any]:
        """The items of files that were left out, in the session from now on; `quiet` if another worker has told of their warnings."""
        session, made = self.session, []
        config = session.config
        self.is_partial = False
        with _no_warnings() if quiet else _pytest_warnings(config):
            for file in files:
                with _as_it_was(self._found.pop(file, [])):
                    for collector in self._left.pop(file, ()):
                        del vars(collector)["collect"]
                        made.extend(session.genitems(collector))
            config.hook.pytest_collection_modifyitems(session=session, config=config, items=made)
        self.is_partial = True
        session.items.extend(made)
        return made


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pytest_warnings(config: Any) -> AbstractContextManager[None]:
    """What pytest collects in."""
    from _pytest.warnings import catch_warnings_for_item

    if not config.pluginmanager.hasplugin("warnings"):
        return nullcontext()
    return catch_warnings_for_item(config=config, ihook=config.hook, when="collect", item=None)


def _folder_of(module: Any) -> str:
    return os.path.dirname(str(module.path))


def _find(needs: list[str]) -> Optional[list[_Entry]]:
    """What an import would find of modules and of what they must have; None if something isn't there."""
    found: list[_Entry] = []
    for need in needs:
        name, _, what = need.partition(":")
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            path = ".".join(parts[:count])
            if path not in sys.modules:
                return None
            found.append((sys.modules, path, sys.modules[path]))
        names = getattr(sys.modules[name], "__dict__", {})
        if what:
            if what not in names:
                return None
            found.append((names, what, names[what]))
    return found


@contextmanager
def _as_it_was(found: list[_Entry]) -> Iterator[None]:
    """Let an import find what it would have found before tests put something else in its place."""
    changed = [(holder, name, holder.get(name, _MISSING)) for holder, name, was in found if holder.get(name) is not was]
    for holder, name, was in found:
        holder[name] = was
    try:
        yield
    finally:
        for holder, name, now in changed:
            if now is _MISSING:
                holder.pop(name, None)
            else:
                holder[name] = now


def _nothing() -> list[Any]:
    return []


def _import_of(module: Any) -> Callable[[], list[Any]]:
    def collect() -> list[Any]:
        module.obj  # noqa: B018 (it is imported when it is asked for)
        return []

    return collect
