"""The memory in which a native flush (see `replay`) has its results, and that which it reads: lots
that are free, new memory, results that are made when somebody looks, copies.
"""

from __future__ import annotations

from typing import Any

from flambeau.execute.cpu.references import item, new_reference, put, release
from flambeau.execute.cpu.word_functions import api, at, call, given, word
from flambeau.record.new_objects import new_storage, without_memory

# ---- functions on words --------------------------------------------------------------------------


def parted(card: int, bases: int) -> Any:
    """Gives the program a copy of memory that was saved and is written here: compiled code takes
    different bases for different memory. 0 where there is no memory for that.
    """
    row = word[card + at.IMPORTS]
    while row != word[card + at.IMPORTS_END]:
        base = item(bases, word[row])
        if written_here(card, bases, word[base + at.FIRST_ELEMENT]):
            copy = api.PyTuple_New(2)
            storage = new_storage(word[row + 8])
            if copy == 0 or storage == 0:
                release(copy)
                release(storage)
                return 0
            buffer = word[word[base + at.FIRST_ELEMENT] + at.STORAGE_BUFFER]
            begin = api.PyLong_AsVoidPtr(word[buffer + at.BUFFER_ADDRESS])
            begin += api.PyLong_AsLongLong(word[base + at.FIRST_ELEMENT + 8])
            buffer = word[storage + at.STORAGE_BUFFER]
            into = api.PyLong_AsVoidPtr(word[buffer + at.BUFFER_ADDRESS])
            call(given.COPY_MEMORY, into, begin, word[row + 8])
            word[copy + at.FIRST_ELEMENT] = storage
            word[copy + at.FIRST_ELEMENT + 8] = new_reference(given.ZERO)
            put(word[bases + at.ITEMS] + 8 * word[row], copy)
            release(copy)  # the list's
        row += 16
    return 1


def written_here(card: int, bases: int, storage: int) -> Any:
    """Whether the program writes a storage."""
    entry = word[card + at.WRITES]
    while entry != word[card + at.WRITES_END]:
        if word[item(bases, word[entry]) + at.FIRST_ELEMENT] == storage:
            return 1
        entry += 8 * at.WRITE_WORDS
    return 0


def free_lot(card: int) -> Any:
    """A lot whose words are what they were; 0 where there is none."""
    lot = word[card + at.LOTS]
    while lot != word[card + at.LOTS_END]:
        pair = word[lot + at.LOT_FIRST]
        end = word[lot + at.LOT_END]
        while pair != end:
            if word[word[pair]] != word[pair + 8]:
                break
            pair += 16
        if pair == end:
            return lot
        lot += 8 * at.LOT_WORDS
    return 0


def spare_made(card: int, lot: int) -> Any:
    """Makes the storages of the lot of new memory; 0 where there is none."""
    entry = word[lot + at.LOT_FRESH]
    row = word[card + at.MADE]
    while row != word[card + at.MADE_END]:
        storage = new_storage(word[row])
        if storage == 0:
            return 0
        word[entry + 8] = storage
        address = word[word[storage + at.STORAGE_BUFFER] + at.BUFFER_ADDRESS]
        word[word[row + 8]] = api.PyLong_AsVoidPtr(address)
        entry += 8 * at.FRESH_WORDS
        row += 8 * at.MADE_WORDS
    return 1


def late_made(card: int, lot: int) -> Any:
    """Makes the storages of late results; 0 where there is no memory."""
    run = api.PyLong_FromLongLong(word[given.TALLY + 8 * at.RUNS])
    if run == 0:
        return 0
    row = word[lot + at.LOT_LATE]
    while row != word[lot + at.LOT_LATE_END]:
        storage = late_storage(word[row + 8], word[row + 16], word[row + 24])
        if storage == 0:
            release(run)
            return 0
        word[storage + at.LATE__PLAN] = new_reference(word[card + at.WEAK])
        word[storage + at.LATE__RUN] = new_reference(run)
        word[word[row]] = storage
        row += 8 * at.LATE_WORDS
    release(run)
    return 1


def late_storage(maker: int, first: int, second: int) -> Any:
    """A storage that a maker makes of two others when somebody asks for its memory; 0 where there
    is no memory. It still has no plan and no run.
    """
    storage = api.PyType_GenericAlloc(given.LATE, 0)
    operands = api.PyTuple_New(2)
    if storage == 0 or operands == 0:
        release(storage)
        release(operands)
        return 0
    word[operands + at.FIRST_ELEMENT] = new_reference(first)
    word[operands + at.FIRST_ELEMENT + 8] = new_reference(second)
    without_memory(storage)
    word[storage + at.LATE__MAKER] = new_reference(maker)
    word[storage + at.LATE__OPERANDS] = operands
    word[storage + at.LATE__COMPILED] = new_reference(given.TRUE)
    return storage


def let_go(card: int) -> Any:
    """Gives up the frame, the storages of new memory, and of late results, which the tensors have,
    if any do.
    """
    frame = word[card + at.FRAME]
    word[card + at.FRAME] = 0
    release(frame)
    lot = word[card + at.LOT]
    if lot == 0:
        return 0
    row = word[lot + at.LOT_LATE]
    while row != word[lot + at.LOT_LATE_END]:
        storage = word[word[row]]
        word[word[row]] = 0
        release(storage)
        row += 8 * at.LATE_WORDS
    if lot != word[card + at.SPARE]:
        return 0
    entry = word[lot + at.LOT_FRESH]
    while entry != word[lot + at.LOT_FRESH_END]:
        storage = word[entry + 8]
        word[entry + 8] = 0
        release(storage)
        entry += 8 * at.FRESH_WORDS
    return 0


INLINED = (
    parted, written_here, free_lot, spare_made, late_made, late_storage, let_go,
)  # fmt: skip
