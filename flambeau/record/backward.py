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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flambeau.core.shapes import Strides, is_dense
from flambeau.graph.program import reachable
from flambeau.graph.reverse import Reverse, required_for
from flambeau.ops import arithmetic as ar
from flambeau.ops import source, view
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record.anomaly import Watch
from flambeau.record.chain import ALONE, Chain, Cut, Done, Link, NeedChain, shows
from flambeau.record.events import Event
from flambeau.record.freeing import keeping, of_no_data
from flambeau.record.layouts import from_batch_innermost, layout_value
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.records import StorageRecord, TensorRecord
from flambeau.record.regions import Again
from flambeau.record.restricted import without_gradient
from flambeau.record.saved import FREED, imported, kept_for, overwritten, stale_saved
from flambeau.record.trace import Trace


@dataclass
class _Pass:
    """One backward pass over a trace and its chain."""

    trace: Trace
    chain: Chain | None
    replaced: dict[tuple[int, int], tuple[Value | None, ...]]
    create_graph: bool
    wanted: dict[int, Value] = field(default_factory=dict)
    used: list[tuple[int, Value]] = field(default_factory=list)
    constant: list[tuple[int, Value]] = field(default_factory=list)  # used nothing but constants
    visited: list[tuple[int, Value]] = field(default_factory=list)
    imports: dict[int, dict[Value, Value]] = field(default_factory=dict)  # per position
    sources: dict[Value, Value] = field(default_factory=dict)  # of imports
    cut: tuple[tuple[int, int], Value] | None = None
    required: dict[int, set[Value]] = field(default_factory=dict)  # per position, with inputs only
    again: dict[int, Again] = field(default_factory=dict)  # per position of earlier programs
    watch: Watch | None = None  # in anomaly mode

    def reverse(self, position: int) -> Reverse:
        """The differentiator of the trace (position -1) or of a frame of the chain."""
        if position < 0:
            pass_ = Reverse(
                lambda value, used: self._visit(-1, value, used),
                self.trace.current if self.trace.silenced else None,
            )
            if self.trace.spans and not (self.trace.silenced or self.create_graph):
                pass_.translate = self._copies(pass_)
            cuts = self.trace.cuts
        else:
            known = self.imports.setdefault(position, {})
            pass_ = Reverse(
                lambda value, used: self._visit(position, value, used),
                lambda value: known.get(value) or self._import(position, value),
            )
            assert self.chain is not None
            cuts = self.chain.links[position].cuts
            spans = self.chain.links[position].trace.spans
            self.again[position] = Again(spans, pass_, lambda v: self._import(position, v))
        trace = self.trace if position < 0 else self.chain.links[position].trace  # type: ignore[union-attr]
        if self.watch is not None:
            pass_.observe = self.watch.observer(position, trace)
        if OPTIONS.watch_nan or WATCH.observer is not None:
            derived = self.trace.derived
            pass_.began = lambda order, value: derived.append((order, value, trace))
        for number, (value, inputs) in enumerate(cuts):
            pass_.cuts[value] = _cut_rule(self.replaced.get((position, number)), value, inputs)
        self.restrict(pass_, position, cuts)
        return pass_

    def _copies(self, pass_: Reverse) -> Callable[[Value], Value]:
        """What derivatives look at, where values of this recording are computed again."""
        again = Again(self.trace.spans, pass_, lambda value: value)

        def translate(value: Value) -> Value:
            if value not in again:
                return value
            found = again.copy(value)
            self.sources[found] = value
            return found

        return translate

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
            self._confine_chain(needed, len(wanted))
        unknown: set[int] = set()
        leaves = {what for kind, what in wanted if kind == "leaf"}
        values = {what for kind, what in wanted if kind in ("value", "history")}
        values |= {what[0] for kind, what in wanted if kind == "flat"}

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

    def _confine_chain(self, needed: set[tuple[int, Value]], count: int) -> None:
        chain = self.chain
        assert chain is not None
        for position in range(len(chain.links) - 1, -1, -1):  # the earliest program first
            link = chain.links[position]
            # (Behind the inputs' places are those of tensors that keep their gradients.)
            wanted = chain.wanted[:count]
            ends = {_end(what) for places in wanted for at, what in places if at == position}
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
        if value in freed and not self._leads_nowhere(position, value):
            raise RuntimeError(FREED)
        if value.primitive.family != VIEW:
            self.visited.append((position, value))
        if used:
            constant = all(of_no_data(self.sources.get(v, v)) for v in used)
            (self.constant if constant else self.used).append((position, value))
        if position < 0:
            for looked_at in used:
                forward, origin = kept_for(self.trace, looked_at)
                if origin is not None and origin.overwritten:
                    error = RuntimeError(
                        overwritten(origin.name, forward.dtype, forward.shape, *origin.counts)
                    )
                    error.__dict__["event"] = self.event_of(position, value)
                    raise error

    def _leads_nowhere(self, position: int, value: Value) -> bool:
        """Whether an event has nothing but leaves without a gradient of their own before it: then
        its function looks at nothing.
        """
        trace = self.trace if position < 0 else self.chain.links[position].trace  # type: ignore[union-attr]
        event, pending, seen = self.event_of(position, value), [value], {value}
        while pending:
            one = pending.pop()
            if one.primitive.name == "leaf":
                if not without_gradient(trace.tensors[trace.leaves[one.attrs["leaf"]]].meta):
                    return False
                continue
            own = one.primitive.family == VIEW or self.event_of(position, one) == event
            if one.primitive.name == "history" or not own:
                return False
            fresh = [v for v in one.inputs if v.tracked and v not in seen]
            seen.update(fresh)
            pending += fresh
        return True

    def event_of(self, position: int, value: Value) -> int:
        """The event that made a value: its number in the trace of that position."""
        trace = self.trace if position < 0 else self.chain.links[position].trace  # type: ignore[union-attr]
        return bisect.bisect(trace.marks, value.order)

    def _import(self, position: int, value: Value) -> Value:
        """A value of an earlier program in this one: recomputed where that costs nothing, else
        read.
        """
        again = self.again[position]
        if value in again:
            copy = again.copy(value)
            self.sources[copy] = value
            return copy
        imports = self.imports.setdefault(position, {})
        found = imports.get(value)
        if found is None:
            trace = self.chain.links[position].trace  # type: ignore[union-attr]
            found = imported(
                trace, value, again.given, lambda v: self._read(position, v), trace.computed
            )
            known = found.primitive.name == "history"
            shown = value in trace.views or value in trace.origins
            if found.tracked and not known and self.create_graph and shown:
                # A tensor's value: derivatives may be asked for there, hooks may come to stand.
                found = self._with_history(position, value, source.detach(found))
            imports[value] = found
            self.sources[found] = value
        return found

    def _read(self, position: int, value: Value) -> Value:
        base = self._imported_base(position, value)
        keeps = self.chain.links[position].trace.keeps  # type: ignore[union-attr]
        if keeps is not None and value in keeps.turned:
            read = from_batch_innermost(base, value.shape)
        else:
            read = view.reshape(base, shape=value.shape)
        if self.create_graph and value.tracked:
            read = source.history(read, len(self.trace.histories), value)
            self.trace.histories.append((position, value))
        return read

    def _imported_base(self, position: int, value: Value) -> Value:
        trace = self.trace
        record = StorageRecord(value.dtype, value.size, len(trace.bases))
        trace.bases.append(record)
        trace.imported.append(len(trace.bases) - 1)
        record.data = source.program_input("base", record.base, (value.size,), value.dtype)
        self.reads.append((position, value, record.data))
        return record.data

    def _with_history(self, position: int, value: Value, data: Value) -> Value:
        """`data`, which is an earlier program's `value` computed again, with its history."""
        self._imported_base(position, value)  # (not read: it says what the history is)
        self.trace.histories.append((position, value))
        return source.history(data, len(self.trace.histories) - 1, value)

    reads: list[tuple[int, Value, Value]] = field(default_factory=list)

    def taken(self, results: Any) -> tuple[tuple[int, Value, bool], ...]:
        """The saved values that were looked at: (position, value, whether the results depend on
        it).
        """
        used = set(reachable(results, data=True)) if self.reads else set()
        return tuple((position, value, data in used) for position, value, data in self.reads)


