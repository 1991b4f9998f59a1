"""`flambeau.graph`: the backward functions behind a tensor, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from flambeau.autograd.node import AccumulateGrad, accumulation
from flambeau.nn.modules.module import Module
from flambeau.seeing.layering import place
from flambeau.tensor.tensor import Tensor

__all__ = ["Graph", "graph"]

LETTER, LINE, MARGIN = 6.7, 15.0, 14.0  # pixels: a letter's width, a line's height
HIGH, STEP = 38.0, 66.0  # a box with two lines; from layer to layer
MOST = 5000  # functions that can be looked at

# Fill, stroke and text of each kind of box, on light and dark backgrounds.
KINDS = {
    "function": (("#eef2f7", "#8a99ad", "#1d2733"), ("#2a333f", "#7d8ca1", "#e6ebf2")),
    "parameter": (("#d3e8f7", "#0072b2", "#06324d"), ("#123a54", "#56b4e9", "#dceffb")),
    "leaf": (("#fdf0d2", "#b97f00", "#4a3300"), ("#4a3610", "#e69f00", "#fdf0d2")),
    "result": (("#d5efe6", "#007f5f", "#023a2b"), ("#0f4033", "#2fcb9a", "#d5f5ea")),
}
EDGE = ("#8a99ad", "#7d8ca1")
PAPER = ("#ffffff", "#14181d")


def graph(tensor: Any, params: Any = None, format: str = "svg", *, theme: str = "auto") -> Graph:
    """The functions that `backward` would go through from a tensor (or several), as a picture.

    `params` (a module, or a mapping as `dict(model.named_parameters())`) gives leaves their names.
    `format` is "svg" or "dot" (Graphviz's language), `theme` "light", "dark" or "auto" (as the
    viewer is). Notebooks show the result; `save(path)` writes it. Nothing is computed. ValueError
    for a tensor that does not require gradients.
    """
    if format not in ("svg", "dot"):
        raise ValueError(f"format must be 'svg' or 'dot', got {format!r}")
    if theme not in ("auto", "light", "dark"):
        raise ValueError(f"theme must be 'auto', 'light' or 'dark', got {theme!r}")
    tensors = list(tensor) if isinstance(tensor, (list, tuple)) else [tensor]
    if not tensors or not all(isinstance(one, Tensor) for one in tensors):
        raise TypeError(f"graph draws what is behind a tensor, got {type(tensor).__name__}")
    if not all(one.requires_grad for one in tensors):
        raise ValueError(
            "there is no graph: the tensor does not require gradients (was it made under "
            "no_grad, or detached?)"
        )
    return Graph(tensors, _names(params), format, theme)


def _names(params: Any) -> dict[int, str]:
    if params is None:
        return {}
    if isinstance(params, Module):
        params = dict(params.named_parameters())
    if not isinstance(params, Mapping):
        raise TypeError(
            f"params must be a module or a mapping of names to tensors, got {type(params).__name__}"
        )
    return {id(value): str(name) for name, value in params.items()}


class Graph:
    """A picture of backward functions: `nodes` are (kind, name, shape), `edges` pairs of their
    numbers, from what is used to what uses it.
    """

    def __init__(
        self, tensors: list[Tensor], names: dict[int, str], format: str, theme: str
    ) -> None:
        self.nodes: list[tuple[str, str, str]] = []
        self.edges: list[tuple[int, int]] = []
        self.format, self.theme = format, theme
        self._held: list[Any] = []  # functions whose ids are in use
        self._collect(tensors, names)

    def _collect(self, tensors: list[Tensor], names: dict[int, str]) -> None:
        known: dict[int, int] = {}
        edges: dict[tuple[int, int], None] = {}
        stack: list[tuple[Any, int]] = []
        for number, tensor in enumerate(tensors):
            name = names.get(id(tensor)) or ("result" if len(tensors) == 1 else f"result {number}")
            own = self._add("result", name, shape_text(tensor))
            node = tensor.grad_fn
            stack.append((accumulation(tensor) if node is None else node, own))
        while stack:
            node, user = stack.pop()
            if id(node) not in known:
                if len(known) >= MOST:
                    raise ValueError(f"there are more than {MOST} functions behind this tensor")
                known[id(node)] = self._add(*described(node, names))
                self._held.append(node)
                own = known[id(node)]
                stack += [(edge[0], own) for edge in node.next_functions[::-1] if edge[0]]
            edge = (known[id(node)], user)
            edges[edge] = None
        self.edges = list(edges)

    def _add(self, kind: str, name: str, shape: str) -> int:
        self.nodes.append((kind, name, shape))
        return len(self.nodes) - 1

    def __repr__(self) -> str:
        kinds = [kind for kind, _, _ in self.nodes]
        counts = f"{kinds.count('function')} functions, {kinds.count('parameter')} parameters"
        return f"Graph({counts}, {kinds.count('leaf')} other leaves)"

    def _repr_svg_(self) -> str:
        return self.svg

    @property
    def svg(self) -> str:
        """The picture, a complete SVG document."""
        return "\n".join(_svg(self.nodes, self.edges, self.theme))

    @property
    def dot(self) -> str:
        """The graph in Graphviz's language."""
        lines = ["digraph {", '  node [shape=box, fontname="monospace"];']
        for number, (kind, name, shape) in enumerate(self.nodes):
            label = (f"{name}\\n{shape}" if shape else name).replace('"', '\\"')
            fill = KINDS[kind][0][0]
            lines.append(f'  n{number} [label="{label}", style=filled, fillcolor="{fill}"];')
        lines += [f"  n{a} -> n{b};" for a, b in self.edges]
        return "\n".join([*lines, "}"])

    def __str__(self) -> str:
        return self.svg if self.format == "svg" else self.dot

    def save(self, path: Any) -> None:
        """Writes the picture, in the format it was asked in; ValueError for another file ending."""
        file = Path(path)
        if file.suffix != f".{self.format}":
            raise ValueError(
                f"this graph is {self.format}: give a path that ends in .{self.format} "
                f"(got {file.name!r}), or ask for graph(..., format=...)"
            )
        file.write_text(str(self), encoding="utf-8")


