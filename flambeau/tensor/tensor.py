"""The tensor class: what a user holds. Its methods are functions of `flambeau.functional`."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from flambeau.core import calls, dtypes
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType, float32_from_bfloat16
from flambeau.core.notice import warn_once
from flambeau.core.shapes import overlaps_itself
from flambeau.core.size import Size
from flambeau.record import recorder
from flambeau.record.entering import PLAIN
from flambeau.record.events import REQUIRE_GRAD
from flambeau.record.handle import Handle, lay_out
from flambeau.record.meta import Meta, plain_meta
from flambeau.record.recorder import LOCAL, flush
from flambeau.record.restricted import check_entering, owned, without_gradient
from flambeau.record.storage import Storage, storage_from_array, storage_of_fresh
from flambeau.tensor import overriding

CPU = Device("cpu")
# How to read or write one element at an address as a Python number (no 16-bit floats, no complex).
READERS: dict[DType, Any] = {
    dtypes.float32: ctypes.c_float.from_address,
    dtypes.float64: ctypes.c_double.from_address,
    dtypes.int64: ctypes.c_int64.from_address,
    dtypes.int32: ctypes.c_int32.from_address,
    dtypes.int16: ctypes.c_int16.from_address,
    dtypes.int8: ctypes.c_int8.from_address,
    dtypes.uint8: ctypes.c_uint8.from_address,
    dtypes.bool_: ctypes.c_bool.from_address,
}
T = TypeVar("T", bound="Tensor")

if TYPE_CHECKING:
    # The methods that functional/binding.py binds; tools/make_stubs.py writes this stub.
    from flambeau.tensor.methods import TensorMethods as Base
else:
    Base = Handle


SCALAR_WITH_GRADIENT = (
    "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
    "Consider using tensor.detach() first."
)


class Tensor(Base):
    """A multi-dimensional array with autograd, recorded: ops on it run when a value is needed."""

    __slots__ = ()

    def __new__(cls, *data: Any, device: Any = None) -> Any:
        """The legacy constructor: `Tensor(2, 3)` is uninitialised, `Tensor([1, 2])` holds data."""
        from flambeau.functional.legacy_types import legacy_tensor

        made = legacy_tensor(dtypes.get_default_dtype(), data, device)
        return made if cls is Tensor else made.as_subclass(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    # ---- subclasses ------------------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if overriding.overrides(cls):
            overriding.activate()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What an op given an instance of this class does: `func`, with results of this class."""
        return overriding.by_default(cls, func, types, args, kwargs)

    @staticmethod
    def _make_wrapper_subclass(cls: type, *args: Any, **kwargs: Any) -> Any:
        """NotImplementedError: such tensors only work with `__torch_dispatch__`."""
        raise NotImplementedError(
            "Tensor._make_wrapper_subclass is not supported: ops are recorded and compiled, not "
            "dispatched one by one; override __torch_function__"
        )

    @staticmethod
    def _make_subclass(cls: type, data: Any, require_grad: bool = False, **options: Any) -> Any:
        """An instance of a subclass over the data of a tensor, outside its graph."""
        if any(options.values()):
            raise NotImplementedError(f"Tensor._make_subclass: {', '.join(options)}")
        out = overriding.call_plainly(recorder.detach, (), (data,))
        out._settled()
        out = retype(out, cls)
        overriding.check_class(cls)
        out._meta = out._meta.replaced(requires_grad=require_grad, silent=False)
        return out

    # ---- what is known without data --------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The extents of its dimensions."""
        return self._meta.shape

    @property
    def dtype(self) -> DType:
        """The type of its elements."""
        return self._meta.dtype

    @property
    def device(self) -> Device:
        """Where its elements are."""
        return CPU

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self._meta.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether a backward pass computes a gradient for it."""
        return self._meta.requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if not isinstance(flag, bool):
            raise RuntimeError("requires_grad must be a bool")
        self.requires_grad_(flag)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded function made it, so that gradients end in its `grad`."""
        if self._meta.born is not None:
            _check_view(self)
        return self._meta.is_leaf

    @property
    def layout(self) -> Any:
        """How its elements are stored: torch.strided, unless it is sparse."""
        from flambeau.core.layout import strided

        return strided

    is_cuda = is_sparse = is_quantized = is_mps = is_mkldnn = is_meta = is_nested = False
    is_cpu = True
    _backward_hooks: Any = None

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._meta.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._meta.numel * self._meta.dtype.itemsize

    @overload
    def size(self) -> Size: ...

    @overload
    def size(self, dim: int) -> int: ...

    def size(self, dim: int | None = None) -> Size | int:
        """The shape, or the extent of one dimension."""
        if dim is None:
            return self._meta.shape
        extents = self._meta.extents
        if type(dim) is int and -len(extents) <= dim < len(extents):
            return extents[dim]
        from flambeau.core.shapes import wrap_axis

        if not self._meta.shape:
            wrap_axis(dim, 0)
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        return self._meta.shape[wrap_axis(dim, len(self._meta.shape))]

    def dim(self) -> int:
        """Number of dimensions."""
        return len(self._meta.shape)

    ndimension = dim

    def numel(self) -> int:
        """Number of elements."""
        return self._meta.numel

    nelement = numel

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._meta.dtype.itemsize

    @overload
    def stride(self) -> tuple[int, ...]: ...

    @overload
    def stride(self, dim: int) -> int: ...

    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The strides in elements, or one of them."""
        if dim is None:
            return self._meta.strides
        from flambeau.core.shapes import wrap_axis

        return self._meta.strides[wrap_axis(dim, len(self._meta.shape))]

    def storage_offset(self) -> int:
        """Where it begins in its storage, in elements."""
        return self._offset if self._storage is not None else self._meta.offset

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether its elements lie one after the other, row by row (or in `memory_format`)."""
        from flambeau.core import shapes
        from flambeau.core.layout import channels_last, channels_last_3d, is_channels_last

        if memory_format is channels_last or memory_format is channels_last_3d:
            rank = 4 if memory_format is channels_last else 5
            return is_channels_last(self._meta.shape, self._meta.strides, rank)
        return shapes.is_contiguous(self._meta.shape, self._meta.strides)

    def is_floating_point(self) -> bool:
        """Whether its elements are floating-point numbers."""
        return self._meta.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether its elements are complex numbers."""
        return self._meta.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether its elements can be negative."""
        return self._meta.dtype.is_signed

    def get_device(self) -> int:
        """The number of its device; -1 for the CPU."""
        return -1

    def __len__(self) -> int:
        if not self._meta.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._meta.shape[0]

    __hash__ = object.__hash__  # by identity; stated because == is elementwise

    # ---- data ------------------------------------------------------------------------------------

    def _settled(self, what: str = "") -> Storage:
        """The storage with its data computed; pending programs that touch it have run. `what`:
        under vmap, the words that refuse a tensor which is another one for each slice.
        """
        if what and LOCAL.levels:
            _refuse(what, self)
        storage, own = self._storage, LOCAL.rec
        if storage is None or storage.recording is own:
            other = self._rec
            if storage is None and other is not None and other is not own:
                if not other.done:
                    recorder.settle_other(other)
            else:
                flush()
            storage = self._storage
            if storage is None:
                raise RuntimeError(
                    f"this tensor was never computed: {self._failure or 'its program failed'}"
                )
        elif storage.recording is not None and not storage.recording.done:
            recorder.settle_other(storage.recording)
        return storage

    def _array(self) -> Any:
        """A NumPy view of the data in storage form (bfloat16 as uint16 bits)."""
        storage = self._settled()
        meta = self._meta
        dtype = meta.dtype
        if not meta.numel:
            return np.empty(meta.shape, dtype.numpy)
        start = self._offset * dtype.itemsize if self._offset else 0
        return storage.buffer.shown(meta.extents, dtype.numpy, start, meta.steps)

    def _values(self) -> Any:
        """The data for computing on the host: bfloat16 as float32."""
        array = self._array()
        return float32_from_bfloat16(array) if self._meta.dtype is dtypes.bfloat16 else array

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        meta = self._meta
        if meta.numel != 1:
            raise RuntimeError(f"a Tensor with {meta.numel} elements cannot be converted to Scalar")
        if PLAIN.number is not None:
            here = LOCAL.__dict__
            if self._rec is here["rec"]:
                if here["levels"]:
                    _refuse("ITEM", self)
                flush()
            number = PLAIN.number(self)
            if number is not None:
                return number
        reader = READERS.get(meta.dtype)
        if reader is None:
            return self._values().item()
        storage = self._storage
        if storage is None or (storage.recording is not None and not storage.recording.done):
            storage = self._settled("ITEM")
        recorder.done_by_python(1)
        return reader(storage.buffer.address + self._offset * meta.dtype.itemsize).value

    def tolist(self) -> Any:
        """The values as nested Python lists (a number for a 0-d tensor)."""
        if PLAIN.array is not None:
            here = LOCAL.__dict__
            if self._rec is here["rec"]:
                if here["levels"]:
                    _refuse("MEMORY", self)
                flush()
            array = PLAIN.array(self, False)
            if array is not None:
                return array.tolist()
        meta, storage = self._meta, self._storage
        if storage is None or (storage.recording is not None and not storage.recording.done):
            storage = self._settled("MEMORY")
        recorder.done_by_python()
        if not meta.numel or meta.dtype is dtypes.bfloat16:
            return self._values().tolist()
        start, buffer = self._offset * meta.dtype.itemsize, storage.buffer
        if buffer.start < 0:
            return buffer.shown(meta.extents, meta.dtype.numpy, start, meta.steps).tolist()
        start += buffer.start  # as `shown`
        return np.ndarray(meta.extents, meta.dtype.numpy, buffer.owner, start, meta.steps).tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """A NumPy array that shares the tensor's memory."""
        meta = self._meta
        if PLAIN.array is not None and not meta.requires_grad:
            here = LOCAL.__dict__
            if self._rec is here["rec"]:
                if here["levels"]:
                    _refuse("MEMORY", self)
                flush()
            array = PLAIN.array(self, True)
            if array is not None:
                return array
        recorder.done_by_python()
        if meta.requires_grad and LOCAL.grad_mode and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use "
                "tensor.detach().numpy() instead."
            )
        if meta.dtype is dtypes.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        storage = self._storage
        if storage is None or (storage.recording is not None and not storage.recording.done):
            storage = self._settled("MEMORY")
        if meta.numel:
            start, buffer = self._offset * meta.dtype.itemsize, storage.buffer
            if buffer.start >= 0:  # as `shown`
                start += buffer.start
                array = np.ndarray(meta.extents, meta.dtype.numpy, buffer.owner, start, meta.steps)
            else:
                array = buffer.shown(meta.extents, meta.dtype.numpy, start, meta.steps)
        else:
            array = np.empty(meta.shape, meta.dtype.numpy)
        storage.exposed = True
        if storage.readers:
            recorder.settle_readers(storage)
        rec = storage.recording
        if rec is not None and not rec.done:
            self._settled()  # another thread may have taken it as unseen in between
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    __array_priority__ = 1000

    def __array_wrap__(self, array: Any, *_: Any) -> Any:
        from flambeau.functional.from_data import from_numpy

        return from_numpy(array.astype("uint8") if array.dtype == bool else array)

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any:
        from flambeau.tensor.dlpack import to_capsule

        return to_capsule(self, *args, **kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._settled().buffer.address + self._offset * self._meta.dtype.itemsize

    def __bool__(self) -> bool:
        numel = self._meta.numel
        if numel == 1:
            if LOCAL.levels:
                _refuse("DECISION", self)
            return bool(self.item())
        some = "more than one value" if numel else "no values"
        raise RuntimeError(f"Boolean value of Tensor with {some} is ambiguous")

    def __float__(self) -> float:
        meta = self._meta
        if meta.requires_grad:
            warn_once(SCALAR_WITH_GRADIENT)
        if PLAIN.number is not None:
            value = PLAIN.number(self)
            if value.__class__ is float:
                return value
        value = self.item() if meta.numel == 1 else self._only()
        return value if value.__class__ is float else float(_real(value, "double"))

    def __int__(self) -> int:
        return int(_real(self._only(), "int64_t"))

    def __complex__(self) -> complex:
        if self._meta.requires_grad:
            warn_once(SCALAR_WITH_GRADIENT)
        return complex(self._only())

    def _only(self) -> Any:
        if self._meta.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self) -> int:
        if self._meta.numel != 1 or self._meta.dtype.kind not in "ib":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __iter__(self) -> Iterator[Any]:
        if not self._meta.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, int, float, bool, complex)):
            return bool((self == element).any().item())
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from flambeau.tensor.printing import tensor_repr

        return tensor_repr(self)

    def _repr_html_(self) -> str | None:
        from flambeau.tensor.printing import tensor_html

        return tensor_html(self)

    def __format__(self, spec: str) -> str:
        if not self._meta.shape and type(self) is Tensor:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    # ---- autograd --------------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """The gradient of the same shape that backward passes have added up, or None."""
        if self._grad is None and not self._meta.is_leaf and not self.__dict__.get("_retains_grad"):
            import warnings

            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed want "
                "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f'"{type(value).__name__}"'
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.shape != self.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of "
                    f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor "
                    "are the same size"
                )
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: expected {self.dtype}, "
                    f"got {value.dtype}"
                )
        if value is None and recorder.LOCAL.capture is not None:
            recorder.LOCAL.capture.cleared.add(id(self))
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def grad_fn(self) -> Any:
        """The backward function of what made it; None for leaves."""
        if self._meta.born is not None:
            _check_view(self)
        if not self._meta.requires_grad or self._meta.is_leaf:
            return None
        from flambeau.autograd.node import node_of

        return node_of(self)

    @property
    def output_nr(self) -> int:
        """Which output of its backward function the tensor is."""
        if not self._meta.requires_grad or self._meta.is_leaf:
            return 0
        from flambeau.autograd.node import edge_of

        return int(edge_of(self)[1])

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Turns gradient recording of a leaf on or off."""
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        meta = self._meta
        follows = without_gradient(meta)
        if not requires_grad if follows else meta.requires_grad == requires_grad:
            return self
        if not meta.is_leaf:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        if requires_grad and not (meta.dtype.is_floating_point or meta.dtype.is_complex):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if requires_grad and meta.steps is not None and overlaps_itself(meta.shape, meta.strides):
            # Gradients are taken of memory: elements that share theirs would get sums.
            self.data = self.detach().clone()
            meta = self._meta
        rec = recorder.LOCAL.rec
        if self._storage is not None and self._rec is not rec:
            self._meta = _with_gradient(meta, requires_grad)
            self._family = self._family if follows else None
            return self
        while True:
            rec = recorder.LOCAL.rec
            try:
                number = self._num if self._rec is rec else recorder.enter(rec, self)
                key = (REQUIRE_GRAD, number, requires_grad)
                state = rec.state.next.get(key) or recorder.miss(rec, key)
                recorder.commit(rec, state)
            except recorder.Flushed:
                continue
            self._family = None
            return self

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds the gradient of this (scalar) tensor to the `.grad` of the leaves it depends on."""
        known = _Later.engine
        if (
            known is not None
            and gradient is None
            and inputs is None
            and not (retain_graph or create_graph)
            and known.known_pass(self)
        ):
            return
        engine().backward((self,), (gradient,), retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Any:
        """The same data outside the graph."""
        return recorder.detach(self)

    @property
    def data(self) -> Any:
        """The same elements outside of the graph; writes to them are not recorded there."""
        out = recorder.detach(self, silent=True)
        out._data_of = weakref.ref(self), self._rec, self._num, self._storage
        return out

    @data.setter
    def data(self, value: Any) -> None:
        from flambeau.functional.inplace import set_data

        set_data(self, value)

    def detach_(self: T) -> T:
        """Takes this tensor out of the graph. RuntimeError on a view."""
        trace = recorder.pending_trace(self)
        if self._meta.born is not None or (
            trace is not None and trace.tensors[self._num].output >= 0
        ):
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
                "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
                "these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
                "function in torch/optim/optimizer.py as the solution."
            )
        other = recorder.detach(self)
        other._settled()
        self._storage, self._offset, self._rec = other._storage, other._offset, None
        self._meta = other._meta
        self._family = self._origin = None
        return self

    @property
    def _version(self) -> int:
        storage = self._settled()
        return storage.silent if self._meta.silent else storage.version - storage.silent

    def retain_grad(self) -> None:
        """Keeps this non-leaf tensor's gradient in `.grad` when backward passes it."""
        engine().retain_grad(self)

    @property
    def retains_grad(self) -> bool:
        """Whether retain_grad() was asked for it."""
        return bool(self.__dict__.get("_retains_grad"))

    def register_hook(self, hook: Any) -> Any:
        """Calls hook(grad) when this gradient is computed; a returned tensor replaces it."""
        return engine().register_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Any) -> Any:
        """Calls hook(tensor) whenever this leaf's `.grad` has been added to."""
        return engine().register_post_accumulate_grad_hook(self, hook)

    # ---- copying and pickling --------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if not self._meta.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment.  If you were attempting to deepcopy a module, this may "
                "be because of a torch.nn.utils.weight_norm usage, see "
                "https://github.com/pytorch/pytorch/pull/103001"
            )
        from flambeau.tensor.copying import deep_copy

        return deep_copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        from flambeau.tensor.copying import reduced

        return reduced(self)


