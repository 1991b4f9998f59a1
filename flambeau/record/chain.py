"""Programs that have run, as history: the frames that a backward pass goes on through, and what it
answers where it ends or stops.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.core.shapes import storage_extent
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record.anomaly import Place
from flambeau.record.saved import overwritten
from flambeau.record.storage import Storage, allocate, snapshot
from flambeau.record.trace import Trace

if TYPE_CHECKING:
    from flambeau.record.recording import Recording

NOTHING = Storage(allocate(0))  # stands for values that derivatives look at but do not need


class Saved(NamedTuple):
    """A value kept in memory: where, and the versions then (see Origin) of that memory, or of the
    memory `of` that a copy was taken from (None once it is gone).
    """

    storage: Storage
    offset: int  # in bytes
    version: int
    silent: int | None
    of: weakref.ref[Storage] | None = None

    @property
    def memory(self) -> Storage | None:
        """Whose writes count."""
        return self.storage if self.of is None else self.of()

    @property
    def counts(self) -> tuple[int, int]:
        """The version as autograd counts it: now, and then."""
        memory = self.memory
        if memory is None:
            return self.version, self.version
        if self.silent is None:
            return memory.version, self.version
        return memory.version - memory.silent, self.version - self.silent


class Frame:
    """A program that has run, as history: its trace, what it saved, its leaves, the frames before
    it.
    """

    __slots__ = (
        "__weakref__", "cuts", "freed", "late", "leaves", "nodes", "parents", "saved",
        "shared", "trace", "views",
    )  # fmt: skip

    def __init__(
        self,
        trace: Trace,
        saved: dict[Value, Saved],
        leaves: list[Any],
        parents: list[tuple[Frame, Value]],
        cuts: list[Any],
        freed: frozenset[Value],
    ) -> None:
        self.trace = trace
        self.saved = saved
        self.leaves = leaves
        self.parents = parents  # per history input of the trace
        self.cuts = cuts  # per cut of the trace: what runs there
        self.freed = freed
        self.nodes: Any = None  # its backward functions, where somebody has asked for them
        # Where hooks were added since: their code follows in `cuts`.
        self.late: tuple[Value, ...] = ()
        # (weak reference, its value here, its family's changes) of tensors that entered with
        # history.
        self.views: list[tuple[Any, Value, int]] = []
        # Where it serves all runs of a plan (nothing is left to differentiate): a weak reference
        # to what parts them.
        self.shared: Callable[[], Callable[[], None] | None] | None = None

    def add_cut(self, value: Value, code: Any) -> None:
        """Puts Python code at a value after the program has run."""
        part = None if self.shared is None else self.shared()
        if part is not None:
            part()
        self.shared = None
        self.late = (*self.late, value)
        self.cuts.append(code)


@dataclass(frozen=True)
class NeedChain:
    """The pass has reached history: record it again with the chain of these history inputs."""

    histories: tuple[int, ...]
    made_here: tuple[bool, ...] = ()  # per input: whether its value was made in this recording
    provisional = True  # no work of its own: the event that follows does it


@dataclass(frozen=True)
class Cut:
    """The pass has reached Python code: (chain position or -1, cut number); its cotangent is the
    new tensor.
    """

    place: tuple[int, int]
    imports: tuple[tuple[int, Value, bool], ...]
    create_graph: bool
    reached: tuple[bool, ...] = ()  # which outputs of a custom function have a cotangent
    stale: str | None = None  # which of its saved tensors was overwritten, in this recording


@dataclass(frozen=True)
class Done:
    """The pass is complete: a new tensor per leaf or input, then those of tensors that keep their
    gradients; what it has freed and imported in other frames.
    """

    leaves: tuple[tuple[int, int], ...]  # (chain position or -1, leaf number)
    unused: tuple[bool, ...] = ()
    imports: tuple[tuple[int, Value, bool], ...] = ()
    create_graph: bool = False
    freed: tuple[tuple[int, frozenset[Value]], ...] = ()
    leaf_numbers: tuple[int, ...] = ()  # the tensor number of each leaf of this recording
    kept: tuple[bool, ...] = ()  # which of the tensors that keep their gradients have got one
    # The history inputs whose cotangents are new tensors, behind those of the leaves.
    histories: tuple[int, ...] = ()
    # In anomaly mode: where the flags come from that the last new tensor holds.
    checks: tuple[Place, ...] = ()

    @cached_property
    def targets(self) -> tuple[int, ...] | None:
        """The leaves' tensor numbers, where the whole pass lies in this recording."""
        if (
            self.imports
            or self.freed
            or self.checks
            or self.histories
            or any(position >= 0 for position, _ in self.leaves)
        ):
            return None
        return tuple(self.leaf_numbers[number] for _, number in self.leaves)


