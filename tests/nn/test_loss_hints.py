"""What Flambeau warns of beside PyTorch's own warnings."""

from __future__ import annotations

import warnings

import pytest

import flambeau as torch

nn = torch.nn


def test_softmax_in_front_of_cross_entropy_is_told_once() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
    target = torch.tensor([0, 1, 2, 3, 0])

    def step() -> float:
        loss = nn.functional.cross_entropy(model(torch.randn(5, 3)), target)
        loss.backward()
        return loss.item()

    with pytest.warns(UserWarning, match="cross_entropy was given the result of softmax") as told:
        for _ in range(4):
            step()
    assert len(told) == 1
    assert told[0].filename == __file__


def test_scores_are_fine() -> None:
    model = nn.Linear(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = model(torch.randn(5, 3))
        probabilities = scores.softmax(1)
        nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3, 0])).backward()
        nn.functional.cross_entropy(scores.log_softmax(1), probabilities.detach()).item()
