"""The stages of the v2 transforms for whole batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.vision._torch import float32, uint8
from flambeau.vision.transforms import batch as v1
from flambeau.vision.transforms.batch import Array, Form, Stage
from flambeau.vision.transforms.v2 import color, containers, geometry, values


def _to_dtype(transform: Any, form: Form) -> Stage | None:
    kind = transform.dtype
    scale = getattr(transform, "scale", True)
    if form.image or isinstance(kind, dict):
        return None
    if form.dtype is kind:
        return Stage(form, 0, v1.unchanged)
    if form.dtype is not uint8 or kind is not float32:
        return None
    # v2 multiplies where v1 divides.
    factor = np.float32(1.0 / 255.0 if scale else 1.0)
    after = form._replace(dtype=kind)
    return Stage(after, 0, lambda images, words: v1.as_floats(images, kind, np.multiply, factor))


def _random_crop(transform: Any, form: Form) -> Stage | None:
    height, width = transform.size
    pad = None
    if transform.padding is not None:
        left, right, top, bottom = transform.padding
        made = v1.padded(form, [left, top, right, bottom], transform.fill, transform.padding_mode)
        if made is None:
            return None
        form, pad = made
    down, across = form.height - height + 1, form.width - width + 1
    if down < 1 or across < 1:
        return None
    drawn = [down > 1, across > 1]  # one word for each direction in which there is a choice

    def make(images: Array, words: Array) -> Array:
        if pad is not None:
            images = pad(images)
        if not any(drawn):
            return images
        zeros = np.zeros(len(images), np.uint32)
        tops = words[:, 0] % np.uint32(down) if drawn[0] else zeros
        lefts = words[:, -1] % np.uint32(across) if drawn[1] else zeros
        return v1.windows(images, tops, lefts, height, width)

    return Stage(form._replace(height=height, width=width), sum(drawn), make)


def register() -> None:
    """Makes the v2 transforms known to `transforms.batch`."""
    v1.SEQUENCES.add(containers.Compose)
    by_name = {kind.__name__: stage for kind, stage in v1.STAGES.items()}
    same: list[type] = [
        values.ToTensor,
        values.PILToTensor,
        values.Normalize,
        color.Grayscale,
        geometry.Pad,
        geometry.CenterCrop,
        geometry.RandomHorizontalFlip,
        geometry.RandomVerticalFlip,
    ]
    v1.STAGES.update({kind: by_name[kind.__name__] for kind in same})
    v1.STAGES[values.ToImage] = by_name["PILToTensor"]
    v1.STAGES[values.ToDtype] = v1.STAGES[values.ConvertImageDtype] = _to_dtype
    v1.STAGES[geometry.RandomCrop] = _random_crop
