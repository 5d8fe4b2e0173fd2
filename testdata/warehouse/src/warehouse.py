"""Shelves, what lies on them, and what is told of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Item:
    """Something that is kept."""

    name: str
    count: int
    tags: list[str] = field(default_factory=list)


SHELVES = {
    "A1": [Item("bolt", 120, ["metal"]), Item("nut", 300, ["metal"])],
    "B7": [Item("rope", 4), Item("canvas", 0, ["cloth", "large"])],
}


def report() -> str:
    """The stock, a line for each item."""
    lines = ["shelf  item      count"]
    for shelf, items in SHELVES.items():
        lines += [f"{shelf:<6} {item.name:<8} {item.count:>6}" for item in items]
    return "\n".join(lines) + "\n"


def delivery(number: int) -> dict[str, object]:
    """A delivery of what has run out."""
    missing = [item for items in SHELVES.values() for item in items if not item.count]
    return {"number": number, "printed": time.time(), "items": missing}


def label(item: Item) -> bytes:
    """The bytes that a label printer takes."""
    return b"\x1b@" + item.name.upper().encode() + b"\x0c"


def index() -> dict[str, str]:
    """The shelf of each item. It is meant to take long."""
    return {item.name: shelf for shelf, items in SHELVES.items() for item in items}
