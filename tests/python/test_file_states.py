"""Whether files are as they were is told alike by the compiled part and without it."""

import os

import pytest
from dx_py_test_runner import file_states, probes
from dx_py_test_runner.file_states import FileStates


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def states(request, monkeypatch):
    if request.param and probes.load() is None:
        pytest.skip("the compiled part comes with the binary")
    if not request.param:
        monkeypatch.setattr(file_states, "load", lambda: None)
    return FileStates()


def test_what_has_changed_come_or_gone_is_not_the_same(states, tmp_path):
    kept, changed = tmp_path / "kept é", tmp_path / "changed"
    for path in (kept, changed):
        path.write_text("1")
    absent = tmp_path / "absent"
    assert states.are_same()
    states.note(map(str, (kept, changed)))
    states.note([str(absent), str(kept), str(tmp_path), str(absent)])
    assert states.are_same() and sorted(states) == sorted(map(str, (kept, changed, absent, tmp_path)))
    times = os.stat(changed)
    changed.write_text("22")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not states.are_same()
    changed.write_text("1")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert states.are_same()
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000))
    assert not states.are_same()
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(kept, tmp_path / "moved")
    assert not states.are_same()
    os.replace(tmp_path / "moved", kept)
    os.utime(tmp_path, ns=(0, 0))
    states = FileStates()
    states.note([str(absent)])
    absent.write_text("")
    assert not states.are_same()


def test_a_file_that_was_noted_before_is_as_it_was_then(states, tmp_path):
    path = tmp_path / "file"
    path.write_text("1")
    states.note([str(path)])
    path.write_text("22")
    states.note([str(path), "with\0zero"])
    assert not states.are_same() and list(states) == [str(path)]
