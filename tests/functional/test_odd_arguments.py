"""Arguments that few give: numbers that a dtype cannot hold, dtypes that a kernel has not, operands
of other shapes. The value, or the kind of error and its first line, are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from outcomes import Case, check

pytestmark = pytest.mark.parity

DTYPES = ("uint8", "int8", "int64", "bool", "float16", "bfloat16", "float32", "float64")
NUMBERS = (300, -1, -200, 2.5, 1e5, 1e39, float("nan"), float("inf"), True, 2**31, 1j)
SIGNED_ZEROS = (-5.0, 5.0, 4.0, 0.0, -0.0, -5.5, float("inf"), float("-inf"), 1e-30, 1e30)


def assigned(x: Any, place: Any, value: Any) -> Any:
    x[place] = value
    return x


FILLED: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "index_fill": lambda t, F, x, n: x.index_fill(0, t.tensor([1]), n),
    "index_fill_": lambda t, F, x, n: x.index_fill_(0, t.tensor([1]), n),
    "scatter": lambda t, F, x, n: x.scatter(0, t.tensor([1]), n),
    "scatter_": lambda t, F, x, n: x.scatter_(0, t.tensor([1]), value=n),
    "pad": lambda t, F, x, n: F.pad(x, (1, 0), value=n),
    "an element": lambda t, F, x, n: assigned(x, 1, n),
    "a slice": lambda t, F, x, n: assigned(x, slice(1, None), n),
    "places": lambda t, F, x, n: assigned(x, t.tensor([1]), n),
    "masked_fill": lambda t, F, x, n: x.masked_fill(t.tensor([True, False, True]), n),
    "fill_": lambda t, F, x, n: x.fill_(n),
    "add(alpha)": lambda t, F, x, n: t.add(x, x, alpha=n),
    "add_(alpha)": lambda t, F, x, n: x.add_(x.clone(), alpha=n),
    "clamp": lambda t, F, x, n: t.clamp(x, n, n),
    "clamp_min": lambda t, F, x, n: t.clamp_min(x, n),
    "clamp(max)": lambda t, F, x, n: t.clamp(x, max=n),
    "pow": lambda t, F, x, n: t.pow(x + 1, n) * 0,
    "threshold": lambda t, F, x, n: F.threshold(x, n, 0),
    "threshold(value)": lambda t, F, x, n: F.threshold(x, 1, n),
    "addcmul": lambda t, F, x, n: t.addcmul(x, x, x, value=n),
    "addcdiv": lambda t, F, x, n: t.addcdiv(x, x + 1, x + 1, value=n),
    "lerp": lambda t, F, x, n: t.lerp(x, x, n),
}


# Where the complex type of a half type, or the order of two refusals, would be asked.
REAL = ("clamp", "clamp_min", "clamp(max)", "pow")


@pytest.mark.parametrize("name", list(FILLED))
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_a_dtype_cannot_hold(name: str, dtype: str) -> None:
    for number in NUMBERS[: -1 if name in REAL else None]:
        check(lambda t, F, n=number: FILLED[name](t, F, t.zeros(3, dtype=getattr(t, dtype)), n))  # type: ignore[misc]


@pytest.mark.parametrize("op", ["lt", "ge", "floor_divide", "remainder", "fmod", "bitwise_and"])
def test_what_has_no_complex_kernel(op: str) -> None:
    check(lambda t, F: getattr(t, op)(t.ones(2), 1j))
    check(lambda t, F: getattr(t, op)(t.ones(2, dtype=t.complex64), t.ones(2)))
    check(lambda t, F: getattr(t, op)(t.ones(2), 2.0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_remainder_of_zero_has_the_sign_of_what_was_divided(dtype: str) -> None:
    for divisor in (1.0, -1.0, 0.5, -2.0, float("inf"), float("-inf")):

        def case(t: Any, F: Any, b: float = divisor) -> Any:
            a = t.tensor(SIGNED_ZEROS, dtype=getattr(t, dtype))
            return t.cat([t.remainder(a, b), a % t.full_like(a, b), t.remainder(b, a)]) * 1

        for _ in range(3):  # in the reference executor, compiled, recognised
            check(case)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_integers(dtype: str) -> None:
    def image(t: Any) -> tuple[Any, Any]:
        x = t.arange(2 * 6 * 7).reshape(1, 2, 6, 7).remainder(7).to(getattr(t, dtype))
        return x, x[:, :, :3, :2].clone()

    for options in ({"dilation": 2}, {"dilation": (1, 2), "padding": 1}, {"stride": 2}):
        check(lambda t, F, o=options: F.conv2d(*image(t), **o))  # type: ignore[misc]
    check(lambda t, F: F.conv1d(image(t)[0][:, :, 0], image(t)[1][..., 0, :], dilation=3))
    for decimals in ({}, {"decimals": 0}, {"decimals": 1}):
        check(lambda t, F, d=decimals: image(t)[0].round(**d))  # type: ignore[misc]
    for equation in ("i->", "ij->i", "ii->", "ij->ji", "ij,ij->", "i,i->"):

        def case(t: Any, F: Any, equation: str = equation) -> Any:
            terms = equation.split("->")[0].split(",")
            x = image(t)[0][0, 0, :5, :5]
            return t.einsum(equation, *(x if len(term) == 2 else x[0] for term in terms))

        check(case)


def test_truths_in_einsum() -> None:
    for equation in ("i->", "i,i->", "i->i"):
        count = 1 + equation.count(",")
        check(lambda t, F, e=equation, n=count: t.einsum(e, *[t.tensor([True, False])] * n))  # type: ignore[misc]


def attention(t: Any, F: Any, **changes: Any) -> Any:
    """multi_head_attention_forward of 3 x 2 x 8 in two heads, with some arguments changed."""
    generator = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return t.tensor(generator.standard_normal(shape), dtype=t.float32)

    given: dict[str, Any] = {
        "query": drawn(3, 2, 8), "embed_dim_to_check": 8, "num_heads": 2, "dropout_p": 0.0,
        "in_proj_weight": drawn(24, 8), "in_proj_bias": None, "bias_k": None, "bias_v": None,
        "add_zero_attn": False, "out_proj_weight": drawn(8, 8), "out_proj_bias": None,
    }  # fmt: skip
    given |= {name: drawn(*x) if isinstance(x, tuple) else x for name, x in changes.items()}
    given = {"key": given["query"], "value": given["query"], **given}
    return F.multi_head_attention_forward(**given)[0].round(decimals=3) + 0.0


SEPARATE = {
    f"{name}_proj_weight": shape for name, shape in zip("qkv", ((8, 8), (8, 8), (8, 8)))
} | {"use_separate_proj_weight": True}
ATTENTION: list[dict[str, Any]] = [
    {"key": (4, 3, 8), "value": (4, 3, 8)},
    {"in_proj_weight": None},
    {"bias_k": (1, 1, 8)},
    {"bias_v": (1, 1, 8)},
    {"static_k": (4, 3, 5), "static_v": (4, 3, 4)},
    {"static_k": (4, 3, 4), "static_v": (4, 3, 5)},
    {"static_k": (4, 3, 4), "static_v": (3, 3, 4)},
    SEPARATE | {"q_proj_weight": (8, 9)},
    SEPARATE | {"k_proj_weight": (8, 9)},
    SEPARATE | {"v_proj_weight": None},
    SEPARATE,
    {"static_k": (4, 3, 4), "static_v": (4, 3, 4)},
]


@pytest.mark.parametrize("changes", ATTENTION)
def test_attention_refuses_in_the_same_words(changes: dict[str, Any]) -> None:
    check(lambda t, F: attention(t, F, **changes))


EMPTY: dict[str, Case] = {
    "lu_factor": lambda t, F: t.linalg.lu_factor(t.ones(2, 0, 3))[0],
    "lu_factor of no batch": lambda t, F: t.linalg.lu_factor(t.ones(0, 3, 3))[1],
    "lu": lambda t, F: t.linalg.lu(t.ones(3, 0))[0],
    "kthvalue": lambda t, F: t.ones(2, 0).kthvalue(1, 1).values,
    "view_copy": lambda t, F: t.view_copy(t.arange(6).reshape(2, 3).mT, (6,)),
    "view_copy of another dtype": lambda t, F: t.view_copy(t.ones(4), t.int32),
}


@pytest.mark.parametrize("name", list(EMPTY))
def test_shapes_without_elements_and_copied_views(name: str) -> None:
    check(EMPTY[name])
