"""A customer's basket."""

from __future__ import annotations

from shop.pricing import discounted
from shop.stock import Stock


class Basket:
    """Items taken from stock, with their prices."""

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.prices: list[float] = []

    def put(self, name: str, price: float) -> None:
        """Take an item from stock into the basket."""
        self.stock.take(name)
        self.prices.append(price)

    def total(self, percent: float = 0) -> float:
        """What the basket costs after a discount."""
        return discounted(sum(self.prices), percent)
