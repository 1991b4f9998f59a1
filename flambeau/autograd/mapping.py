"""A function of slices, recorded once for all of them: what `vmap` and Jacobians stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.record import recorder
from flambeau.record.mapping import (
    ABANDON_MAP,
    ENTER_MAP,
    LEAVE_MAP,
    Call,
    Mark,
    NotTheSame,
    Unbatched,
)
from flambeau.record.recording import LOCAL
from flambeau.tensor.tensor import Tensor

__all__ = [
    "NotTheSame", "Unbatched", "map_slices", "over_basis", "over_rows", "without_draws",
]  # fmt: skip


def map_slices(
    function: Callable[[list[Tensor]], tuple[Sequence[Tensor], Sequence[int | None]]],
    tensors: Sequence[Tensor],
    axes: Sequence[int],
    size: int,
    randomness: str = "error",
    lenient: bool = False,
) -> list[Tensor]:
    """The function's results for all slices of the tensors along their axes.

    The function is called once, with one slice of each; it gives its results, and for each the
    axis that its slices are to have (None: it must be the same for all). `Unbatched` where that
    cannot be (`lenient`: also where it decides by elements): nothing has happened then, and the
    slices must go one by one.
    """
    mark, outer = Mark(), LOCAL.levels
    rec, _, lanes = recorder.advance(ENTER_MAP, (tuple(tensors),), (tuple(axes), size, randomness))
    mark.moved(rec)
    call = Call(lenient)
    checks = call.checks
    LOCAL.levels = (*outer, call)
    try:
        results, places = function(lanes)
        if LOCAL.rec is not rec:
            raise Unbatched  # another thread had to run it
        leaving = (*results, *[tensor for tensor, _ in checks])
        axes_after = (*places, *[0] * len(checks))
        _, state, made = recorder.advance(LEAVE_MAP, (tuple(lanes), leaving), axes_after)
    except Unbatched:
        LOCAL.levels = outer
        mark.roll_back()
        raise
    except BaseException:
        if LOCAL.rec is rec:
            recorder.advance(ABANDON_MAP, ())
        raise
    finally:
        LOCAL.levels = outer
    count = len(results)
    for place, whole in zip(state.extra, made[count + len(checks) :], strict=True):
        tensors[place].copy_(whole.movedim(0, axes[place]))  # slices of it were written
    for (_, check), whole in zip(checks, made[count:], strict=False):
        check(whole)
    return made[:count]


def without_draws(function: Callable[[], Any]) -> Any:
    """The function's result. RuntimeError where it draws random numbers, as under `vmap`."""
    rec, _, _ = recorder.advance(ENTER_MAP, ((),), ((), 1, "error"))
    try:
        return function()
    finally:
        if LOCAL.rec is rec:
            recorder.advance(ABANDON_MAP, ())


def over_rows(
    function: Callable[[list[Tensor], bool], Sequence[Any]],
    tensors: Sequence[Tensor],
    lenient: bool = False,
) -> list[Any]:
    """The function's results (tensors or None) for all rows of the tensors, with the rows first.

    It is told whether it may be called again: where its results cannot be computed for all rows
    at once, it is called for each.
    """
    from flambeau.functional.joining import stack

    size = tensors[0].shape[0]
    found: list[Any] = []

    def once(lanes: list[Tensor]) -> tuple[list[Tensor], list[int]]:
        found[:] = function(lanes, False)
        kept = [part for part in found if part is not None]
        return kept, [0] * len(kept)

    try:
        made = iter(map_slices(once, tensors, [0] * len(tensors), size, lenient=lenient))
    except Unbatched:
        if LOCAL.levels:
            raise
        rows = [
            function([tensor[place] for tensor in tensors], place + 1 < size)
            for place in range(size)
        ]
        columns = zip(*rows, strict=True)
        return [None if column[0] is None else stack(list(column)) for column in columns]
    return [None if part is None else next(made) for part in found]


def over_basis(
    function: Callable[[Tensor], Sequence[Any]],
    like: Tensor,
    chunk: int | None = None,
    lenient: bool = False,
) -> list[Any]:
    """The function's results for each tensor like the given one that has a single 1, with these
    first; `chunk`: how many of them at once.
    """
    from flambeau.functional.counted import eye
    from flambeau.functional.joining import cat

    count = like.numel()
    basis = eye(count, dtype=like.dtype).reshape(-1, *like.shape)
    parts = [
        over_rows(lambda lanes, _: function(lanes[0]), [rows], lenient)
        for rows in (basis.split(chunk) if chunk else [basis])
    ]
    if len(parts) == 1:
        return parts[0]
    return [None if column[0] is None else cat(list(column)) for column in zip(*parts, strict=True)]
