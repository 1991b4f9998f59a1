"""An op that this place in the tree knows, as one native call.

Note: what it relies on
    `known_op` does what `recorder.record` does on a path that is known, and nothing where any part
    of that is not as usual: then it gives None, and Python goes the same way again. What it may
    have done by then is to bring in operands, each of which is an event of its own. The collector
    is off meanwhile. Two things can call Python code all the same: a look-up that compares
    attributes, after which it is asked again whether the recording is as it was, and letting go
    of what was overwritten, which comes last. So the lists of a recording grow together with the
    move of its state, as other threads, signals and finalizers see it.
"""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.references import (
    answered,
    attribute,
    attributes_of,
    found_in,
    item,
    new_reference,
    put,
    release,
    replaced,
)
from flambeau.execute.cpu.word_functions import api, at, call, given, word
from flambeau.record import known_history
from flambeau.record.known_history import with_history

# ---- functions on words --------------------------------------------------------------------------


def known_op(_: int, args: int, count: int) -> Any:
    """(recording, op, attributes, operands..): the result, or a list of several, or an empty tuple;
    None where this is not known. Operands are tensors, numbers, None, and lists of tensors.
    """
    if count < 3:
        return api.PyErr_BadArgument()
    collecting = api.PyGC_Disable()
    made = recorded(word[args], args, count)
    return answered(made, collecting)


def recorded(rec: int, args: int, count: int) -> Any:
    """The result, a new reference; 0 where nothing was recorded."""
    key = api.PyTuple_New(count - 1)
    if key == 0:
        api.PyErr_Clear()
        return 0
    word[key + at.FIRST_ELEMENT] = new_reference(word[args + 8])
    word[key + at.FIRST_ELEMENT + 8 * (count - 2)] = new_reference(word[args + 16])
    number = 3
    while number != count:
        part = part_of_key(rec, word[args + 8 * number])
        if part == 0:
            release(key)
            return 0
        word[key + at.FIRST_ELEMENT + 8 * (number - 2)] = part
        number += 1
    before = word[rec + at.RECORDING_STATE]
    after = found_in(word[before + at.STATE_NEXT], key)
    release(key)
    if after == 0 or word[rec + at.RECORDING_STATE] != before or not open_lists(rec):
        return 0
    return extended(rec, after, args, count)


def part_of_key(rec: int, operand: int) -> Any:
    """What an operand is in the key of an event, a new reference; 0 where that is not known."""
    kind = word[operand + at.TYPE]
    if kind == given.TENSOR or kind == given.PARAMETER:
        return number_of(rec, operand)
    if operand == given.NONE:
        return new_reference(given.NONE)
    if is_number(kind):
        return new_reference(kind)
    if kind != given.LIST and kind != given.TUPLE:
        return 0
    length = word[operand + at.LENGTH]
    part = api.PyTuple_New(length)
    if part == 0:
        api.PyErr_Clear()
        return 0
    place = 0
    while place != length:
        if word[operand + at.LENGTH] != length:  # what was let go has changed it
            release(part)
            return 0
        element = word[operand + at.FIRST_ELEMENT + 8 * place]
        if kind == given.LIST:
            element = item(operand, place)
        kind_of_element = word[element + at.TYPE]
        found = 0
        if kind_of_element == given.TENSOR or kind_of_element == given.PARAMETER:
            found = number_of(rec, element)
        if found == 0:
            release(part)
            return 0
        word[part + at.FIRST_ELEMENT + 8 * place] = found
        place += 1
    return part


def is_number(kind: int) -> Any:
    return kind == given.FLOAT or kind == given.INT or kind == given.BOOL


def number_of(rec: int, tensor: int) -> Any:
    """A tensor's number in the recording, which it enters where it has not; a new reference."""
    if word[tensor + at.HANDLE__REC] == rec:
        return new_reference(word[tensor + at.HANDLE__NUM])
    return entered(rec, tensor)


