"""Writes the stubs of what is bound when `import flambeau` runs, for editors and type checkers.

    python3 tools/make_stubs.py            write them
    python3 tools/make_stubs.py --check    exit with 1 where a stub is out of date

flambeau/functional/catalogue.py  which module has what, so that it is imported when used
flambeau/tensor/methods.pyi   the methods and operators that functional/binding.py gives to Tensor
flambeau/__init__.pyi         the torch namespace

Functions that stand in a module under their own name are re-exported from there; the signature of
one made by another function is written out.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flambeau
from flambeau.core import dtypes
from flambeau.functional import binding, legacy_types
from flambeau.tensor.tensor import Tensor

WIDTH = 100
HEADER = "# Written by tools/make_stubs.py; run it after a change of the functions named here.\n"
# What an operator takes; all give a tensor.
UNARY = {"__neg__", "__pos__", "__abs__", "__invert__"}


class Imports:
    """The imports of a stub, found while its annotations are written."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.names: set[tuple[str, str, str]] = set()
        self.public: set[tuple[str, str]] = set()
        self.second: list[tuple[str, str, str]] = []
        self.modules: set[tuple[str, str]] = set()

    def name(self, module: str, name: str, local: str | None = None) -> str:
        """How the stub calls a name of a module: lower-case names could be its own members."""
        local = local or (name if name[0].isupper() or name[0] == "_" else f"_{name}")
        if module != self.module:
            self.names.add((module, name, local))
        return local

    def export(self, module: str, name: str, public: str) -> None:
        """Makes a name of a module public, under its own name or a second one."""
        if name == public:
            self.public.add((module, name))
        else:
            self.second.append((public, module, name))

    def second_names(self) -> list[str]:
        """Assignments: a stub exports `import a as b` only where b is a."""
        return [f"{public} = {self.name(m, name, name)}" for public, m, name in sorted(self.second)]

    def lines(self) -> Iterable[str]:
        """The import statements, as ruff orders them."""
        found = [(m, n, local) for m, n, local in self.names if (m, n) not in self.public]
        found += [(module, name, f"{name} as {name}") for module, name in self.public]
        for ours in (False, True):
            lines = [f"import {m} as {n}" for m, n in sorted(self.modules) if not ours]
            group = [entry for entry in found if (entry[0].split(".")[0] == "flambeau") is ours]
            for module in sorted({m for m, _, _ in group}):
                names = [(name, local) for m, name, local in group if m == module]
                lines += _statements(module, names)
            if lines:
                yield from [*lines, ""]


def _statements(module: str, names: list[tuple[str, str]]) -> list[str]:
    """The imports of a module: renamed names have a statement each, the others share one."""
    plain = sorted((name for name, local in names if name == local), key=_order)
    found = (
        [(plain[0], wrapped(f"from {module} import ", plain, "", bracket=True))] if plain else []
    )
    for name, local in names:
        if name != local:
            text = local if " as " in local else f"{name} as {local}"
            found.append((name, [f"from {module} import {text}"]))
    return [line for _, lines in sorted(found, key=lambda f: _order(f[0])) for line in lines]


def _order(name: str) -> tuple[int, str]:
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name


def wrapped(head: str, parts: list[str], tail: str, *, bracket: bool = False) -> list[str]:
    """`head` + parts + `tail` on one line, or the parts below it, or one part a line."""
    opening, closing = ("(", ")") if bracket else ("", "")
    one = head + ", ".join(parts) + tail
    if len(one) <= WIDTH:
        return [one]
    margin = head[: len(head) - len(head.lstrip())]
    inner = f"{margin}    {', '.join(parts)}"
    if len(inner) <= WIDTH and not bracket:
        return [head + opening, inner, margin + closing + tail]
    return [head + opening, *(f"{margin}    {part}," for part in parts), margin + closing + tail]


class Annotation(ast.NodeTransformer):
    """Rewrites the names of an annotation to those of the stub."""

    def __init__(self, scope: dict[str, Any], module: str, imports: Imports) -> None:
        self.scope, self.module, self.imports = scope, module, imports

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in self.scope:
            return ast.Name(self.of_object(node.id, self.scope[node.id]))
        assert hasattr(builtins, node.id), f"{node.id} is no name of {self.module}"
        return ast.Name(self.imports.name("builtins", node.id))

    def of_object(self, name: str, value: Any) -> str:
        if isinstance(value, ModuleType):
            self.imports.modules.add((value.__name__, name))
            return name
        home = getattr(value, "__module__", self.module)
        own = getattr(value, "__name__", name)
        if getattr(sys.modules.get(home), own, None) is not value:
            home, own = self.module, name
        return self.imports.name(home, own, name if name[0].isupper() else None)


