"""Pruning: parameters multiplied by masks of zeros and ones."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from flambeau.functional.ordering import topk
from flambeau.nn._torch import Tensor, cat, no_grad, ones_like, rand, zeros_like
from flambeau.nn.modules.module import Module

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A forward pre-hook that puts `name_orig * name_mask` in the place of a parameter."""

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask for a tensor of scores, on top of a mask."""

    def apply_mask(self, module: Module) -> Tensor:
        """Return the masked parameter."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        result: Tensor = mask.to(dtype=original.dtype) * original
        return result

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Prune `module.name` once more; return the hook."""
        before = _hook_of(module, name)
        if before is not None:
            key, earlier = before
            del module._forward_pre_hooks[key]
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        elif importance_scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if before is not None:
            container = PruningContainer()
            container._tensor_name = name
            listed = earlier if isinstance(earlier, PruningContainer) else None
            for member in listed or [earlier]:
                container.add_pruning_method(member)
            container.add_pruning_method(method)
            method = container
            default_mask = getattr(module, name + "_mask").detach().clone()
        else:
            default_mask = ones_like(original)
        try:
            with no_grad():
                mask = method.compute_mask(importance_scores, default_mask)
        except Exception:
            if before is not None:
                module._forward_pre_hooks[key] = earlier
            raise
        if before is None:
            module.register_parameter(name + "_orig", original)
            del module._parameters[name]
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """Return a masked copy of a tensor."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        start = ones_like(t) if default_mask is None else default_mask
        result: Tensor = t * self.compute_mask(importance_scores, default_mask=start)
        return result

    def remove(self, module: Module) -> None:
        """Make the masked parameter the parameter."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.detach()
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _hook_of(module: Module, name: str) -> tuple[int, BasePruningMethod] | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None


class PruningContainer(BasePruningMethod):
    """Several methods for one tensor, one after another."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method; TypeError for others, ValueError for one of another tensor."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}."
                f" Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask with what the last method prunes of the rest."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        kind = method.PRUNING_TYPE
        rest: Any
        if kind == "unstructured":
            rest = mask == 1
        elif kind == "structured":
            axis = method.dim % t.dim()
            others = [a for a in range(t.dim()) if a != axis]
            kept = mask.sum(dim=others) != 0
            rest = (slice(None),) * axis + (kept,)
        elif kind == "global":
            rest = slice(None)
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        new = mask.clone()
        new[rest] = method.compute_mask(t[rest], default_mask=mask[rest]).to(mask.dtype)
        return new


class Identity(BasePruningMethod):
    """Prunes nothing: makes the mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask as it is."""
        return default_mask


def _check_amount(amount: Any) -> None:
    """TypeError or ValueError unless a count or a fraction."""
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    most = math.inf if isinstance(amount, numbers.Integral) else 1.0
    if not 0.0 <= float(amount) <= most:
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
            "integer"
        )


def _count(amount: Any, size: int) -> int:
    """How many of `size` to prune."""
    if not isinstance(amount, numbers.Integral):
        fraction: float = amount
        return round(fraction * size)
    if int(amount) > size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={size}"
        )
    return int(amount)


class _ByAmount(BasePruningMethod):
    def __init__(self, amount: float) -> None:
        _check_amount(amount)
        self.amount = amount


class RandomUnstructured(_ByAmount):
    """Prunes elements at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask with `amount` more zeros."""
        count = _count(self.amount, t.nelement())
        mask = default_mask.clone()
        if count:
            places = topk(rand(t.nelement()), k=count).indices
            mask = _with_zeros(mask, places)
        return mask


def _with_zeros(mask: Tensor, places: Any) -> Any:
    flat = mask.reshape(-1).clone()
    flat[places] = 0
    return flat.reshape(mask.shape)


class L1Unstructured(_ByAmount):
    """Prunes the elements of least absolute value."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask with `amount` more zeros."""
        count = _count(self.amount, t.nelement())
        mask = default_mask.clone()
        if count:
            places = topk(t.abs().reshape(-1), k=count, largest=False).indices
            mask = _with_zeros(mask, places)
        return mask


class _Structured(_ByAmount):
    """Prunes whole slices along a dimension."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _sliced_count(self, t: Tensor) -> int:
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. "
                f"Found tensor of shape {t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        return _count(self.amount, t.shape[self.dim])

    def _kept(self, mask: Any, t: Any, keep: Any) -> Any:
        """`mask` with zeros outside the slices `keep`."""
        slices: Any = [slice(None)] * t.dim()
        slices[self.dim] = keep
        chosen = zeros_like(t)
        chosen[tuple(slices)] = 1
        return mask * chosen.to(dtype=mask.dtype)


class RandomStructured(_Structured):
    """Prunes slices at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask without `amount` more slices."""
        count = self._sliced_count(t)
        if count == 0:
            return default_mask
        scores: Any = rand(t.shape[self.dim])
        threshold = topk(scores, k=count, largest=False).values.max()
        channels: Any = scores > threshold
        result: Tensor = self._kept(default_mask, t, channels)
        return result


class LnStructured(_Structured):
    """Prunes the slices of least norm."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask without `amount` more slices."""
        count = self._sliced_count(t)
        if count == 0:
            return default_mask
        size = t.shape[self.dim]
        axis = self.dim % t.dim()
        others = [a for a in range(t.dim()) if a != axis]
        norms: Any = t.norm(p=self.n, dim=others)
        keep = topk(norms, k=size - count, largest=True).indices
        result: Tensor = self._kept(default_mask, t, keep)
        return result


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the product of both masks."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError("default_mask and self.mask must have the same shape")
        result: Tensor = default_mask * self.mask.to(dtype=default_mask.dtype)
        return result


def identity(module: Module, name: str) -> Module:
    """Give `module.name` a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune elements at random: a count, or a fraction."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the elements of least absolute value: a count, or a fraction."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune slices along `dim` at random: a count, or a fraction."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the slices along `dim` of least n-norm: a count, or a fraction."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one vector."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    given = [(module, name) for module, name in parameters]
    importance_scores = {} if importance_scores is None else importance_scores
    if not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    tensors = [getattr(module, name) for module, name in given]
    scores = cat(
        [importance_scores.get(key, value).reshape(-1) for key, value in zip(given, tensors)]
    )
    masks = [
        getattr(module, name + "_mask", ones_like(value))
        for (module, name), value in zip(given, tensors)
    ]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for '
            f"the `pruning_method`. Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    with no_grad():
        whole: Any = container.compute_mask(scores, cat([m.reshape(-1) for m in masks]))
    start = 0
    for (module, name), value in zip(given, tensors):
        part = whole[start : start + value.numel()].reshape(value.shape)
        custom_from_mask(module, name, mask=part)
        start += value.numel()


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where `mask` is zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Make the pruned parameter an ordinary one; ValueError where there is none."""
    found = _hook_of(module, name)
    if found is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    key, hook = found
    hook.remove(module)
    del module._forward_pre_hooks[key]
    return module


def is_pruned(module: Module) -> bool:
    """Whether the module, or one below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for part in module.modules()
        for hook in part._forward_pre_hooks.values()
    )
