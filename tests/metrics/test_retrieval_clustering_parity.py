"""Metrics of queries, of clusterings and of pairs of rows are those of torchmetrics."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

from tests.metrics.reference import both, stream, streamed, torch, valued

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
importlib.import_module("torchmetrics.clustering")
with warnings.catch_warnings():  # PyTorch's about sparse tensors comes once
    warnings.simplefilter("ignore")
    torch.sparse_coo_tensor([[0], [0]], [1], (1, 1)).to_dense()
G = torch.Generator().manual_seed(9)


def queries(count: int, kinds: int) -> Any:
    """Scores (some below 0), targets and numbers of queries; query 3 has no positive target."""
    numbers = torch.randint(0, 5, (count,), generator=G)
    preds = torch.randperm(count, generator=G) / count - 0.2
    target = torch.randint(0, kinds, (count,), generator=G)
    return preds, torch.where(numbers == 3, 0, target), numbers


BATCHES = [queries(20, 2), queries(30, 2)]
TOP = "MAP MRR Recall HitRate FallOut Precision AUROC".split()
OPTIONS: list[dict[str, Any]] = [
    {},
    {"top_k": 3},
    {"empty_target_action": "skip", "aggregation": "median"},
    {"empty_target_action": "pos", "aggregation": "max", "ignore_index": 0},
]


@pytest.mark.parametrize("name", TOP)
def test_queries(name: str) -> None:
    for options in OPTIONS:
        streamed(f"retrieval.Retrieval{name}", options, BATCHES, rtol=1e-5)
    stream(f"retrieval.Retrieval{name}", {"empty_target_action": "error"}, BATCHES)


def test_other_queries() -> None:
    streamed("retrieval.RetrievalRPrecision", {}, BATCHES, rtol=1e-5)
    streamed("retrieval.RetrievalPrecision", {"top_k": 40, "adaptive_k": True}, BATCHES, rtol=1e-5)
    graded = [queries(20, 4), queries(30, 4)]
    graded[0] = (torch.round(graded[0][0], decimals=1), *graded[0][1:])  # with ties
    for options in OPTIONS[:3]:
        streamed("retrieval.RetrievalNormalizedDCG", options, graded, rtol=1e-5)
    for options in ({}, {"max_k": 4}, {"max_k": 20, "adaptive_k": True, "aggregation": "min"}):
        streamed("retrieval.RetrievalPrecisionRecallCurve", options, BATCHES, rtol=1e-5)
    for least in (0.0, 0.4, 1.0):
        options = {"min_precision": least}
        streamed("retrieval.RetrievalRecallAtFixedPrecision", options, BATCHES, rtol=1e-5)


FUNCTIONS = """average_precision reciprocal_rank precision recall fall_out hit_rate r_precision
normalized_dcg auroc precision_recall_curve""".split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_query(name: str) -> None:
    function = f"functional.retrieval.retrieval_{name}"
    preds, target, _ = BATCHES[0]
    valued(function, preds, target, rtol=1e-5)
    valued(function, preds.reshape(4, 5), target.reshape(4, 5).bool(), rtol=1e-5)
    valued(function, preds, torch.zeros_like(target), rtol=1e-5)
    if name != "r_precision":
        key = "max_k" if name == "precision_recall_curve" else "top_k"
        valued(function, preds, target, **{key: 4}, rtol=1e-5)
        both(function, preds, target, **{key: -1})
    both(function, preds, target[1:])
    both(function, preds.long(), target)
    both(function, preds, target + 3)


LABELS = """MutualInfoScore NormalizedMutualInfoScore AdjustedMutualInfoScore RandScore
AdjustedRandScore FowlkesMallowsIndex HomogeneityScore CompletenessScore VMeasureScore""".split()


def labels(count: int) -> Any:
    target = torch.randint(0, 4, (count,), generator=G)
    noise = torch.randint(0, 3, (count,), generator=G)
    return torch.where(noise == 0, noise, target + 2), target


@pytest.mark.parametrize("name", LABELS)
def test_clusterings(name: str) -> None:
    averaged = [{"average_method": kind} for kind in ("min", "geometric", "arithmetic", "max")]
    options: list[Any] = averaged if name.endswith("dMutualInfoScore") else [{}]
    if name == "VMeasureScore":
        options.append({"beta": 0.5})
    for one in options:
        streamed(f"clustering.{name}", one, [labels(30), labels(20)], rtol=1e-4)
    same = torch.arange(4).repeat(3)
    stream(f"clustering.{name}", {}, [(same, same)], rtol=1e-4)


DATA = torch.randn((30, 3), generator=G) + torch.arange(30).remainder(3)[:, None]


@pytest.mark.parametrize("name", ["CalinskiHarabaszScore", "DaviesBouldinScore", "DunnIndex"])
def test_clusters_of_data(name: str) -> None:
    kinds = torch.arange(30).remainder(3)
    streamed(
        f"clustering.{name}", {}, [(DATA[:20], kinds[:20]), (DATA[20:], kinds[20:])], rtol=1e-4
    )
    if name == "DunnIndex":
        streamed("clustering.DunnIndex", {"p": 1}, [(DATA, kinds)], rtol=1e-4)
    else:
        stream(f"clustering.{name}", {}, [(DATA, kinds * 0)])
        stream(f"clustering.{name}", {}, [(DATA.long(), kinds)])


PAIRS = ["cosine_similarity", "linear_similarity", "euclidean_distance", "manhattan_distance"]


@pytest.mark.parametrize("name", [*PAIRS, "minkowski_distance"])
def test_pairs(name: str) -> None:
    function = f"functional.pairwise.pairwise_{name}"
    x, y = DATA[:6], DATA[6:10]
    valued(function, x, rtol=1e-4)
    valued(function, x, y, reduction="mean", rtol=1e-4)
    valued(function, x, zero_diagonal=False, reduction="sum", rtol=1e-3)
    valued(function, x, y, zero_diagonal=True, rtol=1e-4)
    if name.startswith("minkowski"):
        valued(function, x, y, exponent=3, rtol=1e-4)
        both(function, x, y, exponent=0.5)
    both(function, x[0])
    both(function, x, y[:, 1:])
    both(function, x, reduction="nope")
