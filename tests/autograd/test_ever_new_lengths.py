"""Training on batches of ever new lengths, beside PyTorch: where programs hardly come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import chains
from flambeau.record.worth import EARLY

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


@pytest.fixture(autouse=True)
def ever_new(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As after many programs that have not come back."""
    before = EARLY.waiting, EARLY.many
    EARLY.waiting, EARLY.many = EARLY.most, True
    monkeypatch.setattr(chains, "OFTEN", 1)
    yield
    EARLY.waiting, EARLY.many = before


Step = Callable[[Any, int], Any]


def cell(t: Any) -> tuple[list[Any], Step]:
    """An LSTM cell stepped by hand: a loop that is cut into pieces."""
    layer, head = t.nn.LSTMCell(5, 8), t.nn.Linear(8, 1)

    def loss(rng: Any, length: int) -> Any:
        x = t.from_numpy(rng.standard_normal((length, 3, 5)).astype(np.float32))
        h, c = t.zeros(3, 8), t.zeros(3, 8)
        for k in range(length):
            h, c = layer(x[k], (h, c))
        return (head(h) ** 2).mean()

    return [*layer.parameters(), *head.parameters()], loss


def transformer(t: Any) -> tuple[list[Any], Step]:
    """Attention, layer norms and GELUs over sequences."""
    layer = t.nn.TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    head = t.nn.Linear(16, 7)

    def loss(rng: Any, length: int) -> Any:
        x = t.from_numpy(rng.standard_normal((4, length, 16)).astype(np.float32))
        y = t.from_numpy(rng.integers(0, 7, (4 * length,)))
        mask = t.nn.Transformer.generate_square_subsequent_mask(length)
        return t.nn.functional.cross_entropy(head(layer(x, src_mask=mask)).flatten(0, 1), y)

    return [*layer.parameters(), *head.parameters()], loss


def looked_at(t: Any) -> tuple[list[Any], Step]:
    """A loop of which the loss is looked at before the backward pass."""
    net = t.nn.Sequential(t.nn.Linear(6, 9), t.nn.Tanh(), t.nn.Linear(9, 6), t.nn.Softmax(-1))

    def loss(rng: Any, length: int) -> Any:
        x = t.from_numpy(rng.standard_normal((2, length, 6)).astype(np.float32))
        total = (net(x).log().sum((0, 1)) ** 2).mean() / length
        assert total.item() > 0
        return total * 0.5 + x.std() * 0.0

    return list(net.parameters()), loss


LENGTHS = [3, 40, 11, 26, 12, 33, 25, 3, 11, 40, 19, 26]


@pytest.mark.parametrize("model", [cell, transformer, looked_at], ids=lambda f: f.__name__)
def test_losses_and_weights_are_pytorchs(model: Any) -> None:
    found = []
    for t in (torch, flambeau):
        t.manual_seed(3)
        weights, loss = model(t)
        optimizer = t.optim.SGD(weights, lr=0.02, momentum=0.9)
        rng = np.random.default_rng(0)
        losses = []
        for length in LENGTHS:
            optimizer.zero_grad()
            value = loss(rng, length)
            value.backward()
            optimizer.step()
            losses.append(value.item())
        found.append((losses, [w.detach().numpy().copy() for w in weights]))
    assert EARLY.many
    (losses, weights), (own, mine) = found
    np.testing.assert_allclose(own, losses, rtol=2e-4)
    for want, have in zip(weights, mine, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-3, atol=3e-4)
