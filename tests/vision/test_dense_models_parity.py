"""Models of segmentation and of clips beside torchvision's: draws, scores, gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
import flambeau.nn
from flambeau.vision import models

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

DRAWS = ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_")


def _part(library: Any, name: str) -> Any:
    root = "torchvision.models" if library is torch else "flambeau.vision.models"
    return importlib.import_module(f"{root}.{name}")


class _Trunk:
    """Two convolutions under the names that heads of segmentation look for."""

    @staticmethod
    def make(library: Any, names: tuple[str, str], channels: tuple[int, int]) -> Any:
        nn = library.nn

        class Trunk(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Conv2d(3, channels[0], 3, 2, 1)
                self.second = nn.Conv2d(channels[0], channels[1], 3, 2, 1)

            def forward(self, x: Any) -> dict[str, Any]:
                early = self.first(x)
                return {names[0]: early, names[1]: self.second(early.relu())}

        return Trunk()


def _fcn(library: Any) -> Any:
    part = _part(library, "segmentation.fcn")
    trunk = _Trunk.make(library, ("aux", "out"), (4, 8))
    return part.FCN(trunk, part.FCNHead(8, 5), part.FCNHead(4, 5))


def _deeplab(library: Any) -> Any:
    part = _part(library, "segmentation.deeplabv3")
    trunk = _Trunk.make(library, ("aux", "out"), (4, 8))
    return part.DeepLabV3(trunk, part.DeepLabHead(8, 5, (1, 2)))


def _lraspp(library: Any) -> Any:
    trunk = _Trunk.make(library, ("low", "high"), (4, 8))
    return _part(library, "segmentation.lraspp").LRASPP(trunk, 4, 8, 5, 6)


def _clips(stem: str, makers: list[str], block: str) -> Callable[[Any], Any]:
    def make(library: Any) -> Any:
        part = _part(library, "video.resnet")
        chosen = [getattr(part, maker) for maker in makers]
        return part.VideoResNet(getattr(part, block), chosen, [1] * 4, getattr(part, stem), 3)

    return make


def _inception(library: Any) -> Any:
    part = _part(library, "video.s3d")
    norm = library.nn.BatchNorm3d
    return library.nn.Sequential(
        part.TemporalSeparableConv(3, 4, 3, 2, 1, norm),
        part.SepInceptionBlock3D(4, 2, 3, 4, 2, 3, 2, norm),
    )


SMALL: list[tuple[str, Callable[[Any], Any], tuple[int, ...]]] = [
    ("fcn", _fcn, (2, 3, 21, 18)),
    ("deeplabv3", _deeplab, (2, 3, 21, 18)),
    ("lraspp", _lraspp, (2, 3, 21, 18)),
    (
        "partly flat",
        _clips("BasicStem", ["Conv3DSimple", *["Conv3DNoTemporal"] * 3], "Bottleneck"),
        (2, 3, 2, 16, 16),
    ),
    ("separated", _clips("R2Plus1dStem", ["Conv2Plus1D"] * 4, "BasicBlock"), (2, 3, 3, 16, 16)),
    ("inception", _inception, (2, 3, 4, 8, 8)),
]


def _named(outputs: Any) -> list[Any]:
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


@pytest.mark.parametrize(("make", "shape"), [r[1:] for r in SMALL], ids=[r[0] for r in SMALL])
def test_training(make: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    made = []
    for library in (torch, flambeau):
        library.manual_seed(5)
        made.append(make(library))
    theirs, ours = made
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy(), key)
    theirs.double(), ours.double()
    with torch.no_grad():
        for parameter in theirs.parameters():  # some begin as zeros, which would hide much
            parameter += 0.02 * torch.randn(parameter.shape)
    ours.load_state_dict({k: flambeau.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    images = np.random.default_rng(1).standard_normal(shape)
    torch.manual_seed(6), flambeau.manual_seed(6)
    expected = theirs(torch.from_numpy(images))
    outputs = ours(flambeau.from_numpy(images))
    assert type(outputs) is type(expected) or not isinstance(expected, dict)
    for one, other in zip(_named(outputs), _named(expected), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), 1e-7, 1e-9)
        weight = np.random.default_rng(2).standard_normal(tuple(other.shape))
        (other * torch.from_numpy(weight)).sum().backward(retain_graph=True)
        (one * flambeau.from_numpy(weight)).sum().backward(retain_graph=True)
    found = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        wanted = parameter.grad.numpy()
        error = np.abs(found[key].grad.numpy() - wanted).max()
        assert error <= 1e-7 * max(1.0, np.abs(wanted).max()), key


NAMES = [*models.list_models(models.segmentation), *models.list_models(models.video)]


@pytest.mark.parametrize("name", NAMES)
def test_structure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in DRAWS:
        for library in (torch, flambeau):
            monkeypatch.setattr(library.nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    segments = "18" not in name and name != "s3d"
    given: dict[str, Any] = {"weights_backbone": None} if segments else {}
    if segments and "lraspp" not in name:
        given["aux_loss"] = True
    theirs, ours = torchvision.models.get_model(name, **given), models.get_model(name, **given)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == shapes
    assert list(ours.state_dict()) == list(shapes)
    count = sum(parameter.numel() for parameter in ours.parameters())
    weights: Any = models.get_model_weights(name)["DEFAULT"]
    assert segments or count == weights.meta["num_params"]
    clips = flambeau.rand(3, 3, 140, 150)
    preset = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()
    expected = preset(torch.from_numpy(clips.numpy())).numpy()
    assert repr(weights.transforms()) == repr(preset)
    np.testing.assert_allclose(weights.transforms()(clips).numpy(), expected, 1e-4, 1e-4)
