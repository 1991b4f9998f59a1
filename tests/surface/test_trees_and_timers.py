"""torch.utils._pytree and torch.utils.benchmark."""

from __future__ import annotations

import importlib
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

import flambeau
from flambeau.utils import benchmark

pytestmark = pytest.mark.parity
Pair = namedtuple("Pair", "a b")
TREES: dict[str, Any] = {
    "nested": {"a": [1, (2, 3)], "b": Pair(4, [5])},
    "ordered": OrderedDict(x=1, y=None),
    "default": defaultdict(list, x=[1], y=[2, 3]),
    "queue": deque([1, 2], maxlen=3),
    "leaf": 7,
    "empty": {"a": []},
}


def trees(module: str) -> Any:
    pytest.importorskip(module)
    return importlib.import_module(f"{module}.utils._pytree")


def seen(module: str, tree: Any) -> Any:
    p = trees(module)
    leaves, spec = p.tree_flatten(tree)
    return [
        leaves, spec.num_leaves, spec.num_nodes, p.tree_unflatten(leaves, spec),
        p.tree_map(lambda x: (x, 1), tree), p.tree_map(lambda x, y: [x, y], tree, tree),
        p.tree_map_only(int, lambda x: x * 2, tree), p.tree_leaves(tree),
        p.tree_all(lambda x: x != 3, tree), p.tree_any(lambda x: x == 3, tree),
        p.tree_structure(tree) == spec,
        p.tree_leaves(tree, is_leaf=lambda x: isinstance(x, tuple)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_trees(name: str) -> None:
    assert seen("flambeau", TREES[name]) == seen("torch", TREES[name])


def failures(module: str) -> list[str]:
    p = trees(module)
    found = []
    for case in (
        lambda: p.tree_unflatten([1], p.tree_structure([1, 2])),
        lambda: p.tree_unflatten([1], None),
        lambda: p.tree_map(max, [1, 2], [1]),
        lambda: p.tree_map(max, [1, 2], (1, 2)),
    ):
        with pytest.raises((ValueError, TypeError)) as error:
            case()
        found.append(type(error.value).__name__)
    return found


def test_wrong_trees() -> None:
    assert failures("flambeau") == failures("torch")


def test_a_statement_is_computed_in_every_run() -> None:
    """A result that nobody uses is timed all the same."""
    a = flambeau.rand(64, 64)
    calls: list[int] = []
    names = {"a": a, "note": lambda: calls.append(1)}
    timer = benchmark.Timer("note()\na @ a", globals=names, label="product", description="one")
    found = timer.timeit(5)
    assert len(calls) == 5 + 2
    assert found.number_per_run == 5
    assert found.median > 0
    blocks = timer.blocked_autorange(min_run_time=0.02)
    assert sum(blocks.raw_times) >= 0.02
    assert "measurement" in repr(blocks)
    table = str(benchmark.Compare([found, blocks]))
    assert "product" in table and "one" in table and "Times are in" in table
    with pytest.raises(NotImplementedError):
        timer.collect_callgrind()
