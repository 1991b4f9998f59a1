"""Views of plain data as native calls.

Note: what they rely on
    `known_view` and `known_views` do what `recorder.view_alias` does for tensors without history
    (and `known_alias` what `recorder.alias` does), and nothing where a tensor is not as usual: then
    they give None, and Python goes the same way. The collector is off meanwhile, and nothing that
    is let go could call Python code, so others see a family before or after it.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from flambeau.execute.cpu.references import (
    answered,
    attribute,
    attributes_of,
    found_in,
    item,
    new_reference,
    release,
)
from flambeau.execute.cpu.word_functions import api, at, call, given, word
from flambeau.record import words
from flambeau.record.handle import Family
from flambeau.record.known_ops import appended, family_of, offset_of, shorten
from flambeau.record.new_objects import new_family

# ---- functions on words --------------------------------------------------------------------------


def known_alias(_: int, args: int, count: int) -> Any:
    """(tensor, meta, offset): a tensor over its storage, laid out anew; None where that is left to
    Python.
    """
    if count != 3:
        return api.PyErr_BadArgument()
    collecting = api.PyGC_Disable()
    made = 0
    storage = storage_at_hand(word[args])
    if storage != 0:
        made = new_alias(storage, word[args + 8], word[args + 16], 0)
    return answered(made, collecting)


def known_view(_: int, args: int, count: int) -> Any:
    """(tensor, meta, offset): the same as a view of its family."""
    if count != 3:
        return api.PyErr_BadArgument()
    collecting = api.PyGC_Disable()
    made = 0
    family = family_at_hand(word[args])
    if family != 0:
        made = new_view(word[args], family, word[args + 8], word[args + 16])
    return answered(made, collecting)


def known_views(_: int, args: int, count: int) -> Any:
    """(tensor, metas, offsets), two tuples of one length: a tuple of views."""
    if count != 3:
        return api.PyErr_BadArgument()
    collecting = api.PyGC_Disable()
    made = 0
    family = family_at_hand(word[args])
    if family != 0:
        made = new_views(word[args], family, word[args + 8], word[args + 16])
    return answered(made, collecting)


def known_show(_: int, args: int, count: int) -> Any:
    """(tensor, recording, op, attributes, table): the view of plain data for which the table has
    (meta, how many elements after the tensor it begins) under (op, the tensor's meta, attributes);
    None where that is left to Python.
    """
    if count != 5:
        return api.PyErr_BadArgument()
    collecting = api.PyGC_Disable()
    made = 0
    found = layout_of(word[args], word[args + 16], word[args + 24], word[args + 32])
    if found != 0 and untouched_data(word[args], word[args + 8]):
        made = view_of(word[args], found)
    return answered(made, collecting)


def layout_of(tensor: int, op: int, attributes: int, table: int) -> Any:
    """What the table has, borrowed; 0 where that is nothing."""
    key = api.PyTuple_New(3)
    if key == 0:
        api.PyErr_Clear()
        return 0
    word[key + at.FIRST_ELEMENT] = new_reference(op)
    word[key + at.FIRST_ELEMENT + 8] = new_reference(word[tensor + at.HANDLE__META])
    word[key + at.FIRST_ELEMENT + 16] = new_reference(attributes)
    found = found_in(table, key)
    release(key)
    return found


def untouched_data(tensor: int, rec: int) -> Any:
    """Whether a tensor holds data that nothing pending has to do with."""
    storage = storage_at_hand(tensor)
    if storage == 0 or word[tensor + at.HANDLE__REC] == rec:
        return 0
    other = word[storage + at.STORAGE_RECORDING]
    return other == given.NONE or word[other + at.RECORDING_DONE] == given.TRUE


def view_of(tensor: int, found: int) -> Any:
    family = family_at_hand(tensor)
    if family == 0:
        return 0
    start = offset_of(tensor)
    distance = word[found + at.FIRST_ELEMENT + 8]
    if distance != given.ZERO:
        start += api.PyLong_AsLongLong(distance)
    offset = api.PyLong_FromLongLong(start)
    if offset == 0:
        api.PyErr_Clear()
        return 0
    made = new_view(tensor, family, word[found + at.FIRST_ELEMENT], offset)
    release(offset)
    return made


def storage_at_hand(tensor: int) -> Any:
    """The storage of a tensor that holds data; 0 where that may not be known."""
    kind = word[tensor + at.TYPE]
    if kind != given.TENSOR and kind != given.PARAMETER:
        return 0
    values = attributes_of(tensor)
    if values == 0:
        return 0
    storage = attribute(values, at.VALUE__STORAGE, given.NAME__STORAGE)
    if storage == given.NONE:
        return 0
    return storage


def family_at_hand(tensor: int) -> Any:
    """The family of a tensor that holds data and requires no gradient, which gets one; 0 where that
    is left to Python.
    """
    if (
        storage_at_hand(tensor) == 0
        or word[word[tensor + at.HANDLE__META] + at.META_REQUIRES_GRAD] != given.FALSE
    ):
        return 0
    family = family_of(tensor)
    if family == given.NONE:
        family = new_family(given.LONELY, tensor)
        if family == 0:
            api.PyErr_Clear()
            return 0
        code = api.PyObject_GenericSetAttr(tensor, given.NAME__FAMILY, family)
        release(family)  # the tensor's
        if code < 0:
            api.PyErr_Clear()
            return 0
    return family


def new_views(tensor: int, family: int, metas: int, offsets: int) -> Any:
    if word[metas + at.TYPE] != given.TUPLE or word[offsets + at.TYPE] != given.TUPLE:
        return 0
    length = word[metas + at.LENGTH]
    if word[offsets + at.LENGTH] != length:
        return 0
    found = api.PyTuple_New(length)
    if found == 0:
        api.PyErr_Clear()
        return 0
    place = at.FIRST_ELEMENT
    end = place + 8 * length
    while place != end:
        made = new_view(tensor, family, word[metas + place], word[offsets + place])
        if made == 0:
            release(found)
            return 0
        word[found + place] = made
        place += 8
    return found


def new_view(tensor: int, family: int, meta: int, offset: int) -> Any:
    """A tensor over the storage of another one, as a member of its family."""
    made = new_alias(storage_at_hand(tensor), meta, offset, family)
    if made == 0:
        return 0
    members = word[family + at.FAMILY_MEMBERS]
    reference = api.PyWeakref_NewRef(made, 0)
    if reference == 0 or not appended(members, reference):
        api.PyErr_Clear()
        release(reference)
        release(made)
        return 0
    release(reference)  # the list's
    length = word[members + at.LENGTH]
    if length & (length - 1) == 0:  # as `Family.add`
        without_dead(members)
    return made


def without_dead(members: int) -> Any:
    """Takes references to what is gone out of a list."""
    kept = 0
    place = 0
    length = word[members + at.LENGTH]
    while place != length:
        reference = item(members, place)
        if word[reference + at.REFERENT] != given.NONE:
            word[word[members + at.ITEMS] + 8 * place] = item(members, kept)
            word[word[members + at.ITEMS] + 8 * kept] = reference
            kept += 1
        place += 1
    shorten(members, length - kept)
    return 0


def new_alias(storage: int, meta: int, offset: int, family: int) -> Any:
    """A tensor over a storage; 0 where there is no memory."""
    made = call(given.NEW, given.TENSOR, given.EMPTY, 0)
    if made == 0:
        api.PyErr_Clear()
        return 0
    word[made + at.HANDLE__META] = new_reference(meta)
    word[made + at.HANDLE__REC] = new_reference(given.NONE)
    word[made + at.HANDLE__NUM] = new_reference(given.MINUS_ONE)
    if (
        api.PyObject_GenericSetAttr(made, given.NAME__STORAGE, storage) < 0
        or api.PyObject_GenericSetAttr(made, given.NAME__OFFSET, offset) < 0
        or (family != 0 and api.PyObject_GenericSetAttr(made, given.NAME__FAMILY, family) < 0)
    ):
        api.PyErr_Clear()
        release(made)
        return 0
    return made


# ---- what they are given -------------------------------------------------------------------------


def lonely() -> Any:
    """The family of a tensor without history that gets views, as `new_family` takes it."""
    model = Family()
    contents = {name: id(getattr(model, name)) for name in Family.__slots__}
    contents |= {"members": -1, "base": 0}
    pairs = [(words.slot_of(Family, name), content) for name, content in contents.items()]
    return np.array([*pairs, (0, 0)], np.int64)


class _Seen:
    """What a probe refers to."""


def referent() -> int:
    """Where a weak reference has what it refers to. Unknown where it is not found."""
    seen = _Seen()
    reference = weakref.ref(seen)
    places = [n for n in range(16, 64, 8) if words.word(id(reference) + n) == id(seen)]
    del seen
    if not places or reference() is not None or words.word(id(reference) + places[0]) != id(None):
        raise words.Unknown
    return places[0]


ENTRIES = known_alias, known_view, known_views, known_show
INLINED = (
    layout_of, untouched_data, view_of, storage_at_hand, family_at_hand, new_views, new_view,
    without_dead, new_alias, new_family,
)  # fmt: skip
