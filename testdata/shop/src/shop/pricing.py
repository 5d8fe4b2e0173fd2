"""Prices and discounts."""


def discounted(price: float, percent: float) -> float:
    """The price less so many per cent."""
    if not 0 <= percent <= 100:
        raise ValueError(f"no discount of {percent} %")
    return round(price * (100 - percent) / 100, 2)