class Link(NamedTuple):
    """One frame of a chain, as a key sees it. `parents` are (chain position, value) per history
    input.
    """

    trace: Trace
    freed: frozenset[Value]
    parents: tuple[tuple[int, Value], ...]
    late: tuple[Value, ...] = ()

    @property
    def cuts(self) -> list[tuple[Value, tuple[Value | None, ...] | None]]:
        return self.trace.cuts + [(value, None) for value in self.late]


class Chain(NamedTuple):
    """Frames, later ones first, and where each reached history input enters them."""

    links: tuple[Link, ...]
    entries: tuple[tuple[int, int, Value], ...]  # (history input, chain position, value)
    wanted: tuple[
        tuple[tuple[int, Any], ...], ...
    ] = ()  # per input: (chain position, leaf number, value, or flat value and layout in it)
    passes: tuple[
        bool, ...
    ] = ()  # per input: whether what it gets in the recording arrives at `wanted` as well


ALONE = Chain((), ())  # stands for the chain where each program is passed by itself


def link_of(frame: Frame) -> Link:
    """A frame as a key sees it where it is passed by itself."""
    return Link(frame.trace, frame.freed, (), frame.late)


def frames_before(roots: list[Frame]) -> list[Frame]:
    """The frames that some lead to, with these, each before its parents."""
    order: list[Frame] = []
    done: set[int] = set()
    for root in roots:
        stack: list[tuple[Frame, bool]] = [(root, False)]
        while stack:
            frame, leaving = stack.pop()
            if leaving:
                order.append(frame)
            elif id(frame) not in done:
                done.add(id(frame))
                stack.append((frame, True))
                stack += [(parent, False) for parent, _ in frame.parents]
    return order[::-1]


def describe_chain(
    rec: Recording, need: NeedChain, inputs: tuple[Any, ...] | None
) -> tuple[Chain, list[Frame]]:
    """The frames that the history inputs lead to, later before earlier, as a key and as objects."""
    histories = need.histories
    frames = frames_before([rec.frames[history][0] for history in histories])
    place = {id(frame): position for position, frame in enumerate(frames)}
    links = tuple(
        Link(f.trace, f.freed, tuple((place[id(p)], v) for p, v in f.parents), f.late)
        for f in frames
    )
    entries = tuple((h, place[id(rec.frames[h][0])], rec.frames[h][1]) for h in histories)
    wanted: list[tuple[tuple[int, Any], ...]] = []
    passes: list[bool] = []
    for tensor, made_here in zip(inputs or (), need.made_here, strict=inputs is not None):
        if made_here:  # or overwritten: what it was in an earlier program is not asked for
            wanted.append(())
            passes.append(False)
            continue
        places: list[tuple[int, Any]] = [
            (position, number)
            for position, frame in enumerate(frames)
            for number, leaf in enumerate(frame.leaves)
            if leaf is tensor
        ]
        whole = _written_whole(tensor)
        if whole is not None and id(tensor._family.frame) in place:
            wanted.append(((place[id(tensor._family.frame)], whole),))
            passes.append(True)
            continue
        known = tensor._origin is not None and id(tensor._origin[0]) in place
        if known:
            places.append((place[id(tensor._origin[0])], tensor._origin[1]))
        if not (known and tensor._origin[2]):
            places += [
                (position, value)
                for position, frame in enumerate(frames)
                for reference, value, changes in frame.views
                if reference() is tensor
                and tensor._family is not None
                and tensor._family.changes == changes
            ]
        wanted.append(tuple(places))
        passes.append(known and tensor._origin[2])
    return Chain(links, entries, tuple(wanted), tuple(passes)), frames


