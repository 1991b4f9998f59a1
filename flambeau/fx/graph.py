"""Traced graphs: nodes in order, edits of them, and the Python code they stand for."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flambeau.core.device import device as Device
from flambeau.fx.node import Node, map_arg, qualified_name

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "matmul": "@", "eq": "==",
    "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_PREFIX = {"neg": "-", "pos": "+", "invert": "~"}
_IN_PLACE = {f"i{name.rstrip('_')}": f"{sign}=" for name, sign in list(_INFIX.items())[:13]}


class _Names:
    """Gives each thing a name that no other has and Python allows."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.counts: dict[str, int] = {}

    def create(self, wanted: str) -> str:
        name = re.sub(r"[^0-9a-zA-Z_]+", "_", wanted) or "_unnamed"
        name = f"_{name}" if name[0].isdigit() else name
        match = re.match(r"(.*)_(\d+)$", name)
        base, number = (match[1], int(match[2])) if match else (name, None)
        candidate = name
        number = number if number is not None else self.counts.get(base, 0)
        while candidate in self.used or self._taken(candidate):
            number += 1
            candidate = f"{base}_{number}"
        self.used.add(candidate)
        self.counts[base] = number
        return candidate

    @staticmethod
    def _taken(name: str) -> bool:
        return keyword.iskeyword(name) or hasattr(builtins, name) or name in ("self", "torch")


@dataclass
class PythonCode:
    """The source of a graph's `forward`, and the globals it needs."""

    src: str
    globals: dict[str, Any]


class NodeList:
    """The nodes of a graph in order; reversed() too."""

    def __init__(self, nodes: list[Node]) -> None:
        self._all = nodes

    def __iter__(self) -> Iterator[Node]:
        for node in list(self._all):
            if not node._erased:
                yield node

    def __reversed__(self) -> Iterator[Node]:
        for node in self._all[::-1]:
            if not node._erased:
                yield node

    def __len__(self) -> int:
        return len(self._all)


class _At:
    """The place where new nodes go; as a context manager, until the block ends."""

    def __init__(self, graph: Graph, before: Callable[[], Node | None]) -> None:
        self.graph, self.outer = graph, graph._insert
        graph._insert = before

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.graph._insert = self.outer


