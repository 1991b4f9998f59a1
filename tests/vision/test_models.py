"""The classifiers' parameters are those of the published weights."""

from __future__ import annotations

import pytest

from flambeau.vision import models


def test_alexnet_has_the_published_parameters() -> None:
    names = {name: tuple(p.shape) for name, p in models.alexnet().named_parameters()}
    assert sum(p.numel() for p in models.alexnet().parameters()) == 61_100_840
    assert names["features.10.weight"] == (256, 256, 3, 3)
    assert names["classifier.6.bias"] == (1000,)


def test_published_weights_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="weights"):
        models.alexnet(weights="DEFAULT")  # type: ignore[arg-type]
