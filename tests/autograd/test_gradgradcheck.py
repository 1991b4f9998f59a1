"""gradgradcheck beside PyTorch's: what it says, and what it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES

pytestmark = pytest.mark.parity


def cut(t: Any) -> Callable[..., Any]:
    """A square whose gradient does not depend on its output's gradient, as autograd sees it."""

    class Square(t.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g.detach()

    function: Callable[..., Any] = Square.apply
    return function


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "right": lambda t, x, y: t.autograd.gradgradcheck(lambda x: (x**3, x.sin()), x),
    "two": lambda t, x, y: t.autograd.gradgradcheck(lambda x, y: x * y.exp(), (x, y)),
    "linear": lambda t, x, y: t.autograd.gradgradcheck(lambda x: x * 2, x),
    "given": lambda t, x, y: t.autograd.gradgradcheck(lambda x: x**3, x, t.ones_like(x)),
    "wrong": lambda t, x, y: t.autograd.gradgradcheck(cut(t), x, raise_exception=False),
}


@pytest.mark.parametrize("name", CASES)
def test_same_as_pytorch(name: str) -> None:
    found = []
    for library in LIBRARIES:
        library.manual_seed(0)
        x = library.rand(3, dtype=library.float64, requires_grad=True)
        y = library.rand(2, 3, dtype=library.float64, requires_grad=True)
        answer = CASES[name](library, x, y)
        found.append((answer, library.rand(2).tolist()))
    assert found[0] == found[1]
    assert found[0][0] == (name != "wrong")
