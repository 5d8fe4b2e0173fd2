"""The compiled part hears what a hook and callbacks in Python would hear: of audit events, and of code that begins to run."""

import os
import random
import subprocess
import sys
import textwrap

import pytest
from dx_py_test_runner import probes
from dx_py_test_runner.internals import identity

pytestmark = pytest.mark.skipif(probes.load() is None, reason="the compiled part comes with the binary")
needs_monitoring = pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="this Python doesn't tell what runs")


def said(script):
    """What a script prints that runs in an interpreter of its own: hooks are there to stay."""
    script = "from dx_py_test_runner import probes\nprobes = probes.load()\n" + textwrap.dedent(script)
    # In a worker it is another copy of the package that has the compiled part.
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(probes.__file__))}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_a_hook_hears_of_the_events_that_it_heeds_and_of_no_others():
    assert said("""
        import sys
        heard = []
        number = probes.add_hook(lambda event, args: heard.append((event, args)))
        sys.audit("one")
        probes.heed(number, ("one", "two"))
        sys.audit("one"), sys.audit("two", 2), sys.audit("three")
        probes.heed(number, ("three",))
        sys.audit("one"), sys.audit("three", 3, "x")
        probes.heed(number, ())
        sys.audit("three")
        assert heard == [("one", ()), ("two", (2,)), ("three", (3, "x"))], heard
        print("so")
    """) == ["so"]


def test_a_hook_sees_who_does_it_isnt_traced_and_may_forbid_it():
    assert said("""
        import sys
        def hook(event, args):
            seen.append(sys._getframe(1).f_code.co_name)
            if args == ("bad",):
                raise RuntimeError("no")
        seen, traced = [], []
        probes.heed(probes.add_hook(hook), ("one",))
        def does(what):
            sys.audit("one", what)
        sys.settrace(lambda frame, *_: traced.append(frame.f_code.co_name))
        does("good")
        sys.settrace(None)
        try:
            does("bad")
        except RuntimeError as error:
            print(error)
        assert seen == ["does", "does"] and traced == ["does"], (seen, traced)
    """) == ["no"]


def test_two_hooks_hear_each_for_itself_and_there_is_no_third():
    assert said("""
        import sys
        heard = [], []
        numbers = [probes.add_hook(lambda event, args, to=to: to.append(event)) for to in heard]
        for number, name in zip(numbers, ("one", "two")):
            probes.heed(number, (name,))
        sys.audit("one"), sys.audit("two")
        assert heard == (["one"], ["two"]), heard
        print(probes.add_hook(print))
    """) == ["None"]


def test_many_events_are_heeded_and_too_many_are_an_error():
    assert said("""
        import sys
        heard = []
        number = probes.add_hook(lambda event, args: heard.append(event))
        names = tuple(f"event.{each}" for each in range(100))
        probes.heed(number, names)
        for each in range(200):
            sys.audit(f"event.{each}")
        assert tuple(heard) == names, heard
        try:
            probes.heed(number, tuple(f"event.{each}" for each in range(200)))
        except MemoryError:
            print("too", "many")
    """) == ["too", "many"]


@pytest.fixture
def tool():
    number = 5
    sys.monitoring.use_tool_id(number, "test_probes")
    yield number
    sys.monitoring.set_events(number, 0)
    sys.monitoring.free_tool_id(number)


def functions(count):
    source = "\n".join(f"def f{each}(): return {each}\ndef g{each}(): yield {each}" for each in range(count))
    made = {}
    exec(compile(source, "made", "exec"), made)
    return [each for name, each in made.items() if name[1:].isdigit()]


def begin(function):
    result = function()
    # A generator begins when it is asked.
    return result if isinstance(result, int) else list(result)


@needs_monitoring
@pytest.mark.parametrize("kind", ["left alone", "counted"])
@pytest.mark.parametrize("seed", range(4))
def test_all_that_begins_is_told_once_after_each_time_that_it_is_forgotten(tool, kind, seed):
    from dx_py_test_runner.running import Counted, LeftAlone

    events = sys.monitoring.events
    local = events.PY_START | events.PY_RESUME
    made = functions(800)
    codes = {identity(each.__code__): each.__code__ for each in made}

    def watch_again(each):
        for wanted in (0, local):
            sys.monitoring.set_local_events(tool, codes[each], wanted)

    running = LeftAlone() if kind == "left alone" else Counted(probes.load(), watch_again)
    for event in (events.PY_START, events.PY_RESUME):
        sys.monitoring.register_callback(tool, event, running.callback)
    chance = random.Random(seed)
    unwatched = functions(1)[0]
    watched = []
    for _ in range(40):
        # More come to be known, as while a test imports.
        for each in made[len(watched) : len(watched) + chance.randrange(80)]:
            running.watch(each.__code__)
            sys.monitoring.set_local_events(tool, each.__code__, local)
            watched.append(each)
        expected = set()
        for each in chance.sample(watched, min(len(watched), chance.randrange(200))):
            for _ in range(chance.choice((1, 1, 1, 3, 99, 100, 101, 250))):
                begin(each)
            expected.add(identity(each.__code__))
            unwatched()
            if chance.random() < 0.1:
                assert running.begun() == expected
        begun = running.begun().copy()
        assert begun == expected
        # What goes on meanwhile isn't lost.
        late = next((each for each in watched if identity(each.__code__) not in begun), None)
        if late is not None and kind == "counted":
            begin(late)
        running.forget(begun)
        left = {identity(late.__code__)} if late is not None and kind == "counted" else set()
        assert running.begun() == left
        running.forget(running.begun().copy())
        assert running.begun() == set()


