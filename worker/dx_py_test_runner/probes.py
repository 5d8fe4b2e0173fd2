"""The compiled part of this package, which the binary brings along: what is asked of the interpreter so often that Python would be too slow."""

from __future__ import annotations

import sys
from typing import Any, Optional


def load() -> Optional[Any]:
    """The module, if there is one for this interpreter: it relies on how objects are laid out."""
    is_known = sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
    if not is_known or object.__basicsize__ != 2 * tuple.__itemsize__ or tuple.__itemsize__ != 8:
        return None
    try:
        from . import _probes  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return None
    return _probes
