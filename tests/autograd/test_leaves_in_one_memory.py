"""Leaves that are parts of one tensor, differentiated through a program that has run: each stands
elsewhere in the memory as that program knew it than in the one under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

X = np.arange(1.0, 13.0).reshape(3, 4)


def _row(x: Any, k: int) -> Any:
    return x[k]


def _column(x: Any, k: int) -> Any:
    return x[:, k]


def _through_grad(y: Any, v: Any) -> Any:
    return flambeau.autograd.grad(y, v)[0]


def _through_backward(y: Any, v: Any) -> Any:
    y.backward()
    return v.grad


def _through_inputs(y: Any, v: Any) -> Any:
    y.backward(inputs=[v])
    return v.grad


@pytest.mark.parametrize("part", [_row, _column])
@pytest.mark.parametrize("way", [_through_grad, _through_backward, _through_inputs])
@pytest.mark.parametrize("beside", [False, True])
def test_gradients_of_parts(
    part: Callable[..., Any], way: Callable[..., Any], beside: bool
) -> None:
    for _ in range(3):
        x = flambeau.tensor(X)
        pending, found = [], []
        for k in range(3):
            if beside:
                pending.append(x * k)  # the memory stands in this program from its beginning on
            v = part(x, k).detach().requires_grad_()
            y = (v * v * v).sum()
            assert y.item() > 0
            found.append(way(y, v))
        for k, gradient in enumerate(found):
            np.testing.assert_allclose(gradient.numpy(), 3 * part(X, k) ** 2)


def test_part_used_in_both_programs() -> None:
    x = flambeau.tensor(X)
    v = x[1].detach().requires_grad_()
    y = (v * v).sum()
    assert y.item() > 0
    whole = x * 2
    (gradient,) = flambeau.autograd.grad(y + (v * 5).sum() + whole.sum(), v)
    np.testing.assert_allclose(gradient.numpy(), 2 * X[1] + 5)
