"""From body nodes to vector IR: the state of a kernel under construction.

A `KernelWriter` knows the kernel's operands (pointers found through its argument words), the
registers of the loop variables, which variable runs along the lanes, and what has been computed at
each loop level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Buffer, Condition, Guard, Node, node_expressions
from flambeau.execute.cpu.contraction_spec import operand_pointer
from flambeau.execute.cpu.emit import I1, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.index import (
    Expression,
    Quotient,
    Rest,
    Runtime,
    Variable,
)
from flambeau.ops.value import Value

ERROR_CODE = 1


@dataclass(frozen=True)
class Store:
    """An element to write: `node` goes to `address` of `buffer`.

    With `unwritten`, the node is only evaluated (a check).
    """

    buffer: Buffer
    address: Expression
    node: Node
    unwritten: bool = False


@dataclass(frozen=True)
class Operand:
    """What an argument pair of a kernel names: a buffer from an element on, or run-time scalar
    `scalar`.
    """

    buffer: Buffer | None
    offset: int = 0
    scalar: int = 0


@dataclass
class KernelCode:
    """A kernel's text and how to call it."""

    text: str
    operands: list[Operand]
    words: list[int] = field(default_factory=list)
    tasks: int = 1
    parallel: bool = False
    checks: bool = False
    chained: bool = False  # the next kernel follows task by task (see row_chains.py)
    label: str = ""
    values: tuple[Value, ...] = ()  # what it computes


def ordered_nodes(roots: Iterable[Node], forward: dict[int, Node]) -> list[Node]:
    """The nodes that `roots` need, operands first; loads that are forwarded give way to their
    source.
    """
    seen: set[int] = set()
    result: list[Node] = []

    def visit(node: Node) -> None:
        node = forwarded(node, forward)
        if node.number in seen:
            return
        seen.add(node.number)
        for argument in node.args:
            visit(argument)
        for expression in node_expressions(node):
            for atom in expression.atoms():
                if isinstance(atom, Runtime):
                    visit(atom.node)
        result.append(node)

    for root in roots:
        visit(root)
    return result


def forwarded(node: Node, forward: dict[int, Node]) -> Node:
    while node.number in forward:
        node = forward[node.number]
    return node


