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


# Attributes of tensors; interned, and held.
ATTRIBUTES = ("_storage", "_offset", "_family", "_grad", "_hooks", "_seen")


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
        given = {"NEW": words.maker(), "GENERAL_LOOKUP": words.general_lookup()}
    except words.Unknown:
        return None
    names = {f"NAME_{name.upper()}": name for name in ATTRIBUTES}
    given |= words.addresses(TENSOR=tensor, PARAMETER=parameter, **names)
    inlined = (*known_ops.INLINED, *pieces.INLINED, *SHARED)
    entries = known_ops.known_op, known_ops.first_gradients, pieces.repeat
    found = builtins(entries, inlined, numbers, given)
    return None if found is None else Calls(*found)


def _numbers(classes: tuple[Any, ...]) -> dict[str, int]:
    """The numbers of the functions on words. Unknown where objects are not laid out so."""
    found = words.numbers(
        (Recording, "RECORDING", words.public(Recording)),
        (Storage, "STORAGE", words.public(Storage)),
        (State, "STATE", words.public(State)),
        (Handle, "HANDLE", ("_meta", "_rec", "_num")),
        (Meta, "META", ("dtype", "requires_grad")),
        (Family, "FAMILY", ("frame", "leaf", "number", "rec")),
        (DType, "DTYPE", ("itemsize",)),
    )
    for name in ATTRIBUTES:
        place = 0 if found["LOOKUP"] else _one([words.place_of_value(c, name) for c in classes])
        found[f"VALUE_{name.upper()}"] = 8 * place
    found["DICT"] = _one([words.place_of_dictionary(cls) for cls in classes])
    found |= {name: 8 * number for number, name in enumerate(pieces.FIELDS)}
    found["MANY"] = known_ops.MANY
    for name in ("PRESENT_WORDS", "ENTRY_WORDS", "HANDLE_WORDS"):
        found[name] = getattr(pieces, name)
    return found


def _one(places: list[int]) -> int:
    if len(set(places)) != 1:
        raise words.Unknown
    return places[0]
