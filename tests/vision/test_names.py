"""`import torchvision` in a program that runs on Flambeau; public names are torchvision's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import torch, torchvision
import torchvision.transforms as transforms
import torchvision.transforms.functional as TF
from torchvision import datasets, io, utils
from torchvision.transforms import v2, ToTensor
from torchvision.transforms.transforms import Compose
from torchvision.transforms.v2 import functional as F2
from torchvision.datasets import MNIST, ImageFolder
from torchvision.datasets.utils import check_integrity
from torchvision.datasets.mnist import read_image_file
from torchvision.datasets.folder import default_loader
from torchvision.io import read_image
from torchvision.utils import make_grid, save_image
assert transforms.Compose is Compose and v2.Compose is not Compose
data = datasets.FakeData(6, (3, 8, 8), transform=ToTensor())
for images, labels in torch.utils.data.DataLoader(data, 3):
    print(tuple(images.shape), labels.dtype, tuple(make_grid(images).shape))
"""


def test_a_program(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    run = [sys.executable, "-m", "flambeau.cli", "run", str(script)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(3, 3, 8, 8) torch.int64 (3, 12, 32)"] * 2, done.stderr


MODULES = "transforms transforms.functional transforms.v2.functional utils io".split()
# Video files, formats that need more than Pillow, and boxes.
ABSENT = (
    "box video avif heic VideoReader read_video write_video keypoints Keypoint clamp _mask "
    "num_frames is_pure_tensor register_kernel"
).split()


@pytest.mark.parity
@pytest.mark.parametrize("module", MODULES)
def test_public_names(module: str) -> None:
    pytest.importorskip("PIL")
    from tests.vision.reference import torchvision

    theirs = importlib.import_module(f"{torchvision.__name__}.{module}")
    ours = importlib.import_module(f"flambeau.vision.{module}")
    own = {
        name
        for name, value in vars(theirs).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("torchvision")
    }
    kernels = {name for name in own if name.endswith("_image")} - {
        "to_pil_image",
        "to_image",
        "read_image",
        "save_image",
    }
    missing = own - kernels - set(vars(ours))
    assert not {name for name in missing if not any(word in name for word in ABSENT)}
