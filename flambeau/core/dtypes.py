"""Element types: what PyTorch calls dtypes, with how NumPy and LLVM store them.

A `DType` is a singleton: identity is equality, so `is` and dictionaries keyed by dtype are cheap.
bfloat16 has no NumPy type; its arrays hold the raw bits as uint16, and the two functions at the
end convert.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class DType:
    """An element type; one instance per type, kept as the constants of this module.

    `kind` is "b" (bool), "i" (integers, signed or not), "f" or "c". `numpy` is the array type that
    stores it. `llvm` is the type of one element in memory; of one part (real or imaginary) for
    complex types. `scalar_name` is PyTorch's internal name, which its error messages use. `index`
    is the position in `ALL`.
    """

    __slots__ = (
        "index",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "kind",
        "llvm",
        "name",
        "numpy",
        "scalar_name",
    )

    def __init__(
        self,
        index: int,
        name: str,
        kind: str,
        signed: bool,
        numpy: str,
        llvm: str,
        scalar_name: str,
    ) -> None:
        self.index = index
        self.name = name
        self.kind = kind
        self.is_signed = signed
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.numpy: np.dtype[Any] = np.dtype(numpy)
        self.itemsize: int = self.numpy.itemsize
        self.llvm = llvm
        self.scalar_name = scalar_name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        # A string makes pickle and copy refer to this module's constant of that name.
        return "bool_" if self.kind == "b" else self.name

    def to_real(self) -> DType:
        """The type of the real part: float32 for complex64; any other type is its own."""
        if self.kind != "c":
            return self
        return float32 if self is complex64 else float64

    def to_complex(self) -> DType:
        """The complex type that holds this one; RuntimeError for integers and bool.

        NotImplementedError for float16, whose complex type (complex32) is not supported.
        """
        if self.kind == "c":
            return self
        if self is float32 or self is bfloat16:
            return complex64
        if self is float64:
            return complex128
        if self is float16:
            raise NotImplementedError("complex32 (the complex type of float16) is not supported")
        raise RuntimeError(f"Unknown Complex ScalarType for {self.scalar_name}")


bool_ = DType(0, "bool", "b", False, "bool", "i8", "Bool")
uint8 = DType(1, "uint8", "i", False, "uint8", "i8", "Byte")
int8 = DType(2, "int8", "i", True, "int8", "i8", "Char")
int16 = DType(3, "int16", "i", True, "int16", "i16", "Short")
int32 = DType(4, "int32", "i", True, "int32", "i32", "Int")
int64 = DType(5, "int64", "i", True, "int64", "i64", "Long")
float16 = DType(6, "float16", "f", True, "float16", "half", "Half")
bfloat16 = DType(7, "bfloat16", "f", True, "uint16", "bfloat", "BFloat16")
float32 = DType(8, "float32", "f", True, "float32", "float", "Float")
float64 = DType(9, "float64", "f", True, "float64", "double", "Double")
complex64 = DType(10, "complex64", "c", True, "complex64", "float", "ComplexFloat")
complex128 = DType(11, "complex128", "c", True, "complex128", "double", "ComplexDouble")
uint16 = DType(12, "uint16", "i", False, "uint16", "i16", "UInt16")
uint32 = DType(13, "uint32", "i", False, "uint32", "i32", "UInt32")
uint64 = DType(14, "uint64", "i", False, "uint64", "i64", "UInt64")

# Every dtype, in the order of `DType.index`.
ALL: tuple[DType, ...] = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
    uint16,
    uint32,
    uint64,
)

# Dtypes that are only named: programs ask whether a tensor has one. None can be made.
NAMED: dict[str, DType] = {
    name: DType(100 + place, name, kind, True, stored, "i8", scalar)
    for place, (name, kind, stored, scalar) in enumerate(
        (
            ("float8_e4m3fn", "f", "uint8", "Float8_e4m3fn"),
            ("float8_e4m3fnuz", "f", "uint8", "Float8_e4m3fnuz"),
            ("float8_e5m2", "f", "uint8", "Float8_e5m2"),
            ("float8_e5m2fnuz", "f", "uint8", "Float8_e5m2fnuz"),
            ("float8_e8m0fnu", "f", "uint8", "Float8_e8m0fnu"),
            ("float4_e2m1fn_x2", "f", "uint8", "Float4_e2m1fn_x2"),
            ("complex32", "c", "uint32", "ComplexHalf"),
        )
    )
}


def supported(dtype: DType) -> DType:
    """The dtype itself; NotImplementedError for one that is only named."""
    if dtype.index >= len(ALL):
        raise NotImplementedError(f"{dtype!r} is not supported: there are no tensors of it")
    return dtype


short = int16
int_ = int32
long = int64
half = float16
float_ = float32
double = float64
cfloat = complex64
cdouble = complex128

# Every public name a dtype has under PyTorch, aliases included.
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL} | {
    "short": int16,
    "int": int32,
    "long": int64,
    "half": float16,
    "float": float32,
    "double": float64,
    "cfloat": complex64,
    "cdouble": complex128,
}

# What a Python type stands for where PyTorch takes a dtype: `x.to(float)`, `zeros(2, dtype=int)`.
FROM_PYTHON: dict[type, DType] = {bool: bool_, int: int64, float: float64, complex: complex128}

_FROM_NUMPY: dict[np.dtype[Any], DType] = {d.numpy: d for d in ALL if d is not bfloat16}


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The dtype of a NumPy array type; TypeError, in PyTorch's words, where there is none."""
    found = _FROM_NUMPY.get(dtype)
    if found is not None:
        return found
    if not dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    raise TypeError(
        f"can't convert np.ndarray of type numpy.{dtype.type.__name__}. The only supported types "
        "are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
        "uint32, uint16, uint8, and bool."
    )


