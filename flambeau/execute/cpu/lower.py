"""From groups of values to kernels and host steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flambeau.core.dtypes import DType
from flambeau.core.shapes import contiguous_strides
from flambeau.execute.cpu import attentions, recurrences
from flambeau.execute.cpu.accumulators import Fold
from flambeau.execute.cpu.body import Buffer, Node, Tracer, row_index
from flambeau.execute.cpu.draws import draw_kernel, values_dtype
from flambeau.execute.cpu.forms import DEFAULT, Form
from flambeau.execute.cpu.fusion import FOLDED, Anchor, Group
from flambeau.execute.cpu.index import Expression, Position, linear, space_position, space_variables
from flambeau.execute.cpu.loops import KernelCode, Operand, Store, ordered_nodes
from flambeau.execute.cpu.numpy_loops import loop_kernels
from flambeau.execute.cpu.pointwise import needs_checks, nest_kernel, pointwise_kernel
from flambeau.execute.cpu.pooled import Pooled, pooled, pooled_kernel
from flambeau.execute.cpu.products import (
    Packs,
    contraction_kernels,
    is_plain,
    picked_kernels,
    routed_kernels,
    tiled_spec,
)
from flambeau.execute.cpu.reductions import reduction_kernels
from flambeau.execute.cpu.scans import scan_kernel
from flambeau.execute.cpu.scattered import Scattered, scattered
from flambeau.execute.cpu.sorts import Order, sort_kernel
from flambeau.execute.cpu.storing import same_elements
from flambeau.execute.cpu.winner_plans import Routed, routed
from flambeau.ops.indexed import WITHIN
from flambeau.ops.primitive import CONTRACTION, SCAN
from flambeau.ops.value import Value


@dataclass(frozen=True)
class Destination:
    """Where an output goes besides its own buffer: a layout over `buffer` for a value of
    `shape`.
    """

    buffer: Buffer
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    offset: int = 0

    def address(self, position: Position) -> Expression:
        position = position.reshaped(self.shape)
        if self.strides is None:
            return position.flat.plus(self.offset)
        return linear(position.dims, self.strides, self.offset)


@dataclass(frozen=True)
class HostStep:
    """A value that the reference executor computes: operands and result are whole buffers."""

    value: Value
    operands: tuple[Buffer, ...]
    results: tuple[Buffer, ...]


@dataclass
class Lowering:
    """What lowering a group needs to know of the program."""

    tracer: Tracer
    buffers: dict[Value, Buffer]
    destinations: dict[Value, list[Destination]]
    needed: set[int]  # ids of buffers that somebody reads
    vector_bits: int
    scratch: list[Buffer] = field(default_factory=list)
    packs: Packs = field(default_factory=Packs)
    form: Form = DEFAULT  # of the group being lowered
    loops: bool = True  # whether kernels may call NumPy's inner loops

    def new_scratch(self, dtype: DType, size: int, known: Buffer | None = None) -> Buffer:
        """Memory for the group being lowered; `known`: what an earlier group has filled."""
        buffer = Buffer(dtype, (size,)) if known is None else known
        self.scratch.append(buffer)
        return buffer

    def stores(self, v: Value, position: Position, node: Node) -> list[Store]:
        """All the places where an element of `v` is to be written."""
        buffer = self.buffers[v]
        result = []
        if v.primitive.name == "check":
            return [Store(buffer, buffer.address(position), node, unwritten=True)]
        if id(buffer) in self.needed:
            result.append(Store(buffer, buffer.address(position), node))
        for destination in self.destinations.get(v, ()):
            target = destination.buffer
            if target is not buffer and (target.kind != "arena" or id(target) in self.needed):
                result.append(Store(target, destination.address(position), node))
        return result


def forwards(group: Group, tracer: Tracer, buffers: dict[Value, Buffer]) -> dict[int, Node]:
    """For the loads of values that the group itself makes: the nodes that make them."""
    result: dict[int, Node] = {}
    for member in group.members:
        buffer = buffers[member.value]
        result[tracer.load(buffer, buffer.address(member.position)).number] = member.node
    for anchor in group.anchors:
        if anchor.result is not None:
            buffer = buffers[anchor.value]
            result[tracer.load(buffer, buffer.address(anchor.position)).number] = anchor.result
    return result


def group_nodes(group: Group, forward: dict[int, Node]) -> list[Node]:
    """Every node that the group's kernel evaluates."""
    roots = [m.node for m in group.members]
    for anchor in group.anchors:
        roots += [n for n in (anchor.body, anchor.place) if n is not None]
        roots += anchor.operands
    return ordered_nodes(roots, forward)


