"""What plain data say at once, and small writes to them: natively the same as by NumPy and as op by
op, and not natively where somebody would not see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import bounds
from flambeau.functional import plain_answers
from flambeau.record import recorder
from flambeau.record.entering import PLAIN

pytestmark = pytest.mark.skipif(bounds.switched_on(), reason="there are no native calls then")

DTYPES = ("float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
SHAPES: tuple[tuple[int, ...], ...] = ((1,), (37,), (16, 24), (3, 5, 7), (2, 1, 3, 4))
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def native() -> Iterator[None]:
    """Native calls from the first tensor on."""
    if PLAIN.answer is None:
        PLAIN.left = 1
        recorder.done_by_python()
    if PLAIN.answer is None:
        pytest.skip("this interpreter has no native calls")
    yield


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What native calls have answered."""
    found: list[Any] = []
    for name in ("answer", "write"):
        call = getattr(PLAIN, name)

        def noted(*args: Any, call: Any = call) -> Any:
            found.append(call(*args))
            return found[-1]

        monkeypatch.setattr(PLAIN, name, noted)
    return found


def numbers(shape: tuple[int, ...], dtype: str) -> Any:
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    if dtype.startswith("float"):
        return np.where(RNG.random(shape) < 0.3, 0, RNG.standard_normal(shape)).astype(dtype)
    return RNG.integers(0, 7, shape).astype(dtype)


