"""Code is kept where Python keeps none, and only there."""

import importlib.machinery
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


def test_a_pyc_that_is_of_what_was_before_gives_way_to_what_is_kept(source, monkeypatch):
    import py_compile

    folder = str(source.parent / "kept")
    monkeypatch.setattr(compiled, "_folder", folder)
    loader = importlib.machinery.SourceFileLoader("lib", str(source))
    by_time = py_compile.PycInvalidationMode.TIMESTAMP
    path = py_compile.compile(str(source), invalidation_mode=by_time)

    def content():
        with open(path, "rb") as file:
            return file.read()

    def newer():
        return compiled._newer(loader, path, content(), folder)

    def keep(text):
        return compiled.keep(str(source), text, compile(text, str(source), "exec", dont_inherit=True))

    keep(source.read_bytes())
    assert newer() is None  # it is as good
    source.write_text("VALUE = 12\n")
    before = content()
    assert newer() is None and content() == before  # of this content nothing is kept
    place = keep(source.read_bytes())
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    data = newer()
    assert compiled.places[path] == place and content() == before
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    assert newer() == data and content() == data
    # It is what Python would have made.
    assert loader.get_code("lib").co_consts[0] == 12
    py_compile.compile(str(source), invalidation_mode=by_time)
    assert content()[:16] == data[:16] and marshal.loads(content()[16:]) == marshal.loads(data[16:])
    source.write_text("VALUE = 123\n")
    assert newer() is None
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    source.write_text("VALUE = 12\n")
    assert newer() is None  # Python looks at the source by itself
    source.unlink()
    assert newer() is None