def has_checks(group: Group, forward: dict[int, Node]) -> bool:
    """Whether the group's kernels may fail at run time."""
    if group.kind == "host":
        return True
    for anchor in group.anchors:
        if anchor.value.primitive.name in ("put_add", "put_set"):
            return bool(anchor.value.attrs["what"] != WITHIN)
    return needs_checks(group_nodes(group, forward))


def lower_group(group: Group, low: Lowering) -> list[KernelCode | HostStep]:
    """The steps of one group, in order."""
    return labelled(group, _steps(group, low))


def labelled(group: Group, steps: list[KernelCode | HostStep]) -> list[KernelCode | HostStep]:
    """The steps with what they say of themselves."""
    for step in steps:
        if isinstance(step, KernelCode):
            step.label = step.label or describe(group)
            step.values = (*[a.value for a in group.anchors], *[m.value for m in group.members])
    return steps


def describe(group: Group) -> str:
    """What a group computes: its anchors, the number of fused values, its loops."""
    names = [a.value.primitive.name for a in group.anchors]
    names += [m.value.primitive.name for m in group.members]
    kept = "x".join(str(v.extent) for v in group.kept)
    folded = "x".join(str(v.extent) for v in group.folded)
    return f"{group.kind} {'+'.join(names)} [{kept}]{f' over [{folded}]' if folded else ''}"


def _steps(group: Group, low: Lowering) -> list[KernelCode | HostStep]:
    if group.kind == "host":
        step = _host_step(group.anchors[0].value, low)
        kernels = None
        if low.loops:
            kernels = loop_kernels(step.value, step.operands, step.results, low)
        return [step] if kernels is None else [*kernels]
    if group.kind == "draw":
        return [*_draw(group, low)]
    if group.kind == "recurrence":
        return [*_recurrence(group, low)]
    if group.kind == "attention":
        return [*_attention(group, low)]
    if group.kind == "scatter":
        return list(_scatter(group.anchors[0].value, low))
    stores, forward = group_stores(group, low)
    if not stores or any(v.extent == 0 for v in group.kept):
        return []
    if group.kind == "ordered":
        return [_ordered(group, stores, low)] if group.anchors[0].value.size else []
    if group.kind == "pointwise":
        return [pointwise_kernel(group.kept, stores, forward, low.vector_bits)]
    return _fold_kernels(group, stores, forward, low)


def group_stores(group: Group, low: Lowering) -> tuple[list[Store], dict[int, Node]]:
    """What a group's kernel writes, and the loads that it need not make (`forwards`)."""
    stores = [
        s
        for a in group.anchors
        if a.result is not None
        for s in low.stores(a.value, a.position, a.result)
    ]
    stores += [s for m in group.members for s in low.stores(m.value, m.position, m.node)]
    return stores, forwards(group, low.tracer, low.buffers)


def pooled_groups(order: list[Group], low: Lowering) -> dict[Group, Pooled]:
    """The convolutions at whose results only a pooling looks, by the pooling's group; moves those
    groups in `order` right behind their convolutions, and lets the results have no memory.
    """
    found: dict[Group, Pooled] = {}
    for conv in list(order):
        anchor = conv.anchors[0] if conv.kind == "fold" and len(conv.anchors) == 1 else None
        if anchor is None or anchor.value.primitive.name != "conv" or conv.members:
            continue
        buffer = low.buffers[anchor.value]
        readers = [g for g in order if id(buffer) in g.reads]
        if len(readers) != 1 or buffer.kind != "arena" or low.destinations.get(anchor.value):
            continue
        reader, place = readers[0], order.index(conv)
        ready = sum(g.bit for g in order[: place + 1])
        if reader.kind != "pointwise" or reader.checks or reader.before & ~ready:
            continue
        stores, _ = group_stores(conv, low)
        spec = tiled_spec(conv, stores, low.vector_bits, low.packs) if stores else None
        if spec is None:
            continue
        plan = pooled(conv, spec, reader, *group_stores(reader, low), buffer, low.vector_bits)
        if plan is not None:
            found[reader] = plan
            order.remove(reader)
            order.insert(place + 1, reader)
            low.needed.discard(id(buffer))
    return found


