"""The CPU compiler: a program in, kernels and their calls out.

The passes, in order: simplify; choose what is stored; group into kernels; decide which updates are
written in place; order the groups; plan the arena; emit each group's kernels; link.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Sequence

import numpy as np

from flambeau.execute.cpu import bounds, engine, fusion, joins, layouts, row_chains, storing
from flambeau.execute.cpu.arena import Lifetime, plan_arena
from flambeau.execute.cpu.body import Buffer, Node, Tracer
from flambeau.execute.cpu.compiled import CompiledProgram, Segment
from flambeau.execute.cpu.expansion import prepared
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.host_steps import location
from flambeau.execute.cpu.index import space_position, space_variables
from flambeau.execute.cpu.loops import KernelCode, Operand, Store, ordered_nodes
from flambeau.execute.cpu.lower import (
    Destination,
    HostStep,
    Lowering,
    forwards,
    group_nodes,
    has_checks,
    labelled,
    lower_group,
    lower_pooled,
    lower_scattered,
    ordered_groups,
    pooled_groups,
    scattered_groups,
)
from flambeau.execute.cpu.pointwise import pointwise_kernel
from flambeau.execute.cpu.runner import CHAINED, PARALLEL, RECORD_HEADER_WORDS
from flambeau.execute.cpu.target import Target
from flambeau.graph.program import Program, Update, reachable, scalar_words
from flambeau.ops.indexed import WITHIN
from flambeau.ops.primitive import ATTENTION, RANDOM, RECURRENCE
from flambeau.ops.source import detach
from flambeau.ops.value import Value


class _Compiler:
    def __init__(
        self,
        program: Program,
        checks: Sequence[Value],
        vector_bits: int,
        forms: Forms,
        loops: bool = True,
        given: dict[Value, int] | None = None,
    ) -> None:
        self.forms = forms
        self.loops = loops
        self.program = program
        self.checks = checks
        self.vector_bits = vector_bits
        self.given = given or {}  # inputs that lie with the batch innermost, and their bases
        self.buffers: dict[Value, Buffer] = {
            v: Buffer(v.dtype, v.shape, "base", base, layouts.innermost_strides(v.shape))
            for v, base in self.given.items()
        }
        self.bases = [
            Buffer(dtype, (size,), "base", i) for i, (dtype, size) in enumerate(program.bases)
        ]
        self.destinations: dict[Value, list[Destination]] = {}
        self.updates: list[tuple[Value, Destination]] = []
        self.copies: list[tuple[Value, Destination]] = []
        self.joins = joins.Joins()
        self.lifetimes: list[Lifetime] = []
        self.ends: list[int] = []  # per group, in order: how many steps there are after it
        self.tracer = Tracer(self.find)

    def find(self, v: Value) -> Buffer | None:
        have = self.buffers.get(v)
        if have is None and v.primitive.name == "input" and v.attrs["role"] == "base":
            index: int = v.attrs["index"]
            return self.bases[index]
        return have

    # ---- outputs ---------------------------------------------------------------------------------

    def collect_outputs(self) -> list[Value]:
        """The stored values that are outputs, with their destinations."""
        outputs = []
        for number, value in enumerate(self.program.results):
            core = self.output_core(value)
            buffer = Buffer(value.dtype, value.shape, "result", number)
            self.destinations.setdefault(core, []).append(Destination(buffer, value.shape))
            outputs.append(core)
        for update in self.program.updates:
            found = self.update_target(update)
            if found is not None:
                self.updates.append(found)
                outputs.append(found[0])
        return outputs

    def output_core(self, value: Value) -> Value:
        """The value to store for an output; inputs, and what others write together, are copied
        through a value of their own.
        """
        core = storing.same_elements(value)
        copied = core.primitive.family == "source" or core.primitive.name == "interleave"
        return detach(core) if copied else core

    def turned_results(self, outputs: list[Value], layout: layouts.Layouts) -> list[Value]:
        """The outputs, with those that are what lies with the batch innermost, as it lies there,
        replaced by that: it is written to the result.
        """
        found = []
        for core in outputs:
            below = layouts.turned(core)
            places = self.destinations.get(core, ())
            if (
                below in layout.innermost - layout.copies
                and not (below in outputs or storing.is_host(below))
                and len(places) == 1
                and all(core is not value for value, _ in self.updates)
            ):
                buffer = self.buffers[below] = places[0].buffer
                buffer.shape, buffer.strides = below.shape, layouts.innermost_strides(below.shape)
                del self.destinations[core]
                core = below
            found.append(core)
        return found

    def update_target(self, update: Update) -> tuple[Value, Destination] | None:
        """What is written where for an update; None where the base keeps its contents."""
        value, base = storing.same_elements(update.value), self.bases[update.base]
        if self.is_base(value, update.base):
            return None
        if value.primitive.name == "strided_scatter" and self.is_base(
            storing.same_elements(value.inputs[0]), update.base
        ):
            rows = value.inputs[1]
            core = self.output_core(rows)
            whole = storing.is_host(core) or core.primitive.family in (
                RANDOM,
                RECURRENCE,
                ATTENTION,
            )
            if not whole and core.primitive.name not in storing.SCATTERS:
                return core, Destination(
                    base, rows.shape, value.attrs["strides"], value.attrs["offset"]
                )
        return self.output_core(value), Destination(base, update.value.shape)

    def is_base(self, value: Value, number: int) -> bool:
        return (
            value.primitive.name == "input"
            and value.attrs["role"] == "base"
            and value.attrs["index"] == number
        )

    # ---- passes ----------------------------------------------------------------------------------

    def compile(self) -> tuple[list[KernelCode | HostStep], int]:
        """(steps in order, arena bytes)."""
        outputs = self.collect_outputs()
        nodes = with_checks(reachable([*outputs, *self.checks]))
        layout = layouts.batch_innermost(nodes, self.vector_bits, self.forms.innermost, self.given)
        outputs = self.turned_results(outputs, layout)
        copied = [v for v in outputs if v.primitive.name != "detach"]
        updates = {v for v, _ in self.updates}
        several = {v for v, found in self.destinations.items() if len(found) > 1}
        inner = layout.innermost | layout.copies
        self.joins = joins.joined_in_place(nodes, outputs, updates | several, inner)
        nodes = self.joins.ordered(nodes)
        copied += [v for v in self.joins.stored if v.primitive.name != "detach"]
        stored = storing.choose_stored(nodes, copied, layout.unpadded)
        stored |= {*outputs, *self.checks, *layout.copies, *self.joins.stored}
        for v in nodes:
            if v in stored and v not in self.buffers:
                turned = v in layout.innermost and not storing.is_host(v)
                strides = layouts.innermost_strides(v.shape) if turned else None
                self.buffers[v] = Buffer(v.dtype, v.shape, strides=strides)
        for v, found in self.destinations.items():
            if self.buffers[v].strides is None:
                self.buffers[v] = found[0].buffer
                found[0].buffer.shape = v.shape
        for v, target in self.joins.destinations(self.buffers):
            self.destinations.setdefault(v, []).append(target)
        grouper = fusion.Grouper(self.tracer, self.buffers, updates, layout.unpadded)
        grouper.writers = self.joins.writers
        for v in nodes:
            if v in stored and v not in self.joins.parts:
                grouper.add(v)
        forward = {g.number: forwards(g, self.tracer, self.buffers) for g in grouper.groups}
        nodes_of = {g.number: group_nodes(g, forward[g.number]) for g in grouper.groups}
        self.place_updates(grouper, forward, nodes_of)
        needed = self.needed_buffers(grouper.groups, nodes_of)
        low = Lowering(self.tracer, self.buffers, self.destinations, needed, self.vector_bits)
        low.loops = self.loops
        return self.lower(grouper, low, nodes_of)

    def place_updates(
        self,
        grouper: fusion.Grouper,
        forward: dict[int, dict[int, Node]],
        nodes_of: dict[int, list[Node]],
    ) -> None:
        """Chooses for each update: written by the kernel that computes it, or copied at the end."""
        failing = [g for g in grouper.groups if has_checks(g, forward[g.number])]
        for value, destination in self.updates:
            group = grouper.home[value]
            if self.can_write(value, destination, group, grouper, failing, nodes_of):
                if not self.settled_in_base(value, destination, grouper):
                    self.destinations.setdefault(value, []).append(destination)
                before = [
                    g.number
                    for g in grouper.groups
                    if id(destination.buffer) in g.reads or g in failing
                ]
                grouper.link(group, set(before) - {group.number})
            else:
                self.copies.append((value, destination))

    def settled_in_base(
        self, value: Value, destination: Destination, grouper: fusion.Grouper
    ) -> bool:
        """Lets a draw's values have no memory but the base that they fill, if nobody reads what it
        held: first weights are as large as the model.
        """
        buffer, base = self.buffers[value], destination.buffer
        if value.primitive.name != "random_draw" or buffer.kind != "arena":
            return False
        whole = destination.strides is None and base.size == buffer.size
        if not whole or any(id(base) in g.reads for g in grouper.groups):
            return False
        buffer.kind, buffer.place = base.kind, base.place
        return True

    def can_write(
        self,
        value: Value,
        destination: Destination,
        group: fusion.Group,
        grouper: fusion.Grouper,
        failing: list[fusion.Group],
        nodes_of: dict[int, list[Node]],
    ) -> bool:
        """Whether the group may overwrite the base: all other readers and all checks can come
        before it.
        """
        if group in failing or group.kind in ("recurrence", "attention", "host"):
            return False
        if group.kind == "scatter" and not self.replaces_rows(value, destination):
            return False
        if group.kind == "draw" and value.primitive.name != "random_draw":
            return False
        base = destination.buffer
        for other in (*grouper.groups,):
            if (
                other is not group
                and (id(base) in other.reads or other in failing)
                and (other.before & group.bit)
            ):
                return False
        if id(base) not in group.reads or group.kind == "scatter":
            return True
        own = destination.address(grouper.place[value])
        loads = [n for n in nodes_of[group.number] if n.kind == "load" and n.data[0] is base]
        if any(n.data[1] != own or n.data[2] for n in loads):
            return False
        inside = {
            n.number
            for a in group.anchors
            for r in (a.body, a.place)
            if r is not None
            for n in ordered_nodes([r], {})
        }
        return not any(n.number in inside for n in loads)

    def replaces_rows(self, value: Value, destination: Destination) -> bool:
        """Whether an update replaces rows of the very base that it goes to, by stored ones, and
        nobody else reads the whole.
        """
        if value.primitive.name != "put_set" or value.attrs["what"] != WITHIN:
            return False
        old = storing.same_elements(value.inputs[0])
        plain = destination.strides is None and not destination.offset
        alone = self.buffers[value].kind == "arena" and len(self.destinations.get(value, ())) == 0
        return (
            plain
            and alone
            and self.is_base(old, destination.buffer.place)
            and storing.same_elements(value.inputs[2]) in self.buffers
        )

    def needed_buffers(
        self, groups: Sequence[fusion.Group], nodes_of: dict[int, list[Node]]
    ) -> set[int]:
        """Ids of the buffers that must be written: results, and what other kernels load."""
        needed = {id(b) for b in self.buffers.values() if b.kind == "result"}
        for group in groups:
            needed |= {id(n.data[0]) for n in nodes_of[group.number] if n.kind == "load"}
            if group.kind in ("draw", "recurrence", "host"):
                needed |= group.reads
        needed |= {id(self.buffers[v]) for v, _ in self.copies}
        return needed

    def lower(
        self, grouper: fusion.Grouper, low: Lowering, nodes_of: dict[int, list[Node]]
    ) -> tuple[list[KernelCode | HostStep], int]:
        steps: list[KernelCode | HostStep] = []
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        low.packs.count(grouper.groups)
        order = ordered_groups(grouper.groups)
        pooled = pooled_groups(order, low) if self.forms.pooled else {}
        scattered, idle = scattered_groups(order, low) if self.forms.pooled else ({}, set())
        inside = {plan.conv for plan in pooled.values()}
        inside |= idle
        arena = {
            id(b): b for b in self.buffers.values() if b.kind == "arena" and id(b) in low.needed
        }
        apart = {*pooled, *scattered, *inside}
        for number, begin, end, group, kernel in self.in_chains(order, low, apart):
            low.scratch.clear()
            low.form = self.forms.of(number)
            used = self.buffers_of(group)
            if kernel is not None:
                steps += labelled(group, [kernel])
            elif group in pooled:
                steps += lower_pooled(pooled[group], low)
                used |= self.buffers_of(pooled[group].conv)
            elif group in scattered:
                steps += lower_scattered(group, scattered[group], low)
                used |= self.buffers_of(scattered[group].source)
            elif group not in inside:
                steps += lower_group(group, low)
            self.ends.append(len(steps))
            for buffer in low.scratch:
                arena[id(buffer)] = buffer
                used.add(id(buffer))
            for key in used:
                first.setdefault(key, begin)
                last[key] = end
        end = len(grouper.groups)
        for value, destination in self.copies:
            if not value.size:
                continue
            steps.append(self.copy_kernel(value, destination))
            last[id(self.buffers[value])] = end
        self.lifetimes = [Lifetime(b, first[k], last[k]) for k, b in arena.items() if k in first]
        return steps, plan_arena(self.lifetimes)

    def buffers_of(self, group: fusion.Group) -> set[int]:
        """Ids of the buffers that a group's kernels read or write, without its scratch memory."""
        used = set(group.reads)
        for v in (*[a.value for a in group.anchors], *[m.value for m in group.members]):
            used |= {id(self.buffers[v])} | {id(d.buffer) for d in self.destinations.get(v, ())}
        return used

    def in_chains(
        self, order: Sequence[fusion.Group], low: Lowering, apart: set[fusion.Group]
    ) -> Iterator[tuple[int, int, int, fusion.Group, KernelCode | None]]:
        """The groups in their order: the number of each, the first and the last number of the
        chain it is in (none of those `apart` is in one), and there its kernel.
        """
        number = 0
        for members, kernels in row_chains.chains(order, low, apart):
            begin, end = number, number + len(members) - 1
            for place, group in enumerate(members):
                yield number, begin, end, group, kernels[place] if kernels else None
                number += 1

    def ended(self, steps: Sequence[KernelCode | HostStep]) -> dict[int, list[tuple[int, int]]]:
        """What of the arena is read for the last time by each kernel (not by host steps)."""
        found: dict[int, list[tuple[int, int]]] = {}
        numbers = np.cumsum([isinstance(step, KernelCode) for step in steps]) - 1
        for lifetime in self.lifetimes:
            end = self.ends[lifetime.last] - 1 if lifetime.last < len(self.ends) else -1
            if end >= 0 and isinstance(steps[end], KernelCode):
                place = (lifetime.buffer.place, lifetime.buffer.bytes)
                found.setdefault(int(numbers[end]), []).append(place)
        return found

    def kernel_groups(self, steps: Sequence[KernelCode | HostStep]) -> list[int]:
        """The number of the group of each kernel (that of none for copies at the end)."""
        places = (place for place, step in enumerate(steps) if isinstance(step, KernelCode))
        return [bisect.bisect_right(self.ends, place) for place in places]

    def copy_kernel(self, value: Value, destination: Destination) -> KernelCode:
        position = space_position(value.shape)
        buffer = self.buffers[value]
        node = self.tracer.load(buffer, buffer.address(position))
        store = Store(destination.buffer, destination.address(position), node)
        kernel = pointwise_kernel(space_variables(value.shape), [store], {}, self.vector_bits)
        kernel.label, kernel.values = f"copy {value.primitive.name}", (value,)
        return kernel


