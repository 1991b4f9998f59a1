"""Which ops autocast runs in which dtype, on the CPU.

Note: where the casts happen
    A recording knows the policy it is made under. Where an op is seen for the first time, its
    operands are cast before its function sees them; so the casts are part of the program, gradients
    pass through them, and a weight that is cast twice is cast once. Ops that are known cost nothing
    more than without autocast.
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value

# Products: in the lower precision.
LOWER = frozenset(
    """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d bmm mm vecdot baddbmm
    addmm addbmm linear matmul prelu scaled_dot_product_attention tensordot multi_dot
    linalg_vecdot linalg_multi_dot chain_matmul
    """.split()
)
# Products where they have two operands (einsum of one only moves axes), or matrices.
EINSUM, INNER = "einsum", "inner"
# Losses, decompositions, and pooling that has no kernel in the lower precision.
SINGLE = frozenset(
    """
    avg_pool3d binary_cross_entropy grid_sampler grid_sample polar prod quantile nanquantile stft
    cdist trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr
    ormqr pinverse max_pool3d max_unpool2d max_unpool3d adaptive_avg_pool3d reflection_pad1d
    reflection_pad2d replication_pad1d replication_pad2d replication_pad3d mse_loss
    cosine_embedding_loss nll_loss hinge_embedding_loss poisson_nll_loss smooth_l1_loss
    cross_entropy l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss
    multi_margin_loss ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits
    fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2 fft_irfft2
    fft_rfftn fft_irfftn fft_hfft fft_ihfft linalg_cond linalg_matrix_rank linalg_solve
    linalg_cholesky linalg_svdvals linalg_eigvals linalg_eigvalsh linalg_inv
    linalg_householder_product linalg_tensorinv linalg_tensorsolve geqrf qr svd triangular_solve
    fractional_max_pool2d fractional_max_pool3d adaptive_max_pool3d linalg_qr linalg_cholesky_ex
    linalg_svd linalg_eig linalg_eigh linalg_lstsq linalg_inv_ex
    """.split()
)
# The widest dtype among the operands.
WIDEST = frozenset({"stack", "cat", "index_copy"})


class Policy:
    """Autocast to one dtype, as a recording knows it; one object per dtype."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def cast(self, name: str, operands: list[Any]) -> list[Any]:
        """The operands as the op `name` gets them."""
        if name in LOWER or _is_product(name, operands):
            return _cast(operands, self.dtype)
        if name in SINGLE:
            return _cast(operands, dtypes.float32)
        if name in WIDEST:
            floats = _floats(operands)
            if len({v.dtype for v in floats}) > 1:
                return _cast(operands, self._widest(floats))
        return operands

    def _widest(self, values: list[Value]) -> DType:
        widest = self.dtype
        for value in values:
            if value.dtype is dtypes.float32:
                widest = dtypes.float32
            elif value.dtype is not self.dtype:
                raise RuntimeError("Unexpected floating ScalarType in at::autocast::prioritize")
        return widest


def _is_product(name: str, operands: list[Any]) -> bool:
    if name == EINSUM:
        return len(_floats(operands)) > 1
    return name == INNER and all(operand.ndim > 1 for operand in operands)


def _eligible(operand: Any) -> bool:
    """Double precision stays what it is, and run-time scalars (float64) are Python's."""
    return (
        isinstance(operand, Value)
        and operand.dtype.is_floating_point
        and operand.dtype is not dtypes.float64
    )


def _floats(operands: list[Any]) -> list[Value]:
    flat: list[Value] = []
    for operand in operands:
        if isinstance(operand, list):
            flat += _floats(operand)
        elif _eligible(operand):
            flat.append(operand)
    return flat


def _cast(operands: list[Any], dtype: DType) -> list[Any]:
    return [
        _cast(operand, dtype)
        if isinstance(operand, list)
        else ar.cast(operand, dtype)
        if _eligible(operand)
        else operand
        for operand in operands
    ]


POLICIES: dict[DType, Policy] = {
    dtype: Policy(dtype) for dtype in (dtypes.bfloat16, dtypes.float16)
}
