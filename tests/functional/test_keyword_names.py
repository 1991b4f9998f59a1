"""Sizes and axes given by the keywords that PyTorch knows them by, NumPy's among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "zeros": lambda torch, x: torch.zeros(size=(2, 3)),
    "ones": lambda torch, x: torch.ones(size=[2, 3], dtype=torch.int64),
    "empty": lambda torch, x: torch.empty(size=(2, 0, 3)),
    "rand": lambda torch, x: torch.rand(size=(2, 3)),
    "randn": lambda torch, x: torch.randn(size=torch.Size([3])),
    "new_zeros": lambda torch, x: x.new_zeros(size=(2,)),
    "new_ones": lambda torch, x: x.new_ones(size=(1, 2)),
    "reshape": lambda torch, x: x.reshape(shape=(3, 2)),
    "torch_reshape": lambda torch, x: torch.reshape(input=x, shape=(-1,)),
    "permute": lambda torch, x: x.permute(dims=(1, 0)),
    "repeat": lambda torch, x: x.repeat(repeats=(2, 1)),
    "tile": lambda torch, x: x.tile(dims=(2,)),
    "cat": lambda torch, x: torch.cat(tensors=[x, x, x], axis=1),
    "stack": lambda torch, x: torch.stack([x, x * 2], axis=-1),
    "squeeze": lambda torch, x: x[None].squeeze(axis=0),
    "unsqueeze": lambda torch, x: x.unsqueeze(axis=1),
    "softmax": lambda torch, x: x.softmax(axis=0),
    "log_softmax": lambda torch, x: x.log_softmax(axis=1),
    "torch_softmax": lambda torch, x: torch.softmax(x, axis=1, dtype=torch.float64),
    "softmax_third": lambda torch, x: torch.softmax(x.long(), 1, torch.float32),
    "softmax_out": lambda torch, x: torch.softmax(x, 0, out=torch.empty(2, 3)),
    "log_softmax_out": lambda torch, x: torch.log_softmax(x, dim=0, out=torch.empty(2, 3)),
    "unbind": lambda torch, x: x.unbind(axis=1)[2],
    "chunk": lambda torch, x: torch.chunk(x, chunks=2, axis=1)[0],
    "gather": lambda torch, x: x.gather(axis=1, index=torch.tensor([[0], [2]])),
    "index_select": lambda torch, x: x.index_select(axis=1, index=torch.tensor([2, 0])),
    "take_along_dim": lambda torch, x: torch.take_along_dim(x, torch.tensor([[1]]), dim=0),
    "select": lambda torch, x: x.select(axis=1, index=2),
    "narrow": lambda torch, x: x.narrow(axis=1, start=1, length=2),
    "unflatten": lambda torch, x: x.unflatten(dim=1, sizes=(3, 1)),
    "split": lambda torch, x: x.split(split_size=2, dim=1)[1],
    "split_sizes": lambda torch, x: x.split(split_size=[1, 2], dim=1)[1],
    "torch_split": lambda torch, x: torch.split(tensor=x, split_size_or_sections=2, dim=1)[0],
    "tensor_split": lambda torch, x: x.tensor_split(sections=2, dim=1)[1],
    "tensor_split_at": lambda torch, x: torch.tensor_split(x, indices=(1,), dim=1)[1],
    "swapaxes": lambda torch, x: x.swapaxes(axis0=0, axis1=1),
    "swapdims": lambda torch, x: torch.swapdims(x, dim0=0, dim1=1),
    "swapaxes_": lambda torch, x: x.swapaxes_(axis0=0, axis1=1),
    "relu_": lambda torch, x: torch.relu_(input=x - 0.5),
    "exp_": lambda torch, x: torch.exp_(input=x),
    "clamp_": lambda torch, x: torch.clamp_(input=x, max=0.5),
    "fill_": lambda torch, x: torch.fill_(input=x, value=2.0),
    "dropout": lambda torch, x: torch.dropout(x, p=0.5, train=True),
    "alpha_dropout": lambda torch, x: torch.alpha_dropout(input=x, p=0.5, train=False),
    "matrix_exp": lambda torch, x: torch.matrix_exp(input=x[:, :2]),
    "isin": lambda torch, x: torch.isin(element=2, test_elements=torch.tensor([1, 2])),
    "zeros_like": lambda torch, x: torch.zeros_like(input=x, pin_memory=False),
    "eye": lambda torch, x: torch.eye(n=2, m=3, pin_memory=False),
    "linspace": lambda torch, x: torch.linspace(start=0, end=1, steps=5, pin_memory=False),
    "randint": lambda torch, x: torch.randint(low=2, high=9, size=(4,), pin_memory=False),
    "randint_like": lambda torch, x: torch.randint_like(x, low=1, high=5),
    "randint_like_below": lambda torch, x: torch.randint_like(x, high=5),
    "rand_like": lambda torch, x: torch.rand_like(
        torch.zeros(1, 2, 3, 4), memory_format=torch.channels_last
    ),
    "normal": lambda torch, x: torch.normal(mean=1.0, std=2.0, size=(3,), layout=torch.strided),
    "tril_indices": lambda torch, x: torch.tril_indices(row=3, col=2, layout=torch.strided),
    "range_out": lambda torch, x: torch.range(0, 3, out=torch.empty(4)),
    "set_storage": lambda torch, x: torch.empty(0).set_(
        source=x.untyped_storage(), storage_offset=1, size=(2, 2), stride=(2, 1)
    ),
    "set_tensor": lambda torch, x: torch.empty(0).set_(x),
    "cross": lambda torch, x: torch.cross(x, x.flip(0), axis=1),
    "fft": lambda torch, x: torch.fft.fft(x, axis=0).abs().contiguous(),
    "rfftn": lambda torch, x: torch.fft.rfftn(x, axis=(0, 1)).abs(),
    "fftshift": lambda torch, x: torch.fft.fftshift(x, axis=1),
    "scatter": lambda torch, x: x.scatter(axis=1, index=torch.tensor([[0], [2]]), src=x * 2),
    "scatter_add": lambda torch, x: x.scatter_add(axis=0, index=torch.tensor([[1, 0]]), src=x),
    "index_add": lambda torch, x: x.index_add(axis=1, index=torch.tensor([2]), source=x[:, :1]),
    "index_copy": lambda torch, x: torch.index_copy(
        x, axis=0, index=torch.tensor([1]), source=x[:1]
    ),
    "repeat_interleave": lambda torch, x: x.repeat_interleave(2, axis=1),
    "select_scatter": lambda torch, x: x.select_scatter(x[0], axis=0, index=1),
    "renorm": lambda torch, x: x.renorm(2, axis=0, maxnorm=0.5),
    "trapezoid": lambda torch, x: torch.trapezoid(x, axis=0),
    "gradient": lambda torch, x: torch.gradient(x, axis=1)[0],
    "set_nothing": lambda torch, x: x.set_(),
}


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    found = []
    for torch in (flambeau, reference):
        torch.manual_seed(1)
        found.append(CASES[name](torch, torch.rand(2, 3)))
    ours, theirs = found
    assert ours.shape == theirs.shape
    assert ours.stride() == theirs.stride()
    assert ours.flatten().tolist() == pytest.approx(theirs.flatten().tolist())
