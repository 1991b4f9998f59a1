"""A flush that is known in every respect, as one native call.

Note: what it relies on
    A card is a table of words that says all of a flush: which tensors somebody holds (by how many
    does not matter: a weight is held by the history of all steps), that nobody holds the results'
    memory, where the program and its table are, who gets what.
    `replay` first looks whether everything is so, without changing anything; then it makes what
    it will hand out, runs the program, hands out and closes the recording. Nothing of that calls
    Python code: the collector is off, nothing that is let go before the end is an object that
    could have something to say about it, and the interpreter's lock is held. So other threads,
    signals and finalizers see the recording before or after it, never between; and whoever is in
    the middle of a flush in Python holds the lock of flushes, whose count is looked at, too.

    A program that takes long, or several threads, runs without the interpreter's lock (its card is
    `shared`): then the caller holds the lock of flushes, the recording says that it is taken, and
    others see what they would see of such a run in Python. What they may change in the meantime is
    looked at behind the run: the versions of what is written.

    Reference counts: a word that is overwritten loses a reference, what is written there gets
    one (`put`); what a card names is held by the card's object, by its plan, or (the storages of
    results) by the plan's lots of memory, which are those that the card knows while `seals` of the
    plan's results is the card's. The layout of objects is that of `flambeau.record.words`, tried
    out before it is used.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Any

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.entrances import builtins
from flambeau.execute.cpu.kept_functions import Functions
from flambeau.execute.cpu.pool import NUM_THREADS
from flambeau.execute.cpu.references import (
    SHARED,
    attributes_of,
    failed,
    found_in,
    item,
    new_reference,
    put,
    release,
    replaced,
    values_of,
)
from flambeau.execute.cpu.word_functions import api, at, call, given, word
from flambeau.record import new_frames, result_lots, words
from flambeau.record.handle import Family
from flambeau.record.late import LateStorage
from flambeau.record.new_frames import frame_made, origin_made, together, views_known
from flambeau.record.new_objects import new_family, new_storage, storage_of, without_memory
from flambeau.record.recording import CLOSED, DEAD, ERA, Recording
from flambeau.record.result_lots import free_lot, late_made, let_go, parted, spare_made
from flambeau.record.result_memory import Results
from flambeau.record.statistics import EVENTS, MANY, NANOSECONDS, RUNS, TALLY, TICKS
from flambeau.record.storage import Buffer, Storage

FIELDS = (
    "PLAN RESULTS SEALS LOTS LOTS_END LOT COUNTS BASES SCALARS KINDS BLOCK PROGRAM ERA "
    "THREAD FAMILIES FAMILIES_END WRITES WRITES_END DEPTH CODE RAN MOST NOW SPARE MADE MADE_END "
    "HELD CLOCK EARLY WEAK FRAMES IMPORTS IMPORTS_END FRAME TRACE FREED KEPT KEPT_END "
    "LEAVES LEAVES_END LEAF_COUNT VIEWS VIEWS_END VIEW_COUNT STAYING STAYING_END"
).split()
# HELD is how often the caller holds the lock of flushes: once where the card is shared. WEAK is a
# weak reference to the plan. FRAMES is how many tensors enter with history; IMPORTS are the bases
# that earlier programs have saved, which may be the memory of one that is written, with how many
# bytes of them are read; STAYING are pairs of tensors that share history already, and go on doing
# so. FRAME is what is made of the run as history, where that is still needed (TRACE and what
# follows, see `new_frames`; a TRACE of 0: it is not).
# A lot of memory for the results: the words that say that it is free, what is handed out of it, and
# the program's table with its addresses. Any one will do.
LOT_FIELDS = "LOT_FIRST LOT_END LOT_FRESH LOT_FRESH_END LOT_TABLE LOT_LATE LOT_LATE_END".split()
FLOATS, INTEGERS = 0, 1  # kinds of run-time numbers
# Where all lots are held, results get memory of their own: that is handed out as the lot SPARE, and
# what is MADE for it are storages of so many bytes, whose addresses go to places of its table.
# Results that are made when somebody looks (`flambeau.record.late`) have storages of their own in
# each run. Words of one: where its result's entry has it, its maker, the two that it is made of.
# Words of a result's entry: its tensor's number (-1: it is kept for a backward pass alone), its
# storage; of a family's: its tensor's number, what it begins as, its origin, what is made, and of
# an origin in the run's own frame the value there, whether the family's gradient passes that, and
# what is made (a value of 0: it is that of all runs); of a write's: the base, how often it was
# written, how often of these silently, and the two counts that are made.
FRESH_WORDS, FAMILY_WORDS, WRITE_WORDS, MADE_WORDS, LATE_WORDS = 2, 7, 5, 2, 4


# ---- functions on words --------------------------------------------------------------------------


def replay(_: int, args: int, count: int) -> Any:
    """(card, recording, lock, state): a new recording at `state`, once the recording has run;
    False where something is not as the card says, and None where the program has refused its data:
    nothing is handed out then.
    """
    if count != 4:
        return api.PyErr_BadArgument()
    card = api.PyLong_AsVoidPtr(word[args])
    if failed(card):
        return 0
    rec = word[args + 8]
    held = word[card + at.HELD]
    if times_held(word[args + 16]) != held or not as_written(card, rec):
        return new_reference(given.FALSE)
    collecting = api.PyGC_Disable()
    answer = given.FALSE
    following = new_recording(word[args + 24])
    if following != 0 and made_ready(card, rec):
        answer = given.NONE
        fill(card, rec)
        if held == 0:
            code = run_briefly(card)
        else:
            if collecting:
                api.PyGC_Enable()
            code = run_for_long(card, rec)
            collecting = api.PyGC_Disable()
        word[card + at.CODE] = code
        if code == 0:
            answer = given.TRUE
    if answer != given.TRUE:
        api.PyErr_Clear()
        unmake(card)
        release(following)
        if collecting:
            api.PyGC_Enable()
        return new_reference(answer)
    hand_out(card, rec)
    let_go(card)
    word[card + at.RAN] += 1
    put(rec + at.RECORDING_DONE, given.TRUE)
    put(rec + at.RECORDING_RAN, given.TRUE)
    put(rec + at.RECORDING_TAKEN, given.TRUE)
    put(rec + at.RECORDING_CUTS, given.EMPTY)
    # Those that may call Python code when they are let go come last.
    plan = replaced(rec + at.RECORDING_PLAN, word[card + at.PLAN])
    trace = replaced(rec + at.RECORDING_TRACE, given.NONE)
    state = replaced(rec + at.RECORDING_STATE, given.DEAD)
    frames = replaced(rec + at.RECORDING_FRAMES, given.EMPTY)
    scalars = replaced(rec + at.RECORDING_SCALARS, given.CLOSED)
    bases = replaced(rec + at.RECORDING_BASES, given.CLOSED)
    handles = replaced(rec + at.RECORDING_HANDLES, given.CLOSED)
    if collecting:
        api.PyGC_Enable()
    release(plan)
    release(trace)
    release(state)
    release(frames)
    release(scalars)
    release(bases)
    release(handles)
    return following


def times_held(lock: int) -> Any:
    """How often a lock's thread holds it (see `words.lock_places`)."""
    if at.LOCK_OWNER:
        if word[lock + at.LOCK_OWNER] == 0:
            return 0
        return word[lock + at.LOCKED] + 1
    else:
        return word[lock + at.LOCKED]


