"""Correlation matrices by their Cholesky factors: a transform and the LKJ distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import (
    F,
    Tensor,
    arange,
    cat,
    eye,
    finfo,
    randn,
    tril_indices,
    zeros,
)
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.gammas import Beta
from flambeau.distributions.parameters import broadcast_all
from flambeau.distributions.transforms import Transform
from flambeau.functional.elementary import mvlgamma


def to_lower(vector: Tensor) -> Tensor:
    """The matrices whose parts below the diagonal are the vectors, row by row."""
    count = vector.shape[-1]
    size = round((0.25 + 2 * count) ** 0.5 + 0.5)
    made = vector.new_zeros((*vector.shape[:-1], size, size))
    rows, columns = tril_indices(size, size, -1).unbind(0)
    made[..., rows, columns] = vector
    return made


def from_lower(matrix: Tensor, offset: int = -1) -> Tensor:
    """The parts below the diagonal as vectors, row by row."""
    rows, columns = tril_indices(matrix.shape[-2], matrix.shape[-1], offset).unbind(0)
    made: Tensor = matrix[..., rows, columns]
    return made


class CorrCholeskyTransform(Transform):
    """Real vectors of n (n - 1) / 2 to Cholesky factors of n x n correlation matrices."""

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        limit = 1 - finfo(x.dtype).eps
        partial = to_lower(x.tanh().clamp(min=-limit, max=limit))
        left = (1 - partial.pow(2)).sqrt().cumprod(-1)
        whole = partial + eye(partial.shape[-1], dtype=x.dtype)
        return whole * F.pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        before = F.pad(left[..., :-1], [1, 0], value=1)
        partial = from_lower(y) / from_lower(before).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Of breaking the sticks, and of tanh."""
        left = 1 - (y * y).cumsum(-1)
        broken = 0.5 * from_lower(left, -2).log().sum(-1)
        bent = -2 * (x + F.softplus(-2 * x) - math.log(2.0)).sum(-1)
        return broken + bent

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """A matrix in the place of its parts. ValueError where they fill none."""
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        count = shape[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return (*shape[:-1], size, size)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The parts of a square matrix. ValueError for others."""
        if len(shape) < 2:
            raise ValueError("Too few dimensions on input")
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        size = shape[-1]
        return (*shape[:-2], size * (size - 1) // 2)


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices, density of det^(concentration - 1).

    Drawn by the onion method of Lewandowski, Kurowicka and Joe (2009).
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        batch = self.concentration.size()
        marginal = self.concentration + 0.5 * (dim - 2)
        steps = arange(dim - 1, dtype=self.concentration.dtype)
        steps = cat([zeros(1, dtype=steps.dtype), steps])
        self._beta = Beta(steps + 0.5, marginal.unsqueeze(-1) - 0.5 * steps)
        super().__init__(batch, (dim, dim), validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = object.__new__(type(self)) if _instance is None else _instance
        new.dim = self.dim
        new.concentration = self.concentration.expand(tuple(batch_shape))
        new._beta = self._beta.expand((*batch_shape, self.dim))
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Factors of shape sample_shape + batch_shape + (dim, dim)."""
        radius = self._beta.sample(sample_shape).unsqueeze(-1)
        shape = tuple(self._extended_shape(sample_shape))
        ball = randn(shape, dtype=radius.dtype).tril(-1)
        sphere = ball / ball.norm(dim=-1, keepdim=True)
        sphere[..., 0, :] = 0.0
        below = radius.sqrt() * sphere
        tiny = finfo(below.dtype).tiny
        diagonal = (1 - below.pow(2).sum(-1)).clamp(min=tiny).sqrt()
        return below + diagonal.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        count, concentration = self.dim - 1, self.concentration
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = arange(2, self.dim + 1, dtype=concentration.dtype)
        power = 2 * (concentration - 1).unsqueeze(-1) + self.dim - order
        unnormalised = (power * diagonal.log()).sum(-1)
        alpha = concentration + 0.5 * count
        scale = 0.5 * count * math.log(math.pi) + mvlgamma(alpha - 0.5, count)
        return unnormalised - (scale - alpha.lgamma() * count)
