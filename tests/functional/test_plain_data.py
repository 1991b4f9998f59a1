"""Assignments to plain data run at once: what they leave is what PyTorch leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.functional import plain_data
from flambeau.record.entering import PLAIN
from flambeau.record.native_calls import PlainCalls, plain_calls
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL

WAYS = [name.removeprefix("known_") for name in PlainCalls._fields]


@pytest.fixture(params=["python", "native"], autouse=True)
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Tensors over data are made by Python, or by native calls."""
    calls = plain_calls() if request.param == "native" else [None] * len(WAYS)
    if calls is None:
        pytest.skip("no native calls")
    for name, call in zip(WAYS, calls, strict=True):
        monkeypatch.setattr(PLAIN, name, call)
    yield request.param


INDICES: list[Any] = [
    0, -1, (2, 3), (-1, -2), slice(None), slice(1, 3), slice(None, None, 2), slice(5, 2),
    (slice(None), 1), (Ellipsis, 0), (None, 2), (slice(1, None), slice(None, None, 3)), (),
    (0, None, slice(2)), Ellipsis, (slice(-2, None), Ellipsis, -1), (True,), ([0, 2],),
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "float32": [1.5, 3, True, float("nan"), float("inf"), -0.0, 2**53 + 1, 1e-46, 16777217],
    "float64": [0.1, 3, False, 2**60 + 1],
    "float16": [0.1, 70000 - 5000, 1],
    "bfloat16": [0.1, 3],
    "int64": [3, -7, True, 2.7, -2.7, 2**62],
    "int32": [5, -1, 1.5],
    "uint8": [5, 255, -1, True],
    "bool": [True, 0, 2, 0.5, float("nan")],
    "complex64": [1.5, 2, 1 + 2j],
}


def grid(library: Any, dtype: str) -> Any:
    x = (library.arange(20).reshape(4, 5) % 7).to(getattr(library, dtype))
    x.tolist()
    return x


