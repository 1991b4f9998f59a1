"""Tensors from Python data: every kind of input against torch.tensor, and golden cases."""

from __future__ import annotations

import array
import collections
import decimal
import fractions
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flambeau.core import dtypes
from flambeau.core.dtypes import DType, float32_from_bfloat16
from flambeau.tensor.literals import array_from_data

Array = npt.NDArray[Any]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


class Opaque:
    pass


class Pair:
    """A sequence that is neither list nor tuple."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> float:
        if index >= 2:
            raise IndexError
        return index + 1.5


class Index:
    def __index__(self) -> int:
        return 7


class Real:
    def __float__(self) -> float:
        return 7.5


class ZeroDim:
    """What a list of 0-d tensors shows of them."""

    def __init__(self, value: Any, dtype: DType) -> None:
        self.value = value
        self.dtype = dtype

    def __float__(self) -> float:
        return float(self.value)

    def __index__(self) -> int:
        return int(self.value)

    def __getitem__(self, key: Any) -> Any:
        raise IndexError("invalid index of a 0-dim tensor")


def readable(data: Array, dtype: DType) -> Array:
    return float32_from_bfloat16(data) if dtype is dtypes.bfloat16 else data


def ours(data: Any, dtype: DType | None) -> tuple[Any, ...]:
    try:
        result, kind = array_from_data(data, dtype)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__, str(error).split("\n")[0]
    assert result.dtype == kind.numpy
    assert result.flags.c_contiguous
    return str(kind), result.shape, repr(readable(result, kind).tolist())


def theirs(torch: Any, data: Any, dtype: DType | None) -> tuple[Any, ...]:
    try:
        result = torch.tensor(data, dtype=None if dtype is None else getattr(torch, dtype.name))
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__, str(error).split("\n")[0]
    return str(result.dtype), tuple(result.shape), repr(result.tolist())


INFERRED: list[Any] = [
    [[1, 2, 3], [1, 2]],
    [[1, 2], 3],
    [1, [2]],
    [1, [2.5]],
    [[1, 2], [3, "a"]],
    "abc",
    b"ab",
    ["a"],
    ["a", 1],
    [1, "a"],
    [b"a"],
    None,
    [None],
    [1, None],
    [[1, 2], None],
    {},
    [{}],
    {1: 2},
    {1, 2},
    Opaque(),
    [Opaque()],
    Ellipsis,
    [Index()],
    Real(),
    Pair(),
    [Pair(), Pair()],
    [np.arange(3), np.arange(3)],
    [np.arange(3), np.arange(2)],
    [np.arange(3.0), [1, 2, 3]],
    [np.arange(3.0, dtype=np.float32), np.arange(3, dtype=np.int8)],
    [np.array(1), np.array(2.0)],
    np.float32(1),
    np.int8(3),
    np.bool_(True),
    np.complex64(1),
    np.uint16(3),
    [np.float32(1), np.float64(2)],
    [np.int8(1)],
    [np.int8(1), 1],
    [np.bool_(True)],
    [np.float16(1), True],
    [1, 2.5],
    [1, True],
    [True, False],
    [True, 1.5],
    [1, 2.5, 3j],
    2**63,
    -(2**63),
    [2**63],
    [2**63 - 1],
    [1, 2**70],
    [1.5, 2**70],
    [],
    (),
    [[]],
    [[], []],
    [[], [1]],
    [[1], []],
    [[[]]],
    (1, 2),
    range(3),
    [range(3), range(3)],
    np.array(["a"]),
    np.array([None]),
    np.zeros((2, 0)),
    np.array(3, dtype=np.int16),
    np.arange(4)[::-1],
    np.arange(6).reshape(2, 3).T,
    np.array([1, 2], ">i4" if np.little_endian else "<i4"),
    bytearray(b"ab"),
    array.array("i", [1, 2]),
    iter([1]),
    math.nan,
    [1e300],
    3 + 1j,
    [[1, 2], (3, 4)],
    [[[1, 2]], [[3, 4]]],
    [[[1, 2]], [[3]]],
    [[[1, 2]], [3]],
    [[[1], [1, 2]], [3]],
    [[1, 2], np.array([3.5, 4])],
    [[np.float32(1), 2], [3, 4]],
    [fractions.Fraction(1, 2)],
    collections.deque([1, 2]),
    collections.UserList([1, 2]),
    np.datetime64("2020-01-01"),
]

GIVEN: list[tuple[Any, str]] = [
    (3.7, "int32"),
    ([3.7, -2.5], "int64"),
    (300, "uint8"),
    (-1, "uint8"),
    ([-255], "uint8"),
    ([-256], "uint8"),
    ([256.5], "uint8"),
    ([255.9], "uint8"),
    ([3.99], "uint8"),
    ([-0.5], "uint8"),
    (-129, "int8"),
    ([-128, 127], "int8"),
    ([2**40], "int16"),
    (2**31, "int32"),
    ([-(2**31)], "int32"),
    (1 + 2j, "float32"),
    ([1 + 0j], "float32"),
    ([1j], "int64"),
    (1j, "bool"),
    ([0.5, 0], "bool"),
    ([-1, 0], "bool"),
    ([True], "float32"),
    (1e39, "float32"),
    ([70000], "float16"),
    ([65519.9], "float16"),
    ([65520], "float16"),
    ([math.nan], "int64"),
    (math.inf, "int64"),
    (math.nan, "bool"),
    ([1e20], "int64"),
    (1e39, "bfloat16"),
    ([1.5, 3.39e38, 3.4e38], "bfloat16"),
    ([1 + 2j, 1, 2.5], "complex64"),
    ([3.4e38 + 1e39j], "complex64"),
    (1.5, "complex128"),
    (["a"], "complex64"),
    ([1, "a"], "complex64"),
    ([None], "float32"),
    (None, "float32"),
    (["a"], "float32"),
    ([1, None], "float32"),
    ([1, "a"], "int64"),
    ([1, "a"], "float32"),
    ([[1], [1, 2]], "float32"),
    (2**63, "float32"),
    ([10**400], "float64"),
    ([2**53 + 1], "float64"),
    ([2**63], "int64"),
    (2**63, "uint64"),
    ([2**64 - 1], "uint64"),
    (2**64, "uint64"),
    (-1, "uint64"),
    ([1.5], "uint64"),
    ([-1], "uint16"),
    ([65536], "uint16"),
    (2**32, "uint32"),
    (np.float32(1.5), "int32"),
    ([np.float32(1.5)], "int64"),
    ([np.float64(1.5), 2], "int64"),
    (np.array([1.7, -2.2]), "int32"),
    (np.array([300, -1]), "uint8"),
    (np.array([1.5, 0]), "bool"),
    (np.array([1 + 2j]), "float32"),
    (np.array([1 + 2j]), "bfloat16"),
    (np.array([1.5]), "bfloat16"),
    (np.array(["a"]), "float32"),
    ([np.array([1.5]), np.array([2])], "int32"),
    ([Real()], "float32"),
    ([Index()], "int64"),
    ([Index()], "float32"),
    ([Real()], "int64"),
    ([Opaque()], "bool"),
    ([[]], "int64"),
    ([], "bfloat16"),
    ([np.int64(300)], "uint8"),
    ([decimal.Decimal("1.5")], "float32"),
    ([1, True, 2.5], "uint8"),
]


@pytest.mark.parametrize(
    "data", INFERRED, ids=lambda d: re.sub(" at 0x[0-9a-f]+", "", repr(d))[:40]
)
def test_inferred_against_torch(data: Any, torch: Any) -> None:
    assert ours(data, None) == theirs(torch, data, None)


@pytest.mark.parametrize(
    ("data", "name"), GIVEN, ids=lambda d: re.sub(" at 0x[0-9a-f]+", "", repr(d))[:40]
)
def test_given_dtype_against_torch(data: Any, name: str, torch: Any) -> None:
    dtype = dtypes.BY_NAME[name]
    assert ours(data, dtype) == theirs(torch, data, dtype)


def nested(rng: np.random.Generator, shape: list[int], leaves: list[Callable[[], Any]]) -> Any:
    if not shape:
        return leaves[rng.integers(len(leaves))]()
    items = [nested(rng, shape[1:], leaves) for _ in range(shape[0])]
    return tuple(items) if rng.random() < 0.3 else items


def test_random_nested_lists_against_torch(torch: Any) -> None:
    rng = np.random.default_rng(11)
    makers: list[Callable[[], Any]] = [
        lambda: int(rng.integers(-5, 6)),
        lambda: bool(rng.random() < 0.5),
        lambda: float(rng.standard_normal()),
        lambda: complex(*rng.standard_normal(2)),
        lambda: np.float32(rng.standard_normal()),
        lambda: np.int16(rng.integers(-5, 6)),
    ]
    for _ in range(300):
        chosen = [makers[i] for i in rng.integers(0, len(makers), rng.integers(1, 4))]
        shape = [int(n) for n in rng.integers(1, 4, rng.integers(0, 5))]
        data = nested(rng, shape, chosen)
        assert ours(data, None) == theirs(torch, data, None)
        if not any(maker in chosen for maker in makers[3:5]):
            for dtype in (dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.complex128):
                assert ours(data, dtype) == theirs(torch, data, dtype)


def test_large_lists_are_exact() -> None:
    rng = np.random.default_rng(12)
    floats = rng.standard_normal((300, 400))
    result, dtype = array_from_data(floats.tolist())
    assert dtype is dtypes.float32
    np.testing.assert_array_equal(result, floats.astype(np.float32))
    whole = rng.integers(-(2**62), 2**62, (50, 20, 30))
    result, dtype = array_from_data(whole.tolist())
    assert dtype is dtypes.int64
    np.testing.assert_array_equal(result, whole)


def test_lists_of_tensors() -> None:
    one, half = ZeroDim(1, dtypes.int8), ZeroDim(0.5, dtypes.float64)
    result, dtype = array_from_data([one, one])
    assert (dtype, result.tolist()) == (dtypes.int8, [1, 1])
    result, dtype = array_from_data([[one, half], [2, True]])
    assert (dtype, result.tolist()) == (dtypes.float64, [[1.0, 0.5], [2.0, 1.0]])


def test_the_result_is_a_copy() -> None:
    source = np.ones((2, 3), np.float32)
    result, _ = array_from_data(source)
    result[:] = 5
    assert (source == 1).all()
    assert not np.shares_memory(source, result)


def test_default_dtype_applies() -> None:
    dtypes.set_default_dtype(dtypes.float64)
    try:
        assert array_from_data([1.5])[1] is dtypes.float64
        assert array_from_data([1j])[1] is dtypes.complex128
        assert array_from_data([])[1] is dtypes.float64
    finally:
        dtypes.set_default_dtype(dtypes.float32)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ([[1, 2, 3], [1, 2]], ValueError, r"expected sequence of length 3 at dim 1 \(got 2\)"),
        (["a"], ValueError, "too many dimensions 'str'"),
        ([None], RuntimeError, "Could not infer dtype of NoneType"),
        ([2**63], ValueError, "Overflow when unpacking long long"),
    ],
)
def test_golden_errors(data: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        array_from_data(data)


def test_a_list_within_itself_is_refused() -> None:
    endless: list[Any] = [1]
    endless[0] = endless
    with pytest.raises(ValueError, match="too many dimensions 'list'"):
        array_from_data(endless)
