from pathlib import Path

import pytest
from shop.stock import load


@pytest.fixture(scope="session")
def data():
    return Path(__file__).parent / "data"


@pytest.fixture
def stock(data):
    return load(data / "stock.txt")
