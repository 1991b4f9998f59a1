"""How results lie in memory: channels-last images give such results, in the ops where PyTorch's do.

Strides are seen, and draws go through memory in its order: where they differ, so does a dropout.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

import flambeau

pytestmark = pytest.mark.parity

# n is nn, F is nn.functional, t the library.
IMAGES = """
n.Conv2d(6, 4, 3)(x)
n.Conv2d(6, 4, 1)(x)
n.Conv2d(6, 6, 3, stride=2, padding=1, groups=3)(x)
n.Conv2d(6, 4, 2, dilation=2)(x)
n.Conv2d(6, 4, 5)(x)
n.ConvTranspose2d(6, 4, 2)(x)
n.Conv2d(6, 4, 3).double()(x.double())
n.ConvTranspose2d(6, 4, 2).double()(x.double())
n.Conv2d(6, 4, 3)(x[0])
n.Conv2d(6, 4, 3).to(memory_format=t.channels_last)(x.contiguous())
x.masked_fill(x > 0, 2)
x.masked_fill(x > 0, t.tensor(2.0))
x.permute(1, 0, 3, 2).masked_fill(x.permute(1, 0, 3, 2) > 0, 2)
2.0 ** x
2 ** x.long()
t.pow(2, x.permute(1, 0, 3, 2))
t.pow(t.tensor(2.0), x)
x ** 2
x.abs() ** x
n.BatchNorm2d(6)(x)
n.BatchNorm2d(6).eval()(x)
F.pad(n.BatchNorm2d(4).eval()(n.Conv2d(6, 4, 5)(x)), (1, 1, 1, 1))
F.pad(n.BatchNorm2d(1).eval()(x[:, :1].clone()), (1, 1, 1, 1))
F.pad(n.BatchNorm2d(1)(x[:, :1].clone()), (1, 1, 1, 1))
F.pad(n.BatchNorm2d(1, track_running_stats=False)(n.Conv2d(6, 1, 2)(x)), (1, 1, 1, 1))
n.InstanceNorm2d(6)(x)
n.GroupNorm(2, 6)(x)
n.LocalResponseNorm(2)(x)
F.pad(x, (1, 2))
F.pad(x, (1, -1, 1, 1), value=2.0)
F.pad(x, (0, 0, 0, 0, 1, 1))
F.pad(x, (1, 1, 1, 1), mode="reflect")
F.pad(x, (1, 1, 1, 1), mode="replicate")
F.pad(x, (1, 1, 1, 1), mode="circular")
F.max_pool2d(x, 2)
F.max_pool2d(x, 2, return_indices=True)[1]
F.avg_pool2d(x, 2)
F.lp_pool2d(x, 2, 2)
F.adaptive_avg_pool2d(x, 2)
F.adaptive_max_pool2d(x, 2)
F.max_unpool2d(*F.max_pool2d(x[:, :, :4, :4], 2, return_indices=True), 2)
F.interpolate(x, scale_factor=2)
F.interpolate(x, scale_factor=2, mode="bilinear")
F.pixel_shuffle(x[:, :4], 2)
F.pixel_unshuffle(x[:, :, :4, :4], 2)
F.channel_shuffle(x, 2)
F.glu(x, 1)
F.dropout(x, 0.3)
F.dropout(n.Conv2d(6, 4, 3)(x), 0.3)
t.cat([x, x], 1)
t.cat([x, x[:, ::2]], 1)
t.cat([x, x.contiguous()], 1)
t.stack([x, x])
t.stack([x, x], 1)
t.stack([x, x], 3)
t.stack([x, x], 4)
x.roll(1, 2)
x.flip(1)
t.randn_like(n.Conv2d(6, 4, 3)(x))
x.to(memory_format=t.channels_last)
x.to(memory_format=t.contiguous_format)
x.to(t.float64, memory_format=t.contiguous_format)
x.to(memory_format=t.channels_last) is x
x.to(memory_format=t.contiguous_format) is x
x.contiguous(memory_format=t.channels_last) is x
x[:, :1].to(memory_format=t.channels_last)
x[:, :, :1, :1].to(memory_format=t.channels_last)
n.Conv2d(6, 4, 1).to(memory_format=t.channels_last)(x.contiguous())
x[0].to(memory_format=t.channels_last)
""".strip().split("\n")

VOLUMES = """
n.Conv3d(6, 4, 2)(x)
n.ConvTranspose3d(6, 4, 2)(x)
n.Conv3d(6, 4, 2).double()(x.double())
n.BatchNorm3d(6)(x)
n.GroupNorm(2, 6)(x)
F.pad(x, (1, 1, 1, 1, 1, 1))
F.pad(x, (1, 1, 1, 1, 1, 1), mode="replicate")
F.max_pool3d(x, 2)
F.avg_pool3d(x, 2)
F.interpolate(x, scale_factor=2)
t.cat([x, x], 1)
x.contiguous().is_contiguous(memory_format=t.channels_last_3d)
t.empty(2, 6, 3, 4, 5, memory_format=t.channels_last_3d).stride()
""".strip().split("\n")

LINES = """
n.Conv1d(6, 4, 3)(x)
n.BatchNorm1d(6)(x)
n.GroupNorm(2, 6)(x)
F.max_pool1d(x, 2)
F.max_pool1d(x.detach(), 2)
F.max_pool1d(x, 2, return_indices=True)[0]
F.avg_pool1d(x, 2)
F.lp_pool1d(x, 2, 2)
F.adaptive_avg_pool1d(x, 2)
F.adaptive_max_pool1d(x, 2)
F.avg_pool1d(x[0], 2)
F.glu(x, 1)
F.interpolate(x, scale_factor=2)
F.dropout(F.avg_pool1d(x, 2), 0.3)
""".strip().split("\n")


def images(t: Any) -> list[Any]:
    """Channels last; so by a permutation; so, but with gaps; batch innermost; row by row."""
    return [
        t.randn(2, 6, 5, 5).to(memory_format=t.channels_last),
        t.randn(2, 25, 6).transpose(1, 2).view(2, 6, 5, 5),
        t.randn(2, 5, 5, 12)[..., ::2].permute(0, 3, 1, 2),
        t.randn(5, 5, 6, 2).permute(3, 2, 0, 1),
        t.randn(2, 6, 5, 5),
    ]


def lines(t: Any) -> list[Any]:
    return [t.randn(2, 9, 6).transpose(1, 2), t.randn(9, 2, 6).permute(1, 2, 0), t.randn(2, 6, 9)]


def volumes(t: Any) -> list[Any]:
    return [t.randn(2, 6, 3, 4, 5).to(memory_format=t.channels_last_3d), t.randn(2, 6, 3, 4, 5)]


def compare(text: str, operands: Any) -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(0)
        seen: list[Any] = []
        for x in operands(library):
            x.requires_grad_()
            names = {"t": library, "n": library.nn, "F": library.nn.functional, "x": x}
            try:
                result = eval(text, names)
            except RuntimeError as error:
                seen.append(str(error).split("\n")[0])
                continue
            strided = isinstance(result, library.Tensor)
            seen += [result, list(result.stride())] if strided else [result]
        results.append(seen)
    same(*results)


@pytest.mark.parametrize("text", IMAGES)
def test_images(text: str) -> None:
    compare(text, images)


@pytest.mark.parametrize("text", VOLUMES)
def test_volumes(text: str) -> None:
    compare(text, volumes)


@pytest.mark.parametrize("text", LINES)
def test_lines(text: str) -> None:
    compare(text, lines)


def test_a_network_draws_its_masks_in_the_order_of_memory() -> None:
    results = []
    for t in LIBRARIES:
        n = t.nn
        t.manual_seed(0)
        features = [n.Conv2d(3, 8, 3), n.GroupNorm(2, 8), n.SiLU(), n.Dropout(0.3)]
        model = n.Sequential(*features, n.MaxPool2d(2), n.Flatten(), n.Linear(8 * 9, 4))
        x = t.randn(4, 8, 8, 3).permute(0, 3, 1, 2)
        optimizer = t.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(4):  # by the reference executor, compiled, and known
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        results.append(t.tensor(losses))
    same(*results)
    assert isinstance(results[0], flambeau.Tensor)
