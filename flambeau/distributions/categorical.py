"""Distributions over categories, and of how often each comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import (
    F,
    Size,
    Tensor,
    arange,
    finfo,
    multinomial,
    tensor,
    where,
    zeros,
)
from flambeau.distributions.discrete import Binomial
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.parameters import (
    broadcast_all,
    given_one,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)


class Categorical(Distribution):
    """Categorical(probs) or (logits=...): an index along the last axis of the parameter."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    has_enumerate_support = True
    _parameters: ClassVar[dict[str, int]] = {"probs": 1, "logits": 1}

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._given = given_one(probs=probs, logits=logits)
        given: Any = probs if self._given == "probs" else logits
        if given.dim() < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if self._given == "probs":
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given - given.logsumexp(dim=-1, keepdim=True)
        self._num_events = self._param.size(-1)
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new._num_events = self._num_events
        return new

    @property
    def _param(self) -> Tensor:
        return self.__dict__[self._given]  # type: ignore[no-any-return]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.size()

    @property
    def support(self) -> Any:
        """0 .. number of categories - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits)

    @property
    def mean(self) -> Tensor:
        """NaN: categories have no order."""
        return zeros(*self._batch_shape, dtype=self.probs.dtype) * math.nan

    @property
    def mode(self) -> Tensor:
        """The most likely category."""
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        """NaN."""
        return self.mean

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Indices (int64)."""
        count = Size(sample_shape).numel()
        rows = self.probs.detach().reshape(-1, self._num_events)
        drawn = multinomial(rows, count, True).T
        return drawn.reshape(tuple(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        from flambeau.distributions._torch import broadcast_tensors

        index, table = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return table.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All categories."""
        values = arange(self._num_events).reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class OverCategories(Distribution):
    """A distribution of vectors with a part for each category: the parameters of `Categorical`."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    _kept: ClassVar[tuple[str, ...]] = ()  # attributes that a larger batch has as well

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(self._categorical.batch_shape, shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = object.__new__(type(self)) if _instance is None else _instance
        new._categorical = self._categorical.expand(batch_shape)
        for name in self._kept:
            setattr(new, name, getattr(self, name))
        new._batch_shape, new._event_shape = Size(batch_shape), self._event_shape
        new._validate_args = self._validate_args
        return new

    @property
    def probs(self) -> Tensor:
        """Probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Log-probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape


class OneHotCategorical(OverCategories):
    """Categories as one-hot vectors."""

    support = constraints.one_hot
    has_enumerate_support = True

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The most likely vector."""
        return F.one_hot(self.probs.argmax(dim=-1), self._event_shape[0]).to(self.probs)

    @property
    def variance(self) -> Tensor:
        """p (1 - p) of each part."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """One-hot vectors."""
        index = self._categorical.sample(sample_shape)
        return F.one_hot(index, self._event_shape[0]).to(self._categorical._param.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        """The entropy."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All one-hot vectors."""
        n = self._event_shape[0]
        rows = F.one_hot(arange(n), n).to(self.probs.dtype)
        rows = rows.reshape(n, *(1,) * len(self._batch_shape), n)
        return rows.expand((n, *self._batch_shape, n)) if expand else rows


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot vectors whose gradient is that of the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """One-hot vectors, plus probabilities minus the same outside autograd."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())  # type: ignore[no-any-return]


class Multinomial(OverCategories):
    """Multinomial(total_count, probs): how often each category comes up."""

    _kept = ("total_count",)

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        super().__init__(probs, logits, validate_args)

    @property
    def support(self) -> Any:
        """Counts that sum to the total."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        """n p."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        """n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Counts of `total_count` categorical draws."""
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        counts = F.one_hot(drawn, self._event_shape[0]).sum(0)
        return counts.type_as(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        logits, value = broadcast_all(self.logits, value)
        logits = where((value == 0) & (logits == -math.inf), logits * 0, logits)
        choices = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return choices + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        n = tensor(float(self.total_count), dtype=self.probs.dtype)
        counts = arange(1, self.total_count + 1, dtype=self.probs.dtype)
        counts = counts.reshape(-1, *(1,) * (len(self._batch_shape) + 1))
        probs = Binomial(n, self.probs, validate_args=False).log_prob(counts).exp()
        weight = (probs * (counts + 1).lgamma()).sum((0, -1))
        return n * self._categorical.entropy() - (n + 1).lgamma() + weight
