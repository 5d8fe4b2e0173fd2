"""Code is kept where Python keeps none, and only there."""

import importlib.util
import marshal
import os

import pytest
from dx_py_test_runner import compiled


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    path = tmp_path / "lib.py"
    path.write_text("VALUE = 1\n")
    return path


def pyc(source):
    return compiled._pyc(importlib.util.cache_from_source(str(source)), str(source.parent / "kept"))


def kept(source):
    folder = source.parent / "kept"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_nothing_is_kept_where_python_keeps_code(source):
    assert pyc(source) is None and not kept(source)


@pytest.mark.parametrize("made", [True, False])
def test_code_is_kept_where_a_folder_is_protected(source, monkeypatch, made):
    if made:
        (source.parent / "__pycache__").mkdir()
    asked = []
    monkeypatch.setattr(compiled, "_access", lambda folder, mode: asked.append((folder, mode)))
    data = pyc(source)
    assert asked == [(str(source.parent / "__pycache__" if made else source.parent), os.W_OK)]
    assert marshal.loads(data[16:]).co_filename == str(source) and len(kept(source)) == 1


def test_what_is_damaged_is_made_anew(source, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    data = pyc(source)
    (place,) = kept(source)
    whole = place.read_bytes()
    for damaged in (b"", whole[:40], whole[:-1] + bytes([whole[-1] ^ 1])):
        place.write_bytes(damaged)
        assert pyc(source) == data and place.read_bytes() == whole


def test_it_goes_by_content_and_not_by_time(source, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    first = pyc(source)
    os.utime(source, (1, 1))
    assert pyc(source) == first and len(kept(source)) == 1
    source.write_text("VALUE = 2\n")
    assert pyc(source) != first and len(kept(source)) == 2


@pytest.mark.parametrize("text", ["VALUE = '\\d'\n", "def f(:\n", "\0"])
def test_what_the_compiler_tells_of_is_left_to_python(source, monkeypatch, text):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    source.write_text(text)
    assert pyc(source) is None and not kept(source)


def test_paths_of_nothing_are_left_alone(source, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    folder = str(source.parent)
    for path in (str(source), folder + "/gone.txt", folder + "/__pycache__/gone.pyc", folder + "/gone.pyc"):
        assert compiled._pyc(path, folder + "/kept") is None
