"""Ops that are one native call: their results, what they hold, and what they leave to Python."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.record.native_calls import native_calls
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.skipif(
    native_calls() is None or OPTIONS.sync, reason="no native recording"
)
known: Any = native_calls() and native_calls().known_op  # type: ignore[union-attr]

RNG = np.random.default_rng(3)
X, Y = (RNG.standard_normal((3, 4)).astype("f") for _ in range(2))
CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "one operand": lambda t, x, y: x.exp(),
    "two operands": lambda t, x, y: x - y,
    "one operand twice": lambda t, x, y: x * x,
    "three operands": lambda t, x, y: t.addcmul(x, x, y, value=0.5),
    "numbers": lambda t, x, y: (x + 1) * 2.5 + True,
    "a number first": lambda t, x, y: 3 - x,
    "several results": lambda t, x, y: t.cat(t.max(x, 1)),
    "a list": lambda t, x, y: t.cat([x, y, x], 1),
    "a tuple and none": lambda t, x, y: t.stack((x, y)).clamp(None, 0.5),
    "a view, and a part of it": lambda t, x, y: x.t()[1:] + y[:, 1:].t(),
    "in place": lambda t, x, y: x.clone().add_(y).mul_(2),
    "a linear layer": lambda t, x, y: t.nn.functional.linear(x, y, y[:, 0]),
    "no operands": lambda t, x, y: x + t.zeros(3, 4),
    "strings and axes": lambda t, x, y: t.einsum("ij,kj->ik", x, y).sum((0, 1), keepdim=True),
    "history": lambda t, x, y: t.autograd.grad((x.requires_grad_() * y).tanh().sum(), x)[0],
}


@pytest.mark.parity
@pytest.mark.parametrize("name", list(CASES))
def test_same_as_pytorch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = pytest.importorskip("torch")
    wanted = CASES[name](reference, *map(reference.tensor, (X.tolist(), Y.tolist())))
    monkeypatch.setattr(recorder, "_known_op", known)
    for _ in range(5):
        found = CASES[name](torch, *map(torch.tensor, (X.tolist(), Y.tolist())))
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)


TWICE = PureOp("twice", lambda x: x + x)


def test_what_is_not_known_is_left_to_python() -> None:
    x = torch.ones(7, 3)
    x.tolist()
    rec = recorder.LOCAL.rec
    assert known(rec, TWICE, None, x) is None  # the first time here
    recorder.unary(TWICE, x).tolist()
    rec = recorder.LOCAL.rec
    assert known(rec, TWICE, None, x) is not None
    assert known(rec, TWICE, None, "x") is None
    assert known(rec, TWICE, None, 1j) is None
    assert known(rec, TWICE, None, [x, 1.0]) is None
    assert known(rec, TWICE, [], x) is None  # attributes that have no hash
    assert known(rec, TWICE, None) is None
    recorder.flush()
    assert rec.taken
    assert known(rec, TWICE, None, x) is None
    with pytest.raises(TypeError):
        known(rec, TWICE)


def test_tensors_that_enter_otherwise() -> None:
    x = torch.ones(7, 3)
    cases: dict[str, Any] = {
        "seen by NumPy": torch.from_numpy(np.ones((7, 3), "f")),
        "behind the beginning": torch.ones(8, 3)[1:],
        "of another class": torch.nn.Buffer(torch.ones(7, 3)),
        "with a dictionary": torch.ones(7, 3),
    }
    assert vars(cases["with a dictionary"]) is not None
    for name, y in cases.items():
        y.tolist()
        for _ in range(6):
            assert (x + y).sum().item() == 42, name


def test_views_of_plain_data_enter_natively() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    base.tolist()
    for start in (0, 1, 2, 0):  # other places of one storage are one key
        part = base[start : start + 1]
        if start == 0:
            recorder.unary(TWICE, part).tolist()
        out = known(recorder.LOCAL.rec, TWICE, None, part)
        assert out is not None
        assert out.tolist() == [[2.0 * (4 * start + i) for i in range(4)]]
        assert part._family.rec is part._rec
        assert part._family.number == part._num
    turned = base.t()
    assert turned._family is part._family
    first = known(recorder.LOCAL.rec, TWICE, None, base[1:2])
    assert first is not None
    assert known(recorder.LOCAL.rec, TWICE, None, turned) is None  # the storage has entered
    recorder.flush()
    things = [base, base._storage, turned, turned._family, turned._meta, 1 << 40]
    counts = [sys.getrefcount(thing) for thing in things]
    for _ in range(50):
        recorder.unary(TWICE, turned).tolist()
    recorder.unary(TWICE, base[1:2]).tolist()
    assert max(abs(sys.getrefcount(t) - c) for t, c in zip(things, counts)) < 20


def test_views_that_enter_and_are_written() -> None:
    leaf = torch.ones(3, requires_grad=True)
    for _ in range(8):
        base = torch.ones(3, 4)
        base.tolist()
        part = base[1:]
        twice = part * 2
        base += 1
        assert (part + twice).sum().item() == 32
        (base.t()[1:] * leaf).sum().backward()  # a view, and history of what reads it
        assert leaf.grad.tolist() == [6.0] * 3
        leaf.grad = None
        base.t()[0] = leaf * 5
        recorder.flush()
        part = base[1:]  # with history in an earlier program
        assert (part * 2).requires_grad
        (part * 2).sum().backward()
        assert leaf.grad.tolist() == [0.0, 10.0, 10.0]
        leaf.grad = None
        with torch.no_grad():
            still = leaf[1:]
            assert (still * 3).tolist() == [3.0, 3.0]
            leaf += 0
        with pytest.raises(RuntimeError, match="created in no_grad mode"):
            _ = still * 3


class Shown:
    """An attribute whose comparison runs a program."""

    def __init__(self, body: Callable[[], Any]) -> None:
        self.body = body

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        self.body()
        return isinstance(other, Shown)


def test_a_comparison_that_flushes() -> None:
    scaled = PureOp("scaled", lambda x, how: x + x)
    x = torch.ones(5)
    x.tolist()
    calm = Shown(lambda: None)
    for _ in range(3):
        assert recorder.unary(scaled, x, (calm,)).tolist() == [2.0] * 5
    body = Shown(recorder.flush)
    for _ in range(3):
        part = x * 3
        out = known(recorder.LOCAL.rec, scaled, (body,), part)
        if out is None:
            out = recorder.unary(scaled, part, (calm,))
        assert out.tolist() == [6.0] * 5


def test_what_it_holds() -> None:
    x, y = torch.ones(4, 4), torch.full((4, 4), 2.0)
    scalar = 1234.5

    def step() -> Any:
        a, b = torch.max(torch.cat([x, y]) * scalar, 1)
        return (a + b.float()).sum().item()

    for _ in range(20):
        step()
    things = [x, y, x._storage, x._meta, None, True, (), scalar, float, type(x), 1]
    for _ in range(3):
        step()
    gc.collect()
    counts = [sys.getrefcount(thing) for thing in things]
    objects = len(gc.get_objects())
    for _ in range(3000):
        step()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in things]
    assert max(abs(b - a) for a, b in zip(counts, after)) < 100
    assert len(gc.get_objects()) - objects < 1000
    assert gc.isenabled()


def test_threads_share_operands() -> None:
    x, y = torch.arange(6.0), torch.ones(6)
    failures = []

    def work() -> None:
        for _ in range(200):
            z = ((x + y) * x - y).sum().item()
            if z != 64.0:
                failures.append(z)

    work()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_memory_that_numpy_has_seen() -> None:
    """Natively it enters where nobody holds the array any more; else Python takes care of it."""
    x = torch.ones(7, 3)
    x.tolist()
    recorder.unary(TWICE, x).tolist()
    assert x.numpy().sum() == 21
    assert x._storage.exposed
    assert known(recorder.LOCAL.rec, TWICE, None, x) is not None
    assert not x._storage.exposed
    recorder.flush()
    for hold in (
        lambda x: x.numpy(),
        lambda x: x.numpy()[2:],
        lambda x: memoryview(x.numpy()),
        lambda x: np.asarray(x.t()),
    ):
        held = hold(x)
        assert known(recorder.LOCAL.rec, TWICE, None, x) is None
        assert x._storage.exposed
        del held
        found = known(recorder.LOCAL.rec, TWICE, None, x)
        assert found is not None
        assert found.tolist() == [[2.0] * 3] * 7


def test_events_of_no_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by random program 71,002,426: there were no parts, but one that was a tuple."""
    monkeypatch.setattr(recorder, "_known_op", known)
    for _ in range(3):
        x = torch.zeros(0, 3).data.clone()
        assert x.unbind(0) == ()
        assert [len(part) for part in torch.zeros(2, 3).data.clone().unbind(0)] == [3, 3]