def described(node: Any, names: dict[int, str]) -> tuple[str, str, str]:
    """Kind, name and shape of a backward function or of the leaf behind it."""
    if isinstance(node, AccumulateGrad):
        name = names.get(id(node.variable))
        kind = "leaf" if name is None else "parameter"
        return kind, name or "leaf", shape_text(node.variable)
    name = type(node).__name__
    made = getattr(node, "_made", None)
    shape = "" if made is None else shape_text(made[2].metas[0])
    return "function", name.removesuffix("0").removesuffix("Backward") or name, shape


def shape_text(tensor: Any) -> str:
    """A tensor's shape: 64 x 10; scalar."""
    return " x ".join(map(str, tensor.shape)) or "scalar"


# ---- SVG -----------------------------------------------------------------------------------------


def _svg(
    nodes: list[tuple[str, str, str]], edges: list[tuple[int, int]], theme: str
) -> Iterator[str]:
    widths = [max(len(name), len(shape)) * LETTER + 18 for _, name, shape in nodes]
    placed = place(widths, edges)
    layers = max(placed.layer) + 1
    width, height = placed.width + 2 * MARGIN, (layers - 1) * STEP + HIGH + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="ui-monospace, Menlo, Consolas, '
        f'monospace" font-size="11" role="img" aria-label="graph of backward functions">'
    )
    yield f"<style>{_style(theme)}</style>"
    if theme != "auto":
        yield f'<rect width="100%" height="100%" fill="{PAPER[theme == "dark"]}"/>'
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    )
    tops = [MARGIN + (layers - 1 - layer) * STEP for layer in range(layers)]
    for path in placed.paths:
        yield f'<path class="edge" marker-end="url(#tip)" d="{_curve(path, tops)}"/>'
    for (kind, name, shape), x, layer, wide in zip(nodes, placed.x, placed.layer, widths):
        yield from _box(kind, name, shape, x + MARGIN, tops[layer], wide)
    yield "</svg>"


def _curve(path: list[tuple[int, float]], tops: list[float]) -> str:
    """From the lower side of a box, through the gaps of the layers between, to the next box."""
    (layer, x), *rest = path
    parts = [f"M{x + MARGIN:.1f} {tops[layer] + HIGH:.1f}"]
    x, y = x + MARGIN, tops[layer] + HIGH
    for step, (layer, right) in enumerate(rest):
        right, top = right + MARGIN, tops[layer]
        half = (y + top) / 2
        parts.append(f"C{x:.1f} {half:.1f} {right:.1f} {half:.1f} {right:.1f} {top:.1f}")
        x, y = right, top
        if step < len(rest) - 1:
            y = top + HIGH
            parts.append(f"V{y:.1f}")
    return " ".join(parts)


def _box(kind: str, name: str, shape: str, x: float, top: float, wide: float) -> Iterator[str]:
    yield f'<g class="{kind}"><title>{escape(f"{kind}: {name} {shape}")}</title>'
    yield (
        f'<rect x="{x - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{HIGH}" '
        f'rx="{3 if kind == "function" else 12}"/>'
    )
    first = top + HIGH / 2 + (4 if not shape else -2.5)
    yield f'<text x="{x:.1f}" y="{first:.1f}" text-anchor="middle">{escape(name)}</text>'
    if shape:
        yield (
            f'<text class="shape" x="{x:.1f}" y="{first + LINE:.1f}" '
            f'text-anchor="middle">{escape(shape)}</text>'
        )
    yield "</g>"


def _style(theme: str) -> str:
    def rules(which: int) -> str:
        edge = EDGE[which]
        found = [f".edge{{stroke:{edge};fill:none;stroke-width:1.2}}.tip{{fill:{edge}}}"]
        found.append(".shape{opacity:.72}")
        for kind, colours in KINDS.items():
            fill, stroke, text = colours[which]
            found.append(f".{kind} rect{{fill:{fill};stroke:{stroke}}}.{kind} text{{fill:{text}}}")
        return "".join(found)

    if theme != "auto":
        return rules(theme == "dark")
    return f"{rules(0)}@media (prefers-color-scheme:dark){{{rules(1)}}}"
