"""How internals are looked at: pytest's before they are changed, for pytest alone, and those of modules."""

from __future__ import annotations

from types import ModuleType
from typing import Any

_variables_of = ModuleType.__getattribute__

#: The identity of an object, as a number that no other has while it lives. `id` raises an audit event each time, which takes four times as
#: long where there is an audit hook.
identity = object.__hash__


def variables_of_module(module: Any) -> dict[str, Any]:
    """The variables of a module, without asking it. What only poses as one, as libraries of `cffi` do, may do anything when asked, and has
    none; one that is loaded when it is first looked into isn't loaded for this."""
    return _variables_of(module, "__dict__") if issubclass(type(module), ModuleType) else {}


def takes(function: Any, *names: str) -> bool:
    """Whether a function of pytest's is there, and has these parameters."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_varnames[: code.co_argcount] == names


def own_copy(module: ModuleType, **changed: Any) -> Any:
    """A module in which some things are others: the module itself is everybody's."""
    own = ModuleType(module.__name__)
    vars(own).update(vars(module), **changed)
    return own
