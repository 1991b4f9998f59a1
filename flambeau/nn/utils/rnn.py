"""Sequences of different lengths in one batch: padded, packed, and lists of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from flambeau.core.dtypes import bfloat16, uint8
from flambeau.nn._torch import Tensor, as_tensor, cat, int64, tensor
from flambeau.record.meta import meta_of
from flambeau.record.recording import LOCAL
from flambeau.record.storage import Storage, allocate
from flambeau.tensor.tensor import from_storage

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences packed step by step: all first elements, all second ones, and so on.

    `batch_sizes[t]` rows of `data` belong to step t, longest sequence first; `sorted_indices` says
    which sequence of the batch stands where, and `unsorted_indices` leads back.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            # The old form: one pair.
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like pack_sequence and "
                "pack_padded_sequences in nn.utils.rnn. https://pytorch.org/docs/stable/nn.html#"
                "torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert or move the data, and move the indices with it; as `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [
            None if indices is None else indices.to(data.device)
            for indices in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *moved)

    def _converted(self, method: str) -> PackedSequence:
        return self.to(getattr(self.data, method)().dtype)

    def double(self) -> PackedSequence:
        """Convert the data to float64."""
        return self._converted("double")

    def float(self) -> PackedSequence:
        """Convert the data to float32."""
        return self._converted("float")

    def half(self) -> PackedSequence:
        """Convert the data to float16."""
        return self._converted("half")

    def long(self) -> PackedSequence:
        """Convert the data to int64."""
        return self._converted("long")

    def int(self) -> PackedSequence:
        """Convert the data to int32."""
        return self._converted("int")

    def short(self) -> PackedSequence:
        """Convert the data to int16."""
        return self._converted("short")

    def char(self) -> PackedSequence:
        """Convert the data to int8."""
        return self._converted("char")

    def byte(self) -> PackedSequence:
        """Convert the data to uint8."""
        return self._converted("byte")

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move the data to the CPU."""
        return self.to(tensor([]).device, *args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move the data to a GPU; RuntimeError without one."""
        device = args[0] if args else kwargs.pop("device", "cuda")
        return self.to(device, *args[1:], **kwargs)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return bool(self.data.is_pinned())

    def pin_memory(self) -> PackedSequence:
        """Return the sequence with its data in pinned memory."""
        return type(self)(
            self.data.pin_memory(), self.batch_sizes, self.sorted_indices, self.unsorted_indices
        )


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that leads back; None for None."""
    return None if permutation is None else permutation.argsort()


def _lengths(lengths: Any) -> list[int]:
    """The lengths as integers; RuntimeError unless a 1-d CPU int64 tensor or a list."""
    if not isinstance(lengths, Tensor):
        return [int(n) for n in lengths]
    if lengths.device.type != "cpu":
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got 1D cuda:0 Long tensor"
        )
    if lengths.dim() != 1 or lengths.dtype is not int64:
        kind = str(lengths.type()).rpartition(".")[2].removesuffix("Tensor")
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D "
            f"cpu {kind} tensor"
        )
    return [int(n) for n in lengths.tolist()]


