"""torch.nn.attention.flex_attention: its names. Attention with a mask of one's own is
`nn.functional.scaled_dot_product_attention(attn_mask=...)`."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask",
    "flex_attention", "noop_mask", "or_masks",
]  # fmt: skip

_DEFAULT_SPARSE_BLOCK_SIZE = 128


def _refuse(*args: Any, **options: Any) -> Any:
    raise NotImplementedError(
        "flex_attention is not supported: use nn.functional.scaled_dot_product_attention with "
        "attn_mask"
    )


class BlockMask:
    """NotImplementedError."""

    __init__ = _refuse


class AuxOutput(BlockMask):
    """NotImplementedError."""


class AuxRequest(BlockMask):
    """NotImplementedError."""


flex_attention = create_block_mask = create_mask = and_masks = or_masks = noop_mask = _refuse
