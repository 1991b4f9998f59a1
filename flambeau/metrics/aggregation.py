"""Sums, means, extremes and all values of a stream of numbers."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, as_tensor, get_default_dtype, ones_like, tensor, where
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.checks import at_hand
from flambeau.metrics.utilities.data import dim_zero_cat
from flambeau.metrics.utilities.prints import rank_zero_warn
from flambeau.metrics.wrappers.running import Running

_STRATEGIES = ("error", "warn", "ignore", "disable")
_FOUND = "Encountered `nan` values in tensor"
_REMOVED = f"{_FOUND}. Will be removed."
_INFINITY = float("inf")


class BaseAggregator(Metric):
    """What the aggregations share: one state, and what becomes of NaN.

    `nan_strategy`: "error" (RuntimeError), "warn" or "ignore" (removed), "disable" (no check) or a
    number that takes its place. What is not computed yet is not waited for: then the error or the
    warning comes with `compute`.
    """

    full_state_update = False

    def __init__(
        self,
        fn: Any,
        default_value: Any,
        nan_strategy: str | float = "error",
        state_name: str = "value",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if nan_strategy not in _STRATEGIES and not isinstance(nan_strategy, float):
            raise ValueError(
                f"Arg `nan_strategy` should either be a float or one of {_STRATEGIES} but got "
                f"{nan_strategy}."
            )
        self.nan_strategy = nan_strategy
        self.add_state(state_name, default=default_value, dist_reduce_fx=fn)
        self.state_name = state_name

    def _checked(self, value: Any, weight: Any = None) -> tuple[Tensor, Tensor | None]:
        """The value in the metric's dtype, and where it (or the weight) is NaN, if it may be."""
        x = value if isinstance(value, Tensor) else as_tensor(value, dtype=self.dtype)
        if self.nan_strategy == "disable" or not (x.is_floating_point() or weight is not None):
            return x.to(self.dtype), None
        # Asked first: what is recorded below makes the values part of a program.
        known = at_hand(x) and (weight is None or at_hand(weight))
        if known and not self._found(x, weight):
            return x.to(self.dtype), None
        wrong = x.isnan() if weight is None else x.isnan() | weight.isnan()
        if not known and not (self._in_forward and self.full_state_update):  # else: done before
            self._doubt_values(wrong)
        return x.to(self.dtype), wrong

    def _found(self, x: Tensor, weight: Tensor | None) -> bool:
        """Whether there is NaN among values at hand; RuntimeError or a warning if it may not be."""
        values = [part._values() for part in (x, weight) if part is not None]
        if not any((v != v).any() for v in values):
            return False
        if self.nan_strategy == "error":
            raise RuntimeError(_FOUND)
        if self.nan_strategy == "warn":
            rank_zero_warn(_REMOVED, UserWarning, stacklevel=6)
        return True

    def _doubt_values(self, wrong: Tensor) -> None:
        if self.nan_strategy == "error":
            self._doubt(_FOUND, wrong.any())
        elif self.nan_strategy == "warn":
            self._doubt(_REMOVED, wrong.any(), warn=True)

    def _filled(self, value: Any, nothing: float) -> Tensor:
        """The value, with what the strategy says (or what adds nothing) in the place of NaN."""
        x, wrong = self._checked(value)
        if wrong is None:
            return x
        if isinstance(self.nan_strategy, float):
            nothing = self.nan_strategy
        filled: Tensor = where(wrong, nothing, x)
        return filled

    def update(self, value: Any) -> None:
        """Adds values (a number or a tensor)."""

    def compute(self) -> Any:
        """The value of all so far."""
        return getattr(self, self.state_name)


def _default(value: float) -> Tensor:
    return tensor(value, dtype=get_default_dtype())


class MaxMetric(BaseAggregator):
    """The largest of all values."""

    full_state_update = True
    max_value: Tensor

    def __init__(self, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__("max", _default(-_INFINITY), nan_strategy, "max_value", **kwargs)

    def update(self, value: Any) -> None:
        """Adds values (a number or a tensor)."""
        x = self._filled(value, -_INFINITY)
        if x.numel():
            self.max_value = self.max_value.maximum(x.max())


class MinMetric(BaseAggregator):
    """The smallest of all values."""

    full_state_update = True
    min_value: Tensor

    def __init__(self, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__("min", _default(_INFINITY), nan_strategy, "min_value", **kwargs)

    def update(self, value: Any) -> None:
        """Adds values (a number or a tensor)."""
        x = self._filled(value, _INFINITY)
        if x.numel():
            self.min_value = self.min_value.minimum(x.min())


class SumMetric(BaseAggregator):
    """The sum of all values."""

    sum_value: Tensor

    def __init__(self, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__("sum", _default(0.0), nan_strategy, "sum_value", **kwargs)

    def update(self, value: Any) -> None:
        """Adds values (a number or a tensor)."""
        x = self._filled(value, 0.0)
        if x.numel():
            self.sum_value += x.sum()


class CatMetric(BaseAggregator):
    """All values, one after the other."""

    value: list[Tensor]

    def __init__(self, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__("cat", [], nan_strategy, **kwargs)
        self._unfiltered = False  # whether there may be NaN that nobody has looked for

    def update(self, value: Any) -> None:
        """Adds values (a number or a tensor)."""
        known = not isinstance(value, Tensor) or at_hand(value)
        x, wrong = self._checked(value)
        if wrong is not None and isinstance(self.nan_strategy, float):
            x = where(wrong, self.nan_strategy, x)
        elif wrong is not None and known:
            x = x[~wrong]
        elif wrong is not None:
            self._unfiltered = True
        if x.numel():
            self.value.append(x)

    def compute(self) -> Any:
        """The values in one dimension; an empty list where there are none."""
        if isinstance(self.value, list) and not self.value:
            return self.value
        found = dim_zero_cat(self.value)
        if self._unfiltered and self.nan_strategy in ("warn", "ignore") and found.isnan().any():
            return found[~found.isnan()]
        return found


class MeanMetric(BaseAggregator):
    """The mean of all values, weighted. (Weights count under nan_strategy="disable" as well.)"""

    mean_value: Tensor
    weight: Tensor

    def __init__(self, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__("sum", _default(0.0), nan_strategy, "mean_value", **kwargs)
        self.add_state("weight", default=_default(0.0), dist_reduce_fx="sum")

    def update(self, value: Any, weight: Any = None) -> None:
        """Adds values (a number or a tensor); the weights are broadcast to them."""
        if weight is not None and not isinstance(weight, Tensor):
            weight = as_tensor(weight, dtype=self.dtype)
        x, wrong = self._checked(value, weight)
        if not x.numel():
            return
        w = ones_like(x) if weight is None else weight.to(self.dtype).broadcast_to(x.shape)
        if wrong is not None:
            given = isinstance(self.nan_strategy, float)
            x = where(wrong, self.nan_strategy if given else 0.0, x)
            w = where(wrong, 1.0 if given else 0.0, w)
        self.mean_value += (x * w).sum()
        self.weight += w.sum()

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.mean_value / self.weight


class RunningMean(Running):
    """The mean of the last `window` updates."""

    def __init__(self, window: int = 5, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__(MeanMetric(nan_strategy=nan_strategy, **kwargs), window=window)


class RunningSum(Running):
    """The sum of the last `window` updates."""

    def __init__(self, window: int = 5, nan_strategy: str | float = "warn", **kwargs: Any) -> None:
        super().__init__(SumMetric(nan_strategy=nan_strategy, **kwargs), window=window)
