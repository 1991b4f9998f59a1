"""Small tensors of one number, of counted numbers and of Python numbers, made without an event."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.functional.constants import SMALL
from flambeau.record.entering import PLAIN
from flambeau.record.native_calls import PlainCalls, plain_calls
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL
from flambeau.tensor.literals import array_from_data, packed

WAYS = [name.removeprefix("known_") for name in PlainCalls._fields]
DTYPES = [
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, 2, -3, True, False, 0.0, -0.0, 0.1, 1e-46, 1e300, -1e300, 2**40, 2**63 - 1, 2**53 + 1,
    300, math.nan, math.inf, -math.inf, 1 + 2j,
]  # fmt: skip
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (SMALL + 1,)]


@pytest.fixture(params=["python", "native"], autouse=True)
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Tensors over data are made by Python, or by native calls."""
    calls = plain_calls() if request.param == "native" else [None] * len(WAYS)
    if calls is None:
        pytest.skip("no native calls")
    for name, call in zip(WAYS, calls, strict=True):
        monkeypatch.setattr(PLAIN, name, call)
    yield request.param


def told(library: Any, make: Callable[[], Any]) -> Any:
    try:
        x = make()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__
    wide = x.to(library.float64) if x.dtype is library.bfloat16 else x
    array = wide.numpy()
    return x.shape, str(x.dtype), x.stride(), array.tobytes()


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_number(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    for shape in SHAPES:
        for name in ("zeros", "ones"):
            for options in ({}, {"dtype": dtype}):
                ours, theirs = (
                    told(t, lambda t=t: getattr(t, name)(shape, **dtypes_of(t, options)))
                    for t in (flambeau, torch)
                )
                assert ours == theirs, (name, shape)
        for number in NUMBERS if len(shape) < 2 else NUMBERS[:3]:
            for options in ({}, {"dtype": dtype}):
                ours, theirs = (
                    told(t, lambda t=t: t.full(shape, number, **dtypes_of(t, options)))
                    for t in (flambeau, torch)
                )
                single = math.prod(shape) == 1 and dtype in ("float16", "bfloat16")
                if not (single and ours == "RuntimeError"):  # PyTorch makes infinity of it there
                    assert ours == theirs, (number, shape, options)


def dtypes_of(library: Any, options: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(library, value) for name, value in options.items()}


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_like_another(dtype: str) -> None:
    torch = pytest.importorskip("torch")

    def made(t: Any, name: str, how: str) -> Any:
        x = t.zeros(3, 4, 2, dtype=getattr(t, dtype))
        x = {"plain": x, "turned": x.permute(2, 0, 1), "a part": x[:, 1:], "spread": x[:1, :1]}[how]
        if how == "spread":
            x = x.expand(3, 4, 2)
        fill = (2,) if name == "full_like" else ()
        return getattr(t, name)(x, *fill)

    for name in ("zeros_like", "ones_like", "full_like"):
        for how in ("plain", "turned", "a part", "spread"):
            ours, theirs = (told(t, lambda t=t: made(t, name, how)) for t in (flambeau, torch))
            assert ours == theirs, (name, how)
    for how in ("plain", "turned", "a part", "spread"):
        ours, theirs = (made(t, "empty_like", how) for t in (flambeau, torch))
        assert (ours.shape, ours.stride()) == (theirs.shape, theirs.stride())


@pytest.mark.parity
def test_counted() -> None:
    torch = pytest.importorskip("torch")
    cases: list[Any] = [
        (5,), (0,), (2, 9), (9, 2, -3), (2, 2), (-4, 5, 2), (2**62, 2**62 + 3), (SMALL + 5,),
        (1.5,), (5, 1, -1), (0, 10, 3), (7, 0, -2),
    ]  # fmt: skip
    for case in cases:
        ours, theirs = (told(t, lambda t=t: t.arange(*case)) for t in (flambeau, torch))
        assert ours == theirs, case


def test_each_has_its_own_memory() -> None:
    made = [flambeau.zeros(3) for _ in range(50)] + [flambeau.tensor([0.0] * 3) for _ in range(50)]
    made += [flambeau.empty(3) for _ in range(50)]
    for number, x in enumerate(made):
        x[:] = float(number)
    for number, x in enumerate(made):
        assert x.tolist() == [number] * 3
        assert x.data_ptr() % (64 if number < 50 or number >= 100 else 4) == 0


def test_gradients() -> None:
    x = flambeau.ones(3, requires_grad=True)
    y = flambeau.tensor([1.0, 2.0, 4.0], requires_grad=True)
    assert x.is_leaf and x.requires_grad and y.requires_grad
    (x * y).sum().backward()
    assert x.grad.tolist() == [1, 2, 4]
    assert y.grad.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="floating point"):
        flambeau.zeros(3, dtype=flambeau.int64, requires_grad=True)


