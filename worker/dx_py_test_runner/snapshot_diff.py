"""Shows how a value differs from its snapshot: a unified diff, in which the words that changed are marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Union

from .snapshot_text import content_lines

#: How many lines a failure shows: of a diff, and of a value that is new.
_MOST_LINES, _MOST_NEW_LINES = 400, 40
_WORDS = re.compile(r"\w+|\s+|.")
_RED, _GREEN, _CYAN, _MARK, _UNMARK, _END = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[7m", "\x1b[27m", "\x1b[0m"


def unified(old: Union[str, bytes], new: Union[str, bytes], color: bool) -> str:
    """The diff of two contents, with a head, without the line end behind it. Bytes show as hexadecimal digits."""
    return _laid_out(
        list(difflib.unified_diff(_shown(old), _shown(new), "accepted", "now", lineterm="")), _MOST_LINES, color
    )


def new(content: Union[str, bytes], color: bool) -> str:
    """A content of which nothing was accepted yet, as a diff without a head shows it."""
    return _laid_out(["+" + line for line in _shown(content)], _MOST_NEW_LINES, color)


def _laid_out(lines: list[str], most: int, color: bool) -> str:
    more = len(lines) - most
    if more > 0:
        del lines[most:]
    if color:
        lines = list(_painted(lines))
    if more > 0:
        lines.append("… 1 more line" if more == 1 else f"… {more} more lines")
    return "\n".join(lines)


def _shown(content: Union[str, bytes]) -> list[str]:
    """The lines of a content, with characters escaped that nobody could see."""
    if isinstance(content, bytes):
        rows = range(0, min(len(content), 1 << 20), 16)
        return [f"{len(content)} bytes", *(f"{at:08x}  {content[at : at + 16].hex(' ')}" for at in rows)]
    # Only the prefix is left out, as both kinds of lines have one.
    return [line[2:] for line in content_lines(content).split("\n")]


def _painted(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if at < 2 and line in ("--- accepted", "+++ now") or line.startswith("@@"):
            yield f"{_CYAN}{line}{_END}"
            at += 1
            continue
        removed = _run(lines, at, "-")
        added = _run(lines, at + len(removed), "+")
        is_paired = len(removed) == len(added)
        pairs = [_marked(old[1:], new[1:]) for old, new in zip(removed, added)] if is_paired else []
        for place, old in enumerate(removed):
            yield f"{_RED}-{pairs[place][0] if pairs else old[1:]}{_END}"
        for place, new in enumerate(added):
            yield f"{_GREEN}+{pairs[place][1] if pairs else new[1:]}{_END}"
        if not removed and not added:
            yield line
            at += 1
        at += len(removed) + len(added)


def _run(lines: list[str], at: int, sign: str) -> list[str]:
    end = at
    while end < len(lines) and lines[end].startswith(sign):
        end += 1
    return lines[at:end]


def _marked(old: str, new: str) -> tuple[str, str]:
    """Two lines with the words marked in which they differ; as they are if they have little in common."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if len(before) * len(after) > 250_000 or matcher.ratio() < 0.4:
        return old, new
    shown: tuple[list[str], list[str]] = ([], [])
    for kind, a, b, c, d in matcher.get_opcodes():
        for side, words in ((0, before[a:b]), (1, after[c:d])):
            text = "".join(words)
            shown[side].append(text if kind == "equal" or not text else f"{_MARK}{text}{_UNMARK}")
    return "".join(shown[0]), "".join(shown[1])
