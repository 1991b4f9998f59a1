"""Attributes of modules that are functions of other parameters."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau.nn._torch import Parameter, Tensor, no_grad
from flambeau.nn.modules.container import ModuleDict, ModuleList
from flambeau.nn.modules.module import Module

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_SHAPE, _DTYPE = "shape", "dtype"


class _Cache(threading.local):
    """Per thread: how many `cached` blocks are open, and the values computed within."""

    def __init__(self) -> None:
        self.depth = 0
        self.values: dict[tuple[int, str], Any] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Within this context every parametrised tensor is computed once."""
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values = {}


def _set_value(tensor: Tensor, value: Tensor) -> None:
    """Give a tensor other memory: who holds the old memory (a state_dict) keeps its values."""
    tensor.data = value.detach()


def _registered(original: Any, value: Tensor) -> Any:
    """The value as a parameter, or as a buffer if the original was one."""
    if isinstance(original, Parameter):
        return Parameter(value.detach(), requires_grad=original.requires_grad)
    return value


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, with its `original` (or `original0`, ...)."""

    original: Tensor
    unsafe: bool

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = (original.shape, original.dtype)
        new = self._inverted(original)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            if new.dtype is not original.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\n"
                    f"right_inverse(original).dtype: {new.dtype}"
                )
            if new is not original:
                _set_value(original, new)
            self._register("original", original)
        else:
            for place, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors "
                        "(list, tuple...). "
                        f"Got element {place} of the sequence with type {type(part).__name__}."
                    )
                self._register(f"original{place}", _registered(original, part))
        if not unsafe:
            self._check_forward(*before)

    def _inverted(self, original: Tensor) -> Any:
        """What the parametrisations make the original of, the last first."""
        new: Any = original
        with no_grad():
            for module in reversed(list(self._modules.values())):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        continue
        if not isinstance(new, Tensor) and not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors "
                f"(list, tuple...). Got {type(new).__name__}"
            )
        return new

    def _register(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        else:
            self.register_buffer(name, value)

    def _check_forward(self, shape: Any, dtype: Any) -> None:
        made = self()
        if not isinstance(made, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
        if made.dtype is not dtype:
            raise ValueError(_changed(_DTYPE, dtype, made.dtype))
        if made.shape != shape:
            raise ValueError(_changed(_SHAPE, shape, made.shape))

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrised tensor becomes `value`."""
        with no_grad():
            new: Any = value
            for module in reversed(list(self._modules.values())):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
            if self.is_tensor:
                if not isinstance(new, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(new)}")
                self._assign("original", self.original, new)
                return
            if not isinstance(new, Sequence):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors. Got {type(new)}."
                )
            if len(new) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got a sequence of length {len(new)}."
                )
            for place, part in enumerate(new):
                self._assign(f"original{place}", getattr(self, f"original{place}"), part)

    def _assign(self, name: str, mine: Tensor, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(f"`right_inverse` must return tensors. Got {type(value)}")
        if mine.dtype is not value.dtype:
            raise ValueError(
                f"Tensor returned by `right_inverse` has dtype {value.dtype} "
                f"while `{name}` has dtype {mine.dtype}"
            )
        _set_value(mine, value)

    def forward(self) -> Any:
        """Return the parametrised tensor."""
        first, *rest = self._modules.values()
        if self.is_tensor:
            made = first(self.original)
        else:
            made = first(*(getattr(self, f"original{place}") for place in range(self.ntensors)))
        for module in rest:
            made = module(made)
        return made


def _changed(what: str, before: Any, after: Any) -> str:
    return (
        f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` "
        f"flag is enabled.\nunparametrized {what}: {before}\nparametrized {what}: {after}"
    )


def _parametrised_class(module: Module) -> None:
    """Give the module a class of its own, on which properties can stand."""
    kind = type(module)

    def getstate(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        twin = self.__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(Module.__getstate__(self), memo))
        # The copy's properties must be its own: they are removed one by one.
        names = list(self.parametrizations)
        twin.__class__ = type(self).__bases__[0]
        _parametrised_class(twin)
        for name in names:
            _add_property(twin, name)
        return twin

    body: dict[str, Any] = {"__getstate__": getstate}
    if not hasattr(kind, "__deepcopy__"):
        body["__deepcopy__"] = deepcopy
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), body)


def _add_property(module: Module, name: str) -> None:
    def value_of(self: Any) -> Any:
        made = self.parametrizations[name]
        if not _cache.depth:
            return made()
        key = (id(self), name)
        found = _cache.values.get(key)
        if found is None:
            found = _cache.values[key] = made()
        return found

    def assign(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(value_of, assign))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer `parametrization(original)`; return the module.

    The original moves to `module.parametrizations[tensor_name]`. Assigning to the attribute needs
    a `right_inverse`. `unsafe` allows another shape or dtype.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _add_to_list(module, tensor_name, parametrization, unsafe)
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _parametrised_class(module)
            object.__getattribute__(module, "_modules")["parametrizations"] = ModuleDict()
        _add_property(module, tensor_name)
        _of(module)[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    return module


def _of(module: Module) -> Any:
    return module._modules["parametrizations"]


def _add_to_list(module: Module, name: str, parametrization: Module, unsafe: bool) -> None:
    """One more parametrisation on top of others."""
    listed = _of(module)[name]
    if not unsafe:
        value = getattr(module, name)
        made = parametrization(value)
        if not isinstance(made, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
        if made.dtype is not value.dtype:
            raise ValueError(_changed(_DTYPE, value.dtype, made.dtype))
        if made.shape != value.shape:
            raise ValueError(_changed(_SHAPE, value.shape, made.shape))
        if hasattr(parametrization, "right_inverse"):
            back = parametrization.right_inverse(made)
            if not isinstance(back, Tensor):
                raise ValueError(
                    "parametrization.right_inverse must return a tensor. "
                    f"Got: {type(back).__name__}"
                )
            if back.dtype is not value.dtype:
                raise ValueError(
                    "The tensor returned by parametrization.right_inverse must have the same dtype "
                    f"as module.{name}.\nmodule.{name}.dtype: {value.dtype}\n"
                    f"returned dtype: {back.dtype}"
                )
            if back.shape != value.shape:
                raise ValueError(
                    "The tensor returned by parametrization.right_inverse must have the same shape "
                    f"as module.{name}.\nmodule.{name}.shape: {value.shape}\n"
                    f"returned shape: {back.shape}"
                )
    listed.append(parametrization)
    listed.unsafe |= unsafe


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module (or one tensor of it) has a parametrisation."""
    listed = module._modules.get("parametrizations")
    if listed is None or not isinstance(listed, ModuleDict):
        return False
    return len(listed) > 0 if tensor_name is None else tensor_name in listed


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make the tensor a parameter or buffer again: its parametrised value, or the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    listed = _of(module)[tensor_name]
    if listed.is_tensor:
        original = listed.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name)
            _set_value(original, value)
    elif leave_parametrized:
        value = getattr(module, tensor_name).detach()
        learns = any(p.requires_grad for p in listed.parameters(recurse=False))
        original = Parameter(value, requires_grad=learns)
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del _of(module)[tensor_name]
    if not is_parametrized(module):
        del module._modules["parametrizations"]
        module.__class__ = type(module).__bases__[0]
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    return module


def type_before_parametrizations(module: Module) -> type:
    """Return the class of the module without its parametrisations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrisations (and values) of `from_module`; return it."""
    if not is_parametrized(from_module):
        return to_module
    if not isinstance(from_module.parametrizations, ModuleDict):
        raise AssertionError("from_module.parametrizations must be a ModuleDict")
    names: Any = from_module.parametrizations if tensor_name is None else [tensor_name]
    for name in list(names):
        if not hasattr(to_module, name):
            value = from_module.parametrizations[name].original
            to_module.register_parameter(name, Parameter(value.detach().clone()))
        for parametrization in from_module.parametrizations[name]:
            register_parametrization(to_module, name, parametrization)
        source = from_module.parametrizations[name]
        target = to_module.parametrizations[name]
        originals: OrderedDict[str, Any] = source._parameters
        for key, value in originals.items():
            setattr(target, key, value)
    return to_module
