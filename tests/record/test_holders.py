"""Who holds a tensor or its memory is read from reference counts. Here they are held in the ways
that interpreters have, which count them differently: what a frame's stack and a call's arguments
borrow from a variable is not counted from Python 3.14 on.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.execute.cpu import bounds
from flambeau.record import replay, words
from flambeau.record.facts import Held
from flambeau.record.options import OPTIONS
from flambeau.record.result_memory import Lot
from flambeau.record.statistics import RUNS, TALLY
from flambeau.record.storage import Storage, allocate, storage_over_array

Make = Callable[[], Any]
Then = Callable[[], Any]

# ---- ways to hold what `make` gives, and nothing else, while `then` runs -------------------------


def variable(make: Make, then: Then) -> Any:
    thing = make()
    then()
    return thing


def argument(make: Make, then: Then) -> Any:
    return passed(make(), then)


def passed(thing: Any, then: Then) -> Any:
    then()
    return thing


def argument_of_arguments(make: Make, then: Then) -> Any:
    return passed_on(make(), then)


def passed_on(thing: Any, then: Then) -> Any:
    return passed(thing, then)


def callers_variable(make: Make, then: Then) -> Any:
    thing = make()
    forgotten(thing, then)
    return thing


def forgotten(thing: Any, then: Then) -> None:
    del thing
    then()


def replaced_argument(make: Make, then: Then) -> Any:
    thing = make()
    replaced(thing, then)
    return thing


def replaced(thing: Any, then: Then) -> None:
    thing = None
    then()
    assert thing is None


def variable_written_by_the_called(make: Make, then: Then) -> Any:
    thing = make()
    found = overwriting(thing, then)
    del thing
    return found


def overwriting(thing: Any, then: Then) -> Any:
    sys._getframe(1).f_locals["thing"] = None  # from 3.13 on that is the caller's variable
    then()
    return thing


def stack(make: Make, then: Then) -> Any:
    return [make(), then()][0]


def stack_of_variable(make: Make, then: Then) -> Any:
    thing = make()
    return [thing, then()][0]


def stack_of_lost_variable(make: Make, then: Then) -> Any:
    thing = make()
    return [thing, (thing := then())][0]


def stack_of_argument(make: Make, then: Then) -> Any:
    return (lambda thing: (thing, (thing := None), then())[0])(make())


def stars(make: Make, then: Then) -> Any:
    return starred(make(), then=then)


def starred(*things: Any, **others: Any) -> Any:
    others["then"]()
    return things[0]


def keyword(make: Make, then: Then) -> Any:
    return keyed(then=then, thing=make())


def keyed(*, then: Then, thing: Any) -> Any:
    then()
    return thing


def through_c(make: Make, then: Then) -> Any:
    return max([make()], key=lambda thing: (then(), 0)[1])


def mapped(make: Make, then: Then) -> Any:
    return next(map(passed, iter([make()]), [then]))


def closure(make: Make, then: Then) -> Any:
    thing = make()

    def found() -> Any:
        return thing

    then()
    return found()


def generator(make: Make, then: Then) -> Any:
    def found() -> Iterator[Any]:
        thing = make()
        yield
        yield thing

    steps = found()
    next(steps)
    then()
    return next(steps)


def generators_argument(make: Make, then: Then) -> Any:
    def found(thing: Any) -> Iterator[Any]:
        yield
        yield thing

    steps = found(make())
    next(steps)
    then()
    return next(steps)


def generator_that_waits(make: Make, then: Then) -> Any:
    def found(thing: Any) -> Iterator[Any]:
        yield thing

    thing = make()
    steps = found(thing)
    del thing
    then()
    return next(steps)


def coroutine(make: Make, then: Then) -> Any:
    async def found(thing: Any) -> Any:
        then()
        return thing

    try:
        found(make()).send(None)
    except StopIteration as ended:
        return ended.value


def comprehension(make: Make, then: Then) -> Any:
    found = [(thing, then()) for thing in [make()]]
    return found[0][0]


def loop(make: Make, then: Then) -> Any:
    found = []
    for thing in (make(),):
        then()
        found.append(thing)
    return found[0]


def attribute(make: Make, then: Then) -> Any:
    place = SimpleNamespace(thing=make())
    then()
    return place.thing


def method(make: Make, then: Then) -> Any:
    found = Holder().keep(make(), then)
    return found()


class Holder:
    def keep(self, thing: Any, then: Then) -> Any:
        then()
        self.thing = thing
        return self.give

    def give(self) -> Any:
        return self.thing


def exception(make: Make, then: Then) -> Any:
    try:
        failing(make())
    except ValueError as error:
        then()
        return raised_with(error)


def failing(thing: Any) -> None:
    raise ValueError


def raised_with(error: Any) -> Any:
    return error.__traceback__.tb_next.tb_frame.f_locals["thing"]


def finished(make: Make, then: Then) -> Any:
    try:
        return make()
    finally:
        then()


def matched(make: Make, then: Then) -> Any:
    match (make(), None):
        case (thing, None):
            then()
            return thing


def with_statement(make: Make, then: Then) -> Any:
    with Entered(make) as thing:
        then()
    return thing


class Entered:
    def __init__(self, make: Make) -> None:
        self.make = make

    def __enter__(self) -> Any:
        return self.make()

    def __exit__(self, *_: object) -> None:
        pass


def traced(make: Make, then: Then) -> Any:
    """With a function that looks at all variables at each line."""
    before = sys.gettrace()

    def look(frame: Any, *_: Any) -> Any:
        len(frame.f_locals)
        return look

    sys.settrace(look)
    try:
        return passed(make(), then)
    finally:
        sys.settrace(before)


def thread(make: Make, then: Then) -> Any:
    """A variable of another thread's, while this one goes on."""
    at, on = threading.Event(), threading.Event()
    found: list[Any] = []

    def waits(thing: Any) -> None:
        at.set()
        on.wait()
        found.append(thing)

    other = threading.Thread(target=lambda things: waits(things.pop()), args=([make()],))
    other.start()
    at.wait()
    then()
    on.set()
    other.join()
    return found[0]


