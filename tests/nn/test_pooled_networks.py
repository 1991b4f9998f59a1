"""Convolutions below a max-pooling, trained and differentiated: PyTorch's numbers, same seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("one_thread")]
# Steps, and how near the losses and the weights must be. In float32 rounding sooner or later lets
# other elements win, and what sums in another order drifts apart; in float64 it does not.
NEAR = {"float32": (4, 2e-6, 2e-5), "float64": (12, 1e-12, 1e-11)}
Shape = tuple[int, ...]
Layers = Callable[[Any], list[Any]]

# Names of torch.nn's layers, and the images' shape.
NETWORKS: dict[str, tuple[Layers, Shape]] = {
    "pool, relu": (
        lambda nn: [
            nn.Conv2d(1, 10, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
        ],
        (64, 1, 28, 28),
    ),
    "relu, pool": (
        lambda nn: [
            nn.Conv2d(3, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ],
        (32, 3, 24, 24),
    ),
    "dropout between": (
        lambda nn: [
            nn.Conv2d(3, 10, 5),
            nn.Dropout2d(0.4),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, 3, padding=1),
            nn.Dropout2d(0.2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ],
        (32, 3, 20, 20),
    ),
    "elu": (
        lambda nn: [
            nn.Conv2d(3, 16, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ELU(),
            nn.Conv2d(16, 32, 3),
            nn.ELU(),
            nn.MaxPool2d(2),
        ],
        (20, 3, 18, 18),
    ),
    "windows that overlap": (
        lambda nn: [
            nn.Conv2d(3, 12, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(12, 24, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        ],
        (16, 3, 45, 45),
    ),
    "few images": (
        lambda nn: [
            nn.Conv2d(3, 24, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 40, 3, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
        ],
        (4, 3, 41, 37),
    ),
}


def trained(lib: Any, name: str, dtype: str) -> tuple[list[float], list[Any]]:
    """(losses, weights and their last gradients)."""
    layers, shape = NETWORKS[name]
    nn = lib.nn
    lib.manual_seed(7)  # (no two numbers of a window so near that rounding says which is larger)
    x, y = lib.randn(*shape), lib.randint(0, 10, shape[:1])
    model = nn.Sequential(*layers(nn), nn.Flatten(), nn.LazyLinear(10))
    model(x)  # gives the last layer its weights
    x, model = x.to(getattr(lib, dtype)), model.to(getattr(lib, dtype))
    optimizer = lib.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    losses = []
    for _ in range(NEAR[dtype][0]):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [array(t) for p in model.parameters() for t in (p, p.grad)]


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("name", NETWORKS)
def test_training(name: str, dtype: str) -> None:
    (mine, tensors), (other, wanted) = (trained(lib, name, dtype) for lib in LIBRARIES)
    _, of_losses, of_weights = NEAR[dtype]
    np.testing.assert_allclose(mine, other, rtol=of_losses)
    for a, b in zip(tensors, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=of_weights * np.abs(b).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", [0, 1, 2, 4])
@pytest.mark.parametrize("images", [3, 32])
def test_equal_numbers(dtype: str, padding: int, images: int) -> None:
    """The first of a window's largest numbers wins: of whole numbers many are equal."""
    rng = np.random.default_rng(padding)
    x = rng.integers(-1, 2, (images, 6, 17, 15))
    w = rng.integers(-1, 2, (12, 6, 5, 5))
    found = []
    for lib in LIBRARIES:
        image, weights = (
            lib.tensor(a.tolist(), dtype=getattr(lib, dtype), requires_grad=True) for a in (x, w)
        )
        for _ in range(3):
            image.grad = weights.grad = None
            out = lib.nn.functional.conv2d(image, weights, padding=padding)
            pooled = lib.nn.functional.max_pool2d(out.relu(), 2)
            (pooled * pooled).sum().backward()
        found.append([array(t) for t in (pooled, image.grad, weights.grad)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
