"""Modules made of graphs: their forward is the Python code that the graph stands for."""

from __future__ import annotations

import copy
import linecache
from typing import Any

from flambeau.fx.graph import Graph, PythonCode
from flambeau.nn import Module, Parameter
from flambeau.tensor.tensor import Tensor

_made = [0]


class GraphModule(Module):
    """A module whose `graph` can be changed; `recompile()` makes `forward` of it anew."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Each has a class of its own, for its own forward.
        if "_plain" in cls.__dict__:
            return super().__new__(cls)
        kind = type("GraphModuleImpl", (cls,), {"_plain": cls})
        return super().__new__(kind)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = class_name
        if isinstance(root, Module):
            self.training = root.training
        elif not isinstance(root, dict):
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                self._take(root, node.target)
        self.graph = graph

    def _take(self, root: Any, target: str) -> None:
        """Puts what `root` has at a path at the same path here."""
        *outer, name = target.split(".")
        source: Any = root
        if isinstance(root, dict):
            if target not in root:
                raise RuntimeError(
                    f"Node referenced target {target} but that target was not provided in ``root``!"
                )
            value = root[target]
        else:
            for part in outer:
                source = getattr(source, part, None)
            value = getattr(source, name, None)
            if value is None:
                return
        place: Any = self
        for part in outer:
            inner = getattr(place, part, None)
            if inner is None:
                inner = Module()
                place.add_module(part, inner)
            place = inner
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            place.register_buffer(name, value)
        else:
            setattr(place, name, value)

    @property
    def graph(self) -> Graph:
        """The graph; another one may be put in its place."""
        found: Graph = self.__dict__["_graph"]
        return found

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        self.__dict__["_graph"] = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The source of forward."""
        return str(self.__dict__["_code"])

    def recompile(self) -> PythonCode:
        """Makes forward of the graph as it is now."""
        made = self.graph.python_code("self")
        self.__dict__["_code"] = made.src
        _made[0] += 1
        file = f"<eval_with_key>.{_made[0]}"
        linecache.cache[file] = (len(made.src), None, made.src.splitlines(True), file)
        names = dict(made.globals)
        exec(compile(made.src, file, "exec"), names)
        type(self).forward = names["forward"]
        return made

    def add_submodule(self, target: str, m: Module) -> bool:
        """Puts a module at a path; whether that was possible."""
        *outer, name = target.split(".")
        place: Any = self
        for part in outer:
            inner = getattr(place, part, None)
            if inner is None:
                inner = Module()
                place.add_module(part, inner)
            if not isinstance(inner, Module):
                return False
            place = inner
        place.add_module(name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Removes a module; whether there was one."""
        *outer, name = target.split(".")
        place: Any = self
        for part in outer:
            place = getattr(place, part, None)
        if not isinstance(getattr(place, name, None), Module):
            return False
        delattr(place, name)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Removes the modules that the graph does not reach."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used |= {".".join(parts[: n + 1]) for n in range(len(parts))}
                if node.op == "call_module":
                    inner = self.get_submodule(node.target).named_modules()
                    used |= {f"{node.target}.{name}" for name, _ in inner if name}
        for name, _ in list(self.named_modules()):
            if name and name not in used:
                self.delete_submodule(name)

    def print_readable(self, print_output: bool = True, **_: Any) -> str:
        """The source, as a class; printed too."""
        body = self.code.strip("\n").replace("\n", "\n    ")
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {body}"
        if print_output:
            print(text)
        return text

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        root = Module()
        root.__dict__.update(copy.deepcopy(_parts(self), memo))
        made = GraphModule(root, copy.deepcopy(self.graph), type(self).__name__)
        made.__dict__.update({"training": self.training})
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        return _rebuilt, (_parts(self), self.graph, type(self).__name__, self.training)

    def __str__(self) -> str:
        hint = "# To see more debug info, please use `graph_module.print_readable()`"
        return f"{super().__str__()}\n{self.code}\n{hint}"


def _parts(module: GraphModule) -> dict[str, Any]:
    """A module's state without its graph and code."""
    return {k: v for k, v in module.__dict__.items() if k not in ("_graph", "_code")}


def _rebuilt(parts: dict[str, Any], graph: Graph, name: str, training: bool) -> Any:
    root = Module()
    root.__dict__.update(parts)
    made = GraphModule(root, graph, name)
    made.__dict__["training"] = training
    return made
