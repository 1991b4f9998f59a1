"""The base of the v2 transforms: samples of any structure go in, their images are transformed."""

from __future__ import annotations

import enum
from typing import Any

from flambeau.vision._torch import Module, Tensor
from flambeau.vision.pillow import is_pil_image
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import functional as F

_SHOWN = (bool, int, float, str, tuple, list, enum.Enum)


def flatten(sample: Any, out: list[Any]) -> None:
    """Appends the leaves of nested tuples, lists and dictionaries."""
    if isinstance(sample, (tuple, list)):
        for each in sample:
            flatten(each, out)
    elif isinstance(sample, dict):
        for each in sample.values():
            flatten(each, out)
    else:
        out.append(sample)


def rebuild(sample: Any, leaves: Any) -> Any:
    """The structure of `sample` with the next leaves of an iterator."""
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(rebuild(each, leaves) for each in sample))
    if isinstance(sample, (tuple, list)):
        return type(sample)(rebuild(each, leaves) for each in sample)
    if isinstance(sample, dict):
        return type(sample)((key, rebuild(each, leaves)) for key, each in sample.items())
    return next(leaves)


def is_image(leaf: Any) -> bool:
    """Whether a leaf is an image of Pillow's or a tensor."""
    return isinstance(leaf, Tensor) or is_pil_image(leaf)


def image_size(leaves: list[Any]) -> tuple[int, int]:
    """Height and width of the images. TypeError without images, ValueError for several sizes."""
    sizes = {tuple(F.get_dimensions(leaf)[1:]) for leaf in leaves if is_image(leaf)}
    if not sizes:
        raise TypeError("No image, video, mask, bounding box of keypoint was found in the sample")
    if len(sizes) > 1:
        text = " ".join(map(str, sorted(sizes)))
        raise ValueError(f"Found multiple HxW dimensions in the sample: {text}")
    height, width = sizes.pop()
    return height, width


def image_dimensions(leaves: list[Any]) -> list[int]:
    """Channels, height and width of the first image."""
    for leaf in leaves:
        if is_image(leaf):
            return F.get_dimensions(leaf)
    raise TypeError("No image or video was found in the sample")


class Transform(Module):
    """Subclasses define `transform(inpt, params)`, and `make_params` where it draws numbers.

    Of a sample, the images of Pillow's are transformed; where there are none, the first tensor is.
    """

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raises where the sample is none for this transform."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """What is the same for all images of one sample."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One image, transformed."""
        raise NotImplementedError

    def _takes(self, leaf: Any) -> bool:
        return is_image(leaf)

    def _chosen(self, leaves: list[Any]) -> list[bool]:
        free = not any(is_pil_image(leaf) for leaf in leaves)  # whether a tensor may be the image
        chosen = []
        for leaf in leaves:
            takes = self._takes(leaf)
            if takes and isinstance(leaf, Tensor):
                takes, free = free, False
            chosen.append(takes)
        return chosen

    def _is_drawn(self) -> bool:
        """Whether this sample is transformed at all."""
        return True

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves: list[Any] = []
        flatten(sample, leaves)
        self.check_inputs(leaves)
        if not self._is_drawn():
            return sample
        chosen = self._chosen(leaves)
        params = self.make_params([leaf for leaf, take in zip(leaves, chosen) if take])
        made = [self.transform(x, params) if take else x for x, take in zip(leaves, chosen)]
        return rebuild(sample, iter(made))

    def extra_repr(self) -> str:
        return ", ".join(
            f"{name}={value}"
            for name, value in vars(self).items()
            if not name.startswith("_") and name != "training" and isinstance(value, _SHOWN)
        )


class RandomTransform(Transform):
    """With probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        super().__init__()
        self.p = p

    def _is_drawn(self) -> bool:
        return draws.happens(self.p)
