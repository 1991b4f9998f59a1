"""Random numbers drawn in workers are PyTorch's; the main thread's streams stay as they were."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.utils.data import DataLoader
from flambeau.utils.data._utils.seeding import numpy_seed

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


class Draws:
    """Each sample: its index, and numbers from all three libraries."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        noise = self.module.rand(2).tolist()
        return [index, *noise, random.random(), np.random.rand(), np.random.randint(100)]


def epoch(module: Any, loader: Any, **options: Any) -> Any:
    module.manual_seed(3)
    random.seed(5)
    np.random.seed(6)
    source = loader(Draws(module), batch_size=3, num_workers=2, **options)
    rows = [[np.asarray(column).tolist() for column in batch] for batch in source]
    return rows, [random.random(), np.random.rand(), module.rand(1).item()]


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"persistent_workers": True}])
def test_same_as_pytorch(options: dict[str, Any]) -> None:
    assert epoch(flambeau, DataLoader, **options) == epoch(
        torch, torch.utils.data.DataLoader, **options
    )


def test_init_function_seeds_its_worker_alone() -> None:
    def init(worker: int) -> None:
        flambeau.manual_seed(100 + worker)
        np.random.seed(worker)
        random.seed(worker)

    before = random.getstate()
    flambeau.manual_seed(1)
    source = DataLoader(Draws(flambeau), batch_size=12, num_workers=1, worker_init_fn=init)
    (batch,) = list(source)
    assert random.getstate() == before
    flambeau.manual_seed(100)
    np.random.seed(0)
    random.seed(0)
    same = list(zip(*(Draws(flambeau)[index] for index in range(12)), strict=True))
    assert [tuple(c.tolist()) for c in batch] == same


def test_seeds_of_numpy() -> None:
    from torch.utils.data._utils.worker import _generate_state

    for base in (0, 1, 2**31 + 7, 2**62 + 12345):
        for worker in (0, 1, 5):
            assert numpy_seed(base, worker).tolist() == _generate_state(base, worker)
