"""What the tests of op functions share: a case run in PyTorch and in Flambeau, and compared."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau
from flambeau.autograd.engine import grad
from flambeau.core import dtypes
from flambeau.tensor.tensor import from_array

ATOL = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-5, "float64": 1e-10}


MINE: Any = flambeau
Case = Callable[..., Any]


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def mine_of(given: Any) -> Any:
    """A Flambeau tensor with the data and layout of a torch tensor."""
    if given.dtype is torch.bfloat16:
        bits = given.contiguous().view(torch.int16).numpy().view(np.uint16)
        return from_array(bits, dtypes.bfloat16)
    dtype = dtypes.BY_NAME[str(given.dtype).removeprefix("torch.")]
    order = sorted(range(given.ndim), key=lambda a: -given.stride(a))
    if order == list(range(given.ndim)):
        return from_array(given.numpy(), dtype)
    stored = from_array(np.ascontiguousarray(given.permute(order).numpy()), dtype)
    meta = stored._meta.replaced(shape=tuple(given.shape), strides=tuple(given.stride()))
    stored._meta = meta
    return stored


def same(
    ours: Any, theirs: Any, what: str, *, strides: bool = True, atol: float | None = None
) -> None:
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs and type(ours) is type(theirs), what
        return
    name = str(theirs.dtype).removeprefix("torch.")
    assert ours.dtype.name == name, (what, ours.dtype, theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape), (what, ours.shape, theirs.shape)
    if strides and theirs.numel():
        assert tuple(ours.stride()) == tuple(theirs.stride()), (
            what,
            ours.stride(),
            theirs.stride(),
        )
    wanted = theirs.detach().float().numpy() if name == "bfloat16" else theirs.numpy(force=True)
    tolerance = ATOL.get(name, 0) if atol is None else atol
    np.testing.assert_allclose(
        ours.detach()._values(),
        wanted,
        rtol=tolerance,
        atol=tolerance,
        equal_nan=True,
        err_msg=what,
    )


def check_values(case: Case, *tensors: Any, strides: bool = True) -> None:
    """The same function of the same tensors in both libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = case(torch, *tensors)
        ours = case(MINE, *[mine_of(t) for t in tensors])
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
    for place, (a, b) in enumerate(zip(flat(ours), flat(theirs), strict=True)):
        same(a, b, f"result {place}", strides=strides)


def check_gradients(case: Case, *tensors: Any, second: bool = True, names: bool = True) -> None:
    """Gradients for random cotangents, and the gradients of their square sum."""
    theirs_in = [t.detach().clone().requires_grad_() for t in tensors]
    ours_in = [mine_of(t).requires_grad_() for t in tensors]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [t for t in flat(case(torch, *theirs_in)) if t.requires_grad]
        ours = [t for t in flat(case(MINE, *ours_in)) if t.requires_grad]
    assert len(ours) == len(theirs) > 0
    if names:
        assert [t._meta.grad_name for t in ours] == [type(t.grad_fn).__name__ for t in theirs]
    generator = torch.Generator().manual_seed(len(tensors))
    cts = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in theirs]
    first = torch.autograd.grad(theirs, theirs_in, cts, create_graph=second, allow_unused=True)
    mine = grad(ours, ours_in, [mine_of(c) for c in cts], create_graph=second, allow_unused=True)
    for a, b in zip(mine, first, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            same(a, b, "gradient", strides=False)
    if not second:
        return
    pairs = [(a, b) for a, b in zip(mine, first, strict=True) if b is not None and b.requires_grad]
    if not pairs:
        return
    weights = [torch.randn(b.shape, generator=generator, dtype=b.dtype) for _, b in pairs]
    total = sum((w * b).sum() for w, (_, b) in zip(weights, pairs, strict=True))
    order_two = torch.autograd.grad(total, theirs_in, allow_unused=True)
    parts = [(mine_of(w) * a).sum() for w, (a, _) in zip(weights, pairs, strict=True)]
    if not any(p.requires_grad for p in parts):
        assert all(g is None or not g.any() for g in order_two)
        return
    again = grad([p for p in parts if p.requires_grad], ours_in, allow_unused=True)
    for a, b in zip(again, order_two, strict=True):
        if b is None or a is None:  # one may know a zero that the other computes
            present = a if b is None else b
            assert present is None or not np.any(np.asarray(present.tolist()))
        else:
            same(a, b, "second gradient", strides=False, atol=1e-8)


def check_error(case: Case, *tensors: Any) -> None:
    """The same exception with the same words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as theirs:
            case(torch, *tensors)
        with pytest.raises(theirs.type, match="^" + re.escape(str(theirs.value).split("\n")[0])):
            case(MINE, *[mine_of(t) for t in tensors])


def draw(*shape: int, dtype: Any = None, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed + 7 * len(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3
    if dtype is torch.bool:
        return x > 0
    return x.to(dtype or torch.float64)
