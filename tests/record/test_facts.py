"""What kept calls rest on: every kind of statement, by words of memory and asked in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau.execute.cpu import bounds
from flambeau.record import words
from flambeau.record.facts import OFTEN, PATIENCE, Facts, Gradients, Held, Metas, Placed, Untouched
from flambeau.record.guarding import Survey
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS


@pytest.fixture(params=["words", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "python":
        monkeypatch.setattr(words, "known", lambda: False)
    elif not words.known():
        pytest.skip("another interpreter")
    yield request.param


class Settings:
    def __init__(self) -> None:
        self.rate = 0.125
        self.layers = [1.5, 2.5]
        self.names: dict[str, Any] = {"a": 1, "b": [2, 3]}

    def twice(self) -> float:
        return 2 * self.rate


def tensors() -> list[Any]:
    found = [torch.rand(3), torch.nn.Parameter(torch.rand(2)), torch.rand(4, requires_grad=True)]
    assert all(t.tolist() for t in found)
    return found


def other_meta(t: Any) -> None:
    t.requires_grad_(not t.requires_grad)


def other_storage(t: Any) -> None:
    t.data = torch.rand(*t.shape)
    assert t.tolist()


@pytest.mark.parametrize("seen", [False, True], ids=["plain", "seen"])
@pytest.mark.parametrize(
    ("make", "change"),
    [
        (Metas, other_meta),
        (Placed, other_meta),
        (Placed, other_storage),
        (Untouched, lambda t: setattr(t, "note", 1)),
        (lambda ts: Gradients(ts, [t._grad for t in ts]), lambda t: setattr(t, "_grad", object())),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_statements_about_tensors(
    way: str, make: Callable[[Any], Any], change: Callable[[Any], Any], place: int, seen: bool
) -> None:
    ts = tensors()
    if seen:  # attributes stand elsewhere once somebody has looked at the dictionary
        assert all(len(t.__dict__) for t in ts)
    facts = Facts([make(ts)])
    assert (not facts.rest) == (way == "words")
    for _ in range(3):
        assert facts.hold()
    change(ts[place])
    assert not facts.hold()
    assert not facts.hold()


def test_a_gradient_that_comes_and_goes(way: str) -> None:
    t = torch.rand(3, requires_grad=True)
    none = Facts([Gradients([t], [None])])
    assert none.hold()
    t.sum().backward()
    assert not none.hold()
    some = Facts([Gradients([t], [t.grad])])
    assert some.hold()
    t.grad = None
    assert none.hold()
    assert not some.hold()
    del t.__dict__["_grad"]
    assert none.hold()


def test_holders_are_counted(way: str) -> None:
    things = [object(), [1], Settings()]
    facts = Facts([Held(things, [0, 0, 0])])
    assert facts.hold()
    for place in range(3):
        one = things[place]
        assert not facts.hold()
        del one
        assert facts.hold()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "number": lambda s: setattr(s, "rate", 0.25),
    "gone": lambda s: delattr(s, "rate"),
    "new": lambda s: setattr(s, "more", 1),
    "element": lambda s: s.layers.__setitem__(1, 7.5),
    "longer": lambda s: s.layers.append(1.5),
    "shorter": lambda s: s.layers.pop(),
    "other list": lambda s: setattr(s, "layers", [1.5, 2.75]),
    "key": lambda s: s.names.update(a=5),
    "new key": lambda s: s.names.update(c=5),
    "other key": lambda s: (s.names.pop("a"), s.names.update(c=1)),
    "inner": lambda s: s.names["b"].reverse(),
    "emptied": lambda s: s.names.clear(),
    "dictionary": lambda s: s.__dict__.update(rate=3.0),
    "method": lambda s: setattr(Settings, "twice", lambda self: 3.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_function_may_read(way: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setattr(Settings, "twice", Settings.twice)  # as it was, afterwards

    def body() -> Any:
        return settings.twice() + settings.layers[0] + settings.names["a"]

    survey = Survey(body)
    assert survey.complete
    facts = Facts([survey])
    assert (not facts.rest) == (way == "words")
    assert facts.hold()
    settings.rate = float("0.125")  # an equal one
    settings.layers[0] = float("1.5")
    assert facts.hold()
    assert facts.hold()
    CHANGES[change](settings)
    assert not facts.hold()
    assert not facts.hold()


def test_equal_numbers_in_ever_new_places_are_asked_for() -> None:
    if not words.known():
        pytest.skip("another interpreter")
    settings = Settings()
    facts = Facts([Survey(lambda: settings.rate)])
    for _ in range(2 * PATIENCE):
        settings.rate = float("0.125")
        assert facts.hold()
    assert facts.rest
    assert facts.seals == PATIENCE + 1
    settings.rate = 0.5
    assert not facts.hold()
    settings.rate = 0.125
    STATISTICS.runs += OFTEN + 1
    assert facts.hold()


def trained(losses: list[Any], hold: int, count: int) -> tuple[Any, int, set[int]]:
    """A compiled training whose caller holds the last `hold` results: how often the call that is
    kept was made ready, and which tensors it gave.
    """
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.rand(5, 3), torch.rand(5, 1)

    @torch.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    held: list[Any] = []
    given, ready = set(), []
    for n in range(count):
        loss = step(x, y)
        losses.append(loss.item())
        held = [*held, loss][len(held) + 1 - hold :] if hold else []
        if n > count // 2:
            given.add(id(loss))
            (kept,) = step.kept.values()
            if not any(kept.ready is one for one in ready):
                ready.append(kept.ready)
        if not hold:
            del loss
    return kept, len(ready), given


@pytest.mark.parametrize("hold", [0, 1, 2])
def test_results_take_turns(way: str, hold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if bounds.switched_on():
        pytest.skip("checked programs are no single native call, which is what takes turns")
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    losses: list[Any] = []
    kept, ready, given = trained(losses, hold, 40)
    assert ready == 1
    assert len(given) == (1 if hold == 0 else 2 if hold == 1 else len(given))
    assert (not kept.ready.facts.rest) == (way == "words")
    monkeypatch.setattr(OPTIONS, "executor", "reference")
    plain: list[Any] = []
    trained_plainly(plain, 40)
    assert losses == pytest.approx(plain, rel=1e-4)


def trained_plainly(losses: list[Any], count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda body: body)
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = torch.rand(5, 3), torch.rand(5, 1)
        for _ in range(count):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())


def test_a_rate_that_changes(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a tensor's place or in the group; each step or once."""
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    w = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([w], lr=1.0)

    @torch.compile
    def step(x: Any) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    x, expected = torch.ones(2), 0.0
    for n in range(60):
        rate = 1.0 if n < 20 else 0.5 if n < 25 else 1.0 / n
        optimizer.param_groups[0]["lr"] = rate
        step(x)
        expected -= rate
        assert w.tolist() == pytest.approx([expected] * 2, rel=1e-4)
    optimizer.param_groups[0]["weight_decay"] = 0.5
    step(x)
    expected -= rate * (1 + 0.5 * expected)
    assert w.tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_memory_that_somebody_holds_is_left_alone(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors, views and arrays of results, held for a while and dropped in any order."""
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    order = random.Random(0)
    x = torch.arange(6.0)
    held: list[tuple[Any, list[float]]] = []
    for n in range(200):
        y, z = x * 2 + n, x - n
        total = (y.sum() + z.sum()).item()
        assert total == pytest.approx(45.0)
        sums = [2.0 * k + n for k in range(6)]
        kinds = [y, y[1:4], y.numpy(), y.detach(), z.numpy()]
        kind = order.randrange(8)
        if kind < len(kinds):
            rest = sums if kind < 4 else [k - float(n) for k in range(6)]
            held.append((kinds[kind], rest[1:4] if kind == 1 else rest))
        if order.random() < 0.5 and held:
            held.pop(order.randrange(len(held)))
        del y, z, kinds
        for value, expected in held:
            assert value.tolist() == expected
