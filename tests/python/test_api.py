"""The API for programs, beyond the examples in its docstrings."""

import copy
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import dx_py_test_runner as dx
from dx_py_test_runner.command import find_binary

from conftest import environment_without


def test_every_public_name_is_there():
    for name in dx.__all__:
        assert getattr(dx, name) is not None
        assert name in dir(dx)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dx.nothing


def test_versions_are_one():
    told = subprocess.run([find_binary(), "--version"], check=True, capture_output=True, text=True).stdout
    assert told.split() == ["dx-py", dx.__version__]
    assert dx._native.__version__ == dx.__version__


def test_digests_of_all_that_has_bytes():
    import array

    data = bytes(range(256)) * 1000
    digest = dx.blake3(data)
    assert len(digest) == 32
    assert digest == dx.blake3(bytearray(data)) == dx.blake3(memoryview(data)) == dx.blake3(array.array("B", data))
    assert dx.blake3(memoryview(data)[::2]) == dx.blake3(data[::2])
    for wrong in ("text", 3, [1, 2], None):
        with pytest.raises(TypeError):
            dx.blake3(wrong)


def test_the_compiled_hash_of_a_snapshot_is_the_plain_one():
    from dx_py_test_runner import snapshot_index

    assert snapshot_index.digest_of is dx._native.snapshot_digest
    for content in ("", "text", "ümlaut 🎉\n", "long " * 5000, b"", b"\0\xff", b"bytes " * 5000):
        for kind in ("text", "value", "bytes"):
            assert snapshot_index.digest_of(kind, content) == snapshot_index._digest_of(kind, content)
    for wrong in (bytearray(b"x"), 3, None):
        with pytest.raises(TypeError):
            snapshot_index.digest_of("bytes", wrong)


def test_other_threads_run_while_a_digest_is_computed():
    data = bytes(200 << 20)
    count = 0
    done = threading.Event()

    def count_up():
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count_up)
    thread.start()
    before = count
    dx.blake3(data)
    counted = count - before
    done.set()
    thread.join()
    assert counted > 3


def test_paths_and_results_are_python_objects(shop):
    tests = dx.discover(shop, paths=(pathlib.Path("test_cart.py"),))
    assert len(tests) == 2
    assert pickle.loads(pickle.dumps(tests)) == tests == copy.deepcopy(tests)
    assert tests[0] in set(tests)
    assert tests[1].markers == (dx.Marker("slow"),)
    assert not dx.discover(shop, paths=(shop / "pytest.ini",))


def test_a_file_that_cannot_be_read_is_told_by_a_warning(monkeypatch):
    from types import SimpleNamespace

    from dx_py_test_runner import queries

    # Nothing is unreadable for root, as whom these tests may run.
    told = SimpleNamespace(discover=lambda _folder, _paths: ([], [("test_a.py", "Permission denied")]))
    monkeypatch.setattr(queries, "_native", told)
    with pytest.warns(RuntimeWarning, match="test_a.py can't be read: Permission denied"):
        assert dx.discover() == []


def test_marks_have_their_arguments(shop):
    (shop / "test_cart.py").write_text(
        "import pytest\n@pytest.mark.skipif(1 > 0, reason='so')\ndef test_a(): pass\ndef own_test(): pass\n"
    )
    first, second = dx.discover(shop, paths=("test_cart.py",))
    assert first.markers == (dx.Marker("skipif", ("1 > 0",), (("reason", "'so'"),)),)
    assert (first.collected, second.collected) == (True, False)


@pytest.mark.parametrize(
    "ask, error, text",
    [
        (lambda: dx.discover("none"), dx.ConfigurationError, "can't look into none"),
        (lambda: dx.discover("shop", paths=("none.py",)), dx.PathError, "not found: none.py"),
        (lambda: dx.discover("shop", paths=("/",)), dx.PathError, "lies outside of"),
        (lambda: dx.history(root="none"), dx.ConfigurationError, "can't look into none"),
        (lambda: dx.run("none.py", root="shop", output=False), dx.CommandError, "exit code 4.*none.py"),
        (lambda: dx.run(root="none", output=False), dx.CommandError, "no such folder"),
        (lambda: dx.affected(root="shop", changed_since="none"), dx.CommandError, "dx-py ended with exit code"),
    ],
)
def test_errors_have_one_base_and_say_what_happened(shop, ask, error, text):
    with pytest.raises(dx.DxError, match="(?s)" + text) as raised:
        ask()
    assert type(raised.value) is error
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value) and vars(again) == vars(raised.value)


def test_a_bad_configuration_is_told_with_its_place(shop):
    (shop / "dx-py.toml").write_text("workers = 2\nwrokers = 3\n")
    with pytest.raises(dx.ConfigurationError, match="line 2, column 1"):
        dx.discover(shop)


def test_a_newer_catalog_is_refused(shop):
    import sqlite3

    dx.run(root=shop, output=False)
    with sqlite3.connect(shop / ".dx/catalog.db") as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(dx.CatalogError, match="Upgrade dx-py"):
        dx.history(root=shop)


