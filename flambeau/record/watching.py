"""`debug(nan=True)`: programs that must not give NaN, and what is said of one that does.

A watched program has one condition more: none of its results and updates has NaN. It is checked
before anything is overwritten, so that a program that fails can be gone through op by op, on the
very data, to find the op that made NaN out of numbers.
"""

from __future__ import annotations

import bisect
from dataclasses import replace
from typing import Any

from flambeau.core import dtypes
from flambeau.core.errors import FoundNaN
from flambeau.graph.program import Program, Update
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction, view
from flambeau.ops.randomness import require
from flambeau.ops.value import Value
from flambeau.record.anomaly import state_of
from flambeau.record.flushing import flush
from flambeau.record.misses import forget_all
from flambeau.record.options import OPTIONS
from flambeau.record.places import Place
from flambeau.record.tree import State


def watch(wanted: bool) -> None:
    """Switches the mode; programs of the other mode are forgotten."""
    if wanted == OPTIONS.watch_nan:
        return
    flush()
    OPTIONS.watch_nan = wanted
    forget_all()


def watched(program: Program) -> Program:
    """The program, refusing to give NaN."""
    outputs = program.outputs()
    flags = [_has_nan(v) for v in dict.fromkeys(outputs) if _may_be_nan(v)]
    if not flags:
        return program
    found = flags[0] if len(flags) == 1 else _largest(view.concat(*flags, axis=0))
    fine = el.eq(found, ar.zeros_like(found))
    first = require(outputs[0], fine, error=("FoundNaN", "NaN among a program's results"))
    if program.results:
        return replace(program, results=(first, *program.results[1:]))
    update = program.updates[0]
    return replace(program, updates=(Update(update.base, first), *program.updates[1:]))


def _may_be_nan(v: Value) -> bool:
    return v.size > 0 and (v.dtype.is_floating_point or v.dtype.is_complex)


def _has_nan(v: Value) -> Value:
    """1 where any element is NaN, else 0; int32 of shape (1,)."""
    return _largest(ar.cast(el.ne(v, v), dtypes.int32))


def _largest(v: Value) -> Value:
    if v.ndim:
        v = reduction.max_(v, axes=tuple(range(v.ndim)))
    return view.reshape(v, shape=(1,))


def said_of(state: State, error: FoundNaN) -> FoundNaN:
    """The error in the words of the user's program: op, line and module."""
    node, trace = error.__dict__.get("node"), state.trace
    if node is None or trace is None:
        return error
    name, place = recorded(node, state)
    head, *rest = str(error).splitlines()
    lines = [head.replace("an op", name, 1), *rest, f"  recorded at {place}"]
    infinite = error.__dict__["infinite"]
    if infinite is not None:
        name, place = recorded(infinite, state)
        lines.append(
            f"  after {name} ({infinite.primitive.name}) had made inf, recorded at {place}"
        )
    error.args = ("\n".join(lines),)
    return error


def recorded(node: Value, state: State) -> tuple[str, Place | None]:
    """The op that a value belongs to, and where it was recorded; of a backward pass: the op whose
    derivative the value belongs to.
    """
    trace = state.trace
    event = state_of(state, bisect.bisect(trace.marks, node.order))
    name, place = _name(event), event.place
    derived: list[tuple[int, Value, Any]] = trace.derived
    number = bisect.bisect([order for order, _, _ in derived], node.order) - 1
    if name == "backward" and number >= 0:
        _, value, owner = derived[number]
        if owner.state is not None:
            event = state_of(owner.state, bisect.bisect(owner.marks, value.order))
            name, place = f"the backward of {_name(event)}", event.place
    return name, place


def _name(event: State) -> str:
    key = event.key
    return str(key[0].name) if isinstance(key, tuple) else "an op"