def new_recording(state: int) -> Any:
    """What `Recording(state)` gives; 0 where there is no memory for it."""
    rec = api.PyType_GenericAlloc(given.RECORDING, 0)
    if rec == 0:
        return 0
    word[rec + at.RECORDING_STATE] = new_reference(state)
    word[rec + at.RECORDING_HANDLES] = api.PyList_New(0)
    word[rec + at.RECORDING_BASES] = api.PyList_New(0)
    word[rec + at.RECORDING_SCALARS] = api.PyList_New(0)
    if (
        word[rec + at.RECORDING_HANDLES] == 0
        or word[rec + at.RECORDING_BASES] == 0
        or word[rec + at.RECORDING_SCALARS] == 0
    ):
        release(rec)
        return 0
    word[rec + at.RECORDING_FRAMES] = new_reference(given.EMPTY)
    word[rec + at.RECORDING_CUTS] = new_reference(given.EMPTY)
    word[rec + at.RECORDING_TRACE] = new_reference(given.NONE)
    word[rec + at.RECORDING_PLAN] = new_reference(given.NONE)
    word[rec + at.RECORDING_NODES] = new_reference(given.NONE)
    word[rec + at.RECORDING_TAKEN] = new_reference(given.FALSE)
    word[rec + at.RECORDING_DONE] = new_reference(given.FALSE)
    word[rec + at.RECORDING_RAN] = new_reference(given.FALSE)
    word[rec + at.RECORDING_FAILED] = new_reference(given.FALSE)
    return rec