def with_checks(nodes: Sequence[Value]) -> list[Value]:
    """The nodes with each check right after what it checks."""
    checks = {v.inputs[0]: v for v in nodes if v.primitive.name == "check"}
    result = []
    for v in nodes:
        if v.primitive.name != "check":
            result += [v, checks[v]] if v in checks else [v]
    return result


def compile_program(
    program: Program,
    *,
    vector_bits: int | None = None,
    forms: Forms | None = None,
    loops: bool = True,
) -> CompiledProgram:
    """Compiles a program for this machine; parts without native code become host steps.

    `vector_bits` overrides the width of the vectors that kernels are written with, `forms` what
    cost models say of contractions. Without `loops`, kernels call none of NumPy's inner loops.
    """
    clock = [time.perf_counter()]
    forms = forms or Forms()
    simple, checks = prepared(program, forms.winograd)
    given: dict[Value, int] = {}
    if forms.innermost:
        simple, checks, given = layouts.with_given_images(simple, checks)
    clock.append(time.perf_counter())
    bits = vector_bits or Target.host().vector_bits
    compiler = _Compiler(simple, checks, bits, forms, loops, given)
    steps, arena_bytes = compiler.compile()
    clock.append(time.perf_counter())
    kernels = [s for s in steps if isinstance(s, KernelCode)]
    addresses = dict(
        zip(map(id, kernels), engine.kernel_addresses([k.text for k in kernels]), strict=True)
    )
    words: list[int] = []
    segments: list[Segment] = []
    count = 0
    for step in steps:
        if isinstance(step, HostStep):
            words += [0] * RECORD_HEADER_WORDS
            segments.append(Segment(len(words), step))
            continue
        if not segments or segments[-1].host is not None:
            segments.append(Segment(len(words), first=count))
        count += 1
        arguments = [w for o in step.operands for w in _operand_words(o, simple)] + step.words
        flags = PARALLEL * step.parallel + CHAINED * step.chained
        words += [addresses[id(step)], step.tasks, flags, len(arguments), *arguments]
    words += [0] * RECORD_HEADER_WORDS
    clock.append(time.perf_counter())
    timings = dict(zip(("simplify", "lower", "link"), np.diff(clock).tolist(), strict=True))
    slots = len(program.bases) + len(program.results) + 2
    return CompiledProgram(
        simple,
        np.array(words, np.int64),
        segments,
        slots,
        arena_bytes,
        any(k.parallel for k in kernels),
        kernels,
        forms,
        compiler.kernel_groups(steps),
        timings,
        compiler.ended(steps) if bounds.switched_on() else {},
    )


def _operand_words(operand: Operand, program: Program) -> tuple[int, int]:
    if operand.buffer is None:
        word = scalar_words(program.scalars)[operand.scalar]
        return len(program.bases) + len(program.results), 8 * word
    slot, offset = location(operand.buffer, program)
    return slot, offset + operand.offset * operand.buffer.dtype.itemsize
