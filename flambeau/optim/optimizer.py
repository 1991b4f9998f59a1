"""`Optimizer`: parameter groups, their state, and what saves and restores it."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from operator import is_
from typing import Any, TypeAlias

from flambeau.core.errors import add_note
from flambeau.nn._torch import Tensor, float32, tensor
from flambeau.nn.modules.hooks import RemovableHandle
from flambeau.nn.modules.state import type_name
from flambeau.record.recorder import LOCAL, end_step

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
_global_pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()


def same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two sequences hold the same objects (`==` of tensors is elementwise)."""
    return len(a) == len(b) and all(map(is_, a, b))


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

# Names that optimizers written outside of PyTorch import.
ParamsT: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"


def _default_to_fused_or_foreach(
    params: list[Tensor], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Neither: a step is one program however its optimizer is written."""
    return False, False


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before the step of every optimiser."""
    handle = RemovableHandle(_global_pre_hooks)
    _global_pre_hooks[handle.id] = hook
    return handle


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after the step of every optimiser."""
    handle = RemovableHandle(_global_post_hooks)
    _global_post_hooks[handle.id] = hook
    return handle


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        if "_optimizer_step_pre_hooks" not in own:  # a wrapper that is no optimizer of its own
            return step(self, *args, **kwargs)
        before, after = own["_optimizer_step_pre_hooks"], own["_optimizer_step_post_hooks"]
        if not (before or after or _global_pre_hooks or _global_post_hooks):
            return step(self, *args, **kwargs) if args or kwargs else step(self)
        given: tuple[Any, ...] = (self, *args)
        for hook in [*_global_pre_hooks.values(), *before.values()]:
            replaced = hook(self, given, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {replaced}."
                )
            given, kwargs = replaced
        result = step(*given, **kwargs)
        for hook in [*after.values(), *_global_post_hooks.values()]:
            hook(self, given, kwargs)
        return result

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


class Optimizer:
    """Base class: `params` is an iterable of tensors, of (name, tensor) or of group dicts.

    Note: step counts
        In a state_dict a parameter's `step` is a 0-d float32 tensor, as in PyTorch. The step
        itself needs the number in Python, and must not wait for a tensor. So the optimiser counts
        in `_counts` and writes the tensors when somebody looks: `state` and `state_dict` do.
        Once `state` has been handed out, somebody may keep it: from then on every step keeps
        the tensors up to date and reads back those that were changed.
    """

    # The applications of the last step, where they are all there is to a step: (update, what is
    # fixed of it, its place in `_applied`, what stands there).
    _known: list[tuple[Any, Any, Any, Any]] | None = None
    _entering: Any = None  # what a step uses, where it is known to enter together
    _recorded: Any = None  # the recording that the last step is part of
    _stepped: Sequence[Sequence[Tensor]] = ()  # the parameters of the last step
    _beginning: list[Tensor]  # those that take their first step in the one under way
    _begun: tuple[Any, list[Tensor]] | None = None  # and in which recording they have done so

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if step is not None and not getattr(step, "hooked", False):
            cls.step = _with_hooks(step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for table in _HOOK_TABLES:
            setattr(self, table, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {type_name(params)}"
            )
        if hasattr(params, "named_parameters") and not hasattr(params, "__iter__"):
            error = TypeError(f"'{type(params).__name__}' object is not iterable")
            add_note(error, "  hint: pass the model's parameters: model.parameters()")
            raise error
        self._state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self._counts: dict[Tensor, int] = {}
        self._written: dict[Tensor, tuple[Any, int]] = {}
        # Per rule: the parameters of the last step and their state tensors, in order.
        self._applied: dict[Any, tuple[list[Any], list[Any], Any]] = {}
        # Parameters that step together and their common count, by the first one's id.
        self._together: dict[int, list[Any]] = {}
        self._exposed = False
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        # What made the parameters is a program by itself: the first step is like those that follow,
        # where there is no state that it makes.
        end_step()

    # State

    @property
    def state(self) -> defaultdict[Any, dict[str, Any]]:
        """The state of each parameter: a dictionary of tensors."""
        if "_counts" not in self.__dict__:  # a wrapper that is no optimizer of its own
            return self._state
        self._undo_if_failed()
        self._write_steps()
        self._exposed = True
        return self._state

    @state.setter
    def state(self, value: defaultdict[Any, dict[str, Any]]) -> None:
        self._state = value
        if "_counts" not in self.__dict__:
            return
        self._applied.clear()
        self._together.clear()
        self._counts.clear()
        self._written.clear()
        self._read_steps()

    def _write_steps(self) -> None:
        """Bring the `step` tensors up to what was counted."""
        self._count_each()
        for param, count in self._counts.items():
            known = self._written.get(param)
            if known is not None and known[1] == count:
                continue
            state = self._state[param]
            step = state.get("step")
            if isinstance(step, Tensor):
                step.fill_(count)
            else:
                state["step"] = step = tensor(float(count), dtype=float32)
            self._written[param] = ((step, step._version), count)

    def _read_steps(self) -> None:
        """Take over the `step` tensors that were put there or changed by somebody else."""
        self._count_each()
        for param, state in self._state.items():
            step = state.get("step") if isinstance(state, dict) else None
            if step is None:
                self._counts.pop(param, None)
                self._written.pop(param, None)
                continue
            if not isinstance(step, Tensor):
                step = state["step"] = tensor(float(step), dtype=float32)
            mark, _ = self._written.get(param, (None, 0))
            if mark is None or mark[0] is not step or mark[1] != step._version:
                count = int(step.item())
                self._counts[param] = count
                self._written[param] = ((step, step._version), count)

    def _start_counting(self, param: Tensor) -> dict[str, Any]:
        """Return the state of `param`, with a step count of zero where it was empty."""
        state = self._state[param]
        if not state:
            self._applied.clear()
            step = state["step"] = tensor(0.0, dtype=float32)
            self._counts[param] = 0
            self._written[param] = ((step, step._version), 0)
        return state

    def _cohorts(self, params: Sequence[Tensor]) -> dict[int, list[Tensor]]:
        """Count a step of every parameter; group them by their new count (mostly all the same)."""
        known = self._together.get(id(params[0]))
        if known is not None and same(known[0], params):
            known[1] += 1
            return {known[1]: known[0]}
        self._count_each()
        counts = self._counts
        cohorts: dict[int, list[Tensor]] = {}
        for param in params:
            count = counts[param] = counts[param] + 1
            cohorts.setdefault(count, []).append(param)
        if len(cohorts) == 1 and not self._exposed:
            self._together[id(params[0])] = [list(params), count]
        return cohorts

    def _counted(self, params: Sequence[Tensor]) -> bool:
        """Whether these parameters have stepped together before, and nothing has changed since."""
        known = self._together.get(id(params[0]))
        return known is not None and same(known[0], params)

    def _count_each(self) -> None:
        """Write the counts of parameters that step together into `_counts`."""
        for params, count in self._together.values():
            for param in params:
                self._counts[param] = count
        self._together.clear()

    def _undo_if_failed(self) -> None:
        """Forgets the last step where it never happened: its program has failed on bad data.

        PyTorch's loss raises before the step is even called.
        """
        if self._recorded is None or not self._recorded.failed:
            return
        begun, self._begun = self._begun, None
        firsts = set(begun[1]) if begun is not None and begun[0] is self._recorded else ()
        self._recorded = None
        self._count_each()
        for param in (param for params in self._stepped for param in params):
            state = self._state.get(param, {})
            if param in firsts or any(getattr(part, "_failure", None) for part in state.values()):
                self._state.pop(param, None)
                self._counts.pop(param, None)
            elif param in self._counts:
                self._counts[param] -= 1
        self._written.clear()
        self._applied.clear()
        self._known = self._entering = None

    # Steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; `closure` recomputes the loss, which is returned."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop (or, with `set_to_none=False`, zero) the gradients."""
        if set_to_none:
            capture = LOCAL.capture
            if self._recorded is not None and self._recorded.failed:
                self._undo_if_failed()
            for group in self.param_groups:
                for param in group["params"]:
                    param._grad = None
                if capture is not None:
                    capture.cleared.update(map(id, group["params"]))
            self._step_begins()
            return
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def _step_begins(self) -> None:
        """Hook for `zero_grad`: a training step probably begins here."""

    # Groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own hyper-parameters."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list "
                "instead."
            )
        tensors, names = _split_names(list(params))
        param_group["params"] = tensors
        if names:
            param_group["param_names"] = names
        for param in tensors:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type_name(param)}"
                )
            if not (self.defaults.get("differentiable") or param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        self._require_disjoint(param_group)
        self.param_groups.append(param_group)

    def _require_disjoint(self, group: dict[str, Any]) -> None:
        params = group["params"]
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=4,
            )
        known = {p for other in self.param_groups for p in other["params"]}
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        for other in self.param_groups:
            if ("param_names" in other) != ("param_names" in group):
                how = "with" if "param_names" in group else "without"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {how} names to the optimizer"
                )

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return {'state': {index: tensors}, 'param_groups': [...]}, as PyTorch's."""
        for pre_hook in self._table("state_dict_pre").values():
            pre_hook(self)
        self._undo_if_failed()
        self._write_steps()
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state: dict[Any, Any] = {}
        for key, value in self._state.items():
            if isinstance(key, Tensor):
                # A later step writes into the step tensor, not into a saved one.
                saved = dict(value)
                if isinstance(saved.get("step"), Tensor):
                    saved["step"] = saved["step"].clone()
                state[numbers[id(key)]] = saved
            else:
                state[key] = value
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for post_hook in self._table("state_dict_post").values():
            replaced = post_hook(self, result)
            if replaced is not None:
                result = replaced
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state_dict, ours or PyTorch's; ValueError where the groups differ."""
        self._write_steps()  # the dictionary may hold the very tensors that are in use
        state_dict = state_dict.copy()
        for pre_hook in self._table("load_state_dict_pre").values():
            replaced = pre_hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        saved = deepcopy(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        params: dict[Any, Tensor] = {}
        for group, new in zip(self.param_groups, saved):
            if len(group["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group "
                    "that doesn't match the size of optimizer's group"
                )
            params.update(zip(new["params"], group["params"]))
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _fitted(params[key], value, None)
            else:
                state[key] = value
        self.__setstate__({"state": state, "param_groups": saved})
        for post_hook in self._table("load_state_dict_post").values():
            post_hook(self)

    def __getstate__(self) -> dict[str, Any]:
        self._undo_if_failed()
        self._write_steps()
        return {
            "defaults": self.defaults,
            "state": self._state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self.__dict__
        state = dict(state)
        new_state = state.pop("state", None)
        own.update(state)
        for table in _HOOK_TABLES:
            own.setdefault(table, OrderedDict())
        own.setdefault("_counts", {})
        own["_applied"] = {}
        own["_together"] = {}
        own.setdefault("_written", {})
        own.setdefault("_exposed", False)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
        if new_state is not None:
            self.state = new_state

    def __repr__(self) -> str:
        text = ""
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(
                f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"
            )
        return f"{type(self).__name__} ({text})"

    # Hooks

    def _table(self, kind: str) -> Any:
        return self.__dict__[f"_optimizer_{kind}_hooks"]

    def _hook(self, kind: str, hook: Callable[..., Any], prepend: bool) -> RemovableHandle:
        table = self._table(kind)
        handle = RemovableHandle(table)
        table[handle.id] = hook
        if prepend:
            table.move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return self._hook("step_pre", hook, False)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._hook("step_post", hook, False)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before saving."""
        return self._hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after saving; its result replaces the dict."""
        return self._hook("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; its result replaces the dict."""
        return self._hook("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return self._hook("load_state_dict_post", hook, prepend)


def _split_names(params: list[Any]) -> tuple[list[Any], list[str]]:
    """Return the tensors, and their names where they came as (name, tensor)."""
    names = [p[0] for p in params if isinstance(p, tuple)]
    tensors = [p[1] if isinstance(p, tuple) else p for p in params]
    if names and len(names) != len(tensors):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return tensors, names


def _fitted(param: Tensor, value: Any, key: Any) -> Any:
    """Return saved state with its tensors in the dtype and on the device of the parameter."""
    if isinstance(value, Tensor):
        if key == "step":
            return value  # as PyTorch: the very tensor, which counts on
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, Mapping):
        return {k: _fitted(param, v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fitted(param, v, None) for v in value)
    return value
