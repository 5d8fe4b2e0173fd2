"""Turns a value into the text, or the bytes, that a snapshot of it holds: deterministic, and made to be read in a review.

Text stays as it is and bytes stay bytes. Everything else is written like a Python literal, one element to a line, so that a change
shows as the lines that changed. Types that aren't known are asked of the registered serialisers, and are refused if nobody knows them:
a default `repr` has the address of the object in it.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional, Union

from .snapshot_redact import NOT_REDACTED, Redactions

TEXT, VALUE, BYTES = "text", "value", "bytes"

#: How long a line of a table or an array may be.
_WIDTH = 100


class Serialised(NamedTuple):
    """What a snapshot holds: its kind (`text`, `value` or `bytes`) and the content."""

    kind: str
    content: Union[str, bytes]

    def raw(self) -> bytes:
        """The content as bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.encode("utf-8")


class Fields(NamedTuple):
    """A named group of fields: what an object is written as."""

    name: str
    fields: Mapping[str, Any]


class Row(NamedTuple):
    """Elements that stand on one line, as in a table."""

    elements: tuple[Any, ...]


class UnknownType(TypeError):
    """There is no serialiser for a type."""

    def __init__(self, kind: type) -> None:
        super().__init__(
            f"no serialiser is known for {kind.__module__}.{kind.__qualname__}, and its repr would differ from run to run; "
            f"give one: dx.register_serialiser({kind.__qualname__}, lambda value: ...)"
        )


_registered: dict[type, Callable[[Any], Any]] = {}


def register_serialiser(kind: type, convert: Callable[[Any], Any]) -> None:
    """Let instances of `kind`, and of its subclasses, be snapshot as what `convert` makes of them: text, bytes, or a value made of
    parts that can be snapshot. The nearest class that has a serialiser counts, and the last one that was registered for it."""
    _registered[kind] = convert


def serialise(value: Any, redact: Optional[Union[Mapping[str, Any], Iterable[str]]] = None) -> Serialised:
    """The content of a snapshot of `value`. `redact` maps paths such as `user.id` or `items[*].created` to what stands there instead,
    or to a function of the value; a list of paths puts `[redacted]` there.

    Raises `UnknownType` for what nobody can serialise, and `ValueError` for a path that isn't valid.
    """
    if type(value) is str and not redact and not _registered and value.isascii():
        return Serialised(TEXT, value)
    redactions = Redactions.of(redact)
    value = _converted(value)
    if redactions is None:
        if type(value) is str or isinstance(value, str) and not isinstance(value, enum.Enum):
            if not _has_surrogates(value):
                return Serialised(TEXT, str.__str__(value))
        elif isinstance(value, (bytes, bytearray, memoryview)):
            return Serialised(BYTES, bytes(value))
    lines: list[str] = []
    _Writer(lines, redactions).write(value, (), "", "", "")
    return Serialised(VALUE, "\n".join(lines))


