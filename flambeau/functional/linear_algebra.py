"""Products of matrices and vectors, and what is made of them, in terms of one batched dot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import Shape, broadcast_shapes, wrap_axis
from flambeau.functional.einsum import einsum_of
from flambeau.functional.factors_first import is_factor, too_many, warn_of_overload
from flambeau.functional.folded_products import matmul_copied, tensordot_copied
from flambeau.functional.folding import checked
from flambeau.functional.geometry import cdist, cross, linalg_cross, trace
from flambeau.functional.pointwise import write_out, write_same
from flambeau.ops import arithmetic as ar
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.contraction import dot as batched_dot
from flambeau.ops.contraction import unrounded
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import binary, in_place, record
from flambeau.tensor.tensor import Tensor

# ---- checks --------------------------------------------------------------------------------------

# What error messages call types in products and convolutions.
TYPE_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short",
    "int32": "int", "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
    "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long",
}  # fmt: skip


def _refuse_bool(name: str, a: Value, b: Value) -> None:
    """There are no kernels for truths; of nothing there is no need for one."""
    if a.dtype.kind == "b" and a.size and b.size:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")


def _check_matrices(a: Value, b: Value) -> None:
    if a.shape[-1] != b.shape[-2]:
        rows = math.prod(a.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1]} and "
            f"{b.shape[-2]}x{b.shape[-1]})"
        )
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {TYPE_NAMES[a.dtype.name]} != "
            f"{TYPE_NAMES[b.dtype.name]}"
        )
    _refuse_bool("addmm_impl_cpu_", a, b)


def _batches(a: Value, b: Value, kernel: str = "bmm") -> Value:
    """The first operand, checked; of nothing, in the dtype of the second: PyTorch asks its kernels
    alone for equal ones.
    """
    batch = math.prod(a.shape[:-2])
    if a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{batch}, {a.shape[-1]}] but got: [{math.prod(b.shape[:-2])}, {b.shape[-2]}]."
        )
    if a.dtype is not b.dtype:
        if a.size and b.size:
            raise RuntimeError(
                f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
            )
        a = ar.cast(a, b.dtype)
    _refuse_bool(kernel, a, b)
    return a


def _check_vector(a: Value, b: Value) -> None:
    """The dtypes of matrices and of a vector."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {b.dtype.scalar_name}, "
            f"{a.dtype.scalar_name}, and {b.dtype.scalar_name}"
        )
    _refuse_bool("addmv_impl_cpu", a, b)


# ---- products of two -----------------------------------------------------------------------------


def _dot(a: Value, b: Value) -> Value:
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {a.dtype.scalar_name} and "
            f"{b.dtype.scalar_name}"
        )
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.size}] and src [{b.size}] to have "
            "the same number "
            f"of elements, but got {a.size} and {b.size} elements respectively"
        )
    if a.dtype.kind == "b":
        raise NotImplementedError("\"dot\" not implemented for 'Bool'")
    row, column = view.reshape(a, shape=(1, a.size)), view.reshape(b, shape=(b.size, 1))
    return view.reshape(batched_dot(row, column), shape=())


def _mv(a: Value, b: Value) -> Value:
    if a.ndim != 2 or b.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {a.ndim}, {b.ndim}")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec "
            f"({b.shape[0]})"
        )
    _check_vector(a, b)
    column = view.reshape(b, shape=(b.shape[0], 1))
    return view.reshape(batched_dot(a, column), shape=(a.shape[0],))


def _mm(a: Value, b: Value) -> Value:
    if a.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if b.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    _check_matrices(a, b)
    return batched_dot(a, b)


def _bmm(a: Value, b: Value, kernel: str = "bmm") -> Value:
    for place, x in enumerate((a, b), 1):
        if x.ndim != 3:
            raise RuntimeError(f"batch{place} must be a 3D tensor")
    return batched_dot(_batches(a, b, kernel), b)


