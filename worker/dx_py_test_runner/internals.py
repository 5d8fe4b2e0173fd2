"""How pytest's internals are looked at before they are changed, and changed for pytest alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def takes(function: Any, *names: str) -> bool:
    """Whether a function of pytest's is there, and has these parameters."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_varnames[: code.co_argcount] == names


def own_copy(module: ModuleType, **changed: Any) -> Any:
    """A module in which some things are others: the module itself is everybody's."""
    own = ModuleType(module.__name__)
    vars(own).update(vars(module), **changed)
    return own
