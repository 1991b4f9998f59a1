"""Small programs that both Flambeau and PyTorch run, and what they must agree on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Cases = Callable[[Any, Any], dict[str, Any]]


def leaves(torch: Any) -> Callable[..., Any]:
    """Makes leaf tensors of the numbers given, else of three random ones."""
    random = np.random.default_rng(0)

    def leaf(*values: float) -> Any:
        data = values or random.uniform(0.5, 2, 3)
        return torch.tensor([float(v) for v in data], requires_grad=True)

    return leaf


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if hasattr(value, "requires_grad"):
        data = value.detach().numpy().astype(np.float64)
        return [str(value.dtype).split(".")[-1], value.requires_grad, data.tolist()]
    return str(value).split(".")[-1] if type(value).__name__ in ("dtype", "DType") else value


def outcome(cases: Cases, module: str, name: str) -> Any:
    """What a program has seen, and what it returns or raises."""
    torch = pytest.importorskip(module)
    seen: list[Any] = []
    function = cases(torch, lambda *values: seen.append(plain(values)))[name]
    try:
        result = plain(function())
    except Exception as error:
        result = [type(error).__name__, str(error).splitlines()[0]]
    return seen, result


def check(cases: Cases, name: str) -> None:
    """The same in PyTorch, and in Flambeau three times (later times are recognised)."""
    expected = outcome(cases, "torch", name)
    for _ in range(3):
        agree(expected, outcome(cases, "flambeau", name))


def agree(a: Any, b: Any) -> None:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        assert len(a) == len(b), (a, b)
        for x, y in zip(a, b, strict=True):
            agree(x, y)
    elif isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-6, nan_ok=True)
    else:
        assert a == b


def outcome_of(source: str, module: str) -> Any:
    """What the statements hand to `seen`, their warnings, and the exception that ends them."""
    torch = pytest.importorskip(module)
    found: list[Any] = []

    def seen(*values: Any) -> None:
        found.append([described(value) for value in values])

    random = np.random.default_rng(1)
    x = torch.tensor(random.uniform(0.5, 2, (2, 3)).tolist(), requires_grad=True)
    names = {"torch": torch, "seen": seen, "x": x, "y": x * 2, "no_grad": torch.no_grad}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            exec(source, names)
        except Exception as error:
            found.append([type(error).__name__, str(error).splitlines()[0]])
    return found, [(w.category.__name__, str(w.message).splitlines()[0]) for w in heard]


def described(value: Any) -> Any:
    if hasattr(value, "requires_grad"):
        node = value.grad_fn
        return [*plain(value), value.is_leaf, None if node is None else type(node).__name__]
    return [described(v) for v in value] if isinstance(value, (list, tuple)) else plain(value)


def check_source(source: str) -> None:
    """The same statements in PyTorch, and in Flambeau three times (later times are recognised).

    They know `torch`, a leaf `x` of shape (2, 3), `y = x * 2`, `no_grad`, and `seen`.
    """
    expected = outcome_of(source, "torch")
    for _ in range(3):
        agree(expected, outcome_of(source, "flambeau"))
