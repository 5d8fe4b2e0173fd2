"""The examples in the docstrings, each in a project of its own."""

import doctest
from importlib import import_module

import pytest

PARTS = ("_native", "command", "errors", "plain_arguments", "queries")
MODULES = ["dx_py_test_runner", *(f"dx_py_test_runner.{name}" for name in PARTS)]


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        module = import_module(name)
        for example in finder.find(module, globs={}):
            if example.examples:
                yield pytest.param(example, id=example.name)


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example, shop):
    told = []
    failures, tried = doctest.DocTestRunner(verbose=False).run(example, out=told.append)
    assert tried
    assert not failures, "".join(told)


def test_every_function_has_an_example():
    names = {param.id.rpartition(".")[2] for param in EXAMPLES}
    assert {"blake3", "discover", "history", "run", "affected", "find_binary", "DxError"} <= names
