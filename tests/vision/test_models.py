"""The classifiers' parameters are those of the published weights, which are found and checked."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

import flambeau
import flambeau.nn as nn
from flambeau import hub
from flambeau.vision import models
from flambeau.vision.models import regnet
from flambeau.vision.models.feature_extraction import create_feature_extractor
from flambeau.vision.models.intermediate import IntermediateLayerGetter

# Builder: how many parameters, and the first digits of SHA-256 of the state's names and shapes
# ("name(2, 3)", one a line, in order), both computed once with torchvision 0.28.
PARAMETERS: dict[str, tuple[int, str]] = {
    "alexnet": (61_100_840, "9a5a42d80ef9"),
    "resnet18": (11_689_512, "93179b150624"),
    "resnet34": (21_797_672, "ee565f2cb057"),
    "resnet50": (25_557_032, "3814c8ed5e71"),
    "resnext50_32x4d": (25_028_904, "7d15a98b0c18"),
    "mobilenet_v2": (3_504_872, "41f8b488216c"),
    "squeezenet1_0": (1_248_424, "e407a187dbbd"),
    "squeezenet1_1": (1_235_496, "e45f9d30bb0d"),
    "densenet121": (7_978_856, "c3e7f855e118"),
    "densenet161": (28_681_000, "5734341adb83"),
    "shufflenet_v2_x0_5": (1_366_792, "025ad174126d"),
    "shufflenet_v2_x1_0": (2_278_604, "2c467ca3f17c"),
    "shufflenet_v2_x2_0": (7_393_996, "2ac152a0efa5"),
    "mobilenet_v3_small": (2_542_856, "1a52cef19052"),
    "mobilenet_v3_large": (5_483_032, "9638215f06e0"),
    "efficientnet_b0": (5_288_548, "cb4dc02a7ab0"),
    "efficientnet_b3": (12_233_232, "d0c279a75d35"),
    "efficientnet_v2_s": (21_458_488, "1edf744e013d"),
    "vit_b_16": (86_567_656, "38dc1a57c583"),
    "vit_b_32": (88_224_232, "50d6cfd8893f"),
    "convnext_tiny": (28_589_128, "4476972c5013"),
    "convnext_base": (88_591_464, "74db6bf3fd0f"),
    "swin_t": (28_288_354, "73765f42f7ee"),
    "swin_v2_t": (28_351_570, "ce64e2ec6b82"),
    "googlenet": (13_004_888, "f00871b91fcc"),
    "inception_v3": (27_161_264, "284ff05259a6"),
    "mnasnet0_5": (2_218_512, "e4e91288d736"),
    "mnasnet1_3": (6_282_256, "f9637543377b"),
    "regnet_y_400mf": (4_344_144, "708b1e9e1b69"),
    "regnet_x_1_6gf": (9_190_136, "8d741e13f655"),
    "maxvit_t": (30_919_624, "dd5117e4d0eb"),
}  # fmt: skip


DRAWS = "kaiming_normal_ kaiming_uniform_ normal_ trunc_normal_ uniform_ xavier_uniform_".split()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_the_published_parameters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in DRAWS:  # which take nearly all of the time
        monkeypatch.setattr(nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    model = models.get_model(name)
    state = model.state_dict()
    text = "".join(f"{key}{tuple(value.shape)}\n" for key, value in state.items())
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (sum(p.numel() for p in model.parameters()), digest) == PARAMETERS[name]


@pytest.mark.parametrize("name", models.list_models(models))
def test_weights_are_described(name: str) -> None:
    kind = models.get_model_weights(name)
    for member in kind:
        assert models.get_weight(str(member)) is member
        assert member.url.startswith("https://download.pytorch.org/models/")
    found = kind["DEFAULT"]
    assert isinstance(found, kind) and found.name != "DEFAULT"
    side = found.transforms().crop_size[0]
    assert found.transforms()(flambeau.zeros(3, 9, 7, dtype=flambeau.uint8)).shape == (
        3,
        side,
        side,
    )
    with pytest.raises(NotImplementedError, match="categories"):
        found.meta["categories"]


def test_weights_come_from_the_directory_of_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    kept = models.resnet18()
    file = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    flambeau.save(kept.state_dict(), str(file))
    for weights in ("DEFAULT", models.ResNet18_Weights["IMAGENET1K_V1"]):
        model = models.resnet18(weights=weights)
        assert flambeau.equal(model.layer4[1].conv2.weight, kept.layer4[1].conv2.weight)
    with pytest.warns(UserWarning, match="pretrained"):
        assert flambeau.equal(models.resnet18(pretrained=True).fc.weight, kept.fc.weight)
    with pytest.raises(ValueError, match="num_classes"):
        models.resnet18(weights="DEFAULT", num_classes=3)


def test_heads_of_googlenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    kept = models.googlenet(init_weights=False)
    flambeau.save(kept.state_dict(), str(tmp_path / "checkpoints" / "googlenet-1378be20.pth"))
    plain = models.googlenet(weights="DEFAULT")
    assert plain.transform_input and not plain.aux_logits and plain.aux1 is None
    assert flambeau.equal(plain.fc.weight, kept.fc.weight)
    with pytest.warns(UserWarning, match="auxiliary heads"):
        whole = models.googlenet(weights="DEFAULT", aux_logits=True)
    assert isinstance(whole.aux2, nn.Module) and whole.aux_logits
    with pytest.raises(ValueError, match="'aux_logits' expected value True"):
        models.googlenet(weights="DEFAULT", aux_logits=False)
    with pytest.warns(FutureWarning, match="initialization of inception_v3"):
        assert models.inception_v3(aux_logits=False).AuxLogits is None


def test_without_the_net_the_error_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise URLError("no route")

    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(URLError, match=r"resnet50-11ad3fa6\.pth could not be fetched \(no route"):
        models.resnet50(weights="DEFAULT")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_damaged_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"not these weights")
    opened = urllib.request.urlopen
    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", lambda request: opened(wrong.as_uri()))
    with pytest.raises(RuntimeError, match="invalid hash value"):
        models.resnet18(weights="DEFAULT", progress=False)


# Builder, depths, widths: torchvision's, of those models that are too large to be made here.
LARGE = {
    "y_32gf": ([2, 5, 12, 1], [232, 696, 1392, 3712]),
    "y_128gf": ([2, 7, 17, 1], [528, 1056, 2904, 7392]),
    "x_8gf": ([2, 5, 15, 1], [80, 240, 720, 1920]),
    "x_32gf": ([2, 7, 13, 1], [336, 672, 1344, 2520]),
}


@pytest.mark.parametrize("name", LARGE)
def test_lines_of_regnets(name: str) -> None:
    stages = regnet.BlockParams.from_init_params(*regnet.LINES[name])
    assert (stages.depths, stages.widths) == LARGE[name]


def test_layers_inside() -> None:
    model = models.squeezenet1_1(num_classes=3).features.eval()
    inner = IntermediateLayerGetter(model, {"2": "pooled", "4": 5})
    assert list(inner) == ["0", "1", "2", "3", "4"]
    given = inner(flambeau.ones(1, 3, 32, 32))
    assert list(given) == ["pooled", 5]
    assert flambeau.equal(given[5], model[:5](flambeau.ones(1, 3, 32, 32)))
    with pytest.raises(ValueError, match="return_layers are not present in model"):
        IntermediateLayerGetter(model, {"4.squeeze": "a"})


def test_a_densenet_that_saves_memory() -> None:
    flambeau.manual_seed(0)
    plain = models.DenseNet(4, (2, 2), 8, 2, num_classes=3)
    saving = models.DenseNet(4, (2, 2), 8, 2, num_classes=3, memory_efficient=True)
    saving.load_state_dict(plain.state_dict())
    x = flambeau.rand(2, 3, 32, 32)
    for model in (plain, saving):
        model(x).square().sum().backward()
    found = dict(saving.named_parameters())
    for name, parameter in plain.named_parameters():
        assert flambeau.allclose(parameter.grad, found[name].grad, 1e-4, 1e-6), name


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="Invalid RegNet settings"):
        regnet.BlockParams.from_init_params(4, 15, 20.0, 2.0, 8)
    with pytest.raises(ValueError, match=r"alpha should be greater than 0\.0 instead of 0"):
        models.MNASNet(0)
    with pytest.raises(ValueError, match="No weights available for model vit_h_14"):
        models.vit_h_14(pretrained=True)
    with pytest.raises(ValueError, match="'image_size' expected value 384 but got 224"):
        models.vit_b_16(weights="IMAGENET1K_SWAG_E2E_V1", image_size=224)
    with pytest.raises(AssertionError, match="Input shape indivisible by patch size!"):
        models.VisionTransformer(17, 8, 1, 2, 8, 16)
    transformer = models.VisionTransformer(16, 8, 1, 2, 8, 16)
    with pytest.raises(AssertionError, match="Wrong image width! Expected 16 but got 17!"):
        transformer(flambeau.zeros(1, 3, 16, 17))
    wrong: Any = [3]
    for made in (models.MobileNetV3, models.EfficientNet):
        with pytest.raises(ValueError, match="inverted_residual_setting should not be empty"):
            made([], 8)
        with pytest.raises(TypeError, match="inverted_residual_setting should be List"):
            made(wrong, 8)
    with pytest.raises(TypeError, match="block_setting should be List"):
        models.ConvNeXt(wrong)
    with pytest.raises(ValueError, match="blocks length should be 3 instead of 1"):
        models.GoogLeNet(blocks=[nn.Linear], init_weights=True)
    with pytest.raises(ValueError, match="node: 'nope' is not present in model"):
        create_feature_extractor(transformer, ["encoder", "nope"])
    with pytest.raises(ValueError, match="Either `return_nodes` or"):
        create_feature_extractor(transformer)
    with pytest.raises(ValueError, match="then both should be specified"):
        create_feature_extractor(transformer, train_return_nodes=["encoder"])


def test_errors_and_old_calls() -> None:
    with pytest.raises(ValueError, match="Unknown model nope"):
        models.get_model("nope")
    with pytest.raises(ValueError, match="Invalid weight name provided: 'nope'"):
        models.get_weight("nope")
    with pytest.raises(KeyError):
        models.resnet18(weights="nope")
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet50_Weights"):
        models.resnet18(weights=models.ResNet50_Weights["DEFAULT"])
    with pytest.warns(UserWarning, match="positional") as told:
        assert models.resnet18(False, num_classes=3).fc.out_features == 3
    assert any("weights=None" in str(warning.message) for warning in told)
    with pytest.raises(ValueError, match="3-element tuple"):
        models.resnet18(replace_stride_with_dilation=[True])
    assert models.list_models(include="resnet1*") == ["resnet101", "resnet152", "resnet18"]
    assert "vgg11" not in models.list_models(exclude=["vgg*"])
