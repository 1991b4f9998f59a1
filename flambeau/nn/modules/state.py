"""Saving and loading a module's state."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from flambeau.nn._torch import Parameter, Tensor, is_tensor, no_grad
from flambeau.nn.modules.hooks import RemovableHandle
from flambeau.nn.parameter import is_lazy

_EXTRA_STATE = "_extra_state"


def type_name(value: Any) -> str:
    """Return how PyTorch names the type of `value`: 'torch.FloatTensor', 'int', 'my.Class'."""
    if isinstance(value, Tensor):
        return str(value.type())
    kind = value if isinstance(value, type) else type(value)
    module = kind.__module__
    if module in ("builtins", "__builtin__", ""):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` returns."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _OwnedHook:
    """A load_state_dict pre-hook that is also told which module it is for."""

    def __init__(self, hook: Callable[..., Any], module: Any) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


class StateMixin:
    """The part of `Module` that saves and loads state."""

    _version: int
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]
    _adopt: Callable[[], None]

    # Saving

    def get_extra_state(self) -> Any:
        """Return whatever else belongs into the state_dict; meant to be overridden."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned; meant to be overridden."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called."
        )

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Write this module's own tensors into `destination`."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not StateMixin.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def state_dict(
        self,
        *args: Any,
        destination: Any = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> Any:
        """Return an OrderedDict from path to parameter or persistent buffer, detached."""
        if args:
            # PyTorch's deprecated positional form.
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local
        for pre_hook in self._state_dict_pre_hooks.values():
            pre_hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, local)
            if not getattr(hook, "_from_public_api", False):
                if replaced is not None:
                    destination = replaced
            elif replaced is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    # Loading

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Read this module's own tensors from `state_dict`; append what went wrong to the lists."""
        shared = (prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, *shared)
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        state = {name: p for name, p in self._parameters.items() if p is not None}
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                state[name] = buffer
        for name, mine in state.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_one(name, key, mine, state_dict[key], assign)
                if problem is not None:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(state_dict, prefix, strict, missing_keys, unexpected_keys)
        if strict:
            self._note_unexpected(state_dict, prefix, state, unexpected_keys)

    def _load_extra_state(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
    ) -> None:
        key = prefix + _EXTRA_STATE
        if type(self).set_extra_state is not StateMixin.set_extra_state:
            if key in state_dict:
                self.set_extra_state(state_dict[key])
            elif strict:
                missing_keys.append(key)
        elif strict and key in state_dict:
            unexpected_keys.append(key)

    def _note_unexpected(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        state: dict[str, Any],
        unexpected_keys: list[str],
    ) -> None:
        for key in state_dict:
            if not key.startswith(prefix) or key == prefix + _EXTRA_STATE:
                continue
            first, *deeper = key[len(prefix) :].split(".", 1)
            if deeper:
                known = first in self._modules
            else:
                known = first in state
            if not known:
                unexpected_keys.append(key)

    def _load_one(self, name: str, key: str, mine: Any, given: Any, assign: bool) -> str | None:
        """Load one tensor; return what went wrong, or None."""
        if not is_tensor(given):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(given)}"
            )
        if is_lazy(mine) and is_lazy(given):
            return None
        if mine.dim() == 0 and tuple(given.shape) == (1,):
            given = given[0]
        if given.shape != mine.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from "
                f"checkpoint, the shape in current model is {mine.shape}."
            )
        try:
            with no_grad():
                if not assign:
                    mine.copy_(given)
                    return None
                if isinstance(mine, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(mine.requires_grad)
                    else:
                        given = Parameter(given, requires_grad=mine.requires_grad)
                setattr(self, name, given)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", '
                f"whose dimensions in the model are {mine.size()} and "
                f"whose dimensions in the checkpoint are {given.size()}, "
                f"an exception occurred : {error.args}."
            )
        return None

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy (or with `assign` adopt) the tensors of `state_dict`; RuntimeError on mismatch."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        self._adopt()
        metadata = getattr(state_dict, "_metadata", None) or {}
        missing: list[str] = []
        unexpected: list[str] = []
        problems: list[str] = []
        # Hooks may edit what they are given.
        own: Any = OrderedDict(state_dict)
        own._metadata = metadata
        self._load_tree(self, own, "", metadata, assign, (missing, unexpected, problems))
        if strict:
            if unexpected:
                names = ", ".join(f'"{key}"' for key in unexpected)
                problems.insert(0, f"Unexpected key(s) in state_dict: {names}. ")
            if missing:
                names = ", ".join(f'"{key}"' for key in missing)
                problems.insert(0, f"Missing key(s) in state_dict: {names}. ")
        if problems:
            listed = "\n\t".join(problems)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        return _IncompatibleKeys(missing, unexpected)

    @staticmethod
    def _load_tree(
        module: Any,
        state: dict[str, Any],
        prefix: str,
        metadata: Mapping[str, Any],
        assign: bool,
        lists: tuple[list[str], list[str], list[str]],
    ) -> None:
        local = dict(metadata.get(prefix[:-1], {}))
        if assign:
            local["assign_to_params_buffers"] = True
        missing, unexpected, problems = lists
        # Strictness is decided at the end: the lists are wanted in either case.
        module._load_from_state_dict(state, prefix, local, True, missing, unexpected, problems)
        for name, child in module._modules.items():
            if child is None:
                continue
            below = f"{prefix}{name}."
            part = {key: value for key, value in state.items() if key.startswith(below)}
            StateMixin._load_tree(child, part, below, metadata, assign, lists)
        keys = _IncompatibleKeys(missing, unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )

    # Hooks

    def _state_hook(self, table: Any, hook: Callable[..., Any]) -> RemovableHandle:
        handle = RemovableHandle(table)
        table[handle.id] = hook
        return handle

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)`; its result replaces the dict."""
        return self._state_hook(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after saving."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return self._state_hook(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before saving."""
        return self._state_hook(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """Call `hook([module,] state_dict, prefix, ...)` before loading."""
        bound = _OwnedHook(hook, self) if with_module else hook
        return self._state_hook(self._load_state_dict_pre_hooks, bound)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, ...)` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading."""
        return self._state_hook(self._load_state_dict_post_hooks, hook)
