"""The memory of past steps: a tree of op streams.

Each state is a place in a stream of events since the last flush. `next` maps an event's key to the
state after it. A key holds everything the slow path is told of the event, so what a state says is
true whenever it is reached.
"""

from __future__ import annotations

from typing import Any

from flambeau.record.meta import Meta
from flambeau.record.places import Place


class State:
    """A place in the tree.

    `count` tensors have entered or been made so far; an event's new tensors are numbered from the
    count before it, `metas` are theirs (`meta` and `number` for the usual one), `effects` are
    (tensor number, new meta) of older tensors that the event changed. `plans` maps the live tensors
    at a flush here to what runs then. `ended`: the next event starts a new recording.
    """

    __slots__ = (
        "__weakref__",
        "apart",
        "count",
        "depth",
        "effects",
        "ended",
        "extra",
        "key",
        "known",
        "lengths",
        "looped",
        "meta",
        "metas",
        "next",
        "number",
        "ops",
        "parent",
        "place",
        "plans",
        "tick",
        "trace",
        "tracked",
        "written",
    )

    def __init__(self, parent: State | None, key: Any) -> None:
        self.parent = parent
        self.key = key
        self.next: dict[Any, State] = {}
        self.plans: dict[Any, Any] = {}
        self.known: Any = None  # how the plan of the last flush is known (`flushing.Known`)
        self.count: int = parent.count if parent else 0
        self.depth: int = parent.depth + 1 if parent else 0
        self.ops: int = parent.ops if parent else 0  # events that are not mere entries of tensors
        self.number = self.count
        # How many bases, scalars, history inputs and cuts there are by now.
        self.lengths: tuple[int, ...] = parent.lengths if parent else (0, 0, 0, 0)
        self.meta: Meta | None = None
        self.metas: tuple[Meta, ...] = ()
        self.effects: tuple[tuple[int, Meta], ...] = ()
        self.extra: Any = (
            None  # what the event's own wrapper needs to know (e.g. the leaves of a backward)
        )
        self.ended = False
        self.looped = False  # because a loop is cut into pieces
        # How often events went apart here that were not recorded (`misses.goes_apart`).
        self.apart: dict[Any, int] | None = None
        self.tracked: bool = parent.tracked if parent else False  # any that requires a gradient
        self.trace: Any = (
            None  # the symbolic recording at this place, kept where a flush has needed it
        )
        # Bases written by now: (how often, how often of these silently), where somebody has asked.
        self.written: dict[int, tuple[int, int]] | None = None
        self.tick = 0
        self.place: Place | None = None  # where the user's program first recorded it

    def path(self) -> list[Any]:
        """The keys of the events from the root to here."""
        keys, state = [], self
        while state.parent is not None:
            keys.append(state.key)
            state = state.parent
        return keys[::-1]

    def events(self) -> list[State]:
        """The states from the root to here after each event, as `Trace.marks` counts them: without
        mere entries of tensors by their metas.
        """
        found, state = [], self
        while state.parent is not None:
            if not isinstance(state.key, Meta):
                found.append(state)
            state = state.parent
        return found[::-1]


def prune(roots: list[State], keep: int) -> int:
    """Drops the branches whose last flush is oldest until about `keep` states are left; returns how
    many are. Other threads may record meanwhile: a state that one of them adds may be dropped.
    """
    order: list[tuple[State, list[tuple[Any, State]]]] = []
    stack = list(roots)
    while stack:
        state = stack.pop()
        branches = list(state.next.items())
        order.append((state, branches))
        stack += [child for _, child in branches]
    latest: dict[int, int] = {}
    newest = max(state.tick for state, _ in order) + 1
    for state, branches in reversed(order):  # children come after their parents
        if state.known is not None and state.known.used():
            state.tick = newest  # native code does not write it
        latest[id(state)] = max([state.tick, *(latest[id(child)] for _, child in branches)])
    if len(order) <= keep:
        return len(order)
    ticks = sorted(latest.values(), reverse=True)
    oldest = ticks[keep - 1]
    left = 0
    for state, branches in order:
        if latest[id(state)] > oldest or state in roots:
            left += 1
        state.next = {key: child for key, child in branches if latest[id(child)] > oldest}
    return left
