"""Metric: states that batches are added to, and a value computed from them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from flambeau.metrics._torch import (
    Module,
    Parameter,
    Tensor,
    get_default_dtype,
    maximum,
    minimum,
    no_grad,
    stack,
    zeros,
)
from flambeau.metrics._torch import dtype as DType
from flambeau.metrics.operators import Composable
from flambeau.metrics.utilities import data
from flambeau.metrics.utilities.data import mapped
from flambeau.metrics.utilities.exceptions import TorchMetricsUserError
from flambeau.metrics.utilities.prints import rank_zero_warn
from flambeau.metrics.watching import one_batch, watched_compute, watched_update

Self = TypeVar("Self", bound="Metric")

_CONSTANTS = (
    "higher_is_better",
    "is_differentiable",
    "full_state_update",
    "plot_lower_bound",
    "plot_upper_bound",
    "plot_legend_name",
)
# Name of an option: its default, and the article in the message.
_SWITCHES = {
    "compute_on_cpu": (False, "an"),
    "dist_sync_on_step": (False, "an"),
    "sync_on_compute": (True, "a"),
    "compute_with_cache": (True, "a"),
}
_REDUCTIONS: dict[str, Callable[[Any], Tensor]] = {
    "sum": data.dim_zero_sum,
    "mean": data.dim_zero_mean,
    "max": data.dim_zero_max,
    "min": data.dim_zero_min,
    "cat": data.dim_zero_cat,
}
# Conversions of a whole model by these methods leave its metrics as they are.
_NOT_FOR_METRICS = frozenset({"type", "half", "float", "double", "bfloat16"})


def _gather_here(x: Tensor, group: Any = None) -> list[Tensor]:
    """What a gather among processes gives where there is one."""
    return [x]


class Metric(Composable, Module):
    """Base of all metrics: `add_state` in `__init__`, `update` a batch, `compute` the value.

    Calling a metric updates it and returns the value of that batch alone. ValueError for options
    that are not known.
    """

    is_differentiable: bool | None = None
    higher_is_better: bool | None = None
    full_state_update: bool | None = None
    plot_lower_bound: float | None = None
    plot_upper_bound: float | None = None
    plot_legend_name: str | None = None
    compute_on_cpu: bool
    dist_sync_on_step: bool
    sync_on_compute: bool
    compute_with_cache: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, watch in (("update", watched_update), ("compute", watched_compute)):
            method = getattr(cls, name)
            if not getattr(method, "_watched", False):
                setattr(cls, name, watch(method))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        for name, (default, article) in _SWITCHES.items():
            value = kwargs.pop(name, default)
            if not isinstance(value, bool):
                raise ValueError(
                    f"Expected keyword argument `{name}` to be {article} `bool` but got {value}"
                )
            setattr(self, name, value)
        self.process_group = kwargs.pop("process_group", None)
        self.dist_sync_fn = kwargs.pop("dist_sync_fn", None)
        if self.dist_sync_fn is not None and not callable(self.dist_sync_fn):
            raise ValueError(
                "Expected keyword argument `dist_sync_fn` to be an callable function but got "
                f"{self.dist_sync_fn}"
            )
        self.distributed_available_fn = kwargs.pop("distributed_available_fn", None)
        if kwargs:
            names = ", ".join(f"`{name}`" for name in sorted(kwargs))
            raise ValueError(f"Unexpected keyword arguments: {names}")
        self._defaults: dict[str, Any] = {}
        self._persistent: dict[str, bool] = {}
        self._reductions: dict[str, Any] = {}
        self._computed: Any = None
        self._forward_cache: Any = None
        self._update_count = 0
        self._in_forward = False
        self._inside = False
        self._is_synced = False
        self._cache: dict[str, Any] | None = None
        self._doubts: dict[tuple[str, bool], Tensor] = {}
        self._dtype = get_default_dtype()
        self._update_names: frozenset[str] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        if name in attributes and type(value) is not Parameter and not isinstance(value, Module):
            attributes[name] = value  # what a state is at most: a module looks at more
            return
        if name in _CONSTANTS:
            raise RuntimeError(f"Can't change const `{name}`.")
        super().__setattr__(name, value)

    __hash__ = object.__hash__  # == makes a metric

    # ---- states ----------------------------------------------------------------------------------

    def add_state(
        self, name: str, default: Any, dist_reduce_fx: Any = None, persistent: bool = False
    ) -> None:
        """Adds a state: a tensor, or an empty list to which batches are appended.

        `dist_reduce_fx` ("sum", "mean", "cat", "min", "max", a function or None) is how the
        states of two parts become one. ValueError for other defaults and reductions.
        """
        if not (isinstance(default, Tensor) or (isinstance(default, list) and not default)):
            raise ValueError(
                "state variable must be a tensor or any empty list (where you can append tensors)"
            )
        if isinstance(dist_reduce_fx, str) and dist_reduce_fx in _REDUCTIONS:
            dist_reduce_fx = _REDUCTIONS[dist_reduce_fx]
        elif dist_reduce_fx is not None and not callable(dist_reduce_fx):
            raise ValueError(
                "`dist_reduce_fx` must be callable or one of "
                "['mean', 'sum', 'cat', 'min', 'max', None]"
            )
        setattr(self, name, default.clone() if isinstance(default, Tensor) else default)
        self._defaults[name] = default.clone() if isinstance(default, Tensor) else []
        self._persistent[name] = persistent
        self._reductions[name] = dist_reduce_fx

    @property
    def metric_state(self) -> dict[str, Any]:
        """The states by name."""
        return {name: getattr(self, name) for name in self._defaults}

    @property
    def update_called(self) -> bool:
        """Whether there was an update since the last reset."""
        return self._update_count > 0

    @property
    def _update_called(self) -> bool:
        return self._update_count > 0

    @property
    def update_count(self) -> int:
        """Updates since the last reset."""
        return self._update_count

    @property
    def dtype(self) -> DType:
        """The dtype of states with decimals."""
        return self._dtype

    @property
    def device(self) -> Any:
        """Where the states are."""
        for state in self.metric_state.values():
            if isinstance(state, Tensor):
                return state.device
        return zeros(0).device

    def _doubt(self, message: str, wrong: Tensor, warn: bool = False) -> None:
        """A check of values that are not computed yet: `compute` raises (or warns) if it failed.

        So an update does not wait for what it is given.
        """
        before = self._doubts.get((message, warn))
        self._doubts[message, warn] = wrong if before is None else before | wrong

    def _settle_doubts(self) -> None:
        if self._doubts and not self._in_forward:
            doubts, self._doubts = self._doubts, {}
            for (message, warn), wrong in doubts.items():
                if wrong.item() and not warn:
                    raise RuntimeError(message)
                if wrong.item():
                    rank_zero_warn(message, UserWarning, stacklevel=5)

    # Names of the attributes that, with `update` itself, determine the states (see `_state_key`).
    _update_depends_on: tuple[str, ...] | None = None

    def _state_key(self) -> Any:
        """Two metrics with equal keys have equal states after equal updates; None: not known."""
        names = self._update_depends_on
        if names is None:
            return None
        values = tuple(getattr(self, name) for name in names)
        return (type(self).update, self._dtype, *((type(v), v) for v in values))

    # ---- what users call -------------------------------------------------------------------------

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch to the states; a subclass says how."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def compute(self) -> Any:
        """The value of all batches since the last reset; a subclass says how."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch to the states and returns the value of this batch alone."""
        with one_batch():
            if self._merges():
                return self._forward_merging((), *args, **kwargs)[0]
            self.update(*args, **kwargs)
            count, states = self._update_count, self.metric_state
            try:
                value = self._batch_value(*args, **kwargs)
            finally:
                self._take(states, count)
            self._forward_cache = value
            return value

    def _merges(self) -> bool:
        """Whether the states of a batch can be added to those of before."""
        return self.full_state_update is False and not self.dist_sync_on_step

    def _forward_merging(self, others: Sequence[Metric], *args: Any, **kwargs: Any) -> list[Any]:
        """The values of a batch, and its states added: once for others with the same states."""
        count, states = self._update_count, self.metric_state
        done = False
        try:
            values = [self._batch_value(*args, **kwargs)]
            batch = self.metric_state
            values += [other._value_of(batch) for other in others]
            done = True
        finally:
            if not done:
                self._take(states, count)
        with no_grad():
            merged = self._merged(states, batch, count + 1)
        for metric, value in zip((self, *others), values):
            metric._take(merged, count + 1)
            if metric.compute_on_cpu:
                metric._lists_to_cpu()
            metric._forward_cache = value
        return values

    def _batch_value(self, *args: Any, **kwargs: Any) -> Any:
        """The value of a batch alone, whose states are there afterwards."""
        if self._is_synced:
            raise TorchMetricsUserError(
                "The Metric shouldn't be synced when performing ``forward``. "
                "HINT: Did you forget to call ``unsync`` ?."
            )
        self._in_forward = True
        try:
            self.reset()
            self.update(*args, **kwargs)
            return self.compute()
        finally:
            self._in_forward = self._is_synced = False

    def _value_of(self, states: dict[str, Any]) -> Any:
        """The value of the states of a batch that another metric was updated with."""
        self._in_forward = True
        try:
            self.reset()
            self._take(states, 1)
            return self.compute()
        finally:
            self._in_forward = False

    def reset(self) -> None:
        """The states of before the first update."""
        for name, default in self._defaults.items():
            setattr(self, name, default.clone() if isinstance(default, Tensor) else [])
        self._computed = self._forward_cache = self._cache = None
        self._update_count = 0
        self._is_synced = False
        if not self._in_forward:
            self._doubts = {}

    def clone(self: Self) -> Self:
        """A copy that shares nothing with this metric."""
        return copy.deepcopy(self)

    def merge_state(self, incoming_state: Any) -> None:
        """Adds the states of another metric, or a dictionary of states, to these.

        RuntimeError where states cannot be merged (`full_state_update`), ValueError for others.
        """
        if not isinstance(incoming_state, (dict, Metric)):
            raise ValueError(
                "Expected incoming state to be a dict or an instance of Metric but got "
                f"{type(incoming_state)}"
            )
        if self.full_state_update is not False or self.dist_sync_on_step:
            raise RuntimeError(
                "``merge_state`` is not supported for metrics with ``full_state_update=True`` or "
                "``dist_sync_on_step=True``. Please overwrite the merge_state method in the "
                "metric class."
            )
        if isinstance(incoming_state, Metric):
            if not isinstance(incoming_state, type(self)):
                raise ValueError(
                    f"Expected incoming state to be an instance of {type(self).__name__} but got "
                    f"{type(incoming_state)}"
                )
            incoming_state = incoming_state.metric_state
        for name in self._defaults:
            if name not in incoming_state:
                raise ValueError(
                    f"Expected state variable {name} to be present in incoming state "
                    f"{incoming_state}"
                )
        self._take(
            self._merged(incoming_state, self.metric_state, self._update_count), self._update_count
        )

    def _take(self, states: dict[str, Any], count: int) -> None:
        for name, state in states.items():
            setattr(self, name, mapped(state, lambda x: x.detach() if x.requires_grad else x))
        self._update_count = count
        self._computed = None

    def _merged(self, first: dict[str, Any], second: dict[str, Any], count: int) -> dict[str, Any]:
        """The states of count - 1 updates and those of one more as one."""
        merged: dict[str, Any] = {}
        for name, how in self._reductions.items():
            a, b = first[name], second[name]
            if isinstance(a, list):
                merged[name] = a + (b if isinstance(b, list) else [b])
            elif how is data.dim_zero_sum:
                merged[name] = a + b
            elif how is data.dim_zero_mean:
                merged[name] = ((count - 1) * a + b).float() / count
            elif how in (data.dim_zero_max, data.dim_zero_min):
                merged[name] = (maximum if how is data.dim_zero_max else minimum)(a, b)
            elif how is data.dim_zero_cat:
                merged[name] = data.dim_zero_cat([a, b])
            else:
                merged[name] = stack([a, b]) if how is None else how(stack([a, b]))
        return merged

    # ---- several processes -----------------------------------------------------------------------

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """Puts the states of all processes together, where `distributed_available()`.

        `dist_sync_fn(tensor, group=...)` returns the tensors of all processes; without it this
        process is the only one. TorchMetricsUserError for a metric that is synchronised.
        """
        if self._is_synced and should_sync:
            raise TorchMetricsUserError("The Metric has already been synced.")
        available = distributed_available or self.distributed_available_fn
        if not (should_sync and available is not None and available()):
            return
        self._cache = {
            name: list(state) if isinstance(state, list) else state
            for name, state in self.metric_state.items()
        }
        self._sync_dist(dist_sync_fn or _gather_here, process_group or self.process_group)
        self._is_synced = True

    def _sync_dist(self, gather: Callable[..., Any], group: Any = None) -> None:
        for name, how in self._reductions.items():
            state = getattr(self, name)
            if isinstance(state, list):
                if how is data.dim_zero_cat and len(state) > 1:
                    state = [data.dim_zero_cat(state)]
                parts = [part for own in state for part in gather(own, group=group)]
                setattr(self, name, how(parts) if how is not None and parts else parts)
            else:
                together = stack(gather(state, group=group))
                setattr(self, name, together if how is None else how(together))

    def unsync(self, should_unsync: bool = True) -> None:
        """The states of this process alone, as before `sync`. TorchMetricsUserError if they are."""
        if not should_unsync:
            return
        if not self._is_synced:
            raise TorchMetricsUserError("The Metric has already been un-synced.")
        if self._cache is None:
            raise TorchMetricsUserError("The internal cache should exist to unsync the Metric.")
        for name, state in self._cache.items():
            setattr(self, name, state)
        self._is_synced = False
        self._cache = None

    @contextmanager
    def sync_context(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        should_unsync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> Iterator[None]:
        """Inside, the states are those of all processes."""
        self.sync(dist_sync_fn, process_group, should_sync, distributed_available)
        try:
            yield
        finally:
            self.unsync(should_unsync=self._is_synced and should_unsync)

    # ---- keeping and converting ------------------------------------------------------------------

    def persistent(self, mode: bool = False) -> None:
        """Whether the states are part of `state_dict()`."""
        for name in self._persistent:
            self._persistent[name] = mode

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, state in self.metric_state.items():
            if self._persistent[name]:
                kept = state if keep_vars else mapped(state, lambda x: x.detach())
                destination[prefix + name] = mapped(kept, lambda x: x.clone())

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name in self._defaults:
            if prefix + name in state_dict:
                setattr(self, name, state_dict.pop(prefix + name))
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, True, missing_keys, unexpected_keys, error_msgs
        )

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        where = getattr(fn, "__qualname__", "").split(".")
        if _NOT_FOR_METRICS.isdisjoint(where):
            self._convert(fn)
        return self

    def _convert(self, fn: Callable[[Tensor], Tensor]) -> None:
        for name, default in self._defaults.items():
            self._defaults[name] = mapped(default, fn)
            setattr(self, name, mapped(getattr(self, name), fn))
        self._computed = mapped(self._computed, fn)
        self._forward_cache = mapped(self._forward_cache, fn)
        self._dtype = fn(zeros(1, dtype=self._dtype)).dtype

    def float(self: Self) -> Self:
        """Nothing: dtypes change through `set_dtype` only."""
        return self

    def double(self: Self) -> Self:
        """Nothing: dtypes change through `set_dtype` only."""
        return self

    def half(self: Self) -> Self:
        """Nothing: dtypes change through `set_dtype` only."""
        return self

    def type(self: Self, dst_type: Any) -> Self:
        """Nothing: dtypes change through `set_dtype` only."""
        return self

    def set_dtype(self: Self, dst_type: Any) -> Self:
        """All states in another dtype."""
        for child in self.modules():
            if isinstance(child, Metric):
                child._convert(lambda x: x.type(dst_type))
        return self

    def _lists_to_cpu(self) -> None:
        for name, state in self.metric_state.items():
            if isinstance(state, list):
                setattr(self, name, [part.cpu() for part in state])

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """NotImplementedError: metrics are not drawn."""
        raise NotImplementedError("plots of metrics are not supported")

    def _filter_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """Of the arguments those that `update` takes."""
        if self._update_names is None:
            parameters = inspect.signature(self.update).parameters.values()
            if any(p.kind is p.VAR_KEYWORD for p in parameters):
                return kwargs
            self._update_names = frozenset(
                p.name for p in parameters if p.kind is not p.VAR_POSITIONAL
            )
        return {name: value for name, value in kwargs.items() if name in self._update_names}


from flambeau.metrics.composition import CompositionalMetric as CompositionalMetric  # noqa: E402 (it needs Metric)
