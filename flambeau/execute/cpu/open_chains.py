"""Which of a schedule's steps make up chains of elementwise functions and reductions.

Note: open chains
    Steps are gone through in their order. A step that can joins the open chain whose values it
    needs, or opens one. Whatever else needs a value of an open chain closes it: its call comes
    before that step. So all that a chain reads has been computed before it was opened or joined.

What is decided here is kept for all programs of an outline whose `spaces` are equal, so no more may
be asked than those tell (see Note [Outlines] in `flambeau.graph.outline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.math_functions import FUNCTIONS
from flambeau.execute.cpu.row_kernels import (
    COLUMN,
    COLUMN_SUM,
    FULL,
    ROW,
    ROW_MAX,
    ROW_MIN,
    ROW_PROD,
    ROW_SUM,
    SCALAR,
    Chain,
    Member,
)
from flambeau.execute.reference.schedule import Schedule
from flambeau.graph.outline import Outline
from flambeau.ops.primitive import ELEMENTWISE
from flambeau.ops.value import Shape, Value

OTHER = "other"  # broadcast in a way of its own: laid out in full first
VIEW = "view"  # a member in another shape, of no use within the chain
FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int64", "int32", "bool")
ANY_NUMBER = ("add", "sub", "mul", "where", "eq", "ne", "lt", "le", "gt", "ge")
FLOAT_ONLY = {"div", "neg", "abs", "maximum", "minimum", "fma", "rsqrt", "reciprocal", "sqrt"}
FLOAT_ONLY |= set(FUNCTIONS) - {"pow", "round_half_even"}
LOGICAL = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
REDUCTIONS = {"sum": ROW_SUM, "prod": ROW_PROD, "max": ROW_MAX, "min": ROW_MIN}
LONGEST_ROW = 1 << 13  # that is summed up in one go
MOST_MEMBERS = 48
TASK_ELEMENTS = 1 << 15


class Open:
    """A chain that steps may still join."""

    def __init__(self, space: Shape, split: int) -> None:
        self.space, self.split = space, split
        self.rows, self.columns = rows_and_columns(space, split)
        self.inputs: list[tuple[str, DType]] = []
        self.shapes: list[Shape] = []  # what each input is broadcast to
        self.places: list[int] = []
        self.known: dict[tuple[int, str], int] = {}
        self.members: list[Member] = []
        self.of_place: dict[int, tuple[int, str, Shape]] = {}  # place: member, extent, shape
        self.steps: list[Any] = []
        self.closed = False  # or part of another one

    def input(self, place: int, extent: str, dtype: DType, shape: Shape) -> int:
        extent = FULL if extent == OTHER else extent
        key = (place, extent)
        if key not in self.known:
            self.known[key] = -1 - len(self.inputs)
            self.inputs.append((extent, dtype))
            self.shapes.append(shape)
            self.places.append(place)
        return self.known[key]

    def add(self, step: Any, member: Member) -> None:
        self.of_place[step[4]] = (len(self.members), member.extent, step[6])
        self.members.append(member)
        self.steps.append(step)


def spaces(outline: Outline) -> tuple[Any, ...]:
    """What decides about chains of a program besides its outline: which shapes have the same rows
    and columns, which are one row, which have long ones, and which are long as a whole.
    """
    numbers: dict[tuple[int, int], int] = {}
    found = []
    for shape, split in zip(outline.shapes, splits(outline), strict=True):
        space = rows_and_columns(shape, split)
        number = numbers.setdefault(space, len(numbers))
        long = space[1] > LONGEST_ROW, space[0] * space[1] > LONGEST_ROW
        found.append((number, space[0] == 1, *long))
    return tuple(found)


class _Splits:
    """The key of an outline's splits."""