def as_written(card: int, rec: int) -> Any:
    """Whether all is as the card says; nothing but the block of run-time numbers changes."""
    if (
        word[rec + at.RECORDING_TAKEN] != given.FALSE
        or word[rec + at.RECORDING_CUTS] != given.EMPTY
        or word[card + at.RAN] == word[card + at.MOST]
        or word[given.ERA] != word[card + at.ERA]
        or word[given.TALLY + 8 * at.MANY] & word[card + at.EARLY] != 0
        or word[word[card + at.RESULTS] + at.RESULTS_SEALS] != word[card + at.SEALS]
        or api.PyThread_get_thread_ident() != word[card + at.THREAD]
    ):
        return 0
    bases = word[rec + at.RECORDING_BASES]
    scalars = word[rec + at.RECORDING_SCALARS]
    if (
        word[bases + at.TYPE] != given.LIST
        or word[scalars + at.TYPE] != given.LIST
        or word[bases + at.LENGTH] != word[card + at.BASES]
        or word[scalars + at.LENGTH] != word[card + at.SCALARS]
    ):
        return 0
    if not counted(word[card + at.COUNTS], word[rec + at.RECORDING_HANDLES]):
        return 0
    frames = word[rec + at.RECORDING_FRAMES]
    if frames == given.EMPTY:
        if word[card + at.FRAMES] != 0:
            return 0
    elif word[frames + at.TYPE] != given.LIST or word[frames + at.LENGTH] != word[card + at.FRAMES]:
        return 0
    if not together(card, rec):
        return 0
    if word[card + at.TRACE] != 0 and not views_known(card, rec):
        return 0
    base = word[bases + at.ITEMS]
    end = base + 8 * word[card + at.BASES]
    while base != end:
        if word[word[word[base] + at.FIRST_ELEMENT] + at.STORAGE_BUFFER] == 0:
            return 0  # it gets its memory when Python asks for that (`flambeau.record.late`)
        base += 8
    lot = free_lot(card)
    if lot == 0:
        lot = word[card + at.SPARE]
    if lot == 0:
        return 0
    word[card + at.LOT] = lot
    pair = word[lot + at.LOT_FRESH]
    while pair != word[lot + at.LOT_FRESH_END]:
        if word[pair] >= 0 and not untouched(item(word[rec + at.RECORDING_HANDLES], word[pair])):
            return 0
        pair += 16
    return numbers_taken(card, word[scalars + at.ITEMS])


def counted(counts: int, handles: int) -> Any:
    """Whether a list has as many elements as the first word says, and alone holds those of which
    the following say so.
    """
    if word[handles + at.TYPE] != given.LIST or word[handles + at.LENGTH] != word[counts]:
        return 0
    place = word[handles + at.ITEMS]
    end = place + 8 * word[counts]
    while place != end:
        counts += 8
        alone = 0
        if word[word[place]] == 1:
            alone = 1
        if alone != word[counts]:
            return 0
        place += 8
    return 1


def untouched(tensor: int) -> Any:
    """Whether it is a plain tensor whose attributes have not moved to a dictionary; or, where they
    always are in one, that shares its keys or is still to be made (`with_memory`).
    """
    if word[tensor + at.TYPE] != given.TENSOR:
        return 0
    if at.VALUES:
        return word[tensor + at.DICT] == 0 and word[tensor + at.VALUES] != 0
    elif at.TAG:
        return word[tensor + at.DICT] & at.TAG
    elif at.LOOKUP:
        return word[tensor + at.DICT] == 0 or attributes_of(tensor) != 0
    else:
        return word[tensor + at.DICT] == 0 or values_of(tensor) != 0


def with_memory(tensor: int) -> Any:
    """Makes room for the attributes of a tensor that is untouched; 0 where there is none."""
    if at.LOOKUP:
        return (
            with_attribute(tensor, given.STORAGE_NAME)
            and with_attribute(tensor, given.ORIGIN_NAME)
            and with_attribute(tensor, given.FAMILY_NAME)
        )
    else:
        if values_of(tensor) == 0:
            release(api.PyObject_GenericGetDict(tensor, 0))
        return values_of(tensor) != 0


