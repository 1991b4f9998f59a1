"""What the recorder must notice: each program runs recorded, again and again, and op by op
(OPTIONS.sync).

The two must agree in every run, whatever changes between runs that look alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.record import recorder
from flambeau.record.options import OPTIONS

from .modes import mode

RNG = np.random.default_rng(20)
RUNS = 6
Body = Callable[[int], Any]


@pytest.fixture(autouse=True)
def recorded() -> Iterator[None]:
    with mode("recognised"):
        yield
    assert fb.is_grad_enabled()


def noted(value: Any) -> Any:
    """A result as plain data, with all that a program could ask of it."""
    if isinstance(value, fb.Tensor):
        grad = value.grad if value.is_leaf else None
        return (
            str(value.dtype),
            tuple(value.shape),
            value.stride(),
            value.requires_grad,
            value.is_leaf,
            value.detach().tolist(),
            None if grad is None else noted(grad),
        )
    if isinstance(value, (list, tuple)):
        return [noted(part) for part in value]
    return value


def outcome(body: Body, i: int) -> Any:
    try:
        return noted(body(i))
    except Exception as error:
        return type(error).__name__


def near(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(near(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        same_sign = a != 0 or math.copysign(1, a) == math.copysign(1, b)
        return (a == b and same_sign) or abs(a - b) <= 1e-6 + 1e-5 * abs(a)
    return type(a) is type(b) and a == b


def check(make: Callable[[], Body], runs: int = RUNS) -> list[Any]:
    """Runs `make()`'s body 0, 1, .. recorded and op by op; the outcomes must be the same. Returns
    them.
    """
    with mode("sync"):
        body = make()
        wanted = [outcome(body, i) for i in range(runs)]
    with mode("recognised"):
        body = make()
        for i in range(runs):
            got = outcome(body, i)
            assert near(wanted[i], got), f"run {i}: op by op {wanted[i]}, recorded {got}"
    return wanted


def leaf(*values: float) -> Any:
    return fb.tensor(list(values), requires_grad=True)


# ---- what an operand is
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scalars",
    [
        (1, 1.0, True, 2, False, 0),
        (0.0, -0.0, 0.0, -0.0),
        (1.0, float("nan"), float("inf"), -float("inf")),
        (3, 3.5, -3, 2**40, -(2**62)),
        (np.float32(0.5), 0.5, np.int64(2), 2, np.bool_(True)),
    ],
)
def test_scalars(scalars: tuple[Any, ...]) -> None:
    def make() -> Body:
        ints, floats, mask = (
            fb.tensor([1, 2, -3]),
            fb.tensor([0.5, -2.0, 0.0]),
            fb.tensor([True, False]),
        )

        def body(i: int) -> Any:
            s = scalars[i % len(scalars)]
            kinds = [ints * s, floats * s, floats + s, mask * s, fb.full((2,), s)]
            return [
                *kinds,
                1 / (floats * s),
                fb.where(floats > 0, floats, s),
                floats.clone().fill_(s),
            ]

        return body

    outcomes = check(make, 2 * len(scalars))
    assert all(isinstance(one, list) for one in outcomes)


def test_dtypes_and_gradients_flip() -> None:
    data = RNG.standard_normal(6).astype(np.float32).tolist()

    def make() -> Body:
        def body(i: int) -> Any:
            x = fb.tensor(
                data, dtype=(fb.float32, fb.float64, fb.float32)[i % 3], requires_grad=i % 2 == 0
            )
            y = (x * x).sum()
            if y.requires_grad:
                y.backward()
            return x, y

        return body

    check(make)


def test_views_of_the_same_shape_are_not_mistaken() -> None:
    def make() -> Body:
        base = fb.arange(24.0).reshape(4, 6)

        def body(i: int) -> Any:
            views = (
                base[:3, :3],
                base[1:, 3:],
                base.t()[:3, :3],
                base[::2].t()[::2].t(),
                base[0, :9:2],
            )
            x, y = views[i % 5], views[(2 * i) % 4]
            x.mul_(1.5) if i % 2 else x.add_(1)
            return base.clone(), y.sum(), (x * 2)[..., 0]

        return body

    check(make, 10)


def test_aliases() -> None:
    """The same op on two tensors, on one tensor twice, on a tensor and its view."""

    def make() -> Body:
        a, b = fb.ones(4), fb.full((4,), 3.0)

        def body(i: int) -> Any:
            x, y = ((a, b), (a, a), (a, a.view(2, 2).view(4)), (b, a), (a.detach(), a))[i % 5]
            x.add_(y)
            y.mul_(0.5)
            return a, b, x + y

        return body

    check(make, 10)


def test_parameters_are_replaced() -> None:
    def make() -> Body:
        held = {"w": leaf(0.5, -1.0, 2.0)}

        def body(i: int) -> Any:
            if i % 2:
                held["w"] = (held["w"].detach() * 2).requires_grad_()
            if i == 4:
                held["w"].data = fb.tensor([7.0, 8.0])
                held["w"].grad = None
            loss = (held["w"] ** 2).sum()
            loss.backward()
            with fb.no_grad():
                held["w"] -= 0.1 * held["w"].grad
            return held["w"], loss

        return body

    check(make)


def test_hooks_come_and_go() -> None:
    def make() -> Body:
        w, calls, handles = leaf(1.0, 2.0), [], []

        def tenfold(g: Any) -> Any:
            calls.append(1)
            return g * 10

        def body(i: int) -> Any:
            w.grad = None
            y = w * 3
            if i == 1:
                handles.append(w.register_hook(tenfold))
            if i in (2, 3):
                y.register_hook(lambda g: g + i)
            if i == 4:
                handles[0].remove()
            (y * y).sum().backward()
            return w, list(calls)

        return body

    outcomes = check(make)
    assert outcomes[1][1] == [1] and outcomes[5][1] == [1, 1, 1]


# ---- what happens in between
# -------------------------------------------------------------------------


def test_exceptions_half_way() -> None:
    def make() -> Body:
        w = leaf(1.0, -2.0)

        def body(i: int) -> Any:
            y = w * w
            seen: list[Any] = []
            for attempt in range(3):
                try:
                    z = y + (fb.ones(3) if (i + attempt) % 3 == 0 else fb.ones(2))
                    y = z * 0.5
                except RuntimeError:
                    seen.append("shape")
            if i == 3:
                raise KeyError("the user's own")
            y.sum().backward()
            return w, y, seen

        return body

    assert check(make)[3] == "KeyError"


def test_liveness() -> None:
    """A tensor kept in one run and not in another: only what somebody holds is computed, and all of
    it.
    """

    def make() -> Body:
        kept: list[Any] = []

        def body(i: int) -> Any:
            x = fb.tensor([1.0 + i, 2.0])
            hidden = x * 2
            out = (hidden + 1).exp()
            if i % 2:
                kept.append(hidden)
            if i == 4:
                kept.clear()
            total = out.sum().item()
            return total, [k * 1 for k in kept]

        return body

    check(make, 8)


def test_gradient_history_kept_or_not() -> None:
    def make() -> Body:
        w, losses = leaf(0.5, 1.5), []

        def body(i: int) -> Any:
            loss = (w * (i + 1)).exp().sum()
            value = loss.item()
            if i % 2:
                losses.append(loss)
            if i == 5:
                for one in losses:
                    one.backward()
            return value, w

        return body

    assert check(make)[5][1][-1] is not None


def test_numpy_writes_between_steps() -> None:
    def make() -> Body:
        x = fb.tensor([1.0, 2.0, 3.0])
        array = x.numpy()
        other = np.array([10.0, 20.0, 30.0], np.float32)
        y = fb.from_numpy(other)

        def body(i: int) -> Any:
            z = x * y
            array[i % 3] = -i
            other[:] += 1
            view = y[1:]
            view += 0.5
            x.mul_(2)
            return z, x * y, array.tolist(), other.tolist()

        return body

    check(make)


def test_generators() -> None:
    def make() -> Body:
        def batches(n: int) -> Iterator[Any]:
            with fb.no_grad():
                for k in range(n):
                    yield fb.tensor([float(k), 1.0]) * 2

        w = leaf(1.0, 1.0)

        def body(i: int) -> Any:
            w.grad = None
            for batch in batches(2 + i % 2):
                fb.set_grad_enabled(True)
                (w * batch).sum().backward()
            fb.set_grad_enabled(True)
            return w

        return body

    check(make)


def test_random_numbers_go_on() -> None:
    def make() -> Body:
        fb.manual_seed(3)

        def body(i: int) -> Any:
            noise = fb.rand(3)
            if i == 2:
                fb.manual_seed(9)
            return noise + fb.randn(3), fb.randint(0, 10, (2,))

        return body

    outcomes = check(make)
    assert outcomes[0] != outcomes[1]


def test_grad_modes_at_the_same_place() -> None:
    def make() -> Body:
        w = leaf(2.0)

        def body(i: int) -> Any:
            with fb.set_grad_enabled(i % 2 == 0):
                y = w * 3
            z = y + 1
            return y, z, z.requires_grad

        return body

    outcomes = check(make)
    assert [one[2] for one in outcomes[:2]] == [True, False]


# ---- across recordings
# -------------------------------------------------------------------------------


def test_history_shared_by_views_survives_a_sync() -> None:
    def make() -> Body:
        w = fb.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

        def body(i: int) -> Any:
            w.grad = None
            x = w * 2
            row = x[i % 2]
            if i % 3:
                x.sum().item()
            row.mul_(3)
            (x * x).sum().backward()
            return w, x, row

        return body

    assert check(make)[0][0][-1][5] == [[72.0, 144.0], [24.0, 32.0]]


def test_a_plain_base_takes_the_history_written_through_its_view() -> None:
    def make() -> Body:
        w = leaf(2.0)

        def body(i: int) -> Any:
            w.grad = None
            base = fb.tensor([1.0, 2.0, 3.0])
            view = base[1:2]
            if i % 2:
                base.sum().item()
            view.mul_(w)
            (base * base).sum().backward()
            return w, base

        return body

    outcomes = check(make)
    assert outcomes[0][0][-1][5] == [16.0] and outcomes[1][1][3] is True


def test_gradients_of_what_an_earlier_recording_computed() -> None:
    def make() -> Body:
        w = leaf(0.5, -0.25)

        def body(i: int) -> Any:
            w.grad = None
            h = (w * 2).tanh()
            if i % 2:
                h.sum().item()
            z = h * h
            if i % 3:
                z.sum().item()
            (first,) = fb.autograd.grad(z.sum(), w, create_graph=True)
            (first * first).sum().backward()
            (inner,) = fb.autograd.grad((h * w).sum(), h)
            return w, first, inner

        return body

    check(make, 12)


# ---- how long it goes on
# -----------------------------------------------------------------------------


def test_a_recording_longer_than_the_limit() -> None:
    x = fb.zeros(3)
    before = OPTIONS.longest_recording
    OPTIONS.longest_recording = 50
    try:
        for k in range(500):
            x = x + (k % 7)
            assert recorder.LOCAL.rec.state.depth <= 51
    finally:
        OPTIONS.longest_recording = before
    assert x.tolist() == [float(sum(k % 7 for k in range(500)))] * 3


def test_a_loop_without_syncs_ends_its_recordings_itself() -> None:
    w = leaf(1.0, -2.0, 3.0)
    ref = np.array([1.0, -2.0, 3.0], np.float32)
    deepest = 0
    for _ in range(400):
        w.grad = None
        (w * w).sum().backward()
        with fb.no_grad():
            w -= 0.01 * w.grad
        ref -= np.float32(0.01) * 2 * ref
        deepest = max(deepest, recorder.LOCAL.rec.state.depth)
    assert deepest <= OPTIONS.longest_recording
    np.testing.assert_allclose(w.detach().numpy(), ref, rtol=1e-4)


def test_the_end_of_a_loop_without_syncs_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flambeau.record import misses

    asked = 0
    original = misses.repeats

    def counted(state: Any) -> int:
        nonlocal asked
        asked += 1
        return original(state)

    monkeypatch.setattr(misses, "repeats", counted)
    total = fb.zeros(3)
    x = fb.tensor([0.5, -1.0, 2.0])
    for _ in range(300):
        total = (total + x * 2.0).clamp(max=1e6)
    first = asked
    for _ in range(300):
        total = (total + x * 2.0).clamp(max=1e6)
    assert asked - first <= first / 2, "each recording looks for its end again"
    np.testing.assert_allclose(total.tolist(), [600.0, -1200.0, 2400.0])