def splits(outline: Outline) -> tuple[int, ...]:
    """From which axis on an element of each shape stands in a row of its space: the last one, or
    where all that is broadcast to the shape, and all that is folded of it, wants the same other one
    (as what belongs to the channels of an image does).
    """
    found: tuple[int, ...] | None = outline.structure.kept.get(_Splits)
    if found is None:
        wanted: list[set[int]] = [set() for _ in outline.shapes]
        for v in outline.nodes:
            if v.primitive.family == ELEMENTWISE and v.shape:
                number = outline.of_nodes[outline.numbers[v]]
                for x in v.inputs:
                    own = x.inputs[0].shape if x.primitive.name == "expand" else x.shape
                    if own != v.shape and prod(own) != 1:
                        wanted[number].add(_split_of_operand(own, v.shape))
            elif v.primitive.name in REDUCTIONS:
                x = v.inputs[0]
                split = _split_of_axes(x.shape, v.attrs["axes"])
                wanted[outline.of_nodes[outline.numbers[x]]].add(split)
        found = outline.structure.kept[_Splits] = tuple([
            last if len(of) != 1 or -1 in of else of.pop()
            for of, last in zip(wanted, [len(shape) - 1 for shape in outline.shapes], strict=True)
        ])  # fmt: skip
    return found


def _split_of_operand(own: Shape, shape: Shape) -> int:
    """Where the columns begin, if a shape is broadcast to another along all of them, or along all
    rows; -1 if neither.
    """
    padded = (1,) * (len(shape) - len(own)) + own
    narrow = [a == 1 for a, b in zip(padded, shape, strict=True) if b != 1]
    axes = [k for k, b in enumerate(shape) if b != 1]
    first = narrow.index(not narrow[0]) if (not narrow[0]) in narrow else len(narrow)
    if first == len(narrow) or any(one is narrow[0] for one in narrow[first:]):
        return -1
    return axes[first]


def _split_of_axes(shape: Shape, folded: Sequence[int]) -> int:
    """The same of a fold over axes."""
    within = [k in folded for k, b in enumerate(shape) if b != 1]
    axes = [k for k, b in enumerate(shape) if b != 1]
    first = within.index(not within[0]) if within and (not within[0]) in within else len(within)
    if first == len(within) or any(one is within[0] for one in within[first:]):
        return -1
    return axes[first]


