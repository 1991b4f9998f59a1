"""Augmentation policies: AutoAugment, RandAugment, TrivialAugment, AugMix.

Sources: Cubuk et al., arXiv 1805.09501 (the policies) and 1909.13719; Müller and Hutter,
arXiv 2103.10158; Hendrycks et al., arXiv 1912.02781.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from flambeau.vision._torch import Module, Tensor, float32, from_array, tensor
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms.arguments import fill_for
from flambeau.vision.transforms.interpolation import InterpolationMode

NEAREST = InterpolationMode.NEAREST
# The magnitudes of an op, weakest first (None: it has none), and whether they have a sign.
Space = dict[str, tuple[Any, bool]]


class AutoAugmentPolicy(Enum):
    """The data sets that policies were learned on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


def apply_op(img: Any, name: str, magnitude: float, interpolation: Any, fill: Any) -> Any:
    """The image after one op. ValueError for a name that is none."""
    if name in ("ShearX", "ShearY"):
        angle = math.degrees(math.atan(magnitude))
        shear = [angle, 0.0] if name == "ShearX" else [0.0, angle]
        return F.affine(img, 0.0, [0, 0], 1.0, shear, interpolation, fill, [0, 0])
    if name in ("TranslateX", "TranslateY"):
        move = int(magnitude)
        moved = [move, 0] if name == "TranslateX" else [0, move]
        return F.affine(img, 0.0, moved, 1.0, [0.0, 0.0], interpolation, fill)
    if name == "Rotate":
        return F.rotate(img, magnitude, interpolation, fill=fill)
    if name in _ENHANCED:
        return _ENHANCED[name](img, 1.0 + magnitude)
    if name == "Posterize":
        return F.posterize(img, int(magnitude))
    if name == "Solarize":
        return F.solarize(img, magnitude)
    if name in _PLAIN:
        return _PLAIN[name](img)
    raise ValueError(f"The provided operator {name} is not recognized.")


_ENHANCED: dict[str, Any] = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}
_PLAIN: dict[str, Any] = {
    "AutoContrast": F.autocontrast,
    "Equalize": F.equalize,
    "Invert": F.invert,
    "Identity": lambda img: img,
}


def _steps(last: float, count: int, first: float = 0.0) -> Any:
    """linspace in float32, from both ends to the middle, as PyTorch has it."""
    from flambeau.functional.counted import linspace

    return linspace(first, last, count).tolist()


def _bits(most: int, range_of_bits: int, count: int) -> Any:
    step = (count - 1) / range_of_bits
    return [most - int(np.rint(np.float32(i) / np.float32(step))) for i in range(count)]


def _space(
    count: int, turn: float, shear: float, moves: tuple[float, float], factor: float, bits: Any
) -> Space:
    """The ops in the order that the policies number them, and their magnitudes."""
    ops: Space = {"ShearX": (_steps(shear, count), True), "ShearY": (_steps(shear, count), True)}
    ops["TranslateX"] = (_steps(moves[0], count), True)
    ops["TranslateY"] = (_steps(moves[1], count), True)
    ops["Rotate"] = (_steps(turn, count), True)
    for name in ("Brightness", "Color", "Contrast", "Sharpness"):
        ops[name] = (_steps(factor, count), True)
    ops["Posterize"] = (bits, False)
    ops["Solarize"] = (_steps(0.0, count, 255.0), False)
    ops["AutoContrast"] = ops["Equalize"] = (None, False)
    return ops


def augment_space(count: int, height: int, width: int) -> Space:
    """The ops of AutoAugment and RandAugment."""
    moves = (150.0 / 331.0 * width, 150.0 / 331.0 * height)
    return _space(count, 30.0, 0.3, moves, 0.9, _bits(8, 4, count))


def wide_space(count: int) -> Space:
    """The ops of TrivialAugment."""
    return _space(count, 135.0, 0.99, (32.0, 32.0), 0.99, _bits(8, 6, count))


def _parsed(text: str) -> list[tuple[tuple[str, float, int | None], ...]]:
    """Lines of "op probability magnitude, op probability magnitude" ("-": none)."""
    policies = []
    for line in text.strip().splitlines():
        pair = []
        for part in line.split(","):
            name, p, magnitude = part.split()
            pair.append((name, float(p), None if magnitude == "-" else int(magnitude)))
        policies.append(tuple(pair))
    return policies


