"""The Wishart distribution over positive definite matrices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.distributions import constraints
from flambeau.distributions._torch import (
    Tensor,
    arange,
    finfo,
    linalg,
    randn,
    tensor,
    tril_indices,
)
from flambeau.distributions.gammas import Chi2
from flambeau.distributions.multivariate import FromScaleTril, covariance_choice, half_log_det
from flambeau.functional.elementary import mvlgamma

LOG_2 = math.log(2.0)


class Wishart(FromScaleTril):
    """Wishart(df, one of covariance_matrix, precision_matrix and scale_tril), matrices p x p.

    ValueError for df not above p - 1.
    """

    support = constraints.positive_definite
    has_rsample = True
    _parameters: ClassVar[dict[str, int]] = {
        "df": 0, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2,
    }  # fmt: skip
    df: Tensor

    @property
    def arg_constraints(self) -> Any:
        """The sets that the parameters lie in."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }  # fmt: skip
        try:
            name = covariance_choice(given)
        except ValueError as error:
            raise AssertionError(str(error)) from None
        matrix = given[name]
        assert matrix is not None
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        size = matrix.shape[-1]
        degrees = df if isinstance(df, Tensor) else tensor(df, dtype=matrix.dtype)
        batch = tuple((degrees[..., None, None] + matrix).shape[:-2])
        self._set_matrix(name, matrix, batch)
        self.df = degrees.expand(batch)
        if bool(self.df.le(size - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        self._batch_shape = self._event_shape = matrix.shape[-2:]
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        if bool(self.df.le(size).any()):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 "
                "< df < ndim.",
                stacklevel=2,
            )
        self._factor(name, matrix)
        self._chi2 = self._chi_squares()

    def _chi_squares(self) -> Chi2:
        steps = arange(int(self._event_shape[-1]), dtype=self._unbroadcasted_scale_tril.dtype)
        return Chi2(df=self.df.unsqueeze(-1) - steps)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution over a larger batch."""
        new = super().expand(batch_shape, _instance)
        new._chi2 = new._chi_squares()
        return new

    @property
    def mean(self) -> Tensor:
        """df times the covariance."""
        return self.df.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """(df - p - 1) times the covariance; NaN where that is not above 0."""
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, float("nan"))
        return factor.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        matrix = self.covariance_matrix
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.reshape((*self._batch_shape, 1, 1)) * (matrix.pow(2) + outer)

    def _bartlett(self, sample_shape: Sequence[int]) -> Tensor:
        """Draws by Bartlett's decomposition."""
        size = int(self._event_shape[-1])
        tril = self._unbroadcasted_scale_tril
        squares = self._chi2.rsample(sample_shape).clamp(min=finfo(tril.dtype).tiny)
        noise = squares.sqrt().diag_embed(dim1=-2, dim2=-1)
        rows, columns = tril_indices(size, size, -1).unbind(0)
        shape = (*sample_shape, *self._batch_shape, size * (size - 1) // 2)
        noise[..., rows, columns] = randn(shape, dtype=noise.dtype)
        factor = tril @ noise
        return factor @ factor.mT

    def rsample(
        self, sample_shape: Sequence[int] = (), max_try_correction: int | None = None
    ) -> Tensor:
        """Matrices through which gradients reach the parameters.

        Draws are checked and drawn anew as in PyTorch, whose first check takes the sound ones for
        singular: so every sound draw is replaced by a second one, with a warning.
        """
        drawn = self._bartlett(sample_shape)
        flagged = self._any_of_batch(self.support.check(drawn.detach()))
        if not bool(flagged.any()):
            return drawn
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            again = self._bartlett((int(flagged.sum()),))
            drawn[flagged] = again
            singular = self._any_of_batch(~self.support.check(again.detach()))
            if not bool(singular.any()):
                break
            kept = flagged.clone()
            kept[flagged] = singular
            flagged = kept
        return drawn

    def _any_of_batch(self, flags: Tensor) -> Tensor:
        """Whether any of a draw's matrices is flagged."""
        for _ in self._batch_shape:
            flags = flags.any(-1)
        return flags

    def _sizes(self) -> tuple[Tensor, int]:
        return self.df, int(self._event_shape[-1])

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density."""
        self._check_value(value)
        nu, p = self._sizes()
        tril = self._unbroadcasted_scale_tril
        solved = value.cholesky_solve(tril)
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        scale = nu * (p * LOG_2 / 2 + half_log_det(tril)) + mvlgamma(nu / 2, p)
        log_det = linalg.slogdet(value).logabsdet
        return -scale + (nu - p - 1) / 2 * log_det - trace / 2  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """The entropy."""
        nu, p = self._sizes()
        half = nu / 2
        steps = arange(p, dtype=half.dtype)
        digammas = (half.unsqueeze(-1) - steps / 2).digamma().sum(-1)
        scale = (p + 1) * (p * LOG_2 / 2 + half_log_det(self._unbroadcasted_scale_tril))
        return scale + mvlgamma(half, p) - (nu - p - 1) / 2 * digammas + nu * p / 2
