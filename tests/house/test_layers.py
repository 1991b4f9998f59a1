"""The floors are one-way: whoever imports upward is named here, file and line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "flambeau"

# As in docs/layout.md. A new folder or file directly under flambeau/ gets its floor here.
FLOORS = {
    "core": 0,
    "ops": 1,
    "graph": 2,
    "execute": 3,
    "record": 4,
    "tensor": 5,
    "functional": 5,
    "autograd": 5,
    "nn": 6,
    "optim": 6,
    "utils": 6,
    "vision": 6,
    "metrics": 6,
    "distributed": 6,
    "serialization": 6,
    "cli": 7,
    "compat": 7,
}
# Rooms of the surface that are named after PyTorch's modules, most of them one file.
FLOORS |= dict.fromkeys(
    [
        *(
            "_C",
            "accelerator",
            "amp",
            "backends",
            "bundles",
            "checkpoint",
            "compiler",
            "debugging",
            "explaining",
            "cpu",
            "cuda",
            "dynamo",
            "fft",
            "func",
            "fx",
            "hub",
            "inductor",
            "jit",
            "library",
            "nvtx",
        ),
        *(
            "linalg",
            "mps",
            "xpu",
            "multiprocessing",
            "onnx",
            "profiler",
            "random",
            "signal",
            "sparse",
        ),
        *("ao", "futures", "hub", "masked", "nested", "overrides", "quantization", "storage"),
        "foreach",
        *("plot", "seeing"),
        *("distributions", "special", "testing", "types", "version", "_C"),
    ],
    6,
)
# flambeau/__init__.py and __main__.py stand on the roof: they gather names, and nothing below
# floor 7 imports from them.
ROOF = 6.5
FOREIGN = {"torch", "torchvision", "jax", "jaxlib", "tensorflow", "keras", "mxnet", "tinygrad"}

Import = tuple[int, str]


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node` except bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from running_nodes(other)
            continue
        yield child
        yield from running_nodes(child)


def package_of(module: str, is_package: bool) -> str:
    return module if is_package else module.rpartition(".")[0]


def imports(source: str, module: str, is_package: bool) -> list[Import]:
    """(line, dotted name) of every import that can run, relative ones resolved.

    `from a import b` counts as a.b; import_module("a.b") with a literal counts as well.
    """
    found: list[Import] = []
    for node in running_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package_of(module, is_package).split(".")
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            name = first.value if isinstance(first, ast.Constant) else None
            if called in ("import_module", "__import__") and isinstance(name, str):
                found.append((node.lineno, name))
    return found


def room(name: str) -> str | None:
    """The room a dotted name leads to: "ops", ..., or "" for the roof; None outside the house."""
    parts = name.split(".")
    if parts[0] != "flambeau":
        return None
    if len(parts) == 1 or parts[1].startswith("__"):
        return ""
    if parts[1] in FLOORS:
        return parts[1]
    # `from flambeau import Tensor`: a name the roof gathered.
    exists = (HOUSE / parts[1]).is_dir() or (HOUSE / f"{parts[1]}.py").is_file()
    return parts[1] if exists else ""


def floor(of: str) -> float:
    return FLOORS[of] if of else ROOF


def upward(source: str, module: str, is_package: bool) -> list[str]:
    here = room(module)
    assert here is not None
    if not here:
        return []
    wrong = []
    for line, name in imports(source, module, is_package):
        there = room(name)
        if there is not None and there != here and floor(there) > floor(here):
            wrong.append(f"line {line}: {here} (floor {floor(here)}) imports {name}")
    return wrong


def modules() -> list[tuple[Path, str]]:
    found = []
    for file in sorted(HOUSE.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found.append((file, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)))
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py"}
    rooms |= {path.name for path in HOUSE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    unknown = {name for name in rooms if not name.startswith("__")} - set(FLOORS)
    assert not unknown, f"give these a floor in FLOORS and in docs/layout.md: {sorted(unknown)}"


def test_floors_import_only_what_is_below() -> None:
    wrong = []
    for file, module in modules():
        found = upward(file.read_text("utf-8"), module, file.name == "__init__.py")
        wrong += [f"{file.relative_to(ROOT)}, {text}" for text in found]
    assert not wrong, "\n".join(["imports that lead upstairs:", *wrong])


def test_nothing_foreign_inside() -> None:
    wrong = []
    for file, module in modules():
        source = file.read_text("utf-8")
        for line, name in imports(source, module, file.name == "__init__.py"):
            if name.split(".")[0] in FOREIGN:
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(["another framework inside:", *wrong])


def test_plain_file_names() -> None:
    vague = [file for file, _ in modules() if file.stem in ("helpers", "misc", "common", "util")]
    assert not vague
    assert not (HOUSE / "utils.py").exists()


@pytest.mark.parametrize(
    ("module", "source", "lines"),
    [
        ("flambeau.core.a", "import flambeau.ops.view", 1),
        ("flambeau.core.a", "import numpy\nfrom flambeau.core import shapes", 0),
        ("flambeau.ops.a", "from flambeau import core, graph", 1),
        ("flambeau.ops.a", "from ..core import dtypes\nfrom ..nn import Module", 1),
        ("flambeau.ops.a", "from . import view\nfrom .view import x", 0),
        ("flambeau.tensor.a", "from flambeau import functional, autograd", 0),
        ("flambeau.nn.a", "from flambeau import Tensor", 1),
        ("flambeau.cli.a", "import flambeau", 0),
        ("flambeau.record.a", "def f():\n    from flambeau.tensor import Tensor", 1),
        (
            "flambeau.record.a",
            "if TYPE_CHECKING:\n    import flambeau.nn\nelse:\n    import flambeau.optim",
            1,
        ),
        ("flambeau.graph.a", "importlib.import_module('flambeau.execute.cpu')", 1),
        ("flambeau.graph.a", "import flambeau", 1),
    ],
)
def test_the_check_itself(module: str, source: str, lines: int) -> None:
    assert len(upward(source, module, is_package=False)) == lines


def test_the_check_resolves_relative_imports_in_packages() -> None:
    assert imports("from . import view", "flambeau.ops", True) == [(1, "flambeau.ops.view")]
    assert imports("from ..core import a", "flambeau.ops", True) == [(1, "flambeau.core.a")]
    assert imports("from ..core import a", "flambeau.ops.b", False) == [(1, "flambeau.core.a")]


def test_files_of_tests_have_names_of_their_own() -> None:
    """Outside of packages the name alone is the module's: pytest cannot collect two of it."""
    found = list((ROOT / "tests").rglob("test_*.py"))
    alone = [path for path in found if not (path.parent / "__init__.py").exists()]
    names = [path.name for path in alone]
    assert [str(path) for path in alone if names.count(path.name) > 1] == []


def test_no_test_needs_pytorch_to_be_collected() -> None:
    """They skip themselves where it is not installed: `pytest.importorskip("torch")`."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                names = []
            if any(name.split(".")[0] == "torch" for name in names):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            if "importorskip" in ast.unparse(node):
                break
    assert not found, f"imports of torch that nothing guards: {found}"
