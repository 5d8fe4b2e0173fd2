"""Plain pytest with the plugin that is installed, and the command beside it."""

import os
import subprocess
import sys

import dx_py_test_runner as dx


def pytest_of(folder, *arguments):
    command = [sys.executable, "-m", "pytest", *arguments]
    # As Python knows it: readline, which pytest imports, puts COLUMNS into the process's.
    env = dict(os.environ)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_fresh_tests_are_left_out_if_it_is_asked_for(shop):
    code, told = pytest_of(shop, "--dx")
    assert code == 1 and "1 failed, 2 passed" in told, told
    assert "dx-py: every test runs: nothing is on record" in told, told
    dx.run(root=shop, output=False)
    code, told = pytest_of(shop, "--dx")
    assert code == 1 and "1 failed, 2 deselected" in told, told
    code, told = pytest_of(shop, "-p", "dx_py_test_runner", "--dx", "-k", "total")
    assert code == 0 and "dx-py: 1 fresh test left out" in told, told
    code, told = pytest_of(shop)
    assert code == 1 and "1 failed, 2 passed" in told, told
