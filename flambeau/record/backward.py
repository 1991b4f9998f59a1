"""Backward passes as events, and histories that reach into programs that have already run.

Note: one pass, or several
    `loss.backward()` is one event when everything it differentiates lies in the recording. Two
    things make it more. History in earlier programs: the event first answers which it has reached
    (`NeedChain`), and is recorded again with a description of those programs, its `chain`. Python
    code on the way (hooks, custom functions): the event stops there (`Cut`) with the cotangent as a
    tensor, the code runs, and the event is recorded again with what the code gave for it. Each of
    these is a function of its key, and a flush in between does no harm: what is left of the graph
    is then history. Work that the passes repeat is the compiler's to share.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flambeau.core.dtypes import DType
from flambeau.core.shapes import is_dense, storage_extent
from flambeau.graph.program import reachable
from flambeau.graph.reverse import Reverse, required_for
from flambeau.ops import arithmetic as ar
from flambeau.ops import source, view
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.events import Event
from flambeau.record.restricted import check_entering, without_gradient
from flambeau.record.storage import Storage, allocate
from flambeau.record.trace import FunctionRecord, StorageRecord, Trace, layout_value, saved_origin

if TYPE_CHECKING:
    from flambeau.record.handle import Family, Handle


class Frame:
    """A program that has run, as history: its trace, what it saved, its leaves, the frames before
    it.
    """

    __slots__ = ("cuts", "freed", "late", "leaves", "nodes", "parents", "saved", "trace", "views")

    def __init__(
        self,
        trace: Trace,
        saved: dict[Value, tuple[Storage, int, int]],
        leaves: list[Any],
        parents: list[tuple[Frame, Value]],
        cuts: list[Any],
        freed: frozenset[Value],
    ) -> None:
        self.trace = trace
        self.saved = saved  # value: (storage, byte offset, the storage's version then)
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

    def add_cut(self, value: Value, code: Any) -> None:
        """Puts Python code at a value after the program has run."""
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
    """The pass is complete: a new tensor per leaf, and what it has freed and imported in other
    frames.
    """

    leaves: tuple[tuple[int, int], ...]  # (chain position or -1, leaf number)
    unused: tuple[bool, ...] = ()
    imports: tuple[tuple[int, Value, bool], ...] = ()
    create_graph: bool = False
    freed: tuple[tuple[int, frozenset[Value]], ...] = ()
    leaf_numbers: tuple[int, ...] = ()  # the tensor number of each leaf of this recording

    @cached_property
    def targets(self) -> tuple[int, ...] | None:
        """The leaves' tensor numbers, where the whole pass lies in this recording."""
        if self.imports or self.freed or any(position >= 0 for position, _ in self.leaves):
            return None
        return tuple(self.leaf_numbers[number] for _, number in self.leaves)


@dataclass(frozen=True)
class Link:
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


@dataclass(frozen=True)
class Chain:
    """Frames, later ones first, and where each reached history input enters them."""

    links: tuple[Link, ...]
    entries: tuple[tuple[int, int, Value], ...]  # (history input, chain position, value)
    wanted: tuple[
        tuple[tuple[int, Any], ...], ...
    ] = ()  # per input: (chain position, leaf number or value)
    passes: tuple[
        bool, ...
    ] = ()  # per input: whether what it gets in the recording arrives at `wanted` as well


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class HistoryOp(Event):
    """A tensor with history in an earlier program enters; key = (op, *arguments of
    Trace.enter_history).
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_history(*key[1:])


class MemberOp(Event):
    """A tensor enters that shares history with one that has: key = (op, meta, number of that,
    distance).
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_member(*key[1:])


