"""Normal distributions over vectors: any covariance, or one of low rank plus a diagonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import Size, Tensor, eye, linalg
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.kl import register_kl
from flambeau.distributions.parameters import lazy_property, standard_normal

LOG_2_PI = math.log(2 * math.pi)


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Batches of matrices times batches of vectors, broadcast."""
    made: Tensor = (matrix @ vector.unsqueeze(-1)).squeeze(-1)
    return made


def squared_length(tril: Tensor, vector: Tensor) -> Tensor:
    """|tril^-1 vector|^2 for batches of both, broadcast."""
    if tril.dim() == 2:  # one factor for all: one solve with many columns
        rows = vector.reshape(-1, vector.shape[-1])
        solved = linalg.solve_triangular(tril, rows.mT, upper=False)
        return solved.pow(2).sum(0).reshape(tuple(vector.shape[:-1]))
    solved = linalg.solve_triangular(tril, vector.unsqueeze(-1), upper=False)
    return solved.squeeze(-1).pow(2).sum(-1)


def half_log_det(tril: Tensor) -> Tensor:
    """Half the logarithm of the determinant of tril @ tril^T."""
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def tril_of_precision(precision: Tensor) -> Tensor:
    """The Cholesky factor of a precision matrix' inverse."""
    flipped = linalg.cholesky(precision.flip((-2, -1)))
    inverse = flipped.flip((-2, -1)).mT
    identity = eye(precision.shape[-1], dtype=precision.dtype)
    return linalg.solve_triangular(inverse, identity, upper=False)


def covariance_choice(given: dict[str, Tensor | None]) -> str:
    """The name of the only matrix that was given. ValueError for none or several."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise ValueError(
            "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
        )
    return names[0]


class FromScaleTril(Distribution):
    """What follows from `_unbroadcasted_scale_tril`, the Cholesky factor of the covariance."""

    _unbroadcasted_scale_tril: Tensor

    def _set_matrix(self, name: str, matrix: Tensor, batch: Sequence[int]) -> None:
        size = tuple(matrix.shape[-2:])
        setattr(self, name, matrix.expand((*batch, *size)))

    def _factor(self, name: str, matrix: Tensor) -> None:
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = tril_of_precision(matrix)

    def _square(self) -> tuple[int, ...]:
        size = int(self._event_shape[0])
        return (*self._batch_shape, size, size)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        return new

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return self._unbroadcasted_scale_tril.expand(self._square())

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        tril = self._unbroadcasted_scale_tril
        return (tril @ tril.mT).expand(self._square())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        tril = self._unbroadcasted_scale_tril
        inverse = linalg.solve_triangular(tril, eye(tril.shape[-1], dtype=tril.dtype), upper=False)
        return (inverse.mT @ inverse).expand(self._square())


class MultivariateNormal(FromScaleTril):
    """A normal distribution over vectors [..., n] with a covariance, its inverse or its factor.

    ValueError unless exactly one of the three matrices is given.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _parameters: ClassVar[dict[str, int]] = {
        "loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2,
    }  # fmt: skip
    loc: Tensor

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }  # fmt: skip
        name = covariance_choice(given)
        matrix = given[name]
        assert matrix is not None
        if matrix.dim() < 2:
            called = "scale_tril matrix" if name == "scale_tril" else name
            raise ValueError(
                f"{called} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch = _joint(matrix.shape[:-2], loc.shape[:-1])
        self._set_matrix(name, matrix, batch)
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._factor(name, matrix)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        shape = (*self._batch_shape, *self._event_shape)
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values through which gradients reach the parameters."""
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + times(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        tril = self._unbroadcasted_scale_tril
        distance = squared_length(tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * LOG_2_PI + distance) - half_log_det(tril)

    def entropy(self) -> Tensor:
        """The entropy."""
        half = half_log_det(self._unbroadcasted_scale_tril)
        entropy = 0.5 * self._event_shape[0] * (1.0 + LOG_2_PI) + half
        return entropy.expand(tuple(self._batch_shape))


def _joint(*shapes: Sequence[int]) -> tuple[int, ...]:
    from flambeau.core.shapes import broadcast_shapes

    return tuple(broadcast_shapes(*(tuple(shape) for shape in shapes)))


class LowRankMultivariateNormal(Distribution):
    """A normal distribution over vectors with covariance factor @ factor^T + diag(cov_diag)."""

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _parameters: ClassVar[dict[str, int]] = {"loc": 1, "cov_factor": 2, "cov_diag": 1}
    loc: Tensor

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {Size(event)}")
        batch = _joint(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc = loc.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self.cov_diag = cov_diag.expand((*batch, -1))
        self._thin, self._diagonal = cov_factor, cov_diag
        scaled = cov_factor.mT / cov_diag.unsqueeze(-2)
        inner = scaled @ cov_factor
        # I + factor^T diag^-1 factor, small where the factor is thin.
        self._capacitance_tril = linalg.cholesky(inner + eye(inner.shape[-1], dtype=inner.dtype))
        super().__init__(batch, event, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new._thin, new._diagonal = self._thin, self._diagonal
        new._capacitance_tril = self._capacitance_tril
        return new

    def _square(self) -> tuple[int, ...]:
        size = int(self._event_shape[0])
        return (*self._batch_shape, size, size)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The location."""
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        shape = (*self._batch_shape, *self._event_shape)
        return (self._thin.pow(2).sum(-1) + self._diagonal).expand(shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        root = self._diagonal.sqrt()
        scaled = self._thin / root.unsqueeze(-1)
        inner = scaled @ scaled.mT + eye(int(self._event_shape[0]), dtype=scaled.dtype)
        return (root.unsqueeze(-1) * linalg.cholesky(inner)).expand(self._square())

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        whole = self._thin @ self._thin.mT + self._diagonal.diag_embed()
        return whole.expand(self._square())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse, by Woodbury's identity."""
        scaled = self._thin.mT / self._diagonal.unsqueeze(-2)
        inner = linalg.solve_triangular(self._capacitance_tril, scaled, upper=False)
        whole = self._diagonal.reciprocal().diag_embed() - inner.mT @ inner
        return whole.expand(self._square())

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values through which gradients reach the parameters."""
        shape = self._extended_shape(sample_shape)
        inner = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc)
        outer = standard_normal(shape, self.loc)
        return self.loc + times(self._thin, inner) + self._diagonal.sqrt() * outer

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        difference = value - self.loc
        whitened = times(self._thin.mT / self._diagonal.unsqueeze(-2), difference)
        near = (difference.pow(2) / self._diagonal).sum(-1)
        distance = near - squared_length(self._capacitance_tril, whitened)
        return -0.5 * (self._event_shape[0] * LOG_2_PI + self._log_det() + distance)

    def _log_det(self) -> Tensor:
        return 2 * half_log_det(self._capacitance_tril) + self._diagonal.log().sum(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        entropy = 0.5 * (self._event_shape[0] * (1.0 + LOG_2_PI) + self._log_det())
        return entropy.expand(tuple(self._batch_shape))


def _tril(distribution: Any) -> Tensor:
    found: Tensor | None = getattr(distribution, "_unbroadcasted_scale_tril", None)
    whole: Tensor = distribution.scale_tril if found is None else found
    return whole


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _between_normals(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be "
            "computed"
        )
    size = int(p.event_shape[0])
    ours, theirs = _tril(p), _tril(q)
    spread = linalg.solve_triangular(theirs, ours, upper=False).pow(2).sum((-2, -1))
    distance = squared_length(theirs, q.loc - p.loc)
    return half_log_det(theirs) - half_log_det(ours) + 0.5 * (spread + distance - size)