class KernelWriter:
    """Emits body nodes inside the loops that a kernel's skeleton opens."""

    def __init__(
        self,
        vector_bits: int,
        nodes: Sequence[Node],
        stores: Sequence[Store],
        forward: dict[int, Node],
    ) -> None:
        self.e = Emitter(vector_bits)
        self.forward = forward
        self.operands: list[Operand] = []
        self.words: list[int] = []
        self._places: dict[object, int] = {}
        self._bases = lowest_constants(nodes, stores)
        self._pointers: dict[object, Reg] = {}
        self.registers: dict[int, Reg] = {}
        self.rename: dict[int, Expression] = {}
        self.lane: Variable | None = None
        self.lanes = 1
        self.mask: Reg | None = None
        self.scopes: list[dict[int, Reg]] = [{}]
        self.error: Reg | None = None
        self._table = Reg("%table", PTR)
        self._args = Reg("%args", PTR)

    # ---- operands --------------------------------------------------------------------------------

    @contextmanager
    def kernel(self, checks: bool) -> Iterator[tuple[Reg, Reg]]:
        """The kernel function; yields (first, last) task numbers."""
        parameters = [("table", PTR), ("args", PTR), ("first", I64), ("last", I64)]
        with self.e.function("kernel", "i64", parameters) as registers:
            if checks:
                self.error = self.e.alloca(I64, 1, 8)
                self.e.store(self.error, self.e.i64(0))
            yield registers[2], registers[3]
            if self.error is not None:
                self.e.line(f"ret {self.e.load(self.error, I64).typed}")
            else:
                self.e.line("ret i64 0")

    def declare_operands(self, nodes: Sequence[Node], stores: Sequence[Store]) -> None:
        """Loads every pointer at the kernel's start, in the order of first use."""
        for node in nodes:
            if node.kind == "load":
                self.pointer(node.data[0])
            elif node.kind == "scalar":
                self._pointer(("scalar", node.data), Operand(None, scalar=node.data))
        for store in stores:
            if not store.unwritten:
                self.pointer(store.buffer)

    def pointer(self, buffer: Buffer) -> Reg:
        """The address of the buffer's first element that the kernel touches (see
        `lowest_constants`).
        """
        return self._pointer(id(buffer), Operand(buffer, self._bases.get(id(buffer), 0)))

    def _pointer(self, key: object, operand: Operand) -> Reg:
        have = self._pointers.get(key)
        if have is None:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = len(self.operands)
                self.operands.append(operand)
            have = operand_pointer(self.e, self._table, self._args, place)
            self._pointers[key] = have
        return have

    def restart(self, e: Emitter, lane: Variable | None, lanes: int) -> None:
        """Begins a piece of code of its own elsewhere (an epilogue): only the operands' numbers
        stay.
        """
        self.e = e
        self._pointers = {}
        self.registers = {}
        self.scopes = [{}]
        self.lane, self.lanes = lane, lanes

    def argument_word(self, number: int) -> Reg:
        """Argument word `number` after the operand pairs (all operands must be declared)."""
        return self.e.load(
            self.e.gep(self._args, "i64", self.e.i64(2 * len(self.operands) + number)), I64
        )

    # ---- scopes ----------------------------------------------------------------------------------

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Registers computed inside are forgotten afterwards (a loop body, a remainder)."""
        self.scopes.append({})
        yield
        self.scopes.pop()

    def hoist(self, nodes: Sequence[Node], bound: set[int]) -> None:
        """Emits the nodes that depend on bound loop variables only."""
        for node in nodes:
            if all(v.number in bound for v in node.variables) and node.kind not in (
                "literal",
                "result",
            ):
                self.emit(node)

    def emit(self, node: Node) -> Reg:
        """The register of a node, with 1 lane where it is the same for all."""
        node = forwarded(node, self.forward)
        for scope in reversed(self.scopes):
            have = scope.get(node.number)
            if have is not None:
                return have
        register = getattr(self, f"_emit_{node.kind}")(node)
        self.scopes[-1][node.number] = register
        return register  # type: ignore[no-any-return]

    def vector(self, node: Node) -> Reg:
        """The node in every lane."""
        return self.spread(self.emit(node))

    def spread(self, register: Reg) -> Reg:
        if register.type.lanes == self.lanes:
            return register
        assert register.type.lanes == 1, (register, self.lanes)
        if not register.name.startswith("%"):
            type_ = register.type.with_lanes(self.lanes)
            return Reg(f"splat ({register.type} {register.name})", type_)
        return self.e.splat(register, self.lanes)

    # ---- node kinds ------------------------------------------------------------------------------

    def _emit_literal(self, node: Node) -> Reg:
        return elements.literal(self.e, node.data, node.dtype)

    def _emit_scalar(self, node: Node) -> Reg:
        pointer = self._pointer(("scalar", node.data), Operand(None, scalar=node.data))
        type_ = I1 if node.dtype.kind == "b" else elements.register_type(node.dtype)
        if node.dtype.kind == "b":
            word = self.e.load(pointer, I64)
            return self.e.cmp("icmp ne", word, self.e.i64(0))
        return self.e.load(pointer, type_)

    def _emit_position(self, node: Node) -> Reg:
        return self.index(node.data)

    def _emit_result(self, node: Node) -> Reg:
        raise AssertionError(f"result {node.data} is not there yet")

    def _emit_op(self, node: Node) -> Reg:
        name, guard = node.data
        args = [self.emit(a) for a in node.args]
        lanes = max(a.type.lanes for a in args)
        if lanes > 1:
            args = [self.spread(a) for a in args]
        if name == "checked":
            return args[0]
        if name == "check":
            self.fail_if(self.e.op("xor", args[0], self.e.const(True, args[0].type)))
            return args[0]
        dtypes = tuple([forwarded(a, self.forward).dtype for a in node.args])
        if node.dtype.kind == "i" and name in ("floor_divide", "trunc_divide", "remainder", "fmod"):
            divisor = args[1]
            literal = forwarded(node.args[1], self.forward)
            if literal.kind != "literal" or not literal.data:
                zero = self.e.cmp("icmp eq", divisor, self.e.const(0, divisor.type))
                self.fail_if(zero, guard)
        return elements.apply(self.e, name, node.dtype, dtypes, args)

    def _emit_guarded(self, node: Node) -> Reg:
        condition = self.guard(node.data)
        inside, fill = self.emit(node.args[0]), self.emit(node.args[1])
        lanes = max(condition.type.lanes, inside.type.lanes, fill.type.lanes)
        if lanes > 1:
            inside, fill = self.spread(inside), self.spread(fill)
        return self.e.select(condition, inside, fill)

    def _emit_index(self, node: Node) -> Reg:
        count, wraps, guard = node.data
        raw, e = self.emit(node.args[0]), self.e
        low, high = e.const(-count if wraps else 0, raw.type), e.const(count, raw.type)
        bad = e.op("or", e.cmp("icmp slt", raw, low), e.cmp("icmp sge", raw, high))
        self.fail_if(bad, guard)
        zero = e.const(0, raw.type)
        if wraps:
            raw = e.select(e.cmp("icmp slt", raw, zero), e.op("add", raw, high), raw)
        return e.select(bad, zero, raw)

    def fail_if(self, bad: Reg, guard: Guard = ()) -> None:
        """The kernel returns an error code if any lane of `bad` is set (where the guard holds)."""
        e = self.e
        assert self.error is not None
        if guard:
            allowed = self.guard(guard)
            if max(allowed.type.lanes, bad.type.lanes) > 1:
                allowed, bad = self.spread(allowed), self.spread(bad)
            bad = e.op("and", allowed, bad)
        if self.mask is not None:
            bad = e.op("and", self.spread(bad), self.mask)
        if bad.type.lanes > 1:
            bits = Type(f"i{bad.type.lanes}")
            packed = e.bitcast(bad, bits)
            bad = e.temp(I1, f"icmp ne {packed.typed}, 0")
        code = e.select(bad, e.i64(ERROR_CODE), e.i64(0))
        e.store(self.error, e.op("or", e.load(self.error, I64), code))

    # ---- index arithmetic ------------------------------------------------------------------------

    def renamed(self, expression: Expression) -> Expression:
        if not self.rename:
            return expression
        return expression.replaced(lambda v: self.rename.get(v.number))

    def lane_stride(self, expression: Expression) -> int | None:
        """By how much the expression grows from lane to lane; None if that is not a constant."""
        stride = 0
        for atom, coefficient in expression.terms:
            if isinstance(atom, Variable):
                if self.lane is not None and atom.number == self.lane.number:
                    stride = coefficient
            elif isinstance(atom, Runtime):
                if self.emit(atom.node).type.lanes > 1:
                    return None
            elif isinstance(atom, (Quotient, Rest)) and self.depends_on_lane(atom.inner):
                return None
        return stride

    def depends_on_lane(self, expression: Expression) -> bool:
        if self.lanes == 1:
            return False
        stride = self.lane_stride(expression)
        return stride is None or stride != 0

    def index(self, expression: Expression, *, scalar: bool = False) -> Reg:
        """The value of an expression: one register, or one value per lane where lanes differ.

        With `scalar`, the value in the first lane.
        """
        expression = self.renamed(expression)
        e = self.e
        total: Reg | None = None
        lane_step = 0
        for atom, coefficient in expression.terms:
            if isinstance(atom, Variable):
                term = self.registers[atom.number]
                if self.lane is not None and atom.number == self.lane.number and self.lanes > 1:
                    lane_step = coefficient
            elif isinstance(atom, Runtime):
                term = self.emit(atom.node)
            else:
                term = self._division(atom)  # type: ignore[arg-type]
            if coefficient != 1:
                term = e.op("mul", term, e.const(coefficient, term.type))
            total = term if total is None else self._added(total, term)
        if total is None:
            return e.i64(expression.constant)
        if expression.constant:
            total = e.op("add", total, e.const(expression.constant, total.type))
        if lane_step and not scalar:
            numbers = e.vector_const([i * lane_step for i in range(self.lanes)], "i64")
            total = e.op("add", self.spread(total), numbers)
        return total

    def _added(self, a: Reg, b: Reg) -> Reg:
        if a.type.lanes != b.type.lanes:
            a, b = self.spread(a), self.spread(b)
        return self.e.op("add", a, b)

    def _division(self, atom: Quotient | Rest) -> Reg:
        """Floor division or remainder of an index by a constant."""
        e, inner = self.e, self.index(atom.inner)
        low, divisor = atom.inner.low, atom.divisor
        lift = -(low // divisor) if low < 0 else 0
        if lift:
            inner = e.op("add", inner, e.const(lift * divisor, inner.type))
        small = inner
        narrow = atom.inner.high + lift * divisor < 2**31
        if narrow:
            small = e.cast("trunc", inner, "i32")
        by = e.const(divisor, small.type)
        if isinstance(atom, Rest):
            result = e.op("urem", small, by)
            return e.cast("zext", result, "i64") if narrow else result
        result = e.op("udiv", small, by)
        if narrow:
            result = e.cast("zext", result, "i64")
        return e.op("sub", result, e.const(lift, result.type)) if lift else result

    def condition(self, condition: Condition) -> Reg:
        expression, low, high = condition
        value = self.index(expression)
        e = self.e
        if low == high:
            return e.cmp("icmp eq", value, e.const(low, value.type))
        if low:
            value = e.op("sub", value, e.const(low, value.type))
        return e.cmp("icmp ule", value, e.const(high - low, value.type))

    def guard(self, guard: Guard) -> Reg:
        """Whether all conditions hold."""
        result: Reg | None = None
        for condition in guard:
            one = self.condition(condition)
            if result is None:
                result = one
                continue
            if result.type.lanes != one.type.lanes:
                result, one = self.spread(result), self.spread(one)
            result = self.e.op("and", result, one)
        assert result is not None
        return result

    # ---- memory ----------------------------------------------------------------------------------

    def _emit_load(self, node: Node) -> Reg:
        buffer, address, guard = node.data
        return self.load(buffer, address, guard)

    def load(self, buffer: Buffer, address: Expression, guard: Guard) -> Reg:
        """One element per lane (one register where all lanes read the same)."""
        e, dtype = self.e, buffer.dtype
        pointer, base = self.pointer(buffer), self._bases.get(id(buffer), 0)
        address = self.renamed(address)
        relative = address.plus(-base)
        stride = self.lane_stride(address) if self.lanes > 1 else 0
        allowed = self.guard(guard) if guard else None
        varies = allowed is not None and allowed.type.lanes > 1
        if stride == 0 and not varies and self._uniform(address):
            place = self.index(relative)
            if allowed is not None:
                place = e.select(allowed, place, e.i64(-base))
            raw = e.load(
                e.gep(pointer, elements.memory_element(dtype), place),
                elements.memory_type(dtype),
            )
            return elements.from_memory(e, raw, dtype)
        if stride in (1, -1):
            return self._load_run(buffer, pointer, relative, stride, allowed)
        if stride == 2 and allowed is None and self.mask is None:
            return self._load_second(buffer, pointer, relative)
        places = self.spread(self.index(relative))
        if allowed is not None:
            safe = e.const(-base, places.type)
            places = e.select(self.spread(allowed), places, safe)
        if self.mask is not None:
            places = e.select(self.mask, places, e.const(-base, places.type))
        return elements.from_memory(e, self._gather(pointer, buffer, places), dtype)

    def _uniform(self, address: Expression) -> bool:
        return all(
            self.emit(a.node).type.lanes == 1 for a, _ in address.terms if isinstance(a, Runtime)
        )

    def _load_run(
        self, buffer: Buffer, pointer: Reg, relative: Expression, stride: int, allowed: Reg | None
    ) -> Reg:
        e, dtype, lanes = self.e, buffer.dtype, self.lanes
        type_ = elements.memory_type(dtype, lanes)
        start = self.index(relative if stride == 1 else relative.plus(1 - lanes), scalar=True)
        place = e.gep(pointer, elements.memory_element(dtype), start)
        mask = self.mask
        if (
            allowed is not None
            and allowed.type.lanes == 1
            and mask is None
            and buffer.size >= lanes
        ):
            # The same for all lanes: where not allowed, read the buffer's first elements instead.
            base = self._bases.get(id(buffer), 0)
            place = e.gep(
                pointer, elements.memory_element(dtype), e.select(allowed, start, e.i64(-base))
            )
        elif allowed is not None:
            mask = self.spread(allowed) if mask is None else e.op("and", mask, self.spread(allowed))
        if mask is None:
            raw = e.load(place, type_)
        else:
            if stride == -1:
                mask = e.shuffle(mask, mask, range(lanes - 1, -1, -1))
            raw = self.masked_load(place, type_, mask)
        if stride == -1:
            raw = e.shuffle(raw, raw, range(lanes - 1, -1, -1))
        return elements.from_memory(e, raw, dtype)

    def _load_second(self, buffer: Buffer, pointer: Reg, relative: Expression) -> Reg:
        """Every second element: from two runs, the latter of which ends with the last element."""
        e, dtype, lanes = self.e, buffer.dtype, self.lanes
        type_ = elements.memory_type(dtype, lanes)
        runs = []
        for start in (0, lanes - 1):
            place = self.index(relative.plus(start), scalar=True)
            runs.append(e.load(e.gep(pointer, elements.memory_element(dtype), place), type_))
        picked = [2 * i if 2 * i < lanes else 2 * i + 1 for i in range(lanes)]
        return elements.from_memory(e, e.shuffle(runs[0], runs[1], picked), dtype)

    def masked_load(self, place: Reg, type_: Type, mask: Reg) -> Reg:
        e = self.e
        name = f"llvm.masked.load.v{type_.lanes}{suffix(type_)}.p0"
        align = type_.bits // 8
        return e.call(name, type_, [place, Reg(str(align), Type("i32")), mask, zero(type_)])

    def masked_store(self, place: Reg, value: Reg, mask: Reg) -> None:
        name = f"llvm.masked.store.v{value.type.lanes}{suffix(value.type)}.p0"
        align = value.type.bits // 8
        self.e.call(name, None, [value, place, Reg(str(align), Type("i32")), mask])

    def _gather(self, pointer: Reg, buffer: Buffer, places: Reg) -> Reg:
        e, type_ = self.e, elements.memory_type(buffer.dtype, places.type.lanes)
        if type_.bits >= 32 and type_.lanes in (4, 8, 16):
            pointers = e.gep(pointer, elements.memory_element(buffer.dtype), places)
            name = f"llvm.masked.gather.v{type_.lanes}{suffix(type_)}.v{type_.lanes}p0"
            every = Reg("splat (i1 true)", Type("i1", type_.lanes))
            return e.call(
                name, type_, [pointers, Reg(str(type_.bits // 8), Type("i32")), every, zero(type_)]
            )
        result = zero(type_)
        for lane in range(type_.lanes):
            place = e.gep(pointer, elements.memory_element(buffer.dtype), e.extract(places, lane))
            result = e.insert(result, e.load(place, type_.with_lanes(1)), lane)
        return result

    def prefetch(
        self, buffer: Buffer, address: Expression, *, write: bool = False, level: int = 3
    ) -> None:
        """Asks for the memory of an element that is used soon (`level`: as Emitter.prefetch)."""
        e, base = self.e, self._bases.get(id(buffer), 0)
        index = self.index(self.renamed(address).plus(-base))
        place = e.gep(self.pointer(buffer), elements.memory_element(buffer.dtype), index)
        e.prefetch(place, level=level, write=write)

    def store_all(self, stores: Sequence[Store]) -> None:
        """Makes all stores once everything is computed: an update may overwrite what others
        load.
        """
        for store in stores:
            self.emit(store.node)
        for store in stores:
            if not store.unwritten:
                self.store(store)

    def store(self, store: Store) -> None:
        """Writes one element per lane."""
        e, buffer = self.e, store.buffer
        pointer, base = self.pointer(buffer), self._bases.get(id(buffer), 0)
        address = self.renamed(store.address)
        relative = address.plus(-base)
        value = elements.to_memory(e, self.vector(store.node), buffer.dtype)
        if self.lanes == 1:
            e.store(
                e.gep(pointer, elements.memory_element(buffer.dtype), self.index(relative)),
                value,
            )
            return
        stride = self.lane_stride(address)
        if stride == 1:
            place = e.gep(
                pointer,
                elements.memory_element(buffer.dtype),
                self.index(relative, scalar=True),
            )
            if self.mask is not None:
                self.masked_store(place, value, self.mask)
            else:
                e.store(place, value)
            return
        assert self.mask is None and stride != 0, (store.address, stride)
        places = self.spread(self.index(relative))
        for lane in range(self.lanes):
            place = e.gep(pointer, elements.memory_element(buffer.dtype), e.extract(places, lane))
            e.store(place, e.extract(value, lane))


def zero(type_: Type) -> Reg:
    return Reg("zeroinitializer", type_)


def suffix(type_: Type) -> str:
    """How an intrinsic's name spells an element type."""
    return {"half": "f16", "float": "f32", "double": "f64"}.get(type_.element, type_.element)


def lowest_constants(nodes: Sequence[Node], stores: Sequence[Store]) -> dict[int, int]:
    """The smallest constant part of the addresses used on each buffer.

    It moves from the code into the arguments, so that kernels that differ only by it share their
    text.
    """
    lowest: dict[int, int] = {}
    pairs = [(n.data[0], n.data[1]) for n in nodes if n.kind == "load"]
    pairs += [(s.buffer, s.address) for s in stores]
    for buffer, address in pairs:
        key = id(buffer)
        lowest[key] = min(lowest.get(key, address.constant), address.constant)
    return lowest
