"""Kernels that follow each other and go through the same rows: a layer norm, a softmax.

Note [Chains of rows]
A softmax is four kernels: the largest of each row, the exponentials, their sum, the quotients. Each
goes through the whole matrix, so that a large one goes through memory four times. Where whatever a
kernel writes is read by those after it in the same row only, a few rows can go through all of them
before the next rows do: these stay in the cache. The runner calls the kernels of such a chain in
turns, task by task (`runner.py`), and a task of each is the same rows. What each kernel computes
does not change, to the last bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.fusion import Group
from flambeau.execute.cpu.index import Expression, Runtime, Variable
from flambeau.execute.cpu.loops import KernelCode, Store
from flambeau.execute.cpu.lower import Lowering, fold_of, group_nodes, group_stores
from flambeau.execute.cpu.pointwise import Rows, needs_checks, row_kernel
from flambeau.execute.cpu.reductions import row_reduction
from flambeau.ops.primitive import REDUCTION

LEAST_BYTES = 1 << 18  # of a chain's memory: less stays in the caches anyway
TASK_BYTES = 1 << 17  # of the rows of a task
LEAST_TASKS = 8
LONGEST = 12


@dataclass
class Link:
    """A group as a member of a chain over `count` rows: per buffer (by id), whether it is written,
    and how far apart its rows are (0: no rows, None: they do not stay apart).
    """

    group: Group
    stores: list[Store]
    forward: dict[int, Node]
    rows: list[Variable]
    buffers: dict[int, Buffer]
    written: set[int]
    strides: dict[int, int | None]


def chains(
    groups: Sequence[Group], low: Lowering, apart: Collection[Group] = ()
) -> Iterator[tuple[list[Group], list[KernelCode]]]:
    """The groups in their order, in runs: chains with their kernels, others, and those `apart`,
    alone with none.
    """
    at = 0
    while at < len(groups):
        links = _longest(groups, at, low, apart)
        kernels = _kernels(links, low)
        while len(links) > 1 and kernels is None:
            links = links[:-1]
            kernels = _kernels(links, low)
        if kernels is None or len(links) < 2:
            yield [groups[at]], []
            at += 1
        else:
            yield [link.group for link in links], kernels
            at += len(links)


def _longest(
    groups: Sequence[Group], at: int, low: Lowering, apart: Collection[Group]
) -> list[Link]:
    count = _row_count(groups[at])
    links: list[Link] = []
    for group in groups[at : at + LONGEST] if count else ():
        link = None if group in apart else _link(group, count, low)
        if link is None or not _fits(links, link):
            break
        links.append(link)
    return links


def _row_count(group: Group) -> int:
    """The number of rows of a chain that begins with a group; 0 where none does."""
    if group.kind == "fold" and group.kept:
        return _product(group.kept)
    if group.kind == "pointwise" and len(group.kept) > 1:
        return _product(group.kept[:-1])
    return 0


def _product(variables: Sequence[Variable]) -> int:
    count = 1
    for variable in variables:
        count *= variable.extent
    return count


def _link(group: Group, count: int, low: Lowering) -> Link | None:
    if group.kind not in ("fold", "pointwise") or not group.kept or count < LEAST_TASKS:
        return None
    if group.kind == "fold" and group.anchors[0].value.primitive.family != REDUCTION:
        return None
    rows: list[Variable] = []
    while _product(rows) < count and len(rows) < len(group.kept):
        rows.append(group.kept[len(rows)])
    if _product(rows) != count or (group.kind == "fold" and len(rows) != len(group.kept)):
        return None
    stores, forward = group_stores(group, low)
    nodes = group_nodes(group, forward)
    if not stores or needs_checks(nodes) or any(s.unwritten for s in stores):
        return None
    link = Link(group, stores, forward, rows, {}, {id(s.buffer) for s in stores}, {})
    for node in nodes:
        if node.kind == "load":
            link_access(link, node.data[0], node.data[1])
    for store in stores:
        link_access(link, store.buffer, store.address)
    return link


def link_access(link: Link, buffer: Buffer, address: Expression) -> None:
    stride = row_stride(address, link.rows)
    known = link.strides.setdefault(id(buffer), stride)
    link.buffers[id(buffer)] = buffer
    if known != stride:
        link.strides[id(buffer)] = None


def row_stride(address: Expression, rows: Sequence[Variable]) -> int | None:
    """How far apart the elements of neighbouring rows are, where the addresses of different rows
    are in ranges of their own; 0 where they are the same for all rows, else None.
    """
    numbers = {v.number for v in rows}
    for atom in address.nested():
        if isinstance(atom, Variable) and atom.number in numbers:
            return None
    stride, inner, low, high = 0, 1, address.constant, address.constant
    for row in reversed(rows):
        if row.extent == 1:
            continue
        step = address.coefficient(row)
        if inner == 1:
            stride = step
        elif step != stride * inner:
            return None
        inner *= row.extent
    for atom, coefficient in address.terms:
        if isinstance(atom, Runtime) and any(v.number in numbers for v in atom.node.variables):
            return None
        if isinstance(atom, Variable) and atom.number in numbers:
            continue
        ends = coefficient * atom.low, coefficient * atom.high
        low, high = low + min(ends), high + max(ends)
    return stride if not stride or (low >= 0 and high < stride) else None


def _fits(links: Sequence[Link], new: Link) -> bool:
    """Whether each of them, and the new one, finds what others write in its own rows."""
    written = new.written.union(*[link.written for link in links])
    for buffer in written:
        strides = {link.strides[buffer] for link in (*links, new) if buffer in link.strides}
        if len(strides) > 1 or not all(strides):
            return False
    return True


def _kernels(links: Sequence[Link], low: Lowering) -> list[KernelCode] | None:
    """A kernel for each member, by the same rows; None where one has another order of loops."""
    if len(links) < 2:
        return None
    buffers = {key: b for link in links for key, b in link.buffers.items()}
    if sum(b.bytes for b in buffers.values()) < LEAST_BYTES or not _shares(links):
        return None
    strides = {key: s for link in links for key, s in link.strides.items() if s}
    size = sum(s * buffers[key].dtype.itemsize for key, s in strides.items())
    count = _product(links[0].rows)
    span = max(1, min(TASK_BYTES // max(size, 1), -(-count // LEAST_TASKS)))
    kernels = []
    for link in links:
        kernel = _kernel(link, Rows(count, span), low)
        if kernel is None:
            return None
        kernels.append(kernel)
    for kernel in kernels[:-1]:
        kernel.chained = True
    return kernels


def _shares(links: Sequence[Link]) -> bool:
    """Whether some of them read what is large, and was read or written by those before them."""
    seen: set[int] = set()
    for link in links:
        for key, buffer in link.buffers.items():
            if key in seen and 2 * buffer.bytes >= LEAST_BYTES:
                return True
        seen |= link.buffers.keys()
    return False


def _kernel(link: Link, rows: Rows, low: Lowering) -> KernelCode | None:
    group, last = link.group, next(v for v in reversed(link.rows) if v.extent > 1)
    if group.kind == "pointwise":
        return row_kernel(group.kept, link.stores, link.forward, low.vector_bits, rows, last)
    folds = [fold_of(a) for a in group.anchors]
    return row_reduction(
        group.kept, group.folded, folds, link.stores, link.forward, low.vector_bits, rows, last
    )
