"""Elementwise functions and losses, and the numbers at which they are compared with PyTorch.

`UNARY`, `BINARY` and `TERNARY` name functions of (library, tensors..): the library is torch or
flambeau.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

INF, NAN = float("inf"), float("nan")
HUGE = {"float32": 3e38, "float64": 1.5e308, "bfloat16": 3e38, "float16": 6e4}
TINY = {"float32": 1e-40, "float64": 1e-310, "bfloat16": 1e-39, "float16": 6e-7}
SMALL = {"float32": 2e-30, "float64": 2e-200, "bfloat16": 2e-30, "float16": 1e-4}
# Where derivatives jump and domains end, for one function or another; and what lies between.
PLACES = (0.5, 1.0, 2.0, 3.0, 6.0, 20.0, 0.25, 1.75, 4.5, 90.0)


def points(dtype: str) -> list[float]:
    """Numbers of both signs, zeros, infinities, NaN, the smallest and the largest."""
    sizes = (0.0, *PLACES, TINY[dtype], SMALL[dtype], HUGE[dtype], INF)
    return [NAN, *(s * x for x in sizes for s in (1.0, -1.0))]


def few_points(dtype: str) -> list[float]:
    """The same for functions of several numbers, which are given all combinations."""
    sizes = (0.0, 0.5, 1.0, 2.0, 3.0, TINY[dtype], HUGE[dtype], INF)
    return [NAN, *(s * x for x in sizes for s in (1.0, -1.0))]


Function = Callable[..., Any]


class Case(NamedTuple):
    """A function of tensors; `within` says which numbers it takes, of each operand."""

    name: str
    function: Function
    operands: int = 1
    within: tuple[tuple[float, float] | None, ...] = ()
    fixed: tuple[int, ...] = ()  # operands without a gradient in PyTorch


def _named(*names: str) -> list[Case]:
    def case(name: str) -> Case:
        room, _, function = name.rpartition(".")

        def call(library: Any, *x: Any) -> Any:
            module = library
            for part in room.split(".") if room else ():
                module = getattr(module, part)
            return getattr(module, function)(*x)

        return Case(name, call)

    return [case(name) for name in names]


def _case(name: str, function: Function, operands: int = 1, within: Any = ()) -> Case:
    return Case(name, function, operands, within)


def _f(name: str, *arguments: Any, **options: Any) -> Case:
    """A function of torch.nn.functional with arguments."""
    words = [*map(str, arguments), *(f"{k}={v}" for k, v in options.items())]

    def call(library: Any, x: Any) -> Any:
        return getattr(library.nn.functional, name)(x, *arguments, **options)

    return Case(f"{name}({', '.join(words)})", call)


def _power(exponent: Any) -> Case:
    return _case(f"x ** {exponent!r}", lambda t, x: x**exponent)


def _clamp(low: float | None, high: float | None) -> Case:
    return _case(f"clamp({low}, {high})", lambda t, x: t.clamp(x, low, high))


UNARY: list[Case] = [
    *_named(
        *("abs", "neg", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt"),
        *("reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("asinh", "acosh", "atanh", "sigmoid", "erf", "erfc", "erfinv", "lgamma", "digamma"),
        *("floor", "ceil", "trunc", "frac", "round", "sign", "sgn", "square", "relu", "sinc"),
        *("deg2rad", "rad2deg", "logit", "nan_to_num", "positive", "i0", "angle"),
        *("isnan", "isinf", "isfinite", "signbit", "isposinf", "isneginf", "isreal"),
        *("logical_not", "real", "conj"),
        *("special.entr", "special.erfcx", "special.i0e", "special.i1", "special.i1e"),
        *("special.log_ndtr", "special.ndtr", "special.ndtri"),
        *("special.bessel_j0", "special.bessel_j1", "special.bessel_y0", "special.bessel_y1"),
        *("special.modified_bessel_i0", "special.modified_bessel_i1"),
        *("special.modified_bessel_k0", "special.modified_bessel_k1"),
        *("special.scaled_modified_bessel_k0", "special.scaled_modified_bessel_k1"),
        *("special.spherical_bessel_j0", "special.airy_ai"),
    ),
    _case("logit(0.25)", lambda t, x: t.logit(x, 0.25)),
    _case("logit(0)", lambda t, x: t.logit(x, 0.0)),
    _case("logit(1)", lambda t, x: t.logit(x, 1.0)),
    _case("nan_to_num(1, 2, 3)", lambda t, x: t.nan_to_num(x, 1.0, 2.0, 3.0)),
    _case("round(1)", lambda t, x: t.round(x, decimals=1)),
    _case("round(-1)", lambda t, x: t.round(x, decimals=-1)),
    _case("polygamma(1)", lambda t, x: t.polygamma(1, x)),
    _case("polygamma(2)", lambda t, x: t.polygamma(2, x)),
    _case("mvlgamma(2)", lambda t, x: t.mvlgamma(x, 2), within=((0.75, INF),)),
    *(_power(p) for p in (0, 1, 2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, 2.5, -1.5, 1 / 3)),
    *(_power(p) for p in (0.0, 1.0, 2.0, INF, -INF, NAN)),
    *(_case(f"{b} ** x", lambda t, x, b=b: b**x) for b in (0, 1, 2, 0.5, -1.0, -2.0, INF, NAN)),
    *(_clamp(*b) for b in ((-1.0, 1.0), (0.0, None), (None, 0.0), (None, 3.0), (2.0, -2.0))),
    *(_clamp(*b) for b in ((0.0, 0.0), (NAN, 1.0), (-1.0, NAN), (-INF, INF), (-0.0, None))),
    *(_f(name) for name in "relu relu6 leaky_relu elu selu celu gelu silu mish hardtanh".split()),
    *(_f(name) for name in "hardsigmoid hardswish hardshrink softshrink tanhshrink".split()),
    *(_f(name) for name in "softplus softsign logsigmoid sigmoid tanh rrelu".split()),
    *(_f("leaky_relu", slope) for slope in (0.3, 0.0, -0.5, 2.0)),
    *(_f("elu", alpha) for alpha in (0.7, 2.0, 0.0, -0.5)),
    *(_f("celu", alpha) for alpha in (1.7, -0.5)),
    _f("gelu", approximate="tanh"),
    *(_f("hardtanh", *limits) for limits in ((-0.5, 2.0), (0.0, 0.0), (-INF, 1.0))),
    *(_f("hardshrink", limit) for limit in (0.0, 1.0, -1.0)),
    *(_f("softshrink", limit) for limit in (0.0, 1.0)),
    *(_f("softplus", *options) for options in ((2.0, 3.0), (0.5, 1.0), (1.0, 0.0))),
    *(_f("threshold", *options) for options in ((0.0, 0.0), (0.5, 1.5), (1.0, -2.0))),
    _case("x + 1", lambda t, x: x + 1),
    _case("x * 0", lambda t, x: x * 0),
    _case("x / 0", lambda t, x: x / 0),
    _case("1 / x", lambda t, x: 1 / x),
    _case("0 / x", lambda t, x: 0 / x),
    _case("x % 2", lambda t, x: x % 2),
    _case("x // 2", lambda t, x: x // 2),
    _case("x % -0.5", lambda t, x: x % -0.5),
    _case("fmod(2)", lambda t, x: t.fmod(x, 2)),
    _case("div(2, trunc)", lambda t, x: t.div(x, 2, rounding_mode="trunc")),
    _case("copysign(-0.0)", lambda t, x: t.copysign(x, -0.0)),
    _case("xlogy(x, 2)", lambda t, x: t.xlogy(x, 2.0)),
    _case("xlogy(2, x)", lambda t, x: t.xlogy(2.0, x)),
    _case("xlogy(0, x)", lambda t, x: t.xlogy(0.0, x)),
    _case("where(x > 0)", lambda t, x: t.where(x > 0, x, 0.0)),
    _case("masked_fill", lambda t, x: x.masked_fill(x != x, 0.0)),
]


def _two(name: str, function: Function, within: Any = ()) -> Case:
    return _case(name, function, 2, within)


def _pairs(*names: str) -> list[Case]:
    return [case._replace(operands=2) for case in _named(*names)]


BINARY: list[Case] = [
    *_pairs(
        *("add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "maximum"),
        *("minimum", "fmax", "fmin", "atan2", "copysign", "nextafter", "hypot", "xlogy"),
        *("logaddexp", "logaddexp2", "heaviside", "ldexp", "float_power", "special.xlog1py"),
        *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"),
        *("igamma", "igammac", "special.zeta"),
        *("clamp_min", "clamp_max", "rsub"),
    ),
    _two("div(trunc)", lambda t, a, b: t.div(a, b, rounding_mode="trunc")),
    _two("div(floor)", lambda t, a, b: t.div(a, b, rounding_mode="floor")),
    _two("lerp(0.25)", lambda t, a, b: t.lerp(a, b, 0.25)),
    _two("lerp(0.75)", lambda t, a, b: t.lerp(a, b, 0.75)),
    _two("lerp(1.0)", lambda t, a, b: t.lerp(a, b, 1.0)),
    _two("where(a > b)", lambda t, a, b: t.where(a > b, a, b)),
    _two("prelu", lambda t, a, b: t.prelu(a[None], b)[0]),
]


def _loss(name: str, operands: int = 2, within: Any = (), **options: Any) -> Case:
    words = ", ".join(f"{k}={v}" for k, v in options.items())

    def call(library: Any, *given: Any) -> Any:
        return getattr(library.nn.functional, name)(*given, reduction="none", **options)

    return _case(f"{name}({words})", call, operands, within)


SIGNS = ((-INF, INF), (-1.0, 1.0))
CHANCES = ((0.0, 1.0), (0.0, 1.0))
LOSSES: list[Case] = [
    *(_loss(name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")),
    *(_loss("smooth_l1_loss", beta=beta) for beta in (0.0, 0.5, 2.0)),
    *(_loss("huber_loss", delta=delta) for delta in (0.5, 2.0)),
    _loss("binary_cross_entropy", within=CHANCES),
    _loss("binary_cross_entropy_with_logits"),
    _loss("kl_div"),
    _loss("kl_div", log_target=True),
    _loss("poisson_nll_loss"),
    _loss("poisson_nll_loss", log_input=False),
    _loss("poisson_nll_loss", full=True),
    _loss("poisson_nll_loss", log_input=False, full=True),
    _loss("gaussian_nll_loss", 3, (None, None, (0.0, INF))),
    _loss("gaussian_nll_loss", 3, (None, None, (0.0, INF)), full=True),
    _loss("hinge_embedding_loss"),
    _loss("hinge_embedding_loss", margin=2.0),
    _loss("soft_margin_loss")._replace(fixed=(1,)),
    _loss("margin_ranking_loss", 3),
    _loss("margin_ranking_loss", 3, margin=0.5),
]

TERNARY: list[Case] = [
    _case("clamp", lambda t, x, a, b: t.clamp(x, a, b), 3),
    _case("lerp", lambda t, a, b, w: t.lerp(a, b, w), 3),
    _case("addcmul", lambda t, x, a, b: t.addcmul(x, a, b, value=0.5), 3),
    _case("addcdiv", lambda t, x, a, b: t.addcdiv(x, a, b, value=0.5), 3),
    _case(
        "bce_with_logits(weight)",
        lambda t, x, y, w: t.nn.functional.binary_cross_entropy_with_logits(
            x, y, w, reduction="none"
        ),
        3,
    )._replace(fixed=(2,)),
    _case(
        "bce_with_logits(pos_weight)",
        lambda t, x, y, w: t.nn.functional.binary_cross_entropy_with_logits(
            x, y, pos_weight=w, reduction="none"
        ),
        3,
    )._replace(fixed=(2,)),
]
