"""How a training step's time grows with its size, Flambeau against PyTorch, side by side.

    python bench/scaling.py [--cases batch_1,width_1024] [--threads 1] [--rounds 5] [--seconds 0.3]

One network (784, a hidden layer, 10 classes; SGD) with batches of 1 to 4096, and with hidden layers
of 16 to 4096. Measured as in steps.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
from models import Built, Case


def network(batch: int, width: int) -> Callable[[Any], Built]:
    def build(torch: Any) -> Built:
        nn = torch.nn
        model = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
        x, y = torch.randn(batch, 784), torch.randint(0, 10, (batch,))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)

    return build


CASES: dict[str, Case] = {
    **{
        f"batch_{n}": Case(f"MLP 784-128-10, batch {n}", network(n, 128), 1.2)
        for n in (1, 16, 256, 4096)
    },
    **{
        f"width_{n}": Case(f"MLP 784-{n}-10, batch 64", network(64, n), 1.2)
        for n in (16, 256, 1024, 4096)
    },
}


def main() -> None:
    cases.run(CASES, __file__, cases.parser("Steps of several sizes.", CASES, 5, 0.3))


if __name__ == "__main__":
    main()
