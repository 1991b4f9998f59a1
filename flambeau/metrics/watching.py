"""What happens around every `update` and `compute` of a metric."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import LOCAL, Tensor, end_step, set_grad_enabled
from flambeau.metrics.utilities.data import mapped
from flambeau.metrics.utilities.prints import rank_zero_warn


class _Depth(threading.local):
    """How many metrics of a thread are under way, one inside another."""

    metrics = 0


_DEPTH = _Depth()


def _learning() -> bool:
    """Whether something was recorded that a backward pass may come to."""
    for handle in LOCAL.rec.handles:
        meta = handle._meta
        if meta.requires_grad and not meta.is_leaf:
            return True
    return False


class one_batch:
    """What is recorded inside belongs to one batch; without gradients the step ends with it.

    So an evaluation is one small program a batch, model and metrics together. In training the
    optimizer ends the step, and a metric between forward and backward must not, even where
    gradients are switched off for it.
    """

    def __enter__(self) -> None:
        _DEPTH.metrics += 1

    def __exit__(self, *_: object) -> None:
        _DEPTH.metrics -= 1
        if not _DEPTH.metrics and not LOCAL.grad_mode and not _learning():
            end_step()


def watched_update(update: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(update)
    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        if self._inside:  # super().update(): the outer call is the one that counts
            update(self, *args, **kwargs)
            return
        self._computed = None
        self._update_count += 1
        self._inside = True
        try:
            with one_batch():
                if LOCAL.grad_mode is self._in_forward:
                    update(self, *args, **kwargs)
                else:
                    with set_grad_enabled(self._in_forward):
                        update(self, *args, **kwargs)
        finally:
            self._inside = False
        if self.compute_on_cpu and not self._in_forward:
            self._lists_to_cpu()

    counted._watched = True  # type: ignore[attr-defined]
    return counted


def watched_compute(compute: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compute)
    def kept(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._inside:
            return compute(self, *args, **kwargs)
        if not self.update_called:
            rank_zero_warn(
                f"The ``compute`` method of metric {type(self).__name__} was called before the "
                "``update`` method which may lead to errors, as metric states have not yet been "
                "updated.",
                UserWarning,
                stacklevel=3,
            )
        if self._computed is not None:
            return self._computed
        self._settle_doubts()
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self.dist_sync_on_step if self._in_forward else self.sync_on_compute,
            should_unsync=not self._in_forward,
        ):
            self._inside = True
            try:
                value = mapped(compute(self, *args, **kwargs), _own)
            finally:
                self._inside = False
        if self.compute_with_cache:
            self._computed = value
        return value

    kept._watched = True  # type: ignore[attr-defined]
    return kept


def unwatched(method: Callable[..., Any]) -> Callable[..., Any]:
    """An `update` or `compute` that is not counted or kept."""
    method._watched = True  # type: ignore[attr-defined]
    return method


def _own(value: Tensor) -> Tensor:
    """A copy that later updates do not change; without dimensions if it is one number."""
    value = value.clone()
    return value.squeeze() if value.numel() == 1 and value.dim() else value
