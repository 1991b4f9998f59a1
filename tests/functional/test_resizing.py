"""Resizing, sampling, ctc_loss, drawn layers, tables: what the databases do not reach."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity
F, G = flambeau.nn.functional, torch.nn.functional


def both(shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """The same random leaf in both libraries."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return flambeau.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)


def same(m: Any, t: Any, mine: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    """Results, and gradients of a random combination of them, agree."""
    np.testing.assert_allclose(
        mine.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance
    )
    weights = np.random.default_rng(7).standard_normal(tuple(theirs.shape)).astype(np.float32)
    (mine * flambeau.tensor(weights)).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(m.grad.numpy(), t.grad.numpy(), rtol=tolerance, atol=tolerance)


ANTIALIASED = list(
    itertools.product(
        ("bilinear", "bicubic", "lanczos"),
        ({"size": (4, 9)}, {"size": (12, 5)}, {"scale_factor": 0.6}, {"scale_factor": (1.7, 0.4)}),
        (False, True),
    )
)


@pytest.mark.parametrize(("mode", "amount", "corners"), ANTIALIASED)
def test_antialiased(mode: str, amount: dict[str, Any], corners: bool) -> None:
    options: dict[str, Any] = {**amount, "mode": mode, "antialias": True, "align_corners": corners}
    m, t = both((2, 3, 9, 11))
    if mode == "lanczos" and corners:
        with pytest.raises(ValueError, match="Lanczos mode does not support"):
            F.interpolate(m, **options)
        return
    same(m, t, F.interpolate(m, **options), G.interpolate(t, **options))


@pytest.mark.parametrize("recompute", [None, False, True])
@pytest.mark.parametrize("factor", [0.5, 1.3, 2.0, (2.5, 1.0)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_scale_factors(mode: str, factor: Any, recompute: bool | None) -> None:
    options = {"scale_factor": factor, "mode": mode, "recompute_scale_factor": recompute}
    m, t = both((2, 3, 7, 6))
    same(m, t, F.interpolate(m, **options), G.interpolate(t, **options))


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_channels_last_stays(mode: str) -> None:
    m, t = both((2, 3, 6, 6))
    mine = F.interpolate(m.to(memory_format=flambeau.channels_last), scale_factor=2, mode=mode)
    theirs = G.interpolate(t.to(memory_format=torch.channels_last), scale_factor=2, mode=mode)
    assert mine.stride() == theirs.stride()
    same(m, t, mine, theirs)


@pytest.mark.parametrize("seed", range(12))
def test_bytes_are_those_of_pytorch(seed: int) -> None:
    """Weights of 16 bits, as PyTorch has them for images: bit for bit."""
    draw = np.random.default_rng(seed)
    for mode, antialias in itertools.product(("bilinear", "bicubic"), (False, True)):
        h, w, oh, ow = (int(n) for n in draw.integers(2, 50, 4))
        x = draw.integers(0, 256, (2, int(draw.integers(1, 5)), h, w), dtype=np.uint8)
        if seed % 3 == 0:
            x = (x > 127).astype(np.uint8) * np.uint8(255)  # undershoots and overshoots
        options: dict[str, Any] = {"mode": mode, "antialias": antialias}
        options["align_corners"] = bool(draw.integers(2))
        factor = float(draw.uniform(0.5, 2.5))
        options |= {"scale_factor": factor} if seed % 2 else {"size": (oh, ow)}
        wanted = G.interpolate(torch.tensor(x), **options)
        for _ in range(2):
            found = F.interpolate(flambeau.tensor(x), **options)
            assert np.array_equal(found.numpy(), wanted.numpy()), (options, x.shape)


@pytest.mark.parametrize("mode", ["linear", "trilinear"])
def test_bytes_that_are_no_images_are_refused(mode: str) -> None:
    shape = (1, 1, 4) if mode == "linear" else (1, 1, 4, 4, 4)
    for module in (torch, flambeau):
        with pytest.raises(NotImplementedError, match="not implemented for 'Byte'"):
            module.nn.functional.interpolate(module.ones(shape).byte(), scale_factor=2, mode=mode)


MISTAKES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4), {}),
    ((2, 3, 4), {"size": 3, "scale_factor": 2}),
    ((2, 3, 4), {"size": (3, 3)}),
    ((2, 3, 4), {"scale_factor": (3, 3)}),
    ((2, 3, 4), {"size": 3, "mode": "bilinear"}),
    ((2, 3, 4, 4), {"size": 3, "mode": "linear"}),
    ((2, 3, 4, 4), {"size": 3, "mode": "nothing"}),
    ((2, 3, 4, 4), {"size": 3, "mode": "nearest", "align_corners": True}),
    ((2, 3, 4, 4), {"size": 3, "mode": "nearest", "antialias": True}),
    ((2, 3, 4, 4), {"size": (3, 1.5)}),
    ((2, 3, 4, 4), {"size": (3, 0)}),
    ((2, 3, 4, 4), {"size": 3, "recompute_scale_factor": True}),
    ((2, 3), {"size": 3}),
]


