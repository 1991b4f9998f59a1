"""`Distribution`: the base of all, with what shapes and validation need."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import Size, Tensor, no_grad
from flambeau.distributions.parameters import lazy_property


class _Checked(threading.local):
    """A value that has just been found to be in the support of a distribution's part."""

    value: Any = None
    part: Any = None


_CHECKED = _Checked()


@contextmanager
def checked(value: Any, part: Distribution) -> Iterator[None]:
    """Within it, `part` does not ask again if `value` is in its support: each question to a tensor
    ends what was being recorded.
    """
    before = _CHECKED.value, _CHECKED.part
    _CHECKED.value, _CHECKED.part = value, part
    try:
        yield
    finally:
        _CHECKED.value, _CHECKED.part = before


class Distribution:
    """A distribution over `batch_shape` independent values of `event_shape` each.

    A subclass whose parameters broadcast says in `_parameters` how many trailing axes of each
    belong to the event; `expand` follows from that.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _parameters: ClassVar[dict[str, int]] = {}
    arg_constraints: ClassVar[Any]

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check parameters and values unless told otherwise."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        try:
            wanted = self.arg_constraints
        except (NotImplementedError, AttributeError):
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set "
                "`arg_constraints = {}` or initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=4,
            )
            return
        checks = []
        for name, constraint in wanted.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(
                getattr(type(self), name, None), lazy_property
            ):
                continue  # a parameter that is computed from another
            value = getattr(self, name)
            checks.append((name, constraint, value, constraint.check(value).all()))
        for name, constraint, value, holds in checks:  # (to ask for one computes all of them)
            if not bool(holds):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to a larger batch shape."""
        if not self._parameters:
            raise NotImplementedError
        new: Any = object.__new__(type(self)) if _instance is None else _instance
        shape = Size(batch_shape)
        for name, dims in self._parameters.items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                event = value.shape[value.dim() - dims :]
                new.__dict__[name] = value.expand((*shape, *event))
        new._given = getattr(self, "_given", None)
        new._batch_shape, new._event_shape = shape, self._event_shape
        new._validate_args = self._validate_args
        return new

    @property
    def batch_shape(self) -> Any:
        """The shape of independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one value."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The set of possible values."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values of shape sample_shape + batch_shape + event_shape, outside autograd."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values through which gradients reach the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, under its old name."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density (or probability) at a value."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a value or less."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The value with a given probability of less."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along the first axis."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Any:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _check_value(self, value: Any) -> None:
        """ValueError for a value of another shape, or outside the support; if asked for."""
        if self._validate_args and not (value is _CHECKED.value and self is _CHECKED.part):
            self._validate_sample(value)

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = tuple(value.shape)
        if shape[len(shape) - len(self._event_shape) :] != tuple(self._event_shape):
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.size()} vs {self._event_shape}."
            )
        expected = Size((*self._batch_shape, *self._event_shape))
        if any(i not in (1, j) and j != 1 for i, j in zip(reversed(shape), reversed(expected))):
            raise ValueError(
                "Value is not broadcastable with batch_shape+event_shape: "
                f"{value.size()} vs {expected}."
            )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=4,
            )
            return
        if not bool(support.check(value).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {shape}) to be within "
                f"the support ({support!r}) of the distribution {self!r}, but found invalid "
                f"values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if value is not None:
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{self.__class__.__name__}({', '.join(shown)})"


class ExponentialFamily(Distribution):
    """A distribution with density exp(<t(x), eta> - F(eta) + k(x))."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError
