import pytest
from shop.pricing import discounted


@pytest.mark.parametrize(("percent", "expected"), [(0, 10.0), (10, 9.0), (100, 0.0)])
def test_discount(percent, expected):
    assert discounted(10, percent) == expected


def test_impossible_discount():
    with pytest.raises(ValueError, match="no discount of 101"):
        discounted(10, 101)
