"""Hyper-parameters other than the learning rate that change from step to step.

Most never change, so they are constants of the program that a step becomes. Schedules that cycle
momentum change them in every step, though, and each value would be a program of its own. One that
has changed is therefore a run-time scalar from then on. What rules ask of it while they are
recorded (is it zero, which end of a blend is nearer) still chooses the program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

# A group's entries, and the names that rules have for the numbers in them.
NAMES = {
    "betas": ("beta1", "beta2"),
    "momentum": ("momentum",),
    "dampening": ("dampening",),
    "weight_decay": ("weight_decay",),
    "alpha": ("alpha",),
    "rho": ("rho",),
    "eps": ("eps",),
}
# (name, whether it is below a half, whether what it leaves of one is).
Kind = tuple[str, bool, bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def entries(group: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a group that may change, as they are now."""
    found = {}
    for entry, names in NAMES.items():
        value = group.get(entry)
        numbers = value if len(names) > 1 else (value,)
        if isinstance(numbers, (tuple, list)) and all(map(_is_number, numbers)):
            found[entry] = tuple(numbers) if len(names) > 1 else value
    return found


class Varying:
    """The entries of a group that are scalars of the step, as they were in one step."""

    __slots__ = ("entries", "kinds", "zeros")

    def __init__(self, group: Mapping[str, Any], varying: Collection[str]) -> None:
        self.entries = {name: value for name, value in entries(group).items() if name in varying}
        numbers = self._numbers()
        self.kinds = tuple([(n, x < 0.5, 1 - x < 0.5) for n, x in numbers.items() if x > 0])
        # Rules leave out what these stand for.
        self.zeros = {name: x for name, x in numbers.items() if not x > 0}

    def _numbers(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for entry, value in self.entries.items():
            names = NAMES[entry]
            found.update(zip(names, value if len(names) > 1 else (value,), strict=True))
        return found

    def pairs(self) -> list[float]:
        """The run-time scalars: each number, and what it leaves of one."""
        numbers = self._numbers()
        return [x for name, *_ in self.kinds for x in (float(numbers[name]), 1.0 - numbers[name])]

    def like(self, other: Varying) -> bool:
        """Whether the program is the same with these numbers as with those."""
        return (
            self.entries.keys() == other.entries.keys()
            and self.kinds == other.kinds
            and self.zeros == other.zeros
        )


NOTHING = Varying({}, ())
