"""torch.fx: traced graphs print, run and can be edited as in PyTorch."""

from __future__ import annotations

import copy
import importlib
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def fx_of(torch: Any) -> Any:
    return importlib.import_module(f"{torch.__name__}.fx")


def model(torch: Any) -> Any:
    class Model(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
            self.w = torch.nn.Parameter(torch.ones(4) * 2)
            self.register_buffer("b", torch.ones(4))

        def forward(self, x: Any, y: Any = None, *, scale: float = 2.0) -> Any:
            z = self.layers(x) + self.w * scale - self.b
            z = torch.tanh(z).view(z.shape[0], -1)
            a, b = z[:, :2], z[..., -1]
            return {"out": torch.cat([a, -a], dim=1).sum(), "b": b.neg_()}

    Model.forward.__annotations__.clear()  # PyTorch writes them into the code
    torch.manual_seed(0)
    return Model()


def data(torch: Any) -> Any:
    return torch.arange(6.0).view(2, 3) / 6


def printed(torch: Any) -> Any:
    traced = fx_of(torch).symbolic_trace(model(torch))
    nodes = [
        [n.name, n.op, str(n.args), str(n.kwargs), str(list(n.users)), n.format_node()]
        for n in traced.graph.nodes
    ]
    return str(traced), str(traced.graph), nodes, list(traced.state_dict())


def run(torch: Any) -> Any:
    module = model(torch)
    traced = fx_of(torch).symbolic_trace(module)
    traced.graph.lint()
    ours, theirs = traced(data(torch)), module(data(torch))
    return [torch.allclose(ours[key], theirs[key]) for key in ("out", "b")]


def code(function: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda torch: fx_of(torch).symbolic_trace(function).code


def branch(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def edited(torch: Any) -> Any:
    traced = fx_of(torch).symbolic_trace(lambda x, y: torch.add(x, y) * 2)
    for node in traced.graph.nodes:
        if node.target is torch.add:
            with traced.graph.inserting_after(node):
                new = traced.graph.call_function(torch.mul, node.args, node.kwargs)
                node.replace_all_uses_with(new)
            traced.graph.erase_node(node)
    traced.recompile()
    return traced.code, traced(torch.ones(2) * 3, torch.ones(2) * 5).tolist()


def by_hand(torch: Any) -> Any:
    graph = fx_of(torch).Graph()
    a = graph.placeholder("a")
    b = graph.call_method("add", (a, 1))
    c = graph.call_function(operator.mul, (b, b))
    graph.call_function(torch.neg, (a,))
    graph.output(c)
    before = str(graph)
    removed = graph.eliminate_dead_code()
    module = fx_of(torch).GraphModule(torch.nn.Module(), graph)
    order = [n.name for n in reversed(graph.nodes)]
    return before, removed, str(graph), order, b.next.name, module(torch.ones(1)).tolist()


def erased(torch: Any) -> Any:
    graph = fx_of(torch).Graph()
    a = graph.placeholder("a")
    graph.output(a)
    graph.erase_node(a)


def transformed(torch: Any) -> Any:
    fx = fx_of(torch)

    class Adds(fx.Transformer):  # type: ignore[misc,name-defined]
        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            return super().call_function(operator.add, args, kwargs)

    return Adds(fx.symbolic_trace(lambda x: x * 2 - 1)).transform().code


def interpreted(torch: Any) -> Any:
    fx = fx_of(torch)
    seen = []

    class Noting(fx.Interpreter):  # type: ignore[misc,name-defined]
        def run_node(self, n: Any) -> Any:
            seen.append(n.name)
            return super().run_node(n)

    result = Noting(fx.symbolic_trace(model(torch))).run(data(torch))
    return seen, sorted(result)


def shapes(torch: Any) -> Any:
    inner = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2))
    traced = fx_of(torch).symbolic_trace(torch.nn.Sequential(torch.nn.Linear(3, 4), inner))
    prop = importlib.import_module(f"{torch.__name__}.fx.passes.shape_prop").ShapeProp
    prop(traced).propagate(data(torch))
    return [(n.name, str(n.meta["tensor_meta"].shape)) for n in traced.graph.nodes]


def copied(torch: Any) -> Any:
    traced = fx_of(torch).symbolic_trace(torch.nn.Sequential(torch.nn.Linear(3, 4)))
    again = pickle.loads(pickle.dumps(traced)), copy.deepcopy(traced)
    same = [torch.equal(m(data(torch)), traced(data(torch))) for m in again]
    return same, [m.code for m in again], list(again[1].state_dict())


def leaves(torch: Any) -> Any:
    fx = fx_of(torch)

    class Whole(fx.Tracer):  # type: ignore[misc,name-defined]
        def is_leaf_module(self, m: Any, name: str) -> bool:
            return True

    module = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(3, 4)))
    return str(Whole().trace(module))


CASES: dict[str, Callable[[Any], Any]] = {
    "printed": printed,
    "run": run,
    "branch": code(branch),
    "loop": code(lambda x: list(x)),
    "len": code(lambda x: len(x)),
    "is None": code(lambda x: x * 2 if x is not None else 0),
    "star": code(lambda *a: a[0] + a[1]),
    "named": code(lambda x, **k: x),
    "operators": code(lambda x, y: (x @ y, 1 / x, x**2, x == y, ~x, 2 - x, x // 2, -x, x[0])),
    "methods": code(lambda x: x.sum(dim=1, keepdim=True).item()),
    "constant": lambda torch: fx_of(torch).symbolic_trace(lambda x: torch.zeros(3) + x).code,
    "int": code(lambda x: int(x)),
    "concrete": lambda torch: fx_of(torch).symbolic_trace(
        lambda x, flag: x + 1 if flag else x, concrete_args={"flag": True}
    )(torch.ones(1), True).tolist(),
    "edited": edited,
    "by hand": by_hand,
    "erased": erased,
    "transformed": transformed,
    "interpreted": interpreted,
    "shapes": shapes,
    "copied": copied,
    "leaves": leaves,
}  # fmt: skip


def outcome(torch: Any, name: str) -> Any:
    try:
        return CASES[name](torch)
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    assert outcome(flambeau, name) == outcome(reference, name)
