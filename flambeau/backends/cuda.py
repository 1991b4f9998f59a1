"""torch.backends.cuda: flags that programs set; they are kept, and change nothing on the CPU."""

from __future__ import annotations


class _Matmul:
    """The precision that CUDA products may give up."""

    def __init__(self) -> None:
        self.allow_tf32 = False
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether CUDA can be used."""
    return False
