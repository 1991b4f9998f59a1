"""Printing: random tensors against PyTorch's repr where it is installed, and golden texts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flambeau.core import dtypes
from flambeau.core.dtypes import DType, bfloat16_from_float32, float32_from_bfloat16
from flambeau.tensor import printing
from flambeau.tensor.printing import format_tensor, format_with_spec, set_printoptions

Array = npt.NDArray[Any]
EVERY = pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    set_printoptions(profile="default")


@pytest.fixture
def torch() -> Iterator[Any]:
    module = pytest.importorskip("torch")
    yield module
    module.set_printoptions(profile="default")
    module.set_default_dtype(module.float32)


def as_torch(torch: Any, data: Array, dtype: DType) -> Any:
    if dtype is dtypes.bfloat16:
        return torch.from_numpy(float32_from_bfloat16(data).copy()).bfloat16()
    return torch.from_numpy(np.array(data))


def random_shape(rng: np.random.Generator) -> tuple[int, ...]:
    rank = int(rng.integers(0, 5))
    limit = (0, 40, 12, 6, 4)[rank]
    return tuple(int(rng.integers(0 if rng.random() < 0.03 else 1, limit + 1)) for _ in range(rank))


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Floats of one of the many looks that decide the format."""
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 12)
    if rng.random() < 0.3:
        x = np.round(x)
    if rng.random() < 0.2:
        x = x * 10.0 ** rng.integers(-3, 4, shape)
    if rng.random() < 0.1:
        x = np.abs(x)
    for special in (0.0, -0.0, np.nan, np.inf, -np.inf):
        if rng.random() < 0.12:
            x = np.where(rng.random(shape) < rng.choice([0.1, 0.5, 1.0]), special, x)
    return np.asarray(x)


def random_data(rng: np.random.Generator, dtype: DType, shape: tuple[int, ...]) -> Array:
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "i":
        limits = np.iinfo(dtype.numpy)
        reach = 10 ** int(rng.integers(1, 20))
        low, high = max(limits.min, -reach), min(limits.max, reach)
        return np.asarray(rng.integers(low, high, shape, dtype.numpy, endpoint=True))
    with np.errstate(over="ignore"):
        if dtype.kind == "c":
            both = np.asarray(random_floats(rng, shape) + 0j)
            both.imag = random_floats(rng, shape)
            return both.astype(dtype.numpy)
        x = random_floats(rng, shape)
        if dtype is dtypes.bfloat16:
            return bfloat16_from_float32(x.astype(np.float32))
        return x.astype(dtype.numpy)


def check(torch: Any, data: Array, dtype: DType) -> None:
    expected = repr(as_torch(torch, data, dtype))
    assert format_tensor(data, dtype=dtype) == expected


@EVERY
def test_random_against_torch(dtype: DType, torch: Any) -> None:
    rng = np.random.default_rng(dtype.index)
    for _ in range(150):
        check(torch, random_data(rng, dtype, random_shape(rng)), dtype)


@EVERY
def test_summarised_against_torch(dtype: DType, torch: Any) -> None:
    rng = np.random.default_rng(100 + dtype.index)
    shapes = [(1001,), (7, 200), (200, 7), (6, 200), (11, 10, 10), (2, 2, 2, 200), (1, 1200, 1)]
    for shape in [*shapes, (3, 7, 8, 9), (40, 40)]:
        check(torch, random_data(rng, dtype, shape), dtype)


@EVERY
def test_random_options_against_torch(dtype: DType, torch: Any) -> None:
    rng = np.random.default_rng(200 + dtype.index)
    for _ in range(60):
        options = {
            "precision": int(rng.integers(0, 9)),
            "threshold": int(rng.choice([0, 1, 5, 20, 1000])),
            "edgeitems": int(rng.integers(0, 5)),
            "linewidth": int(rng.choice([1, 10, 30, 80, 200])),
            "sci_mode": [None, None, True, False][rng.integers(4)],
        }
        set_printoptions(**options)  # type: ignore[arg-type]
        torch.set_printoptions(**options)
        check(torch, random_data(rng, dtype, random_shape(rng)), dtype)


