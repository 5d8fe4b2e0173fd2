"""Keeps rewritten test modules by content, in `.dx/bytecode`.

pytest rewrites the assertions of a module when it is first imported, which takes a millisecond for each, and keeps the result as a
`.pyc` file beside it. A fresh checkout has none, a read-only one can't have any, and with PYTHONDONTWRITEBYTECODE none is written. A
code object holds the path of its file, and how it was made depends on pytest and Python: all of that is in its key.

Workers that collect the same files at the same time would each rewrite all of them, which costs more than anything else where a
checkout is fresh: each rewrites a share beforehand, and finds the others' then.
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
from _pytest.pathlib import fnmatch_ex

_DIGEST = 32
_DAY = 86400.0
_now = time.time

#: Where the code of files is to be kept that pytest is about to rewrite, by their names.
_awaited: dict[str, str] = {}
_is_on = True
_folder = ""
_read_pyc: Any = None


def install(folder: str) -> None:
    """Let pytest look into `folder` where it finds no `.pyc` file. With internals that aren't known nothing is changed."""
    global _folder, _read_pyc
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
    _folder, _read_pyc = folder, original


def prepare(config: Any, paths: list[str]) -> None:
    """Rewrite these test modules, which are about to be imported, and keep their code; those that need it no more are passed over."""
    if not (paths and _is_on and _folder):
        return
    rewriting = getattr(rewrite, "_rewrite_test", None)
    state = config.stash.get(rewrite.assertstate_key, None)
    patterns = getattr(getattr(state, "hook", None), "fnpats", ())
    code = getattr(rewriting, "__code__", None)
    if rewriting is None or code is None or code.co_varnames[: code.co_argcount] != ("fn", "config"):
        return
    for path in paths:
        source = Path(path)
        if not any(fnmatch_ex(pattern, source) for pattern in patterns):
            continue
        try:
            place = os.path.join(_folder, _key(source.read_bytes(), source))
            pyc = rewrite.get_cache_dir(source) / (source.name[:-3] + rewrite.PYC_TAIL)
            if os.path.exists(place) or _read_pyc(source, pyc) is not None:
                continue
            with warnings.catch_warnings(record=True) as log:
                warnings.simplefilter("always")
                found = rewriting(source, config)[1]
        except Exception:  # the import tells what is wrong with it
            continue
        if not log:
            _write(place, found)


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
