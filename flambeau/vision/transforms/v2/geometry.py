"""v2: transforms of places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.vision.transforms import draws
from flambeau.vision.transforms import geometry as v1
from flambeau.vision.transforms.arguments import (
    angles,
    check_ranges,
    check_sequence,
    fill_for,
    pair,
)
from flambeau.vision.transforms.pil_images import check_padding, sides
from flambeau.vision.transforms.v2 import functional as F
from flambeau.vision.transforms.v2.transform import RandomTransform, Transform, image_size


def chosen_fill(fill: Any, img: Any) -> Any:
    """The colour for this image: `fill` may be a dictionary by type ("others": all else)."""
    return fill.get(type(img), fill.get("others")) if isinstance(fill, dict) else fill


def filling(fill: Any, img: Any) -> Any:
    """The colour for this image, channel by channel."""
    return fill_for(img, chosen_fill(fill, img), F.get_num_channels(img))


class RandomHorizontalFlip(RandomTransform):
    """The mirror image, with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.horizontal_flip(inpt)


class RandomVerticalFlip(RandomTransform):
    """The image upside down, with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.vertical_flip(inpt)


class Resize(Transform):
    """The image at `size`: (height, width), the shorter side, or None (the longer: max_size)."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if isinstance(size, int):
            size = [size]
        elif isinstance(size, Sequence) and len(size) in (1, 2):
            size = list(size)
        elif size is None:
            if not isinstance(max_size, int):
                raise ValueError(
                    f"max_size must be an integer when size is None, but got {max_size} instead."
                )
        else:
            raise ValueError(
                "size can be an integer, a sequence of one or two integers, or None, but got "
                f"{size} instead."
            )
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.resize(inpt, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The middle of the image."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.center_crop(inpt, self.size)


class FiveCrop(Transform):
    """The four corners and the centre of the image, as a tuple."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.five_crop(inpt, self.size)


class TenCrop(Transform):
    """The five windows of `FiveCrop`, of the image and of its mirror image."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = pair(size)
        self.vertical_flip = vertical_flip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.ten_crop(inpt, self.size, self.vertical_flip)


class Pad(Transform):
    """The image with borders."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        check_padding(padding, None, padding_mode)
        self.padding = padding if isinstance(padding, int) else list(padding)
        self.fill = fill
        self.padding_mode = padding_mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = chosen_fill(self.fill, inpt)
        return F.pad(inpt, self.padding, fill, self.padding_mode)


class RandomCrop(Transform):
    """A window of the given size at a random place, of the image with borders."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = pair(size)
        if padding is not None:
            check_padding(padding, None, padding_mode)
        self.padding = None
        if padding:
            left, top, right, bottom = sides(padding)
            self.padding = [left, right, top, bottom]
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        rows, columns = image_size(flat_inputs)
        left, right, top, bottom = self.padding or (0, 0, 0, 0)
        height, width = self.size
        if self.pad_if_needed:
            more_y = max(height - (rows + top + bottom), 0)
            more_x = max(width - (columns + left + right), 0)
            top, bottom, left, right = top + more_y, bottom + more_y, left + more_x, right + more_x
        rows, columns = rows + top + bottom, columns + left + right
        if rows < height or columns < width:
            kind = "" if self.padding is None else "padded "
            raise ValueError(
                f"Required crop size {(height, width)} is larger than {kind}input image size "
                f"{(rows, columns)}."
            )
        y = draws.integer(0, rows - height + 1) if rows > height else 0
        x = draws.integer(0, columns - width + 1) if columns > width else 0
        return {"padding": [left, top, right, bottom], "window": (y, x, height, width)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if any(params["padding"]):
            fill = chosen_fill(self.fill, inpt)
            inpt = F.pad(inpt, params["padding"], fill, self.padding_mode)
        return F.crop(inpt, *params["window"])


class RandomResizedCrop(Transform):
    """A window of random area and aspect ratio, resized."""

    get_params = staticmethod(v1.RandomResizedCrop.get_params)

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair(size)
        check_ranges(scale, ratio)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        image_size(flat_inputs)
        return {"window": self.get_params(flat_inputs[0], self.scale, self.ratio)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        window = F.crop(inpt, *params["window"])
        return F.resize(window, self.size, self.interpolation, antialias=self.antialias)


class RandomRotation(Transform):
    """The image turned by a random angle."""

    get_params = staticmethod(v1.RandomRotation.get_params)

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = "nearest",
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        self.interpolation = interpolation
        self.expand = expand
        self.fill = fill
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"angle": self.get_params(self.degrees)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = filling(self.fill, inpt)
        return F.rotate(inpt, params["angle"], self.interpolation, self.expand, self.center, fill)


class RandomAffine(Transform):
    """The image turned, moved, scaled and sheared at random, about its centre."""

    get_params = staticmethod(v1.RandomAffine.get_params)

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        checked = v1.RandomAffine(degrees, translate, scale, shear, center=center)
        self.degrees = checked.degrees
        self.translate = translate
        self.scale = scale
        self.shear = checked.shear
        self.interpolation = interpolation
        self.fill = fill
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = image_size(flat_inputs)
        size = [width, height]
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, size)
        return {"map": drawn}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = filling(self.fill, inpt)
        angle, moved, scale, shear = params["map"]
        return F.affine(inpt, angle, moved, scale, shear, self.interpolation, fill, self.center)


class RandomPerspective(RandomTransform):
    """The image with its corners moved inwards at random, with probability `p`."""

    get_params = staticmethod(v1.RandomPerspective.get_params)

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = "bilinear",
        fill: Any = 0,
    ) -> None:
        super().__init__(p=p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale = distortion_scale
        self.interpolation = interpolation
        self.fill = fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = image_size(flat_inputs)
        return {"corners": self.get_params(width, height, self.distortion_scale)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = filling(self.fill, inpt)
        starts, ends = params["corners"]
        return F.perspective(inpt, starts, ends, self.interpolation, fill)


def _two(value: Any, name: str) -> list[float]:
    if not isinstance(value, (int, float, Sequence)):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {type(value)}")
    values = [value] if isinstance(value, (int, float)) else list(value)
    if len(values) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(values)}")
    return [float(each) for each in (values if len(values) == 2 else values * 2)]


class ElasticTransform(Transform):
    """The image seen through moving water: `alpha` how much it moves, `sigma` how smoothly."""

    get_params = staticmethod(v1.ElasticTransform.get_params)

    def __init__(
        self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = "bilinear", fill: Any = 0
    ) -> None:
        super().__init__()
        self.alpha = _two(alpha, "alpha")
        self.sigma = _two(sigma, "sigma")
        self.interpolation = interpolation
        self.fill = fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        size = list(image_size(flat_inputs))
        return {"displacement": self.get_params(self.alpha, self.sigma, size)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = filling(self.fill, inpt)
        return F.elastic(inpt, params["displacement"], self.interpolation, fill)


class RandomZoomOut(RandomTransform):
    """The image on a larger canvas, with probability `p`."""

    def __init__(self, fill: Any = 0, side_range: Any = (1.0, 4.0), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.fill = fill
        check_sequence(side_range, "side_range", (2,))
        self.side_range = side_range
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = image_size(flat_inputs)
        low, high = self.side_range
        ratio = draws.in_float32(low, high - low, draws.unit())
        more_x, more_y = int(width * ratio) - width, int(height * ratio) - height
        left = int(draws.in_float32(0.0, more_x, draws.unit()))
        top = int(draws.in_float32(0.0, more_y, draws.unit()))
        return {"padding": [left, top, more_x - left, more_y - top]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = chosen_fill(self.fill, inpt)
        return F.pad(inpt, params["padding"], fill)


class _RandomSize(Transform):
    """Resized to a size drawn by `make_params`."""

    interpolation: Any
    antialias: bool | None

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.resize(inpt, params["size"], self.interpolation, antialias=self.antialias)


class ScaleJitter(_RandomSize):
    """The image resized to fit into `target_size`, times a random scale."""

    def __init__(
        self,
        target_size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = image_size(flat_inputs)
        low, high = self.scale_range
        scale = draws.in_float32(low, high - low, draws.unit())
        fit = min(self.target_size[1] / height, self.target_size[0] / width)
        ratio = draws.in_float32(0.0, fit, scale)
        sizes = (int(draws.in_float32(0.0, ratio, each)) for each in (height, width))
        return {"size": list(sizes)}


class RandomShortestSize(_RandomSize):
    """The shorter side at a random one of `min_size`, the longer at most `max_size`."""

    def __init__(
        self,
        min_size: Any,
        max_size: int | None = None,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = image_size(flat_inputs)
        ratio = self.min_size[draws.integer(0, len(self.min_size))] / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": [int(height * ratio), int(width * ratio)]}


class RandomResize(_RandomSize):
    """The shorter side at a random length of [min_size, max_size)."""

    def __init__(
        self,
        min_size: int,
        max_size: int,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [draws.integer(self.min_size, self.max_size)]}
