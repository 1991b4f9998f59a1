"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.distributions import constraints
from flambeau.distributions._torch import Tensor, where
from flambeau.distributions.discrete import _Odds
from flambeau.distributions.distribution import ExponentialFamily
from flambeau.distributions.parameters import (
    binary_cross_entropy_with_logits,
    broadcast_all,
    clamp_probs,
    uniform,
)


class ContinuousBernoulli(_Odds, ExponentialFamily):
    """ContinuousBernoulli(probs): density C p^x (1-p)^(1-x) on [0, 1] (Loaiza-Ganem, 2019)."""

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        super().__init__(probs, logits, validate_args)
        if self._given == "probs":
            self.probs = clamp_probs(self.probs)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new._lims = self._lims
        return new

    def _parted(self) -> tuple[Tensor, Tensor]:
        """Where the formulas are stable, and probabilities that are so everywhere."""
        outside = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        return outside, where(outside, self.probs, self.probs * 0 + self._lims[0])

    def _log_norm(self) -> Tensor:
        outside, cut = self._parted()
        low = where(cut <= 0.5, cut, cut * 0)
        high = where(cut >= 0.5, cut, cut * 0 + 1)
        odds = ((-cut).log1p() - cut.log()).abs().log()
        wide = where(cut <= 0.5, (-2.0 * low).log1p(), (2.0 * high - 1.0).log())
        x = (self.probs - 0.5).pow(2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return where(outside, odds - wide, taylor)

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        outside, cut = self._parted()
        known = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        x = self.probs - 0.5
        return where(outside, known, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        """The variance."""
        outside, cut = self._parted()
        known = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2)
        known = known + 1.0 / ((-cut).log1p() - cut.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        return where(outside, known, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """By inversion."""
        return self.icdf(uniform(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value) + self._log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        """The distribution function."""
        self._check_value(value)
        outside, cut = self._parted()
        top = cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0
        inside = where(outside, top / (2.0 * cut - 1.0), value)
        return inside.clamp(min=0.0, max=1.0)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile function."""
        outside, cut = self._parted()
        top = (-cut + value * (2.0 * cut - 1.0)).log1p() - (-cut).log1p()
        return where(outside, top / (cut.log() - (-cut).log1p()), value)

    def entropy(self) -> Tensor:
        """The entropy."""
        miss, hit = (-self.probs).log1p(), self.probs.log()
        return self.mean * (miss - hit) - self._log_norm() - miss