def matmul_of(a: Value, b: Value) -> Value:
    """PyTorch's matmul of two values of any rank from 1 on."""
    if not a.ndim or not b.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.ndim == 1 and b.ndim == 1:
        return _dot(a, b)
    if a.ndim == 2 and b.ndim == 1:
        return _mv(a, b)
    if a.ndim == 1:
        if b.ndim > 2 and not b.size:
            _check_vector(b, a)
        product = matmul_of(view.reshape(a, shape=(1, *a.shape)), b)
        return view.reshape(product, shape=product.shape[:-2] + product.shape[-1:])
    if b.ndim == 1:
        _check_vector(a, b)
        product = matmul_of(a, view.reshape(b, shape=(*b.shape, 1)))
        return view.reshape(product, shape=product.shape[:-1])
    if b.ndim == 2:  # the batch axes of the first operand are more rows
        _check_matrices(a, b)
        rows = view.reshape(a, shape=(math.prod(a.shape[:-1]), a.shape[-1])) if a.ndim > 2 else a
        return view.reshape(batched_dot(rows, b), shape=(*a.shape[:-1], b.shape[-1]))
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = ar.expand(a, (*batch, *a.shape[-2:])), ar.expand(b, (*batch, *b.shape[-2:]))
    return batched_dot(_batches(a, b), b)


def _vdot(a: Value, b: Value) -> Value:
    return _dot(ar.conj(a), b)


def _outer(a: Value, b: Value) -> Value:
    for name, x in (("self", a), ("vec2", b)):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.ndim}-D")
    return ar.mul(view.reshape(a, shape=(a.size, 1)), b)


def _inner(a: Value, b: Value) -> Value:
    if not a.ndim or not b.ndim:
        return ar.mul(a, b)
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a.shape)} and {list(b.shape)}"
        )
    return _tensordot(a, b, (a.ndim - 1,), (b.ndim - 1,))


def _tensordot(a: Value, b: Value, left: tuple[int, ...], right: tuple[int, ...]) -> Value:
    """Sums over pairs of axes; the rest of a, then the rest of b."""
    if a.dtype is not b.dtype:
        raise RuntimeError("both inputs should have same dtype")
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    pairs = []
    for p, q in zip(left, right, strict=True):
        i, j = wrap_axis(p, a.ndim), wrap_axis(q, b.ndim)
        if a.shape[i] == 1 and b.shape[j] != 1:
            b = red.sum_(b, axes=(j,))
            b = view.reshape(b, shape=(*b.shape[:j], 1, *b.shape[j:]))
        elif b.shape[j] == 1 and a.shape[i] != 1:
            a = red.sum_(a, axes=(i,))
            a = view.reshape(a, shape=(*a.shape[:i], 1, *a.shape[i:]))
        elif a.shape[i] != b.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim "
                f"{p} and second "
                f"has size {b.shape[j]} in dim {q}"
            )
        pairs.append((i, j))
    _refuse_bool("addmm_impl_cpu_", a, b)
    rest_a = tuple(n for n in range(a.ndim) if n not in [i for i, _ in pairs])
    rest_b = tuple(n for n in range(b.ndim) if n not in [j for _, j in pairs])
    rows, columns = tuple(a.shape[n] for n in rest_a), tuple(b.shape[n] for n in rest_b)
    depth = math.prod(a.shape[i] for i, _ in pairs)
    x = view.permute(a, order=(*rest_a, *(i for i, _ in pairs)))
    y = view.permute(b, order=(*(j for _, j in pairs), *rest_b))
    x = view.reshape(x, shape=(math.prod(rows), depth))
    y = view.reshape(y, shape=(depth, math.prod(columns)))
    return view.reshape(batched_dot(x, y), shape=(*rows, *columns))


def _kron(a: Value, b: Value) -> Value:
    rank = max(a.ndim, b.ndim)
    left, right = (1,) * (rank - a.ndim) + a.shape, (1,) * (rank - b.ndim) + b.shape
    outer = view.reshape(a, shape=tuple(n for m in left for n in (m, 1)))
    inner_ = view.reshape(b, shape=tuple(n for m in right for n in (1, m)))
    shape = tuple(m * n for m, n in zip(left, right, strict=True))
    return view.reshape(ar.mul(outer, inner_), shape=shape)


