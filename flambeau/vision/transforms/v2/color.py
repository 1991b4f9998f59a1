"""v2: transforms of colours."""

from __future__ import annotations

from typing import Any

from flambeau.vision.transforms import color as v1
from flambeau.vision.transforms import draws
from flambeau.vision.transforms.arguments import pair
from flambeau.vision.transforms.v2 import functional as F
from flambeau.vision.transforms.v2.transform import RandomTransform, Transform, image_dimensions


class Grayscale(Transform):
    """The image in gray, with one or three channels."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.rgb_to_grayscale(inpt, self.num_output_channels)


class RGB(Transform):
    """The image with three channels."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.grayscale_to_rgb(inpt)


class RandomGrayscale(RandomTransform):
    """The image in gray (with as many channels), with probability `p`."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p=p)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.rgb_to_grayscale(inpt, F.get_num_channels(inpt))


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(
        self, brightness: Any = None, contrast: Any = None, saturation: Any = None, hue: Any = None
    ) -> None:
        super().__init__()
        ranges = v1.ColorJitter(brightness or 0, contrast or 0, saturation or 0, hue or 0)
        self.brightness = ranges.brightness
        self.contrast = ranges.contrast
        self.saturation = ranges.saturation
        self.hue = ranges.hue

    get_params = staticmethod(v1.ColorJitter.get_params)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        return {"order": order, "factors": factors}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        change = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for place in params["order"]:
            if params["factors"][place] is not None:
                inpt = change[place](inpt, params["factors"][place])
        return inpt


class RandomChannelPermutation(Transform):
    """The channels in random order."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"permutation": draws.order(image_dimensions(flat_inputs)[0])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.permute_channels(inpt, params["permutation"])


class RandomPhotometricDistort(Transform):
    """Each of brightness, contrast, saturation, hue and channels changed with probability `p`."""

    def __init__(
        self,
        brightness: tuple[float, float] = (0.875, 1.125),
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: tuple[float, float] = (-0.05, 0.05),
        p: float = 0.5,
    ) -> None:
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels = image_dimensions(flat_inputs)[0]
        drawn: dict[str, Any] = {}
        for name in ("brightness", "contrast", "saturation", "hue"):
            low, high = getattr(self, name)
            drawn[name] = draws.uniform(low, high) if draws.happens(self.p) else None
        drawn["contrast first"] = draws.happens(0.5)
        drawn["channels"] = draws.order(channels) if draws.happens(self.p) else None
        return drawn

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        steps = [
            (F.adjust_brightness, params["brightness"]),
            (F.adjust_saturation, params["saturation"]),
            (F.adjust_hue, params["hue"]),
        ]
        place = 1 if params["contrast first"] else 3
        steps.insert(place, (F.adjust_contrast, params["contrast"]))
        for change, factor in steps:
            if factor is not None:
                inpt = change(inpt, factor)
        if params["channels"] is not None:
            inpt = F.permute_channels(inpt, params["channels"])
        return inpt


class RandomInvert(RandomTransform):
    """The negative, with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.invert(inpt)


class RandomAutocontrast(RandomTransform):
    """Each channel stretched from black to white, with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.autocontrast(inpt)


class RandomEqualize(RandomTransform):
    """Each channel with an even histogram, with probability `p`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.equalize(inpt)


class RandomPosterize(RandomTransform):
    """Only the upper `bits` of each byte, with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.bits = bits

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.posterize(inpt, self.bits)


class RandomSolarize(RandomTransform):
    """Values from `threshold` on inverted, with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.threshold = threshold

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.solarize(inpt, self.threshold)


class RandomAdjustSharpness(RandomTransform):
    """The image sharpened (or blurred, below 1), with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.sharpness_factor = sharpness_factor

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.adjust_sharpness(inpt, self.sharpness_factor)


class GaussianBlur(Transform):
    """The image blurred with a random deviation."""

    get_params = staticmethod(v1.GaussianBlur.get_params)

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        checked = v1.GaussianBlur(kernel_size, sigma)
        self.sigma = [float(each) for each in checked.sigma]

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sigma = self.get_params(*self.sigma)
        return {"sigma": [sigma, sigma]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.gaussian_blur(inpt, self.kernel_size, params["sigma"])
