"""What tensors show of memory and of its history, and what is written through them (the notes are
in trace.py).
"""

from __future__ import annotations

import weakref
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.errors import WRITTEN_TWICE
from flambeau.core.shapes import (
    is_dense,
    overlaps_itself,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record.kept import Keeps
from flambeau.record.layouts import flatten, layout_value, saved_origin, shown_value, untracked
from flambeau.record.meta import Meta
from flambeau.record.records import (
    FunctionRecord,
    Group,
    Origin,
    StorageRecord,
    TensorRecord,
    origin_of,
)
from flambeau.record.regions import Spans
from flambeau.record.restricted import follows_base, refusal


class Contents:
    """Tensors, storages and values so far; grad mode; what backward passes have freed."""

    def __init__(self, grad_mode: bool) -> None:
        self.grad_mode = grad_mode
        self.autocast: Any = None  # what casts the operands of an op, where autocast is on
        self.autocasts = False  # whether it has
        self.spans = Spans()  # of the values that are computed again on the way back
        self.tensors: list[TensorRecord] = []
        self.bases: list[StorageRecord] = []
        self.scalars: list[DType] = []
        self.imported: list[int] = []  # the bases that are values saved by earlier programs
        self.histories: list[Any] = []  # what each history input stands for
        self.leaves: list[int] = []  # tensor number of each leaf
        self.entered: set[int] = set()  # tensors that came from outside
        # What has entered by itself, though it is part of memory that has entered before.
        self.parts: dict[StorageRecord, StorageRecord] = {}
        self.passing: set[int] = set()  # those that have their own history, not their memory's
        self.origins: dict[Value, Origin | None] = {}  # None: a value of its own
        self.views: dict[Value, int] = {}  # what tensors that are views show, with their history
        self.silenced = False  # whether something was written through `x.data`
        self.freed: set[Value] = set()
        # Passes through the program that ran here: where they lead (see `autograd.known_passes`).
        self.passes: dict[Any, Any] = {}
        # What frames of its programs keep, and the copies of this trace that say so.
        self.keeps: Keeps | None = None
        self.keeping: dict[Any, Any] = {}
        self.marks: list[int] = []  # where in the order of values each event begins
        self.cuts: list[
            tuple[Value, tuple[Value | None, ...] | None]
        ] = []  # Python code in the graph
        self.functions: dict[Value, FunctionRecord] = {}  # by their cut
        self.event = ""
        self.name = ""  # of the event
        self.place: Any = None  # where it stands, if it was recorded just now and only entered
        self.levels: list[Any] = []  # the calls of vmap under way (see `mapping`)
        # With `watch_nan`: (order of values, forward value, its trace) where derivatives begin.
        self.derived: list[tuple[int, Value, Contents]] = []
        self.changed: dict[int, Meta] = {}
        self._state: Any = None

    @property
    def state(self) -> Any:
        """Which state of the tree this is the trace of; None where that has been forgotten.

        A weak reference: traces outlive their states as history, and states have histories in
        their keys, so that nothing would ever be forgotten.
        """
        return None if self._state is None else self._state()

    @state.setter
    def state(self, state: Any) -> None:
        self._state = weakref.ref(state)

    # ---- reading and writing ---------------------------------------------------------------------

    def data(self, storage: StorageRecord) -> Value:
        """The storage's elements now, flat and without history."""
        if storage.data is None:
            storage.data = self.flat(self.tensors[storage.eldest].group)
        return storage.data

    def flat(self, group: Group) -> Value:
        """The group's elements now, flat, with history."""
        self._synchronise(group)
        if group.flat is None and group.leaf is not None:
            group.flat = source.leaf(untracked(self.data(group.storage)), group.leaf)
        elif group.flat is None:
            for (shape, strides, offset), value in group.values.items():
                if offset == 0 and value.size == group.storage.size and is_dense(shape, strides):
                    group.flat = flatten(value, shape, strides)
                    break
            else:
                group.flat = untracked(self.data(group.storage))
        return group.flat

    def _synchronise(self, group: Group) -> None:
        storage = group.storage
        if group.version == storage.version:
            return
        hooked = self._hooked(group)
        group.version = storage.version
        group.values.clear()
        data = untracked(self.data(storage))
        if group.leaf is not None:
            group.flat = source.leaf(data, group.leaf)
        elif group.flat is not None and group.flat.tracked:
            group.flat = source.relink(data, group.flat)
        else:
            group.flat = data
        self._keep_hooked(group, hooked)

    def _hooked(self, group: Group) -> list[tuple[TensorRecord, Value]]:
        """The members at which Python code stands or that have a history of their own, with their
        values.
        """
        if not (self.cuts or self.passing):
            return []
        marked = {value for value, _ in self.cuts}
        members = [t for t in self.tensors if t.group is group]
        values = [self._own_value(tensor) for tensor in members]
        return [
            (t, v)
            for t, v in zip(members, values, strict=True)
            if v is not None and (v in marked or t.number in self.passing)
        ]

    def _own_value(self, tensor: TensorRecord) -> Value | None:
        if tensor.own is not None and tensor.own[0] == tensor.group.version:
            return tensor.own[1]
        return tensor.group.values.get(tensor.layout)

    def _keep_hooked(self, group: Group, hooked: list[tuple[TensorRecord, Value]]) -> None:
        """After a write that autograd does not see: gradients still pass where hooks stand."""
        for tensor, value in hooked:
            shown = layout_value(untracked(self.flat(group)), *tensor.layout)
            own = source.relink(shown, value)
            tensor.own = group.version, own
            self._note(own, tensor, tensor.meta.grad_name or "")

    def _note(self, value: Value, tensor: TensorRecord, name: str) -> None:
        """The value is what the tensor shows of its memory now."""
        storage = tensor.storage
        silent = None if tensor.meta.silent else storage.silent
        self.origins[value] = origin_of(storage, storage.version, name, silent, tensor.layout)

    def current(self, value: Value) -> Value:
        """What derivatives see of a value: what is there now, if written through `x.data`."""
        origin = self.origins.get(value)
        if origin is not None and origin.changed:
            found = layout_value(untracked(self.data(origin.storage)), *origin.layout)
            return source.relink(found, value) if value.tracked else found
        if value not in self.origins and value.primitive.family == VIEW and len(value.inputs) == 1:
            shown = self.current(value.inputs[0])
            if shown is not value.inputs[0]:
                return value.primitive(shown, **value.attrs)
        return value

    def tracked_value(self, number: int) -> Value:
        """The tensor's value with its history, whatever the grad mode."""
        tensor = self.tensors[number]
        group = tensor.group
        self._synchronise(group)
        value = self._own_value(tensor)
        if value is None:
            value = shown_value(self.flat(group), tensor.meta)
            group.values[tensor.layout] = value
            if value.tracked and not self.is_base(tensor):
                self.views[value] = number
        elif value.tracked and self._is_anothers(value, tensor):
            value = layout_value(self.flat(group), *tensor.layout)
            tensor.own = group.version, value
        else:
            return value
        self._note(value, tensor, tensor.meta.grad_name or "")
        return value

    def _is_anothers(self, value: Value, tensor: TensorRecord) -> bool:
        """Whether the value of a tensor's layout is that of another tensor of its group, at which
        hooks may stand.
        """
        if value is tensor.group.home:
            return not self.is_base(tensor)
        return self.views.get(value, tensor.number) != tensor.number

    def value_to_cut(self, number: int) -> Value:
        """The tensor's value, which stands on the way to all that is made of its memory from now
        on where it is the one that others are views of.
        """
        tensor, value = self.tensors[number], self.tracked_value(number)
        group, (shape, strides, offset) = tensor.group, tensor.layout
        whole = offset == 0 and value.size == group.storage.size and is_dense(shape, strides)
        shown = group.home is None and group.values.get(tensor.layout) is value
        if whole and shown and group.leaf is None and value.tracked and self.is_base(tensor):
            group.flat = flatten(value, shape, strides)
            group.values = {tensor.layout: value}
        return value

    def gradient_value(self, number: int) -> Value:
        """The value whose gradient is the tensor's."""
        tensor = self.tensors[number]
        home = tensor.group.home
        if home is not None and home.tracked and self.is_base(tensor):
            return home
        return self.tracked_value(number)

    def check_current(self, number: int) -> None:
        """RuntimeError where a restricted view joins the graph after its base was written."""
        if self.grad_mode and self.tensors[number].meta.born is not None:
            self.check_view(number)

    def check_view(self, number: int) -> None:
        """RuntimeError where a restricted view's base was written since the view was made."""
        tensor = self.tensors[number]
        if tensor.seen != tensor.storage.version and follows_base(tensor.meta):
            raise RuntimeError(refusal(tensor.meta, tensor.output, indirect=True))

    def read(self, number: int) -> Value:
        """The tensor's value as ops see it now."""
        if self.grad_mode:
            self.check_current(number)
            return self.tracked_value(number)
        tensor = self.tensors[number]
        if tensor.group.leaf is not None:
            return self._data_value(tensor)
        value = self.tracked_value(number)
        return source.detach(value) if value.tracked else value

    def _data_value(self, tensor: TensorRecord) -> Value:
        """What a tensor shows of its memory now, without history: a leaf's, outside of autograd."""
        version, known = tensor.storage.version, tensor.plain
        if known is None or known[0] != version:
            value = shown_value(untracked(self.data(tensor.storage)), tensor.meta)
            self._note(value, tensor, tensor.meta.grad_name or "")
            tensor.plain = known = version, value
        return known[1]

    def read_before_write(self, number: int) -> Value:
        """What an in-place op reads of its target: its derivative may use it after the write
        (PyTorch clones it). Of a view it reads the memory: hooks of the view are passed by.
        """
        value, tensor = self.read(number), self.tensors[number]
        hooked = self.cuts or self.passing or tensor.own is not None
        if hooked and value.tracked and not self.is_base(tensor):
            flat = self.flat(tensor.group)
            value = layout_value(view.reshape(flat, shape=flat.shape), *tensor.layout)
        return self.copy_of(value)

    def copy_of(self, value: Value) -> Value:
        """The value as one of its own: what derivatives need of it is not asked of the memory that
        it was read from.
        """
        kept = view.reshape(value, shape=value.shape)
        self.origins[kept] = None
        return kept

    def write(
        self, number: int, value: Value, *, grad_name: str = "CopySlices", reads: bool = True
    ) -> None:
        """In-place write through a tensor: a new version of its storage. `reads`: the value was
        made from the old one (else what the old one came from gets a gradient of zero).
        """
        tensor = self.tensors[number]
        storage, group = tensor.storage, tensor.group
        shape, strides, offset = tensor.layout
        assert value.shape == shape and value.dtype is tensor.meta.dtype, (value, tensor.meta)
        self.check_writable(number, tracked=value.tracked)
        if self.levels:
            value = self._mapped(tensor, value)
        if not self.grad_mode and value.tracked:
            value = source.detach(value)
        value = self._of_its_own(value)
        whole = offset == 0 and value.size == storage.size and is_dense(shape, strides)
        if whole:
            flat = flatten(value, shape, strides)
            if tensor.meta.requires_grad and self.grad_mode and not (flat.tracked and reads):
                old = self.flat(group)
                if self.is_base(tensor):
                    past = view.strided_scatter(old, flat, strides=(1,), offset=0)
                else:  # as of any other part: the gradient's zeros are written into a copy of it
                    past = el.where(ar.full(flat.shape, False, dtypes.bool_), old, flat)
                flat = source.relink(flat, past) if past.tracked else flat
                whole = whole and not past.tracked
        else:
            old = self.flat(group)
            if not self.grad_mode:
                old = untracked(old)
            flat = view.strided_scatter(old, value, strides=strides, offset=offset)
        history = group.flat if group.flat is not None else self.flat(group)
        storage.data = flat if not flat.tracked else source.detach(flat)
        hooked = [] if self.grad_mode else self._hooked(group)
        if self.grad_mode and self.passing:
            self.passing -= {t.number for t in self.tensors if t.group is group}
        storage.version += 1
        if tensor.meta.silent:
            storage.silent += 1
            self.silenced = True
        group.version = storage.version
        group.values.clear()
        if group.leaf is not None:
            group.flat = source.leaf(untracked(flat), group.leaf)
        elif not self.grad_mode and history.tracked:
            group.flat = source.relink(flat, history)
        else:
            group.flat, group.home = flat, None
            if whole and self.is_base(tensor):
                group.values[tensor.layout] = group.home = value
                self._note(value, tensor, grad_name)
            elif flat.tracked:
                self._lead_through_base(group)
        self._renew_origin(group, tensor.meta.silent)
        self._keep_hooked(group, hooked)
        self._mark_history(group, number, grad_name)

    def _lead_through_base(self, group: Group) -> None:
        """What was written through a view is shown by the tensor that it is a view of, and what is
        made of the memory from now on is made of that: its hooks may be registered later.
        """
        assert group.flat is not None
        base: TensorRecord | None = self.tensors[group.eldest]
        if base is not None and not self.is_base(base):  # it has entered before its base
            base = next((t for t in self.tensors if t.group is group and self.is_base(t)), None)
        if base is None or base.meta.numel != group.storage.size or not base.meta.numel:
            return
        shape, strides, offset = base.layout
        if offset == 0 and is_dense(shape, strides):
            group.home = group.values[base.layout] = layout_value(group.flat, *base.layout)
            self._note(group.home, base, base.meta.grad_name or "")
            group.flat = flatten(group.home, shape, strides)

    def _mapped(self, tensor: TensorRecord, value: Value) -> Value:
        from flambeau.record.mapping import written  # of a later file: events need traces

        return written(self, tensor, value, self.name)

    def _renew_origin(self, group: Group, silent: bool) -> None:
        """What was written may have been read from that very memory (`x[...] += 1` writes what it
        has just written): it is up to date all the same.
        """
        storage = group.storage
        for flat in (storage.data, group.flat):
            found = None if flat is None else saved_origin(flat, self.origins)
            if flat is None or found is None or found.storage is not storage:
                continue
            if found.version != storage.version:
                counted = None if silent else storage.silent
                layout = (flat.shape, (1,), 0)
                self.origins[flat] = origin_of(storage, storage.version, "", counted, layout)

    def is_base(self, tensor: TensorRecord) -> bool:
        """Whether a tensor is the first of its group: what is written to others changes it."""
        if tensor.first is not None:
            return tensor.first
        return tensor.group.eldest == tensor.number

    def regroup(self, tensor: TensorRecord, group: Group) -> None:
        """The tensor goes over to a new group."""
        old, tensor.group, group.eldest = tensor.group, group, tensor.number
        if old.eldest == tensor.number:
            others = (t.number for t in self.tensors if t.group is old)
            old.eldest = next(others, -1)

    def _of_its_own(self, value: Value) -> Value:
        """The value, as another one where it is already that of some tensor (a derivative that
        needs it must know which of the two it was read from), or a run-time number, whose dtype
        counts for less than that of a tensor.
        """
        old = value in self.origins or (self.marks and value.order <= self.marks[-1])
        if old or ar.is_scalar(value):
            return view.reshape(value, shape=value.shape)
        return value

    def _mark_history(self, group: Group, written: int, grad_name: str) -> None:
        """Tensors of the group take on the history that the write gave their data."""
        if (
            group.leaf is not None
            or group.flat is None
            or not group.flat.tracked
            or not self.grad_mode
        ):
            return
        through_view = self.tensors[written].output >= 0
        for tensor in self.tensors:
            if tensor.group is group:
                name = "CopySlices" if through_view else grad_name
                if tensor.meta.born is not None:
                    self._mark_restricted(tensor)
                    continue
                if tensor.output >= 0:
                    name = "AsStridedBackward0"
                elif tensor.number != written and tensor.number in self.entered:
                    name = tensor.meta.grad_name or "AsStridedBackward0"
                self.change_meta(
                    tensor.number,
                    tensor.meta.replaced(requires_grad=True, is_leaf=False, grad_name=name),
                )

    def _mark_restricted(self, tensor: TensorRecord) -> None:
        """Such a view's own function is not made anew: it is out of date from now on."""
        meta = tensor.meta
        if not meta.requires_grad:
            self.change_meta(tensor.number, meta.replaced(requires_grad=True, is_leaf=False))

    def change_meta(self, number: int, meta: Meta) -> None:
        if self.tensors[number].meta is not meta:
            self.tensors[number].meta = meta
            self.changed[number] = meta

    def check_writable(self, number: int, *, tracked: bool = False) -> None:
        """RuntimeError where PyTorch refuses an in-place write (of a value that is tracked)."""
        tensor = self.tensors[number]
        meta = tensor.meta
        if self.grad_mode and meta.born is not None and (tracked or meta.requires_grad):
            raise RuntimeError(refusal(meta, tensor.output, indirect=False))
        if self.grad_mode and tensor.group.leaf is not None:
            what = (
                "a leaf Variable"
                if self.leaves[tensor.group.leaf] == number
                else ("a view of a leaf Variable")
            )
            raise RuntimeError(f"{what} that requires grad is being used in an in-place operation.")
        if overlaps_itself(meta.shape, meta.strides):
            raise RuntimeError(WRITTEN_TWICE)

    def take_changes(self) -> tuple[tuple[int, Meta], ...]:
        """The metas that the current event changed, forgotten."""
        effects = tuple(self.changed.items())
        self.changed = {}
        return effects
