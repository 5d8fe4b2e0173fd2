"""Cached fixtures: `@dx.fixture(cache=True)` keeps what a fixture returns, and hands it out again instead of making it anew.

A value is kept as long as all holds that it was made of: the function and what it reaches (`fixture_key`), the files, folders and variables
that were read (`fixture_inputs`). The first user is given the value as it was restored, like every later one, so that it makes no
difference which one a test is. What can't be kept is handed out as it was made, and a warning says why, once.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Optional, Union

import pytest

from . import plugin
from .errors import DxError
from .fixture_inputs import Input, Seen, loaded, process_start, replay, seeing
from .fixture_key import Modules, Reach, Uncacheable, environment, named_files, picture, plain, source_of
from .fixture_store import CLOCK, Entry, Pickled, Store, Unusable, digest, dumps
from .trace import FILE

Key = Union[str, bytes, int, float, tuple[Any, ...], list[Any], dict[Any, Any], Callable[[], Any], None]
#: What may be asked of `request`, since it is part of the key.
_KNOWN = frozenset(("param", "param_index", "scope", "fixturename"))
#: Fixtures that are other ones in every run.
_FLEETING = frozenset(("tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"))
#: Where a fixture's definition in pytest keeps what dependents need to know of its value.
_KEPT = "_dx_kept"
_timer = (time.perf_counter,)


class FixtureError(DxError):
    """A fixture can't be cached as it is written."""


class FixtureNotCached(UserWarning):
    """A fixture's value isn't cached; the text says why."""


# As they are known to whoever reads them.
FixtureError.__module__ = FixtureNotCached.__module__ = "dx_py_test_runner"


