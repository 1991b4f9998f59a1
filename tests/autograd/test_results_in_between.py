"""Second derivatives with respect to results in between, of programs that have run or not."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

BETWEEN = {
    "sum": lambda x: x.sum(0, keepdim=True),
    "amax": lambda x: x.amax(0, keepdim=True),
    "mean": lambda x: x.mean(0, keepdim=True),
    "product": lambda x: x * 2,
    "transposed": lambda x: (x * 2).t().contiguous(),
    "row": lambda x: (x * 2)[:1],
    "expanded": lambda x: x[:1].expand(2, 3),
}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("ran", [False, True])
def test_second_derivatives_by_results_in_between(between: str, ran: bool) -> None:
    """What a pass reads of an earlier program has its history at the tensor, however the tensor's
    value was made (random program 90,003,396).
    """
    x = torch.tensor([[-0.5, 0.25, 1.5], [0.75, -1.25, 2.0]], requires_grad=True)
    h = BETWEEN[between](x)
    values = np.array(h.tolist())
    y = (h * h * h).sum() + (h * torch.cat([h, h])[: h.shape[0]]).sum()
    if ran:
        y.item()
    (first,) = torch.autograd.grad(y, h, create_graph=True)
    np.testing.assert_allclose(first.tolist(), 3 * values**2 + 2 * values, rtol=1e-5)
    (second,) = torch.autograd.grad((first * h).sum(), h)
    np.testing.assert_allclose(second.tolist(), 9 * values**2 + 4 * values, rtol=1e-5)


def test_results_that_lead_nowhere() -> None:
    """They are made of what was filled; a pass for them alone reads what the program has kept
    (random program 90,020,799).
    """
    x = torch.tensor([[-1.8, -0.9, -0.1], [0.6, 0.5, 0.9]], requires_grad=True)
    sums = x.sum(1, keepdim=True)[None]
    scale = ((x * x - 1.5) ** 2).mean()
    filled = torch.cat([scale - sums[0], scale - sums[0]])
    filled.zero_()
    end = torch.minimum(filled, filled)
    filled *= scale
    product = (sums * end[:2]).sum()
    assert product.item() == 0
    (slope,) = torch.autograd.grad(product, end, create_graph=True)
    expected = [[v] for v in sums.flatten().tolist()] + [[0], [0]]
    np.testing.assert_allclose(slope.tolist(), expected, rtol=1e-6)
