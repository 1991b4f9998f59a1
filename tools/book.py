#!/usr/bin/env python3
"""The book: run its chapters, and turn them into notebooks.

    python tools/book.py run [PART OF A NAME ...]    runs the code of chapters, saves the pictures
    python tools/book.py notebooks [FOLDER]          writes all chapters as .ipynb files

Chapters are text notebooks (MyST Markdown: `docs/book/en/*.md`, `docs/book/zh/*.md`), which Jupyter
opens with jupytext installed. Those of the two languages have the same code. `run` executes a
chapter's cells one after the other in one namespace, without Jupyter; pictures go to
`build/book/pictures`. Running needs matplotlib and scikit-learn (flambeau[book]).
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "book"
BUILD = ROOT / "build" / "book"
FENCE = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
TAGS = re.compile(r"^:tags: \[(.*)\]\n", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a chapter: code, or text between code; the line of the file that it begins in."""

    text: str
    line: int
    code: bool
    tags: tuple[str, ...] = ()


def chapters(language: str = "en") -> list[Path]:
    """The files of an edition, in order."""
    return sorted((BOOK / language).glob("[0-9][0-9]_*.md"))


def cells_of(path: Path) -> list[Cell]:
    """The cells of a chapter, without the file's header."""
    text = path.read_text(encoding="utf-8")
    start = text.index("\n---\n", 4) + 5 if text.startswith("---\n") else 0
    found: list[Cell] = []

    def add_text(begin: int, end: int) -> None:
        words = text[begin:end].strip("\n")
        if words:
            found.append(Cell(words, text.count("\n", 0, begin) + 1, False))

    for match in FENCE.finditer(text, start):
        add_text(start, match.start())
        code = match[1]
        tags = TAGS.match(code)
        first = text.count("\n", 0, match.start(1)) + 1
        if tags:
            code = code[tags.end() :]
            first += 1
        names = tuple(name.strip() for name in tags[1].split(",")) if tags else ()
        found.append(Cell(code.strip("\n"), first, True, names))
        start = match.end()
    add_text(start, len(text))
    return found


def notebook(path: Path) -> dict[str, Any]:
    """A chapter as the content of an .ipynb file, without outputs."""
    cells = []
    for number, cell in enumerate(cells_of(path)):
        made: dict[str, Any] = {
            "cell_type": "code" if cell.code else "markdown",
            "id": f"{path.stem[:2]}-{number}",
            "metadata": {"tags": list(cell.tags)} if cell.tags else {},
            "source": cell.text.splitlines(keepends=True),
        }
        if cell.code:
            made |= {"execution_count": None, "outputs": []}
        cells.append(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write_notebooks(folder: Path) -> None:
    for language in ("en", "zh"):
        (folder / language).mkdir(parents=True, exist_ok=True)
        for path in chapters(language):
            text = json.dumps(notebook(path), indent=1, ensure_ascii=False) + "\n"
            (folder / language / f"{path.stem}.ipynb").write_text(text, encoding="utf-8")
    print(f"the notebooks are in {folder}")


def run_chapter(path: Path, pictures: Path) -> None:
    """Runs a chapter's code; an error's traceback names the line of the chapter."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib import pyplot

    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob(f"{path.stem}-*.png"):
        old.unlink()
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    os.chdir(path.parent)
    for cell in cells_of(path):
        if not cell.code:
            continue
        code = compile("\n" * (cell.line - 1) + cell.text, str(path), "exec")
        exec(code, names)
        for number in pyplot.get_fignums():
            count += 1
            figure = pyplot.figure(number)
            figure.savefig(pictures / f"{path.stem}-{count}.png", dpi=80, bbox_inches="tight")
        pyplot.close("all")


def run(parts: list[str]) -> None:
    sys.path.insert(0, str(ROOT))
    wanted = [p for p in chapters() if not parts or any(part in p.stem for part in parts)]
    if not wanted:
        sys.exit(f"book.py: no chapter is named like {' or '.join(parts)}")
    for path in wanted:
        start = time.perf_counter()
        run_chapter(path, BUILD / "pictures")
        print(f"{path.stem}: {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        run(words[1:])
    elif words[:1] == ["notebooks"] and len(words) < 3:
        write_notebooks(Path(words[1]) if words[1:] else BUILD / "notebooks")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
