"""What always goes into recordings in one piece, as one native call: tensors that enter together,
layers that are known.

Note: what it relies on
    A piece is a table of words with all that is added to a recording at one place in the tree.
    `repeat` first looks whether every tensor is as it was; then it adds everything. Nothing of that
    calls Python code, as in `known_ops`: what is overwritten goes into a list, which is let go when
    all is in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.references import item, new_reference, put, release, replaced
from flambeau.execute.cpu.word_functions import api, at, given, word
from flambeau.record.known_ops import (
    appended,
    at_hand,
    open_lists,
    shorten,
    with_base,
    with_result,
)

if TYPE_CHECKING:
    from flambeau.record.tree import State

FIELDS = (
    "BEFORE AFTER PRESENT PRESENT_END ENTRIES ENTRIES_END HANDLES HANDLES_END BASES BASES_END "
    "SCALARS SCALARS_END RESULT INPUT_META INPUT_BASE INPUT_NUMBER OLD"
).split()
# Words of a tensor that has entered before: it and its number; of one that enters: it, its storage,
# its meta, its offset in elements and (an object) in bytes, and as objects its base, number, dtype;
# of a handle: the tensor that enters (0: the input) or, of a new one, 0, its meta and number.
PRESENT_WORDS, ENTRY_WORDS, HANDLE_WORDS = 2, 8, 3

# ---- functions on words --------------------------------------------------------------------------


def repeat(_: int, args: int, count: int) -> Any:
    """(piece, recording, input or None): the result, or True where there is none; None where
    something is not as it was, and nothing has happened.
    """
    if count != 3:
        return api.PyErr_BadArgument()
    piece = api.PyLong_AsVoidPtr(word[args])
    rec = word[args + 8]
    if piece == 0 or not as_before(piece, rec, word[args + 16]):
        return new_reference(given.NONE)
    collecting = api.PyGC_Disable()
    old = api.PyList_New(word[piece + at.OLD])
    result = 0
    if old != 0:
        result = added(piece, rec, word[args + 16])
    if result == 0:
        api.PyErr_Clear()
        if collecting:
            api.PyGC_Enable()
        release(old)
        return new_reference(given.NONE)
    settle(piece, rec, word[args + 16], word[old + at.ITEMS])
    state = replaced(rec + at.RECORDING_STATE, word[piece + at.AFTER])
    new_reference(result)
    if collecting:
        api.PyGC_Enable()
    release(state)
    release(old)
    return result


def as_before(piece: int, rec: int, given_input: int) -> Any:
    """Whether the recording is where the piece begins, and all its tensors are as they were."""
    if word[rec + at.RECORDING_STATE] != word[piece + at.BEFORE] or not open_lists(rec):
        return 0
    storage = 0
    if word[piece + at.INPUT_META] != 0:
        if (
            word[given_input + at.TYPE] != given.TENSOR
            or word[given_input + at.HANDLE__META] != word[piece + at.INPUT_META]
        ):
            return 0
        storage = at_hand(rec, given_input, 0)
        if storage == 0:
            return 0
    entry = word[piece + at.PRESENT]
    while entry != word[piece + at.PRESENT_END]:
        tensor = word[entry]
        if word[tensor + at.HANDLE__REC] != rec or api.PyLong_AsLongLong(
            word[tensor + at.HANDLE__NUM]
        ) != api.PyLong_AsLongLong(word[entry + 8]):
            return 0
        entry += 8 * at.PRESENT_WORDS
    entry = word[piece + at.ENTRIES]
    while entry != word[piece + at.ENTRIES_END]:
        if (
            word[word[entry] + at.HANDLE__META] != word[entry + 16]
            or word[entry + 8] == storage
            or at_hand(rec, word[entry], word[entry + 24]) != word[entry + 8]
        ):
            return 0
        entry += 8 * at.ENTRY_WORDS
    return 1


def added(piece: int, rec: int, given_input: int) -> Any:
    """Makes the lists of the recording longer; the result, borrowed. 0 where there is no memory,
    and the lists are as they were.
    """
    handles = word[rec + at.RECORDING_HANDLES]
    bases = word[rec + at.RECORDING_BASES]
    scalars = word[rec + at.RECORDING_SCALARS]
    handles_before = word[handles + at.LENGTH]
    bases_before = word[bases + at.LENGTH]
    scalars_before = word[scalars + at.LENGTH]
    whole = with_handles(piece, rec, given_input)
    entry = word[piece + at.BASES]
    while whole and entry != word[piece + at.BASES_END]:
        if word[entry] == 0:
            whole = with_base(rec, at_hand(rec, given_input, 0), given.ZERO)
        else:
            whole = appended(bases, word[entry])
        entry += 8
    entry = word[piece + at.SCALARS]
    while whole and entry != word[piece + at.SCALARS_END]:
        whole = appended(scalars, word[entry])
        entry += 8
    if not whole:
        shorten(handles, word[handles + at.LENGTH] - handles_before)
        shorten(bases, word[bases + at.LENGTH] - bases_before)
        shorten(scalars, word[scalars + at.LENGTH] - scalars_before)
        return 0
    if word[piece + at.RESULT] < 0:
        return given.TRUE
    return item(handles, handles_before + word[piece + at.RESULT])


def with_handles(piece: int, rec: int, given_input: int) -> Any:
    handles = word[rec + at.RECORDING_HANDLES]
    entry = word[piece + at.HANDLES]
    while entry != word[piece + at.HANDLES_END]:
        if word[entry + 8] != 0:
            made = with_result(rec, handles, word[entry + 8], new_reference(word[entry + 16]))
            if made == 0:
                return 0
            release(made)  # the list's
        else:
            tensor = word[entry]
            if tensor == 0:
                tensor = given_input
            if not appended(handles, tensor):
                return 0
        entry += 8 * at.HANDLE_WORDS
    return 1


def settle(piece: int, rec: int, given_input: int, old: int) -> Any:
    """Tells the tensors and storages where they are; what they said before goes to `old`."""
    entry = word[piece + at.ENTRIES]
    while entry != word[piece + at.ENTRIES_END]:
        storage = word[entry + 8]
        word[old] = replaced(storage + at.STORAGE_RECORDING, rec)
        word[old + 8] = replaced(word[entry] + at.HANDLE__REC, rec)
        old += 16
        put(storage + at.STORAGE_OFFSET, word[entry + 32])
        put(storage + at.STORAGE_BASE, word[entry + 40])
        put(word[entry] + at.HANDLE__NUM, word[entry + 48])
        put(storage + at.STORAGE_DTYPE, word[entry + 56])
        entry += 8 * at.ENTRY_WORDS
    meta = word[piece + at.INPUT_META]
    if meta != 0:
        storage = at_hand(rec, given_input, 0)
        word[old] = replaced(storage + at.STORAGE_RECORDING, rec)
        word[old + 8] = replaced(given_input + at.HANDLE__REC, rec)
        put(storage + at.STORAGE_OFFSET, given.ZERO)
        put(storage + at.STORAGE_BASE, word[piece + at.INPUT_BASE])
        put(given_input + at.HANDLE__NUM, word[piece + at.INPUT_NUMBER])
        put(storage + at.STORAGE_DTYPE, word[meta + at.META_DTYPE])
    return 0


INLINED = (as_before, added, with_handles, settle)


# ---- pieces --------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A tensor that enters: what it must be, its base and its number."""

    tensor: Any
    storage: Any
    meta: Any
    offset: int
    base: int
    number: int