def _written_whole(tensor: Any) -> tuple[Value, Any] | None:
    """The flat value of a tensor that was written through its views, and its layout there: what
    they get is its gradient.
    """
    family, origin = tensor._family, tensor._origin
    if family is None or family.frame is None or not family.is_first(tensor):
        return None
    flat, meta = family.source, tensor._meta
    if flat.dtype is not meta.dtype:
        return None
    if origin is not None and not (origin[0] is family.frame and shows(origin[1], flat)):
        return None
    offset = tensor._offset - family.start // meta.dtype.itemsize
    if offset < 0 or offset + storage_extent(meta.shape, meta.strides) > flat.size:
        return None  # only a part has history
    return flat, (meta.shape, meta.strides, offset)


def shows(value: Value, flat: Value) -> bool:
    """Whether a value is a view of a group's flat one."""
    while value is not flat and value.primitive.family == VIEW and len(value.inputs) == 1:
        value = value.inputs[0]
    return value is flat and flat.primitive.name != "history"


def check_imports(done: Any, frames: list[Frame], rec: Recording) -> bool:
    """RuntimeError where a saved value that the pass reads was overwritten since.

    Whether all of them are what they should be: what the recording has written silently is not,
    before that has run.
    """
    at_rest = True
    for position, value, needed in done.imports if isinstance(done, (Done, Cut)) else ():
        entry = frames[position].saved.get(value) if needed else None
        if entry is None:
            continue
        now, then = entry.counts
        memory = entry.memory
        if memory is not None and memory.recording is rec:
            written, silent = _written(rec).get(memory.base, (0, 0))
            now += written if entry.silent is None else written - silent
            at_rest = at_rest and not silent
        if now != then:
            trace, shape = frames[position].trace, value.shape
            if value.primitive.name == "leaf":
                shape = trace.tensors[trace.leaves[value.attrs["leaf"]]].meta.shape
            raise RuntimeError(overwritten("", value.dtype, shape, now, then))
    return at_rest


def _written(rec: Recording) -> dict[int, tuple[int, int]]:
    """The bases that a recording has written by now."""
    known = rec.state.written
    if known is None:
        from flambeau.record.recording import trace_of

        bases = trace_of(rec).bases
        known = {n: (s.version, s.silent) for n, s in enumerate(bases) if s.version}
        rec.state.written = known
    return known


def taken_imports(done: Any, frames: list[Frame]) -> tuple[Any, list[Any], list[Any]]:
    """No scalars, and the bases and frames of the saved values that a pass reads."""
    bases: list[Any] = []
    entered: list[Any] = []
    if not isinstance(done, (Done, Cut)):
        return (), bases, entered
    for position, value, needed in done.imports:
        if done.create_graph and value.tracked:
            entered.append((frames[position], value))
        entry = frames[position].saved.get(value) if needed else None
        assert entry is not None or not needed, value
        if entry is None:
            bases.append((NOTHING, 0))
            continue
        storage, offset = entry.storage, entry.offset
        if storage.exposed and storage.still_exposed():
            # NumPy may write there before the pass has run.
            storage, offset = snapshot(storage, offset, value.size * value.dtype.itemsize), 0
        bases.append((storage, offset))
    return (), bases, entered


def free_used(done: Any, frames: list[Frame]) -> None:
    """Frees what a pass has used up in earlier programs."""
    for position, values in done.freed if isinstance(done, Done) else ():
        frame = frames[position]
        frame.freed = frame.freed | values
        if frame.trace.keeps is not None:
            for value in frame.trace.keeps.unused(frame.freed):
                frame.saved.pop(value, None)
