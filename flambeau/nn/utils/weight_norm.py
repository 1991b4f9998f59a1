"""A weight as its length times its direction, recomputed before every call (the older form)."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from flambeau.nn._torch import Parameter, Tensor
from flambeau.nn.modules.module import Module

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

T = TypeVar("T", bound=Module)


def norm_except_dim(v: Tensor, dim: int = 0) -> Tensor:
    """Return the norm over all dimensions but `dim` (over all for -1), ready to broadcast."""
    if dim == -1:
        return v.norm()
    axes = [axis for axis in range(v.dim()) if axis != dim]
    if not axes:
        return v.abs()
    return (v * v).sum(axes, keepdim=True).sqrt()


def normalised_weight(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """Return v g / |v|, the norm over all dimensions but `dim`."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The forward pre-hook that puts g v / |v| in the place of a weight."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """Return the weight from its two parts."""
        g = getattr(module, self.name + "_g")
        v = getattr(module, self.name + "_v")
        return normalised_weight(v, g, self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Split a parameter in two; RuntimeError where that has been done."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two weight_norm hooks on the same parameter {name}"
                )
        made = WeightNorm(name, dim)
        weight = getattr(module, name)
        del module._parameters[name]
        module.register_parameter(
            name + "_g", Parameter(norm_except_dim(weight, made.dim).detach())
        )
        module.register_parameter(name + "_v", Parameter(weight.detach()))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Module) -> None:
        """Make the weight one parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: T, name: str = "weight", dim: int = 0) -> T:
    """Split `module.name` in length (`_g`) and direction (`_v`); `dim` None: one length."""
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated "
        "in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: T, name: str = "weight") -> T:
    """Take the splitting back; ValueError where there is none."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
