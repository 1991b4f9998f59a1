"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.functional.joining import stack


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls the module with other tensors for the parameters and buffers named.

    Buffers that the call replaces itself are put into the module's dictionary only for the call.
    """
    given = _merged(parameter_and_buffer_dicts)
    if strict:
        raise NotImplementedError("functional_call: strict=True is not supported yet")
    places: dict[str, tuple[Any, str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for name in (*owner._parameters, *owner._buffers):
            places[f"{path}.{name}" if path else name] = owner, name
    if tie_weights:
        given = _tied(places, given)
    unknown = [name for name in given if name not in places]
    if unknown:
        raise NotImplementedError(
            f"functional_call: the module has no parameter or buffer named {unknown[0]}"
        )
    before = []
    try:
        for path, tensor in given.items():
            owner, name = places[path]
            table = owner._parameters if name in owner._parameters else owner._buffers
            before.append((table, name, table[name]))
            table[name] = tensor
        inputs = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*inputs, **(kwargs or {}))
    finally:
        for table, name, tensor in reversed(before):
            table[name] = tensor


def _merged(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, dict):
        return dict(dicts)
    if not isinstance(dicts, Sequence) or not all(isinstance(d, dict) for d in dicts):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(dicts)}"
        )
    names = [name for part in dicts for name in part]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"{twice} appeared in multiple dictionaries; behavior of functional call is ambiguous"
        )
    return {name: tensor for part in dicts for name, tensor in part.items()}


def _tied(places: dict[str, tuple[Any, str]], given: dict[str, Any]) -> dict[str, Any]:
    """Gives the other names of a shared tensor what one of its names was given."""

    def held(path: str) -> int:
        owner, name = places[path]
        return id(owner._parameters.get(name, owner._buffers.get(name)))

    by_tensor = {held(path): tensor for path, tensor in given.items() if path in places}
    shared = {path: by_tensor[held(path)] for path in places if held(path) in by_tensor}
    return {**shared, **given}


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of modules of one class, stacked along a new first axis; leaves."""
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return _stack(parameters), _stack(buffers)


def _stack(tables: list[dict[str, Any]]) -> dict[str, Any]:
    made = {}
    for name, first in tables[0].items():
        whole = stack([table[name].detach() for table in tables])
        made[name] = whole.requires_grad_(first.requires_grad)
    return made


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """The module, whose batch and instance normalisations now keep no running statistics."""
    for module in root.modules():
        if isinstance(getattr(module, "track_running_stats", None), bool):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
