# Written by tools/make_stubs.py; run it after a change of the functions named here.

from builtins import bool as _bool
from builtins import float as _float
from builtins import int as _int
from builtins import str as _str
from builtins import tuple as _tuple
from builtins import type as _type
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.functional.generators import Generator
from flambeau.functional.memory import TypedStorage, UntypedStorage
from flambeau.record.handle import Handle
from flambeau.tensor.tensor import Tensor

class TensorMethods(Handle):
    """The methods of Tensor that functional/binding.py binds."""

    @property
    def H(self) -> Tensor:
        """Tensor.H: the conjugate transpose of a matrix."""
    @property
    def T(self) -> Tensor:
        """Tensor.T: the view with the dimensions in reverse."""
    def __abs__(self) -> Tensor: ...
    def __add__(self, other: Any) -> Tensor: ...
    def __and__(self, other: Any) -> Tensor: ...
    def __delitem__(self, other: Any) -> Tensor: ...
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]  # not a bool
    def __floordiv__(self, other: Any) -> Tensor: ...
    def __ge__(self, other: Any) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __iadd__(self, other: Any) -> Tensor: ...
    def __iand__(self, other: Any) -> Tensor: ...
    def __ifloordiv__(self, other: Any) -> Tensor: ...
    def __ilshift__(self, other: Any) -> Tensor: ...
    def __imod__(self, other: Any) -> Tensor: ...
    def __imul__(self, other: Any) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __ior__(self, other: Any) -> Tensor: ...
    def __ipow__(self, other: Any) -> Tensor: ...
    def __irshift__(self, other: Any) -> Tensor: ...
    def __isub__(self, other: Any) -> Tensor: ...
    def __itruediv__(self, other: Any) -> Tensor: ...
    def __ixor__(self, other: Any) -> Tensor: ...
    def __le__(self, other: Any) -> Tensor: ...
    def __lshift__(self, other: Any) -> Tensor: ...
    def __lt__(self, other: Any) -> Tensor: ...
    def __matmul__(self, other: Any) -> Tensor: ...
    def __mod__(self, other: Any) -> Tensor: ...
    def __mul__(self, other: Any) -> Tensor: ...
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]  # not a bool
    def __neg__(self) -> Tensor: ...
    def __or__(self, other: Any) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __pow__(self, other: Any) -> Tensor: ...
    def __radd__(self, other: Any) -> Tensor: ...
    def __rand__(self, other: Any) -> Tensor: ...
    def __reversed__(self, other: Any) -> Tensor: ...
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __rlshift__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __rmul__(self, other: Any) -> Tensor: ...
    def __ror__(self, other: Any) -> Tensor: ...
    def __rpow__(self, other: Any) -> Tensor: ...
    def __rrshift__(self, other: Any) -> Tensor: ...
    def __rshift__(self, other: Any) -> Tensor: ...
    def __rsub__(self, other: Any) -> Tensor: ...
    def __rtruediv__(self, other: Any) -> Tensor: ...
    def __rxor__(self, other: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __sub__(self, other: Any) -> Tensor: ...
    def __truediv__(self, other: Any) -> Tensor: ...
    def __xor__(self, other: Any) -> Tensor: ...
    @property
    def _has_symbolic_sizes_strides(self) -> Any:
        """False: sizes are numbers."""
    def _indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def _is_view(self) -> _bool:
        """Whether the tensor was made as a view of another one's history."""
    def _is_zerotensor(self, *args: Any) -> _bool:
        """False: tensors here are in plain memory of this process."""
    def _typed_storage(self) -> TypedStorage:
        """The tensor's storage, as elements of its dtype (deprecated in PyTorch)."""
    def abs(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise abs of `input` (a new tensor of its shape)."""
    def abs_(self) -> Tensor:
        """abs in place."""
    def absolute(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise abs of `input` (a new tensor of its shape)."""
    def absolute_(self) -> Tensor:
        """abs in place."""
    def acos(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise acos of `input` (a new tensor of its shape)."""
    def acos_(self) -> Tensor:
        """acos in place."""
    def acosh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise acosh of `input` (a new tensor of its shape)."""
    def acosh_(self) -> Tensor:
        """acosh in place."""
    def add(self, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
        """input + alpha * other, broadcast and promoted. (`old`: add(input, alpha, other).)"""
    def add_(self, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
        """self += alpha * other. (`old`: add_(alpha, other).)"""
    def addbmm(self, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""
    def addbmm_(self, *operands: Any, **named: Any) -> Tensor:
        """addbmm in place."""
    def addcdiv(
        self, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1, out: Tensor | None = None
    ) -> Tensor:
        """input + value * tensor1 / tensor2 (the factor may come second)."""
    def addcdiv_(self, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1) -> Tensor:
        """addcdiv in place."""
    def addcmul(
        self, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1, out: Tensor | None = None
    ) -> Tensor:
        """input + value * tensor1 * tensor2 (the factor may come second)."""
    def addcmul_(self, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1) -> Tensor:
        """addcmul in place."""
    def addmm(self, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        """beta * input + alpha * (product of `mat1` and `mat2`); beta 0 ignores the input."""
    def addmm_(self, *operands: Any, **named: Any) -> Tensor:
        """addmm in place."""
    def addmv(self, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        """beta * input + alpha * (product of `mat` and `vec`); beta 0 ignores the input."""
    def addmv_(self, *operands: Any, **named: Any) -> Tensor:
        """addmv in place."""
    def addr(self, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        """beta * input + alpha * (product of `vec1` and `vec2`); beta 0 ignores the input."""
    def addr_(self, *operands: Any, **named: Any) -> Tensor:
        """addr in place."""
    def adjoint(self) -> Tensor:
        """The conjugate with the last two dimensions swapped."""
    def all(self, dim: Any = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Whether every element over `dim` is true (uint8 stays uint8)."""
    def allclose(
        self, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False
    ) -> _bool:
        """Whether all elements are close (see `isclose`)."""
    def amax(self, dim: Any = (), keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """The largest element over `dim`; ties share the gradient."""
    def amin(self, dim: Any = (), keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """The smallest element over `dim`; ties share the gradient."""
    def aminmax(self, *, dim: Any = None, keepdim: _bool = False, out: Any = None) -> Any:
        """(min, max) over one axis or all."""
    def angle(self, *, out: Tensor | None = None) -> Tensor:
        """The angles in radians, in (-pi, pi]; 0 or pi for real numbers."""
    def any(self, dim: Any = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Whether some element over `dim` is true (uint8 stays uint8)."""
    def apply_(self, callable: Callable[[Any], Any]) -> Tensor:
        """Every element replaced by a Python function of it, in place. Slow."""
    def arccos(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise acos of `input` (a new tensor of its shape)."""
    def arccos_(self) -> Tensor:
        """acos in place."""
    def arccosh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise acosh of `input` (a new tensor of its shape)."""
    def arccosh_(self) -> Tensor:
        """acosh in place."""
    def arcsin(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise asin of `input` (a new tensor of its shape)."""
    def arcsin_(self) -> Tensor:
        """asin in place."""
    def arcsinh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise asinh of `input` (a new tensor of its shape)."""
    def arcsinh_(self) -> Tensor:
        """asinh in place."""
    def arctan(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atan of `input` (a new tensor of its shape)."""
    def arctan2(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atan2 of `input` and `other`, broadcast and promoted."""
    def arctan2_(self, other: Any) -> Tensor:
        """atan2 in place: `other` must broadcast to this tensor's shape."""
    def arctan_(self) -> Tensor:
        """atan in place."""
    def arctanh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atanh of `input` (a new tensor of its shape)."""
    def arctanh_(self) -> Tensor:
        """atanh in place."""
    def argmax(
        self, dim: Any = None, keepdim: _bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """The index of the largest element (of the flattened tensor without a dim), as int64."""
    def argmin(
        self, dim: Any = None, keepdim: _bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """The index of the smallest element (of the flattened tensor without a dim), as int64."""
    def argsort(
        self,
        dim: _int = -1,
        descending: _bool = False,
        stable: _bool = False,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """The indices that sort along `dim` (always stable)."""
    def argwhere(self) -> Tensor:
        """nonzero."""
    def as_strided(self, size: Any, stride: Any, storage_offset: _int | None = None) -> Tensor:
        """A view with any shape, strides and storage offset, in elements."""
    def as_strided_(self, size: Any, stride: Any, storage_offset: _int | None = None) -> Tensor:
        """as_strided of the tensor itself."""
    def as_strided_scatter(
        self, src: Tensor, size: Any, stride: Any, storage_offset: _int | None = None
    ) -> Tensor:
        """A copy with src in place of input.as_strided(size, stride, storage_offset)."""
    def as_subclass(self, cls: _type) -> Any:
        """The same data as an instance of a subclass of Tensor."""
    def asin(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise asin of `input` (a new tensor of its shape)."""
    def asin_(self) -> Tensor:
        """asin in place."""
    def asinh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise asinh of `input` (a new tensor of its shape)."""
    def asinh_(self) -> Tensor:
        """asinh in place."""
    def atan(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atan of `input` (a new tensor of its shape)."""
    def atan2(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atan2 of `input` and `other`, broadcast and promoted."""
    def atan2_(self, other: Any) -> Tensor:
        """atan2 in place: `other` must broadcast to this tensor's shape."""
    def atan_(self) -> Tensor:
        """atan in place."""
    def atanh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise atanh of `input` (a new tensor of its shape)."""
    def atanh_(self) -> Tensor:
        """atanh in place."""
    def baddbmm(self, *operands: Any, out: Tensor | None = None, **named: Any) -> Tensor:
        """beta * input + alpha * (product of `batch1` and `batch2`); beta 0 ignores the input."""
    def baddbmm_(self, *operands: Any, **named: Any) -> Tensor:
        """baddbmm in place."""
    def bernoulli(
        self, p: Any = None, *, generator: Generator | None = None, out: Tensor | None = None
    ) -> Tensor:
        """Ones with the probabilities that `input` holds, zeros elsewhere."""
    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Fills with ones of probability p (a number, or a tensor of probabilities) and zeros."""
    def bfloat16(self, memory_format: Any = None) -> Tensor:
        """The tensor as bfloat16."""
    def bincount(self, weights: Tensor | None = None, minlength: _int = 0) -> Tensor:
        """How often each of 0, 1, .. occurs in a 1-d tensor (or the sum of its weights)."""
    def bitwise_and(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_and of `input` and `other`, broadcast and promoted."""
    def bitwise_and_(self, other: Any) -> Tensor:
        """bitwise_and in place: `other` must broadcast to this tensor's shape."""
    def bitwise_left_shift(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_left_shift of `input` and `other`, broadcast and promoted."""
    def bitwise_left_shift_(self, other: Any) -> Tensor:
        """bitwise_left_shift in place: `other` must broadcast to this tensor's shape."""
    def bitwise_not(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_not of `input` (a new tensor of its shape)."""
    def bitwise_not_(self) -> Tensor:
        """bitwise_not in place."""
    def bitwise_or(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_or of `input` and `other`, broadcast and promoted."""
    def bitwise_or_(self, other: Any) -> Tensor:
        """bitwise_or in place: `other` must broadcast to this tensor's shape."""
    def bitwise_right_shift(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_right_shift of `input` and `other`, broadcast and promoted."""
    def bitwise_right_shift_(self, other: Any) -> Tensor:
        """bitwise_right_shift in place: `other` must broadcast to this tensor's shape."""
    def bitwise_xor(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise bitwise_xor of `input` and `other`, broadcast and promoted."""
    def bitwise_xor_(self, other: Any) -> Tensor:
        """bitwise_xor in place: `other` must broadcast to this tensor's shape."""
    def bmm(self, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Products of the matrices of two batches [b, n, m] and [b, m, p]."""
    def bool(self, memory_format: Any = None) -> Tensor:
        """The tensor as bool."""
    def broadcast_to(self, size: Any) -> Tensor:
        """`input` broadcast to a shape, as a view."""
    def byte(self, memory_format: Any = None) -> Tensor:
        """The tensor as uint8."""
    def cauchy_(self, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        """Fills with numbers of the cauchy distribution (median, sigma)."""
    def ccol_indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def cdouble(self, memory_format: Any = None) -> Tensor:
        """The tensor as complex128."""
    def ceil(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ceil of `input` (a new tensor of its shape)."""
    def ceil_(self) -> Tensor:
        """ceil in place."""
    def cfloat(self, memory_format: Any = None) -> Tensor:
        """The tensor as complex64."""
    def chalf(self, memory_format: Any = None) -> Tensor:
        """Refused: there is no complex dtype of half precision."""
    def char(self, memory_format: Any = None) -> Tensor:
        """The tensor as int8."""
    def cholesky(self, upper: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """L with L L^H = input, or the upper U with U^H U = input; LinAlgError if there is none."""
    def cholesky_inverse(self, upper: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """The inverse of a matrix from its Cholesky factor."""
    def cholesky_solve(
        self, L: Tensor, upper: _bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """X of A X = input from A's Cholesky factor."""
    def chunk(self, chunks: _int, dim: _int = 0) -> _tuple[Tensor, ...]:
        """At most `chunks` views of consecutive parts of equal size (the last may be smaller)."""
    def clamp(self, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
        """Elements limited to [min, max]; either bound may be None."""
    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        """Limits elements to [min, max] in place."""
    def clamp_max(self, max: Any, *, out: Tensor | None = None) -> Tensor:
        """Elements not above max."""
    def clamp_max_(self, max: Any) -> Tensor:
        """Lowers elements above max to it, in place."""
    def clamp_min(self, min: Any, *, out: Tensor | None = None) -> Tensor:
        """Elements not below min."""
    def clamp_min_(self, min: Any) -> Tensor:
        """Raises elements below min to it, in place."""
    def clip(self, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
        """Elements limited to [min, max]; either bound may be None."""
    def clip_(self, min: Any = None, max: Any = None) -> Tensor:
        """Limits elements to [min, max] in place."""
    def clone(self, *, memory_format: Any = ...) -> Tensor:
        """A copy with its own memory; gradients flow through."""
    def coalesce(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def col_indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def conj(self) -> Tensor:
        """The complex conjugate (a copy); a real tensor itself."""
    def conj_physical(self, *, out: Tensor | None = None) -> Tensor:
        """The complex conjugate as a new tensor; a real tensor itself."""
    def conj_physical_(self) -> Tensor:
        """The complex conjugate in place."""
    def const_data_ptr(self) -> _int:
        """The address of the first element."""
    def contiguous(self, memory_format: Any = ...) -> Tensor:
        """Itself when it lies contiguously in memory, else a copy that does."""
    def copy_(self, other: Any, non_blocking: _bool = False) -> Tensor:
        """Overwrites this tensor with other (a tensor or a number), broadcast and converted."""
    def copysign(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise copysign of `input` and `other`, broadcast and promoted."""
    def copysign_(self, other: Any) -> Tensor:
        """copysign in place: `other` must broadcast to this tensor's shape."""
    def corrcoef(self) -> Tensor:
        """The correlation coefficients of the variables in the rows of `input`, within [-1, 1]."""
    def cos(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise cos of `input` (a new tensor of its shape)."""
    def cos_(self) -> Tensor:
        """cos in place."""
    def cosh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise cosh of `input` (a new tensor of its shape)."""
    def cosh_(self) -> Tensor:
        """cosh in place."""
    def count_nonzero(self, dim: Any = None) -> Tensor:
        """How many elements along `dim` are not zero, as int64."""
    def cov(
        self,
        *,
        correction: _int = 1,
        fweights: Tensor | None = None,
        aweights: Tensor | None = None,
    ) -> Tensor:
        """The covariance matrix of the variables in the rows of `input`, observations in
        columns."""
    def cpu(self, memory_format: Any = None) -> Tensor:
        """The tensor on the CPU (itself, but for another memory format)."""
    def cross(self, other: Tensor, dim: _int | None = None, *, out: Tensor | None = None) -> Tensor:
        """The vector product along `dim` (the first axis of extent 3 unless told)."""
    def crow_indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def cuda(
        self, device: Any = None, non_blocking: _bool = False, memory_format: Any = None
    ) -> Tensor:
        """The tensor on a GPU."""
    def cummax(self, dim: _int, *, out: Any = None) -> Any:
        """(running maxima along `dim`, their indices); of equal elements the last counts."""
    def cummin(self, dim: _int, *, out: Any = None) -> Any:
        """(running minima along `dim`, their indices); of equal elements the last counts."""
    def cumprod(self, dim: _int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
        """Running products along `dim`; integers and bool give int64."""
    def cumprod_(self, dim: _int, *, dtype: Any = None) -> Tensor:
        """cumprod in place."""
    def cumsum(self, dim: _int, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
        """Running sums along `dim`; integers and bool give int64."""
    def cumsum_(self, dim: _int, *, dtype: Any = None) -> Tensor:
        """cumsum in place."""
    def deg2rad(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise deg2rad of `input` (a new tensor of its shape)."""
    def deg2rad_(self) -> Tensor:
        """deg2rad in place."""
    def dense_dim(self) -> _int:
        """Number of dimensions that are stored densely: all of them."""
    def dequantize(self, *args: Any, **options: Any) -> Tensor:
        """The tensor itself: it is strided and holds plain numbers already."""
    def det(self) -> Tensor:
        """The determinants of square matrices."""
    def diag(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """A matrix with the vector on its diagonal, or a matrix's diagonal (a copy)."""
    def diag_embed(self, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor:
        """Square matrices (dim1, dim2 of the result) with the last dimension as their diagonal."""
    def diagflat(self, offset: _int = 0) -> Tensor:
        """A matrix with all elements on its diagonal."""
    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """The view of a diagonal of two dimensions, as the last dimension."""
    def diagonal_scatter(
        self, src: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1
    ) -> Tensor:
        """A copy with src in place of input.diagonal(offset, dim1, dim2)."""
    def diff(
        self,
        n: _int = 1,
        dim: _int = -1,
        prepend: Tensor | None = None,
        append: Tensor | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """The n-th differences of neighbours along `dim` (of bool: where they differ)."""
    def digamma(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise digamma of `input` (a new tensor of its shape)."""
    def digamma_(self) -> Tensor:
        """digamma in place."""
    def dim_order(self, *, ambiguity_check: Any = False) -> _tuple[_int, ...]:
        """The dimensions from the one with the greatest stride to the one with the least."""
    def dist(self, other: Tensor, p: Any = 2) -> Tensor:
        """The p-norm of input - other."""
    def div(
        self, other: Any, *, rounding_mode: _str | None = None, out: Tensor | None = None
    ) -> Tensor:
        """input / other; integers divide to floats unless rounding_mode is 'trunc' or 'floor'."""
    def div_(self, other: Any, *, rounding_mode: _str | None = None) -> Tensor:
        """self /= other."""
    def divide(
        self, other: Any, *, rounding_mode: _str | None = None, out: Tensor | None = None
    ) -> Tensor:
        """input / other; integers divide to floats unless rounding_mode is 'trunc' or 'floor'."""
    def divide_(self, other: Any, *, rounding_mode: _str | None = None) -> Tensor:
        """self /= other."""
    def dot(self, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The inner product of two vectors."""
    def double(self, memory_format: Any = None) -> Tensor:
        """The tensor as float64."""
    def dsplit(self, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
        """Parts along one dimension: so many equal ones, or cut at indices (views)."""
    def eig(self, *args: Any, **options: Any) -> Any:
        """Removed from PyTorch: use torch.linalg.eig."""
    def eq(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise eq of `input` and `other`, broadcast and promoted."""
    def eq_(self, other: Any) -> Tensor:
        """eq in place: `other` must broadcast to this tensor's shape."""
    def equal(self, other: Tensor) -> _bool:
        """Whether two tensors have the same shape and elements."""
    def erf(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise erf of `input` (a new tensor of its shape)."""
    def erf_(self) -> Tensor:
        """erf in place."""
    def erfc(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise erfc of `input` (a new tensor of its shape)."""
    def erfc_(self) -> Tensor:
        """erfc in place."""
    def erfinv(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise erfinv of `input` (a new tensor of its shape)."""
    def erfinv_(self) -> Tensor:
        """erfinv in place."""
    def exp(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise exp of `input` (a new tensor of its shape)."""
    def exp2(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise exp2 of `input` (a new tensor of its shape)."""
    def exp2_(self) -> Tensor:
        """exp2 in place."""
    def exp_(self) -> Tensor:
        """exp in place."""
    def expand(self, *sizes: Any, size: Any = None, implicit: _bool = False) -> Tensor:
        """A view with dimensions of extent 1 repeated (stride 0); -1 keeps an extent."""
    def expand_as(self, other: Tensor) -> Tensor:
        """self.expand(other.size())."""
    def expm1(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise expm1 of `input` (a new tensor of its shape)."""
    def expm1_(self) -> Tensor:
        """expm1 in place."""
    def exponential_(self, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        """Fills with numbers of the exponential distribution (lambd)."""
    def fill_(self, value: Any) -> Tensor:
        """Overwrites this tensor with a number or a 0-d tensor."""
    def fill_diagonal_(self, fill_value: Any, wrap: _bool = False) -> Tensor:
        """Overwrites the main diagonal with a number; `wrap` starts again below in tall
        matrices."""
    def fix(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise trunc of `input` (a new tensor of its shape)."""
    def fix_(self) -> Tensor:
        """trunc in place."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """Dimensions start_dim .. end_dim as one; a view where strides allow."""
    def flip(self, *axes_: Any, dims: Any = None) -> Tensor:
        """The elements in reverse order along dimensions `dims` (a tuple, or several numbers)."""
    def fliplr(self) -> Tensor:
        """The columns in reverse order."""
    def flipud(self) -> Tensor:
        """The rows in reverse order."""
    def float(self, memory_format: Any = None) -> Tensor:
        """The tensor as float32."""
    def float_power(self, exponent: Any, *, out: Tensor | None = None) -> Tensor:
        """input ** exponent, computed in float64 (complex128)."""
    def float_power_(self, exponent: Any) -> Tensor:
        """float_power in place: the tensor must hold float64 or complex128."""
    def floor(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise floor of `input` (a new tensor of its shape)."""
    def floor_(self) -> Tensor:
        """floor in place."""
    def floor_divide(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise floor_divide of `input` and `other`, broadcast and promoted."""
    def floor_divide_(self, other: Any) -> Tensor:
        """floor_divide in place: `other` must broadcast to this tensor's shape."""
    def fmax(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise fmax of `input` and `other`, broadcast and promoted."""
    def fmin(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise fmin of `input` and `other`, broadcast and promoted."""
    def fmod(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise fmod of `input` and `other`, broadcast and promoted."""
    def fmod_(self, other: Any) -> Tensor:
        """fmod in place: `other` must broadcast to this tensor's shape."""
    def frac(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise frac of `input` (a new tensor of its shape)."""
    def frac_(self) -> Tensor:
        """frac in place."""
    def frexp(self, *, out: Any = None) -> Any:
        """(mantissa, exponent): x = mantissa 2^exponent with 0.5 <= |mantissa| < 1."""
    def gather(
        self, dim: _int, index: Tensor, *, sparse_grad: _bool = False, out: Tensor | None = None
    ) -> Tensor:
        """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    def gcd(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise gcd of `input` and `other`, broadcast and promoted."""
    def gcd_(self, other: Any) -> Tensor:
        """gcd in place: `other` must broadcast to this tensor's shape."""
    def ge(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ge of `input` and `other`, broadcast and promoted."""
    def ge_(self, other: Any) -> Tensor:
        """ge in place: `other` must broadcast to this tensor's shape."""
    def geometric_(self, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        """Fills with numbers of the geometric distribution (p)."""
    def geqrf(self, *, out: Any = None) -> Any:
        """(a, tau): R and the reflectors of Q in one matrix, as LAPACK packs them."""
    def ger(self, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """All products of an element of one vector with one of another: [n, m]."""
    @property
    def grad_dtype(self) -> Any:
        """The dtype of its gradient; None for what is no leaf."""
    def greater(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise gt of `input` and `other`, broadcast and promoted."""
    def greater_(self, other: Any) -> Tensor:
        """gt in place: `other` must broadcast to this tensor's shape."""
    def greater_equal(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ge of `input` and `other`, broadcast and promoted."""
    def greater_equal_(self, other: Any) -> Tensor:
        """ge in place: `other` must broadcast to this tensor's shape."""
    def gt(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise gt of `input` and `other`, broadcast and promoted."""
    def gt_(self, other: Any) -> Tensor:
        """gt in place: `other` must broadcast to this tensor's shape."""
    def half(self, memory_format: Any = None) -> Tensor:
        """The tensor as float16."""
    def hardshrink(self, lambd: _float = 0.5, *, out: Tensor | None = None) -> Tensor:
        """x, or 0 where |x| <= lambd."""
    def hash_tensor(self, *args: Any, **options: Any) -> Any:
        """Refused: hash_tensor is not supported."""
    def heaviside(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise heaviside of `input` and `other`, broadcast and promoted."""
    def heaviside_(self, other: Any) -> Tensor:
        """heaviside in place: `other` must broadcast to this tensor's shape."""
    def histc(
        self, bins: _int = 100, min: Any = 0, max: Any = 0, *, out: Tensor | None = None
    ) -> Tensor:
        """Counts in `bins` equal intervals of [min, max] (of the data's range if both are 0)."""
    def histogram(
        self,
        bins: Any,
        *,
        range: Sequence[_float] | None = None,
        weight: Tensor | None = None,
        density: _bool = False,
        out: Any = None,
    ) -> Any:
        """(counts, edges) of all elements; `bins` is a number of equal bins or a vector of
        edges."""
    def hsplit(self, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
        """Parts along one dimension: so many equal ones, or cut at indices (views)."""
    def hypot(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise hypot of `input` and `other`, broadcast and promoted."""
    def hypot_(self, other: Any) -> Tensor:
        """hypot in place: `other` must broadcast to this tensor's shape."""
    def i0(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise i0 of `input` (a new tensor of its shape)."""
    def i0_(self) -> Tensor:
        """i0 in place."""
    def igamma(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise igamma of `input` and `other`, broadcast and promoted."""
    def igamma_(self, other: Any) -> Tensor:
        """igamma in place: `other` must broadcast to this tensor's shape."""
    def igammac(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise igammac of `input` and `other`, broadcast and promoted."""
    def igammac_(self, other: Any) -> Tensor:
        """igammac in place: `other` must broadcast to this tensor's shape."""
    @property
    def imag(self) -> Tensor:
        """The imaginary parts of a complex tensor, as a view."""
    def index(self, *args: Any, **options: Any) -> Any:
        """Refused: first-class dimensions are not supported."""
    def index_add(
        self, dim: _int, index: Tensor, source: Tensor, *, alpha: Any = 1, out: Tensor | None = None
    ) -> Tensor:
        """A copy with alpha * source's slices added to those at `index` of a dimension."""
    def index_add_(self, dim: _int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        """index_add in place."""
    def index_copy(
        self, dim: _int, index: Tensor, source: Tensor, *, out: Tensor | None = None
    ) -> Tensor:
        """A copy with source's slices in place of those at `index` of a dimension."""
    def index_copy_(self, dim: _int, index: Tensor, source: Tensor) -> Tensor:
        """index_copy in place."""
    def index_fill(self, dim: _int, index: Tensor, value: Any) -> Tensor:
        """A copy with a number (or 0-d tensor) in the slices at `index` of a dimension."""
    def index_fill_(self, dim: _int, index: Tensor, value: Any) -> Tensor:
        """index_fill in place."""
    def index_put(self, indices: Any, values: Tensor, accumulate: _bool = False) -> Tensor:
        """A copy with values written (or added) at input[indices]; None: a whole dimension."""
    def index_put_(self, indices: Any, values: Tensor, accumulate: _bool = False) -> Tensor:
        """index_put in place."""
    def index_reduce(
        self,
        dim: _int,
        index: Tensor,
        source: Tensor,
        reduce: _str,
        *,
        include_self: _bool = True,
        out: Tensor | None = None,
    ) -> Tensor:
        """A copy with source's slices folded into those at `index` of a dimension."""
    def index_reduce_(
        self, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True
    ) -> Tensor:
        """index_reduce in place."""
    def index_select(self, dim: _int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The slices at `index` (a vector, no negative entries) of a dimension."""
    def indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def inner(self, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Sums of products over the last axes of both."""
    def int(self, memory_format: Any = None) -> Tensor:
        """The tensor as int32."""
    def int_repr(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def inverse(self, *, out: Tensor | None = None) -> Tensor:
        """The inverse of square matrices; LinAlgError where one is singular."""
    def ipu(self, *args: Any, **options: Any) -> Any:
        """RuntimeError: there is no support for ipu devices."""
    def is_coalesced(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def is_conj(self) -> _bool:
        """False: conjugation is never lazy."""
    def is_distributed(self, *args: Any) -> _bool:
        """False: tensors here are in plain memory of this process."""
    def is_inference(self, *args: Any) -> _bool:
        """False: tensors here are in plain memory of this process."""
    @property
    def is_ipu(self) -> Any:
        """Whether it is on such a device: False."""
    @property
    def is_maia(self) -> Any:
        """Whether it is on such a device: False."""
    @property
    def is_mtia(self) -> Any:
        """Whether it is on such a device: False."""
    def is_neg(self) -> _bool:
        """False: negation is never lazy."""
    def is_nonzero(self) -> _bool:
        """Whether the only element is not zero."""
    def is_pinned(self, *args: Any) -> _bool:
        """False: tensors here are in plain memory of this process."""
    def is_same_size(self, other: Tensor) -> _bool:
        """Whether both have the same shape."""
    def is_set_to(self, tensor: Tensor) -> _bool:
        """Whether both show the same elements of one storage in the same layout."""
    def is_shared(self) -> _bool:
        """Whether its storage is in memory shared with other processes."""
    @property
    def is_sparse_csr(self) -> Any:
        """Whether it is a sparse tensor of compressed rows."""
    @property
    def is_vulkan(self) -> Any:
        """Whether it is on such a device: False."""
    @property
    def is_xla(self) -> Any:
        """Whether it is on such a device: False."""
    @property
    def is_xpu(self) -> Any:
        """Whether it is on such a device: False."""
    def isclose(
        self, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False
    ) -> Tensor:
        """Where |input - other| <= atol + rtol |other|."""
    def isfinite(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isfinite of `input` (a new tensor of its shape)."""
    def isinf(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isinf of `input` (a new tensor of its shape)."""
    def isnan(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isnan of `input` (a new tensor of its shape)."""
    def isneginf(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isneginf of `input` (a new tensor of its shape)."""
    def isposinf(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isposinf of `input` (a new tensor of its shape)."""
    def isreal(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise isreal of `input` (a new tensor of its shape)."""
    def istft(
        self,
        n_fft: _int,
        hop_length: _int | None = None,
        win_length: _int | None = None,
        window: Tensor | None = None,
        center: _bool = True,
        normalized: _bool = False,
        onesided: _bool | None = None,
        length: _int | None = None,
        return_complex: _bool = False,
    ) -> Tensor:
        """The signal of which `stft` gave the transforms, by weighted overlap-add."""
    def kron(self, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The Kronecker product."""
    def kthvalue(self, k: _int, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> Any:
        """(value, index) of the k-th smallest along `dim`, k counted from 1."""
    def lcm(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise lcm of `input` and `other`, broadcast and promoted."""
    def lcm_(self, other: Any) -> Tensor:
        """lcm in place: `other` must broadcast to this tensor's shape."""
    def ldexp(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ldexp of `input` and `other`, broadcast and promoted."""
    def ldexp_(self, other: Any) -> Tensor:
        """ldexp in place: `other` must broadcast to this tensor's shape."""
    def le(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise le of `input` and `other`, broadcast and promoted."""
    def le_(self, other: Any) -> Tensor:
        """le in place: `other` must broadcast to this tensor's shape."""
    def lerp(self, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
        """input + weight * (end - input)."""
    def lerp_(self, end: Tensor, weight: Any) -> Tensor:
        """lerp in place."""
    def less(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise lt of `input` and `other`, broadcast and promoted."""
    def less_(self, other: Any) -> Tensor:
        """lt in place: `other` must broadcast to this tensor's shape."""
    def less_equal(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise le of `input` and `other`, broadcast and promoted."""
    def less_equal_(self, other: Any) -> Tensor:
        """le in place: `other` must broadcast to this tensor's shape."""
    def lgamma(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise lgamma of `input` (a new tensor of its shape)."""
    def lgamma_(self) -> Tensor:
        """lgamma in place."""
    def log(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise log of `input` (a new tensor of its shape)."""
    def log10(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise log10 of `input` (a new tensor of its shape)."""
    def log10_(self) -> Tensor:
        """log10 in place."""
    def log1p(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise log1p of `input` (a new tensor of its shape)."""
    def log1p_(self) -> Tensor:
        """log1p in place."""
    def log2(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise log2 of `input` (a new tensor of its shape)."""
    def log2_(self) -> Tensor:
        """log2 in place."""
    def log_(self) -> Tensor:
        """log in place."""
    def log_normal_(self, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        """Fills with numbers of the log_normal distribution (mean, std)."""
    def log_softmax(self, dim: _int, dtype: DType | None = None) -> Tensor:
        """The logarithm of softmax over a dimension: what `torch.log_softmax` gives."""
    def logaddexp(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logaddexp of `input` and `other`, broadcast and promoted."""
    def logaddexp2(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logaddexp2 of `input` and `other`, broadcast and promoted."""
    def logcumsumexp(self, dim: _int, *, out: Tensor | None = None) -> Tensor:
        """log of the running sums of exponentials along `dim`."""
    def logdet(self) -> Tensor:
        """The logarithm of the determinants: NaN where one is negative, -inf where it is 0."""
    def logical_and(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logical_and of `input` and `other`, broadcast and promoted."""
    def logical_and_(self, other: Any) -> Tensor:
        """logical_and in place: `other` must broadcast to this tensor's shape."""
    def logical_not(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logical_not of `input` (a new tensor of its shape)."""
    def logical_not_(self) -> Tensor:
        """logical_not in place."""
    def logical_or(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logical_or of `input` and `other`, broadcast and promoted."""
    def logical_or_(self, other: Any) -> Tensor:
        """logical_or in place: `other` must broadcast to this tensor's shape."""
    def logical_xor(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise logical_xor of `input` and `other`, broadcast and promoted."""
    def logical_xor_(self, other: Any) -> Tensor:
        """logical_xor in place: `other` must broadcast to this tensor's shape."""
    def logit(self, eps: _float | None = None, *, out: Tensor | None = None) -> Tensor:
        """log(x / (1 - x)) with x limited to [eps, 1 - eps] where eps is given."""
    def logit_(self, eps: _float | None = None) -> Tensor:
        """logit in place."""
    def logsumexp(self, dim: Any, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """log(sum(exp(x))) over `dim`, without overflow."""
    def long(self, memory_format: Any = None) -> Tensor:
        """The tensor as int64."""
    def lstsq(self, *args: Any, **options: Any) -> Any:
        """Removed from PyTorch: use torch.linalg.lstsq."""
    def lt(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise lt of `input` and `other`, broadcast and promoted."""
    def lt_(self, other: Any) -> Tensor:
        """lt in place: `other` must broadcast to this tensor's shape."""
    def lu(self, pivot: _bool = True, get_infos: _bool = False, out: Any = None) -> Any:
        """(LU, pivots from 1), and with `get_infos` what failed: the legacy form of
        `lu_factor_ex`."""
    def lu_solve(self, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
        """X of A X = input from what `lu_factor` gave."""
    @property
    def mH(self) -> Tensor:
        """The conjugate with the last two dimensions swapped."""
    @property
    def mT(self) -> Tensor:
        """Tensor.mT: the view with the last two dimensions swapped."""
    def map2_(self, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
        """Every element replaced by callable(it, x's, y's), in place. Slow."""
    def map_(self, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
        """Every element replaced by callable(it, the other tensor's), in place. Slow."""
    def masked_fill(self, mask: Tensor, value: Any) -> Tensor:
        """A copy with a number (or 0-d tensor) where the mask holds; both broadcast."""
    def masked_fill_(self, mask: Tensor, value: Any) -> Tensor:
        """masked_fill in place."""
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor:
        """A copy with source's elements, in order, where the mask holds. Reads the mask on the
        host."""
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor:
        """masked_scatter in place."""
    def masked_select(self, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The elements where the mask holds, 1-d. Reads the mask on the host."""
    def matmul(self, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The matrix product: a vector is a row (left) or a column (right), leading axes
        broadcast."""
    def matrix_exp(self) -> Tensor:
        """The exponentials of square matrices."""
    def matrix_power(self, n: _int, *, out: Tensor | None = None) -> Tensor:
        """The matrix times itself, n times; its inverse for negative n."""
    def max(
        self, dim: Any = None, keepdim: _bool = False, *, other: Any = None, out: Any = None
    ) -> Any:
        """The largest element; with a dim (values, indices); with a tensor the larger of each
        pair."""
    def maximum(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise maximum of `input` and `other`, broadcast and promoted."""
    def mean(
        self,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The mean over `dim`; RuntimeError for integers without a dtype."""
    def median(self, dim: Any = None, keepdim: _bool = False, *, out: Any = None) -> Any:
        """The lower median of all elements, or (values, indices) along `dim`; NaN if any element
        is."""
    def min(
        self, dim: Any = None, keepdim: _bool = False, *, other: Any = None, out: Any = None
    ) -> Any:
        """The least element; with a dim (values, indices); with a tensor the less of each pair."""
    def minimum(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise minimum of `input` and `other`, broadcast and promoted."""
    def mm(self, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The product of two matrices [n, m] and [m, p]."""
    def mode(self, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> Any:
        """(the most frequent value along `dim`, the least of several; its last index)."""
    def module_load(self, other: Tensor, assign: _bool = False) -> Tensor:
        """How Module.load_state_dict brings `other` into this tensor: detached, or a copy of it."""
    def moveaxis(self, source: Any, destination: Any) -> Tensor:
        """The view with source dimensions at the destinations; the others keep their order."""
    def movedim(self, source: Any, destination: Any) -> Tensor:
        """The view with source dimensions at the destinations; the others keep their order."""
    def msort(self, *, out: Tensor | None = None) -> Tensor:
        """Sorted along the first axis."""
    def mtia(self, *args: Any, **options: Any) -> Any:
        """RuntimeError: there is no support for mtia devices."""
    def mul(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise mul of `input` and `other`, broadcast and promoted."""
    def mul_(self, other: Any) -> Tensor:
        """mul in place: `other` must broadcast to this tensor's shape."""
    def multinomial(
        self,
        num_samples: _int,
        replacement: _bool = False,
        *,
        generator: Generator | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Indices drawn by the weights in each row (weights need not sum to one)."""
    def multiply(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise mul of `input` and `other`, broadcast and promoted."""
    def multiply_(self, other: Any) -> Tensor:
        """mul in place: `other` must broadcast to this tensor's shape."""
    def mv(self, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The product of a matrix [n, m] and a vector [m]."""
    def mvlgamma(self, p: _int, *, out: Tensor | None = None) -> Tensor:
        """The logarithm of the multivariate gamma function of dimension p."""
    def mvlgamma_(self, p: _int) -> Tensor:
        """mvlgamma in place."""
    @property
    def name(self) -> Any:
        """None: tensors have no names."""
    def nan_to_num(
        self,
        nan: _float | None = 0.0,
        posinf: _float | None = None,
        neginf: _float | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """NaN and infinities replaced by numbers (the dtype's limits by default)."""
    def nan_to_num_(
        self, nan: _float | None = 0.0, posinf: _float | None = None, neginf: _float | None = None
    ) -> Tensor:
        """nan_to_num in place."""
    def nanmean(
        self,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The mean over `dim` of the elements that are not NaN."""
    def nanmedian(self, dim: Any = None, keepdim: _bool = False, *, out: Any = None) -> Any:
        """The lower median of the elements that are not NaN, or (values, indices) along `dim`."""
    def nanquantile(
        self,
        q: Any,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        interpolation: _str = "linear",
        out: Tensor | None = None,
    ) -> Tensor:
        """`quantile` of the elements that are not NaN."""
    def nansum(
        self,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The sum over `dim` with NaN taken as 0."""
    def narrow(self, dim: _int, start: Any, length: Any) -> Tensor:
        """`length` elements of a dimension from `start` on, as a view. RuntimeError past the
        end."""
    def narrow_copy(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """A copy of what `narrow` shows, in its own memory."""
    def ne(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ne of `input` and `other`, broadcast and promoted."""
    def ne_(self, other: Any) -> Tensor:
        """ne in place: `other` must broadcast to this tensor's shape."""
    def neg(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise neg of `input` (a new tensor of its shape)."""
    def neg_(self) -> Tensor:
        """neg in place."""
    def negative(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise neg of `input` (a new tensor of its shape)."""
    def negative_(self) -> Tensor:
        """neg in place."""
    def new(self, *data: Any, device: Any = None) -> Tensor:
        """The legacy constructor for this tensor's dtype."""
    def new_empty(self, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        """What torch.empty gives, in this tensor's dtype unless one is named."""
    def new_empty_strided(
        self,
        size: Any,
        stride: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: _bool = False,
        requires_grad: _bool = False,
    ) -> Tensor:
        """An uninitialised tensor with these sizes and strides, by default of this dtype."""
    def new_full(self, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        """What torch.full gives, in this tensor's dtype unless one is named."""
    def new_ones(self, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        """What torch.ones gives, in this tensor's dtype unless one is named."""
    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: _bool = False
    ) -> Tensor:
        """A tensor with a copy of `data` in this tensor's dtype."""
    def new_zeros(self, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        """What torch.zeros gives, in this tensor's dtype unless one is named."""
    def nextafter(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise nextafter of `input` and `other`, broadcast and promoted."""
    def nextafter_(self, other: Any) -> Tensor:
        """nextafter in place: `other` must broadcast to this tensor's shape."""
    def nonzero(self, *, as_tuple: _bool = False, out: Tensor | None = None) -> Any:
        """Indices of what is not zero, n x rank (as_tuple: a vector per axis). Reads the data."""
    def nonzero_static(
        self, *, size: _int, fill_value: _int = -1, out: Tensor | None = None
    ) -> Tensor:
        """The first `size` rows of nonzero(input), filled up with fill_value. Reads the data."""
    def norm(
        self,
        p: Any = "fro",
        dim: Any = None,
        keepdim: _bool = False,
        out: Tensor | None = None,
        dtype: Any = None,
    ) -> Tensor:
        """The p-norm of the elements over `dim` (2 unless told, any number, inf or -inf)."""
    def normal_(
        self, mean: _float = 0.0, std: _float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with normal numbers."""
    def not_equal(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise ne of `input` and `other`, broadcast and promoted."""
    def not_equal_(self, other: Any) -> Tensor:
        """ne in place: `other` must broadcast to this tensor's shape."""
    def orgqr(self, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """`linalg.householder_product`."""
    def ormqr(
        self,
        tau: Tensor,
        other: Tensor,
        left: _bool = True,
        transpose: _bool = False,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """Q other (other Q, Q^H other) with the square Q of `geqrf`."""
    def outer(self, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """All products of an element of one vector with one of another: [n, m]."""
    def permute(self, *given: Any, dims: Any = None) -> Tensor:
        """The view whose dimension i is dims[i] of the input."""
    def pin_memory(self, memory_format: Any = None) -> Tensor:
        """The tensor on the CPU (itself, but for another memory format)."""
    def pinverse(self, rcond: _float = 1e-15) -> Tensor:
        """The pseudo-inverse; singular values up to rcond * largest count as zero."""
    def polygamma(self, input: Any, *, out: Tensor | None = None) -> Tensor:
        """The n-th derivative of the digamma function."""
    def polygamma_(self, n: _int) -> Tensor:
        """polygamma in place."""
    def positive(self) -> Tensor:
        """`input` itself."""
    def pow(self, exponent: Any, *, out: Tensor | None = None) -> Tensor:
        """input ** exponent, elementwise."""
    def pow_(self, exponent: Any) -> Tensor:
        """self **= exponent."""
    def prelu(self, weight: Tensor) -> Tensor:
        """x where positive, weight * x elsewhere; one weight, or one per channel (dimension 1)."""
    def prod(
        self,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The product over one axis or all; integers and bool give int64."""
    def put(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """A copy with elements of source written (or added) at flat indices."""
    def put_(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """put in place."""
    def q_per_channel_axis(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def q_per_channel_scales(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def q_per_channel_zero_points(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def q_scale(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def q_zero_point(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def qr(self, some: _bool = True, *, out: Any = None) -> Any:
        """(Q, R) with Q R = input; Q is square unless `some`."""
    def qscheme(self, *args: Any, **options: Any) -> Any:
        """Refused: quantized tensors are not supported."""
    def quantile(
        self,
        q: Any,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        interpolation: _str = "linear",
        out: Tensor | None = None,
    ) -> Tensor:
        """The q-quantiles (q in [0, 1], a number or a 1-d tensor: then the first axis) along
        `dim`."""
    def rad2deg(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise rad2deg of `input` (a new tensor of its shape)."""
    def rad2deg_(self) -> Tensor:
        """rad2deg in place."""
    def random_(
        self,
        from_: _int | None = ...,
        to: _int | None = ...,
        *,
        generator: Generator | None = None,
        **named: Any,
    ) -> Tensor:
        """Fills with integers: of the dtype's whole range, of [0, to), of [from, to), or (`to`
        None) of"""
    def ravel(self) -> Tensor:
        """All elements in row-major order, 1-d; a view of a contiguous tensor."""
    @property
    def real(self) -> Tensor:
        """The real parts, as a view; a real tensor itself."""
    def reciprocal(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise reciprocal of `input` (a new tensor of its shape)."""
    def reciprocal_(self) -> Tensor:
        """reciprocal in place."""
    def record_stream(self, stream: Any) -> None:
        """Accepted: nothing runs beside the program on the CPU."""
    def reinforce(self, *args: Any, **options: Any) -> Any:
        """Removed from PyTorch: use torch.distributions."""
    def relu(self, inplace: _bool = False) -> Tensor:
        """max(0, x), elementwise."""
    def relu_(self) -> Tensor:
        """relu in place."""
    def remainder(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise remainder of `input` and `other`, broadcast and promoted."""
    def remainder_(self, other: Any) -> Tensor:
        """remainder in place: `other` must broadcast to this tensor's shape."""
    def renorm(self, p: _float, dim: _int, maxnorm: _float, *, out: Tensor | None = None) -> Tensor:
        """Each slice along `dim` scaled down to a p-norm of at most `maxnorm`."""
    def renorm_(self, p: _float, dim: _int, maxnorm: _float) -> Tensor:
        """renorm in place."""
    def repeat(self, *given: Any, repeats: Any = None) -> Tensor:
        """The tensor repeated along each dimension; further counts in front make new dimensions."""
    def repeat_interleave(
        self, repeats: Any = None, dim: _int | None = None, *, output_size: _int | None = None
    ) -> Tensor:
        """Each element of a dimension (or of the flat tensor) repeated in place."""
    def reshape(self, *given: Any, shape: Any = None) -> Tensor:
        """The elements in row-major order under another shape: a view if strides allow, else a
        copy."""
    def reshape_as(self, other: Tensor) -> Tensor:
        """self.reshape(other.size())."""
    def resize(self, *args: Any) -> Tensor:
        """resize_ of a view (deprecated in PyTorch)."""
    def resize_(self, *sizes: Any, memory_format: Any = ...) -> Tensor:
        """Another shape over the same storage, which grows where it must (new elements not set)."""
    def resize_as(self, *args: Any) -> Tensor:
        """resize_as_ of a view (deprecated in PyTorch)."""
    def resize_as_(self, the_template: Tensor, *, memory_format: Any = ...) -> Tensor:
        """resize_ to another tensor's shape."""
    def resize_as_sparse_(self, *args: Any, **options: Any) -> Any:
        """Refused: changing the size of sparse tensors is not supported."""
    def resolve_conj(self) -> Tensor:
        """The tensor itself: conjugation is never lazy."""
    def resolve_neg(self) -> Tensor:
        """The tensor itself: negation is never lazy."""
    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        """The elements moved along dimensions (or along the flat tensor), round the end."""
    def rot90(self, k: _int = 1, dims: Sequence[_int] = ...) -> Tensor:
        """A quarter turn, k times, in the plane of two dimensions."""
    def round(self, *, decimals: _int | None = None, out: Tensor | None = None) -> Tensor:
        """Rounded half to even, to a number of decimals."""
    def round_(self, *, decimals: _int | None = None) -> Tensor:
        """round in place."""
    def row_indices(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def rsqrt(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise rsqrt of `input` (a new tensor of its shape)."""
    def rsqrt_(self) -> Tensor:
        """rsqrt in place."""
    def scatter(
        self,
        dim: _int,
        index: Tensor,
        src: Any = None,
        *,
        value: Any = None,
        reduce: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """A copy with src (or a value) written, added or multiplied (`reduce`) at index along
        dim."""
    def scatter_(
        self, dim: _int, index: Tensor, src: Any = None, *, value: Any = None, reduce: Any = None
    ) -> Tensor:
        """scatter in place."""
    def scatter_add(
        self, dim: _int, index: Tensor, src: Tensor, *, out: Tensor | None = None
    ) -> Tensor:
        """A copy with elements of src added at index along dim."""
    def scatter_add_(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        """scatter_add in place."""
    def scatter_reduce(
        self,
        dim: _int,
        index: Tensor,
        src: Tensor,
        reduce: _str,
        *,
        include_self: _bool = True,
        out: Tensor | None = None,
    ) -> Tensor:
        """A copy with elements of src folded in at index along dim: sum, prod, mean, amax or
        amin."""
    def scatter_reduce_(
        self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True
    ) -> Tensor:
        """scatter_reduce in place."""
    def select(self, dim: _int, index: Any) -> Tensor:
        """The view at one index of a dimension, without the dimension. IndexError out of range."""
    def select_scatter(self, src: Tensor, dim: _int, index: _int) -> Tensor:
        """A copy with src in place of input.select(dim, index)."""
    def set_(
        self, source: Any = None, storage_offset: _int = 0, size: Any = None, stride: Any = None
    ) -> Tensor:
        """Makes this tensor share a tensor's storage and layout, or show a storage by a layout;
        with"""
    def sgn(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sgn of `input` (a new tensor of its shape)."""
    def sgn_(self) -> Tensor:
        """sgn in place."""
    def share_memory_(self) -> Tensor:
        """Moves its storage to memory that is shared with processes that get it; the tensor
        itself."""
    def short(self, memory_format: Any = None) -> Tensor:
        """The tensor as int16."""
    def sigmoid(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sigmoid of `input` (a new tensor of its shape)."""
    def sigmoid_(self) -> Tensor:
        """sigmoid in place."""
    def sign(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sign of `input` (a new tensor of its shape)."""
    def sign_(self) -> Tensor:
        """sign in place."""
    def signbit(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise signbit of `input` (a new tensor of its shape)."""
    def sin(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sin of `input` (a new tensor of its shape)."""
    def sin_(self) -> Tensor:
        """sin in place."""
    def sinc(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sinc of `input` (a new tensor of its shape)."""
    def sinc_(self) -> Tensor:
        """sinc in place."""
    def sinh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sinh of `input` (a new tensor of its shape)."""
    def sinh_(self) -> Tensor:
        """sinh in place."""
    def slice_inverse(
        self,
        src: Tensor,
        dim: _int = 0,
        start: _int | None = None,
        end: _int | None = None,
        step: _int = 1,
    ) -> Tensor:
        """This tensor's memory in the shape of src, of which it is a slice: undoes a slicing."""
    def slice_scatter(
        self,
        src: Tensor,
        dim: _int = 0,
        start: _int | None = None,
        end: _int | None = None,
        step: _int = 1,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """A copy with src in place of elements start:end:step of a dimension."""
    def slogdet(self, *, out: Any = None) -> Any:
        """(sign, log of the absolute value) of the determinants of square matrices."""
    def smm(self, mat: Tensor) -> Any:
        """The product of a sparse and a dense matrix, as a sparse one."""
    def softmax(self, dim: _int, dtype: DType | None = None) -> Tensor:
        """Softmax over a dimension: what `torch.softmax` gives."""
    def solve(self, *args: Any, **options: Any) -> Any:
        """Removed from PyTorch: use torch.linalg.solve."""
    def sort(
        self, dim: _int = -1, descending: _bool = False, stable: _bool = False, *, out: Any = None
    ) -> Any:
        """(sorted values, indices) along `dim`, always stable; NaN is the largest."""
    def sparse_dim(self) -> _int:
        """Number of dimensions that are stored sparsely: 0."""
    def sparse_mask(self, mask: Any) -> Any:
        """The elements at the places of a sparse tensor."""
    def sparse_resize_(self, *args: Any, **options: Any) -> Any:
        """Refused: changing the size of sparse tensors is not supported."""
    def sparse_resize_and_clear_(self, *args: Any, **options: Any) -> Any:
        """Refused: changing the size of sparse tensors is not supported."""
    def split(self, split_size: Any, dim: _int = 0) -> _tuple[Tensor, ...]:
        """Views of consecutive parts of a dimension, as torch.split gives them."""
    def split_with_sizes(self, split_sizes: Any, dim: _int = 0) -> _tuple[Tensor, ...]:
        """Views of consecutive parts of a dimension of the given sizes, which must add up to it."""
    def sqrt(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise sqrt of `input` (a new tensor of its shape)."""
    def sqrt_(self) -> Tensor:
        """sqrt in place."""
    def square(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise square of `input` (a new tensor of its shape)."""
    def square_(self) -> Tensor:
        """square in place."""
    def squeeze(self, dim: Any = None) -> Tensor:
        """A view without the dimensions of extent 1 (all, or those of `dim`)."""
    def squeeze_(self, dim: Any = None) -> Tensor:
        """squeeze of the tensor itself."""
    def sspaddmm(self, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """beta * input + alpha * (mat1 @ mat2), all sparse but mat2."""
    def std(
        self,
        dim: Any = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The standard deviation over `dim`: the root of `var`; its gradient at 0 is 0."""
    def stft(
        self,
        n_fft: _int,
        hop_length: _int | None = None,
        win_length: _int | None = None,
        window: Tensor | None = None,
        center: _bool = True,
        pad_mode: _str = "reflect",
        normalized: _bool = False,
        onesided: _bool | None = None,
        return_complex: _bool | None = None,
        align_to_window: _bool | None = None,
    ) -> Tensor:
        """The Fourier transforms of overlapping windows: [.., frequency, frame], complex."""
    def storage(self) -> TypedStorage:
        """The tensor's storage, as elements of its dtype (deprecated in PyTorch)."""
    def storage_type(self) -> Any:
        """The legacy class of the tensor's storage."""
    def sub(self, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
        """input - alpha * other, broadcast and promoted. (`old`: sub(input, alpha, other).)"""
    def sub_(self, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
        """self -= alpha * other. (`old`: sub_(alpha, other).)"""
    def subtract(self, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
        """input - alpha * other, broadcast and promoted. (`old`: sub(input, alpha, other).)"""
    def subtract_(self, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
        """self -= alpha * other. (`old`: sub_(alpha, other).)"""
    def sum(
        self,
        dim: Any = None,
        keepdim: _bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The sum over `dim`; integers and bool give int64."""
    def sum_to_size(self, *size: Any) -> Tensor:
        """Summed where `size` has 1 or nothing: what undoes a broadcast from `size`."""
    def svd(self, some: _bool = True, compute_uv: _bool = True, *, out: Any = None) -> Any:
        """(U, S, V) with U diag(S) V^H = input; without `compute_uv` U and V are zeros."""
    def swapaxes(self, dim0: _int, dim1: _int) -> Tensor:
        """The view with two dimensions swapped."""
    def swapaxes_(self, dim0: _int, dim1: _int) -> Tensor:
        """transpose of the tensor itself."""
    def swapdims(self, dim0: _int, dim1: _int) -> Tensor:
        """The view with two dimensions swapped."""
    def swapdims_(self, dim0: _int, dim1: _int) -> Tensor:
        """transpose of the tensor itself."""
    def symeig(self, *args: Any, **options: Any) -> Any:
        """Removed from PyTorch: use torch.linalg.eigh."""
    def t(self) -> Tensor:
        """The transposed view of a matrix; vectors and numbers stay."""
    def t_(self) -> Tensor:
        """t of the tensor itself."""
    def take(self, index: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Elements of the flat tensor, in the index's shape."""
    def take_along_dim(
        self, indices: Tensor, dim: _int | None = None, *, out: Tensor | None = None
    ) -> Tensor:
        """Elements at `indices` along a dimension (broadcast elsewhere), or of the flat tensor."""
    def tan(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise tan of `input` (a new tensor of its shape)."""
    def tan_(self) -> Tensor:
        """tan in place."""
    def tanh(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise tanh of `input` (a new tensor of its shape)."""
    def tanh_(self) -> Tensor:
        """tanh in place."""
    def tensor_split(self, indices_or_sections: Any, dim: _int = 0) -> _tuple[Tensor, ...]:
        """Views of parts of a dimension: a number of nearly equal ones, or cut at indices."""
    def tile(self, *given: Any, dims: Any = None) -> Tensor:
        """repeat with missing counts in front taken as 1."""
    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: _bool = False,
        copy: _bool = False,
        memory_format: Any = None,
        other: Any = None,
    ) -> Tensor:
        """The tensor with another dtype or device; itself when nothing changes."""
    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """The tensor itself (in `dtype` if given): it is dense already."""
    def to_mkldnn(self, *args: Any, **options: Any) -> Any:
        """Refused: the layout mkldnn is not supported."""
    def to_padded_tensor(self, *args: Any, **options: Any) -> Any:
        """Refused: nested tensors are not supported."""
    def to_sparse(
        self,
        sparseDims: _int | None = None,
        *,
        layout: Any = None,
        blocksize: Any = None,
        dense_dim: _int | None = None,
    ) -> Any:
        """The elements that are not zero, in coordinates of the first `sparseDims` dimensions."""
    def to_sparse_bsc(self, **options: Any) -> Any:
        """NotImplementedError: sparse layouts of blocks are not supported."""
    def to_sparse_bsr(self, **options: Any) -> Any:
        """NotImplementedError: sparse layouts of blocks are not supported."""
    def to_sparse_coo(
        self,
        sparseDims: _int | None = None,
        *,
        layout: Any = None,
        blocksize: Any = None,
        dense_dim: _int | None = None,
    ) -> Any:
        """The elements that are not zero, in coordinates of the first `sparseDims` dimensions."""
    def to_sparse_csc(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed columns."""
    def to_sparse_csr(self, dense_dim: Any = None) -> Any:
        """The matrix with compressed rows."""
    def topk(
        self,
        k: _int,
        dim: _int = -1,
        largest: _bool = True,
        sorted: _bool = True,
        *,
        out: Any = None,
    ) -> Any:
        """(values, indices) of the k largest or smallest along `dim`, always in order."""
    def trace(self) -> Tensor:
        """The sum of a matrix's diagonal; integers give int64."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        """The view with two dimensions swapped."""
    def transpose_(self, dim0: _int, dim1: _int) -> Tensor:
        """transpose of the tensor itself."""
    def triangular_solve(
        self,
        A: Tensor,
        upper: _bool = True,
        transpose: _bool = False,
        unitriangular: _bool = False,
        *,
        out: Any = None,
    ) -> Any:
        """(X, A) with A X = input: the legacy form of `linalg.solve_triangular`."""
    def tril(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """The lower triangles of matrices, zeros elsewhere."""
    def tril_(self, diagonal: _int = 0) -> Tensor:
        """tril in place."""
    def triu(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """The upper triangles of matrices, zeros elsewhere."""
    def triu_(self, diagonal: _int = 0) -> Tensor:
        """triu in place."""
    def true_divide(
        self, other: Any, *, rounding_mode: _str | None = None, out: Tensor | None = None
    ) -> Tensor:
        """input / other; integers divide to floats unless rounding_mode is 'trunc' or 'floor'."""
    def true_divide_(self, other: Any, *, rounding_mode: _str | None = None) -> Tensor:
        """self /= other."""
    def trunc(self, *, out: Tensor | None = None) -> Tensor:
        """The elementwise trunc of `input` (a new tensor of its shape)."""
    def trunc_(self) -> Tensor:
        """trunc in place."""
    def type(self, dtype: Any = None, non_blocking: _bool = False) -> Any:
        """The type's name, or the tensor converted to a dtype, type or type name."""
    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in the dtype of `other`."""
    def unbind(self, dim: _int = 0) -> _tuple[Tensor, ...]:
        """A view for each index of a dimension, without the dimension."""
    def unflatten(self, dim: _int, sizes: Any) -> Tensor:
        """One dimension as several of the given sizes (one may be -1)."""
    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor:
        """The view of a dimension's windows of `size` elements, `step` apart; the window comes
        last."""
    def uniform_(
        self,
        from_: _float = 0.0,
        to: _float = 1.0,
        *,
        generator: Generator | None = None,
        **bounds: Any,
    ) -> Tensor:
        """Fills with uniform numbers in [from, to)."""
    def unique(
        self,
        sorted: _bool = True,
        return_inverse: _bool = False,
        return_counts: _bool = False,
        dim: _int | None = None,
    ) -> Any:
        """The distinct elements (or slices along `dim`) in order; each input's place; the
        counts."""
    def unique_consecutive(
        self, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None
    ) -> Any:
        """The elements (or slices along `dim`) that differ from the one before; as `unique`."""
    def unsafe_chunk(self, chunks: _int, dim: _int = 0) -> _tuple[Tensor, ...]:
        """At most `chunks` views of consecutive parts of equal size (the last may be smaller)."""
    def unsafe_split(self, split_size_or_sections: Any, dim: _int = 0) -> _tuple[Tensor, ...]:
        """Views of consecutive parts of a dimension: of one size (the last may be less) or
        given."""
    def unsafe_split_with_sizes(self, split_sizes: Any, dim: _int = 0) -> _tuple[Tensor, ...]:
        """Views of consecutive parts of a dimension of the given sizes, which must add up to it."""
    def unsqueeze(self, dim: _int) -> Tensor:
        """A view with a new dimension of extent 1 at `dim`."""
    def unsqueeze_(self, dim: _int) -> Tensor:
        """unsqueeze of the tensor itself."""
    def untyped_storage(self) -> UntypedStorage:
        """The tensor's storage, as bytes."""
    def values(self, *args: Any, **options: Any) -> Any:
        """Refused, as by PyTorch where the tensor is not sparse."""
    def var(
        self,
        dim: Any = None,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        correction: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The variance over `dim`, divided by n - correction (1 unless told)."""
    def vdot(self, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The inner product of two vectors, the first conjugated."""
    def view(self, *shape: Any, dtype: Any = None, size: Any = None) -> Tensor:
        """A view under another shape, or of the bytes as another dtype; or RuntimeError."""
    def view_as(self, other: Tensor) -> Tensor:
        """self.view(other.size())."""
    @property
    def volatile(self) -> Any:
        """False: what it was for, torch.no_grad() does."""
    def vsplit(self, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
        """Parts along one dimension: so many equal ones, or cut at indices (views)."""
    def where(self, condition: Tensor, other: Any) -> Tensor:
        """Elements of this tensor where the condition holds, of `other` elsewhere."""
    def xlogy(self, other: Any, *, out: Tensor | None = None) -> Tensor:
        """The elementwise xlogy of `input` and `other`, broadcast and promoted."""
    def xlogy_(self, other: Any) -> Tensor:
        """xlogy in place: `other` must broadcast to this tensor's shape."""
    def xpu(self, *args: Any, **options: Any) -> Any:
        """RuntimeError: there is no support for xpu devices."""
    def zero_(self) -> Tensor:
        """Overwrites this tensor with zeros."""
