"""NumPy's inner loops as kernels of a program: factorisations, transforms, complex numbers.

A host step is Python between two native calls, some ten microseconds of it. What NumPy's functions
call in the end are C functions, which a ufunc object has a table of. So a kernel calls them: it
hands over addresses, lengths and steps, and the program is native from end to end.

Where the work is so much that Python's part in it does not count, values stay host steps. A loop
that has failed (a singular matrix) gives NaN: the kernel then declines, and the program runs with
its host steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from flambeau.core import dtypes
from flambeau.execute.cpu import bounds
from flambeau.execute.cpu.body import Buffer
from flambeau.execute.cpu.compiled import DECLINED
from flambeau.execute.cpu.index import space_position, space_variables
from flambeau.execute.cpu.loops import KernelCode, Operand, Store
from flambeau.execute.cpu.pointwise import pointwise_kernel
from flambeau.execute.cpu.target import INNER_LOOP
from flambeau.execute.cpu.ufuncs import loop_address
from flambeau.ops.inner_loops import RESULT, Loop, Loops, Walk
from flambeau.ops.value import Value

# Operations; LAPACK takes one thread for what is smaller, and the interpreter's lock is held.
MOST_WORK = 1 << 18
MOST_ELEMENTS = 1 << 14  # of simple functions
_DTYPES: dict[str, dtypes.DType] = {d.numpy.char: d for d in dtypes.ALL if d is not dtypes.bfloat16}


# ---- kernels -------------------------------------------------------------------------------------


def loop_kernels(
    v: Value, operands: Sequence[Buffer], results: Sequence[Buffer], low: Any
) -> list[KernelCode] | None:
    """The kernels that compute v from its operands' buffers, the same in all buffers of `results`;
    None where a host step does it.
    """
    found = known_loops(v)
    if found is None or not results or any(b.strides is not None for b in operands):
        return None
    direct = _DTYPES[found.kind] is v.dtype
    if v.dtype.is_complex and (len(results) > 1 or not direct):
        return None  # no kernel of ours copies complex numbers
    kernels: list[KernelCode] = []
    given: dict[tuple[int, str], Buffer] = {}
    for loop in found.loops:
        for walk, kind in zip(loop.reads, loop.kinds):
            if walk.of == RESULT or (walk.of, kind) in given:
                continue
            x, buffer = v.inputs[walk.of], operands[walk.of]
            if _read_as(kind, buffer.dtype.numpy.char):
                given[walk.of, kind] = buffer
            elif x.dtype.is_complex:
                return None
            else:
                wide = low.new_scratch(_DTYPES[kind], x.size)
                kernels.append(_copied(x, buffer, wide, low))
                given[walk.of, kind] = wide
    target = results[0] if direct else low.new_scratch(_DTYPES[found.kind], v.size)
    for number, loop in enumerate(found.loops):
        cleared = target.bytes if found.cleared and number == 0 else 0
        kernels.append(_kernel(loop, given, target, cleared))
    for buffer in results[1:] if direct else results:
        kernels.append(_copied(v, target, buffer, low))
    return kernels


def symbol(loop: Loop) -> str:
    """The name by which kernels know a loop."""
    return f"{INNER_LOOP}{loop.ufunc}.{loop.kinds.replace('->', '_')}"


def known_loops(v: Value) -> Loops | None:
    """The loops that compute v, where all are known and Python's part in them would count."""
    if bounds.switched_on():
        return None  # nobody can ask what they touch
    found = v.primitive.inner_loops(v)
    if found is None or found.work > MOST_WORK or v.size > MOST_ELEMENTS:
        return None
    if any(loop_address(symbol(loop)) is None for loop in found.loops):
        return None
    return found


def _read_as(kind: str, char: str) -> bool:
    """Whether a loop over numbers of a kind can walk through memory of another: also through the
    parts of complex numbers.
    """
    return char == kind or (char in "FD" and char.lower() == kind)


def _copied(v: Value, source: Buffer, target: Buffer, low: Any) -> KernelCode:
    """Elements of v, rounded to the dtype of a buffer."""
    position = space_position(v.shape)
    node = low.tracer.load(source, position.flat)
    if source.dtype is not target.dtype:
        node = low.tracer.op("cast", target.dtype, node)
    store = Store(target, position.flat, node)
    kernel: KernelCode = pointwise_kernel(space_variables(v.shape), [store], {}, low.vector_bits)
    return kernel


