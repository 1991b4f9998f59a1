#!/usr/bin/env python3
"""Builds the documentation as a site: the pages, the book in both editions, the reference.

    python tools/make_site.py [--quick] [FOLDER]         into build/site, unless FOLDER is named

`--quick` does not run the book's chapters; outputs are kept in build/site_cache while the code of a
chapter stays the same. Needs flambeau[site] (Sphinx, MyST-NB, Furo); `python3 tools/dev.py site`
installs that first. Warnings are errors, and so is a link that leads to no page or no place in it.
The reference is made from the docstrings, with the examples of `docs/examples`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "site_source"
PAGES = (
    "surface", "compatibility", "data", "trust", "performance", "layout", "one_op", "one_step",
    "seeing", "explain",
)  # fmt: skip
MODULES = {
    "flambeau": "tensors and functions of them",
    "flambeau.Tensor": "the methods of a tensor",
    "flambeau.nn": "layers",
    "flambeau.nn.functional": "layers as functions",
    "flambeau.nn.init": "first weights",
    "flambeau.nn.utils": "clipping, flattening, parametrisations",
    "flambeau.nn.utils.rnn": "sequences of different lengths",
    "flambeau.optim": "optimizers",
    "flambeau.optim.lr_scheduler": "learning rates that change",
    "flambeau.autograd": "derivatives",
    "flambeau.func": "functions of functions",
    "flambeau.utils.data": "data sets and loaders",
    "flambeau.utils.tensorboard": "TensorBoard",
    "flambeau.linalg": "linear algebra",
    "flambeau.fft": "Fourier transforms",
    "flambeau.special": "special functions",
    "flambeau.signal.windows": "windows",
    "flambeau.distributions": "probability distributions",
    "flambeau.sparse": "sparse tensors",
    "flambeau.masked": "masked reductions",
    "flambeau.nested": "tensors of different lengths",
    "flambeau.amp": "mixed precision",
    "flambeau.fx": "programs as graphs",
    "flambeau.compiler": "compiling whole steps",
    "flambeau.debugging": "finding what is wrong",
    "flambeau.checkpoint": "checkpoints that are never half-written",
    "flambeau.plot": "pictures",
    "flambeau.vision.transforms": "transforms of images",
    "flambeau.vision.transforms.v2": "transforms of images, boxes and masks",
    "flambeau.vision.datasets": "data sets of images",
    "flambeau.vision.models": "models of images",
    "flambeau.vision.ops": "boxes and regions",
    "flambeau.vision.io": "image files",
    "flambeau.vision.utils": "grids and drawings",
    "flambeau.metrics": "metrics that are collected",
    "flambeau.metrics.functional": "metrics of one batch",
    "flambeau.distributed": "several processes",
}
OWN = ("flambeau.plot", "flambeau.debugging", "flambeau.checkpoint")  # PyTorch has none of these
EXAMPLES = ROOT / "docs" / "examples"
HEADING = re.compile(r"^## (\S+)\n", re.MULTILINE)


def examples_of(module: str) -> dict[str, str]:
    """The examples of a module: name and session, from `docs/examples/MODULE.md`."""
    path = EXAMPLES / f"{module}.md"
    if not path.exists():
        return {}
    parts = HEADING.split(path.read_text(encoding="utf-8"))[1:]
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def public_names(owner: Any) -> list[str]:
    """The callables that a module (or the class Tensor) offers, in alphabetical order."""
    listed = getattr(owner, "__all__", None)
    found = []
    for name in sorted(set(listed or dir(owner))):
        if name.startswith("_"):
            continue
        value = getattr(owner, name, None)
        if not (callable(value) or isinstance(value, property)):
            continue
        # Without a list, what a module has only imported is not its own.
        imported = inspect.ismodule(owner) and value.__module__ != owner.__name__
        if listed or not imported:
            found.append(name)
    return found


def signature_of(value: Any) -> str:
    """What a callable takes, without types that say nothing."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [
        one.replace(annotation=_plain(one.annotation)) for one in signature.parameters.values()
    ]
    empty = inspect.Signature.empty
    text = str(signature.replace(parameters=parameters, return_annotation=empty))
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return re.sub(r"<(?:class|function) '?([^'>]*)'?>", r"\1", text)


class _Type:
    """An annotation that is shown without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _plain(annotation: Any) -> Any:
    if annotation in ("Any", Any):
        return inspect.Parameter.empty
    return _Type(annotation) if isinstance(annotation, str) else annotation


def doc_of(value: Any) -> str:
    if isinstance(value, type) and not value.__doc__:
        return ""
    text = inspect.getdoc(value) or ""
    return "\n".join("    " + line if ">>>" in line else line for line in text.splitlines())


def entry(module: str, name: str, value: Any, example: str) -> str:
    """One name: its signature, docstring and example."""
    kind = "py:class" if isinstance(value, type) else "py:function"
    shown = "" if isinstance(value, property) else signature_of(value)
    body = doc_of(value).replace("\\", "\\\\")
    if isinstance(value, property):
        kind = "py:attribute"
    lines = [f"::::{{{kind}}} {module}.{name}{shown}", "", body]
    if example:
        lines += ["", "```pycon", example, "```"]
    return "\n".join([*lines, "::::", ""])


def words_of_examples(module: str) -> str:
    """What the short names in a page's examples stand for."""
    own = ""
    if module.startswith(("flambeau.vision", "flambeau.metrics")):
        own = f", and `{module.split('.')[-1]}` is `{module}`"
    return (
        "In the examples, `torch` is Flambeau, `nn` is its `nn`, `F` its `nn.functional`"
        f"{own}{'' if module in OWN else '; PyTorch prints the same'}."
    )


