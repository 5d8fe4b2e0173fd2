"""The exceptions of dx-py's API: all are `DxError`, and say what happened, where, and what to do next."""

from __future__ import annotations

from typing import Optional


class DxError(Exception):
    """What all errors of dx-py's are.

    >>> import dx_py_test_runner as dx
    >>> try:
    ...     dx.discover("no/such/folder")
    ... except dx.DxError as error:
    ...     print(str(error).splitlines()[0])
    can't look into no/such/folder
    """


class ConfigurationError(DxError):
    """The project isn't there, or its configuration can't be used."""


class PathError(DxError):
    """A path isn't there, or isn't the project's."""


class CatalogError(DxError):
    """The records of earlier runs can't be used."""


class RingError(DxError):
    """Shared memory isn't a ring, or what should go through it isn't a report."""


class CommandError(DxError):
    """The command `dx-py` isn't there, or ended without a result.

    `exit_code` is its exit code: 3 for an error of its own, 4 for wrong usage; None if it never ran. `output` is what it wrote to
    standard error, if that was asked for.
    """

    def __init__(self, message: str, exit_code: Optional[int] = None, output: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.output = output

    def __reduce__(self) -> tuple[type[CommandError], tuple[str, Optional[int], str]]:
        return type(self), (str(self), self.exit_code, self.output)