def _cut_inputs(trace: Trace) -> dict[Value, tuple[Value | None, ...]]:
    return {value: inputs for value, inputs in trace.cuts if inputs is not None}


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


def _given(trace: Trace, replaced: Any) -> dict[tuple[int, int], tuple[Value | None, ...]]:
    """What Python code has given, per place."""
    return {
        place: tuple(None if n is None else trace.tracked_value(n) for n in numbers)
        for place, numbers in replaced
    }


def _stopped(trace: Trace, pass_: _Pass, position: int, reverse: Reverse) -> Cut:
    """What a pass says that has reached Python code, and its cotangent as a new tensor."""
    value = reverse.cut
    assert value is not None
    cuts = trace.cuts if position < 0 else pass_.chain.links[position].cuts  # type: ignore[union-attr]
    number = next(
        i for i, (v, _) in enumerate(cuts) if v is value and ((position, i) not in pass_.replaced)
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


class BackwardOp(Event):
    """key = (op, roots, cotangents, (create_graph, retain_graph), inputs, replaced, chain).
    A third flag True says that anomaly mode is on.

    roots and inputs are tensor numbers; cotangents numbers or None; replaced ((place, numbers), ..)
    for cuts already run; chain None, a Chain, or ALONE: the pass ends where earlier programs begin,
    with a new tensor for the cotangent of each history input, behind the others. With inputs the
    new tensors are theirs, else there is one per leaf. Behind retain_graph may stand the numbers of
    tensors that keep their gradients: those that get one have a new tensor each, after the others.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Any:
        _, roots, cotangents, (create_graph, retain_graph, *more), inputs, replaced, chain = key
        kept = [part for part in more if part is not True]
        alone, chain = chain is ALONE, None if chain is ALONE else chain
        pass_ = _Pass(
            trace,
            chain,
            _given(trace, replaced),
            create_graph,
            watch=Watch() if True in more else None,
        )
        first = pass_.reverse(-1)
        wanted = self._wanted(trace, first, inputs)
        keeping = self._wanted(trace, first, *kept)
        both = [*wanted, *keeping]
        if inputs is not None:
            unknown = pass_.confine([trace.tracked_value(root) for root in roots], wanted)
            if unknown:
                return NeedChain(unknown, _made_here(both))
            pass_.restrict(first, -1, trace.cuts)
        self._seed(trace, first, roots, cotangents, create_graph)
        first.run()
        if first.cut is not None:
            return _stopped(trace, pass_, -1, first)
        histories = tuple(sorted(first.histories))
        if histories and chain is None and not alone:
            return NeedChain(histories, _made_here(both))
        leaves = {(-1, number): ct for number, ct in _arriving(trace, first).items()}
        captured: dict[tuple[int, Value], Value] = {}
        for position, stopped in _run_chain(pass_, first.histories, leaves, captured):
            return _stopped(trace, pass_, position, stopped)
        freed = _mark_freed(pass_, retain_graph)
        arrived = _input_cotangents(trace, first, both, leaves, captured, chain)
        imports = pass_.taken(
            [
                *([] if inputs is not None else leaves.values()),
                *[c for c in arrived if c is not None],
            ]
        )
        done = Done((), (), imports, create_graph, freed, tuple(trace.leaves))
        if inputs is not None:
            done = self._finish_inputs(trace, inputs, arrived, done)
        else:
            done = self._finish(trace, leaves, done, chain)
        for ct in arrived[len(wanted) :]:
            if ct is not None:
                _new_gradient(trace, ct, None, create_graph)
        if alone:
            for number in histories:
                _new_gradient(trace, first.histories[number], None, False)
            done = replace(done, histories=histories)
        done = replace(done, kept=tuple(ct is not None for ct in arrived[len(wanted) :]))
        return _watched(trace, pass_, done)

    def _seed(
        self, trace: Trace, first: Reverse, roots: Any, cotangents: Any, create_graph: bool
    ) -> None:
        for number, (root, cotangent) in enumerate(zip(roots, cotangents, strict=True)):
            meta = trace.tensors[root].meta
            if not meta.requires_grad or without_gradient(meta):
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

    def _wanted(self, trace: Trace, first: Reverse, inputs: Any = None) -> list[Any]:
        """What the inputs' cotangents are filed under: ("leaf", n), ("value", v), ("history", v)
        or ("passed", v) from outside, or ("flat", (the flat value, layout)).
        """
        found: list[Any] = []
        for number in inputs or ():
            tensor = trace.tensors[number]
            if not tensor.meta.requires_grad:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            if tensor.group.leaf is not None and tensor.meta.is_leaf:
                found.append(("leaf", tensor.group.leaf))
            else:
                value, group = trace.gradient_value(number), tensor.group
                outside = number in trace.entered and (
                    group.leaf is not None or trace.unchanged(group)
                )
                if not outside and shows(value, trace.flat(group)) and trace.is_base(tensor):
                    # Written through views: what they get is its gradient.
                    first.wanted.add(trace.flat(group))
                    found.append(("flat", (trace.flat(group), tensor.layout)))
                    continue
                first.wanted.add(value)
                if number in trace.passing:  # it arrives where the tensor was made as well
                    found.append(("passed", value))
                    continue
                found.append(("history" if outside else "value", value))
        return found

    def _finish_inputs(
        self,
        trace: Trace,
        inputs: Any,
        cotangents: list[Value | None],
        done: Done,
    ) -> Done:
        for number, ct in zip(inputs, cotangents, strict=False):
            if ct is not None:
                tensor = trace.tensors[number]
                is_leaf = tensor.group.leaf is not None and tensor.meta.is_leaf
                strides = tensor.meta.strides if is_leaf else None
                _new_gradient(trace, ct, strides, done.create_graph)
        return replace(done, unused=tuple(ct is None for ct in cotangents[: len(inputs)]))

    def _finish(
        self,
        trace: Trace,
        leaves: dict[Any, Value],
        done: Done,
        chain: Chain | None,
    ) -> Done:
        places = []
        for place in sorted(leaves):
            position, number = place
            owner = trace if position < 0 else chain.links[position].trace  # type: ignore[union-attr]
            leaf = _leaf_of(owner, number)
            places.append(place)
            ct = layout_value(leaves[place], *leaf.layout)
            _new_gradient(trace, ct, leaf.meta.strides, done.create_graph)
        return replace(done, leaves=tuple(places))


def _arriving(trace: Trace, pass_: Reverse) -> dict[int, Value]:
    """What has arrived at the leaves; a view made under no_grad has no gradient of its own."""
    return {
        number: ct
        for number, ct in pass_.leaves.items()
        if not without_gradient(trace.tensors[trace.leaves[number]].meta)
    }


def _watched(trace: Trace, pass_: _Pass, done: Done) -> Done:
    """The end of a pass; in anomaly mode with one more tensor, of flags."""
    watch = pass_.watch
    if watch is None or not watch.flags:
        return done
    flags = watch.joined()
    _new_gradient(trace, flags, None, False)
    needed = {(p, v) for p, v, used in pass_.taken([flags]) if used}
    imports = tuple((p, v, used or (p, v) in needed) for p, v, used in done.imports)
    return replace(done, checks=tuple(watch.places), imports=imports)


def _made_here(wanted: list[Any]) -> tuple[bool, ...]:
    return tuple(kind in ("value", "flat") for kind, _ in wanted)


def _of_leaf(leaves: dict[Any, Value], at: tuple[int, int], owner: Trace) -> Value | None:
    """What has arrived at a leaf, as its layout in the recording `owner` shows it."""
    ct = leaves.get(at)
    return None if ct is None else layout_value(ct, *_leaf_of(owner, at[1]).layout)


def _leaf_of(trace: Trace, number: int) -> TensorRecord:
    return trace.tensors[trace.leaves[number]]


def _input_cotangents(
    trace: Trace,
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
            parts.append(_of_leaf(leaves, (-1, what), trace))
            # (Where it stands in its memory is another place in each program.)
            parts += [_of_leaf(leaves, at, chain.links[at[0]].trace) for at in elsewhere]  # type: ignore[union-attr]
        elif kind == "flat":
            parts.append(_shown(first.captured.get(what[0]), what[1]))
        else:
            passed = kind == "history" and chain is not None and chain.passes[place]
            if not (passed or kind == "passed"):
                parts.append(first.captured.get(what))
            if kind in ("history", "passed"):
                parts += [_captured(captured, *at) for at in elsewhere]
        total: Value | None = None
        for part in parts:
            if part is not None:
                total = part if total is None else ar.add(total, part)
        found.append(total)
    return found


def _end(what: Any) -> Any:
    """What a place of Chain.wanted names: a leaf's number or a value."""
    return what[0] if isinstance(what, tuple) else what


def _captured(captured: dict[tuple[int, Value], Value], position: int, what: Any) -> Value | None:
    """What has arrived at a place of Chain.wanted."""
    found = captured.get((position, _end(what)))
    return _shown(found, what[1]) if isinstance(what, tuple) else found


def _shown(whole: Value | None, layout: Any) -> Value | None:
    """What a layout shows of a flat cotangent, if there is one."""
    return None if whole is None else layout_value(whole, *layout)


def _new_gradient(trace: Trace, ct: Value, strides: Strides | None, create_graph: bool) -> None:
    """A tensor for a cotangent; that of a leaf in the leaf's own memory order."""
    if strides is not None and not is_dense(ct.shape, strides):
        strides = None
    if ct.tracked and not create_graph:
        ct = source.detach(ct)
    mode, trace.grad_mode = trace.grad_mode, create_graph
    trace.new_tensor(ct, strides=strides, grad_name=_gradient_name(ct))
    trace.grad_mode = mode


# What PyTorch's backward of the common ops ends with; most derivatives end with a product.
_GRADIENT_NAMES = {
    "add": "AddBackward0",
    "sub": "SubBackward0",
    "div": "DivBackward0",
    "neg": "NegBackward0",
    "where": "WhereBackward0",
    "expand": "ExpandBackward0",
}


def _gradient_name(ct: Value) -> str:
    """The name that a gradient with history shows: that of the op that made it."""
    while ct.primitive.name in ("reshape", "transpose", "cast"):
        ct = ct.inputs[0]
    if ct.primitive.name == "dot":
        return "MmBackward0" if len(ct.inputs[0].shape) == 2 else "BmmBackward0"
    return _GRADIENT_NAMES.get(ct.primitive.name, "MulBackward0")


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
            if not isinstance(what, int):
                passes[position].wanted.add(_end(what))
    for history, position, value in chain.entries:
        if history in reached:
            passes[position].seed(value, _reshaped(reached[history], value))
    for position, link in enumerate(chain.links):
        one = passes[position]
        one.run()
        if one.cut is not None:
            yield position, one
            return
        for number, ct in _arriving(link.trace, one).items():
            leaves[position, number] = ct
        for value, ct in one.captured.items():
            captured[position, value] = ct
        for number, ct in one.histories.items():
            parent, value = link.parents[number]
            passes[parent].seed(value, _reshaped(ct, value))


def _reshaped(ct: Value, value: Value) -> Value:
    return ct if ct.shape == value.shape else view.reshape(ct, shape=value.shape)


def _mark_freed(pass_: _Pass, retain_graph: bool) -> tuple[tuple[int, frozenset[Value]], ...]:
    if retain_graph:
        return ()
    # Like PyTorch's nodes, an event's values are freed together: all that were passed, if one had
    # saved anything.
    events = {(position, pass_.event_of(position, value)) for position, value in pass_.used}
    for position in {position for position, _ in pass_.visited}:
        trace = pass_.trace if position < 0 else pass_.chain.links[position].trace  # type: ignore[union-attr]
        passed, looked = (
            {pass_.event_of(at, value) for at, value in values if at == position}
            for values in (pass_.visited, pass_.constant)
        )
        events |= {(position, event) for event in keeping(trace, passed, looked)}
    gone = [*pass_.used, *(v for v in pass_.visited if (v[0], pass_.event_of(*v)) in events)]
    elsewhere: dict[int, set[Value]] = {}
    for position, value in gone:
        if position < 0:
            pass_.trace.freed.add(value)
        else:
            elsewhere.setdefault(position, set()).add(value)
    return tuple((position, frozenset(values)) for position, values in elsewhere.items())


class FrameBackwardOp(Event):
    """The pass through one earlier program: key = (op, its Link, values, cotangents, totals,
    (retain_graph,), replaced), the last as that of BackwardOp.

    `cotangents` are the numbers of the tensors that `values` of the program get. `totals` are, for
    each leaf of the program, the number of the tensor that its gradient is added to, None where
    there is none: then it is a new tensor. Behind those come the cotangents of history inputs.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Done | Cut:
        _, link, values, cotangents, totals, (retain_graph,), replaced = key
        pass_ = _Pass(trace, Chain((link,), ()), _given(trace, replaced), False)
        one = pass_.reverse(0)
        for value, number in zip(values, cotangents, strict=True):
            one.seed(value, _reshaped(trace.read(number), value))
        one.run()
        if one.cut is not None:
            return _stopped(trace, pass_, 0, one)
        freed = _mark_freed(pass_, retain_graph)
        owner = link.trace
        leaves = _arriving(owner, one)
        imports = pass_.taken([*leaves.values(), *one.histories.values()])
        mode, trace.grad_mode = trace.grad_mode, False
        fresh = []
        for number, ct in sorted(leaves.items()):
            leaf = _leaf_of(owner, number)
            ct = layout_value(ct, *leaf.layout)
            if totals[number] is None:
                fresh.append((0, number))
                _new_gradient(trace, ct, leaf.meta.strides, False)
                continue
            trace.write(totals[number], ar.add(trace.read(totals[number]), ct))
        for _, ct in sorted(one.histories.items()):
            _new_gradient(trace, ct, None, False)
        trace.grad_mode = mode
        return Done(tuple(fresh), (), imports, False, freed, histories=tuple(sorted(one.histories)))


class AccumulateOp(Event):
    """Adds gradients to those that leaves already have, in place: key = (op, have, new, None)."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        mode, trace.grad_mode = trace.grad_mode, False
        for have, new in zip(key[1], key[2], strict=True):
            total = ar.add(trace.read(have), trace.read(new))
            trace.write(have, ar.cast(total, trace.tensors[have].meta.dtype))
        trace.grad_mode = mode


BACKWARD = BackwardOp("backward")
FRAME_BACKWARD = FrameBackwardOp("backward")
ACCUMULATE = AccumulateOp("accumulate")
