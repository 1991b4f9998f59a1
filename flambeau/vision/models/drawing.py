"""Initial values that several families share."""

from __future__ import annotations

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor


def constant(module: nn.Module, weight: float | None = None, bias: float | None = 0.0) -> None:
    """Fills a layer's weight and bias, those that it has; None leaves one alone."""
    for name, value in (("weight", weight), ("bias", bias)):
        held = getattr(module, name, None)
        if value is not None and isinstance(held, Tensor):
            nn.init.constant_(held, value)


def kaiming(module: nn.Module) -> None:
    """Convolutions by He's rule over what leaves them (arXiv:1502.01852), norms as the identity.

    Other layers than these keep their values.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        constant(module)
    elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
        constant(module, 1.0)


def kaiming_and_heads(module: nn.Module) -> None:
    """As kaiming; linear layers are normal with deviation 0.01, without a bias."""
    kaiming(module)
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
        constant(module)
