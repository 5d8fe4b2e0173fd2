"""The text of snapshot files: entries sorted by name, made to be read in a review, to be merged, and to survive editors.

    # dx-py snapshots, format 1

    ## test_invoice
    | Total: 12.50
    |
    | Thank you

    ## test_logo
    @ bytes
    @ file test_shop/test_logo-3f2a90c1d2e4b5a6.bin

A line of content begins with `| `. One that an editor or a terminal may change or hide (white space at its end, control characters)
begins with `\\ ` and has these escaped. So nothing in a value can be taken for a header, and no byte gets lost. `@` lines tell the kind, if
it isn't text, and the file beside that holds the content, if it isn't here.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from typing import NamedTuple, Optional

HEAD = "# dx-py snapshots, format 1"
#: Characters that are escaped: controls, other line ends, what changes the direction of text, a byte order mark; white space at an end.
_SPECIAL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
_NEEDS_ESCAPES = re.compile(rf"[{_SPECIAL}]|[^\S\n](?=\n|\Z)")
_ESCAPED = re.compile(rf"[{_SPECIAL}\t\n\\]|\s+\Z")
_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\})")
_CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")


class Entry(NamedTuple):
    """One snapshot: its kind, and its content or the file beside that holds it."""

    kind: str
    content: str = ""
    file: str = ""
    #: For a pending inline snapshot: where its literal stands in the source, and what stands there.
    inline: str = ""


class Damaged(Exception):
    """A snapshot file can't be read."""


def escape(text: str) -> str:
    """Text on one line without characters that can be lost or misread."""
    return _ESCAPED.sub(lambda match: "".join(map(_escape_one, match.group())), text)


def _escape_one(char: str) -> str:
    if char == "\\":
        return "\\\\"
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"


def unescape(text: str) -> str:
    """The text that `escape` was given; raises `ValueError` if it can't have been."""
    if "\\" not in text:
        return text
    if _ESCAPE.sub("", text).find("\\") >= 0:
        raise ValueError(f"{text!r} has an escape that means nothing")

    def plain(match: re.Match[str]) -> str:
        code = match.group(1) or match.group(2)
        if code is not None and 0xD800 <= int(code, 16) < 0xE000:
            raise ValueError(f"{text!r} has half a character")
        return "\\" if code is None else chr(int(code, 16))

    return _ESCAPE.sub(plain, text)


def content_lines(content: str) -> str:
    """Content as it stands in a file, without the line end behind it."""
    if _NEEDS_ESCAPES.search(content) is None:
        text = ("| " + content.replace("\n", "\n| ")).replace("| \n", "|\n")
        return text[:-1] if not content or content.endswith("\n") else text
    lines = []
    for line in content.split("\n"):
        if not line:
            lines.append("|")
        elif _NEEDS_ESCAPES.search(line) is None:
            lines.append("| " + line)
        else:
            lines.append("\\ " + escape(line))
    return "\n".join(lines)


def render(entries: dict[str, Entry]) -> str:
    """The text of a file with these entries, by their names."""
    out = [HEAD]
    for name in sorted(entries):
        entry = entries[name]
        out.append("\n\n## " + escape(name))
        if entry.kind != "text":
            out.append("\n@ " + entry.kind)
        if entry.inline:
            out.append("\n@ inline " + escape(entry.inline))
        out.append("\n@ file " + escape(entry.file) if entry.file else "\n" + content_lines(entry.content))
    out.append("\n")
    return "".join(out)


def parse(text: str) -> dict[str, Entry]:
    """The entries of a file; raises `Damaged`, with the line, if it isn't one."""
    entries: dict[str, Entry] = {}
    name: Optional[str] = None
    kind, file, inline = "text", "", ""
    lines: list[str] = []

    def close() -> None:
        if name is None:
            if lines:
                raise ValueError("there is content before the first name")
            return
        if name in entries:
            raise ValueError(f"there are two snapshots named {name!r}; a merge may have kept both: remove one")
        if not lines and not file:
            raise ValueError(f"the snapshot {name!r} has no content")
        entries[name] = Entry(kind, "\n".join(lines), file, inline)

    number = 1
    try:
        rows = text.split("\n")
        if rows[0].rstrip("\r") != HEAD:
            raise ValueError(f"it doesn't begin with {HEAD!r}")
        for row in rows[1:]:
            number += 1
            row = row[:-1] if row.endswith("\r") else row
            start = row[:2]
            if start == "| ":
                lines.append(row[2:])
            elif row == "|":
                lines.append("")
            elif start == "\\ ":
                lines.append(unescape(row[2:]))
            elif not row or row.isspace():
                continue
            elif row.startswith("## "):
                close()
                name = unescape(row[3:])
                kind, file, inline, lines = "text", "", "", []
            elif start == "@ " and name is not None:
                word, _, value = row[2:].partition(" ")
                if word == "file":
                    file = unescape(value)
                elif word == "inline":
                    inline = unescape(value)
                else:
                    kind = word
            elif row.startswith(_CONFLICT):
                raise ValueError(
                    "a merge conflict is left in it; resolve it, or remove the file and update the snapshots"
                )
            else:
                raise ValueError(f"{row[:60]!r} means nothing here")
        close()
    except ValueError as error:
        raise Damaged(f"line {number}: {error}") from None
    return entries


_numbers = itertools.count()


def replace(path: str, data: bytes) -> None:
    """Put a new file in the place of `path` at once; it keeps the mode of the one before."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{next(_numbers)}.tmp")
    try:
        # What `open` creates has the mode that the umask gives.
        with open(temporary, "xb") as file:
            file.write(data)
        try:
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        except FileNotFoundError:
            pass
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