def with_attribute(tensor: int, name: int) -> Any:
    """Gives an attribute the value that its class has, None, where the instance has none of its
    own; 0 where there is no memory.
    """
    attributes = attributes_of(tensor)
    if attributes != 0 and found_in(attributes, name) != 0:
        return 1
    return api.PyObject_GenericSetAttr(tensor, name, given.NONE) == 0


def numbers_taken(card: int, place: int) -> Any:
    """Writes the run-time numbers into the program's block; whether it can read them all."""
    kind = word[card + at.KINDS]
    block = word[card + at.BLOCK]
    end = place + 8 * word[card + at.SCALARS]
    while place != end:
        number = word[place]
        if word[kind] == at.INTEGERS:
            if word[number + at.TYPE] != given.INT and word[number + at.TYPE] != given.BOOL:
                return 0
            found = api.PyLong_AsLongLong(number)
            if found == -1 and api.PyErr_Occurred() != 0:
                api.PyErr_Clear()
                return 0
            word[block] = found
        else:
            if word[number + at.TYPE] != given.FLOAT:
                return 0
            word[block] = word[number + at.FLOAT_VALUE]
        place += 8
        kind += 8
        block += 8
    return 1


def made_ready(card: int, rec: int) -> Any:
    """Makes what is going to be handed out; 0 where there is no memory for it."""
    handles = word[rec + at.RECORDING_HANDLES]
    if not parted(card, word[rec + at.RECORDING_BASES]):
        return 0
    lot = word[card + at.LOT]
    if lot == word[card + at.SPARE] and not spare_made(card, lot):
        return 0
    if word[lot + at.LOT_LATE] != word[lot + at.LOT_LATE_END] and not late_made(card, lot):
        return 0
    entry = word[lot + at.LOT_FRESH]
    while entry != word[lot + at.LOT_FRESH_END]:
        if word[entry] >= 0 and not with_memory(item(handles, word[entry])):
            return 0
        entry += 8 * at.FRESH_WORDS
    if word[card + at.TRACE] != 0 and not frame_made(card, rec):
        return 0
    entry = word[card + at.FAMILIES]
    while entry != word[card + at.FAMILIES_END]:
        word[entry + 24] = new_family(word[entry + 8], item(handles, word[entry]))
        word[entry + 48] = origin_made(card, entry)
        if word[entry + 24] == 0 or word[entry + 48] == 0:
            return 0
        if word[word[entry + 24] + at.FAMILY_SOURCE] != given.NONE and word[card + at.TRACE] != 0:
            put(word[entry + 24] + at.FAMILY_FRAME, word[card + at.FRAME])
        entry += 8 * at.FAMILY_WORDS
    return writes_counted(card, rec)


def writes_counted(card: int, rec: int) -> Any:
    """Makes the counts of writes that there will be; 0 where there is no memory for them: those of
    before stay then.
    """
    bases = word[rec + at.RECORDING_BASES]
    entry = word[card + at.WRITES]
    while entry != word[card + at.WRITES_END]:
        storage = word[item(bases, word[entry]) + at.FIRST_ELEMENT]
        version = sum_of(word[storage + at.STORAGE_VERSION], word[entry + 8])
        silent = sum_of(word[storage + at.STORAGE_SILENT], word[entry + 16])
        if version == 0 or silent == 0:
            release(version)
            release(silent)
            return 0
        release(word[entry + 24])
        release(word[entry + 32])
        word[entry + 24] = version
        word[entry + 32] = silent
        entry += 8 * at.WRITE_WORDS
    return 1


def sum_of(number: int, more: int) -> Any:
    """A Python number and a word; 0 where that cannot be computed."""
    if more == 0:
        return new_reference(number)
    before = api.PyLong_AsLongLong(number)
    if before == -1:
        return 0
    return api.PyLong_FromLongLong(before + more)


def unmake(card: int) -> Any:
    """Lets go what was made."""
    let_go(card)
    entry = word[card + at.FAMILIES]
    while entry != word[card + at.FAMILIES_END]:
        family = word[entry + 24]
        origin = word[entry + 48]
        word[entry + 24] = 0
        word[entry + 48] = 0
        release(family)
        release(origin)
        entry += 8 * at.FAMILY_WORDS
    entry = word[card + at.WRITES]
    while entry != word[card + at.WRITES_END]:
        release(word[entry + 24])
        release(word[entry + 32])
        word[entry + 24] = 0
        word[entry + 32] = 0
        entry += 8 * at.WRITE_WORDS
    return 0


