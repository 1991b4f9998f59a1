"""torch.special: special functions, elementwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.functional.elementary import logit, sinc, xlogy
from flambeau.functional.elementary import mvlgamma as multigammaln
from flambeau.functional.moments import logsumexp
from flambeau.functional.pointwise import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    log1p,
    round,
)
from flambeau.functional.pointwise import lgamma as gammaln
from flambeau.functional.pointwise import sigmoid as expit
from flambeau.functional.special_functions import (
    POLYNOMIALS,
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    entr,
    erfcx,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    ndtr,
    ndtri,
    polygamma,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
    xlog1py,
    zeta,
)
from flambeau.functional.special_functions import igamma as gammainc
from flambeau.functional.special_functions import igammac as gammaincc
from flambeau.tensor.overriding import register

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

psi = digamma
chebyshev_polynomial_t = POLYNOMIALS["chebyshev_polynomial_t"]
chebyshev_polynomial_u = POLYNOMIALS["chebyshev_polynomial_u"]
chebyshev_polynomial_v = POLYNOMIALS["chebyshev_polynomial_v"]
chebyshev_polynomial_w = POLYNOMIALS["chebyshev_polynomial_w"]
shifted_chebyshev_polynomial_t = POLYNOMIALS["shifted_chebyshev_polynomial_t"]
shifted_chebyshev_polynomial_u = POLYNOMIALS["shifted_chebyshev_polynomial_u"]
shifted_chebyshev_polynomial_v = POLYNOMIALS["shifted_chebyshev_polynomial_v"]
shifted_chebyshev_polynomial_w = POLYNOMIALS["shifted_chebyshev_polynomial_w"]
hermite_polynomial_h = POLYNOMIALS["hermite_polynomial_h"]
hermite_polynomial_he = POLYNOMIALS["hermite_polynomial_he"]
laguerre_polynomial_l = POLYNOMIALS["laguerre_polynomial_l"]
legendre_polynomial_p = POLYNOMIALS["legendre_polynomial_p"]

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t",
    "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma",
    "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc",
    "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0",
    "modified_bessel_k1", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0", "xlog1py",
    "xlogy", "zeta",
]  # fmt: skip


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(x) / sum exp(x) along `dim`."""
    from flambeau.functional import softmax as softmaxes

    return softmaxes.softmax(input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """x - log sum exp(x) along `dim`."""
    from flambeau.functional import softmax as softmaxes

    return softmaxes.log_softmax(input, dim, dtype=dtype)


register(globals(), __all__)
