"""Products of bfloat16 in pairs: which contractions they are for, and what they give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.execute.cpu.contraction_pairs import Zip, multiplies_pairs, pair_plan
from flambeau.execute.cpu.contraction_spec import Axis, Contraction
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.record.options import OPTIONS

needs_pairs = pytest.mark.skipif(
    not multiplies_pairs(512) or has_matrix_unit() or OPTIONS.sync,
    reason="no instruction for pairs, or a matrix unit in its place",
)
SHAPES = [
    (64, 784, 512, ()), (33, 50, 17, ()), (16, 64, 1, ()), (1, 128, 300, ()), (20, 30, 40, (3,)),
    (100, 2, 200, ()), (48, 63, 48, ()), (31, 8, 257, (2, 2)), (5, 4096, 5, ()), (300, 256, 90, ()),
]  # fmt: skip


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def operand(values: Any, turned: bool) -> Any:
    """It is computed: how a product adds up may hang on what is made in the same program."""
    x = torch.tensor(values).to(torch.bfloat16)
    x = x.transpose(-1, -2).contiguous().transpose(-1, -2) if turned else x
    x.sum().item()
    return x


@pytest.mark.parametrize("form", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("shape", SHAPES)
def test_errors_are_those_of_float32_sums(shape: Any, form: str) -> None:
    m, k, n, batch = shape
    rng = np.random.default_rng(m * k + n)
    x = operand(rng.standard_normal((*batch, m, k)).astype("f"), form[0] == "t")
    y = operand(rng.standard_normal((*batch, k, n)).astype("f"), form[1] == "t")
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append((x @ y).float().numpy().astype(np.float64))
    np.testing.assert_array_equal(*found)
    a, b = (v.double().numpy() for v in (x, y))
    wanted, sizes = a @ b, np.abs(a) @ np.abs(b)
    # One rounding to bfloat16, and those of a float32 sum.
    bound = np.abs(wanted) * 2.0**-8 + sizes * k * 2.0**-24
    assert (np.abs(found[0] - wanted) <= bound).all()


def test_special_values_and_epilogues() -> None:
    x = torch.tensor(np.ones((32, 64), "f")).to(torch.bfloat16)
    y = torch.tensor(np.full((64, 48), 2.0, "f")).to(torch.bfloat16)
    x[3, 5], x[4, 6], y[7, 2] = float("inf"), float("nan"), float("-inf")
    out = torch.relu(x @ y + 1).float()
    assert np.isnan(out.numpy()[4]).all()
    assert np.isposinf(np.delete(out.numpy()[3], 2)).all()
    assert np.isnan(out.numpy()[3, 2])
    assert out.numpy()[0, 2] == 0
    assert (np.delete(out.numpy()[0], 2) == 129).all()


def test_layers_train_as_in_float32() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(48, 64), torch.randn(48, 32)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        layer = torch.nn.Linear(64, 32).to(dtype)
        loss = torch.nn.functional.mse_loss(layer(x.to(dtype)), y.to(dtype))
        loss.backward()
        results.append((layer.weight.grad.float().numpy(), loss.float().item()))
    (wanted, loss), (found, rounded) = results
    assert rounded == pytest.approx(loss, rel=0.02)
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()


@needs_pairs
def test_which_operands_are_zipped() -> None:
    def plan(a: tuple[int, int], b: tuple[int, int], k: int = 64, element: str = "bfloat") -> Any:
        axes = (Axis("m", 128, a[0], 0, 96), Axis("n", 96, 0, b[0], 1), Axis("k", k, a[1], b[1], 0))
        return pair_plan(Contraction(axes, element, element), 512)

    rows = plan((64, 1), (64, 1))
    assert rows.zips == (None, None)
    assert [(axis.extent, axis.a, axis.b) for axis in rows.spec.axes] == [
        (128, 32, 0), (96, 0, 32), (32, 1, 1),
    ]  # fmt: skip
    assert rows.spec.pairs
    mixed = plan((64, 1), (1, 96))
    assert mixed.zips == (None, Zip((), 32, 96, 96))
    assert mixed.zips[1].bytes == 64 * 96 * 2
    assert plan((64, 1), (64, 1), k=63) is None
    assert plan((65, 1), (64, 1)) is None  # rows that begin in the middle of pairs
    assert plan((64, 1), (64, 1), element="float") is None
    assert plan((128, 2), (64, 1)) is None  # nothing lies side by side
    assert pair_plan(Contraction((Axis("k", 64, 1, 1, 0),), "bfloat", "bfloat"), 512) is None
