"""The maxima of bags may be overwritten: PyTorch keeps their places, not them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("padding", [None, 0])
@pytest.mark.parametrize("sync", [False, True])
def test_same_as_pytorch(padding: int | None, sync: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "sync", sync)
    found = []
    for library in LIBRARIES:
        table = library.arange(10.0).reshape(5, 2).sin().requires_grad_()
        bags = library.tensor([[1, 2, 0], [4, 3, 3]])
        functional = library.nn.functional
        best = functional.embedding_bag(bags, table, mode="max", padding_idx=padding)
        functional.silu(best, inplace=True)
        best.sum().backward()
        found.append((best, table.grad))
    same(*found)
