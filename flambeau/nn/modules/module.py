"""`Module`: the base class of everything that has parameters."""

from __future__ import annotations

import textwrap
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from flambeau.nn._torch import Buffer, Parameter, Tensor
from flambeau.nn.modules import hooks
from flambeau.nn.modules.conversion import ConversionMixin
from flambeau.nn.modules.hooks import BackwardWatch, RemovableHandle
from flambeau.nn.modules.registry import Registry
from flambeau.nn.modules.state import StateMixin, type_name
from flambeau.nn.modules.state import _IncompatibleKeys as _IncompatibleKeys
from flambeau.nn.modules.tree import TreeMixin
from flambeau.record.changes import CHANGES
from flambeau.record.places import ModuleCall

M = TypeVar("M", bound="Module")

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"
_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOK_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """Compute the result of a call; every subclass defines its own."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(TreeMixin, StateMixin, ConversionMixin):
    """Base class of all layers and models; assigning a Parameter or Module registers it."""

    dump_patches: bool = False
    _version: int = 1
    call_super_init: bool = False
    training: bool
    # True (on the instance, or on the class while global hooks exist): take the slow call path.
    _hooked: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            name = type(self).__name__
            if kwargs:
                raise TypeError(
                    f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = Registry(self)
        own["_buffers"] = Registry(self)
        own["_non_persistent_buffers_set"] = set()
        own["_is_full_backward_hook"] = None
        for table in _HOOK_TABLES:
            own[table] = OrderedDict()
        own["_modules"] = Registry(self)
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    # Calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked:
            return self._call_with_hooks(args, kwargs)
        if kwargs:
            return self.forward(*args, **kwargs)
        # Without the merging of an empty dictionary: this is the path of every layer.
        return self.forward(*args)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """From now on calls run through `flambeau.compile`, with these arguments."""
        from flambeau.compiler import compile

        def call(*inputs: Any, **options: Any) -> Any:
            return self._call_plainly(inputs, options)

        own = self.__dict__
        own["_compiled_call_impl"] = compile(call, *args, **kwargs)
        own["_hooked"] = True
        CHANGES.count += 1

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        compiled = self.__dict__.get("_compiled_call_impl")
        if compiled is not None:
            return compiled(*args, **kwargs)
        return self._call_plainly(args, kwargs)

    def _call_plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        ran: set[int] = set()
        try:
            return self._call_in_order(args, kwargs, ran)
        except Exception:
            self._run_always_called(args, kwargs, ran)
            raise

    def _call_in_order(self, args: tuple[Any, ...], kwargs: dict[str, Any], ran: set[int]) -> Any:
        args, kwargs = self._run_forward_pre_hooks(args, kwargs)
        own, full = list(self._backward_hooks.values()), self._is_full_backward_hook
        backward = [*hooks.global_backward_hooks.values(), *(own if full else ())]
        before = [*hooks.global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        watch = BackwardWatch(self, backward, before) if backward or before else None
        if watch is not None:
            args = watch.enter(args)
        result = self.forward(*args, **kwargs)
        for key, hook, with_kwargs, _ in self._all_forward_hooks():
            ran.add(key)
            replaced = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if replaced is not None:
                result = replaced
        if watch is not None:
            result = watch.leave(result)
        if full is False and own:
            hooks.hook_last_function(self, own, args, result)
        return result

    def _all_forward_hooks(self) -> list[tuple[int, Callable[..., Any], bool, bool]]:
        shared = [
            (
                key,
                hook,
                key in hooks.global_forward_hooks_with_kwargs,
                key in hooks.global_forward_hooks_always_called,
            )
            for key, hook in hooks.global_forward_hooks.items()
        ]
        own = [
            (
                key,
                hook,
                key in self._forward_hooks_with_kwargs,
                key in self._forward_hooks_always_called,
            )
            for key, hook in self._forward_hooks.items()
        ]
        return shared + own

    def _run_forward_pre_hooks(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        both = [*hooks.global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()]
        for key, hook in both:
            if key in self._forward_pre_hooks_with_kwargs:
                replaced = hook(self, args, kwargs)
                if replaced is None:
                    continue
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {replaced}."
                    )
                args, kwargs = replaced
            else:
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        return args, kwargs

    def _run_always_called(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], ran: set[int]
    ) -> None:
        """After a failure: the hooks that asked to be called in any case, with result None."""
        for key, hook, with_kwargs, always in self._all_forward_hooks():
            if not always or key in ran:
                continue
            if with_kwargs:
                hook(self, args, kwargs, None)
            else:
                hook(self, args, None)

    # Registration

    def _check_name(self, kind: str, name: Any, registry: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type_name(name)}")
        if "." in name:
            shown = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{shown}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name and leaves it out of the state_dict."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._adopt()
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type_name(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, "
                "compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not a parameter; saved only where `persistent`."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._adopt()
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name`."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        self._adopt()
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name` (another name of `add_module`)."""
        self.add_module(name, module)

    # Attributes

    def _adopt(self) -> None:
        """Make this module the owner of its registries (after unpickling or a direct edit)."""
        own = self.__dict__
        for name in _REGISTRIES:
            registry = own.get(name)
            if registry is None:
                continue
            if type(registry) is not Registry or not registry.belongs_to(self):
                for key in registry:
                    own.pop(key, None)
                own[name] = Registry(self, registry)

    def _replace_registry(self, name: str, value: Any) -> None:
        own = self.__dict__
        for key in own.get(name) or ():
            own.pop(key, None)
        own[name] = value
        self._adopt()

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for registry in _REGISTRIES:
            table = own.get(registry)
            if table is not None and name in table:
                return table[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        CHANGES.count += 1
        own = self.__dict__
        if not isinstance(value, (Tensor, Module)) and not any(
            name in own.get(registry, ()) for registry in _REGISTRIES
        ):
            if name in _REGISTRIES:
                self._replace_registry(name, value)
            else:
                object.__setattr__(self, name, value)
            return
        parameters = own.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type_name(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._adopt()
            self._modules[name] = value
        elif "_modules" in own and name in own["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type_name(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif isinstance(value, Buffer) or ("_buffers" in own and name in own["_buffers"]):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if isinstance(value, Buffer):
            self._forget(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        else:
            self._adopt()
            self._buffers[name] = value

    def _forget(self, name: str, keep: str) -> None:
        """Drop `name` from everywhere but the registry it is about to enter."""
        own = self.__dict__
        for registry in _REGISTRIES:
            table = own.get(registry)
            if registry != keep and table is not None:
                table.pop(name, None)
        if keep != "_buffers":
            own["_non_persistent_buffers_set"].discard(name)
        if name not in own[keep]:
            own.pop(name, None)

    def __delattr__(self, name: str) -> None:
        self._adopt()
        for registry in _REGISTRIES:
            table = self.__dict__.get(registry, {})
            if name in table:
                del table[name]
                if registry == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        for registry in _REGISTRIES:
            names.update(self.__dict__.get(registry, ()))
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_compiled_call_impl", None)
        state.pop("_chain", None)
        for registry in _REGISTRIES:
            table = state.get(registry)
            if table is None:
                continue
            for key, value in table.items():
                if key in state and state[key] is value:
                    del state[key]
            state[registry] = dict(table)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self.__dict__
        own.update(state)
        for table in _HOOK_TABLES:
            own.setdefault(table, OrderedDict())
        own.setdefault("_non_persistent_buffers_set", set())
        own.setdefault("_is_full_backward_hook", None)
        self._adopt()

    # Hooks

    def _hook(
        self, name: str, hook: Callable[..., Any], prepend: bool, *marks: str
    ) -> RemovableHandle:
        table = self.__dict__[name]
        marked = tuple(self.__dict__[mark] for mark in marks)
        handle = RemovableHandle(table, extra=marked)
        table[handle.id] = hook
        for mark in marked:
            mark[handle.id] = True
        if prepend:
            table.move_to_end(handle.id, last=False)
        self.__dict__["_hooked"] = True
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        marks = ("_forward_pre_hooks_with_kwargs",) if with_kwargs else ()
        return self._hook("_forward_pre_hooks", hook, prepend, *marks)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; its result replaces the output."""
        marks = ["_forward_hooks_with_kwargs"] if with_kwargs else []
        if always_call:
            marks.append("_forward_hooks_always_called")
        return self._hook("_forward_hooks", hook, prepend, *marks)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's gradients are computed."""
        return self._hook("_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the input gradients are known."""
        self._choose_backward_hooks(full=True)
        return self._hook("_backward_hooks", hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` at the last function of the module's result.

        The older form: `grad_input` is what that function passes on, to its operands in their
        order. NotImplementedError, when the module is called, where that function cannot be hooked
        (written in place, drawing random numbers, or of several results).
        """
        self._choose_backward_hooks(full=False)
        return self._hook("_backward_hooks", hook, False)

    def _choose_backward_hooks(self, full: bool) -> None:
        if self.__dict__["_is_full_backward_hook"] is not None:
            if self.__dict__["_is_full_backward_hook"] is not full:
                raise RuntimeError(
                    "Cannot use both regular backward hooks and full backward hooks on a single "
                    "Module. Please use only one of them."
                )
            return
        self.__dict__["_is_full_backward_hook"] = full

    # Printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the printed module."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({key}): " + _addindent(repr(module), 2) for key, module in self._modules.items()
        ]
        inner = lines + children
        if not inner:
            body = ""
        elif len(lines) == 1 and not children:
            body = lines[0]
        else:
            body = "\n  " + "\n  ".join(inner) + "\n"
        return f"{self._get_name()}({body})"

    def _repr_html_(self) -> str:
        from flambeau.seeing.trees import module_html

        return module_html(self)


def _addindent(text: str, spaces: int) -> str:
    """The text, all lines but the first and empty ones moved in (programs that print modules import
    it).
    """
    first, newline, rest = text.partition("\n")
    return first + newline + textwrap.indent(rest, " " * spaces)


def _register_globally(
    table: Any, hook: Callable[..., Any], marks: tuple[Any, ...] = ()
) -> RemovableHandle:
    handle = RemovableHandle(table, extra=marks)
    table[handle.id] = hook
    for mark in marks:
        mark[handle.id] = True
    # Never taken back: with no hooks left the slow path does the same, only slower.
    Module._hooked = True
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module."""
    return _register_globally(hooks.global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module."""
    marks: list[Any] = []
    if with_kwargs:
        marks.append(hooks.global_forward_hooks_with_kwargs)
    if always_call:
        marks.append(hooks.global_forward_hooks_always_called)
    return _register_globally(hooks.global_forward_hooks, hook, tuple(marks))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _register_globally(hooks.global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    return _register_globally(hooks.global_backward_hooks, hook)


# Python's messages name a method by where it was written; users know of Module alone.
for _part in (TreeMixin, StateMixin, ConversionMixin):
    for _name, _method in vars(_part).items():
        if isinstance(_method, FunctionType):
            _method.__qualname__ = f"Module.{_name}"

ModuleCall.code = Module.__call__.__code__
