"""Lets plugins be imported before there is a pytest session, with their assertions rewritten as a session would have them."""

from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace
from typing import Any

from _pytest.assertion import AssertionState
from _pytest.assertion.rewrite import AssertionRewritingHook, assertstate_key
from _pytest.config import _iter_rewritable_modules

from .internals import variables_of_module


class _Config:
    """What the rewriting asks of a session's configuration: everything is as it is if nothing is set."""

    def __init__(self) -> None:
        self.trace = SimpleNamespace(root=SimpleNamespace(get=lambda _name: lambda _text: None))
        self.stash: dict[Any, Any] = {assertstate_key: AssertionState(self, "rewrite")}  # type: ignore[arg-type]

    def getini(self, name: str) -> Any:
        """The value of a setting: no file is a test file, and nobody is told of assertions that hold."""
        return [] if name == "python_files" else False


class Rewriting:
    """Within it the modules of plugins' distributions are rewritten when they are imported."""

    def __init__(self) -> None:
        self._hook = AssertionRewritingHook(_Config())  # type: ignore[arg-type]
        for distribution in importlib.metadata.distributions():
            if any(entry.group == "pytest11" for entry in distribution.entry_points):
                self._hook.mark_rewrite(*_iter_rewritable_modules(str(file) for file in distribution.files or ()))

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self._hook)

    def __exit__(self, *_exception: object) -> None:
        sys.meta_path.remove(self._hook)


def is_rewritten(module: Any) -> bool:
    """Whether a module's assertions were rewritten."""
    return isinstance(variables_of_module(module).get("__loader__"), AssertionRewritingHook)
