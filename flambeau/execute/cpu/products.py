"""Groups of a contraction and its epilogue: the bridge from bodies to
`contraction.emit_contraction`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from flambeau.core import dtypes
from flambeau.execute.cpu import column_folds, elements
from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.contraction import Axis, Contraction, emit_contraction
from flambeau.execute.cpu.contraction_pairs import PairPlan, Zip, pair_plan, zip_kernel
from flambeau.execute.cpu.contraction_plan import Choice, ranked, streaming
from flambeau.execute.cpu.contraction_spec import ACCUMULATORS, PICKED, Band
from flambeau.execute.cpu.contraction_wide import WidePlan, wide_kernel, wide_plan
from flambeau.execute.cpu.convolution_plans import (
    gradient_plan_of,
    image_plan_of,
    is_run,
    sum_plan_of,
    tile_plan_of,
)
from flambeau.execute.cpu.emit import Emitter, Reg, vector_registers
from flambeau.execute.cpu.forms import DEFAULT, UNIT, VECTOR, Form
from flambeau.execute.cpu.fusion import Group
from flambeau.execute.cpu.gradient_kernels import gradient_kernels
from flambeau.execute.cpu.gradient_plan import GradientPlan
from flambeau.execute.cpu.image_kernels import image_kernel
from flambeau.execute.cpu.image_pack import weights_kernel
from flambeau.execute.cpu.image_plan import ImagePlan, Weights
from flambeau.execute.cpu.index import Expression, Variable, of
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Operand, Store, ordered_nodes
from flambeau.execute.cpu.matrix_kernels import RESERVED as MATRIX_RESERVED
from flambeau.execute.cpu.matrix_kernels import matrix_kernels, scratch_bytes
from flambeau.execute.cpu.matrix_pack import pack_kernel
from flambeau.execute.cpu.matrix_plan import MatrixPlan, Side, matrix_plan
from flambeau.execute.cpu.nests import body_cost
from flambeau.execute.cpu.templates import TEMPLATES, Signature
from flambeau.execute.cpu.winner_images import images_kernels
from flambeau.execute.cpu.winner_kernels import WINNERS_RESERVED
from flambeau.execute.cpu.winner_sums import weights_kernels
from flambeau.execute.cpu.winners import ImagesPlan, WeightsPlan
from flambeau.execute.cpu.winograd import TAPS
from flambeau.execute.cpu.winograd_gradient import sum_kernels
from flambeau.execute.cpu.winograd_inner import InnerTiles
from flambeau.execute.cpu.winograd_kernels import RESERVED as TILED
from flambeau.execute.cpu.winograd_kernels import Tiles, made_weights
from flambeau.execute.cpu.winograd_plan import SumPlan, TilePlan

FAR_STRIDE = 16  # elements between a convolution's places from which on they are rows of a matrix
FAR_ROWS = 512  # bytes between rows from which on prefetching hardware does not see them coming
RESERVED = 3  # operands 0 .. 2 are A, B and the scratch memory


@dataclass
class Packs:
    """What is packed for the matrix unit in a program, to be packed once.

    `uses`: how many contractions read an operand with the same strides.
    """

    uses: dict[object, int] = field(default_factory=dict)
    made: dict[object, Buffer] = field(default_factory=dict)

    def count(self, groups: Sequence[Group]) -> None:
        for group in groups:
            for node in group.anchors[0].operands if group.anchors else ():
                if is_plain(node):
                    key = _operand_key(node)
                    self.uses[key] = self.uses.get(key, 0) + 1


def _operand_key(node: Node) -> tuple[object, ...]:
    """The memory that an operand reads and its strides; axes have different numbers elsewhere."""
    buffer, address, _ = node.data
    strides = sorted((abs(factor), a.extent) for a, factor in _factors(address))
    return id(buffer), address.constant, tuple(strides)


def _factors(address: Expression) -> list[tuple[Variable, int]]:
    return [(a, n) for a, n in address.terms if isinstance(a, Variable)]


def contraction_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    packs: Packs,
    form: Form = DEFAULT,
) -> list[KernelCode] | None:
    """The kernels of a group whose anchor is a contraction; None if its operands are not plain
    reads.
    """
    left, right = group.anchors[0].operands
    element = _element(group)
    if element is None:
        return None
    on_unit = form.unit != VECTOR
    gradient = gradient_plan_of(group, left, right, vector_bits) if on_unit else None
    if gradient is not None:
        return _gradient_kernels(group, stores, forward, scratch, vector_bits, gradient)
    image = image_plan_of(group, left, right, vector_bits) if on_unit else None
    if image is not None:
        return _image_kernels(group, stores, forward, scratch, vector_bits, packs, image)
    tiles = tile_plan_of(group, left, right, vector_bits) if form == DEFAULT else None
    if tiles is not None:
        return _tile_kernels(group, stores, forward, scratch, vector_bits, packs, tiles)
    sums = _sum_plan(group, stores, forward, vector_bits) if form == DEFAULT else None
    if sums is not None:
        return _sum_kernels(group, stores, forward, scratch, vector_bits, sums)
    axes = axes_of(group, left.data[1], right.data[1], stores[0].address)
    if _is_thin(axes) or (form == DEFAULT and _is_row_by_matrix(axes, element, vector_bits)):
        return None
    spec = Contraction(axes, element, element, _bands(group))
    sources = [operand_of(left), operand_of(right)]
    if form == DEFAULT and streaming(spec, vector_bits, vector_registers(vector_bits)) is not None:
        return _product(group, stores, forward, scratch, vector_bits, spec, sources)
    wide = wide_plan(spec, vector_bits) if form == DEFAULT else None
    if wide is not None:
        return _wide_kernels(group, stores, forward, scratch, vector_bits, wide)
    uses = packs.uses.get(_operand_key(left), 1), packs.uses.get(_operand_key(right), 1)
    plan = matrix_plan(spec, vector_bits, uses, form.unit == UNIT) if on_unit else None
    if plan is not None:
        return _matrix_kernels(group, stores, forward, scratch, vector_bits, packs, plan)
    pairs = pair_plan(spec, vector_bits) if form == DEFAULT else None
    if pairs is not None:
        return _pair_kernels(group, stores, forward, scratch, vector_bits, packs, pairs)
    choice = ranked(spec, vector_bits, form.rank) if form.rank else None
    try:
        return _product(group, stores, forward, scratch, vector_bits, spec, sources, choice)
    except NotImplementedError:
        if not spec.bands:
            raise
        return None  # no tile fits between the bands: the general loops have guards


def _product(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    spec: Contraction,
    sources: Sequence[Operand],
    choice: Choice | None = None,
) -> list[KernelCode]:
    """The kernels of a contraction of two sources."""

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        size = epilogue.size
        codes = emit_contraction(vector_bits, spec, epilogue, store_size=size, choice=choice)
        return [(c.text, c.tasks, c.parallel, c.scratch_bytes) for c in codes]

    key = ("contraction", spec, choice)
    codes, outer = _from_template(group, stores, forward, vector_bits, RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, max([1, *[code[3] for code in codes]])))
    operands = [*sources, memory, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def _pair_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    packs: Packs,
    plan: PairPlan,
) -> list[KernelCode]:
    """Zipping, where no earlier contraction has zipped the same, and the products."""
    kernels: list[KernelCode] = []
    sources = []
    for node, zipped in zip(group.anchors[0].operands, plan.zips, strict=True):
        source = operand_of(node)
        if zipped is not None:
            text = _zip_text(vector_bits, zipped)
            label = f"zip [{zipped.rows}] of [{zipped.width}]"
            source = _packed(source, text, zipped.bytes, label, kernels, scratch, packs)
        sources.append(source)

    return kernels + _product(group, stores, forward, scratch, vector_bits, plan.spec, sources)


def picked_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    contraction: tuple[Contraction, Choice],
    nodes: Sequence[Node],
) -> list[KernelCode]:
    """The kernels of a contraction with picks, whose operands and bytes `nodes` load."""
    spec, choice = contraction

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        size = epilogue.size
        codes = emit_contraction(vector_bits, spec, epilogue, store_size=size, choice=choice)
        return [(c.text, c.tasks, c.parallel, c.scratch_bytes) for c in codes]

    key = ("picked", spec, choice)
    codes, outer = _from_template(group, stores, forward, vector_bits, PICKED + 1, key, emit)
    memory = Operand(scratch(dtypes.uint8, max([1, *[code[3] for code in codes]])))
    left, right, picked = map(operand_of, nodes)
    operands = [left, right, memory, picked, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def routed_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    plan: WeightsPlan | ImagesPlan,
    nodes: Sequence[Node],
) -> list[KernelCode]:
    """The kernels of a gradient that is a sum over winners, whose operands `nodes` load."""

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        if isinstance(plan, WeightsPlan):
            made = weights_kernels(plan, epilogue)
        else:
            made = images_kernels(plan, epilogue)
        return [(text, tasks, tasks > 1, 0) for text, tasks in made]

    key = ("winners", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, WINNERS_RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.scratch_bytes))
    first, second, places = map(operand_of, nodes)
    operands = [first, second, memory, places, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def _element(group: Group) -> str | None:
    """The LLVM type of a contraction's elements; None where its operands are not plain reads, or
    there is nothing to sum.
    """
    anchor = group.anchors[0]
    element = anchor.value.inputs[0].dtype.llvm  # (sums of half types may be of float32)
    if not all(map(is_plain, anchor.operands)) or element not in ACCUMULATORS:
        return None
    if anchor.value.dtype.kind == "b" or not all(v.extent for v in group.folded):
        return None
    return element


def tiled_spec(
    group: Group, stores: Sequence[Store], vector_bits: int, packs: Packs
) -> Contraction | None:
    """The contraction of a float32 group that `contraction_kernels` computes in tiles of vectors;
    None for others.
    """
    left, right = group.anchors[0].operands
    if _element(group) != "float":
        return None
    if gradient_plan_of(group, left, right, vector_bits) is not None:
        return None
    if image_plan_of(group, left, right, vector_bits) is not None:
        return None
    if tile_plan_of(group, left, right, vector_bits) is not None:
        return None
    axes = axes_of(group, left.data[1], right.data[1], stores[0].address)
    spec = Contraction(axes, "float", "float", _bands(group))
    thin = _is_thin(axes) or _is_row_by_matrix(axes, "float", vector_bits)
    if thin or wide_plan(spec, vector_bits) is not None:
        return None
    if streaming(spec, vector_bits, vector_registers(vector_bits)) is not None:
        return None
    uses = packs.uses.get(_operand_key(left), 1), packs.uses.get(_operand_key(right), 1)
    return spec if matrix_plan(spec, vector_bits, uses) is None else None


def _is_thin(axes: Sequence[Axis]) -> bool:
    """Whether it is a strided convolution channel by channel: packing would only repeat images."""
    near = [a for a in axes if a.out == 1]
    strided = any(a.kind == "m" and 1 < a.a < FAR_STRIDE for a in near)
    return strided and all(a.kind != "n" for a in axes)


def _is_row_by_matrix(axes: Sequence[Axis], element: str, vector_bits: int) -> bool:
    """Whether it is one row times a large matrix that lies row by row: a sum down its columns, read
    in the order of memory (see column_folds.py).
    """
    sizes = {"float": 4, "double": 8}
    long = sorted((a for a in axes if a.extent > 1), key=lambda a: a.kind)
    if [a.kind for a in long] not in (["k", "m"], ["k", "n"]) or element not in sizes:
        return False
    k, kept = long
    inner, outer = (kept.b, k.b) if kept.kind == "n" else (kept.a, k.a)
    space = column_folds.Columns(Variable(0, k.extent), Variable(1, kept.extent))
    load = of(space.rows).times(outer) + of(space.columns).times(inner)
    lanes = vector_bits // (8 * sizes[element])
    return kept.out == 1 and column_folds.suitable(space, [load], sizes[element], lanes)


Scratch = Callable[..., Buffer]
"""(dtype, size, buffer=None): new scratch memory of a group, or such as an earlier group has."""
Emitted = tuple[str, int, bool, int]
"""Text, tasks, whether they are parallel, bytes of scratch memory."""


def _wide_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    plan: WidePlan,
) -> list[KernelCode]:
    def emit(epilogue: _Epilogue) -> list[Emitted]:
        text, tasks = wide_kernel(plan, epilogue)
        return [(text, tasks, tasks > 1, 0)]

    key = ("wide", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.scratch_bytes))
    operands = [*map(operand_of, group.anchors[0].operands), memory, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def _matrix_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    packs: Packs,
    plan: MatrixPlan,
) -> list[KernelCode]:
    """Packing, where no earlier contraction has packed the same, and the products."""
    nodes = group.anchors[0].operands
    kernels: list[KernelCode] = []
    needed = max(_scratch_bytes(plan), 1)
    packed = [Operand(scratch(dtypes.uint8, needed))] * 2
    for side in plan.packed:
        source = operand_of(nodes[side.number])
        packing = _pack_text(vector_bits, side)
        label = f"pack [{side.lead.extent}] of [{side.depth}]"
        operand = _packed(source, packing, side.bytes, label, kernels, scratch, packs)
        packed[side.number == plan.right.number] = operand

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        made = matrix_kernels(vector_bits, plan, epilogue)
        return [(text, tasks, tasks > 1, 0) for text, tasks in made]

    key = ("matrix", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, MATRIX_RESERVED, key, emit)
    operands = [operand_of(nodes[0]), operand_of(nodes[1]), *packed, *outer]
    kernels += [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]
    return kernels


def _gradient_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    plan: GradientPlan,
) -> list[KernelCode]:
    def emit(epilogue: _Epilogue) -> list[Emitted]:
        made = gradient_kernels(vector_bits, plan, epilogue)
        return [(text, tasks, tasks > 1, 0) for text, tasks in made]

    nodes = ordered_nodes([s.node for s in stores], forward)
    taps = plan.strips.shape.rows.taps, plan.strips.shape.cols.taps
    plan = replace(plan, run=is_run(group, stores, nodes, plan.positions, taps))
    key = ("gradient", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, MATRIX_RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.strips.scratch_bytes))
    operands = [*map(operand_of, group.anchors[0].operands), memory, memory, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def _image_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    packs: Packs,
    plan: ImagePlan,
) -> list[KernelCode]:
    """Packing of the weights, and the convolution."""
    nodes = group.anchors[0].operands
    kernels: list[KernelCode] = []
    packing = _weights_text(vector_bits, plan.weights)
    size, what = plan.weights.bytes, f"pack weights [{plan.strips.shape.outs}]"
    packed = _packed(operand_of(nodes[1]), packing, size, what, kernels, scratch, packs)

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        text, tasks = image_kernel(vector_bits, plan, epilogue)
        return [(text, tasks, tasks > 1, 0)]

    key = ("image", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, MATRIX_RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.scratch_bytes))
    operands = [operand_of(nodes[0]), operand_of(nodes[1]), memory, packed, *outer]
    kernels += [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]
    return kernels


def _tile_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    packs: Packs,
    plan: TilePlan,
) -> list[KernelCode]:
    """The weights in Winograd's form, and the convolution."""
    nodes = group.anchors[0].operands
    kernels: list[KernelCode] = []
    size, what = plan.weights_bytes, f"weights in tiles [{plan.outs}]"
    packing = _made_weights(plan)
    packed = _packed(operand_of(nodes[1]), packing, size, what, kernels, scratch, packs)

    def emit(epilogue: _Epilogue) -> list[Emitted]:
        text, tasks = (InnerTiles if plan.inner else Tiles)(plan, epilogue).text()
        return [(text, tasks, tasks > 1, 0)]

    key = ("tiles", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, TILED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.scratch_bytes))
    operands = [operand_of(nodes[0]), operand_of(nodes[1]), memory, packed, *outer]
    kernels += [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]
    return kernels


