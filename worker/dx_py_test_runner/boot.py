"""Starts a worker: `python boot.py SOCKET_FD RING_FD NUMBER COUNT BASETEMP RUN_ID ROLE ENGINE WHEN -- PYTEST_ARGUMENTS…`; or, with the one
argument `controller` or `report` before the dashes, the session for plugins that report, or the one that reports coverage; or
`zygote FOLDER NAME SECONDS MODULES…`, the zygote that forks workers, named so, which ends when it was idle for so long.

The role is `told` for a worker whose reports a controller will hear, `lone` for one that is all there is, so that plugins say in it
what they have to say at the end, and `mute` for every other. The engine is `lean` or `pytest`. A worker that is to begin `later`, not `now`, runs
nothing of the project's before it was told something: there may be no work for it.

The interpreter is then made to look as `python -m pytest PYTEST_ARGUMENTS…` would leave it, and pytest is configured and run.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

# Of this package, of dx-py's records, and of the code that is kept there.
_OWN = os.path.dirname(os.path.abspath(__file__))
_DX = os.path.dirname(os.path.dirname(_OWN))
_BYTECODE = os.path.join(_DX, "bytecode")


def main(argv: list[str]) -> int:
    """Run one worker, or the report, to its end; gives pytest's exit code."""
    # Where Python was told to put no folder before the others, there is none to be replaced.
    is_safe = bool(getattr(sys.flags, "safe_path", False))
    if is_safe:
        sys.path.insert(0, "")
    sys.path[0] = os.path.dirname(_OWN)
    # What a `sitecustomize` may have imported is another version: an installed one.
    for name in [name for name in sys.modules if name.partition(".")[0] == "dx_py_test_runner"]:
        del sys.modules[name]
    from dx_py_test_runner import compiled

    compiled.install(_BYTECODE)
    if argv[1] in ("controller", "report"):
        from dx_py_test_runner.controller import control, report

        _leave_to_pytest(is_safe)
        return (control if argv[1] == "controller" else report)(argv[3:])
    from dx_py_test_runner import economy, kept_code
    from dx_py_test_runner.observe import install
    from dx_py_test_runner.trace import Trace
    from dx_py_test_runner.wire import FATAL, Pack, Wire

    _leave_to_pytest(is_safe)
    trace = Trace(os.path.join(_OWN, ""), os.getcwd())
    economy.all_objects = lambda: trace.unheard(gc.get_objects)
    fork: Any = None
    try:
        import importlib.util

        spec = importlib.util.find_spec("pytest")
    except (ImportError, ValueError):
        spec = None
    if argv[1] == "zygote":
        fork = None if spec is None else _fork_workers(argv, trace)
        if fork is None:
            os._exit(0)  # what was imported has nothing to do at the end of this process
        argv = fork.argv
    sock_fd, ring_fd, number, count = (int(text) for text in argv[1:5])
    basetemp, run_id, role, engine, when = argv[5:10]
    arguments = argv[11:]
    for fd in (sock_fd, ring_fd):
        os.set_inheritable(fd, False)
    economy.note_streams()
    before = economy.written_streams() or set()
    wire = Wire(sock_fd, ring_fd)
    economy.own_streams.update({sock_fd}, (economy.written_streams() or set()) - before)

    def fatal(text: str, code: int) -> int:
        out = Pack()
        out.text(text)
        wire.send(FATAL, out.bytes(), status=code)
        return code

    if spec is None:
        return fatal(
            f"pytest is not installed for {sys.executable}\n"
            f"Install it there (`{sys.executable} -m pip install pytest`), or name another interpreter with --python.",
            4,
        )
    origin = spec.origin or "pytest"
    sys.argv[:] = [os.path.join(os.path.dirname(origin), "__main__.py"), *arguments]
    if count > 1:
        os.environ["PYTEST_XDIST_WORKER"] = f"gw{number}"
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(count)
        os.environ["PYTEST_XDIST_TESTRUNUID"] = run_id
    tracks = not os.environ.pop("DX_PY_UNTRACKED", "")
    if tracks and not trace.is_installed:
        install(trace)
    waits = when == "later"
    status = _run_pytest(
        wire, trace, tracks, fork, arguments, number, count, basetemp, run_id, role, engine, waits, fatal
    )
    trace.heeded.clear()  # nobody is told of what comes now
    kept_code.tell()
    return status