def write_reference(folder: Path) -> None:
    """A page for each module."""
    folder.mkdir(parents=True)
    listed = []
    for module, title in MODULES.items():
        if module == "flambeau.Tensor":
            import flambeau

            owner: Any = flambeau.Tensor
        else:
            try:
                owner = importlib.import_module(module)
            except ModuleNotFoundError:
                continue
        names = public_names(owner)
        examples = examples_of(module)
        values = {name: inspect.getattr_static(owner, name, None) for name in names}
        for name, value in values.items():
            if not isinstance(value, property):
                values[name] = getattr(owner, name)
        page = [f"# {module}: {title}", ""]
        if examples:
            page += [words_of_examples(module), ""]
        page += [entry(module, n, v, examples.get(n, "")) for n, v in values.items()]
        (folder / f"{module}.md").write_text("\n".join(page), encoding="utf-8")
        listed.append(f"{module}")
    index = ["# Reference", "", "```{toctree}", ":maxdepth: 1", "", *listed, "```", ""]
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")


def write_book(folder: Path) -> None:
    editions = {"en": ("The book", "Solution"), "zh": ("教程（中文）", "答案")}
    for language, (title, solution) in editions.items():
        own = folder / language
        own.mkdir(parents=True)
        names = []
        for path in sorted((ROOT / "docs" / "book" / language).glob("[0-9][0-9]_*.md")):
            text = path.read_text(encoding="utf-8")
            # What stands on the bars that hide the solutions.
            header = f"---\nmystnb:\n  code_prompt_show: {solution}\n"
            (own / path.name).write_text(text.replace("---\n", header, 1), encoding="utf-8")
            names.append(path.stem)
        lines = [f"# {title}", "", "```{toctree}", ":maxdepth: 1", ":numbered: 1", ""]
        lines += [*names, "```", ""]
        (own / "index.md").write_text("\n".join(lines), encoding="utf-8")


def write_pages() -> None:
    """All sources of the site, in one folder."""
    if SOURCE.exists():
        shutil.rmtree(SOURCE)
    SOURCE.mkdir(parents=True)
    present = [name for name in PAGES if (ROOT / "docs" / f"{name}.md").exists()]
    for name in ("index", "coming_from_pytorch", *present):
        shutil.copy(ROOT / "docs" / f"{name}.md", SOURCE)
    if (ROOT / "docs" / "pictures").exists():
        shutil.copytree(ROOT / "docs" / "pictures", SOURCE / "pictures")
    help_pages = sorted((ROOT / "flambeau" / "cli" / "topics").glob("*.md"))
    (SOURCE / "help").mkdir()
    for path in help_pages:
        shutil.copy(path, SOURCE / "help")
    topics = "\n".join(path.stem for path in help_pages)
    text = f"# When something goes wrong\n\n```{{toctree}}\n:maxdepth: 1\n\n{topics}\n```\n"
    (SOURCE / "help" / "index.md").write_text(text, encoding="utf-8")
    (SOURCE / "more.md").write_text(
        "# More\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(present) + "\n```\n",
        encoding="utf-8",
    )
    write_book(SOURCE / "book")
    write_reference(SOURCE / "reference")


class Links(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" and value:
                self.places.add(value)


def broken_links(folder: Path) -> list[str]:
    """Links inside the built site whose page or place is not there."""
    pages: dict[Path, Links] = {}
    for path in folder.rglob("*.html"):
        pages[path.resolve()] = found = Links()
        found.feed(path.read_text(encoding="utf-8"))
    broken = []
    for path, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            known = pages[aim].places if aim in pages else set()
            if not aim.exists() or (place and aim in pages and place not in known):
                broken.append(f"{path.relative_to(folder.resolve())}: {link}")
    return sorted(broken)


def main() -> None:
    words = sys.argv[1:]
    quick = "--quick" in words
    words = [word for word in words if word != "--quick"]
    if len(words) > 1 or any(word.startswith("-") for word in words):
        sys.exit(__doc__)
    sys.path.insert(0, str(ROOT))
    write_pages()
    target = Path(words[0]) if words else ROOT / "build" / "site"
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if quick:
        environment["FLAMBEAU_SITE_EXECUTE"] = "off"
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    command += ["-c", str(ROOT / "docs" / "site"), str(SOURCE), str(target)]
    status = subprocess.run(command, env=environment, check=False).returncode
    if status:
        sys.exit(status)
    broken = broken_links(target)
    if broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))
    print(f"the site is in {target}")


if __name__ == "__main__":
    main()
