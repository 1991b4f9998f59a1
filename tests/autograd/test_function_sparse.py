"""Custom functions that take or keep sparse tensors, as graph networks of one's own do."""

from __future__ import annotations

from typing import Any

import pytest

pytorch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity


def spread(torch: Any) -> Any:
    """A function of edge weights and node features that keeps a sparse matrix made in forward."""

    class Spread(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, places: Any, weights: Any, size: int, x: Any) -> Any:
            matrix = torch.sparse_coo_tensor(places, weights, (size, size))
            ctx.save_for_backward(matrix, x)
            return torch.matmul(matrix, x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            matrix, x = ctx.saved_tensors
            at = matrix._indices()
            return None, (g @ x.t())[at[0], at[1]], None, matrix.t().matmul(g)

    return Spread


def taking(torch: Any) -> Any:
    """A function whose argument is a sparse matrix without a gradient."""

    class Taking(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, matrix: Any, x: Any) -> Any:
            ctx.save_for_backward(matrix)
            return torch.sparse.mm(matrix, x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (matrix,) = ctx.saved_tensors
            return None, 2 * torch.sparse.mm(matrix.t(), g)

    return Taking


def keeping(torch: Any, steps: int) -> list[Any]:
    places = torch.tensor([[0, 0, 1, 3], [1, 2, 2, 0]])
    weights = torch.tensor([0.5, -1.0, 2.0, 3.0], requires_grad=True)
    x = torch.linspace(-1, 1, 8).view(4, 2).requires_grad_()
    function, seen = spread(torch), []
    for step in range(steps):
        weights.grad = x.grad = None
        y = function.apply(places, weights * (step + 1), 4, x)
        (y**2).sum().backward()
        with torch.no_grad():
            x -= 0.01 * x.grad
        seen += [y.tolist(), weights.grad.tolist(), x.grad.tolist()]
    return seen


def given(torch: Any, steps: int) -> list[Any]:
    x = torch.linspace(-1, 1, 8).view(4, 2).requires_grad_()
    function, seen = taking(torch), []
    for step in range(steps):
        # Another matrix each time: a step that is recognised must not go backward by an old one.
        places = torch.tensor([[0, 1, step % 4], [1, 2, 3]])
        matrix = torch.sparse_coo_tensor(places, torch.tensor([1.0, 2.0, step + 1.0]), (4, 4))
        x.grad = None
        y = function.apply(matrix, x * 2)
        (y * torch.tensor([1.0, 3.0])).sum().backward()
        seen += [y.tolist(), x.grad.tolist()]
    return seen


@pytest.mark.parametrize("program", [keeping, given])
def test_sparse_tensors_in_functions(program: Any) -> None:
    theirs, ours = program(pytorch, 6), program(flambeau, 6)
    for one, other in zip(theirs, ours, strict=True):
        pytorch.testing.assert_close(pytorch.tensor(other), pytorch.tensor(one))


def test_what_was_kept_is_freed_after_backward() -> None:
    def program(torch: Any) -> None:
        weights = torch.tensor([1.0, 2.0])
        matrix = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), weights, (2, 2))
        x = torch.ones(2, 2, requires_grad=True)
        y = taking(torch).apply(matrix.coalesce(), x)
        y.sum().backward()
        assert x.grad.tolist() == [[4.0, 4.0], [2.0, 2.0]]
        with pytest.raises(RuntimeError, match="second time"):
            y.sum().backward()

    for library in (pytorch, flambeau):
        program(library)
