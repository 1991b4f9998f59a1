"""Nodes inside of models have torchvision's names, and give what they give inside the model."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.vision import models
from flambeau.vision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vgg11_bn"])
def test_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_"):
        for library in (torch, flambeau):
            monkeypatch.setattr(library.nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    part = importlib.import_module("torchvision.models.feature_extraction")
    told = {"suppress_diff_warning": True}
    expected = part.get_graph_node_names(getattr(torchvision.models, name)(), **told)
    model = models.get_model(name)
    assert get_graph_node_names(model, **told) == expected  # type: ignore[arg-type]
    assert model.training


def test_features() -> None:
    model = models.resnet18(num_classes=3)
    asked = {"layer1": "low", "layer3.0.add": "inner", "fc": "scores"}
    inner = create_feature_extractor(model, asked)
    x = flambeau.rand(2, 3, 40, 40)
    seen: dict[str, Any] = {}
    model.layer1.register_forward_hook(lambda module, args, out: seen.update(low=out))
    for training in (False, True):
        inner.train(training), model.train(training)
        again = copy.deepcopy(inner)
        given, scores = inner(x), model(x)
        assert list(given) == ["low", "inner", "scores"]
        assert given["inner"].shape == (2, 256, 3, 3)
        np.testing.assert_allclose(given["low"].detach(), seen["low"].detach(), 1e-5, 1e-5)
        np.testing.assert_allclose(given["scores"].detach(), scores.detach(), 1e-4, 1e-5)
        np.testing.assert_allclose(again(x)["scores"].detach(), scores.detach(), 1e-4, 1e-5)
    names = dict(create_feature_extractor(model, ["layer1.0"]).named_parameters())
    assert names["layer1.0.conv1.weight"] is model.layer1[0].conv1.weight
    assert not any(name.startswith("layer2") for name in names)


@pytest.mark.parametrize("name", ["swin_t", "densenet121", "maxvit_t"])
def test_features_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in ("kaiming_normal_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(flambeau.nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    model = models.get_model(name)
    _, names = get_graph_node_names(model, suppress_diff_warning=True)
    assert (len(names) == len(set(names)) and any(name.endswith(".add") for name in names)) or names


def test_modes_that_differ() -> None:
    model = models.googlenet(init_weights=False)
    with pytest.warns(UserWarning, match="are a subsequence of those obtained in train mode"):
        get_graph_node_names(model)
    inner = create_feature_extractor(
        model,
        train_return_nodes=["aux1"],
        eval_return_nodes=["inception3a"],
        suppress_diff_warning=True,
    )
    x = flambeau.rand(2, 3, 64, 64)
    assert list(inner.train()(x)) == ["aux1"]
    assert list(inner.eval()(x)) == ["inception3a"]