@pytest.mark.parametrize("seed", range(20))
def test_owners_are_those_that_python_finds(seed):
    from dx_py_test_runner.readers import FLEETING, INTERNAL, SKIP, STDLIB, UNMEANT, _owners

    chance = random.Random(seed)
    made = {}
    source = "\n".join(
        f"def f{each}(rest, ask): return rest[0](rest[1:], ask) if rest else ask({each})" for each in range(9)
    )
    exec(compile(source, "made", "exec"), made)
    layers = [made[f"f{each}"] for each in range(9)]
    kinds = [SKIP, STDLIB, *[FLEETING] * 4, *(["a", "b", "c", "a\0001"] * 2)]
    if seed % 3 == 0:
        kinds.append(UNMEANT)
    if seed % 5 == 0:
        kinds.append(INTERNAL)
    told = {identity(each.__code__): chance.choice(kinds) for each in layers}
    found = []

    def ask(_number):
        for walk in (_owners, probes.load().owners):
            known, asked = dict(chance.sample(sorted(told.items()), 4)), []

            def look_at(code, known=known, asked=asked):
                asked.append(code)
                known[identity(code)] = what = told.get(identity(code), INTERNAL)
                return what

            result = walk(sys._getframe(1), known, look_at)
            assert len(set(asked)) == len(asked)
            assert walk(sys._getframe(1), known, None) == result
            found.append(result)

    for _ in range(30):
        stack = chance.choices(layers, k=chance.randrange(1, 12))
        stack[0](stack[1:], ask)
        first, second = found[-2:]
        assert first == second
    assert len({tuple(each) for each in found}) > 3
    assert probes.load().owners(None, {}, None) == _owners(None, {}, None) == []


def test_owners_leave_no_reference_and_pass_errors_on():
    owners = probes.load().owners
    name = "".join(["an", " owner"])

    def look_at(code):
        return name

    def fails(code):
        raise KeyError(code)

    with pytest.raises(KeyError):
        owners(sys._getframe(), {}, fails)
    with pytest.raises(MemoryError):
        owners()
    with pytest.raises(TypeError):
        owners(sys._getframe(), {}, lambda code: None)
    counts = []
    for _ in range(3):
        for _ in range(100):
            assert owners(sys._getframe(), {}, look_at) == [name]
        counts.append(
            [sys.getrefcount(each) for each in (name, look_at, look_at.__code__, sys._getframe().f_code, None)][:4]
        )
    assert counts[1] == counts[2]


def test_streams_are_written_when_they_hold_something_or_lead_elsewhere():
    assert said("""
        import os, tempfile
        if probes.is_written(0, 0, 0, 0) is None:  # a system that is asked in another way
            print("so")
            os._exit(0)
        from dx_py_test_runner.scene import _is_written_in_python
        kept = os.dup(1), os.dup(2)
        files = [tempfile.TemporaryFile() for _ in range(3)]
        def lead(out, error):
            for stream, file in ((1, out), (2, error)):
                os.dup2(file if isinstance(file, int) else file.fileno(), stream)
        known = [(status.st_dev, status.st_ino) for status in (os.fstat(file.fileno()) for file in files[:2])]
        known = [number for identity in known for number in identity]
        def both():
            found = {probes.is_written(*known), _is_written_in_python(*known)}
            said.append(found.pop() if len(found) == 1 else "both")
        said = []
        lead(*files[:2]), both()
        os.write(2, b"x"), both(), os.ftruncate(2, 0), both()
        os.write(1, b"x"), both(), os.ftruncate(1, 0), both()
        lead(files[2], files[1]), both()
        lead(files[0], files[2]), both()
        os.close(1), both()
        lead(files[1], files[0]), both()
        lead(*kept)
        assert said == [False, True, False, True, False, True, True, True, True], said
        try:
            probes.is_written(1)
        except MemoryError:
            print("so")
    """) == ["so"]
