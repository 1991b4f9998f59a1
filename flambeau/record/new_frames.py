"""Frames that native code makes (see `flambeau.record.replay`): what a program that has run leaves
for a later backward pass.

All of one is made before the program runs, and let go again where that refuses its data: no base
that is kept for the pass is written by the program, and what is noted at the tensors that enter
with history is a weak reference to the frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.execute.cpu.references import (
    attribute,
    attributes_of,
    item,
    new_reference,
    release,
)
from flambeau.execute.cpu.word_functions import api, at, given, word
from flambeau.record.chain import Frame, Saved

if TYPE_CHECKING:
    from flambeau.record.plan import FrameSpec, Plan

# Words of what is kept: its value, where it is (a number of bytes behind the lot's entries of
# results, or -1 - base), `STRICT` and `COPY` as far as they hold, and of a copy where the memory is
# that it was taken from. Of a tensor that enters with history: its number, its value.
KEPT_WORDS, VIEW_WORDS = 4, 2
STRICT, COPY = 1, 2
MANY_FRAMES = 16  # at a tensor: then Python looks which are alive

NAMES = {"FRAMES_NAME": "_frames"}  # interned, and held
NUMBERS = {
    "KEPT_WORDS": KEPT_WORDS,
    "VIEW_WORDS": VIEW_WORDS,
    "STRICT": STRICT,
    "COPY": COPY,
    "MANY_FRAMES": MANY_FRAMES,
}
CLASSES: dict[str, Any] = {"FRAME_CLASS": Frame, "SAVED_CLASS": Saved}
SLOTS = Frame, "FRAME", [name for name in Frame.__slots__ if name[0] != "_"]


# ---- functions on words --------------------------------------------------------------------------


def views_known(card: int, rec: int) -> Any:
    """Whether a frame can be noted at all tensors that have entered with history."""
    entry = word[card + at.VIEWS]
    while entry != word[card + at.VIEWS_END]:
        tensor = item(word[rec + at.RECORDING_HANDLES], word[entry])
        if word[tensor + at.TYPE] != given.TENSOR:
            return 0
        frames = frames_of(tensor)
        if frames == 0:
            return 0
        if frames != given.NONE and (
            word[frames + at.TYPE] != given.LIST or word[frames + at.LENGTH] > at.MANY_FRAMES
        ):
            return 0
        if word[family_of(tensor) + at.TYPE] != given.FAMILY:
            return 0
        entry += 8 * at.VIEW_WORDS
    return 1


def together(card: int, rec: int) -> Any:
    """Whether the tensors that shared history before do, with each other."""
    handles = word[rec + at.RECORDING_HANDLES]
    entry = word[card + at.STAYING]
    while entry != word[card + at.STAYING_END]:
        tensor = item(handles, word[entry])
        first = item(handles, word[entry + 8])
        if word[tensor + at.TYPE] != given.TENSOR or word[first + at.TYPE] != given.TENSOR:
            return 0
        family = family_of(first)
        if word[family + at.TYPE] != given.FAMILY or family_of(tensor) != family:
            return 0
        entry += 16
    return 1


def frames_of(tensor: int) -> Any:
    """The frames that know a tensor, None where it has no list of them; 0 where it may not be
    asked. Borrowed.
    """
    attributes = attributes_of(tensor)
    if attributes == 0:
        return 0
    found = attribute(attributes, at.PLACE__FRAMES, given.FRAMES_NAME)
    if found == 0:
        found = given.NONE
    return found


def family_of(tensor: int) -> Any:
    """A tensor's family, borrowed; None where it has none of its own."""
    attributes = attributes_of(tensor)
    found = 0
    if attributes != 0:
        found = attribute(attributes, at.PLACE__FAMILY, given.FAMILY_NAME)
    if found == 0:
        found = given.NONE
    return found


