"""torch.utils.flop_counter: its names. Operations are not counted here."""

from __future__ import annotations

from typing import Any

__all__ = ["FlopCounterMode", "register_flop_formula"]


class FlopCounterMode:
    """A block of which operations would be counted. Entering it raises NotImplementedError."""

    def __init__(
        self,
        mods: Any = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: Any = None,
    ) -> None:
        self.depth, self.display = depth, display

    def __enter__(self) -> FlopCounterMode:
        raise NotImplementedError(
            "FlopCounterMode is not supported: operations are not counted; count by hand"
        )

    def __exit__(self, *exception: object) -> None:
        pass


def register_flop_formula(targets: Any, get_raw: bool = False) -> Any:
    """NotImplementedError: operations are not counted."""
    raise NotImplementedError(
        "register_flop_formula() is not supported: operations are not counted"
    )
