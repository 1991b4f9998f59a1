"""Kernels that the reference executor may call for single values, where NumPy would take long.

Only those whose text does not hang on lengths: they are compiled once, whatever comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from flambeau.execute.cpu import attentions, checked_runs, engine, recurrences, runtime
from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import operand_pointer
from flambeau.execute.cpu.emit import I64, Emitter, Type
from flambeau.execute.cpu.math_functions import FUNCTIONS
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference.schedule import takes_long
from flambeau.ops.primitive import ATTENTION, ELEMENTWISE, Array
from flambeau.ops.recurrence import recurrence, recurrence_saved
from flambeau.ops.value import Value

# Seconds, as seen: attention in NumPy, and what one of its scores adds; what its kernel costs once.
ATTENDING, ATTENDING_PER_SCORE, COMPILING_ATTENTION = 1e-4, 3e-8, 0.05


class Shortcuts:
    """Computes the values of one run of a program that have such kernels.

    Give all of these: outputs and what is saved of a layer come from one call. `kept` is for what
    later runs need again.
    """

    def __init__(self, values: Iterable[Value], kept: dict[Any, Any]) -> None:
        self.pairs = [v for v in values if v.primitive is recurrence_saved]
        self.known: dict[Value, Array] = {}
        self.kept = kept

    def __call__(self, v: Value, operands: Sequence[Array]) -> Array | None:
        """The value, or None where NumPy is to compute it."""
        if not takes_long(v):
            return None
        if v.primitive.family == ELEMENTWISE:
            return _mapped(v, operands[0])
        if v in self.known:
            return self.known.pop(v)
        if v.primitive.family == ATTENTION:
            return self.attended(v, operands)
        if not recurrences.is_native_recurrence(v):
            return None
        other = next((x for x in self.pairs if x is not v and recurrences.comes_with(x, v)), None)
        saves = v.primitive is recurrence_saved
        if other is not None or saves:
            # The outputs and what is saved, as values over the operands of one of them.
            both = [made(*v.inputs, **v.attrs) for made in (recurrence, recurrence_saved)]
            found = _called(v, operands, both, saving=True)
        else:
            found = _called(v, operands, [v], saving=False)
        if saves:
            return found[1]
        if other is not None:
            self.known[other] = found[1]
        return found[0]

    def attended(self, v: Value, operands: Sequence[Array]) -> Array | None:
        """Attention or its gradient. None where there is no kernel."""
        given = [_with_rows(x, y.dtype.numpy) for x, y in zip(operands, v.inputs, strict=True)]
        key = (v, *[x.strides for x in given])
        call = self.kept.get(key)
        if call is None and key not in self.kept:
            if attentions.is_native_attention(v):
                strides = [tuple([s // x.itemsize for s in x.strides]) for x in given]
                call = _Attending(v, strides)
            self.kept[key] = call
        return call(given) if call is not None and call.ready() else None


_SPENT: Counter[str] = Counter()  # seconds in NumPy, estimated, by the text of a kernel


class _Attending:
    """A call of attention's kernel for operands with certain strides."""

    def __init__(self, v: Value, strides: Sequence[tuple[int, ...]]) -> None:
        self.kernel = attentions.kernel(v, strides, Target.host().vector_bits)
        self.dtype, self.shape = v.dtype.numpy, v.shape
        q, k, *_ = v.inputs[1:] if v.primitive.name == "attention_grad" else v.inputs
        scores = q.size // q.shape[3] * k.shape[2]
        self.spends = ATTENDING + ATTENDING_PER_SCORE * scores
        self.program: Any = None
        self.operands = len(strides)

    def ready(self) -> bool:
        """Whether as much time has been spent without the kernel as making it takes."""
        if self.program is None:
            kernel = self.kernel
            if _SPENT[kernel.text] < COMPILING_ATTENTION:
                _SPENT[kernel.text] += self.spends  # type: ignore[assignment]
                return False
            count = self.operands + 2
            words = [word for slot in range(count) for word in (slot, 0)] + kernel.words
            record = runtime.Record(_kernel(kernel.text), words, kernel.tasks, kernel.tasks > 1)
            self.program = runtime.encode_program([record])
        return True

    def __call__(self, operands: Sequence[Array]) -> Array:
        found = np.empty(self.shape, self.dtype)
        scratch = np.empty(self.kernel.scratch, self.dtype)
        checked_runs.run_alone(self.kernel.text, [*operands, found, scratch], self.program)
        return found


def _with_rows(x: Array, kind: Any) -> Array:
    """The array, or a copy, with its last axis dense and steps forwards alone."""
    x = np.asarray(x, kind)
    steps = x.strides
    if x.flags.c_contiguous or (steps[-1] == x.itemsize and min(steps) >= 0):
        return x
    return np.ascontiguousarray(x)


def _called(
    v: Value, operands: Sequence[Array], results: Sequence[Value], saving: bool
) -> list[Array]:
    bits = Target.host().vector_bits
    _, _, tasks = recurrences.sequences(v)
    found = [np.empty(r.shape, r.dtype.numpy) for r in results]
    if not tasks:
        return found
    given = [np.ascontiguousarray(x) for x in operands]
    scratch = np.empty(recurrences.scratch_size(v, bits), v.dtype.numpy)
    text = recurrences.kernel_text(v, saving, bits)
    arrays = [*given, *found, scratch]
    words = [word for slot in range(len(arrays)) for word in (slot, 0)]
    words += recurrences.kernel_words(v)
    record = runtime.Record(_kernel(text), words, tasks, tasks > 1)
    checked_runs.run_alone(text, arrays, runtime.encode_program([record]))
    return found


def _mapped(v: Value, x: Array) -> Array:
    """A function of each element."""
    result = np.empty(v.shape, v.dtype.numpy)
    given = np.ascontiguousarray(x, v.dtype.numpy)
    text = _map_text(v.primitive.name, v.dtype.name)
    record = runtime.Record(_kernel(text), [0, 0, 1, 0, v.size])
    checked_runs.run_alone(text, [given, result], runtime.encode_program([record]))
    return result


@cache
def _map_text(name: str, dtype: str) -> str:
    """The module of a kernel that applies a function to as many elements as a word says."""
    bits = Target.host().vector_bits
    element = "float" if dtype == "float32" else "double"
    lanes = bits // (32 if dtype == "float32" else 64)
    e = Emitter(bits)
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as (table, args, _, _):
        source, target = (operand_pointer(e, table, args, k) for k in range(2))
        count = e.load(e.gep(args, "i64", e.i64(4)), I64)
        whole = e.op("sub nsw", count, e.op("urem", count, e.i64(lanes)))
        for width, start, stop in ((lanes, e.i64(0), whole), (1, whole, count)):
            type_ = Type(element, width)
            with e.loop(start, stop, width) as loop:
                x = e.load(e.gep(source, element, loop.index), type_)
                e.store(e.gep(target, element, loop.index), FUNCTIONS[name](e, x))
        e.line("ret i64 0")
    return e.module()


@lru_cache(maxsize=256)
def _kernel(text: str) -> int:
    return engine.kernel_addresses([text])[0]
