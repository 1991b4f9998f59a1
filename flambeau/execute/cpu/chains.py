"""A schedule's chains of elementwise functions and reductions, joined into calls of kernels.

For programs that are not worth compiling, because their lengths are ever new: the kernels
(`row_kernels.py`) are told lengths as they run, so that those of earlier programs serve, and a
softmax or a layer norm is one call instead of ten. What stands between the chains (products,
gathers, changes of order) stays with NumPy.

Note: open chains
    Steps are gone through in their order. A step that can joins the open chain whose values it
    needs, or opens one. Whatever else needs a value of an open chain closes it: its call comes
    before that step. So all that a chain reads has been computed before it was opened or joined.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds, engine, row_kernels, runtime
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
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference.schedule import Schedule
from flambeau.ops.primitive import ELEMENTWISE, Array
from flambeau.ops.value import Shape, Value, leave_to_reference_counts

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
OFTEN = 3  # programs that have wanted a kernel before it is compiled


class _Kernels:
    """How often kernels were wanted, and the addresses of those that are there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: dict[Chain, int] = {}
        self.addresses: dict[Chain, int] = {}

    def load(self, chains: Sequence[Chain]) -> None:
        """Counts the chains of one program; compiles what has been wanted often enough."""
        with self.lock:
            missing = []
            for chain in dict.fromkeys(chains):
                if chain in self.addresses:
                    continue
                self.wanted[chain] = self.wanted.get(chain, 0) + 1
                if self.wanted[chain] >= OFTEN:
                    missing.append(chain)
            if missing:
                bits = Target.host().vector_bits
                texts = [row_kernels.kernel_text(chain, bits) for chain in missing]
                found = engine.kernel_addresses(texts)
                self.addresses.update(zip(missing, found, strict=True))
            if len(self.wanted) > 4096:
                self.wanted.clear()


KERNELS = _Kernels()


