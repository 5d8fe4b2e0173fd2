"""Keeps rewritten test modules by content, in `.dx/bytecode`.

pytest rewrites the assertions of a module when it is first imported, which takes a millisecond for each, and keeps the result as a
`.pyc` file beside it. A fresh checkout has none, a read-only one can't have any, and with PYTHONDONTWRITEBYTECODE none is written. A
code object holds the path of its file, and how it was made depends on pytest, Python and a setting: all of that is in its key.
"""

from __future__ import annotations

import hashlib
import importlib.util
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


def install(folder: str) -> None:
    """Let pytest look into `folder` before it rewrites a module. With internals that aren't known nothing is changed."""
    original = getattr(rewrite, "_rewrite_test", None)
    code = getattr(original, "__code__", None)
    if original is None or code is None or code.co_varnames[: code.co_argcount] != ("fn", "config"):
        return
    tells_hash = "source_hash" in code.co_names

    def rewritten(fn: Path, config: Any) -> tuple[Any, CodeType]:
        source = fn.read_bytes()
        place = os.path.join(folder, _key(source, fn, config))
        known = _read(place)
        if known is not None:
            return importlib.util.source_hash(source) if tells_hash else os.stat(fn), known
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            made: tuple[Any, CodeType] = original(fn, config)
        if log:
            # They are told each time that a module is compiled.
            return original(fn, config)  # type: ignore[no-any-return]
        _write(place, made[1])
        return made

    rewrite._rewrite_test = rewritten


def _key(source: bytes, fn: Path, config: Any) -> str:
    hasher = hashlib.blake2b(digest_size=_DIGEST)
    passes = str(bool(config.getini("enable_assertion_pass_hook")))
    optimised = str(sys.flags.optimize)
    for part in (
        source,
        str(fn),
        pytest.__version__,
        sys.version,
        sys.implementation.cache_tag or "",
        passes,
        optimised,
    ):
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
