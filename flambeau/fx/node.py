"""One step of a traced graph: a placeholder, a call, an attribute, or the output."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flambeau.fx.graph import Graph

OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output")


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """`a` with fn(node) in the place of every node in it."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """`a` with fn of every element, in tuples, lists, dictionaries and slices."""
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [map_aggregate(x, fn) for x in a]
    if isinstance(a, dict):
        return {key: map_aggregate(x, fn) for key, x in a.items()}
    if isinstance(a, slice):
        return slice(*(map_aggregate(x, fn) for x in (a.start, a.stop, a.step)))
    return fn(a)


def qualified_name(function: Any) -> str:
    """The name a function is reached by, PyTorch's for those of this package."""
    name = getattr(function, "__name__", None) or type(function).__name__
    if getattr(builtins, name, None) is function:
        return f"builtins.{name}"
    module = getattr(function, "__module__", None) or ""
    if module == "_operator":
        return f"operator.{name}"
    root, _, rest = module.partition(".")
    if root != __name__.partition(".")[0]:
        return f"{module}.{name}"
    if getattr(sys.modules[root], name, None) is function:
        return f"torch.{name}"
    return f"torch.{rest}.{name}" if rest else f"torch.{name}"


class Node:
    """A step. `users` are the nodes that take its value; `meta` is for whoever analyses a graph."""

    def __init__(
        self, graph: Graph, name: str, op: str, target: Any, args: tuple[Any, ...],
        kwargs: dict[str, Any], return_type: Any = None,
    ) -> None:  # fmt: skip
        if op not in OPS:
            raise AssertionError(f"op '{op}' is not one of {OPS}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} "
                "but a Callable is expected"
            )
        if op != "call_function" and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} "
                "but a str is expected"
            )
        self.graph, self.name, self.op, self.target = graph, name, op, target
        self.type = return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._args: tuple[Any, ...] = ()
        self._kwargs: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._erased = False
        self._set(args, kwargs)

    # ---- operands --------------------------------------------------------------------------------

    def _set(self, args: Any, kwargs: Any) -> None:
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}

        def use(node: Node) -> Node:
            self._input_nodes.setdefault(node)
            node.users.setdefault(self)
            return node

        self._args = tuple(map_arg(tuple(args), use))
        self._kwargs = map_arg(dict(kwargs), use)

    @property
    def args(self) -> tuple[Any, ...]:
        return self._args

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        self._set(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._set(self._args, kwargs)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes whose values it takes, each once."""
        return list(self._input_nodes)

    def update_arg(self, idx: int, arg: Any) -> None:
        """Replaces a positional operand."""
        args = list(self._args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Puts a positional operand in front of another."""
        if not 0 <= idx <= len(self._args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = (*self._args[:idx], arg, *self._args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Replaces a named operand."""
        self.kwargs = {**self._kwargs, key: arg}

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Takes another node's value wherever it took that of `old_input`."""

        def other(node: Node) -> Node:
            return new_input if node is old_input else node

        self._set(map_arg(self._args, other), map_arg(self._kwargs, other))

    def replace_all_uses_with(
        self, replace_with: Node, delete_user_cb: Any = lambda user: True, *,
        propagate_meta: bool = False,
    ) -> list[Node]:  # fmt: skip
        """Lets its users take another node's value; gives those that do."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    # ---- its place -------------------------------------------------------------------------------

    def _neighbour(self, step: int) -> Node:
        nodes = self.graph._nodes
        place = nodes.index(self) + step
        return nodes[place] if 0 <= place < len(nodes) else self.graph._root

    @property
    def next(self) -> Node:
        return self._neighbour(1)

    @property
    def prev(self) -> Node:
        return self._neighbour(-1)

    def prepend(self, x: Node) -> None:
        """Moves a node in front of this one."""
        self.graph._move(x, self, 0)

    def append(self, x: Node) -> None:
        """Moves a node behind this one."""
        self.graph._move(x, self, 1)

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether it does something besides computing its value."""
        if self.op in ("placeholder", "output"):
            return True
        name = self.target if self.op == "call_method" else getattr(self.target, "__name__", "")
        return self.op != "get_attr" and str(name).endswith("_") and not str(name).endswith("__")

    @property
    def stack_trace(self) -> str | None:
        """Where it was traced, if that was noted."""
        found: str | None = self.meta.get("stack_trace")
        return found

    # ---- printing --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self.name

    def _pretty_print_target(self, target: Any) -> str:
        return target if isinstance(target, str) else qualified_name(target)

    def format_node(self, *_: Any, **__: Any) -> str | None:
        """A line of the graph as it prints."""
        if self.op == "output":
            return f"return {self.args[0]}"
        users = f"%{self.name} : [num_users={len(self.users)}] = {self.op}"
        users += f"[target={self._pretty_print_target(self.target)}]"
        if self.op == "placeholder":
            return users + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return users
        return f"{users}(args = {_shown(self.args)}, kwargs = {_shown(self.kwargs)})"


def _shown(value: Any) -> str:
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, tuple):
        inner = ", ".join(map(_shown, value))
        return f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(part)}" for key, part in value.items()) + "}"
    return str(value)
