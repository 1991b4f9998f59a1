"""What backward passes need of the past: the values kept for them, and if they have changed."""

from __future__ import annotations

import re
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.graph.program import reachable
from flambeau.graph.reverse import Reverse
from flambeau.ops import source
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record.layouts import saved_origin
from flambeau.record.records import FunctionRecord, Origin
from flambeau.record.regions import Again
from flambeau.record.trace import Trace

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


def imported(trace: Trace, value: Value, recurse: Any, read: Any) -> Value:
    """`value` of another program: constants as they are, views of imported values, else (and where
    its memory was written) `read(value)`.
    """
    primitive = value.primitive
    if value in trace.origins:
        origin = trace.origins[value]
        if origin is None or origin.storage.version != origin.version:
            return read(value)  # type: ignore[no-any-return]
    if len(value.inputs) == 1 and (in_its_own_memory(trace, value) or _renewed(trace, value)):
        return read(value)  # type: ignore[no-any-return]
    if primitive.name in ("constant", "iota"):
        return value
    if primitive.family == VIEW and len(value.inputs) == 1 and not value.tracked:
        return primitive(recurse(value.inputs[0]), **value.attrs)
    if primitive.name in ("reshape", "permute", "expand", "detach", "pad"):
        return primitive(recurse(value.inputs[0]), **value.attrs)
    return read(value)  # type: ignore[no-any-return]


def in_its_own_memory(trace: Trace, value: Value) -> bool:
    """Whether a value is that of a tensor (a clone) with other memory than what it was made from,
    or of none at all: what it was made from may be overwritten.
    """
    if value not in trace.origins:
        return False
    own = trace.origins[value]
    if own is None:
        return True
    other = saved_origin(value.inputs[0], trace.origins)
    return other is not None and other.storage is not own.storage


def _renewed(trace: Trace, value: Value) -> bool:
    """Whether a value is what a tensor shows now, and what it was made from was so before a write:
    `x[...] *= 2` writes the same elements twice.
    """
    if value not in trace.origins:
        return False
    earlier = saved_origin(value.inputs[0], trace.origins)
    return earlier is not None and earlier.storage.version != earlier.version


def saved_values(
    trace: Trace, roots: list[Value]
) -> tuple[list[tuple[Value, Origin | None]], bool]:
    """What a later backward from any of the roots could read, with where that stands in memory, and
    whether any derivative is left at all.
    """
    needed: dict[Value, Origin | None] = {}
    placeholders: dict[Value, Value] = {}
    above: list[Origin | None] = [None]  # of the values whose views are being looked through

    def read(value: Value) -> Value:
        needed[value] = above[-1]
        return source.program_input("saved", len(needed), value.shape, value.dtype)

    def translate(value: Value) -> Value:
        if value in again:
            return again.copy(value)
        found = placeholders.get(value)
        if found is None:
            above.append(saved_origin(value, trace.origins) or above[-1])
            found = imported(trace, value, translate, read)
            above.pop()
            placeholders[value] = found
            if found.primitive is source.input_ and found.attrs["role"] == "saved":
                reads[found] = value
        return found

    reads: dict[Value, Value] = {}
    pass_ = Reverse(None, translate)
    again = Again(trace.spans, pass_, translate)
    # Cotangents that Python's code receives, of freed values, or of tensors (one that was filled,
    # or made of such, leads nowhere): a pass for those alone may still come.
    arrived: list[Value] = []
    ends_too = set(roots)
    ends_too.update(v for t in trace.tensors for v in t.group.values.values() if v.tracked)
    for value, inputs in trace.cuts:
        pass_.cuts[value] = _dry_cut(value, inputs, arrived)
    stop = trace.freed
    for number, root in enumerate(roots):
        pass_.seed(root, source.program_input("ct", number, root.shape, root.dtype))
    while pass_.heap:
        value = pass_.heap[0][1]
        if value in stop:
            arrived.append(pass_.cotangents[value])
            pass_._pop(value)
            continue
        if value in ends_too:
            arrived.append(pass_.cotangents[value])
        pass_.step()
    ends = [*pass_.leaves.values(), *pass_.histories.values()]
    used = [reads[v] for v in reachable([*ends, *arrived], data=True) if v in reads]
    return [(value, needed[value]) for value in used], bool(ends)


def _dry_cut(value: Value, inputs: tuple[Value | None, ...] | None, arrived: list[Value]) -> Any:
    def rule(ct: Value) -> Any:
        arrived.append(ct)  # (a hook gets it, too, where it leads to nothing)
        if inputs is None:
            return [(value, ct)]
        return [
            (v, source.program_input("ct", v.order, v.shape, v.dtype))
            for v in inputs
            if v is not None
        ]

    return rule


def stale_saved(trace: Trace, function: FunctionRecord) -> str | None:
    """PyTorch's message where a tensor that a custom function has saved was overwritten since."""
    for number, version in function.saved:
        tensor = trace.tensors[number]
        if tensor.storage.counted != version:
            meta = tensor.meta
            now = tensor.storage.counted
            return overwritten(meta.grad_name or "", meta.dtype, meta.shape, now, version)
    return None


def overwritten(grad_name: str, dtype: DType, shape: Any, version: int, expected: int) -> str:
    """PyTorch's message for a saved value that was overwritten in place."""
    maker = re.sub(r"Backward\d*$", "", grad_name)
    output = f", which is output 0 of {maker}," if maker else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [torch.{dtype.scalar_name}Tensor {list(shape)}]{output} is at version "
        f"{version}; expected version {expected} instead. Hint: enable anomaly detection to find "
        "the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
