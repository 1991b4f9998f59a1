"""Applies an update rule to the parameters of a group: one recorded event for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flambeau.core.dtypes import float64
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.value import Operand, Value
from flambeau.optim.varying import NOTHING, Kind, Varying
from flambeau.record import recorder
from flambeau.record.entering import NATIVE
from flambeau.record.events import Event, fitted
from flambeau.record.recorder import Together
from flambeau.record.trace import Trace

Rule = Callable[..., tuple[Any, ...]]
# Scalars that change from step to step: run-time inputs of the program. The others choose the
# program.
CHANGING = frozenset(
    {
        "bias_correction1",
        "bias_correction2",
        "bias_correction2_sqrt",
        "complement",
        "decay",
        "gradient_share",
        "lr",
        "momentum_share",
        "mu",
        "mu_next",
        "new_eta",
        "new_mu",
        "rectification",
        "relative",
        "step_size",
        "weight",
    }
)


class ValueArithmetic:
    """`updates.Arithmetic` on symbolic values. `_known` has what is known of hyper-parameters that
    are run-time scalars: what they leave of one, and whether they are below a half.
    """

    def __init__(self) -> None:
        self._known: dict[Value, tuple[Value, bool]] = {}

    def varying(self, trace: Trace, kind: Kind) -> Value:
        """The hyper-parameter that the next two scalars of the step are."""
        number, rest = trace.scalar(float), trace.scalar(float)
        self._known[number], self._known[rest] = (rest, kind[1]), (number, kind[2])
        return number

    def complement(self, weight: Value) -> Value:
        """1 - weight."""
        return self._known[weight][0]

    def below_half(self, weight: Value) -> bool:
        """Whether weight < 0.5."""
        return self._known[weight][1]

    @staticmethod
    def fma(a: Operand, b: Operand, c: Value) -> Value:
        """a * b + c, rounded once, in the dtype of c."""
        return ar.apply(el.fma, (a, b, c), c.dtype)

    @staticmethod
    def sqrt(x: Value) -> Value:
        """The square root."""
        return el.sqrt(x)

    @staticmethod
    def maximum(x: Operand, y: Operand) -> Value:
        """The larger of each pair."""
        return ar.maximum(x, y)

    @staticmethod
    def minimum(x: Operand, y: Operand) -> Value:
        """The smaller of each pair."""
        return ar.minimum(x, y)

    @staticmethod
    def absolute(x: Value) -> Value:
        """The absolute value."""
        return el.abs_(x)

    @staticmethod
    def sign(x: Value) -> Value:
        """-1, 0 or 1; of NaN 0."""
        return el.sign(x)

    @staticmethod
    def where(condition: Value, x: Operand, y: Operand) -> Value:
        """x where the condition holds, else y."""
        return ar.where(condition, x, y)

    @staticmethod
    def equal(x: Operand, y: Operand) -> Value:
        """Whether x = y, elementwise."""
        return ar.eq(x, y)

    @staticmethod
    def double(x: Value) -> Value:
        """The same number in float64, as PyTorch's `.item()` gives it to Python."""
        return ar.as_value(x, float64)

    @staticmethod
    def alike(x: Value, y: Value) -> Value:
        """x in the dtype of y, as PyTorch rounds a Python number that meets a tensor."""
        return ar.cast(x, y.dtype)


class Statics:
    """A rule with the hyper-parameters that choose its program, interned: equal ones are one
    object.
    """

    __slots__ = ("changing", "items", "rule", "varying")

    def __init__(
        self,
        rule: Rule,
        items: tuple[tuple[str, Any], ...],
        changing: tuple[str, ...],
        varying: tuple[Kind, ...],
    ) -> None:
        self.rule = rule
        self.items = items
        self.changing = changing
        self.varying = varying

    def values(self, scalars: Mapping[str, float], varying: Varying) -> list[float]:
        """The run-time scalars of a step."""
        return [*[scalars[name] for name in self.changing], *varying.pairs()]


_statics: dict[Any, Statics] = {}


def statics_of(
    rule: Rule,
    scalars: Mapping[str, float],
    flags: Mapping[str, bool],
    kinds: tuple[Kind, ...] = (),
) -> Statics:
    """What of a step's hyper-parameters is fixed; of those in `kinds` only what kind of number they
    are.
    """
    changes = CHANGING.union(name for name, *_ in kinds) if kinds else CHANGING
    key = (
        rule,
        *[value for name, value in scalars.items() if name not in changes],
        *flags.values(),
        *kinds,
    )
    found = _statics.get(key)
    if found is None:
        items = (*[(n, v) for n, v in scalars.items() if n not in changes], *flags.items())
        changing = tuple(name for name in scalars if name in CHANGING)
        if len(_statics) > 10_000:
            # hyper-parameters that change all the time; programs are kept by the tree
            _statics.clear()
        found = _statics[key] = Statics(rule, items, changing, kinds)
    return found


