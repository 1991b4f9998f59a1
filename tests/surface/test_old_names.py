"""Names of PyTorch's files that public programs import, though they are nobody's interface."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

ARGUMENTS = list(itertools.product([None, True, False], repeat=2))


def modules(name: str) -> list[Any]:
    found = [importlib.import_module(f"flambeau.{name}")]
    with contextlib.suppress(ImportError):
        found.append(importlib.import_module(f"torch.{name}"))
    return found


def heard(function: Callable[[], Any]) -> Any:
    """What a function returns or raises, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found: Any = function()
        except Exception as error:
            found = type(error).__name__, str(error)
    return found, [(w.category.__name__, str(w.message).split(" You can find")[0]) for w in caught]


def test_reductions() -> None:
    for module in modules("nn._reduction"):
        assert [module.get_enum(word) for word in ("none", "mean", "sum")] == [0, 1, 2]
    for word in ("none", "mean", "sum", "elementwise_mean", "x"):
        found = [heard(lambda m=m: m.get_enum(word)) for m in modules("nn._reduction")]
        assert found[0] == found[-1]
    for average, reduce in ARGUMENTS:
        for name in ("legacy_get_string", "legacy_get_enum"):
            found = [
                heard(lambda m=m: getattr(m, name)(average, reduce, *quiet))
                for m in modules("nn._reduction")
                for quiet in ((), (False,))
            ]
            assert found[:2] == found[-2:]


@pytest.mark.parametrize("text", ["", "a", "a\nb", "a\n\n b\n"])
def test_addindent(text: str) -> None:
    found = [m._addindent(text, 2) for m in modules("nn.modules.module")]
    assert found[0] == found[-1]
    assert found[0].splitlines()[:1] == text.splitlines()[:1]


ALLCLOSE: list[Callable[[Any], tuple[Any, Any, dict[str, Any]]]] = [
    lambda t: (t.ones(2), [1.0, 1.0], {}),
    lambda t: (1.0, t.tensor(1.0, dtype=t.float64), {}),
    lambda t: (t.ones(2), t.ones(2) + 5e-5, {}),
    lambda t: (t.ones(2, dtype=t.float64), t.ones(2, dtype=t.float64) + 5e-5, {}),
    lambda t: (t.ones(2, dtype=t.float64), t.ones(2) + 5e-5, {}),
    lambda t: (t.ones(2).half(), (t.ones(2) + 1e-3).half(), {}),
    lambda t: (t.tensor([1, 2]), t.tensor([1, 4]), {}),
    lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")]), {}),
    lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")]), {"equal_nan": False}),
    lambda t: (t.ones(2), t.ones(2) * 1.5, {"rtol": 1.0, "atol": 0.0}),
    lambda t: (t.ones(2), t.ones(3), {}),
    lambda t: (t.ones(2), t.zeros(2), {"msg": "far"}),
]


@pytest.mark.parametrize("number", range(len(ALLCLOSE)))
def test_assert_allclose(number: int) -> None:
    found = []
    for module in modules("testing"):
        torch = flambeau if module.__name__.startswith("flambeau") else __import__("torch")
        actual, expected, named = ALLCLOSE[number](torch)
        found.append(heard(lambda m=module: m.assert_allclose(actual, expected, **named)))
    result, warned = found[0]
    assert (result is None) == (number in (0, 1, 2, 4, 5, 7, 9))
    assert warned[0][0] == "FutureWarning"
    assert found[0] == found[-1]
