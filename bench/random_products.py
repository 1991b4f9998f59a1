"""Matrix products of random sizes and orders, Flambeau against PyTorch, the slowest first.

    python bench/random_products.py [--count 60] [--seed 0] [--dtype float32] [--threads 1]
                                    [--rounds 3] [--seconds 0.03] [--below 0.75]

Sizes are drawn so that short and long sides are as likely as each other, and products have between
2 million and 1.5 billion multiply-adds. Measured as in products.py. Rows whose ratio is smaller
than `--below` are listed, then the geometric mean of all and the median.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models
import steps
from products import Product

LEAST, MOST = 2e6, 1.5e9  # multiply-adds
SIDES = 4, 20_000


def draw(count: int, seed: int, dtype: str) -> list[Product]:
    """So many different products."""
    source = random.Random(seed)
    low, high = map(math.log, SIDES)
    found: dict[str, Product] = {}
    while len(found) < count:
        sizes = [round(math.exp(source.uniform(low, high))) for _ in range(3)]
        product = Product(*sizes, dtype=dtype, form=source.choice(["nn", "nt", "tn", "tt"]))
        if LEAST <= math.prod(sizes) <= MOST:
            found[product.name] = product
    return list(found.values())


class Cases(dict[str, models.Case]):
    """Cases that are made of their names, for the processes that serve them."""

    def __missing__(self, name: str) -> models.Case:
        dtype, sizes, *form = name.split()
        rows, inner, columns = map(int, sizes.split("x"))
        product = Product(rows, inner, columns, dtype, *form)
        return models.Case(name, product.build, 1.0)


def main() -> None:
    options = argparse.ArgumentParser(description="Products of random sizes beside PyTorch.")
    options.add_argument("--count", type=int, default=60)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--dtype", choices=["float32", "float64", "bfloat16"], default="float32")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=0.03, help="length of a block")
    options.add_argument("--below", type=float, default=0.75, help="ratios that are listed")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        steps.CASES = Cases()
        steps.serve(chosen.serve, chosen.threads)
        return
    frameworks = [steps.Framework(n, chosen.threads, __file__) for n in ("torch", "flambeau")]
    columns = [steps.Column(framework, compiled=False) for framework in frameworks]
    found: list[tuple[float, str]] = []
    try:
        for product in draw(chosen.count, chosen.seed, chosen.dtype):
            steps.measure(product.name, columns, chosen.rounds, chosen.seconds)
            if failures := [c.failure for c in columns if c.failure]:
                print(f"{product.name:34} failed: {failures[0]}", flush=True)
                continue
            times = steps.ratio(columns[0], columns[1]) or 0.0
            theirs, ours = (statistics.median(c.blocks) for c in columns)
            speed = product.flops / ours / 1e9
            line = f"{product.name:34}{steps.micro(theirs):>12}{steps.micro(ours):>12}"
            found.append((times, f"{line}{times:8.2f}{speed:10.0f}"))
    finally:
        for framework in frameworks:
            framework.close()
    print(f"{'':34}{'PyTorch':>12}{'Flambeau':>12}{'ratio':>8}{'GFLOP/s':>10}")
    slow = sorted(row for row in found if row[0] < chosen.below)
    for _, line in slow:
        print(line)
    ratios = [times for times, _ in found]
    if ratios:
        print(
            f"{len(ratios)} products: geometric mean {statistics.geometric_mean(ratios):.2f},"
            f" median {statistics.median(ratios):.2f}, {len(slow)} below {chosen.below:g}"
        )


if __name__ == "__main__":
    main()
