"""The same seed makes the same model as torchvision's; the same model gives the same scores."""

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

# (builder, side of the images, arguments)
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("resnet18", 40, {"zero_init_residual": True, "num_classes": 7}),
    ("resnet50", 33, {"replace_stride_with_dilation": [False, True, True]}),
    ("vgg11_bn", 32, {"num_classes": 3}),
    ("mobilenet_v2", 32, {}),
    ("squeezenet1_0", 40, {}),
    ("mobilenet_v3_small", 32, {"width_mult": 0.5, "reduced_tail": True, "dilated": True}),
    ("googlenet", 40, {"init_weights": True, "aux_logits": False, "transform_input": True}),
]


def _modules(library: Any) -> Any:
    return importlib.import_module(
        "torchvision.models" if library is torch else "flambeau.vision.models"
    )


def _part(library: Any, file: str) -> Any:
    return importlib.import_module(f"{_modules(library).__name__}.{file}")


def _densenet(library: Any) -> Any:
    return _modules(library).DenseNet(6, (2, 2), 8, 2, 0.3, num_classes=5)


def _shufflenet(library: Any) -> Any:
    return _modules(library).ShuffleNetV2([2, 1, 1], [8, 12, 16, 24, 32], 5)


def _mobilenet_v2(library: Any) -> Any:
    rows = [[1, 8, 1, 1], [2, 16, 2, 2]]
    return _modules(library).MobileNetV2(5, inverted_residual_setting=rows)


def _mobilenet_v3(library: Any) -> Any:
    part = _part(library, "mobilenetv3")
    rows = [(8, 3, 8, 8, True, "RE", 1, 1, 1.0), (8, 5, 24, 16, True, "HS", 2, 2, 1.0)]
    return part.MobileNetV3([part.InvertedResidualConfig(*row) for row in rows], 32, 5)


def _efficientnet(library: Any) -> Any:
    part = _part(library, "efficientnet")
    rows = [
        part.FusedMBConvConfig(1, 3, 1, 8, 8, 2),
        part.FusedMBConvConfig(4, 3, 2, 8, 16, 1),
        part.MBConvConfig(6, 3, 1, 16, 16, 2, depth_mult=1.2),
    ]
    return part.EfficientNet(rows, 0.2, 0.5, 5, last_channel=24)


def _vit(library: Any) -> Any:
    part = _part(library, "vision_transformer")
    return part.VisionTransformer(32, 8, 2, 2, 8, 16, 0.1, 0.2, 5, 7)


def _vit_on_convolutions(library: Any) -> Any:
    part = _part(library, "vision_transformer")
    stem = [part.ConvStemConfig(4, 3, 2), part.ConvStemConfig(6, 3, 4)]
    return part.VisionTransformer(32, 8, 1, 2, 8, 16, num_classes=5, conv_stem_configs=stem)


def _convnext(library: Any) -> Any:
    part = _part(library, "convnext")
    stages = [part.CNBlockConfig(8, 16, 2), part.CNBlockConfig(16, None, 2)]
    return part.ConvNeXt(stages, 0.5, 0.1, 5)


def _swin(library: Any) -> Any:
    part = _part(library, "swin_transformer")
    return part.SwinTransformer([2, 2], 8, [2, 2], [2, 4], [3, 5], 2.0, 0.1, 0.2, 0.3, 5)


def _swin_v2(library: Any) -> Any:
    part = _part(library, "swin_transformer")
    kinds = {"block": part.SwinTransformerBlockV2, "downsample_layer": part.PatchMergingV2}
    return part.SwinTransformer([4, 4], 8, [2, 2], [2, 4], [3, 5], num_classes=5, **kinds)


def _googlenet_block(library: Any) -> Any:
    return _part(library, "googlenet").Inception(3, 2, 3, 4, 2, 3, 2)


def _googlenet_head(library: Any) -> Any:
    return _part(library, "googlenet").InceptionAux(3, 5)


def _inception_block(library: Any) -> Any:
    return _part(library, "inception").InceptionC(3, 4)


def _inception_head(library: Any) -> Any:
    return _part(library, "inception").InceptionAux(3, 5)


def _mnasnet(library: Any) -> Any:
    return _part(library, "mnasnet")._InvertedResidual(3, 3, 5, 1, 2)


def _maxvit(library: Any) -> Any:
    sizes: dict[str, Any] = {"block_channels": [8, 12], "block_layers": [1, 2], "head_dim": 4}
    return _modules(library).MaxVit((32, 32), 6, 4, stochastic_depth_prob=0.3, **sizes)


def _regnet(library: Any) -> Any:
    part = _part(library, "regnet")
    stages = part.BlockParams.from_init_params(3, 8, 9.0, 2.0, 8, se_ratio=0.25)
    return part.RegNet(stages, 5, 8)


SMALL: list[Callable[[Any], Any]] = [
    _densenet,
    _shufflenet,
    _mobilenet_v2,
    _mobilenet_v3,
    _efficientnet,
    _vit,
    _vit_on_convolutions,
    _convnext,
    _swin,
    _swin_v2,
    _googlenet_block,
    _googlenet_head,
    _inception_block,
    _inception_head,
    _mnasnet,
    _maxvit,
    _regnet,
]