def scattered_groups(
    order: Sequence[Group], low: Lowering
) -> tuple[dict[Group, Scattered | Routed], set[Group]]:
    """The gradients that need no scattered cotangent, by their groups, and the groups that scatter
    for nobody else; lets what these scatter have no memory.
    """
    found: dict[Group, Scattered | Routed] = {}
    idle: set[Group] = set()
    for source in order:
        for member in source.members if source.kind == "pointwise" else ():
            value = member.value
            buffer = low.buffers[value]
            if value.primitive.name != "pool_scatter" or buffer.kind != "arena":
                continue
            readers = [g for g in order if id(buffer) in g.reads]
            plans = {g: _without_scattered(g, source, value, low, len(readers)) for g in readers}
            found |= {g: plan for g, plan in plans.items() if plan is not None}
            if readers and None not in plans.values() and not low.destinations.get(value):
                low.needed.discard(id(buffer))
                idle |= {source} if len(source.members) == 1 else set()
    return found, idle


def _without_scattered(
    group: Group, source: Group, value: Value, low: Lowering, readers: int
) -> Scattered | Routed | None:
    """A convolution's gradient without a scattered cotangent, where that takes less time."""
    if group.kind != "fold" or len(group.anchors) != 1 or group is source:
        return None
    if group.anchors[0].value.primitive.name != "conv":
        return None
    buffer, bits = low.buffers[value], low.vector_bits
    stores, forward = group_stores(group, low)
    if not stores:
        return None
    plan = routed(low.tracer, group, source, value, stores, forward, buffer, bits)
    if plan is not None or readers > 1 or len(source.members) > 1 or low.destinations.get(value):
        return plan
    spec = tiled_spec(group, stores, bits, low.packs)
    if spec is None or any(n.kind == "load" and n.data[0] is buffer for n in _ending(stores)):
        return None
    return scattered(low.tracer, group, spec, source, stores, forward, buffer, bits)


def _ending(stores: Sequence[Store]) -> list[Node]:
    """What is evaluated for stores."""
    return ordered_nodes([s.node for s in stores], {})


def lower_scattered(
    group: Group, plan: Scattered | Routed, low: Lowering
) -> list[KernelCode | HostStep]:
    """The steps of a gradient without the scattered cotangent."""
    made = plan.group, plan.stores, plan.forward, low.new_scratch, low.vector_bits
    if isinstance(plan, Routed):
        kernels = routed_kernels(*made, plan.plan, plan.operands)
    else:
        kernels = picked_kernels(*made, (plan.spec, plan.choice), plan.operands)
    for kernel in kernels:
        kernel.label = f"{describe(group)} of {describe(plan.source)}"
        values = [x.value for g in (plan.source, group) for x in g.members]
        kernel.values = (group.anchors[0].value, *values)
    return [*kernels]


def lower_pooled(plan: Pooled, low: Lowering) -> list[KernelCode | HostStep]:
    """The steps of a convolution and its reader that share a kernel."""
    kernel = pooled_kernel(plan, low.new_scratch, low.vector_bits)
    groups = plan.conv, plan.reader
    kernel.label = " in ".join(map(describe, groups))
    anchors = [a.value for g in groups for a in g.anchors]
    kernel.values = (*anchors, *[m.value for g in groups for m in g.members])
    return [kernel]


def _fold_kernels(
    group: Group, stores: list[Store], forward: dict[int, Node], low: Lowering
) -> list[KernelCode | HostStep]:
    if group.anchors[0].value.primitive.family == CONTRACTION:
        kernels = contraction_kernels(
            group, stores, forward, low.new_scratch, low.vector_bits, low.packs, low.form
        )
        if kernels is not None:
            return [*kernels]
    folds = [fold_of(a) for a in group.anchors]
    return [
        *reduction_kernels(
            group.kept,
            group.folded,
            folds,
            stores,
            forward,
            low.tracer,
            low.new_scratch,
            low.vector_bits,
        )
    ]


def fold_of(anchor: Anchor) -> Fold:
    """What a reduction's kernel folds, and where the result goes."""
    assert anchor.body is not None and anchor.result is not None
    name = anchor.value.primitive.name
    return Fold(
        "sum" if name in ("dot", "conv") else name, anchor.body, anchor.result, anchor.place
    )


def _ordered(group: Group, stores: list[Store], low: Lowering) -> KernelCode:
    (anchor,), (along,) = group.anchors, group.folded
    v, body, result = anchor.value, anchor.body, anchor.result
    assert body is not None and result is not None
    if v.primitive.family == SCAN:
        name = v.primitive.name
        return scan_kernel(name, group.kept, along, body, result, stores, low.vector_bits)
    order = Order(v.attrs["descending"], v.attrs.get("first"))
    return sort_kernel(
        group.kept, along, order, body, result, stores, low.new_scratch, low.vector_bits
    )


