"""Makes the items of a module's plain functions after one that pytest has made: what they have in common isn't looked up again for each,
which is most of what pytest does for one. Whether what is made is what pytest would make is looked at once in each session; in a version
whose items hold anything else pytest makes all of them."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest import nodes, python
from _pytest.stash import Stash

_new = object.__new__
#: The attributes that each item has of its own.
_OWN = frozenset(
    (
        "_report_sections",
        "_request",
        "_store",
        "extra_keyword_matches",
        "funcargs",
        "keywords",
        "own_markers",
        "stash",
        "user_properties",
    )
)
#: What a function's node gets with its request.
_WITH_THE_REQUEST = ("_request", "funcargs")
_Keywords: Any = getattr(nodes, "NodeKeywords", None)


class _Waiting:
    """Stands for an attribute that comes with the request of a test, until somebody looks at it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, item: Any, _owner: Any) -> Any:
        if item is None:
            raise AttributeError(f"type object 'Function' has no attribute '{self._name}'")
        given = {name: vars(item)[name] for name in _WITH_THE_REQUEST if name in vars(item)}
        item._initrequest()
        vars(item).update(given)
        return vars(item)[self._name]


def _let_wait(name: str) -> bool:
    if hasattr(pytest.Function, name):
        return False
    setattr(pytest.Function, name, _Waiting(name))
    return True


class Mould:
    """For the functions of the parent of `sample`, an item of a function without attributes that was given as `callobj`."""

    def __init__(self, sample: Any) -> None:
        parent = sample.parent
        self._common = parent, sample.config, sample.session, sample.path
        self._has_instance = "_instance" in vars(sample)
        self._start = parent.nodeid + "::"
        # Since pytest 9.2 IDs are objects.
        self._child = parent.id.child if hasattr(sample, "_id") else None

    def make(self, name: str, function: Any, info: Any) -> pytest.Function:
        """The item of another such function, with these fixtures."""
        item: Any = _new(pytest.Function)
        item.name = name
        item.parent, item.config, item.session, item.path = self._common
        if self._child is None:
            item._nodeid = self._start + name
        else:
            item._id = self._child(name)
        item.keywords = _Keywords(item)
        item.own_markers = []
        item.extra_keyword_matches = set()
        item.stash = item._store = Stash()
        item._report_sections, item.user_properties = [], []
        item._obj = function
        if self._has_instance:
            item._instance = None
        item.originalname = name
        item._fixtureinfo = info
        item.fixturenames = info.names_closure
        # Nobody asks for the request of most of them.
        return item  # type: ignore[no-any-return]


def fits(sample: Any) -> bool:
    """Whether a mould makes what pytest has made."""
    makers = (
        pytest.Function.__init__,
        pytest.Function.from_parent,
        pytest.Item.__init__,
        nodes.Node.__init__,
        nodes.Node.from_parent,
    )
    files = {getattr(getattr(one, "__code__", None), "co_filename", None) for one in makers}
    if files != {python.__file__, nodes.__file__} or _Keywords is None:
        return False
    try:
        if not all(name in vars(pytest.Function) or _let_wait(name) for name in _WITH_THE_REQUEST):
            return False
        made = Mould(sample).make(sample.name, sample.obj, sample._fixtureinfo)
        made._request  # noqa: B018 (makes it)
        return _attributes(made).keys() == _attributes(sample).keys() and all(
            _is_like(name, value, _attributes(sample)[name]) for name, value in _attributes(made).items()
        )
    except Exception:  # internals that nobody has seen yet
        return False


def _attributes(item: Any) -> dict[str, Any]:
    slots = {name for cls in type(item).__mro__ for name in vars(cls).get("__slots__", ()) if name != "__dict__"}
    return {**vars(item), **{name: getattr(item, name) for name in slots if hasattr(item, name)}}


def _is_like(name: str, made: Any, sample: Any) -> bool:
    if type(made) is not type(sample):
        return False
    if name not in _OWN:
        return made is sample or bool(made == sample)
    if name == "keywords":
        return dict(made._markers) == dict(sample._markers)
    # What is empty in both, and not the same.
    return made is not sample and (name == "_request" or not (len(made) or len(sample)))
