"""Objects and what they refer to, compared with what they did refer to: for `leftovers`.

It is a matter of identity. The binary brings a compiled part along, by which an object is compared without a look at what it refers to:
a hundred times as much of the memory would have to be read for that. Where that part can't be loaded, many objects are asked at once: what
they refer to is one list, and the identities of what is in it are bytes.
"""

from __future__ import annotations

from array import array
from gc import get_referents
from itertools import chain
from operator import is_
from typing import Any, Callable, Optional, Protocol

from .internals import identity
from .objects import identities_of
from .probes import load

#: An object that has changed, what it did refer to, and what it refers to now.
Change = tuple[Any, list[Any], list[Any]]

#: How many objects are compared at once.
_CHUNK = 256

#: How much of the memory for references may be unused, beside as much as is used.
_ROOM = 4096

keys_of, _count_of = dict.__iter__, dict.__len__


class _Chunk:
    """Objects that are compared at once, and what they referred to."""

    __slots__ = ("flat", "key_counts", "keyed", "keys", "objects", "referents")

    def __init__(self) -> None:
        self.objects: list[Any] = []
        # Dictionaries among them, whose references are their values alone.
        self.keyed: list[Any] = []
        self.referents: list[list[Any]] = []
        self.flat = b""
        self.keys: list[Any] = []
        self.key_counts: list[int] = []

    def add(self, each: Any, is_keyed: bool) -> None:
        """Put an object in; it is looked at with the others."""
        self.objects.append(each)
        if is_keyed:
            self.keyed.append(each)

    def look(self) -> None:
        """Take what there is now for what there was."""
        self.referents = [get_referents(each) for each in self.objects]
        self.keys = self._with_keys([])
        self.key_counts = list(map(_count_of, self.keyed))
        self._flatten()

    def take_in(self, other: _Chunk) -> None:
        """Take the objects of another chunk in, as they were when it was looked at."""
        for name in ("objects", "keyed", "referents", "keys", "key_counts"):
            getattr(self, name).extend(getattr(other, name))
        self._flatten()

    def _flatten(self) -> None:
        self.flat = identities_of([*chain.from_iterable(self.referents), *self.keys])

    def leave_out(self, ids: set[int]) -> None:
        """Compare these objects no more, by their identities, and take what the others are now for what they were."""
        left = [each for each in self.objects if identity(each) not in ids]
        if len(left) < len(self.objects):
            self.objects = left
            self.keyed = [each for each in self.keyed if identity(each) not in ids]
            self.look()

    def is_as_it_was(self) -> bool:
        """Whether each object refers to what it did."""
        return identities_of(self._with_keys(get_referents(*self.objects))) == self.flat

    def _with_keys(self, found: list[Any]) -> list[Any]:
        for each in self.keyed:
            # Half as long as to chain what iterates over each; a derived type may iterate over something else.
            found += each if type(each) is dict else keys_of(each)
        return found

    def changed(self) -> list[Change]:
        """The objects that don't refer to what they did, what that was, and what they refer to now, which is taken for what there was."""
        referents, keys = self.referents, iter(self.keys)
        keys_before = {
            identity(each): [next(keys) for _ in range(size)] for each, size in zip(self.keyed, self.key_counts)
        }
        self.look()
        found = []
        for each, before, now in zip(self.objects, referents, self.referents):
            former = keys_before.get(identity(each))
            if former is not None:
                before, now = [*before, *former], [*now, *keys_of(each)]
            if len(now) != len(before) or not all(map(is_, now, before)):
                found.append((each, before, now))
        return found


class Compared(Protocol):
    """Objects that are compared. Those that are added count from when `close` was called."""

    def add(self, each: Any, is_keyed: bool) -> None:
        """Add an object. One `is_keyed` if it is a dictionary whose keys count."""

    def close(self) -> None:
        """Look at what was added."""

    def changed(self) -> list[Change]:
        """The objects that don't refer to what they did when this was last asked, or when they were added; what that was; and what they
        refer to now."""


