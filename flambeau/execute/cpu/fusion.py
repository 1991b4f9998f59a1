"""Which stored values share a kernel.

`Grouper` puts them into groups, one kernel each: elementwise values join the reduction or
contraction whose result they read at the same place, their own producers, or siblings over the
same space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flambeau.core.dtypes import DType
from flambeau.execute.cpu.body import Buffer, Node, Tracer
from flambeau.execute.cpu.draws import draw_key
from flambeau.execute.cpu.index import (
    ZERO,
    Expression,
    Position,
    Variable,
    space_position,
    space_variables,
)
from flambeau.execute.cpu.loops import ordered_nodes
from flambeau.execute.cpu.padding import padding_of
from flambeau.execute.cpu.pointwise import needs_checks
from flambeau.execute.cpu.recurrences import comes_with
from flambeau.execute.cpu.storing import SCATTERS, is_host, same_elements
from flambeau.ops.primitive import (
    ATTENTION,
    CONTRACTION,
    RANDOM,
    RECURRENCE,
    REDUCTION,
    SCAN,
    SORT,
)
from flambeau.ops.value import Value

# Spaces up to this size are fused even if they share no operand.
SMALL_SPACE = 4096
LARGEST_GROUP, LARGEST_EPILOGUE = 160, 80
MOST_SIBLINGS = 32  # groups over one space that are tried
FOLDED = 100  # numbers of folded variables start here


# ---- groups --------------------------------------------------------------------------------------


@dataclass(eq=False)
class Group:
    """Values computed by one kernel: `kind` is pointwise, fold, scatter, draw, recurrence,
    attention or host.

    `kept` are the variables of the space the members share; `folded` those that the anchors
    (reductions and contractions) sum over. `members` are elementwise values with their positions
    and nodes. `before` is the bit set of the groups this one depends on, directly or not.
    """

    number: int
    kind: str
    kept: list[Variable]
    folded: list[Variable] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    before: int = 0
    size: int = 0
    reads: set[int] = field(default_factory=set)  # ids of the buffers that are loaded
    checks: bool = False
    updates: bool = False

    @property
    def bit(self) -> int:
        return 1 << self.number

    @property
    def multiplies(self) -> bool:
        """Whether it is a contraction's group (whose kernels cannot report errors)."""
        return bool(self.anchors) and self.anchors[0].value.primitive.family == CONTRACTION


@dataclass(eq=False)
class Anchor:
    """A reduction or contraction (or whole scatter or host step) of a group."""

    value: Value
    position: Position
    body: Node | None
    place: Node | None
    result: Node | None
    operands: tuple[Node, ...] = ()
    # Per band (see contraction_spec.Band): its two variables (None for an axis of one index), then
    # step, spread, low and size.
    bands: tuple[tuple[Variable | None, Variable, int, int, int, int], ...] = ()
    unpadded: bool = False  # whether the operand is the image without its padding


@dataclass(eq=False)
class Member:
    value: Value
    position: Position
    node: Node


