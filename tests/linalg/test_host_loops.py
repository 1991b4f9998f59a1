"""NumPy's inner loops give what its public functions give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flambeau.ops import host_loops

RNG = np.random.default_rng(5)
DTYPES = ["f", "d", "F", "D"]
SHAPES: list[tuple[int, ...]] = [(1, 1), (4, 4), (2, 5, 5), (3, 1, 2, 2), (0, 3, 3), (0, 0)]


def matrices(shape: tuple[int, ...], dtype: str) -> Any:
    x = RNG.standard_normal(shape)
    if dtype in "FD":
        x = x + 1j * RNG.standard_normal(shape)
    return x.astype(dtype)


@pytest.fixture(params=["loops", "public functions"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "loops":
        assert host_loops._linalg() is not None
        assert host_loops._pocketfft() is not None
    else:
        monkeypatch.setattr(host_loops, "_linalg", lambda: None)
        monkeypatch.setattr(host_loops, "_pocketfft", lambda: None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matrices(shape: tuple[int, ...], dtype: str, way: None) -> None:
    x = matrices(shape, dtype)
    b = matrices((*shape[:-1], 3), dtype)
    for found, wanted in (
        (host_loops.det(x), np.linalg.det(x)),
        (host_loops.solve(x, b), np.linalg.solve(x, b)),
        (host_loops.inverse(x), np.linalg.inv(x)),
    ):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    for rows in (x, b):
        if rows.size:
            wanted = np.linalg.svd(rows, compute_uv=False)
            np.testing.assert_array_equal(host_loops.singular_values(rows), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_singular_matrices(dtype: str, way: None) -> None:
    regular = np.eye(3, dtype=dtype)
    for x in (np.zeros((3, 3), dtype), np.stack([regular, regular * 0])):
        b = np.ones((*x.shape[:-2], 3, 2), dtype)
        with np.errstate(all="ignore"):
            assert (host_loops.det(x)[..., None] == np.linalg.det(x)[..., None]).all()
            with pytest.raises(np.linalg.LinAlgError):
                host_loops.solve(x, b)
            with pytest.raises(np.linalg.LinAlgError):
                host_loops.inverse(x)
    broken = regular.copy()
    broken[1, 1] = np.nan
    with np.errstate(all="ignore"), pytest.raises(np.linalg.LinAlgError):
        host_loops.singular_values(broken)


@pytest.mark.parametrize("dtype", ["f", "d"])
def test_transforms(dtype: str, way: None) -> None:
    for shape in [(1,), (8,), (3, 7), (2, 5, 6)]:
        x = matrices(shape, dtype)
        z = matrices(shape, dtype.upper())
        for axis in range(len(shape)):
            rtol, atol = (1e-4, 1e-4) if dtype == "f" else (1e-10, 1e-12)
            half = host_loops.half_fourier(x, axis)
            assert half.dtype == dtype.upper()
            np.testing.assert_allclose(half, np.fft.rfft(x, axis=axis), rtol, atol)
            for size in (2 * (shape[axis] - 1), 2 * shape[axis] - 1):
                if size > 0:
                    found = host_loops.full_fourier(z, size, axis)
                    wanted = np.fft.irfft(z, size, axis=axis) * size
                    assert (found.dtype, found.shape) == (np.dtype(dtype), wanted.shape)
                    np.testing.assert_allclose(found, wanted, rtol, atol)
        axes = tuple(range(len(shape)))
        for some in (axes, axes[:1], axes[-1:]):
            count = np.prod([shape[a] for a in some], dtype=int)
            found = host_loops.fourier(z, some, inverse=False)
            np.testing.assert_allclose(found, np.fft.fftn(z, axes=some), rtol=1e-3, atol=1e-4)
            found = host_loops.fourier(z, some, inverse=True)
            wanted = np.fft.ifftn(z, axes=some) * count
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
