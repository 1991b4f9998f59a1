"""MetricCollection: metrics that get the same batches; those with equal states share them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flambeau.metrics._torch import ModuleDict, Tensor
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import mapped
from flambeau.metrics.utilities.prints import rank_zero_warn
from flambeau.metrics.watching import one_batch


def _without(name: str, prefix: str | None, postfix: str | None) -> str:
    if prefix and name.startswith(prefix):
        name = name[len(prefix) :]
    return name[: -len(postfix)] if postfix and name.endswith(postfix) else name


def _same(a: Any, b: Any) -> bool:
    """Whether two states have equal values."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool(a.allclose(b.to(a.dtype)))
    if isinstance(a, list) and isinstance(b, list):
        return all(_same(x, y) for x, y in zip(a, b))
    return False


def _equal_states(a: Metric, b: Metric) -> bool:
    if not a._defaults or a._defaults.keys() != b._defaults.keys():
        return False
    return all(_same(getattr(a, name), getattr(b, name)) for name in a._defaults)


class MetricCollection(ModuleDict):
    """Metrics by name, called together; `compute` returns a dictionary of their values.

    Metrics whose states are the same (a compute group) are updated once. Metrics of this package
    say themselves what their states depend on; others are compared after the first update.
    ValueError for names that occur twice and for what is no metric.
    """

    def __init__(
        self,
        metrics: Any,
        *additional_metrics: Any,
        prefix: str | None = None,
        postfix: str | None = None,
        compute_groups: bool | list[list[str]] = True,
    ) -> None:
        super().__init__()
        self.prefix = self._check_arg(prefix, "prefix")
        self.postfix = self._check_arg(postfix, "postfix")
        self._enable_compute_groups = compute_groups
        self._groups_checked = False
        self._keyed = False
        self._state_is_copy = False
        self._groups: dict[int, list[str]] = {}
        self.add_metrics(metrics, *additional_metrics)

    # ---- batches ---------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Updates every metric; their values for this batch alone."""
        self._group_by_key()
        self._share_states()
        values: dict[str, Any] = {}
        with one_batch():
            for names in self._groups.values() if self._groups else [[n] for n in self._metrics]:
                leader, *others = (self._metrics[name] for name in names)
                given = leader._filter_kwargs(**kwargs)
                if others and all(metric._merges() for metric in (leader, *others)):
                    values.update(zip(names, leader._forward_merging(others, *args, **given)))
                    continue
                for name in names:
                    metric = self._metrics[name]
                    values[name] = metric(*args, **metric._filter_kwargs(**kwargs))
        self._state_is_copy = False
        return self._named({name: values[name] for name in self._metrics})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates every metric; arguments by name go to those that take them."""
        self._group_by_key()
        for metric in self._metrics.values():
            metric._computed = None
        with one_batch():
            for names in self._groups.values() if self._groups else [[n] for n in self._metrics]:
                leader = self._metrics[names[0]]
                leader.update(*args, **leader._filter_kwargs(**kwargs))
        if not self._groups_checked and self._enable_compute_groups:
            self._group_by_value()
            self._groups_checked = True
        self._state_is_copy = False
        self._share_states()

    def compute(self) -> dict[str, Any]:
        """The values of all metrics by name."""
        self._share_states()
        return self._named({name: metric.compute() for name, metric in self._metrics.items()})

    def reset(self) -> None:
        """Resets every metric."""
        for metric in self.values(copy_state=False):
            metric.reset()
        if self._enable_compute_groups and self._groups_checked:
            self._share_states()

    def _named(self, results: dict[str, Any]) -> dict[str, Any]:
        """The values under the names that users see; dictionaries taken apart."""
        flat = [key for value in results.values() if isinstance(value, dict) for key in value]
        flat += [name for name, value in results.items() if not isinstance(value, dict)]
        duplicates = len(set(flat)) < len(flat)
        named: dict[str, Any] = {}
        for name, value in results.items():
            if not isinstance(value, dict):
                named[name] = value
                continue
            metric = self._metrics[name]
            before = getattr(metric, "prefix", None) or ""
            after = getattr(metric, "postfix", None) or ""
            for key, part in value.items():
                if duplicates:
                    key = f"{name.replace(before, '').replace(after, '')}_{key}"
                nested = getattr(metric, "_from_collection", None)
                named[f"{before}{key}{after}" if nested else key] = part
        return {self._set_name(name): value for name, value in named.items()}

    # ---- groups ----------------------------------------------------------------------------------

    @property
    def compute_groups(self) -> dict[int, list[str]]:
        """The names of the metrics that share states."""
        return self._groups

    def _group_by_key(self) -> None:
        """Before the first update: metrics that say that their states will be the same."""
        if self._keyed or self._groups_checked or not self._enable_compute_groups:
            return
        self._keyed = True
        leaders: dict[Any, list[str]] = {}
        groups: list[list[str]] = []
        for name, metric in self._metrics.items():
            key = None if metric._update_count else metric._state_key()
            if key is not None and key in leaders:
                leaders[key].append(name)
                continue
            groups.append([name])
            if key is not None:
                leaders[key] = groups[-1]
        self._groups = dict(enumerate(groups))

    def _group_by_value(self) -> None:
        """After the first update: metrics without a key whose states are equal."""
        groups: list[list[str]] = []
        for names in self._groups.values():
            metric = self._metrics[names[0]]
            for group in groups:
                other = self._metrics[group[0]]
                keys = metric._state_key(), other._state_key()
                if (None in keys or keys[0] == keys[1]) and _equal_states(other, metric):
                    group.extend(names)
                    break
            else:
                groups.append(list(names))
        self._groups = dict(enumerate(groups))

    def _init_compute_groups(self) -> None:
        self._groups_checked = self._keyed = False
        if not isinstance(self._enable_compute_groups, list):
            on = bool(self._enable_compute_groups)
            self._groups = {i: [name] for i, name in enumerate(self._metrics)} if on else {}
            return
        self._groups = {i: list(names) for i, names in enumerate(self._enable_compute_groups)}
        for name in (name for names in self._groups.values() for name in names):
            if name not in self:
                raise ValueError(
                    f"Input {name} in `compute_groups` argument does not match a metric in the "
                    f"collection. Please make sure that {self._enable_compute_groups} matches "
                    f"{self.keys(keep_base=True)}"
                )
        grouped = {name for names in self._groups.values() for name in names}
        for name in self._metrics:
            if name not in grouped:
                self._groups[len(self._groups)] = [name]
        self._groups_checked = True

    def _share_states(self, copied: bool = False) -> None:
        """Gives the members of a group the states of its first, or copies of them."""
        if not self._state_is_copy:
            for names in self._groups.values():
                leader = self._metrics[names[0]]
                for name in names[1:]:
                    member = self._metrics[name]
                    for state, value in leader.metric_state.items():
                        setattr(member, state, mapped(value, Tensor.clone) if copied else value)
                    member._update_count = leader._update_count
        self._state_is_copy = copied

    # ---- the metrics -----------------------------------------------------------------------------

    @property
    def _metrics(self) -> dict[str, Any]:
        return self._modules

    @property
    def metric_state(self) -> dict[str, dict[str, Any]]:
        """The states of every metric."""
        return {k: m.metric_state for k, m in self.items(keep_base=False, copy_state=False)}

    def add_metrics(self, metrics: Any, *additional_metrics: Any) -> None:
        """Adds a metric, a collection, a sequence or a dictionary of them."""
        if isinstance(metrics, Metric):
            metrics = [metrics]
        if isinstance(metrics, Sequence):
            more = [m for m in additional_metrics if isinstance(m, Metric)]
            others = [m for m in additional_metrics if not isinstance(m, Metric)]
            if others:
                rank_zero_warn(
                    f"You have passes extra arguments {others} which are not `Metric` so they "
                    "will be ignored."
                )
            self._add_sequence([*metrics, *more])
        elif additional_metrics:
            raise ValueError(
                f"You have passes extra arguments {additional_metrics} which are not compatible "
                f"with first passed dictionary {metrics} so they will be ignored."
            )
        elif isinstance(metrics, MetricCollection):
            for name, metric in metrics.items(keep_base=False):
                if name in self:
                    raise ValueError(f"Metric with name '{name}' already exists in the collection.")
                self[name] = metric
        elif isinstance(metrics, dict):
            self._add_named(metrics)
        else:
            raise ValueError(
                "Unknown input to MetricCollection. Expected, `Metric`, `MetricCollection` or "
                f"`dict`/`sequence` of the previous, but got {metrics}"
            )
        self._init_compute_groups()

    def _add_sequence(self, metrics: Sequence[Any]) -> None:
        for metric in metrics:
            if isinstance(metric, MetricCollection):
                self._add_nested("", metric)
                continue
            if not isinstance(metric, Metric):
                raise ValueError(
                    f"Input {metric} to `MetricCollection` is not a instance of "
                    "`torchmetrics.Metric` or `torchmetrics.MetricCollection`"
                )
            name = type(metric).__name__
            if name in self:
                raise ValueError(f"Encountered two metrics both named {name}")
            self[name] = metric

    def _add_named(self, metrics: dict[str, Any]) -> None:
        for name in sorted(metrics):
            metric = metrics[name]
            if isinstance(metric, MetricCollection):
                self._add_nested(f"{name}_", metric)
            elif isinstance(metric, Metric):
                self[name] = metric
            else:
                raise ValueError(
                    f"Value {metric} belonging to key {name} is not an instance of "
                    "`torchmetrics.Metric` or `torchmetrics.MetricCollection`"
                )

    def _add_nested(self, before: str, collection: MetricCollection) -> None:
        for name, metric in collection.items(keep_base=False):
            metric.postfix = collection.postfix
            metric.prefix = collection.prefix
            metric._from_collection = True
            self[before + name] = metric

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> MetricCollection:
        """A copy that shares nothing with this collection, under other names."""
        made = copy.deepcopy(self)
        if prefix:
            made.prefix = self._check_arg(prefix, "prefix")
        if postfix:
            made.postfix = self._check_arg(postfix, "postfix")
        return made

    def persistent(self, mode: bool = True) -> None:
        """Whether the states are part of `state_dict()`."""
        for metric in self.values(copy_state=False):
            metric.persistent(mode)

    def set_dtype(self, dst_type: Any) -> MetricCollection:
        """All states in another dtype."""
        for metric in self.values(copy_state=False):
            metric.set_dtype(dst_type)
        return self

    def _set_name(self, base: str) -> str:
        return f"{self.prefix or ''}{base}{self.postfix or ''}"

    @staticmethod
    def _check_arg(arg: Any, name: str) -> str | None:
        if arg is None or isinstance(arg, str):
            return arg
        raise ValueError(f"Expected input `{name}` to be a string, but got {type(arg)}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def keys(self, keep_base: bool = False) -> Any:
        """The names; without prefix and postfix if `keep_base`."""
        return dict(self._pairs(keep_base)).keys()

    def items(self, keep_base: bool = False, copy_state: bool = True) -> Any:
        """Names and metrics; with `copy_state` the metrics no longer share states."""
        self._share_states(copy_state)
        return dict(self._pairs(keep_base)).items()

    def values(self, copy_state: bool = True) -> Any:
        """The metrics; with `copy_state` they no longer share states."""
        self._share_states(copy_state)
        return self._metrics.values()

    def __getitem__(self, key: str, copy_state: bool = True) -> Any:
        self._share_states(copy_state)
        return self._metrics[_without(key, self.prefix, self.postfix)]

    def _pairs(self, keep_base: bool) -> Iterable[tuple[str, Any]]:
        return ((n if keep_base else self._set_name(n), m) for n, m in self._metrics.items())

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """NotImplementedError: metrics are not drawn."""
        raise NotImplementedError("plots of metrics are not supported")

    def __repr__(self) -> str:
        text = super().__repr__()[:-2]
        if self.prefix:
            text += f",\n  prefix={self.prefix}{',' if self.postfix else ''}"
        if self.postfix:
            text += f"{'' if self.prefix else ','}\n  postfix={self.postfix}"
        return text + "\n)"
