"""Pooled regions and moved taps beside torchvision's, or, without its compiled ops, their meaning.

Where torchvision has only its Python part the references below say what each op computes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.vision import ops

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

COMPILED = torchvision.extension._has_ops()
RANDOM = np.random.default_rng(11)
IMAGES = np.array([1, 0, 1, 0, 0, 1, 1], np.float64)
START = RANDOM.uniform(-2, 8, (7, 2))
BOXES = np.concatenate([IMAGES[:, None], START, START + RANDOM.uniform(0.2, 9, (7, 2))], 1)
BOXES[5, 1:] = 30, 30, 34, 33  # outside of the maps
MAPS = RANDOM.standard_normal((2, 12, 9, 11))


def _away(x: float) -> int:
    return int(math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1))


def _bins(first: int, side: int, count: int, size: int) -> list[tuple[int, int]]:
    edges = [
        (math.floor(n * side / count) + first, math.ceil((n + 1) * side / count) + first)
        for n in range(count)
    ]
    return [(min(max(a, 0), size), min(max(b, 0), size)) for a, b in edges]


def _pooled(x: Any, boxes: Any, size: tuple[int, int], scale: float, by_position: bool) -> Any:
    rows = []
    for image, *corners in boxes.tolist():
        left, top, right, bottom = (_away(c * scale) for c in corners)
        extra = 0 if by_position else 1
        last = 1 - extra  # means leave out the last row and column of the maps
        down = _bins(top, max(bottom - top + extra, 1), size[0], x.shape[2] - last)
        across = _bins(left, max(right - left + extra, 1), size[1], x.shape[3] - last)
        for i, (y0, y1) in enumerate(down):
            for j, (x0, x1) in enumerate(across):
                maps = x[int(image)]
                if by_position:
                    maps = maps[i * size[1] + j :: size[0] * size[1]]
                part = maps[:, y0:y1, x0:x1].flatten(1)
                if not part.shape[1]:
                    rows.append(maps[:, 0, 0] * 0)
                else:
                    rows.append(part.mean(1) if by_position else part.amax(1))
    return torch.stack(rows).view(len(boxes), *size, -1).permute(0, 3, 1, 2)


def _at(maps: Any, y: float, x: float) -> Any:
    height, width = maps.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return maps[:, 0, 0] * 0
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    dy, dx = y - y0, x - x0
    upper = maps[:, y0, x0] * (1 - dx) + maps[:, y0, x1] * dx
    return upper * (1 - dy) + (maps[:, y1, x0] * (1 - dx) + maps[:, y1, x1] * dx) * dy


def _by_position(x: Any, boxes: Any, size: tuple[int, int], scale: float, ratio: int) -> Any:
    rows = []
    for image, *corners in boxes.tolist():
        left, top, right, bottom = (c * scale - 0.5 for c in corners)
        steps = (bottom - top) / size[0], (right - left) / size[1]
        counts = [ratio if ratio > 0 else math.ceil(step) for step in steps]
        for i in range(size[0]):
            for j in range(size[1]):
                maps = x[int(image)][i * size[1] + j :: size[0] * size[1]]
                samples = [
                    _at(
                        maps,
                        top + (i + (a + 0.5) / counts[0]) * steps[0],
                        left + (j + (b + 0.5) / counts[1]) * steps[1],
                    )
                    for a in range(counts[0])
                    for b in range(counts[1])
                ]
                rows.append(sum(samples) / len(samples))
    return torch.stack(rows).view(len(boxes), *size, -1).permute(0, 3, 1, 2)


REFERENCE: dict[str, Any] = {
    "roi_pool": lambda x, boxes, size, scale: _pooled(x, boxes, size, scale, False),
    "ps_roi_pool": lambda x, boxes, size, scale: _pooled(x, boxes, size, scale, True),
    "ps_roi_align": _by_position,
}
REGIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("roi_pool", ((2, 3), 1.0)),
    ("roi_pool", ((4, 2), 0.5)),
    ("ps_roi_pool", ((2, 3), 1.0)),
    ("ps_roi_pool", ((3, 2), 0.6)),
    ("ps_roi_align", ((2, 3), 1.0, 2)),
    ("ps_roi_align", ((3, 2), 0.7, -1)),
]
LAYERS = {"roi_pool": "RoIPool", "ps_roi_pool": "PSRoIPool", "ps_roi_align": "PSRoIAlign"}


@pytest.mark.parametrize(("name", "arguments"), REGIONS)
def test_regions(name: str, arguments: tuple[Any, ...]) -> None:
    theirs = torch.from_numpy(MAPS.copy()).requires_grad_()
    ours = flambeau.from_numpy(MAPS.copy()).requires_grad_()
    expected = REFERENCE[name](theirs, torch.from_numpy(BOXES), *arguments)
    if COMPILED:  # whose gradients of ps_roi_pool are not those of its values
        compiled = getattr(torchvision.ops, name)(theirs, torch.from_numpy(BOXES), *arguments)
        np.testing.assert_allclose(compiled.detach(), expected.detach().numpy(), 1e-9, 1e-9)
    found = getattr(ops, name)(ours, flambeau.from_numpy(BOXES), *arguments)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-9)
    weight = np.random.default_rng(0).standard_normal(tuple(expected.shape))
    (expected * torch.from_numpy(weight)).sum().backward()
    (found * flambeau.from_numpy(weight)).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 1e-9, 1e-9)
    layer = getattr(ops, LAYERS[name])(*arguments)
    assert repr(layer) == repr(getattr(torchvision.ops, LAYERS[name])(*arguments))
    rows = [flambeau.from_numpy(BOXES[i == IMAGES, 1:]) for i in (0, 1)]
    np.testing.assert_allclose(
        layer(ours, rows).detach().numpy()[3:], found.detach().numpy()[IMAGES == 1], 1e-12, 1e-12
    )
    assert getattr(ops, name)(ours, flambeau.zeros(0, 5), *arguments).shape[0] == 0


@pytest.mark.skipif(not COMPILED, reason="torchvision's compiled ops are missing")
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("scale", "ratio", "size"), [(1.0, 2, (2, 3)), (0.5, -1, (3, 4))])
def test_aligned(aligned: bool, scale: float, ratio: int, size: tuple[int, int]) -> None:
    expected = torchvision.ops.roi_align(
        torch.from_numpy(MAPS), torch.from_numpy(BOXES), size, scale, ratio, aligned
    )
    given = flambeau.from_numpy(MAPS), flambeau.from_numpy(BOXES)
    found = ops.roi_align(*given, size, scale, ratio, aligned)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-9, 1e-9)


def _moved(
    x: Any, offset: Any, weight: Any, bias: Any, stride: Any, padding: Any, spread: Any, mask: Any
) -> Any:
    kernel, (height, width) = weight.shape[2:], x.shape[2:]
    out, count = offset.shape[2:], kernel[0] * kernel[1]
    groups = offset.shape[1] // (2 * count)
    columns = []
    for tap in range(count):
        taken = []
        for group in range(groups):
            row, column = divmod(tap, kernel[1])
            at = (group * count + tap) * 2
            ys = torch.arange(out[0]) * stride[0] - padding[0] + row * spread[0]
            xs = torch.arange(out[1]) * stride[1] - padding[1] + column * spread[1]
            y, x_ = ys[:, None] + offset[:, at], xs[None] + offset[:, at + 1]
            grid = torch.stack([2 * x_ / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
            part = x.chunk(groups, 1)[group]
            found = torch.nn.functional.grid_sample(part, grid, align_corners=True)
            taken.append(found if mask is None else found * mask[:, None, group * count + tap])
        columns.append(torch.cat(taken, 1))
    parts = x.shape[1] // weight.shape[1]
    stacked = torch.stack(columns, 2).flatten(3).chunk(parts, 1)
    each = [
        torch.einsum("nctp,oct->nop", one, w.flatten(2))
        for one, w in zip(stacked, weight.chunk(parts), strict=True)
    ]
    whole = torch.cat(each, 1).view(x.shape[0], -1, *out)
    return whole if bias is None else whole + bias.view(1, -1, 1, 1)


# (channels, groups, offset groups, out channels, kernel, stride, padding, dilation, bias and mask)
MOVED = [
    (4, 1, 1, 3, (3, 2), (1, 1), (0, 0), (1, 1), False),
    (4, 2, 2, 6, (3, 3), (2, 1), (1, 2), (1, 2), True),
]


@pytest.mark.parametrize("case", MOVED)
def test_moved_taps(case: tuple[Any, ...]) -> None:
    channels, groups, moves, outs, kernel, stride, padding, spread, more = case
    size = [
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, k, s, p, d in zip((7, 8), kernel, stride, padding, spread, strict=True)
    ]
    taps = kernel[0] * kernel[1]
    arrays = [
        RANDOM.standard_normal((2, channels, 7, 8)),
        RANDOM.standard_normal((2, 2 * moves * taps, *size)) * 2,
        RANDOM.standard_normal((outs, channels // groups, *kernel)),
    ]
    if more:
        arrays += [RANDOM.standard_normal(outs), RANDOM.random((2, moves * taps, *size))]
    results = []
    for library in (torch, flambeau):
        x = [library.from_numpy(array.copy()).requires_grad_() for array in arrays]
        bias, mask = x[3:] or (None, None)
        call: Any = ops.deform_conv2d
        if library is torch:
            call = torchvision.ops.deform_conv2d if COMPILED else _moved
        out = call(*x[:3], bias, stride, padding, spread, mask)
        weight = np.random.default_rng(0).standard_normal(tuple(out.shape))
        (out * library.from_numpy(weight)).sum().backward()
        results.append([out.detach().numpy(), *(one.grad.numpy() for one in x)])
    for expected, value in zip(*results, strict=True):
        np.testing.assert_allclose(value, expected, 1e-9, 1e-9)


def test_layer_of_moved_taps() -> None:
    made = []
    for library, part in ((torch, torchvision.ops), (flambeau, ops)):
        library.manual_seed(3)
        made.append(part.DeformConv2d(4, 6, (3, 2), padding=1, groups=2))
    theirs, ours = made
    assert repr(ours) == repr(theirs)
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy())
    x, still = flambeau.rand(2, 4, 5, 6), flambeau.zeros(2, 12, 5, 7)
    plain = flambeau.nn.functional.conv2d(x, ours.weight, ours.bias, padding=1, groups=2)
    np.testing.assert_allclose(ours(x, still).detach().numpy(), plain.detach().numpy(), 1e-4, 1e-5)
    with pytest.raises(RuntimeError, match="offset tensor at dimension 1 is not valid"):
        ours(x, still[:, :5])
    with pytest.raises(RuntimeError, match="offset output dims"):
        ours(x, still[:, :, 1:])
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        ops.DeformConv2d(3, 4, 3, groups=2)


@pytest.mark.parametrize("axes", [2, 3])
def test_dropped_blocks(axes: int) -> None:
    x = RANDOM.standard_normal((2, 3, 5, 7, 6)[: axes + 2])
    found = []
    for library, part in ((torch, torchvision.ops), (flambeau, ops)):
        library.manual_seed(4)
        layer = getattr(part, f"DropBlock{axes}d")(0.2, 3)
        given = library.from_numpy(x.copy())
        out = [layer(given)]
        getattr(part, f"drop_block{axes}d")(given, 0.3, 1, inplace=True)
        out.append(given)
        found.append([repr(layer), *(one.numpy() for one in out)])
        assert layer.eval()(given) is given
    assert found[0][0] == found[1][0] and (found[1][1] == 0).any()
    for expected, value in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(value, expected, 1e-12)
    call = getattr(ops, f"drop_block{axes}d")
    with pytest.raises(ValueError, match=r"should be odd\. Got 2 which is even"):
        call(flambeau.from_numpy(x), 0.5, 2)
    with pytest.raises(ValueError, match="drop probability"):
        call(flambeau.from_numpy(x), 1.5, 3)
    with pytest.raises(ValueError, match=f"should be {axes + 2} dimensional"):
        call(flambeau.zeros(3), 0.5, 3)


def test_regions_of_pyramids() -> None:
    sizes = {"0": (40, 30), "unused": (30, 20), "1": (20, 15), "2": (10, 8)}
    maps = {name: RANDOM.standard_normal((2, 3, *size)) for name, size in sizes.items()}
    start = RANDOM.uniform(0, 60, (14, 2))
    boxes = np.concatenate([start, start + np.geomspace(4, 300, 14)[:, None]], 1)
    shapes = [(160, 120), (150, 110)]
    pooler = ops.MultiScaleRoIAlign(["0", "1", "2"], 3, 2, canonical_scale=60)
    given = OrderedDict((name, flambeau.from_numpy(one)) for name, one in maps.items())
    found = pooler(given, [flambeau.from_numpy(boxes[:6]), flambeau.from_numpy(boxes[6:])], shapes)
    theirs = torchvision.ops.MultiScaleRoIAlign(["0", "1", "2"], 3, 2, canonical_scale=60)
    assert repr(pooler) == repr(theirs)
    inside = [torch.from_numpy(maps[name]) for name in ("0", "1", "2")]
    scales, mapper = torchvision.ops.poolers._setup_scales(inside, shapes, 60, 4)
    assert pooler.scales == scales
    levels = mapper([torch.from_numpy(boxes)])
    assert pooler.map_levels is not None and len(set(levels.tolist())) == 3
    ours = pooler.map_levels([flambeau.from_numpy(boxes)])
    np.testing.assert_array_equal(ours.numpy(), levels.numpy())
    for k, level in enumerate(levels.tolist()):
        image = flambeau.from_numpy(np.array([[float(k >= 6), *boxes[k]]]))
        one = ops.roi_align(flambeau.from_numpy(inside[level].numpy()), image, 3, scales[level], 2)
        np.testing.assert_allclose(found[k].numpy(), one[0].numpy(), 1e-12)
    if COMPILED:
        split = [torch.from_numpy(boxes[:6]), torch.from_numpy(boxes[6:])]
        expected = theirs({n: torch.from_numpy(m) for n, m in maps.items()}, split, shapes)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-9, 1e-9)
    with pytest.raises(ValueError, match="images list should not be empty"):
        ops.MultiScaleRoIAlign(["0"], 3, 2)(given, [], [])