class MarkCutOp(Event):
    """Python code stands at a tensor: a hook (key[2] None) or a custom function (key[2] its input
    numbers).
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        value = trace.tracked_value(key[1])
        inputs = (
            None
            if key[2] is None
            else tuple(None if n is None else trace.tracked_value(n) for n in key[2])
        )
        trace.cuts.append((value, inputs))


@dataclass
class _Pass:
    """One backward pass over a trace and its chain."""

    trace: Trace
    chain: Chain | None
    replaced: dict[tuple[int, int], tuple[Value | None, ...]]
    create_graph: bool
    wanted: dict[int, Value] = field(default_factory=dict)
    used: list[tuple[int, Value]] = field(default_factory=list)
    visited: list[tuple[int, Value]] = field(default_factory=list)
    imports: dict[tuple[int, Value], Value] = field(default_factory=dict)
    sources: dict[Value, Value] = field(default_factory=dict)  # of imports
    cut: tuple[tuple[int, int], Value] | None = None
    required: dict[int, set[Value]] = field(default_factory=dict)  # per position, with inputs only

    def reverse(self, position: int) -> Reverse:
        """The differentiator of the trace (position -1) or of a frame of the chain."""
        if position < 0:
            pass_ = Reverse(lambda value, used: self._visit(-1, value, used))
            cuts = self.trace.cuts
        else:
            pass_ = Reverse(
                lambda value, used: self._visit(position, value, used),
                lambda value: self._import(position, value),
            )
            assert self.chain is not None
            cuts = self.chain.links[position].cuts
        for number, (value, inputs) in enumerate(cuts):
            pass_.cuts[value] = _cut_rule(self.replaced.get((position, number)), value, inputs)
        self.restrict(pass_, position, cuts)
        return pass_

    def restrict(self, pass_: Reverse, position: int, cuts: list[Any]) -> None:
        required = pass_.required = self.required.get(position)
        if required is None:
            return
        for value, inputs in cuts:
            if inputs is not None and not any(v in required for v in inputs if v is not None):
                pass_.cuts[value] = lambda ct: ()

    def confine(self, roots: list[Value], wanted: list[Any]) -> tuple[int, ...]:
        """Keeps the pass to what lies between the roots and the inputs.

        Returns the history inputs on the way whose frames are not known yet.
        """
        entered: dict[
            int, tuple[int, Value]
        ] = {}  # what stands behind history inputs of this recording
        needed: set[tuple[int, Value]] = set()  # (position, value) that lead to an input
        if self.chain is not None:
            entered = {h: (position, value) for h, position, value in self.chain.entries}
            self._confine_chain(needed)
        unknown: set[int] = set()
        leaves = {what for kind, what in wanted if kind == "leaf"}
        values = {what for kind, what in wanted if kind != "leaf"}

        def is_end(value: Value) -> bool:
            if value in values:
                return True
            if value.primitive.name == "leaf":
                return value.attrs["leaf"] in leaves
            if value.primitive.name != "history" or value.attrs["frame"] < 0:
                return False
            number = value.attrs["frame"]
            if number not in entered:
                unknown.add(number)
                return True
            return entered[number] in needed

        self.required[-1] = required_for(roots, is_end, _cut_inputs(self.trace))
        return tuple(sorted(unknown))

    def _confine_chain(self, needed: set[tuple[int, Value]]) -> None:
        chain = self.chain
        assert chain is not None
        for position in range(len(chain.links) - 1, -1, -1):  # the earliest program first
            link = chain.links[position]
            ends = {what for places in chain.wanted for at, what in places if at == position}
            roots = [value for _, at, value in chain.entries if at == position]
            roots += [value for one in chain.links for at, value in one.parents if at == position]

            def is_end(value: Value, link: Link = link, ends: set[Any] = ends) -> bool:
                if value in ends:
                    return True
                if value.primitive.name == "leaf":
                    return value.attrs["leaf"] in ends
                if value.primitive.name != "history" or value.attrs["frame"] < 0:
                    return False
                return link.parents[value.attrs["frame"]] in needed

            found = required_for(roots, is_end, _cut_inputs(link.trace))
            self.required[position] = found
            needed.update((position, value) for value in found)

    def _visit(self, position: int, value: Value, used: list[Value]) -> None:
        freed = self.trace.freed if position < 0 else self.chain.links[position].freed  # type: ignore[union-attr]
        if value in freed:
            raise RuntimeError(FREED)
        if value.primitive.family != VIEW:
            self.visited.append((position, value))
        if not all(_from_scalars(self.sources.get(v, v)) for v in used):
            self.used.append((position, value))
        if position < 0:
            for forward in used:
                origin = saved_origin(forward, self.trace.origins)
                if origin is not None and origin[0].version != origin[1]:
                    raise RuntimeError(
                        overwritten(
                            origin[2], forward.dtype, forward.shape, origin[0].version, origin[1]
                        )
                    )

    def event_of(self, position: int, value: Value) -> int:
        """The event that made a value: its number in the trace of that position."""
        trace = self.trace if position < 0 else self.chain.links[position].trace  # type: ignore[union-attr]
        return bisect.bisect(trace.marks, value.order)

    def _import(self, position: int, value: Value) -> Value:
        """A value of an earlier program in this one: recomputed where that costs nothing, else
        read.
        """
        found = self.imports.get((position, value))
        if found is None:
            trace = self.chain.links[position].trace  # type: ignore[union-attr]
            found = imported(
                trace, value, lambda v: self._import(position, v), lambda v: self._read(position, v)
            )
            self.imports[position, value] = found
            self.sources[found] = value
        return found

    def _read(self, position: int, value: Value) -> Value:
        trace = self.trace
        record = StorageRecord(value.dtype, value.size, len(trace.bases))
        trace.bases.append(record)
        trace.imported.append(len(trace.bases) - 1)
        record.data = source.program_input("base", record.base, (value.size,), value.dtype)
        self.reads.append((position, value, record.data))
        read = view.reshape(record.data, shape=value.shape)
        if self.create_graph and value.tracked:
            read = source.history(read, len(trace.histories), value)
            trace.histories.append((position, value))
        return read

    reads: list[tuple[int, Value, Value]] = field(default_factory=list)

    def taken(self, results: Any) -> tuple[tuple[int, Value, bool], ...]:
        """The saved values that were looked at: (position, value, whether the results depend on
        it).
        """
        used = set(reachable(results)) if self.reads else set()
        return tuple((position, value, data in used) for position, value, data in self.reads)


def _from_scalars(value: Value) -> bool:
    """Whether a value is a Python number, converted and expanded: those are never freed."""
    while len(value.inputs) == 1:
        value = value.inputs[0]
    primitive = value.primitive
    return primitive.name == "constant" or (
        primitive is source.input_ and value.attrs["role"] == "scalar"
    )


def _cut_inputs(trace: Trace) -> dict[Value, tuple[Value | None, ...]]:
    return {value: inputs for value, inputs in trace.cuts if inputs is not None}


def imported(trace: Trace, value: Value, recurse: Any, read: Any) -> Value:
    """`value` of another program: constants as they are, views of imported values, else
    `read(value)`.
    """
    primitive = value.primitive
    if len(value.inputs) == 1 and in_its_own_memory(trace, value):
        return read(value)  # type: ignore[no-any-return]
    if primitive.name in ("constant", "iota"):
        return value
    if primitive.family == VIEW and len(value.inputs) == 1 and not value.tracked:
        return primitive(recurse(value.inputs[0]), **value.attrs)
    if primitive.name in ("reshape", "permute", "expand", "detach"):
        return primitive(recurse(value.inputs[0]), **value.attrs)
    return read(value)  # type: ignore[no-any-return]


def in_its_own_memory(trace: Trace, value: Value) -> bool:
    """Whether a value is that of a tensor (a clone) with other memory than what it was made from:
    that one may be overwritten.
    """
    own = trace.origins.get(value)
    if own is None:
        return False
    other = saved_origin(value.inputs[0], trace.origins)
    return other is not None and other[0] is not own[0]


def _cut_rule(
    replaced: tuple[Value | None, ...] | None, value: Value, inputs: tuple[Value | None, ...] | None
) -> Any:
    def rule(ct: Value) -> Any:
        if replaced is None:
            return None
        if inputs is None:
            return [(value, replaced[0])]
        return [
            (v, c) for v, c in zip(inputs, replaced, strict=True) if v is not None and c is not None
        ]

    return rule


class BackwardOp(Event):
    """key = (op, roots, cotangents, (create_graph, retain_graph), inputs, replaced, chain).

    roots and inputs are tensor numbers; cotangents numbers or None; replaced ((place, numbers), ..)
    for cuts already run; chain None or a Chain. With inputs the new tensors are theirs, else there
    is one per leaf.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Any:
        _, roots, cotangents, (create_graph, retain_graph), inputs, replaced, chain = key
        given = {
            place: tuple(None if n is None else trace.tracked_value(n) for n in numbers)
            for place, numbers in replaced
        }
        pass_ = _Pass(trace, chain, given, create_graph)
        first = pass_.reverse(-1)
        wanted = self._wanted(trace, first, inputs)
        if inputs is not None:
            unknown = pass_.confine([trace.tracked_value(root) for root in roots], wanted)
            if unknown:
                return NeedChain(unknown, _made_here(wanted))
            pass_.restrict(first, -1, trace.cuts)
        self._seed(trace, first, roots, cotangents, create_graph)
        first.run()
        if first.cut is not None:
            return self._stop(trace, pass_, -1, first)
        histories = tuple(sorted(first.histories))
        if histories and chain is None:
            return NeedChain(histories, _made_here(wanted))
        leaves = {(-1, number): ct for number, ct in first.leaves.items()}
        captured: dict[tuple[int, Value], Value] = {}
        for position, stopped in _run_chain(pass_, first.histories, leaves, captured):
            return self._stop(trace, pass_, position, stopped)
        freed = _mark_freed(pass_, retain_graph)
        if inputs is not None:
            cotangents_ = _input_cotangents(first, wanted, leaves, captured, chain)
            imports = pass_.taken([ct for ct in cotangents_ if ct is not None])
            return self._finish_inputs(trace, inputs, cotangents_, create_graph, imports, freed)
        imports = pass_.taken(leaves.values())
        return self._finish(trace, leaves, create_graph, imports, freed, chain)

    def _seed(
        self, trace: Trace, first: Reverse, roots: Any, cotangents: Any, create_graph: bool
    ) -> None:
        for number, (root, cotangent) in enumerate(zip(roots, cotangents, strict=True)):
            meta = trace.tensors[root].meta
            if not meta.requires_grad:
                raise RuntimeError(
                    f"element {number} of tensors does not require grad and does not have a grad_fn"
                )
            value = trace.tracked_value(root)
            if cotangent is None:
                if meta.numel != 1:
                    raise RuntimeError("grad can be implicitly created only for scalar outputs")
                first.seed(value, ar.full_like(value, 1))
                continue
            given = trace.tracked_value(cotangent)
            if given.shape != value.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{number}] has a shape of "
                    f"torch.Size({list(given.shape)}) and output[{number}] has a shape of "
                    f"torch.Size({list(value.shape)})."
                )
            given = given if create_graph or not given.tracked else source.detach(given)
            first.seed(value, ar.cast(given, value.dtype))

    def _wanted(self, trace: Trace, first: Reverse, inputs: Any) -> list[Any]:
        """What the inputs' cotangents are filed under: ("leaf", n), ("value", v), or ("history", v)
        from outside.
        """
        found: list[Any] = []
        for number in inputs or ():
            tensor = trace.tensors[number]
            if not tensor.meta.requires_grad:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            if tensor.group.leaf is not None and tensor.meta.is_leaf:
                found.append(("leaf", tensor.group.leaf))
            else:
                value = trace.tracked_value(number)
                first.wanted.add(value)
                outside = number in trace.entered and trace.unchanged(tensor.group)
                found.append(("history" if outside else "value", value))
        return found

    def _stop(self, trace: Trace, pass_: _Pass, position: int, reverse: Reverse) -> Cut:
        value = reverse.cut
        assert value is not None
        cuts = trace.cuts if position < 0 else pass_.chain.links[position].cuts  # type: ignore[union-attr]
        number = next(
            i
            for i, (v, _) in enumerate(cuts)
            if v is value and ((position, i) not in pass_.replaced)
        )
        ct = reverse.cotangents[value]
        _new_gradient(trace, ct, None, pass_.create_graph)
        place, imports = (position, number), pass_.taken([ct])
        owner = trace if position < 0 else pass_.chain.links[position].trace  # type: ignore[union-attr]
        function = owner.functions.get(value)
        if function is None:
            return Cut(place, imports, pass_.create_graph)
        reached = tuple(piece in reverse.reached for piece in function.pieces)
        stale = stale_saved(trace, function) if position < 0 else None
        return Cut(place, imports, pass_.create_graph, reached, stale)

    def _finish_inputs(
        self,
        trace: Trace,
        inputs: Any,
        cotangents: list[Value | None],
        create_graph: bool,
        imports: Any,
        freed: Any,
    ) -> Done:
        for number, ct in zip(inputs, cotangents, strict=True):
            if ct is not None:
                tensor = trace.tensors[number]
                flat = tensor.group.leaf is not None and tensor.meta.is_leaf
                _new_gradient(trace, ct, tensor if flat else None, create_graph)
        unused = tuple(ct is None for ct in cotangents)
        return Done((), unused, imports, create_graph, freed, tuple(trace.leaves))

    def _finish(
        self,
        trace: Trace,
        leaves: dict[Any, Value],
        create_graph: bool,
        imports: Any,
        freed: Any,
        chain: Chain | None,
    ) -> Done:
        places = []
        for place in sorted(leaves):
            position, number = place
            owner = trace if position < 0 else chain.links[position].trace  # type: ignore[union-attr]
            leaf = owner.tensors[owner.leaves[number]]
            if without_gradient(leaf.meta):
                continue  # a view made under no_grad has no gradient of its own
            places.append(place)
            _new_gradient(trace, leaves[place], leaf, create_graph)
        return Done(tuple(places), (), imports, create_graph, freed, tuple(trace.leaves))