def _after_fork() -> None:
    """The thread that held the lock does not exist in the child."""
    KERNELS.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Open:
    """A chain that steps may still join."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
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


def join(schedule: Schedule) -> bool:
    """Replaces chains of a schedule's steps by calls of kernels; whether all were there.

    Kernels are compiled when several programs have wanted them.
    """
    return _Joining(schedule).run()


class _Joining:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.steps: list[Any] = []  # steps, and chains that are closed
        self.open: dict[int, _Open] = {}  # by the places of their members
        self.readers: dict[tuple[int, int, int], _Open] = {}  # by a FULL input and the space
        self.constants: dict[tuple[int, Shape], int] = {}
        self.users: dict[int, list[int]] = {}
        self.wanted = {place for place, _ in schedule.results}
        self.wanted |= {place for _, place, _ in schedule.updates}
        for step in schedule.steps:
            for place in step[2]:
                self.users.setdefault(place, []).append(step[4])

    def run(self) -> bool:
        for step in self.schedule.steps:
            if not self._join(step):
                for place in step[2]:
                    if place in self.open:
                        self._close(self.open[place])
                self.steps.append(step)
        while self.open:
            self._close(next(iter(self.open.values())))
        closed = [(x, self._chain(x)) for x in self.steps if isinstance(x, _Open)]
        KERNELS.load([chain for _, chain in closed if chain is not None])
        chains = {id(x): chain for x, chain in closed}
        steps: list[Any] = []
        whole = True
        for item in self.steps:
            if not isinstance(item, _Open):
                steps.append(item)
                continue
            chain = chains[id(item)]
            address = None if chain is None else KERNELS.addresses.get(chain)
            if chain is None or address is None:
                whole = whole and chain is None
                steps += item.steps
            else:
                steps.append(self._call(item, chain, address))
        self.schedule.replace_steps(steps)
        return whole

    def _close(self, chain: _Open) -> None:
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
        if node.primitive.family != ELEMENTWISE or not _fits(node) or node.size < 2:
            return False
        return self._compute_rows(step) or self._compute(step)

    def _rename(self, step: Any) -> bool:
        """A reshape of a member is the member by another name."""
        chain = self.open.get(step[2][0])
        if chain is None:
            return False
        number, extent, shape = chain.of_place[step[2][0]]
        to = step[6]
        keeps = extent == ROW and prod(to) == chain.rows
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
        rows, columns = _space(shape)
        operands = self._operand_shapes(step)
        chain: _Open | None = None
        for place, own, _ in operands:
            known = self.open.get(place)
            if known is None:
                known = self.readers.get((place, rows, columns))
                if known is None or known.closed:
                    continue
            elif known.of_place[place][1] != _extent(own, shape, rows):
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
                if member is not None and member[1] != _extent(own, shape, rows):
                    return False
        return self._add(step, chain or _Open(rows, columns), shape, operands, FULL)

    def _merge(self, chain: _Open, other: _Open) -> None:
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
        chain: _Open,
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
            kind = _extent(own, shape, chain.rows if extent == FULL else 1)
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
        rows, columns = _space(shape)
        if rows == 1 or not shape or x.size < 2:
            return False
        if axes == (len(shape) - 1,):
            kind, extent = REDUCTIONS[name], ROW
            if name in ("sum", "prod") and columns > LONGEST_ROW:
                return False
        elif name == "sum" and axes == tuple(range(len(shape) - 1)):
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
            chain = _Open(rows, columns)
            number = chain.input(place, FULL, x.dtype, shape)
        else:
            number = chain.of_place[place][0]
        chain.add(step, Member(kind, node.dtype, extent, (number,)))
        if extent == COLUMN:
            chain.of_place[step[4]] = (len(chain.members) - 1, VIEW, tuple(step[6]))
        self.open[step[4]] = chain
        return True

    # ---- what a closed chain becomes -------------------------------------------------------------

    def _chain(self, chain: _Open) -> Chain | None:
        """The chain's text; None where it is not worth a kernel."""
        names = [m.name for m in chain.members]
        if len(names) < 2 and COLUMN_SUM not in names:
            return None
        results = [number for number, _, _ in self._outputs(chain)]
        return Chain(tuple(chain.inputs), tuple(chain.members), tuple(dict.fromkeys(results)))

    def _outputs(self, chain: _Open) -> list[tuple[int, int, Shape]]:
        """(member, place, shape) of what others than the chain need."""
        found = []
        for place, (number, _, shape) in chain.of_place.items():
            users = self.users.get(place, ())
            if place in self.wanted or any(user not in chain.of_place for user in users):
                found.append((number, place, shape))
        return found

    def _call(self, item: _Open, chain: Chain, address: int) -> Any:
        outputs = self._outputs(item)
        call = Call(item, chain, address, [(chain.results.index(n), s) for n, _, s in outputs])
        places = tuple([place for _, place, _ in outputs])
        given = [
            self._laid_out(place, shape)
            for place, shape in zip(item.places, item.shapes, strict=True)
        ]
        return (item.steps[-1][0], call, tuple(given), {}, places, None, None, ())

    def _laid_out(self, place: int, shape: Shape) -> int:
        """The place of an operand; of a constant, of one that calls take as it is."""
        known = self.schedule.start[place]
        if known is None or prod(shape) > TASK_ELEMENTS:
            return place
        if known.size == prod(shape) and known.flags.c_contiguous:
            return place
        key = place, shape
        if key not in self.constants:
            self.constants[key] = len(self.schedule.start)
            self.schedule.start.append(np.array(np.broadcast_to(known, shape), order="C"))
        return self.constants[key]


