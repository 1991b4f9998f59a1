"""The operators of `Tensor`, and its methods that work element by element: bound at import."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from flambeau.core.calls import as_method
from flambeau.functional import pointwise, powers, ternary
from flambeau.record.events import PureOp
from flambeau.tensor.recording import binary, with_scalar
from flambeau.tensor.tensor import Tensor

METHODS: dict[ModuleType, str] = {
    pointwise: """
abs abs_ absolute absolute_ neg neg_ negative negative_ exp exp_ exp2 exp2_ expm1 expm1_ log log_
log2 log2_ log10 log10_ log1p log1p_ sqrt sqrt_ rsqrt rsqrt_ reciprocal reciprocal_ sin sin_ cos
cos_ tan tan_ asin asin_ acos acos_ atan atan_ sinh sinh_ cosh cosh_ tanh tanh_ asinh asinh_ acosh
acosh_ atanh atanh_ arcsin arccos arctan arcsinh arccosh arctanh sigmoid sigmoid_ erf erf_ erfc
erfc_ erfinv erfinv_ lgamma lgamma_ digamma digamma_ floor floor_ ceil ceil_ trunc trunc_ fix fix_
frac frac_ sign sign_ sgn sgn_ square square_ relu relu_ bitwise_not bitwise_not_ logical_not isnan
isinf isfinite positive add add_ sub sub_ subtract subtract_ mul mul_ multiply multiply_ div div_
divide divide_ true_divide true_divide_ floor_divide floor_divide_ remainder remainder_ fmod fmod_
maximum minimum fmax fmin atan2 atan2_ arctan2 copysign copysign_ nextafter nextafter_
eq eq_ ne ne_ lt lt_ le le_ gt gt_ ge ge_ not_equal less less_equal greater
greater_equal bitwise_and bitwise_and_ bitwise_or bitwise_or_ bitwise_xor bitwise_xor_
bitwise_left_shift bitwise_right_shift logical_and logical_and_ logical_or logical_or_ logical_xor
logical_xor_ round round_ nan_to_num nan_to_num_ arcsin_ arccos_ arctan_ arcsinh_
arccosh_ arctanh_ arctan2_ not_equal_ less_ less_equal_ greater_ greater_equal_ logical_not_
bitwise_left_shift_ bitwise_right_shift_
""",
    powers: "pow pow_ float_power float_power_",
    ternary: """
clamp clamp_ clip clip_ clamp_min clamp_max clamp_min_ clamp_max_ lerp lerp_ addcmul addcmul_
addcdiv addcdiv_
""",
}


def _reflected(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def apply(self: Any, other: Any) -> Any:
        return function(other, self)

    return apply


def _operator(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """An operator gives other types their turn where the operand is nothing a tensor knows."""

    def apply(self: Any, other: Any) -> Any:
        try:
            return function(self, other)
        except TypeError:
            if _known(other):
                raise
            return NotImplemented

    return apply


def _known(other: Any) -> bool:
    """Whether a tensor takes it as an operand: a tensor, a number, an array of no dimensions."""
    return isinstance(other, (Tensor, *pointwise.NUMBERS)) or getattr(other, "shape", None) == ()


def _frequent(function: Callable[..., Any], op: PureOp) -> Callable[[Any, Any], Any]:
    """The same for the operators of every step: the common operands go the shortest way."""

    def apply(self: Any, other: Any) -> Any:
        kind = type(other)
        if kind is Tensor:
            return binary(op, self, other)
        if kind is float or kind is int:
            return with_scalar(op, self, other)
        try:
            return function(self, other)
        except TypeError:
            if _known(other):
                raise
            return NotImplemented

    return apply


def bind() -> None:
    """Makes them members of Tensor. Runs once, when flambeau is imported."""
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, as_method(getattr(module, name)))
    p = pointwise
    operators: dict[str, Callable[..., Any]] = {
        "add": p.add,
        "sub": p.sub,
        "mul": p.mul,
        "truediv": p.div,
        "floordiv": p.floor_divide,
        "mod": p.remainder,
        "pow": powers.pow,
        "and": p.bitwise_and,
        "or": p.bitwise_or,
        "xor": p.bitwise_xor,
        "lshift": p.bitwise_left_shift,
        "rshift": p.bitwise_right_shift,
    }
    for name, function in operators.items():
        setattr(Tensor, f"__{name}__", _operator(function))
        setattr(Tensor, f"__r{name}__", _operator(_reflected(function)))
    inplace_operators: dict[str, Callable[..., Any]] = {
        "add": p.add_,
        "sub": p.sub_,
        "mul": p.mul_,
        "truediv": p.div_,
        "floordiv": p.floor_divide_,
        "mod": p.remainder_,
        "pow": powers.pow_,
        "and": p.bitwise_and_,
        "or": p.bitwise_or_,
        "xor": p.bitwise_xor_,
        "lshift": p.bitwise_left_shift_,
        "rshift": p.bitwise_right_shift_,
    }
    for name, function in inplace_operators.items():
        setattr(Tensor, f"__i{name}__", function)
    for name in ("lt", "le", "gt", "ge"):
        setattr(Tensor, f"__{name}__", _operator(getattr(p, name)))
    frequent = {"add": p.ADD, "sub": p.SUB, "mul": p.MUL, "truediv": p.DIV}
    for name, op in frequent.items():
        setattr(Tensor, f"__{name}__", _frequent(operators[name], op))
    others: dict[str, Callable[..., Any]] = {
        "where": as_method(ternary.where_method),
        "__rtruediv__": _operator(lambda self, other: p.mul(p.reciprocal(self), other)),
        "__eq__": _equality(p.eq, arrays=True),
        "__ne__": _equality(p.ne, arrays=False),
        "__neg__": p.neg,
        "__pos__": p.positive,
        "__abs__": p.abs,
        "__invert__": p.bitwise_not,
    }
    for name, function in others.items():
        setattr(Tensor, name, function)


def matmul_operators() -> dict[str, Callable[..., Any]]:
    """`@` and its reflection."""
    from flambeau.functional.linear_algebra import matmul

    return {"__matmul__": _operator(matmul), "__rmatmul__": _operator(_reflected(matmul))}


def _equality(function: Callable[..., Any], arrays: bool) -> Callable[[Any, Any], Any]:
    """`==` compares with arrays too, `!=` leaves them to Python: so it is in PyTorch."""

    def apply(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, (str, dict, set)):
            return NotImplemented
        try:
            return function(self, other)
        except TypeError:
            if _known(other):
                raise
            if not (arrays and type(other).__module__ == "numpy" and other.dtype.kind in "biufc"):
                return NotImplemented
        from flambeau.functional.from_data import from_numpy

        return function(self, from_numpy(other))

    return apply