def _has_surrogates(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _converted(value: Any) -> Any:
    """What registered serialisers make of a value."""
    for _ in range(20 if _registered else 0):
        for kind in type(value).__mro__:
            convert = _registered.get(kind)
            if convert is not None:
                break
        else:
            return value
        value = convert(value)
    return value


class _Writer:
    """Writes values as lines."""

    def __init__(self, lines: list[str], redactions: Optional[Redactions]) -> None:
        self._lines = lines
        self._redactions = redactions
        self._above: set[int] = set()

    def write(self, value: Any, path: tuple[Any, ...], indent: str, before: str, after: str) -> None:
        """Write `value`, which lies at `path`, with `before` in front of it and `after` behind it."""
        if self._redactions is not None:
            replaced = self._redactions.apply(path, value)
            if replaced is not NOT_REDACTED:
                _Writer(self._lines, None).write(replaced, path, indent, before, after)
                return
        value = _converted(value)
        text = _scalar(value)
        if text is not None:
            self._text(value, text, indent, before, after)
            return
        parts = _parts(value)
        if id(value) in self._above:
            self._lines.append(f"{indent}{before}<itself>{after}")
            return
        if parts is None:
            raise UnknownType(type(value))
        self._above.add(id(value))
        opening, closing, elements = parts
        if isinstance(value, Row):
            self._row(value, path, indent, before, after)
        elif not elements:
            self._lines.append(f"{indent}{before}{opening}{closing}{after}")
        else:
            self._lines.append(f"{indent}{before}{opening}")
            for key, prefix, element in elements:
                # What has no name in a path can't be redacted alone.
                below = path if key is None else (*path, key)
                self.write(element, below, indent + "  ", prefix, ",")
            self._lines.append(f"{indent}{closing}{after}")
        self._above.discard(id(value))

    def _text(self, value: Any, text: str, indent: str, before: str, after: str) -> None:
        if isinstance(value, str) and "\n" in value[:-1]:
            self._lines.append(f"{indent}{before}(")
            self._lines.extend(f"{indent}  {line!r}" for line in value.splitlines(keepends=True))
            self._lines.append(f"{indent}){after}")
        else:
            self._lines.append(f"{indent}{before}{text}{after}")

    def _row(self, row: Row, path: tuple[Any, ...], indent: str, before: str, after: str) -> None:
        texts = []
        for at, element in enumerate(row.elements):
            lines: list[str] = []
            writer = _Writer(lines, self._redactions)
            writer._above = self._above
            writer.write(element, (*path, at), "", "", "")
            texts.append(" ".join(line.strip() for line in lines))
        line = f"{indent}{before}[{', '.join(texts)}]{after}"
        if len(line) <= _WIDTH:
            self._lines.append(line)
            return
        self._lines.append(f"{indent}{before}[")
        line = ""
        for text in texts:
            if line and len(indent) + len(line) + len(text) + 3 > _WIDTH:
                self._lines.append(f"{indent} {line}")
                line = ""
            line += f" {text},"
        self._lines.append(f"{indent} {line}")
        self._lines.append(f"{indent}]{after}")


_REPR = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    complex,
    range,
    slice,
    re.Pattern,
    types.SimpleNamespace,
    BaseException,
    type(Ellipsis),
    type(NotImplemented),
)


def _scalar(value: Any) -> Optional[str]:
    """The text of a value without parts; None if it has some."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{kind.__name__}.{value.name}" if value.name is not None else f"{kind.__name__}({value.value!r})"
    if isinstance(value, type):
        return value.__qualname__ if value.__module__ == "builtins" else f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return f"<function {value.__module__}.{value.__qualname__}>"
    if isinstance(value, types.ModuleType):
        return f"<module {value.__name__}>"
    if isinstance(value, pathlib.PurePath):
        return f"Path({value.as_posix()!r})"
    if kind.__module__ == "numpy" and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        plain = value.item()
        return f"{kind.__name__}({plain!r})" if kind.__name__ != "ndarray" else None
    if isinstance(value, (bytearray, memoryview)):
        return f"{kind.__name__}({bytes(value)!r})"
    for plain_kind in (str, bytes, int, float):
        # The subclass's own repr may say anything.
        if isinstance(value, plain_kind):
            return f"{kind.__name__}({plain_kind.__repr__(value)})"
    return repr(value) if isinstance(value, _REPR) and not isinstance(value, types.SimpleNamespace) else None


Element = tuple[Any, str, Any]
Parts = tuple[str, str, list[Element]]


def _name(kind: type) -> str:
    """A class's name, without the function that it was defined in."""
    return kind.__qualname__.rpartition("<locals>.")[2]


def _fields(name: str, fields: Iterable[tuple[str, Any]]) -> Parts:
    return f"{name}(", ")", [(field, f"{field}=", value) for field, value in fields]


