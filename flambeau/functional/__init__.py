"""The op functions. As `torch.functional` it has the names that PyTorch keeps in that module."""

from __future__ import annotations

from typing import Any

# (`split` and `unravel_index` are there too, as modules or functions of the same names.)
_NAMES = frozenset(
    (
        "align_tensors atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes "
        "broadcast_tensors cartesian_prod cdist chain_matmul einsum istft lu meshgrid norm "
        "pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive unravel_index"
    ).split()
)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from flambeau.functional.lazy import places, resolve

        return resolve(*places()[name])
    raise AttributeError(f"module 'torch.functional' has no attribute '{name}'")