def _leave_to_pytest(is_safe: bool) -> None:
    """Make the path what it is for `python -m pytest`."""
    if is_safe:
        del sys.path[0]
    else:
        sys.path[0] = os.getcwd()


def _fork_workers(argv: list[str], trace: Any) -> Any:
    """Be the zygote; gives, in a worker, what was asked for."""
    from dx_py_test_runner.zygote import Zygote

    folder, name, idle = argv[2:5]
    return Zygote(folder, name, float(idle), trace).serve(argv[5:])


def _run_pytest(
    wire: Any,
    trace: Any,
    tracks: bool,
    fork: Any,
    arguments: list[str],
    number: int,
    count: int,
    basetemp: str,
    run_id: str,
    role: str,
    engine: str,
    waits: bool,
    fatal: Callable[[str, int], int],
) -> int:
    from _pytest.config import ConftestImportFailure, UsageError
    from dx_py_test_runner import ahead, bytecode, economy, say, shortcuts
    from dx_py_test_runner import plugin as snapshots
    from dx_py_test_runner.coverage_data import CoverageData
    from dx_py_test_runner.gate import Gate
    from dx_py_test_runner.observe import see_functions
    from dx_py_test_runner.session import SharedFixtures, WorkerPlugin
    from dx_py_test_runner.wire import BYE

    import pytest

    economy.freeze()
    economy.leave_cache_to_orchestrator()
    economy.keep_parser()
    economy.collect_once_is_enough()
    plugin = WorkerPlugin(wire, trace, role, engine)
    if engine == "lean":
        plugin.when_collected = economy.collect_seldom()
        economy.pass_over_pytests_plugins()
        if say.is_known():
            shortcuts.look_at_code()
            shortcuts.share_ids()
            shortcuts.pass_over_plain_objects()
    bytecode.install(_BYTECODE)
    if getattr(pytest, "version_tuple", (0,)) >= (8, 2):  # from there on `pytest.main` sets it, and code asks for it
        os.environ["PYTEST_VERSION"] = pytest.__version__
    plugins: list[Any] = [plugin, CoverageData(_DX, run_id), snapshots]
    if os.environ.pop("DX_PY_FUNCTIONS", ""):
        see_functions(trace)
        plugins.append(SharedFixtures(trace))
    snapshots.told = os.environ.pop(snapshots.VARIABLE, "")
    snapshots.fixtures_limit = os.environ.pop(snapshots.LIMIT_VARIABLE, "")
    code = 1
    gate = Gate(wire.wait if waits else None)
    trace.before_body = gate.open
    plugins.append(gate)
    ahead.hand_out()
    try:
        try:
            with gate:
                config = _configured(arguments, plugins, trace, fork)
        except ConftestImportFailure as error:
            return fatal(_conftest_failure(error), 4)
        except pytest.exit.Exception as error:
            return fatal(f"Exit: {error.msg}", error.returncode if error.returncode is not None else 2)
        except UsageError:
            raise
        except Exception:  # pytest shows the traceback; its exit code is Python's then
            import traceback

            return fatal(traceback.format_exc(), 1)
        economy.note_capture(config)
        if not tracks:
            trace.end("what nobody saw: it last ran with tracking off")
        try:
            become_worker(config, number, count, basetemp, run_id)
            if count > 1 and config.option.basetemp:
                # What workers share lies beside their own folders.
                trace.temporary.add_made(os.path.realpath(os.path.dirname(config.option.basetemp)))
            code = int(config.hook.pytest_cmdline_main(config=config) or 0)
        except ConftestImportFailure as error:
            return fatal(_conftest_failure(error), 4)
        finally:
            config._ensure_unconfigure()
    except UsageError as error:
        return fatal(usage_text(error), 4)
    except SystemExit as error:  # argparse has printed what is wrong with an option
        code = error.code if isinstance(error.code, int) else 4
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    wire.send(BYE, status=code & 0xFF, sequence=int(plugin.code_was_changed))
    return code


