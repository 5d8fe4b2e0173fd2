"""What is in stock."""

from __future__ import annotations

from pathlib import Path


class Stock:
    """Counts of items."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        """Put items in."""
        self.items[name] = self.items.get(name, 0) + count

    def take(self, name: str) -> None:
        """Take one item out."""
        if not self.items.get(name):
            raise KeyError(name)
        self.items[name] -= 1


def load(path: Path) -> Stock:
    """Stock from lines such as `apple 3`."""
    stock = Stock()
    for line in path.read_text().splitlines():
        name, count = line.split()
        stock.add(name, int(count))
    return stock
