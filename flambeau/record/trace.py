"""The symbolic recording: what the slow path knows at a place of the tree.

A trace is built from event keys alone (see Note: only the key). Tensors view storages; autograd
groups are the tensors that share a differentiable base. Data is a flat value per storage, history a
flat value per group:

Note: data and history
    A storage's `data` is the value of its elements now. A group's `flat` is the same elements with
    the history that autograd gives them. They part when data is overwritten behind autograd's back
    (under no_grad, through a detached alias): the group then continues as relink(data, old
    history), the new numbers with the old derivative, as PyTorch has it.

Note: only the key
    Everything an event does to a trace is a function of its key. So a trace can be made again from
    the keys on the path to a state, and a stream that takes a known path needs no trace at all.
"""

from __future__ import annotations

import copy

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import (
    Shape,
    Strides,
    is_dense,
    storage_extent,
)
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.record.contents import Contents
from flambeau.record.kept import Keeps
from flambeau.record.layouts import flatten, layout_value, untracked
from flambeau.record.meta import Meta, meta_of
from flambeau.record.records import (
    Group,
    StorageRecord,
    TensorRecord,
    origin_of,
)
from flambeau.record.restricted import birth
from flambeau.record.storage import HOPELESS, too_large

SCALAR_DTYPES: dict[type, DType] = {
    bool: dtypes.bool_,
    int: dtypes.int64,
    float: dtypes.float64,
    complex: dtypes.complex128,
}


