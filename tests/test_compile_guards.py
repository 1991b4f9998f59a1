"""A kept call is left when anything changes that its body may have read; what cannot be looked into
is not kept. Each case changes something between calls: the result must be the plain function's.
"""

from __future__ import annotations

import itertools
import random
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.compiler import Compiled
from flambeau.record.guarding import LONGEST, Survey

RATE = 1.0


class Holder:
    shared = 1.0

    def __init__(self) -> None:
        self.rate = 1.0
        self.parts = {"scale": [1.0, 2.0]}
        self.calls = 0

    def step(self, x: Any) -> Any:
        return x * self.rate * self.factor()

    def factor(self) -> float:
        return self.parts["scale"][0] * self.shared

    def counted(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


class Slotted:
    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate = 1.0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.options = {"scale": 1.0}
        self.rate = 1.0

    def forward(self, x: Any) -> Any:
        return self.layer(x) * self.options["scale"] * self.rate * RATE


def scaled(x: Any) -> Any:
    return x * RATE


def with_default(x: Any, options: Any = {"rate": 1.0}) -> Any:  # noqa: B006 (what is tried)
    return x * options["rate"]


def set_rate() -> None:
    global RATE
    RATE = 3.0


Case = tuple[Callable[..., Any], Callable[[], Any]]


def dictionary() -> Case:
    options = {"rate": 1.0}
    return lambda x: x * options["rate"], lambda: options.update(rate=3.0)


def nested_list() -> Case:
    options = {"rates": [[1.0], [2.0]]}
    return lambda x: x * options["rates"][0][0], lambda: options["rates"][0].__setitem__(0, 3.0)


def attribute() -> Case:
    holder = Holder()
    return lambda x: x * holder.rate, lambda: setattr(holder, "rate", 3.0)


def of_a_method() -> Case:
    holder = Holder()
    return holder.step, lambda: setattr(holder, "rate", 3.0)


def of_a_method_it_calls() -> Case:
    holder = Holder()
    return holder.step, lambda: holder.parts["scale"].__setitem__(0, 3.0)


def of_a_class() -> Case:
    kind = type("Kind", (Holder,), {"shared": 1.0})
    return kind().step, lambda: setattr(kind, "shared", 3.0)


def slot() -> Case:
    holder = Slotted()
    return lambda x: x * holder.rate, lambda: setattr(holder, "rate", 3.0)


def namespace() -> Case:
    options = types.SimpleNamespace(rate=1.0)
    return lambda x: x * options.rate, lambda: setattr(options, "rate", 3.0)


def of_a_function_it_calls() -> Case:
    return lambda x: scaled(x), set_rate


def method_replaced() -> Case:
    holder = Holder()
    return holder.step, lambda: setattr(holder, "factor", lambda: 3.0)


def default() -> Case:
    def change() -> None:
        (options,) = with_default.__defaults__ or ()
        options["rate"] = 3.0

    return with_default, change


def array() -> Case:
    rates = np.ones(3)
    return lambda x: x * float(rates[1]), lambda: rates.__setitem__(1, 3.0)


def of_a_module() -> Case:
    net = Net()
    return lambda x: net(x), lambda: net.options.update(scale=3.0)


def module_attribute() -> Case:
    net = Net()
    return lambda x: net(x), lambda: setattr(net, "rate", 3.0)


def read_by_forward() -> Case:
    net = Net()
    return lambda x: net(x), set_rate


def argument() -> Case:
    holder = Holder()
    return lambda x: (lambda a, h: a * h.rate)(x, holder), lambda: setattr(holder, "rate", 3.0)


CHANGED = [
    dictionary, nested_list, attribute, of_a_method, of_a_method_it_calls, of_a_class, slot,
    namespace, of_a_function_it_calls, method_replaced, default, array, of_a_module,
    module_attribute, read_by_forward, argument,
]  # fmt: skip


@pytest.mark.parametrize("case", CHANGED)
def test_a_change_is_seen(case: Callable[[], Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RATE", 1.0)
    monkeypatch.setattr(with_default, "__defaults__", ({"rate": 1.0},))
    function, change = case()
    compiled = Compiled(function)
    x = torch.tensor([[1.0, 2.0]])
    with torch.no_grad():
        for _ in range(5):
            assert torch.equal(compiled(x), function(x))
        assert compiled.kept, "nothing was kept: the test would show nothing"
        before = function(x)
        change()
        for _ in range(5):
            assert torch.equal(compiled(x), function(x))
        assert not torch.equal(function(x), before)


def iterator() -> Callable[[Any], Any]:
    numbers = itertools.cycle([1.0, 1.0, 1.0, 5.0])
    return lambda x: x * next(numbers)


def generator() -> Callable[[Any], Any]:
    numbers = (1.0 if n % 4 else 5.0 for n in itertools.count())
    return lambda x: x * next(numbers)


def counter() -> Callable[[Any], Any]:
    return Holder().counted


def appended() -> Callable[[Any], Any]:
    seen: list[int] = []

    def count(x: Any) -> Any:
        seen.append(1)
        return x * (1 + len(seen) // 4)

    return count


def chance() -> Callable[[Any], Any]:
    random.seed(0)
    return lambda x: x * (random.random() > 0.8)


def batches() -> Callable[[Any], Any]:
    found = iter([torch.full((2,), float(n)) for n in range(40)])
    return lambda x: x * next(found)


@pytest.mark.parametrize("make", [iterator, generator, counter, appended, chance, batches])
def test_what_goes_on_is_not_kept(make: Callable[[], Callable[[Any], Any]]) -> None:
    x = torch.tensor([1.0, 2.0])
    plain = make()
    wanted = [plain(x).tolist() for _ in range(20)]
    compiled = Compiled(make())
    assert [compiled(x).tolist() for _ in range(20)] == wanted
    assert not compiled.kept


def test_a_schedule_inside_the_step_goes_on() -> None:
    def rates(wrap: Callable[[Any], Any]) -> list[float]:
        torch.manual_seed(0)
        net = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        x = torch.ones(4, 2)

        def step(x: Any) -> Any:
            loss = net(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            return loss

        run = wrap(step)
        return [run(x).item() for _ in range(8)] + [optimizer.param_groups[0]["lr"]]

    assert rates(Compiled) == pytest.approx(rates(lambda function: function), rel=1e-5)


def test_what_is_not_looked_into() -> None:
    long = list(range(LONGEST + 1))
    assert not Survey(lambda: long).complete
    assert not Survey(lambda: time.time()).complete
    assert not Survey(lambda: np.random.rand()).complete
    assert not Survey(lambda: open).empty or Survey(lambda: open).complete


def test_a_training_step_rests_on_nothing_else() -> None:
    """The usual step has no guard that would cost anything."""
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    criterion = nn.MSELoss()

    def step(x: Any, y: Any) -> Any:
        loss = criterion(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    survey = Survey(step)
    assert survey.complete
    assert not (survey.mappings or survey.sequences or survey.attributes or survey.arrays)