def test_a_run_tells_all_that_pytest_reported(shop):
    result = dx.run(root=shop, output=False, workers=1)
    (failed,) = result.failed
    assert failed.id == "test_price.py::test_rounding"
    assert [(report.phase, report.outcome) for report in failed.reports] == [("call", "failed")]
    assert "rounded == 3" in failed.reports[0].text
    assert (result.exit_code, result.ok, result.ran, result.collection_errors) == (1, False, 3, ())
    assert dx.run("test_cart.py", root=shop, output=False, all=True).ok
    only = dx.run(root=shop, output=False, keywords="empty", all=True)
    assert [test.id for test in only.tests] == ["test_cart.py::TestCart::test_is_empty"]
    outcomes = dx.history("test_rounding", root=shop)
    assert [outcome.outcome for outcome in outcomes] == ["failed"]
    assert outcomes[0].started.tzinfo is not None


def test_arguments_for_pytest_are_passed_on(shop):
    result = dx.run(root=shop, output=False, pytest_arguments=["--deselect", "test_price.py::test_rounding"])
    assert result.ok and result.ran == 2


def test_output_goes_to_the_terminal_of_this_process(shop, capfd):
    dx.run(root=shop)
    assert "test_rounding" in capfd.readouterr().out
    dx.run(root=shop, output=False)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_a_run_uses_the_virtual_environment_of_this_process(shop):
    (shop / "test_price.py").write_text(f"import sys\ndef test_it(): assert sys.prefix == {sys.prefix!r}\n")
    code = "import dx_py_test_runner as dx, sys; sys.exit(dx.run(root='shop', all=True).exit_code)"
    environment = environment_without("VIRTUAL_ENV")
    assert subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL).returncode == 0


def test_the_module_is_the_command(shop):
    command = [sys.executable, "-m", "dx_py_test_runner", "test", "-q"]
    told = subprocess.run(command, cwd=shop, capture_output=True, text=True, env=environment_without("VIRTUAL_ENV"))
    assert told.returncode == 1, told.stderr
    assert "1 failed" in told.stdout
    # It is the very process, so that signals reach it.
    process = subprocess.Popen([sys.executable, "-m", "dx_py_test_runner", "--version"], stdout=subprocess.PIPE)
    assert process.communicate()[0].decode().split() == ["dx-py", dx.__version__]


def processes_with(text):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                folder = os.readlink(f"/proc/{entry}/cwd")
            except OSError:
                continue
            if text in folder or text.encode() in line:
                found.append((int(entry), line))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="it looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_behind(shop, number):
    (shop / "test_price.py").write_text(
        "import pathlib, time\ndef test_it():\n    pathlib.Path('began').touch()\n    time.sleep(60)\n"
    )
    code = """
        import signal, sys
        import dx_py_test_runner as dx
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(77))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        try:
            dx.run(root="shop", output=False)
        except KeyboardInterrupt:
            sys.exit(66)
        """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=shop.parent)
    end = time.monotonic() + 30
    while not (shop / "began").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)  # to this process alone
    assert process.wait(15) == (66 if number == signal.SIGINT else 77)
    end = time.monotonic() + 3
    while processes_with(str(shop)) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_with(str(shop)) == []


def test_a_second_interpreter_says_no_or_works(tmp_path):
    code = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        inner = '''if True:
            import dx_py_test_runner as dx
            from dx_py_test_runner import wire
            try:
                told = dx.blake3(b"").hex()
            except ImportError as error:
                told = str(error)
                assert wire.RingWriter is wire.PureRingWriter
            assert told.startswith("af1349b9") or "subinterpreter" in told, told
            open(PATH, "w").write(told)
        '''.replace("PATH", repr(PATH))
        import dx_py_test_runner as dx
        dx.blake3(b"")
        one = interpreters.create()
        failure = interpreters.run_string(one, inner)
        assert failure is None, failure
        """
    path = str(tmp_path / "told")
    script = f"PATH = {path!r}\n" + textwrap.dedent(code)
    subprocess.run([sys.executable, "-c", script], check=True)
    assert os.path.getsize(path)


def test_without_the_compiled_part_it_is_said_how_to_install(tmp_path):
    import shutil

    copied = tmp_path / "dx_py_test_runner"
    shutil.copytree(os.path.dirname(dx.__file__), copied, ignore=shutil.ignore_patterns("_native*", "__pycache__"))
    code = """
        import sys
        import dx_py_test_runner as dx
        from dx_py_test_runner import wire
        assert wire.RingWriter is wire.PureRingWriter
        assert dx.DxError
        for name in ("discover", "history", "blake3"):
            try:
                getattr(dx, name)
            except ImportError as error:
                assert "pip install dx-py==" in str(error), error
            else:
                raise AssertionError(name)
        """
    # -S leaves site-packages out, -P the working directory's.
    environment = dict(environment_without(), PYTHONPATH=str(tmp_path))
    subprocess.run([sys.executable, "-S", "-c", textwrap.dedent(code)], check=True, env=environment)
