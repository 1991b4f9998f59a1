"""What layers inside a model give: torchvision.models._utils."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import flambeau.nn as nn
from flambeau.vision.models.widths import divisible

__all__ = ["IntermediateLayerGetter", "_make_divisible"]

_make_divisible = divisible


class IntermediateLayerGetter(nn.ModuleDict):
    """The first layers of a model, run in turn: what the named ones give, by new names.

    The model must be those layers and nothing more. ValueError where a name is no layer of it.
    """

    def __init__(self, model: nn.Module, return_layers: Mapping[str, Any]) -> None:
        layers = OrderedDict(model.named_children())
        if not set(return_layers) <= set(layers):
            raise ValueError("return_layers are not present in model")
        last = max(list(layers).index(name) for name in return_layers) if return_layers else -1
        super().__init__(OrderedDict(list(layers.items())[: last + 1]))
        self.return_layers = return_layers

    def forward(self, x: Any) -> OrderedDict[Any, Any]:
        given: OrderedDict[Any, Any] = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if name in self.return_layers:
                given[self.return_layers[name]] = x
        return given
