"""The pytest plugin of a worker: collects what it is asked to, then runs the jobs that it is given.

A worker is configured with the user's own arguments, and pytest's own session, collection and run protocol do the work; this plugin
only decides what is collected and which item comes next. Another way to run items replaces `_run_item` and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from typing import Any, Optional

import pytest
from _pytest.terminal import getreportopt

from . import bytecode, collect, deselect, needs, say, shortcuts, snapshot_end, wire
from .idle import Idle
from .items import Items
from .lean import Lean
from .outcome import ERROR, FAILED, PASSED, SKIPPED, Outcome, dumped, sections_of, text_of
from .plugin import Context
from .preloadable import Preloadable
from .search_path import SearchPath
from .share import Shared
from .speech import silence, speaking
from .trace import Trace
from .warning_messages import to_data
from .wire import Pack, Unpack

_WHOLE_SESSION_HOOKS = ("pytest_collection_modifyitems", "pytest_collection_finish", "pytest_collection")
#: Hooks that pytest calls for tests everywhere, also those of a conftest in another folder.
_WIDE_HOOKS = (*_WHOLE_SESSION_HOOKS, "pytest_runtest_protocol", "pytest_make_parametrize_id")


class Successor:
    """Stands for the item after the last one of a job, and asks for it when it is looked at: at the teardown.

    Asking before the test would take a job away from workers that have nothing to do.
    """

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask: Optional[Callable[[], Any]] = ask
        self._item: Any = None

    def resolve(self) -> Any:
        """The item, or None if there is no more work."""
        if self._ask is not None:
            ask, self._ask = self._ask, None
            self._item = ask()
        return self._item

    def __bool__(self) -> bool:
        return self.resolve() is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.resolve(), name)


class Job:
    """A file's tests that this worker was given."""

    def __init__(self, number: int, items: list[Any]) -> None:
        self.number = number
        self.items = items


