"""Derivatives checked against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.engine import grad
from flambeau.functional.creation import empty
from flambeau.tensor.tensor import Tensor, from_array


class GradcheckError(RuntimeError):
    """An analytical gradient that does not agree with the numerical one."""


def _outputs(function: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Any]:
    result = function(*inputs)
    found = list(result) if isinstance(result, (tuple, list)) else [result]
    return [o for o in found if isinstance(o, Tensor) and o.dtype.is_floating_point]


def _numerical(
    function: Callable[..., Any], inputs: tuple[Any, ...], place: int, output: int, eps: float
) -> Any:
    base = inputs[place].detach()
    values = np.array(base._values(), np.float64)
    columns = []
    for index in np.ndindex(*values.shape):
        moved = []
        for sign in (1, -1):
            shifted = values.copy()
            shifted[index] += sign * eps
            tensor = from_array(shifted.astype(base.dtype.numpy), base.dtype)
            arguments = (*inputs[:place], tensor, *inputs[place + 1 :])
            moved.append(
                np.array(_outputs(function, arguments)[output].detach()._values(), np.float64)
            )
        columns.append(((moved[0] - moved[1]) / (2 * eps)).ravel())
    return np.stack(columns) if columns else np.zeros((0, 0))


def _analytical(
    function: Callable[..., Any], inputs: tuple[Any, ...], place: int, output: int
) -> Any:
    result = _outputs(function, inputs)[output]
    rows = []
    for index in range(result.numel()):
        seed = np.zeros(result.numel(), result.dtype.numpy)
        seed[index] = 1
        cotangent = from_array(seed.reshape(tuple(result.shape)), result.dtype)
        found = grad(result, inputs[place], cotangent, retain_graph=True, allow_unused=True)[0]
        rows.append(
            np.zeros(inputs[place].numel()) if found is None else np.array(found._values()).ravel()
        )
    return np.stack(rows, 1) if rows else np.zeros((inputs[place].numel(), 0))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Compares gradients of `func` with central differences (use float64 inputs).

    Raises GradcheckError where they differ, or returns False with raise_exception=False.
    """
    if any(options.get(name) for name in ("check_forward_ad", "check_batched_grad", "fast_mode")):
        raise NotImplementedError(
            "gradcheck: forward AD, batched gradients and fast mode are not supported"
        )
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [i for i, t in enumerate(arguments) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them "
            "have requires_grad=True."
        )
    for output in range(len(_outputs(func, arguments))):
        for place in checked:
            numerical = _numerical(func, arguments, place, output, eps)
            analytical = _analytical(func, arguments, place, output)
            if not np.allclose(analytical, numerical, rtol, atol):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {output} with respect to input {place},\n"
                    f"numerical:{numerical}\nanalytical:{analytical}\n"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Checks second derivatives: gradcheck of the gradient as a function of the inputs and of the
    outputs' gradients, which are drawn (uniform in +-1) unless given.
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    places = [i for i, t in enumerate(arguments) if isinstance(t, Tensor) and t.requires_grad]
    if grad_outputs is None:
        given: tuple[Any, ...] = tuple(
            empty(o.shape, dtype=o.dtype).uniform_(-1, 1).requires_grad_()
            for o in _outputs(func, arguments)
        )
    else:
        given = tuple(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
    wanted = {*places, *(len(arguments) + i for i, g in enumerate(given) if g.requires_grad)}

    def first_order(*values: Any) -> Any:
        live = [
            v if i not in wanted or v.requires_grad else v.requires_grad_()
            for i, v in enumerate(values)
        ]
        outputs = _outputs(func, tuple(live[: len(arguments)]))
        found = grad(
            outputs,
            [live[i] for i in places],
            live[len(arguments) :],
            create_graph=True,
            allow_unused=True,
        )
        return [g for g in found if g is not None]

    return gradcheck(
        first_order,
        (*arguments, *given),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        **options,
    )
