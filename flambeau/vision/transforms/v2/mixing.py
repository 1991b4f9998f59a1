"""v2: two samples of a batch mixed, images and labels.

Sources: Zhang et al., arXiv 1710.09412 (MixUp); Yun et al., arXiv 1905.04899 (CutMix).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.vision._torch import F as nn
from flambeau.vision._torch import Tensor, tensor
from flambeau.vision.pillow import is_pil_image
from flambeau.vision.transforms import draws
from flambeau.vision.transforms.v2.transform import Transform, flatten, image_size, rebuild


def _labels_of(sample: Any) -> Any:
    """The labels of a pair (images, labels) or of a dictionary with a key like "labels"."""
    if isinstance(sample, (tuple, list)):
        sample = sample[1]
    if isinstance(sample, Tensor):
        return sample
    if not isinstance(sample, dict):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a "
            "dictionary or a two-tuple whose second item is a dictionary or a tensor, but got "
            f"{sample} instead."
        )
    names = [key for key in sample if key.lower() == "labels"]
    names += [key for key in sample if "label" in key.lower()]
    if not names:
        raise ValueError("Could not infer where the labels are in the sample.")
    return sample[names[0]]


class _Mixing(Transform):
    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Any = "default",
    ) -> None:
        super().__init__()
        from flambeau.distributions import Beta

        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._beta = Beta(tensor([self.alpha]), tensor([self.alpha]))
        if labels_getter != "default" and not callable(labels_getter):
            raise ValueError(
                "labels_getter should either be 'default', a callable, or None, but got "
                f"{labels_getter}."
            )
        self._labels_getter: Callable[[Any], Any] = (
            _labels_of if labels_getter == "default" else labels_getter
        )

    def _share(self) -> float:
        return float(self._beta.sample(()))

    def _mixed(self, images: Tensor, params: dict[str, Any]) -> Tensor:
        raise NotImplementedError

    def _check_labels(self, labels: Any) -> None:
        if not isinstance(labels, Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                "labels should be index based with shape (batch_size,) or probability based with "
                "shape (batch_size, num_classes), but got a tensor of shape "
                f"{labels.shape} instead."
            )
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        if labels.ndim == 2 and self.num_classes not in (None, labels.shape[-1]):
            raise ValueError(
                "When passing 2D labels, the number of elements in last dimension must match "
                f"num_classes: {labels.shape[-1]} != {self.num_classes}. You can Leave num_classes "
                "to None."
            )

    def _mixed_labels(self, labels: Tensor, share: float) -> Tensor:
        if labels.ndim == 1:
            labels = nn.one_hot(labels, self.num_classes or -1)
        if not labels.is_floating_point():
            labels = labels.float()
        return labels.roll(1, 0) * (1.0 - share) + labels * share

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves: list[Any] = []
        flatten(sample, leaves)
        if any(is_pil_image(leaf) for leaf in leaves):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, bounding boxes, keypoints "
                "and masks."
            )
        labels = self._labels_getter(sample)
        self._check_labels(labels)
        chosen = self._chosen(leaves)
        params = self.make_params([leaf for leaf, take in zip(leaves, chosen) if take])
        made = []
        for leaf, take in zip(leaves, chosen):
            if leaf is labels:
                leaf = self._mixed_labels(leaf, params["share"])
            elif take:
                self._check_images(leaf, labels.shape[0])
                leaf = self._mixed(leaf, params)
            made.append(leaf)
        return rebuild(sample, iter(made))

    @staticmethod
    def _check_images(images: Tensor, count: int) -> None:
        if images.ndim != 4:
            raise ValueError(
                f"Expected a batched input with 4 dims, but got {images.ndim} dimensions instead."
            )
        if images.shape[0] != count:
            raise ValueError(
                "The batch size of the image or video does not match the batch size of the "
                f"labels: {images.shape[0]} != {count}."
            )


class MixUp(_Mixing):
    """Each sample blended with the one before, by a random share."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"share": self._share()}

    def _mixed(self, images: Tensor, params: dict[str, Any]) -> Tensor:
        share = params["share"]
        out: Tensor = images.roll(1, 0) * (1.0 - share) + images * share
        return out


class CutMix(_Mixing):
    """In each image a random window from the one before; the labels mixed by the areas."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        share = self._share()
        height, width = image_size(flat_inputs)
        x, y = draws.integer(0, width), draws.integer(0, height)
        half = 0.5 * math.sqrt(1.0 - share)
        across, down = int(half * width), int(half * height)
        left, right = max(x - across, 0), min(x + across, width)
        top, bottom = max(y - down, 0), min(y + down, height)
        area = (right - left) * (bottom - top)
        return {
            "share": 1.0 - area / (width * height),
            "window": (slice(top, bottom), slice(left, right)),
        }

    def _mixed(self, images: Tensor, params: dict[str, Any]) -> Tensor:
        rows, columns = params["window"]
        out = images.clone()
        out[..., rows, columns] = images.roll(1, 0)[..., rows, columns]
        return out
