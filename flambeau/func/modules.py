"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.functional.joining import stack
from flambeau.tensor.tensor import Tensor


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
    Other names are attributes for the call; with `strict` they, and names that are missing, are a
    RuntimeError.
    """
    given = _merged(parameter_and_buffer_dicts)
    for tensor in given.values():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    places: dict[str, tuple[Any, str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for name in (*owner._parameters, *owner._buffers):
            if owner._parameters.get(name, owner._buffers.get(name)) is not None:
                places[f"{path}.{name}" if path else name] = owner, name
    if tie_weights:
        given = _tied(places, given)
    if strict:
        _refuse_other_names(module, places, given)
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, tensor in given.items():
            if path in places:
                owner, name = places[path]
                table = owner._parameters if name in owner._parameters else owner._buffers
            else:
                where, _, name = path.rpartition(".")
                owner = module.get_submodule(where)
                tables = owner._parameters, owner._buffers, owner.__dict__
                table = next(t for t in tables if name in t or t is owner.__dict__)
            before.append((table, name, table.get(name, _ABSENT)))
            table[name] = tensor
        inputs = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*inputs, **(kwargs or {}))
    finally:
        for table, name, tensor in reversed(before):
            if tensor is _ABSENT:
                table.pop(name, None)
            else:
                table[name] = tensor


_ABSENT = object()


def _refuse_other_names(module: Any, places: dict[str, Any], given: dict[str, Any]) -> None:
    """RuntimeError unless the names given are those of the module."""
    found = ""
    for kind, names in (
        ("Unexpected", given.keys() - places.keys()),
        ("Missing", places.keys() - given.keys()),
    ):
        if names:
            found += f"\n\t{kind} key(s): {', '.join(map(repr, sorted(names)))}."
    if found:
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:{found}")


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

    by_tensor: dict[int, Tensor] = {}
    names: dict[int, str] = {}
    for path in sorted(given.keys() & places.keys()):
        one = held(path)
        if by_tensor.setdefault(one, given[path]) is not given[path]:
            raise ValueError(
                f"functional_call got multiple values for keys {[names[one], path]}, which are "
                "tied. Consider using tie_weights=False"
            )
        names.setdefault(one, path)
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
