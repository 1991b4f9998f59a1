"""One op by itself on a small tensor, computed and read each time, Flambeau against PyTorch.

    python bench/ops.py [--cases topk,roll,..] [--threads 0] [--rounds 7] [--seconds 0.02]

Most ops that programs use now and then, and what they do all the time with tensors that hold their
data (`EVERYDAY`), on tensors of 16 x 24 numbers; some on 30,000 (`LONGER`). Every round runs each
op in a block of its own in either framework, one framework after the other. Printed: the median
time of an op with its reading (`.numpy()`, of a tuple all of it) and the median ratio within a
round, the slowest beside PyTorch first.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import argparse

import cases
import numpy as np
import steps
from models import Case

Op = Callable[[Any, Any], Any]


class Inputs:
    """What the ops read: matrices x, y (positive), z; integers n, places, boolean mask."""

    def __init__(self, torch: Any) -> None:
        self.x = torch.randn(16, 24)
        self.y = torch.rand(16, 24) + 0.5
        self.z = torch.randn(16, 24)
        self.square = torch.randn(16, 16)
        self.n = torch.randint(0, 9, (16, 24))
        self.places = torch.randint(0, 16, (10,))
        self.rows = torch.randn(10, 24)
        self.columns = torch.randint(0, 24, (16, 24))
        self.mask = torch.rand(16, 24) > 0.5
        self.sorted = torch.sort(torch.randn(24))[0]
        self.array = np.arange(384, dtype=np.float32).reshape(16, 24)
        self.number = torch.tensor(1.5)
        self.row = torch.randn(24)
        self.target = torch.zeros(16, 24)
        self.labels = torch.randint(0, 24, (16,))
        self.long = torch.randn(30_000)
        self.divisors = torch.rand(30_000) + 0.5
        self.numbers = torch.randint(0, 1000, (30_000,))
        self.kept: list[Any] = []
        for tensor in vars(self).values():
            if hasattr(tensor, "numpy"):
                tensor.numpy()  # all hold their data


OPS: dict[str, Op] = {
    "add": lambda t, i: i.x + i.z,
    "mul_scalar": lambda t, i: i.x * 2.5,
    "addcmul": lambda t, i: t.addcmul(i.x, i.y, i.z, value=0.5),
    "addcdiv": lambda t, i: t.addcdiv(i.x, i.z, i.y),
    "lerp": lambda t, i: t.lerp(i.x, i.z, 0.3),
    "where": lambda t, i: t.where(i.mask, i.x, i.z),
    "clamp": lambda t, i: i.x.clamp(-1, 1),
    "maximum": lambda t, i: t.maximum(i.x, i.z),
    "fmod": lambda t, i: t.fmod(i.x, 0.7),
    "atan2": lambda t, i: t.atan2(i.x, i.y),
    "hypot": lambda t, i: t.hypot(i.x, i.y),
    "erf": lambda t, i: t.erf(i.x),
    "lgamma": lambda t, i: t.lgamma(i.y),
    "digamma": lambda t, i: t.digamma(i.y),
    "xlogy": lambda t, i: t.xlogy(i.x, i.y),
    "logaddexp": lambda t, i: t.logaddexp(i.x, i.z),
    "nan_to_num": lambda t, i: t.nan_to_num(i.x),
    "bitwise_and": lambda t, i: i.n & 3,
    "eq": lambda t, i: i.n == 4,
    "isclose": lambda t, i: t.isclose(i.x, i.z),
    "sum": lambda t, i: i.x.sum(),
    "mean_rows": lambda t, i: i.x.mean(1),
    "std": lambda t, i: i.x.std(0),
    "var_mean": lambda t, i: t.var_mean(i.x, 1),
    "logsumexp": lambda t, i: t.logsumexp(i.x, 1),
    "softmax": lambda t, i: t.softmax(i.x, 1),
    "norm": lambda t, i: t.linalg.vector_norm(i.x, dim=1),
    "prod": lambda t, i: i.y.prod(1),
    "any": lambda t, i: i.mask.any(1),
    "amax": lambda t, i: i.x.amax(1),
    "aminmax": lambda t, i: t.aminmax(i.x),
    "max_dim": lambda t, i: i.x.max(1),
    "argmax": lambda t, i: i.x.argmax(1),
    "count_nonzero": lambda t, i: t.count_nonzero(i.n, 1),
    "median": lambda t, i: i.x.median(1),
    "mode": lambda t, i: t.mode(i.n, 1),
    "quantile": lambda t, i: t.quantile(i.x, 0.3, 1),
    "kthvalue": lambda t, i: t.kthvalue(i.x, 5, 1),
    "topk": lambda t, i: t.topk(i.x, 5),
    "sort": lambda t, i: t.sort(i.x),
    "argsort": lambda t, i: t.argsort(i.x, 1),
    "unique": lambda t, i: t.unique(i.n),
    "bincount": lambda t, i: t.bincount(i.n.reshape(-1)),
    "histc": lambda t, i: t.histc(i.x, 10, -3, 3),
    "searchsorted": lambda t, i: t.searchsorted(i.sorted, i.x),
    "nonzero": lambda t, i: i.mask.nonzero(),
    "masked_select": lambda t, i: i.x[i.mask],
    "cumsum": lambda t, i: i.x.cumsum(1),
    "cumprod": lambda t, i: i.y.cumprod(1),
    "cummax": lambda t, i: t.cummax(i.x, 1),
    "logcumsumexp": lambda t, i: t.logcumsumexp(i.x, 1),
    "diff": lambda t, i: t.diff(i.x),
    "tril": lambda t, i: t.tril(i.x),
    "roll": lambda t, i: t.roll(i.x, 3, 1),
    "flip": lambda t, i: i.x.flip(0),
    "repeat_interleave": lambda t, i: t.repeat_interleave(i.x, 2, 1),
    "cat": lambda t, i: t.cat([i.x, i.z], 1),
    "stack": lambda t, i: t.stack([i.x, i.z]),
    "index_select": lambda t, i: i.x.index_select(0, i.places),
    "index_rows": lambda t, i: i.x[i.places],
    "gather": lambda t, i: i.x.gather(1, i.columns),
    "scatter_add": lambda t, i: i.x.scatter_add(1, i.columns, i.z),
    "index_add": lambda t, i: i.x.index_add(0, i.places, i.rows),
    "masked_fill": lambda t, i: i.x.masked_fill(i.mask, 0.0),
    "one_hot": lambda t, i: t.nn.functional.one_hot(i.n, 9),
    "matmul": lambda t, i: i.x @ i.z.t(),
    "einsum": lambda t, i: t.einsum("ij,kj->ik", i.x, i.z),
    "outer": lambda t, i: t.outer(i.sorted, i.sorted),
    "cdist": lambda t, i: t.cdist(i.x, i.z),
    "det": lambda t, i: t.linalg.det(i.square),
    "solve": lambda t, i: t.linalg.solve(i.square, i.x),
    "svdvals": lambda t, i: t.linalg.svdvals(i.x),
    "fft": lambda t, i: t.fft.rfft(i.x).abs(),
    "normalize": lambda t, i: t.nn.functional.normalize(i.x),
    "cosine_similarity": lambda t, i: t.cosine_similarity(i.x, i.z),
    "arange": lambda t, i: t.arange(24),
    "linspace": lambda t, i: t.linspace(0, 1, 24),
    "zeros": lambda t, i: t.zeros(16, 24),
    "rand": lambda t, i: t.rand(16, 24),
    "multinomial": lambda t, i: t.multinomial(i.y, 3),
}


def assigned(i: Any, place: Any, value: Any) -> None:
    i.target[place] = value


def kept(i: Any) -> None:
    """A result that is read, and kept with two hundred others."""
    i.kept.append(i.x + i.z)
    i.kept[-1].numpy()
    if len(i.kept) > 200:
        i.kept.clear()


# What is made or shown is not read, so that no view costs as much as its array.
EVERYDAY: dict[str, Op] = {
    "tensor([..])": lambda t, i: t.tensor([1.0, 2.0, 3.0]) is None,
    "tensor(2.5)": lambda t, i: t.tensor(2.5) is None,
    "tensor([[..], ..])": lambda t, i: t.tensor([[1.0, 2.0], [3.0, 4.0]]) is None,
    "tensor, with grad": lambda t, i: t.tensor([1.0, 2.0], requires_grad=True) is None,
    "tensor(array)": lambda t, i: t.tensor(i.array) is None,
    "from_numpy": lambda t, i: t.from_numpy(i.array) is None,
    "Tensor([..])": lambda t, i: t.Tensor([1.0, 2.0, 3.0]) is None,
    "empty": lambda t, i: t.empty(16, 24) is None,
    "full": lambda t, i: t.full((16, 24), 2.0),
    "zeros_like": lambda t, i: t.zeros_like(i.x),
    "randn": lambda t, i: t.randn(16, 24),
    "randint": lambda t, i: t.randint(0, 10, (16,)),
    "item": lambda t, i: i.number.item(),
    "float(x)": lambda t, i: float(i.number),
    "sum, item": lambda t, i: i.x.sum().item(),
    "accuracy, item": lambda t, i: (i.x.argmax(1) == i.labels).float().mean().item(),
    "if x > 0": lambda t, i: 1 if i.number > 0 else 0,
    "f'{x:.4f}'": lambda t, i: f"{i.number:.4f}",
    "x.shape[0]": lambda t, i: i.x.shape[0],
    "x.size(0)": lambda t, i: i.x.size(0),
    "len(x)": lambda t, i: len(i.x),
    "x[3]": lambda t, i: i.x[3] is None,
    "x[1:3]": lambda t, i: i.x[1:3] is None,
    "x[:, 2]": lambda t, i: i.x[:, 2] is None,
    "x[3, 4].item()": lambda t, i: i.x[3, 4].item(),
    "x[3] = 1.0": lambda t, i: assigned(i, 3, 1.0),
    "x[3, 4] = 1.0": lambda t, i: assigned(i, (3, 4), 1.0),
    "x[3] = row": lambda t, i: assigned(i, 3, i.row),
    "x[mask] = 0.0": lambda t, i: assigned(i, i.mask, 0.0),
    "view": lambda t, i: i.x.view(24, 16) is None,
    "reshape": lambda t, i: i.x.reshape(-1) is None,
    "t": lambda t, i: i.x.t() is None,
    "permute": lambda t, i: i.x.permute(1, 0) is None,
    "unsqueeze": lambda t, i: i.x.unsqueeze(0) is None,
    "detach": lambda t, i: i.x.detach() is None,
    "contiguous": lambda t, i: i.x.contiguous() is None,
    "chunk": lambda t, i: i.x.chunk(2) is None,
    "for row in x": lambda t, i: [1 for _ in i.x],
    "for v in row: v.item()": lambda t, i: [v.item() for v in i.row],
    "tolist of 24": lambda t, i: i.row.tolist(),
    "to(device)": lambda t, i: i.x.to("cpu") is None,
    "to(float64)": lambda t, i: i.x.to(t.float64),
    "float()": lambda t, i: i.n.float(),
    "add_": lambda t, i: i.target.add_(i.x),
    "kept results": lambda t, i: kept(i),
}
OPS |= EVERYDAY

# What takes longer than its call.
LONGER: dict[str, Op] = {
    "neg of 30,000": lambda t, i: -i.long,
    "clamp of 30,000": lambda t, i: i.long.clamp(-1, 1),
    "remainder of 30,000": lambda t, i: t.remainder(i.long, i.divisors),
    "floor_divide of 30,000": lambda t, i: i.long // i.divisors,
    "roll of 30,000": lambda t, i: i.long.roll(3),
    "topk of 30,000": lambda t, i: i.long.topk(10),
    "unique of 30,000": lambda t, i: i.numbers.unique(),
    "unique, inverse": lambda t, i: i.numbers.unique(return_inverse=True),
}
OPS |= LONGER


class Program:
    """What steps.py builds and asks for its step: the op, and all of its result."""

    def __init__(self, torch: Any, op: Op) -> None:
        self.torch, self.op, self.inputs = torch, op, Inputs(torch)

    def step(self) -> float:
        result = self.op(self.torch, self.inputs)
        if isinstance(result, tuple):
            for part in result:
                part.numpy()
        elif hasattr(result, "numpy"):
            result.numpy()
        return 0.0


def built(op: Op) -> Callable[[Any], Any]:
    return lambda torch: Program(torch, op)


def table(chosen: argparse.Namespace, names: list[str]) -> bool:
    """Measures and prints all ops, the slowest beside PyTorch first."""
    frameworks = [steps.Framework(n, chosen.threads, __file__) for n in ("torch", "flambeau")]
    rows = []
    try:
        for name in names:
            columns = [steps.Column(framework, compiled=False) for framework in frameworks]
            steps.measure(name, columns, chosen.rounds, chosen.seconds)
            failures = " ".join(c.failure for c in columns if c.failure)
            times = [statistics.median(c.blocks) if c.blocks else 0.0 for c in columns]
            rows.append((steps.ratio(*columns) or 0.0, name, times, failures))
    finally:
        for framework in frameworks:
            framework.close()
    for ratio, name, (theirs, ours), failures in sorted(rows):
        print(f"{name:20} {theirs * 1e6:8.1f} {ours * 1e6:8.1f} us {ratio:8.2f} {failures}")
    ratios = [ratio for ratio, *_ in rows]
    print(
        f"{len(rows)} ops: median {statistics.median(ratios):.2f} times as fast as torch, "
        f"{sum(ratio >= 1 for ratio in ratios)} at 1 or more"
    )
    return True


CASES = {name: Case(name, built(op), 1.0) for name, op in OPS.items()}


def main() -> None:
    options = cases.parser("Single ops, Flambeau against PyTorch.", CASES, 7, 0.02)
    cases.run(CASES, __file__, options, table)


if __name__ == "__main__":
    main()