def entered(rec: int, tensor: int) -> Any:
    """`entering.enter` of a tensor whose storage no pending recording has."""
    storage = without_history(rec, tensor)
    if storage == 0:
        return with_history(rec, tensor)
    other = word[storage + at.STORAGE_RECORDING]
    meta = word[tensor + at.HANDLE__META]
    before = word[rec + at.RECORDING_STATE]
    after = found_in(word[before + at.STATE_NEXT], meta)
    # From here on nothing is called that could call Python code, up to the end.
    if (
        after == 0
        or not open_lists(rec)
        or word[rec + at.RECORDING_STATE] != before
        or without_history(rec, tensor) != storage
        or word[storage + at.STORAGE_RECORDING] != other
    ):
        return 0
    place = offset_of(tensor)
    offset = given.ZERO
    if place != 0:
        itemsize = word[word[meta + at.META_DTYPE] + at.DTYPE_ITEMSIZE]
        offset = api.PyLong_FromLongLong(place * api.PyLong_AsLongLong(itemsize))
        if offset == 0:
            api.PyErr_Clear()
            return 0
    else:
        new_reference(offset)
    if not with_base(rec, storage, offset):
        release(offset)
        return 0
    if not appended(word[rec + at.RECORDING_HANDLES], tensor):
        shorten(word[rec + at.RECORDING_BASES], 1)
        release(offset)
        return 0
    number = new_reference(word[before + at.STATE_COUNT])  # the caller's
    put(storage + at.STORAGE_BASE, word[word[before + at.STATE_LENGTHS] + at.FIRST_ELEMENT])
    put(storage + at.STORAGE_OFFSET, offset)
    put(storage + at.STORAGE_DTYPE, word[meta + at.META_DTYPE])
    put(tensor + at.HANDLE__NUM, number)
    replaced(rec + at.RECORDING_STATE, after)
    replaced(storage + at.STORAGE_RECORDING, rec)
    last = replaced(tensor + at.HANDLE__REC, rec)
    family = family_of(tensor)
    past = 0
    if family != given.NONE:
        put(family + at.FAMILY_NUMBER, number)
        past = replaced(family + at.FAMILY_REC, rec)
    release(offset)
    release(before)
    release(other)
    release(last)
    release(past)
    return number


def without_history(rec: int, tensor: int) -> Any:
    """The storage of a tensor that may enter the recording, by itself or as the first of a family
    that has no history; 0 where that is not so.
    """
    storage = free_storage(rec, tensor)
    if storage == 0:
        return 0
    family = family_of(tensor)
    seen = attribute(attributes_of(tensor), at.VALUE__SEEN, given.NAME__SEEN)
    if family != given.NONE and (
        word[family + at.FAMILY_FRAME] != given.NONE
        or word[family + at.FAMILY_LEAF] != given.NONE
        or (seen != 0 and seen != given.NONE)
    ):
        return 0
    return storage


def at_hand(rec: int, tensor: int, offset: int) -> Any:
    """The storage of a tensor that may enter the recording: of its own, with so many elements
    before it; 0 where that is not so.
    """
    storage = free_storage(rec, tensor)
    if storage == 0:
        return 0
    if family_of(tensor) != given.NONE or offset_of(tensor) != offset:
        return 0
    return storage


def family_of(tensor: int) -> Any:
    """The family of a tensor that has attributes; None where it has none."""
    family = attribute(attributes_of(tensor), at.VALUE__FAMILY, given.NAME__FAMILY)
    if family == 0:
        return given.NONE
    return family


def free_storage(rec: int, tensor: int) -> Any:
    """The storage of a tensor outside the recording, if nobody else sees it and no pending
    recording has it; else 0.
    """
    kind = word[tensor + at.TYPE]
    if kind != given.TENSOR and kind != given.PARAMETER:
        return 0
    values = attributes_of(tensor)
    if values == 0 or word[tensor + at.HANDLE__REC] == rec:
        return 0
    storage = attribute(values, at.VALUE__STORAGE, given.NAME__STORAGE)
    if storage == 0 or storage == given.NONE:
        return 0
    if word[storage + at.STORAGE_EXPOSED] != given.FALSE and not unseen(storage):
        return 0
    other = word[storage + at.STORAGE_RECORDING]
    if other != given.NONE and word[other + at.RECORDING_DONE] != given.TRUE:
        return 0
    return storage


