"""Writes docs/surface.md: the public names of PyTorch 2.13 that Flambeau does not have.

The names stand in tools/torch_names.json, so the document needs no PyTorch; `--names` makes that
file anew where PyTorch is installed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ROOT / "tools" / "torch_names.json"
DOCUMENT = ROOT / "docs" / "surface.md"

ROOMS = (
    "",
    "Tensor",
    "nn",
    "nn.functional",
    "optim",
    "optim.lr_scheduler",
    "utils.data",
    "linalg",
    "fft",
    "special",
    "distributions",
    "autograd",
    "amp",
    "func",
)


def room_of(package: str, room: str) -> object | None:
    """The module or class called `room` in `package`; None where there is none."""
    if room == "Tensor":
        return getattr(importlib.import_module(package), "Tensor", None)
    name = f"{package}.{room}" if room else package
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        return None


# Classes of PyTorch's C++ engine that programs do name; the others belong to TorchScript.
ENGINE_CLASSES = frozenset(
    "AcceleratorError Event Generator OutOfMemoryError Size Stream Tag device dtype finfo iinfo "
    "layout memory_format qscheme".split()
)


def engine_class(root: object, name: str) -> bool:
    """Whether `torch.name` is a class of the C++ engine that no program names."""
    engine = getattr(root, "_C", None)
    value = getattr(root, name)
    return (
        inspect.isclass(value)
        and getattr(engine, name, None) is value
        and name not in ENGINE_CLASSES
    )


def public_names(room: object) -> list[str]:
    """The names of a room of PyTorch's: those it lists, else those it holds that are its own."""
    listed = getattr(room, "__all__", None)
    names = set(dir(room) if listed is None else listed)
    is_root = getattr(room, "__name__", "") == "torch"
    if is_root:
        names |= set(dir(room))
    kept = []
    for name in names:
        if name.startswith("_") or not hasattr(room, name):
            continue
        value = getattr(room, name)
        if inspect.ismodule(value) and not value.__name__.startswith("torch."):
            continue
        owner = getattr(value, "__module__", None)
        foreign = isinstance(owner, str) and owner.split(".")[0] in {"typing", "builtins"}
        if (foreign and inspect.isclass(value)) or owner == "typing":
            continue
        if is_root and (name.isupper() or engine_class(room, name)):
            continue
        kept.append(name)
    return sorted(kept)


def collect() -> dict[str, list[str]]:
    """PyTorch's names by room; raises ModuleNotFoundError where PyTorch is not installed."""
    return {room: public_names(room_of("torch", room)) for room in ROOMS}


def document() -> str:
    """The text of docs/surface.md, from the data file and the installed Flambeau."""
    names: dict[str, list[str]] = json.loads(NAMES.read_text(encoding="utf-8"))
    missing = {}
    for room, known in names.items():
        ours = room_of("flambeau", room)
        missing[room] = [name for name in known if not hasattr(ours, name)]
    lines = [
        "# Names of PyTorch 2.13 that Flambeau does not have",
        "",
        "Made by `python tools/make_surface.py`; do not edit. A name that is here does not exist",
        "in Flambeau; a name that is not here exists, which says nothing about all its options.",
        "Left out of `torch`: the classes of TorchScript and of PyTorch's C++ engine.",
        "",
        "| room | names in PyTorch | missing here |",
        "|---|---:|---:|",
    ]
    for room, known in names.items():
        lines.append(f"| `{title(room)}` | {len(known)} | {len(missing[room])} |")
    for room, absent in missing.items():
        if absent:
            listed = ", ".join(f"`{name}`" for name in absent)
            lines += ["", f"## {title(room)}", "", listed]
    return "\n".join(lines) + "\n"


def title(room: str) -> str:
    """The room's name as users write it."""
    return f"torch.{room}" if room else "torch"


def main(arguments: list[str]) -> int:
    """Writes the document; with --names, PyTorch's names first; with --check, only compares."""
    parser = argparse.ArgumentParser(description="Write docs/surface.md")
    parser.add_argument("--names", action="store_true", help="collect PyTorch's names anew")
    parser.add_argument("--check", action="store_true", help="fail if the document is out of date")
    options = parser.parse_args(arguments)
    if options.names:
        NAMES.write_text(json.dumps(collect(), indent=1) + "\n", encoding="utf-8")
    text = document()
    if options.check:
        return int(DOCUMENT.read_text(encoding="utf-8") != text)
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
