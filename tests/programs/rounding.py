"""PyTorch with each result of inexact arithmetic off by a rounding, as another order of operations
or another approximation would have it (Monte Carlo arithmetic).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What gives exact results: it moves numbers, chooses among them, or makes them from none.
EXACT = frozenset(
    (
        "abs alias amax amin arange as_strided bernoulli cat clamp clamp_max clamp_min clone copy "
        "cummax cummin detach diagonal diagonal_backward embedding empty empty_like empty_strided "
        "expand eye fill flip full full_like gather index index_put index_select lift_fresh "
        "masked_fill masked_scatter masked_select max maximum min minimum neg new_empty "
        "new_empty_strided new_full new_ones new_zeros normal ones ones_like permute rand randn "
        "relu repeat reshape scalar_tensor scatter select select_backward set sgn sign slice "
        "slice_backward sort split squeeze stack t threshold threshold_backward to transpose "
        "unbind uniform unsqueeze view where zero zeros zeros_like random resize _to_copy "
        "_reshape_alias _unsafe_view _index_put_impl"
    ).split()
)


@contextmanager
def rounded(seed: int) -> Iterator[None]:
    """Results of floating-point arithmetic are off by up to a unit in the last place."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    rng = random.Random(seed)

    class Rounded(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = function(*args, **(kwargs or {}))
            name = function.overloadpacket.__name__
            if name.removesuffix("_") not in EXACT and isinstance(made, torch.Tensor):
                _round(torch, rng, made)
            return made

    with Rounded():
        yield


def _round(torch: Any, rng: random.Random, made: Any) -> None:
    if not made.is_floating_point() or not made.numel():
        return
    if any(n > 1 and not step for n, step in zip(made.shape, made.stride())):
        return  # elements that share memory
    unit = torch.finfo(made.dtype).eps
    drawn = [1 + unit * rng.uniform(-1, 1) for _ in range(made.numel())]
    made.mul_(torch.tensor(drawn, dtype=made.dtype).reshape(made.shape))
