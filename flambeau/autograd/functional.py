"""torch.autograd.functional: derivatives of functions of tensors, taken with autograd.

Forward derivatives take two passes backward: the pullback is linear in its cotangent, and its own
pullback is the derivative along a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.engine import grad
from flambeau.autograd.mapping import over_basis
from flambeau.autograd.modes import enable_grad
from flambeau.functional.creation import ones_like, zeros_like
from flambeau.tensor.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]
Function = Callable[..., Any]
STRATEGIES = ("forward-mode", "reverse-mode")


# ---- arguments and results -----------------------------------------------------------------------


def _as_tuple(values: Any, noun: str, caller: str) -> tuple[bool, Tensors]:
    """Whether it is a tuple, and the tensors. TypeError for others."""
    is_tuple = isinstance(values, tuple)
    of = " of the user-provided function" if noun == "outputs" else ""
    start = (
        f"The {noun}{of} given to {caller} must be either a Tensor or a tuple of Tensors but the "
    )
    for place, value in enumerate(values if is_tuple else (values,)):
        if not isinstance(value, Tensor):
            what = f"value at index {place}" if is_tuple else f"given {noun}{of}"
            raise TypeError(f"{start}{what} has type {type(value)}.")
    return is_tuple, values if is_tuple else (values,)


def _variables(inputs: Tensors, create_graph: bool) -> Tensors:
    """The inputs as variables of the derivative; linked with the caller's graph if that is kept."""
    return tuple(
        v.view_as(v) if create_graph and v.requires_grad else v.detach().requires_grad_()
        for v in inputs
    )


def _plain(values: Any, create_graph: bool) -> Any:
    """Without history, unless the graph is wanted."""
    if create_graph:
        return values
    if isinstance(values, tuple):
        return tuple(_plain(v, create_graph) for v in values)
    return values.detach()


def _shaped(values: tuple[Any, ...], is_tuple: bool) -> Any:
    return values if is_tuple else values[0]


def _called(
    func: Function, inputs: Any, caller: str, create_graph: bool
) -> tuple[tuple[bool, Tensors], tuple[bool, Tensors]]:
    """Whether they are tuples, and the variables and outputs of a call of the function."""
    inputs_are, given = _as_tuple(inputs, "inputs", caller)
    variables = _variables(given, create_graph)
    outputs_are, outputs = _as_tuple(func(*variables), "outputs", caller)
    return (inputs_are, variables), (outputs_are, outputs)


def _scalar(func: Function, inputs: Any, caller: str) -> tuple[bool, Tensors, Tensor]:
    """A call of a function with one element; RuntimeError for others."""
    (inputs_are, variables), (outputs_are, outputs) = _called(func, inputs, caller, True)
    if outputs_are:
        raise RuntimeError(f"The function given to {caller} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {caller} should contain a single element"
        )
    return inputs_are, variables, outputs[0]


def _differentiable(outputs: Tensors, strict: bool) -> None:
    for place, output in enumerate(outputs):
        if strict and not output.requires_grad:
            raise RuntimeError(
                f"Output {place} of the user-provided function does not require gradients. The "
                "outputs must be computed in a differentiable manner from the input when running "
                "in strict mode."
            )


def _jacobian_differentiable(jacobian: Tensors, strict: bool) -> None:
    for place, part in enumerate(jacobian):
        if strict and not part.requires_grad:
            raise RuntimeError(
                "While computing the hessian, found that the jacobian of the user-provided "
                f"function with respect to input {place} is independent of the input. This is not "
                "allowed in strict mode. You should ensure that your function is twice "
                "differentiable and that the jacobian depends on the inputs (this would be "
                "violated by a linear function for example)."
            )