class InChunks:
    """Objects that are compared many at once."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self._open = _Chunk()
        # Takes what has changed, once something has.
        self._restless: Optional[_Chunk] = None

    def add(self, each: Any, is_keyed: bool) -> None:
        """See `Compared`."""
        self._open.add(each, is_keyed)
        if len(self._open.objects) >= _CHUNK:
            self.close()

    def close(self) -> None:
        """See `Compared`."""
        if not self._open.objects:
            return
        chunk, self._open = self._open, _Chunk()
        chunk.look()
        last = self._chunks[-1] if self._chunks else None
        # Chunks cost more than objects.
        if last is None or last is self._restless or len(last.objects) + len(chunk.objects) > _CHUNK:
            self._chunks.append(chunk)
        else:
            last.take_in(chunk)

    def changed(self) -> list[Change]:
        """See `Compared`."""
        found, restless = [], []
        for chunk in self._chunks:
            if not chunk.is_as_it_was():
                changed = chunk.changed()
                found += changed
                if chunk is not self._restless:
                    restless.append((chunk, [each for each, _, _ in changed]))
        # Once all are known as they are now.
        for chunk, objects in restless:
            self._part(chunk, objects)
        return found

    def _part(self, chunk: _Chunk, objects: list[Any]) -> None:
        """Compare what has changed apart from the rest of its chunk: it will again, and to find what differs takes long in many objects."""
        apart = self._restless
        if apart is None or len(apart.objects) >= _CHUNK:
            self._restless = apart = _Chunk()
            self._chunks.append(apart)
        keyed = set(map(identity, chunk.keyed))
        for each in objects:
            apart.add(each, identity(each) in keyed)
        apart.look()
        chunk.leave_out(set(map(identity, objects)))


class OneByOne:
    """Objects that are compared by the compiled part's function `find_changed`."""

    def __init__(self, find: Callable[..., int]) -> None:
        self._find = find
        self._objects: list[Any] = []
        # What each referred to. To have it here keeps the identities from being given to others.
        self._referents: list[list[Any]] = []
        # The same for the compiled part: addresses of objects, and of what they referred to, one object's after the other's in no order; where
        # each object's begin, and how many there are; whether its keys count; and room for the answer.
        self._addresses, self._flat = array("Q"), array("Q")
        self._starts, self._counts, self._keyed = array("Q"), array("Q"), array("B")
        self._found = array("Q")
        self._looked_at = self._in_use = 0

    def add(self, each: Any, is_keyed: bool) -> None:
        """See `Compared`."""
        self._objects.append(each)
        self._keyed.append(is_keyed)

    def close(self) -> None:
        """See `Compared`."""
        new = self._objects[self._looked_at :]
        if not new:
            return
        self._addresses.frombytes(identities_of(new))
        for each, is_keyed in zip(new, self._keyed[self._looked_at :]):
            referents = _referents_of(each, bool(is_keyed))
            self._referents.append(referents)
            self._starts.append(len(self._flat))
            self._counts.append(len(referents))
            self._in_use += len(referents)
            self._flat.frombytes(identities_of(referents))
        self._looked_at = len(self._objects)
        self._found.frombytes(bytes(len(new) * self._found.itemsize))

    def changed(self) -> list[Change]:
        """See `Compared`."""
        if not self._looked_at:
            return []
        addresses, keyed, starts, counts, flat = (
            each.buffer_info()[0] for each in (self._addresses, self._keyed, self._starts, self._counts, self._flat)
        )
        found = self._found
        count = self._find(addresses, keyed, starts, counts, flat, self._looked_at, found.buffer_info()[0])
        changes = []
        for place in found[:count]:
            each, before = self._objects[place], self._referents[place]
            now = _referents_of(each, bool(self._keyed[place]))
            changes.append((each, before, now))
            self._referents[place] = now
            self._keep(place, identities_of(now), len(now))
        return changes

    def _keep(self, place: int, identities: bytes, count: int) -> None:
        self._in_use += count - self._counts[place]
        if count > self._counts[place]:
            self._starts[place] = len(self._flat)
            self._flat.frombytes(identities)
        else:
            start = self._starts[place]
            self._flat[start : start + count] = array("Q", identities)
        self._counts[place] = count
        if len(self._flat) > 2 * self._in_use + _ROOM:
            self._starts, self._flat = array("Q"), array("Q")
            for referents in self._referents:
                self._starts.append(len(self._flat))
                self._flat.frombytes(identities_of(referents))


def _referents_of(each: Any, is_keyed: bool) -> list[Any]:
    referents = get_referents(each)
    if is_keyed:
        referents += keys_of(each)
    return referents


def kind_of_compared() -> Callable[[], Compared]:
    """What makes an empty `Compared`, with the compiled part if it can be loaded."""
    probes = load()
    return InChunks if probes is None else lambda: OneByOne(probes.find_changed)