def fixture(
    fixture_function: Optional[Callable[..., Any]] = None,
    *,
    scope: Any = "function",
    params: Optional[Iterable[Any]] = None,
    autouse: bool = False,
    ids: Union[Sequence[Optional[object]], Callable[[Any], Optional[object]], None] = None,
    name: Optional[str] = None,
    cache: bool = False,
    key: Key = None,
    ttl: Union[float, timedelta, None] = None,
) -> Any:
    """A pytest fixture; with `cache=True` its value is kept on the disk and restored instead of made again.

    `key` is plain data, or a function that gives some, that decides as well whether a kept value is the right one: a version, a date. `ttl`
    is how long one may be used, in seconds or as a `timedelta`. With one of them a value is kept too if nobody can know what it was made of:
    a connection to another machine, another process. All else is as in `pytest.fixture`, which this is without `cache=True`. Raises
    `FixtureError` for a function with a teardown (`yield`) or a coroutine, whose values can't be kept.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        made = function
        if cache:
            made = _Cached(function, key, _seconds(ttl)).wrapper()
        return pytest.fixture(scope=scope, params=params, autouse=autouse, ids=ids, name=name)(made)

    if not cache and (key is not None or ttl is not None):
        raise FixtureError("`key` and `ttl` say how long a cached value is right: add `cache=True`, or leave them out")
    return decorate if fixture_function is None else decorate(fixture_function)


def _seconds(ttl: Union[float, timedelta, None]) -> Optional[float]:
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise FixtureError(f"`ttl` is {ttl!r}: give the seconds that a value may be used, more than 0, or a timedelta")
    return seconds


class _Kept(NamedTuple):
    """What is known of a value that was restored."""

    store: Store
    name: str
    key: bytes
    value: str


class _Origin(NamedTuple):
    """What a value is made of, as far as it is known before it is made."""

    key: bytes
    modules: Modules
    #: Files that are named in it: native code may read them, unseen.
    named: list[str]


class _Request:
    """Stands for pytest's `request`, and notes what is asked of it that isn't part of the key."""

    __slots__ = ("_real", "_asked")

    def __init__(self, real: Any, asked: dict[str, None]) -> None:
        self._real = real
        self._asked = asked

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._real)

    def __getattr__(self, name: str) -> Any:
        if name not in _KNOWN and not name.startswith("__"):
            self._asked.setdefault(name)
        return getattr(self._real, name)


#: The folder of each project, and of what was told that it isn't cached.
_stores: dict[str, Store] = {}
_told: set[tuple[str, str]] = set()


def _store(root: str) -> Store:
    found = _stores.get(root)
    if found is None:
        found = _stores[root] = Store(root)
    return found


class _Cached:
    """A fixture function whose values are kept."""

    def __init__(self, function: Callable[..., Any], key: Key, ttl: Optional[float]) -> None:
        name = getattr(function, "__qualname__", repr(function))
        if isinstance(function, type) or not callable(function):
            raise FixtureError(f"{name} is no function, and only what a function returns can be cached: wrap it in one")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise FixtureError(
                f"the fixture {name} has a teardown (`yield`), which a restored value wouldn't have: let a cached fixture return the "
                "expensive part, and another one, without `cache=True`, ask for it and yield"
            )
        if inspect.iscoroutinefunction(function):
            raise FixtureError(
                f"the fixture {name} is a coroutine, which can't be cached: cache a plain function that it asks for"
            )
        if key is not None and not callable(key) and plain(key) is None:
            raise FixtureError(
                f"`key` of the fixture {name} is no plain data: give text, numbers, or tuples of them, or a function"
            )
        self._function = function
        self._given = key
        self._ttl = ttl
        self._signature = inspect.signature(function)
        self._asks_request = "request" in self._signature.parameters
        code = getattr(inspect.unwrap(function), "__code__", None)
        self._file = code.co_filename if code is not None else ""
        self._source: Optional[bytes] = None
        self._modules: dict[frozenset[str], Modules] = {}

    def wrapper(self) -> Callable[..., Any]:
        """The function that pytest is given instead: it asks for `request` as well."""

        @functools.wraps(self._function)
        def cached(*arguments: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            request = named["request"]
            if not self._asks_request:
                del named["request"]
            return self._value(request, arguments, named)

        if not self._asks_request:
            parameters = list(self._signature.parameters.values())
            request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)
            at = len(parameters)
            if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
                at -= 1
            parameters.insert(at, request)
            cached.__signature__ = self._signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return cached

    # A value

    def _value(self, request: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        definition = getattr(request, "_fixturedef", None)
        if definition is not None:
            vars(definition).pop(_KEPT, None)
        root = str(request.config.rootpath)
        store, name = _store(root), request.fixturename
        try:
            store.prepare()
            origin = self._origin(request, root, arguments, named)
        except (Uncacheable, Unusable) as reason:
            self._tell(request, str(reason))
            return self._function(*arguments, **named)
        found = self._restore(store, name, origin.key, definition, self._ttl)
        if found is not None:
            return found[0]
        with store.making(name, origin.key):
            # Another process may have made it meanwhile.
            found = self._restore(store, name, origin.key, definition, self._ttl)
            if found is not None:
                return found[0]
            return self._make(request, root, store, name, origin, definition, arguments, named)

    def _restore(
        self, store: Store, name: str, key: bytes, definition: Any, ttl: Optional[float]
    ) -> Optional[tuple[Any]]:
        """The kept value, if there is one that holds and isn't older than `ttl` seconds."""
        entry = store.find(name, key)
        if entry is None:
            return None
        try:
            if ttl is not None and CLOCK[0]() - entry.metadata["made"] > ttl:
                return None
            inputs = [Input.unpacked(row) for row in entry.metadata["inputs"]]
            others = [Input.unpacked(row) for row in entry.metadata["others"]]
            if not all(each.holds() for each in (*inputs, *others)):
                return None
            value = entry.load()
        except Exception:
            # What it was made of may be gone, a class that was renamed for one: it is made again, and that tells.
            store.remove(name, key)
            return None
        replay(plugin.trace(), inputs, self._file)
        store.touch(name, key)
        if definition is not None:
            setattr(definition, _KEPT, _Kept(store, name, key, entry.metadata["value"]))
        return (value,)

    def _make(
        self,
        request: Any,
        root: str,
        store: Store,
        name: str,
        origin: _Origin,
        definition: Any,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        """Make the value and keep it, if it can be kept."""
        __tracebackhide__ = True
        asked: dict[str, None] = {}
        if self._asks_request:
            named = {**named, "request": _Request(request, asked)}
        before = set(loaded().values())
        with seeing(plugin.trace(), root) as seen:
            began = _timer[0]()
            value = self._function(*arguments, **named)
            took = _timer[0]() - began
        try:
            self._check(request, asked, seen, named)
            new = set(loaded().values()) - before
            inputs = seen.inputs(sorted(new))
            self._check_age(inputs, seen, origin.modules)
            others = [Input.now(FILE, file) for file in (*origin.modules.installed(), *origin.named)]
            pickled = self._pickled(value)
            metadata = {
                "fixture": self._id(root, name),
                "value": pickled.digest().hex(),
                "seconds": round(took, 6),
                "inputs": [each.packed() for each in inputs],
                "others": [each.packed() for each in others],
            }
            store.keep(name, origin.key, metadata, pickled)
        except (Uncacheable, Unusable) as reason:
            self._tell(request, str(reason))
            return value
        except OSError as error:
            self._tell(request, f"its value can't be written into {store.folder}: {error.strerror or error}")
            return value
        del pickled
        # Not the value that was made: whoever gets it from now on gets it like this.
        found = self._restore(store, name, origin.key, definition, None)
        if found is None or type(found[0]) is not type(value):
            store.remove(name, origin.key)
            self._tell(request, "its value is pickled, but can't be restored from that, or changes what it was made of")
            return value
        return found[0]

    def _pickled(self, value: Any) -> Pickled:
        try:
            return dumps(value)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise Uncacheable(f"its value, of type {type(value).__qualname__}, can't be pickled: {text}") from None

    def _check(self, request: Any, asked: dict[str, None], seen: Seen, named: dict[str, Any]) -> None:
        """Raise `Uncacheable` if a kept value can't stand for one that is made."""
        if "addfinalizer" in asked:
            raise Uncacheable("it has a teardown (`request.addfinalizer`), which a restored value wouldn't have")
        for each, value in named.items():
            kept = None if each == "request" else self._kept(request, each, value)
            if kept is not None and not _is_unchanged(kept, value):
                raise Uncacheable(f"the value of {each}, which it asks for, was changed after it was made")
        if self._given is not None:
            return
        if asked:
            raise Uncacheable(
                f"it asks for `request.{next(iter(asked))}`, of which nobody knows when it is another one: with `key=` you say it"
            )
        doubt = seen.doubt()
        if doubt and self._ttl is None:
            raise Uncacheable(f"{doubt}: with `key=` or `ttl=` you say how long a value is right")

    def _check_age(self, inputs: list[Input], seen: Seen, modules: Modules) -> None:
        """Raise `Uncacheable` if something isn't what was read, or not what was loaded, any more."""
        for each in inputs:
            if each.changed() > seen.began:
                raise Uncacheable(f"{each.name} changed while it was made, or just before")
        for file in modules.texts:
            if Input.now(FILE, file).changed() > process_start():
                raise Uncacheable(f"{file} changed after this process started, so that it may have loaded another text")

    def _tell(self, request: Any, reason: str) -> None:
        """Say once why a value isn't cached."""
        place = self._id(str(request.config.rootpath), request.fixturename)
        if (place, reason) in _told:
            return
        _told.add((place, reason))
        warning = FixtureNotCached(f"the fixture {place} isn't cached: {reason}")
        line = getattr(getattr(inspect.unwrap(self._function), "__code__", None), "co_firstlineno", 1)
        try:
            warnings.warn_explicit(warning, None, self._file or "fixture", line)
        except FixtureNotCached:
            # Where warnings are errors it is still none that a fixture isn't cached.
            with warnings.catch_warnings():
                warnings.simplefilter("always", FixtureNotCached)
                warnings.warn_explicit(warning, None, self._file or "fixture", line)

    # The key

    def _id(self, root: str, name: str) -> str:
        inner = os.path.relpath(self._file, root) if self._file else "?"
        return f"{self._file if inner.startswith('..') else inner}::{name}"

    def _origin(self, request: Any, root: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> _Origin:
        """What the value would be made of now; raises `Uncacheable`."""
        reach = Reach()
        reach.add(self._function)
        parts = [
            b"dx-py fixture 1",
            root.encode("utf-8", "surrogateescape"),
            self._id(root, request.fixturename).encode(),
        ]
        if self._source is None:
            self._source = source_of(self._function)
        parts += [self._source, environment()]
        for instance in arguments:
            reach.add(type(instance))
            state = plain(vars(instance)) if hasattr(instance, "__dict__") else b""
            if state is None and self._given is None:
                raise Uncacheable(
                    "it is a method, and its instance holds more than plain data: with `key=` you say when it is another one"
                )
            parts.append(state or b"")
        for name, value in sorted(named.items()):
            if name == "request":
                continue
            parts += [name.encode(), self._argument(request, root, name, value)]
            reach.add(value)
        if hasattr(request, "param"):
            parts.append(b"param " + picture(request.param, "its parameter"))
            reach.add(request.param)
        if self._given is not None:
            given = plain(self._given() if callable(self._given) else self._given)
            if given is None:
                raise Uncacheable("its `key` gives no plain data: let it return text, numbers, or tuples of them")
            parts.append(b"key " + given)
        files = frozenset(reach.files | ({self._file} if os.path.isabs(self._file) else set()))
        modules = self._modules.get(files)
        if modules is None:
            modules = self._modules[files] = Modules(files)
        parts += [reach.digest(), modules.digest()]
        key = digest(b"".join(b"%d:%s" % (len(part), part) for part in parts))
        folders = {root, os.getcwd(), *map(os.path.dirname, reach.files)}
        named_now = [file for file in named_files(reach.texts, folders) if file not in modules.texts]
        return _Origin(key, modules, named_now)

    def _argument(self, request: Any, root: str, name: str, value: Any) -> bytes:
        """What stands in the key for the value of a fixture that it asks for."""
        if name not in _FLEETING:
            data = plain(value)
            if data is not None:
                return data
            kept = self._kept(request, name, value)
            if kept is not None:
                return b"kept " + kept.value.encode()
        if self._given is None:
            raise Uncacheable(
                f"it asks for {name}, whose value is neither plain data nor that of a cached fixture: with `key=` you say when it is another one"
            )
        return b""

    def _kept(self, request: Any, name: str, value: Any) -> Optional[_Kept]:
        """What is known of the value of another cached fixture; None if it is none."""
        try:
            definition = request._get_active_fixturedef(name)
            result = definition.cached_result
        except Exception:  # pytest's own affair, and other internals than those that are known
            return None
        kept = vars(definition).get(_KEPT)
        return kept if isinstance(kept, _Kept) and result is not None and result[0] is value else None


def _is_unchanged(kept: _Kept, value: Any) -> bool:
    """Whether a restored value is still as it was: a test may have written to it."""
    entry: Optional[Entry] = kept.store.find(kept.name, kept.key)
    if entry is None:
        return False
    try:
        return dumps(entry.load()).digest() == dumps(value).digest()
    except Exception:
        return False
