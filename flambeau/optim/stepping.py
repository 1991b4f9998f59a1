"""What the optimisers with a pure update rule share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from flambeau.nn._torch import Tensor, enable_grad, float32, full_at_rest, no_grad
from flambeau.nn.parameter import is_lazy
from flambeau.optim.engine import Rule, record_updates, statics_of
from flambeau.optim.optimizer import Optimizer, same
from flambeau.optim.varying import NOTHING, Varying, entries
from flambeau.record import recorder, words
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import Together
from flambeau.record.words import Pairs
from flambeau.record.worth import FIRST_STEPS

FEW = 8  # tensors that enter one by one at less cost
# Parameters that a rule is applied to together, and the names of its states.
Parts: TypeAlias = "Sequence[tuple[Sequence[Tensor], Sequence[str]]]"
State: TypeAlias = "dict[str, Tensor]"
NOTHING_READY: Mapping[Tensor, tuple[Any, State]] = MappingProxyType({})


def reaches(value: Any, least: float) -> bool:
    """value >= least, asked as PyTorch does: so errors of what cannot be compared are the same."""
    return bool(least <= value)


def check_lr(lr: Any, message: str = "Invalid learning rate") -> None:
    """Raise ValueError for a learning rate that is none."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not reaches(lr, 0.0):
        raise ValueError(f"{message}: {lr}")


def lr_arithmetic(lr: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the learning rate as a number, and the type that further arithmetic on it has.

    PyTorch computes with a learning rate that is a float32 tensor in float32, not in double.
    """
    if isinstance(lr, Tensor) and lr.dtype == float32:
        return np.float32(lr.item()), np.float32
    return float(lr), float


def check_range(value: Any, message: str, below: float | None = None) -> None:
    """Raise ValueError(message: value) unless 0 <= value (< below)."""
    if not reaches(value, 0.0) or (below is not None and not value < below):
        raise ValueError(f"{message}: {value}")


def check_betas(betas: Any) -> None:
    """Raise ValueError unless both decay rates are in [0, 1)."""
    for i in range(2):
        check_range(betas[i], f"Invalid beta parameter at index {i}", 1.0)


def check_execution(
    foreach: bool | None = None,
    fused: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
) -> None:
    """Refuse what would change the meaning; `foreach`, `fused`, `capturable` only change speed."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(
            "differentiable=True (a backward pass through the optimizer's step) is not supported"
        )


def _unchanging(value: Any) -> bool:
    """Whether a hyper-parameter can only change by being replaced."""
    if type(value) is tuple:
        return all(map(_unchanging, value))
    return value is None or type(value) in (bool, int, float, str)


class Update:
    """One application of a rule, as a compiled function remembers it."""

    __slots__ = (
        "all",
        "counts",
        "first",
        "fixed",
        "group",
        "held",
        "optimizer",
        "params",
        "scalar",
        "varying",
    )

    def __init__(
        self,
        optimizer: RuleOptimizer,
        group: dict[str, Any],
        params: Sequence[Tensor],
        counts: bool,
        scalar: int,
    ) -> None:
        self.optimizer = optimizer
        self.group = group
        self.params = list(params)
        self.all = list(group["params"])
        self.first = id(params[0])
        self.fixed = optimizer._fixed(group)
        self.varying = Varying(group, optimizer._varying) if optimizer._varying else NOTHING
        self.counts = counts  # whether the parameters are counted together
        self.scalar = scalar  # where its scalars stand in the recording
        self.held: list[Any] = []

    def pairs(self) -> Pairs:
        """The words of memory that are proof of the optimizer's step being this one, with the
        hyper-parameters that it has now. Unknown where there are none.
        """
        optimizer, group = self.optimizer, self.group
        self.held = list(group.values())  # no other object gets their addresses
        if not all(map(_unchanging, (v for name, v in group.items() if name != "params"))):
            raise words.Unknown
        found = words.attribute(optimizer, "_exposed", False)
        found += words.items(group, list(group), self.held)
        found += words.elements(group["params"], self.all)
        together = optimizer._together
        found += words.attribute(optimizer, "_together", together)
        key = next((key for key in together if key == self.first), None)
        if key is None:
            found += words.length(together)
        else:
            entry = together[key]
            self.held.append(entry)
            found += words.item(together, key, entry) + words.element(entry, 0, self.params)
        if not optimizer.repeats(self):
            raise words.Unknown
        return found


