"""The book's chapters run, their exercises have solutions, and both editions have the same code."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = ROOT / "tools" / "book.py"


def load_tool() -> Any:
    spec = importlib.util.spec_from_file_location("flambeau_book", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BOOK = load_tool()
CHAPTERS = BOOK.chapters()
TRANSLATED = BOOK.chapters("zh")


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", CHAPTERS, ids=named)
def test_a_chapter_runs(path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, str(TOOL), "run", path.stem],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("path", CHAPTERS, ids=named)
def test_exercises_have_tested_solutions(path: Path) -> None:
    cells = BOOK.cells_of(path)
    text = "\n".join(cell.text for cell in cells if not cell.code)
    asked = text.count("\n**Exercise ")
    solutions = [cell for cell in cells if "solution" in cell.tags]
    assert asked >= 2
    assert len(solutions) == asked
    for cell in solutions:
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.text)))


@pytest.mark.parametrize("path", TRANSLATED, ids=named)
def test_a_translation_has_the_same_code(path: Path) -> None:
    """But for comments and strings (titles of pictures, messages)."""

    def skeleton(text: str) -> str:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        return ast.dump(tree)

    original = next(p for p in CHAPTERS if p.stem[:2] == path.stem[:2])
    ours = [skeleton(cell.text) for cell in BOOK.cells_of(path) if cell.code]
    theirs = [skeleton(cell.text) for cell in BOOK.cells_of(original) if cell.code]
    assert ours == theirs


def test_both_editions_have_the_same_chapters() -> None:
    assert CHAPTERS
    assert [p.stem[:2] for p in TRANSLATED] == [p.stem[:2] for p in CHAPTERS]


def test_notebooks_are_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "notebooks", str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 0
    for path in CHAPTERS:
        made = json.loads((tmp_path / "en" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))
        kinds = {cell["cell_type"] for cell in made["cells"]}
        assert kinds == {"markdown", "code"}
        assert made["cells"][0]["source"][0].startswith("# ")


def test_formulas_need_no_network() -> None:
    """The site's renderer makes MathML of every formula of the book."""
    converter = pytest.importorskip("latex2mathml.converter")
    formulas = [
        (path.stem, formula)
        for path in (*CHAPTERS, *TRANSLATED)
        for formula in re.findall(r"\$\$(.+?)\$\$", path.read_text("utf-8"), re.DOTALL)
    ]
    assert len(formulas) >= 18
    for name, formula in formulas:
        made = converter.convert(formula, display="block")
        ElementTree.fromstring(made)
        assert "\\" not in made, name
    assert "mathjax" not in (ROOT / "docs" / "site" / "conf.py").read_text("utf-8")
