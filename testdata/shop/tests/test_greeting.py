import sys

import pytest
from shop.greeting import greet


def test_greeting(capsys):
    greet("Ada")
    assert capsys.readouterr().out == "Welcome, Ada!\n"


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows")
def test_windows_greeting():
    raise AssertionError
