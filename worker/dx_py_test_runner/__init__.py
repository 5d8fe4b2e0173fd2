"""dx-py for tests and for Python programs, and the worker side of dx-py itself.

Tests write `import dx_py_test_runner as dx` and have `dx.snapshot` and `dx.fixture`.

For programs: `discover` and `history` say what is known of a project's tests, `run` and `affected` run them or say what a run would do,
`blake3` is the digest that dx-py goes by. All errors are `DxError`. Names are looked up when they are first used, since most of them
need the compiled part or the binary, which the package has when it was installed as `dx-py`.

The worker runs tests through the user's own pytest and reports over a binary protocol: `boot` starts it; `session` is the pytest plugin
that collects and runs; `observe` sees what tests depend on and `trace` keeps it; `outcome` turns pytest's reports into results; `wire`
is the protocol. The binary carries these files, so that it needs nothing but pytest in the user's environment.

For pytest, which would warn that the package, a plugin, was imported before it: PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._native import blake3 as blake3
    from .command import Affected as Affected
    from .command import Report as Report
    from .command import RunResult as RunResult
    from .command import TestOutcome as TestOutcome
    from .command import affected as affected
    from .command import run as run
    from .errors import CatalogError as CatalogError
    from .errors import CommandError as CommandError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import DxError as DxError
    from .errors import PathError as PathError
    from .errors import RingError as RingError
    from .fixtures import FixtureError as FixtureError
    from .fixtures import FixtureNotCached as FixtureNotCached
    from .fixtures import fixture as fixture
    from .queries import Discovered as Discovered
    from .queries import Marker as Marker
    from .queries import RecordedOutcome as RecordedOutcome
    from .queries import RecordedRun as RecordedRun
    from .queries import discover as discover
    from .queries import history as history
    from .serialise import Fields as Fields
    from .serialise import Row as Row
    from .serialise import register_serialiser as register_serialiser
    from .snapshots import SnapshotError as SnapshotError
    from .snapshots import SnapshotMismatch as SnapshotMismatch
    from .snapshots import snapshot as snapshot

__version__ = "0.1.0"

#: For `-p dx_py_test_runner`: the plugin is a module of its own, which is loaded where no test asks for anything here.
pytest_plugins = ("dx_py_test_runner.plugin",)

#: Where each public name is defined.
_HOMES = {
    "Affected": "command",
    "CatalogError": "errors",
    "CommandError": "errors",
    "ConfigurationError": "errors",
    "Discovered": "queries",
    "DxError": "errors",
    "Fields": "serialise",
    "FixtureError": "fixtures",
    "FixtureNotCached": "fixtures",
    "Marker": "queries",
    "PathError": "errors",
    "RecordedOutcome": "queries",
    "RecordedRun": "queries",
    "Report": "command",
    "RingError": "errors",
    "Row": "serialise",
    "RunResult": "command",
    "SnapshotError": "snapshots",
    "SnapshotMismatch": "snapshots",
    "TestOutcome": "command",
    "affected": "command",
    "blake3": "_native",
    "discover": "queries",
    "fixture": "fixtures",
    "history": "queries",
    "register_serialiser": "serialise",
    "run": "command",
    "snapshot": "snapshots",
}

#: What can't be imported without the compiled part.
_COMPILED = ("_native", "queries")

__all__ = [
    "Affected",
    "CatalogError",
    "CommandError",
    "ConfigurationError",
    "Discovered",
    "DxError",
    "Fields",
    "FixtureError",
    "FixtureNotCached",
    "Marker",
    "PathError",
    "RecordedOutcome",
    "RecordedRun",
    "Report",
    "RingError",
    "Row",
    "RunResult",
    "SnapshotError",
    "SnapshotMismatch",
    "TestOutcome",
    "affected",
    "blake3",
    "discover",
    "fixture",
    "history",
    "register_serialiser",
    "run",
    "snapshot",
]

_INSTALL = (
    f"the compiled part of dx-py {__version__} isn't installed for {sys.executable}\n"
    f"Install it there: `{sys.executable} -m pip install dx-py=={__version__}`."
)


def _installed_parts() -> list[str]:
    """For the files that the binary carries: the installed package of this very version, whose compiled part they may use.

    Another version's isn't looked at: what the two ends of the protocol mean, and how, belongs to a version.
    """
    own = os.path.dirname(os.path.abspath(__file__))
    for folder in (own, *(os.path.join(path, "dx_py_test_runner") for path in sys.path)):
        if any(os.path.exists(os.path.join(folder, "_native" + suffix)) for suffix in EXTENSION_SUFFIXES):
            record = os.path.join(os.path.dirname(folder), f"dx_py-{__version__}.dist-info")
            return [folder] if folder != own and os.path.isdir(record) else []
    return []


__path__ += _installed_parts()


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home in _COMPILED:
        try:
            import_module("._native", __name__)
        except ModuleNotFoundError as error:
            raise ImportError(f"can't import {name!r}: {_INSTALL}", name=error.name) from None
    value: object = getattr(import_module("." + home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
