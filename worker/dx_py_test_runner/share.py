"""The share of the collection that one of several workers has.

Each worker imports every test module, as pytest does: suites lean on what that leaves behind. But only one of them makes a file's items,
which takes longer than the import of most modules. A worker that runs tests of another one's file makes its items then.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable

import pytest

from . import say


class Shared:
    """Which files are this worker's, and what is left of the others."""

    def __init__(self, session: Any, files: list[str]) -> None:
        self.session = session
        #: The node IDs of the files whose items it makes.
        self.files = frozenset(files)
        #: Whether the items of other files are left to others.
        self.is_partial = say.is_known()
        self._left: dict[str, list[Any]] = {}

    def leave_out(self, collector: Any) -> None:
        """Let a module that is another worker's be imported only, when it is collected."""
        if not self.is_partial or type(collector) is not pytest.Module or collector.nodeid in self.files:
            return
        self._left.setdefault(collector.nodeid, []).append(collector)
        vars(collector)["collect"] = _import_of(collector)

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


def _import_of(module: Any) -> Callable[[], list[Any]]:
    def collect() -> list[Any]:
        module.obj  # noqa: B018 (it is imported when it is asked for)
        return []

    return collect