def _sum_plan(
    group: Group, stores: Sequence[Store], forward: dict[int, Node], vector_bits: int
) -> SumPlan | None:
    """The plan of a gradient of weights in Winograd's form, where what is made of it lies in the
    order of memory.
    """
    left, right = group.anchors[0].operands
    plan = sum_plan_of(group, left, right, vector_bits)
    if plan is None:
        return None
    nodes = ordered_nodes([s.node for s in stores], forward)
    return plan if is_run(group, stores, nodes, plan.positions, (TAPS, TAPS)) else None


def _sum_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Scratch,
    vector_bits: int,
    plan: SumPlan,
) -> list[KernelCode]:
    def emit(epilogue: _Epilogue) -> list[Emitted]:
        made = sum_kernels(plan, epilogue)
        return [(text, tasks, tasks > 1, 0) for text, tasks in made]

    key = ("sums", plan)
    codes, outer = _from_template(group, stores, forward, vector_bits, RESERVED, key, emit)
    memory = Operand(scratch(dtypes.uint8, plan.scratch_bytes))
    operands = [*map(operand_of, group.anchors[0].operands), memory, *outer]
    return [KernelCode(text, operands, [], tasks, many) for text, tasks, many, _ in codes]


def _packed(
    source: Operand,
    packing: tuple[str, int, list[int]],
    size: int,
    label: str,
    kernels: list[KernelCode],
    scratch: Scratch,
    packs: Packs,
) -> Operand:
    """A packed operand; adds the kernel that packs it unless an earlier contraction has one."""
    text, tasks, words = packing
    place = id(source.buffer), source.offset, text, tuple(words)
    known = packs.made.get(place)
    buffer = packs.made[place] = scratch(dtypes.uint8, size, known)
    if known is None:
        operands = [source, Operand(buffer)]
        kernels.append(KernelCode(text, operands, words, tasks, tasks > 1, label=label))
    return Operand(buffer)


