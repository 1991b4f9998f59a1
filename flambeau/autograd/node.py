"""`grad_fn`: the name of the op that made a tensor, for printing and for looking at graphs."""

from __future__ import annotations

from typing import Any


class Node:
    """A backward function as PyTorch shows it."""

    def __init__(self, name: str, tensor: Any) -> None:
        self._name = name
        self._tensor = tensor

    def name(self) -> str:
        return self._name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        from flambeau.autograd.graph_view import producers

        return producers(self._tensor)

    def __repr__(self) -> str:
        return f"<{self._name} object at 0x{id(self):x}>"


def node_of(tensor: Any) -> Node:
    """The backward function of a non-leaf tensor."""
    return Node(tensor._meta.grad_name or "Backward0", tensor)
