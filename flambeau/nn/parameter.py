"""Parameters and buffers, under PyTorch's module name, and those that have no size yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.nn._torch import Buffer, Parameter, Tensor, empty

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "is_lazy",
]


class UninitializedTensorMixin:
    """A tensor with a dtype but without a size: `materialize` makes it an ordinary one."""

    __slots__ = ()

    cls_to_become: Any
    _meta: Any

    @property
    def shape(self) -> Any:
        """Not there yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    # Every op that reads a tensor asks for this.
    @property
    def _storage(self) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter. This error happens when you are using a "
            "`LazyModule` or explicitly manipulating "
            f"`torch.nn.parameter.{type(self).__name__}` objects. When using LazyModules Call "
            "`forward` with a dummy batch to initialize the parameters before calling torch "
            "functions"
        )

    @property
    def data(self) -> Tensor:
        """A tensor of no elements: what is written to it is lost, as in PyTorch."""
        this: Any = self
        return empty(0, dtype=this.dtype)

    @data.setter
    def data(self, new_data: Tensor) -> None:
        Tensor.data.__set__(self, new_data)  # type: ignore[attr-defined]

    def share_memory_(self) -> Any:
        """Refused: there is no memory yet."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling `module.share_memory()`."
        )

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of this shape, uninitialised."""
        this: Any = self
        dtype = this.dtype if dtype is None else dtype
        made: Any = empty(tuple(shape), device=device, dtype=dtype)
        wanted = this.requires_grad
        this.__class__ = this.cls_to_become
        this.data = made
        this.requires_grad_(wanted)

    def convert(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Take the dtype that `fn` gives an ordinary tensor of this dtype."""
        this: Any = self
        dtype = fn(empty(0, dtype=this.dtype)).dtype
        this._meta = this._meta.replaced(dtype=dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            this: Any = self
            kind: Any = type(self)
            memo[id(self)] = kind(this.requires_grad, None, this.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: object) -> Any:
        this: Any = self
        return type(self), (this.requires_grad, None, this.dtype)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc,override]
    """A parameter whose size is not known yet."""

    __slots__ = ()
    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        made: Any = Parameter(empty(0, device=device, dtype=dtype), requires_grad)
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc,override]
    """A buffer whose size is not known yet."""

    __slots__ = ()
    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        made: Any = empty(0, device=device, dtype=dtype)
        made._settled()
        made.requires_grad_(requires_grad)
        made.__class__ = cls
        made.persistent = persistent
        return made  # type: ignore[no-any-return]

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        pass


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no size yet."""
    return isinstance(param, UninitializedTensorMixin)
