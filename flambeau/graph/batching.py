"""From what a function makes of one slice to what it makes of all: Note [Lanes] in `ops/lanes.py`.

Values that depend on no lane of the level stay as they are, the same for all slices. The others
are made again by their primitives' rules, on operands with an axis of slices in front, and slice
by slice where a primitive has no such rule. All that is made is values like any others, so
batching composes with differentiation, and with itself, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flambeau.ops import arithmetic as ar
from flambeau.ops import source, view
from flambeau.ops.lanes import lane, lane_gradient
from flambeau.ops.primitive import lifted
from flambeau.ops.randomness import random_advance, random_draw
from flambeau.ops.value import Value


class Unbatched(BaseException):
    """What is under way cannot be recorded for all slices at once. No `Exception`: nobody but the
    caller of the function is to take it for an error of the function.
    """


class Level:
    """A call of vmap: how many slices there are, what draws do ("error", "same", "different"), and
    where in the order of values it begins.
    """

    __slots__ = ("advanced", "first", "number", "randomness", "since", "size")

    def __init__(self, number: int, size: int, randomness: str, first: int) -> None:
        self.number = self.since = number
        self.size = size
        self.randomness = randomness
        self.first = first  # the number of the first tensor that is a lane
        self.advanced: set[Value] = set()  # states of generators behind the draws for all slices


def depends(value: Value, level: Level, known: dict[tuple[Value, int], bool]) -> bool:
    """Whether a value is another one for each slice. `known` keeps answers."""
    stack = [value]
    while stack:
        at = stack[-1]
        key = at, level.number
        if key in known:
            stack.pop()
        elif at.order < level.since:
            known[key] = False
        elif _begins(at, level):
            known[key] = True
        else:
            asked = [operand for operand in at.inputs if (operand, level.number) not in known]
            if asked:
                stack += asked
            else:
                known[key] = any(known[operand, level.number] for operand in at.inputs)
    return known[value, level.number]


def _begins(value: Value, level: Level) -> bool:
    """Whether slices differ from a value on."""
    if value.primitive is lane:
        return bool(value.attrs["level"] == level.number)
    return value.primitive is random_draw and level.randomness == "different"


# Draws that are not the same elements in one go as one slice after another.
APART = ("permutation",)


def advanced(after: Value, level: Level) -> Value:
    """The state of a generator after a draw for each slice, from that after a draw for one."""
    older = after.order < level.since or after in level.advanced
    if older or after.primitive is not random_advance:
        return after
    before, attrs = advanced(after.inputs[0], level), after.attrs
    if len(after.inputs) > 1:
        raise Unbatched
    if attrs["kind"] in APART:
        made = before
        for _ in range(level.size):
            made = random_advance(made, **attrs)
    else:
        made = random_advance(before, **{**attrs, "count": attrs["count"] * level.size})
    level.advanced.add(made)
    return made


def _drawn(value: Value, level: Level) -> Value:
    """The draw for each slice."""
    if len(value.inputs) > 1:
        raise Unbatched
    state, attrs, size = advanced(value.inputs[0], level), value.attrs, level.size
    if attrs["kind"] not in APART:
        whole = random_draw(state, **{**attrs, "count": attrs["count"] * size})
        return view.reshape(whole, shape=(size, *value.shape))
    rows = []
    for _ in range(size):
        rows.append(view.reshape(random_draw(state, **attrs), shape=(1, *value.shape)))
        state = random_advance(state, **attrs)
    return view.concat(*rows, axis=0)


class Batching:
    """Values of a function of one slice as those for all slices of a level: `rows` of those that
    are not the same for all of them.
    """

    def __init__(self, level: Level, rows: dict[Value, Value] | None = None) -> None:
        self.level = level
        self.rows: dict[Value, Value] = {} if rows is None else rows
        self.known: dict[tuple[Value, int], bool] = {}
        self.slow: set[str] = set()  # primitives that went slice by slice

    def of(self, value: Value) -> Value | None:
        """The value for all slices, along a new first axis; None where it is the same in all."""
        for node in self._waiting([value]):
            self._visit(node)
        return self.rows.get(value)

    def whole(self, value: Value) -> Value:
        """The value for all slices, also where it is the same in all."""
        found = self.of(value)
        return lifted(self.level.size, (value,), (False,))[0] if found is None else found

    def _waiting(self, values: Iterable[Value]) -> list[Value]:
        """What must be made for all slices before these, and themselves, operands first."""
        found, stack = set(), list(values)
        while stack:
            at = stack.pop()
            if at in found or at in self.rows or not self._differs(at):
                continue
            found.add(at)
            stack += at.inputs
        return sorted(found, key=lambda value: value.order)

    def _differs(self, value: Value) -> bool:
        return depends(value, self.level, self.known)

    def _visit(self, value: Value) -> None:
        level, primitive = self.level, value.primitive
        if primitive is lane and value.attrs["level"] == level.number:
            x, axis = value.inputs[0], value.attrs["axis"]
            self.rows[value] = view.to_front(x, axis)
            return
        if primitive is random_draw and level.randomness == "different":
            self.rows[value] = _drawn(value, level)
            return
        if primitive is lane_gradient and value.attrs["level"] == level.number:
            raise RuntimeError(
                "vmap: a gradient with respect to a tensor outside of the function under vmap was "
                "asked for inside of it; please ask for it outside"
            )
        mapped = [operand in self.rows for operand in value.inputs]
        given = [self.rows.get(operand, operand) for operand in value.inputs]
        if primitive.name == "derivative":
            found = self._derivative(value, lifted(level.size, given, mapped))
        elif primitive.name in ("leaf", "history"):
            found = source.detach(given[0])  # who asks for its gradient is inside the function
        else:
            made = primitive.batched(level.size, given, mapped, **value.attrs)
            found = self._one_by_one(value, given, mapped) if made is None else made
        assert found.shape == (level.size, *value.shape) and found.dtype is value.dtype, (
            value,
            found,
        )
        self.rows[value] = found

    def _one_by_one(self, value: Value, given: Sequence[Value], mapped: Sequence[bool]) -> Value:
        size = self.level.size
        self.slow.add(value.primitive.name)
        if not size:
            return ar.full((0, *value.shape), 0, value.dtype)
        made = []
        for place in range(size):
            operands = [_row(x, place) if has else x for x, has in zip(given, mapped, strict=True)]
            found = value.primitive(*operands, **value.attrs)
            made.append(view.reshape(found, shape=(1, *value.shape)))
        return made[0] if size == 1 else view.concat(*made, axis=0)

    def _derivative(self, value: Value, given: Sequence[Value]) -> Value:
        """A history whose derivative is that of each slice, for all of them."""
        level, before = self.level, dict(self.rows)  # (what is older: values are in no circle)

        def backward(ct: Value, *operands: Value) -> tuple[Value | None, ...]:
            one = source.program_input("slice", None, value.shape, value.dtype)
            one.tracked = ct.tracked
            rows = {**before, **dict(zip(value.inputs, operands, strict=True)), one: ct}
            inner = Batching(level, rows)
            inner.known.update(((x, level.number), True) for x in (one, *value.inputs))
            found = value.attrs["backward"](one, *value.inputs)
            return tuple(None if x is None else inner.whole(x) for x in found)

        shape = (self.level.size, *value.shape)
        return value.primitive(*given, backward=backward, shape=shape, dtype=value.dtype)


def _row(x: Value, place: int) -> Value:
    starts = (place,) + (0,) * (x.ndim - 1)
    part = view.slice_(x, starts=starts, sizes=(1, *x.shape[1:]), steps=(1,) * x.ndim)
    return view.reshape(part, shape=x.shape[1:])
