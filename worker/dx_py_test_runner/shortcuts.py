"""Shorter ways through pytest's own functions that a session takes for each fixture and each test. None is on the stack when the user's
code runs: each is pytest's function, called without what is between, or one that has returned by then."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import FunctionType, MethodType
from typing import Any, Optional

from _pytest import compat, fixtures, python

from . import say
from .internals import own_copy, takes

#: pytest's implementations of the hooks of fixtures: but for the first they show what is set up, if they are asked to.
_OF_FIXTURES = ("_pytest.fixtures", "_pytest.setuponly", "_pytest.setupplan")
#: What has no attributes but those of its type.
_NO_WRAPPERS = frozenset((bool, bytes, dict, float, frozenset, int, list, set, str, tuple, type(None)))
#: Attributes by which a function says that it is of another kind than its code.
_KINDS = frozenset(("__partialmethod__", "_partialmethod", "_is_coroutine_mark", "_is_coroutine", "__wrapped__"))


def look_at_code() -> None:
    """Let pytest see by a function's code whether it is a coroutine or a generator, of which it asks for each fixture of each test: Python
    looks at five other things first that a plain function can't be."""
    own = own_copy(
        inspect,
        isgeneratorfunction=_by_flag(CO_GENERATOR, inspect.isgeneratorfunction),
        iscoroutinefunction=_by_flag(CO_COROUTINE, inspect.iscoroutinefunction),
        isasyncgenfunction=_by_flag(CO_ASYNC_GENERATOR, inspect.isasyncgenfunction),
    )
    for module in (compat, fixtures, python):
        if getattr(module, "inspect", None) is inspect:
            vars(module)["inspect"] = own


def _by_flag(flag: int, original: Callable[[object], bool]) -> Callable[[object], bool]:
    def is_one(function: Any) -> bool:
        plain = function.__func__ if type(function) is MethodType else function
        if type(plain) is FunctionType and _KINDS.isdisjoint(plain.__dict__):
            return bool(plain.__code__.co_flags & flag)
        return original(function)

    return is_one


def share_ids() -> None:
    """Let a test without parameters have the ID that was just made for it: pytest 9.2 makes another one that is equal."""
    try:
        from _pytest.nodeid import NodeId
    except ImportError:
        return
    original = getattr(NodeId, "with_params", None)
    if not takes(original, "self", "params"):
        return

    def with_params(self: Any, params: Optional[str]) -> Any:
        return self if params is None and self.params is None else original(self, params)  # type: ignore[misc]

    NodeId.with_params = with_params  # type: ignore[method-assign]


def pass_over_plain_objects() -> None:
    """Let a plain function, and what is no function, be no wrapper of a fixture: since version 9.1 pytest looks behind each object of a
    module or class for one."""
    original = getattr(fixtures.FixtureManager, "_find_wrapped_fixture_def", None)
    if not takes(original, "self", "obj"):
        return

    def _find_wrapped_fixture_def(self: Any, obj: object) -> Any:
        kind = type(obj)
        if kind in _NO_WRAPPERS or kind is FunctionType and "__wrapped__" not in obj.__dict__:
            return None
        return original(self, obj)  # type: ignore[misc]

    fixtures.FixtureManager._find_wrapped_fixture_def = _find_wrapped_fixture_def  # type: ignore[method-assign]


def set_up_directly(config: Any) -> None:
    """Let fixtures be set up, and told of when they are finished, without asking hooks, while nobody else implements these. Who comes
    later is asked."""
    option = config.option
    if any(getattr(option, name, False) for name in ("setupshow", "setuponly", "setupplan")):
        return
    for name, function in (
        ("pytest_fixture_setup", fixtures.pytest_fixture_setup),
        ("pytest_fixture_post_finalizer", _nobody_is_told),
    ):
        hook = getattr(config.hook, name)
        plain = type(hook)
        if plain.__name__.endswith("HookCaller") and all(
            say.module_of(one) in _OF_FIXTURES for one in hook.get_hookimpls()
        ):
            try:
                hook.__class__ = _directly(plain, function)
            except TypeError:
                pass  # hooks of another make


def _directly(plain: Any, function: Callable[..., Any]) -> type:
    """A class for a hook that calls one function, until another one is added."""

    def add(self: Any, implementation: Any) -> None:
        self.__class__ = plain
        self._add_hookimpl(implementation)

    # As a static method it is called without a frame of its own.
    contents = {"__slots__": (), "__call__": staticmethod(function), "_add_hookimpl": add}
    return type(plain.__name__, (plain,), contents)


def _nobody_is_told(**_arguments: Any) -> list[Any]:
    return []
