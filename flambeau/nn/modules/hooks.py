"""Hook handles, and the boundary that tells a module's backward hooks about its gradients."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau.nn._torch import Function, Tensor, is_grad_enabled, is_tensor
from flambeau.record.changes import CHANGES
from flambeau.record.places import warn_user

_ids = itertools.count()

# Hooks of every module (`register_module_forward_hook` and its kin).
global_forward_pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
global_forward_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
global_backward_pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
global_backward_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()


class RemovableHandle:
    """What a `register_*_hook` returns: `remove()` takes the hook away again; also a context."""

    def __init__(self, hooks: Any, *, extra: tuple[Any, ...] = ()) -> None:
        self.id = next(_ids)
        CHANGES.count += 1
        self._tables = tuple(weakref.ref(t) for t in (hooks, *extra))

    def remove(self) -> None:
        """Take the hook away; doing so twice is allowed."""
        CHANGES.count += 1
        for reference in self._tables:
            table = reference()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self) -> tuple[tuple[Any, ...], int]:
        return tuple(reference() for reference in self._tables), self.id

    def __setstate__(self, state: tuple[tuple[Any, ...], int]) -> None:
        tables, self.id = state
        self._tables = tuple(weakref.ref(OrderedDict() if t is None else t) for t in tables)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class _Boundary(Function):
    """The identity on several tensors, whose backward passes all their gradients through `see`."""

    @staticmethod
    def forward(ctx: Any, see: Callable[[tuple[Any, ...]], Any], *tensors: Tensor) -> Any:
        """Return the tensors as they are."""
        ctx.see = see
        ctx.set_materialize_grads(False)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Hand the gradients to `see`, and on what it returns."""
        return (None, *ctx.see(grads))


def _through(see: Callable[[tuple[Any, ...]], Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Send the tensors of `args` through one boundary; `see` speaks of all positions of `args`."""
    places = [i for i, a in enumerate(args) if is_tensor(a)]
    if not is_grad_enabled() or not any(args[i].requires_grad for i in places):
        return args

    def seen(grads: tuple[Any, ...]) -> tuple[Any, ...]:
        full: list[Any] = [None] * len(args)
        for place, grad in zip(places, grads):
            full[place] = grad
        full = list(see(tuple(full)))
        return tuple(full[place] for place in places)

    result = list(args)
    apply: Any = _Boundary.apply
    for place, passed in zip(places, apply(seen, *(args[i] for i in places))):
        result[place] = passed
    return tuple(result)


class BackwardWatch:
    """Calls a module's full backward (pre-)hooks around one call of its forward."""

    def __init__(
        self,
        module: Any,
        hooks: list[Callable[..., Any]],
        pre_hooks: list[Callable[..., Any]],
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs: int | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments, watched for their gradients."""
        if not self.hooks:
            return args
        watched = _through(self._on_inputs, args)
        if watched is not args:
            self.inputs = len(args)
        else:
            self.unwatched = len(args)
        return watched

    def leave(self, result: Any) -> Any:
        """Return the result, watched for its gradients; containers other than tuples pass as is."""
        if is_tensor(result):
            return _through(self._on_outputs, (result,))[0]
        if isinstance(result, tuple) and type(result) is tuple:
            return _through(self._on_outputs, result)
        return result

    def _on_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.pre_hooks:
            replaced = hook(self.module, grads)
            if replaced is not None:
                grads = _same_length(replaced, grads, "hook", "grad_output")
        self.grad_outputs = grads
        if self.hooks and self.inputs is None:
            # No input needs a gradient: this is the moment the hooks are for.
            nothing = (None,) * self.unwatched
            for hook in self.hooks:
                if any(g is not None for g in hook(self.module, nothing, grads) or ()):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should "
                        "always return None or None for all gradients."
                    )
        return grads

    def _on_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:
            return grads  # the outputs were never differentiated
        for hook in self.hooks:
            replaced = hook(self.module, grads, self.grad_outputs)
            if replaced is not None:
                grads = _same_length(replaced, grads, "Backward hook", "grad_input")
        self.grad_outputs = None
        return grads


def _same_length(replaced: Any, grads: tuple[Any, ...], what: str, name: str) -> tuple[Any, ...]:
    new: tuple[Any, ...] = replaced if isinstance(replaced, tuple) else (replaced,)
    if len(new) != len(grads):
        raise RuntimeError(
            f"{what} returned an invalid number of {name}, got {len(new)}, "
            f"but expected {len(grads)}"
        )
    return new


_PLEASE = "Please use register_full_backward_hook to get the documented behavior."


def hook_last_function(
    module: Any, hooks: list[Callable[..., Any]], args: Any, result: Any
) -> None:
    """Puts hooks of the older form (`register_backward_hook`) at the result's backward function."""
    first = result
    while not is_tensor(first):
        if isinstance(first, dict):
            first = next(v for v in first.values() if is_tensor(v))
        else:
            first = first[0]
    function = first.grad_fn
    if function is None:
        return
    for hook in hooks:
        try:
            function.register_hook(functools.partial(hook, module))
        except NotImplementedError as error:
            raise NotImplementedError(
                f"register_backward_hook on {type(module).__name__}: its last function "
                f"({function.name()}) cannot be hooked; use register_full_backward_hook"
            ) from error
    missing = _what_they_miss(args, result, function)
    if missing:
        warn_user(missing, FutureWarning)


def _what_they_miss(args: Any, result: Any, function: Any) -> str | None:
    """What hooks of the older form do not see, in PyTorch's words."""
    results = (result,) if is_tensor(result) else result
    if not _all_tensors(results):
        return (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a "
            "tuple of Tensors is deprecated and will be removed in future versions. This hook will "
            f"be missing some of the grad_output. {_PLEASE}"
        )
    if not _all_tensors(args):
        return (
            "Using non-full backward hooks on a Module that does not take as input a single Tensor "
            "or a tuple of Tensors is deprecated and will be removed in future versions. This hook "
            f"will be missing some of the grad_input. {_PLEASE}"
        )
    made_by = {r.grad_fn for r in results} - {None}
    if len(made_by) > 1:
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            "is deprecated and will be removed in future versions. This hook will be missing some "
            f"grad_output. {_PLEASE}"
        )
    if {a.grad_fn for a in args} - {None} != {edge[0] for edge in function.next_functions}:
        return (
            "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
            "deprecated and will be removed in future versions. This hook will be missing some "
            f"grad_input. {_PLEASE}"
        )
    return None


def _all_tensors(values: Any) -> bool:
    return isinstance(values, tuple) and all(map(is_tensor, values))
