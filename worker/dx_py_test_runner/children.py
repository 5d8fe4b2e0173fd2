"""What child processes may look at: anything of the project, and all variables, but for those of which is known that they don't."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from types import FrameType
from typing import Any, NamedTuple, Optional

from .readers import LIBRARY, SUBPROCESS

#: Events that start a process.
SPAWN_EVENTS = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn")
)

_PLATFORM = os.path.join(LIBRARY, "platform.py")
#: Modules of the standard library whose child processes ask the system and look at nothing of the project, with the files that hold
#: the answer: where libraries are, and what the network has for an address.
_ASKS_SYSTEM = {
    os.path.join(LIBRARY, "ctypes", "util.py"): ("/etc/ld.so.cache",),
    os.path.join(LIBRARY, "uuid.py"): (),
}

#: Where programs are the system's.
_OF_SYSTEM = ("/bin/", "/usr/bin/")
#: Those of POSIX to which arguments are no files, and those that read what they are given as their input unless they are told of files.
_HEEDLESS = frozenset(
    ("arch", "echo", "expr", "false", "nproc", "printf", "seq", "sleep", "true", "uname", "whoami", "yes")
)
_FILTERS = frozenset(("cat", "cut", "fold", "head", "less", "more", "nl", "rev", "tac", "tail", "tr", "wc"))
#: Arguments of a filter that can't name a file.
_PLAIN_OPTION = re.compile(r"-\w?|-?\d+", re.ASCII)

# What the observer asks for is nobody's.
_exists, _real_path = os.path.exists, os.path.realpath


class Needs(NamedTuple):
    """By what a child process may turn out otherwise."""

    #: Files, beside what it is given; None if it may look at anything of the project.
    files: Optional[Iterable[str]]
    #: Whether it gets the variables of this process without anybody asking for them.
    inherits: bool
    #: Whether nothing else than these files decides what it tells.
    only_by_files: bool = False


def needs_of_child(frame: FrameType, event: str, args: tuple[Any, ...]) -> Needs:
    """What a child process needs that is started in `frame`."""
    answers = _answers_of_system(frame)
    if answers is not None:
        return Needs(answers, inherits=False, only_by_files=bool(answers))
    # The others are given them.
    inherits = (
        args[3] is None if event == "subprocess.Popen" else event not in ("os.posix_spawn", "os.exec", "os.spawn")
    )
    return Needs(_program(event, args), inherits)


def _program(event: str, args: tuple[Any, ...]) -> Optional[list[str]]:
    """The file of a program that looks at nothing but its arguments, its input and its variables; with those that aren't there and that
    would run in its place."""
    if event not in ("subprocess.Popen", "os.posix_spawn"):
        return None
    try:
        path, arguments = os.fsdecode(args[0]), [os.fsdecode(each) for each in args[1][1:]]
    except TypeError:
        return None
    folder, name = os.path.split(path)
    if name not in _HEEDLESS and not (name in _FILTERS and all(map(_PLAIN_OPTION.fullmatch, arguments))):
        return None
    folders = [folder] if folder else os.get_exec_path(args[3] if event == "subprocess.Popen" else args[2])
    files = []
    for each in folders:
        files.append(os.path.join(each, name))
        if _exists(files[-1]):
            break
    # What it is a link to may be another one, by a folder that isn't the system's.
    is_of_system = os.path.join(each, "") in _OF_SYSTEM and _real_path(files[-1]).startswith(_OF_SYSTEM)
    return files if is_of_system and all(map(os.path.isabs, files)) else None


def _answers_of_system(frame: Optional[FrameType]) -> Optional[tuple[str, ...]]:
    """The files that hold what a child process, which is started in `frame`, is asked for."""
    while frame is not None and frame.f_code.co_filename == SUBPROCESS:
        frame = frame.f_back
    if frame is None:
        return None
    code = frame.f_code
    if code.co_filename == _PLATFORM and code.co_name == "from_subprocess":
        return ()  # `uname -p`
    return _ASKS_SYSTEM.get(code.co_filename)