def _made_here(wanted: list[Any]) -> tuple[bool, ...]:
    return tuple(kind == "value" for kind, _ in wanted)


def _input_cotangents(
    first: Reverse,
    wanted: list[Any],
    leaves: dict[Any, Value],
    captured: dict[tuple[int, Value], Value],
    chain: Chain | None,
) -> list[Value | None]:
    """Each input's cotangent: what arrived in this recording, and in the frames where it is known
    too.
    """
    found: list[Value | None] = []
    for place, (kind, what) in enumerate(wanted):
        elsewhere = chain.wanted[place] if chain is not None else ()
        parts: list[Value | None] = []
        if kind == "leaf":
            parts.append(leaves.get((-1, what)))
            parts += [leaves.get(at) for at in elsewhere]
        else:
            passed = kind == "history" and chain is not None and chain.passes[place]
            if not passed:
                parts.append(first.captured.get(what))
            if kind == "history":
                parts += [captured.get(at) for at in elsewhere]
        total: Value | None = None
        for part in parts:
            if part is not None:
                total = part if total is None else ar.add(total, part)
        found.append(total)
    return found


def _new_gradient(trace: Trace, ct: Value, leaf: Any, create_graph: bool) -> None:
    """A tensor for a cotangent; that of a leaf (given flat) in the leaf's own layout."""
    strides = None
    if leaf is not None:
        shape, strides, offset = leaf.layout
        ct = layout_value(ct, shape, strides, offset)
        if not is_dense(shape, strides):
            strides = None
    if ct.tracked and not create_graph:
        ct = source.detach(ct)
    mode, trace.grad_mode = trace.grad_mode, create_graph
    if any(ct is known for known in (t.group.values.get(t.layout) for t in trace.tensors)):
        ct = view.reshape(ct, shape=ct.shape)
    trace.new_tensor(ct, strides=strides, grad_name="CloneBackward0")
    trace.grad_mode = mode


