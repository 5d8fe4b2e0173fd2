"""Files of tests whose state is theirs alone: what only their variables lead to no test of another file finds, for `leftovers`.

A module of tests that no other code of the project mentions is imported by nobody else, and a test of another file can't get at its variables.
So an application or a client that hundreds of files of tests each have as `app` is as many of them. Once code is seen that does mention the
module, or code of its own runs in a test of another file, which somebody has given a function of it, what it leads to is everybody's again.
"""

from __future__ import annotations

import os
from types import CodeType

from .objects import Operands

#: In place of a scope: everybody finds it.
EVERYBODY = ""

#: Between a name and the node ID of the file whose own it is. `cli/leftovers.rs` asks for it.
OF_FILE = "\0"

#: What code mentions that gets at a module by a text.
_BY_TEXT = frozenset(
    (
        "__import__",
        "import_module",
        "importorskip",
        "loadTestsFromName",
        "loadTestsFromNames",
        "modules",
        "pytest_plugins",
    )
)

#: Files that others use without mentioning them.
_OF_FOLDERS = frozenset(("__init__", "conftest"))


class Scopes:
    """The files that were collected, and which of them are mentioned elsewhere. A scope is the node ID of a file, or `EVERYBODY`."""

    def __init__(self) -> None:
        # By paths the node IDs of files that may be scopes, and those of them that are.
        self._files: dict[str, str] = {}
        self._scopes: set[str] = set()
        # The last part of what is imported, and the file that does so; none if there are several.
        self._mentioned: dict[str, str] = {}

    def add(self, path: str, file: str) -> None:
        """The file at `path`, which has this node ID, is about to be collected."""
        if _stem(path) not in _OF_FOLDERS and path not in self._files:
            self._files[path] = file
            if not self._is_mentioned(path):
                self._scopes.add(file)

    def read(self, code: CodeType, operands: Operands) -> None:
        """Learn what code mentions."""
        names = operands.imported
        if not _BY_TEXT.isdisjoint(code.co_names):
            names = [*names, *(one for one in code.co_consts if type(one) is str)]
        for name in names:
            last = name.rpartition(".")[2]
            if self._mentioned.setdefault(last, code.co_filename) != code.co_filename:
                self._mentioned[last] = ""

    def mentioned(self) -> list[str]:
        """The scopes that turn out not to be ones, since other code mentions them."""
        return [file for path, file in self._files.items() if file in self._scopes and self._is_mentioned(path)]

    def all(self) -> list[str]:
        """All scopes."""
        return list(self._scopes)

    def give_up(self, scope: str) -> None:
        """That is none."""
        self._scopes.discard(scope)

    def of_file(self, path: str) -> str:
        """The scope of what the module from that file leads to."""
        return self.of_node(self._files.get(path, EVERYBODY))

    def of_node(self, node: str) -> str:
        """That of what belongs to a node, by its ID: the file that it is in."""
        file = node.partition("::")[0]
        return file if file in self._scopes else EVERYBODY

    def _is_mentioned(self, path: str) -> bool:
        return self._mentioned.get(_stem(path), path) != path


def told(names: frozenset[str], scope: str) -> frozenset[str]:
    """Names as they are told, if they lead there in that scope alone."""
    return names if scope == EVERYBODY else frozenset(name + OF_FILE + scope for name in names)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
