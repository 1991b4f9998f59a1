"""What a mask chooses of a tensor of plain data, or of one still to be computed, is PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

SHAPES = [((4, 5), (4, 5)), ((4, 5, 3), (4,)), ((4, 5, 3), (4, 5)), ((0, 3), (0,)), ((3,), (3,))]
MAKERS = {
    "plain": lambda x: x,
    "computed": lambda x: x + x,
    "turned": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
}


def chosen(library: Any, array: Any, mask: Any, dtype: str, maker: str) -> list[Any]:
    x = MAKERS[maker](library.tensor(array).to(getattr(library, dtype)))
    if maker != "computed":
        x.tolist()
    where = library.tensor(mask)
    spread = where.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
    found = [x[where], library.masked_select(x, spread)]
    return [(y.tolist(), tuple(y.shape), str(y.dtype).split(".")[-1]) for y in found]


@pytest.mark.parity
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "complex64"])
def test_a_mask_chooses(dtype: str, maker: str) -> None:
    rng = np.random.default_rng(0)
    for shape, part in SHAPES:
        array, mask = rng.standard_normal(shape).astype("f"), rng.random(part) > 0.5
        ours, theirs = (chosen(m, array, mask, dtype, maker) for m in (flambeau, torch))
        assert ours == theirs


@pytest.mark.parity
def test_a_mask_that_does_not_fit() -> None:
    messages = []
    for library in (flambeau, torch):
        x = library.ones(4, 5)
        x.tolist()
        with pytest.raises(IndexError) as caught:
            x[library.ones(5, dtype=library.bool)]
        messages.append(str(caught.value).splitlines()[0])
    assert messages[0] == messages[1]