def _refuse(what: str, tensor: Tensor) -> None:
    """RuntimeError where a tensor is another one for each slice under vmap."""
    from flambeau.record import mapping  # rarely needed

    mapping.refuse(tensor, getattr(mapping, what))


@lru_cache(maxsize=1 << 10)
def _with_gradient(meta: Meta, flag: bool) -> Meta:
    """The meta of a leaf of which `requires_grad` is set."""
    return meta.replaced(requires_grad=flag, born=owned(meta))


def _check_view(tensor: Tensor) -> None:
    """RuntimeError where a restricted view's base was written since (see record/restricted.py)."""
    trace = recorder.pending_trace(tensor)
    if trace is not None:
        trace.check_view(tensor._num)
    elif tensor._seen is not None:
        tensor._settled()  # writes that are pending count
        check_entering(tensor)


def retype(tensor: Any, cls: type) -> Any:
    """The tensor as one of another class, over the same storage."""
    if type(tensor) is cls:
        return tensor
    out: Any = object.__new__(cls)
    out._meta, out._rec, out._num = tensor._meta, None, -1
    out._storage, out._offset = tensor._storage, tensor._offset
    return out


def from_storage(storage: Storage, meta: Meta, offset: int = 0) -> Tensor:
    """A tensor over a storage that holds its data."""
    out: Tensor = object.__new__(Tensor)
    out._meta, out._rec, out._num = meta, None, -1
    out._storage, out._offset = storage, offset
    return out


