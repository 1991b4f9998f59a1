"""A module as a tree that opens and closes, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

OPEN = 1  # depths that are open at first


def module_html(module: Any) -> str:
    """The module's tree: each part with what it prints of itself and its parameters."""
    style = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:90%;line-height:1.5"
    return f'<div style="{style}">{"".join(_part("", module, 0))}</div>'


def _part(name: str, module: Any, depth: int) -> Iterator[str]:
    head = _head(name, module)
    children = list(module._modules.items())
    if not children:
        yield f'<div style="padding-left:1.1em">{head}</div>'
        return
    yield f"<details{' open' if depth < OPEN else ''}><summary>{head}</summary>"
    yield '<div style="padding-left:1.6em">'
    for key, child in children:
        if child is None:
            yield f'<div style="padding-left:1.1em">({escape(key)}): None</div>'
        else:
            yield from _part(key, child, depth + 1)
    yield "</div></details>"


def _head(name: str, module: Any) -> str:
    extra = ", ".join(module.extra_repr().split("\n"))
    called = f"({escape(name)}): " if name else ""
    parameters = list(module.parameters())
    count = sum(p.numel() for p in parameters)
    told = f"{count:,} parameters" if count else ""
    frozen = sum(p.numel() for p in parameters if not p.requires_grad)
    if frozen:
        told += ", frozen" if frozen == count else f", {frozen:,} of them frozen"
    note = f' <span style="opacity:.6">{told}</span>' if told else ""
    return f"{called}<b>{escape(type(module).__name__)}</b>({escape(extra)}){note}"
