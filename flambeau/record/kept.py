"""What programs that have run keep for a backward pass: fewer bytes, and what follows from them.

Note [Kept or computed again]
    A derivative looks at values within an op that nobody has a name for: of a GELU at four as large
    as its operand. Where much is kept, what is kept of an event is the least that the rest can be
    computed from, element by element: for a GELU its operand, for a layer normalisation what it has
    taken the means from. That is a minimal cut between what enters the event (or is a sum, a
    product, a draw in it) and what the derivatives look at. What tensors show is kept where a
    derivative looks at it, as in PyTorch, which refuses the pass once that was overwritten; and
    what nobody asks for is kept instead of others only where no tensor has that memory any more.

    What a pass has used up goes at once, as in PyTorch, though the frame lives on with any tensor
    that the program has made (the loss of the last step while the next one goes forward).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from flambeau.graph.program import reachable
from flambeau.ops.primitive import ELEMENTWISE, VIEW
from flambeau.ops.value import Value
from flambeau.record.layouts import saved_origin

if TYPE_CHECKING:
    from flambeau.record.records import Origin

WORTH = 1 << 20  # bytes within events below which all is kept
SMALL = 4096  # bytes of a value that is kept
MOST = 1000  # values of an event that are looked at
NEVER = 1 << 62  # what it costs to keep what must not be kept


def nbytes(value: Value) -> int:
    return value.size * value.dtype.itemsize


class Keeps:
    """What a program's frames keep: the values that are `computed` again from others, who looks at
    those that are kept, and which of these are images that lie with the batch innermost (`turned`).
    """

    def __init__(
        self,
        computed: frozenset[Value] = frozenset(),
        lookers: dict[Value, frozenset[Value]] | None = None,
        turned: frozenset[Value] = frozenset(),
    ) -> None:
        self.computed = computed
        self.lookers = lookers or {}
        self.turned = turned
        self._unused: dict[frozenset[Value], tuple[Value, ...]] = {}

    def unused(self, freed: frozenset[Value]) -> tuple[Value, ...]:
        """The kept values that nobody looks at once `freed` values are."""
        found = self._unused.get(freed)
        if found is None:
            if len(self._unused) > 64:
                self._unused.clear()
            found = tuple(v for v, lookers in self.lookers.items() if lookers <= freed)
            self._unused[freed] = found
        return found


def batch_innermost(values: Collection[Value]) -> frozenset[Value]:
    """Those values that a program will have with the batch innermost: what convolutions make."""
    images = [v for v in values if v.ndim >= 3]
    nodes = reachable(images, data=True) if images else []
    if not any(v.primitive.name == "conv" for v in nodes):
        return frozenset()
    from flambeau.execute.cpu import layouts
    from flambeau.execute.cpu.target import Target

    found = layouts.batch_innermost(nodes, Target.host().vector_bits)
    inner = found.innermost - found.copies
    return frozenset(v for v in images if v in inner and v.shape[0] >= layouts.MIN_BATCH)


def lookers(
    visits: Iterable[tuple[Value, list[Value]]], reads: dict[Value, Value]
) -> dict[Value, frozenset[Value]]:
    """Per large kept value the values whose derivatives look at it. `visits`: (value, what its
    derivative used); `reads`: what stands for kept values, and these.
    """
    found: dict[Value, set[Value]] = {v: set() for v in reads.values() if nbytes(v) > SMALL}
    for value, used in visits:
        for one in reachable(used, data=True):
            if one in reads and reads[one] in found:
                found[reads[one]].add(value)
    return {value: frozenset(all_of_it) for value, all_of_it in found.items()}


class Choice:
    """Of the values that derivatives look at (`needed`) those that are computed again.

    `origins` says what tensors show, `marks` where events begin, and `is_left` whether the program
    leaves the memory of an origin to somebody.
    """

    def __init__(
        self,
        needed: Collection[Value],
        origins: dict[Value, Origin | None],
        marks: list[int],
        is_left: Callable[[Origin], bool],
    ) -> None:
        self.needed = set(needed)
        self.origins = origins
        self.marks = marks
        self.is_left = is_left

    def computed(self) -> frozenset[Value]:
        """The values to compute again; none where little is kept within events."""
        events: dict[int, list[Value]] = {}
        for value in self.needed:
            if self.is_inner(value) and nbytes(value) > SMALL:
                events.setdefault(self.event_of(value), []).append(value)
        if sum(nbytes(v) for values in events.values() for v in values) < WORTH:
            return frozenset()
        found: set[Value] = set()
        for event, values in events.items():
            found |= self._of_event(event, sorted(values, key=lambda v: v.order))
        return frozenset(found)

    def event_of(self, value: Value) -> int:
        return bisect.bisect(self.marks, value.order)

    def is_inner(self, value: Value) -> bool:
        """Whether a value is one of an event that can be computed from others of its elements."""
        if value.primitive.family not in (ELEMENTWISE, VIEW) or value.primitive.name == "later":
            return False
        return value not in self.origins and saved_origin(value, self.origins) is None

    def price(self, value: Value) -> int:
        """How many bytes it takes to keep a value."""
        if value.primitive.name in ("constant", "iota"):
            return 0
        if value in self.needed:  # (what is small, or shown by a tensor, is kept in any case)
            return nbytes(value) if self.is_inner(value) and nbytes(value) > SMALL else 0
        if value.primitive.family == VIEW and self.is_inner(value):
            return NEVER
        origin = saved_origin(value, self.origins)
        if origin is not None and self.is_left(origin):
            return NEVER
        return nbytes(value)

    def _of_event(self, event: int, values: list[Value]) -> set[Value]:
        """What is between the least that has to be kept and what derivatives look at."""
        graph = _Graph(values)
        stack = list(values)
        while stack:
            value = stack.pop()
            if value in graph.prices:
                continue
            graph.prices[value] = self.price(value)
            if self.event_of(value) == event and self.is_inner(value):
                operands = graph.operands[value] = value.inputs
                stack += operands
            if len(graph.prices) > MOST:
                return set()
        return graph.behind_cut()


class _Graph:
    """Values and what they are made of. What has no operands here has to be kept or not to be
    needed.
    """

    def __init__(self, ends: list[Value]) -> None:
        self.ends = ends
        self.prices: dict[Value, int] = {}
        self.operands: dict[Value, tuple[Value, ...]] = {}

    def behind_cut(self) -> set[Value]:
        """The values that have to be computed where the cheapest ones that all ends can be computed
        from are kept: of equally cheap ones those next to the ends.

        Ford and Fulkerson, from the ends to the operands: each value is an edge of its price from
        its near side (False) to its far side (True), and bounds what passes; operands are edges
        without bounds.
        """
        users: dict[Value, list[Value]] = {}
        for value, operands in self.operands.items():
            for operand in set(operands):
                users.setdefault(operand, []).append(value)
        flow = dict.fromkeys(self.prices, 0)
        carried: dict[tuple[Value, Value], int] = {}  # from a value to its operand
        while True:
            reached, last = self._reach(users, flow, carried)
            if last is None:
                break
            path = [(last, True)]
            while (before := reached[path[-1]]) is not None:
                path.append(before)
            path.reverse()
            self._push(path, flow, carried)
        return {v for v in self.operands if (v, True) in reached}

    def _push(
        self,
        path: list[tuple[Value, bool]],
        flow: dict[Value, int],
        carried: dict[tuple[Value, Value], int],
    ) -> None:
        """Lets as much flow along a path as there is room for."""
        room = NEVER
        for (a, far), (b, other) in pairwise(path):
            if a is b:
                room = min(room, self.prices[a] - flow[a] if other else flow[a])
            elif not far:  # back to a user
                room = min(room, carried[b, a])
        for (a, far), (b, other) in pairwise(path):
            if a is b:
                flow[a] += room if other else -room
            elif far:
                carried[a, b] = carried.get((a, b), 0) + room
            else:
                carried[b, a] -= room

    def _reach(
        self,
        users: dict[Value, list[Value]],
        flow: dict[Value, int],
        carried: dict[tuple[Value, Value], int],
    ) -> tuple[dict[tuple[Value, bool], tuple[Value, bool] | None], Value | None]:
        """The sides of values that more could flow to, with where from; and a value without
        operands whose far side is among them.
        """
        reached: dict[tuple[Value, bool], tuple[Value, bool] | None] = {}
        stack = [(value, False) for value in self.ends]
        reached.update(dict.fromkeys(stack))
        while stack:
            here = stack.pop()
            value, far = here
            onward: list[tuple[Value, bool]] = []
            if far:
                if value not in self.operands:
                    return reached, value
                onward += [(x, False) for x in self.operands[value]]
                if flow[value]:
                    onward.append((value, False))
            else:
                if flow[value] < self.prices[value]:
                    onward.append((value, True))
                onward += [(x, True) for x in users.get(value, ()) if carried.get((x, value))]
            for side in onward:
                if side not in reached:
                    reached[side] = here
                    stack.append(side)
        return reached, None
