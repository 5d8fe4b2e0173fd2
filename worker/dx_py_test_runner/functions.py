"""Sees which functions of the project run, and in which test: `sys.monitoring` tells, from Python 3.12 on.

Each code object of the project's files is watched from when its module is about to run. It tells that it starts or goes on, and is left
alone after a while until the next test begins (`running`), so a call in a loop costs nothing more. A test function that runs with several
parameters is watched as one: each of its tests is said to run what any of them ran.

What runs outside of tests (imports, collection, hooks) is every test's. So is what runs in a module's body, also if it is a test that
imports it. What runs while a fixture is set up that tests share is theirs who use it. What a test leaves behind for others is looked for
when the tests of its function have run. In the same way it is looked for what a file of tests leaves when it is imported and collected: if that is
nothing, what ran for it matters to those alone that import the file. What the modules run that it imports first is every test's, though.
"""

from __future__ import annotations

import sys
from _thread import _count as _count_threads
from collections.abc import Iterable
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Callable, Optional

from .internals import identity
from .wide_fixtures import Ran, WideFixtures, name_of

if TYPE_CHECKING:
    from .leftovers import Leftovers
    from .running import Running

_getframe = sys._getframe

#: The numbers of tools that nobody has a claim to.
_NUMBERS = (4, 3)
_NAME = "dx-py"

#: Functions of the standard library that ask a function's code for no more than where it begins, or what its file shows of it without its
#: body; with their modules.
_WITHOUT_BODY = {"_has_code_flag": "inspect", "_signature_from_function": "inspect", "overload": "typing"}

#: Names by which code makes other code, which nobody is told of when it runs.
_REMAKING = frozenset(("CodeType", "replace"))

#: The line of what isn't in a function.
_NO_LINE = 0xFFFFFFFF

#: The owners of what is every test's: of what ran before the first one, of what ran later, when tests may have left something behind, and of
#: what the project's code only looked at; with the last, the file's node ID and its path behind a zero byte, begins that of what importing a
#: file of tests ran, and collecting it.
ALL, SHARED, LOOKED_AT, OF_IMPORT = "", "s:", "c:", "i:"

#: Behind the number of a function which owns what it read, if the test of the moment does as well, and nobody else unless that leaves something.
OF_TEST = "\0"


