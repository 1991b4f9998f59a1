"""Relaxed discrete distributions (Maddison, Mnih and Teh, 2017; Jang, Gu and Poole, 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import Tensor
from flambeau.distributions.categorical import OverCategories
from flambeau.distributions.discrete import _Odds
from flambeau.distributions.parameters import broadcast_all, clamp_probs, uniform
from flambeau.distributions.transformed import TransformedDistribution
from flambeau.distributions.transforms import ExpTransform, SigmoidTransform


class LogitRelaxedBernoulli(_Odds):
    """The log-odds of a relaxed Bernoulli number."""

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Tensor,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new.temperature = self.temperature
        return new

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Logistic noise plus the log-odds, over the temperature."""
        shape = tuple(self._extended_shape(sample_shape))
        probs = clamp_probs(self.probs.expand(shape))
        noise = clamp_probs(uniform(shape, probs))
        odds = noise.log() - (-noise).log1p() + probs.log() - (-probs).log1p()
        return odds / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        logits, value = broadcast_all(self.logits, value)
        away = logits - value * self.temperature
        return self.temperature.log() + away - 2 * away.exp().log1p()


class _Relaxed(TransformedDistribution):
    """A relaxed distribution with the parameters of the one that it transforms."""

    @property
    def temperature(self) -> Tensor:
        """How smooth the relaxation is."""
        return self.base_dist.temperature  # type: ignore[no-any-return]

    @property
    def probs(self) -> Tensor:
        """Probabilities."""
        return self.base_dist.probs  # type: ignore[no-any-return]

    @property
    def logits(self) -> Tensor:
        """Log-odds, or log-probabilities of categories."""
        return self.base_dist.logits  # type: ignore[no-any-return]


class RelaxedBernoulli(_Relaxed):
    """RelaxedBernoulli(temperature, probs): numbers in (0, 1), near the ends when cold."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Tensor,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)


class ExpRelaxedCategorical(OverCategories):
    """The logarithm of a relaxed one-hot vector."""

    support = constraints.real_vector
    has_rsample = True
    _kept = ("temperature",)

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Gumbel noise plus the log-probabilities, over the temperature, normalised."""
        noise = clamp_probs(uniform(self._extended_shape(sample_shape), self.logits))
        scores = (self.logits - (-noise.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        k = self._event_shape[0]
        logits, value = broadcast_all(self.logits, value)
        scale = math.lgamma(k) - (-(k - 1) * self.temperature.log())
        score = logits - value * self.temperature
        score = (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1)
        return score + scale


class RelaxedOneHotCategorical(_Relaxed):
    """RelaxedOneHotCategorical(temperature, probs): shares, near one-hot vectors when cold."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support = constraints.simplex

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)
