"""`grad_fn`: the backward functions of a recorded graph, for looking at it.

Nothing of this takes part in differentiation. A `Graph` reads the events of a recording (or of a
program that has run) from the tree's keys when somebody first asks, and goes on from there.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

from flambeau.record import recorder
from flambeau.record.chain import Frame
from flambeau.record.events import DetachOp, InplaceOp, RandomInplaceOp
from flambeau.record.history import HISTORY, MEMBER
from flambeau.record.meta import Meta
from flambeau.record.tree import State

_classes: dict[str, type[Node]] = {}
_numbers = itertools.count()
# PyTorch turns the number into a tensor there, so that it has a place among the operands.
NUMBER_IS_OPERAND = frozenset({"add", "sub", "mul", "div"})
# PyTorch's functions of (input, weight, bias) have a place for each, whether it is given or not,
# and none for kept statistics. Dropout's has one for its mask.
PLACES = {
    "batch_norm": 3, "conv1d": 3, "conv2d": 3, "conv3d": 3, "conv_transpose1d": 3,
    "conv_transpose2d": 3, "conv_transpose3d": 3, "dropout": 2, "group_norm": 3, "layer_norm": 3,
}  # fmt: skip
PREFIXED = ("CopySlices", "AccumulateGrad")


class Node:
    """A backward function as PyTorch shows it; each op has a subclass of its name."""

    def __init__(self, edges: list[tuple[Any, int]]) -> None:
        self._edges = edges
        self._context: Any = None  # of a custom function
        self._hooked: Any = None  # a weak reference to the tensor it was asked of
        self._number = next(_numbers)
        self._graph: Any = None  # with _made: (event, key, the state after it)
        self._made: Any = None
        self._cut: Any = None  # the hooks behind it (see node_hooks)
        self.metadata: dict[Any, Any] = {}

    def name(self) -> str:
        """The op's name, such as "MulBackward0"."""
        name = type(self).__name__
        return f"torch::autograd::{name}" if name in PREFIXED else name

    def _sequence_nr(self) -> int:
        """A number that grows from node to node."""
        return self._number

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per operand: (its backward function or None, which of that function's outputs it is)."""
        return tuple(
            edge[0].resolve() if isinstance(edge[0], Earlier) else edge for edge in self._edges
        )

    def register_prehook(self, fn: Any) -> Any:
        """Calls hook(gradients of the outputs) before this function; a result replaces them."""
        from flambeau.autograd.hooks import register_hook

        tensor = None if self._hooked is None else self._hooked()
        rec = recorder.LOCAL.rec
        if tensor is None and self._made is not None and rec.nodes is self._graph:
            tensor = rec.handles[self._made[2].number]
        if tensor is None:
            raise NotImplementedError(
                "grad_fn.register_prehook: only on the grad_fn of a tensor that is still alive; "
                "use Tensor.register_hook"
            )
        return register_hook(tensor, _of_tuple(fn))

    def register_hook(self, fn: Any) -> Any:
        """Calls hook(gradients of the inputs, gradients of the outputs) behind this function; a
        result replaces the former. See `node_hooks` for what can be hooked.
        """
        from flambeau.autograd.node_hooks import hook_function

        return hook_function(self, fn)

    def __getattr__(self, name: str) -> Any:
        context = self.__dict__.get("_context")
        if context is None or name.startswith("_"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(context, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at 0x{id(self):x}>"


class AccumulateGrad(Node):
    """Where a gradient arrives at a leaf, `variable`."""

    def __init__(self, variable: Any) -> None:
        super().__init__([])
        self.variable = variable

    def register_prehook(self, fn: Any) -> Any:
        """Calls hook((gradient,)) before it is accumulated; a result replaces it."""
        from flambeau.autograd.hooks import register_hook

        return register_hook(self.variable, _of_tuple(fn))

    def register_hook(self, fn: Any) -> Any:
        """Calls hook((), (gradient,)) once it is accumulated. It cannot replace anything."""
        from flambeau.autograd.hooks import register_accumulation_hook

        return register_accumulation_hook(self.variable, fn)


def _of_tuple(hook: Any) -> Any:
    """A hook of a tuple of one gradient as one of that gradient."""

    def call(gradient: Any) -> Any:
        result = hook((gradient,))
        return result[0] if isinstance(result, tuple) else result

    return call


def in_places(event: Any, edges: list[Any], nothing: Any) -> list[Any]:
    """What stands at an op's operands, as many as PyTorch's function has places for."""
    count = PLACES.get(event.name, len(edges))
    return edges[:count] + [nothing] * (count - len(edges))


def node_named(name: str, edges: list[tuple[Any, int]]) -> Node:
    """A node of the class of that name, which is made at its first use."""
    found = _classes.get(name)
    if found is None:
        found = _classes[name] = type(name, (Node,), {})
    return found(edges)


def accumulation(leaf: Any) -> Any:
    """The one AccumulateGrad of a leaf while anybody holds it."""
    known = leaf.__dict__.get("_accumulation")
    node = None if known is None else known()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf.__dict__["_accumulation"] = weakref.ref(node)
    return node


class Earlier:
    """A tensor that has entered with its history: its function lies in an earlier program."""

    def __init__(self, frame: Frame, source: Any, meta: Meta) -> None:
        self.frame = frame
        self.source = source
        self.meta = meta

    def resolve(self) -> tuple[Any, int]:
        graph = graph_of_frame(self.frame)
        trace = self.frame.trace
        shared = [
            t
            for t in trace.tensors
            if t.group.flat is self.source and t.meta.requires_grad and not t.meta.is_leaf
        ]
        alike = [
            t
            for t in shared
            if (t.meta.shape, t.meta.strides) == (self.meta.shape, self.meta.strides)
        ]
        chosen = alike or shared
        return graph.now[chosen[0].number] if chosen else (None, 0)


class Graph:
    """The functions of one recording's tensors: `now` are (function, output) by tensor number."""

    def __init__(self, leaves: dict[int, Any], frames: list[Any], cuts: list[Any]) -> None:
        self.leaves = leaves  # tensors by number, for their AccumulateGrad
        self.frames = frames  # (frame, value) of each history input
        self.cuts = cuts
        self.now: list[tuple[Any, int]] = []
        self.metas: list[Meta] = []
        self.base: list[int] = []  # the tensor that each one is a view of, or itself
        self.grad_mode = True
        self.at: State | None = None

    def advance(self, state: State) -> None:
        """Reads the events up to a state."""
        pending = []
        step: State | None = state
        while step is not None and step is not self.at:
            pending.append(step)
            step = step.parent
        for one in reversed(pending):
            self._read(one)
        self.at = state

    def _read(self, state: State) -> None:
        if state.parent is None:
            key = state.key
            self.grad_mode = bool(key[0] if isinstance(key, tuple) else key)
            return
        key = state.key
        for number, meta in state.effects:
            self.metas[number] = meta
        if isinstance(key, Meta) or key[0].enters:
            self._enter(state)
            return
        event = key[0]
        if event.name == "set_grad_enabled":
            self.grad_mode = key[1]
        elif event.name == "requires_grad_":
            self.now[key[1]] = self._leaf(key[1])
        elif isinstance(event, (InplaceOp, RandomInplaceOp)):
            if self.grad_mode:
                self._write(event, key)
        else:
            self._make(event, key, state)
        if event.name == "function":
            self._written_by_function(key, state)

    def _enter(self, state: State) -> None:
        for offset, meta in enumerate(state.metas):
            number = state.number + offset
            self.metas.append(meta)
            self.base.append(number)
            self.now.append((None, 0))
            if meta.requires_grad and meta.is_leaf:
                self.now[number] = self._leaf(number)
            elif meta.requires_grad:
                self.now[number] = self._earlier(state, meta)

    def _earlier(self, state: State, meta: Meta) -> tuple[Any, int]:
        key = state.key
        if key[0] is MEMBER and self.metas[key[3]].is_leaf:
            return node_named(meta.grad_name or "AliasBackward0", [self.now[key[3]]]), 0
        if key[0] is HISTORY or key[0] is MEMBER:
            place = state.lengths[2] - 1
            if place < len(self.frames):
                frame, source = self.frames[place]
                return Earlier(frame, source, meta), 0
        return None, 0

    def _leaf(self, number: int) -> tuple[Any, int]:
        tensor = self.leaves.get(number)
        if tensor is None or not tensor._meta.requires_grad:
            return None, 0
        return accumulation(tensor), 0

    def _edges(self, event: Any, operands: Any) -> list[tuple[Any, int]]:
        """What stands at each operand that a derivative may exist for."""
        edges: list[tuple[Any, int]] = []
        for operand in operands:
            if isinstance(operand, tuple):
                edges += self._edges(event, operand)
            elif isinstance(operand, type):
                if event.name.rstrip("_") in NUMBER_IS_OPERAND:
                    edges.append((None, 0))
            elif isinstance(operand, int):
                kind = self.metas[operand].dtype
                if kind.is_floating_point or kind.is_complex:
                    edges.append(self.now[operand])
        return edges

    def _make(self, event: Any, key: Any, state: State) -> None:
        tracked = any(meta.requires_grad for meta in state.metas)
        shows = event.aliases and not isinstance(event, DetachOp)
        node = self._node(event, key, state) if tracked else None
        if node is not None and len(state.metas) == 1:
            node._graph, node._made = self, (event, key, state)
        for offset, meta in enumerate(state.metas):
            number = state.number + offset
            self.metas.append(meta)
            self.base.append(self.base[key[1]] if shows else number)
            own = node if meta.requires_grad and not meta.is_leaf else None
            self.now.append((own, 0 if own is None else offset))

    def _node(self, event: Any, key: Any, state: State) -> Node:
        name = next(m.grad_name for m in state.metas if m.requires_grad) or "Backward0"
        if event.name == "function":
            node = node_named(name, self._edges(event, (key[2],)))
            code = self.cuts[state.lengths[3] - 1]
            node._context = code.context
            return node
        if event.name == "linear":
            return self._linear(event, key, name)
        if event.name == "backward":
            return node_named(name, [])
        operands = key[1:-1]
        if isinstance(key[1], type) and event.name in ("add", "mul"):
            operands = operands[::-1]  # PyTorch has the number last
        if isinstance(key[1], type) and event.name == "sub":
            name, operands = "RsubBackward1", operands[1:]
        return node_named(name, in_places(event, self._edges(event, operands), (None, 0)))

    def _linear(self, event: Any, key: Any, name: str) -> Node:
        """PyTorch's three or four functions for what is one op here."""
        edges = self._edges(event, key[1:-1])
        turned: tuple[Any, int] = (None, 0)
        if edges[1][0] is not None:
            turned = (node_named("TBackward0", [edges[1]]), 0)
        edges = [*edges[2:], edges[0], turned]
        if len(self.metas[key[1]].shape) > 2:
            inner = "AddmmBackward0" if len(edges) == 3 else "MmBackward0"
            if edges[-2][0] is not None:
                edges[-2] = (node_named("ViewBackward0", [edges[-2]]), 0)
            edges = [(node_named(inner, edges), 0)]
        return node_named(name, edges)

    def _write(self, event: Any, key: Any) -> None:
        target = key[2] if isinstance(event, RandomInplaceOp) else key[1]
        if not self.metas[target].requires_grad or self.metas[target].is_leaf:
            return
        own = [target] if isinstance(event, InplaceOp) and event.reads else []
        others = self._edges(event, (*own, *key[2:-1]))
        base = self.base[target]
        if base == target:
            node = node_named(event.grad_name, others)
        else:
            past = self.now[base]
            rest = others[1:] if own else others
            node = node_named("CopySlices", [past, *rest])
        self._rebase(base, node)

    def _rebase(self, base: int, node: Node) -> None:
        self.now[base] = (node, 0)
        for number, other in enumerate(self.base):
            if other == base and number != base:
                self.now[number] = (node_named("AsStridedBackward0", [(node, 0)]), 0)

    def _written_by_function(self, key: Any, state: State) -> None:
        written = [n for n, dirty in zip(key[1], key[-1][1], strict=True) if dirty]
        for number in written:
            base = self.base[number]
            node = node_named(key[-1][0], self._edges(key[0], (key[2],)))
            node._context = self.cuts[state.lengths[3] - 1].context
            if base != number:
                node = node_named("CopySlices", [self.now[base], *node._edges])
            self._rebase(base, node)


def graph_of_recording(rec: Any) -> Graph:
    """The graph of the recording under way, read up to its last event."""
    graph = rec.nodes
    if graph is None:
        graph = rec.nodes = Graph({}, [], [])
    for number in range(len(graph.now), len(rec.handles)):
        handle = rec.handles[number]
        if handle._meta.is_leaf and handle._meta.requires_grad:
            graph.leaves[number] = handle
    graph.frames, graph.cuts = rec.frames, rec.cuts
    graph.advance(rec.state)
    return graph  # type: ignore[no-any-return]


def graph_of_frame(frame: Frame) -> Graph:
    """The graph of a program that has run."""
    leaves = dict(zip(frame.trace.leaves, frame.leaves, strict=False))
    graph = frame.nodes or Graph({}, [], [])
    graph.leaves.update(leaves)  # (it may have been read in part while it was recorded)
    graph.frames, graph.cuts = frame.parents, frame.cuts
    if frame.leaves or not frame.trace.leaves:
        frame.nodes = graph  # (a frame whose graph was spent serves many runs)
    graph.advance(frame.trace.state)
    return graph


def node_of(tensor: Any) -> Any:
    """The backward function of a non-leaf tensor."""
    node = edge_of(tensor)[0]
    if node is None:
        node = node_named(tensor._meta.grad_name or "Backward0", [])
    node._hooked = weakref.ref(tensor)
    return node


def edge_of(tensor: Any) -> tuple[Any, int]:
    """A non-leaf tensor's backward function, if it is known, and which output of it that is."""
    rec = recorder.LOCAL.rec
    if tensor._rec is rec:
        edge = graph_of_recording(rec).now[tensor._num]
    else:
        if tensor._storage is None:
            tensor._settled()
        family, origin = tensor._family, tensor._origin
        edge = (None, 0)
        if origin is not None:
            frame, value = origin[0], origin[1]
            graph = graph_of_frame(frame)
            for record in frame.trace.tensors:
                if record.meta.requires_grad and record.group.values.get(record.layout) is value:
                    edge = graph.now[record.number]
        elif family is not None and family.frame is not None:
            edge = Earlier(family.frame, family.source, tensor._meta).resolve()
    return edge[0].resolve() if isinstance(edge[0], Earlier) else edge
