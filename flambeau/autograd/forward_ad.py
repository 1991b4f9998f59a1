"""torch.autograd.forward_ad: derivatives along tangents, by dual tensors.

A dual tensor is a variable of its own for autograd, so what is computed of it must be recorded for
gradients (not within no_grad); `unpack_dual` finds the tangent by a second backward pass: the
pullback is linear in its cotangent, and its own pullback is the derivative along the tangents.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.autograd import engine
from flambeau.autograd.modes import enable_grad
from flambeau.functional.creation import zeros_like
from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives: the tensor and its tangent, None where it has none."""

    primal: Any
    tangent: Any


class _Levels:
    """The dual tensors of the level that is entered, as (variable, tangent); None outside."""

    duals: list[tuple[Any, Any]] | None = None


def enter_dual_level() -> int:
    """Begins a level of dual tensors; its number. RuntimeError within another."""
    if _Levels.duals is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _Levels.duals = []
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level: its dual tensors have no tangents any more. RuntimeError outside one."""
    if _Levels.duals is None:
        raise RuntimeError("Dual level must be a positive number.")
    if level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one")
    _Levels.duals = None


class dual_level:
    """A context for one level of dual tensors."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Any:
    """A tensor that carries a tangent. RuntimeError outside a level and for other sizes.

    NotImplementedError within no_grad.
    """
    duals = _Levels.duals
    if duals is None or level not in (None, 0):
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for name, given in (("primal", tensor), ("tangent", tangent)):
        if not (given.is_floating_point() or given.is_complex()):
            raise ValueError(
                f"Expected {name} to be floating point or complex, but got: {given.dtype}"
            )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    if any(tensor is variable for variable, _ in duals):
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level 0 is not supported."
        )
    if not recorder.LOCAL.grad_mode:
        raise NotImplementedError(
            "forward_ad.make_dual within no_grad: tangents are found through the recorded graph"
        )
    variable = tensor.clone() if tensor.requires_grad else tensor.detach()
    if not tensor.requires_grad:
        variable.requires_grad_()
    duals.append((variable, tangent))
    return variable


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor and its tangent: that of a dual tensor, or of what was computed of such."""
    duals = _Levels.duals
    if duals is None or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    tangent = next((t for variable, t in duals if variable is tensor), None)
    outside = engine.reaches_outside([tensor], [variable for variable, _ in duals])
    if tangent is None:
        tangent = _tangent_of(tensor, duals, outside)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(tensor if outside else tensor.detach(), tangent)


def _tangent_of(tensor: Tensor, duals: list[tuple[Any, Any]], outside: bool) -> Any:
    with enable_grad():
        cotangent = zeros_like(tensor.detach()).requires_grad_()
        pulled = engine.grad(
            tensor, [variable for variable, _ in duals], cotangent, retain_graph=True,
            create_graph=True, allow_unused=True,
        )  # fmt: skip
        terms = [
            (gradient * tangent.conj()).sum()
            for gradient, (_, tangent) in zip(pulled, duals, strict=True)
            if gradient is not None
        ]
        if not terms:
            return None
        total = sum(terms[1:], terms[0])
        if not total.requires_grad:
            return zeros_like(tensor.detach())
        kept = outside or any(tangent.requires_grad for _, tangent in duals)
        found = engine.grad(
            total, cotangent, retain_graph=True, create_graph=kept, allow_unused=True
        )[0]
    return zeros_like(tensor.detach()) if found is None else found
