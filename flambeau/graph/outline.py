"""The outline of a program: what it is without its sizes, for what is decided but once for all.

Note [Outlines]
Where sizes are ever new, so are programs, but most differ from earlier ones in nothing but extents.
What is decided about a program by other things (which steps the reference executor takes and when
it lets values go, which of them are calls of kernels for any sizes, of how many kinds a program is)
is kept under its outline, and taken over by the next program that has the same one.

An outline's key holds, of each value: primitive, dtype, the numbers of its operands, of its shape
(equal ones have the same), and those of its attributes that are no sizes and that decisions read;
of each shape: its rank and which extents are 0 or 1; and which values are results and updates. So
these may be asked by whoever decides: whether two shapes are equal, whether one is broadcast to
another and along which axes, whether there is one element or none, and whether a reshape keeps the
last extent. Nothing else: extents and sizes, and what is computed of them (constants, the steps of
views), belong to each program.
"""

from __future__ import annotations

import os
import threading
from math import prod
from typing import TYPE_CHECKING, Any

from flambeau.ops.primitive import RANDOM, REDUCTION
from flambeau.ops.value import Shape, Value, leave_to_reference_counts

if TYPE_CHECKING:
    from flambeau.graph.program import Program

MOST = 512  # structures that are kept


class Structure:
    """What programs of one outline share. `kept` is what has been decided, by whoever did."""

    __slots__ = ("kept", "seen")

    def __init__(self) -> None:
        self.seen = 0  # how many programs have had it
        self.kept: dict[Any, Any] = {}


class _Structures:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[tuple[Any, ...], Structure] = {}

    def of(self, key: tuple[Any, ...]) -> Structure:
        with self.lock:
            found = self.known.pop(key, None)
            if found is None:
                found = Structure()
                if len(self.known) >= MOST:
                    del self.known[next(iter(self.known))]  # the one not met for longest
            self.known[key] = found
            found.seen += 1
            return found


STRUCTURES = _Structures()


def _after_fork() -> None:
    """The thread that held the lock does not exist in the child."""
    STRUCTURES.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Outline:
    """A program's values by number, its shapes by number, and what it shares with others."""

    __slots__ = ("nodes", "numbers", "of_nodes", "shapes", "sizes", "structure")

    def __init__(self, program: Program) -> None:
        self.nodes = nodes = program.nodes()
        self.numbers: dict[Value, int] = {}
        self.of_nodes: list[int] = []  # the number of each value's shape
        numbers, of_nodes = self.numbers, self.of_nodes
        shapes: dict[Shape, int] = {}
        key: list[Any] = []
        add = key.append
        for number, v in enumerate(nodes):
            primitive, shape, attrs = v.primitive, v.shape, v.attrs
            numbers[v] = number
            known = shapes.get(shape)
            if known is None:
                known = shapes[shape] = len(shapes)
            of_nodes.append(known)
            add(primitive)
            add(v.dtype)
            add(known)
            for x in v.inputs:
                add(numbers[x])
            if attrs:
                add((_told(v, attrs),))
        self.shapes = tuple(shapes)
        self.sizes = [prod(shape) for shape in shapes]
        add(tuple([tuple([n if n < 2 else 2 for n in shape]) for shape in shapes]))
        add(tuple([numbers[v] for v in program.results]))
        add(tuple([(u.base, numbers[u.value]) for u in program.updates]))
        whole = tuple(key)
        leave_to_reference_counts(whole)
        self.structure = STRUCTURES.of(whole)


def _told(v: Value, attrs: dict[str, Any]) -> Any:
    """What a key holds of the attributes of a value that has some."""
    name = v.primitive.name
    if name == "input":
        return attrs["role"], attrs["index"]
    if name == "reshape":
        x = v.inputs[0]
        while x.primitive.name == "reshape":
            x = x.inputs[0]
        return v.shape[-1:] == x.shape[-1:]
    if name == "permute":
        return attrs["order"]
    if v.primitive.family == REDUCTION:
        return tuple(attrs["axes"]) if "axes" in attrs else attrs.get("axis")
    if v.primitive.family == RANDOM:
        return attrs.get("kind")
    return True