def held(array: Any) -> Any:
    """A tensor of its own that holds its data."""
    return flambeau.tensor(array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal(dtype: str, seen: list[Any]) -> None:
    for shape in SHAPES:
        array = numbers(shape, dtype)
        x = held(array)
        assert flambeau.equal(x, held(array))
        for place in {0, array.size // 2, array.size - 1}:
            other = array.copy()
            other.flat[place] = not other.flat[place] if dtype == "bool" else other.flat[place] + 1
            assert not flambeau.equal(x, held(other))
    assert seen
    assert set(seen) == {0, 1}


def test_equal_of_zeros_and_nan(seen: list[Any]) -> None:
    x = held(np.array([0.0, 1.0] * 20, np.float32))
    assert flambeau.equal(x, held(np.array([-0.0, 1.0] * 20, np.float32)))
    y = held(np.full(40, np.nan))
    assert not flambeau.equal(y, y)
    assert seen == [1, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nonzero(dtype: str, seen: list[Any]) -> None:
    for shape in SHAPES:
        for array in (numbers(shape, dtype), np.ones(shape, dtype), np.zeros(shape, dtype)):
            found = held(array).nonzero()
            wanted = np.argwhere(array)
            np.testing.assert_array_equal(found.numpy(), wanted)
            assert found.shape == wanted.shape
            if len(wanted):
                assert found.stride() == (1, len(wanted))
    assert len(seen) >= 2 * len(SHAPES)
    assert None not in seen


def test_nonzero_of_views(seen: list[Any]) -> None:
    array = numbers((6, 8), "float32")
    x = held(array)
    np.testing.assert_array_equal(x[2:5].nonzero().numpy(), np.argwhere(array[2:5]))
    assert seen
    count = len(seen)
    np.testing.assert_array_equal(x[:, 1::2].nonzero().numpy(), np.argwhere(array[:, 1::2]))
    np.testing.assert_array_equal(x.t().nonzero().numpy(), np.argwhere(array.T))
    assert len(seen) == count  # these do not lie side by side


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histc(dtype: str, seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    array = RNG.standard_normal(500).astype(dtype)
    array[:4] = [np.nan, np.inf, -2.0, 3.0]
    x = held(array)
    for bins, low, high in ((10, -2, 3), (7, -0.5, 0.1), (1, 0, 1), (100, 2.5, 1e30)):
        found = flambeau.histc(x, bins, low, high)
        assert None not in seen
        with monkeypatch.context() as patch:
            patch.setattr(PLAIN, "answer", None)
            wanted = flambeau.histc(x, bins, low, high)
        assert found.dtype is wanted.dtype
        assert found.tolist() == wanted.tolist()
    assert len(seen) == 4
    plain = held(array[4:])
    assert flambeau.histc(plain, 5).sum().item() == len(array) - 4


def test_histc_of_edges_that_are_one(seen: list[Any]) -> None:
    """Apart in double precision, not in single: no bin has a width."""
    x = held(np.array([1.0, 2.0], np.float32))
    assert plain_answers.histogram(x, 3, 1.0, 1.0 + 1e-12) is None
    assert plain_answers.histogram(x, 3, 0.0, 1e300) is None
    assert plain_answers.histogram(x, 3, -3e38, 3e38) is None
    assert not seen


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_bincount(dtype: str, seen: list[Any]) -> None:
    array = numbers((300,), dtype)
    x = held(array)
    for least in (0, 3, 40):
        found = flambeau.bincount(x, minlength=least)
        wanted = np.bincount(array, minlength=least)
        assert found.tolist() == wanted.tolist()
    assert None not in seen
    if dtype != "uint8":
        x[7] = -1
        with pytest.raises(RuntimeError, match="non-negative"):
            flambeau.bincount(x)
    assert flambeau.bincount(held(np.array([], np.int64))).tolist() == []
    assert flambeau.bincount(held(np.array([100_000]))).shape == (100_001,)


# ---- writes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_writes(dtype: str, seen: list[Any]) -> None:
    array = numbers((4, 6, 5), dtype)
    x = held(array)
    index: Any
    for index in (
        2, -1, (1, 2), (1, 2, 3), slice(1, 3), (slice(None), 2), (slice(None), slice(1, 6, 2)),
        (Ellipsis, 1), (slice(None), slice(None), slice(0, 5, 2)), (None, 1), slice(0, 0),
        (3, slice(1, 4)),
    ):  # fmt: skip
        number = True if dtype == "bool" else 5
        array[index] = number
        if dtype != "uint8":  # numbers for these are looked at by compiled code
            x[index] = number
        else:
            x[index] = held(np.array(number, dtype))
        part = numbers(array[index].shape, dtype)
        np.testing.assert_array_equal(x.numpy(), array)
        array[index] = part
        x[index] = held(np.asarray(part))
        np.testing.assert_array_equal(x.numpy(), array)
    assert True in seen


def test_a_row_from_strided_data(seen: list[Any]) -> None:
    x, y = flambeau.zeros(4, 6), held(numbers((6, 8), "float32"))
    x[1] = y[:, 3]
    x[:, 2] = y[1:5, 0]
    assert seen == [True, True]
    wanted = np.zeros((4, 6), np.float32)
    wanted[1] = y.numpy()[:, 3]
    wanted[:, 2] = y.numpy()[1:5, 0]
    np.testing.assert_array_equal(x.numpy(), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks(dtype: str, seen: list[Any]) -> None:
    for shape in ((3,), (37,), (16, 24), (4, 5, 6)):
        for rank in range(1, len(shape) + 1):
            array, mask = numbers(shape, dtype), numbers(shape[:rank], "bool")
            x, chooses = held(array), held(mask)
            x[chooses] = 1
            array[mask] = 1
            np.testing.assert_array_equal(x.numpy(), array)
    if dtype != "uint8":
        assert set(seen) == {True}


def test_special_elements() -> None:
    x = flambeau.zeros(40)
    mask = flambeau.ones(40) > 0
    mask.numpy()
    for number in (-0.0, float("inf"), float("nan"), 1e-45, 3.4028234663852886e38):
        x[mask] = number
        x[3] = number
        wanted = np.full(40, number, np.float32)
        assert x.numpy().tobytes() == wanted.tobytes()


def test_overlapping_memory() -> None:
    """Two tensors over one array: what is read is what was there before."""
    array = np.arange(10.0)
    x, y = flambeau.from_numpy(array), flambeau.from_numpy(array)
    x[1:] = y[:-1]
    assert x.tolist() == [0, *range(9)]
    x[:-1] = y[1:]
    assert x.tolist() == [*range(9), 8]


def test_writes_are_counted() -> None:
    """What is saved for a backward pass must not be overwritten unseen."""
    for index, value in ((3, 1.0), (2, flambeau.ones(24)), (flambeau.ones(16, 24) > 0, 0.0)):
        x, w = flambeau.randn(16, 24), flambeau.randn(16, 24, requires_grad=True)
        x.numpy()
        loss = (x * w).sum()
        loss.item()
        before = x._version
        x[index] = value
        assert x._version == before + 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_what_autograd_watches(seen: list[Any]) -> None:
    w = flambeau.ones(5, requires_grad=True)
    x = flambeau.zeros(5)
    x[1] = w[2] * 3
    x[2:4] = w[:2]
    x.sum().backward()
    assert w.grad.tolist() == [1, 1, 3, 0, 0]
    y = flambeau.zeros(3, 4)
    y[1] = (w * 2)[:4]
    y[2] = 1.0
    assert y.requires_grad
    y.sum().backward()
    assert w.grad.tolist() == [3, 3, 5, 2, 0]
    with pytest.raises(RuntimeError, match="leaf"):
        w[1] = 2.0
    with flambeau.no_grad():
        w[1] = 2.0
        w[flambeau.ones(5) > 0] = 4.0
    assert w.tolist() == [4.0] * 5
    assert True not in seen


def test_what_waits(seen: list[Any]) -> None:
    """A program that is pending reads what was there when it was recorded."""
    x = held(np.arange(6.0))
    doubled = x * 2
    mask = x > 2
    x[mask] = 0.0
    x[0] = 7.0
    total = x + 1
    x[1:3] = doubled[1:3]
    assert doubled.tolist() == [0, 2, 4, 6, 8, 10]
    assert total.tolist() == [8, 2, 3, 1, 1, 1]
    assert x.tolist() == [7, 2, 4, 0, 0, 0]
    y = x + 0
    assert flambeau.equal(y, x)
    assert (y * 0).nonzero().shape == (0, 1)


def test_subclasses_and_parameters(seen: list[Any]) -> None:
    p = flambeau.nn.Parameter(held(np.array([0.0, 2.0])))
    assert flambeau.equal(p, held(np.array([0.0, 2.0])))
    assert p.nonzero().tolist() == [[1]]

    class Mine(flambeau.Tensor):
        pass

    mine = held(np.array([0.0, 2.0])).as_subclass(Mine)
    seen.clear()
    assert flambeau.equal(mine, p)
    assert mine.nonzero().tolist() == [[1]]
    assert set(seen) <= {None}


def test_in_a_compiled_function() -> None:
    x = held(np.array([1.0, 0.0]))

    @flambeau.compile
    def doubled(y: Any) -> Any:
        return y * 2 if flambeau.equal(x, y) else y

    y = held(np.array([1.0, 0.0]))
    assert [doubled(y).tolist() for _ in range(5)] == [[2.0, 0.0]] * 5
    x[0] = 5.0
    assert doubled(y).tolist() == [1.0, 0.0]
    y[0] = 5.0
    assert doubled(y).tolist() == [10.0, 0.0]


def test_numbers_that_grow_meanwhile() -> None:
    """A finalizer, or another thread, may write between two native calls: no count leads behind
    the memory that was made for it.
    """
    from flambeau.execute.cpu import data_kernels

    x = held(np.array([1, 2, 9, -3, 2]))
    made = flambeau.zeros(3, dtype=flambeau.int64)
    made.numpy()
    kernel, words, _ = plain_answers._asked(data_kernels.occurrences(x.dtype), 5)
    assert PLAIN.answer(kernel, recorder.LOCAL.rec, words, 2, x, made) == 2
    assert made.tolist() == [0, 1, 2]
    kernel, words, _ = plain_answers._asked(data_kernels.places(x.dtype, 1), 5)
    assert PLAIN.answer(kernel, recorder.LOCAL.rec, words, 3, x, made) == 3
    assert made.tolist() == [0, 1, 2]
