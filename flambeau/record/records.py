"""What a trace knows of storages, of tensors, and of those that share history.

Records refer to values and to other records (tensors to groups, groups to storages), never in a
circle, so that the garbage collector need not visit them (see Note: values and the garbage
collector).
"""

from __future__ import annotations

from typing import NamedTuple

from flambeau.core.dtypes import DType
from flambeau.core.shapes import Shape, Strides
from flambeau.ops.value import Value, leave_to_reference_counts
from flambeau.record.meta import Meta

Layout = tuple[Shape, Strides, int]  # with the offset, in elements


class StorageRecord:
    """Memory as the trace sees it: `size` elements of `dtype`, known base or made here.

    `version` counts the writes; `silent` those through `x.data`, which autograd does not count.
    `eldest` is the number of its first tensor.
    """

    __slots__ = ("base", "data", "dtype", "eldest", "silent", "size", "version")

    def __init__(self, dtype: DType, size: int, base: int | None) -> None:
        self.dtype = dtype
        self.size = size
        self.base = base
        self.version = self.silent = 0
        self.eldest = -1
        self.data: Value | None = None  # flat; None while only a group's logical value exists
        leave_to_reference_counts(self)

    @property
    def counted(self) -> int:
        """The version as autograd counts it."""
        return self.version - self.silent


def origin_of(
    storage: StorageRecord, version: int, name: str, silent: int | None, layout: Layout
) -> Origin:
    """An `Origin` that the garbage collector need not visit."""
    found = Origin(storage, version, name, silent, layout)
    leave_to_reference_counts(found)
    return found


class Origin(NamedTuple):
    """Where a value stands in memory: what an op has read of a tensor, or given to one.

    `silent` is how often the storage was written through `x.data` before, None where the tensor
    is such an alias itself: autograd counts its writes apart, here every one counts.
    """

    storage: StorageRecord
    version: int
    name: str
    silent: int | None
    layout: Layout

    @property
    def counts(self) -> tuple[int, int]:
        """The version as autograd counts it: now, and when the value was read."""
        if self.silent is None:
            return self.storage.version, self.version
        return self.storage.counted, self.version - self.silent

    @property
    def overwritten(self) -> bool:
        """Whether autograd refuses the value since its memory was written."""
        now, then = self.counts
        return now != then

    @property
    def changed(self) -> bool:
        """Whether its memory was written, by `x.data` alone: derivatives see what is there now."""
        return self.storage.version != self.version and not self.overwritten


class Group:
    """Tensors over one storage that share autograd history.

    `home` is what the op gave to which the history belongs, where it gave all of the tensor that
    the others are views of: gradients go there whatever has been written past autograd since.
    `entered` is the history that a copy has entered with, `eldest` the number of the first tensor.
    """

    __slots__ = ("eldest", "entered", "flat", "home", "leaf", "storage", "values", "version")

    def __init__(self, storage: StorageRecord, leaf: int | None = None) -> None:
        self.storage = storage
        self.leaf = leaf
        self.eldest = -1
        self.version = storage.version
        self.flat: Value | None = None
        self.home: Value | None = None
        self.entered: Value | None = None
        self.values: dict[Layout, Value] = {}
        leave_to_reference_counts(self)


class TensorRecord:
    """A tensor of the recording.

    `own` is (version, value) of a view that has the layout of an earlier tensor of its group: until
    the next write, gradients reach it by way of the views that it was made from. `output` is a
    view's number among those made with it (else -1), `seen` the storage's version when it was made
    or entered. `first`: whether the others of its family are views of it (None: as made here).
    `plain` is (version, value) of what it shows without history, where that was asked for.
    """

    __slots__ = (
        "first",
        "group",
        "meta",
        "number",
        "output",
        "own",
        "plain",
        "retains",
        "seen",
        "storage",
    )

    def __init__(self, number: int, meta: Meta, storage: StorageRecord, group: Group) -> None:
        self.number = number
        self.meta = meta
        self.storage = storage
        self.group = group
        if storage.eldest < 0:
            storage.eldest = number
        if group.eldest < 0:
            group.eldest = number
        self.retains = False
        self.first: bool | None = None
        self.own: tuple[int, Value] | None = None
        self.plain: tuple[int, Value] | None = None
        self.output = -1
        self.seen = 0
        leave_to_reference_counts(self)

    @property
    def layout(self) -> Layout:
        return self.meta.layout


class FunctionRecord:
    """A custom function in the graph: the piece of its joined value that each differentiable output
    is, and (tensor number, version) of what it has saved for its backward.
    """

    __slots__ = ("pieces", "saved")

    def __init__(self, pieces: tuple[Value, ...], saved: tuple[tuple[int, int], ...]) -> None:
        self.pieces = pieces
        self.saved = saved
