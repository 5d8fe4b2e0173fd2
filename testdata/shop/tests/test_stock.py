import pytest
from shop.stock import load


def test_stock_is_loaded(stock):
    assert stock.items == {"apple": 3, "pear": 1}


def test_taking(stock):
    stock.take("pear")
    with pytest.raises(KeyError):
        stock.take("pear")


def test_another_file(tmp_path):
    path = tmp_path / "stock.txt"
    path.write_text("plum 7\n")
    assert load(path).items == {"plum": 7}
