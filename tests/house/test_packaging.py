"""What the package promises to installers, and what travels with it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    if sys.version_info < (3, 11):
        pytest.skip("the standard library reads TOML from Python 3.11 on")
    import tomllib

    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: dict[str, Any] = whole["project"]
    return found


def test_runtime_needs_numpy_and_llvmlite_only(project: dict[str, Any]) -> None:
    names = {re.split(r"[<>=!~ \[]", need)[0] for need in project["dependencies"]}
    assert names == {"numpy", "llvmlite"}


def test_no_extra_brings_another_framework(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    wanted = {"vision", "tensorboard", "plot", "cuda", "mpi", "all", "test", "dev"}
    assert wanted <= set(extras)
    names = {re.split(r"[<>=!~ \[]", need)[0] for needs in extras.values() for need in needs}
    assert not names & {"torch", "torchvision", "jax", "tensorflow", "keras"}


def test_one_version(project: dict[str, Any]) -> None:
    import flambeau

    assert project["version"] == flambeau.FLAMBEAU_VERSION
    # Programs parse torch.__version__: it begins with the PyTorch version that is stood for.
    release, _, local = flambeau.__version__.partition("+")
    assert len([int(part) for part in release.split(".")]) == 3
    assert local == f"flambeau{flambeau.FLAMBEAU_VERSION}"


def test_files_that_travel_along() -> None:
    assert (ROOT / "flambeau" / "py.typed").exists()
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert "MNIST" in (ROOT / "examples" / "data" / "README.md").read_text("utf-8")


def test_bundled_digits() -> None:
    file = ROOT / "examples" / "data" / "digits.npz"
    assert file.stat().st_size < 2_000_000
    with np.load(file) as arrays:
        for split, count in (("train", 6000), ("test", 1000)):
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            assert images.shape == (count, 28, 28)
            assert images.dtype == labels.dtype == np.uint8
            assert np.bincount(labels).tolist() == [count // 10] * 10
            assert len(np.unique(images.reshape(count, -1), axis=0)) == count
            assert images.max() == 255
            # MNIST's ink is centred by mass: the mean image's centre is the middle.
            ink = images.sum(axis=0, dtype=np.int64)
            centre = (ink.sum(axis=1) @ np.arange(28)) / ink.sum()
            assert abs(centre - 13.5) < 1
