"""What backward passes need of the past: the values kept for them, and if they have changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Any, NamedTuple

from flambeau.core.dtypes import DType, bfloat16
from flambeau.graph.program import reachable
from flambeau.graph.reverse import Reverse
from flambeau.ops import source
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record import kept
from flambeau.record.kept import Choice, Keeps, lookers, nbytes
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


def imported(
    trace: Trace, value: Value, recurse: Any, read: Any, computed: Container[Value]
) -> Value:
    """`value` of another program: constants as they are, views of imported values, what is
    `computed` from such, else (and where its memory was written) `read(value)`.
    """
    primitive = value.primitive
    if value in computed:
        inputs = tuple(recurse(operand) for operand in value.inputs)
        tracked = value.tracked and any(operand.tracked for operand in inputs)
        return Value(primitive, inputs, value.attrs, value.shape, value.dtype, tracked)
    if value in trace.origins:
        origin = trace.origins[value]
        if origin is None or origin.storage.version != origin.version:
            return read(value)  # type: ignore[no-any-return]
    if _is_promotion(trace, value):
        return primitive(recurse(value.inputs[0]), **value.attrs)
    if len(value.inputs) == 1 and (in_its_own_memory(trace, value) or _renewed(trace, value)):
        return read(value)  # type: ignore[no-any-return]
    if primitive.name in ("constant", "iota"):
        return value
    if primitive.family == VIEW and len(value.inputs) == 1 and not value.tracked:
        return primitive(recurse(value.inputs[0]), **value.attrs)
    if primitive.name in ("reshape", "permute", "expand", "detach", "pad"):
        return primitive(recurse(value.inputs[0]), **value.attrs)
    return read(value)  # type: ignore[no-any-return]


def _is_promotion(trace: Trace, value: Value) -> bool:
    """Whether a value is a tensor's in the dtype in which an op computes: PyTorch keeps the tensor.
    Under autocast it keeps what it has cast.
    """
    return (
        value.primitive.name == "cast"
        and not trace.autocasts
        and value not in trace.origins
        and saved_origin(value.inputs[0], trace.origins) is not None
    )


def kept_for(trace: Trace, value: Value) -> tuple[Value, Origin | None]:
    """The value that PyTorch keeps where a derivative looks at `value`, and where it stands."""
    while value not in trace.origins and (
        _is_promotion(trace, value) or (value.primitive.family == VIEW and len(value.inputs) == 1)
    ):
        value = value.inputs[0]
    return value, trace.origins.get(value)


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


class Needed(NamedTuple):
    """What later passes from some roots could read, with where that stands in memory; whether any
    derivative is left at all; and what is known of frames that keep much.
    """

    values: list[tuple[Value, Origin | None]]
    left: bool
    keeps: Keeps | None = None
    plain: frozenset[Value] = frozenset()  # of the values: kept as they are, whoever writes where


def saved_values(trace: Trace, roots: list[Value], is_left: Callable[[Origin], bool]) -> Needed:
    """What a later backward from any of the roots could read. `is_left` says whether the program
    leaves the memory of an origin to somebody.
    """
    dry = _DryPass(trace, roots)
    plainly = dry.needed()
    if sum(nbytes(value) for value, _ in plainly) < kept.WORTH:
        return Needed(plainly, dry.left)
    values, plain = plainly, frozenset[Value]()
    if not (trace.spans or trace.silenced):
        known = {value for value, _ in plainly}
        choice = Choice(known, trace.origins, trace.marks, is_left)
        computed = choice.computed()
        if computed:
            dry = _DryPass(trace, roots, computed)
            values = dry.needed()
            plain = frozenset(value for value, _ in values if value not in known)
    keeps = Keeps(dry.computed, lookers(dry.visits, dry.reads))
    return Needed(values, dry.left, keeps, plain)


class _DryPass:
    """A pass from roots that reads nothing: what would it read?"""

    def __init__(
        self, trace: Trace, roots: list[Value], computed: frozenset[Value] = frozenset()
    ) -> None:
        self.trace = trace
        self.computed = computed
        self.reads: dict[Value, Value] = {}
        self.visits: list[tuple[Value, list[Value]]] = []
        self._origins: dict[Value, Origin | None] = {}
        self._placeholders: dict[Value, Value] = {}
        # Of the values whose views are being looked through:
        self._above: list[Origin | None] = [None]
        self._pass = Reverse(lambda value, used: self.visits.append((value, used)), self._translate)
        self._pass.dry = True
        self._again = Again(trace.spans, self._pass, self._translate)
        # Cotangents that Python's code receives, of freed values, or of tensors (one that was
        # filled, or made of such, leads nowhere): a pass for those alone may still come.
        self._arrived: list[Value] = []
        self._run(roots)
        self._ends = [*self._pass.leaves.values(), *self._pass.histories.values()]
        self.left = bool(self._ends)

    def needed(self) -> list[tuple[Value, Origin | None]]:
        """The values that results depend on, and where they stand."""
        results = [*self._ends, *self._arrived]
        used = [self.reads[v] for v in reachable(results, data=True) if v in self.reads]
        return [(value, self._origins[value]) for value in used]

    def _read(self, value: Value) -> Value:
        self._origins[value] = self._above[-1]
        return source.program_input("saved", len(self._origins), value.shape, value.dtype)

    def _translate(self, value: Value) -> Value:
        if value in self._again:
            return self._again.copy(value)
        found = self._placeholders.get(value)
        if found is None:
            above = self._above
            above.append(saved_origin(value, self.trace.origins) or above[-1])
            found = imported(self.trace, value, self._translate, self._read, self.computed)
            above.pop()
            self._placeholders[value] = found
            if found.primitive is source.input_ and found.attrs["role"] == "saved":
                self.reads[found] = value
        return found

    def _run(self, roots: list[Value]) -> None:
        trace, pass_, arrived = self.trace, self._pass, self._arrived
        ends_too = set(roots)
        ends_too.update(v for t in trace.tensors for v in t.group.values.values() if v.tracked)
        for value, inputs in trace.cuts:
            pass_.cuts[value] = _dry_cut(value, inputs, arrived)
        for number, root in enumerate(roots):
            pass_.seed(root, source.program_input("ct", number, root.shape, root.dtype))
        while pass_.heap:
            value = pass_.heap[0][1]
            if value in trace.freed:
                arrived.append(pass_.cotangents[value])
                pass_._pop(value)
                continue
            if value in ends_too:
                arrived.append(pass_.cotangents[value])
            pass_.step()


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
    kind = "CPUBFloat16Type" if dtype is bfloat16 else f"torch.{dtype.scalar_name}Tensor"
    output = f", which is output 0 of {maker}," if maker else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{kind} {list(shape)}]{output} is at version "
        f"{version}; expected version {expected} instead. Hint: enable anomaly detection to find "
        "the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
