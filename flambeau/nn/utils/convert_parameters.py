"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from flambeau.nn._torch import Tensor, cat


def _same_device(parameter: Tensor, device: object) -> object:
    if device is not None and parameter.device != device:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
    return parameter.device


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of the parameters in one 1-d tensor."""
    device = None
    parts = []
    for parameter in parameters:
        device = _same_device(parameter, device)
        parts.append(parameter.view(-1))
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters views of consecutive pieces of a 1-d tensor."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    device = None
    start = 0
    for parameter in parameters:
        device = _same_device(parameter, device)
        size = parameter.numel()
        parameter.data = vec[start : start + size].view_as(parameter).data
        start += size