class Grouper:
    """Puts the stored values of a program into groups, in the order of the program."""

    def __init__(
        self,
        tracer: Tracer,
        buffers: dict[Value, Buffer],
        updates: set[Value],
        unpadded: set[Value],
    ) -> None:
        self.tracer = tracer
        self.buffers = buffers
        self.updates = updates  # what is written into bases: no check shares its kernel
        self.unpadded = unpadded
        self.owner = {id(b): v for v, b in buffers.items()}
        self.groups: list[Group] = []
        self.spaces: dict[tuple[Variable, ...], list[Group]] = {}
        self.home: dict[Value, Group] = {}
        self.place: dict[Value, Position] = {}
        # Whose groups write a stored value's buffer: its own unless it is joined in place.
        self.writers: Callable[[Value], list[Value]] = lambda v: [v]

    def add(self, v: Value) -> None:
        """Gives a stored value its group."""
        if is_host(v):
            self._add_whole(v, "host")
        elif v.primitive.family == RANDOM:
            self._add_beside(v, lambda a: draw_key(a) == draw_key(v), "draw")
        elif v.primitive.family == RECURRENCE:
            self._add_beside(v, lambda a: comes_with(a, v), "recurrence")
        elif v.primitive.family == ATTENTION:
            self._add_whole(v, "attention")
        elif v.primitive.name in SCATTERS:
            self._add_whole(v, "scatter")
        elif v.primitive.family in (REDUCTION, CONTRACTION):
            self._add_fold(v)
        elif v.primitive.family in (SCAN, SORT):
            self._add_ordered(v)
        else:
            self._add_pointwise(v)

    # ---- dependencies ----------------------------------------------------------------------------

    def dependencies(self, loads: set[int]) -> set[int]:
        """Numbers of the groups that write the buffers (given by id)."""
        return {
            self.home[v].number
            for b in loads
            if b in self.owner
            for v in self.writers(self.owner[b])
            if v in self.home
        }

    def mask(self, numbers: set[int]) -> int:
        result = 0
        for number in numbers:
            result |= self.groups[number].before | (1 << number)
        return result

    def can_join(self, group: Group, needs: set[int]) -> bool:
        return all(
            n == group.number or not self.groups[n].before >> group.number & 1 for n in needs
        )

    def link(self, group: Group, needs: set[int]) -> None:
        """Makes `group` depend on others; their own dependencies are taken over by whoever needs
        it.
        """
        mask = self.mask(needs - {group.number})
        if mask & ~group.before:
            group.before |= mask
            for other in self.groups:
                if other.before & group.bit:
                    other.before |= mask

    def new_group(
        self, kind: str, kept: list[Variable], folded: list[Variable] | None = None
    ) -> Group:
        group = Group(len(self.groups), kind, kept, folded or [])
        self.groups.append(group)
        self.spaces.setdefault(tuple(kept), []).append(group)
        return group

    # ---- whole kernels ---------------------------------------------------------------------------

    def _add_whole(self, v: Value, kind: str) -> None:
        group = self.new_group(kind, [])
        operands = []
        reads: set[int] = set()
        for x in v.inputs:
            if kind in ("host", "draw", "recurrence"):
                buffer = self.tracer.find(same_elements(x))
                assert buffer is not None, x
                reads.add(id(buffer))
                continue
            node = self.tracer.value(x, space_position(x.shape))
            operands.append(node)
            reads |= loaded_buffers([node])
        group.anchors.append(Anchor(v, space_position(v.shape), None, None, None, tuple(operands)))
        self._settle(v, group, group.anchors[0].position, reads)

    def _add_beside(self, v: Value, same: Callable[[Value], bool], kind: str) -> None:
        """One kernel gives what belongs together: a draw's values and its next state, a layer's
        outputs and what its gradient needs.
        """
        for group in self.groups:
            if group.kind == kind and same(group.anchors[0].value):
                group.anchors.append(Anchor(v, space_position(v.shape), None, None, None))
                self._settle(v, group, group.anchors[-1].position, set())
                return
        self._add_whole(v, kind)

    def _add_ordered(self, v: Value) -> None:
        """A scan or sort: the variable of its axis is the one folded variable."""
        t = self.tracer
        position = space_position(v.shape)
        variables = space_variables(v.shape)
        along = position.dims[v.attrs["axis"]].single
        assert along is not None, v
        body = t.value(v.inputs[0], position)
        kept = [x for x in variables if x != along]
        group = self.new_group("ordered", kept, [along])
        result = t.result(("value", v.order), v.dtype, frozenset(variables))
        group.anchors.append(Anchor(v, position, body, None, result))
        self._settle(v, group, position, loaded_buffers([body]))

    # ---- folds -----------------------------------------------------------------------------------

    def _add_fold(self, v: Value) -> None:
        anchor, kept, folded = self._fold_anchor(v)
        parts = [n for n in (anchor.body, anchor.place, *anchor.operands) if n is not None]
        reads = loaded_buffers(parts)
        needs = self.dependencies(reads)
        group = None
        if v.primitive.family == REDUCTION:
            group = self._sibling_fold(kept, folded, reads, needs)
        if group is None:
            group = self.new_group("fold", kept, folded)
        group.anchors.append(anchor)
        group.size += len(ordered_nodes(parts, {}))
        self._settle(v, group, anchor.position, reads)

    def _sibling_fold(
        self, kept: list[Variable], folded: list[Variable], reads: set[int], needs: set[int]
    ) -> Group | None:
        points = 1
        for variable in (*kept, *folded):
            points *= variable.extent
        for group in self.spaces.get(tuple(kept), [])[: -MOST_SIBLINGS - 1 : -1]:
            if group.kind != "fold" or group.kept != kept or group.folded != folded:
                continue
            if group.multiplies:
                continue
            related = points <= SMALL_SPACE or bool(reads & group.reads)
            if (
                related
                and group.size < LARGEST_EPILOGUE
                and group.number not in needs
                and (self.can_join(group, needs))
            ):
                return group
        return None

    def _fold_anchor(self, v: Value) -> tuple[Anchor, list[Variable], list[Variable]]:
        t = self.tracer
        position = space_position(v.shape)
        kept = space_variables(v.shape)
        result = t.result(("value", v.order), v.dtype, frozenset(kept))
        if v.primitive.family == REDUCTION:
            x, axes = v.inputs[0], v.attrs["axes"]
            inner = space_position(tuple(x.shape[a] for a in axes), FOLDED)
            outer, dims = iter(position.dims), [ZERO] * x.ndim
            for axis in range(x.ndim):
                dims[axis] = inner.dims[axes.index(axis)] if axis in axes else next(outer)
            body = t.value(x, Position(x.shape, dims))
            place = None
            if v.primitive.name in ("argmax", "argmin"):
                place = t.index(inner.dims[0])
            folded = space_variables(inner.shape, FOLDED)
            return Anchor(v, position, body, place, result), kept, folded
        return self._contraction_anchor(v, position, kept, result)

    def _contraction_anchor(
        self, v: Value, position: Position, kept: list[Variable], result: Node
    ) -> tuple[Anchor, list[Variable], list[Variable]]:
        t = self.tracer
        a, b = v.inputs
        if v.primitive.name == "dot":
            inner = space_position((a.shape[-1],), FOLDED)
            batch, (m, n), (k,) = position.dims[:-2], position.dims[-2:], inner.dims
            left = t.value(a, Position(a.shape, (*batch, m, k)))
            right = t.value(b, Position(b.shape, (*batch, k, n)))
        else:
            inner = space_position(b.shape[2:], FOLDED)
            image, group, channel, *space = position.dims
            into, *offsets = inner.dims
            spread = [
                p.times(s) + w.times(d)
                for p, w, s, d in zip(
                    space, offsets, v.attrs["strides"], v.attrs["dilations"], strict=True
                )
            ]
            place = Position(a.shape, (image, group, into, *spread))
            left = t.value(a, place)
            right = t.value(b, Position(b.shape, (group, channel, into, *offsets)))
        body = product(t, left, right)
        folded = space_variables(inner.shape, FOLDED)
        anchor = Anchor(v, position, body, None, result, (left, right))
        if v in self.unpadded and left.kind == "guarded":
            self._leave_out_padding(anchor, place, position.dims[3:], inner.dims[1:])
        return anchor, kept, folded

    def _leave_out_padding(
        self,
        anchor: Anchor,
        place: Position,
        space: Sequence[Expression],
        offsets: Sequence[Expression],
    ) -> None:
        """Makes the contraction's kernel read the images themselves, within bands."""
        v = anchor.value
        padding = padding_of(v)
        assert padding is not None
        image, dims = padding.image, [ZERO] * padding.image.ndim
        for axis, dim, low in zip(padding.order, place.dims, padding.low, strict=True):
            if axis >= 0:
                dims[axis] = dim.plus(-low)
        left = self.tracer.value(image, Position(image.shape, dims))
        bands = []
        for axis, (out, k) in enumerate(zip(space, offsets, strict=True)):
            if padding.order[3 + axis] < 0:
                continue
            low, size = padding.low[3 + axis], image.shape[padding.order[3 + axis]]
            dim = place.dims[3 + axis]
            if low <= dim.low and dim.high < low + size:
                continue
            along = k.single
            assert along is not None
            step, spread = v.attrs["strides"][axis], v.attrs["dilations"][axis]
            bands.append((out.single, along, step, spread, low, size))
        anchor.operands = (left, anchor.operands[1])
        anchor.bands = tuple(bands)
        anchor.unpadded = True

    # ---- pointwise -------------------------------------------------------------------------------

    def _add_pointwise(self, v: Value) -> None:
        position = space_position(v.shape)
        node = self.tracer.inlined(v, position)
        nodes = ordered_nodes([node], {})
        reads = {id(n.data[0]) for n in nodes if n.kind == "load"}
        needs = self.dependencies(reads)
        found = self._group_for(v, position, nodes, reads, needs)
        if found is None:
            group = self.new_group("pointwise", space_variables(v.shape))
        else:
            group, position = found
            node = self.tracer.inlined(v, position)
        group.members.append(Member(v, position, node))
        group.size += len(nodes)
        group.checks = group.checks or needs_checks(nodes)
        group.updates = group.updates or v in self.updates
        self._settle(v, group, position, reads)

    def _group_for(
        self, v: Value, position: Position, nodes: list[Node], reads: set[int], needs: set[int]
    ) -> tuple[Group, Position] | None:
        loads: dict[int, list[Node]] = {}
        checks, updates = needs_checks(nodes), v in self.updates
        for node in nodes:
            if node.kind == "load" and id(node.data[0]) in self.owner:
                loads.setdefault(id(node.data[0]), []).append(node)
        tried: set[int] = set()
        # What is joined in place is not there before the groups that write into it have ended.
        whole = {b for b in loads if self.owner[b] not in self.home}
        barred = self.dependencies(whole)
        for number in sorted(needs - barred, reverse=True):
            group = self.groups[number]
            if group.kind not in ("pointwise", "fold") or not self._fits(group, len(nodes), needs):
                continue
            if (checks and (group.multiplies or group.updates)) or (updates and group.checks):
                continue
            tried.add(number)
            mapped = self._mapped(v, position, group, loads)
            if mapped is not None:
                return group, mapped
        variables = space_variables(v.shape)
        for group in self.spaces.get(tuple(variables), [])[: -MOST_SIBLINGS - 1 : -1]:
            if group.kind != "pointwise" or group.number in tried or group.kept != variables:
                continue
            if (checks and group.updates) or (updates and group.checks):
                continue
            if not v.size or group.number in needs or not self._fits(group, len(nodes), needs):
                continue
            if v.size <= SMALL_SPACE or reads & group.reads:
                return group, position
        return None

    def _fits(self, group: Group, size: int, needs: set[int]) -> bool:
        limit = LARGEST_GROUP if group.kind == "pointwise" else LARGEST_EPILOGUE
        return group.size + size <= limit and self.can_join(group, needs)

    def _mapped(
        self, v: Value, position: Position, group: Group, loads: dict[int, list[Node]]
    ) -> Position | None:
        """v's position in the group's space, if it reads the group's values exactly where they are
        made.
        """
        points = 1
        for variable in group.kept:
            points *= variable.extent
        if points != v.size or not points:
            return None
        mine = [
            n for b, found in loads.items() for n in found if self.home.get(self.owner[b]) is group
        ]
        first, address = self.owner[id(mine[0].data[0])], mine[0].data[1]
        moved = self._aligned(position, address, first)
        if moved is None:
            return None
        if moved is not position:
            nodes = ordered_nodes([self.tracer.inlined(v, moved)], {})
            mine = [
                n
                for n in nodes
                if n.kind == "load"
                and id(n.data[0]) in self.owner
                and self.home.get(self.owner[id(n.data[0])]) is group
            ]
        for load in mine:
            value = self.owner[id(load.data[0])]
            if load.data[2] or load.data[1] != self.buffers[value].address(self.place[value]):
                return None
        return moved

    def _aligned(self, position: Position, address: Expression, producer: Value) -> Position | None:
        target, buffer = self.place[producer], self.buffers[producer]
        if address == buffer.address(target):
            return position
        read = buffer.position(address)
        if read.flat == position.flat:
            return Position(position.shape, flat=target.flat)
        # A permutation: each axis of the producer is read along one variable of the reader.
        change: dict[int, Expression] = {}
        for there, here in zip(target.dims, read.dims, strict=True):
            if not here.terms and not there.terms:
                continue
            variable = here.single
            if variable is None or there.single is None or there.single.extent != variable.extent:
                return None
            if variable.number in change:
                return None
            change[variable.number] = there
        mine = [e.single for e in position.dims if e.terms]
        if any(m is None or m.number not in change for m in mine) or len(mine) != len(change):
            return None
        return Position(
            position.shape, [e.replaced(lambda x: change.get(x.number)) for e in position.dims]
        )

    def _settle(self, v: Value, group: Group, position: Position, reads: set[int]) -> None:
        self.link(group, self.dependencies(reads))
        group.reads |= reads
        self.home[v] = group
        self.place[v] = position


def product(t: Tracer, left: Node, right: Node) -> Node:
    """left * right in the dtype that products are summed in (float32 for the half types)."""
    from flambeau.core import dtypes

    dtype: DType = left.dtype
    if dtype.kind == "f" and dtype.itemsize == 2:
        dtype = dtypes.float32
        left, right = t.op("cast", dtype, left), t.op("cast", dtype, right)
    return t.op("mul", dtype, left, right)


def loaded_buffers(nodes: Sequence[Node]) -> set[int]:
    return {id(n.data[0]) for n in ordered_nodes(nodes, {}) if n.kind == "load"}