class RuleOptimizer(Optimizer):
    """An optimiser whose step applies one rule of `flambeau.optim.updates` to each group."""

    _group: dict[str, Any]
    _applications: list[tuple[Update, Any, Any, Any]] | None = None
    # What the last step was applied to, while it is not known to enter together.
    _parts: list[tuple[Sequence[Tensor], Sequence[str]]] | None = None
    _names: ClassVar[tuple[str, ...]] = ()  # the rule's states, in its order
    _opening = 2  # so many steps are still expected to be like those that follow
    # What the first step begins with, and the hyper-parameters and layout that it was made for.
    _ready: Mapping[Tensor, tuple[Any, State]] = NOTHING_READY
    # Entries of groups that have changed, or will (`varying.NAMES`): scalars of every step.
    _varying: frozenset[str] = frozenset()
    # Entries of groups that new states are made of, though they may change.
    _begin_with: tuple[str, ...] = ()
    # All that may change as it was in the last step, by the first parameter's id.
    _numbers: Mapping[int, Mapping[str, Any]] = MappingProxyType({})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; `closure` recomputes the loss, which is returned."""
        if self._recorded is not None and self._recorded.failed:
            self._undo_if_failed()
        if closure is None:
            recorder.part_new()
            if self._known is not None and self._step_as_known(self._known):
                rec = self._recorded = recorder.LOCAL.rec
                if rec.state.parent is not None:
                    rec.state.ended = True
                return None
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._applications = []
        self._parts = []
        begun = self._beginning = []
        exposed = self._exposed
        if exposed:
            self._read_steps()
        self._stepped = stepped = []
        for group in self.param_groups:
            params = [param for param in group["params"] if param._grad is not None]
            sparse = [param for param in params if param._grad.is_sparse]
            if sparse:
                params = [param for param in params if not param._grad.is_sparse]
                with no_grad():
                    self._step_sparse(group, sparse)
            if params:
                self._group = group
                self._step_group(group, params)
                stepped.append(params)
        applications = self._applications
        self._known = applications if len(applications) == len(self.param_groups) else None
        self._entering = None
        self._ready = NOTHING_READY
        if exposed:
            self._write_steps()
        rec = self._recorded = recorder.LOCAL.rec
        self._begun = (rec, begun) if begun else None
        recorder.end_step()
        if self._opening:
            self._opening -= 1
            FIRST_STEPS.end_at(rec.state)
        return loss

    def _all_that_enters(self, parts: Parts) -> Together | None:
        """The parameters and states of a step, where there are enough of them to gain."""
        nothing: State = {}
        kept = [
            (self._ready[p][1] if p in self._ready else self._state.get(p, nothing), names)
            for params, names in parts
            for p in params
        ]
        states = [state.get(name) for state, names in kept for name in names]
        together = Together([*(p for params, _ in parts for p in params), *states])
        return together if together.complete and len(together.tensors) >= FEW else None

    def _step_begins(self) -> None:
        """What the step is going to use enters the recording in one event."""
        local = recorder.LOCAL
        if local.capture is not None:
            return
        first = self._recorded is None and self._entering is None and not OPTIONS.sync
        if first and local.rec.state.ended:
            recorder.flush()  # as the next op would: the first weights are no part of the step
        rec = local.rec
        if rec.state.parent is not None:
            return
        if first:
            self._entering = self._all_that_enters(self._prepare())
        if self._parts:
            self._entering = self._all_that_enters(self._parts)
            self._parts = None
        if self._entering is None:
            return
        try:
            self._entering.enter(rec)
        except recorder.Flushed:
            return

    def _prepare(self) -> Parts:
        """What the first step is applied to, if all parameters get gradients. The states that it
        begins with are made here, so that its program is that of the steps that follow. Nothing
        where some have no size yet.
        """
        ready: dict[Tensor, tuple[Any, State]] = {}
        parts = []
        for group in self.param_groups:
            params = [param for param in group["params"] if param.requires_grad]
            if any(map(is_lazy, params)):
                return []
            for param in params:
                if not self._state.get(param):
                    ready[param] = self._made_for(group, param), self._new_state(group, param)
            parts.append((params, self._names))
        self._ready = ready
        return parts

    def _first_state(self, group: dict[str, Any], param: Tensor) -> State:
        """What a parameter's first step begins with."""
        self._beginning.append(param)
        made_for, state = self._ready.get(param, (None, None))
        if state is None or made_for != self._made_for(group, param):
            with no_grad():
                state = self._new_state(group, param)
        return state

    def _made_for(self, group: dict[str, Any], param: Tensor) -> Any:
        """What a new state hangs on."""
        numbers = [float(group[name]) for name in self._begin_with]
        return self._fixed(group), param._meta, numbers

    def _new_state(self, group: dict[str, Any], param: Tensor) -> State:
        """The state of a parameter that has not stepped yet, in memory of its own at once."""
        return {}

    def _step_as_known(self, known: list[tuple[Update, Any, Any, Any]]) -> bool:
        """The common case at least cost: what the last step did, again. Whether that is right; if
        not, nothing has happened.
        """
        if recorder.LOCAL.capture is not None or len(known) != len(self.param_groups):
            return False
        gradients = []
        for group, (update, _, place, entry) in zip(self.param_groups, known):
            if (
                update.group is not group
                or (self._counts and not update.counts)  # each parameter has a count of its own
                or self._applied.get(place) is not entry
                or not self.repeats(update)
            ):
                return False
            gradient = [grad for param in update.all if (grad := param._grad) is not None]
            if len(gradient) != len(update.params) or (
                len(gradient) != len(update.all)
                and not same([p for p in update.all if p._grad is not None], update.params)
            ):
                return False
            gradients.append(gradient)
        for (update, statics, _, entry), grads in zip(known, gradients):
            record_updates(statics, self.replay(update), update.params, grads, entry[1], entry[2])
        return True

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        raise NotImplementedError

    def _step_sparse(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """A step of parameters with sparse gradients. RuntimeError where the rule takes none."""
        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The hyper-parameters of a group that choose its program."""
        raise NotImplementedError

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        """The run-time scalars of step number `count`, in the order of `_step_group`."""
        raise NotImplementedError

    def repeats(self, update: Update) -> bool:
        """Whether the step that a compiled function remembers is the one to take now."""
        group = update.group
        params = group["params"]
        if (
            self._exposed
            or not self._same_program(update)
            or len(params) != len(update.all)
            or not all(map(is_, params, update.all))
        ):
            return False
        together = self._together.get(update.first) if self._together else None
        if together is None:
            return not update.counts
        if together[0] is not update.params:
            if not same(together[0], update.params):
                return False
            update.params = together[0]  # one list, which is not changed: known at a glance
        return update.counts

    def _same_program(self, update: Update) -> bool:
        """Whether the hyper-parameters choose the program that they chose then."""
        group, varying = update.group, update.varying
        if not self._varying:
            return not varying.entries and self._fixed(group) == update.fixed
        now = Varying(group, self._varying)
        return now.like(varying) and self._fixed({**group, **varying.entries}) == update.fixed

    def expect_changes(self, entry: str) -> None:
        """Let an entry of the groups be a scalar of every step: it changes, or is going to."""
        self._varying |= {entry}

    def _notice_changes(self, first: Tensor) -> None:
        """Let what has changed since the last step be a scalar of every step from now on."""
        now = entries(self._group)
        before = self._numbers.get(id(first), now)
        if now is before or now != before:
            self._numbers = {**self._numbers, id(first): now}
        for name, value in now.items():
            if value != before.get(name, value):
                self.expect_changes(name)

    def replay(self, update: Update) -> list[float]:
        """Count a step that a compiled function repeats; return its scalars."""
        together = self._together.get(update.first) if self._together else None
        count = 0
        if together is not None:
            together[1] += 1
            count = together[1]
        values = self._changing(update.group, count)
        if self._varying:
            values += Varying(update.group, self._varying).pairs()
        return values

    def _apply(
        self,
        rule: Rule,
        params: Sequence[Tensor],
        names: Sequence[str],
        scalars: dict[str, float],
        flags: dict[str, bool],
    ) -> None:
        """Apply `rule` to `params`, whose state tensors go by `names`; keep the new state."""
        if self._parts is not None:
            self._parts.append((params, names))
        self._notice_changes(params[0])
        place_in_cache = (rule, id(params[0]))
        cached = self._applied.get(place_in_cache)
        if cached is not None and same(cached[0], params) and not self._exposed:
            entry = cached
            if cached[2] is None:  # the second step in a row with these states
                entry = (cached[0], cached[1], Together(cached[1]))
        else:
            states = [self._state[p].get(name) for p in params for name in names]
            entry = (list(params), states, None)
        _, states, together = entry
        self._applied.pop(place_in_cache, None)  # until the step is taken: it may be interrupted
        capture = recorder.LOCAL.capture
        update = Update(
            self,
            self._group,
            params,
            id(params[0]) in self._together,
            len(recorder.LOCAL.rec.scalars),
        )
        if capture is not None:
            capture.updates.append(update)
        grads = [param._grad for param in params]
        statics = statics_of(rule, scalars, flags, update.varying.kinds)
        values = statics.values(scalars, update.varying)
        made = record_updates(statics, values, params, grads, states, together)
        for place, which, tensor in made:
            self._state[params[place]][names[which]] = tensor
        if made:
            return
        self._applied[place_in_cache] = entry
        if together is not None and self._applications is not None:
            self._applications.append((update, statics, place_in_cache, entry))


class CountedOptimizer(RuleOptimizer):
    """An optimiser given by one rule and what a step number makes of its hyper-parameters."""

    _rule: ClassVar[Rule]

    def _new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {name: full_at_rest(param, 0) for name in self._names}

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that choose the program."""
        raise NotImplementedError

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        """The run-time scalars of step number `count`."""
        raise NotImplementedError

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for param in () if self._counted(params) else params:
            state = self._start_counting(param)
            if len(state) == 1:
                state.update(self._first_state(group, param))
        constants = self._constants(group)
        for count, members in self._cohorts(params).items():
            scalars = {**self._scalars(group, count), **constants}
            self._apply(type(self)._rule, members, self._names, scalars, {})

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self._constants(group).values())

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        return list(self._scalars(group, count).values())
