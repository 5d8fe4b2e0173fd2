"""A pytest plugin that writes what a project's own code needs, whatever runs it, to the file that BOUND_OUT names.

CPU time, that of child processes which have ended included, is taken around test functions, the set-up and teardown of fixtures, and
the import of test modules and conftests. Each of these counts only what isn't in another one within it. What pytest itself does
between them isn't the project's need and is left out.
"""

import contextlib, functools, json, os, resource, time

import _pytest.config
import _pytest.fixtures
import _pytest.python
import pytest

# What every worker needs once, and what a file's tests need, in seconds; and the wall time that a file took.
shared = {"imports": 0.0, "session": 0.0}
cpu_of_file = {}
wall_of_file = {}
within = []


def now():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextlib.contextmanager
def counted(table, key):
    within.append(0.0)
    cpu, wall = now(), time.perf_counter()
    try:
        yield
    finally:
        spent = now() - cpu
        table[key] = table.get(key, 0.0) + spent - within.pop()
        if within:
            within[-1] += spent
        elif table is cpu_of_file:
            wall_of_file[key] = wall_of_file.get(key, 0.0) + time.perf_counter() - wall


def file_of(nodeid):
    return nodeid.split("::")[0]


def wrapped(module, name, table, key):
    function = getattr(module, name, None)
    if function is None:
        return

    @functools.wraps(function)
    def call(*args, **kwargs):
        with counted(table, key() if callable(key) else key):
            return function(*args, **kwargs)

    setattr(module, name, call)


current = [""]
wrapped(_pytest.python, "importtestmodule", shared, "imports")
wrapped(_pytest.python.Module, "_importtestmodule", shared, "imports")
wrapped(_pytest.config.PytestPluginManager, "_importconftest", shared, "imports")
wrapped(_pytest.fixtures, "_teardown_yield_fixture", cpu_of_file, lambda: current[0])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    current[0] = file_of(item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.scope == "session":
        where = shared, "session"
    else:
        where = cpu_of_file, file_of(request.node.nodeid) or current[0]
    with counted(*where):
        yield


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    with counted(cpu_of_file, file_of(pyfuncitem.nodeid)):
        yield


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_call(item):
    # Doctests and the methods of unittest's classes don't go through pytest_pyfunc_call.
    if type(item) is pytest.Function:
        yield
    else:
        with counted(cpu_of_file, file_of(item.nodeid)):
            yield


def pytest_unconfigure(config):
    with open(os.environ["BOUND_OUT"], "w") as f:
        json.dump({"shared": sum(shared.values()), "cpu": cpu_of_file, "wall": wall_of_file}, f)