def unseen(storage: int) -> Any:
    """Whether nobody outside holds memory any more that was shown to others, as
    `Storage.still_exposed` finds it; then that is noted.
    """
    buffer = word[storage + at.STORAGE_BUFFER]
    if buffer == 0 or word[buffer] != 1:
        return 0
    owner = word[buffer + at.BUFFER_OWNER]
    array = word[storage + at.STORAGE_FOREIGN]
    if array != given.NONE:  # of NumPy: the storage and its buffer have it, and nobody else
        if word[array + at.TYPE] != given.NDARRAY or word[array + at.NDARRAY_BASE] != 0:
            return 0
        if owner != array or word[array] != 2:
            return 0
    elif api.PyLong_AsLongLong(word[buffer + at.BUFFER_START]) >= 0 and word[owner] != 1:
        return 0
    put(storage + at.STORAGE_EXPOSED, given.FALSE)
    return 1


def offset_of(tensor: int) -> Any:
    """How many elements stand before it in its storage."""
    place = attribute(attributes_of(tensor), at.VALUE__OFFSET, given.NAME__OFFSET)
    if place == 0 or place == given.ZERO:
        return 0
    return api.PyLong_AsLongLong(place)


def with_base(rec: int, storage: int, offset: int) -> Any:
    """Adds (storage, offset in bytes) to the bases; 0 where there is no memory."""
    base = api.PyTuple_New(2)
    if base == 0:
        api.PyErr_Clear()
        return 0
    word[base + at.FIRST_ELEMENT] = new_reference(storage)
    word[base + at.FIRST_ELEMENT + 8] = new_reference(offset)
    added = appended(word[rec + at.RECORDING_BASES], base)
    release(base)  # the list's
    return added


def open_lists(rec: int) -> Any:
    """Whether the recording takes events: no other thread has taken it."""
    return (
        word[rec + at.RECORDING_TAKEN] == given.FALSE
        and word[word[rec + at.RECORDING_HANDLES] + at.TYPE] == given.LIST
        and word[word[rec + at.RECORDING_BASES] + at.TYPE] == given.LIST
        and word[word[rec + at.RECORDING_SCALARS] + at.TYPE] == given.LIST
    )


def extended(rec: int, after: int, args: int, count: int) -> Any:
    """Adds the event that leads to the state `after`; its result or results, a new reference."""
    length = word[word[after + at.STATE_METAS] + at.LENGTH]
    if word[word[after + at.STATE_EFFECTS] + at.LENGTH] != 0:
        return 0
    made = with_results(rec, after, length)
    if made == 0:
        api.PyErr_Clear()
        return 0
    scalars = word[rec + at.RECORDING_SCALARS]
    more = 0
    number = 3
    while number != count:
        operand = word[args + 8 * number]
        if is_number(word[operand + at.TYPE]):
            if not appended(scalars, operand):
                shorten(scalars, more)
                shorten(word[rec + at.RECORDING_HANDLES], length)
                release(made)
                return 0
            more += 1
        number += 1
    release(replaced(rec + at.RECORDING_STATE, after))
    return made


def with_results(rec: int, after: int, length: int) -> Any:
    """Adds the new tensors of an event to the handles; the only one, or a list of them, or an empty
    tuple; a new reference. 0 where there is no memory.
    """
    handles = word[rec + at.RECORDING_HANDLES]
    first = word[after + at.STATE_NUMBER]
    if length == 0:
        return new_reference(given.EMPTY)
    if length == 1:
        return with_result(rec, handles, item_of(after, 0), new_reference(first))
    start = api.PyLong_AsLongLong(first)
    found = api.PyList_New(length)
    if found == 0:
        return 0
    place = 0
    while place != length:
        made = with_result(
            rec, handles, item_of(after, place), api.PyLong_FromLongLong(start + place)
        )
        if made == 0:
            shorten(handles, place)
            release(found)
            return 0
        word[word[found + at.ITEMS] + 8 * place] = made
        place += 1
    return found


def item_of(state: int, place: int) -> Any:
    return word[word[state + at.STATE_METAS] + at.FIRST_ELEMENT + 8 * place]