WAYS = [
    variable, argument, argument_of_arguments, callers_variable, replaced_argument,
    variable_written_by_the_called, stack, stack_of_variable, stack_of_lost_variable,
    stack_of_argument, stars, keyword, through_c, mapped, closure, generator, generators_argument,
    generator_that_waits, coroutine, comprehension, loop, attribute, method, exception, finished,
    matched, with_statement, traced, thread,
]  # fmt: skip
each_way = pytest.mark.parametrize("hold", WAYS, ids=lambda way: way.__name__)


def nobody(make: Make, then: Then) -> Any:
    make()
    then()


# ---- who is alive, and whose memory is free ------------------------------------------------------


class Steps:
    """Steps of one program: `made` is computed in each, and of use where somebody holds it."""

    def __init__(self) -> None:
        self.x = torch.arange(4.0)
        self.number = 0
        self.losses: list[Any] = []

    def make(self) -> Any:
        self.number += 1
        a = self.x + float(self.number)
        made = a * 3
        self.losses.append((a * a).sum())
        return made

    def then(self) -> None:
        """The program that `make` has recorded runs, and some more of its kind."""
        self.losses.pop().item()
        for _ in range(3):
            self.make()
            self.losses.pop().item()

    def wanted(self, number: int) -> list[float]:
        return [3 * (k + number) for k in range(4)]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    monkeypatch.setattr(OPTIONS, "settled", 0)


def with_replays() -> bool:
    return replay.native() is not None and not bounds.switched_on() and not OPTIONS.sync


@each_way
@pytest.mark.usefixtures("soon")
def test_a_tensor_that_is_held_is_computed_and_stays(hold: Any) -> None:
    steps = Steps()
    runs = int(TALLY[RUNS])
    for _ in range(12):
        number = steps.number + 1
        held = hold(steps.make, steps.then)
        assert held.tolist() == steps.wanted(number)
        nobody(steps.make, steps.then)
        assert held.tolist() == steps.wanted(number)
    if with_replays():
        assert int(TALLY[RUNS]) > runs + 24


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.usefixtures("soon")
def test_one_program_whose_results_are_held_in_ever_other_ways(seed: int) -> None:
    draw = random.Random(seed)
    steps = Steps()
    kept: list[tuple[Any, int]] = []
    for _ in range(60):
        number = steps.number + 1
        held = draw.choice([nobody, *WAYS])(steps.make, steps.then)
        if held is not None:
            kept.append((held, number))
        del held
        for thing, made_at in kept:
            assert thing.tolist() == steps.wanted(made_at)
        del kept[: draw.randrange(4)]