def annotation_text(annotation: Any, function: Callable[..., Any], imports: Imports) -> str:
    """An annotation of a function in the stub's names; "Any" where there is none."""
    if annotation is inspect.Signature.empty:
        return imports.name("typing", "Any")
    assert isinstance(annotation, str), f"{function} lacks `from __future__ import annotations`"
    scope, module = inspect.unwrap(function).__globals__, function.__module__
    tree = ast.parse(annotation, mode="eval").body
    return ast.unparse(Annotation(scope, module, imports).visit(tree))


def default_text(value: Any) -> str:
    """A default that reads as itself, else an ellipsis."""
    simple = value is None or isinstance(value, (bool, int, str))
    plain = isinstance(value, float) and abs(value) < float("inf")
    if value == () and isinstance(value, tuple):
        return "()"
    return repr(value).replace("'", '"') if simple or plain else "..."


def parameter_texts(function: Callable[..., Any], imports: Imports, *, method: bool) -> list[str]:
    """The parameters of a function; the first one of a method is `self`."""
    texts: list[str] = []
    starred = False
    for number, p in enumerate(inspect.signature(function).parameters.values()):
        if method and number == 0:
            texts.append("self")
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            texts.append("*")
        starred |= p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        text = f"{stars}{p.name}: {annotation_text(p.annotation, function, imports)}"
        texts.append(text if p.default is p.empty else f"{text} = {default_text(p.default)}")
    return texts


def documentation(function: Callable[..., Any], margin: str) -> list[str]:
    """The first line of a docstring, inside a margin."""
    line = (function.__doc__ or "").strip().split("\n")[0]
    if not line:
        return []
    if len(line) + len(margin) + 6 <= WIDTH:
        return [f'{margin}"""{line}"""']
    return textwrap.wrap(f'"""{line}"""', WIDTH, initial_indent=margin, subsequent_indent=margin)


def function_text(
    name: str, function: Callable[..., Any], imports: Imports, *, margin: str = ""
) -> list[str]:
    """The definition of a function (of a method, inside a margin) in a stub."""
    parameters = parameter_texts(function, imports, method=bool(margin))
    gives = inspect.signature(function).return_annotation
    result = annotation_text(gives, function, imports)
    doc = documentation(function, f"{margin}    ")
    tail = f") -> {result}:" + ("" if doc else " ...")
    return wrapped(f"{margin}def {name}(", parameters, tail) + doc


def operator_text(name: str, imports: Imports) -> list[str]:
    """An operator: its operands may be of any type, since another type may have its turn."""
    tensor = imports.name("flambeau.tensor.tensor", "Tensor")
    imports.name("typing", "Any")
    if name == "__setitem__":
        return [f"    def {name}(self, index: Any, value: Any) -> None: ..."]
    operand = "" if name in UNARY else ", other: Any"
    operand = ", index: Any" if name == "__getitem__" else operand
    note = "  # type: ignore[override]  # not a bool" if name in ("__eq__", "__ne__") else ""
    return [f"    def {name}(self{operand}) -> {tensor}: ...{note}"]


def bound_members() -> dict[str, Any]:
    """What stands in the class Tensor and not in its source."""
    binding.bind()
    tree = ast.parse(inspect.getsource(Tensor))
    body = tree.body[0]
    assert isinstance(body, ast.ClassDef)
    written: set[str] = set()
    for node in body.body:
        if isinstance(node, ast.FunctionDef):
            written.add(node.name)
        elif isinstance(node, ast.Assign):
            written |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            written.add(node.target.id)
    members = {k: v for k, v in vars(Tensor).items() if k not in written}
    return {k: v for k, v in sorted(members.items()) if isinstance(v, (FunctionType, property))}


def methods_stub() -> str:
    """The class that Tensor inherits from where types are checked."""
    imports = Imports("flambeau.tensor.methods")
    handle = imports.name("flambeau.record.handle", "Handle")
    lines: list[str] = []
    for name, member in bound_members().items():
        if isinstance(member, property):
            assert member.fget is not None
            lines.append("    @property")
            lines += function_text(name, member.fget, imports, margin="    ")
        elif name.startswith("__"):
            lines += operator_text(name, imports)
        else:
            lines += function_text(name, member, imports, margin="    ")
    top = [HEADER, *imports.lines(), f"class TensorMethods({handle}):"]
    doc = '    """The methods of Tensor that functional/binding.py binds."""'
    return "\n".join([*top, doc, "", *lines]) + "\n"


