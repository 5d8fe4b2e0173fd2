"""Carries pytest's recorded warnings from a worker to the controller: as plain data, and back into what hooks are given."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

#: What a `WarningMessage` has beside the warning and its category.
_DETAILS = ("filename", "lineno", "file", "line", "source")


def to_data(warning_message: Any, when: str, nodeid: str, location: Any) -> dict[str, Any]:
    """What `pytest_warning_recorded` is called with, as data that `marshal` knows, if the warning's own arguments are."""
    message = warning_message.message
    details = {name: getattr(warning_message, name, None) for name in _DETAILS}
    for name in ("file", "source"):
        if details[name] is not None:
            details[name] = repr(details[name])
    return {
        "text": str(message),
        "classes": _names_of(type(message)) if isinstance(message, Warning) else [],
        "arguments": tuple(getattr(message, "args", ())),
        "categories": _names_of(warning_message.category),
        "details": details,
        "when": when,
        "nodeid": nodeid,
        "location": location,
    }


def from_data(data: dict[str, Any]) -> dict[str, Any]:
    """The arguments for `pytest_warning_recorded`, as far as this process can import the warning's class."""
    warning_message: Any = warnings.WarningMessage(
        message=_message(data), category=_found(data["categories"]) or Warning, **data["details"]
    )
    return {"warning_message": warning_message, **{name: data[name] for name in ("when", "nodeid", "location")}}


def _message(data: dict[str, Any]) -> Any:
    text, names = data["text"], data["classes"]
    if not names:
        return text
    found = _found(names[:1])
    if found is not None:
        try:
            message = found(*data["arguments"])
            if str(message) == text:
                return message
        except Exception:  # a class of the user's may want other arguments than it keeps
            pass
    # As xdist does it.
    return Warning(f"{'.'.join(names[0])}: {text}")


def _names_of(category: Any) -> list[tuple[str, str]]:
    """A class and its bases, the nearest first."""
    bases = [base for base in getattr(category, "__mro__", ()) if issubclass(base, Warning)]
    return [(base.__module__, base.__qualname__) for base in bases]


def _found(names: list[tuple[str, str]]) -> Any:
    """The first of these classes that can be imported."""
    for module, name in names:
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception:  # modules of the user's may do anything when they are imported
            continue
        if isinstance(found, type) and issubclass(found, Warning):
            return found
    return None