def fill(card: int, rec: int) -> Any:
    """Writes the addresses of the bases into the program's table."""
    base = word[word[rec + at.RECORDING_BASES] + at.ITEMS]
    end = base + 8 * word[card + at.BASES]
    place = word[word[card + at.LOT] + at.LOT_TABLE]
    while base != end:
        buffer = word[word[word[base] + at.FIRST_ELEMENT] + at.STORAGE_BUFFER]
        word[place] = api.PyLong_AsVoidPtr(word[buffer + at.BUFFER_ADDRESS])
        offset = word[word[base] + at.FIRST_ELEMENT + 8]
        if offset != given.ZERO:
            word[place] += api.PyLong_AsLongLong(offset)
        base += 8
        place += 8
    word[given.TALLY + 8 * at.RUNS] += 1
    word[given.TALLY + 8 * at.EVENTS] += word[card + at.DEPTH]
    if word[card + at.CLOCK] != 0:  # its results are large
        ticks = word[given.TALLY + 8 * at.TICKS] + 1
        word[given.TALLY + 8 * at.TICKS] = ticks
        word[word[card + at.CLOCK]] = ticks
    return 0


def run_briefly(card: int) -> Any:
    """Runs the program on this thread; what that gives. One run of sixteen is timed."""
    table = word[word[card + at.LOT] + at.LOT_TABLE]
    if word[given.TALLY + 8 * at.RUNS] & 15 != 0:
        return call(given.RUN, table, word[card + at.PROGRAM], 1)
    began = now(card)
    code = call(given.RUN, table, word[card + at.PROGRAM], 1)
    spent = now(card) - began
    word[given.TALLY + 8 * at.NANOSECONDS] += 16 * spent
    return code


def run_for_long(card: int, rec: int) -> Any:
    """Runs the program on all threads, while others have the interpreter; what that gives."""
    began = now(card)
    put(rec + at.RECORDING_TAKEN, given.TRUE)
    table = word[word[card + at.LOT] + at.LOT_TABLE]
    threads = word[given.NUM_THREADS]
    thread = api.PyEval_SaveThread()
    code = call(given.RUN, table, word[card + at.PROGRAM], threads)
    api.PyEval_RestoreThread(thread)
    if code != 0:
        put(rec + at.RECORDING_TAKEN, given.FALSE)
    elif not writes_counted(card, rec):
        api.PyErr_Clear()
    spent = now(card) - began
    word[given.TALLY + 8 * at.NANOSECONDS] += spent
    return code


def now(card: int) -> Any:
    """Nanoseconds, by the interpreter's clock."""
    if at.CLOCK_WRITES:
        api.PyTime_PerfCounterRaw(card + at.NOW)
        return word[card + at.NOW]
    else:
        return api._PyTime_GetPerfCounter()


def hand_out(card: int, rec: int) -> Any:
    """Gives the tensors what was computed, and what was made for them."""
    handles = word[rec + at.RECORDING_HANDLES]
    bases = word[rec + at.RECORDING_BASES]
    lot = word[card + at.LOT]
    entry = word[lot + at.LOT_FRESH]
    while entry != word[lot + at.LOT_FRESH_END]:
        if word[entry] >= 0:
            set_attribute(item(handles, word[entry]), given.STORAGE_NAME, word[entry + 8])
        entry += 8 * at.FRESH_WORDS
    entry = word[card + at.FAMILIES]
    while entry != word[card + at.FAMILIES_END]:
        tensor = item(handles, word[entry])
        set_attribute(tensor, given.ORIGIN_NAME, word[entry + 48])
        set_attribute(tensor, given.FAMILY_NAME, word[entry + 24])
        release(word[entry + 24])  # the tensor's, as the other is
        release(word[entry + 48])
        word[entry + 24] = 0
        word[entry + 48] = 0
        entry += 8 * at.FAMILY_WORDS
    entry = word[card + at.WRITES]
    while entry != word[card + at.WRITES_END]:
        storage = word[item(bases, word[entry]) + at.FIRST_ELEMENT]
        release(word[storage + at.STORAGE_VERSION])
        word[storage + at.STORAGE_VERSION] = word[entry + 24]
        release(word[storage + at.STORAGE_SILENT])
        word[storage + at.STORAGE_SILENT] = word[entry + 32]
        word[entry + 24] = 0
        word[entry + 32] = 0
        entry += 8 * at.WRITE_WORDS
    return 0