def with_result(rec: int, handles: int, meta: int, number: int) -> Any:
    """A new tensor, which goes to the handles; takes the reference to its number."""
    if number == 0:
        return 0
    made = call(given.NEW, given.TENSOR, given.EMPTY, 0)
    if made == 0:
        release(number)
        return 0
    word[made + at.HANDLE__META] = new_reference(meta)
    word[made + at.HANDLE__REC] = new_reference(rec)
    word[made + at.HANDLE__NUM] = number
    if not appended(handles, made):
        release(made)
        return 0
    return made


def appended(sequence: int, thing: int) -> Any:
    """Adds an object to a list; 0 where there is no memory."""
    if api.PyList_Append(sequence, thing) < 0:
        api.PyErr_Clear()
        return 0
    return 1


def shorten(sequence: int, count: int) -> Any:
    """Takes the last elements off a list."""
    while count != 0:
        count -= 1
        last = word[sequence + at.LENGTH] - 1
        word[sequence + at.LENGTH] = last
        release(item(sequence, last))
    return 0


def first_gradients(_: int, args: int, count: int) -> Any:
    """(recording, state, numbers): True where the recording has moved on to the state after a
    backward pass, which has given first gradients to the leaves of these numbers; None where
    something is not as usual, and nothing has happened.
    """
    if count != 3:
        return api.PyErr_BadArgument()
    rec = word[args]
    after = word[args + 8]
    numbers = word[args + 16]
    if not open_lists(rec) or not leaves_at_hand(rec, after, numbers):
        return new_reference(given.NONE)
    length = word[numbers + at.LENGTH]
    collecting = api.PyGC_Disable()
    made = with_results(rec, after, length)
    if made == 0:
        api.PyErr_Clear()
        if collecting:
            api.PyGC_Enable()
        return new_reference(given.NONE)
    place = 0
    while place != length:
        gradient = made
        if length != 1:
            gradient = item(made, place)
        leaf = leaf_of(rec, numbers, place)
        if api.PyObject_GenericSetAttr(leaf, given.NAME__GRAD, gradient) < 0:
            api.PyErr_Clear()
        place += 1
    before = replaced(rec + at.RECORDING_STATE, after)
    if collecting:
        api.PyGC_Enable()
    release(before)
    release(made)
    return new_reference(given.TRUE)


def leaf_of(rec: int, numbers: int, place: int) -> Any:
    number = api.PyLong_AsLongLong(word[numbers + at.FIRST_ELEMENT + 8 * place])
    return item(word[rec + at.RECORDING_HANDLES], number)


def leaves_at_hand(rec: int, after: int, numbers: int) -> Any:
    """Whether the numbers are those of different leaves without gradients or hooks."""
    length = word[numbers + at.LENGTH]
    if (
        word[numbers + at.TYPE] != given.TUPLE
        or word[after + at.STATE_PARENT] != word[rec + at.RECORDING_STATE]
        or word[word[after + at.STATE_EFFECTS] + at.LENGTH] != 0
        or word[word[after + at.STATE_METAS] + at.LENGTH] != length
        or length > at.MANY
    ):
        return 0
    place = 0
    while place != length:
        leaf = leaf_of(rec, numbers, place)
        kind = word[leaf + at.TYPE]
        if kind != given.TENSOR and kind != given.PARAMETER:
            return 0
        values = attributes_of(leaf)
        if values == 0:
            return 0
        gradient = attribute(values, at.VALUE__GRAD, given.NAME__GRAD)
        hooks = attribute(values, at.VALUE__HOOKS, given.NAME__HOOKS)
        if at.LOOKUP and gradient == 0:
            return 0  # there must be memory, so that a gradient can be stored
        if (
            (gradient != 0 and gradient != given.NONE)
            or (hooks != 0 and hooks != given.NONE)
            or word[word[leaf + at.HANDLE__META] + at.META_REQUIRES_GRAD] != given.TRUE
        ):
            return 0
        other = 0
        while other != place:
            if leaf_of(rec, numbers, other) == leaf:
                return 0
            other += 1
        place += 1
    return 1


MANY = 64  # leaves, whose pairs are compared

INLINED = (
    recorded, part_of_key, is_number, number_of, entered, without_history, family_of, at_hand,
    free_storage, unseen, offset_of, with_base, open_lists, extended, with_results, item_of,
    with_result, appended, shorten, leaf_of, leaves_at_hand,
    *known_history.INLINED,
)  # fmt: skip
