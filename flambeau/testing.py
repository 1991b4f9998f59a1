"""torch.testing: comparing values that rounding may have moved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.promotion import promote_types
from flambeau.functional.from_data import tensor
from flambeau.tensor.tensor import Tensor

__all__ = ["assert_allclose", "assert_close"]

# Relative and absolute, PyTorch's; other dtypes compare exactly.
TOLERANCES: dict[DType, tuple[float, float]] = {
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
    dtypes.complex64: (1.3e-6, 1e-5),
    dtypes.complex128: (1e-7, 1e-7),
}
# Those of `assert_allclose`.
WIDE_TOLERANCES: dict[DType, tuple[float, float]] = {
    dtypes.float16: (1e-3, 1e-3),
    dtypes.float32: (1e-4, 1e-5),
    dtypes.float64: (1e-5, 1e-8),
}
NUMBERS = (bool, int, float, complex)
Message = str | Callable[[str], str] | None


@dataclass(frozen=True)
class _Rules:
    """What counts as close."""

    rtol: float | None
    atol: float | None
    equal_nan: bool
    subclasses: bool
    device: bool
    dtype: bool
    layout: bool
    stride: bool
    message: Message

    def tolerances(self, first: DType, second: DType) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        known = [TOLERANCES.get(kind, (0.0, 0.0)) for kind in (first, second)]
        return max(r for r, _ in known), max(a for _, a in known)

    def fail(
        self, text: str, path: tuple[Any, ...], kind: type[Exception] = AssertionError
    ) -> NoReturn:
        if path:
            text += "\n\nThe failure occurred for item " + "".join(f"[{p!r}]" for p in path)
        if kind is AssertionError and self.message is not None:
            text = self.message if isinstance(self.message, str) else self.message(text)
        raise kind(text)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Asserts |actual - expected| <= atol + rtol * |expected|, through sequences and mappings.

    The tolerances follow from the dtypes unless both are given. AssertionError says where the
    values differ most; TypeError for values that cannot be compared.
    """
    if (rtol is None) != (atol is None):
        given, other = ("atol", "rtol") if rtol is None else ("rtol", "atol")
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or unspecified, but got no {other} "
            f"beside {given}."
        )
    rules = _Rules(
        rtol,
        atol,
        equal_nan,
        allow_subclasses,
        check_device,
        check_dtype,
        check_layout,
        check_stride,
        msg,
    )
    _compare(actual, expected, rules, ())


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Asserts that tensors, or what becomes such, are close, whatever their dtypes (deprecated).

    The tolerances are those of the dtype that has the wider ones, unless given.
    """
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    actual, expected = (
        value if isinstance(value, Tensor) else tensor(value) for value in (actual, expected)
    )
    if rtol is None and atol is None:
        known = [WIDE_TOLERANCES.get(value.dtype, (0.0, 0.0)) for value in (actual, expected)]
        rtol, atol = (max(pair) for pair in zip(*known))
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=False,
        msg=msg or None,
    )


def _compare(actual: Any, expected: Any, rules: _Rules, path: tuple[Any, ...]) -> None:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _compare_mappings(actual, expected, rules, path)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            rules.fail(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", path
            )
        for place, (first, second) in enumerate(zip(actual, expected)):
            _compare(first, second, rules, (*path, place))
    elif isinstance(actual, NUMBERS) and isinstance(expected, NUMBERS):
        if rules.dtype and type(actual) is not type(expected):
            kinds = f"{type(actual)} != {type(expected)}"
            rules.fail(f"The (d)types do not match: {kinds}.", path)
        dtype = {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float64}
        pair = [dtype.get(type(value), dtypes.complex128) for value in (actual, expected)]
        values = np.asarray(actual), np.asarray(expected)
        _compare_values(*values, rules.tolerances(pair[0], pair[1]), rules, path)
    elif actual is None and expected is None:
        return
    elif _like_tensor(actual) and _like_tensor(expected) and _comparable(actual, expected, rules):
        _compare_tensors(_as_tensor(actual), _as_tensor(expected), rules, path)
    else:
        rules.fail(
            "No comparison pair was able to handle inputs of type "
            f"{type(actual)} and {type(expected)}.",
            path,
            TypeError,
        )


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _like_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic))


def _comparable(actual: Any, expected: Any, rules: _Rules) -> bool:
    if type(actual) is type(expected):
        return True
    return rules.subclasses and isinstance(actual, Tensor) and isinstance(expected, Tensor)


def _as_tensor(value: Any) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else tensor(value)


def _compare_mappings(actual: Any, expected: Any, rules: _Rules, path: tuple[Any, ...]) -> None:
    missing = sorted(set(expected) - set(actual), key=repr)
    extra = sorted(set(actual) - set(expected), key=repr)
    if missing or extra:
        rules.fail(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {missing}\n"
            f"Additional keys in the actual mapping: {extra}",
            path,
        )
    for key in expected:
        _compare(actual[key], expected[key], rules, (*path, key))


def _compare_tensors(
    actual: Tensor, expected: Tensor, rules: _Rules, path: tuple[Any, ...]
) -> None:
    checks = [
        ("shape", True, actual.shape, expected.shape),
        ("layout", rules.layout, actual.layout, expected.layout),
        ("device", rules.device, actual.device, expected.device),
        ("dtype", rules.dtype, actual.dtype, expected.dtype),
        ("stride()", rules.stride, actual.stride(), expected.stride()),
    ]
    for name, checked, first, second in checks:
        if checked and first != second:
            rules.fail(
                f"The values for attribute '{name}' do not match: {first} != {second}.", path
            )
    tolerances = rules.tolerances(actual.dtype, expected.dtype)
    if actual.dtype is not expected.dtype:
        common = promote_types(actual.dtype, expected.dtype)
        actual, expected = actual.to(common), expected.to(common)
    _compare_values(actual._values(), expected._values(), tolerances, rules, path)


def _compare_values(
    actual: Any,
    expected: Any,
    tolerances: tuple[float, float],
    rules: _Rules,
    path: tuple[Any, ...],
) -> None:
    rtol, atol = tolerances
    if actual.dtype.kind == expected.dtype.kind == "b":
        first, second = actual.astype(np.int64), expected.astype(np.int64)
    elif actual.dtype.kind in "iub":
        first, second = actual, expected
    else:
        wide = np.complex128 if "c" in (actual.dtype.kind, expected.dtype.kind) else np.float64
        first, second = actual.astype(wide), expected.astype(wide)
    with np.errstate(all="ignore"):
        equal = first == second
        # Of integers the greater less the smaller: unsigned ones would wrap.
        integers = first.dtype.kind in "iu"
        away = (
            np.where(first > second, first - second, second - first)
            if integers
            else np.abs(first - second)
        )
        allowed = atol + rtol * np.abs(second)
        close = equal | (np.isfinite(away) & (away <= allowed))
        if rules.equal_nan and not integers:
            close = close | (np.isnan(first) & np.isnan(second))
        if close.all():
            return
        away = np.where(close, 0, away)
        relative = away / np.abs(second)
    relative = np.where(close, 0.0, relative)
    exact = rtol == 0 and atol == 0
    rules.fail(
        _difference(actual, expected, close, away, relative, None if exact else tolerances), path
    )


def _difference(
    actual: Any,
    expected: Any,
    close: Any,
    away: Any,
    relative: Any,
    tolerances: tuple[float, float] | None,
) -> str:
    """How many values differ, and where most."""
    word = "equal" if tolerances is None else "close"
    up_to = ["", ""]
    if tolerances is not None:
        up_to = [f" (up to {t} allowed)" for t in (tolerances[1], tolerances[0])]
    if not close.ndim:
        what = "Scalars"
        lines = [
            f"Expected {expected.item()} but got {actual.item()}.",
            f"Absolute difference: {away.item()}{up_to[0]}",
            f"Relative difference: {relative.item()}{up_to[1]}",
        ]
    else:
        what = "Tensor-likes"
        wrong = int((~close).sum())
        lines = [f"Mismatched elements: {wrong} / {close.size} ({100 * wrong / close.size:.1f}%)"]
        for name, values, bound in (
            ("absolute", away, up_to[0]),
            ("relative", relative, up_to[1]),
        ):
            place = np.unravel_index(int(np.argmax(values)), values.shape)
            index = tuple(int(p) for p in place)
            lines.append(f"Greatest {name} difference: {values[place]} at index {index}{bound}")
    return f"{what} are not {word}!\n\n" + "\n".join(lines)
