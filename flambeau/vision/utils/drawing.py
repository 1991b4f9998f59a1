"""Boxes, masks, points and flow, drawn on images."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from flambeau.vision._torch import Tensor, float32, from_array, uint8
from flambeau.vision.pillow import pillow
from flambeau.vision.transforms.functional import convert_image_dtype, pil_to_tensor, to_pil_image

# Multiplied with the object's number and reduced modulo 255: distant colours for neighbours.
_PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)


def _colors(colors: Any, count: int) -> list[tuple[int, ...]]:
    """A colour for each of `count` objects. ValueError where there are too few."""
    if colors is None:
        colors = [tuple(i * number % 255 for number in _PALETTE) for i in range(count)]
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                "Number of colors must be equal or larger than the number of objects, but got "
                f"{len(colors)} < {count}."
            )
    elif not isinstance(colors, (tuple, str)):
        raise ValueError(
            f"colors must be a tuple or a string, or a list thereof, but got {colors}."
        )
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    named = pillow("ImageColor").getrgb
    return [named(color) if isinstance(color, str) else tuple(color) for color in colors]


def _check_image(image: Any, channels: tuple[int, ...], wrong: str) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"The image must be a tensor, got {type(image)}")
    if image.dtype is not uint8 and not image.is_floating_point():
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.ndim != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in channels:
        raise ValueError(wrong)


def _canvas(image: Tensor) -> Any:
    """A Pillow image in RGB of an image of one or three channels."""
    return to_pil_image(convert_image_dtype(image, uint8).expand(3, -1, -1))


def _labels(labels: Any, count: int) -> list[str | None]:
    if labels is None:
        return [None] * count
    if len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels "
            "for each box."
        )
    return list(labels)


def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: list[str] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Tensor:
    """The image (1 or 3, H, W) with boxes [N, 4] (xmin, ymin, xmax, ymax) in RGB."""
    _check_image(image, (1, 3), "Only grayscale and RGB images are supported")
    corners = boxes._values()
    if corners.shape[-1] != 4:
        raise NotImplementedError("draw_bounding_boxes draws upright boxes [N, 4] only")
    if (corners[:, 0] > corners[:, 2]).any() or (corners[:, 1] > corners[:, 3]).any():
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert "
            "to convert them"
        )
    count = len(corners)
    if not count:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    outlines = _colors(colors, count)
    texts = _labels(labels, count)
    inks = _colors(label_colors or "black", count) if label_colors or fill_labels else outlines
    grounds = outlines
    if fill_labels and label_background_colors:
        grounds = _colors(label_background_colors, count)
    if font is None and font_size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=2)
    fonts = pillow("ImageFont")
    face = fonts.load_default() if font is None else fonts.truetype(font, font_size or 10)
    canvas = _canvas(image)
    pen = pillow("ImageDraw").Draw(canvas, "RGBA" if fill else None)
    for box, outline, text, ink, ground in zip(
        corners.astype(np.int64).tolist(), outlines, texts, inks, grounds
    ):
        pen.rectangle(box, width=width, outline=outline, fill=(*outline, 100) if fill else None)
        if text is None:
            continue
        start = (box[0] + width + 1, box[1] + width + 1)
        if fill_labels:
            left, top, right, bottom = pen.textbbox(start, text, font=face)
            pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=ground)
        pen.text(start, text, fill=ink, font=face)
    return convert_image_dtype(pil_to_tensor(canvas), image.dtype)


def draw_segmentation_masks(
    image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Any = None
) -> Tensor:
    """The RGB image with masks ([N, H, W], bool) in colours of opacity `alpha`; overlaps black."""
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    chosen = masks._array()
    if chosen.ndim == 2:
        chosen = chosen[None]
    if chosen.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if chosen.dtype != np.bool_:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if chosen.shape[-2:] != tuple(image.shape[-2:]):
        raise ValueError("The image and the masks must have the same height and width")
    if not len(chosen):
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    array = image.detach()._array()
    drawn = array.copy()
    for mask, color in zip(chosen, _colors(colors, len(chosen))):
        levels = np.array(color, np.float64)
        if image.is_floating_point():
            levels /= 255
        drawn[:, mask] = levels.astype(array.dtype)[:, None]
    drawn[:, chosen.sum(0) > 1] = 0
    kind = np.float32 if image.dtype is uint8 else array.dtype.type
    mixed = array * kind(1 - alpha) + drawn * kind(alpha)
    return from_array(mixed.astype(array.dtype), image.dtype)


def draw_keypoints(
    image: Tensor,
    keypoints: Tensor,
    connectivity: list[tuple[int, int]] | None = None,
    colors: Any = None,
    radius: int = 2,
    width: int = 3,
    visibility: Tensor | None = None,
) -> Tensor:
    """The RGB image with points [N, K, 2] (x, y), and lines between the pairs `connectivity`."""
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    places = keypoints._values().astype(np.int64)
    seen = np.ones(places.shape[:2], np.bool_)
    if visibility is not None:
        seen = visibility._values().astype(np.bool_)
        seen = seen[..., 0] if seen.ndim == 3 else seen
        if seen.ndim != 2:
            raise ValueError(
                f"visibility must be of shape (num_instances, K). Got ndim={seen.ndim}"
            )
        if seen.shape != places.shape[:2]:
            raise ValueError(
                "keypoints and visibility must have the same dimensionality for num_instances and "
                f"K. Got visibility.shape={visibility.shape!r} and "
                f"keypoints.shape={keypoints.shape!r}"
            )
    canvas = _canvas(image)
    pen = pillow("ImageDraw").Draw(canvas)
    for points, visible in zip(places.tolist(), seen.tolist()):
        for (x, y), shown in zip(points, visible):
            if shown:
                circle = [x - radius, y - radius, x + radius, y + radius]
                pen.ellipse(circle, fill=colors, outline=None, width=0)
        for first, last in connectivity or ():
            if visible[first] and visible[last]:
                pen.line((tuple(points[first]), tuple(points[last])), width=width)
    return convert_image_dtype(pil_to_tensor(canvas), image.dtype)


def _color_wheel() -> Any:
    """Colours [55, 3] round the circle (Baker et al., A Database for Optical Flow, 2007)."""
    rows = []
    # The channel that is full, the one that changes, in how many steps: in turn it rises and falls.
    sectors = [(0, 1, 15), (1, 0, 6), (1, 2, 4), (2, 1, 11), (2, 0, 13), (0, 2, 6)]
    for place, (full, moving, steps) in enumerate(sectors):
        ramp = np.floor(np.float32(255) * np.arange(steps, dtype=np.float32) / np.float32(steps))
        part = np.zeros((steps, 3), np.float32)
        part[:, full], part[:, moving] = 255, 255 - ramp if place % 2 else ramp
        rows.append(part)
    return np.concatenate(rows)


def flow_to_image(flow: Tensor) -> Tensor:
    """Optical flow [(N,) 2, H, W] (float32) as colours: hue is direction, saturation is length."""
    if flow.dtype is not float32:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    array = flow.detach()._array()
    batch = array[None] if array.ndim == 3 else array
    if batch.ndim != 4 or batch.shape[1] != 2:
        raise ValueError(
            f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {flow.shape}."
        )
    longest = np.sqrt((batch**2).sum(1)).max()
    batch = batch / (longest + np.finfo(np.float32).eps)
    length = np.sqrt((batch**2).sum(1))
    wheel = _color_wheel()
    turn = np.arctan2(-batch[:, 1], -batch[:, 0]) / np.float32(math.pi)
    place = (turn + np.float32(1)) / np.float32(2) * np.float32(len(wheel) - 1)
    first = np.floor(place)
    share = (place - first)[..., None]
    first = first.astype(np.int64)
    colors = (1 - share) * (wheel[first] / np.float32(255))
    colors += share * (wheel[(first + 1) % len(wheel)] / np.float32(255))
    colors = 1 - length[..., None] * (1 - colors)
    levels = np.floor(np.float32(255) * colors).astype(np.uint8).transpose(0, 3, 1, 2)
    return from_array(levels[0] if array.ndim == 3 else levels, uint8)
