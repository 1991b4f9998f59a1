"""The recorder's native calls: `known_op` and `first_gradients` of `known_ops`, `pieces.repeat`;
and those that record nothing, of `known_views`, `known_memory`, `known_data`, `known_reads`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from flambeau.core import dtypes
from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds, entrances, kept_functions, pool
from flambeau.execute.cpu.entrances import builtins
from flambeau.execute.cpu.references import SHARED
from flambeau.ops.value import Value
from flambeau.record import (
    known_data,
    known_memory,
    known_ops,
    known_reads,
    known_views,
    pieces,
    replay,
    words,
)
from flambeau.record.handle import Family, Handle
from flambeau.record.meta import Meta
from flambeau.record.recording import Recording
from flambeau.record.storage import Buffer, Storage
from flambeau.record.tree import State


class Calls(NamedTuple):
    """The builtin functions that record."""

    known_op: Callable[..., Any]
    first_gradients: Callable[[Any, Any, Any], Any]
    repeat: Callable[[int, Any, Any], Any]


class PlainCalls(NamedTuple):
    """Those that make tensors which hold their data, or have to do with such data."""

    known_alias: Callable[[Any, Any, int], Any]
    known_view: Callable[[Any, Any, int], Any]
    known_views: Callable[[Any, Any, Any], Any]
    known_show: Callable[[Any, Any, Any, Any, Any], Any]
    known_fresh: Callable[[Any, Any], Any]
    known_over: Callable[[Any, Any, int, bool], Any]
    known_adopted: Callable[[Any, Any], Any]
    known_answer: Callable[..., Any]
    known_write: Callable[..., Any]
    known_array: Callable[[Any, bool], Any]
    known_number: Callable[[Any], Any]


# What records, and what that calls.
RECORDING = (
    (known_ops.known_op, known_ops.first_gradients, pieces.repeat),
    (*known_ops.INLINED, *pieces.INLINED),
)
# Attributes of tensors; interned, and held.
ATTRIBUTES = ("_storage", "_offset", "_family", "_origin", "_grad", "_hooks", "_seen")
# What is asked of metas.
META = "at_zero dtype extents numel requires_grad silent steps strides".split()
HELD: list[Any] = []  # arrays that native code knows by address


@cache
def native_calls() -> Calls | None:
    """The builtin functions; None where nothing is known of the layout of objects."""
    found = _builtins(*RECORDING)
    return None if found is None else Calls(*found)


@cache
def plain_calls() -> PlainCalls | None:
    """The same of those that record nothing."""
    made = *known_views.ENTRIES, *known_memory.ENTRIES
    entries = (*made, *known_data.ENTRIES, *known_reads.ENTRIES)
    used = known_ops.family_of, known_ops.offset_of, known_ops.appended, known_ops.shorten
    own = *known_views.INLINED, *known_memory.INLINED, *known_data.INLINED, *known_reads.INLINED
    found = _builtins(entries, (*own, *used))
    return None if found is None else PlainCalls(*found)


def _builtins(entries: Sequence[Any], inlined: Sequence[Any]) -> list[Any] | None:
    from flambeau.record.history import HISTORY  # of a later file

    if not words.known():
        return None
    tensor, parameter = _classes()
    try:
        numbers = _numbers((tensor, parameter))
        given = {"NEW": words.maker(), "GENERAL_LOOKUP": words.general_lookup()}
        HELD.append(np.zeros(2, np.int64))
        given["ADDRESSES"] = address_of(HELD[-1])
        HELD.append(np.zeros(2 * known_reads.MOST_AXES, np.int64))
        given["LAYOUT"] = address_of(HELD[-1])
        given["NEW_ARRAY"] = known_reads.array_maker()
        HELD.append(known_views.lonely())
    except words.Unknown:
        return None
    given["LONELY"] = address_of(HELD[-1])
    names = {f"NAME_{name.upper()}": name for name in ATTRIBUTES}
    classes = {"FAMILY": Family, "STORAGE": Storage, "BUFFER": Buffer, "NDARRAY": np.ndarray}
    kinds = {name.upper(): getattr(dtypes, name) for name in known_reads.DTYPES}
    given |= words.addresses(
        TENSOR=tensor, PARAMETER=parameter, ARRAY=array, BYTEARRAY=bytearray, MINUS_ONE=-1, ONE=1,
        TRUTH=dtypes.bool_, HISTORY=HISTORY, **classes, **kinds, **names,
    )  # fmt: skip
    return builtins(entries, (*inlined, *SHARED), numbers, given)


def _classes() -> tuple[type[Any], type[Any]]:
    """Of tensors, and of parameters."""
    from flambeau.record import recorder

    tensor = recorder.handle_class()
    found = (k for k in tensor.__subclasses__() if k.__name__ == "Parameter")
    return tensor, next(found, tensor)


@cache
def begin() -> None:
    """Compiles on other threads, where the disk has them not, the native functions that the first
    runs of a compiled program bring.
    """
    if not words.known() or bounds.switched_on():
        return
    entries, inlined = RECORDING
    with suppress(words.Unknown):
        kept_functions.begin(entries, (*inlined, *SHARED), _numbers(_classes()))
        kept_functions.begin(*replay.replay_functions())
    kept_functions.begin(*entrances.entrance_functions())
    pool.begin()


@cache
def _numbers(classes: tuple[Any, ...]) -> dict[str, int]:
    """The numbers of the functions on words. Unknown where objects are not laid out so."""
    found = words.numbers(
        (Recording, "RECORDING", words.public(Recording)),
        (Storage, "STORAGE", words.public(Storage)),
        (Buffer, "BUFFER", words.public(Buffer)),
        (State, "STATE", words.public(State)),
        (Handle, "HANDLE", ("_meta", "_rec", "_num")),
        (Meta, "META", META),
        (Family, "FAMILY", words.public(Family)),
        (Value, "NODE", ("shape",)),
        (DType, "DTYPE", ("itemsize", "numpy")),
    )
    for name in ATTRIBUTES:
        place = 0 if found["LOOKUP"] else _one([words.place_of_value(c, name) for c in classes])
        found[f"VALUE_{name.upper()}"] = 8 * place
    found["DICT"] = _one([words.place_of_dictionary(cls) for cls in classes])
    found["BEHIND"] = _one([words.place_of_values(cls) for cls in classes])
    found |= {name: 8 * number for number, name in enumerate(pieces.FIELDS)}
    found["MANY"] = known_ops.MANY
    found |= known_memory.data_places()
    found["ROW_MAJOR"], found["MOST_BYTES"] = known_memory.ROW_MAJOR, known_memory.MOST_BYTES
    for name in ("MOST_AXES", "OWNS", "WRITEABLE"):
        found[name] = getattr(known_reads, name)
    found["REFERENT"] = known_views.referent()
    for name in ("PRESENT_WORDS", "ENTRY_WORDS", "HANDLE_WORDS"):
        found[name] = getattr(pieces, name)
    return found


def _one(places: list[int]) -> int:
    if len(set(places)) != 1:
        raise words.Unknown
    return places[0]
