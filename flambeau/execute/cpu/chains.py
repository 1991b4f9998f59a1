"""A schedule's chains of elementwise functions and reductions, joined into calls of kernels.

For programs that are not worth compiling, because their lengths are ever new: the kernels
(`row_kernels.py`) are told lengths as they run, so that those of earlier programs serve, and a
softmax or a layer norm is one call instead of ten. What stands between the chains (products,
gathers, changes of order) stays with NumPy.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Sequence as Several
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds, engine, row_kernels, runtime
from flambeau.execute.cpu.open_chains import (
    TASK_ELEMENTS,
    Joining,
    Open,
    divided,
    rows_and_columns,
    spaces,
)
from flambeau.execute.cpu.row_kernels import COLUMN, COLUMN_SUM, FULL, ROW, Chain
from flambeau.execute.cpu.sequences import Final, Sequence, Whole, sequences
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference.schedule import Recipe, Schedule
from flambeau.graph.outline import Outline
from flambeau.ops.primitive import Array
from flambeau.ops.value import Shape, leave_to_reference_counts

MOST_SPACES = 32  # that are kept of one outline
OFTEN = 3  # programs that have wanted a kernel before it is compiled


class _Kernels:
    """How often kernels were wanted, and the addresses of those that are there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: dict[Chain, int] = {}
        self.addresses: dict[Chain, int] = {}

    def now(self, chain: Chain) -> int:
        """The address of a chain's kernel, compiled where that has not been done."""
        with self.lock:
            if chain not in self.addresses:
                text = row_kernels.kernel_text(chain, Target.host().vector_bits)
                self.addresses[chain] = engine.kernel_addresses([text])[0]
            return self.addresses[chain]

    def load(self, chains: Several[Chain]) -> None:
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


def join(schedule: Schedule) -> bool:
    """Replaces chains of a schedule's steps by calls of kernels; whether all were there.

    Kernels are compiled when several programs have wanted them.
    """
    recipe = schedule.fresh_recipe()
    if recipe is None:
        return _Calls(schedule, _parts(schedule)).take()
    kept = recipe.kept
    key = spaces(schedule.program.outline)
    parts = kept.get(key)
    if parts is None:
        if len(kept) >= MOST_SPACES:
            kept.clear()
        parts = kept[key] = _parts(schedule)
    return _Calls(schedule, parts).take()


def _parts(schedule: Schedule) -> Parts:
    """The steps of a schedule, by number, and the chains between them."""
    joining = Joining(schedule)
    numbers = {step[4]: number for number, step in enumerate(schedule.steps)}
    found: list[int | _Part] = []
    for item in joining.run():
        steps = [numbers[step[4]] for step in (item.steps if type(item) is Open else [item])]
        chain = joining.chain(item) if type(item) is Open else None
        if chain is None:
            found += steps
        else:
            found.append(part_of(joining, item, chain, steps))
    return Parts(found)


def part_of(joining: Joining, item: Open, chain: Chain, steps: list[int]) -> _Part:
    """A closed chain, and the numbers of its steps."""
    outline = joining.schedule.program.outline
    return _Part(item, chain, steps, joining.outputs(item), outline)


def single(schedule: Schedule, steps: Several[Any], number: int) -> tuple[_Part, int] | None:
    """A chain of one of these steps, for where a call of its own is not needed."""
    joining = Joining(schedule, steps, least=1)
    item = joining.run_one(steps[number])
    if type(item) is not Open:
        return None
    chain = joining.chain(item, 1)
    if chain is None:
        return None
    return part_of(joining, item, chain, [number]), KERNELS.now(chain)


class _Part:
    """A closed chain without its sizes: places are those of its schedule, shapes their numbers in
    its outline.
    """

    __slots__ = (
        "chain", "flat", "inputs", "made", "node", "outputs", "places", "results", "scratch",
        "space", "split", "steps", "totals",
    )  # fmt: skip

    def __init__(
        self,
        item: Open,
        chain: Chain,
        steps: list[int],
        outputs: list[tuple[int, int, Shape]],
        outline: Outline,
    ) -> None:
        shapes = {shape: number for number, shape in enumerate(outline.shapes)}
        self.chain, self.steps = chain, steps
        self.flat, self.totals = chain.flat, chain.has_totals
        self.node = outline.numbers[item.steps[-1][0]]
        self.space, self.split = shapes[item.space], item.split
        self.places = tuple(item.places)
        self.inputs = tuple([shapes[shape] for shape in item.shapes])
        self.outputs = tuple([(chain.results.index(n), shapes[shape]) for n, _, shape in outputs])
        self.made = tuple([place for _, place, _ in outputs])
        members = [chain.members[number] for number in chain.results]
        self.results = tuple([(m.extent, _numpy(m.dtype), m.name == COLUMN_SUM) for m in members])
        self.scratch = tuple([_numpy(chain.members[k].dtype) for k in row_kernels.scratch(chain)])