class Functions:
    """The functions that ran in this process, gathered until `take` hands out what is new.

    `is_internal` says of a file whether it is pytest's or this package's.
    """

    def __init__(self, is_internal: Callable[[str], bool]) -> None:
        #: Whether all that runs is seen.
        self.is_traced = False
        self._is_internal = is_internal
        self._leftovers: Optional[Leftovers] = None
        self._left: list[tuple[str, str, list[tuple[str, int]]]] = []
        self._told_opaque: set[str] = set()
        self._tool = 0
        self._local = 0
        # A code object's number by its identity, which stays its own since it is kept.
        self._numbers: dict[int, int] = {}
        #: By the same, who owns what is read while the code runs: its file, and behind a zero byte its number.
        self.names: dict[int, str] = {}
        self._codes: list[CodeType] = []
        # By identities the files of what is in files of tests.
        self._in_tests: dict[int, str] = {}
        self._files: set[str] = set()
        self._places: list[tuple[str, int]] = []
        self._told = 0
        self._running: Optional[Running] = None
        # Whether code was left alone since it was last watched anew, by another callback than that of `_running`.
        self._is_left_alone = False
        self._of_all: set[int] = set()
        self._shared: set[int] = set()
        self._looked_at: set[int] = set()
        self._told_of_all: set[int] = set()
        self._told_shared: set[int] = set()
        self._told_looked_at: set[int] = set()
        self._of_tests: list[Ran] = []
        # The tests of one function that have run since code was last watched anew, whether the last of them has ended, and how much code
        # had run then.
        self._tests: list[str] = []
        self._function = ""
        self._has_ended = True
        self._count_at_end = 0
        self._has_begun = False
        self._wide_fixtures = WideFixtures()
        # Those that are being set up, with what had run before; and whether something was begun for one that isn't seen.
        self._set_up: list[tuple[Any, set[int]]] = []
        self._has_reached_out = False
        self._imports = False
        self._is_asking = False
        # The owner of what runs for the file that is collected, and its path; and the files of the modules whose bodies run for it.
        self._collected = self._collected_path = ""
        self._bodies: list[str] = []
        # How many threads there are beside those that tests begin.
        self._threads = _count_threads()

    def start(self, is_of_project: Callable[[str], bool]) -> None:
        """Begin, if this Python can tell. `is_of_project` says of a file whether tests may leave something in its module."""
        monitoring: Any = getattr(sys, "monitoring", None)
        has_gil = getattr(sys, "_is_gil_enabled", lambda: True)
        if monitoring is None or self.is_traced or not has_gil():
            return
        for number in _NUMBERS:
            try:
                monitoring.use_tool_id(number, _NAME)
            except ValueError:
                continue
            self._tool = number
            break
        else:
            return
        events = monitoring.events
        self._local = events.PY_START | events.PY_RESUME
        disable = monitoring.DISABLE
        # What only such a Python has is used there.
        from .leftovers import Leftovers
        from .running import listener

        self._running = running = listener(self._watch_again)

        def begins_while_importing(code: CodeType, _offset: int) -> Any:
            if self._is_in_module(_getframe(1)):
                self._shared.add(self._numbers[identity(code)])
            running.add(identity(code))
            self._is_left_alone = True
            return disable

        def is_thrown_into(code: CodeType, _offset: int, _exception: BaseException) -> None:
            if identity(code) in self._numbers:
                running.add(identity(code))

        def module_ends(code: CodeType, _offset: int, _value: Any) -> None:
            variables = _getframe(1).f_globals
            self._attempt(lambda leftovers: leftovers.add_module(variables))
            if self._collected:
                self._ends_body(code.co_filename)

        monitoring.register_callback(number, events.PY_RETURN, module_ends)
        self._begins_while_importing = begins_while_importing
        self._listen(running.callback)
        # This one can only be asked for everywhere, and is rare.
        monitoring.register_callback(number, events.PY_THROW, is_thrown_into)
        monitoring.set_events(number, events.PY_THROW)
        self._leftovers = Leftovers(is_of_project, self._codes)
        self.is_traced = True

    def _listen(self, callback: Any) -> None:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        monitoring.register_callback(self._tool, monitoring.events.PY_START, callback)
        monitoring.register_callback(self._tool, monitoring.events.PY_RESUME, callback)

    def _is_in_module(self, frame: Optional[FrameType]) -> bool:
        """Whether a frame is called from a module's body."""
        while frame is not None and not self._is_internal(frame.f_code.co_filename):
            if frame.f_code.co_name == "<module>":
                return True
            frame = frame.f_back
        return False

    # What there is

    def watch(self, code: CodeType) -> None:
        """Watch code of the project, and what is nested in it, before it runs."""
        running = self._running
        if not self.is_traced or running is None:
            return
        try:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
            pending = [code]
            while pending:
                one = pending.pop()
                if one.co_name == "<module>":
                    monitoring.set_local_events(self._tool, one, monitoring.events.PY_RETURN)
                    # Its first line may be a function's too.
                    self._add(one, one.co_filename, _NO_LINE)
                elif identity(one) not in self._numbers:
                    running.watch(one)
                    monitoring.set_local_events(self._tool, one, self._local)
                    self._numbers[identity(one)] = number = self._add(one, one.co_filename, one.co_firstlineno)
                    self.names[identity(one)] = f"{one.co_filename}\0{number}"
                    if one.co_filename in self._files:
                        self._in_tests[identity(one)] = one.co_filename
                pending.extend(constant for constant in one.co_consts if type(constant) is CodeType)
        except BaseException:
            self.is_traced = False
            raise

    def _add(self, code: CodeType, file: str, line: int) -> int:
        self._codes.append(code)
        self._places.append((file, line))
        return len(self._places) - 1

    def is_of_test(self) -> bool:
        """Whether what is read now matters to others than the test of the moment by what that leaves alone."""
        is_apart = not self._has_ended and not self._set_up and not self._imports
        return is_apart and _count_threads() == self._threads

    def imports(self) -> None:
        """A module's body is about to run: from here on, and until the test ends, it matters what is called from one."""
        if self.is_traced and not self._has_ended and not self._imports:
            self._imports = True
            self._listen(self._begins_while_importing)
            # Code that has told already may be called from the module's body.
            sys.monitoring.restart_events()  # type: ignore[attr-defined, unused-ignore]

    def begins_body(self, file: str) -> None:
        """The body of a module of the project's is about to run."""
        if self._collected:
            self._bodies.append(file)
            if file == self._collected_path:
                # From here on its functions may run.
                self._attempt(lambda leftovers: leftovers.read_code())

    def _ends_body(self, file: str) -> None:
        """Such a body has run. What ran until then counts for everybody if it was another module's than that of the file that is collected."""
        bodies = self._bodies
        if file in bodies:
            del bodies[bodies.index(file) :]
        if file != self._collected_path and all(each == self._collected_path for each in bodies):
            self._gather()
            self._attempt(lambda leftovers: leftovers.take_in())

    def collects(self, file: str, path: str) -> None:
        """The file with that node ID is about to be imported and collected."""
        self._files.add(path)
        if self.is_traced and self._has_ended:
            self._gather()
            self._function = ""
            self._attempt(lambda leftovers: leftovers.begin(path, file))
            self._bodies.clear()
            self._collected, self._collected_path = f"{OF_IMPORT}{file}\0{path}", path

    def has_collected(self) -> None:
        """That has been done."""
        collected, self._collected = self._collected, ""
        if not collected or not self._begun():
            return
        is_mixed = self._bodies or _count_threads() != self._threads
        file = collected[len(OF_IMPORT) :].partition("\0")[0]
        if is_mixed or self._attempt(lambda leftovers: leftovers.compare(file)) or not self.is_traced:
            self._gather()
        else:
            self._of_tests.append(([collected], self._take_running()))

    def is_made(self, file: str) -> None:
        """Code of a file comes from elsewhere than its text: what of the file runs with it nobody can say."""
        if self.is_traced:
            self._of_all.add(self._add(Functions.start.__code__, file, 0))

    def is_read(self, function: object, reader: FrameType) -> None:
        """The code of a function is asked for: it may be run by other means than the interpreter's, though not by the project's code,
        which has no others.
        """
        if not self.is_traced or self._is_asking or type(function) is not FunctionType:
            return
        place = reader.f_code
        if self._is_internal(place.co_filename):
            return
        self._is_asking = True
        try:
            module = sys.modules.get(_WITHOUT_BODY.get(place.co_name, ""))
            known = getattr(module, place.co_name, None)
            if type(known) is FunctionType and known.__code__ is place:
                return
            number = self._numbers.get(identity(function.__code__))
        finally:
            self._is_asking = False
        if number is not None:
            is_own = identity(place) in self._numbers and _REMAKING.isdisjoint(place.co_names)
            (self._looked_at if is_own else self._of_all).add(number)

    # What runs

    def enter(self, test: Optional[str]) -> None:
        """What runs from now on runs in that test, or in none. Only to be called while it is traced."""
        if test is None and not self._has_ended:
            self._has_ended = True
            self._count_at_end = len(self._begun())
            if self._imports:
                self._gather()
            return
        function = "" if test is None else test.partition("[")[0]
        goes_on = test is not None and function == self._function and self._has_ended
        if not goes_on or len(self._begun()) != self._count_at_end:
            # Between two tests code may have run as well: that of other threads, and what is collected then.
            self._gather()
        if test is not None and not goes_on:
            self._look(None)
        self._has_ended = test is None
        if test is not None:
            self._tests.append(test)
            self._function = function
            self._has_begun = True

    def runs(self, item: Any) -> None:
        """The test of the moment is this one."""
        if self.is_traced:
            self._wide_fixtures.hear_of(item)

    def share(self, fixture: Any) -> None:
        """The test of the moment sets up a fixture that others will use."""
        before = self._begun().copy()
        if self.is_traced:
            # What ran in the test may run for the fixture, too.
            self._take_running()
            self._look(self._tests)
        self._set_up.append((fixture, before))
        if self._leftovers is not None:
            self._leftovers.watch_fixture(fixture)

    def has_shared(self, fixture: Any, request: Any, has_failed: bool) -> None:
        """Such a fixture is set up, or has failed to: what the test of the moment makes of its value is what that one leaves."""
        if self.is_traced:
            self._look(self._tests)
        _, before = self._set_up.pop()
        if self.is_traced:
            of_fixture = self._begun().copy()
            ran = self._take_running()
            self._wide_fixtures.add(fixture, request, ran)
            if has_failed or self._has_reached_out or self._has_ended:
                self._shared.update(ran)
            # What asked for it while it was set up itself runs the same.
            self._begun().update(before, of_fixture if self._set_up else ())
        self._has_reached_out = self._has_reached_out and bool(self._set_up)
        self._attempt(lambda leftovers: leftovers.look_at_fixtures())

    def reaches_out(self) -> None:
        """A thread, another process or a connection is begun. What tests leave there isn't seen, so a fixture that is set up now, and for which
        it may be, is as one whose value can't be compared."""
        self._has_reached_out = bool(self._set_up)
        if self._leftovers is not None:
            self._leftovers.opaque.update(fixture.argname for fixture, _ in self._set_up)

    def hear_of(self, items: Iterable[Any]) -> None:
        """Learn which tests there are, beside those that were told before."""
        if self._leftovers is not None:
            self._leftovers.hear_of(items)

    def _look(self, tests: Optional[list[str]]) -> None:
        """Find what these tests have left, or the fixture that is set up for them; or, with None, take what there is for what there was
        before the next one."""
        if tests is None:
            self._attempt(lambda leftovers: leftovers.begin())
        elif tests and (left := self._attempt(lambda leftovers: self._compare(leftovers, tests))):
            fixture = name_of(self._set_up[-1][0]) if self._set_up else ""
            self._left += [(test, fixture, left) for test in tests]

    def _compare(self, leftovers: Leftovers, tests: list[str]) -> list[tuple[str, int]]:
        in_tests = self._in_tests
        ran = {in_tests[each] for each in self._begun() & in_tests.keys()}
        return leftovers.compare(tests[0].partition("::")[0], ran)

    def _attempt(self, look: Callable[[Leftovers], Any]) -> Any:
        if self._leftovers is None:
            return None
        try:
            return look(self._leftovers)
        except Exception:
            # The state may be too large, or objects may lie about themselves.
            self._leftovers, self.is_traced = None, False
            return None

    def _gather(self) -> None:
        """Note what ran since the last time, and watch it again."""
        tests = self._tests
        if tests:
            self._look(tests)
        self._tests = tests[-1:] if not self._has_ended else []
        is_between = not tests or (self._has_ended and len(self._begun()) != self._count_at_end)
        if tests:
            self._wide_fixtures.end_function(self._function, goes_on=not self._has_ended)
        running = self._running
        if self._imports and self._has_ended and running is not None:
            self._imports = False
            self._listen(running.callback)
        self._count_at_end = 0
        if not self._begun():
            return
        found = self._take_running()
        if tests:
            self._of_tests.append((tests, found))
        if is_between and self._has_begun and found:
            self._shared.update(found)
        elif not tests:
            self._of_all.update(found)

    def _begun(self) -> set[int]:
        """The identities of code that has run since the last time."""
        return set() if self._running is None else self._running.begun()

    def _take_running(self) -> list[int]:
        """What ran since the last time, which is watched again."""
        if self._running is None:
            return []
        ran = self._running.begun().copy()
        self._running.forget(ran)
        if self._is_left_alone:
            self._is_left_alone = False
            sys.monitoring.restart_events()  # type: ignore[attr-defined, unused-ignore]
        numbers = self._numbers
        return [numbers[each] for each in ran if each in numbers]

    def _watch_again(self, each: int) -> None:
        """Watch code again that was left alone, by its identity."""
        number = self._numbers.get(each)
        if number is not None:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
            for events in (0, self._local):
                monitoring.set_local_events(self._tool, self._codes[number], events)

    def take_left(self) -> tuple[list[tuple[str, str, list[tuple[str, int]]]], list[str]]:
        """What tests left since this was last asked, with the fixtures that were set up then: the names under which it is found, with
        digests; and names of what isn't compared."""
        left, self._left = self._left, []
        opaque = [] if self._leftovers is None else sorted(self._leftovers.opaque - self._told_opaque)
        self._told_opaque.update(opaque)
        return left, opaque

    def take(self) -> tuple[bool, list[tuple[str, int]], list[Ran]]:
        """Whether all was seen, and what is new: places of code, its file and first line, numbered on; owners, and what each of them ran."""
        if not self.is_traced:
            return False, [], []
        self._gather()
        if not self.is_traced:
            return False, [], []
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        if monitoring.get_tool(self._tool) != _NAME or not monitoring.get_events(self._tool):
            self.is_traced = False  # the tests have put an end to it
            return False, [], []
        places, self._told = self._places[self._told :], len(self._places)
        ran, self._of_tests = self._of_tests, []
        ran += self._wide_fixtures.take()
        for owner, known, told in (
            (ALL, self._of_all, self._told_of_all),
            (SHARED, self._shared, self._told_shared),
            (LOOKED_AT, self._looked_at, self._told_looked_at),
        ):
            new = known - told
            if new:
                told |= new
                ran.append(([owner], list(new)))
        return True, places, ran
