"""NaN and infinity behind what a mask hides: a weight of 0 makes NaN of them, as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from tests.programs.modes import mode

pytestmark = pytest.mark.parity

E = 32
Attend = Callable[[Any, Any, Any, Any], Any]


def _given(t: Any, q: Any, k: Any, v: Any, **how: Any) -> Any:
    return t.nn.functional.scaled_dot_product_attention(q, k, v, **how)


def _seen(t: Any, length: int, padding: bool) -> Any:
    if padding:
        return (t.arange(length) < length - 1).expand(length, length)
    return t.ones(length, length).tril().bool()


def _added(t: Any, length: int) -> Any:
    return t.zeros(length, length).masked_fill(~_seen(t, length, False), -math.inf)


def _by_hand(t: Any, q: Any, k: Any, v: Any, padding: bool) -> Any:
    scores = q @ k.mT / math.sqrt(E)
    return scores.masked_fill(~_seen(t, q.shape[-2], padding), -math.inf).softmax(-1) @ v


FORMS: dict[str, Attend] = {
    "causal": lambda t, q, k, v: _given(t, q, k, v, is_causal=True),
    "truths": lambda t, q, k, v: _given(t, q, k, v, attn_mask=_seen(t, q.shape[-2], False)),
    "padding": lambda t, q, k, v: _given(t, q, k, v, attn_mask=_seen(t, q.shape[-2], True)),
    "added": lambda t, q, k, v: _given(t, q, k, v, attn_mask=_added(t, q.shape[-2])),
    "by hand": lambda t, q, k, v: _by_hand(t, q, k, v, False),
    "by hand, padding": lambda t, q, k, v: _by_hand(t, q, k, v, True),
    "by hand, added": lambda t, q, k, v: (
        (q @ k.mT / math.sqrt(E) + _added(t, q.shape[-2])).softmax(-1) @ v
    ),
}


def outcome(t: Any, form: Attend, arrays: list[Any], wanted: bool) -> list[Any]:
    """The result, and the gradients of all rows but the last."""
    operands = [t.tensor(array, requires_grad=wanted) for array in arrays]
    result = form(t, *operands)
    found = [result.detach().numpy()]
    if wanted:
        loss = (result[:, :, :-1] ** 2).sum()
        found += [g.numpy() for g in t.autograd.grad(loss, operands)]
    return found


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("name", list(FORMS))
def test_what_is_hidden_spreads_as_in_pytorch(name: str, wanted: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    for length in (40, 131):
        for bad in (0.5, np.nan, np.inf):
            for which in (1, 2):
                if which == 1 and bad == np.inf:
                    continue  # (infinite scores: PyTorch's kernels differ with the length)
                arrays = [rng.standard_normal((1, 2, length, E)).astype("f") for _ in range(3)]
                arrays[which][:, :, -1, 3] = bad
                expected = outcome(torch, FORMS[name], arrays, wanted)
                for executor in ("reference", "compiled"):
                    with mode(executor):
                        found = outcome(flambeau, FORMS[name], arrays, wanted)
                    for want, got in zip(expected, found, strict=True):
                        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
