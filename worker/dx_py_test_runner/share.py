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
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Callable, Optional

import pytest

from . import say


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
        #: By its name, where a module lies that was collected, and how to import it if that was left out.
        self._places: dict[str, tuple[str, Callable[[], object]]] = {}
        #: Those of which a module was imported: what pytest adds to the path for it is there.
        self._folders: set[str] = set()

    def leave_out(self, collector: Any) -> None:
        """Let a module that is another worker's be imported only, when it is collected."""
        if not self.is_partial or type(collector) is not pytest.Module:
            return
        is_own = collector.nodeid in self.files
        needs = None if is_own else self._inert.get(collector.nodeid)
        is_left_out = self._may_be_left_out(collector, needs)
        if not is_own:
            self._left.setdefault(collector.nodeid, []).append(collector)
            vars(collector)["collect"] = _nothing if is_left_out else _import_of(collector)

    def _may_be_left_out(self, module: Any, needs: Optional[str]) -> bool:
        """Whether nobody could tell that a module isn't imported that needs what `needs` says, if it is known to leave nothing behind."""
        path = str(module.path)
        folder, name = os.path.split(path)
        if isinstance(module.parent, pytest.Package):
            name = path
        other, import_other = self._places.get(name, (path, _nothing))
        if other != path:
            # Modules of one name hide each other, or can't be imported side by side, which pytest tells of the second.
            with suppress(Exception):  # its own worker tells of it
                import_other()
        elif needs is not None and folder in self._folders and all(map(_is_there, needs.split())):
            self._places[name] = path, _import_of(module)
            return True
        self._places[name] = path, _nothing
        self._folders.add(folder)
        return False

    def make(self, files: list[str], quiet: bool) -> list[Any]:
        """The items of files that were left out, in the session from now on; `quiet` if another worker has told of their warnings."""
        session, made = self.session, []
        config = session.config
        self.is_partial = False
        with _no_warnings() if quiet else _pytest_warnings(config):
            for file in files:
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


def _is_there(need: str) -> bool:
    """Whether a module is imported, and has what is asked of it."""
    name, _, what = need.partition(":")
    module = sys.modules.get(name)
    return module is not None and (not what or what in getattr(module, "__dict__", ()))


def _nothing() -> list[Any]:
    return []


def _import_of(module: Any) -> Callable[[], list[Any]]:
    def collect() -> list[Any]:
        module.obj  # noqa: B018 (it is imported when it is asked for)
        return []

    return collect
