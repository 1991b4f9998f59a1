"""Rarer names of the torch namespace: methods as functions, and PyTorch's internal variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.creation import empty, full, ones
from flambeau.functional.folding import checked
from flambeau.functional.options import checked_dtype
from flambeau.tensor.tensor import Tensor

# ---- methods as functions ------------------------------------------------------------------------

METHODS: dict[str, Callable[..., Any]] = {}
AS_FUNCTIONS = """
addmv_ as_strided_ dequantize detach detach_ get_device hash_tensor int_repr is_distributed
is_inference is_signed q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale
q_zero_point resize_as_sparse_
""".split()
COPIES = """
ccol_indices_copy col_indices_copy crow_indices_copy indices_copy row_indices_copy values_copy
""".split()


def _function(name: str) -> Callable[..., Any]:
    def apply(input: Tensor, *args: Any, **options: Any) -> Any:
        return getattr(checked(name, input), name)(*args, **options)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"`input.{name}(...)`: see `Tensor.{name}`."
    return apply


def _copy(name: str) -> Callable[..., Any]:
    def apply(input: Tensor) -> Any:
        return getattr(checked(name, input), name.replace("_copy", ""))().clone()

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"A copy of `input.{name.replace('_copy', '')}()`."
    return apply


FUNCTIONS = {name: _function(name) for name in AS_FUNCTIONS}
FUNCTIONS |= {name: _copy(name) for name in COPIES}


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule that shares the memory. BufferError where the tensor requires a gradient."""
    return tensor.__dlpack__()


# ---- norms ---------------------------------------------------------------------------------------


def frobenius_norm(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The root of the sum of squares over one or two dimensions (none: all)."""
    from flambeau.functional.moments import vector_norm

    axes = [dim] if isinstance(dim, int) else list(dim)
    if len(axes) > 2:
        raise RuntimeError(
            f"Expected at most 2 dimensions, but got {len(axes)} dimensions instead."
        )
    return vector_norm(input, 2, axes or None, keepdim)


def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of a matrix' singular values."""
    from flambeau.functional.matrix_functions import matrix_norm

    return matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim)


def lobpcg(
    A: Any,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) eigenvalues of A x = l B x, and their vectors [m, k].

    All are computed, exactly, and the first k kept: what steers PyTorch's iteration (X, n, iK,
    niter, tol, method, ortho_*) only says how fast that converges. `tracker` cannot be called.
    """
    from flambeau.functional.factorisation import cholesky, eigh
    from flambeau.functional.solving import solve_triangular

    if tracker is not None:
        raise NotImplementedError("lobpcg(tracker=...): there are no iterations to follow")
    matrix = A.to_dense()
    size = matrix.shape[-1]
    count = k if k is not None else 1 if X is None else X.shape[-1]
    if size < 3 * count:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={size}) is smaller "
            f"than 3 x the number of requested eigenpairs (={count})"
        )
    if B is None:
        values, vectors = eigh(matrix)
    else:
        factor = cholesky(B.to_dense())
        half = solve_triangular(factor, matrix, upper=False)
        values, turned = eigh(solve_triangular(factor, half.mT, upper=False).mT)
        vectors = solve_triangular(factor.mT, turned, upper=True)
    if largest is None or largest:
        return values[..., -count:].flip(-1), vectors[..., -count:].flip(-1)
    return values[..., :count], vectors[..., :count]


def view_as_complex_copy(input: Tensor) -> Tensor:
    """A copy of `torch.view_as_complex(input)`."""
    from flambeau.functional.complex_numbers import view_as_complex

    return view_as_complex(input).clone()


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norms over all dimensions but one, which keep them; dim -1: over all."""
    if dim == -1:
        return v.norm(pow)
    axes = [axis for axis in range(v.dim()) if axis != dim % v.dim()]
    return v.norm(pow, axes, True) if axes else v.abs()


