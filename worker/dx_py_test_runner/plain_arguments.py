"""What of a session of plain pytest `dx-py` must know to find the records that compare with it.

Records belong to the arguments under which tests ran. Those that only choose tests, show something, or spread tests over processes are
left out here, as `dx-py test` leaves its own out; everything else counts, known or not. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Optional

#: Options that don't bear on the outcome of a test: they choose tests, show something, or spread tests over processes.
_WITHOUT_VALUE = """
    --dx -x --exitfirst --lf --last-failed --ff --failed-first --nf --new-first --sw --stepwise --sw-skip --stepwise-skip --sw-reset
    --stepwise-reset --cache-show --co --collect-only --collectonly --pdb --trace --setup-show --setup-only --setup-plan --fixtures
    --funcargs --fixtures-per-test --markers --keep-duplicates --continue-on-collection-errors -d --update-snapshots --snapshots-ci
    --no-cov --cov-branch --cov-append --cov-reset --no-cov-on-fail
"""
_WITH_VALUE = """
    --dx-changed-since -k -m --maxfail --deselect --ignore --ignore-glob --lfnf --last-failed-no-failures --junitxml --junit-xml
    --junit-prefix -n --numprocesses --maxprocesses --dist --tx --pdbcls --cov --cov-report --cov-config --cov-fail-under --cov-context
"""
_FLAGS, _VALUED = frozenset(_WITHOUT_VALUE.split()), frozenset(_WITH_VALUE.split())
#: The names of this plugin for `-p`, and those of xdist, which only spreads tests.
_OWN = ("dx_py_test_runner", "dx_py_test_runner.plugin")
_PLUGINS = (*_OWN, "xdist", "xdist.plugin", "no:xdist", "xdist.looponfail")
#: Letters of options without a value that may stand together after one dash.
_TOGETHER = frozenset("vqxsld")
#: What pytest itself has set by the time that a plugin can look.
_OF_PYTEST = ("PYTEST_VERSION",)


def comparable(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words of a command line of pytest that bear on outcomes, and whether it has `-s`.

    >>> from dx_py_test_runner.plain_arguments import comparable
    >>> comparable(["-xvs", "tests", "-k", "not slow", "--dx", "-Werror", "-n4", "--db", "x"])
    (['-v', 'tests', '-Werror', '--db', 'x'], True)
    """
    kept: list[str] = []
    no_capture = False
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            # pytest takes all that follows for paths.
            kept += [path for path in reversed(rest) if not path.startswith("-")]
            break
        if len(word) > 2 and word[0] == "-" and _TOGETHER.issuperset(word[1:]):
            rest += ["-" + letter for letter in reversed(word[1:])]
            continue
        name, value = _split(word)
        if word == "-s":
            no_capture = True
        elif name == "-p":
            value = rest.pop() if value is None and rest else value
            if value not in _PLUGINS:
                kept += ["-p", value or ""]
        elif name in _VALUED:
            # `--cov` may do without.
            if value is None and rest and not (name == "--cov" and rest[-1].startswith("-")):
                rest.pop()
        elif word not in _FLAGS:
            kept.append(word)
    return kept, no_capture


def _split(word: str) -> tuple[str, Optional[str]]:
    """The name of an option, and its value if that is joined to it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if word.startswith("-") and len(word) > 1:
        return word[:2], word[2:].lstrip("=") if len(word) > 2 else None
    return word, None


def variables(before: Mapping[str, str]) -> dict[str, str]:
    """The environment for the command, given that in which pytest was started: without what pytest has set and what asks for the
    selection."""
    kept = {name: value for name, value in before.items() if name not in _OF_PYTEST}
    told = kept.get("PYTEST_ADDOPTS", "")
    if told:
        try:
            words = shlex.split(told)
        except ValueError:  # pytest has refused it already
            return kept
        left = _without_own(words)
        if left != words:
            kept["PYTEST_ADDOPTS"] = shlex.join(left)
    return kept


def _without_own(words: list[str]) -> list[str]:
    """All words but those that ask for this plugin: of the rest `dx-py test` sees as much."""
    left: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--dx" or word.startswith("--dx-changed-since="):
            continue
        if word == "--dx-changed-since":
            del rest[-1:]
        elif word == "-p" and rest and rest[-1] in _OWN:
            rest.pop()
        elif word[:2] != "-p" or word[2:] not in _OWN:
            left.append(word)
    return left


def measures_coverage(config: object) -> bool:
    """Whether pytest-cov measures coverage, which would be wrong for a part of the tests."""
    option = getattr(config, "option", None)
    return bool(getattr(option, "cov_source", None)) and not getattr(option, "no_cov", False)


def doubt(config: object, environ: Mapping[str, str]) -> str:
    """Why no record can say anything of a session; empty if some may."""
    if getattr(getattr(config, "invocation_params", None), "plugins", None):
        return "a program has started pytest with plugins of its own"
    flags = sys.flags
    for is_set, variable, name in (
        (flags.optimize, "PYTHONOPTIMIZE", "-O"),
        (flags.dev_mode, "PYTHONDEVMODE", "-X dev"),
        (flags.no_user_site and not flags.isolated, "PYTHONNOUSERSITE", "-s"),
        (getattr(flags, "safe_path", False) and not flags.isolated, "PYTHONSAFEPATH", "-P"),
        (flags.isolated, "", "-I"),
        (flags.ignore_environment and not flags.isolated, "", "-E"),
        (flags.no_site, "", "-S"),
        (flags.bytes_warning, "", "-b"),
        (sys.warnoptions and not flags.dev_mode, "PYTHONWARNINGS", "-W"),
    ):
        if is_set and not environ.get(variable):
            return f"Python itself was started with {name}"
    return ""
