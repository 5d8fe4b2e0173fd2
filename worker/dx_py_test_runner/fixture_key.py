"""What decides whether a cached value is the one that a fixture would make now: a digest of all that its set-up can reach.

That is the fixture function's source, the code of the project's functions and classes that it names, and of those that these name, the
plain data among them, the text of each module of the project that their modules import, however far, the parameter, the values of the
fixtures that it asks for, the interpreter, and the installed distributions. Files and variables that the set-up reads can't be known
ahead: `fixture_inputs` sees them while a value is made. What is too much only means that a value is made again.
"""

from __future__ import annotations

import inspect
import os
import pickle
import platform
import re
import sys
import tokenize
from collections.abc import Iterable
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Optional

from .fixture_inputs import digest_of_file, is_installed, loaded
from .fixture_store import ALGORITHM, digest
from .trace import OWN_RECORDS

#: Statements that import, in the text of a module: more than there are do no harm, since only what is loaded counts.
_IMPORTS = re.compile(r"\b(?:from\s+([.\w]+)\s+)?import\s+(\([^)]*\)|[^\n;#]*)")
#: What tells that a module may import by names that are made up while it runs.
_OPAQUE = re.compile(
    r"\b(?:__import__|import_module|spec_from_file_location|iter_modules|walk_packages|run_path|run_module)\b|\bexec\("
)
#: How deep data may be nested to count as plain.
_DEEPEST = 20


class Uncacheable(Exception):
    """A value can't be cached; the text says why."""


def plain(value: Any, depth: int = 0) -> Optional[bytes]:
    """The same bytes for equal data that is made of numbers, texts, paths, and tuples, lists, sets and dicts of them; None for any other."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return _framed(kind.__name__, repr(value).encode("utf-8", "surrogatepass"))
    if isinstance(value, PurePath) and kind.__module__.startswith("pathlib"):
        return _framed("path", str(value).encode("utf-8", "surrogateescape"))
    if kind not in (tuple, list, set, frozenset, dict) or depth > _DEEPEST:
        return None
    parts: list[bytes] = []
    for each in (part for pair in value.items() for part in pair) if kind is dict else value:
        part = plain(each, depth + 1)
        if part is None:
            return None
        parts.append(part)
    if kind in (set, frozenset):
        parts.sort()
    return _framed(kind.__name__, b"".join(parts))


def _framed(kind: str, content: bytes) -> bytes:
    return b"%s %d:" % (kind.encode(), len(content)) + content


def picture(value: Any, what: str) -> bytes:
    """The same bytes for equal values; raises `Uncacheable`, which names it as `what`."""
    found = plain(value)
    if found is not None:
        return found
    try:
        return b"pickle " + digest(pickle.dumps(value, 5))
    except Exception as error:
        raise Uncacheable(f"{what} can't be pickled: {error}") from None


class Reach:
    """What functions can reach of the project's."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        #: The texts that are named in the code and the data: some may be names of files.
        self.texts: set[str] = set()
        self._parts: list[bytes] = []
        self._seen: set[int] = set()
        # Objects that were looked at, so that their identities stay theirs.
        self._held: list[Any] = []

    def digest(self) -> bytes:
        """A digest of the code and the plain data that was found."""
        return digest(b"".join(sorted(self._parts)))

    def add(self, value: Any, names: Iterable[str] = ()) -> None:
        """Add what `value` is, and what it leads to. Of a module only attributes with these names count."""
        pending: list[tuple[Any, tuple[str, ...]]] = [(value, tuple(names))]
        while pending:
            value, wanted = pending.pop()
            if isinstance(value, ModuleType):
                pending.extend(self._of_module(value, wanted))
                continue
            if id(value) in self._seen:
                continue
            self._seen.add(id(value))
            self._held.append(value)
            if isinstance(value, MethodType):
                pending += [(value.__func__, ()), (type(value.__self__), ())]
            elif isinstance(value, FunctionType):
                pending.extend(self._of_function(value))
            elif isinstance(value, type):
                pending.extend(self._of_class(value))
            elif isinstance(value, (staticmethod, classmethod)):
                pending.append((value.__func__, ()))
            elif isinstance(value, partial):
                pending += [(value.func, ()), *((each, ()) for each in (*value.args, *value.keywords.values()))]
            elif isinstance(value, property):
                pending.extend((each, ()) for each in (value.fget, value.fset, value.fdel) if each is not None)
            elif isinstance(value, BuiltinFunctionType) or value is None:
                pass
            else:
                data = plain(value)
                if data is not None:
                    self._parts.append(data)
                    _add_texts(value, self.texts)
                else:
                    pending += [(type(value), ()), (_attribute(value, "__wrapped__"), ())]

    def _of_module(self, module: ModuleType, names: tuple[str, ...]) -> list[tuple[Any, tuple[str, ...]]]:
        space = vars(module)
        file = space.get("__file__")
        if not isinstance(file, str) or is_installed(file):
            return []
        self.files.add(file)
        found = []
        for name in names:
            if (id(module), name) not in self._looked_up and name in space:
                self._looked_up.add((id(module), name))
                found.append((space[name], names))
        return found

    @property
    def _looked_up(self) -> set[tuple[int, str]]:
        found: set[tuple[int, str]] = self.__dict__.setdefault("_attributes", set())
        return found

    def _of_function(self, function: FunctionType) -> list[tuple[Any, tuple[str, ...]]]:
        code = function.__code__
        if is_installed(code.co_filename):
            # What it wraps may be the project's.
            return [(_attribute(function, "__wrapped__"), ()), *self._of_cells(function)]
        if os.path.isabs(code.co_filename):
            self.files.add(code.co_filename)
        names: set[str] = set()
        self._parts.append(b"code " + digest(_code(code, names, self.texts)))
        space = function.__globals__
        wanted = tuple(sorted(names))
        found: list[tuple[Any, tuple[str, ...]]] = [(space[name], wanted) for name in wanted if name in space]
        found.extend((each, ()) for each in function.__defaults__ or ())
        found.extend((each, ()) for each in (function.__kwdefaults__ or {}).values())
        found.append((_attribute(function, "__wrapped__"), ()))
        return found + self._of_cells(function)

    def _of_cells(self, function: FunctionType) -> list[tuple[Any, tuple[str, ...]]]:
        found: list[tuple[Any, tuple[str, ...]]] = []
        for cell in function.__closure__ or ():
            try:
                found.append((cell.cell_contents, ()))
            except ValueError:  # it is empty yet
                pass
        return found

    def _of_class(self, kind: type) -> list[tuple[Any, tuple[str, ...]]]:
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        if not isinstance(file, str) or is_installed(file):
            return []
        self.files.add(file)
        self._parts.append(f"class {kind.__module__}.{kind.__qualname__}".encode())
        found: list[tuple[Any, tuple[str, ...]]] = [(base, ()) for base in kind.__mro__[1:]]
        for name, value in vars(kind).items():
            if not (name.startswith("__") and name.endswith("__")) or callable(value):
                found.append((value, ()))
        return found