DOT, VDOT, MV = PureOp("dot", _dot), PureOp("vdot", _vdot), PureOp("mv", _mv)
MM, BMM = PureOp("mm", _mm), PureOp("bmm", _bmm)
MATMUL = PureOp("matmul", matmul_of, "UnsafeViewBackward0", copied=matmul_copied)
_MATMUL_BY_RANKS = {
    (1, 1): PureOp("matmul", matmul_of, "DotBackward0"),
    (2, 1): PureOp("matmul", matmul_of, "MvBackward0"),
    (2, 2): PureOp("matmul", matmul_of, "MmBackward0"),
    (1, 2): PureOp("matmul", matmul_of, "SqueezeBackward4"),
}
OUTER = PureOp("outer", _outer, "MulBackward0")
INNER = PureOp("inner", _inner, "ViewBackward0")
TENSORDOT = PureOp("tensordot", _tensordot, "ViewBackward0", copied=tensordot_copied)
KRON = PureOp("kron", _kron, "UnsafeViewBackward0")


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product: a vector is a row (left) or a column (right), leading axes broadcast.

    RuntimeError for shapes that do not fit and for different dtypes.
    """
    checked("matmul", other, "other", 2)
    op = _MATMUL_BY_RANKS.get(
        (len(checked("matmul", input)._meta.shape), len(other._meta.shape)), MATMUL
    )
    try:
        result = binary(op, input, other)
    except NotImplementedError:
        result = _sparse_product(input, other)
    return cast(Tensor, result) if out is None else write_out(result, out)


def _sparse_product(a: Tensor, b: Tensor) -> Any:
    """The product with a sparse tensor, where a dense op could not take it."""
    from flambeau.functional.sparse_tensors import Sparse

    if not (isinstance(a, Sparse) or isinstance(b, Sparse)):
        raise
    from flambeau.functional.sparse_products import product

    return product(a, b)


def matmul_operator(self: Tensor, other: Any) -> Any:
    """self @ other."""
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def reflected_matmul(self: Tensor, other: Any) -> Any:
    """other @ self."""
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices [n, m] and [m, p]."""
    try:
        return write_same(binary(MM, checked("mm", input), checked("mm", mat2, "mat2", 2)), out)
    except NotImplementedError:
        return cast(Tensor, _sparse_product(input, mat2))


def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of the matrices of two batches [b, n, m] and [b, m, p]."""
    return write_same(binary(BMM, checked("bmm", input), checked("bmm", mat2, "mat2", 2)), out)


def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of a matrix [n, m] and a vector [m]."""
    try:
        return write_same(binary(MV, checked("mv", input), checked("mv", vec, "vec", 2)), out)
    except NotImplementedError:
        return cast(Tensor, _sparse_product(input, vec))


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inner product of two vectors."""
    return write_out(binary(DOT, checked("dot", input), checked("dot", tensor, "tensor", 2)), out)


def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inner product of two vectors, the first conjugated."""
    return write_out(binary(VDOT, checked("vdot", input), checked("vdot", other, "other", 2)), out)


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of an element of one vector with one of another: [n, m]."""
    result = binary(OUTER, checked("outer", input), checked("outer", vec2, "vec2", 2))
    return write_out(result, out, beside=(input, vec2))


ger = outer


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sums of products over the last axes of both."""
    return write_out(
        binary(INNER, checked("inner", input), checked("inner", other, "other", 2)), out
    )


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sums of products over `dims`: so many last axes of a and first of b, or two lists."""
    try:
        checked("tensordot", b, "b", 2)
        if isinstance(dims, Tensor):
            dims = dims.tolist()
        if isinstance(dims, int):
            if dims < 0:
                raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
            if dims > min(checked("tensordot", a, "a").ndim, b.ndim):
                raise RuntimeError(
                    f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}"
                )
            left, right = tuple(range(-dims, 0)), tuple(range(dims))
        else:
            left, right = (tuple([d] if isinstance(d, int) else d) for d in dims)
        return write_out(binary(TENSORDOT, checked("tensordot", a, "a"), b, (left, right)), out)
    except Exception:
        refuse_misgiven()
        raise


def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product."""
    result = binary(KRON, checked("kron", input), checked("kron", other, "other", 2))
    return write_out(result, out, beside=(input, other))


