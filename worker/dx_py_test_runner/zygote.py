"""The zygote: an interpreter that has pytest imported, and forks workers that need not import it again.

It listens on a socket in `.dx/zygote/`, which only this user may open. A connection is one worker's life: a request comes with the
worker's streams, the worker's number and later how it ended are told, and if the one who asked goes away the worker is killed. What a
fresh interpreter would find otherwise than a fork does is either set in the fork, or part of the zygote's name, or makes the zygote
stale: it says so, and ends. Told to look by a run that needs no worker, a stale one begins anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import selectors
import signal
import socket
import stat
import struct
import sys
import time
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional

from . import compiled, economy
from .file_states import FileStates, state_of
from .forked import Fork, Request
from .kept_code import KeptCode
from .observe import install
from .preload import OF_DISTRIBUTIONS, SEEN, preload
from .spares import Spares, receive, wait
from .trace import Trace

if TYPE_CHECKING:
    from .trial import Trial

# Bound before the observer wraps them.
_stat = os.stat
_listdir = os.listdir
_now = time.monotonic

#: How often it looks whether it is still wanted, in seconds.
_PATIENCE = 2.0
#: How long a request may take to arrive, in seconds.
_HASTE = 2.0
#: For how long nothing was asked before spares are made, in seconds: a run that has just ended its workers still has something to do.
_LULL = 0.1
#: For how long it counts that nothing has changed, in seconds.
_MOMENT = 0.02
#: The worker's socket, its ring, standard output and standard error; more are what any program would get that was started there.
_STREAMS = 4
#: How often what tests import is tried if each time a file was another one after that: a module may write when it is imported.
_MOST_TRIALS = 3
#: The variable that tells one that has begun anew how often that was in vain. It takes it away before anything is imported.
_IN_VAIN = "DX_PY_TRIALS_IN_VAIN"


class Zygote:
    """Forks workers until it is idle for too long, stale, or told to stop."""

    def __init__(self, folder: str, name: str, idle: float, trace: Trace) -> None:
        self._folder, self._name, self._idle, self._trace = folder, name, idle, trace
        self._cwd = os.getcwd()
        self._workers: dict[int, socket.socket] = {}
        self._is_ending = False
        # After how many trials in vain it begins anew when it has ended; None if it does not.
        self._renewed_after: Optional[int] = None
        self._seed = os.environ.get("PYTHONHASHSEED")
        self._started = time.time()
        self._state: dict[str, Any] = {}
        self._seen = FileStates()
        #: When it was last found not to be stale.
        self._looked = float("-inf")
        self._preloads: dict[str, Any] = {}
        self._trial: Optional[Trial] = None
        self._generators: list[random.Random] = []
        self._asked: dict[str, Optional[bytes]] = {}
        self._is_native = False
        self._code = KeptCode(os.path.join(folder, f"{name}.code"))
        self._spares = Spares()
        # By the files that were compiled where their code is.
        self._compiled: dict[str, str] = {}
        #: After how many trials in a row it has begun anew.
        self._trials_in_vain = int(os.environ.pop(_IN_VAIN, "0"))
        #: When a run last asked for something.
        self._asked_at = float("-inf")

    def serve(self, modules: list[str]) -> Optional[Fork]:
        """Import what workers need, then fork them. Gives, in a worker, what was asked for; None when the zygote is to end."""
        # What whoever started it has open is nothing to keep open for so long.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        lock = os.open(self._path("lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None  # another one serves
        self._code.sweep()
        # What is read while modules are imported is remembered in the forks, as if they had imported them.
        install(self._trace)
        preloaded = preload(modules)
        from . import ahead  # it imports pytest, which the observer is to see

        ahead.make()
        if hasattr(sys, "monitoring"):
            # What forks need that see which functions run.
            from . import leftovers, running  # noqa: F401
        self._imports_seen = SEEN in modules
        self._note_files()
        unfit = self._unfit()
        if unfit:
            self._state = {"pid": 0, "unfit": unfit}
            self._keep_state()
            self._remove("lock")
            return None
        self._state = preloaded
        self._selector = selectors.DefaultSelector()
        economy.freeze(is_zygote=True)
        self._import_preloads()
        self._keep_state()
        listener = self._listen()
        self._listener = listener
        waker, woken = socket.socketpair()
        for one in (waker, woken):
            one.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        self._own: list[Any] = [listener, waker, woken]
        self._lock = lock
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(woken, selectors.EVENT_READ)
        last = _now()
        while not self._is_ending or self._workers:
            has_time = not self._workers and bool(self._code.wanted)
            if has_time:
                self._spares.discard()
                self._code.read_one()
            wants_spare, is_quiet = self._wants_spare(), _now() - self._asked_at >= _LULL
            if wants_spare and is_quiet:
                spare = self._spares.make()
                if spare is not None:
                    return self._become_spare(spare)
            goes_on = has_time or wants_spare and is_quiet
            for key, _ in self._selector.select(0 if goes_on else _LULL if wants_spare else _PATIENCE):
                last = _now()
                if key.fileobj is listener:
                    fork = self._accept(listener)
                    if fork is not None:
                        return fork
                elif key.fileobj is woken:
                    woken.recv(4096)
                    self._reap()
                elif self._trial is not None and key.fileobj is self._trial:
                    self._hear_of_trial(self._trial)
                else:
                    self._hear(key.data)
            if self._trial is not None:
                self._trial.hurry()
            is_idle = not self._workers and _now() - last > self._idle
            if is_idle or not os.path.exists(self._path("sock")):
                self._end()
        if self._renewed_after is not None:
            os.environ[_IN_VAIN] = str(self._renewed_after)
            os.execv(sys.executable, [sys.executable, *sys.argv])
        return None

    # What tests were seen to import

    def _known_preloads(self) -> dict[str, Any]:
        """What earlier runs have told of what tests import, if that may be imported ahead."""
        try:
            with open(os.path.join(self._folder, "preloads"), encoding="utf-8") as file:
                known = json.load(file).get(sys.executable, {})
        except (OSError, ValueError):
            return {}
        return {} if known.get("is_unlike", True) else dict(known)

    def _import_preloads(self) -> None:
        """Begin to import what tests import and isn't imported yet, beside serving."""
        known = self._known_preloads() if self._imports_seen else {}
        tried = (*sys.modules, *self._preloads.get("modules", ()))
        folders = known.get("folders", ())
        hidden = {name.partition(".")[0] for folder in folders for name in _names_in(folder)}
        names = [
            name for name in known.get("modules", ()) if name.partition(".")[0] not in hidden and name not in tried
        ]
        if names and self._trial is None and self._trials_in_vain < _MOST_TRIALS:
            # It imports pytest, which the observer is to see.
            from .trial import Known, Trial

            self._preloads = known
            others = [folder for folder in folders if folder not in sys.path]
            seen = Known(
                packages=frozenset(known["packages"]),
                rewritten=frozenset(known["rewritten"]),
                changed=frozenset(known.get("variables", ())),
                stay_changed=known.get("stay_changed", False),
                finds_distributions=not any(_distributions_in(folder) for folder in others),
            )
            self._spares.discard()
            self._trial = Trial(self._trace, seen)
            self._trial.start(names)
            self._selector.register(self._trial, selectors.EVENT_READ)
            self._keep_state()

    def _hear_of_trial(self, trial: Trial) -> None:
        self._selector.unregister(trial)
        if self._is_stale():
            trial.close()
            self._renew(self._trials_in_vain + 1)
            return
        loaded = len(trial.loaded)
        goes_on = trial.hear()
        if len(trial.loaded) > loaded:
            self._note_files(trial.paths)
            self._asked.update((name, os.environb.get(os.fsencode(name))) for name in trial.variables)
            self._is_native |= trial.is_native
            self._generators += trial.generators
            trial.generators.clear()
        if goes_on:
            self._selector.register(trial, selectors.EVENT_READ)
            return
        self._trial = None
        self._state.setdefault("seen", {}).update(trial.loaded)
        self._state.setdefault("left out", {}).update(trial.refused)
        self._state["modules"] = len(sys.modules)
        self._keep_state()
        economy.freeze(is_zygote=True)

    def _is_out_of_date(self) -> bool:
        """Whether runs have told since of a reason why what tests import should not be imported ahead, or of one that is gone."""
        known, before = self._known_preloads(), self._preloads
        if not (known and before):
            return bool(before)
        # More of them may hide what was imported.
        folders = set(known.get("folders", ())).difference(before.get("folders", ()))
        changed, changed_before = (set(each.get("variables", ())) for each in (known, before))
        differs = known.get("stay_changed", False) != before.get("stay_changed", False)
        return bool(folders or differs or changed & self._asked.keys() or changed_before - changed)

    def _path(self, ending: str) -> str:
        return os.path.join(self._folder, f"{self._name}.{ending}")

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.unlink(self._path("sock"))
        except FileNotFoundError:
            pass
        # The paths of sockets may have some hundred bytes only.
        os.chdir(self._folder)
        before = os.umask(0o177)
        try:
            listener.bind(f"{self._name}.sock")
        finally:
            os.umask(before)
            os.chdir(self._cwd)
        listener.listen(64)
        return listener

    def _end(self) -> None:
        """Fork no more, and end when the last worker has. Another one may have the same name from now on."""
        if not self._is_ending:
            self._is_ending = True
            self._spares.discard()
            if self._trial is not None:
                self._trial.give_up()
            self._selector.unregister(self._listener)
            self._listener.close()
            self._remove("sock", "json", "lock")

    def _renew(self, trials_in_vain: int = 0) -> None:
        """Begin anew, for the next run, when the last worker has been reaped. A run that has ended doesn't wait for that, and so may be told of
        here before. One that is to end already only ends."""
        if not self._is_ending:
            self._renewed_after = trials_in_vain
            self._end()

    def _remove(self, *endings: str) -> None:
        for ending in endings:
            try:
                os.unlink(self._path(ending))
            except OSError:
                pass

    def _keep_state(self) -> None:
        own = {"pid": os.getpid(), "python": sys.executable, "started": self._started}
        state = {**own, "trying": self._trial is not None, **self._state}
        temporary = self._path(f"json.{os.getpid()}")
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(temporary, self._path("json"))

    # Whether it is still right

    def _files(self) -> set[str]:
        """What a fresh interpreter would be made of: the files of modules, and what else than folders is searched for them."""
        files = {os.path.join(sys.prefix, "pyvenv.cfg"), sys.executable}
        files.update(place for place in sys.path[1:] if not _is_folder(place))
        for module in list(sys.modules.values()):
            spec = getattr(module, "__spec__", None)
            origin = getattr(spec, "origin", None)
            if isinstance(origin, str) and os.path.isabs(origin):
                files.add(origin)
        return files

    def _note_files(self, paths: Iterable[str] = ()) -> None:
        """Note the states of the files that modules are from, and of `paths`."""
        self._seen.note([*self._files(), *paths])
        loaded = _loaded()
        # Its state first: a name that appears meanwhile is found when they are compared.
        searched = [*sys.path[1:], *self._preloads.get("folders", ())]
        self._folders = {
            folder: (state_of(folder), _modules_in(folder, loaded)) for folder in searched if _is_folder(folder)
        }
        self._distributions = {folder: _distributions_in(folder) for folder in self._folders}
        self._startup = {folder: _startup_lines(folder) for folder in self._folders}
        self._startup_files = {file: state_of(file) for folder in self._folders for file in _startup_files(folder)}

    def _is_stale(self) -> bool:
        if not self._seen.are_same():
            return True
        # That a folder changed says little: a project's root may be searched, and runs leave their records there.
        changed = [folder for folder, (state, _) in self._folders.items() if state_of(folder) != state]
        loaded = _loaded() if changed else set()
        if any(_modules_in(folder, loaded) != self._folders[folder][1] for folder in changed):
            return True
        if any(_distributions_in(folder) != self._distributions[folder] for folder in changed):
            return True
        is_touched = changed or any(state_of(file) != state for file, state in self._startup_files.items())
        if is_touched and any(_startup_lines(folder) != lines for folder, lines in self._startup.items()):
            return True
        return bool(self._hidden())

    def _is_stale_by_now(self) -> bool:
        """Whether it is stale, unless it wasn't a moment ago: a run asks for its workers one after the other."""
        now = _now()
        if now - self._looked < _MOMENT:
            return False
        is_stale = self._is_stale()
        if not is_stale:
            self._looked = now
        return is_stale

    def _hidden(self) -> list[str]:
        """The modules that are loaded here and hidden for a fresh interpreter: the folder that it starts in is searched first."""
        loaded = _loaded()
        names = [name for name in _names_in(self._cwd) if name.partition(".")[0] in loaded]
        return [name for name in names if _may_be_module(self._cwd, name)]

    def _unfit(self) -> str:
        """Why forks would differ from fresh interpreters here whatever is done; else empty."""
        hidden = self._hidden()
        if hidden:
            return f"{hidden[0]} hides a module that pytest uses"
        own = [file for file in self._seen if _is_code(file) and self._trace.is_of_project(file)]
        return f"{own[0]} belongs to the project, and pytest uses it" if own else ""

    # Workers

    def _accept(self, listener: socket.socket) -> Optional[Fork]:
        link, _ = listener.accept()
        fds: list[int] = []
        try:
            link.settimeout(_HASTE)
            if not _is_ours(link):
                link.close()
                return None
            parts, fds = receive(link)
            self._asked_at = _now()
            if parts[0] == b"stop":
                self._end()
            elif parts[0] == b"look":
                if self._is_stale() or self._imports_seen and self._is_out_of_date():
                    self._renew()
                if not self._is_ending:
                    self._import_preloads()
            elif parts[0] == b"compile":
                if not self._is_stale_by_now():
                    link.sendall(b"\0".join([*filter(self._is_broken, parts[1:]), b"compiled"]))
            else:
                request = Request.of(parts[1:])
                if self._is_stale_by_now() or self._is_asked_otherwise(request.environment):
                    link.sendall(b"stale\n")
                    self._end()
                elif len(fds) == _STREAMS + len(request.numbers):
                    return self._fork(link, parts, fds)
        except (OSError, ValueError, LookupError, EOFError, struct.error):
            pass  # whoever asked starts an interpreter instead
        for fd in fds:
            os.close(fd)
        link.close()
        return None

    def _is_broken(self, file: bytes) -> bool:
        """Whether a file can't be compiled, or not without a warning, of which a project may make an error. Its code is kept for workers."""
        source = os.fsdecode(file)
        try:
            with open(source, "rb") as content, warnings.catch_warnings():
                warnings.simplefilter("error")
                text = content.read()
                code = compile(text, source, "exec", dont_inherit=True)
        except BaseException:
            return True
        before, place = self._compiled.get(source), compiled.keep(source, text, code)
        self._compiled[source] = place
        if before is not None and before != place:
            try:
                os.unlink(before)
            except OSError:
                pass  # it was removed for its age
        return False

    def _is_asked_otherwise(self, environment: dict[bytes, bytes]) -> bool:
        """Whether modules that were imported ahead would hear otherwise of some variable."""
        return any(environment.get(os.fsencode(name)) != value for name, value in self._asked.items())

    def _fork(self, link: socket.socket, parts: list[bytes], fds: list[int]) -> Optional[Fork]:
        spare = self._spares.take()
        pid = os.fork() if spare is None else spare.pid
        if pid == 0:
            link.close()
            self._stop_serving()
            return self._become_worker(parts, fds)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # it has done so itself
        self._workers[pid] = link
        link.setblocking(False)
        self._selector.register(link, selectors.EVENT_READ, data=pid)
        # First, as a spare that is woken up may get the processor.
        self._tell(pid, f"pid {pid}\n")
        if spare is not None:
            spare.give(parts, fds)
        for fd in fds:
            os.close(fd)
        return None

    def _tell(self, pid: int, text: str) -> None:
        try:
            self._workers[pid].sendall(text.encode())
        except OSError:
            pass  # it is gone, which is heard of next

    def _hear(self, pid: int) -> None:
        """A connection says nothing but that it ends: then nobody wants the worker any more."""
        link = self._workers.get(pid)
        try:
            if link is None or link.recv(64):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        if link is not None:
            self._selector.unregister(link)
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass  # it has ended by itself

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self._workers:
                self._spares.forget(pid)  # or a fork in which modules were tried
                continue
            self._tell(pid, f"exit {status}\n")
            self._asked_at = _now()
            self._code.hear(pid)
            link = self._workers.pop(pid)
            try:
                self._selector.unregister(link)
            except KeyError:
                pass
            link.close()

    def _wants_spare(self) -> bool:
        """Whether a fork that is made now would be what one is that is made later, and there is time for it."""
        is_busy = self._workers or self._trial is not None or self._code.wanted
        return not is_busy and not self._is_ending and self._spares.are_missing

    def _stop_serving(self) -> None:
        """Leave to the zygote what is the zygote's, in a fork of it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        if self._trial is not None:
            self._trial.close()
        for one in (*self._own, *self._workers.values(), *self._spares.sockets):
            one.close()
        os.close(self._lock)
        os.setpgid(0, 0)

    def _become_spare(self, link: socket.socket) -> Fork:
        """Wait in a fork for what a worker is wanted for, then be that."""
        self._stop_serving()
        return self._become_worker(*wait(link, self._spares.share))

    def _become_worker(self, parts: list[bytes], fds: list[int]) -> Fork:
        """Make this process what a fresh interpreter would be for that request."""
        fork = Fork(Request.of(parts[1:]), fds, self._seed)
        self._code.install()
        for generator in self._generators:
            generator.seed()
        self._trace.changed_variables.clear()
        self._trace.asked_ahead, self._trace.is_native_ahead = frozenset(self._asked), self._is_native
        return fork


def _loaded() -> set[str]:
    """The packages and modules that are loaded here, but for what is in packages."""
    return {name.partition(".")[0] for name in sys.modules}


def _modules_in(folder: str, loaded: set[str]) -> list[str]:
    """What in a folder that is searched may be one of these modules."""
    return sorted(name for name in _names_in(folder) if name.partition(".")[0] in loaded)


def _distributions_in(folder: str) -> list[str]:
    """What in a folder that is searched tells of a distribution."""
    return sorted(name for name in _names_in(folder) if name.lower().endswith(OF_DISTRIBUTIONS))


def _startup_files(folder: str) -> list[str]:
    """The files of a folder that an interpreter reads when it starts, in its order: they let more folders be searched."""
    return [os.path.join(folder, name) for name in sorted(_names_in(folder)) if name.endswith(".pth")]


def _startup_lines(folder: str) -> list[Optional[bytes]]:
    """What they say. Their names have a distribution's version, and are others after each installation."""
    return [_content_of(file) for file in _startup_files(folder)]


def _content_of(file: str) -> Optional[bytes]:
    try:
        with open(file, "rb") as content:
            return content.read()
    except OSError:
        return None


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(_stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _names_in(folder: str) -> list[str]:
    try:
        return _listdir(folder)
    except OSError:
        return []  # a ZIP file, or nothing


def _is_code(file: str) -> bool:
    return file.endswith((".py", ".so"))


def _may_be_module(folder: str, name: str) -> bool:
    return name.endswith((".py", ".so")) or os.path.isfile(os.path.join(folder, name, "__init__.py"))


def _is_ours(link: socket.socket) -> bool:
    """Whether the peer is the same user; where that can't be asked the folder's mode has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(uid == os.getuid())