@pytest.mark.parametrize(("shape", "options"), MISTAKES)
def test_mistakes(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    m, t = both(shape)
    with pytest.raises(Exception) as theirs:
        G.interpolate(t, **options)
    with pytest.raises(theirs.type) as mine:
        F.interpolate(m, **options)
    assert str(mine.value).split("\n")[0][:40] == str(theirs.value).split("\n")[0][:40]


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 1, 5), (2, 1, 2, 3, 4)])
def test_affine_grid_then_sample(size: tuple[int, ...], corners: bool) -> None:
    rank = len(size) - 2
    m, t = both((2, rank, rank + 1))
    image, picture = both((2, 2, *(5, 6, 4)[:rank]), seed=3)
    mine = F.grid_sample(image, F.affine_grid(m, size, corners), align_corners=corners)
    theirs = G.grid_sample(picture, G.affine_grid(t, size, corners), align_corners=corners)
    same(m, t, mine, theirs, 2e-4)
    np.testing.assert_allclose(image.grad.numpy(), picture.grad.numpy(), rtol=1e-4, atol=1e-4)


CTC = list(itertools.product((False, True), ("none", "mean", "sum"), (False, True), (0, 3)))


@pytest.mark.parametrize(("in_a_row", "reduction", "zero_infinity", "blank"), CTC)
def test_ctc_loss(in_a_row: bool, reduction: str, zero_infinity: bool, blank: int) -> None:
    rng = np.random.default_rng(blank)
    m, t = both((9, 4, 6))
    labels = rng.integers(0, 5, (4, 4))
    labels += labels >= blank
    times, lengths = np.array([9, 5, 7, 2]), np.array([4, 2, 0, 3])  # the last cannot be aligned
    if in_a_row:
        labels = np.concatenate([row[:n] for row, n in zip(labels, lengths, strict=True)])
    options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
    losses = []
    for library, x, function in ((flambeau, m, F.ctc_loss), (torch, t, G.ctc_loss)):
        given = [library.tensor(part) for part in (labels, times, lengths)]
        losses.append(function(x.log_softmax(2), *given, **options))
    same(m, t, *losses, tolerance=1e-4)


def test_ctc_loss_has_no_second_derivative() -> None:
    m, _ = both((6, 2, 5))
    loss = F.ctc_loss(m.log_softmax(2), flambeau.tensor([[1, 2], [3, 3]]), (6, 6), (2, 2))
    (slope,) = flambeau.autograd.grad(loss, m, create_graph=True)
    assert np.isfinite(slope.detach().numpy()).all()
    with pytest.raises(RuntimeError, match="_ctc_loss_backward is not implemented"):
        flambeau.autograd.grad((slope * slope).sum(), m)[0].numpy()


def test_random_slopes_are_pytorchs() -> None:
    m, t = both((5, 40))
    for library in (flambeau, torch):
        library.manual_seed(4)
    same(m, t, F.rrelu(m, training=True), G.rrelu(t, training=True))
    assert flambeau.rand(3).tolist() == torch.rand(3).tolist()  # as many draws were spent


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bags_of_short_rows(mode: str) -> None:
    index, offsets = [3, 1, 3, 0, 2], [0, 2, 2, 4]
    results = []
    m, t = both((5, 3))
    for library, weight, function in ((flambeau, m, F), (torch, t, G)):
        table = library.nn.Parameter(weight.detach().clone())
        out = function.embedding_bag(
            library.tensor(index), table, library.tensor(offsets), max_norm=1.0, mode=mode
        )
        (out * out).sum().backward()
        results.append((out.detach().numpy(), table.detach().numpy(), table.grad.numpy()))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_frequent_rows_share_their_gradient() -> None:
    m, t = both((5, 3))
    for library, weight, function in ((flambeau, m, F), (torch, t, G)):
        index = library.tensor([[1, 1, 4], [1, 0, 4]])
        (function.embedding(index, weight, 0, scale_grad_by_freq=True) ** 2).sum().backward()
    np.testing.assert_allclose(m.grad.numpy(), t.grad.numpy(), rtol=1e-5)
