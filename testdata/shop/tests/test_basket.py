import pytest
from shop.basket import Basket


class TestBasket:
    @pytest.fixture
    def basket(self, stock):
        return Basket(stock)

    def test_empty(self, basket):
        assert basket.total() == 0

    def test_discounted_total(self, basket):
        basket.put("apple", 2)
        basket.put("pear", 3)
        assert basket.total(10) == 4.5

    @pytest.mark.xfail(reason="there is no upper limit yet", strict=True)
    def test_limit(self, basket):
        with pytest.raises(OverflowError):
            for _ in range(3):
                basket.put("apple", 1e9)