class Joining:
    """`least`: elements of what is joined."""

    def __init__(
        self, schedule: Schedule, among: Sequence[Any] | None = None, least: int = 2
    ) -> None:
        self.schedule, self.least = schedule, least
        self.among = schedule.steps if among is None else among
        outline = schedule.program.outline
        self.splits = dict(zip(outline.shapes, splits(outline), strict=True))
        self.steps: list[Any] = []  # steps, and chains that are closed
        self.open: dict[int, Open] = {}  # by the places of their members
        self.readers: dict[tuple[int, int, int], Open] = {}  # by a FULL input and the space
        self.users: dict[int, list[int]] = {}
        self.wanted = {place for place, _ in schedule.results}
        self.wanted |= {place for _, place, _ in schedule.updates}
        for step in self.among:
            for place in step[2]:
                self.users.setdefault(place, []).append(step[4])

    def run(self) -> list[Any]:
        """The steps that stay, and closed chains between them."""
        for step in self.among:
            self._next(step)
        self._close_all()
        return self.steps

    def run_one(self, step: Any) -> Any:
        """A step by itself: a closed chain, or the step."""
        self._next(step)
        self._close_all()
        return self.steps[-1]

    def _next(self, step: Any) -> None:
        if not self._join(step):
            for place in step[2]:
                if place in self.open:
                    self._close(self.open[place])
            self.steps.append(step)

    def _close_all(self) -> None:
        while self.open:
            self._close(next(iter(self.open.values())))

    def _close(self, chain: Open) -> None:
        for place in chain.of_place:
            del self.open[place]
        chain.closed = True
        self.steps.append(chain)

    # ---- joining ---------------------------------------------------------------------------------

    def _join(self, step: Any) -> bool:
        if step[6] is None:
            return False  # a call of an earlier time
        node: Value = step[0]
        name = node.primitive.name
        if name == "reshape":
            return self._rename(step)
        if name in REDUCTIONS:
            return self._reduce(step, name)
        if node.primitive.family != ELEMENTWISE or not _fits(node):
            return False
        if node.size < self.least:
            return False
        return self._compute_rows(step) or self._compute(step)

    def _rename(self, step: Any) -> bool:
        """A reshape of a member is the member by another name."""
        chain = self.open.get(step[2][0])
        if chain is None:
            return False
        number, extent, shape = chain.of_place[step[2][0]]
        to = step[6]
        keeps = extent == ROW  # (one for each row, as before)
        if extent == FULL:
            keeps = bool(to) and to[-1] == shape[-1]
        chain.of_place[step[4]] = (number, extent if keeps else VIEW, to)
        chain.steps.append(step)
        self.open[step[4]] = chain
        return True

    def _operand_shapes(self, step: Any) -> list[tuple[int, Shape, DType]]:
        """(place, shape, dtype) of the operands of a step, as they are broadcast."""
        found = []
        for place, v in zip(step[2], step[0].inputs, strict=True):
            if place != self.schedule.places.get(v):
                v = v.inputs[0]  # before it was expanded
            found.append((place, tuple(v.shape), v.dtype))
        return found

    def _compute_rows(self, step: Any) -> bool:
        """A function of ROW values of an open chain."""
        shape = tuple(step[6])
        chain = None
        for place in step[2]:
            known = self.open.get(place)
            if known is not None and known.of_place[place][1] == ROW:
                chain = known
                break
        if chain is None or prod(shape) != chain.rows or len(chain.members) >= MOST_MEMBERS:
            return False
        operands = self._operand_shapes(step)
        for place, own, _ in operands:
            member = chain.of_place.get(place)
            if member is not None and (member[1] != ROW or own != shape):
                return False
        return self._add(step, chain, shape, operands, ROW)

    def _compute(self, step: Any) -> bool:
        """A function of FULL values, in an open chain or a new one."""
        shape = tuple(step[6])
        split = self.splits[shape]
        rows, columns = rows_and_columns(shape, split)
        operands = self._operand_shapes(step)
        chain: Open | None = None
        for place, own, _ in operands:
            known = self.open.get(place)
            if known is None:
                known = self.readers.get((place, rows, columns))
                if known is None or known.closed:
                    continue
            elif known.of_place[place][1] != _extent(own, shape, rows, split):
                continue
            if (known.rows, known.columns) != (rows, columns) or known is chain:
                continue
            if chain is None:
                chain = known if len(known.members) < MOST_MEMBERS else None
            elif len(chain.members) + len(known.members) < MOST_MEMBERS:
                self._merge(chain, known)
        if chain is not None:
            for place, own, _ in operands:
                member = chain.of_place.get(place)
                if member is not None and member[1] != _extent(own, shape, rows, split):
                    return False
        return self._add(step, chain or Open(shape, split), shape, operands, FULL)

    def _merge(self, chain: Open, other: Open) -> None:
        """Makes two open chains one."""
        inputs = [
            chain.input(place, extent, dtype, shape)
            for place, (extent, dtype), shape in zip(
                other.places, other.inputs, other.shapes, strict=True
            )
        ]
        count = len(chain.members)
        for member in other.members:
            operands = [k + count if k >= 0 else inputs[-1 - k] for k in member.operands]
            chain.members.append(replace(member, operands=tuple(operands)))
        for place, (number, extent, shape) in other.of_place.items():
            chain.of_place[place] = (number + count, extent, shape)
            self.open[place] = chain
        chain.steps += other.steps
        other.closed = True

    def _add(
        self,
        step: Any,
        chain: Open,
        shape: Shape,
        operands: list[tuple[int, Shape, DType]],
        extent: str,
    ) -> bool:
        numbers = []
        for place, own, dtype in operands:
            member = chain.of_place.get(place)
            if member is not None:
                numbers.append(member[0])
                continue
            if place in self.open:
                self._close(self.open[place])
            kind = _extent(own, shape, chain.rows if extent == FULL else 1, self.splits[shape])
            if extent == ROW:
                own, kind = (own, SCALAR) if kind == SCALAR else (shape, ROW)
            numbers.append(chain.input(place, kind, dtype, shape if kind == OTHER else own))
            if kind == FULL:
                self.readers[place, chain.rows, chain.columns] = chain
        member_ = Member(step[0].primitive.name, step[0].dtype, extent, tuple(numbers))
        chain.add(step, member_)
        self.open[step[4]] = chain
        return True

    def _reduce(self, step: Any, name: str) -> bool:
        node: Value = step[0]
        x = node.inputs[0]
        shape, axes = tuple(x.shape), tuple(node.attrs["axes"])
        if x.dtype.name not in FLOATS or step[2][0] != self.schedule.places.get(x):
            return False
        if not shape:
            return False
        wide = [k for k, extent in enumerate(shape) if extent != 1]
        folded = [k for k in axes if shape[k] != 1]
        split = 0 if folded == wide else self.splits[shape]
        rows, columns = rows_and_columns(shape, split)
        if (rows == 1 and self.least > 1) or x.size < 2:
            return False
        if folded == [k for k in wide if rows == 1 or k >= split]:
            kind, extent = REDUCTIONS[name], ROW
            if name in ("sum", "prod") and columns > LONGEST_ROW:
                return False
        elif name == "sum" and rows > 1 and folded == [k for k in wide if k < split]:
            kind, extent = COLUMN_SUM, COLUMN
        else:
            return False
        place = step[2][0]
        chain = self.open.get(place)
        if chain is not None and (
            (chain.rows, chain.columns) != (rows, columns)
            or chain.of_place[place][1] != FULL
            or len(chain.members) >= MOST_MEMBERS
        ):
            self._close(chain)
            chain = None
        if chain is None:
            chain = Open(shape, split)
            number = chain.input(place, FULL, x.dtype, shape)
        else:
            number = chain.of_place[place][0]
        chain.add(step, Member(kind, node.dtype, extent, (number,)))
        if extent == COLUMN:
            chain.of_place[step[4]] = (len(chain.members) - 1, VIEW, tuple(step[6]))
        self.open[step[4]] = chain
        return True

    # ---- what a closed chain becomes -------------------------------------------------------------

    def chain(self, chain: Open, least: int = 2) -> Chain | None:
        """The chain's text; None where it is not worth a kernel."""
        names = [m.name for m in chain.members]
        if len(names) < least and COLUMN_SUM not in names:
            return None
        results = [number for number, _, _ in self.outputs(chain)]
        return Chain(tuple(chain.inputs), tuple(chain.members), tuple(dict.fromkeys(results)))

    def outputs(self, chain: Open) -> list[tuple[int, int, Shape]]:
        """(member, place, shape) of what others than the chain need."""
        found = []
        for place, (number, _, shape) in chain.of_place.items():
            users = self.users.get(place, ())
            if place in self.wanted or any(user not in chain.of_place for user in users):
                found.append((number, place, shape))
        return found


