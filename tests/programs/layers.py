"""Random layers for programs that train: their text, and the shape that they give."""

from __future__ import annotations

import random
from collections.abc import Callable

Shape = tuple[int, ...]  # without the batch
Layer = tuple[str, Shape]

ACTIVATIONS = (
    "ReLU() ReLU() ReLU(inplace=True) LeakyReLU(0.1) ELU() ELU(0.5,inplace=True) GELU() SiLU() "
    "Tanh() Sigmoid() Hardtanh() Softplus() PReLU() Mish() Hardswish() SELU() CELU(0.7) Softsign() "
    "Tanhshrink() LogSigmoid() GELU(approximate='tanh') Softmax(dim=1) Hardsigmoid() ReLU6() "
    "Softmin(dim=-1) LogSoftmax(dim=1) Softshrink(0.1) Hardshrink(0.1) Threshold(0.1,0.0) "
    "SiLU(inplace=True) Dropout(0.3) Dropout(0.5,inplace=True) AlphaDropout(0.2) Identity()"
).split()


def activation(rng: random.Random, shape: Shape) -> Layer:
    return rng.choice(ACTIVATIONS).replace(",", ", "), shape


def dense(rng: random.Random, shape: Shape) -> Layer:
    """Of vectors of features, whatever stands before them."""
    (*before, features) = shape
    wide = rng.choice([1, 2, 4, 5, 8, 16])
    kinds: list[Layer] = [
        (f"Linear({features}, {wide})", (*before, wide)),
        (f"Linear({features}, {wide})", (*before, wide)),
        (f"Linear({features}, {wide}, bias=False)", (*before, wide)),
        (f"LayerNorm({features})", shape),
        (f"RMSNorm({features})", shape),
    ]
    if not before:
        kinds += [
            (f"BatchNorm1d({features})", shape),
            (f"BatchNorm1d({features}, momentum=0.3, affine=False)", shape),
            (f"BatchNorm1d({features}, track_running_stats=False)", shape),
        ]
        if features % 2 == 0 and features > 2:
            kinds += [(f"GroupNorm(2, {features})", shape), ("GLU()", (features // 2,))]
    return rng.choice(kinds)


def after(extent: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """The extent of what a window gives."""
    return (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def convolution(rng: random.Random, shape: Shape) -> Layer | None:
    """Of lines or images."""
    channels, *extents = shape
    made = rng.choice([2, 4, 6, 8])
    kernel, stride = rng.choice([1, 2, 3, 3, 3, 5]), rng.choice([1, 1, 1, 2])
    padding, dilation = rng.randrange(kernel // 2 + 1), rng.choice([1, 1, 1, 2])
    groups = rng.choice([g for g in (1, 1, 1, 2, channels) if channels % g == 0 and made % g == 0])
    words = f"{channels}, {made}, {kernel}"
    more = ["", ", bias=False"][rng.random() < 0.3]
    if rng.random() < 0.15:
        given = [(e - 1) * stride - 2 * padding + kernel for e in extents]
        text = f"ConvTranspose{len(extents)}d({words}, stride={stride}, padding={padding}{more})"
    else:
        given = [after(e, kernel, stride, padding, dilation) for e in extents]
        text = (
            f"Conv{len(extents)}d({words}, stride={stride}, padding={padding}, "
            f"dilation={dilation}, groups={groups}{more})"
        )
        if stride == 1 and rng.random() < 0.2:
            given = list(extents)
            text = f"Conv{len(extents)}d({words}, padding='same', padding_mode='{_mode(rng)}')"
            if kernel // 2 >= min(extents):
                return None
    return (text, (made, *given)) if min(given) > 0 and max(given) <= 24 else None


def _mode(rng: random.Random) -> str:
    return rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])


def pooling(rng: random.Random, shape: Shape) -> Layer | None:
    channels, *extents = shape
    axes, least = len(extents), min(extents)
    halves = tuple(after(e, 2, 2, 0) for e in extents)
    kinds: list[Layer] = [(f"AdaptiveAvgPool{axes}d(1)", (channels, *(1 for _ in extents)))]
    if least > 1:
        two = (channels, *(2 for _ in extents))
        kinds += [
            (f"MaxPool{axes}d(2)", (channels, *halves)),
            (f"MaxPool{axes}d(2)", (channels, *halves)),
            (f"AvgPool{axes}d(2)", (channels, *halves)),
            (f"LPPool{axes}d(2, 2)", (channels, *halves)),
            (f"AdaptiveMaxPool{axes}d(2)", two),
            (f"AdaptiveAvgPool{axes}d(2)", two),
        ]
    if least > 2:
        less = tuple(after(e, 3, 2, 1) for e in extents)
        kinds += [
            (f"MaxPool{axes}d(3, stride=2, padding=1)", (channels, *less)),
            (f"AvgPool{axes}d(3, 2, 1, count_include_pad=False)", (channels, *less)),
            (f"ReflectionPad{axes}d(1)", (channels, *(e + 2 for e in extents))),
        ]
    if max(extents) < 8:
        kinds += [
            ("Upsample(scale_factor=2)", (channels, *(2 * e for e in extents))),
            (f"ConstantPad{axes}d(1, 0.5)", (channels, *(e + 2 for e in extents))),
        ]
    if axes == 2 and channels % 4 == 0:
        kinds.append(("PixelShuffle(2)", (channels // 4, *(2 * e for e in extents))))
    return rng.choice(kinds)


def channelwise(rng: random.Random, shape: Shape) -> Layer | None:
    """Normalisations of lines or images."""
    channels, *extents = shape
    axes = len(extents)
    kinds = [
        f"BatchNorm{axes}d({channels})",
        f"BatchNorm{axes}d({channels})",
        f"BatchNorm{axes}d({channels}, momentum=None)",
        f"GroupNorm(1, {channels})",
        f"LayerNorm({list(shape)})",
        f"Dropout{axes}d(0.3)",
    ]
    if max(extents) > 1:
        kinds.append(f"InstanceNorm{axes}d({channels}, affine=True)")
    if channels % 2 == 0:
        kinds.append(f"GroupNorm(2, {channels})")
    if channels > 2:
        kinds.append("LocalResponseNorm(3)")
    return rng.choice(kinds), shape


def stack(
    rng: random.Random,
    shape: Shape,
    count: int,
    kinds: list[Callable[[random.Random, Shape], Layer | None]],
) -> tuple[list[str], Shape]:
    """So many layers, one behind the other."""
    texts: list[str] = []
    while len(texts) < count:
        found = rng.choice(kinds)(rng, shape)
        if found is not None:
            texts.append("torch.nn." + found[0])
            shape = found[1]
    return texts, shape