def from_array(array: Any, dtype: DType) -> Tensor:
    """A tensor with a copy of an array in storage form."""
    array = np.asarray(array, dtype.numpy)
    return from_storage(storage_from_array(array), plain_meta(dtype, array.shape))


def from_fresh(array: Any, dtype: DType) -> Tensor:
    """A tensor of an array in storage form that nobody else knows."""
    array = np.asarray(array, dtype.numpy)
    meta = plain_meta(dtype, array.shape)
    if PLAIN.over is not None and array.base is None and array.flags.carray and array.nbytes:
        made: Tensor | None = PLAIN.over(meta, array, array.nbytes, False)
        if made is not None:
            return made
    return from_storage(storage_of_fresh(array), meta)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


recorder.set_handle_class(Tensor)
calls.set_tensor_class(Tensor)
lay_out(Tensor)
overriding.State.tensor = Tensor


class _Later:
    """Modules of this floor that need Tensor themselves, found at their first use."""

    engine: Any = None


def engine() -> Any:
    """flambeau.autograd.engine."""
    if _Later.engine is None:
        from flambeau.autograd import engine as found

        _Later.engine = found
    return _Later.engine


def _real(value: Any, wanted: str) -> Any:
    """A complex number without an imaginary part as a real one; others as they are."""
    if type(value) is complex:
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {wanted} without overflow")
        return value.real
    return value
