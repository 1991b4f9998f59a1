"""The ways in which Flambeau can run a program."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau.graph import late_products, sparse_rows
from flambeau.record import misses, worth
from flambeau.record.options import OPTIONS

MODES: dict[str, dict[str, Any]] = {
    "sync": {"sync": True},
    "reference": {"executor": "reference"},
    "compiled": {"executor": "compiled"},
    "recognised": {"executor": "auto"},
    "replayed": {"executor": "compiled", "settled": 0},
    "late": {"executor": "compiled"},
    "often": {"executor": "auto"},
    "cut": {"executor": "reference"},
}
# Every product and every table that can be is left to whoever looks at it, however small, whoever
# else reads it.
LATE: list[tuple[Any, str, Any]] = [
    (late_products, "_is_for_updates", lambda *operands: True),
    (late_products, "LEAST_BYTES", 0),
    (late_products, "LEAST_SHARE", 0),
    (sparse_rows, "LEAST_BYTES", 0),
    (sparse_rows, "LEAST_SHARE", 1),
    (worth, "PRODUCTS_PER_BYTE", 1 << 40),
]


class Cuts:
    """Recordings end at places that nobody would choose."""

    def __init__(self) -> None:
        self.rng = random.Random(0)

    def __call__(self, rec: Any) -> bool:
        return usual_end(rec) or (rec.state.ops > 0 and self.rng.random() < 0.2)


usual_end = misses.must_flush


@contextmanager
def mode(name: str) -> Iterator[None]:
    """Runs a block in a mode, with default options otherwise."""
    chosen: dict[str, Any] = {"sync": False, "executor": "auto", "settled": 16, **MODES[name]}
    changes: list[tuple[Any, str, Any]] = [(OPTIONS, *pair) for pair in chosen.items()]
    changes += LATE if name == "late" else []
    if name == "cut":
        misses.forget_all()
        changes.append((misses, "must_flush", Cuts()))
    before = [(thing, field, getattr(thing, field)) for thing, field, _ in changes]
    for thing, field, value in changes:
        setattr(thing, field, value)
    try:
        yield
    finally:
        for thing, field, value in before:
            setattr(thing, field, value)
