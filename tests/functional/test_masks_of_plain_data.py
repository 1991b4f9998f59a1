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


def test_what_is_left_of_boxes_is_no_program_of_its_own() -> None:
    from flambeau.record.statistics import STATISTICS

    rng = np.random.default_rng(1)
    plans = []
    for _ in range(6):
        x = flambeau.tensor(rng.standard_normal(24).astype("f"))
        seen = x.numpy().copy()
        while len(x):
            wanted = seen[1:][seen[1:] - seen[0] * 0.5 > 0.3]
            rest = x[1:]
            x = rest[rest - x[0] * 0.5 > 0.3]
            assert x.tolist() == wanted.tolist()
            seen = wanted
        plans.append(STATISTICS.plans)
    assert plans[-1] <= 26 + plans[0]


def test_a_mask_of_what_has_history_is_recorded() -> None:
    w = flambeau.ones(5, requires_grad=True)
    x = w * flambeau.arange(5.0)
    y = x[x > 1.5]
    y.sum().backward()
    assert y.tolist() == [2.0, 3.0, 4.0]
    assert w.grad.tolist() == [0.0, 0.0, 2.0, 3.0, 4.0]
