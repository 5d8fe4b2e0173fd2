"""dx-py, seen from Python: what tests may use, and the worker side of the runner.

Tests write `import dx_py_test_runner as dx` and have `dx.snapshot`. What is given here is imported when it is asked for, so that a worker
starts without it.

The worker: `boot` starts it; `session` is the pytest plugin that collects and runs; `observe` sees what tests depend on and `trace` keeps
it; `outcome` turns pytest's reports into results; `wire` is the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .serialise import Fields, Row, register_serialiser
    from .snapshots import SnapshotError, SnapshotMismatch, snapshot

__all__ = ["Fields", "Row", "SnapshotError", "SnapshotMismatch", "register_serialiser", "snapshot"]

#: Where each public name is.
_PLACES = {
    "Fields": "serialise",
    "Row": "serialise",
    "SnapshotError": "snapshots",
    "SnapshotMismatch": "snapshots",
    "register_serialiser": "serialise",
    "snapshot": "snapshots",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(f".{place}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
