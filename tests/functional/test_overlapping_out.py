"""Writes (`out=`, in place) to memory that an operand shares, or that shows an element twice: what
PyTorch refuses, in the same words; where it takes them, the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from outcomes import check

pytestmark = pytest.mark.parity

SINGLE = """
abs neg exp sqrt sin sigmoid floor sign tanh logical_not reciprocal erf square lgamma round frac
nan_to_num cumsum cumprod logcumsumexp angle msort logit digamma sgn i0 softmax
""".split()
DOUBLE = """
add sub mul div maximum atan2 pow eq lt logical_and remainder fmod hypot xlogy copysign nextafter
max min floor_divide heaviside logaddexp float_power
""".split()
IN_PLACE = """
add_ sub_ mul_ div_ atan2_ pow_ eq_ lt_ remainder_ fmod_ copysign_ xlogy_ hypot_ logical_and_
floor_divide_ copy_
""".split()
ALONE = """
abs_ neg_ exp_ sqrt_ sigmoid_ relu_ zero_ logical_not_ normal_ uniform_ random_ exponential_ cauchy_
""".split()
CLOSE = 1e-6


def line(t: Any, dtype: str = "float32") -> Any:
    return (t.arange(9, dtype=getattr(t, dtype)) + 1) / 16


def square(t: Any) -> Any:
    return line(t).reshape(3, 3)


def expanded(t: Any) -> Any:
    return t.tensor([[0.25], [0.5]]).expand(2, 3)


def single(t: Any, name: str) -> Callable[..., Any]:
    function = getattr(t, name)
    if name in ("cumsum", "cumprod", "logcumsumexp", "softmax"):
        return lambda x, out: function(x, 0, out=out)
    return lambda x, out: function(x, out=out)


def ways_of_one(f: Callable[..., Any], t: Any) -> list[Callable[[], Any]]:
    x = line(t)
    return [
        lambda: f(x[:-1], out=x[1:]),
        lambda: f(x[1:], out=x[:-1]),
        lambda: f(x, out=x),
        lambda: f(x[2:5], out=x[5:8]),
        lambda: f(x[:0], out=x[:0]),
        lambda: f(t.ones(2, 3), out=expanded(t)),
        lambda: f(x.reshape(3, 3), out=x.reshape(3, 3).t()),
        lambda: f(x[::2], out=x[1::2][:4].new_empty(5)),
        lambda: f(t.ones(3, 3), out=t.ones(1).expand(3)),
    ]


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("way", range(9))
def test_one_operand(name: str, way: int) -> None:
    if way == 8 and name in ("cumsum", "cumprod", "logcumsumexp", "softmax", "msort"):
        return  # PyTorch resizes these before it looks
    for _ in range(3):  # recorded, compiled, recognised
        check(lambda t, F: ways_of_one(single(t, name), t)[way](), rtol=CLOSE)


def ways_of_two(f: Callable[..., Any], t: Any) -> list[Callable[[], Any]]:
    x, wide = line(t), line(t, "float64")
    return [
        lambda: f(x[:-1], t.ones(8), out=x[1:]),
        lambda: f(t.ones(8), x[:-1], out=x[1:]),
        lambda: f(x, x.clone(), out=x),
        lambda: f(t.full_like(x, 0.5), x, out=x),
        lambda: f(square(t).t(), t.ones(3, 3), out=square(t)),
        lambda: (lambda y: f(y.t(), t.ones(3, 3), out=y))(square(t)),
        lambda: (lambda y: f(y[0], t.ones(3, 3), out=y))(square(t)),
        lambda: f(t.ones(2, 3), t.ones(2, 3), out=expanded(t)),
        lambda: f(wide[:-1], t.ones(8, dtype=t.float64), out=wide[1:]),
        lambda: f(x[:2], t.ones(2), out=x[4:6]),
    ]


@pytest.mark.parametrize("name", DOUBLE)
@pytest.mark.parametrize("way", range(10))
def test_two_operands(name: str, way: int) -> None:
    check(lambda t, F: ways_of_two(getattr(t, name), t)[way](), rtol=CLOSE)


def ways_in_place(name: str, t: Any) -> list[Callable[[], Any]]:
    x, y = line(t), square(t)
    return [
        lambda: getattr(expanded(t), name)(t.ones(2, 3)),
        lambda: getattr(x[1:], name)(x[:-1]),
        lambda: getattr(x[:-1], name)(x[1:]),
        lambda: getattr(x, name)(x),
        lambda: getattr(x[1:], name)(x[1:]),
        lambda: getattr(y, name)(y.t()),
        lambda: getattr(y, name)(y[0]),
        lambda: getattr(x, name)(x[0]),
        lambda: getattr(x[::2], name)(x[1::2].new_ones(5)),
        lambda: getattr(x[:8:2], name)(x[1::2]),
        lambda: getattr(t.ones(1).expand(1, 1), name)(t.ones(1, 1)),
        lambda: getattr(t.ones(0, 1).expand(0, 3), name)(t.ones(0, 3)),
    ]


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("way", range(12))
def test_in_place(name: str, way: int) -> None:
    check(lambda t, F: ways_in_place(name, t)[way](), rtol=CLOSE)


@pytest.mark.parametrize("name", ALONE)
def test_in_place_alone(name: str) -> None:
    check(lambda t, F: getattr(expanded(t), name)())


def late(t: Any, f: Callable[..., Any]) -> Any:
    """The operands are pending, and so is what they are made of."""
    x = line(t) * 2 + 1
    return f(x, x[:-1], x[1:])


OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "addcmul": lambda t, F: late(t, lambda x, a, b: t.addcmul(a, a, a, out=b)),
    "addcdiv": lambda t, F: late(t, lambda x, a, b: t.addcdiv(t.ones(8), a, t.ones(8), out=b)),
    "addcmul, same": lambda t, F: late(t, lambda x, a, b: t.addcmul(x, x, x, value=2, out=x)),
    "lerp": lambda t, F: late(t, lambda x, a, b: t.lerp(a, t.ones(8), 0.5, out=b)),
    "where": lambda t, F: late(t, lambda x, a, b: t.where(t.ones(8) > 0, a, t.ones(8), out=b)),
    "clamp": lambda t, F: late(t, lambda x, a, b: t.clamp(a, 0, 1, out=b)),
    "clamp, same": lambda t, F: late(t, lambda x, a, b: t.clamp(x, 0, 1, out=x)),
    "polygamma": lambda t, F: late(t, lambda x, a, b: t.polygamma(1, a, out=b)),
    "zeta": lambda t, F: late(t, lambda x, a, b: t.special.zeta(a + 1, a, out=b)),
    "diff": lambda t, F: late(t, lambda x, a, b: t.diff(a, out=b[:-1])),
    "outer": lambda t, F: (lambda x: t.outer(x[1:3], x[1:3], out=x[:4].view(2, 2)))(line(t)),
    "kron": lambda t, F: (lambda x: t.kron(x[1:3], t.ones(2), out=x[:4]))(line(t)),
    "cross": lambda t, F: (lambda x: t.cross(x[1:4], t.ones(3), dim=0, out=x[:3]))(line(t)),
    "renorm": lambda t, F: (lambda x: t.renorm(x[1:], 2, 0, 1.0, out=x[:2]))(square(t)),
    "stack": lambda t, F: (lambda x: t.stack([x[0], t.ones(3)], out=x[:2]))(square(t)),
    "vstack": lambda t, F: (lambda x: t.vstack([x[0], t.ones(3)], out=x[:2]))(square(t)),
    "sort": lambda t, F: late(
        t, lambda x, a, b: t.sort(a, out=(b, t.empty(8, dtype=t.int64)))[0]
    ),
    "frexp": lambda t, F: late(
        t, lambda x, a, b: t.frexp(a, out=(b, t.empty(8, dtype=t.int32)))[0]
    ),
    "addmm": lambda t, F: (
        lambda x: t.addmm(x[1:5].view(2, 2), t.ones(2, 2), t.ones(2, 2), out=x[:4].view(2, 2))
    )(line(t)),
    "addmm, one row": lambda t, F: (
        lambda x: t.addmm(x[1:2], t.ones(2, 2), t.ones(2, 2), out=x[:4].view(2, 2))
    )(line(t)),
    "addmv": lambda t, F: (lambda x: t.addmv(x[1:3], t.ones(2, 2), t.ones(2), out=x[:2]))(line(t)),
    "addr": lambda t, F: (
        lambda x: t.addr(t.ones(2, 2), x[1:3], t.ones(2), out=x[:4].view(2, 2))
    )(line(t)),
    "baddbmm": lambda t, F: (
        lambda x: t.baddbmm(
            x[1:5].view(1, 2, 2), t.ones(1, 2, 2), t.ones(1, 2, 2), out=x[:4].view(1, 2, 2)
        )
    )(line(t)),
    "bernoulli": lambda t, F: (lambda x: t.bernoulli(x[1:], out=x[:-1]))(line(t)),
    "normal": lambda t, F: (lambda x: t.normal(x[1:], t.ones(8), out=x[:-1]))(line(t)),
    "complex parts": lambda t, F: (lambda x: t.add(x.real, 1, out=x.imag))(
        t.ones(3, dtype=t.complex64)
    ),
    "clamp_": lambda t, F: late(t, lambda x, a, b: b.clamp_(a, t.ones(8))),
    "lerp_": lambda t, F: late(t, lambda x, a, b: b.lerp_(a, 0.5)),
    "addcmul_": lambda t, F: late(t, lambda x, a, b: b.addcmul_(a, t.ones(8))),
    "masked_fill_": lambda t, F: (lambda x: x[1:].masked_fill_(x[:-1], False))(line(t) > 0.2),
    "fill_": lambda t, F: expanded(t).fill_(2),
    "fill_ of a tensor": lambda t, F: expanded(t).fill_(t.tensor(2.0)),
    "round_": lambda t, F: expanded(t).round_(),
    "dropout": lambda t, F: F.dropout(expanded(t), 0.5, inplace=True),
    "elu": lambda t, F: F.elu(expanded(t), inplace=True),
    "a slice": lambda t, F: expanded(t).__setitem__(slice(None), t.ones(2, 3)),
    "a row": lambda t, F: expanded(t).__setitem__((0, slice(None)), t.ones(3)),
    "index_add_": lambda t, F: (lambda x: x.index_add_(0, t.tensor([0, 1]), x[1:3]))(line(t)),
    "scatter_": lambda t, F: (lambda x: x.scatter_(0, t.tensor([0, 1]), x[1:3]))(line(t)),
    "cumsum_": lambda t, F: expanded(t).cumsum_(0),
}  # fmt: skip


@pytest.mark.parametrize("name", list(OTHERS))
def test_others(name: str) -> None:
    for _ in range(2):
        check(OTHERS[name], rtol=1e-5)


def test_products_may_write_over_their_factors() -> None:
    """PyTorch takes these, with numbers that hang on the order; here they are read first."""
    import flambeau as t

    x = line(t)
    wanted = (x[:4].view(2, 2) + x[1:5].view(2, 2) @ t.ones(2, 2)).tolist()
    assert x[:4].view(2, 2).addmm_(x[1:5].view(2, 2), t.ones(2, 2)).tolist() == wanted


def test_a_view_of_another_dtype_beside_its_memory() -> None:
    import flambeau as t

    x = t.arange(4.0)
    wanted = (x[:2] + x.view(t.int32)[1:3]).tolist()
    assert x[:2].add_(x.view(t.int32)[1:3]).tolist() == wanted