def _parts(value: Any) -> Optional[Parts]:
    """What surrounds a value's elements, and these: the name of each in a path, what stands before it, and itself."""
    kind = type(value)
    if isinstance(value, Row):
        return "[", "]", []
    if isinstance(value, Fields):
        return _fields(value.name, value.fields.items())
    if isinstance(value, (dict, Mapping)):
        items: Iterable[tuple[Any, Any]] = value.items()
        if kind.__name__ != "OrderedDict":
            items = _sorted(items)
        elements = [(key, f"{_key(key)}: ", element) for key, element in items]
        name = "" if kind is dict else kind.__name__
        return (f"{name}({{", "})", elements) if name else ("{", "}", elements)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _fields(kind.__name__, zip(value._fields, value))
    if isinstance(value, (list, tuple)):
        opening, closing = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        elements = [(at, "", element) for at, element in enumerate(value)]
        if kind in (list, tuple):
            return opening, closing, elements
        return f"{kind.__name__}({opening}", f"{closing})", elements
    if isinstance(value, (set, frozenset)):
        ordered = sorted(value, key=_key)
        name = "" if kind is set else kind.__name__
        if not ordered:
            return f"{kind.__name__}(", ")", []
        members: list[Element] = [(None, "", element) for element in ordered]
        return (f"{name}({{", "})", members) if name else ("{", "}", members)
    if isinstance(value, types.SimpleNamespace):
        return _fields("namespace", sorted(vars(value).items()))
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.repr]
        return _fields(_name(kind), ((name, getattr(value, name)) for name in names))
    return _parts_of_libraries(value, kind)


def _parts_of_libraries(value: Any, kind: type) -> Optional[Parts]:
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        names = [attribute.name for attribute in attributes if attribute.repr]
        return _fields(_name(kind), ((name, getattr(value, name)) for name in names))
    if "pydantic" in sys.modules:
        fields = getattr(kind, "model_fields", None) or getattr(kind, "__fields__", None)
        if isinstance(fields, dict) and any(base.__module__.startswith("pydantic.") for base in kind.__mro__):
            extra = getattr(value, "model_extra", None) or {}
            held = [(name, getattr(value, name)) for name in fields]
            return _fields(_name(kind), [*held, *sorted(extra.items())])
    module = kind.__module__.partition(".")[0]
    if module == "numpy" and kind.__name__ == "ndarray":
        return _fields(
            "array", (("dtype", str(value.dtype)), ("shape", Row(value.shape)), ("values", _rows(value.tolist())))
        )
    if module == "pandas":
        return _pandas(value, kind.__name__)
    own: Any = kind.__repr__
    if own is not object.__repr__:
        text = repr(value)
        if not re.search(r"\bat 0x[0-9a-fA-F]+", text):
            return text, "", []
    return None


def _rows(values: Any) -> Any:
    """Nested lists of an array, the innermost ones as rows."""
    if not isinstance(values, list):
        return values
    if values and isinstance(values[0], list):
        return [_rows(each) for each in values]
    return Row(tuple(values))


def _pandas(value: Any, name: str) -> Optional[Parts]:
    if name == "DataFrame":
        columns = [Row((column, str(kind))) for column, kind in zip(value.columns.tolist(), value.dtypes)]
        rows = [Row(row) for row in value.itertuples(index=True, name=None)]
        return _fields(name, (("columns", columns), ("rows", rows)))
    if name == "Series":
        rows = [Row(item) for item in value.items()]
        return _fields(name, (("name", value.name), ("dtype", str(value.dtype)), ("rows", rows)))
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return _fields(name, (("dtype", str(value.dtype)), ("values", Row(tuple(value.tolist())))))
    if name in ("Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType"):
        return repr(value), "", []
    return None


def _key(value: Any) -> str:
    """A key of a mapping, or a member of a set, on one line."""
    lines: list[str] = []
    _Writer(lines, None).write(value, (), "", "", "")
    return " ".join(line.strip() for line in lines)


def _sorted(items: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    found = list(items)
    if all(type(key) is str for key, _ in found):
        return sorted(found, key=lambda item: item[0])
    try:
        return sorted(found, key=lambda item: item[0])
    except TypeError:
        return sorted(found, key=lambda item: (type(item[0]).__name__, _key(item[0])))
