"""Distributions over integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints, draws
from flambeau.distributions._torch import (
    Tensor,
    arange,
    bernoulli,
    finfo,
    no_grad,
    poisson,
    where,
)
from flambeau.distributions.distribution import Distribution, ExponentialFamily
from flambeau.distributions.gammas import Gamma
from flambeau.distributions.parameters import (
    binary_cross_entropy_with_logits,
    broadcast_all,
    given_one,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
    shape_of,
)


class _Odds(Distribution):
    """A success probability, given as `probs` or as log-odds `logits`; the other is computed."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    _parameters: ClassVar[dict[str, int]] = {"probs": 0, "logits": 0}

    def __init__(self, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self._given = given_one(probs=probs, logits=logits)
        value = probs if self._given == "probs" else logits
        (made,) = broadcast_all(value)
        setattr(self, self._given, made)
        super().__init__(shape_of(value), validate_args=validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds of success."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probability of success."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self._param.size()

    @property
    def _param(self) -> Tensor:
        return self.__dict__[self._given]  # type: ignore[no-any-return]


class Bernoulli(_Odds, ExponentialFamily):
    """Bernoulli(probs) or Bernoulli(logits=...): 0 or 1."""

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        """The probability."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """0 or 1; NaN where both are as likely."""
        mode = (self.probs >= 0.5).to(self.probs)
        return where(self.probs == 0.5, mode * math.nan, mode)

    @property
    def variance(self) -> Tensor:
        """p (1 - p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Zeros and ones."""
        with no_grad():
            return bernoulli(self.probs.expand(tuple(self._extended_shape(sample_shape))))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value)

    def entropy(self) -> Tensor:
        """The entropy."""
        return binary_cross_entropy_with_logits(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        values = arange(2, dtype=self._param.dtype).reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class Geometric(_Odds):
    """Geometric(probs): failures before the first success."""

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and probs is not None and not bool((self.probs > 0).all()):
            raise ValueError(
                f"Expected parameter probs ({type(self.probs).__name__} of shape "
                f"{tuple(self.probs.shape)}) of distribution {self!r} to be positive but found "
                f"invalid values:\n{self.probs[~(self.probs > 0)]}"
            )

    @property
    def mean(self) -> Tensor:
        """1 / p - 1."""
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        """(1 / p - 1) / p."""
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """By inversion."""
        shape = tuple(self._extended_shape(sample_shape))
        from flambeau.distributions._torch import empty

        with no_grad():
            low = finfo(self.probs.dtype).tiny
            u = empty(*shape, dtype=self.probs.dtype).uniform_(low, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        value, probs = broadcast_all(value, self.probs)
        probs = where((probs == 1) & (value == 0), probs * 0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        """The entropy."""
        return binary_cross_entropy_with_logits(self.logits, self.probs) / self.probs


class _Counted(_Odds):
    """A success probability and a number of trials."""

    _parameters: ClassVar[dict[str, int]] = {"total_count": 0, "probs": 0, "logits": 0}
    total_count: Tensor

    def __init__(self, total_count: Any, probs: Any, logits: Any, validate_args: Any) -> None:
        self._given = given_one(probs=probs, logits=logits)
        value = probs if self._given == "probs" else logits
        self.total_count, made = broadcast_all(total_count, value)
        self.total_count = self.total_count.type_as(made)
        setattr(self, self._given, made)
        Distribution.__init__(self, made.size(), validate_args=validate_args)


def _softplus(logits: Tensor) -> Tensor:
    """log(1 + exp(logits))."""
    return logits.clamp(min=0) + (-logits.abs()).exp().log1p()


class Binomial(_Counted):
    """Binomial(total_count, probs): successes in a number of trials."""

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.nonnegative_integer,
        **_Odds.arg_constraints,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(total_count, probs, logits, validate_args)

    @property
    def support(self) -> Any:
        """0 .. total_count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        """n p."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """floor((n + 1) p), n at most."""
        from flambeau.functional.pointwise import minimum

        return minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self) -> Tensor:
        """n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Counts."""
        shape = tuple(self._extended_shape(sample_shape))
        with no_grad():
            return draws.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        n, logits = self.total_count, self.logits
        choices = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return choices + value * logits - n * _softplus(logits)

    def entropy(self) -> Tensor:
        """The entropy, for one total count."""
        total = int(self.total_count.max().item())
        if float(self.total_count.min().item()) != total:
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 .. total_count, for one total count."""
        total = int(self.total_count.max().item())
        if float(self.total_count.min().item()) != total:
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`."
            )
        values = arange(1 + total, dtype=self._param.dtype)
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class NegativeBinomial(_Counted):
    """NegativeBinomial(total_count, probs): successes before a number of failures."""

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(total_count, probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        """n exp(logits)."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        """floor((n - 1) exp(logits)), 0 at least."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        """The mean over the probability of failure."""
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Poisson counts with gamma rates."""
        with no_grad():
            mixing = Gamma(self.total_count, (-self.logits).exp(), validate_args=False)
            return poisson(mixing.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        n = self.total_count
        known = n * -_softplus(self.logits) + value * -_softplus(-self.logits)
        choices = -(n + value).lgamma() + (1.0 + value).lgamma() + n.lgamma()
        choices = where(n + value == 0.0, choices * 0, choices)
        return known - choices


class Poisson(ExponentialFamily):
    """Poisson(rate)."""

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _parameters: ClassVar[dict[str, int]] = {"rate": 0}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(shape_of(rate), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """The rate, rounded down."""
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        """The rate."""
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Counts."""
        with no_grad():
            return poisson(self.rate.expand(tuple(self._extended_shape(sample_shape))))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability."""
        self._check_value(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()