_POLICY_TEXTS = {
    AutoAugmentPolicy.IMAGENET: """
Posterize 0.4 8, Rotate 0.6 9
Solarize 0.6 5, AutoContrast 0.6 -
Equalize 0.8 -, Equalize 0.6 -
Posterize 0.6 7, Posterize 0.6 6
Equalize 0.4 -, Solarize 0.2 4
Equalize 0.4 -, Rotate 0.8 8
Solarize 0.6 3, Equalize 0.6 -
Posterize 0.8 5, Equalize 1.0 -
Rotate 0.2 3, Solarize 0.6 8
Equalize 0.6 -, Posterize 0.4 6
Rotate 0.8 8, Color 0.4 0
Rotate 0.4 9, Equalize 0.6 -
Equalize 0.0 -, Equalize 0.8 -
Invert 0.6 -, Equalize 1.0 -
Color 0.6 4, Contrast 1.0 8
Rotate 0.8 8, Color 1.0 2
Color 0.8 8, Solarize 0.8 7
Sharpness 0.4 7, Invert 0.6 -
ShearX 0.6 5, Equalize 1.0 -
Color 0.4 0, Equalize 0.6 -
Equalize 0.4 -, Solarize 0.2 4
Solarize 0.6 5, AutoContrast 0.6 -
Invert 0.6 -, Equalize 1.0 -
Color 0.6 4, Contrast 1.0 8
Equalize 0.8 -, Equalize 0.6 -
""",
    AutoAugmentPolicy.CIFAR10: """
Invert 0.1 -, Contrast 0.2 6
Rotate 0.7 2, TranslateX 0.3 9
Sharpness 0.8 1, Sharpness 0.9 3
ShearY 0.5 8, TranslateY 0.7 9
AutoContrast 0.5 -, Equalize 0.9 -
ShearY 0.2 7, Posterize 0.3 7
Color 0.4 3, Brightness 0.6 7
Sharpness 0.3 9, Brightness 0.7 9
Equalize 0.6 -, Equalize 0.5 -
Contrast 0.6 7, Sharpness 0.6 5
Color 0.7 7, TranslateX 0.5 8
Equalize 0.3 -, AutoContrast 0.4 -
TranslateY 0.4 3, Sharpness 0.2 6
Brightness 0.9 6, Color 0.2 8
Solarize 0.5 2, Invert 0.0 -
Equalize 0.2 -, AutoContrast 0.6 -
Equalize 0.2 -, Equalize 0.6 -
Color 0.9 9, Equalize 0.6 -
AutoContrast 0.8 -, Solarize 0.2 8
Brightness 0.1 3, Color 0.7 0
Solarize 0.4 5, AutoContrast 0.9 -
TranslateY 0.9 9, TranslateY 0.7 9
AutoContrast 0.9 -, Solarize 0.8 3
Equalize 0.8 -, Invert 0.1 -
TranslateY 0.7 9, AutoContrast 0.9 -
""",
    AutoAugmentPolicy.SVHN: """
ShearX 0.9 4, Invert 0.2 -
ShearY 0.9 8, Invert 0.7 -
Equalize 0.6 -, Solarize 0.6 6
Invert 0.9 -, Equalize 0.6 -
Equalize 0.6 -, Rotate 0.9 3
ShearX 0.9 4, AutoContrast 0.8 -
ShearY 0.9 8, Invert 0.4 -
ShearY 0.9 5, Solarize 0.2 6
Invert 0.9 -, AutoContrast 0.8 -
Equalize 0.6 -, Rotate 0.9 3
ShearX 0.9 4, Solarize 0.3 3
ShearY 0.8 8, Invert 0.7 -
Equalize 0.9 -, TranslateY 0.6 6
Invert 0.9 -, Equalize 0.6 -
Contrast 0.3 3, Rotate 0.8 4
Invert 0.8 -, TranslateY 0.0 2
ShearY 0.7 6, Solarize 0.4 8
Invert 0.6 -, Rotate 0.8 4
ShearY 0.3 7, TranslateX 0.9 3
ShearX 0.1 6, Invert 0.6 -
Solarize 0.7 2, TranslateY 0.6 7
ShearY 0.8 4, Invert 0.8 -
ShearX 0.7 9, TranslateY 0.8 3
ShearY 0.8 5, AutoContrast 0.7 -
ShearX 0.7 2, Invert 0.1 -
""",
}
POLICIES = {policy: _parsed(lines) for policy, lines in _POLICY_TEXTS.items()}


