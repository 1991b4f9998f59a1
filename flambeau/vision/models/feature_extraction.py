"""torchvision.models.feature_extraction: not supported yet."""

from __future__ import annotations

from typing import Any, NoReturn

import flambeau.nn as nn

__all__ = ["create_feature_extractor", "get_graph_node_names"]


def _missing(name: str) -> NoReturn:
    raise NotImplementedError(
        f"{name} is not supported; forward hooks (module.register_forward_hook) see what a module "
        "inside a model gives, models.intermediate.IntermediateLayerGetter what its layers give"
    )


def create_feature_extractor(model: nn.Module, *args: Any, **kwargs: Any) -> NoReturn:
    """A model that gives what nodes inside it compute. NotImplementedError always."""
    _missing("create_feature_extractor")


def get_graph_node_names(model: nn.Module, *args: Any, **kwargs: Any) -> NoReturn:
    """The names of the nodes inside a model. NotImplementedError always."""
    _missing("get_graph_node_names")
