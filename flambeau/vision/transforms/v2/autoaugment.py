"""v2: augmentation policies. They draw a sign by `rand`, where v1 draws it by `randint`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.vision._torch import Tensor
from flambeau.vision.transforms import autoaugment as v1
from flambeau.vision.transforms import draws
from flambeau.vision.transforms.autoaugment import POLICIES, AutoAugmentPolicy, Space
from flambeau.vision.transforms.tensor_images import largest
from flambeau.vision.transforms.v2 import functional as F
from flambeau.vision.transforms.v2.geometry import filling
from flambeau.vision.transforms.v2.transform import Transform, flatten, rebuild


class _Policy(Transform):
    """Ops on the only image of a sample."""

    interpolation: Any
    fill: Any

    def _augmented(self, image: Any) -> Any:
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves: list[Any] = []
        flatten(sample, leaves)
        places = [place for place, take in enumerate(self._chosen(leaves)) if take]
        if not places:
            raise TypeError("Found no image in the sample.")
        if len(places) > 1:
            raise TypeError(
                "Auto augment transformations are only properly defined for a single image or "
                f"video, but found {len(places)}."
            )
        leaves[places[0]] = self._augmented(leaves[places[0]])
        return rebuild(sample, iter(leaves))

    def _changed(self, image: Any, name: str, magnitude: float) -> Any:
        mode, fill = F.mode_of(self.interpolation), filling(self.fill, image)
        if name == "Solarize" and isinstance(image, Tensor):
            magnitude = magnitude / 255.0 * largest(image.dtype)
        return v1.apply_op(image, name, magnitude, mode, fill)

    def _random_op(
        self, image: Any, space: Space, choose: Callable[[], int], name: str | None = None
    ) -> Any:
        """A random op (or the named one); `choose` says its magnitude, the sign is random."""
        if name is None:
            name = list(space)[draws.integer(0, len(space))]
        magnitudes, signed = space[name]
        magnitude = 0.0 if magnitudes is None else float(magnitudes[choose()])
        if signed and draws.unit() <= 0.5:
            magnitude = -magnitude
        return self._changed(image, name, magnitude)


class AutoAugment(_Policy):
    """One of 25 learned pairs of ops, for ImageNet, CIFAR-10 or SVHN."""

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__()
        if policy not in POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.interpolation = interpolation
        self.fill = fill
        self.policy = policy

    def _augmented(self, image: Any) -> Any:
        space = v1.augment_space(10, *F.get_size(image)) | {"Invert": (None, False)}
        policies = POLICIES[self.policy]
        for name, p, step in policies[draws.integer(0, len(policies))]:
            if not draws.spared(p):
                image = self._random_op(image, space, lambda: step or 0, name)  # noqa: B023 (called at once)
        return image


class RandAugment(_Policy):
    """`num_ops` random ops of one magnitude."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(
                f"num_ops should be a non-negative integer, but got {num_ops} instead."
            )
        self.interpolation = interpolation
        self.fill = fill
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def _augmented(self, image: Any) -> Any:
        space: Space = {"Identity": (None, False)}
        space |= v1.augment_space(self.num_magnitude_bins, *F.get_size(image))
        for _ in range(self.num_ops):
            image = self._random_op(image, space, lambda: self.magnitude)
        return image


class TrivialAugmentWide(_Policy):
    """One random op of random magnitude."""

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = "nearest", fill: Any = None
    ) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill
        self.num_magnitude_bins = num_magnitude_bins

    def _augmented(self, image: Any) -> Any:
        count = self.num_magnitude_bins
        space: Space = {"Identity": (None, False), **v1.wide_space(count)}
        return self._random_op(image, space, lambda: draws.integer(0, count))


class AugMix(_Policy):
    """Chains of random ops, mixed with the image by weights from Dirichlet distributions."""

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = "bilinear",
        fill: Any = None,
    ) -> None:
        super().__init__()
        self._mix = v1.AugMix(severity, mixture_width, chain_depth, alpha, all_ops)
        self.interpolation = interpolation
        self.fill = fill
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def _augmented(self, image: Any) -> Any:
        def changed(mixed: Any, space: Space) -> Any:
            return self._random_op(mixed, space, lambda: draws.integer(0, self.severity))

        return self._mix.mixed(image, changed)
