"""Many images of one size through a transform at once, with the per-sample results to the bit.

Note [random numbers of a batch]. Sample by sample, a transform draws a number of words that depends
only on the sizes. So the words of a batch are drawn at once, a row for each sample, and every stage
reads its columns: the numbers are those of the samples one after the other. Transforms that draw a
varying number of words (RandomResizedCrop, RandomErasing, ...) have no stage here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flambeau.record.storage import Storage, allocate
from flambeau.vision._torch import (
    Tensor,
    float32,
    float64,
    from_array,
    from_storage,
    get_default_dtype,
    meta_of,
    uint8,
)
from flambeau.vision.transforms import color, containers, draws, geometry, values
from flambeau.vision.transforms.pil_images import check_padding, sides
from flambeau.vision.transforms.tensor_images import statistics

Array = Any


class Form(NamedTuple):
    """What a stage gets: Pillow images or tensors; bytes, or floats of a dtype; and their size."""

    image: bool
    dtype: Any
    channels: int
    height: int
    width: int


class Stage(NamedTuple):
    """`run(images [N, C, H, W], words [N, words])` makes the images of `form`.

    It may write to images that are floats: those are the batch's own.
    """

    form: Form
    words: int
    run: Callable[[Array, Array], Array]


def as_floats(images: Array, kind: Any, change: Any = np.divide, by: float = 255) -> Array:
    """Bytes as numbers in [0, 1], in memory that a tensor can have."""
    storage = Storage(allocate(images.size * kind.itemsize))
    _made.storage = storage
    out = storage.array(kind).reshape(images.shape)
    return change(images, kind.numpy.type(by), out=out, dtype=kind.numpy)


def _as_tensor(images: Array, kind: Any) -> Tensor:
    """The images as a tensor: over the memory that they were made in, if they fill it."""
    storage, _made.storage = getattr(_made, "storage", None), None
    if (
        storage is not None
        and images.flags.c_contiguous
        and images.nbytes == storage.nbytes
        and images.ctypes.data == storage.buffer.address
    ):
        return from_storage(storage, meta_of(kind, images.shape))
    return from_array(images, kind)


_made = threading.local()  # .storage: what `as_floats` made last


MakeStage = Callable[[Any, Form], Stage | None]
STAGES: dict[type, MakeStage] = {}


def flattened(transform: Any) -> list[Any] | None:
    """The transforms that a transform applies in turn; None where there is a hook on one."""
    if getattr(transform, "_forward_hooks", None) or getattr(transform, "_forward_pre_hooks", None):
        return None
    if type(transform) not in SEQUENCES:
        return [transform]
    parts: list[Any] = []
    for each in transform.transforms:
        inner = flattened(each)
        if inner is None:
            return None
        parts += inner
    return parts


SEQUENCES: set[type] = {containers.Compose}


def stages(transform: Any, form: Form) -> list[Stage] | None:
    """What the transform does to images of that form; None where it is not known."""
    parts = flattened(transform)
    if parts is None:
        return None
    found: list[Stage] = []
    for part in parts:
        make = STAGES.get(type(part))
        stage = None if make is None else make(part, form)
        if stage is None:
            return None
        found.append(stage)
        form = stage.form
    # An image of Pillow's is nothing that a batch is made of.
    return None if form.image else found


def run(found: list[Stage], images: Array) -> Tensor:
    """The batch as a tensor [N, C, H, W]; the default generator moves on."""
    count = sum(stage.words for stage in found)
    drawn = draws.words(len(images) * count).reshape(len(images), count) if count else None
    place = 0
    for stage in found:
        part = None if drawn is None else drawn[:, place : place + stage.words]
        images = stage.run(images, part)
        place += stage.words
    return _as_tensor(images, found[-1].form.dtype)


# ---- kind and values -----------------------------------------------------------------------------


def _to_tensor(transform: Any, form: Form) -> Stage | None:
    kind = get_default_dtype()
    if not form.image or kind not in (float32, float64):
        return None
    after = form._replace(image=False, dtype=kind)
    return Stage(after, 0, lambda images, words: as_floats(images, kind))


def _pil_to_tensor(transform: Any, form: Form) -> Stage | None:
    return Stage(form._replace(image=False), 0, unchanged) if form.image else None


def unchanged(images: Array, words: Array) -> Array:
    """The images as they are."""
    return images


def _to_dtype(kind: Any, form: Form) -> Stage | None:
    if form.image or kind not in (float32, float64):
        return None
    if form.dtype is kind:
        return Stage(form, 0, unchanged)
    if form.dtype is not uint8:
        return None
    after = form._replace(dtype=kind)
    return Stage(after, 0, lambda images, words: as_floats(images, kind))


def _normalize(transform: Any, form: Form) -> Stage | None:
    if form.image or form.dtype not in (float32, float64):
        return None
    found = _statistics(transform.mean, transform.std, form.dtype)
    if found is None or found[2] not in (1, form.channels):
        return None
    mean, std, _ = found

    def make(images: Array, words: Array) -> Array:
        images -= mean
        images /= std
        return images

    return Stage(form, 0, make)


def _statistics(mean: Any, std: Any, kind: Any) -> tuple[Array, Array, int] | None:
    """Mean and deviation, and how many channels they are for; None where they are none."""
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        return None
    try:
        low, scale = statistics(mean, std, kind)
    except (TypeError, ValueError):
        return None
    counts = {array.shape[0] for array in (low, scale) if array.ndim == 3} or {1}
    counts -= {1} if len(counts) > 1 else set()
    if len(counts) > 1 or any(
        a.ndim not in (0, 3) or a.shape[1:] not in ((), (1, 1)) for a in (low, scale)
    ):
        return None
    return low, scale, counts.pop()


def _grayscale(transform: Any, form: Form) -> Stage | None:
    if not form.image or form.channels not in (1, 3):
        return None
    channels = transform.num_output_channels
    if channels not in (1, 3):
        return None

    def make(images: Array, words: Array) -> Array:
        if form.channels == 3:
            # As Pillow: ITU-R 601 in 16-bit fixed point, rounded.
            weights = np.array([19595, 38470, 7471], np.uint32).reshape(3, 1, 1)
            luma = (images * weights).sum(1, keepdims=True, dtype=np.uint32)
            images = ((luma + 0x8000) >> 16).astype(np.uint8)
        return np.repeat(images, channels, 1) if channels != images.shape[1] else images

    return Stage(form._replace(channels=channels), 0, make)


# ---- places --------------------------------------------------------------------------------------


def padded(
    form: Form, padding: Any, fill: Any, mode: str
) -> tuple[Form, Callable[[Array], Array]] | None:
    """The form after padding, and what pads; None where the arguments are refused."""
    try:
        check_padding(padding, fill, mode)
        left, top, right, bottom = sides(padding)
        number = float(fill) if isinstance(fill, (int, float)) else None
    except (TypeError, ValueError):
        return None
    if min(left, top, right, bottom) < 0:
        return None
    if mode != "constant":
        if mode == "reflect" and (
            max(left, right) >= form.width or max(top, bottom) >= form.height
        ):
            return None
        number = 0.0
    elif number is None or (form.dtype is uint8 and not 0 <= number <= 255):
        return None
    shape = (form.height + top + bottom, form.width + left + right)

    def pad(images: Array) -> Array:
        if mode != "constant":
            widths = ((0, 0), (0, 0), (top, bottom), (left, right))
            return np.pad(images, widths, mode)  # type: ignore[call-overload]
        out = np.full((*images.shape[:2], *shape), number, images.dtype)
        out[:, :, top : top + form.height, left : left + form.width] = images
        return out

    return form._replace(height=shape[0], width=shape[1]), pad


def _pad(transform: Any, form: Form) -> Stage | None:
    made = padded(form, transform.padding, transform.fill, transform.padding_mode)
    if made is None:
        return None
    after, pad = made
    return Stage(after, 0, lambda images, words: pad(images))


def window(form: Form, top: int, left: int, height: int, width: int) -> Stage:
    """The same window of every image."""

    def make(images: Array, words: Array) -> Array:
        return images[:, :, top : top + height, left : left + width]

    return Stage(form._replace(height=height, width=width), 0, make)


def _center_crop(transform: Any, form: Form) -> Stage | None:
    height, width = transform.size
    if height > form.height or width > form.width:
        return None
    top, left = round((form.height - height) / 2.0), round((form.width - width) / 2.0)
    return window(form, top, left, height, width)


def windows(images: Array, tops: Array, lefts: Array, height: int, width: int) -> Array:
    """One window of each image."""
    out = np.empty((*images.shape[:2], height, width), images.dtype)
    for place, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist())):
        out[place] = images[place, :, top : top + height, left : left + width]
    return out


def _random_crop(transform: Any, form: Form) -> Stage | None:
    pads = []
    mode, fill = transform.padding_mode, transform.fill
    height, width = transform.size

    def add(padding: Any) -> bool:
        nonlocal form
        made = padded(form, padding, fill, mode)
        if made is not None:
            form = made[0]
            pads.append(made[1])
        return made is not None

    if transform.padding is not None and not add(transform.padding):
        return None
    if transform.pad_if_needed and form.width < width and not add([width - form.width, 0]):
        return None
    if transform.pad_if_needed and form.height < height and not add([0, height - form.height]):
        return None
    down, across = form.height - height + 1, form.width - width + 1
    if down < 1 or across < 1:
        return None
    words_needed = 0 if down == across == 1 else 2

    def make(images: Array, words: Array) -> Array:
        for pad in pads:
            images = pad(images)
        if not words_needed:
            return images
        tops, lefts = words[:, 0] % np.uint32(down), words[:, 1] % np.uint32(across)
        return windows(images, tops, lefts, height, width)

    return Stage(form._replace(height=height, width=width), words_needed, make)


def chosen(words: Array, p: float) -> Array:
    """Where `rand(1) < p`, for a column of words."""
    return (words & np.uint32(0xFFFFFF)) * np.float64(2.0**-24) < float(np.float32(p))


def flip(axis: int) -> MakeStage:
    """The stage of a random flip; an axis counts from the end."""

    def stage(transform: Any, form: Form) -> Stage | None:
        if not isinstance(transform.p, (int, float)):
            return None

        def make(images: Array, words: Array) -> Array:
            turned = np.flatnonzero(chosen(words[:, 0], transform.p))
            if len(turned):
                if not images.flags.writeable or images.base is not None:
                    images = images.copy()
                images[turned] = np.flip(images[turned], axis)
            return images

        return Stage(form, 1, make)

    return stage


STAGES |= {
    values.ToTensor: _to_tensor,
    values.PILToTensor: _pil_to_tensor,
    values.ConvertImageDtype: lambda transform, form: _to_dtype(transform.dtype, form),
    values.Normalize: _normalize,
    color.Grayscale: _grayscale,
    geometry.Pad: _pad,
    geometry.CenterCrop: _center_crop,
    geometry.RandomCrop: _random_crop,
    geometry.RandomHorizontalFlip: flip(-1),
    geometry.RandomVerticalFlip: flip(-2),
}


def planned(transform: Any, images: Array) -> list[Stage] | None:
    """The stages of a transform for bytes [N, C, H, W] that Pillow would hold; None: not known."""
    if not math.prod(images.shape):
        return None
    return stages(transform, Form(True, uint8, *images.shape[1:]))
