"""torch.special and the signal windows beside PyTorch."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import given, same
from linalg_cases import Case, check, check_error, check_gradients, draw

import flambeau

pytestmark = pytest.mark.parity

UNARY = """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2
expit expm1 gammaln i0 i0e i1 i1e log1p log_ndtr logit modified_bessel_i0 modified_bessel_i1
modified_bessel_k0 modified_bessel_k1 ndtr ndtri psi scaled_modified_bessel_k0
scaled_modified_bessel_k1 sinc spherical_bessel_j0""".split()
DIFFERENTIABLE = """entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e log1p
log_ndtr logit ndtr ndtri sinc digamma""".split()
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 1e-6, 30.0, -30.0]
# PyTorch's own asymptotic forms are only so good in float64.
LOOSE = {"airy_ai": 1e-5, "bessel_j0": 1e-6, "bessel_j1": 1e-6, "bessel_y0": 1e-6,
         "bessel_y1": 2e-6}  # fmt: skip
FINITE = """i0 i1 airy_ai spherical_bessel_j0 bessel_j0 bessel_j1 bessel_y0 bessel_y1
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1
scaled_modified_bessel_k0 scaled_modified_bessel_k1""".split()


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_operand(name: str) -> None:
    function = lambda t, x: getattr(t.special, name)(x)
    x = torch.cat([draw(50) * 4, draw(20) * 0.3, torch.linspace(-1, 1, 21).double()])
    tolerance = LOOSE.get(name, 1e-11)
    check(function, x, tolerance=tolerance)
    check(function, x.float(), tolerance=max(tolerance, 2e-5))
    check(function, torch.arange(1, 6), tolerance=2e-5)
    edges = torch.tensor(EDGES, dtype=torch.float64)
    if name in FINITE:  # polynomials of infinity are NaN there
        edges = edges[edges.isfinite()]
    check(function, edges, tolerance=tolerance)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name: str) -> None:
    x = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    function = lambda t, x: getattr(t.special, name)(x)
    check_gradients(function, x)
    if name not in ("entr", "erfinv", "ndtri", "logit", "gammaln", "log1p", "digamma"):
        check_gradients(function, -x * 3)


BINARY: dict[str, Case] = {
    "xlogy": lambda t, a, b: t.special.xlogy(a, b),
    "xlog1py": lambda t, a, b: t.special.xlog1py(a, b),
    "zeta": lambda t, a, b: t.special.zeta(a + 1, b),
    "gammainc": lambda t, a, b: t.special.gammainc(a, b),
    "gammaincc": lambda t, a, b: t.special.gammaincc(a, b),
    "igamma": lambda t, a, b: a.igamma(b),
}


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_operands(name: str) -> None:
    a, b = draw(40).abs() * 6 + 0.05, draw(40, seed=1).abs() * 8 + 0.05
    check(BINARY[name], a, b, tolerance=1e-9)
    check(BINARY[name], a.reshape(40, 1), b.float(), tolerance=1e-5)
    second = lambda t, b: BINARY[name](t, given(t, a), b)
    check_gradients(second, b, second=name.startswith("x"))


def test_polygamma_and_multigammaln() -> None:
    x = draw(30).abs() * 5 + 2.1
    for n in range(5):
        check(lambda t, x: t.special.polygamma(n, x), x, tolerance=1e-9)
        check(lambda t, x: t.polygamma(n, x), -x[x % 1 > 0.1], tolerance=1e-6)
        check_gradients(lambda t, x: x.polygamma(n), x, second=n > 0)
    check(lambda t, x: t.special.multigammaln(x, 3), x)
    check_gradients(lambda t, x: t.special.multigammaln(x, 3), x)


POLYNOMIALS = [n for n in dir(torch.special) if "_polynomial_" in n]


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name: str) -> None:
    function = lambda t, x, n: getattr(t.special, name)(x, n)
    x = torch.linspace(-0.97, 0.98, 23).double()
    check(function, x.reshape(23, 1), torch.arange(-1, 8), tolerance=1e-8)
    check(lambda t, x: getattr(t.special, name)(x, 5), x, tolerance=1e-8)


def test_what_has_no_derivative_says_so() -> None:
    for case in (
        lambda t, x: t.special.zeta(x, 2.0).sum().backward(),
        lambda t, x: t.special.gammainc(x, x.detach()).sum().backward(),
        lambda t, x: t.polygamma(-1, x),
    ):
        check_error(case, (draw(4).abs() + 1.5).requires_grad_())


WINDOWS = ("hann", "hamming", "blackman", "bartlett", "kaiser")


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    for length in (0, 1, 2, 5, 12):
        for periodic in (True, False):
            for dtype in ("float32", "float64"):
                ours, theirs = (
                    getattr(t, f"{name}_window")(length, periodic, dtype=getattr(t, dtype))
                    for t in (flambeau, torch)
                )
                same(ours, theirs, atol=2e-7)
    check_error(lambda t: getattr(t, f"{name}_window")(-1))


SIGNAL: dict[str, dict[str, Any]] = {
    "bartlett": {}, "blackman": {}, "cosine": {}, "exponential": {"tau": 2.0},
    "gaussian": {"std": 0.9}, "general_cosine": {"a": [0.3, 0.5, 0.2]},
    "general_hamming": {"alpha": 0.6}, "hamming": {}, "hann": {}, "kaiser": {"beta": 5.0},
    "nuttall": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNAL)
def test_signal_windows(name: str) -> None:
    for length in (0, 1, 2, 5, 12):
        for sym in (True, False):
            ours, theirs = (
                getattr(t.signal.windows, name)(length, sym=sym, dtype=t.float64, **SIGNAL[name])
                for t in (flambeau, torch)
            )
            same(ours, theirs)
    check_error(lambda t: getattr(t.signal.windows, name)(-1, **SIGNAL[name]))
    check_error(lambda t: getattr(t.signal.windows, name)(4, dtype=t.int32, **SIGNAL[name]))
