"""The pieces of `DataParallel`: they are for several GPUs, and refuse the CPU as PyTorch's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.nn._torch import Tensor, device

__all__ = ["gather", "parallel_apply", "replicate", "scatter", "scatter_kwargs"]


def _devices(places: Sequence[Any]) -> list[Any]:
    """The devices; ValueError for the CPU."""
    listed = [device("cuda", d) if isinstance(d, int) else device(d) for d in places]
    for where in listed:
        if where.type == "cpu":
            raise ValueError(f"Expected a non cpu device, but got: {where}")
    return listed


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Cut every tensor in `inputs` along `dim`, a piece for each GPU; other things are repeated."""
    if isinstance(inputs, Tensor):
        where = _devices(target_gpus)
        return tuple(piece.to(place) for piece, place in zip(inputs.chunk(len(where), dim), where))
    if isinstance(inputs, tuple) and hasattr(inputs, "_fields"):
        kind: Any = type(inputs)
        return [kind(*parts) for parts in zip(*(scatter(x, target_gpus, dim) for x in inputs))]
    if isinstance(inputs, tuple) and inputs:
        return list(zip(*(scatter(x, target_gpus, dim) for x in inputs)))
    if isinstance(inputs, list) and inputs:
        return [list(parts) for parts in zip(*(scatter(x, target_gpus, dim) for x in inputs))]
    if isinstance(inputs, dict) and inputs:
        pairs = zip(*(scatter(item, target_gpus, dim) for item in inputs.items()))
        return [type(inputs)(part) for part in pairs]
    return [inputs for _ in target_gpus]


def scatter_kwargs(
    inputs: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    target_gpus: Sequence[Any],
    dim: int = 0,
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """`scatter` positional and keyword arguments, as many of one as of the other."""
    first = list(scatter(inputs, target_gpus, dim)) if inputs else []
    named = list(scatter(kwargs, target_gpus, dim)) if kwargs else []
    first += [() for _ in range(len(named) - len(first))]
    named += [{} for _ in range(len(first) - len(named))]
    return tuple(first), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Join tensors from several GPUs on one; AssertionError for tensors on the CPU."""
    first = outputs[0]
    if isinstance(first, Tensor):
        if any(t.device.type == "cpu" for t in outputs):
            raise AssertionError("Gather function not implemented for CPU tensors")
        from flambeau.nn._torch import cat

        return cat([t.to(target_device) for t in outputs], dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if not all(len(first) == len(other) for other in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)(
            (key, gather([other[key] for other in outputs], target_device, dim)) for key in first
        )
    kind: Any = type(first)
    parts = [gather(part, target_device, dim) for part in zip(*outputs)]
    return kind(*parts) if hasattr(first, "_fields") else kind(parts)


def replicate(network: Any, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """Return copies of a module on GPUs; ValueError for the CPU."""
    _devices(devices)
    raise NotImplementedError("replicate: several GPUs in one process are not supported")


def parallel_apply(
    modules: Sequence[Any],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """Call each module with its inputs, one after another."""
    if len(modules) != len(inputs):
        raise AssertionError(
            f"The number of modules {len(modules)} is not equal to the number of inputs "
            f"{len(inputs)}"
        )
    named = kwargs_tup if kwargs_tup is not None else [{}] * len(modules)
    if len(modules) != len(named):
        raise AssertionError(
            f"The number of modules {len(modules)} is not equal to the number of kwargs "
            f"{len(named)}"
        )
    _devices([d for d in devices or () if d is not None])
    results = []
    for module, given, options in zip(modules, inputs, named):
        listed = given if isinstance(given, (list, tuple)) else (given,)
        results.append(module(*listed, **options))
    return results
