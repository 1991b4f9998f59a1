"""A hundred training steps of recurrent and attention models: PyTorch's losses, same seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("one_thread")]
STEPS = 100
SYMBOLS, BATCH, LENGTH, WIDTH = 24, 16, 12, 32


def recurrent(lib: Any, kind: str) -> Any:
    nn = lib.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbols = nn.Embedding(SYMBOLS, WIDTH)
            self.body = getattr(nn, kind)(WIDTH, WIDTH, 2, batch_first=True)
            self.head = nn.Linear(WIDTH, SYMBOLS)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.body(self.symbols(tokens))[0])

    return Model()


def transformer(lib: Any, activation: str) -> Any:
    nn = lib.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbols = nn.Embedding(SYMBOLS, WIDTH)
            layer = nn.TransformerEncoderLayer(
                WIDTH, 2, 2 * WIDTH, dropout=0.0, activation=activation, batch_first=True
            )
            self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, SYMBOLS)
            mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
            self.register_buffer("mask", mask)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.body(self.symbols(tokens), mask=self.mask, is_causal=True))

    return Model()


MODELS: dict[str, tuple[Callable[[Any, str], Any], str]] = {
    "LSTM": (recurrent, "LSTM"),
    "GRU": (recurrent, "GRU"),
    "transformer": (transformer, "gelu"),
    "transformer_relu": (transformer, "relu"),
}


def losses(lib: Any, name: str) -> list[float]:
    build, kind = MODELS[name]
    lib.manual_seed(3)
    model = build(lib, kind)
    tokens = lib.randint(0, SYMBOLS, (4, BATCH, LENGTH + 1))
    optimizer = lib.optim.Adam(model.parameters(), lr=2e-3)
    curve = []
    for step in range(STEPS):
        batch = tokens[step % 4]
        optimizer.zero_grad()
        predicted = model(batch[:, :-1]).reshape(-1, SYMBOLS)
        loss = lib.nn.functional.cross_entropy(predicted, batch[:, 1:].reshape(-1))
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return curve


@pytest.mark.parametrize("name", MODELS)
def test_losses(name: str) -> None:
    mine, other = (np.array(losses(lib, name)) for lib in LIBRARIES)
    assert other[-1] < 0.95 * other[0]
    np.testing.assert_allclose(mine[:10], other[:10], rtol=2e-6)
    np.testing.assert_allclose(mine, other, rtol=2e-4)
