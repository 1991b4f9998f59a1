"""Applies an update rule to the parameters of a group: one recorded event, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.value import Operand, Value
from flambeau.record import recorder
from flambeau.record.events import Event, fitted
from flambeau.record.trace import Trace

Rule = Callable[..., tuple[Any, ...]]
# Scalars that change from step to step: run-time inputs of the program. The others choose the program.
CHANGING = frozenset({"lr", "step_size", "bias_correction2_sqrt", "decay"})


class ValueArithmetic:
    """`updates.Arithmetic` on symbolic values."""

    @staticmethod
    def fma(a: Operand, b: Operand, c: Value) -> Value:
        """a * b + c, rounded once, in the dtype of c."""
        return ar.apply(el.fma, (a, b, c), c.dtype)

    @staticmethod
    def sqrt(x: Value) -> Value:
        """The square root."""
        return el.sqrt(x)

    @staticmethod
    def maximum(x: Value, y: Value) -> Value:
        """The larger of each pair."""
        return ar.maximum(x, y)


_VALUES = ValueArithmetic()


class UpdateOp(Event):
    """One step of an optimizer: key = (op, rule, count, tensors, statics, names of the scalars, reals).

    `tensors` are the numbers of all parameters, then all gradients, then each parameter's states (None where one
    does not exist). States that the rule makes are new tensors, in order; `extra` says which.
    """

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> Any:
        _, rule, count, tensors, statics, names = key
        mode, trace.grad_mode = trace.grad_mode, False
        try:
            scalars = {name: trace.scalar(float) for name in names}
            width = len(tensors) // count - 2
            made = []
            for place in range(count):
                states = tensors[2 * count + place * width:2 * count + (place + 1) * width]
                param, grad = tensors[place], tensors[count + place]
                values = [None if n is None else trace.read(n) for n in (param, grad, *states)]
                new_param, *new_states = rule(_VALUES, *values, **scalars, **dict(statics))
                trace.write(param, fitted(new_param, trace.tensors[param].meta))
                for which, (old, new) in enumerate(zip(states, new_states, strict=True)):
                    if new is None:
                        continue
                    if old is not None:
                        trace.write(old, fitted(new, trace.tensors[old].meta))
                    else:
                        trace.new_tensor(_own(new), strides=trace.tensors[param].meta.strides)
                        made.append((place, which))
            return tuple(made)
        finally:
            trace.grad_mode = mode


def _own(value: Value) -> Value:
    """The value as a node of its own: state made of a gradient must not be that gradient."""
    from flambeau.ops import view

    return view.reshape(value, shape=value.shape)


UPDATE = UpdateOp("optimizer_step")


def apply_updates(
    rule: Rule,
    params: Sequence[Any],
    grads: Sequence[Any],
    states: Sequence[Sequence[Any]],
    scalars: Mapping[str, float],
    flags: Mapping[str, bool],
) -> list[list[Any]]:
    """Applies `rule` to every parameter, in place; returns the states.

    `states[i]` holds the state tensors of `params[i]` in the rule's order, None where one is not
    in use or not there yet. Tensors that are there are overwritten; one that the rule makes is new
    in what is returned. `scalars` may change from step to step, `flags` choose the program.
    """
    if recorder.LOCAL.replay is not None:
        recorder.LOCAL.replay += [scalars[name] for name in scalars if name in CHANGING]
        return states  # type: ignore[return-value]
    flat = [*params, *grads]
    for state in states:
        flat += state
    exposed = [t._storage for t in flat if t is not None and t._storage is not None and t._storage.exposed]
    if any(storage.still_exposed() for storage in exposed):
        shown = [storage for storage in exposed if storage.exposed]
        result: list[list[Any]] = recorder._write_exposed(
            shown, lambda: apply_updates(rule, params, grads, states, scalars, flags))
        return result
    names = tuple([name for name in scalars if name in CHANGING])
    statics = (*[(name, value) for name, value in scalars.items() if name not in CHANGING], *flags.items())
    enter = recorder.enter
    while True:
        rec = recorder.LOCAL.rec
        try:
            numbers = tuple([None if t is None else t._num if t._rec is rec else enter(rec, t) for t in flat])
            key = (UPDATE, rule, len(params), numbers, statics, names)
            state_after = rec.state.next.get(key) or recorder.miss(rec, key)
        except recorder.Flushed:
            continue
        break
    rec.state = state_after
    rec.scalars += [scalars[name] for name in names]
    made = recorder.results(rec, state_after)
    if not made:
        return states  # type: ignore[return-value]
    kept = [list(state) for state in states]
    for (place, which), tensor in zip(state_after.extra, made, strict=True):
        kept[place][which] = tensor
    return kept
