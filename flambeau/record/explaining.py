"""What an error says of the op that raised it: its name, its operands, the user's line."""

from __future__ import annotations

from typing import Any

from flambeau.core.errors import add_note
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.places import Place
from flambeau.record.trace import Trace


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


def _operand(trace: Trace, operand: Any, count: int) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(_operand(trace, part, count) for part in operand)}]"
    if isinstance(operand, type):
        return f"a number ({operand.__name__})"
    if isinstance(operand, int) and not isinstance(operand, bool) and operand < count:
        meta = trace.tensors[operand].meta
        return f"{meta.dtype.name}[{', '.join(map(str, meta.shape))}]"
    return str(operand)
