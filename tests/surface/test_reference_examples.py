"""The reference's examples (docs/examples) give what stands below them, in PyTorch as well."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import flambeau

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
PAGES = sorted(FOLDER.glob("*.md"))
# What torchvision has in compiled code only, which not every installation loads.
COMPILED = frozenset(
    "nms batched_nms roi_align RoIAlign roi_pool RoIPool ps_roi_align PSRoIAlign ps_roi_pool "
    "PSRoIPool deform_conv2d DeformConv2d MultiScaleRoIAlign".split()
)
# What raises NotImplementedError; the reference says so.
WITHOUT_EXAMPLE = {
    "flambeau": "hash_tensor sparse_bsc_tensor sparse_bsr_tensor",
    "flambeau.Tensor": "chalf hash_tensor index resize_as_sparse_ sparse_resize_ "
    "sparse_resize_and_clear_ to_sparse_bsc to_sparse_bsr",
    "flambeau.nested": "as_nested_tensor nested_tensor nested_tensor_from_jagged to_padded_tensor",
    "flambeau.fx": "replace_pattern",
}
OWN = ("flambeau.plot", "flambeau.debugging", "flambeau.checkpoint")  # PyTorch has none of these
HEADING = re.compile(r"^## (\S+)\n", re.MULTILINE)


def sessions(path: Path) -> dict[str, str]:
    parts = HEADING.split(path.read_text(encoding="utf-8"))[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def original(name: str) -> Any:
    """The module of torchvision or torchmetrics that one of Flambeau's stands for, or a skip."""
    if name.startswith("vision") or find_spec("torchvision") is not None:
        importlib.import_module("tests.vision.reference")
    theirs = name.replace("vision", "torchvision", 1).replace("metrics", "torchmetrics", 1)
    return pytest.importorskip(theirs)


# Pages that need extras.
NEEDS = {f"flambeau.vision.{name}": "PIL" for name in ("transforms", "transforms.v2", "utils")}
NEEDS["flambeau.utils.tensorboard"] = "tensorboard"


def module_of(path: Path, find: Callable[[str], Any]) -> dict[str, Any]:
    """The page's own module, by its last name: `ops` for flambeau.vision.ops."""
    name = path.stem.removeprefix("flambeau.")
    if name.split(".")[0] not in ("vision", "metrics"):
        return {}
    return {name.split(".")[-1]: find(name)}


def failures(path: Path, library: Any, own: dict[str, Any], left_out: frozenset[str]) -> str:
    """What differs from a page, in doctest's words."""
    said: list[str] = []
    for name, text in sessions(path).items():
        if name in left_out:
            continue
        names = {"torch": library, "nn": library.nn, "F": library.nn.functional, **own}
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
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    own = module_of(path, lambda name: importlib.import_module(f"flambeau.{name}"))
    assert failures(path, flambeau, own, frozenset()) == ""


@pytest.mark.parity
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_is_said_is_what_pytorch_gives(path: Path) -> None:
    library = pytest.importorskip("torch")
    if path.stem in OWN:
        return
    if path.stem == "flambeau.utils.tensorboard":
        pytest.importorskip(NEEDS[path.stem])
    own = module_of(path, original)
    # (PyTorch's compiler raises where nobody catches it, when it is collected.)
    left_out = frozenset(("compile", "set_stance") if path.stem == "flambeau.compiler" else ())
    if "ops" in own and not importlib.import_module("torchvision.extension")._has_ops():
        left_out = COMPILED
    assert failures(path, library, own, left_out) == ""


# (A process of its own: where a subclass of Tensor has been used, members that nobody has used yet
# have lost their docstrings.)
SURVEY = """
import importlib, inspect, json, make_site as site
bare, missing = [], {}
for module in site.MODULES:
    name = "flambeau" if module == "flambeau.Tensor" else module
    try:
        owner = importlib.import_module(name)
    except ImportError as error:
        assert "pip install" in str(error), error  # it needs an extra
        continue
    owner = owner.Tensor if module == "flambeau.Tensor" else owner
    names = site.public_names(owner)
    without = sorted(set(names) - set(site.examples_of(module)))
    if without:
        missing[module] = " ".join(without)
    for name in names:
        value = inspect.getattr_static(owner, name, None)
        if not site.doc_of(value if isinstance(value, property) else getattr(owner, name)):
            bare.append(f"{module}.{name}")
print(json.dumps([bare, missing]))
"""


def test_every_public_name_has_a_docstring_and_an_example() -> None:
    root = FOLDER.parents[1]
    where = os.pathsep.join((str(root), str(root / "tools")))
    answer = subprocess.run(
        [sys.executable, "-c", SURVEY],
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        check=True,
    )
    bare, missing = json.loads(answer.stdout)
    assert bare == []
    assert missing == WITHOUT_EXAMPLE


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_examples_are_of_public_names(path: Path) -> None:
    if path.stem == "flambeau.utils.tensorboard":
        pytest.importorskip(NEEDS[path.stem])
    owner = (
        flambeau.Tensor if path.stem == "flambeau.Tensor" else importlib.import_module(path.stem)
    )
    assert [name for name in sessions(path) if not hasattr(owner, name)] == []