class Graph:
    """The steps of a function, from its placeholders to its output."""

    def __init__(
        self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None
    ) -> None:
        self._nodes: list[Node] = []
        self._names = _Names()
        self._insert: Callable[[], Node | None] = lambda: None
        self._root = Node(self, "", "get_attr", "", (), {})
        self.owning_module = owning_module

    @property
    def nodes(self) -> NodeList:
        return NodeList(self._nodes)

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes of a kind (and target)."""
        return [n for n in self._nodes if n.op == op and (target is None or n.target == target)]

    # ---- making nodes ----------------------------------------------------------------------------

    def create_node(
        self, op: str, target: Any, args: Any = None, kwargs: Any = None, name: str | None = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A new node at the place of insertion."""
        wanted = name if name is not None else self._wanted(op, target)
        node = Node(self, self._names.create(wanted), op, target, args or (), kwargs or {})
        node.type = type_expr
        before = self._insert()
        if before is None or before is self._root:
            self._nodes.append(node)
        else:
            self._nodes.insert(self._nodes.index(before), node)
        return node

    @staticmethod
    def _wanted(op: str, target: Any) -> str:
        if op == "call_function":
            return str(getattr(target, "__name__", type(target).__name__))
        return str(target).replace("*", "")

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """A new input."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, {}, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A new node for an attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A new call of a submodule."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A new call of a method of its first operand."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self, the_function: Callable[..., Any], args: Any = None, kwargs: Any = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A new call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, type_expr=type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """The new end of the graph."""
        return self.create_node("output", "output", (result,), {}, type_expr=type_expr)

    def output_node(self) -> Node:
        """The end of the graph."""
        return next(node for node in reversed(self._nodes) if node.op == "output")

    def inserting_before(self, n: Node | None = None) -> _At:
        """New nodes go in front of `n` (of all)."""
        return _At(self, lambda: n or (self._nodes[0] if self._nodes else None))

    def inserting_after(self, n: Node | None = None) -> _At:
        """New nodes go behind `n` (in front of all)."""
        start = (self._nodes[0] if self._nodes else None) if n is None else n.next
        return _At(self, lambda: start)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A copy of a node of another graph, its operands by arg_transform."""
        args, kwargs = (map_arg(part, arg_transform) for part in (node.args, node.kwargs))
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = dict(node.meta)
        return made

    def graph_copy(
        self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False
    ) -> Any:
        """Copies all nodes of a graph; gives what its output is here."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], lambda n: val_map[n])
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def __deepcopy__(self, memo: Any = None) -> Graph:
        copied = Graph()
        found = copied.graph_copy(self, {})
        for end in self.find_nodes(op="output"):
            copied.output(found).meta = dict(end.meta)
        return copied

    def __getstate__(self) -> Any:
        def told(part: Any) -> Any:
            return map_arg(part, lambda n: _Reference(n.name))

        return [(n.op, n.target, told(n.args), told(n.kwargs), n.name) for n in self._nodes]

    def __setstate__(self, state: Any) -> None:
        from flambeau.fx.node import map_aggregate

        Graph.__init__(self)
        known: dict[str, Node] = {}

        def found(part: Any) -> Any:
            return map_aggregate(part, lambda x: known[x.name] if type(x) is _Reference else x)

        for op, target, args, kwargs, name in state:
            known[name] = self.create_node(op, target, found(args), found(kwargs), name)

    # ---- edits -----------------------------------------------------------------------------------

    def erase_node(self, to_erase: Node) -> None:
        """Removes a node. RuntimeError where others take its value."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        to_erase._set((), {})
        to_erase._erased = True
        self._nodes.remove(to_erase)

    def _move(self, node: Node, beside: Node, behind: int) -> None:
        if node is beside:
            return
        if node.graph is not self:
            raise AssertionError("Attempting to move a Node into a different Graph")
        self._nodes.remove(node)
        self._nodes.insert(self._nodes.index(beside) + behind, node)

    def eliminate_dead_code(self, is_impure_node: Any = None) -> bool:
        """Removes nodes that nobody needs; whether there were any."""
        self.lint()
        before = len(self._nodes)
        impure = is_impure_node or Node.is_impure
        for node in reversed(self.nodes):
            if not impure(node) and not node.users:
                self.erase_node(node)
        return len(self._nodes) < before

    def lint(self) -> None:
        """RuntimeError where an operand is not defined before its use, or a name stands twice."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self._nodes:
            for operand in node.all_input_nodes:
                if operand.graph is not self:
                    raise RuntimeError(
                        f"Argument '{operand}' of Node '{node}' does not belong to this Graph, but "
                        "was used as an argument! If you are copying nodes from another graph, "
                        "make sure to use ``arg_transform`` on node_copy() to remap values"
                    )
                if operand not in seen:
                    raise RuntimeError(
                        f"Argument '{operand}' of Node '{node}' was used before it has been "
                        f"defined! Please check that Nodes in the graph are topologically ordered\n"
                        f"{self}"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            names.add(node.name)
            seen.add(node)

    # ---- printing --------------------------------------------------------------------------------

    def __str__(self) -> str:
        lines = [line for node in self._nodes if (line := node.format_node())]
        return "graph():" + "".join(f"\n    {line}" for line in lines)

    def print_tabular(self) -> None:
        """Prints the nodes as a table."""
        rows = [("opcode", "name", "target", "args", "kwargs")]
        rows += [(n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in self._nodes]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def python_code(self, root_module: str = "self", **_: Any) -> PythonCode:
        """The graph as the source of a function `forward`."""
        return _Writer(self, root_module).code()


class _Reference:
    """Stands for a node in a pickle."""

    def __init__(self, name: str) -> None:
        self.name = name


def attribute(root: str, target: str) -> str:
    """An attribute's path as an expression."""
    expression = root
    for part in target.split("."):
        plain = part.isidentifier() and not keyword.iskeyword(part)
        expression = f"{expression}.{part}" if plain else f'getattr({expression}, "{part}")'
    return expression