class Trace(Contents):
    """What is known at a place of the tree: tensors come in, and new ones are made."""

    def that_keeps(self, roots: tuple[Value, ...], keeps: Keeps) -> Trace:
        """This trace as the history of a program that keeps certain values for passes from roots:
        passes through it are others than those through programs that keep more.
        """
        key = roots, keeps.computed, keeps.turned
        found = self.keeping.get(key)
        if found is None:
            found = self.keeping[key] = copy.copy(self)
            found.keeps, found.passes, found.keeping = keeps, {}, {}
        return found

    @property
    def computed(self) -> frozenset[Value]:
        """The values that passes compute again from those that are kept."""
        return frozenset() if self.keeps is None else self.keeps.computed

    # ---- tensors in and out ----------------------------------------------------------------------

    def enter(self, meta: Meta) -> TensorRecord:
        """A tensor from outside over a storage new to the recording."""
        rows = meta.steps is None
        size = meta.numel if rows else storage_extent(meta.shape, meta.strides)
        storage = StorageRecord(meta.dtype, size, len(self.bases))
        self.bases.append(storage)
        return self._enter(meta, storage)

    def enter_alias(self, meta: Meta, base: int, offset: int) -> TensorRecord:
        """A tensor from outside over a storage that has entered before, `offset` elements further
        on.
        """
        storage = self.bases[base]
        reach = offset + storage_extent(meta.shape, meta.strides)
        if meta.numel and reach > storage.size:
            self._widen(storage, reach)
        return self._enter(meta.replaced(offset=offset), storage)

    def enter_part(self, meta: Meta, base: int) -> TensorRecord:
        """A tensor from outside over part of a storage that has entered before, as a base of its
        own: see Note [Parts] in entering.py.
        """
        record = self.enter(meta)
        self.parts[record.storage] = self.bases[base]
        return record

    def parts_written(self) -> bool:
        """Whether memory was written that has entered more than once."""
        return any(part.version or whole.version for part, whole in self.parts.items())

    def enter_again(self, meta: Meta, number: int) -> TensorRecord:
        """Leaf tensor `number`, whose memory others may have written, enters with new data."""
        record = self.enter(meta.replaced(requires_grad=False))
        group = record.group
        group.leaf = self.tensors[number].group.leaf
        assert group.leaf is not None and group.flat is None
        group.flat = source.leaf(self.data(record.storage), group.leaf)
        record.meta = meta
        return record

    def enter_copy(self, meta: Meta, number: int) -> TensorRecord:
        """Tensor `number`, whose memory others may have written, enters with new data and the
        history that it has.
        """
        plain = meta.replaced(requires_grad=False, is_leaf=True, grad_name=None)
        record = self.enter(plain)
        value = self.tracked_value(number)
        group = self._history_of(record, value)
        self.regroup(record, group)
        group.entered = group.flat
        record.meta = meta
        return record

    def enter_history(
        self,
        first: bool,
        meta: Meta,
        offset: int,
        at: int,
        size: int,
        extent: int,
        base: int = -1,
    ) -> TensorRecord:
        """A tensor, `offset` elements into a base, with history in an earlier program.

        The history is that of the `size` elements from `at` on. The base has entered before, else
        it is a new one; it has `extent` elements at least.
        """
        if base < 0:
            storage = StorageRecord(meta.dtype, extent, len(self.bases))
            storage.data = source.program_input("base", len(self.bases), (extent,), meta.dtype)
            self.bases.append(storage)
        else:
            storage = self.bases[base]
            if extent > storage.size:
                self._widen(storage, extent)
        data = self.data(storage)
        if (at, size) != (0, storage.size):
            data = view.slice_(data, starts=(at,), sizes=(size,), steps=(1,))
        group = Group(storage)
        group.flat = source.history(data, len(self.histories), data)
        self.histories.append(len(self.tensors))
        if (at, size) != (0, storage.size):
            grown = view.pad(
                group.flat, low=(at,), high=(storage.size - at - size,), interior=(0,), value=0
            )
            group.flat = source.relink(self.data(storage), grown)
        return self._enter_into(group, meta.replaced(offset=offset), first)

    def enter_member(self, first: bool, meta: Meta, number: int, distance: int) -> TensorRecord:
        """A tensor with the history of tensor `number`, `distance` elements into their base."""
        group = self.tensors[number].group
        reach = distance + storage_extent(meta.shape, meta.strides)
        if meta.numel and reach > group.storage.size:
            self._widen(group.storage, reach)
        if group.leaf is None and self.flat(group).tracked and not meta.requires_grad:
            meta = meta.replaced(requires_grad=True, is_leaf=False, grad_name="AsStridedBackward0")
        if first:  # those that entered before are its views
            for tensor in self.tensors:
                if tensor.group is group:
                    tensor.first = False
            group.home = None
        record = self._enter_into(group, meta.replaced(offset=distance), first)
        if group.values.get(record.layout) in self.views:  # by way of another one, and its hooks
            record.own = group.version, layout_value(self.flat(group), *record.layout)
            self._note(record.own[1], record, meta.grad_name or "")
        return record

    def enter_own(self, number: int) -> bool:
        """Tensor `number` has entered; it gets a history of its own, that of its value where it was
        made. Not where its memory has got another one in this recording before: whether it did.
        """
        tensor = self.tensors[number]
        if tensor.group.leaf is None and not self.unchanged(tensor.group):
            self.histories.append(number)  # which nothing leads to
            return False
        shown = layout_value(untracked(self.flat(tensor.group)), *tensor.layout)
        own = source.history(shown, len(self.histories), shown)
        self.histories.append(number)
        tensor.own = tensor.group.version, own
        self.passing.add(number)
        self._note(own, tensor, tensor.meta.grad_name or "")
        return True

    def _enter_into(self, group: Group, meta: Meta, first: bool) -> TensorRecord:
        record = TensorRecord(len(self.tensors), meta, group.storage, group)
        record.first = first
        self.entered.add(record.number)
        self.tensors.append(record)
        return record

    def unchanged(self, group: Group) -> bool:
        """Whether the group's history is still the one that it entered with."""
        flat = self.flat(group)
        if group.entered is not None:
            return flat is group.entered
        while flat.primitive.name in ("relink", "pad"):
            flat = flat.inputs[1 if flat.primitive.name == "relink" else 0]
        return flat.primitive.name == "history" and flat.attrs["frame"] >= 0

    def _enter(self, meta: Meta, storage: StorageRecord) -> TensorRecord:
        if storage.data is None:
            storage.data = source.program_input(
                "base", storage.base, (storage.size,), storage.dtype
            )
        number = len(self.tensors)
        group = Group(storage)
        if meta.requires_grad:
            assert meta.is_leaf, meta
            group.leaf = len(self.leaves)
            self.leaves.append(number)
            if self.grad_mode:  # (else hardly anybody asks for it)
                group.flat = source.leaf(storage.data, group.leaf)
        record = TensorRecord(number, meta, storage, group)
        self.entered.add(number)
        self.tensors.append(record)
        return record

    def _widen(self, storage: StorageRecord, size: int) -> None:
        """An alias reaches further than the base was known to: rebuild its values over more
        elements.
        """
        old, extent = storage.data, storage.size
        assert old is not None
        for tensor in self.tensors:
            if tensor.storage is storage and tensor.group.leaf is not None:
                self.flat(tensor.group)
        storage.size = size
        if old.primitive is source.input_ and old.attrs["role"] == "base":
            storage.data = source.program_input("base", storage.base, (size,), storage.dtype)
        else:
            whole = source.program_input("base", storage.base, (size,), storage.dtype)
            storage.data = view.strided_scatter(whole, old, strides=(1,), offset=0)
        for tensor in self.tensors:
            group = tensor.group
            if (
                group.storage is storage
                and group.flat is not None
                and group.flat.shape[0] == extent
            ):
                grown = view.pad(
                    group.flat, low=(0,), high=(size - extent,), interior=(0,), value=0
                )
                group.flat = source.relink(storage.data, grown) if group.flat.tracked else None

    def new_tensor(
        self,
        value: Value,
        *,
        strides: Strides | None = None,
        grad_name: str | None = None,
        leaf: bool = False,
    ) -> TensorRecord:
        """A tensor with a new storage that holds `value`, dense with the given strides."""
        if not self.grad_mode and value.tracked:
            value = source.detach(value)
        size, tracked = value.size, value.tracked
        nbytes = size * value.dtype.itemsize
        if nbytes >= HOPELESS:
            raise RuntimeError(too_large(tuple(value.shape), nbytes))
        value = self._of_its_own(value)
        meta = meta_of(
            value.dtype,
            value.shape,
            strides,
            0,
            tracked,
            not tracked,
            grad_name if tracked else None,
        )
        storage = StorageRecord(value.dtype, size, None)
        group = Group(storage)
        record = TensorRecord(len(self.tensors), meta, storage, group)
        group.values[record.layout] = group.home = value
        name = self.event if tracked else ""
        self.origins[value] = origin_of(storage, 0, name, 0, record.layout)
        self.tensors.append(record)
        return record

    def new_view(
        self,
        parent: TensorRecord,
        shape: Shape,
        strides: Strides,
        offset: int,
        value: Value | None,
        grad_name: str | None,
        *,
        detached: bool = False,
        output: int | None = None,
        silent: bool = False,
    ) -> TensorRecord:
        """A tensor over the same storage with another layout; `value` is its value if already
        known, `output` its number where an op makes several.
        """
        group = parent.group
        tracked = parent.meta.requires_grad and self.grad_mode and not detached
        alone = parent.meta.requires_grad and not self.grad_mode and not detached
        if detached or alone:
            group = Group(parent.storage)
        if alone:  # a leaf of its own, as PyTorch has it
            group.leaf = len(self.leaves)
            self.leaves.append(len(self.tensors))
            group.flat = source.leaf(untracked(self.data(parent.storage)), group.leaf)
        meta = meta_of(
            parent.meta.dtype,
            shape,
            strides,
            offset,
            tracked or alone,
            not tracked,
            grad_name if tracked else None,
            None if detached else birth(parent.meta, self.grad_mode, output is not None),
            silent or parent.meta.silent,
        )
        record = TensorRecord(len(self.tensors), meta, parent.storage, group)
        record.output = -1 if detached else output or 0
        record.seen = parent.storage.version
        if value is not None and group is parent.group:
            if value.tracked and value is self._own_value(parent):  # hooks stand at one of the two
                value = view.reshape(value, shape=value.shape)
            known = group.values.setdefault(record.layout, value)
            if known is not value and value.tracked:
                record.own = group.version, value
            if value.tracked:
                self.views[value] = record.number
        self.tensors.append(record)
        return record

    def new_alias(
        self, parent: TensorRecord, value: Value, grad_name: str, born: str | None
    ) -> TensorRecord:
        """A tensor over the parent's elements, with a history of its own: that of `value`."""
        storage, group = parent.storage, self._history_of(parent, value)
        group.values[parent.layout] = group.home = value
        meta = parent.meta.replaced(
            requires_grad=True, is_leaf=False, grad_name=grad_name, born=born
        )
        record = TensorRecord(len(self.tensors), meta, storage, group)
        record.seen = storage.version
        self.tensors.append(record)
        return record

    def _history_of(self, parent: TensorRecord, value: Value) -> Group:
        """A group over the parent's memory whose history is that of `value`, the parent's size."""
        shape, strides, offset = parent.layout
        storage, group = parent.storage, Group(parent.storage)
        data = untracked(self.data(storage))
        if offset == 0 and value.size == storage.size and is_dense(shape, strides):
            group.flat = source.relink(data, flatten(value, shape, strides))
        else:
            history = view.strided_scatter(data, value, strides=strides, offset=offset)
            group.flat = source.relink(data, history)
        return group

    def scalar(self, kind: type) -> Value:
        """A new run-time scalar of a Python number type."""
        dtype = SCALAR_DTYPES[kind]
        self.scalars.append(dtype)
        return source.program_input("scalar", len(self.scalars) - 1, (), dtype)

    def set_grad_mode(self, mode: bool) -> None:
        """Grad mode from here on. Leaves are older than what is made of them (`marks`)."""
        if mode and not self.grad_mode:
            for group in [self.tensors[number].group for number in self.leaves]:
                if group.leaf is not None:
                    self.flat(group)
        self.grad_mode = mode
