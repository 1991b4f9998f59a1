"""What an error says of the op that raised it: its name, its operands, the user's line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from flambeau.core.errors import add_note
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.hints import hint
from flambeau.record.meta import Meta
from flambeau.record.places import Place
from flambeau.record.trace import Trace
from flambeau.record.tree import State

_WARNED: set[Place] = set()


def explain(error: Exception, trace: Trace, key: Any, count: int, place: Place | None) -> None:
    """Adds a note to an error that an event raised (a line below the message, which stays
    PyTorch's); `count` tensors of the trace are older than the event.
    """
    if not isinstance(key, tuple) or error.__dict__.get("__notes__"):
        return
    event = key[0]
    what = event.name
    if isinstance(event, (PureOp, InplaceOp)):
        what += f"({', '.join(_operand(trace, part, count) for part in key[1:-1])})"
    add_note(error, f"  in {what}" + ("" if place is None else f", at {place}"))
    add_hint(error, event.name, [m for part in key[1:-1] for m in _metas(trace, part, count)])


def add_hint(error: Exception, op: str, metas: Sequence[Meta]) -> None:
    """Adds a note with the likely fix, where one is known."""
    found, topic = hint(op, str(error), metas)
    if found:
        add_note(error, f"  hint: {found}\n  more: flambeau help {topic}")


def warn_of_softmax(state: State) -> None:
    """Warns, once a line, where a cross entropy is given the result of a softmax: it has one."""
    key = state.key
    if not isinstance(key, tuple) or key[0].name != "cross_entropy" or state.place is None:
        return
    made: State | None = state.parent
    while made is not None and made.parent is not None and made.number > key[1]:
        made = made.parent
    if made is None or made.meta is None or not isinstance(made.key, tuple):
        return
    if made.number == key[1] and made.key[0].name == "softmax" and state.place not in _WARNED:
        _WARNED.add(state.place)
        warnings.warn_explicit(
            "cross_entropy was given the result of softmax. It takes scores (logits) and applies "
            "log-softmax itself: leave the softmax out, or training is slow and weak.",
            UserWarning,
            state.place.file,
            state.place.line,
        )


def _metas(trace: Trace, operand: Any, count: int) -> list[Meta]:
    if isinstance(operand, tuple):
        return [m for part in operand for m in _metas(trace, part, count)]
    if isinstance(operand, int) and not isinstance(operand, bool) and operand < count:
        return [trace.tensors[operand].meta]
    return []


def _operand(trace: Trace, operand: Any, count: int) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(_operand(trace, part, count) for part in operand)}]"
    if isinstance(operand, type):
        return f"a number ({operand.__name__})"
    if isinstance(operand, int) and not isinstance(operand, bool) and operand < count:
        meta = trace.tensors[operand].meta
        return f"{meta.dtype.name}[{', '.join(map(str, meta.shape))}]"
    return str(operand)