def frame_made(card: int, rec: int) -> Any:
    """Makes the frame of a run; 0 where there is no memory for it."""
    frame = api.PyType_GenericAlloc(given.FRAME_CLASS, 0)
    if frame == 0:
        return 0
    word[card + at.FRAME] = frame
    word[frame + at.FRAME_TRACE] = new_reference(word[card + at.TRACE])
    word[frame + at.FRAME_FREED] = new_reference(word[card + at.FREED])
    word[frame + at.FRAME_LATE] = new_reference(given.EMPTY)
    word[frame + at.FRAME_SHARED] = new_reference(given.NONE)
    word[frame + at.FRAME_NODES] = new_reference(word[rec + at.RECORDING_NODES])
    word[frame + at.FRAME_CUTS] = api.PyList_New(0)
    parents = word[rec + at.RECORDING_FRAMES]
    if parents == given.EMPTY:
        word[frame + at.FRAME_PARENTS] = api.PyList_New(0)
    else:  # nobody else has it once the recording is done
        word[frame + at.FRAME_PARENTS] = new_reference(parents)
    word[frame + at.FRAME_SAVED] = api.PyDict_New()
    if (
        word[frame + at.FRAME_CUTS] == 0
        or word[frame + at.FRAME_PARENTS] == 0
        or word[frame + at.FRAME_SAVED] == 0
    ):
        return 0
    return leaves_listed(card, rec, frame) and kept(card, rec, frame) and viewed(card, rec, frame)


def leaves_listed(card: int, rec: int, frame: int) -> Any:
    """Gives a frame the list of its leaves; 0 where there is no memory for it."""
    place = word[card + at.LEAVES]
    leaves = api.PyList_New(word[card + at.LEAF_COUNT])
    if leaves == 0:
        return 0
    word[frame + at.FRAME_LEAVES] = leaves
    into = word[leaves + at.ITEMS]
    while place != word[card + at.LEAVES_END]:
        word[into] = new_reference(item(word[rec + at.RECORDING_HANDLES], word[place]))
        into += 8
        place += 8
    return 1


def kept(card: int, rec: int, frame: int) -> Any:
    """Notes where a frame's values lie; 0 where there is no memory for that."""
    entry = word[card + at.KEPT]
    while entry != word[card + at.KEPT_END]:
        saved = api.PyType_GenericAlloc(given.SAVED_CLASS, 5)
        if saved == 0:
            return 0
        first = saved + at.FIRST_ELEMENT
        storage = storage_at(card, rec, word[entry + 8])
        memory = storage
        word[first + 32] = given.NONE
        if word[entry + 16] & at.COPY != 0:
            memory = storage_at(card, rec, word[entry + 24])
            word[first + 32] = api.PyWeakref_NewRef(memory, 0)
            if word[first + 32] == 0:
                release(saved)
                return 0
        else:
            new_reference(given.NONE)
        word[first] = new_reference(storage)
        word[first + 8] = new_reference(offset_at(rec, word[entry + 8]))
        word[first + 16] = new_reference(word[memory + at.STORAGE_VERSION])
        silent = given.NONE
        if word[entry + 16] & at.STRICT == 0:
            silent = word[memory + at.STORAGE_SILENT]
        word[first + 24] = new_reference(silent)
        fault = api.PyDict_SetItem(word[frame + at.FRAME_SAVED], word[entry], saved)
        release(saved)
        if fault != 0:
            return 0
        entry += 8 * at.KEPT_WORDS
    return 1


def storage_at(card: int, rec: int, place: int) -> Any:
    """The storage of a result, or of a base."""
    if place < 0:
        return word[item(word[rec + at.RECORDING_BASES], 0 - 1 - place) + at.FIRST_ELEMENT]
    return word[word[word[card + at.LOT] + at.LOT_FRESH] + place]


def offset_at(rec: int, place: int) -> Any:
    """At which of its bytes what lies there begins, as a Python number."""
    if place < 0:
        return word[item(word[rec + at.RECORDING_BASES], 0 - 1 - place) + at.FIRST_ELEMENT + 8]
    return given.ZERO


