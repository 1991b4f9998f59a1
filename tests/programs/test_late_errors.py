"""Errors that only data shows: PyTorch's type and first line, the line that recorded the op, and
the next statement works.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.parity

Case = Callable[[Any, Any], Any]
CASES: dict[str, Case] = {
    "embedding": lambda t, F: F.embedding(t.tensor([1, 7]), t.ones(4, 3)),
    "embedding, negative": lambda t, F: F.embedding(t.tensor([-1]), t.ones(4, 3)),
    "gather": lambda t, F: t.ones(2, 3).gather(1, t.tensor([[0, 5]])),
    "gather, negative": lambda t, F: t.ones(2, 3).gather(1, t.tensor([[0, -1]])),
    "index_select": lambda t, F: t.ones(2, 3).index_select(0, t.tensor([5])),
    "index": lambda t, F: t.ones(2, 3)[t.tensor([5])],
    "index, negative": lambda t, F: t.ones(2, 3)[t.tensor([-3])],
    "index, second axis": lambda t, F: t.ones(2, 3)[:, t.tensor([0, 4])],
    "index_put": lambda t, F: t.ones(2, 3).index_put((t.tensor([5]),), t.ones(1)),
    "scatter": lambda t, F: t.zeros(2, 3).scatter(1, t.tensor([[0, 9]]), t.ones(1, 2)),
    "scatter_add": lambda t, F: t.zeros(2, 3).scatter_add(1, t.tensor([[0, 9]]), t.ones(1, 2)),
    "index_add": lambda t, F: t.zeros(2, 3).index_add(0, t.tensor([9]), t.ones(1, 3)),
    "take": lambda t, F: t.ones(2, 3).take(t.tensor([9])),
    "bce": lambda t, F: F.binary_cross_entropy(t.tensor([1.5]), t.tensor([1.0])),
    "bce, nan": lambda t, F: F.binary_cross_entropy(t.tensor([float("nan")]), t.tensor([1.0])),
    "bce, target": lambda t, F: F.binary_cross_entropy(t.tensor([0.5]), t.tensor([2.0])),
    "multinomial": lambda t, F: t.multinomial(t.tensor([-1.0, 2.0]), 1),
    "multinomial, nan": lambda t, F: t.multinomial(t.tensor([float("nan"), 2.0]), 1),
    "multinomial, zeros": lambda t, F: t.multinomial(t.tensor([0.0, 0.0]), 1),
    "bernoulli": lambda t, F: t.bernoulli(t.tensor([0.5, 1.5])),
    "cross_entropy": lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, 5])),
    "cross_entropy, negative": lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, -2])),
    "nll_loss": lambda t, F: F.nll_loss(t.ones(2, 3), t.tensor([0, 3])),
    "one_hot": lambda t, F: F.one_hot(t.tensor([5]), 3),
    "integer //": lambda t, F: t.tensor([1]) // t.tensor([0]),
    "integer %": lambda t, F: t.tensor([1]) % t.tensor([0]),
    "cholesky": lambda t, F: t.linalg.cholesky(-t.eye(2)),
    "inv": lambda t, F: t.linalg.inv(t.zeros(2, 2)),
    "poisson": lambda t, F: t.poisson(t.tensor([-1.0])),
    "normal": lambda t, F: t.normal(t.zeros(2), -t.ones(2)),
    "empty, no room": lambda t, F: t.empty(10**15),
    "empty, overflow": lambda t, F: t.empty(10**10, 10**10),
    "a result without room": lambda t, F: t.ones(1, 1).expand(10**8, 10**8) * 2.0,
    "clone without room": lambda t, F: t.ones(1).expand(10**15).clone(),
}
CHECKED_AT_ONCE = {"empty, no room", "empty, overflow", "multinomial", "multinomial, nan"} | {
    name for name in CASES if name in ("multinomial, zeros", "poisson", "normal", "cholesky", "inv")
}


def failure(module: str, name: str) -> tuple[str, list[str]]:
    torch = pytest.importorskip(module)
    functional = importlib.import_module(module + ".nn.functional")
    with pytest.raises(Exception) as caught:
        made = CASES[name](torch, functional)
        made.reshape(-1)[0].item()
    assert (torch.ones(3) * 2).sum().item() == 6  # the next statement works
    return type(caught.value).__name__, str(caught.value).splitlines()


@pytest.mark.parametrize("name", list(CASES))
def test_message_is_that_of_pytorch(name: str) -> None:
    kind, words = failure("torch", name)
    for _ in range(3):  # in the reference executor, compiled, recognised
        found, lines = failure("flambeau", name)
        assert (found, lines[0]) == (kind, words[0])
        if name not in CHECKED_AT_ONCE and "without room" not in name:
            assert re.search(r"first recorded at .*test_late_errors\.py:\d+\)", lines[-1]), lines


AT_ONCE: dict[str, Case] = {
    "index_select": lambda t, F: t.ones(0).index_select(0, t.tensor([0, 0])),
    "index_select, rows": lambda t, F: t.ones(3, 0).index_select(1, t.tensor([0])),
    "index": lambda t, F: t.ones(0, 2)[t.tensor([0])],
    "take": lambda t, F: t.ones(0, 2).take(t.tensor([0])),
    "put": lambda t, F: t.ones(0).put(t.tensor([0]), t.ones(1)),
    "embedding": lambda t, F: F.embedding(t.tensor([0]), t.ones(0, 3)),
    "index_reduce": lambda t, F: t.ones(0).index_reduce(0, t.tensor([0]), t.ones(1), "prod"),
    "index_put": lambda t, F: t.ones(2, 3).index_put((slice(None), t.tensor([0])), t.ones(2)),
}


@pytest.mark.parametrize("name", list(AT_ONCE))
def test_what_shapes_show_is_told_at_once(name: str) -> None:
    told = []
    for module in ("torch", "flambeau"):
        torch = pytest.importorskip(module)
        with pytest.raises(Exception) as caught:
            AT_ONCE[name](torch, importlib.import_module(module + ".nn.functional"))
        told.append((type(caught.value).__name__, str(caught.value).splitlines()[0]))
    assert told[0] == told[1]


@pytest.mark.parametrize("module", ["torch", "flambeau"])
def test_indices_that_pick_nothing_are_not_looked_at(module: str) -> None:
    torch = pytest.importorskip(module)
    assert torch.ones(0, 3)[:, torch.tensor([5])].tolist() == []
    assert torch.ones(3, 0)[torch.tensor([5])].tolist() == [[]]
    wide = torch.ones(0, 3)
    assert wide.index_add(1, torch.tensor([5]), torch.ones(0, 1)).tolist() == []
    wide[:, torch.tensor([5])] = 1
    assert wide.tolist() == []


def test_the_line_is_that_of_the_op_not_of_the_flush() -> None:
    import flambeau

    weights = flambeau.ones(11, 5)  # (a shape of its own: known streams keep their first line)
    chosen = flambeau.nn.functional.embedding(flambeau.tensor([99]), weights)  # this line
    doubled = chosen * 2
    with pytest.raises(IndexError) as caught:
        doubled.sum().item()
    source = str(caught.value).splitlines()[-1]
    number = int(source.rsplit(":", 1)[1].removesuffix(")"))
    assert "# this line" in Path(__file__).read_text(encoding="utf-8").splitlines()[number - 1]


def test_what_depended_on_it_says_why() -> None:
    import flambeau

    chosen = flambeau.ones(3)[flambeau.tensor([7])]
    other = chosen + 1
    with pytest.raises(IndexError):
        chosen.tolist()
    with pytest.raises(RuntimeError, match="index 7 is out of bounds"):
        other.tolist()
    assert flambeau.ones(2).tolist() == [1.0, 1.0]
