"""All that stands in the torch namespace and in `Tensor`, by the module that has it.

`import flambeau` does not come here: it binds what functional/catalogue.py lists, which
tools/make_stubs.py writes from the functions below, and imports a module when it is used.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

from flambeau.functional import (
    activation,
    complex_numbers,
    conversion,
    counted,
    counting,
    creation,
    direct,
    dropout,
    elementary,
    factorisation,
    fake_quantize,
    folding,
    from_data,
    generators,
    indexing,
    inplace,
    legacy_types,
    linear_algebra,
    matrix_functions,
    memory,
    operators,
    ordering,
    overwriting,
    pointwise,
    powers,
    random_integers,
    randomness,
    rarer,
    rarer_functions,
    recurrent,
    recurrent_layers,
    reduction,
    shaping,
    shared_memory,
    short_time,
    similarity,
    slopes,
    softmax,
    solving,
    sparse_making,
    special_functions,
    statistics,
    ternary,
    windows,
)
from flambeau.tensor.tensor import Tensor

# Where several have a name, the last one does.
METHOD_MODULES: tuple[ModuleType, ...] = (
    conversion,
    creation,
    legacy_types,
    random_integers,
    randomness,
    reduction,
    ordering,
    linear_algebra,
    factorisation,
    solving,
    matrix_functions,
    shaping,
    indexing,
    inplace,
    activation,
    softmax,
    counting,
    elementary,
    overwriting,
    memory,
    shared_memory,
    rarer,
    complex_numbers,
    special_functions,
    short_time,
    statistics,
    sparse_making,
)
NAME_MODULES: tuple[ModuleType, ...] = (
    pointwise,
    powers,
    ternary,
    shaping,
    indexing,
    reduction,
    ordering,
    linear_algebra,
    factorisation,
    solving,
    matrix_functions,
    conversion,
    counted,
    creation,
    from_data,
    generators,
    random_integers,
    randomness,
    dropout,
    counting,
    elementary,
    inplace,
    memory,
    overwriting,
    rarer,
    recurrent,
    recurrent_layers,
    slopes,
    complex_numbers,
    special_functions,
    short_time,
    statistics,
    windows,
    activation,
    softmax,
    similarity,
    direct,
    sparse_making,
    rarer_functions,
    fake_quantize,
)
# Functions that serve other modules, and methods that PyTorch has no function of the same name for.
NOT_PUBLIC = {
    *("checked_operand", "convert", "not_a_tensor", "power", "power_of", "to_the", "where_method"),
    *("write_out", "write_same", "linalg_cross", "multi_dot", "vector_norm"),
    *("absolute_", "add_", "addcdiv_", "addcmul_", "arctan2_", "atan2_", "bitwise_and_"),
    *("bitwise_left_shift_", "bitwise_not_", "bitwise_or_", "bitwise_right_shift_"),
    *("bitwise_xor_", "copysign_", "digamma_", "div_", "divide_", "eq_", "erfinv_"),
    *("float_power_", "floor_divide_", "fmod_", "ge_", "greater_", "greater_equal_", "gt_"),
    *("hypot_", "le_", "lerp_", "less_", "less_equal_", "lgamma_", "logical_and_"),
    *("logical_not_", "logical_or_", "logical_xor_", "lt_", "mul_", "multiply_", "ne_"),
    *("nextafter_", "not_equal_", "pow_", "remainder_", "sgn_", "sign_", "sub_"),
    *("subtract_", "true_divide_", "ComplexDoubleTensor", "ComplexFloatTensor"),
}


def members() -> dict[str, tuple[str, str]]:
    """Each member of Tensor outside functional/operators.py: its module, and the table there."""
    found = {}
    for module in METHOD_MODULES:
        for table in ("METHODS", "PROPERTIES"):
            for name in getattr(module, table, {}):
                found[name] = (_last(module), table)
    return found


def names() -> dict[str, tuple[str, str]]:
    """Each name of the torch namespace: its module, and the attribute or `table[name]` there."""
    found = {}
    for module in NAME_MODULES:
        public = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if isinstance(value, FunctionType)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ]
        for name in public:
            found[name] = (_last(module), name)
    found["return_types"] = (_last(folding), "RETURN_TYPES")
    found["range"] = (_last(counted), "range_")
    for module, table in (
        (matrix_functions, "REMOVED_NAMES"),
        (legacy_types, "LEGACY_TYPES"),
        (sparse_making, "SPARSE_NAMES"),
        (rarer_functions, "FUNCTIONS"),
    ):
        for name in getattr(module, table):
            found[name] = (_last(module), f"{table}[{name}]")
    return {name: place for name, place in found.items() if name not in NOT_PUBLIC}


def _last(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def bind() -> None:
    """Binds every member of Tensor at once, for tools that look at all of them."""
    for module in METHOD_MODULES:
        for name, function in module.METHODS.items():
            setattr(Tensor, name, function)
        for name, function in getattr(module, "PROPERTIES", {}).items():
            member = function if isinstance(function, property) else property(function)
            setattr(Tensor, name, member)
    for name, operator in operators.matmul_operators().items():
        setattr(Tensor, name, operator)


def namespace() -> dict[str, Any]:
    """The torch namespace, all of it imported."""
    from flambeau.functional.lazy import resolve

    return {name: resolve(*place) for name, place in names().items()}