@pytest.mark.parametrize("default", ["float64", "float16", "bfloat16"])
def test_dtype_suffix_against_torch(default: str, torch: Any) -> None:
    rng = np.random.default_rng(5)
    torch.set_default_dtype(getattr(torch, default))
    dtypes.set_default_dtype(dtypes.BY_NAME[default])
    try:
        for dtype in dtypes.ALL:
            for shape in ((), (0,), (0, 3), (2, 3)):
                check(torch, random_data(rng, dtype, shape), dtype)
    finally:
        dtypes.set_default_dtype(dtypes.float32)


def test_autograd_suffixes_against_torch(torch: Any) -> None:
    """Widths around the wrapping point, with leaves, results and parameters."""
    rng = np.random.default_rng(6)
    for length in range(1, 24):
        for dtype in (dtypes.float32, dtypes.float64):
            data = random_data(rng, dtype, (length,))
            leaf = as_torch(torch, data, dtype).requires_grad_()
            assert format_tensor(data, dtype=dtype, requires_grad=True) == repr(leaf)
            result = leaf.clone()
            ours = format_tensor(
                data, dtype=dtype, requires_grad=True, grad_fn_name="CloneBackward0"
            )
            assert ours == repr(result)
            parameter = torch.nn.Parameter(leaf.detach())
            ours = format_tensor(data, dtype=dtype, requires_grad=True, is_parameter=True)
            assert ours == repr(parameter)


def test_subclasses_against_torch(torch: Any) -> None:
    data = np.arange(6, dtype=np.float32).reshape(2, 3) / 2

    class Weight(torch.nn.Parameter):  # type: ignore[misc]
        pass

    class Image(torch.Tensor):  # type: ignore[misc]
        pass

    theirs = repr(torch.from_numpy(data).as_subclass(Image))
    assert format_tensor(data, dtype=dtypes.float32, class_name="Image") == theirs
    theirs = repr(Weight(torch.from_numpy(data)))
    ours = format_tensor(
        data, dtype=dtypes.float32, requires_grad=True, is_parameter=True, class_name="Weight"
    )
    assert ours == theirs


def test_strides_do_not_matter(torch: Any) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (base.T, base[::2, ::-1], np.broadcast_to(base[:, :1], (4, 3)), base[1:1]):
        assert format_tensor(view, dtype=dtypes.float32) == repr(torch.from_numpy(view.copy()))


def test_format_against_torch(torch: Any) -> None:
    rng = np.random.default_rng(8)
    for dtype in dtypes.ALL:
        specs = (
            ["", "10"] if dtype.is_complex else ["", "5d"] if dtype.kind in "bi" else ["", ".3f"]
        )
        data = random_data(rng, dtype, ())
        for spec in specs:
            ours = format_with_spec(
                data, spec, dtype=dtype, class_name="Tensor", as_text=lambda: "unused"
            )
            assert ours == format(as_torch(torch, data, dtype), spec)


GOLDEN: list[tuple[Any, DType, str]] = [
    ([1.0, 2.0], dtypes.float32, "tensor([1., 2.])"),
    ([1.5, -2.0], dtypes.float32, "tensor([ 1.5000, -2.0000])"),
    (3.14159, dtypes.float32, "tensor(3.1416)"),
    (7, dtypes.int64, "tensor(7)"),
    ([0.0, -0.0], dtypes.float32, "tensor([0., -0.])"),
    ([1.0, math.nan, -math.inf], dtypes.float32, "tensor([1., nan, -inf])"),
    ([1.5, math.nan, -math.inf], dtypes.float32, "tensor([1.5000,    nan,   -inf])"),
    ([1e-5, 1.0], dtypes.float32, "tensor([1.0000e-05, 1.0000e+00])"),
    ([1.0, 2000.0], dtypes.float32, "tensor([1.0000e+00, 2.0000e+03])"),
    ([math.inf, 1.5e9], dtypes.float32, "tensor([       inf, 1.5000e+09])"),
    ([], dtypes.float32, "tensor([])"),
    ([], dtypes.int64, "tensor([], dtype=torch.int64)"),
    ([[], []], dtypes.float32, "tensor([], size=(2, 0))"),
    ([True, False], dtypes.bool_, "tensor([ True, False])"),
    ([1, -20], dtypes.int32, "tensor([  1, -20], dtype=torch.int32)"),
    ([1 + 2j, complex(0.0, -1.5)], dtypes.complex64, "tensor([1.+2.0000j, 0.-1.5000j])"),
    ([[1, 2], [3, 4]], dtypes.int64, "tensor([[1, 2],\n        [3, 4]])"),
    (
        [[[1], [2]], [[3], [4]]],
        dtypes.uint8,
        "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]], dtype=torch.uint8)",
    ),
    (
        list(range(1001)),
        dtypes.int64,
        "tensor([   0,    1,    2,  ...,  998,  999, 1000])",
    ),
    (
        list(range(100, 122)),
        dtypes.int64,
        "tensor([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113,\n"
        "        114, 115, 116, 117, 118, 119, 120, 121])",
    ),
]


