"""Inline snapshots: text that stands in the source, where it is compared, and how it is written there.

A literal that begins with a line end is a block: its first line end, its last line if that is blank, and what all lines are indented by,
don't count.
"""

from __future__ import annotations

import ast
import os
import sys
from types import FrameType
from typing import NamedTuple, Optional

from .snapshot_text import Entry, replace


class Place(NamedTuple):
    """Where a literal stands in a source file: lines from 1, columns in bytes from 0."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}-{self.end_line}:{self.end_column}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that `str` gave."""
        start, end = text.split("-")
        return cls(*map(int, start.split(":")), *map(int, end.split(":")))


class Misplaced(Exception):
    """An inline snapshot can't be written into the source."""


def content_of(text: str) -> str:
    """What an inline literal stands for."""
    if not text.startswith("\n"):
        return text
    lines = text[1:].split("\n")
    if len(lines) > 1 and not lines[-1].strip(" \t"):
        lines.pop()
    margins = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip(" \t")]
    margin = os.path.commonprefix(margins) if margins else ""
    return "\n".join(line[len(margin) :] if line.strip(" \t") else "" for line in lines)


def literal_of(content: str, indent: str) -> str:
    """The source of a literal that stands for `content`, in a statement that is indented so; raises `Misplaced` if none can."""
    candidates = []
    if "\n" in content:
        inner = indent + "    "
        block = "".join("\n" + (inner + line if line else "") for line in content.split("\n"))
        text = block.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        candidates.append('"""' + "".join(map(_escaped, text)) + "\n" + indent + '"""')
    candidates.append(_quoted(content))
    for literal in candidates:
        if content_of(ast.literal_eval(literal)) == content:
            return literal
    raise Misplaced(
        "text that begins with a line end, or of which all lines are indented, can't stand inline; leave `inline` out"
    )


def _escaped(char: str) -> str:
    return char if char == "\n" or char.isprintable() else repr(char)[1:-1]


def _quoted(content: str) -> str:
    inner = "".join(_escaped(char) for char in content.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + inner.replace("\n", "\\n") + '"'


def find(frame: FrameType) -> tuple[Place, str, str]:
    """Where the literal `inline=` of the call stands that `frame` is in, its source, and how its statement is indented; raises
    `Misplaced`."""
    path = frame.f_code.co_filename
    try:
        with open(path, "rb") as file:
            source = file.read()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError) as error:
        raise Misplaced(f"the source {path} can't be read: {error}") from None
    calls = [
        (node, keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "inline"
    ]
    exact = _position(frame)
    if exact is not None:
        found = [
            value
            for node, value in calls
            if (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset) == exact
        ]
    else:
        found = []
    if not found:
        line = frame.f_lineno
        found = [value for node, value in calls if node.lineno <= line <= (node.end_lineno or node.lineno)]
    if len(found) != 1:
        raise Misplaced(
            f"{path}, line {frame.f_lineno}: it isn't clear which call is meant; have one inline snapshot on a line"
        )
    node = found[0]
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise Misplaced(f"{path}, line {node.lineno}: `inline` must be a literal text")
    place = Place(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)
    lines = source.split(b"\n")
    text = lines[frame.f_lineno - 1].decode("utf-8", "replace")
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    start, end = _offsets(lines, place)
    return place, source[start:end].decode("utf-8"), indent


def _position(frame: FrameType) -> Optional[tuple[Optional[int], ...]]:
    """Line, end line, column and end column of the call that a frame is in, where Python keeps them."""
    if sys.version_info < (3, 11):
        return None
    return list(frame.f_code.co_positions())[frame.f_lasti // 2]


def _offsets(lines: list[bytes], place: Place) -> tuple[int, int]:
    """Where a place begins and ends in the whole source."""
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    if not 0 < place.line <= place.end_line < len(starts):
        raise Misplaced("the source has changed since the test ran; run it again")
    return starts[place.line - 1] + place.column, starts[place.end_line - 1] + place.end_column


def accept(source: str, entries: dict[str, Entry]) -> None:
    """Write pending inline snapshots into their source file; raises `Misplaced` if it isn't as it was."""
    with open(source, "rb") as file:
        data = file.read()
    lines = data.split(b"\n")
    edits: dict[tuple[int, int], bytes] = {}
    for entry in entries.values():
        where, _, old = entry.inline.partition(" ")
        start, end = _offsets(lines, Place.parse(where))
        if data[start:end] != old.encode():
            raise Misplaced(f"{source} has changed since the test ran; run it again")
        new = entry.content.encode()
        if b"\r\n" in data:
            new = new.replace(b"\n", b"\r\n")
        if edits.setdefault((start, end), new) != new:
            line = where.partition(":")[0]
            raise Misplaced(f"{source}, line {line}: the inline snapshot has several values; give each a name instead")
    for (start, end), new in sorted(edits.items(), reverse=True):
        data = data[:start] + new + data[end:]
    replace(source, data)
