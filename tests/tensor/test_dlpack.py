"""DLPack: memory shared with NumPy and, where it is installed, PyTorch."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.tensor import dlpack
from flambeau.tensor.dlpack import from_dlpack, to_dlpack

EXCHANGED = [d for d in dtypes.ALL if d is not dtypes.bfloat16]


class Producer:
    """An array with the protocol, as a tensor has it."""

    def __init__(self, array: Any, dtype: DType) -> None:
        self.array = array
        self.dtype = dtype

    def __dlpack__(self, **wishes: Any) -> Any:
        return to_dlpack(self.array, dtype=self.dtype, **wishes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU


@pytest.mark.parametrize("dtype", EXCHANGED, ids=lambda d: d.name)
def test_to_and_from_torch(dtype: DType) -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(1).integers(0, 2, (3, 4)).astype(dtype.numpy).T
    theirs = torch.from_dlpack(Producer(array, dtype))
    assert str(theirs.dtype) == str(dtype)
    assert theirs.tolist() == array.tolist()
    theirs[0, 0] = 1
    theirs[0, 1] = 0
    assert array[0, 0] == 1
    assert array[0, 1] == 0
    back, kind = from_dlpack(theirs)
    assert kind is dtype
    assert back.strides == array.strides
    back[1, 1] = 1
    assert theirs[1, 1].item() == array[1, 1] == 1


def test_capsules_share_writable_memory() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(5.0)
    array, dtype = from_dlpack(torch.utils.dlpack.to_dlpack(tensor))
    assert dtype is dtypes.float32
    array[2] = 9
    assert tensor.tolist() == [0, 1, 9, 3, 4]
    del tensor
    gc.collect()
    assert array.tolist() == [0, 1, 9, 3, 4]
    taken = torch.utils.dlpack.from_dlpack(to_dlpack(array, dtype=dtype))
    assert taken.tolist() == array.tolist()


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_numpy_round_trip(version: tuple[int, int] | None) -> None:
    array = np.random.default_rng(2).standard_normal((4, 5))
    back, dtype = from_dlpack(to_dlpack(array, dtype=dtypes.float64, max_version=version))
    assert dtype is dtypes.float64
    assert np.shares_memory(back, array)
    back[0] = 0
    assert (array[0] == 0).all()
    copied, _ = from_dlpack(to_dlpack(array, dtype=dtypes.float64, copy=True))
    assert not np.shares_memory(copied, array)
    np.testing.assert_array_equal(copied, array)


def test_refusals() -> None:
    bits = np.zeros(3, np.uint16)
    with pytest.raises(NotImplementedError, match="bfloat16"):
        to_dlpack(bits, dtype=dtypes.bfloat16)
    with pytest.raises(BufferError, match="stream"):
        to_dlpack(bits, dtype=dtypes.uint16, stream=1)
    with pytest.raises(BufferError, match="device"):
        to_dlpack(bits, dtype=dtypes.uint16, dl_device=(2, 0))
    with pytest.raises(TypeError, match="int"):
        from_dlpack(3)


def test_refuses_bfloat16_from_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(3).bfloat16()
    for source in (tensor, torch.utils.dlpack.to_dlpack(tensor)):
        with pytest.raises(NotImplementedError, match="bfloat16 cannot be exchanged"):
            from_dlpack(source)
