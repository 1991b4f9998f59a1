"""The modes of a thread, as events of the recording under way: grad mode, autocast, and whether
what is recorded is computed again on the way back.
"""

from __future__ import annotations

from typing import Any

from flambeau.record.events import AUTOCAST, COMPUTED_AGAIN, GRAD_MODE
from flambeau.record.flushing import flush
from flambeau.record.misses import miss
from flambeau.record.recording import LOCAL, Flushed, root_of


def set_grad_mode(mode: bool) -> None:
    """Grad mode of this thread, as an event of the recording under way."""
    if mode != LOCAL.grad_mode:
        _set_modes(mode, LOCAL.autocast, LOCAL.again, (GRAD_MODE, mode))


def set_autocast(policy: Any) -> None:
    """Autocast of this thread, as an event of the recording under way; None turns it off."""
    if policy is not LOCAL.autocast:
        _set_modes(LOCAL.grad_mode, policy, LOCAL.again, (AUTOCAST, policy))


def set_computed_again(again: bool) -> None:
    """Whether what this thread records is computed again on the way back (record/regions.py)."""
    if again != LOCAL.again:
        _set_modes(LOCAL.grad_mode, LOCAL.autocast, again, (COMPUTED_AGAIN, again))


def _set_modes(grad_mode: bool, autocast: Any, again: bool, key: Any) -> None:
    rec = LOCAL.rec
    if rec.state.ended and not LOCAL.levels:
        flush()
        rec = LOCAL.rec
    state = None
    if rec.state.parent is not None:
        try:
            state = rec.state.next.get(key) or miss(rec, key)
        except Flushed:
            rec = LOCAL.rec
    root = root_of(grad_mode, autocast, again)
    if state is None:
        state = root
    LOCAL.grad_mode = grad_mode
    LOCAL.autocast = autocast
    LOCAL.again = again
    LOCAL.root = root
    rec.state = state
