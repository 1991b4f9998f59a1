"""Where events stand: the user's line and the path of modules."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import flambeau
from flambeau import nn
from flambeau.record import recorder
from flambeau.record.events import together
from flambeau.record.places import Place, users_place
from flambeau.record.recording import LOCAL


def line() -> int:
    """Where the caller stands."""
    return sys._getframe(1).f_lineno


def places() -> list[Place | None]:
    """Those of the events of the recording under way."""
    found, state = [], LOCAL.rec.state
    while state.parent is not None:
        found.append(state.place)
        state = state.parent
    return found[::-1]


def begin() -> None:
    """A recording without events."""
    float(flambeau.ones(1).sum())
    assert not places()


class Twice(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, 3), nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x))


def test_what_enters_stands_where_its_op_does() -> None:
    x, y = flambeau.ones(17, 19), flambeau.ones(17, 19)
    begin()
    z, at = x + y, line()
    w, then = z * y, line()
    assert [place and place.line for place in places()] == [at, at, at, then]
    assert w.shape == (17, 19)


def test_modules_one_after_another() -> None:
    net, x = Twice(23), flambeau.ones(2, 23)
    begin()
    assert net(x).shape == (2, 3)
    paths = [place and place.module for place in places()]
    assert paths == ["net.first"] * 4 + ["net.second"] * 3


def test_the_same_line_of_other_modules() -> None:
    x, nets = flambeau.ones(2, 29), {"a": Twice(29), "b": nn.Sequential(Twice(29))}
    begin()
    for net in nets.values():
        assert net(x).shape == (2, 3)
    paths = [place and place.module for place in places()]
    assert paths == [f"net.{part}" for part in [*["first"] * 4, *["second"] * 3]] + [
        f"net.0.{part}" for part in [*["first"] * 3, *["second"] * 3]
    ]


def test_tensors_that_enter_together() -> None:
    """As those of an optimizer do, lines before the next op."""
    x, y, z = flambeau.ones(41), flambeau.ones(41), flambeau.ones(41)
    begin()
    assert recorder.enter_all(LOCAL.rec, [x, y], together((x._meta, y._meta)))
    at = line()
    w, then = (x + y) * z, line()
    assert [place and place.line for place in places()] == [at - 1, then, then, then]
    assert w.shape == (41,)


def test_after_an_op_that_failed() -> None:
    """What entered for it does not say where the next one stands."""
    x, layer = flambeau.ones(2, 31), nn.Linear(37, 3)
    begin()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer(x)
    y, at = x + 1, line()
    last = places()[-1]
    assert last == Place(__file__, at) and y.shape == (2, 31)


def test_one_line_called_from_several_places() -> None:
    def here() -> Place | None:
        return users_place()

    assert here() == here()
    source = "def f(): return users_place()\n"
    found = []
    for number in range(50):  # code that comes and goes, perhaps at the same address
        space: dict[str, Any] = {"users_place": users_place}
        exec(compile("\n" * number + source, f"<{number}>", "exec"), space)
        found.append(space["f"]())
    assert found == [Place(f"<{number}>", number + 1) for number in range(50)]
