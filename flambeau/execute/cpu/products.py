"""Groups of a contraction and its epilogue: the bridge from bodies to
`contraction.emit_contraction`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.contraction import Axis, Contraction, emit_contraction
from flambeau.execute.cpu.contraction_spec import ACCUMULATORS, Band
from flambeau.execute.cpu.emit import Emitter, Reg
from flambeau.execute.cpu.fusion import Group
from flambeau.execute.cpu.index import Expression, Variable
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Operand, Store, ordered_nodes
from flambeau.execute.cpu.nests import body_cost
from flambeau.execute.cpu.templates import TEMPLATES, Signature

RESERVED = 3  # operands 0 .. 2 are A, B and the scratch memory


def contraction_kernels(
    group: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    scratch: Callable[[DType, int], Buffer],
    vector_bits: int,
) -> list[KernelCode] | None:
    """The kernels of a group whose anchor is a contraction; None if its operands are not plain
    reads.
    """
    anchor = group.anchors[0]
    left, right = anchor.operands
    element = anchor.value.dtype.llvm
    if not (is_plain(left) and is_plain(right)) or element not in ACCUMULATORS:
        return None
    if anchor.value.dtype.kind == "b" or not all(v.extent for v in group.folded):
        return None
    axes = _axes(group, left.data[1], right.data[1], stores[0].address)
    spec = Contraction(axes, element, element, _bands(group))
    nodes = ordered_nodes([s.node for s in stores], forward)
    signature = Signature(nodes, stores, forward)
    key = ("contraction", spec, vector_bits, tuple([v.key for v in group.kept]), signature.key)
    known = TEMPLATES.get(key) if signature.key is not None else None
    if known is None:
        epilogue = _Epilogue(group, nodes, stores, forward, vector_bits)
        try:
            codes = emit_contraction(vector_bits, spec, epilogue, store_size=epilogue.size)
        except NotImplementedError:
            if not spec.bands:
                raise
            return None  # no tile fits between the bands: the general loops have guards
        outer = epilogue.writer.operands[RESERVED:]
        if signature.key is not None:
            TEMPLATES.put(key, (codes, [signature.role(o) for o in outer]))
    else:
        codes, roles = known
        outer = [signature.operand(role) for role in roles]
    needed = max((c.scratch_bytes for c in codes), default=0)
    memory = Operand(scratch(dtypes.uint8, max(needed, 1)))
    operands = [_operand(left), _operand(right), memory, *outer]
    return [KernelCode(c.text, operands, [], c.tasks, c.parallel) for c in codes]


def is_plain(node: Node) -> bool:
    """Whether an operand is a load at an affine address, always within bounds."""
    return (
        node.kind == "load"
        and not node.data[2]
        and all(isinstance(a, Variable) for a, _ in node.data[1].terms)
    )


def _operand(node: Node) -> Operand:
    return Operand(node.data[0], node.data[1].constant)


def _axes(group: Group, left: Expression, right: Expression, out: Expression) -> tuple[Axis, ...]:
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
    ) -> None:
        anchor = group.anchors[0]
        assert anchor.result is not None
        self.result = anchor.result
        self.variables = group.kept
        self.stores = stores
        self.writer = KernelWriter(vector_bits, nodes, stores, forward)
        self.writer.operands = [Operand(None)] * RESERVED
        self.size = int(body_cost(nodes)) + 4 * len(stores)

    def __call__(self, e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        writer, lanes = self.writer, value.type.lanes
        writer.restart(e, self.variables[lane_axis] if lanes > 1 else None, lanes)
        for variable, register in zip(self.variables, index, strict=True):
            writer.registers[variable.number] = register
        writer.scopes[0][self.result.number] = elements.rounded(e, value, self.result.dtype)
        writer.store_all(self.stores)
