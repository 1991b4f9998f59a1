"""Models that give what is computed inside others: torchvision.models.feature_extraction."""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import flambeau.nn as nn
from flambeau import fx
from flambeau.fx.tracing import _wrapped
from flambeau.vision import ops
from flambeau.vision.models import swin_transformer

__all__ = ["create_feature_extractor", "get_graph_node_names"]

# Steps whose course hangs on the sizes of maps are not looked into.
for _name in ("shifted_window_attention", "_quarters"):
    _wrapped.append((vars(swin_transformer), _name))

Named = Sequence[str] | Mapping[str, str]
_NUMBERED = re.compile(r"(.+)_[0-9]+$")


class LeafModuleAwareTracer(fx.Tracer):
    """A tracer that does not look into modules of some classes more."""

    def __init__(self, *args: Any, leaf_modules: Sequence[type] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaf_modules = tuple(leaf_modules)

    def is_leaf_module(self, m: nn.Module, module_qualname: str) -> bool:
        return isinstance(m, self.leaf_modules) or super().is_leaf_module(m, module_qualname)


class NodePathTracer(LeafModuleAwareTracer):
    """A tracer that names nodes by the modules in which they are: "layer1.0.relu_1".

    The third node of the same name has _2 behind it, counted within its module.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.current_module_qualname = ""
        self.node_to_qualname: OrderedDict[fx.Node, str] = OrderedDict()
        self._counts: dict[str, int] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        outer = self.current_module_qualname
        self.current_module_qualname = self.path_of_module(m)
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self.current_module_qualname = outer

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any
    ) -> Any:
        made = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        self.node_to_qualname[made.node] = self._path(made.node)
        return made

    def _path(self, node: fx.Node) -> str:
        module = self.current_module_qualname
        if node.op != "call_module":
            module = f"{module}.{node}" if module else str(node)
        numbered = _NUMBERED.match(module)
        base = numbered[1] if numbered else module
        count = self._counts.get(base, 0)
        self._counts[base] = count + 1
        return f"{base}_{count}" if count else base


def _arguments(tracer_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """What tracers are made with: layers of vision.ops are single steps."""
    given = dict(tracer_kwargs or {})
    layers = [kind for _, kind in inspect.getmembers(ops, inspect.isclass)]
    own = [kind for kind in layers if issubclass(kind, nn.Module)]
    return {**given, "leaf_modules": [*given.get("leaf_modules", ()), *own]}


def _within(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(name in rest for name in part)


def _warn(train: list[str], evaluated: list[str]) -> None:
    if train == evaluated:
        return
    if _within(evaluated, train):
        told = (
            "NOTE: The nodes obtained by tracing the model in eval mode are a subsequence of "
            "those obtained in train mode. "
        )
    elif _within(train, evaluated):
        told = (
            "NOTE: The nodes obtained by tracing the model in train mode are a subsequence of "
            "those obtained in eval mode. "
        )
    else:
        told = (
            "The nodes obtained by tracing the model in train mode are different to those "
            "obtained in eval mode. "
        )
    warnings.warn(
        told + "When choosing nodes for feature extraction, you may need to specify output nodes "
        "for train and eval mode separately.",
        stacklevel=3,
    )


Traced = tuple[NodePathTracer, fx.Graph]


def _traced(
    model: nn.Module, tracer_kwargs: dict[str, Any] | None, concrete: dict[str, Any] | None
) -> tuple[Traced, Traced]:
    """The model traced in training and in evaluation; its mode stays what it was."""
    arguments, mode = _arguments(tracer_kwargs), model.training
    found = []
    try:
        for training in (True, False):
            tracer = NodePathTracer(**arguments)
            found.append((tracer, tracer.trace(model.train(training), concrete)))
    finally:
        model.train(mode)
    return found[0], found[1]


def get_graph_node_names(
    model: nn.Module,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """The names of the nodes inside a model, in training and in evaluation, in order.

    TraceError where control flow hangs on values.
    """
    names = [
        list(tracer.node_to_qualname.values())
        for tracer, _ in _traced(model, tracer_kwargs, concrete_args)
    ]
    if not suppress_diff_warning:
        _warn(names[0], names[1])
    return names[0], names[1]


class DualGraphModule(fx.GraphModule):
    """A GraphModule with one graph for training and one for evaluation."""

    def __init__(
        self, root: nn.Module, train_graph: fx.Graph, eval_graph: fx.Graph, class_name: str
    ) -> None:
        self.__dict__["eval_graph"] = eval_graph
        super().__init__(root, train_graph, class_name)
        self.__dict__.update({"train_graph": train_graph, "eval_graph": eval_graph})
        for node in eval_graph.nodes:
            if node.op in ("get_attr", "call_module"):
                self._take(root, node.target)
        self.train(root.training)

    def train(self, mode: bool = True) -> Any:
        self.graph = self.__dict__["train_graph" if mode else "eval_graph"]
        return super().train(mode)

    def _parts(self) -> tuple[nn.Module, fx.Graph, fx.Graph, str]:
        root = nn.Module()
        own = {"_graph", "_code", "train_graph", "eval_graph"}
        root.__dict__.update({key: v for key, v in self.__dict__.items() if key not in own})
        graphs = self.__dict__["train_graph"], self.__dict__["eval_graph"]
        return root, *graphs, type(self).__name__

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = DualGraphModule(*copy.deepcopy(self._parts(), memo))
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        return DualGraphModule, self._parts()


def _as_names(nodes: Named) -> dict[str, str]:
    if isinstance(nodes, Mapping):
        return {str(node): str(name) for node, name in nodes.items()}
    return {str(node): str(node) for node in nodes}


def _cut(traced: Traced, wanted: dict[str, str]) -> None:
    """Lets a graph give the values of nodes instead of what it gave, and forgets the rest."""
    tracer, graph = traced
    paths = list(tracer.node_to_qualname.values())
    for query in wanted:
        if not any(path == query or path.startswith(f"{query}.") for path in paths):
            raise ValueError(
                f"node: '{query}' is not present in model. Hint: use `get_graph_node_names` to "
                "make sure the `return_nodes` you specified are present. It may even be that you "
                "need to specify `train_return_nodes` and `eval_return_nodes` separately."
            )
    for node in list(graph.nodes):
        if node.op == "output":
            graph.erase_node(node)
    nodes = list(graph.nodes)
    left, found = dict(wanted), []
    for node in reversed(nodes):
        path = tracer.node_to_qualname.get(node, "").split(".")
        for query in left:
            if ".".join(path[: query.count(".") + 1]) == query:
                found.append((left.pop(query), node))
                break
    with graph.inserting_after(nodes[-1]):
        graph.output(dict(reversed(found)))
    graph.eliminate_dead_code()


def create_feature_extractor(
    model: nn.Module,
    return_nodes: Named | None = None,
    train_return_nodes: Named | None = None,
    eval_return_nodes: Named | None = None,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> fx.GraphModule:
    """A model that gives what nodes inside another compute, by name; it shares its parameters.

    Nodes are named as get_graph_node_names does; the name of a module means its last node. A
    dictionary gives them other names. ValueError for nodes that are not there, TraceError where
    control flow hangs on values.
    """
    if return_nodes is None and train_return_nodes is None and eval_return_nodes is None:
        raise ValueError(
            "Either `return_nodes` or `train_return_nodes` and `eval_return_nodes` together, "
            "should be specified"
        )
    if (train_return_nodes is None) != (eval_return_nodes is None):
        raise ValueError(
            "If any of `train_return_nodes` and `eval_return_nodes` are specified, then both "
            "should be specified"
        )
    if (return_nodes is None) == (train_return_nodes is None):
        raise ValueError(
            "If `train_return_nodes` and `eval_return_nodes` are specified, then both should be "
            "specified"
        )
    chosen = [return_nodes or train_return_nodes or (), return_nodes or eval_return_nodes or ()]
    both = _traced(model, tracer_kwargs, concrete_args)
    for traced, wanted in zip(both, chosen, strict=True):
        _cut(traced, _as_names(wanted))
    (train, train_graph), (evaluated, eval_graph) = both
    if not suppress_diff_warning:
        _warn(list(train.node_to_qualname.values()), list(evaluated.node_to_qualname.values()))
    return DualGraphModule(model, train_graph, eval_graph, type(model).__name__)
