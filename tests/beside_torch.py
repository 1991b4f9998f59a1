"""What the tests beside PyTorch share: one thing made in both libraries, and the two compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau

LIBRARIES = (flambeau, torch)
RTOL = {"float16": 1e-3, "bfloat16": 1.6e-2, "float32": 1.3e-6, "float64": 1e-7}
ATOL = {"float16": 1e-5, "bfloat16": 1e-5, "float32": 1e-5, "float64": 1e-7}


def is_tensor(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, flambeau.Tensor))


def dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def array(tensor: Any) -> Any:
    """A tensor of either library as a NumPy array (bfloat16 as float32)."""
    tensor = tensor.detach().cpu()
    if dtype_name(tensor) == "bfloat16":
        tensor = tensor.float()
    return tensor.numpy(force=True)


def given(library: Any, value: Any) -> Any:
    """The value with its tensors, in whatever containers, as tensors of `library`; copies."""
    if is_tensor(value):
        if dtype_name(value) == "bfloat16":
            return library.tensor(array(value)).bfloat16()
        made = library.tensor(array(value))
        return made.requires_grad_() if value.requires_grad else made
    if isinstance(value, Mapping):
        return {key: given(library, part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[given(library, part) for part in value])
    if isinstance(value, (list, tuple)):
        return type(value)([given(library, part) for part in value])
    return value


def same(
    mine: Any,
    other: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    of_largest: float = 0.0,
) -> None:
    """Asserts that a result of Flambeau is that of PyTorch: types, dtypes, shapes, values. A tensor
    may be off by a share `of_largest` of its numbers, too.
    """
    if isinstance(other, torch.Tensor):
        assert isinstance(mine, flambeau.Tensor), type(mine)
        name = dtype_name(other)
        assert dtype_name(mine) == name
        assert tuple(mine.shape) == tuple(other.shape)
        assert mine.requires_grad == other.requires_grad
        np.testing.assert_allclose(
            array(mine),
            array(other),
            rtol=RTOL.get(name, 0.0) if rtol is None else rtol,
            atol=max(
                ATOL.get(name, 0.0) if atol is None else atol,
                of_largest and of_largest * float(np.abs(array(other)).max(initial=0)),
            ),
        )
    elif isinstance(other, Mapping):
        assert list(mine) == list(other)
        for key, part in other.items():
            same(mine[key], part, rtol=rtol, atol=atol, of_largest=of_largest)
    elif isinstance(other, (list, tuple)):
        assert type(mine).__name__ == type(other).__name__
        assert len(mine) == len(other)
        for first, second in zip(mine, other):
            same(first, second, rtol=rtol, atol=atol, of_largest=of_largest)
    elif isinstance(other, torch.dtype):
        assert str(mine) == str(other)
    elif isinstance(other, (np.ndarray, np.generic)):
        np.testing.assert_array_equal(mine, other)
        assert mine.dtype == other.dtype
    elif isinstance(other, float):
        assert isinstance(mine, float)
        tolerance = {"rel": 1e-6 if rtol is None else rtol, "abs": atol, "nan_ok": True}
        assert mine == pytest.approx(other, **tolerance)
    else:
        assert type(mine).__name__ == type(other).__name__
        assert mine == other


def identical(mine: Any, other: Any) -> None:
    """`same` to the last bit."""
    same(mine, other, rtol=0.0, atol=0.0)


def built(kind: str, *args: Any, rtol: float = 0.0, atol: float = 0.0, **options: Any) -> list[Any]:
    """A layer of both libraries from one seed; asserts that their parameters are the same."""
    made = []
    for library in LIBRARIES:
        library.manual_seed(7)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.append(getattr(library.nn, kind)(*args, **options))
    mine, other = made
    assert repr(mine) == repr(other)
    same(dict(mine.state_dict()), dict(other.state_dict()), rtol=rtol, atol=atol)
    return made


def same_mistake(mine: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Asserts that both raise, the same exception with the same first line."""
    with pytest.raises(Exception) as expected:
        other()
    with pytest.raises(expected.type) as raised:
        mine()
    assert str(raised.value).split("\n")[0] == str(expected.value).split("\n")[0]
