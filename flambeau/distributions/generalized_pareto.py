"""The generalised Pareto distribution, of excesses over a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import Tensor, full, where
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.parameters import broadcast_all, uniform


class GeneralizedPareto(Distribution):
    """GeneralizedPareto(loc, scale, concentration): exponential where the concentration is 0."""

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _parameters: ClassVar[dict[str, int]] = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    def _near_zero(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is 0, and one without zeros."""
        flat = self.concentration.isclose(self.concentration.new_zeros(()))
        return flat, where(flat, self.concentration.new_ones(()), self.concentration)

    def _z(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values through which gradients reach the parameters."""
        return self.icdf(uniform(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        z = self._z(value)
        flat, k = self._near_zero()
        return where(flat, -z, -(1 + 1 / k) * (k * z).log1p()) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than a value."""
        self._check_value(value)
        z = self._z(value)
        flat, k = self._near_zero()
        return where(flat, -z, -(k * z).log1p() / k)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a value or less."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a value or less."""
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The value with a given probability of less."""
        flat, k = self._near_zero()
        left = (-value).log1p()
        return self.loc + self.scale * where(flat, -left, (-k * left).expm1() / k)

    @property
    def mean(self) -> Tensor:
        """loc + scale / (1 - concentration); NaN for a concentration of 1 or more."""
        k = self.concentration
        finite = self.loc + self.scale / (1 - where(k < 1, k, k.new_zeros(())))
        return where(k < 1, finite, full((), float("nan"), dtype=k.dtype))

    @property
    def variance(self) -> Tensor:
        """The variance; NaN for a concentration of 1/2 or more."""
        k = self.concentration
        kept = where(k < 0.5, k, k.new_zeros(()))
        finite = self.scale.pow(2) / ((1 - kept).pow(2) * (1 - 2 * kept))
        return where(k < 0.5, finite, full((), float("nan"), dtype=k.dtype))

    def entropy(self) -> Tensor:
        """The entropy."""
        return (self.scale.log() + self.concentration + 1).expand(tuple(self._batch_shape))

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def support(self) -> Any:
        """From the location up; bounded for a negative concentration."""
        k = self.concentration
        low = where(k < 0, k, -k.new_ones(()))
        high = where(k < 0, self.loc - self.scale / low, k.new_full((), float("inf")))
        return constraints.interval(self.loc, high)
