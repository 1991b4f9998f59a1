"""The recorder's native calls: `known_op` and `first_gradients` of `known_ops`, `pieces.repeat`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flambeau.core.dtypes import DType
from flambeau.execute.cpu.entrances import builtins
from flambeau.execute.cpu.references import SHARED
from flambeau.record import known_ops, pieces, words
from flambeau.record.handle import Family, Handle
from flambeau.record.meta import Meta
from flambeau.record.recording import Recording
from flambeau.record.storage import Storage
from flambeau.record.tree import State


class Calls(NamedTuple):
    """The builtin functions."""

    known_op: Callable[..., Any]
    first_gradients: Callable[[Any, Any, Any], Any]
    repeat: Callable[[int, Any, Any], Any]


NAMES = {"GRAD_NAME": "_grad"}  # interned, and held


@cache
def native_calls() -> Calls | None:
    """The builtin functions; None where nothing is known of the layout of objects."""
    if not words.known():
        return None
    from flambeau.record import recorder

    tensor = recorder.handle_class()
    parameter = next((k for k in tensor.__subclasses__() if k.__name__ == "Parameter"), tensor)
    try:
        numbers = _numbers((tensor, parameter))
        given = {"NEW": words.maker()}
    except words.Unknown:
        return None
    objects = {
        "NONE": None,
        "TRUE": True,
        "FALSE": False,
        "EMPTY": (),
        "ZERO": 0,
        "LIST": list,
        "TUPLE": tuple,
        "INT": int,
        "BOOL": bool,
        "FLOAT": float,
        "TENSOR": tensor,
        "PARAMETER": parameter,
        **NAMES,
    }
    given |= {name: id(thing) for name, thing in objects.items()}
    inlined = (*known_ops.INLINED, *pieces.INLINED, *SHARED)
    entries = known_ops.known_op, known_ops.first_gradients, pieces.repeat
    found = builtins(entries, inlined, numbers, given)
    return None if found is None else Calls(*found)


def _numbers(classes: tuple[Any, ...]) -> dict[str, int]:
    """The numbers of the functions on words. Unknown where objects are not laid out so."""
    slots: list[tuple[Any, str, str]]
    slots = [(Recording, "RECORDING", name) for name in Recording.__slots__ if name[0] != "_"]
    slots += [(Storage, "STORAGE", name) for name in Storage.__slots__ if name[0] != "_"]
    slots += [(State, "STATE", name) for name in State.__slots__ if name[0] != "_"]
    slots += [(Handle, "HANDLE", name) for name in ("_meta", "_rec", "_num")]
    slots += [(Meta, "META", name) for name in ("dtype", "requires_grad")]
    slots += [(Family, "FAMILY", name) for name in ("frame", "leaf", "number", "rec")]
    slots += [(DType, "DTYPE", "itemsize")]
    found = {f"{title}_{name.upper()}": words.slot_of(cls, name) for cls, title, name in slots}
    if not all(found.values()):
        raise words.Unknown
    for name in ("_storage", "_offset", "_family", "_grad", "_hooks", "_seen"):
        places = {words.place_of_value(cls, name) for cls in classes}
        if len(places) > 1:
            raise words.Unknown
        found[f"VALUE_{name.upper()}"] = 8 * places.pop()
    found |= {name: 8 * number for number, name in enumerate(pieces.FIELDS)}
    found["MANY"] = known_ops.MANY
    for name in ("PRESENT_WORDS", "ENTRY_WORDS", "HANDLE_WORDS"):
        found[name] = getattr(pieces, name)
    for name in ("TYPE", "LENGTH", "ITEMS", "DICT", "VALUES", "SPLIT", "FIRST_ELEMENT"):
        found[name] = getattr(words, name)
    return found