def _vector(v: Any, like: Tensors, like_is_tuple: bool, what: str, caller: str) -> Tensors:
    """The vector of a product, checked against what it multiplies; ones where None will do."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1 or (like_is_tuple and "input" not in what):
            raise RuntimeError(f"The vector v can only be None if {what} a single element.")
        return (ones_like(like[0]).detach(),)
    _, given = _as_tuple(v, "v", caller)
    if len(given) != len(like):
        if like_is_tuple or len(given) > 1:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}."
            )
        raise RuntimeError("The given v should contain a single Tensor.")
    for place, (vector, other) in enumerate(zip(given, like)):
        if vector.shape != other.shape:
            prefix = f"Entry {place} in " if len(given) > 1 else ""
            raise RuntimeError(
                f"{prefix}v has invalid size: should be {other.shape} but got {vector.shape}."
            )
    return given


def _gradients(
    outputs: Tensors, inputs: Tensors, vectors: Tensors | None, create_graph: bool
) -> list[Tensor | None]:
    """Gradients of the outputs that have any; None for inputs that do not matter."""
    kept = [i for i, output in enumerate(outputs) if output.requires_grad]
    if not kept:
        return [None] * len(inputs)
    weights = None if vectors is None else tuple(vectors[i] for i in kept)
    return list(
        grad(
            tuple(outputs[i] for i in kept), inputs, weights,
            retain_graph=True, create_graph=create_graph, allow_unused=True,
        )
    )  # fmt: skip


def _filled(
    found: list[Tensor | None], like: Tensors, strict: bool, create_graph: bool, missing: str,
    constant: str,
) -> Tensors:  # fmt: skip
    """Zeros for what does not matter. In strict mode that is an error, and with it no history."""
    made = []
    for place, (value, other) in enumerate(zip(found, like)):
        if value is None:
            if strict:
                raise RuntimeError(f"{missing.format(place)} This is not allowed in strict mode.")
            value = zeros_like(other).detach()
        elif strict and create_graph and not value.requires_grad:
            raise RuntimeError(
                f"{constant.format(place)} This is not allowed in strict mode when "
                "create_graph=True."
            )
        made.append(value)
    return tuple(made)


_OUTPUT = "The output of the user-provided function is independent of input {}."
_JACOBIAN = "The jacobian of the user-provided function is independent of input {}."
_HESSIAN = "The hessian of the user-provided function is independent of input {}."
_ENTRY = (
    "The gradient with respect to the input is independent of entry {} in the grad_outputs when "
    "using the double backward trick to compute forward mode gradients."
)
_ONE_OUTPUT = "the user-provided function returns a single Tensor with"
_ONE_INPUT = "the input to the user-provided function is a single Tensor with"


# ---- products ------------------------------------------------------------------------------------


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), v multiplied with the Jacobian from the left).

    RuntimeError for a vector of another shape, and in strict mode for what does not depend on the
    inputs.
    """
    with enable_grad():
        (inputs_are, variables), (outputs_are, outputs) = _called(func, inputs, "vjp", create_graph)
        _differentiable(outputs, strict)
        vector = _vector(v, outputs, outputs_are, _ONE_OUTPUT, "vjp")
        found = _gradients(outputs, variables, vector, create_graph)
        product = _filled(found, variables, strict, create_graph, _OUTPUT, _JACOBIAN)
    plain = _plain((_shaped(outputs, outputs_are), _shaped(product, inputs_are)), create_graph)
    return plain[0], plain[1]


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), the Jacobian multiplied with v from the right)."""
    with enable_grad():
        inputs_are, given = _as_tuple(inputs, "inputs", "jvp")
        vector = _vector(v, given, inputs_are, _ONE_INPUT, "jvp")
        variables = _variables(given, create_graph)
        outputs_are, outputs = _as_tuple(func(*variables), "outputs", "jvp")
        _differentiable(outputs, strict)
        weights = tuple(zeros_like(o).detach().requires_grad_() for o in outputs)
        pulled = _gradients(outputs, variables, weights, True)
        rows = _filled(pulled, variables, strict, False, _OUTPUT, _JACOBIAN)
        found = _gradients(rows, weights, vector, create_graph)
        product = _filled(found, outputs, strict, create_graph, _ENTRY, _JACOBIAN)
    plain = _plain((_shaped(outputs, outputs_are), _shaped(product, outputs_are)), create_graph)
    return plain[0], plain[1]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), v multiplied with the Hessian of a scalar function from the left)."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), the Hessian of a scalar function multiplied with v from the right).

    The Hessian is symmetric, so this is `vhp`.
    """
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(
    caller: str, func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    with enable_grad():
        inputs_are, given = _as_tuple(inputs, "inputs", caller)
        vector = _vector(v, given, inputs_are, _ONE_INPUT, caller)
        chosen = given if create_graph else tuple(x.detach() for x in given)
        _, variables, output = _scalar(func, _shaped(chosen, inputs_are), caller)
        _differentiable((output,), strict)
        first = _gradients((output,), variables, None, True)
        slopes = _filled(first, variables, strict, False, _OUTPUT, _JACOBIAN)
        _jacobian_differentiable(slopes, strict)
        second = _gradients(slopes, variables, vector, create_graph)
        product = _filled(second, variables, strict, create_graph, _JACOBIAN, _HESSIAN)
    plain = _plain((output, _shaped(product, inputs_are)), create_graph)
    return plain[0], plain[1]


# ---- matrices ------------------------------------------------------------------------------------


def _rows(
    output: Tensor,
    number: int,
    variables: Tensors,
    create_graph: bool,
    strict: bool,
    vectorize: bool,
) -> Tensors:
    """The derivatives of one output by each variable, of shape (*output, *variable)."""
    shapes = [(*output.shape, *variable.shape) for variable in variables]
    if not output.numel():
        return tuple(output.new_zeros(shape) for shape in shapes)
    missing = f"Output {number} of the user-provided function is independent of input {{}}."

    def pulled(cotangent: Tensor) -> Tensors:
        found = _gradients((output,), variables, (cotangent,), create_graph)
        return _filled(found, variables, strict, create_graph, missing, _JACOBIAN)

    rows = over_basis(pulled, output, lenient=not vectorize)
    return tuple(row.reshape(shape) for row, shape in zip(rows, shapes, strict=True))


def _checked_modes(create_graph: bool, strict: bool, vectorize: bool, strategy: str) -> None:
    if strategy not in STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                "torch.autograd.functional.jacobian: `create_graph=True` and "
                '`strategy="forward-mode"` are not supported together (yet). Please either set '
                '`create_graph=False` or `strategy="reverse-mode"`.'
            )
        if strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and "
                '`strategy="forward-mode"` are not supported together (yet). Please either set '
                '`strict=False` or `strategy="reverse-mode"`.'
            )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian is"
                "only implemented for `vectorize=True`."
            )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of each output by each input, of shape (*output, *input).

    A tensor, a tuple by input or by output, or a tuple of tuples by output and input. All rows are
    computed at once; `vectorize` says that custom functions may not decide by elements then, and
    `strategy` changes only how PyTorch computes it.
    """
    _checked_modes(create_graph, strict, vectorize, strategy)
    with enable_grad():
        (inputs_are, variables), (outputs_are, outputs) = _called(
            func, inputs, "jacobian", create_graph
        )
        _differentiable(outputs, strict)
        made = [
            _rows(output, number, variables, create_graph, strict, vectorize)
            for number, output in enumerate(outputs)
        ]
    forward = strategy == "forward-mode" and inputs_are  # PyTorch's are lists then
    rows = [_plain(part, create_graph) for part in made]
    parts = [list(row) if forward else _shaped(row, inputs_are) for row in rows]
    return (parts if forward else tuple(parts)) if outputs_are else parts[0]


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function by each pair of inputs, nested alike."""
    inputs_are, given = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def slopes(*values: Tensor) -> Tensors:
        _, variables, output = _scalar(func, values, "hessian")
        _differentiable((output,), strict)
        found = _gradients((output,), variables, None, True)
        missing = "Output 0 of the user-provided function is independent of input {}."
        made = _filled(found, variables, strict, False, missing, _JACOBIAN)
        _jacobian_differentiable(made, strict)
        return made

    result = jacobian(slopes, given, create_graph, strict, vectorize, outer_jacobian_strategy)
    return result if inputs_are else result[0][0]