@lru_cache(1024)
def _scratch_bytes(plan: MatrixPlan) -> int:
    return scratch_bytes(plan) if len(plan.packed) < 2 else 0


@lru_cache(1024)
def _pack_text(vector_bits: int, side: Side) -> tuple[str, int, list[int]]:
    return pack_kernel(vector_bits, side)


@lru_cache(1024)
def _zip_text(vector_bits: int, zipped: Zip) -> tuple[str, int, list[int]]:
    return zip_kernel(vector_bits, zipped)


@lru_cache(1024)
def _made_weights(plan: TilePlan) -> tuple[str, int, list[int]]:
    return made_weights(plan)


@lru_cache(1024)
def _weights_text(vector_bits: int, weights: Weights) -> tuple[str, int, list[int]]:
    return weights_kernel(vector_bits, weights)


def _from_template(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    vector_bits: int,
    reserved: int,
    what: tuple[object, ...],
    emit: Callable[[_Epilogue], list[Emitted]],
) -> tuple[list[Emitted], list[Operand]]:
    """(what `emit` makes of the group's epilogue, the epilogue's operands), emitted once."""
    nodes = ordered_nodes([s.node for s in stores], forward)
    signature = Signature(nodes, stores, forward)
    key = (*what, vector_bits, tuple([v.key for v in group.kept]), signature.key)
    known = TEMPLATES.get(key) if signature.key is not None else None
    if known is not None:
        codes, roles = known
        return codes, [signature.operand(role) for role in roles]
    epilogue = _Epilogue(group, nodes, stores, forward, vector_bits, reserved)
    codes = emit(epilogue)
    outer = epilogue.writer.operands[reserved:]
    if signature.key is not None:
        TEMPLATES.put(key, (codes, [signature.role(o) for o in outer]))
    return codes, outer