def _run_chain(
    pass_: _Pass,
    reached: dict[int, Value],
    leaves: dict[Any, Value],
    captured: dict[tuple[int, Value], Value],
) -> Any:
    """Goes on through the frames; yields (position, differentiator) where one stops at a cut."""
    chain = pass_.chain
    if chain is None:
        return
    passes = [pass_.reverse(position) for position in range(len(chain.links))]
    for places in chain.wanted:
        for position, what in places:
            if isinstance(what, Value):
                passes[position].wanted.add(what)
    for history, position, value in chain.entries:
        if history in reached:
            passes[position].seed(value, _reshaped(reached[history], value))
    for position, link in enumerate(chain.links):
        one = passes[position]
        one.run()
        if one.cut is not None:
            yield position, one
            return
        for number, ct in one.leaves.items():
            leaves[position, number] = ct
        for value, ct in one.captured.items():
            captured[position, value] = ct
        for number, ct in one.histories.items():
            parent, value = link.parents[number]
            passes[parent].seed(value, _reshaped(ct, value))


def _reshaped(ct: Value, value: Value) -> Value:
    return ct if ct.shape == value.shape else view.reshape(ct, shape=value.shape)


def stale_saved(trace: Trace, function: FunctionRecord) -> str | None:
    """PyTorch's message where a tensor that a custom function has saved was overwritten since."""
    for number, version in function.saved:
        tensor = trace.tensors[number]
        if tensor.storage.version != version:
            meta = tensor.meta
            now = tensor.storage.version
            return overwritten(meta.grad_name or "", meta.dtype, meta.shape, now, version)
    return None


