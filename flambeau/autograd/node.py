"""`grad_fn`: the op that made a tensor, for printing and for looking at graphs."""

from __future__ import annotations

from typing import Any

_classes: dict[str, type[Node]] = {}


class Node:
    """A backward function as PyTorch shows it; each op has a subclass of its name."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def name(self) -> str:
        """The op's name, such as "MulBackward0"."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        raise NotImplementedError(
            "grad_fn.next_functions is not supported yet: recorded graphs are values, see "
            "docs/one_step.md"
        )

    def __repr__(self) -> str:
        return f"<{self.name()} object at 0x{id(self):x}>"


def node_of(tensor: Any) -> Node:
    """The backward function of a non-leaf tensor."""
    name = tensor._meta.grad_name or "Backward0"
    found = _classes.get(name)
    if found is None:
        found = _classes[name] = type(name, (Node,), {})
    return found(tensor)