def _fits(node: Value) -> bool:
    """Whether there is code for an elementwise function of these dtypes."""
    name, operands = node.primitive.name, node.inputs
    if node.attrs and name != "cast" and name != "where":
        return False
    if node.dtype.name not in DTYPES or any(v.dtype.name not in DTYPES for v in operands):
        return False
    if name == "where":
        return operands[0].dtype is dtypes.bool_
    if name == "cast":
        return node.dtype.name != "bool" or operands[0].dtype.name in FLOATS
    if name in LOGICAL:
        return node.dtype is dtypes.bool_
    if name in ANY_NUMBER:
        return operands[0].dtype is not dtypes.bool_
    return name in FLOAT_ONLY and node.dtype.name in FLOATS


def rows_and_columns(shape: Shape, split: int) -> tuple[int, int]:
    """Rows and columns of the values of a shape, whose columns are its axes from `split` on."""
    size, columns = prod(shape), prod(shape[split:]) if shape else 1
    if columns == size or columns == 1:
        return 1, size
    return size // columns, columns


def divided(rows: int, columns: int, flat: bool, totals: bool) -> tuple[int, int, int, int]:
    """A chain's rows and columns as its kernel is told them, how many rows (columns, where `flat`)
    a task has, and how many tasks there are.
    """
    if flat:
        rows, columns = 1, rows * columns
    whole = columns if flat else rows
    tasks = 1 if totals else max(1, min(whole, rows * columns // TASK_ELEMENTS))
    share = -(-whole // tasks)
    if flat:
        share = -(-share // 64) * 64
    return rows, columns, share, -(-whole // share)


def _extent(own: Shape, shape: Shape, rows: int, split: int) -> str:
    """How an operand's shape is broadcast to a shape."""
    if own == shape:
        return FULL
    if prod(own) == 1:
        return SCALAR
    if rows == 1:
        return OTHER
    padded = (1,) * (len(shape) - len(own)) + own
    if padded[split:] == shape[split:] and prod(padded[:split]) == 1:
        return COLUMN
    if padded[:split] == shape[:split] and prod(padded[split:]) == 1:
        return ROW
    return OTHER
