"""Parametrisations: length and direction, unit spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

from flambeau.functional.counted import eye
from flambeau.functional.matrix_functions import matrix_exp
from flambeau.functional.solving import geqrf
from flambeau.nn._torch import F, Tensor, cat, linalg, no_grad
from flambeau.nn.modules.module import Module
from flambeau.nn.utils import parametrize
from flambeau.nn.utils.weight_norm import norm_except_dim, normalised_weight

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """A tensor as length times direction: original0 and original1."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Return v g / |v|."""
        return normalised_weight(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return (length, direction) of a weight."""
        return norm_except_dim(weight, self.dim), weight


class _WeightNormLoadHook:
    """Reads checkpoints of the older form: `name_g` and `name_v`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{self.name}_{part}" for part in "gv"]
        if all(key in state_dict for key in old):
            for place, key in enumerate(old):
                new = f"{prefix}parametrizations.{self.name}.original{place}"
                state_dict[new] = state_dict.pop(key)


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Make `module.name` length times direction; `dim` None: one length for all."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_WeightNormLoadHook(name))
    return module


class _SpectralNorm(Module):
    """A tensor divided by its largest singular value, which power iteration estimates."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            rows, columns = matrix.size()
            for name, size in (("_u", rows), ("_v", columns)):
                drawn = matrix.new_empty(size).normal_(0, 1)
                self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Any:
        if self.dim:
            rest = [axis for axis in range(weight.dim()) if axis != self.dim]
            weight = weight.permute(self.dim, *rest)
        return weight.flatten(1)

    def _iterate(self, matrix: Any, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Any:
        """Return the divided weight; in training after more iterations."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return the value: it is assumed to have unit spectral norm."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide `module.name` by its largest singular value; `dim` is that of the outputs."""
    weight = _tensor_of(module, name)
    if dim is None:
        transposed = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
        dim = int(any(kind.__name__ in transposed for kind in type(module).__mro__))
    made = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, made)
    return module


def _tensor_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """A matrix with orthonormal columns (wide ones: rows) from an unconstrained one.

    With a base Q0, which the first assignment sets, the map is Q0 times an orthogonal matrix
    near the identity.
    """

    base: Tensor | None

    def __init__(
        self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        """Return the orthogonal matrix (or batch of them) of the shape of X."""
        rows, columns = X.size(-2), X.size(-1)
        wide = rows < columns
        if wide:
            X = X.mT
            rows, columns = columns, rows
        if self.orthogonal_map == "householder":
            Q = _from_reflections(X)
            base = getattr(self, "base", None)
            if base is not None:
                Q = base @ F.pad(Q, (0, 0, 0, base.size(-1) - rows))
        else:
            A = X.tril()
            if rows != columns:
                A = F.pad(A, (0, rows - columns))
            A = A - A.mH
            Q = self._map(A)
            base = getattr(self, "base", None)
            if base is not None:
                Q = base @ Q
            Q = Q[..., :columns]
        return Q.mT if wide else Q

    def _map(self, A: Any) -> Any:
        """A skew-symmetric matrix to an orthogonal one."""
        if self.orthogonal_map == "matrix_exp":
            return matrix_exp(A)
        unit = eye(A.size(-1), dtype=A.dtype, device=A.device)
        return linalg.solve(unit - A * 0.5, unit + A * 0.5)

    def right_inverse(self, Q: Any) -> Any:
        """Return what the map makes Q of; with a base, Q becomes it."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {Q.shape}."
            )
        given = Q
        wide = Q.size(-2) < Q.size(-1)
        if wide:
            Q = Q.mT
        rows, columns = Q.size(-2), Q.size(-1)
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential "
                    "or the Cayley parametrizations when use_trivialization=False."
                )
            found = _reflections_of(Q)
            return found.mT if wide else found
        if rows != columns:
            # Completed to a square matrix by random columns.
            more = Q.new_empty((*Q.shape[:-2], rows, rows - columns)).normal_()
            Q = cat([Q, more], -1)
        self.base = _orthogonalised(Q)
        start = given.new_zeros(given.shape)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def _from_reflections(X: Any) -> Any:
    """The product of the reflections below the diagonal, with the diagonal's signs."""
    below = X.tril(diagonal=-1)
    factors = 2.0 / (1.0 + (below * below).sum(dim=-2))
    product: Any = linalg.householder_product(below, factors)
    return product * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)


def _reflections_of(Q: Any) -> Any:
    """What `_from_reflections` makes the orthogonal matrix next to Q of."""
    A, tau = geqrf(Q)
    diagonal = A.diagonal(dim1=-2, dim2=-1)
    signs = diagonal.sgn()
    diagonal.copy_(signs * (1.0 - 2.0 * (tau == 0).to(signs.dtype)))
    return A


def _orthogonalised(A: Any) -> Any:
    """The orthogonal factor of A whose triangular factor has a positive diagonal."""
    X, tau = geqrf(A)
    Q: Any = linalg.householder_product(X, tau)
    return Q * X.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Make `module.name` orthogonal by "matrix_exp", "cayley" or "householder" (the default for
    matrices that are not square). `use_trivialization`: start from the matrix next to it.
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
