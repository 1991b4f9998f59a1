"""Graphs of modules that can be read and changed: PyTorch's torch.fx."""

from flambeau.fx import graph, graph_module, interpreter, node, passes, proxy
from flambeau.fx.graph import Graph
from flambeau.fx.graph_module import GraphModule
from flambeau.fx.interpreter import Interpreter, Transformer
from flambeau.fx.node import Node, map_arg
from flambeau.fx.proxy import Proxy
from flambeau.fx.tracing import Tracer, symbolic_trace, wrap

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "graph",
    "graph_module",
    "interpreter",
    "map_arg",
    "node",
    "passes",
    "proxy",
    "replace_pattern",
    "symbolic_trace",
    "wrap",
]


def replace_pattern(gm: object, pattern: object, replacement: object) -> None:
    """NotImplementedError: rewrite the graph with replace_all_uses_with."""
    raise NotImplementedError(
        "torch.fx.replace_pattern is not supported: rewrite the graph with "
        "Node.replace_all_uses_with and Graph.erase_node"
    )
