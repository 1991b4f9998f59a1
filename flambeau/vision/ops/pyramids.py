"""Feature pyramids: maps of several sizes that know of each other (Lin et al., 1612.03144)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer

Maps = list[Tensor]


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, a=1)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0)


class ExtraFPNBlock(nn.Module):
    """What makes smaller maps of a pyramid's: to be derived from."""

    def forward(self, results: Maps, x: Maps, names: list[str]) -> tuple[Maps, list[str]]:
        raise NotImplementedError(f"{type(self).__name__} has no forward")


class LastLevelMaxPool(ExtraFPNBlock):
    """One more map, "pool": every second place of the last."""

    def forward(self, results: Maps, x: Maps, names: list[str]) -> tuple[Maps, list[str]]:
        last: Tensor = nn.functional.max_pool2d(results[-1], 1, 2, 0)
        return [*results, last], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two more maps by convolutions, of the last result, or of the last input if wider."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for module in (self.p6, self.p7):
            _draw(module)
        self.use_P5 = in_channels == out_channels

    def forward(self, results: Maps, x: Maps, names: list[str]) -> tuple[Maps, list[str]]:
        p6 = self.p6(results[-1] if self.use_P5 else x[-1])
        return [*results, p6, self.p7(nn.functional.relu(p6))], [*names, "p6", "p7"]


class FeaturePyramidNetwork(nn.Module):
    """Maps by name, (N, C_i, H_i, W_i) from large to small, to maps of out_channels each.

    ValueError for a C_i of 0, TypeError where extra_blocks is no ExtraFPNBlock.
    """

    def __init__(
        self,
        in_channels_list: Sequence[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList()
        self.layer_blocks = nn.ModuleList()
        for channels in in_channels_list:
            if channels == 0:
                raise ValueError("in_channels=0 is currently not supported")
            for blocks, inside, kernel in (
                (self.inner_blocks, channels, 1),
                (self.layer_blocks, out_channels, 3),
            ):
                blocks.append(
                    Conv2dNormActivation(
                        inside,
                        out_channels,
                        kernel,
                        norm_layer=norm_layer,
                        activation_layer=None,
                    )
                )
        for module in self.modules():
            _draw(module)
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(
                f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}"
            )
        self.extra_blocks = extra_blocks

    def forward(self, x: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
        names, maps = list(x), list(x.values())
        results: Maps = []
        above: Tensor | None = None
        for index in reversed(range(len(maps))):
            here: Tensor = self.inner_blocks[index](maps[index])
            if above is not None:
                size = tuple(here.shape[-2:])
                here = here + nn.functional.interpolate(above, size=size, mode="nearest")
            results.insert(0, self.layer_blocks[index](here))
            above = here
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(zip(names, results, strict=True))