class Input(NamedTuple):
    """The input, where it enters: its meta, its base, its number, its places in the lists."""

    meta: Any
    base: int
    number: int


class Piece:
    """What is added to a recording at `before`, in the words of `FIELDS`.

    `handles` are what enters and None for the input; of new tensors (meta, number). `bases` has
    None for the input. `result` is the place of the result among the handles (-1: none).
    """

    __slots__ = ("address", "after", "held", "words")

    def __init__(
        self,
        before: State,
        after: State,
        entries: Sequence[Entry],
        handles: Sequence[Any],
        bases: Sequence[Any],
        scalars: Sequence[Any] = (),
        present: Sequence[tuple[Any, int]] = (),
        input: Input | None = None,
        result: int = -1,
    ) -> None:
        held: list[Any] = [before, after, present, entries, handles, bases, scalars, input]

        def kept(thing: Any) -> int:
            held.append(thing)
            return id(thing)

        rows: dict[str, Any] = {
            "PRESENT": [(id(tensor), kept(number)) for tensor, number in present],
            "ENTRIES": [
                (
                    *(id(e.tensor), id(e.storage), id(e.meta), e.offset),
                    kept(e.offset * e.meta.dtype.itemsize),
                    *(kept(e.base), kept(e.number), id(e.meta.dtype)),
                )
                for e in entries
            ],
            "HANDLES": [
                (0, id(h[0]), kept(h[1])) if type(h) is tuple else (h is not None and id(h), 0, 0)
                for h in handles
            ],
            "BASES": [0 if base is None else id(base) for base in bases],
            "SCALARS": [id(scalar) for scalar in scalars],
        }
        values = {"BEFORE": id(before), "AFTER": id(after), "RESULT": result}
        values["OLD"] = 2 * (len(entries) + 1)
        if input is not None:
            values["INPUT_META"] = id(input.meta)
            values["INPUT_BASE"], values["INPUT_NUMBER"] = kept(input.base), kept(input.number)
        for name, row in rows.items():
            array = np.array(row or [0], np.int64)
            values[name] = address_of(array)
            values[name + "_END"] = address_of(array) + (array.nbytes if row else 0)
            held.append(array)
        self.held = held
        self.after = after
        self.words = np.array([values.get(name, 0) for name in FIELDS], np.int64)
        self.address = address_of(self.words)