def home_of(function: Any) -> str | None:
    """The module that defines a function or class under its own name, if one does."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    if module is None or vars(module).get(function.__name__) is not function:
        return None
    source = ast.parse(inspect.getsource(module))
    defined = {n.name for n in source.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return str(module.__name__) if function.__name__ in defined else None


def root_members(imports: Imports) -> Iterable[tuple[str, Any]]:
    """What flambeau/__init__.py defines; its imports are made public."""
    tree = ast.parse((ROOT / "flambeau" / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                local = alias.asname or alias.name
                if not local.startswith("_"):
                    imports.export(node.module or "", alias.name, local)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, getattr(flambeau, node.name)


def constants(imports: Imports) -> list[str]:
    """The names of the namespace that are no functions."""
    text, number = imports.name("builtins", "str"), imports.name("builtins", "float")
    dtype = imports.name("flambeau.core.dtypes", "DType")
    tensor = imports.name("flambeau.tensor.tensor", "Tensor")
    return [
        *(f"{name}: {number}" for name in ("e", "inf", "nan", "pi")),
        "newaxis: None",
        f"__version__: {text}",
        f"FLAMBEAU_VERSION: {text}",
        *(f"{name}: {dtype}" for name in sorted({*dtypes.BY_NAME, "bool"})),
        *(f"{name}: type[{tensor}]" for name in sorted(legacy_types.LEGACY_TYPES)),
    ]


def namespace_stub() -> str:
    """The stub of flambeau itself."""
    imports = Imports("flambeau")
    made = list(root_members(imports))
    for name, member in sorted(binding.namespace().items()):
        home = home_of(member) if hasattr(member, "__name__") else None
        if home is not None:
            imports.export(home, member.__name__, name)
        elif isinstance(member, FunctionType):
            made.append((name, member))
    imports.export("flambeau.functional.folding", "RETURN_TYPES", "return_types")
    for name, (module, attribute) in vars(flambeau)["_ELSEWHERE"].items():
        if importlib.util.find_spec(module) and hasattr(importlib.import_module(module), attribute):
            imports.export(module, attribute, name)
    for name in vars(flambeau)["_SUBMODULES"]:
        if importlib.util.find_spec(f"flambeau.{name}"):
            imports.export("flambeau", name, name)
    functions: list[str] = []
    for name, member in made:
        if functions and functions[-1].endswith('"""'):
            functions.append("")
        functions += function_text(name, member, imports)
    data = constants(imports)
    second = imports.second_names()
    return "\n".join([HEADER, *imports.lines(), *data, *second, "", *functions]) + "\n"


def catalogue() -> str:
    """The module that `import flambeau` binds from."""
    tables: dict[str, dict[str, list[str]]] = {"METHODS": {}, "PROPERTIES": {}, "NAMES": {}}
    for name, (module, table) in sorted(binding.members().items()):
        tables[table].setdefault(module, []).append(name)
    for name, (module, place) in sorted(binding.names().items()):
        entry = name if place == name else f"{name}={place}"
        tables["NAMES"].setdefault(module, []).append(entry)
    lines = [
        '"""Which module of functional/ has which members of Tensor and names of torch."""',
        "",
        HEADER,
    ]
    for table, modules in tables.items():
        lines.append(f"{table} = {{")
        for module, names in sorted(modules.items()):
            text = textwrap.wrap(" ".join(names), WIDTH - 12, break_on_hyphens=False)
            if len(text) == 1 and len(text[0]) + len(module) < WIDTH - 12:
                lines.append(f'    "{module}": "{text[0]}",')
            else:
                lines += [f'    "{module}": (', *(f'        "{part} "' for part in text), "    ),"]
        lines.append("}")
    return "\n".join(lines) + "\n"


STUBS: dict[str, Callable[[], str]] = {
    "flambeau/functional/catalogue.py": catalogue,
    "flambeau/tensor/methods.pyi": methods_stub,
    "flambeau/__init__.pyi": namespace_stub,
}


def outdated() -> list[str]:
    """The stubs whose text is not what would be written now."""
    now = {file: make() for file, make in STUBS.items()}
    files = {file: ROOT / file for file in now}
    return [f for f, p in files.items() if not p.exists() or p.read_text("utf-8") != now[f]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the stubs of flambeau.")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is old")
    check = parser.parse_args().check
    for file in outdated():
        print(f"{file} is out of date" if check else f"wrote {file}")
        if check:
            continue
        (ROOT / file).write_text(STUBS[file](), "utf-8")
    return int(check and bool(outdated()))


if __name__ == "__main__":
    sys.exit(main())
