"""The ways in which Flambeau can run a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau.record.options import OPTIONS

MODES: dict[str, dict[str, Any]] = {
    "sync": {"sync": True},
    "reference": {"executor": "reference"},
    "compiled": {"executor": "compiled"},
    "recognised": {"executor": "auto"},
    "replayed": {"executor": "compiled", "settled": 0},
}


@contextmanager
def mode(name: str) -> Iterator[None]:
    """Runs a block in a mode, with default options otherwise."""
    chosen: dict[str, Any] = {"sync": False, "executor": "auto", "settled": 16, **MODES[name]}
    before = {field: getattr(OPTIONS, field) for field in chosen}
    for field, value in chosen.items():
        setattr(OPTIONS, field, value)
    try:
        yield
    finally:
        for field, value in before.items():
            setattr(OPTIONS, field, value)
