"""Tensors with history in an earlier program, as they enter a recording in a native call.

What `known_ops.entered` is for plain data, this is for what a step of a loop goes on with: a tensor
that shows all of its memory, was not written since, and whose hooks, if it has any, stand in the
program that made it. Everything else is `history.enter_member`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.execute.cpu.references import (
    attribute,
    attributes_of,
    found_in,
    item,
    new_reference,
    put,
    release,
    replaced,
)
from flambeau.execute.cpu.word_functions import api, at, given, word

if TYPE_CHECKING:  # (functions that are translated are found by their names)
    from flambeau.record.known_ops import appended, free_storage, open_lists, shorten, with_base


def with_history(rec: int, tensor: int) -> Any:
    """The number of a tensor that enters with history, a new reference; 0 where that is not known,
    and nothing has happened.
    """
    storage = free_storage(rec, tensor)
    if storage == 0:
        return 0
    family = whole_family(tensor)
    if family == 0:
        return 0
    other = word[storage + at.STORAGE_RECORDING]
    meta = word[tensor + at.HANDLE__META]
    before = word[rec + at.RECORDING_STATE]
    key = history_key(meta, family)
    frames = longer_frames(word[rec + at.RECORDING_FRAMES], family)
    if key == 0 or frames == 0:
        api.PyErr_Clear()
        release(key)
        release(frames)
        return 0
    after = found_in(word[before + at.STATE_NEXT], key)
    release(key)
    # From here on nothing is called that could call Python code, up to the end.
    if (
        after == 0
        or not open_lists(rec)
        or word[rec + at.RECORDING_STATE] != before
        or free_storage(rec, tensor) != storage
        or whole_family(tensor) != family
        or word[storage + at.STORAGE_RECORDING] != other
        or not with_base(rec, storage, given.ZERO)
    ):
        release(frames)
        return 0
    if not appended(word[rec + at.RECORDING_HANDLES], tensor):
        shorten(word[rec + at.RECORDING_BASES], 1)
        release(frames)
        return 0
    number = new_reference(word[before + at.STATE_COUNT])  # the caller's
    put(storage + at.STORAGE_BASE, word[word[before + at.STATE_LENGTHS] + at.FIRST_ELEMENT])
    put(storage + at.STORAGE_OFFSET, given.ZERO)
    put(storage + at.STORAGE_DTYPE, word[meta + at.META_DTYPE])
    put(tensor + at.HANDLE__NUM, number)
    put(family + at.FAMILY_NUMBER, number)
    replaced(rec + at.RECORDING_STATE, after)
    replaced(storage + at.STORAGE_RECORDING, rec)
    replaced(tensor + at.HANDLE__META, word[word[after + at.STATE_META] + at.META_AT_ZERO])
    last = replaced(tensor + at.HANDLE__REC, rec)
    past = replaced(family + at.FAMILY_REC, rec)
    fewer = replaced(rec + at.RECORDING_FRAMES, frames)
    release(frames)  # the recording's
    release(before)
    release(other)
    release(meta)
    release(last)
    release(past)
    release(fewer)
    return number


def whole_family(tensor: int) -> Any:
    """The family of a tensor that shows all that has its history, and is what the other members
    are views of; 0 where that is not so, or hooks of it stand elsewhere.
    """
    attributes = attributes_of(tensor)
    meta = word[tensor + at.HANDLE__META]
    family = attribute(attributes, at.VALUE__FAMILY, given.NAME__FAMILY)
    origin = attribute(attributes, at.VALUE__ORIGIN, given.NAME__ORIGIN)
    seen = attribute(attributes, at.VALUE__SEEN, given.NAME__SEEN)
    place = attribute(attributes, at.VALUE__OFFSET, given.NAME__OFFSET)
    if (
        family == 0
        or family == given.NONE
        or word[family + at.FAMILY_FRAME] == given.NONE
        or word[family + at.FAMILY_LEAF] != given.NONE
        or word[family + at.FAMILY_START] != given.ZERO
        or (seen != 0 and seen != given.NONE)
        or (place != 0 and place != given.ZERO)
        or origin == 0
        or word[origin + at.TYPE] != given.TUPLE
        or word[origin + at.FIRST_ELEMENT + 16] != given.TRUE
        or word[meta + at.META_REQUIRES_GRAD] != given.TRUE
        or word[meta + at.META_STEPS] != given.NONE
    ):
        return 0
    first = word[family + at.FAMILY_BASE]
    shape = word[word[family + at.FAMILY_SOURCE] + at.NODE_SHAPE]
    if first == given.NONE or word[first + at.REFERENT] != tensor or word[shape + at.LENGTH] != 1:
        return 0
    size = api.PyLong_AsLongLong(word[shape + at.FIRST_ELEMENT])
    if size == 0 or api.PyLong_AsLongLong(word[meta + at.META_NUMEL]) != size:
        return 0
    return family


def history_key(meta: int, family: int) -> Any:
    """What `history._history_key` gives for a tensor that shows all of it; 0 where there is no
    memory for that.
    """
    size = word[word[word[family + at.FAMILY_SOURCE] + at.NODE_SHAPE] + at.FIRST_ELEMENT]
    key = api.PyTuple_New(7)
    if key != 0:
        word[key + at.FIRST_ELEMENT] = new_reference(given.HISTORY)
        word[key + at.FIRST_ELEMENT + 8] = new_reference(given.TRUE)
        word[key + at.FIRST_ELEMENT + 16] = new_reference(meta)
        word[key + at.FIRST_ELEMENT + 24] = new_reference(given.ZERO)
        word[key + at.FIRST_ELEMENT + 32] = new_reference(given.ZERO)
        word[key + at.FIRST_ELEMENT + 40] = new_reference(size)
        word[key + at.FIRST_ELEMENT + 48] = new_reference(size)
    return key


def longer_frames(frames: int, family: int) -> Any:
    """A list of a recording's frames and (frame, value) of one more; 0 where there is no memory for
    it, or the recording takes none.
    """
    length = 0
    if frames != given.EMPTY:
        if word[frames + at.TYPE] != given.LIST:
            return 0
        length = word[frames + at.LENGTH]
    made = api.PyList_New(length + 1)
    pair = api.PyTuple_New(2)
    if made == 0 or pair == 0:
        release(made)
        release(pair)
        return 0
    word[pair + at.FIRST_ELEMENT] = new_reference(word[family + at.FAMILY_FRAME])
    word[pair + at.FIRST_ELEMENT + 8] = new_reference(word[family + at.FAMILY_SOURCE])
    into = word[made + at.ITEMS]
    word[into + 8 * length] = pair
    number = 0
    while number != length:
        word[into + 8 * number] = new_reference(item(frames, number))
        number += 1
    return made


INLINED = with_history, whole_family, history_key, longer_frames
