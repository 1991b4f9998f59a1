"""Calls of numbers alone: what PyTorch takes is taken, with its dtype; what it refuses, refused."""

from __future__ import annotations

from typing import Any

import pytest
from outcomes import check, outcome

pytestmark = pytest.mark.parity

TAKEN = (
    *("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide"),
    "floor_divide",
)
PAIRS = [(1, 2), (2.5, 3), (7, -2.0), (True, 3), (True, False), (1j, 2), (0.1, 0.3), (2**62, 4)]


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_taken(name: str, pair: tuple[Any, Any]) -> None:
    check(lambda t, F: getattr(t, name)(*pair))
    check(lambda t, F: getattr(t, name)(input=pair[0], other=pair[1]))


def test_taken_with_options() -> None:
    check(lambda t, F: t.add(1, 2, alpha=3))
    check(lambda t, F: t.add(True, True, alpha=True))
    check(lambda t, F: t.add(1, 2, alpha=2.5))
    check(lambda t, F: t.sub(5, 2, alpha=3))
    check(lambda t, F: t.div(7, 2, rounding_mode="floor"))
    check(lambda t, F: t.div(-7.0, 2, rounding_mode="trunc"))
    check(lambda t, F: t.div(7.0, 2, rounding_mode="round"))
    check(lambda t, F: t.add(1, 2, out=t.empty(())))
    check(lambda t, F: t.add(1, 2, out=t.empty((), dtype=t.int8)))
    check(lambda t, F: t.mul(1.5, 2, out=t.empty((), dtype=t.int64)))
    check(lambda t, F: t.add(1.0, 2.0) + t.tensor(1.0, dtype=t.float16))
    check(lambda t, F: t.mul(3, 2) * t.tensor([1], dtype=t.int8))


@pytest.mark.parametrize("pair", [("a", 1), (1, "a"), (1, None), ([1], 1), (1, [1])], ids=str)
def test_what_is_no_number(pair: tuple[Any, Any]) -> None:
    for name in ("add", "sub", "mul", "div"):
        check(lambda t, F, name=name: getattr(t, name)(*pair))  # type: ignore[misc]


REFUSED = """
abs exp sqrt sin relu round neg sign sgn erf lgamma isnan isfinite logical_not bitwise_not square
nan_to_num clone positive is_nonzero is_complex is_floating_point numel abs_ exp_
""".split()
REFUSED_PAIRS = """
pow remainder fmod maximum minimum fmax fmin atan2 hypot logaddexp copysign nextafter heaviside eq
ne lt ge bitwise_and bitwise_or logical_and logical_xor gcd lcm xlogy ldexp clamp clip clamp_min
rsub isclose prelu float_power bitwise_left_shift rot90
""".split()


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("number", [2, 2.5, True, 1j])
def test_refused(name: str, number: Any) -> None:
    check(lambda t, F: getattr(t, name)(number))


@pytest.mark.parametrize("name", REFUSED_PAIRS)
def test_pairs_refused(name: str) -> None:
    for pair in PAIRS[:4]:
        for torch in ("flambeau", "torch"):
            kind, *_ = outcome(torch, lambda t, F, pair=pair: getattr(t, name)(*pair))  # type: ignore[misc]
            assert kind == "TypeError", (torch, pair)


def test_pairs_refused_in_the_same_words() -> None:
    for name in ("maximum", "fmin", "atan2", "logaddexp", "nextafter", "gcd", "logical_and"):
        check(lambda t, F, name=name: getattr(t, name)(1, 2))  # type: ignore[misc]
    check(lambda t, F: t.clamp(1.0, 2, 3))
    check(lambda t, F: t.lerp(1.0, 2.0, 0.5))
    check(lambda t, F: t.lerp(t.ones(2), 2.0, 0.5))
    check(lambda t, F: t.addcmul(1.0, 2.0, 3.0))
    check(lambda t, F: t.addcdiv(t.ones(2), 2.0, 3.0))
    check(lambda t, F: t.ones(2).addcmul_(2.0, t.ones(2)))
    check(lambda t, F: t.prelu(t.ones(2), 0.5))
    check(lambda t, F: t.ones(2).atan2_(2))
    check(lambda t, F: t.clamp(t.ones(2), t.ones(2), 2))
    check(lambda t, F: t.clamp(t.ones(2), 0.5, t.ones(2)))
    check(lambda t, F: t.ones(2).masked_fill(2, 3))
    check(lambda t, F: t.where(True, 2, 3))


def test_copies_by_name() -> None:
    check(lambda t, F: t.ones(2).copy_(other=t.zeros(2)))
    check(lambda t, F: t.ones(2).copy_(other=3))