class Call:
    """Calls a chain's kernel for arrays of certain shapes; gives the arrays others need."""

    __slots__ = (
        "address",
        "chain",
        "inputs",
        "outputs",
        "program",
        "releases",
        "results",
        "scratch",
    )

    def __init__(
        self, item: _Open, chain: Chain, address: int, outputs: list[tuple[int, Shape]]
    ) -> None:
        rows, columns = item.rows, item.columns
        self.chain = chain
        self.outputs = tuple(outputs)
        self.inputs = tuple([(shape, prod(shape)) for shape in item.shapes])
        if chain.flat:
            rows, columns = 1, rows * columns
        whole = columns if chain.flat else rows
        tasks = 1 if chain.has_totals else max(1, min(whole, rows * columns // TASK_ELEMENTS))
        share = -(-whole // tasks)
        if chain.flat:
            share = -(-share // 64) * 64
        tasks = -(-whole // share)
        sizes = {FULL: rows * columns, ROW: rows, COLUMN: columns}
        members = [chain.members[number] for number in chain.results]
        self.results = tuple(
            [(sizes[m.extent], _numpy(m.dtype), m.name == COLUMN_SUM) for m in members]
        )
        self.scratch = tuple(
            [(tasks * columns, _numpy(chain.members[k].dtype)) for k in row_kernels.scratch(chain)]
        )
        record = runtime.Record(address, (rows, columns, share), tasks, tasks > 1)
        self.program = runtime.encode_program([record])
        self.address = address_of(self.program)
        self.releases = rows * columns >= TASK_ELEMENTS
        leave_to_reference_counts(self)

    def __call__(self, *operands: Array) -> list[Array]:
        arrays = []
        for x, (shape, size) in zip(operands, self.inputs, strict=True):
            if x.size != size:
                x = np.broadcast_to(x, shape)
            if type(x) is not np.ndarray or not x.flags.c_contiguous:
                x = np.ascontiguousarray(x)  # NumPy's scalars are no arrays: the kernel reads heads
            arrays.append(x)
        results = [
            np.zeros(size) if totals else np.empty(size, dtype)
            for size, dtype, totals in self.results
        ]
        arrays += results
        arrays += [np.empty(size, dtype) for size, dtype in self.scratch]
        table = array("q", map(id, arrays))
        if bounds.switched_on():
            self._run_checked(arrays, table)
        else:
            runtime.call_run(table.buffer_info()[0], self.address, release_gil=self.releases)
        for k, (_, dtype, totals) in enumerate(self.results):
            if totals:
                results[k] = results[k].astype(dtype, copy=False)
        return [results[k].reshape(shape) for k, shape in self.outputs]

    def _run_checked(self, arrays: list[Array], table: Any) -> None:
        """The kernel may touch the arrays, their heads, the table and its own words."""
        start, count = table.buffer_info()
        heads = [(id(x), id(x) + np.ndarray.__basicsize__) for x in arrays]
        ranges = [*heads, *map(bounds.array_range, (*arrays, self.program))]
        text = row_kernels.kernel_text(self.chain, Target.host().vector_bits)
        with bounds.allowed([*ranges, (start, start + 8 * count)], text, "chain"):
            runtime.call_run(start, self.address, release_gil=self.releases)


@cache
def _numpy(dtype: DType) -> Any:
    return np.dtype(dtype.numpy)


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


def _space(shape: Shape) -> tuple[int, int]:
    """Rows and columns of the values of a shape."""
    size, columns = prod(shape), shape[-1] if shape else 1
    if columns == size or columns == 1:
        return 1, size
    return size // columns, columns


def _extent(own: Shape, shape: Shape, rows: int) -> str:
    """How an operand's shape is broadcast to a shape."""
    if own == shape:
        return FULL
    if prod(own) == 1:
        return SCALAR
    if rows == 1:
        return OTHER
    padded = (1,) * (len(shape) - len(own)) + own
    if padded[-1] == shape[-1] and prod(padded[:-1]) == 1:
        return COLUMN
    if padded[-1] == 1 and padded[:-1] == shape[:-1]:
        return ROW
    return OTHER