def _attribute(value: Any, name: str) -> Any:
    """An attribute that lies in an object itself: asking for others may run code."""
    try:
        return object.__getattribute__(value, "__dict__").get(name)
    except (AttributeError, TypeError):
        return None


def _code(code: CodeType, names: set[str], texts: set[str]) -> bytes:
    """The same bytes for code that does the same; adds the names and the texts that it uses."""
    names.update(code.co_names)
    parts = [code.co_name.encode(), code.co_code, repr((code.co_names, code.co_varnames, code.co_freevars)).encode()]
    parts.append(repr((code.co_argcount, code.co_kwonlyargcount, code.co_flags)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_code(constant, names, texts))
        else:
            _add_texts(constant, texts)
            parts.append(plain(constant) or repr(constant).encode("utf-8", "surrogatepass"))
    return b"".join(_framed("", part) for part in parts)


def _add_texts(value: Any, texts: set[str]) -> None:
    if isinstance(value, (str, PurePath)):
        texts.add(str(value))
    elif isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            _add_texts(each, texts)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for each in value:
            _add_texts(each, texts)


def named_files(texts: Iterable[str], folders: Iterable[str]) -> list[str]:
    """The files that these texts name in these folders, or in a folder that another one names there.

    Native code opens files without an event: what a set-up names it may read.
    """
    names = [text for text in texts if 0 < len(text) < 256 and text.isprintable() and text.strip("./ ")]
    inside = {os.path.normpath(folder) for folder in folders}
    inside |= {
        path
        for folder in inside
        for name in names
        if os.path.isdir(path := os.path.normpath(os.path.join(folder, name)))
    }
    found = (os.path.normpath(os.path.join(folder, name)) for folder in inside for name in names)
    return sorted({path for path in found if os.path.isfile(path) and not any(name in path for name in OWN_RECORDS)})


class Modules:
    """The project's modules that some files import, however far: their files with digests of their texts."""

    def __init__(self, files: Iterable[str]) -> None:
        #: The digest of each file.
        self.texts: dict[str, str] = {}
        #: Top-level names of all that they import.
        self.tops: set[str] = set()
        by_name = loaded()
        names: dict[str, list[str]] = {}
        for name, file in by_name.items():
            names.setdefault(file, []).append(name)
        pending = list(files)
        while pending:
            file = pending.pop()
            if file in self.texts:
                continue
            self.texts[file] = digest_of_file(file)
            try:
                with open(file, encoding="utf-8", errors="replace") as source:
                    text = source.read()
            except OSError:
                continue
            if _OPAQUE.search(text):
                pending.extend(by_name.values())
            packages = {name if _is_package(file) else name.rpartition(".")[0] for name in names.get(file, ())}
            packages.update(package for name in names.get(file, ()) for package in _above(name))
            for wanted in _imported(text, packages):
                self.tops.add(wanted.partition(".")[0])
                for each in (wanted, *_above(wanted)):
                    found = by_name.get(each) or _unloaded(each)
                    if found:
                        pending.append(found)
            pending.extend(by_name[package] for package in packages if package in by_name)

    def digest(self) -> bytes:
        """A digest of all of them."""
        return digest("\0".join(f"{file}\0{text}" for file, text in sorted(self.texts.items())).encode())

    def installed(self) -> list[str]:
        """The files of installed modules that are loaded and belong to what they import."""
        found = set()
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in self.tops:
                file = _attribute(module, "__file__")
                if isinstance(file, str) and "-packages/" in file and is_installed(file):
                    found.add(file)
        return sorted(found)


def _unloaded(name: str) -> str:
    """The file of a module of the project's that isn't loaded yet, so that it makes no difference whether it is; empty if there is none."""
    if name in sys.modules or not name.isidentifier() and not name.replace(".", "_").isidentifier():
        return ""
    inner = name.replace(".", os.sep)
    for folder in sys.path:
        if isinstance(folder, str) and not is_installed(os.path.join(folder, "")) and not folder.endswith(".zip"):
            for file in (os.path.join(folder, inner + ".py"), os.path.join(folder, inner, "__init__.py")):
                if os.path.isfile(file):
                    return os.path.abspath(file)
    return ""


def _is_package(file: str) -> bool:
    return os.path.basename(file).startswith("__init__.")


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _imported(text: str, packages: set[str]) -> Iterable[str]:
    """The modules that a text may import; it lies in one of these packages."""
    for origin, what in _IMPORTS.findall(text.replace("\\\n", " ")):
        names = [
            each.split()[0] for each in re.split(r"[,()\n]", what) if each.split() and not each.strip().startswith("#")
        ]
        if not origin:
            yield from names
            continue
        dots = len(origin) - len(origin.lstrip("."))
        bases = {origin} if not dots else set()
        for package in packages if dots else ():
            parts = package.split(".")
            kept = parts[: len(parts) - dots + 1]
            bases.add(".".join([*kept, *filter(None, [origin[dots:]])]))
        for base in bases:
            yield base
            yield from (f"{base}.{name}" for name in names)


def source_of(function: Any) -> bytes:
    """A fixture function's source; where there is none, its code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return repr(type(function)).encode()
    try:
        # Not by `linecache`, which would keep the file's text for all who ask it later.
        with tokenize.open(code.co_filename) as file:
            lines = file.readlines()
        return "".join(inspect.getblock(lines[code.co_firstlineno - 1 :])).encode("utf-8", "surrogatepass")
    except (OSError, SyntaxError, UnicodeDecodeError):
        return _code(code, set(), set())


_environment: Optional[bytes] = None


def environment() -> bytes:
    """A digest of the interpreter and the installed distributions; made once."""
    global _environment
    if _environment is None:
        parts = [sys.version, sys.prefix, str(sys.implementation.cache_tag), platform.machine(), str(ALGORITHM)]
        for folder in sys.path:
            try:
                names = sorted(os.listdir(folder)) if is_installed(os.path.join(folder, "")) else []
            except OSError:
                continue
            for name in names:
                if name.endswith((".dist-info", ".egg-info", ".egg-link", ".pth")):
                    parts += [name, digest_of_file(os.path.join(folder, name, "RECORD"))]
        _environment = digest("\0".join(parts).encode("utf-8", "surrogateescape"))
    return _environment
