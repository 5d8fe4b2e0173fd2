"""The zygote keeps the code of bytecode, and gives it once to whoever has the same bytes."""

import importlib.util
import json
import marshal
import os

import pytest
from dx_py_test_runner import kept_code
from dx_py_test_runner.kept_code import KeptCode

BODY = marshal.dumps(compile("VALUE = 1\n", "lib.py", "exec"))


@pytest.fixture
def keeper(tmp_path):
    return KeptCode(str(tmp_path / "name.code"))


def told(keeper, tmp_path, content=BODY, name="lib.pyc"):
    path = tmp_path / name
    path.write_bytes(b"h" * 16 + content)
    keeper._missed = {str(path): 16}
    keeper.tell()
    keeper.hear(os.getpid())
    while keeper.wanted:
        keeper.read_one()
    keeper._missed = {}
    return path


def test_the_same_bytes_are_the_same_code_once(keeper, tmp_path):
    told(keeper, tmp_path)
    first = keeper._loads_for_import(memoryview(BODY))
    assert first == marshal.loads(BODY) and not keeper._missed
    bytecode_path = "/some/lib.pyc"
    second = keeper._loads_for_import(memoryview(BODY))
    assert second == first and second is not first
    assert keeper._missed == {bytecode_path: 16}


def test_other_bytes_of_that_file_are_code_of_their_own(keeper, tmp_path):
    path = told(keeper, tmp_path)
    other = BODY.replace(b"VALUE", b"OTHER")
    assert keeper._loads_for_import(other).co_names == ("OTHER",)
    path.write_bytes(b"h" * 16 + other)
    with path.open("rb") as file:
        file.read(16)
        assert keeper._load(file).co_names == ("OTHER",)
    assert keeper._missed == {str(path): 16}
    told(keeper, tmp_path, other)
    # What was there before isn't kept any more.
    assert keeper._kept(BODY) is None and keeper._kept(other).co_names == ("OTHER",)


@pytest.mark.parametrize("content", [b"", b"\xff", BODY[:-3], marshal.dumps(1)])
def test_what_is_no_code_is_not_kept(keeper, tmp_path, content):
    told(keeper, tmp_path, content)
    assert keeper._kept(content) is None and os.listdir(tmp_path) == ["lib.pyc"]


def test_more_than_there_is_room_for_is_passed_over(keeper, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_code, "_MOST", len(BODY))
    first = told(keeper, tmp_path)
    told(keeper, tmp_path, BODY.replace(b"VALUE", b"OTHER"), "other.pyc")
    assert list(keeper._by_path) == [str(first)]
    # It isn't asked for again, but what is kept is kept up to date.
    other = str(tmp_path / "another.pyc")
    (tmp_path / f"name.code.{os.getpid()}").write_text(json.dumps({other: 16, str(first): 16}))
    keeper.hear(os.getpid())
    assert keeper.wanted == {str(first): 16}


def test_what_was_told_to_another_one_is_removed(keeper, tmp_path):
    for name in ("name.code.1", "name.code.2.new", "name.codes", "other.code.1"):
        (tmp_path / name).write_text("{")
    keeper.hear(1)
    assert not keeper.wanted
    keeper.sweep()
    assert sorted(os.listdir(tmp_path)) == ["name.codes", "other.code.1"]


def test_damaged_bytes_fail_as_they_do_without(keeper):
    for damaged in (b"", BODY[:-1]):
        with pytest.raises(Exception) as own:
            keeper._loads_for_import(damaged)
        with pytest.raises(type(own.value), match=str(own.value)):
            marshal.loads(damaged)


def test_importlib_unmarshals_as_is_expected():
    external = importlib._bootstrap_external
    assert external.marshal.loads is not None
    assert "bytecode_path" in external._compile_bytecode.__code__.co_varnames
    assert external._compile_bytecode(BODY, "lib", importlib.util.cache_from_source("lib.py")) == marshal.loads(BODY)