def is_plain(node: Node) -> bool:
    """Whether an operand is a load at an affine address, always within bounds."""
    return (
        node.kind == "load"
        and not node.data[2]
        and all(isinstance(a, Variable) for a, _ in node.data[1].terms)
    )


def operand_of(node: Node) -> Operand:
    return Operand(node.data[0], node.data[1].constant)


def axes_of(group: Group, left: Expression, right: Expression, out: Expression) -> tuple[Axis, ...]:
    """An axis per loop variable; those of the result first, in order."""
    axes = []
    for variable in group.kept:
        a, b = left.coefficient(variable), right.coefficient(variable)
        kind = "batch" if a and b else "n" if b else "m"
        axes.append(Axis(kind, variable.extent, a, b, out.coefficient(variable)))
    for variable in group.folded:
        axes.append(
            Axis("k", variable.extent, left.coefficient(variable), right.coefficient(variable), 0)
        )
    return tuple(axes)


def _bands(group: Group) -> tuple[Band, ...]:
    """The bands of the anchor, with variables as positions among the axes."""
    place = {v.number: i for i, v in enumerate((*group.kept, *group.folded))}
    return tuple(
        [
            Band(-1 if out is None else place[out.number], place[k.number], *numbers)
            for out, k, *numbers in group.anchors[0].bands
        ]
    )