def native_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(layer_norm, the means, the reciprocals of the deviations)."""
    from flambeau.functional.normalisation import layer_norm

    axes = list(range(input.dim() - len(normalized_shape), input.dim()))
    mean = input.mean(axes, keepdim=True)
    variance = (input - mean).square().mean(axes, keepdim=True)
    made = layer_norm(input, list(normalized_shape), weight, bias, eps)
    return made, mean, (variance + eps).rsqrt()


def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int,
    group: int, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(group_norm, the means [N, group], the reciprocals of the deviations)."""
    from flambeau.functional.normalisation import group_norm

    rows = input.reshape((N, group, -1))
    mean = rows.mean(-1)
    variance = (rows - mean.unsqueeze(-1)).square().mean(-1)
    return group_norm(input, group, weight, bias, eps), mean, (variance + eps).rsqrt()


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """(dropout, which elements stay)."""
    if train is False or p == 0:
        return input.clone(), ones(tuple(input.shape), dtype=dtypes.bool_)
    stays = empty(tuple(input.shape), dtype=input.dtype).bernoulli_(1 - p)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return input * stays * scale, stays.bool()


# ---- segments, low rank --------------------------------------------------------------------------


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of rank q, by random projections (Halko et al., 2011)."""
    from flambeau.functional.factorisation import linalg_qr, linalg_svd
    from flambeau.functional.randomness import randn

    q, niter = 6 if q is None else q, 2 if niter is None else niter
    matrix = A if M is None else A - M
    wide = matrix.shape[-2] < matrix.shape[-1]
    tall = matrix.mT if wide else matrix
    basis = linalg_qr(tall @ randn((tall.shape[-1], q), dtype=A.dtype))[0]
    for _ in range(niter):
        basis = linalg_qr(tall.mT @ basis)[0]
        basis = linalg_qr(tall @ basis)[0]
    inner, values, right = linalg_svd(basis.mT @ tall, full_matrices=False)
    left, right = basis @ inner, right.mT
    return (right, values, left) if wide else (left, values, right)


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """svd_lowrank of the matrix less its columns' means."""
    rows, columns = A.shape[-2:]
    rank = min(6, rows, columns) if q is None else q
    if not 0 <= rank <= min(rows, columns):
        raise ValueError(
            f"q(={rank}) must be non-negative integer and not greater than min(m, n)="
            f"{min(rows, columns)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, rank, niter)


def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
    offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial: Any = None,
) -> Tensor:  # fmt: skip
    """Sums, means, maxima, minima or products of consecutive stretches of the first axis.

    NotImplementedError for `indices`, for another axis and for batches of lengths.
    """
    if indices is not None or axis != 0:
        raise NotImplementedError("segment_reduce(): indices and axes but the first")
    if lengths is None:
        if offsets is None:
            raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined")
        lengths = offsets.diff()
    if lengths.dim() != 1:
        raise NotImplementedError("segment_reduce(): batches of lengths")
    sizes = [int(n) for n in lengths.tolist()]
    empty_value = {"sum": 0.0, "mean": float("nan"), "prod": 1.0}.get(reduce)
    parts = []
    from flambeau.functional.joining import stack

    for part in data.split(sizes):
        if part.shape[0] == 0:
            fill = empty_value if initial is None else initial
            fill = fill if fill is not None else float("-inf" if reduce == "max" else "inf")
            parts.append(full(tuple(data.shape[1:]), fill, dtype=data.dtype))
            continue
        parts.append(_reduced(part, reduce, initial))
    return stack(parts)


def _reduced(part: Tensor, reduce: str, initial: Any) -> Tensor:
    if reduce in ("max", "min"):
        made = part.amax(0) if reduce == "max" else part.amin(0)
        if initial is None:
            return made
        return made.clamp(min=initial) if reduce == "max" else made.clamp(max=initial)
    start = (1.0 if reduce == "prod" else 0.0) if initial is None else initial
    if reduce == "prod":
        return part.prod(0) * start
    total = part.sum(0) + start
    return total / part.shape[0] if reduce == "mean" else total


