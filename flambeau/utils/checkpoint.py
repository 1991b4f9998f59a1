"""torch.utils.checkpoint: functions whose intermediates need not be kept.

Here the Python code of a function runs once. What it has computed is not kept: the backward pass
computes it again from what the function was given, as part of the compiled program (Note [Computed
again] in record/regions.py). Draws are drawn again with the same numbers; statistics that a layer
keeps count a batch once.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.modes import is_grad_enabled, no_grad
from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor

DefaultDeviceType = "cpu"


class CheckpointError(RuntimeError):
    """A recomputation that did not give what the first run gave (never raised here)."""


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing: for the run and for the recomputation."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def check_backward_validity(inputs: Sequence[Any]) -> None:
    """Warns where no input requires a gradient."""
    if not any(isinstance(v, Tensor) and v.requires_grad for v in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None",
            UserWarning,
            stacklevel=3,
        )


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors detached, with their requires_grad."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        v.detach().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v for v in inputs
    )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), of which the backward pass keeps the arguments alone.

    `determinism_check`, `debug` and `early_stop` speak of code that runs again; here it does not.
    With use_reentrant (the default when None, with a warning) keyword arguments are a ValueError,
    and nothing requires a gradient where no argument does.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "use_reentrant=False is recommended, but if you need to preserve the current default "
            "behavior, you can pass use_reentrant=True.",
            UserWarning,
            stacklevel=2,
        )
        use_reentrant = True
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of 'default' or 'none', got {determinism_check}"
        )
    kwargs.pop("preserve_rng_state", True)
    if not use_reentrant:
        forward_context, _ = context_fn()
        with forward_context:
            return _computed_again(function, args, kwargs)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if context_fn is not noop_context_fn or debug is not False:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    check_backward_validity(args)
    if is_grad_enabled() and any(isinstance(v, Tensor) and v.requires_grad for v in args):
        return _computed_again(function, args, {})
    with no_grad():
        return function(*args)


def _computed_again(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """function(*args, **kwargs), whose values are computed again on the way back."""
    before = recorder.LOCAL.again
    recorder.set_computed_again(True)
    try:
        return function(*args, **kwargs)
    finally:
        recorder.set_computed_again(before)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The functions (or a Sequential's layers) one after another, checkpointed in segments."""
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    chain = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def stretch(first: int, last: int) -> Callable[[Any], Any]:
        def run(value: Any) -> Any:
            for function in chain[first:last]:
                value = function(value)
            return value

        return run

    size, at = len(chain) // segments, 0
    for at in range(0, size * (segments - 1), size) if size else ():
        input = checkpoint(
            stretch(at, at + size), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return stretch(size * (segments - 1), len(chain))(input)


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """Accepted: there is no recomputation to debug."""
    yield


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Any:
    """Accepted: there is no recomputation to stop."""
    yield


__all__ = [
    "CheckpointError", "DefaultDeviceType", "check_backward_validity", "checkpoint",
    "checkpoint_sequential", "detach_variable", "noop_context_fn", "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]  # fmt: skip