class _Epilogue:
    """The store callback: what is done with a piece of the result, stores included."""

    def __init__(
        self,
        group: Group,
        nodes: list[Node],
        stores: Sequence[Store],
        forward: dict[int, Node],
        vector_bits: int,
        reserved: int,
    ) -> None:
        anchor = group.anchors[0]
        assert anchor.result is not None
        self.result = anchor.result
        self.variables = group.kept
        self.stores = stores
        self.writer = KernelWriter(vector_bits, nodes, stores, forward)
        self.writer.operands = [Operand(None)] * reserved
        self.size = int(body_cost(nodes)) + 4 * len(stores)
        self.nodes = nodes

    def __call__(self, e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        writer, lanes = self.writer, value.type.lanes
        writer.restart(e, self.variables[lane_axis] if lanes > 1 else None, lanes)
        for variable, register in zip(self.variables, index, strict=True):
            writer.registers[variable.number] = register
        writer.scopes[0][self.result.number] = elements.rounded(e, value, self.result.dtype)
        writer.store_all(self.stores)

    def prefetch(
        self, e: Emitter, index: Sequence[Reg], lane_axis: int, *, near: bool = False
    ) -> None:
        """Asks for what the callback reads and writes at an index, where rows of it lie apart
        (`near`: or not).
        """
        least = 0 if near else FAR_ROWS
        writer, lane = self.writer, self.variables[lane_axis]
        places = [(*n.data[:2], False) for n in self.nodes if n.kind == "load" and not n.data[2]]
        places += [(s.buffer, s.address, True) for s in self.stores if not s.unwritten]
        writer.restart(e, None, 1)
        for variable, register in zip(self.variables, index, strict=True):
            writer.registers[variable.number] = register
        for buffer, address, write in places:
            terms = [(a, abs(n)) for a, n in address.terms if isinstance(a, Variable)]
            rows = max([n for a, n in terms if a != lane], default=0) * buffer.dtype.itemsize
            if len(terms) == len(address.terms) and (lane, 1) in terms and rows >= least:
                writer.prefetch(buffer, address, write=write)
