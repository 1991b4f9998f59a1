"""Kernels that the reference executor may call for single values, where NumPy would take long.

Only those whose text does not hang on lengths: they are compiled once, whatever comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from flambeau.execute.cpu import checked_runs, engine, recurrences, runtime
from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import operand_pointer
from flambeau.execute.cpu.emit import I64, Emitter, Type
from flambeau.execute.cpu.math_functions import FUNCTIONS
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference.schedule import takes_long
from flambeau.ops.primitive import ELEMENTWISE, Array
from flambeau.ops.recurrence import recurrence, recurrence_saved
from flambeau.ops.value import Value


class Shortcuts:
    """Computes the values of one run of a program that have such kernels.

    Give all its values: outputs and what is saved of a layer come from one call.
    """

    def __init__(self, nodes: Sequence[Value]) -> None:
        self.pairs = [v for v in nodes if v.primitive.name == "recurrence_saved"]
        self.known: dict[Value, Array] = {}

    def __call__(self, v: Value, operands: Sequence[Array]) -> Array | None:
        """The value, or None where NumPy is to compute it."""
        if not takes_long(v):
            return None
        if v.primitive.family == ELEMENTWISE:
            return _mapped(v, operands[0])
        if not recurrences.is_native_recurrence(v):
            return None
        if v in self.known:
            return self.known.pop(v)
        if v.primitive.name == "recurrence_grad":
            return _called(v, operands, [v], saving=False)[0]
        other = next((x for x in self.pairs if x is not v and recurrences.comes_with(x, v)), None)
        saving = other is not None or v.primitive is recurrence_saved
        if not saving:
            return _called(v, operands, [v], saving=False)[0]
        outputs, saved = _called(v, operands, _both(v), saving=True)
        if v.primitive is recurrence_saved:
            return saved
        assert other is not None
        self.known[other] = saved
        return outputs


def _both(v: Value) -> list[Value]:
    """The outputs and what is saved, as values over the operands of one of them."""
    return [recurrence(*v.inputs, **v.attrs), recurrence_saved(*v.inputs, **v.attrs)]


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
    checked_runs.run_alone(text, arrays, runtime.Record(_kernel(text), words, tasks, tasks > 1))
    return found


def _mapped(v: Value, x: Array) -> Array:
    """A function of each element."""
    result = np.empty(v.shape, v.dtype.numpy)
    given = np.ascontiguousarray(x, v.dtype.numpy)
    text = _map_text(v.primitive.name, v.dtype.name)
    record = runtime.Record(_kernel(text), [0, 0, 1, 0, v.size])
    checked_runs.run_alone(text, [given, result], record)
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
