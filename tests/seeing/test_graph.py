"""`flambeau.graph`: the functions, leaves and names it shows, and that boxes stand apart."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import flambeau
from flambeau.seeing.layering import GAP, place

SVG = "{http://www.w3.org/2000/svg}"


def network(torch: Any) -> Any:
    nn = torch.nn
    Module: Any = nn.Module

    class Block(Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

        def forward(self, x):
            return torch.relu(x + self.norm(self.conv(x)))

    return nn.Sequential(nn.Conv2d(1, 4, 3), Block(), Block(), nn.Flatten(), nn.Linear(144, 2))


def behind(tensor: Any) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """The names of the functions behind a tensor, and of the ends of their edges."""
    names: dict[Any, str] = {}
    edges: Counter[tuple[str, str]] = Counter()
    stack = [tensor.grad_fn]
    while stack:
        node = stack.pop()
        if node in names:
            continue
        names[node] = type(node).__name__
        for other in {edge[0] for edge in node.next_functions if edge[0] is not None}:
            edges[type(other).__name__, names[node]] += 1
            stack.append(other)
    return Counter(names.values()), edges


@pytest.mark.parity
def test_the_functions_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    theirs = behind(network(torch)(torch.ones(2, 1, 8, 8)))
    model = network(flambeau)
    y = model(flambeau.ones(2, 1, 8, 8))
    assert behind(y) == theirs
    seen = flambeau.graph(y, model)
    short = {name.removesuffix("0").removesuffix("Backward"): n for name, n in theirs[0].items()}
    leaves = short.pop("AccumulateGrad")
    assert Counter(name for kind, name, _ in seen.nodes if kind == "function") == short
    assert [kind for kind, _, _ in seen.nodes].count("parameter") == leaves
    assert len(seen.edges) == sum(theirs[1].values()) + 1  # the result hangs on one


def test_names_shapes_and_edges() -> None:
    w = flambeau.randn(2, 3, requires_grad=True)
    b = flambeau.randn(3, requires_grad=True)
    y = (flambeau.ones(4, 2) @ w + b).sum()
    seen = flambeau.graph(y, {"w": w})
    assert repr(seen) == "Graph(3 functions, 1 parameters, 1 other leaves)"
    numbered = {name: n for n, (_, name, _) in enumerate(seen.nodes)}
    nodes = {(kind, name): shape for kind, name, shape in seen.nodes}
    assert nodes[("parameter", "w")] == "2 x 3" and nodes[("leaf", "leaf")] == "3"
    assert nodes[("function", "Add")] == "4 x 3" and nodes[("result", "result")] == "scalar"
    wanted = [("w", "Mm"), ("Mm", "Add"), ("leaf", "Add"), ("Add", "Sum"), ("Sum", "result")]
    assert sorted(seen.edges) == sorted((numbered[a], numbered[b]) for a, b in wanted)
    both = flambeau.graph([y, w * 2, b], {"w": w, "b": b})
    assert [name for kind, name, _ in both.nodes if kind == "result"] == [
        "result 0",
        "result 1",
        "b",
    ]
    assert len([n for n in both.nodes if n[0] == "parameter"]) == 2
    y.backward()  # looking has not changed what is behind it
    assert b.grad.tolist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_the_picture_is_svg_whose_boxes_stand_apart(theme: str, tmp_path: Path) -> None:
    model = network(flambeau)
    seen = flambeau.graph(model(flambeau.ones(2, 1, 8, 8)), model, theme=theme)
    seen.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text("utf-8") == str(seen) == seen._repr_svg_()
    root = ElementTree.fromstring(seen.svg)
    groups = root.findall(f"{SVG}g")
    assert len(groups) == len(seen.nodes)
    boxes = []
    for group in groups:
        [box] = group.findall(f"{SVG}rect")
        x, y, wide, high = (float(box.get(k) or 0) for k in ("x", "y", "width", "height"))
        assert x >= 0 and x + wide <= float(root.get("width") or 0) + 1
        assert all(len(t.text or "") * 6.6 < wide for t in group.findall(f"{SVG}text"))
        boxes.append((x, y, x + wide, y + high))
    for n, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:n]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    paths = [p for p in root.findall(f"{SVG}path") if p.get("class") == "edge"]
    assert len(paths) == len(seen.edges)
    assert ("prefers-color-scheme" in seen.svg) == (theme == "auto")


def test_layers_of_random_graphs() -> None:
    for _ in range(20):
        count = random.randrange(1, 30)
        pairs = [(b, a) for b in range(1, count) for a in range(b) if random.random() < 2 / count]
        widths = [random.uniform(20, 90) for _ in range(count)]
        placed = place(widths, pairs)
        for a, b in pairs:
            assert placed.layer[a] > placed.layer[b]
        for a in range(count):
            targets = [placed.layer[b] for c, b in pairs if c == a]
            assert placed.layer[a] == max(targets, default=-1) + 1
            for b in range(a):
                if placed.layer[a] == placed.layer[b]:
                    apart = abs(placed.x[a] - placed.x[b])
                    assert apart >= (widths[a] + widths[b]) / 2 + GAP - 1e-6
        assert all(len(path) == path[0][0] - path[-1][0] + 1 for path in placed.paths)
    with pytest.raises(ValueError, match="cycle"):
        place([1, 1], [(0, 1), (1, 0)])
    chain = place([10, 50, 20], [(2, 1), (1, 0)])
    assert len({round(x, 6) for x in chain.x}) == 1  # straight


def test_dot_and_mistakes(tmp_path: Path) -> None:
    w = flambeau.ones(2, requires_grad=True)
    dot = flambeau.graph((w * 2).sum(), {'the "w"': w}, format="dot")
    assert 'label="the \\"w\\"\\n2"' in str(dot) and str(dot).count("->") == 3
    dot.save(tmp_path / "a.dot")
    with pytest.raises(ValueError, match=r"ends in \.dot"):
        dot.save(tmp_path / "a.svg")
    for wrong, error, text in (
        ({"tensor": flambeau.ones(2)}, ValueError, "no_grad, or detached"),
        ({"tensor": 3}, TypeError, "behind a tensor"),
        ({"tensor": w, "format": "png"}, ValueError, "'svg' or 'dot'"),
        ({"tensor": w, "theme": "x"}, ValueError, "theme"),
        ({"tensor": w, "params": [w]}, TypeError, "a module or a mapping"),
    ):
        with pytest.raises(error, match=text):
            flambeau.graph(**wrong)