class WorkerPlugin:
    """Connects one pytest session with the orchestrator."""

    def __init__(self, wire_: wire.Wire, trace: Trace, role: str, engine: str) -> None:
        self._wire = wire_
        self._role = role
        self._engine = engine
        self._trace = trace
        self._items: dict[str, Any] = {}
        self._outcome: Optional[Outcome] = None
        self._sequence = 0
        self._deselected: dict[str, int] = {}
        self._collecting = False
        self._first_plugins: set[Any] = set()
        # Kept here, where libraries that stop the clock, which go through the modules for it, don't find it.
        self._clock = time.perf_counter
        # How long it has waited for the orchestrator since it runs tests, in seconds.
        self._waited = 0.0
        self.fatal = False
        self.code_was_changed = False
        self._tells_passes = False
        self._collected_order: list[Any] = []
        self._collection_warnings: list[dict[str, Any]] = []
        self._make_item: collect.Maker = _nobody_makes
        self._shared: Optional[Shared] = None
        self._snapshots = Context("", "none", False)
        self._passed: list[str] = []
        #: To be called when the collection has ended, and nothing is left to do before tests run.
        self.when_collected: Callable[[], None] = lambda: None
        #: The files that were collected, by node ID, and whether only parts of some were asked for.
        self._files: dict[str, str] = {}
        trace.files = self._files
        self._in_parts = False
        self._preloadable = Preloadable(trace)

    # Start

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: Any) -> None:
        """See how modules are rewritten, before the first one is."""
        bytecode.heed(early_config)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: Any) -> None:
        """Silence the terminal report: the orchestrator has its own."""
        silence(config)
        self._snapshots = getattr(config, "_dx_snapshots", self._snapshots)
        self._snapshots.note_read = self._trace.read_for
        # A value that is to be cached needs an observer.
        self._snapshots.trace = self._trace if self._trace.heeded else None

    def _hello(self, session: Any) -> None:
        import platform
        import sys
        import sysconfig

        config = session.config
        self._first_plugins = set(config.pluginmanager.get_plugins())
        for name, plugin in config.pluginmanager.list_name_plugin():
            file = getattr(plugin, "__file__", None)
            module = getattr(plugin, "__name__", name)
            own = (type(plugin).__module__, module)
            if plugin is None or any(each.partition(".")[0] == "dx_py_test_runner" for each in own):
                continue
            if file is None:
                module = getattr(plugin, "__module__", None) or type(plugin).__module__
                file = getattr(sys.modules.get(module), "__file__", None)
            if isinstance(file, str) and os.path.basename(file) != "conftest.py" and not module.startswith("_pytest."):
                self._trace.add_root(module, file)
        plugins = sorted(
            {f"{dist.project_name}-{dist.version}" for _, dist in config.pluginmanager.list_plugin_distinfo()}
        )
        paths = sysconfig.get_paths()
        out = Pack()
        for text in (platform.python_version(), pytest.__version__, sys.executable, sys.prefix):
            out.text(text)
        out.texts(sorted({paths["stdlib"], paths["platstdlib"]}))
        out.texts([path for path in sys.path if isinstance(path, str)])
        out.text(str(config.rootpath))
        out.text(str(config.inipath or ""))
        out.texts([str(arg) for arg in config.args])
        out.texts(plugins)
        out.texts(needs.controller(config))
        out.text(needs.one_worker(config))
        chars = getreportopt(config)
        self._tells_passes = "P" in chars
        out.text(chars)
        durations = getattr(config.option, "durations", None)
        out.u32(0 if durations is None else durations + 1)
        self._wire.send(wire.HELLO, out.bytes())

    # Collection

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_collection(self, session: Any) -> Generator[None, Any, None]:
        """Ask what to collect, collect it, tell what came of it."""
        self._hello(session)
        command = self._wire.receive()
        if command is not None and command[0] == wire.BEGIN:
            command = self._wire.receive()
        if command is None:
            os._exit(1)
        if command[0] != wire.COLLECT:
            raise session.Interrupted("stopped")
        asked = Unpack(command[3])
        narrow, paths, new, shares, share = asked.u8() == 1, asked.texts(), asked.texts(), asked.u8(), asked.texts()
        inert = dict(asked.pairs())
        folders = [(asked.text(), asked.u8() == 1) for _ in range(asked.u32())]
        self._in_parts = any("::" in path for path in (*paths, *map(str, session.config.args)))
        if self._in_parts:
            # What is named must be found, also if it is left out then.
            self._deselection.end()
        config = session.config
        if shares:
            self._shared = Shared(session, share, inert)
            self._shared.is_partial &= not _needs_everything(config)
        bytecode.prepare(new)
        reason = _needs_everything(config) if narrow else ""
        arguments = config.args
        forget = collect.unnamed(session, arguments) if narrow else lambda: None
        see_all: Callable[[], None] = lambda: None  # noqa: E731
        search_path = SearchPath(config, folders)
        if narrow and not reason:
            search_path.begin([os.path.abspath(path.partition("::")[0]) for path in paths])
            config.args = paths
            if self._engine == "lean" and not _third_party_hooks(config, collect.HOOKS_OF_FOLDERS):
                see_all = collect.look_only_at(session, paths)
        self._trace.collecting = self._collecting = True
        undo = self._collect_lean(session)
        outcome = yield
        see_all()
        shared = self._shared
        is_part = narrow and not reason
        is_shared = shared is not None and shared.is_partial
        # A conftest of some folder may want to see all tests.
        is_done = outcome.excinfo is None
        late = _needs_everything(config) if (is_part or is_shared) and is_done else ""
        # Or to see those that were left out before it was loaded.
        overheard = is_done and self._deselection.has_left_out and self._deselection.is_overheard()
        if overheard:
            self._deselection.end()
        if late or overheard:
            if late:
                reason = late if is_part else reason
                config.args = arguments
            if shared is not None:
                shared.is_partial = False
            self._deselected.clear()
            self._collection_warnings.clear()
            session.perform_collect()
        search_path.complete()
        undo()
        self._make_item = _nobody_makes
        forget()
        config.args = arguments
        self._trace.collecting = self._collecting = False
        if outcome.excinfo is not None or config.option.collectonly:
            return
        self._report_items(session.items, None if shared is None else shared.files)
        done = Pack()
        done.texts(sorted(self._trace.listings))
        done.u8(0 if narrow and not reason else 1)
        done.text(reason)
        left_out = self._deselected
        if shared is not None:
            left_out = {file: count for file, count in left_out.items() if file in shared.files}
        done.counts(left_out)
        done.texts(self._add_wide_conftests(config))
        for why in needs.order(config, self._collected_order, session.items):
            done.text(why)
        done.text(needs.cache(config))
        done.blob(dumped(self._collection_warnings) if self._collection_warnings else b"")
        variable = self._trace.is_misled()
        if variable:
            # What the tests do now isn't what they would do in a fresh interpreter, as the next run's will be.
            self._trace.doubt_everything(
                f"{variable}, which was changed after what was imported ahead had asked for it"
            )
        self._send_trace()
        done.u8(1)
        for texts in self._preloadable.told():
            done.texts(texts)
        done.u8(int(any(True for _ in self._trace.staying_changes())))
        self._trace.ignore_changes()
        self._wire.send(wire.COLLECTION_DONE, done.bytes())

    def _collect_lean(self, session: Any) -> Callable[[], None]:
        """Let plain functions be collected the short way; gives what ends it."""
        if self._engine == "lean" and say.is_known():
            try:
                undo, self._make_item = collect.install(session, self._deselection.takes)
                return undo
            except AttributeError:  # other internals, of a version that nobody has seen yet
                pass
        return lambda: None

    def _add_wide_conftests(self, config: Any) -> list[str]:
        """The conftests that were loaded while files were collected and have a say in tests of other folders: all depend on them."""
        found = set()
        for name in _WIDE_HOOKS:
            for implementation in getattr(config.hook, name).get_hookimpls():
                plugin = implementation.plugin
                file = getattr(plugin, "__file__", None)
                if (
                    isinstance(file, str)
                    and os.path.basename(file) == "conftest.py"
                    and plugin not in self._first_plugins
                ):
                    self._trace.add_root(plugin.__name__, file)
                    found.add(file)
        return sorted(found)

    def _report_items(self, all_items: list[Any], only: Optional[frozenset[str]]) -> None:
        files: dict[str, tuple[list[Any], list[int]]] = {}
        items = Items(bool(all_items) and bool(_needs_everything(all_items[0].config)))
        for place, item in enumerate(all_items):
            name = item.nodeid
            file = name.partition("::")[0]
            if only is None or file in only:
                held, places = files.setdefault(file, ([], []))
                held.append(item)
                places.append(place)
            self._items[name] = item
        self._trace.functions.hear_of(all_items)
        for file, (held, places) in files.items():
            out = Pack()
            out.text(file)
            self._files[file] = path = str(getattr(held[0], "path", "") or getattr(held[0], "fspath", ""))
            out.text(path)
            items.pack(out, held, places)
            self._wire.send(wire.COLLECTED, out.bytes())

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> Generator[None, None, None]:
        """See the order that hooks change."""
        self._collected_order = list(items)
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Generator[None, Any, None]:
        """What is read while a file is collected belongs to that file."""
        file = collector.nodeid.split("::", 1)[0]
        inside = isinstance(collector, (pytest.File, pytest.Class)) and bool(file)
        if self._shared is not None:
            self._shared.leave_out(collector)
        before = self._trace.enter("f:" + file if inside else None)
        if inside:
            path = str(getattr(collector, "path", "") or getattr(collector, "fspath", ""))
            self._trace.add_collected(file, path)
            self._trace.functions.collects(file, path)
        yield
        self._trace.functions.has_collected()
        self._trace.enter(before)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, collector: Any, name: str, obj: Any) -> Optional[list[pytest.Function]]:
        """Make items of plain functions the short way."""
        return self._make_item(collector, name, obj)

    def pytest_collectreport(self, report: Any) -> None:
        """Tell of files that could not be collected, or that skipped themselves."""
        if report.passed or not self._collecting:
            return
        out = Pack()
        out.text(report.nodeid)
        out.text(os.path.join(str(self._root), report.nodeid.split("::", 1)[0]))
        if report.failed:
            out.text(text_of(report))
            out.pairs(sections_of(report))
            self._wire.send(wire.COLLECTION_REPORT, out.bytes(), status=ERROR)
        else:
            longrepr = report.longrepr
            reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
            out.text(reason[len("Skipped: ") :] if reason.startswith("Skipped: ") else reason)
            out.pairs([])
            self._wire.send(wire.COLLECTION_REPORT, out.bytes(), status=SKIPPED)

    def pytest_deselected(self, items: Any) -> None:
        """Count what pytest's own options leave out."""
        for item in items:
            self._count_deselected(needs.file_of(item), 1)

    def _count_deselected(self, file: str, number: int) -> None:
        self._deselected[file] = self._deselected.get(file, 0) + number

    def pytest_sessionstart(self, session: Any) -> None:
        """Remember the root."""
        self._config = session.config
        self._deselection = deselect.Deselection(session.config, self._count_deselected)
        self._root = session.config.rootpath
        Outcome.start = str(session.config.invocation_params.dir)

    # The end

    @pytest.hookimpl(tryfirst=True, hookwrapper=True)
    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> Generator[None, None, None]:
        """See whether a hook decides on another exit code."""
        yield
        self.code_was_changed = self._role == "lone" and session.exitstatus != exitstatus
        told = snapshot_end.told(self._snapshots, self._passed, self._files, self._whole_items)
        if told is not None:
            self._wire.send(wire.SNAPSHOTS, told)

    def _whole_items(self) -> dict[str, list[str]]:
        """The tests of each file of which all are known."""
        held: dict[str, list[str]] = (
            {} if self._in_parts else {file: [] for file in self._files if not self._deselected.get(file)}
        )
        for name in self._items if held else ():
            held.get(name.partition("::")[0], []).append(name)
        return held

    # The innermost wrapper: pytest's own summary, which wraps the hook as well, stays silent.
    @pytest.hookimpl(trylast=True, hookwrapper=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Pass on what plugins have to say, if there is no controller to say it."""
        import io

        said = io.StringIO()
        with speaking(terminalreporter, said):
            yield
        if self._role == "lone" and said.getvalue().strip():
            out = Pack()
            out.text(said.getvalue())
            self._wire.send(wire.SECTION, out.bytes())

    # Running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> Optional[bool]:
        """Run the jobs that the orchestrator gives, each test with its successor known, so that wide fixtures live as long as they should."""
        if session.config.option.collectonly:
            return None
        self._stop_if_asked(session, "")
        self._lean = self._start_engine(session.config)
        self._idle = Idle()
        try:
            self._run_jobs(session)
        finally:
            self._lean.close()
            self._tell_engine()
        return True

    def _start_engine(self, config: Any) -> Lean:
        forced = "--engine pytest" if self._engine == "pytest" else ""
        reason = forced or say.of_run(config, self._role, self._tells_passes)
        if not reason:
            shortcuts.set_up_directly(config)
        return Lean(config, reason, self._clock)

    def _tell_engine(self) -> None:
        """Tell how many tests took the lean path, and why others didn't."""
        out = Pack()
        out.u32(self._lean.count)
        out.counts(self._lean.reasons)
        for number in self._idle.told():
            out.u64(number)
        self._wire.send(wire.ENGINE, out.bytes())

    def _run_jobs(self, session: Any) -> None:
        may_wait = not _third_party_hooks(session.config, ("pytest_runtest_protocol", "pytest_runtest_teardown"))
        self._wire.send(wire.NEXT)
        # The orchestrator plans meanwhile.
        self.when_collected()
        job = self._job_of(self._next_command())
        while job is not None:
            # Others may take long to collect their shares, and the time of the test whose teardown that is waited in may be limited.
            lazy = may_wait and (self._shared is None or not _is_timed(job.items[-1]))
            job = self._run_job(session, job, lazy)

    def _run_job(self, session: Any, job: Job, lazy: bool) -> Optional[Job]:
        """Run the tests of a job; gives what comes after it, for which is asked when the last one is torn down, or else before it runs."""
        given: Optional[wire.Command] = None
        following: Optional[Job] = None

        def ask() -> Any:
            nonlocal given, following
            given = self._ask_for_more()
            if lazy:
                return self._foreseen(given, session)
            following = self._job_of(given)
            return following.items[0] if following is not None else None

        self._sequence = job.number
        successor = Successor(ask)
        for item, after in zip(job.items, [*job.items[1:], None]):
            self._run_item(item, after or (successor if lazy else successor.resolve()))
            self._stop_if_asked(session, "stopped" if self._wire.stop_requested() else "")
        foreseen = successor.resolve()
        # Before it is told what the tests depended on, so that what they wrote counts.
        snapshot_end.flush(self._snapshots)
        self._send_trace()
        # If items needn't be made, the next message that can't wait isn't far.
        tell = self._wire.queue if isinstance(foreseen, pytest.Item) else self._wire.send
        tell(wire.JOB_DONE, b"", job.number)
        if lazy:
            following = self._job_of(given)
        if following is not None and following.items[0] is not foreseen:
            session._setupstate.teardown_exact(following.items[0])
        return following

    def _stop_if_asked(self, session: Any, reason: str) -> None:
        """End the session if it has as many failures as `--maxfail` allows, if a plugin wants it, or for `reason`."""
        reason = str(session.shouldfail or session.shouldstop or reason)
        if reason:
            self._stopped(reason)
            raise (session.Failed if session.shouldfail else session.Interrupted)(reason)

    def _ask_for_more(self) -> Optional[wire.Command]:
        """Ask for a job, and give what is to be done for it; None if there is no more work."""
        self._wire.send(wire.NEXT)
        return self._next_command()

    def _next_command(self) -> Optional[wire.Command]:
        while True:
            began = self._clock()
            command = self._idle.leave_out(self._wire.receive)
            self._waited += self._clock() - began
            if command is None:
                os._exit(1)  # the orchestrator is gone: nobody is left to run tests for
            # A job may have been sent before it was known that it isn't to be run.
            if command[0] == wire.FINISH or self._wire.stop_requested(at_once=True):
                return None
            if command[0] in (wire.COLLECT, wire.RUN):
                return command

    def _job_of(self, command: Optional[wire.Command]) -> Optional[Job]:
        """The job that comes of what is to be done, for which items may have to be made."""
        while command is not None:
            kind, sequence, _argument, payload = command
            asked = Unpack(payload)
            if kind == wire.COLLECT:
                self._collect_more(_files_to_collect(asked))
            else:
                file, names = asked.text(), asked.texts()
                if self._shared is None or self._items.keys() >= set(names):
                    return Job(sequence, [self._items[name] for name in names])
                made = self._make_items(self._shared, [file], quiet=True)
                if self._items.keys() >= set(names):
                    return Job(sequence, [self._items[name] for name in names])
                self._report_items(made, frozenset((file,)))
                self._wire.send(wire.LACKS, sequence=sequence)
            command = self._next_command()
        return None

    def _foreseen(self, command: Optional[wire.Command], session: Any) -> Any:
        """The node for which fixtures are to be kept: the first item of the next job, or its module if its items aren't made yet. They
        can't be while a test is torn down."""
        if command is None:
            return None
        kind, _sequence, _argument, payload = command
        asked = Unpack(payload)
        if kind == wire.COLLECT:
            file, names = next(iter(_files_to_collect(asked)), ""), []
        else:
            file, names = asked.text(), asked.texts()
        item = self._items.get(names[0]) if names else None
        if item is None and self._shared is not None:
            item = self._shared.module(file)
        return session if item is None else item

    def _collect_more(self, files: list[str]) -> None:
        """Make the items of files that another worker should have made, and tell of them."""
        if self._shared is None:
            return
        self._report_items(self._make_items(self._shared, files, quiet=False), frozenset(files))
        done = Pack()
        done.texts([])
        done.u8(0)
        done.text("")
        done.counts(self._deselected)
        done.texts([])
        for _ in ("why one worker", "why another order", "pytest's cache"):
            done.text("")
        done.blob(b"")
        done.u8(0)
        self._send_trace()
        self._wire.send(wire.COLLECTION_DONE, done.bytes())

    def _make_items(self, shared: Shared, files: list[str], quiet: bool) -> list[Any]:
        """Make the items of files whose modules were only imported, as if it had been done with the others."""
        self._lean.close()
        self._deselected.clear()
        session = shared.session
        before = self._trace.enter(None)
        self._trace.collecting = self._collecting = True
        undo = self._collect_lean(session)
        made = shared.make(files, quiet)
        undo()
        self._make_item = _nobody_makes
        self._trace.collecting = self._collecting = False
        self._trace.enter(before)
        self._items.update((item.nodeid, item) for item in made)
        for item in made:
            self._files.setdefault(needs.file_of(item), str(getattr(item, "path", "") or item.fspath))
        return made

    def _run_item(self, item: Any, successor: Any) -> None:
        name = item.nodeid
        began, waited = self._clock(), self._waited
        self._wire.queue(wire.TEST_STARTED, wire.pack_text(name), self._sequence)
        self._trace.enter("t:" + name)
        self._trace.functions.runs(item)
        self._snapshots.item = item
        self._outcome = outcome = Outcome()
        if self._lean.takes(item):
            self._lean.run(item, successor, outcome)
        else:
            self._lean.close()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=successor)
        outcome.limit(self._clock() - began - (self._waited - waited))
        self._outcome = None
        self._trace.enter(None)
        if outcome.status == PASSED:
            self._passed.append(name)
        if outcome.heard or outcome.properties or outcome.status != PASSED:
            self._finished(name, outcome)
        else:
            passed = wire.pack_pass(name, outcome.phases)
            self._wire.queue(wire.TEST_FINISHED, passed, self._sequence, outcome.elapsed, PASSED)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Gather pytest's reports on the test of the moment."""
        outcome = self._outcome
        if outcome is not None:
            outcome.add(report)
            outcome.note_sections(report, self._tells_passes)
            if self._role == "told":
                outcome.keep(self._config, report)

    def _finished(self, name: str, outcome: Outcome) -> None:
        out = Pack()
        out.text(name)
        for nanoseconds in outcome.phases:
            out.u64(nanoseconds)
        out.u32(len(outcome.reports))
        for phase, status, message, text in outcome.reports:
            out.u8(phase)
            out.u8(status)
            out.text(message)
            out.text(text)
        out.pairs(outcome.sections)
        out.pairs(outcome.properties)
        out.u32(0)
        out.u32(0)
        out.blob(outcome.raw())
        status = 0 if outcome.status is None else outcome.status
        # What the user waits for is told at once.
        tell = self._wire.send if status >= FAILED else self._wire.queue
        tell(wire.TEST_FINISHED, out.bytes(), self._sequence, outcome.elapsed, status)

    def _send_trace(self) -> None:
        modules, imports, reads, written, touched = self._trace.take()
        was_traced = self._trace.functions.is_traced
        is_traced, places, ran = self._trace.functions.take()
        left, opaque = self._trace.functions.take_left()
        is_lost = is_traced != was_traced
        if not (modules or imports or reads or written or touched or places or ran or left or opaque or is_lost):
            return
        out = Pack()
        out.pairs(modules)
        out.pairs(imports)
        out.u32(len(reads))
        for owner, kind, key in reads:
            out.text(owner)
            out.u8(kind)
            out.text(key)
        out.texts(written)
        out.texts(touched)
        out.u8(is_traced)
        out.u32(len(places))
        for path, line in places:
            out.text(path)
            out.u32(line)
        out.u32(len(ran))
        for owners, numbers in ran:
            out.texts(owners)
            out.numbers(numbers)
        out.u32(len(left))
        for owner, fixture, found in left:
            out.text(owner)
            out.text(fixture)
            out.u32(len(found))
            for name, delta in found:
                out.text(name)
                out.u64(delta)
        out.texts(opaque)
        self._wire.send(wire.TRACE, out.bytes())

    # What else the user should know

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        """Pass a warning on, as pytest's summary would word it."""
        import warnings

        text = warnings.formatwarning(
            str(warning_message.message),
            warning_message.category,
            warning_message.filename,
            warning_message.lineno,
            warning_message.line,
        )
        out = Pack()
        out.text(nodeid)
        out.text(text)
        self._wire.send(wire.WARNING, out.bytes())
        if self._role == "told":
            data = to_data(warning_message, when, nodeid, location)
            if self._outcome is not None:
                self._outcome.keep_warning(data)
            elif self._collecting:
                self._collection_warnings.append(data)

    def pytest_internalerror(self, excrepr: Any) -> None:
        """An error of pytest's own, or of a plugin's, ends the run."""
        text = "\n".join(f"INTERNALERROR> {line}" for line in str(excrepr).split("\n"))
        self.send_fatal(text, 3)

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        """Ctrl-C, or `pytest.exit`."""
        reason = f"{excinfo.typename}: {excinfo.value}" if str(excinfo.value) else excinfo.typename
        if isinstance(excinfo.value, KeyboardInterrupt):
            crash = getattr(excinfo.getrepr(style="short"), "reprcrash", None)
            if crash is not None:
                reason += f" at {crash.path}:{crash.lineno}"
        self._stopped(reason)

    def _stopped(self, reason: str) -> None:
        out = Pack()
        out.text(reason)
        self._wire.send(wire.STOPPED, out.bytes())

    def send_fatal(self, text: str, code: int) -> None:
        """Tell why the run can't go on."""
        self.fatal = True
        out = Pack()
        out.text(text)
        self._wire.send(wire.FATAL, out.bytes(), status=code)