def _kernel(
    loop: Loop, given: dict[tuple[int, str], Buffer], target: Buffer, cleared: int
) -> KernelCode:
    """The call, or calls, of a loop."""
    walks: list[Walk | None] = [*loop.reads]
    kinds = loop.kinds.replace("->", "")
    walks += [None] * (len(loop.kinds.partition("->")[0]) - len(loop.reads))  # these are 1
    walks += loop.writes
    operands, words = [Operand(target)], [loop.calls, cleared]
    pairs: list[int] = []
    outer: list[int] = []
    inner: list[int] = []
    for walk, kind in zip(walks, kinds, strict=True):
        if walk is None:
            outer.append(0)
            continue
        if walk.of != RESULT:
            operands.append(Operand(given[walk.of, kind]))
        pairs += (walk.start, walk.call)
        outer.append(walk.step)
        inner += walk.inner
    first = loop.writes[0]
    words += [loop.rounds, first.start, first.step, *pairs]
    shape = len(words)
    words += [loop.rounds, *loop.sizes, *outer, *inner]
    sources = ["one" if w is None else w.of == RESULT for w in walks]
    text = _text(symbol(loop), tuple(sources), kinds, shape, len(loop.sizes), loop.checked)
    return KernelCode(text, operands, words, checks=loop.checked)


@cache
def _text(
    name: str, sources: tuple[Any, ...], kinds: str, shape: int, sizes: int, checked: bool
) -> str:
    """Argument words behind those of the operands (the result first): how many calls, how many
    bytes to clear; rounds, place and step of what is looked at; place and step from call to call
    of each that is walked through; from word `shape` on what the loop is given.
    """
    pairs = 1 + sum(source is False for source in sources)
    at = 2 * pairs
    lines = []

    def word(number: int, register: str) -> None:
        lines.append(f"  %{register}.at = getelementptr i64, ptr %args, i64 {at + number}")
        lines.append(f"  %{register} = load i64, ptr %{register}.at, align 8")

    for number in range(pairs):
        for part in (0, 1):
            lines.append(
                f"  %p{number}.{part}.at = getelementptr i64, ptr %args, i64 {2 * number + part}"
            )
            lines.append(f"  %p{number}.{part} = load i64, ptr %p{number}.{part}.at, align 8")
        lines += [
            f"  %p{number}.slot = getelementptr ptr, ptr %table, i64 %p{number}.0",
            f"  %p{number}.base = load ptr, ptr %p{number}.slot, align 8",
            f"  %p{number} = getelementptr i8, ptr %p{number}.base, i64 %p{number}.1",
        ]
    word(0, "calls")
    word(1, "cleared")
    word(2, "rounds")
    word(3, "look")
    word(4, "stride")
    lines += [
        f"  %slots = alloca [{len(sources)} x ptr], align 16",
        f"  %dims = getelementptr i64, ptr %args, i64 {at + shape}",
        f"  %steps = getelementptr i64, ptr %args, i64 {at + shape + 1 + sizes}",
        f'  %function = load ptr, ptr @"{name}", align 8',
        f'  %data.at = getelementptr ptr, ptr @"{name}", i64 1',
        "  %data = load ptr, ptr %data.at, align 8",
        "  %none = call ptr @memset(ptr %p0, i32 0, i64 %cleared)",
        "  br label %again",
        "again:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %again ]",
    ]
    operand = walked = 0
    for number, source in enumerate(sources):
        lines.append(f"  %s{number} = getelementptr ptr, ptr %slots, i64 {number}")
        if source == "one":
            wide = 16 if kinds[number] in "dD" else 24
            lines.append(f'  %w{number} = getelementptr i8, ptr @"{name}", i64 {wide}')
        else:
            operand += not source
            which = 0 if source else operand
            word(5 + 2 * walked, f"start{number}")
            word(6 + 2 * walked, f"call{number}")
            walked += 1
            lines += [
                f"  %far{number} = mul i64 %i, %call{number}",
                f"  %sum{number} = add i64 %far{number}, %start{number}",
                f"  %w{number} = getelementptr i8, ptr %p{which}, i64 %sum{number}",
            ]
        lines.append(f"  store ptr %w{number}, ptr %s{number}, align 8")
    lines += [
        "  call void %function(ptr %slots, ptr %dims, ptr %steps, ptr %data)",
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %calls",
        f"  br i1 %more, label %again, label {'%looking' if checked else '%fine'}",
    ]
    if checked:
        lines += [
            "looking:",
            "  %k = phi i64 [ 0, %again ], [ %following, %good ]",
            "  %off = mul i64 %k, %stride",
            "  %place = add i64 %off, %look",
            "  %there = getelementptr i8, ptr %p0, i64 %place",
            "  %number = load double, ptr %there, align 8",
            "  %bad = fcmp uno double %number, 0.0",
            "  br i1 %bad, label %failed, label %good",
            "good:",
            "  %following = add i64 %k, 1",
            "  %left = icmp slt i64 %following, %rounds",
            "  br i1 %left, label %looking, label %fine",
            "failed:",
            f"  ret i64 {DECLINED}",
        ]
    lines += ["fine:", "  ret i64 0"]
    head = "define i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last) {\nentry:"
    declared = f'@"{name}" = external global [4 x i64]\ndeclare ptr @memset(ptr, i32, i64)\n'
    return "\n".join((declared, head, *lines, "}")) + "\n"