def viewed(card: int, rec: int, frame: int) -> Any:
    """Gives a frame the tensors that have entered with history, which know it from then on; 0 where
    there is no memory for that.
    """
    entry = word[card + at.VIEWS]
    views = api.PyList_New(word[card + at.VIEW_COUNT])
    if views == 0:
        return 0
    word[frame + at.FRAME_VIEWS] = views
    into = word[views + at.ITEMS]
    while entry != word[card + at.VIEWS_END]:
        tensor = item(word[rec + at.RECORDING_HANDLES], word[entry])
        value = word[entry + 8]
        changes = word[family_of(tensor) + at.FAMILY_CHANGES]
        word[into] = by_reference(tensor, value, changes)
        if word[into] == 0 or not noted(tensor, by_reference(frame, value, changes)):
            return 0
        into += 8
        entry += 8 * at.VIEW_WORDS
    return 1


def by_reference(thing: int, value: int, changes: int) -> Any:
    """(a weak reference to it, value, changes); 0 where there is no memory for that."""
    found = api.PyTuple_New(3)
    reference = api.PyWeakref_NewRef(thing, 0)
    if found == 0 or reference == 0:
        release(found)
        release(reference)
        return 0
    word[found + at.FIRST_ELEMENT] = reference
    word[found + at.FIRST_ELEMENT + 8] = new_reference(value)
    word[found + at.FIRST_ELEMENT + 16] = new_reference(changes)
    return found


def noted(tensor: int, entry: int) -> Any:
    """Adds an entry, which is given up, to the frames that know a tensor; whether there was memory
    for that.
    """
    if entry == 0:
        return 0
    frames = frames_of(tensor)
    if frames != given.NONE:
        new_reference(frames)
    else:
        frames = api.PyList_New(0)
        if frames == 0 or api.PyObject_GenericSetAttr(tensor, given.FRAMES_NAME, frames) < 0:
            release(frames)
            release(entry)
            return 0
    fault = api.PyList_Append(frames, entry)
    release(frames)
    release(entry)
    return fault == 0


def origin_made(card: int, entry: int) -> Any:
    """What a family's tensor has as its origin in a run's frame; 0 where there is no memory."""
    if word[entry + 32] == 0:
        return new_reference(word[entry + 16])
    found = api.PyTuple_New(3)
    if found != 0:
        word[found + at.FIRST_ELEMENT] = new_reference(word[card + at.FRAME])
        word[found + at.FIRST_ELEMENT + 8] = new_reference(word[entry + 32])
        word[found + at.FIRST_ELEMENT + 16] = new_reference(word[entry + 40])
    return found


INLINED = (
    views_known, together, frames_of, family_of, frame_made, leaves_listed, kept, storage_at,
    offset_at, viewed, by_reference, noted, origin_made,
)  # fmt: skip


# ---- what a card says ----------------------------------------------------------------------------


def makeable(plan: Plan) -> bool:
    """Whether native code can make the frames of a plan's runs."""
    spec = plan.frame
    if spec is None or spec.spent or plan.late or plan.compiled.parallel:
        return False
    written = {base for base, _, _ in plan.writes}
    places = [place for kept in spec.saved for place in (kept.where, kept.taken) if place]
    return not (
        spec.stale
        or spec.functions
        or spec.trace.cuts
        or any(kind == "base" and base in written for kind, base in places)
    )


def rows_of_frame(spec: FrameSpec, row_of: dict[int, int]) -> tuple[list[Any], ...]:
    """The words of what is kept, of leaves and of what has entered with history. `row_of`: per
    result the place of its storage behind the lot's entries.
    """

    def place(where: tuple[str, int]) -> int:
        kind, index = where
        return row_of[index] if kind == "result" else -1 - index

    kept = [
        (
            id(one.value),
            place(one.where),
            STRICT * one.strict + COPY * (one.taken is not None),
            0 if one.taken is None else place(one.taken),
        )
        for one in spec.saved
    ]
    return kept, list(spec.leaves), [(number, id(value)) for number, value in spec.views]