def outcome(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (RuntimeError, IndexError, TypeError, ValueError, OverflowError) as error:
        return type(error), str(error).splitlines()[0]


def both(run: Callable[[Any], Any]) -> tuple[str, str]:
    torch = pytest.importorskip("torch")
    found = [repr(outcome(lambda: run(library))) for library in (flambeau, torch)]
    return found[0], found[1]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", VALUES)
def test_numbers(dtype: str) -> None:
    for value in VALUES[dtype]:

        def run(library: Any, value: Any = value) -> Any:
            x = grid(library, dtype)
            for index in INDICES:
                x[index] = value
            return x.to(library.float64 if dtype == "bfloat16" else x.dtype).tolist(), x._version

        ours, theirs = both(run)
        assert ours == theirs, value


@pytest.mark.parity
@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("kind", ["plain", "pending", "one", "narrow", "wrong", "other dtype"])
def test_tensors(kind: str, index: Any) -> None:
    def run(library: Any) -> Any:
        x = grid(library, "float32")
        shape = x[index].shape
        value = library.arange(float(np.prod(shape, dtype=int))).reshape(shape) + 0.5
        if kind != "pending":
            value.tolist()
        if kind == "one":
            value = library.tensor(2.5)
        if kind == "narrow" and shape:
            value = value[..., :1]
        if kind == "wrong":
            value = library.ones(7, 9)
        if kind == "other dtype":
            value = value.to(library.float64)
        x[index] = value
        return x.tolist(), x._version

    ours, theirs = both(run)
    if kind == "wrong":  # (the messages name the shapes in their own ways)
        assert ("RuntimeError" in ours) == ("RuntimeError" in theirs)
    else:
        assert ours == theirs


@pytest.mark.parity
@pytest.mark.parametrize("dtype", VALUES)
def test_masks(dtype: str) -> None:
    for value in VALUES[dtype]:

        def run(library: Any, value: Any = value) -> Any:
            x = grid(library, dtype)
            x[x.to(library.int64) > 3] = value
            x[library.tensor([True, False, False, True])] = value
            x.t()[library.tensor([True, False, False, True, False])] = value
            return x.to(library.float64 if dtype == "bfloat16" else x.dtype).tolist()

        ours, theirs = both(run)
        assert ours == theirs, value
    ours, theirs = both(lambda t: grid(t, dtype).__setitem__(t.ones(5, dtype=t.bool), 1))
    assert ours == theirs


@pytest.mark.parity
def test_one_memory() -> None:
    """What overlaps, is shown twice, or is read by what waits."""

    def run(library: Any) -> Any:
        x = grid(library, "float32")
        y = x + 1  # waits, and reads x
        z = x[1]
        x[0] = 5.0
        x[1] = x[2]
        x[1:] = x[:1]
        z[0] = -1.0
        w = x.view(-1)
        w[3] = 9.0
        seen = [outcome(lambda: x[:3].__setitem__(slice(None), x[1:]) or x.tolist())]
        shared = library.ones(1).expand(4)
        seen.append(outcome(lambda: shared.__setitem__(0, 7.0) or shared.tolist()))
        twice = library.arange(3.0).unsqueeze(0).expand(2, 3)
        seen.append(outcome(lambda: twice.__setitem__(0, library.ones(3)) or twice.tolist()))
        return x.tolist(), y.tolist(), z.tolist(), x._version, z._version, seen

    ours, theirs = both(run)
    assert ours == theirs


@pytest.mark.parity
def test_what_waits_itself() -> None:
    """Pending tensors, views of them, and masks of them: they run first."""

    def run(library: Any) -> Any:
        x = library.arange(12.0).reshape(3, 4) + 0
        row, columns = x[1], x[:, 2:]
        row[1] = 70.0
        columns[0] = library.arange(2.0) * 3
        columns[x[:, 0] > 5] = -1.0
        x[x == 3] = 9.0
        y = (x * 2)[1:]
        y[-1, 0] = x[0, 1]
        return x.tolist(), row.tolist(), columns.tolist(), y.tolist(), x._version, y._version

    ours, theirs = both(run)
    assert ours == theirs


@pytest.mark.parity
def test_autograd_sees_them() -> None:
    def run(library: Any) -> Any:
        w = library.arange(3.0).requires_grad_()
        x = library.ones(3)
        x.tolist()
        y = (w * x).sum()
        y.item()
        x[0] = 4.0
        seen = [outcome(y.backward), w.grad]
        with library.no_grad():
            w[1] = 7.0
        seen += [w.tolist(), w._version, outcome(lambda: w.__setitem__(0, 1.0))]
        w.data[2] = 8.0
        w.detach()[0] = 3.0
        seen += [w.tolist(), w._version]
        h = (w * 2).detach()
        h.tolist()
        h[0] = 1.0
        z = library.zeros(3)
        z[1] = w[1] * 2
        z.sum().backward()
        seen += [h.tolist(), z.tolist(), z.grad_fn is not None, w.grad.tolist()]
        return str(seen)

    ours, theirs = both(run)
    assert ours.splitlines()[0] == theirs.splitlines()[0]


@pytest.mark.parity
def test_a_pass_that_waits() -> None:
    def run(library: Any) -> Any:
        x, w = library.ones(3), library.arange(3.0).requires_grad_()
        loss = (w * x).sum()
        loss.item()
        loss.backward()  # reads x
        x[0] = 5.0
        return w.grad.tolist(), x.tolist()

    ours, theirs = both(run)
    assert ours == theirs


def test_arrays_show_them() -> None:
    x = flambeau.zeros(2, 3)
    array = x.numpy()
    x[0, 1] = 2.0
    assert array[0, 1] == 2
    x[1] = flambeau.tensor([1.0, 2.0, 3.0])
    assert array.tolist() == [[0, 2, 0], [1, 2, 3]]
    array[0] = 5
    assert x[0].tolist() == [5.0] * 3
    own = np.zeros(3, np.float32)
    flambeau.from_numpy(own)[1] = 4.0
    assert own.tolist() == [0, 4, 0]


def test_nothing_is_recorded() -> None:
    if OPTIONS.sync:
        pytest.skip("each op runs at once")
    x = flambeau.zeros(4)
    x.tolist()
    x[1] = 2.0
    x[2:] = 3
    assert LOCAL.rec.state.parent is None
    assert x.tolist() == [0, 2, 3, 3]
    assert x._version == 2
    for place in range(1, 4):  # one after another, each of the one before
        x[place] = x[place - 1] * 2 + 1
        assert LOCAL.rec.state.parent is None
    assert x.tolist() == [0, 1, 3, 7]


def test_programs_see_them() -> None:
    """A compiled function writes at each call, and so does a loop that is known."""

    def fill(x: Any, y: Any) -> Any:
        x[1] = 2.0
        x[2] = y
        return x * 2

    compiled = flambeau.compile(fill)
    for number in range(6):
        x, y = flambeau.zeros(3), flambeau.tensor(float(number))
        assert compiled(x, y).tolist() == [0, 4, 2.0 * number]
        assert x.tolist() == [0, 2, number]
    x = flambeau.zeros(3)
    for number in range(60):
        x[number % 3] = float(number)
        x += 1
        assert x.sum().item() == sum(v for v in x.tolist())
    assert x.tolist() == [60.0, 60.0, 60.0]


def test_large_parts_are_events() -> None:
    x = flambeau.zeros(plain_data.SMALL + 1)
    x.tolist()
    meta = x._meta
    assert not plain_data.write(x, meta, 0, 1.0)
    x[:] = 1.0
    assert x.sum().item() == plain_data.SMALL + 1
