"""A hint where gradients are added up, step after step, since nobody ever zeroes them."""

from __future__ import annotations

from typing import Any

from flambeau.record.places import warn_user

STEPS = 20  # updates of a parameter with one sum of gradients, from which on it is no plan
WORDS = (
    "the gradients of this model have been added up over {steps} updates of its parameters and "
    "never zeroed: call optimizer.zero_grad() in each step (more: flambeau help gradients)"
)


def watch_sums(leaf: Any) -> None:
    """Warns, once a line, where a leaf was updated while its gradient has only been added to.

    What else is done to the gradient (zeroed, clipped) or two passes for one update begin the count
    anew, as does a recording of several steps, which is not looked into.
    """
    gradient, storage = leaf._grad, leaf._storage
    if gradient is None or storage is None or gradient._storage is None:
        return
    now, updated = gradient._storage.version, storage.version
    count, then, before = gradient.__dict__.get("_summed", (0, -1, -1))
    count = count + 1 if now - then == 1 and updated != before else 0
    gradient.__dict__["_summed"] = count, now, updated
    if count == STEPS:
        warn_user(WORDS.format(steps=STEPS))
