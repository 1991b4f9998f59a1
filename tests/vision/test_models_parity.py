"""The same seed makes the same model as torchvision's; the same model gives the same scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.vision import models

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

# (builder, side of the images, arguments)
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("resnet18", 40, {"zero_init_residual": True, "num_classes": 7}),
    ("resnet50", 33, {"replace_stride_with_dilation": [False, True, True]}),
    ("resnext50_32x4d", 32, {}),
    ("vgg11_bn", 32, {"num_classes": 3}),
    ("mobilenet_v2", 32, {}),
    ("squeezenet1_0", 40, {}),
    ("densenet121", 32, {}),
    ("shufflenet_v2_x1_0", 32, {}),
    ("squeezenet1_1", 40, {}),
]


@pytest.mark.parametrize(("name", "side", "arguments"), CASES, ids=[row[0] for row in CASES])
def test_draws_and_scores(name: str, side: int, arguments: dict[str, Any]) -> None:
    torch.manual_seed(5)
    flambeau.manual_seed(5)
    theirs = getattr(torchvision.models, name)(**arguments).eval()
    ours: Any = models.get_model(name, **arguments).eval()
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(state[key].numpy(), value.numpy(), err_msg=key)
    images = np.random.default_rng(1).standard_normal((2, 3, side, side), dtype=np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images)).numpy()
    with flambeau.no_grad():
        scores = ours(flambeau.from_numpy(images)).numpy()
    # Scores of untrained nets may be tiny or huge: the error counts against the largest.
    assert np.abs(scores - expected).max() <= 2e-5 * np.abs(expected).max()
