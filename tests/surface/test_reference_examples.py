"""The reference's examples (docs/examples) give what stands below them, in PyTorch as well."""

from __future__ import annotations

import doctest
import importlib
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import flambeau

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
PAGES = sorted(FOLDER.glob("*.md"))
HEADING = re.compile(r"^## (\S+)\n", re.MULTILINE)


def sessions(path: Path) -> dict[str, str]:
    parts = HEADING.split(path.read_text(encoding="utf-8"))[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def failures(path: Path, library: Any) -> str:
    """What differs from a page, in doctest's words."""
    said: list[str] = []
    for name, text in sessions(path).items():
        names = {"torch": library, "nn": library.nn, "F": library.nn.functional}
        test = doctest.DocTestParser().get_doctest(text + "\n", names, name, str(path), 0)
        assert test.examples, name
        runner = doctest.DocTestRunner(verbose=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runner.run(test, out=said.append)
        library.use_deterministic_algorithms(False)
    return "\n".join(said)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_examples_give_what_is_said(path: Path) -> None:
    assert failures(path, flambeau) == ""


@pytest.mark.parity
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_is_said_is_what_pytorch_gives(path: Path) -> None:
    assert failures(path, pytest.importorskip("torch")) == ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_examples_are_of_public_names(path: Path) -> None:
    owner = (
        flambeau.Tensor if path.stem == "flambeau.Tensor" else importlib.import_module(path.stem)
    )
    assert [name for name in sessions(path) if not hasattr(owner, name)] == []
