"""Keeps rewritten test modules by content, in `.dx/bytecode`.

pytest rewrites the assertions of a module when it is first imported, which takes a millisecond for each, and keeps the result as a
`.pyc` file beside it. A fresh checkout has none, a read-only one can't have any, and with PYTHONDONTWRITEBYTECODE none is written. A
code object holds the path of its file, and how it was made depends on pytest and Python: all of that is in its key.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import time
import warnings
from pathlib import Path
from types import CodeType
from typing import Any, Optional

import pytest
from _pytest.assertion import rewrite

_DIGEST = 32
_DAY = 86400.0
_now = time.time

#: Where the code of files is to be kept that pytest is about to rewrite, by their names.
_awaited: dict[str, str] = {}
_is_on = True


def install(folder: str) -> None:
    """Let pytest look into `folder` where it finds no `.pyc` file. With internals that aren't known nothing is changed."""
    original = getattr(rewrite, "_read_pyc", None)
    code = getattr(original, "__code__", None)
    if original is None or code is None or code.co_varnames[: code.co_argcount] != ("source", "pyc", "trace"):
        return

    def read(source: Path, pyc: Path, trace: Any = lambda _text: None) -> Optional[CodeType]:
        found: Optional[CodeType] = original(source, pyc, trace)
        if found is None and _is_on:
            try:
                text = source.read_bytes()
                place = os.path.join(folder, _key(text, source))
            except OSError:
                return None
            found = _read(place)
            if found is None and _compiles_silently(text, source):
                _awaited[str(source)] = place
        return found

    rewrite._read_pyc = read


def heed(config: Any) -> None:
    """Keep nothing and use nothing if assertions are rewritten in another way."""
    global _is_on
    _is_on = not config.getini("enable_assertion_pass_hook")


def keep(code: CodeType) -> None:
    """Keep the code of a module that is about to run, if pytest has just rewritten it.

    Nothing of this package is on the stack while it is rewritten: it would show in the tracebacks of syntax errors.
    """
    place = _awaited.pop(code.co_filename, None)
    if place is not None:
        _write(place, code)


def _compiles_silently(text: bytes, source: Path) -> bool:
    """Whether the compiler has nothing to say of a file: what it says is told each time."""
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        try:
            compile(text, str(source), "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return not log


def _key(text: bytes, source: Path) -> str:
    hasher = hashlib.blake2b(digest_size=_DIGEST)
    tag = sys.implementation.cache_tag or ""
    for part in (text, str(source), pytest.__version__, sys.version, tag, str(sys.flags.optimize)):
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def _read(place: str) -> Optional[CodeType]:
    """The code that is kept there, if it is whole."""
    try:
        with open(place, "rb") as file:
            data = file.read()
        if hashlib.blake2b(data[_DIGEST:], digest_size=_DIGEST).digest() != data[:_DIGEST]:
            return None
        code = marshal.loads(data[_DIGEST:])
        if _now() - os.stat(place).st_mtime > _DAY:
            os.utime(place)  # what isn't used for long is removed
    except (OSError, ValueError, EOFError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _write(place: str, code: CodeType) -> None:
    """Keep code; if that can't be done, it is rewritten the next time."""
    body = marshal.dumps(code)
    temporary = f"{place}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(hashlib.blake2b(body, digest_size=_DIGEST).digest() + body)
        os.replace(temporary, place)
    except OSError:
        pass
