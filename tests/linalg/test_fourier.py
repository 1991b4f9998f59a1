"""torch.fft, stft, complex numbers beside PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import given, same
from linalg_cases import Case, check, check_error, check_gradients, draw

import flambeau

pytestmark = pytest.mark.parity

KINDS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
REAL = ("rfft", "ihfft")


@pytest.mark.parametrize("norm", [None, "forward", "ortho"])
@pytest.mark.parametrize("name", KINDS)
def test_transforms(name: str, norm: Any) -> None:
    for dtype in ("float32", "float64", "complex64", "complex128"):
        if dtype.startswith("c") and name in REAL:
            continue
        x = draw(3, 4, 5, dtype=dtype)
        tolerance = 1e-10 if dtype in ("float64", "complex128") else 1e-5
        options: dict[str, Any]
        for options in ({}, {"n": 7}, {"n": 4, "dim": 0}, {"dim": 1}):
            check(lambda t, x: getattr(t.fft, name)(x, norm=norm, **options), x,
                  tolerance=tolerance)  # fmt: skip
        for suffix in ("2", "n"):
            for options in ({}, {"s": (3, 6)}, {"dim": (2, 0)}, {"s": (5, 2), "dim": (0, 1)}):
                check(lambda t, x: getattr(t.fft, name + suffix)(x, norm=norm, **options),
                      x, tolerance=tolerance)  # fmt: skip


@pytest.mark.parametrize("name", [k + s for k in KINDS for s in ("", "2", "n")])
def test_transforms_have_gradients(name: str) -> None:
    dtypes = ("float64",) if name.rstrip("2n") in REAL else ("float64", "complex128")
    for dtype in dtypes:
        x = draw(3, 4, 5, dtype=dtype)
        check_gradients(lambda t, x: getattr(t.fft, name)(x, norm="ortho").abs() ** 3, x)
        check_gradients(lambda t, x: getattr(t.fft, name)(x * x), x[:, :3, :4])


CASES: dict[str, tuple[Case, Any]] = {
    "fftshift": (lambda t, x: t.fft.fftshift(x), (3, 5)),
    "ifftshift": (lambda t, x: t.fft.ifftshift(x, dim=1), (3, 5)),
    "angle": (lambda t, x: t.angle(x), (3, 5)),
    "abs": (lambda t, x: x.abs(), (3, 5)),
    "sgn": (lambda t, x: t.sgn(x), (3, 5)),
    "conj": (lambda t, x: x.conj() * x[0], (3, 5)),
    "conj_physical": (lambda t, x: t.conj_physical(x), (3, 5)),
    "polar": (lambda t, x: t.polar(x.abs(), x.angle()), (3, 5)),
    "complex": (lambda t, x: t.complex(x.abs(), x.abs() * 2), (3, 5)),
    "var": (lambda t, x: x.var(1), (3, 5)), "std": (lambda t, x: t.std(x, 0), (3, 5)),
    "var_mean": (lambda t, x: t.var_mean(x), (3, 5)),
    "mean": (lambda t, x: x.mean(0), (3, 5)), "prod": (lambda t, x: x.prod(1), (3, 4)),
    "norm": (lambda t, x: t.linalg.vector_norm(x, 3), (3, 4)),
    "sigmoid": (lambda t, x: t.sigmoid(x), (3, 4)),
    "cumprod": (lambda t, x: x.cumprod(0), (4, 2)),
    "stft": (lambda t, x: t.stft(x, 8, 3, window=t.hann_window(8, dtype=x.abs().dtype),
                                 return_complex=True), (2, 40)),
    "stft plain": (lambda t, x: t.stft(x[0], 8, win_length=6, center=False, normalized=True,
                                       onesided=False, return_complex=True), (2, 40)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", CASES)
def test_complex_functions(name: str, dtype: str) -> None:
    case, shape = CASES[name]
    x = draw(*shape, dtype=dtype)
    check(case, x)
    # PyTorch has no second derivative of angle for real numbers: it is zero
    check_gradients(case, x, second=not (name in ("angle", "polar") and dtype == "float64"))


def test_istft_undoes_stft() -> None:
    def there_and_back(t: Any, x: Any, **options: Any) -> Any:
        window = t.hann_window(10, dtype=x.dtype)
        parts = t.stft(x, 16, 4, 10, window=window, return_complex=True)
        return t.istft(parts, 16, 4, 10, window=window, **options)

    x = draw(2, 64)
    check(there_and_back, x)
    check(lambda t, x: there_and_back(t, x, length=50), x)
    check_gradients(lambda t, x: there_and_back(t, x * x), x)
    ours = there_and_back(flambeau, given(flambeau, x))
    torch.testing.assert_close(torch.tensor(ours.tolist(), dtype=torch.float64), x)


def test_frequencies() -> None:
    for n in (1, 4, 5):
        for name in ("fftfreq", "rfftfreq"):
            for options in ({}, {"dtype": "float64"}):
                kinds = [{k: getattr(t, v) for k, v in options.items()} for t in (flambeau, torch)]
                same(getattr(flambeau.fft, name)(n, 0.5, **kinds[0]),
                     getattr(torch.fft, name)(n, 0.5, **kinds[1]))  # fmt: skip


def written(t: Any, x: Any) -> Any:
    """Writes through every view of a complex tensor's parts."""
    x.real.mul_(2)
    x.imag[0] = 7
    t.view_as_real(x)[1, 1] = 3.0
    x.real = x.imag
    pairs = t.view_as_real(x)
    t.view_as_complex(pairs)[2, 0] = 1 - 2j
    return x, x.real, x.imag, pairs, x.real.clone() + x.imag


def test_parts_are_views() -> None:
    check(written, draw(3, 4, dtype="complex64"))
    check(written, draw(4, 3, dtype="complex128").t())


def test_views_have_gradients() -> None:
    z, x = draw(3, 4, dtype="complex128"), draw(3, 4, 2)
    check_gradients(lambda t, z: t.view_as_real(z * z) ** 2, z)
    check_gradients(lambda t, z: z.real * z.imag, z)
    check_gradients(lambda t, x: t.view_as_complex(x) ** 2, x)


ERRORS: list[tuple[Case, Any]] = [
    (lambda t, x: t.fft.fft(x.half()), draw(3)),
    (lambda t, x: t.fft.fft(x, n=0), draw(3)),
    (lambda t, x: t.fft.fft(x, norm="x"), draw(3)),
    (lambda t, x: t.fft.fft(x, dim=3), draw(3)),
    (lambda t, x: t.fft.rfft(x), draw(3, dtype="complex64")),
    (lambda t, x: t.fft.irfft(x), draw(1)),
    (lambda t, x: t.fft.fftn(x, s=(2, 2)), draw(3)),
    (lambda t, x: t.fft.fftn(x, s=(2,), dim=(0, 1)), draw(3, 3)),
    (lambda t, x: t.fft.fftn(x, dim=(0, 0)), draw(3, 3)),
    (lambda t, x: t.complex(x, x.float()), draw(3)),
    (lambda t, x: t.polar(x.long(), x.long()), draw(3)),
    (lambda t, x: t.view_as_complex(x), draw(3, 3)),
    (lambda t, x: t.view_as_real(x), draw(3)),
    (lambda t, x: x.imag, draw(3)),
    (lambda t, x: t.stft(x, 4), draw(30)),
    (lambda t, x: t.istft(x, 4), draw(3, 3)),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors(place: int) -> None:
    check_error(*ERRORS[place])