SLOW: tuple[str, int, dict[str, Any]] = ("inception_v3", 80, {"init_weights": True})


@pytest.mark.parametrize(
    ("name", "side", "arguments"),
    [*CASES, pytest.param(*SLOW, marks=pytest.mark.slow)],
    ids=[row[0] for row in [*CASES, SLOW]],
)
def test_draws_and_scores(name: str, side: int, arguments: dict[str, Any]) -> None:
    torch.manual_seed(5)
    flambeau.manual_seed(5)
    theirs = getattr(torchvision.models, name)(**arguments).eval()
    ours: Any = models.get_model(name, **arguments).eval()
    _check_states(ours, theirs, 0.0)
    images = np.random.default_rng(1).standard_normal((2, 3, side, side), dtype=np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images)).numpy()
    with flambeau.no_grad():
        scores = ours(flambeau.from_numpy(images)).numpy()
    # Scores of untrained nets may be tiny or huge: the error counts against the largest.
    assert np.abs(scores - expected).max() <= 2e-5 * np.abs(expected).max()


LARGEST = 60_000_000
NAMES = [
    name
    for name in models.list_models(models)
    if models.get_model_weights(name)["DEFAULT"].meta["num_params"] <= LARGEST
]


@pytest.mark.parametrize("name", NAMES)
def test_structure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_"):
        for library in (torch, flambeau):
            monkeypatch.setattr(library.nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    heads = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    theirs = getattr(torchvision.models, name)(**heads)
    assert repr(models.get_model(name, **heads)) == repr(theirs)


@pytest.mark.parametrize("make", SMALL, ids=[make.__name__[1:] for make in SMALL])
def test_training(make: Callable[[Any], Any]) -> None:
    torch.manual_seed(5)
    flambeau.manual_seed(5)
    theirs, ours = make(torch), make(flambeau)
    _check_states(ours, theirs, 0.0)
    # In float64, because norms over few values make much of rounding.
    theirs, ours = theirs.double(), ours.double()
    assert repr(ours) == repr(theirs)
    with torch.no_grad():
        for parameter in theirs.parameters():  # some begin as zeros, which would hide much
            parameter += 0.02 * torch.randn(parameter.shape)
    ours.load_state_dict({k: flambeau.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    images = np.random.default_rng(1).standard_normal((2, 3, 32, 32))
    torch.manual_seed(6)
    flambeau.manual_seed(6)
    expected = _all(theirs(torch.from_numpy(images)))
    outputs = _all(ours(flambeau.from_numpy(images)))
    weights = [np.random.default_rng(2).standard_normal(tuple(one.shape)) for one in expected]
    for one, other, weight in zip(outputs, expected, weights, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), 1e-7, 1e-9)
        (other * torch.from_numpy(weight)).sum().backward(retain_graph=True)
        (one * flambeau.from_numpy(weight)).sum().backward(retain_graph=True)
    found = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        wanted = parameter.grad.numpy()
        error = np.abs(found[key].grad.numpy() - wanted).max()
        assert error <= 1e-7 * max(1.0, np.abs(wanted).max()), key
    _check_states(ours, theirs, 1e-7)


def _all(outputs: Any) -> list[Any]:
    given = outputs if isinstance(outputs, tuple) else (outputs,)
    return [one for one in given if one is not None]


def test_positions_for_another_size() -> None:
    part = _part(flambeau, "vision_transformer")
    theirs = _vit(torch).state_dict()
    ours = {key: flambeau.tensor(value.numpy()) for key, value in theirs.items()}
    expected = _part(torch, "vision_transformer").interpolate_embeddings(72, 8, theirs, "bilinear")
    found = part.interpolate_embeddings(72, 8, ours, "bilinear")
    key = "encoder.pos_embedding"
    np.testing.assert_allclose(found[key].numpy(), expected[key].numpy(), 1e-5, 1e-7)
    assert "heads.head.bias" not in part.interpolate_embeddings(72, 8, ours, reset_heads=True)
    assert part.interpolate_embeddings(32, 8, ours) is ours
    old = {name.replace("mlp.3.", "mlp.linear_2."): value for name, value in ours.items()}
    model = _vit(flambeau)
    model.load_state_dict(old)
    block = model.encoder.layers.encoder_layer_1.mlp
    kept = ours["encoder.layers.encoder_layer_1.mlp.3.weight"]
    assert flambeau.equal(block[3].weight, kept)
    with pytest.raises(ValueError, match="not a perfect square"):
        part.interpolate_embeddings(72, 8, {key: flambeau.zeros(1, 6, 8)})


def _check_states(ours: Any, theirs: Any, tolerance: float) -> None:
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        wanted = value.numpy()
        np.testing.assert_allclose(
            found[key].numpy(), wanted, tolerance, tolerance, err_msg=key, strict=True
        )