# ---- products added to something -----------------------------------------------------------------


def _blend(
    x: Value,
    product: Value,
    beta: Operand | None,
    alpha: Operand | None,
    ignore: bool,
    once: bool,
) -> Value:
    """beta x + alpha product; None stands for 1; `ignore` (beta 0) leaves x and its NaN out. Half
    types are rounded at the end where `once`.
    """
    shape = product.shape
    fits = x.ndim <= product.ndim and all(
        n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise RuntimeError(_expand_error(x.shape, shape))
    if x.dtype is not product.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {x.dtype.scalar_name} and "
            f"{product.dtype.scalar_name}"
        )
    dtype = x.dtype
    if once:
        product = unrounded(product)
        x = ar.cast(x, product.dtype)
    if alpha is not None:
        product = ar.mul(product, ar.as_value(alpha, product.dtype))
    if not ignore:
        x = x if beta is None else ar.mul(x, ar.as_value(beta, x.dtype))
        product = ar.add(ar.expand(x, shape), product)
    return ar.cast(product, dtype)


def _expand_error(have: Shape, target: Shape) -> str:
    if len(have) > len(target):
        return (
            f"expand({list(have)}, size={list(target)}): the number of sizes provided "
            f"({len(target)}) must be "
            f"greater or equal to the number of dimensions in the tensor ({len(have)})"
        )
    for at in range(1, len(have) + 1):
        if have[-at] not in (1, target[-at]):
            axis = len(target) - at
            break
    return (
        f"The expanded size of the tensor ({target[axis]}) must match the existing size "
        f"({have[-at]}) at "
        f"non-singleton dimension {axis}.  Target sizes: {list(target)}.  Tensor sizes: "
        f"{list(have)}"
    )


def _addbmm_product(a: Value, b: Value) -> Value:
    """The sum over the batch of its matrix products, as one product."""
    for place, x in enumerate((a, b), 1):
        if x.ndim != 3:
            raise RuntimeError(f"batch{place} must be a 3D tensor")
    a = _batches(a, b, "addmm_impl_cpu_")
    count, rows, depth = a.shape
    left = view.reshape(view.permute(a, order=(1, 0, 2)), shape=(rows, count * depth))
    return batched_dot(left, view.reshape(b, shape=(count * depth, b.shape[2])))


def _addmm_product(a: Value, b: Value) -> Value:
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype is not b.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {a.dtype.scalar_name} and "
            f"{b.dtype.scalar_name}"
        )
    return _mm(a, b)


def _addr_product(a: Value, b: Value) -> Value:
    for place, x in enumerate((a, b), 1):
        if x.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{place}, but got {x.ndim}-D")
    return _outer(a, b)


def _refuse_float_factors(dtype: DType, beta: Operand | None, alpha: Operand | None) -> None:
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if dtype.kind in "bi" and isinstance(factor, Value) and factor.dtype.kind in "fc":
            raise RuntimeError(
                f"For integral input tensors, argument {name} must not be a floating point number."
            )