# What C++ calls them in PyTorch's messages, where that is not the name.
C_NAMES = {
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char",
    "uint8": "unsigned char", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip

_default_dtype = float32
DEFAULT_FOLLOWERS: list[Callable[[], None]] = []  # called when the default dtype is another one


def get_default_dtype() -> DType:
    """The dtype of tensors made from Python floats, and of integers divided."""
    return _default_dtype


def set_default_dtype(dtype: DType) -> None:
    """Sets the default floating point dtype, for all threads; TypeError for any other kind."""
    global _default_dtype
    if not isinstance(dtype, DType):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    if not dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    if dtype.name in NAMED:
        raise TypeError(f"couldn't find storage object {dtype.scalar_name}Storage")
    if dtype is not _default_dtype:
        _default_dtype = dtype
        for follow in DEFAULT_FOLLOWERS:
            follow()


def default_complex_dtype() -> DType:
    """The dtype of tensors made from Python complex numbers, and of real tensors meeting one."""
    return _default_dtype.to_complex()


class finfo:
    """Limits of a floating point dtype (of its real part, for a complex one).

    `bits`, `max`, `min`, `eps` (gap after 1), `tiny` = `smallest_normal`, `resolution` (10 to the
    minus of the decimal digits that survive) and `dtype` (a name). TypeError for integer types.
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    # Bits of the fraction, least exponent of a normal number, greatest exponent, decimal digits.
    _FORMATS: ClassVar[dict[DType, tuple[int, int, int, int]]] = {
        float16: (10, -14, 15, 3),
        bfloat16: (7, -126, 127, 2),
        float32: (23, -126, 127, 6),
        float64: (52, -1022, 1023, 15),
    }

    # Greatest number, gap after 1, least normal number: formats that leave codes out for NaN.
    _EIGHT_BITS: ClassVar[dict[str, tuple[float, float, float]]] = {
        "float8_e4m3fn": (448.0, 2.0**-3, 2.0**-6),
        "float8_e4m3fnuz": (240.0, 2.0**-3, 2.0**-7),
        "float8_e5m2": (57344.0, 2.0**-2, 2.0**-14),
        "float8_e5m2fnuz": (57344.0, 2.0**-3, 2.0**-15),
        "float8_e8m0fnu": (2.0**127, 1.0, 2.0**-127),
    }

    def __init__(self, type: DType | None = None) -> None:
        dtype = get_default_dtype() if type is None else type
        if not isinstance(dtype, DType):
            raise TypeError(_not_a_dtype("finfo", dtype))
        if dtype.kind in "bi":
            raise TypeError(
                "torch.finfo() requires a floating point input type. "
                "Use torch.iinfo to handle 'torch.finfo'"
            )
        if dtype.name in self._EIGHT_BITS:
            self.max, self.eps, self.tiny = self._EIGHT_BITS[dtype.name]
            self.smallest_normal, self.resolution = self.tiny, 1.0
            self.min = self.tiny if dtype.name == "float8_e8m0fnu" else -self.max
            self.dtype, self.bits = dtype.name, 8
            return
        dtype = supported(dtype).to_real()
        fraction, lowest, highest, digits = self._FORMATS[dtype]
        self.dtype = dtype.name
        self.bits = 8 * dtype.itemsize
        self.eps = 2.0**-fraction
        self.tiny = self.smallest_normal = 2.0**lowest
        self.max = (2.0 - self.eps) * 2.0**highest
        self.min = -self.max
        self.resolution = float(f"1e-{digits}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((finfo, self.dtype))


class iinfo:
    """Limits of an integer dtype: `bits`, `max`, `min`, `dtype` (a name); else TypeError."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: DType) -> None:
        if not isinstance(type, DType):
            raise TypeError(_not_a_dtype("iinfo", type))
        if type.kind in "fc":
            raise TypeError(
                "torch.iinfo() requires an integer input type. "
                "Use torch.finfo to handle 'torch.iinfo'"
            )
        if type.kind == "b":
            raise TypeError("torch.bool is not supported by torch.iinfo")
        self.dtype = type.name
        self.bits = 8 * type.itemsize
        self.max = (1 << (self.bits - type.is_signed)) - 1
        self.min = -self.max - 1 if type.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((iinfo, self.dtype))


def _not_a_dtype(function: str, given: object) -> str:
    kind = type(given).__name__
    return f"{function}(): argument 'type' (position 1) must be torch.dtype, not {kind}"


def bfloat16_from_float32(array: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """The bfloat16 bits of float32 values, rounded to nearest even; NaN stays NaN, and quiet."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).reshape(np.shape(array))
    # The sum carries into the exponent where it should, up to infinity; for NaN it may leave NaN.
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x0040)
    return np.asarray(np.where(is_nan, quiet, rounded), np.uint16)


def float32_from_bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 values of bfloat16 bits, exactly."""
    wide = np.left_shift(np.asarray(bits, np.uint16), 16, dtype=np.uint32)
    return np.asarray(wide, np.uint32).view(np.float32)


globals().update(NAMED)  # pickle looks for a constant of the name
