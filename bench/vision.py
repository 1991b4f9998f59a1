"""Convolutional networks, Flambeau against PyTorch, side by side: training steps and inference.

    python bench/vision.py [--cases digits_cnn,resnet18] [--threads 2] [--rounds 5]
                           [--seconds 0.5] [--compile] [--losses 20]

Measured as in steps.py: a process for each framework, blocks of steps in turns. A step of
inference is a forward pass without gradients and the largest logit's number. Networks are written
out here, so that both frameworks run the same lines. `--first` prints the seconds of the first
steps in a new process instead (with an empty FLAMBEAU_CACHE_DIR: the cold compile).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
import models
import networks
from models import Built, Case, Inference


def training(
    network: Callable[[Any], Any], shape: tuple[int, ...], classes: int, optimizer: str = "SGD"
) -> Callable[[Any], Built]:
    """A classifier on one random batch; SGD with momentum, or Adam."""

    def build(torch: Any) -> Built:
        model = network(torch)
        x = torch.randn(shape)
        y = torch.randint(0, classes, shape[:1])
        if optimizer == "SGD":
            chosen = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
        else:
            chosen = torch.optim.Adam(model.parameters(), lr=1e-3)
        return Built(model, torch.nn.CrossEntropyLoss(), chosen, x, y)

    return build


def inference(network: Callable[[Any], Any], extent: int = 224) -> Callable[[Any], Any]:
    """One image of three channels through a network in evaluation mode."""

    def build(torch: Any) -> Inference:
        return Inference(torch, network(torch).eval(), torch.randn(1, 3, extent, extent))

    return build


CASES: dict[str, Case] = {
    "digits_cnn": Case(models.CASES["digits_cnn"].title, models.digits_cnn, 7),
    "omniglot": Case("two-input Omniglot network, batch 32", networks.omniglot, 8),
    "cifar_cnn": Case(
        "CIFAR CNN 3-32-64-128, BatchNorm, Adam, b. 64",
        training(networks.cifar, (64, 3, 32, 32), 10, "Adam"),
        2.5,
    ),
    "resnet18": Case(
        "ResNet-18 training, 8x3x224x224",
        training(networks.resnet18, (8, 3, 224, 224), 1000),
        1.5,
    ),
    "vgg16": Case("VGG16 inference, 1x3x224x224", inference(networks.vgg16), 1.5),
    "resnet50": Case("ResNet-50 inference, 1x3x224x224", inference(networks.resnet50), 1.4),
    "mobilenet": Case("MobileNet-v2 inference, 1x3x224x224", inference(networks.mobilenet_v2), 2),
}


def first(case: str, count: int) -> None:
    """Prints the seconds of the first steps in this process."""
    import flambeau

    flambeau.manual_seed(0)
    built = CASES[case].build(flambeau)
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        built.step()
        spent.append(time.perf_counter() - began)
    print(f"{case}: first steps " + " ".join(f"{s:.3f}" for s in spent) + " s", flush=True)


def main() -> None:
    options = cases.parser("Convolutional networks beside PyTorch.", CASES, 5, 0.5)
    options.add_argument("--compile", action="store_true", help="also through flambeau.compile")
    options.add_argument("--first", type=int, default=0, help="time so many first steps")

    def instead(chosen: argparse.Namespace, names: list[str]) -> bool:
        for name in names if chosen.first and not chosen.losses else ():
            first(name, chosen.first)
        return bool(chosen.losses or chosen.first)

    cases.run(CASES, __file__, options, instead)


if __name__ == "__main__":
    main()
