"""Metrics of categories are those of torchmetrics."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.beside_torch import given
from tests.metrics.reference import PAIRS, both, place, stream, streamed, torch, valued

importlib.import_module("torchmetrics.nominal")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
G = torch.Generator().manual_seed(4)


def kinds(count: int, classes: int = 4) -> Any:
    target = torch.randint(0, classes, (count,), generator=G)
    noise = torch.randint(0, classes, (count,), generator=G)
    return torch.where(noise % 2 == 0, target, noise), target


NAN = float("nan")
BATCHES = [kinds(40), kinds(30)]
HOLES = tuple(torch.where(torch.arange(40) % 9 == k, NAN, x.float()) for k, x in
              enumerate(BATCHES[0]))  # fmt: skip
NAMES = [("cramers_v", "CramersV"), ("tschuprows_t", "TschuprowsT"), ("theils_u", "TheilsU"),
         ("pearsons_contingency_coefficient", "PearsonsContingencyCoefficient")]  # fmt: skip


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_tables(function: str, name: str) -> None:
    call = f"functional.nominal.{function}"
    corrected = name in ("CramersV", "TschuprowsT")
    for options in ({}, {"bias_correction": False}) if corrected else ({},):
        for batch in (*BATCHES, (BATCHES[0][0], BATCHES[0][0])):
            valued(call, *batch, **options, rtol=1e-4)
        streamed(f"nominal.{name}", {"num_classes": 4, **options}, BATCHES, rtol=1e-4)
        matrix = torch.stack([*BATCHES[0], kinds(40)[0]], 1)
        valued(f"{call}_matrix", matrix, **options, rtol=1e-4)
    if corrected:  # their function refuses two categories, their metric changes its state
        pair, values = kinds(50, 2), []
        for module, library in PAIRS:
            metric = place(module, f"nominal.{name}")(num_classes=2)
            metric.update(*given(library, pair))
            values.append(metric.compute().item())
        assert values[0] == pytest.approx(values[1], rel=1e-4)
    holes: list[dict[str, Any]] = [{"nan_strategy": "drop"}, {"nan_replace_value": 1.0}]
    for options in holes:
        streamed(f"nominal.{name}", {"num_classes": 4, **options}, [HOLES], rtol=1e-4)
        valued(f"{call}_matrix", torch.stack(HOLES, 1), **options, rtol=1e-4)
    if name != "TheilsU":  # theirs is an integer then
        both(call, BATCHES[0][0] * 0, BATCHES[0][0] * 0, rtol=1e-4)
    for wrong in ({"nan_strategy": "nope"}, {"nan_replace_value": None}):
        assert isinstance(both(f"{call}_matrix", matrix, **wrong), str)


def test_raters() -> None:
    counts = torch.randint(0, 5, (12, 3), generator=G)
    counts[:, 0] = 10 - counts[:, 1:].sum(1)
    valued("functional.nominal.fleiss_kappa", counts, rtol=1e-4)
    streamed("nominal.FleissKappa", {}, [(counts[:5],), (counts[5:],)], rtol=1e-4)
    scores = torch.rand((12, 4, 4), generator=G)
    streamed("nominal.FleissKappa", {"mode": "probs"}, [(scores,)], rtol=1e-4)
    stream("nominal.FleissKappa", {"mode": "probs"}, [(counts,)])
    assert isinstance(both("functional.nominal.fleiss_kappa", scores), str)
    assert isinstance(both("functional.nominal.fleiss_kappa", counts, mode="nope"), str)