def _ruled(
    ops: ValueArithmetic, rule: Rule, values: list[Any], options: dict[str, Any]
) -> list[Any]:
    """The rule applied; complex parameters are pairs of real ones that share their real states."""
    if not values[0].dtype.is_complex:
        return list(rule(ops, *values, **options))
    halves = []
    for part in (el.real, el.imag):
        chosen = [part(v) if v is not None and v.dtype.is_complex else v for v in values]
        halves.append(rule(ops, *chosen, **options))
    given = [values[0], *values[2:]]
    return [
        el.complex_(a, b) if a is not None and (v is None or v.dtype.is_complex) else a
        for v, a, b in zip(given, *halves, strict=True)
    ]


class UpdateOp(Event):
    """One step of an optimizer: key = (op, tensors, float for each scalar, (statics, number of
    parameters, absent)).

    `tensors` are the numbers of all parameters, then all gradients, then each parameter's states;
    `absent` are the places among the states of those that do not exist. States that the rule makes
    are new tensors, in order; `extra` says which.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Any:
        _, tensors, *_, (statics, count, absent) = key
        tensors = list(tensors)
        for place in absent:
            tensors.insert(2 * count + place, None)
        mode, trace.grad_mode = trace.grad_mode, False
        try:
            scalars = {name: trace.scalar(float) for name in statics.changing}
            ops = ValueArithmetic()
            scalars |= {kind[0]: ops.varying(trace, kind) for kind in statics.varying}
            width = len(tensors) // count - 2
            made = []
            for place in range(count):
                states = tensors[2 * count + place * width : 2 * count + (place + 1) * width]
                param, grad = tensors[place], tensors[count + place]
                values = [None if n is None else trace.read(n) for n in (param, grad, *states)]
                new_param, *new_states = _ruled(
                    ops, statics.rule, values, {**scalars, **dict(statics.items)}
                )
                trace.write(param, fitted(new_param, trace.tensors[param].meta))
                for which, (old, new) in enumerate(zip(states, new_states, strict=True)):
                    if new is None:
                        continue
                    if old is not None:
                        trace.write(old, fitted(new, trace.tensors[old].meta))
                    else:
                        # A node of its own: state made of a gradient must not be that gradient.
                        own = view.reshape(new, shape=new.shape)
                        trace.new_tensor(own, strides=trace.tensors[param].meta.strides)
                        made.append((place, which))
            return tuple(made)
        finally:
            trace.grad_mode = mode


UPDATE = UpdateOp("optimizer_step")


def apply_updates(
    rule: Rule,
    params: Sequence[Any],
    grads: Sequence[Any],
    states: Sequence[Any],
    scalars: Mapping[str, float],
    flags: Mapping[str, bool],
    kept: Together | None = None,
) -> list[tuple[int, int, Any]]:
    """Applies `rule` to every parameter, in place.

    `states` are the state tensors of the parameters in turn, in the rule's order, None where one is
    not in use or not there yet. Tensors that are there are overwritten; those that the rule makes
    are returned as (parameter, which state, tensor). `scalars` may change from step to step,
    `flags` choose the program. `kept` are the states as the caller has kept them from the step
    before.
    """
    statics = statics_of(rule, scalars, flags)
    values = statics.values(scalars, NOTHING)
    return record_updates(statics, values, params, grads, states, kept)


def record_updates(
    statics: Statics,
    values: list[float],
    params: Sequence[Any],
    grads: Sequence[Any],
    states: Sequence[Any],
    kept: Together | None,
) -> list[tuple[int, int, Any]]:
    """`apply_updates` with the scalars that change from step to step in `values`."""
    local = recorder.LOCAL
    if kept is not None and kept.complete:
        absent = kept.absent
        flat = [*params, *grads, *kept.tensors]
    else:
        absent = tuple([place for place, t in enumerate(states) if t is None])
        flat = [*params, *grads, *[t for t in states if t is not None]]
    attributes = (statics, len(params), absent)
    while True:
        rec = local.rec
        try:
            if kept is not None and kept.tensors and kept.tensors[0]._rec is not rec:
                kept.enter(rec)
            if (
                kept is not None  # nothing new is made
                and NATIVE.known_op is not None
                and NATIVE.known_op(rec, UPDATE, attributes, flat, *values) is not None
            ):
                return []
            numbers = [t._num for t in flat if t._rec is rec]
            if len(numbers) < len(flat):  # some have not entered yet
                shown = _shown(flat, rec)
                if shown:
                    again = (statics, values, params, grads, states, None)
                    result: list[tuple[int, int, Any]] = recorder.write_exposed(
                        shown, lambda again=again: record_updates(*again)
                    )
                    return result
                enter = recorder.enter
                numbers = [t._num if t._rec is rec else enter(rec, t) for t in flat]
            key = (UPDATE, tuple(numbers), *[float] * len(values), attributes)
            after = rec.state.next.get(key) or recorder.miss(rec, key)
            if not (after.metas or after.effects):
                rec.state = after
                rec.scalars += values
                return []
            made = recorder.commit(rec, after, values)
        except recorder.Flushed:
            continue
        break
    if not made:
        return []
    return [
        (place, which, tensor) for (place, which), tensor in zip(after.extra, made, strict=True)
    ]


def _shown(tensors: Sequence[Any], rec: Any) -> list[Any]:
    """Storages that NumPy can see (what has entered the recording is not such)."""
    return [
        t._storage
        for t in tensors
        if t._rec is not rec
        and t._storage is not None
        and t._storage.exposed
        and t._storage.still_exposed()
    ]