class Parts:
    """What a schedule's steps become: numbers of steps that stay, and chains.

    `final`, once there is a kernel for each chain: the steps that are still needed, and the places
    that nobody reads after each; those that make up a sequence are one.
    """

    __slots__ = ("chains", "final", "items")

    def __init__(self, items: list[int | _Part]) -> None:
        self.items = items
        self.chains = [item for item in items if isinstance(item, _Part)]
        self.final: list[Final | Sequence] | None = None


class _Calls:
    """The calls of a schedule's chains."""

    def __init__(self, schedule: Schedule, parts: Parts) -> None:
        self.schedule, self.parts = schedule, parts
        self.outline = schedule.program.outline
        self.constants: dict[tuple[int, Shape], int] = {}

    def take(self) -> bool:
        """Gives them to the schedule; whether there was a kernel for each."""
        schedule, parts = self.schedule, self.parts
        schedule.joined = True
        if parts.final is not None and schedule.recipe is not None:
            self._take_final(schedule.recipe, parts.final)
            return True
        KERNELS.load([part.chain for part in parts.chains])
        steps: list[Any] = []
        known = schedule.steps
        whole = True
        for item in parts.items:
            if isinstance(item, int):
                steps.append(known[item])
                continue
            address = KERNELS.addresses.get(item.chain, 0)
            if address:
                steps.append(self._call(item, address, ()))
            else:
                whole = False
                steps += [known[number] for number in item.steps]
        schedule.replace_steps(steps)
        if whole and schedule.recipe is not None:
            of = {part.made: part for part in parts.chains}
            numbers = {step[4]: k for k, step in enumerate(known)}
            finals = [
                Final(numbers[step[4]], 0, step[7])
                if step[6] is not None
                else Final(of[step[4]], KERNELS.addresses[of[step[4]].chain], step[7])
                for step in schedule.steps
            ]
            parts.final = [*finals]
            if not bounds.switched_on():
                alone = partial(single, schedule, known)
                parts.final = sequences(schedule, schedule.recipe, finals, alone)
                self._take_final(schedule.recipe, parts.final)
        return whole

    def _take_final(self, recipe: Recipe, items: list[Final | Sequence]) -> None:
        """Gives the schedule what the parts have become."""
        steps: list[Any] = []
        for item in items:
            if isinstance(item, Sequence):
                steps.append(item.step(self.schedule))
            elif item.address:
                steps.append(self._call(item.item, item.address, item.dead))
            else:
                steps.append(recipe.step(self.outline, item.item, item.dead))
        self.schedule.take_steps(steps)
        self.schedule.whole = Whole.of(self.schedule)

    def _call(self, part: _Part, address: int, dead: tuple[int, ...]) -> Any:
        shapes = self.outline.shapes
        given = [
            self._laid_out(place, shapes[shape])
            for place, shape in zip(part.places, part.inputs, strict=True)
        ]
        node = self.outline.nodes[part.node]
        call = Call(part, shapes, address)
        step: Any = (node, call, tuple(given), {}, part.made, None, None, dead)
        leave_to_reference_counts(step)
        return step

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

    def __init__(self, part: _Part, shapes: Several[Shape], address: int) -> None:
        rows, columns = rows_and_columns(shapes[part.space], part.split)
        self.chain = part.chain
        self.outputs = tuple([(k, shapes[shape]) for k, shape in part.outputs])
        self.inputs = tuple([(shapes[k], prod(shapes[k])) for k in part.inputs])
        rows, columns, share, tasks = divided(rows, columns, part.flat, part.totals)
        sizes = {FULL: rows * columns, ROW: rows, COLUMN: columns}
        self.results = tuple([(sizes[extent], *kind) for extent, *kind in part.results])
        self.scratch = tuple([(tasks * columns, dtype) for dtype in part.scratch])
        count = len(self.inputs) + len(self.results) + len(self.scratch)
        words = (rows, columns, share, *range(count))
        record = runtime.Record(address, words, tasks, tasks > 1)
        self.program = runtime.encode_program([record])
        self.address = address_of(self.program)
        self.releases = rows * columns >= TASK_ELEMENTS
        leave_to_reference_counts(self)

    def __call__(self, *operands: Array) -> list[Array]:
        arrays = []
        for x, (shape, size) in zip(operands, self.inputs, strict=True):
            if x.size != size:
                x, own = np.empty(shape, x.dtype), x
                x[...] = own
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