def _batch_sizes(lengths: Sequence[int]) -> list[int]:
    """How many of the (descending) lengths reach each step."""
    sizes = []
    going = len(lengths)
    for step in range(lengths[0]):
        while lengths[going - 1] <= step:
            going -= 1
        sizes.append(going)
    return sizes


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch [T, N, *] ([N, T, *] if `batch_first`) with its N lengths."""
    lengths = _lengths(lengths)
    sorted_indices = None
    if not enforce_sorted:
        order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        sorted_indices = tensor(order, dtype=int64, device=input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
        lengths = [lengths[place] for place in order]
    _check_packing(input.transpose(0, 1) if batch_first else input, lengths, enforce_sorted)
    sizes = _batch_sizes(lengths)
    if all(size == len(lengths) for size in sizes):
        if batch_first:
            input = input.transpose(0, 1)
        data = input[: len(sizes)].flatten(0, 1)
    else:
        # One event whatever the lengths are: they are data.
        steps, rows = input.shape[1 if batch_first else 0], len(lengths)
        row, step = (steps, 1) if batch_first else (1, rows)
        places = [n * row + t * step for t, size in enumerate(sizes) for n in range(size)]
        flat = input.flatten(0, 1)
        data = flat.index_select(0, tensor(places, dtype=int64, device=input.device))
    return PackedSequence(data, tensor(sizes, dtype=int64), sorted_indices, None)


def _check_packing(input: Tensor, lengths: list[int], enforce_sorted: bool) -> None:
    """RuntimeError for lengths that do not fit; the input is [T, N, *]."""
    if input.numel() == 0 and 0 in input.shape[:2]:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != input.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={input.shape[1]})"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(before < after for before, after in itertools.pairwise(lengths)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if lengths[0] > input.shape[0]:
        raise RuntimeError(
            f"Expected sequence length to be larger than the longest length, but got "
            f"{input.shape[0]} and {lengths[0]}"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (padded [T, N, *] or [N, T, *], lengths); T is the longest or `total_length`."""
    sizes = [int(n) for n in sequence.batch_sizes.tolist()]
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        longest = total_length
    padded = _padded_steps(sequence.data, sizes, longest, padding_value)
    lengths = tensor([sum(size > place for size in sizes) for place in range(sizes[0])])
    back = sequence.unsorted_indices
    if back is not None:
        padded = padded.index_select(1, back)
        lengths = lengths[back.cpu()]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def _padded_steps(data: Tensor, sizes: list[int], longest: int, value: float) -> Tensor:
    """[longest, N, *] from packed rows."""
    rest = tuple(data.shape[1:])
    if longest * sizes[0] == sum(sizes):
        return data.reshape(longest, sizes[0], *rest)
    # One event whatever the lengths are; the row behind the others is the padding.
    places, at, none = [], 0, data.shape[0]
    for size in [*sizes, *[0] * (longest - len(sizes))]:
        places += [*range(at, at + size), *[none] * (sizes[0] - size)]
        at += size
    rows = cat([data, data.new_full((1, *rest), value)])
    padded = rows.index_select(0, tensor(places, dtype=int64, device=data.device))
    return padded.reshape(longest, sizes[0], *rest)


def _padded_at_once(
    sequences: Sequence[Tensor], longest: int, batch_first: bool, value: float, side: str
) -> Tensor | None:
    """The padded batch of sequences without history; None for others.

    Computed here and now: recorded, each set of lengths would be a stream of events of its own, and
    so would the training step that goes on from there.
    """
    first = sequences[0]
    dtype, rest = first.dtype, tuple(first.shape[1:])
    if LOCAL.capture is not None or dtype.kind not in "if" or dtype is bfloat16:
        return None
    if dtype.kind == "i" and (value != int(value) or (value < 0 and dtype is uint8)):
        return None
    if any(s.requires_grad or s.dtype is not dtype or s.shape[1:] != rest for s in sequences):
        return None
    count = len(sequences)
    shape = (count, longest, *rest) if batch_first else (longest, count, *rest)
    storage = Storage(allocate(dtype.itemsize * math.prod(shape)))
    batch = storage.array(dtype).reshape(shape)
    batch[...] = value
    for place, part in enumerate(sequences):
        rows = slice(0, len(part)) if side == "right" else slice(longest - len(part), longest)
        batch[(place, rows) if batch_first else (rows, place)] = part._array()
    return from_storage(storage, meta_of(dtype, shape))


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack tensors [L_i, *] into [T, N, *] ([N, T, *] if `batch_first`), T the longest."""
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    else:
        sequences = tuple(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(s) for s in sequences)
    filled = _padded_at_once(sequences, longest, batch_first, padding_value, padding_side)
    if filled is not None:
        return filled
    rows = []
    for part in sequences:
        short = longest - len(part)
        if short:
            filling = part.new_full((short, *part.shape[1:]), padding_value)
            part = cat([part, filling] if padding_side == "right" else [filling, part])
        rows.append(part.unsqueeze(0 if batch_first else 1))
    return cat(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Return the N sequences of a padded batch, each cut to its length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    counts = as_tensor(lengths).tolist()
    return [row[:count] for row, count in zip(padded_sequences, counts)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of tensors [L_i, *]."""
    lengths = tensor([len(s) for s in sequences], dtype=int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the list of tensors that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