def _host_step(v: Value, low: Lowering) -> HostStep:
    operands = []
    for x in v.inputs:
        buffer = low.tracer.find(same_elements(x))
        assert buffer is not None
        operands.append(buffer)
    results = [low.buffers[v]] if id(low.buffers[v]) in low.needed else []
    for destination in low.destinations.get(v, ()):
        if destination.buffer is not low.buffers[v]:
            assert destination.strides is None and not destination.offset, (
                "host steps write whole buffers"
            )
            results.append(destination.buffer)
    return HostStep(v, tuple(operands), tuple(results))


def _draw(group: Group, low: Lowering) -> list[KernelCode]:
    """One kernel for the values and the state after them, then copies for further destinations."""
    first = group.anchors[0].value
    before = low.tracer.find(same_elements(first.inputs[0]))
    assert before is not None
    found, copies = _whole_results(group, low)
    after = found.get("random_advance") or low.new_scratch(before.dtype, before.size)
    values = found.get("random_draw") or low.new_scratch(values_dtype(first), first.attrs["count"])
    return [draw_kernel(first, before, after, values, low.vector_bits), *copies]


def _whole_results(group: Group, low: Lowering) -> tuple[dict[str, Buffer], list[KernelCode]]:
    """The buffers that a group's kernel fills, and the copies for further destinations."""
    found: dict[str, Buffer] = {}
    copies = []
    for anchor in group.anchors:
        v = anchor.value
        buffer = found[v.primitive.name] = low.buffers[v]
        node = low.tracer.load(buffer, buffer.address(anchor.position))
        for destination in low.destinations.get(v, ()):
            if destination.buffer is not buffer and v.size:
                store = Store(destination.buffer, destination.address(anchor.position), node)
                variables = space_variables(v.shape)
                copies.append(pointwise_kernel(variables, [store], {}, low.vector_bits))
    return found, copies


def _recurrence(group: Group, low: Lowering) -> list[KernelCode]:
    """One kernel for a layer's outputs and what is saved of it, or for its gradient."""
    first, bits = group.anchors[0].value, low.vector_bits
    found, copies = _whole_results(group, low)
    operands: list[Buffer] = []
    before: list[KernelCode] = []
    for x in first.inputs:
        buffer = low.tracer.find(same_elements(x))
        assert buffer is not None
        if buffer.strides is not None:  # images with the batch innermost
            plain = low.new_scratch(x.dtype, x.size)
            position = space_position(x.shape)
            node = low.tracer.value(x, position)
            store = Store(plain, position.flat, node)
            before.append(pointwise_kernel(space_variables(x.shape), [store], {}, bits))
            buffer = plain
        operands.append(buffer)
    saving = "recurrence_saved" in found
    if "recurrence_grad" in found:
        operands.append(found["recurrence_grad"])
    else:
        count, dtype = recurrences.result_space(first)
        operands.append(found.get("recurrence") or low.new_scratch(dtype, count))
        operands += [found["recurrence_saved"]] if saving else []
    _, _, tasks = recurrences.sequences(first)
    if not tasks:
        return []
    operands.append(low.new_scratch(first.dtype, recurrences.scratch_size(first, bits)))
    code = KernelCode(
        recurrences.kernel_text(first, saving, bits),
        [Operand(b) for b in operands],
        recurrences.kernel_words(first),
        tasks,
        tasks > 1,
    )
    return [*before, code, *copies]


def _attention(group: Group, low: Lowering) -> list[KernelCode]:
    """One kernel for a result, or for its gradient."""
    first = group.anchors[0].value
    found, copies = _whole_results(group, low)
    before: list[KernelCode] = []
    operands: list[Operand] = []
    strides: list[tuple[int, ...]] = []
    for x, node in zip(first.inputs, group.anchors[0].operands, strict=True):
        position = space_position(x.shape)
        steps: list[int] = []
        if is_plain(node):
            address = node.data[1]
            steps = [
                0 if d.single is None else address.coefficient(d.single) for d in position.dims
            ]
            operands.append(Operand(node.data[0], address.constant))
        whole = is_plain(node) and (not steps or steps[-1] == 1) and min(steps, default=0) >= 0
        if not whole:
            plain = low.new_scratch(x.dtype, x.size)
            store = Store(plain, position.flat, node)
            variables = space_variables(x.shape)
            before.append(pointwise_kernel(variables, [store], {}, low.vector_bits))
            operands[len(strides) :] = [Operand(plain)]
            steps = list(contiguous_strides(x.shape))
        strides.append(tuple(steps))
    kernel = attentions.kernel(first, strides, low.vector_bits)
    operands.append(Operand(found[first.primitive.name]))
    operands.append(Operand(low.new_scratch(first.dtype, kernel.scratch)))
    code = KernelCode(kernel.text, operands, kernel.words, kernel.tasks, kernel.tasks > 1)
    return [*before, code, *copies]


