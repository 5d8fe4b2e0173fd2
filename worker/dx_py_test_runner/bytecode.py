"""Keeps rewritten test modules by content, in `.dx/bytecode`, and lets pytest rewrite faster.

pytest rewrites the assertions of a module when it is first imported, which takes about as long for each as to run a short test, and keeps
the result as a `.pyc` file beside it. A fresh checkout has none, a read-only one can't have any, and with PYTHONDONTWRITEBYTECODE none is
written. A code object holds the path of its file, and how it was made depends on pytest and Python: all of that is in its key.

Workers that collect the same files at the same time would each rewrite all of them, which costs more than anything else where a
checkout is fresh: each rewrites a share beforehand, and finds the others' then.
"""

from __future__ import annotations

import ast
import fnmatch
import os
from pathlib import Path
from types import CodeType
from typing import Any, Callable, Optional

import pytest
from _pytest.assertion import rewrite
from _pytest.pathlib import fnmatch_ex

from . import compiled
from .internals import own_copy, takes

_is_on = True
_folder = ""
_read_pyc: Any = None
_config: Any = None


def install(folder: str) -> None:
    """Let pytest look into `folder` where it finds no `.pyc` file. With internals that aren't known nothing is changed."""
    global _folder, _read_pyc
    original: Any = getattr(rewrite, "_read_pyc", None)
    if not (
        takes(original, "source", "pyc", "trace") and takes(getattr(rewrite, "_rewrite_test", None), "fn", "config")
    ):
        return

    def read(source: Path, pyc: Path, trace: Any = lambda _text: None) -> Optional[CodeType]:
        found: Optional[CodeType] = original(source, pyc, trace)
        if found is None and _is_on and _config is not None:
            try:
                place = os.path.join(folder, _key(source))
            except OSError:
                return None
            found = compiled.read_code(place) or _rewritten(source, place)
        return found

    rewrite._read_pyc = read
    _folder, _read_pyc = folder, original
    _hasten()


def prepare(paths: list[str]) -> None:
    """Rewrite these test modules, which are about to be imported, and keep their code; those that need it no more are passed over."""
    if not (paths and _is_on and _folder and _config is not None):
        return
    state = _config.stash.get(rewrite.assertstate_key, None)
    patterns = getattr(getattr(state, "hook", None), "fnpats", ())
    is_ignored = _ignored(_config)
    for path in paths:
        source = Path(path)
        if is_ignored(source) or not any(fnmatch_ex(pattern, source) for pattern in patterns):
            continue
        try:
            place = os.path.join(_folder, _key(source))
            pyc = rewrite.get_cache_dir(source) / (source.name[:-3] + rewrite.PYC_TAIL)
            if not os.path.exists(place) and _read_pyc(source, pyc) is None:
                _rewritten(source, place)
        except Exception:  # the import tells what is wrong with it
            continue


def _ignored(config: Any) -> Callable[[Path], bool]:
    """Whether `--ignore` or `--ignore-glob` lets pytest pass a file over."""
    ignored = {Path(os.path.abspath(path)) for path in config.getoption("ignore", None) or ()}
    globs = [os.path.abspath(glob) for glob in config.getoption("ignore_glob", None) or ()]

    def is_ignored(source: Path) -> bool:
        met = (source, *source.parents)
        return not ignored.isdisjoint(met) or any(fnmatch.fnmatch(str(one), glob) for one in met for glob in globs)

    return is_ignored


def heed(config: Any) -> None:
    """Keep nothing and use nothing if assertions are rewritten in another way."""
    global _is_on, _config
    _is_on, _config = not config.getini("enable_assertion_pass_hook"), config


def _rewritten(source: Path, place: str) -> Optional[CodeType]:
    """The code of a module, rewritten as pytest does it and kept there; none if pytest has something to tell of it."""
    code = compiled.in_silence(lambda: rewrite._rewrite_test(source, _config)[1])
    if code is not None:
        compiled.write(place, code)
    return code


def _hasten() -> None:
    """Let pytest's rewriting take about half of its time. It gives each new node of an assertion the assertion's place in the file, and
    looks for those that lack one by a generator for each node of the tree, of which most have one or can't have any."""
    if not takes(getattr(rewrite, "traverse_node", None), "node"):
        return
    original, base = ast.copy_location, ast.AST

    def lacking_place(node: ast.AST) -> list[ast.AST]:
        found, left = [], [node]
        while left:
            one = left.pop()
            fields = vars(one)
            if fields.get("lineno") is None and one._attributes:
                found.append(one)
            for value in fields.values():
                if isinstance(value, base):
                    left.append(value)
                elif type(value) is list:
                    left.extend([each for each in value if isinstance(each, base)])
        return found

    def copy_location(new: Any, old: Any) -> Any:
        if not new._attributes or vars(old).get("end_lineno") is None:
            return original(new, old)
        new.lineno, new.col_offset = old.lineno, old.col_offset
        new.end_lineno, new.end_col_offset = old.end_lineno, old.end_col_offset
        return new

    rewrite.ast = own_copy(ast, copy_location=copy_location)  # type: ignore[attr-defined]
    rewrite.traverse_node = lacking_place  # type: ignore[assignment]


def _key(source: Path) -> str:
    return compiled.key(source.read_bytes(), str(source), pytest.__version__)