def _configured(arguments: list[str], plugins: list[Any], trace: Any, fork: Any) -> Any:
    """pytest's configuration, with conftests and plugins. A fork that has imported something too early for them starts over."""
    from _pytest.config import _prepareconfig

    try:
        config = _prepareconfig(arguments, plugins)
    except BaseException:
        if fork is not None and trace.is_misled():
            fork.start_over()
        raise
    if fork is not None:
        if trace.is_misled():
            config._ensure_unconfigure()
            fork.start_over()
        fork.go_on()
    return config


def usage_text(error: Exception) -> str:
    """A usage error as pytest prints it."""
    return "\n".join(f"ERROR: {line}" for line in error.args)


def leave_xdist_out(option: Any) -> None:
    """Set xdist's options so that it starts no workers of its own."""
    for name, value in (
        ("dist", "no"),
        ("distload", False),
        ("numprocesses", None),
        ("maxprocesses", None),
        ("tx", []),
    ):
        if hasattr(option, name):
            setattr(option, name, value)


def become_worker(config: Any, number: int, count: int, basetemp: str, run_id: str) -> None:
    """Make the session look to plugins as one of xdist's workers does, and keep xdist itself from starting its own."""
    option = config.option
    leave_xdist_out(option)
    if hasattr(option, "no-testmon"):
        # It would leave out what was selected, and its records belong to one process.
        setattr(option, "no-testmon", True)
    option.usepdb = False
    if count > 1:
        config.workerinput = {
            "workerid": f"gw{number}",
            "workercount": count,
            "testrunuid": run_id,
            "mainargv": list(sys.argv),
        }
        config.workeroutput = {}
        _add_what_controllers_tell(config, run_id)
        parent = option.basetemp or basetemp
        if parent:
            os.makedirs(parent, mode=0o700, exist_ok=True)
            option.basetemp = os.path.join(parent, f"popen-gw{number}")


def _add_what_controllers_tell(config: Any, run_id: str) -> None:
    """Add what plugins' own controllers hand to the workers under xdist, for those that can't do without."""
    if config.pluginmanager.hasplugin("_cov"):
        import socket

        # The workers share the controller's files.
        config.workerinput.update(
            cov_master_host=socket.gethostname(), cov_master_topdir=os.getcwd(), cov_master_rsync_roots=[]
        )
    seed = getattr(config.option, "randomly_seed", None)
    if seed is not None:
        import zlib

        # One order for all: a seed that isn't given is the run's own.
        config.workerinput["randomly_seed"] = seed if isinstance(seed, int) else zlib.crc32(run_id.encode())


def _conftest_failure(error: Any) -> str:
    """The text that pytest prints when a conftest can't be imported."""
    from _pytest._code import ExceptionInfo
    from _pytest._code.code import filter_traceback

    cause = getattr(error, "cause", None) or error.excinfo[1]
    info = ExceptionInfo.from_exc_info((type(cause), cause, cause.__traceback__))
    info.traceback = info.traceback.filter(filter_traceback)
    shown = info.getrepr(style="short", chain=False) if info.traceback else info.exconly()
    return f"ImportError while loading conftest '{error.path}'.\n{shown}"


def _run_to_the_end() -> NoReturn:
    status = main(sys.argv)
    from dx_py_test_runner.economy import leave

    leave(status)


if __name__ == "__main__":
    _run_to_the_end()