class _Writer:
    """Writes the source of one graph."""

    def __init__(self, graph: Graph, root: str) -> None:
        self.graph, self.root = graph, root
        self.globals: dict[str, Any] = {
            "inf": float("inf"), "nan": float("nan"), "NoneType": type(None), "device": Device,
            "torch": sys.modules[__name__.partition(".")[0]],
        }  # fmt: skip

    def code(self) -> PythonCode:
        last = self._last_uses()
        inputs, lines = [self.root], []
        for node in self.graph.nodes:
            line = self._line(node, inputs)
            if line is None:
                continue
            gone = list(last.get(node, ()))
            if not node.users and node.op not in ("output", "placeholder"):
                gone.append(node)
            if gone and node.op != "output":
                line += f";  {' = '.join([n.name for n in gone] + ['None'])}"
            lines.append(line)
        body = "".join(f"    {line}\n" for line in lines) or "    pass\n"
        return PythonCode(f"\n\n\ndef forward({', '.join(inputs)}):\n{body}    ", self.globals)

    def _last_uses(self) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {}
        seen: set[Node] = set()
        for node in reversed(self.graph.nodes):
            for operand in node.all_input_nodes:
                if operand not in seen:
                    seen.add(operand)
                    found.setdefault(node, []).append(operand)
        return found

    def _line(self, node: Node, inputs: list[str]) -> str | None:
        if node.op == "placeholder":
            free = str(node.target).lstrip("*")
            inputs.append(node.target + (f" = {node.args[0]!r}" if node.args else ""))
            return f"{node.name} = {free}" if free != node.name else None
        if node.op == "output":
            return f"return {node.args[0]!r}"
        return f"{node.name} = {self._value(node)}"

    def _value(self, node: Node) -> str:
        args, kwargs = node.args, node.kwargs
        if node.op == "get_attr":
            return attribute(self.root, node.target)
        if node.op == "call_module":
            return f"{attribute(self.root, node.target)}({_listed(args, kwargs)})"
        if node.op == "call_method":
            return f"{_atom(args[0])}.{node.target}({_listed(args[1:], kwargs)})"
        name = qualified_name(node.target)
        root, _, short = name.partition(".")
        if root == "operator" and not kwargs:
            if short in _INFIX and len(args) == 2:
                return f"{args[0]!r} {_INFIX[short]} {args[1]!r}"
            if short in _PREFIX and len(args) == 1:
                return f"{_PREFIX[short]}{args[0]!r}"
            if short == "getitem":
                return f"{args[0]!r}[{args[1]!r}]"
            if short in _IN_PLACE:
                return f"{args[0]!r}; {node.name} {_IN_PLACE[short]} {args[1]!r}"
        if name == "builtins.getattr" and len(args) == 2 and str(args[1]).isidentifier():
            return f"{_atom(args[0])}.{args[1]}"
        return f"{self._reached(node.target, name)}({_listed(args, kwargs)})"

    def _reached(self, function: Any, name: str) -> str:
        """An expression for a function; where its name does not lead to it, a global of its own."""
        root, _, rest = name.partition(".")
        if root == "builtins":
            return rest
        found = self.globals.get("torch") if root == "torch" else sys.modules.get(root)
        for part in rest.split("."):
            found = getattr(found, part, None)
        if found is function and root in ("torch", "operator", "math"):
            if root != "torch":
                self.globals[root] = sys.modules[root]
            return name
        own = re.sub(r"\W", "_", name.rpartition(".")[2])
        taken = {node.name for node in self.graph.nodes}  # which are local names
        while own in taken or self.globals.get(own, function) is not function:
            own += "_1"
        self.globals[own] = function
        return own


def _atom(value: Any) -> str:
    return repr(value) if isinstance(value, Node) else f"({value!r})"


def _listed(args: Any, kwargs: Any) -> str:
    return ", ".join([*map(repr, args), *(f"{key} = {part!r}" for key, part in kwargs.items())])
