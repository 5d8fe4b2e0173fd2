"""Tests of the installed distribution `dx-py`: `cargo xtask wheel` runs them in a new environment, with pytest and with dx-py."""

import os
import textwrap

import pytest

SHOP = {
    "pytest.ini": "[pytest]\nmarkers = slow\n",
    "test_cart.py": """\
        import pytest

        def test_total():
            assert 1 + 2 == 3

        class TestCart:
            @pytest.mark.slow
            def test_is_empty(self):
                assert not []
        """,
    "test_price.py": """\
        def test_rounding():
            rounded = round(2.5)
            assert rounded == 3
        """,
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The folder `shop` with a small project, in an empty working directory."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in SHOP.items():
        (folder / name).write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    # What is set for the run of these tests isn't meant for the runs that they start.
    for name in ("CI", "GITHUB_ACTIONS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DX_PY_DAEMON", "0")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder


def environment_without(*names):
    """This process's environment without some variables."""
    return {name: value for name, value in os.environ.items() if name not in names}