# ---- symbolic numbers are numbers ----------------------------------------------------------------


def sym_int(a: Any) -> int:
    """The number without its fraction."""
    return int(a)


def sym_float(a: Any) -> float:
    """The number as a float."""
    return float(a)


def sym_not(a: Any) -> bool:
    """not a."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The larger, a float if any of them is."""
    return type(a + b)(max(a, b))


def sym_min(a: Any, b: Any) -> Any:
    """The smaller, a float if any of them is."""
    return type(a + b)(min(a, b))


def sym_sum(args: Any) -> Any:
    """The sum."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root."""
    return math.sqrt(a)


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """t if b else f."""
    return t if b else f


def cond(pred: Any, true_fn: Any, false_fn: Any, operands: Any = ()) -> Any:
    """true_fn(*operands) or false_fn(*operands), as `pred` says."""
    return (true_fn if bool(pred) else false_fn)(*operands)


def while_loop(cond_fn: Any, body_fn: Any, carried_inputs: Any) -> Any:
    """The inputs after body_fn has been applied while cond_fn holds."""
    carried = tuple(carried_inputs)
    while bool(cond_fn(*carried)):
        made = body_fn(*carried)
        carried = tuple(made) if isinstance(made, (tuple, list)) else (made,)
    return carried


# ---- switches and answers ------------------------------------------------------------------------


class _Switches:
    warn_always = False
    deterministic = 0


def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype by a legacy type or its name, such as torch.DoubleTensor."""
    name = t if isinstance(t, str) else f"{t.__module__}.{t.__name__}"
    kind = {
        "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64,
        "HalfTensor": dtypes.float16, "BFloat16Tensor": dtypes.bfloat16,
    }.get(name.rpartition(".")[2])  # fmt: skip
    if ".cuda." in name:
        raise TypeError(f"type {name} not available. Torch not compiled with CUDA enabled.")
    if kind is None:
        raise TypeError("only floating-point types are supported as the default type")
    dtypes.set_default_dtype(checked_dtype(kind))


def set_warn_always(b: bool) -> None:
    """Whether warnings that are shown once shall be shown every time: kept, and of no effect."""
    _Switches.warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """What set_warn_always was told."""
    return _Switches.warn_always


def set_flush_denormal(mode: bool) -> bool:
    """False: the switch is not there, denormal numbers are computed with."""
    return False


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Accepted: programs are always deterministic. RuntimeError for unknown modes."""
    modes = {"default": 0, "warn": 1, "error": 2}
    if isinstance(debug_mode, str):
        if debug_mode not in modes:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = modes[debug_mode]
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _Switches.deterministic = debug_mode


def get_deterministic_debug_mode() -> int:
    """What set_deterministic_debug_mode was told."""
    return _Switches.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """False: there is nothing to warn of."""
    return False


def get_num_interop_threads() -> int:
    """One: programs run one after another."""
    return 1


def compiled_with_cxx11_abi() -> bool:
    """True, as in PyTorch's packages."""
    return True


def is_vulkan_available() -> bool:
    """False."""
    return False


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device: torch.cpu for "cpu"."""
    import importlib

    kind = str(device if device is not None else "cpu").partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'."
        )
    return importlib.import_module(f"flambeau.{kind}")


__all__ = [
    "compiled_with_cxx11_abi", "cond", "frobenius_norm",
    "get_deterministic_debug_mode", "get_device_module", "get_num_interop_threads",
    "is_deterministic_algorithms_warn_only_enabled", "is_vulkan_available",
    "is_warn_always_enabled", "lobpcg", "native_dropout", "native_group_norm", "native_layer_norm",
    "norm_except_dim", "nuclear_norm", "pca_lowrank", "segment_reduce", "set_default_tensor_type",
    "set_deterministic_debug_mode", "set_flush_denormal", "set_warn_always", "svd_lowrank",
    "sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not", "sym_sqrt", "sym_sum",
    "to_dlpack", "view_as_complex_copy", "while_loop",
]  # fmt: skip
