"""Spares the workers of a warm interpreter to make code of bytecode that workers before them have read as well.

To unmarshal the test modules takes up to a tenth of the CPU time of a run of short tests, and each worker does it. A worker tells, when it
ends, of which files it has done so; the zygote reads those while nobody runs, and keeps the bytes with the code that they are. In a fork,
whoever unmarshals the same bytes is given that code: it doesn't matter what became of the file meanwhile. It is given once, as two
modules that are made of the same bytes have code of their own.
"""

from __future__ import annotations

import importlib
import json
import marshal
import os
import sys
from types import CodeType
from typing import Any, Optional

from . import compiled
from .internals import own_copy

#: How many bytes are kept. The code that they are takes about four times as much.
_MOST = 32 << 20
#: How long what is before the code is, in a `.pyc` file.
_HEADER = 16

# Tests put others in their places.
_open, _getpid, _getframe, _loads = open, os.getpid, sys._getframe, marshal.loads


class KeptCode:
    """What a zygote keeps, and its forks use. `place` begins the paths of the files by which they tell what they have read."""

    def __init__(self, place: str) -> None:
        self._place = place
        #: By the paths of files the bytes and their code, and the same by the number of bytes.
        self._by_path: dict[str, tuple[bytes, CodeType]] = {}
        self._by_size: dict[int, list[tuple[bytes, CodeType]]] = {}
        self._size, self._is_full = 0, False
        #: The files that are to be read, with where in them the code begins.
        self.wanted: dict[str, int] = {}
        self._missed: dict[str, int] = {}

    # In the zygote

    def sweep(self) -> None:
        """Remove what workers have told a zygote that is gone."""
        folder, start = os.path.split(self._place)
        for name in os.listdir(folder):
            if name.startswith(f"{start}."):
                try:
                    os.unlink(os.path.join(folder, name))
                except OSError:
                    pass  # another one was faster

    def hear(self, pid: int) -> None:
        """Take in what a worker has told which has ended."""
        path = f"{self._place}.{pid}"
        try:
            with _open(path, encoding="utf-8", errors="surrogateescape") as file:
                told = json.load(file)
            os.unlink(path)
        except (OSError, ValueError):
            return  # mostly since it had nothing to tell
        self.wanted.update((path, start) for path, start in told.items() if path in self._by_path or not self._is_full)

    def read_one(self) -> None:
        """Read one of the files that are wanted, and keep its code."""
        path, start = self.wanted.popitem()
        try:
            with _open(path, "rb") as file:
                body = file.read()[start:]
            code = _loads(body)
        except (OSError, ValueError, EOFError, TypeError):
            return
        old = self._by_path.pop(path, None)
        if old is not None:
            self._size -= len(old[0])
            self._by_size[len(old[0])].remove(old)
        self._is_full = self._size + len(body) > _MOST
        if type(code) is CodeType and not self._is_full:
            self._size += len(body)
            self._by_path[path] = (body, code)
            self._by_size.setdefault(len(body), []).append((body, code))

    # In its forks

    def install(self) -> None:
        """Let the import system, pytest and this package use what is kept."""
        from _pytest.assertion import rewrite

        global _of_this_process
        _of_this_process = self
        external: Any = getattr(importlib, "_bootstrap_external", None)
        module: Any
        for module, changed in (
            (external, {"loads": self._loads_for_import}),
            (rewrite, {"load": self._load}),
            (compiled, {"loads": self._loads_for_import}),
        ):
            if getattr(module, "marshal", None) is marshal:
                module.marshal = own_copy(marshal, **changed)

    def tell(self) -> None:
        """Tell the zygote what was not kept."""
        if not self._missed:
            return
        path = f"{self._place}.{_getpid()}"
        try:
            with _open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(self._missed, file)
            os.replace(f"{path}.new", path)
        except OSError:
            pass  # they read it themselves again

    def _load(self, file: Any) -> Any:
        """As `marshal.load`."""
        start = file.tell()
        body = file.read()
        code = self._kept(body)
        if code is None:
            self._miss(file.name, start)
            return _loads(body)
        return code

    def _loads_for_import(self, data: Any) -> Any:
        """As `marshal.loads`."""
        body = bytes(data)
        code = self._kept(body)
        if code is None:
            # Only those who have read it know where it is from.
            known = _getframe(1).f_locals
            path = known.get("bytecode_path", "")
            place = known.get("place") or compiled.places.get(path)
            self._miss(*((place, compiled.DIGEST) if place else (path, _HEADER)))
            return _loads(body)
        return code

    def _kept(self, body: bytes) -> Optional[CodeType]:
        alike = self._by_size.get(len(body), [])
        for one in alike:
            if one[0] == body:
                alike.remove(one)
                return one[1]
        return None

    def _miss(self, path: object, start: int) -> None:
        if type(path) is str and os.path.isabs(path):
            self._missed[path] = start


_of_this_process: Optional[KeptCode] = None


def tell() -> None:
    """Tell the zygote that this process is a fork of, if it is one, which code it had to make."""
    if _of_this_process is not None:
        _of_this_process.tell()
