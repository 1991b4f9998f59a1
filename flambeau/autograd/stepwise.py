"""Backward passes through many earlier programs, one program at a time.

Note [One program at a time]
    A loop that looks at its data in every step (an agent that acts, a decoder that chooses) leaves
    a chain of programs, one for each step, and the pass through all of them would be another
    program for every length. So where the chain is long, the pass is recorded for each of its
    programs alone: what it gets and what it passes on are tensors. The steps of a loop have run
    the same program, so their passes do as well, and are looked up. One program before the last is
    many already where lengths are ever new, or where it is a piece of a loop that was cut.
    Python code on the way (a custom function, a hook) ends a pass, which begins anew with what the
    code has given: alone, a program does so for its own code only, and not for that of all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.known_passes import Entering
from flambeau.record import recorder
from flambeau.record.backward import FRAME_BACKWARD
from flambeau.record.chain import (
    NOTHING,
    Cut,
    Done,
    Frame,
    check_imports,
    frames_before,
    free_used,
    link_of,
    taken_imports,
)
from flambeau.record.options import OPTIONS

MANY = 2  # programs from which on each is passed by itself


def many_frames(rec: Any, least: int = MANY) -> bool:
    """Whether what has entered goes back through many programs (so many at least)."""
    if not rec.frames or OPTIONS.sync or recorder.LOCAL.capture is not None:
        return False
    seen: set[int] = set()
    stack = [frame for frame, _ in rec.frames]
    while stack:
        frame = stack.pop()
        if id(frame) in seen:
            continue
        seen.add(id(frame))
        stack += [parent for parent, _ in frame.parents]
    return len(seen) >= least


def goes_through_pieces(rec: Any) -> bool:
    """Whether what has entered goes back through a piece of a loop."""
    if not rec.frames or OPTIONS.sync or recorder.LOCAL.capture is not None:
        return False
    states = [frame.trace.state for frame, _ in rec.frames]  # None: forgotten
    return any(state is not None and state.looped for state in states)


def through_frames(
    arrived: list[tuple[Frame, Any, Any]],
    retain_graph: bool,
    replaced: list[tuple[Any, tuple[Any, ...]]],
    run_code: Callable[[Any, Any, Cut], tuple[Any, ...]],
) -> list[tuple[Any, Any]]:
    """Goes on with the pass from the cotangents that have arrived at values of earlier programs,
    (program, value, tensor) each; the leaves with their gradients.

    `replaced` is what Python code on the way has given so far, and becomes longer; `run_code` runs
    a cut's.
    """
    waiting: dict[int, list[tuple[Any, Any]]] = {}
    for frame, value, tensor in arrived:
        waiting.setdefault(id(frame), []).append((value, tensor))
    frames = frames_before([frame for frame, _, _ in arrived])
    arrived.clear()
    totals: dict[int, tuple[Any, Any]] = {}
    freed: list[tuple[Done, Frame]] = []
    for frame in frames:
        entries = waiting.pop(id(frame), None)
        if entries is None:
            continue
        # Each program's pass begins a recording: that is where it is found again.
        recorder.flush()
        while True:
            done, made = _record(frame, entries, totals, retain_graph, replaced)
            if isinstance(done, Done):
                break
            code = frame.cuts[done.place[1]]
            replaced.append((code, run_code(code, made[0], done)))
            del made
        del entries
        freed.append((done, frame))
        for (_, number), gradient in zip(done.leaves, made):
            leaf = frame.leaves[number]
            if id(leaf) in totals:  # a leaf that the program knows twice
                gradient = totals[id(leaf)][1] + gradient  # neither has history
            totals[id(leaf)] = leaf, gradient
        for number, ct in zip(done.histories, made[len(done.leaves) :], strict=True):
            parent, value = frame.parents[number]
            waiting.setdefault(id(parent), []).append((value, ct))
        del made
    for done, frame in freed:
        free_used(done, [frame])
    return list(totals.values())


def _record(
    frame: Frame,
    entries: list[tuple[Any, Any]],
    totals: dict[int, Any],
    retain_graph: bool,
    replaced: list[tuple[Any, tuple[Any, ...]]],
) -> tuple[Done | Cut, list[Any]]:
    """Records the pass through one program: what it was, and its new tensors."""
    have = [totals[id(leaf)][1] if id(leaf) in totals else None for leaf in frame.leaves]
    entering = Entering(frame, entries, have, retain_graph)
    found = entering.known(frame)
    if found is not None:
        return found
    codes = {id(code): number for number, code in enumerate(frame.cuts)}
    known = [((0, codes[id(code)]), given) for code, given in replaced if id(code) in codes]
    values = tuple(value for value, _ in entries)
    cotangents = [tensor for _, tensor in entries]
    link = link_of(frame)
    while True:
        rec = recorder.LOCAL.rec
        scalars: list[Any] = []
        try:
            places = recorder.operand_key(rec, cotangents, scalars)
            sums = recorder.operand_key(rec, have, scalars)
            given = tuple((at, recorder.operand_key(rec, parts, scalars)) for at, parts in known)
            key = (FRAME_BACKWARD, link, values, places, sums, (retain_graph,), given)
            state = rec.state.next.get(key) or recorder.miss(rec, key)
        except recorder.Flushed:
            continue
        try:
            made = commit_pass(rec, state, [frame])
        except recorder.Flushed:
            continue
        if isinstance(state.extra, Done):
            entering.remember(state)
        return state.extra, made


def commit_pass(rec: Any, state: Any, frames: list[Frame]) -> list[Any]:
    """Moves a recording to the state after a pass, with what that reads of the frames; returns the
    new handles. RuntimeError where something saved was overwritten since, Flushed.
    """
    try:
        at_rest = check_imports(state.extra, frames, rec)
    except RuntimeError:
        rec.trace = None  # it may have gone on to the state that is not entered
        raise
    if not at_rest:
        recorder.flush()
        raise recorder.Flushed
    scalars, bases, entered = taken_imports(state.extra, frames)
    made = recorder.commit(rec, state, scalars, bases, entered)
    alone = (rec,)
    for storage, _ in bases:
        if storage is not NOTHING:
            storage.read_by(rec, alone)
    return made