class SharedFixtures:
    """The plugin that tells `trace` while something is set up that tests share: what is read and written for it is every test's, what runs
    for it that of its users."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, None]:
        """Note that a fixture is set up that tests share; pytest does so."""
        before, is_wide = self._trace.is_sharing, fixturedef.scope != "function"
        self._trace.is_sharing = before or is_wide
        is_compared = is_wide and not (fixturedef.func.__module__ or "").startswith("_pytest.")
        if is_compared:
            self._trace.functions.share(fixturedef)
        outcome = yield
        if is_compared:
            self._trace.functions.has_shared(fixturedef, request, outcome.excinfo is not None)
        self._trace.is_sharing = before


def _nobody_makes(_collector: Any, _name: str, _obj: Any) -> None:
    """Leaves it to pytest."""


def _is_timed(item: Any) -> bool:
    """Whether somebody may limit how long a test takes with its teardown: pytest-timeout, or faulthandler."""
    config = item.config
    if config.pluginmanager.hasplugin("timeout"):
        of_all = getattr(config, "_env_timeout", True)
        if of_all or item.get_closest_marker("timeout") is not None:
            return True
    try:
        return float(config.getini("faulthandler_timeout") or 0) > 0
    except ValueError:  # that plugin is left out
        return False


def _files_to_collect(asked: Unpack) -> list[str]:
    """The files whose items a worker is asked to make in place of another one that is gone."""
    asked.u8(), asked.texts(), asked.texts(), asked.u8()
    return asked.texts()


def _needs_everything(config: Any) -> str:
    """Why a part of the files can't be collected alone; empty if it can."""
    for name, where in _third_party_hooks(config, _WHOLE_SESSION_HOOKS):
        return f"{name} in {where} may look at all tests"
    return ""


def _third_party_hooks(config: Any, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Implementations of these hooks by conftests, and by plugins that aren't known to do the same to a part of the items."""
    return [(name, where) for name, where, _ in needs.implementations(config, names, needs.WELL_KNOWN)]
