"""Keeps the code of modules by content, in `.dx/bytecode`, where Python itself can keep none.

With PYTHONDONTWRITEBYTECODE, as in many containers, and in folders that can't be written, a module without a `.pyc` file is compiled in
each process anew: for pytest alone that takes longer than a hundred tests. Where `importlib` looks for such a file in vain it is given
what is kept, or what was compiled at once; it makes the same of it as of a file.

A module that has changed is compiled by the interpreter that is kept warm, while it is looked up what the change means. That is kept as
well, and given to workers instead of a `.pyc` file that is of the module as it was before: each would compile it by itself. They write it
there, as Python would.
"""

from __future__ import annotations

import _thread
import hashlib
import marshal
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, source_from_cache, source_hash
from types import CodeType, FunctionType
from typing import Any, Optional

#: How long the digest before the code is, in a file of this package's.
DIGEST = 32
_DAY = 86400.0

#: Where code is kept, once this is installed.
_folder = ""

# Tests put others in their places.
_open, _now, _stat, _access = open, time.time, os.stat, os.access

#: Where the code is that was given for files which aren't there.
places: dict[str, str] = {}

#: The numbers in a `.pyc` file are of four bytes.
_WORD = 0xFFFFFFFF

#: A `.pyc` file that counts for its source without a look at its time.
_UNCHECKED = (1).to_bytes(4, "little")
#: One that counts if its source has the time and the size that it names.
_BY_TIME = bytes(4)


def install(folder: str) -> None:
    """Keep code in `folder`. What isn't known of `importlib` is left as it is."""
    global _folder
    _folder = folder
    loader: Any = next((base for base in SourceFileLoader.__mro__ if "get_data" in vars(base)), None)
    original = None if loader is None else vars(loader)["get_data"]
    if type(original) is not FunctionType or original.__code__.co_varnames[:2] != ("self", "path"):
        return

    def get_data(self: Any, path: Any) -> Any:
        try:
            data = original(self, path)
        except FileNotFoundError:
            data = _pyc(path, folder) if type(self) is SourceFileLoader and type(path) is str else None
            if data is None:
                raise
            return data
        if type(path) is str and path[-4:] == ".pyc" and type(self) is SourceFileLoader:
            return _newer(self, path, data, folder) or data
        return data

    # Who reads is seen by the stack, on which this is a part of `importlib`, as it is in tracebacks.
    get_data.__code__ = get_data.__code__.replace(co_filename=original.__code__.co_filename)
    get_data.__module__, get_data.__qualname__ = original.__module__, original.__qualname__
    get_data.__doc__ = original.__doc__
    loader.get_data = get_data


def _pyc(path: str, folder: str) -> Optional[bytes]:
    """What would be in a `.pyc` file that isn't there, and that Python wouldn't write."""
    if not path.endswith(".pyc") or not (sys.dont_write_bytecode or _is_protected(os.path.dirname(path))):
        return None
    try:
        source = source_from_cache(path)
        text, place = _look_up(source, path, folder)
    except (OSError, ValueError):
        return None
    body = read(place)
    if body is None:
        # What other threads warn of meanwhile would be lost.
        code = None if _thread._count() else in_silence(lambda: compile(text, source, "exec", dont_inherit=True))
        if code is None:
            return None
        body = write(place, code)
    places[path] = place
    return b"".join((MAGIC_NUMBER, _UNCHECKED, source_hash(text), body))


def _look_up(source: str, path: str, folder: str) -> tuple[bytes, str]:
    """The text of a source whose `.pyc` file is at `path`, and where in `folder` its code would be; raises OSError if it can't be read."""
    with _open(source, "rb") as file:
        text = file.read()
    return text, _place(source, text, path, folder)


def _place(source: str, text: bytes, path: str, folder: str) -> str:
    return os.path.join(folder, key(text, source, os.path.basename(path)))


def _newer(loader: Any, path: str, data: bytes, folder: str) -> Optional[bytes]:
    """What would be in a `.pyc` file if it were of its source as that is now, if it isn't and that is kept. Then it is written there."""
    if data[4:8] != _BY_TIME:
        return None
    try:
        source = source_from_cache(path)
        status = _stat(source)
        numbers = (int(status.st_mtime), status.st_size)
        known = b"".join((number & _WORD).to_bytes(4, "little") for number in numbers)
        if known == data[8:16]:
            return None
        _, place = _look_up(source, path, folder)
    except (OSError, ValueError):
        return None
    body = read(place)
    if body is None:
        return None
    places[path] = place
    now = b"".join((MAGIC_NUMBER, _BY_TIME, known, body))
    write_it = getattr(loader, "_cache_bytecode", None)
    if write_it is not None and not sys.dont_write_bytecode:
        write_it(source, path, now)
    return now


def keep(source: str, text: bytes, code: CodeType) -> str:
    """Keep the code of a module's source for processes that find no `.pyc` file of it; gives where."""
    place = _place(source, text, cache_from_source(source), _folder)
    write(place, code)
    return place


def _is_protected(folder: str) -> bool:
    return not _access(folder if os.path.isdir(folder) else os.path.dirname(folder), os.W_OK)


def in_silence(make: Callable[[], CodeType]) -> Optional[CodeType]:
    """The code that is made; none if there is something to tell of it: that is told each time, by who asks for it without this package, of
    which nothing may be on the stack then, since it would show in tracebacks of syntax errors."""
    try:
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            code = make()
    except Exception:
        return None
    return None if log else code


# Files of code


def key(text: bytes, *parts: str) -> str:
    """The name under which code is kept that was made of a source, by what else it depends on beside the interpreter."""
    hasher = hashlib.blake2b(digest_size=DIGEST)
    tag = sys.implementation.cache_tag or ""
    names = [part.encode("utf-8", "surrogateescape") for part in (*parts, sys.version, tag, str(sys.flags.optimize))]
    for data in (text, *names):
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def read(place: str) -> Optional[bytes]:
    """The code that is kept there, as `marshal` has written it, if it is whole."""
    try:
        with _open(place, "rb") as file:
            data = file.read()
        body = data[DIGEST:]
        if hashlib.blake2b(body, digest_size=DIGEST).digest() != data[:DIGEST]:
            return None
        if _now() - _stat(place).st_mtime > _DAY:
            os.utime(place)  # what isn't used for long is removed
    except OSError:
        return None
    return body


def read_code(place: str) -> Optional[CodeType]:
    """The code that is kept there, if it is whole."""
    body = read(place)
    try:
        code = None if body is None else marshal.loads(body)
    except (ValueError, EOFError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def write(place: str, code: CodeType) -> bytes:
    """Keep code, and give it as `marshal` writes it; if it can't be kept, it is made the next time."""
    body = marshal.dumps(code)
    temporary = f"{place}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with _open(temporary, "wb") as file:
            file.write(hashlib.blake2b(body, digest_size=DIGEST).digest() + body)
        os.replace(temporary, place)
    except OSError:
        pass
    return body