def test_memory_of_numpy() -> None:
    """An array that a tensor was made of enters natively where nobody else holds it."""
    torch.ones(7, 3).tolist()
    recorder.unary(TWICE, torch.ones(7, 3)).tolist()
    for hold in (
        lambda array: array,
        lambda array: array[1:],
        lambda array: memoryview(array),
        lambda array: torch.from_numpy(array),
        lambda array: SimpleNamespace(array=array),
    ):
        array = np.ones((7, 3), np.float32)
        x, held = torch.from_numpy(array), hold(array)
        del array
        assert known(recorder.LOCAL.rec, TWICE, None, x) is None
        assert x._storage.exposed
        del held
        found = known(recorder.LOCAL.rec, TWICE, None, x)
        assert found is not None and not x._storage.exposed
        assert found.tolist() == [[2.0] * 3] * 7
        assert x.numpy().base is not None  # and is shown again
        assert x._storage.exposed
        recorder.flush()
    part = torch.from_numpy(np.ones((9, 3), np.float32)[2:])
    assert known(recorder.LOCAL.rec, TWICE, None, part) is None  # others may have the whole


def test_writes_that_numpy_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_known_op", known)
    x, y = torch.zeros(4, 3), torch.ones(4, 3)
    x.tolist(), y.tolist()
    for step in range(1, 12):
        shown = x.numpy() if step % 3 else None
        x.add_(y)
        if shown is not None:
            assert (shown == step).all()  # at once
            shown[0, 0] += 5.0  # and it is read again by the next
            x[0, 0] -= 5.0
        pending = x * 2
        x.mul_(1.0)
        assert (pending.numpy() == 2 * step).all()
        assert (x.numpy() == step).all()