def set_attribute(thing: int, name: int, value: int) -> Any:
    """Where `untouched` and `with_memory`, this is a store into memory that is there."""
    if api.PyObject_GenericSetAttr(thing, name, value) < 0:
        api.PyErr_Clear()
    return 0


INLINED = (
    times_held, new_recording,
    as_written, counted, untouched, with_memory, with_attribute,
    numbers_taken, made_ready, new_family, new_storage, storage_of, without_memory, sum_of,
    writes_counted, unmake, fill, run_briefly, run_for_long, now, hand_out, set_attribute,
    *new_frames.INLINED, *result_lots.INLINED, *SHARED,
)  # fmt: skip


# ---- the native function -------------------------------------------------------------------------


@cache
def native() -> Any:
    """`replay` as a builtin function; None where nothing is known of the layout of objects."""
    if not words.known():
        return None
    from flambeau.execute.cpu.pool import native as runner
    from flambeau.record import recorder

    try:
        functions = replay_functions()
    except words.Unknown:
        return None
    given = words.addresses(
        CLOSED=CLOSED,
        DEAD=DEAD,
        TENSOR=recorder.handle_class(),
        FAMILY=Family,
        RECORDING=Recording,
        STORAGE=Storage,
        BUFFER=Buffer,
        LATE=LateStorage,
        MINUS_ONE=-1,
        **NAMES,
        **new_frames.NAMES,
        **new_frames.CLASSES,
    )
    given["GENERAL_LOOKUP"] = words.general_lookup()
    given |= {"ERA": address_of(ERA), "TALLY": address_of(TALLY), "RUN": runner().run}
    given["COPY_MEMORY"] = ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0
    given["NUM_THREADS"] = ctypes.addressof(NUM_THREADS)
    found = builtins(*functions, given)
    return None if found is None else found[0]


@cache
def replay_functions() -> tuple[Functions, Functions, dict[str, int]]:
    """What `native` is made of, for `builtins`. Unknown where objects are not laid out so."""
    return (replay,), INLINED, _numbers()


# Interned, and held.
NAMES = {"STORAGE_NAME": "_storage", "FAMILY_NAME": "_family", "ORIGIN_NAME": "_origin"}


def _numbers() -> dict[str, int]:
    """The numbers of the functions above. Unknown where objects are not laid out so."""
    from flambeau.record import recorder

    found = words.numbers(
        (Recording, "RECORDING", words.public(Recording)),
        (Storage, "STORAGE", words.public(Storage)),
        (Buffer, "BUFFER", words.public(Buffer)),
        (LateStorage, "LATE", LateStorage.__slots__),
        (Results, "RESULTS", ("seals",)),
        (Family, "FAMILY", ("changes", "frame", "source")),
        new_frames.SLOTS,
    )
    handles: Any = recorder.handle_class()
    for name in ("_family", "_frames"):
        place = 0 if found["LOOKUP"] else words.place_of_value(handles, name)
        found["PLACE_" + name.upper()] = 8 * place
    found |= words.lock_places(threading.RLock())
    found |= {name: 8 * number for number, name in enumerate(FIELDS)}
    found |= {name: 8 * number for number, name in enumerate(LOT_FIELDS)}
    found |= {"LOT_WORDS": len(LOT_FIELDS)}
    found |= {"FRESH_WORDS": FRESH_WORDS, "FAMILY_WORDS": FAMILY_WORDS, "WRITE_WORDS": WRITE_WORDS}
    found |= {"MADE_WORDS": MADE_WORDS, "LATE_WORDS": LATE_WORDS} | new_frames.NUMBERS
    found |= {
        "RUNS": RUNS,
        "EVENTS": EVENTS,
        "NANOSECONDS": NANOSECONDS,
        "TICKS": TICKS,
        "MANY": MANY,
    }
    found["DICT"] = words.place_of_dictionary(handles)
    found["BEHIND"] = words.place_of_values(handles)
    found["CLOCK_WRITES"] = int(hasattr(ctypes.pythonapi, "PyTime_PerfCounterRaw"))  # 3.13
    return found | {"INTEGERS": INTEGERS}
