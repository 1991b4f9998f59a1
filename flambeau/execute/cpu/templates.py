"""Kernels written once: groups that differ only in their buffers share the emitted text.

Note [Kernel templates]
The layers of a deep network give the same kernels again and again on other buffers. Emitting one
takes milliseconds, recognising it tens of microseconds: a `Signature` describes nodes and stores
with buffers and scalars replaced by their order of appearance. Two groups of equal signature (and
equal loops) have equal texts; only the operands differ, and those are found through the order.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from flambeau.execute.cpu.body import Buffer, Node, guard_key, node_expressions
from flambeau.execute.cpu.index import Expression, Runtime
from flambeau.execute.cpu.loops import (
    KernelCode,
    Operand,
    Store,
    forwarded,
    lowest_constants,
)

MOST_TEMPLATES = 2048
# Buffers smaller than this are told apart by size (guarded loads may need a whole vector of them).
SMALL_BUFFER = 64

# ("buffer", number) or ("scalar", number) of a signature.
Role = tuple[str, int]


class Signature:
    """What a kernel computes, without the buffers it works on; `key` is None if it has none."""

    def __init__(
        self, nodes: Sequence[Node], stores: Sequence[Store], forward: dict[int, Node]
    ) -> None:
        self.forward = forward
        self.bases = lowest_constants(nodes, stores)
        self.buffers: dict[int, int] = {}
        self.scalars: dict[int, int] = {}
        self.places: dict[int, int] = {}
        self._objects: list[Buffer] = []
        self.key: Hashable = None
        expressions = [x for n in nodes for x in node_expressions(n)]
        expressions += [s.address for s in stores]
        if any(isinstance(a, Runtime) for x in expressions for a in x.atoms()):
            return
        parts: list[Hashable] = []
        for node in nodes:
            parts.append(self._node(node))
            self.places[node.number] = len(self.places)
        parts += [
            (
                "store",
                self._buffer(s.buffer),
                self._address(s.buffer, s.address),
                self.place(s.node),
                s.unwritten,
            )
            for s in stores
        ]
        self.key = tuple(parts)

    def place(self, node: Node) -> int:
        """The number of a node within the signature (-1 for one outside)."""
        return self.places.get(forwarded(node, self.forward).number, -1)

    def _node(self, node: Node) -> Hashable:
        data: Any = node.data
        what: Hashable = None
        if node.kind == "load":
            buffer, address, guard = data
            what = (self._buffer(buffer), self._address(buffer, address), guard_key(guard))
        elif node.kind == "literal":
            what = repr(data)
        elif node.kind == "scalar":
            what = self.scalars.setdefault(data, len(self.scalars))
        elif node.kind == "position":
            what = data.key
        elif node.kind == "op":
            what = (data[0], guard_key(data[1]))
        elif node.kind == "guarded":
            what = guard_key(data)
        elif node.kind == "index":
            what = (data[0], data[1], guard_key(data[2]))
        return (node.kind, node.dtype.index, tuple([self.place(a) for a in node.args]), what)

    def _buffer(self, buffer: Buffer) -> Hashable:
        number = self.buffers.setdefault(id(buffer), len(self.buffers))
        if number == len(self._objects):
            self._objects.append(buffer)
        return number, buffer.dtype.index, min(buffer.size, SMALL_BUFFER)

    def _address(self, buffer: Buffer, address: Expression) -> Hashable:
        return address.plus(-self.bases[id(buffer)]).key

    def role(self, operand: Operand) -> Role:
        """An operand of the kernel that was emitted for this signature, by number."""
        if operand.buffer is None:
            return "scalar", self.scalars[operand.scalar]
        return "buffer", self.buffers[id(operand.buffer)]

    def operand(self, role: Role) -> Operand:
        """The operand of that number."""
        kind, number = role
        if kind == "scalar":
            return Operand(None, scalar=next(s for s, n in self.scalars.items() if n == number))
        buffer = self._objects[number]
        return Operand(buffer, self.bases[id(buffer)])


class _Templates:
    """The kernels emitted so far, the least recently used forgotten first; for all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
            return self.known.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        with self.lock:
            self.known[key] = value
            if len(self.known) > MOST_TEMPLATES:
                self.known.popitem(last=False)


TEMPLATES = _Templates()


def from_template(
    signature: Signature, extra: Hashable, emit: Callable[[], KernelCode]
) -> KernelCode:
    """The kernel for a signature and what else it depends on (`extra`), emitted if it is new."""
    if signature.key is None:
        return emit()
    key = (extra, signature.key)
    known = TEMPLATES.get(key)
    if known is None:
        code = emit()
        TEMPLATES.put(key, (code, [signature.role(o) for o in code.operands]))
        return code
    code, roles = known
    operands = [signature.operand(role) for role in roles]
    return KernelCode(code.text, operands, code.words, code.tasks, code.parallel, code.checks)