@each_way
def test_what_a_compiled_function_has_given_stays(hold: Any) -> None:
    def double(x: Any) -> Any:
        return x * 2 + 1

    function = torch.compile(double)
    inputs = [torch.full((5,), float(n)) for n in range(4)]
    for _ in range(6):
        function(inputs[0])
    for _ in range(6):
        held = hold(
            lambda: function(inputs[1]),
            lambda: list(map(function, inputs[2:])),
        )
        assert held.tolist() == [3.0] * 5
        assert function(inputs[3]).tolist() == [7.0] * 5
        assert held.tolist() == [3.0] * 5


@each_way
def test_memory_that_is_held_is_not_free(hold: Any) -> None:
    lot = Lot([Storage(allocate(64)) for _ in range(3)])
    for number, part in enumerate(
        (
            lambda: lot.storages[0],
            lambda: lot.storages[1].buffer,
            lambda: lot.storages[2].buffer.owner,
            lambda: np.asarray(lot.storages[1].buffer),
            lambda: lot.storages[2].array(torch.float32),
        )
    ):
        seen: list[Any] = []
        assert lot.held() == []
        lot.seal()
        assert lot.as_sealed() == words.known()
        hold(part, lambda seen=seen: seen.append((lot.held(), lot.as_sealed())))
        assert seen == [([(0, 1, 2, 1, 2)[number]], False)]


def test_lines_that_run_often_count_as_they_did() -> None:
    """An interpreter that compiles such lines may hold less while it runs them."""
    lot = Lot([Storage(allocate(64)) for _ in range(3)])
    wrong = 0
    for number in range(10_000):
        held: Any = None
        lot.storages[1].exposed = True
        if number % 4 == 1:
            held = lot.storages[1].buffer
        elif number % 4 == 2:
            held = lot.storages[1].buffer.owner
        elif number % 4 == 3:
            held = lot.storages[1].array(torch.float32)
        wrong += lot.held() != ([] if held is None else [1])
        wrong += lot.storages[1].still_exposed() == (held is None)
    assert wrong == 0


@each_way
def test_what_is_held_counts(hold: Any) -> None:
    things = [object(), object()]
    statement = Held(list(things), [1, 1])
    seen: list[bool] = []

    def look() -> None:
        seen.append(statement.look())
        if words.known():
            seen.append(words._hold(statement.pairs()))

    assert statement.look()
    hold(lambda: things[1], look)
    assert not any(seen)
    assert statement.look()


# ---- what is shown to others ---------------------------------------------------------------------


@each_way
def test_an_array_that_is_held_is_seen(hold: Any) -> None:
    x = torch.arange(4.0)
    for number in range(4):
        array = hold(x.numpy, lambda: (x * 2 + 1).sum().item())
        waiting = x * 2
        array[0] = number + 5
        assert waiting.tolist()[0] == (2 * (number + 4) if number else 0)
        assert (x * 2).tolist()[0] == 2 * (number + 5)
        del array
        x.sum().item()
        assert not x._storage.still_exposed()


@each_way
def test_an_array_that_a_tensor_was_made_of_is_seen(hold: Any) -> None:
    for number in range(4):
        tensors: list[Any] = []

        def make(number: int = number, tensors: list[Any] = tensors) -> Any:
            array = np.arange(4.0) + number
            tensors.append(torch.from_numpy(array))
            return array

        array = hold(make, lambda tensors=tensors: (tensors[0] * 2 + 1).sum().item())
        waiting = tensors[0] * 2
        array[0] = 50
        assert waiting.tolist()[0] == 2 * number
        assert (tensors[0] * 2).tolist()[0] == 100


@each_way
def test_whether_memory_is_shown(hold: Any) -> None:
    storage = Storage(allocate(64))
    seen: list[bool] = []
    shown = (
        lambda: storage.buffer,
        lambda: storage.buffer.owner,
        lambda: storage.array(torch.float32),
        lambda: storage.array(torch.float32)[3:].view(np.int32),
    )
    for show in shown:
        storage.exposed = True
        hold(show, lambda: seen.append(storage.still_exposed()))
    assert seen == [True] * 4
    assert not storage.still_exposed()
    own = storage_over_array(np.arange(8.0)[2:])[0]
    hold(lambda: own.foreign, lambda: seen.append(own.still_exposed()))
    hold(lambda: own.foreign.base, lambda: seen.append(own.still_exposed()))
    assert seen == [True] * 6
    assert not own.still_exposed()
