"""What the recorder knows of a tensor object: the base class of `Tensor`."""

from __future__ import annotations

import contextlib
import sys
import weakref
from typing import Any

from flambeau.record.meta import Meta
from flambeau.record.storage import Storage


class Family:
    """Tensors over one storage that share autograd history, beyond the recording that made them so.

    `frame` and `source` are the earlier program and the flat value there of the memory from byte
    `start` on (None where there is no history). `leaf`: the leaf whose views they are. `number` is
    that of a member in the recording `rec`.
    """

    __slots__ = (
        "base",
        "changes",
        "frame",
        "leaf",
        "members",
        "number",
        "rec",
        "source",
        "start",
    )

    def __init__(self) -> None:
        self.members: list[weakref.ref[Handle]] = []
        self.base: Any = None  # a weak reference to the tensor that the others are views of
        self.changes = 0  # how often the memory was given another history
        self.frame: Any = None
        self.source: Any = None
        self.start = 0
        self.leaf: Any = None
        self.rec: Any = None
        self.number = -1

    def is_first(self, tensor: Handle) -> bool:
        """Whether the other members are views of this tensor; where that one is gone, a view that
        shows all of it stands for it. (Not where they are views of a leaf.)
        """
        if self.leaf is not None:
            return False
        first = None if self.base is None else self.base()
        if first is None and self.source is not None and tensor._meta.numel == self.source.size:
            alive = (member() for member in self.members)
            first = next((member for member in alive if member is not None), None)
        return first is tensor

    def add(self, tensor: Handle) -> None:
        """Makes a tensor known as a member; the dead ones are forgotten now and then."""
        members = self.members
        members.append(weakref.ref(tensor))
        if len(members) & len(members) - 1 == 0:  # powers of two
            for member in [member for member in members if member() is None]:
                with contextlib.suppress(ValueError):  # another thread has just done so
                    members.remove(member)


class Handle:
    """A tensor as the user holds it.

    `_meta` says what it is; `_rec` and `_num` where it stands in the recording under way. A tensor
    that holds data has `_storage` and `_offset` (in elements). `_family` says with whom it shares
    history; `_origin` where it stands in the program that made it: (frame, its value there, whether
    the family's gradient passes that value). The three slots that ops touch are slots; the others
    default on the class.
    """

    __slots__ = ("__dict__", "__weakref__", "_meta", "_num", "_rec")

    _meta: Meta
    _rec: Any
    _num: int

    _storage: Storage | None = None
    _offset: int = 0
    _grad: Any = None
    _family: Family | None = None
    _origin: Any = None
    # The earlier programs that it has entered with history (see `plan.seen_by`).
    _frames: Any = None
    _hooks: Any = None
    # How often autograd has seen the memory written when the hooks were registered.
    _hooked_at: int | None = None
    _cut: Any = None
    _failure: str | None = None
    # Of `x.data`: (a weak reference to x, its recording, number and storage then).
    _data_of: Any = None
    # Of a view that autograd restricts: its storage's version when it was made, and its number.
    _seen: int | None = None
    _output: int = 0


def lay_out(cls: type) -> None:
    """Gives the attributes of a class's instances their places, before there are any.

    Instances of a class share the names of their attributes, and CPython adds names for little more
    than the first thirty instances: those that come later are slow to set and to read. From 3.14 on
    what methods assign to has the first places: a class begins with those of the classes above it.
    """
    first: Any = object.__new__(cls)
    if sys.version_info >= (3, 14):
        for kind in reversed(cls.__mro__):
            vars(first).update(dict.fromkeys(vars(kind).get("__static_attributes__", ())))
    for name, value in vars(Handle).items():
        if name.startswith("_") and not name.startswith("__") and name not in Handle.__slots__:
            object.__setattr__(first, name, value)