class AutoAugment(Module):
    """One of 25 learned pairs of ops, for ImageNet, CIFAR-10 or SVHN."""

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if policy not in POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        self.policies = POLICIES[policy]

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """Which pair, and for its two ops a number in [0, 1) and a sign (0: minus)."""
        number = draws.integer(0, transform_num)
        chances = from_array(np.array([draws.unit(), draws.unit()], np.float32), float32)
        signs = [draws.integer(0, 2), draws.integer(0, 2)]
        return number, chances, tensor(signs)

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        number, chances, signs = self.get_params(len(self.policies))
        space = augment_space(10, height, width) | {"Invert": (None, False)}
        ops = zip(self.policies[number], chances.tolist(), signs.tolist())
        for (name, p, step), chance, sign in ops:
            if chance <= float(np.float32(p)):
                magnitudes, signed = space[name]
                magnitude = 0.0 if step is None or magnitudes is None else float(magnitudes[step])
                if signed and sign == 0:
                    magnitude = -magnitude
                img = apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


def _random_magnitude(space: Space, choose: Any) -> tuple[str, float]:
    """A random op; its magnitude is the one that `choose` says, with a random sign."""
    name = list(space)[draws.integer(0, len(space))]
    magnitudes, signed = space[name]
    magnitude = 0.0 if magnitudes is None else float(magnitudes[choose()])
    if signed and draws.integer(0, 2):
        magnitude = -magnitude
    return name, magnitude


class RandAugment(Module):
    """`num_ops` random ops of one magnitude."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        space: Space = {"Identity": (None, False)}
        space |= augment_space(self.num_magnitude_bins, height, width)
        for _ in range(self.num_ops):
            name, magnitude = _random_magnitude(space, lambda: self.magnitude)
            img = apply_op(img, name, magnitude, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


class TrivialAugmentWide(Module):
    """One random op of random magnitude."""

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = NEAREST, fill: Any = None
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        count = self.num_magnitude_bins
        fill = fill_for(img, self.fill, F.get_dimensions(img)[0])
        space: Space = {"Identity": (None, False), **wide_space(count)}
        name, magnitude = _random_magnitude(space, lambda: draws.integer(0, count))
        return apply_op(img, name, magnitude, self.interpolation, fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(Module):
    """Chains of random ops, mixed with the image by weights from Dirichlet distributions."""

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if not 1 <= severity <= _SEVEREST:
            raise ValueError(
                f"The severity must be between [1, {_SEVEREST}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def _space(self, height: int, width: int) -> Space:
        moves = (width / 3.0, height / 3.0)
        whole = _space(_SEVEREST, 30.0, 0.3, moves, 0.9, _bits(4, 4, _SEVEREST))
        last = {name: whole.pop(name) for name in _ENHANCED}
        return whole | last if self.all_ops else whole

    def mixed(self, orig_img: Any, changed: Callable[[Any, Space], Any]) -> Any:
        """The image mixed with chains of what `changed` makes of it."""
        _, height, width = F.get_dimensions(orig_img)
        img = orig_img if isinstance(orig_img, Tensor) else F.pil_to_tensor(orig_img)
        space = self._space(height, width)
        batch = img.reshape([1] * max(4 - img.ndim, 0) + list(img.shape))
        count, ones = batch.size(0), [1] * (batch.ndim - 1)
        shares = _dirichlet([self.alpha, self.alpha], count)
        weights = _dirichlet([self.alpha] * self.mixture_width, count) * shares[:, 1:]
        mix = shares[:, 0].view(count, *ones) * batch
        for chain in range(self.mixture_width):
            link = batch
            depth = self.chain_depth if self.chain_depth > 0 else draws.integer(1, 4)
            for _ in range(depth):
                link = changed(link, space)
            mix = mix + weights[:, chain].view(count, *ones) * link
        mix = mix.view(img.shape).to(img.dtype)
        return mix if isinstance(orig_img, Tensor) else F.to_pil_image(mix)

    def forward(self, orig_img: Any) -> Any:
        fill = fill_for(orig_img, self.fill, F.get_dimensions(orig_img)[0])

        def changed(img: Any, space: Space) -> Any:
            name, magnitude = _random_magnitude(space, lambda: draws.integer(0, self.severity))
            return apply_op(img, name, magnitude, self.interpolation, fill)

        return self.mixed(orig_img, changed)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


_SEVEREST = 10


def _dirichlet(concentration: list[float], count: int) -> Tensor:
    from flambeau.distributions.implicit import dirichlet

    shares: Tensor = dirichlet(tensor(concentration).expand(count, -1))
    return shares