# ---- scatters -----------------------------------------------------------------------------------


def _scatter(v: Value, low: Lowering) -> list[KernelCode]:
    """A copy of the first operand, then the writes into it, for each place the value goes to."""
    name, tracer = v.primitive.name, low.tracer
    targets: list[Callable[[Position], tuple[Buffer, Expression]]] = []
    buffer = low.buffers[v]
    if id(buffer) in low.needed:
        targets.append(lambda p: (buffer, buffer.address(p)))
    for destination in low.destinations.get(v, ()):
        if destination.buffer is not buffer:
            targets.append(lambda p, d=destination: (d.buffer, d.address(p)))  # type: ignore[misc]
    kernels: list[KernelCode] = []
    for target in targets if v.size else []:
        position = space_position(v.shape)
        old = (
            tracer.literal(0, v.dtype)
            if name == "strided_sum"
            else tracer.value(v.inputs[0], position)
        )
        place, address = target(position)
        there = old.kind == "load" and (old.data[0], old.data[1:]) == (place, (address, ()))
        if not there:  # (rows of a table that is updated in place: see `can_write`)
            store = Store(place, address, old)
            kernels.append(pointwise_kernel(space_variables(v.shape), [store], {}, low.vector_bits))
        if name in ("strided_scatter", "strided_sum"):
            kernels += _strided_writes(v, target, low)
        else:
            kernels += _row_writes(v, target, low)
    return kernels


def _strided_writes(
    v: Value, target: Callable[[Position], tuple[Buffer, Expression]], low: Lowering
) -> list[KernelCode]:
    """The writes of `strided_scatter`; those of `strided_sum` add, in order, and may overlap."""
    rows, strides = v.inputs[-1], v.attrs["strides"]
    if not rows.size:
        return []
    position = space_position(rows.shape)
    place = Position(v.shape, flat=linear(position.dims, strides, v.attrs["offset"]))
    buffer, address = target(place)
    node = low.tracer.value(rows, position)
    variables = space_variables(rows.shape)
    if v.primitive.name == "strided_scatter":
        return [pointwise_kernel(variables, [Store(buffer, address, node)], {}, low.vector_bits)]
    node = low.tracer.op("add", v.dtype, low.tracer.load(buffer, address), node)
    # Lanes run along the last variable: its elements must be apart.
    moving = [x for x in variables if address.coefficient(x)]
    inner = [min(moving, key=lambda x: abs(address.coefficient(x)))] if moving else []
    outer = [x for x in variables if x not in inner]
    return [nest_kernel(outer, inner, [Store(buffer, address, node)], low.vector_bits)]


def _row_writes(
    v: Value, target: Callable[[Position], tuple[Buffer, Expression]], low: Lowering
) -> list[KernelCode]:
    """Rows added or written in the order of their indices."""
    x, index, rows = v.inputs
    if not rows.size:
        return []
    tracer = low.tracer
    outer = space_position(index.shape)
    inner = space_position(x.shape[1:], FOLDED)
    place = row_index(tracer, x, index, outer, v.attrs["what"])
    buffer, address = target(Position(x.shape, (place, *inner.dims)))
    node = tracer.value(rows, Position(rows.shape, (*outer.dims, *inner.dims)))
    if v.primitive.name == "put_add":
        node = tracer.op("add", v.dtype, tracer.load(buffer, address), node)
    rest = space_variables(x.shape[1:], FOLDED)
    return [
        nest_kernel(
            space_variables(index.shape), rest, [Store(buffer, address, node)], low.vector_bits
        )
    ]


def ordered_groups(groups: Sequence[Group]) -> list[Group]:
    """Groups after those they depend on; otherwise as they were made."""
    result: list[Group] = []
    done, waiting = 0, list(groups)
    while waiting:
        rest = []
        for group in waiting:
            if group.before & ~done:
                rest.append(group)
                continue
            done |= group.bit
            result.append(group)
        assert len(rest) < len(waiting), "a cycle among the groups"
        waiting = rest
    return result
