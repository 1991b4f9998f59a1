"""Values that are computed again on the way back, instead of being kept (torch.utils.checkpoint).

Note [Computed again]
    A span of a recording may be marked: what its values are is not worth the memory. A derivative
    that looks at one of them gets a copy of it, computed from what stood before the span, by the
    same primitives. In the recording itself nothing but the order keeps copy and value apart, and
    the compiler would join the two (they are equal). So the copies begin with `later` values of
    what they are computed from, which wait for the cotangent that has arrived by then. Leaves are
    taken as they are; so is what is small, as the states between draws are: a draw that is drawn
    again gives the same numbers.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable

from flambeau.core.dtypes import uint32
from flambeau.core.random_streams import STATE_WORDS
from flambeau.graph.program import data_operands
from flambeau.graph.reverse import Reverse
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.primitive import SOURCE, VIEW
from flambeau.ops.value import Value, latest_order

SMALL = 4096  # bytes of a value that is kept


class Spans:
    """Stretches of a trace, by the order of values."""

    def __init__(self) -> None:
        self.ends: list[int] = []  # where one begins, where it ends, where the next one begins, ..

    def __bool__(self) -> bool:
        return bool(self.ends)

    def of(self, value: Value) -> int:
        """The number of the stretch that a value is in; 0 if it is in none."""
        number = bisect.bisect(self.ends, value.order)
        return number if number % 2 else 0

    def set(self, inside: bool) -> None:
        """From here on values belong to one, or do not."""
        if inside != len(self.ends) % 2:
            self.ends.append(latest_order())


def is_recomputed(value: Value) -> bool:
    """Whether a value of a span is one to compute again."""
    name, family = value.primitive.name, value.primitive.family
    if family == SOURCE or name in ("leaf", "history", "random_advance"):
        return False
    return family == VIEW or value.size * value.dtype.itemsize > SMALL


def is_generator_state(value: Value) -> bool:
    """Whether a value is what a generator draws from."""
    return value.dtype is uint32 and value.shape == (STATE_WORDS,)


class Again:
    """Copies of values of spans, made when the derivative of another value of the span looks at
    them: what looks at them from outside, as the next span does at what this one gives, keeps them.

    `given` gives what stands outside of a span, and what of it is kept.
    """

    def __init__(self, spans: Spans, pass_: Reverse, given: Callable[[Value], Value]) -> None:
        self.spans = spans
        self.pass_ = pass_
        self.given = given
        self.known: dict[Value, Value] = {}
        self.apart: set[Value] = set()  # the copies that no compiler takes for their values
        self.waiting: dict[Value, Value] = {}

    def __contains__(self, value: Value) -> bool:
        if not self.spans:
            return False
        span, looking = self.spans.of(value), self.pass_.looking
        within = span and looking is not None and span == self.spans.of(looking)
        return bool(within) and is_recomputed(value)

    def copy(self, value: Value) -> Value:
        """What a value of a span is, computed again."""
        for x in self._missing(value):
            operands = data_operands(x)
            inputs = [self.known[y] if y in self else self.given(y) for y in operands]
            if x.primitive.name == "relink":
                self.known[x] = inputs[0]
                continue
            apart = not self.apart.isdisjoint(inputs)
            if not apart and x.primitive.family != VIEW:
                least = min(range(len(inputs)), key=lambda n: inputs[n].size)
                inputs[least] = self._delayed(inputs[least])
                apart = True
            tracked = x.tracked and any(y.tracked for y in inputs)
            made = Value(x.primitive, tuple(inputs), x.attrs, x.shape, x.dtype, tracked)
            self.known[x] = made
            if apart:
                self.apart.add(made)
        return self.known[value]

    def _missing(self, value: Value) -> list[Value]:
        """What is to be computed for a value, operands first."""
        if value in self.known:
            return []
        found, stack = {value}, [value]
        while stack:
            for x in data_operands(stack.pop()):
                if x not in found and x not in self.known and x in self:
                    found.add(x)
                    stack.append(x)
        return sorted(found, key=lambda x: x.order)

    def _delayed(self, value: Value) -> Value:
        found = self.waiting.get(value)
        if found is None:
            assert self.pass_.passing is not None
            found = self.waiting[value] = after(value, self.pass_.passing)
        return found


def after(value: Value, cotangent: Value) -> Value:
    """A value that is not there before the cotangent."""
    if not value.size or not cotangent.size:
        return value
    one = cotangent
    if one.ndim:
        first, single = (0,) * one.ndim, (1,) * one.ndim
        one = view.slice_(one, starts=first, sizes=single, steps=single)
    one = view.reshape(one, shape=(1,) * value.ndim)
    return el.later(value, ar.expand(one, value.shape))