def _added(
    name: str, product: Callable[[Value, Value], Value], first: str, second: str
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The op `beta input + alpha product(first, second)` and its in-place form."""

    def function(
        x: Value, a: Value, b: Value, beta: Operand | None, alpha: Operand | None, ignore: bool
    ) -> Value:
        if name == "addr":
            dtype = ar.promoted_dtype(x, a, b)
            _refuse_float_factors(dtype, beta, alpha)
            x, a, b = (ar.cast(v, dtype) for v in (x, a, b))
            if alpha is not None:  # (of the first vector: so half types are rounded)
                a, alpha = ar.mul(a, ar.as_value(alpha, dtype)), None
        return _blend(x, product(a, b), beta, alpha, ignore, once=name != "addr")

    op = PureOp(name, function)
    apart = False if name == "addr" else None
    write = InplaceOp(name + "_", function, op.grad_name, apart=apart)

    def apply(input: Any, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        if not named and len(operands) == 2 and type(operands[0]) is type(operands[1]) is Tensor:
            others, attributes = (*operands, None, None), (False,)
        else:
            if operands and not isinstance(input, Tensor) and isinstance(operands[0], Tensor):
                input, operands = operands[0], (input, *operands[1:])  # (beta, input, ..)
            others, attributes = _added_operands(name, (first, second), operands, named)
        result = record(op, (checked(name, input), *others), attributes)
        beside: tuple[Any, ...] = (input, *others) if name == "addr" else (input,)
        if input._meta.shape != result._meta.shape:
            beside = ()
        return (write_out if name == "addr" else write_same)(result, out, beside=beside)

    def apply_(self: Tensor, *operands: Any, **named: Any) -> Tensor:
        others, attributes = _added_operands(name + "_", (first, second), operands, named)
        return cast(Tensor, in_place(write, self, others, attributes))

    for made, suffix in ((apply, ""), (apply_, "_")):
        made.__name__ = made.__qualname__ = name + suffix
    apply.__doc__ = (
        f"beta * input + alpha * (product of `{first}` and `{second}`); beta 0 ignores the input."
    )
    apply_.__doc__ = f"{name} in place."
    return apply, apply_


def _added_operands(
    name: str, names: tuple[str, str], operands: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[bool]]:
    """(first, second, beta, alpha) of the arguments; a factor of 1 becomes None."""
    values: dict[str, Any] = {}
    if len(operands) > 2:
        factors = operands[:-2]
        if len(factors) > 2 or not all(map(is_factor, factors)):
            raise too_many(name, 2, len(operands))
        given = ("beta", "alpha")[: len(factors)]
        old, new = (", ".join(f"Number {f}{end}" for f in given) for end in ("", " = 1"))
        warn_of_overload(name, old, names, new)
        values.update(zip(given, factors, strict=True))
        operands = operands[-2:]
    values.update(zip(names, operands, strict=False))
    for key, value in named.items():
        if key not in (*names, "beta", "alpha") or key in values:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        values[key] = value
    for place, key in enumerate(names, 2):
        if key not in values:
            raise TypeError(f'{name}() missing 1 required positional arguments: "{key}"')
        checked(name, values[key], key, place)
    beta, alpha = values.get("beta", 1), values.get("alpha", 1)
    if not (isinstance(beta, (int, float)) and isinstance(alpha, (int, float))):
        refuse_misgiven()
    ignore = not isinstance(beta, Tensor) and beta == 0
    factors = tuple(None if not isinstance(f, Tensor) and f == 1 else f for f in (beta, alpha))
    return (values[names[0]], values[names[1]], None if ignore else factors[0], factors[1]), (
        ignore,
    )


addmm, addmm_ = _added("addmm", _addmm_product, "mat1", "mat2")
addmv, addmv_ = _added("addmv", _mv, "mat", "vec")
addbmm, addbmm_ = _added("addbmm", _addbmm_product, "batch1", "batch2")
baddbmm, baddbmm_ = _added("baddbmm", partial(_bmm, kernel="baddbmm"), "batch1", "batch2")
addr, addr_ = _added("addr", _addr_product, "vec1", "vec2")


# ---- products of many ----------------------------------------------------------------------------


def _multi_dot(operands: list[Value]) -> Value:
    """A chain of matrix products in the order that takes the fewest multiplications."""
    first, last = operands[0], operands[-1]
    chain = list(operands)
    if first.ndim == 1:
        chain[0] = view.reshape(first, shape=(1, first.size))
    if last.ndim == 1:
        chain[-1] = view.reshape(last, shape=(last.size, 1))
    for place, x in enumerate(chain):
        which = "first" if place == 0 else "last"
        if x.ndim != 2:
            raise RuntimeError(
                f"multi_dot(): tensor {place} must be 2D but got {operands[place].ndim}D"
                if 0 < place < len(chain) - 1
                else f"multi_dot(): the {which} tensor must be 1D or 2D but got "
                f"{operands[place].ndim}D"
            )
    for place, (a, b) in enumerate(itertools.pairwise(chain)):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {place} and {place + 1} with shapes "
                f"{list(operands[place].shape)} and "
                f"{list(operands[place + 1].shape)} cannot be multiplied"
            )
    result = _chain(chain, _cheapest_splits([*(x.shape[0] for x in chain), chain[-1].shape[1]]))
    shape = result.shape[first.ndim == 1 : 1 if last.ndim == 1 else 2]
    return view.reshape(result, shape=shape)


def _cheapest_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each stretch i..j of a chain whose matrix i is sizes[i] x sizes[i + 1]."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            choices = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(choices)
    return split


def _chain(matrices: list[Value], split: dict[tuple[int, int], int]) -> Value:
    def product(i: int, j: int) -> Value:
        if i == j:
            return matrices[i]
        k = split[i, j]
        return _mm(product(i, k), product(k + 1, j))

    return product(0, len(matrices) - 1)


MULTI_DOT = PureOp("multi_dot", _multi_dot, "ViewBackward0")
EINSUM = PureOp("einsum", einsum_of, "ViewBackward0")


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of matrices (the first and last may be vectors), in the cheapest order."""
    try:
        if len(tensors) < 2:
            raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
        return write_out(record(MULTI_DOT, (list(tensors),)), out)
    except Exception:
        refuse_misgiven()
        raise


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of matrices, in the cheapest order."""
    if len(matrices) == 1:
        return write_out(matrices[0], out)
    return multi_dot(matrices, out=out)


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by labels: `einsum("bij,bjk->bik", x, y)`.

    The labels may also be lists of numbers, each after its operand.
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    for place, x in enumerate(operands):
        checked("einsum", x, "operands", place + 2)
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    return cast(Tensor, record(EINSUM, (list(operands),), (equation,)))


def _from_sublists(parts: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """operand, labels, operand, labels, .., [output labels] as an equation."""

    def letters(labels: Any) -> str:
        text = ""
        for label in labels:
            if label is Ellipsis:
                text += "..."
            elif 0 <= label < 52:
                text += chr(ord("A") + label) if label < 26 else chr(ord("a") + label - 26)
            else:
                raise RuntimeError(
                    f"einsum(): subscript {label} is not within the valid range [0, 52)"
                )
        return text

    count = len(parts) // 2
    equation = ",".join(letters(parts[2 * i + 1]) for i in range(count))
    if len(parts) % 2:
        equation += "->" + letters(parts[-1])
    return equation, tuple(parts[2 * i] for i in range(count))


METHODS: dict[str, Callable[..., Any]] = {
    "matmul": matmul, "__matmul__": matmul_operator, "__rmatmul__": reflected_matmul, "mm": mm,
    "bmm": bmm, "mv": mv, "dot": dot, "vdot": vdot, "inner": inner, "outer": outer, "ger": ger,
    "kron": kron,
    "addmm": addmm, "addmm_": addmm_, "addmv": addmv, "addmv_": addmv_, "addbmm": addbmm,
    "addbmm_": addbmm_, "baddbmm": baddbmm, "baddbmm_": baddbmm_, "addr": addr, "addr_": addr_,
    "trace": trace, "cross": cross,
}  # fmt: skip
__all__ = [
    *(name for name in METHODS if not name.endswith("_")),
    "cdist", "chain_matmul", "einsum", "linalg_cross", "multi_dot", "tensordot",
]  # fmt: skip