@pytest.mark.parametrize(("values", "dtype", "expected"), GOLDEN)
def test_golden(values: Any, dtype: DType, expected: str) -> None:
    assert format_tensor(np.array(values, dtype.numpy), dtype=dtype) == expected


def test_golden_bfloat16() -> None:
    data = bfloat16_from_float32(np.array([0.1, 2.0], np.float32))
    assert format_tensor(data, dtype=dtypes.bfloat16) == (
        "tensor([0.1001, 2.0000], dtype=torch.bfloat16)"
    )


def test_golden_matrix_with_gaps() -> None:
    data = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    assert format_tensor(data, dtype=dtypes.float32, device="cuda:0") == (
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
        "         9.9000e+01],\n"
        "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
        "         1.9900e+02],\n"
        "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
        "         2.9900e+02],\n"
        "        ...,\n"
        "        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,\n"
        "         9.7990e+03],\n"
        "        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,\n"
        "         9.8990e+03],\n"
        "        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,\n"
        "         9.9990e+03]], device='cuda:0')"
    )


def test_golden_suffixes() -> None:
    row = np.full((8,), 1.25, np.float32)
    assert format_tensor(row, dtype=dtypes.float32, grad_fn_name="AddBackward0") == (
        "tensor([1.2500, 1.2500, 1.2500, 1.2500, 1.2500, 1.2500, 1.2500, 1.2500],\n"
        "       grad_fn=<AddBackward0>)"
    )
    one = np.float32(1.5) * np.ones((), np.float32)
    text = format_tensor(
        np.asarray(one), dtype=dtypes.float32, requires_grad=True, is_parameter=True
    )
    assert text == "Parameter containing:\ntensor(1.5000, requires_grad=True)"


def test_options() -> None:
    assert printing.get_printoptions() == {
        "precision": 4,
        "threshold": 1000,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": None,
    }
    data = np.array([1.0 / 3.0, 2.0])
    with printing.printoptions(precision=2, sci_mode=True):
        text = format_tensor(data, dtype=dtypes.float64)
        assert text == "tensor([3.33e-01, 2.00e+00], dtype=torch.float64)"
    assert printing.get_printoptions()["precision"] == 4
    set_printoptions(sci_mode=True)
    set_printoptions(precision=3)
    assert printing.get_printoptions()["sci_mode"] is None
    set_printoptions(profile="full", linewidth=math.inf)
    text = format_tensor(np.arange(3000), dtype=dtypes.int64)
    assert "..." not in text
    assert "\n" not in text
    assert text.count(",") == 2999
    with pytest.raises(ValueError, match="unknown print profile 'long'"):
        set_printoptions(profile="long")


def test_format_refuses_a_spec_for_arrays() -> None:
    data = np.ones(2, np.float32)
    with pytest.raises(TypeError, match=r"unsupported format string passed to Tensor\.__format__"):
        format_with_spec(
            data, ".2f", dtype=dtypes.float32, class_name="Tensor", as_text=lambda: "x"
        )
    with pytest.raises(TypeError, match="Parameter"):
        format_with_spec(
            data[0], ".2f", dtype=dtypes.float32, class_name="Parameter", as_text=lambda: "x"
        )
    text = format_with_spec(
        data, "", dtype=dtypes.float32, class_name="Tensor", as_text=lambda: "tensor([1., 1.])"
    )
    assert text == "tensor([1., 1.])"
