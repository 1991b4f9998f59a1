"""How a program's contractions are computed, where there are several ways.

By default the cost models decide, kernel by kernel; tuning.py finds other forms by measuring.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

AUTO, VECTOR, UNIT = "auto", "vector", "unit"


class Form(NamedTuple):
    """A contraction's form. unit: AUTO (as the cost models say), VECTOR (vector instructions) or
    UNIT (the matrix unit, wherever it can). rank: of the tiles for vector instructions, how many
    the cost model thinks better.
    """

    unit: str = AUTO
    rank: int = 0


DEFAULT = Form()


class Forms(NamedTuple):
    """Those of a program: of its groups of kernels, by number, where not DEFAULT; whether values
    may be stored with the batch innermost; whether convolutions of 3 x 3 that can gain by it have
    Winograd's form; whether a convolution and a pooling that reads it share a kernel, and
    the gradient of its weights is made from the pooled cotangent.
    """

    groups: Mapping[int, Form] = MappingProxyType({})
    innermost: bool = True
    winograd: bool = False
    pooled: bool = True

    def of(self, group: int) -> Form:
        return self.groups.get(group, DEFAULT)

    def as_dict(self) -> dict[str, Any]:
        groups = {str(k): [form.unit, form.rank] for k, form in sorted(self.groups.items())}
        return {"groups": groups, "innermost": self.innermost, "winograd": self.winograd}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Forms:
        groups = {int(k): Form(unit, rank) for k, (unit, rank) in found["groups"].items()}
        return cls(groups, found["innermost"], found["winograd"])