@pytest.mark.skipif(OPTIONS.sync, reason="each op runs at once")
def test_nothing_is_recorded() -> None:
    flambeau.ones(1).tolist()
    flambeau.zeros(4), flambeau.ones(2, 2), flambeau.full((3,), 2.5)
    flambeau.tensor([1.0, 2.0]), flambeau.zeros_like(flambeau.empty(3))
    assert LOCAL.rec.state.parent is None
    waiting = flambeau.ones(3) + 1
    made = flambeau.zeros(3)  # in the middle of a program it is a part of that
    assert made._storage is None
    assert (waiting + made).tolist() == [2, 2, 2]


def test_in_a_compiled_function() -> None:
    """There they are part of the program, each call's own."""

    def make(x: Any) -> Any:
        kept = flambeau.zeros(3)
        kept[1] = 5.0
        return kept + x, kept + flambeau.arange(3)

    compiled = flambeau.compile(make)
    for number in range(6):
        first, second = compiled(flambeau.full((3,), float(number)))
        assert first.tolist() == [number, number + 5, number]
        assert second.tolist() == [0, 6, 2]
        first[:] = second[:] = -1.0


LITERALS: list[Any] = [
    1.5, 3, -(2**63), [1.0, 2.5], [1, 2, 3], [1, 2.5], [[1.0], [2.0]], [[1, 2], [3, 4]],
    [0.1, -0.0], [[1.0, 2], [3, 4.5]], [1e300], [math.nan, math.inf], [2**53 + 1, 0.5],
    [16777217], [1e-46],
]  # fmt: skip
OTHERS: list[Any] = [
    True, [True, False], [1, True], [], [[]], [[1.0], [2.0, 3.0]], [[1.0], 2.0], (1.0, 2.0), "a",
    ["a"], None, [None], 1j, [2**70], [2**70, 1.5], [[[1.0]]], np.float32(1), np.ones(2),
    [np.ones(1)],
]  # fmt: skip


@pytest.mark.parametrize("dtype", [None, flambeau.float32, flambeau.float64, flambeau.int64])
def test_packed_numbers(dtype: Any) -> None:
    """They are what the general way makes of them; what is not common is left to that."""
    for data in LITERALS:
        found = packed(data, dtype)
        if dtype is flambeau.int64 and found is None:
            continue
        assert found is not None, data
        numbers, meta = found
        array, own = array_from_data(data, dtype)
        assert (meta.dtype, tuple(meta.shape)) == (own, array.shape)
        assert numbers.tobytes() == array.tobytes(), data
    for data in (
        True,
        (1.0, 2.0),
        "a",
        None,
        1j,
        [],
        [[]],
        ["a"],
        [2**70],
        [1, True],
        [[1.0], 2.0],
    ):
        assert packed(data, None) is None, data


@pytest.mark.parity
def test_literals() -> None:
    torch = pytest.importorskip("torch")
    for data in LITERALS + OTHERS:
        for options in ({}, {"dtype": "float32"}, {"dtype": "int64"}, {"dtype": "float64"}):
            ours, theirs = (
                told(t, lambda t=t: t.tensor(data, **dtypes_of(t, options)))
                for t in (flambeau, torch)
            )
            assert ours == theirs, (data, options)


def test_arrays_of_numpy() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = flambeau.from_numpy(array)
    array[0, 0] = 9
    assert x[0, 0].item() == 9
    x += 1
    assert array[0].tolist() == [10, 2, 3]
    assert x.data_ptr() == array.ctypes.data
    for shape in ((0,), (), (3, 0)):
        assert flambeau.from_numpy(np.zeros(shape)).shape == shape
    del x
    assert flambeau.from_numpy(array.T).tolist() == array.T.tolist()
