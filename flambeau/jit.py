"""torch.jit for plain programs: everything is compiled anyway, so functions stay what they are.

`script` and `trace` give the function or module itself. There is no TorchScript: what would save or
load it raises NotImplementedError.
"""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
# torch.jit.annotations is this module too: what it offers are typing's own names.
__path__: list[str] = []
_ANNOTATIONS = ("Dict", "List", "NamedTuple", "Optional", "Tuple", "Union")


class Error(RuntimeError):
    """An error of the TorchScript compiler (never raised here)."""


class TracerWarning(Warning):
    """A warning of PyTorch's tracer (never given here)."""


class ScriptWarning(Warning):
    """A warning of the TorchScript compiler (never given here)."""


class TracingCheckError(Exception):
    """What a trace that cannot be repeated raises in PyTorch (never raised here)."""


def _no_torchscript(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        "TorchScript files are not supported: save a module's state_dict() with torch.save instead"
    )


def _with_save(obj: T) -> T:
    """The object, with a `save` that says what to do instead."""
    if not hasattr(obj, "save"):
        with contextlib.suppress(AttributeError, TypeError):
            object.__setattr__(obj, "save", _no_torchscript)
    return obj


def script(
    obj: Any, optimize: None = None, _frames_up: int = 0, _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:  # fmt: skip
    """The function, class or module itself. RuntimeError for other things."""
    if optimize is not None:
        raise NotImplementedError("script() with `optimize` (deprecated in PyTorch)")
    if not (callable(obj) or inspect.isclass(obj)):
        raise RuntimeError(f"torch.jit.script cannot compile a {type(obj).__name__}")
    return obj if inspect.isclass(obj) else _with_save(obj)


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    *,
    example_kwarg_inputs: dict[str, Any] | None = None,
) -> Any:
    """The function or module itself, after it has run once on the example inputs.

    What depends on data stays so: nothing is frozen, so there is nothing to check.
    """
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("example_kwarg_inputs should be a dict")
    if example_kwarg_inputs is not None:
        func(**example_kwarg_inputs)
    else:
        func(*(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)))
    return _with_save(func)


def trace_module(mod: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
    """The module itself, after each of the named methods has run once on its inputs."""
    for name, given in inputs.items():
        getattr(mod, name)(*(given if isinstance(given, tuple) else (given,)))
    return _with_save(mod)


def script_if_tracing(fn: T) -> T:
    """The function itself."""
    return fn


def _marker(fn: Any = None, **options: Any) -> Any:
    """A decorator (with or without arguments) that changes nothing."""
    if callable(fn):
        return fn
    return lambda function: function


ignore = unused = export = interface = script_method = _marker


class CompilationUnit:
    """Refused: functions given as the text of a program in TorchScript."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError("torch.jit.CompilationUnit: write functions in Python instead")


def freeze(mod: T, preserved_attrs: Any = None, optimize_numerics: bool = True) -> T:
    """The module itself. RuntimeError where it is in training mode."""
    if getattr(mod, "training", False):
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() "
            "on your module before freezing."
        )
    return mod


def optimize_for_inference(mod: T, other_methods: Any = None) -> T:
    """The module itself."""
    return mod


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


class Attribute(Generic[T]):
    """A value with its type."""

    def __init__(self, value: T, type: Any) -> None:
        self.value, self.type = value, type


def isinstance_(obj: Any, target_type: Any) -> bool:
    """Whether the object is of a type."""
    return isinstance(obj, target_type)


def is_scripting() -> bool:
    """False: there is no TorchScript."""
    return False


def is_tracing() -> bool:
    """False: functions run as they stand."""
    return False


class Future(Generic[T]):
    """The result of `fork`."""

    def __init__(self, value: T) -> None:
        self._value = value

    def wait(self) -> T:
        """The result."""
        return self._value

    def done(self) -> bool:
        return True

    value = wait


def fork(func: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Runs the function at once (its tensors are computed when needed)."""
    return Future(func(*args, **kwargs))


def wait(future: Future[T]) -> T:
    """The result of a fork."""
    return future.wait()


save = load = _no_torchscript


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Accepted: the compiler fuses by its own judgement."""
    return strategy


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted: there is no oneDNN."""


def onednn_fusion_enabled() -> bool:
    """False: there is no oneDNN."""
    return False


class strict_fusion(contextlib.nullcontext[None]):
    """Accepted: a block in which PyTorch warns of what is not fused."""


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Accepted: programs are always optimized."""
    yield


def __getattr__(name: str) -> Any:
    if name == "isinstance":
        return isinstance_
    if name in ("ScriptModule", "ScriptFunction", "RecursiveScriptModule", "TopLevelTracedModule"):
        from flambeau.nn.modules import scripted

        return getattr(scripted, name)
    if name in _ANNOTATIONS:
        return getattr(typing, name)
    raise AttributeError(f"flambeau has no torch.jit.{name}")


__all__ = [
    "Attribute", "CompilationUnit", "Error", "Final", "Future", "ScriptWarning", "TracerWarning",
    "TracingCheckError", "annotate", "enable_onednn_fusion", "export", "fork",
    "freeze", "ignore", "interface", "is_scripting", "is_tracing", "load", "onednn_fusion_enabled",
    "optimize_for_inference", "save", "script", "script_if_tracing", "script_method",
    "set_fusion_strategy", "trace", "trace_module", "unused", "wait",
]  # fmt: skip