def _mark_freed(pass_: _Pass, retain_graph: bool) -> tuple[tuple[int, frozenset[Value]], ...]:
    if retain_graph:
        return ()
    # Like PyTorch's nodes, an event's values are freed together: all that were passed, if one had
    # saved anything.
    events = {(position, pass_.event_of(position, value)) for position, value in pass_.used}
    gone = [*pass_.used, *(v for v in pass_.visited if (v[0], pass_.event_of(*v)) in events)]
    elsewhere: dict[int, set[Value]] = {}
    for position, value in gone:
        if position < 0:
            pass_.trace.freed.add(value)
        else:
            elsewhere.setdefault(position, set()).add(value)
    return tuple((position, frozenset(values)) for position, values in elsewhere.items())


def overwritten(grad_name: str, dtype: DType, shape: Any, version: int, expected: int) -> str:
    """PyTorch's message for a saved value that was overwritten in place."""
    maker = re.sub(r"Backward\d*$", "", grad_name)
    output = f", which is output 0 of {maker}," if maker else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [torch.{dtype.scalar_name}Tensor {list(shape)}]{output} is at version "
        f"{version}; expected version {expected} instead. Hint: enable anomaly detection to find "
        "the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


class AccumulateOp(Event):
    """Adds gradients to those that leaves already have, in place: key = (op, have, new, None)."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        mode, trace.grad_mode = trace.grad_mode, False
        for have, new in zip(key[1], key[2], strict=True):
            total = ar.add(trace.read(have), trace.read(new))
            trace.write(have, ar.cast(total, trace.tensors[have].meta.dtype))
        trace.grad_mode = mode


NOTHING = Storage(allocate(0))  # stands for values that derivatives look at but do not need
BACKWARD = BackwardOp("backward")
ACCUMULATE = AccumulateOp("accumulate")
HISTORY = HistoryOp("history")
MEMBER = MemberOp("member")
MARK_CUT = MarkCutOp("hook")


def enter_member(rec: recorder.Recording, tensor: Handle) -> int:
    """Brings a tensor that shares history with others, or has it in an earlier program, into the
    recording.
    """
    storage, family = tensor._storage, tensor._family
    assert storage is not None and family is not None
    if tensor._seen is not None and recorder.LOCAL.grad_mode:
        check_entering(tensor)
    if storage.exposed and storage.still_exposed():
        return _enter_snapshot(rec, tensor, family)
    if (
        storage.recording is not None
        and storage.recording is not rec
        and not storage.recording.done
    ):
        recorder._settle_other(storage.recording)
    if storage.recording is rec and storage.dtype is not tensor._meta.dtype:
        # The recording knows these bytes as another dtype (a view of a complex tensor's parts).
        if rec.state.ops:
            recorder.flush()
            raise recorder.Flushed
        return _enter_snapshot(rec, tensor, family)
    leaf = family.leaf
    if (
        leaf is not None
        and leaf._storage is storage
        and leaf._meta.requires_grad
        and leaf._meta.is_leaf
    ):
        family.number = leaf._num if leaf._rec is rec else recorder.enter(rec, leaf)
        family.rec = rec
    itemsize = tensor._meta.dtype.itemsize
    offset = tensor._offset * itemsize
    if family.rec is rec and storage.recording is rec:
        if offset < storage.offset:
            recorder._enter_first(tensor)
        key: Any = (MEMBER, tensor._meta, family.number, (offset - storage.offset) // itemsize)
    elif family.frame is None:
        tensor._family = None  # enters as a tensor without one
        try:
            family.number = recorder.enter(rec, tensor)
        finally:
            tensor._family = family
        family.rec = rec
        return family.number
    else:
        key, start = _history_key(rec, tensor, family, storage)
    state = rec.state.next.get(key) or recorder.miss(rec, key)
    number = rec.state.count
    bases: Any = ()
    frames = rec.frames
    assert state.meta is not None
    meta, dtype, place = state.meta.at_zero, tensor._meta.dtype, len(rec.bases)
    if key[0] is HISTORY:
        frames = [*frames, (family.frame, family.source)]
        if len(key) == 6:
            bases = ((storage, start),)
            storage.recording = rec
            storage.base = place
            storage.offset = start
            storage.dtype = dtype
        family.rec = rec
        family.number = number
    entered = (tensor,)
    tensor._meta = meta
    tensor._rec = rec
    tensor._num = number
    rec.state = state
    rec.bases += bases
    rec.frames = frames
    rec.handles += entered
    if tensor._hooks and (tensor._origin is None or not tensor._origin[2]):
        _mark_hooks(rec, tensor)
    return number


def _history_key(
    rec: recorder.Recording, tensor: Handle, family: Family, storage: Storage | None
) -> tuple[Any, int]:
    """The key with which a tensor enters with its history (without a storage over a copy), and its
    base's start.
    """
    if not tensor._meta.requires_grad:
        tensor._meta = recorder.written_meta(tensor._meta)
    meta = tensor._meta
    itemsize, size = meta.dtype.itemsize, family.source.size
    offset, end = tensor._offset * itemsize, family.start + family.source.size * itemsize
    if meta.numel:
        end = max(end, offset + storage_extent(meta.shape, meta.strides) * itemsize)
    start = min(offset, family.start)
    known = storage is not None and storage.recording is rec
    if known and storage is not None:
        if start < storage.offset:
            recorder._enter_first(tensor)
        start = storage.offset
    places = [(place - start) // itemsize for place in (offset, family.start, end)]
    key = (HISTORY, meta, places[0], places[1], size, places[2])
    return (*key, storage.base) if known and storage is not None else key, start


def _enter_snapshot(rec: recorder.Recording, tensor: Handle, family: Family) -> int:
    """Memory that NumPy may write behind our back: what an op reads is copied at every use."""
    from flambeau.record import plan

    key, start = _history_key(rec, tensor, family, None)
    state = rec.state.next.get(key) or recorder.miss(rec, key)
    number = rec.state.count
    assert tensor._storage is not None
    copy = plan.snapshot(tensor._storage, start, key[5] * tensor._meta.dtype.itemsize)
    bases = ((copy, 0),)
    frames = [*rec.frames, (family.frame, family.source)]
    entered = (tensor,)
    rec.state = state
    rec.bases += bases
    rec.frames = frames
    rec.handles += entered
    return number


def _mark_hooks(rec: recorder.Recording, tensor: Handle) -> None:
    key = (MARK_CUT, tensor._num, None)
    state = rec.state.next.get(key) or recorder.miss(rec, key)
    recorder.commit(rec, state, cuts=(tensor._cut.again(),))


def describe_chain(
    rec: recorder.Recording, need: NeedChain, inputs: tuple[Any, ...] | None
) -> tuple[Chain, list[Frame]]:
    """The frames that the history inputs lead to, later before earlier, as a key and as objects."""
    histories = need.histories
    order: list[Frame] = []
    done: set[int] = set()

    def visit(root: Frame) -> None:
        stack: list[tuple[Frame, bool]] = [(root, False)]
        while stack:
            frame, leaving = stack.pop()
            if leaving:
                order.append(frame)
            elif id(frame) not in done:
                done.add(id(frame))
                stack.append((frame, True))
                stack += [(parent, False) for parent, _ in frame.parents]

    for history in histories:
        visit(rec.frames[history][0])
    frames = order[::-1]
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


def check_imports(done: Any, frames: list[Frame]) -> None:
    """RuntimeError where a saved value that the pass reads was overwritten since."""
    for position, value, needed in done.imports if isinstance(done, (Done, Cut)) else ():
        entry = frames[position].saved.get(value) if needed else None
        if entry is not None and entry[0].version != entry[2]:
            raise RuntimeError(
                overwritten("", value.dtype, value.shape, entry[0].version, entry[2])
            )


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
        bases.append((NOTHING, 0) if entry is None else entry[:2])
    return (), bases, entered


def free_used(done: Any, frames: list[Frame]) -> None:
    """Frees what a pass has used up in earlier programs."""
    for position, values in done.freed if isinstance(done, Done) else ():
        frames[position].freed = frames[position].freed | values


def saved_values(trace: Trace, roots: list[Value]) -> tuple[list[Value], bool]:
    """What a later backward from any of the roots could read, and whether any derivative is left at
    all.
    """
    pass_ = Reverse(None, None)
    needed: dict[Value, None] = {}
    placeholders: dict[Value, Value] = {}

    def read(value: Value) -> Value:
        needed[value] = None
        return source.program_input("saved", len(needed), value.shape, value.dtype)

    def translate(value: Value) -> Value:
        found = placeholders.get(value)
        if found is None:
            found = imported(trace, value, translate, read)
            placeholders[value] = found
            if found.primitive is source.input_ and found.attrs["role"] == "saved":
                reads[found] = value
        return found

    reads: dict[Value, Value] = {}
    pass_ = Reverse(None, translate)
    # Cotangents that Python's code receives, or of freed values: a pass for those alone may still
    # come.
    arrived: list[Value] = []
    for value, inputs in trace.cuts:
        pass_.cuts[value] = _dry_cut(value, inputs, arrived)
    stop = trace.freed
    for number, root in enumerate(roots):
        pass_.seed(root, source.program_input("ct", number, root.shape, root.dtype))
    while pass_.heap:
        value = pass_.heap[0][1]
        if value in stop:
            arrived.append(pass_.cotangents[value])
            pass_._pop(value)
            continue
        pass_.step()
    ends = [*pass_.leaves.values(), *pass_.histories.values()]
    used = [reads[v] for v in reachable([*ends, *arrived]) if v in reads]
    return used, bool(ends)


def _dry_cut(value: Value, inputs: tuple[Value | None, ...] | None, arrived: list[Value]) -> Any:
    def rule(ct: Value) -> Any:
        if inputs is None:
            return [(value, ct)]
        arrived.append(ct)
        return [
            (v, source.program_input("ct", v.order, v.shape, v.dtype))
            for v in inputs
            if v is not None
        ]

    return rule
