"""Training steps that look at their loss before they go backward, Flambeau beside PyTorch.

    python bench/looks.py [--cases digits_cnn,cifar_cnn] [--threads 1]

What a derivative needs has to be kept from one compiled program to the next then, where a step
that looks afterwards, or not at all, is one program. Without cases: all that train.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
import layers
import models
import vision
from peak import look_first

INFERENCE = ("vgg16", "resnet50", "mobilenet", "gpt2")
CASES = {
    name: case
    for name, case in {**models.CASES, **layers.CASES, **vision.CASES}.items()
    if not name.startswith(INFERENCE)
}


def main() -> None:
    options = cases.parser("Steps with a look at the loss, beside PyTorch.", CASES, 5, 0.5)
    chosen, _ = options.parse_known_args()
    if chosen.serve:
        look_first(importlib.import_module(chosen.serve))
    cases.run(CASES, __file__, options)


if __name__ == "__main__":
    main()
