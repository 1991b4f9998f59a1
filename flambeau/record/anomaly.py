"""What anomaly mode asks of a backward pass: did an op pass on NaN, and which?

Each cotangent that leaves an event gets a flag; the flags are one more result of the pass, read
before any gradient is delivered. Nothing of this is in a pass that runs with the mode off.
"""

from __future__ import annotations

import bisect
from typing import Any, NamedTuple

from flambeau.core import dtypes
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction, view
from flambeau.ops.value import Value
from flambeau.record.meta import Meta
from flambeau.record.trace import Trace
from flambeau.record.tree import State


class Place(NamedTuple):
    """Where a cotangent came from: (chain position or -1, event number, which of its operands)."""

    position: int
    event: int
    operand: int


class Watch:
    """Collects the flags of one pass."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.flags: list[Value] = []

    def observer(self, position: int, trace: Trace) -> Any:
        """What a differentiator of that trace tells of each cotangent it passes on."""

        def observe(value: Value, place: int, operand: Value, ct: Value) -> None:
            event = bisect.bisect(trace.marks, value.order)
            if not ct.size or (event > 0 and operand.order > trace.marks[event - 1]):
                return  # it stays within the event
            flag = ar.cast(el.ne(ct, ct), dtypes.float32)
            if flag.ndim:
                flag = reduction.max_(flag, axes=tuple(range(flag.ndim)))
            self.flags.append(view.reshape(flag, shape=(1,)))
            self.places.append(Place(position, event, operand_place(trace, event, place, operand)))

        return observe

    def joined(self) -> Value:
        """All flags: 1.0 where a cotangent has NaN."""
        return self.flags[0] if len(self.flags) == 1 else view.concat(*self.flags, axis=0)


def operand_place(trace: Trace, event: int, place: int, operand: Value) -> int:
    """Which operand of an event a value is; `place` where that is not known."""
    if not event or trace.state is None:
        return place
    key = state_of(trace.state, event).key
    if isinstance(key, Meta) or key[0].enters:
        return place  # what a view adds to the history that it entered with
    known = []
    operands = key[2] if key[0].name == "function" else key[1:-1]
    for number, tensor in enumerate(_tensors(trace, operands)):
        if tensor is not None and operand in tensor.group.values.values():
            known.append(number)
    return place if place in known or not known else known[0]


def _tensors(trace: Trace, operands: Any) -> list[Any]:
    """The tensor at each operand that a derivative may exist for; None at numbers."""
    found: list[Any] = []
    for operand in operands:
        if isinstance(operand, tuple):
            found += _tensors(trace, operand)
        elif isinstance(operand, int) and not isinstance(operand, bool):
            tensor = trace.tensors[operand]
            if tensor.meta.dtype.is_floating_point or tensor.meta.dtype.is_complex:
                found.append(tensor)
    return found


def state_of(last: State, event: int) -> State:
    """The state that an event has led to."""
    found = last.events()
    return found[event - 1] if 0 < event <= len(found) else last


def function_name(state: State) -> str:
    """PyTorch's name of the backward function of the event that led to a state."""
    for meta in state.metas:
        if meta.requires_grad and meta.grad_name:
            return meta.grad_name
    return state.key[0].grad_name if not isinstance(state.key, Meta) else "Backward0"


def operand_number(state: State, operand: int) -> int:
    """PyTorch's number of an operand: `linear` is an addmm there, with the bias first."""
    key = state.key
    if not isinstance(key, Meta) and key[0].name == "linear" and key[3] is not None:
        return (operand + 1) % 3
    return operand
