"""Regression metrics and perplexity are those of torchmetrics."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.metrics.reference import both, stream, streamed, torch, valued

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
G = torch.Generator().manual_seed(2)


def rand(*shape: int) -> Any:
    return torch.rand(shape, generator=G)


def pairs(*shapes: tuple[int, ...]) -> list[Any]:
    return [(x := rand(*shape), x + rand(*shape) - 0.4) for shape in shapes]


FLAT = [*pairs((9,), (5,), (2,)), (rand(6), torch.ones(6))]
WIDE = pairs((7, 3), (4, 3))
TIES = [((rand(12) * 4).round(), (rand(12) * 4).round()) for _ in range(2)]
SHORT = [(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 4.0]))]
OUTPUTS = ["raw_values", "uniform_average", "variance_weighted"]
MEAN = "mean_absolute_percentage_error"
# Class, function, (options, batches).
METRICS: list[tuple[str, str, list[tuple[dict[str, Any], Any]]]] = [
    (
        "MeanSquaredError",
        "mean_squared_error",
        [
            *itertools.product(
                ({}, {"squared": False}),
                (FLAT, WIDE, SHORT, [(torch.tensor([1, 4]), torch.tensor([3, 3]))]),
            ),
            ({"num_outputs": 3}, WIDE),
            ({"num_outputs": 3, "squared": False}, WIDE),
        ],
    ),
    ("MeanAbsoluteError", "mean_absolute_error", [({}, FLAT), ({"num_outputs": 3}, WIDE)]),
    ("MeanAbsolutePercentageError", MEAN, [({}, FLAT), ({}, WIDE)]),
    ("SymmetricMeanAbsolutePercentageError", f"symmetric_{MEAN}", [({}, FLAT), ({}, WIDE)]),
    ("WeightedMeanAbsolutePercentageError", f"weighted_{MEAN}", [({}, FLAT), ({}, WIDE)]),
    ("MeanSquaredLogError", "mean_squared_log_error", [({}, FLAT), ({}, WIDE)]),
    ("LogCoshError", "log_cosh_error", [({}, FLAT), ({"num_outputs": 3}, WIDE)]),
    ("MinkowskiDistance", "minkowski_distance", [({"p": p}, FLAT) for p in (1, 2.5, 3)]),
    (
        "R2Score",
        "r2_score",
        [
            *itertools.product([{"multioutput": o} for o in OUTPUTS], (FLAT, WIDE, SHORT)),
            *[({"adjusted": k}, FLAT[:2]) for k in (1, 3, 8, 30)],
        ],
    ),
    ("RelativeSquaredError", "relative_squared_error", [({}, FLAT), ({"squared": False}, FLAT)]),
    (
        "ExplainedVariance",
        "explained_variance",
        list(itertools.product([{"multioutput": o} for o in OUTPUTS], (FLAT, WIDE, SHORT))),
    ),
    (
        "CosineSimilarity",
        "cosine_similarity",
        [({"reduction": r}, WIDE) for r in ("sum", "mean", "none", None)],
    ),
    ("PearsonCorrCoef", "pearson_corrcoef", [({}, FLAT), ({}, SHORT), ({"num_outputs": 3}, WIDE)]),
    ("ConcordanceCorrCoef", "concordance_corrcoef", [({}, FLAT[:2]), ({"num_outputs": 3}, WIDE)]),
    (
        "SpearmanCorrCoef",
        "spearman_corrcoef",
        [({}, FLAT), ({}, TIES), ({}, SHORT), ({"num_outputs": 3}, WIDE)],
    ),
    (
        "KendallRankCorrCoef",
        "kendall_rank_corrcoef",
        [
            *itertools.product([{"variant": v} for v in "abc"], (FLAT[:2], TIES)),
            *[
                ({"variant": v, "t_test": True, "alternative": a}, TIES)
                for v, a in itertools.product("abc", ("two-sided", "less", "greater"))
            ],
            ({"num_outputs": 3}, WIDE),
        ],
    ),
    (
        "KLDivergence",
        "kl_divergence",
        [
            *[({"reduction": r}, [(a.abs(), b.abs()) for a, b in WIDE]) for r in ("mean", "sum")],
            ({"reduction": "none"}, [(a.abs(), b.abs()) for a, b in WIDE]),
            ({"log_prob": True}, [(a.log_softmax(1), b.log_softmax(1)) for a, b in WIDE]),
        ],
    ),
]
LOOSE = {"KendallRankCorrCoef": 3e-5, "PearsonCorrCoef": 3e-5, "ConcordanceCorrCoef": 3e-5}


@pytest.mark.parametrize("name, function, cases", METRICS, ids=[m[0] for m in METRICS])
def test_values(name: str, function: str, cases: Any) -> None:
    rtol = LOOSE.get(name, 5e-6)
    for options, batches in cases:
        own = dict(options)
        if function not in ("mean_squared_error", "mean_absolute_error"):
            own.pop("num_outputs", None)
        for preds, target in batches:
            valued(f"functional.{function}", preds, target, **own, rtol=rtol)
        streamed(f"regression.{name}", options, batches, rtol=rtol)
    both(f"functional.{function}", rand(3), rand(4))
    both(f"functional.{function}", rand(3, 2, 2), rand(3, 2, 2))


MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("MeanSquaredError", {"squared": 1}),
    ("MeanSquaredError", {"num_outputs": 0}),
    ("MeanAbsoluteError", {"num_outputs": "1"}),
    ("MinkowskiDistance", {"p": 0.5}),
    ("R2Score", {"adjusted": -1}),
    ("R2Score", {"multioutput": "what"}),
    ("ExplainedVariance", {"multioutput": "what"}),
    ("CosineSimilarity", {"reduction": "what"}),
    ("KendallRankCorrCoef", {"variant": "what"}),
    ("KendallRankCorrCoef", {"t_test": 1}),
    ("KendallRankCorrCoef", {"t_test": True, "alternative": None}),
    ("KLDivergence", {"log_prob": 1}),
    ("KLDivergence", {"reduction": "what"}),
    ("text.Perplexity", {"ignore_index": 1.5}),
]


@pytest.mark.parametrize("name, options", MISTAKES)
def test_mistakes(name: str, options: Any) -> None:
    assert isinstance(both(name if "." in name else f"regression.{name}", **options), str)


def test_batches_that_do_not_fit() -> None:
    a = rand(4)
    stream("R2Score", {}, [(a[:1], a[:1])])
    stream("PearsonCorrCoef", {"num_outputs": 2}, [(rand(4, 3), rand(4, 3))])
    stream("CosineSimilarity", {}, [(a, a)])
    both("functional.spearman_corrcoef", a.int(), a.int())


@pytest.mark.parametrize("ignore", [None, -100, 1])
def test_perplexity(ignore: Any) -> None:
    batches = []
    for n, t in ((2, 3), (4, 5)):
        target = torch.randint(0, 6, (n, t), generator=G)
        if ignore == -100:
            target = torch.where(rand(n, t) < 0.3, -100, target)
        batches.append((rand(n, t, 6) * 3, target))
    for preds, target in batches:
        both("functional.text.perplexity", preds, target, ignore_index=ignore, rtol=5e-6)
    stream("text.Perplexity", {"ignore_index": ignore}, batches, rtol=5e-6)
    for preds, target in ((batches[0][1], batches[0][1]), (batches[0][0], batches[1][1])):
        both("functional.text.perplexity", preds, target)
    both("functional.text.perplexity", batches[0][0], batches[0][1].int())


@pytest.mark.parametrize("name", ["MeanSquaredError", "R2Score", "ExplainedVariance"])
def test_gradients_of_a_batch(name: str) -> None:
    from tests.beside_torch import given, same
    from tests.metrics.reference import PAIRS

    results = []
    for module, library in PAIRS:
        preds, target = given(library, FLAT[0])
        preds.requires_grad_()
        getattr(module, name)()(preds, target).backward()
        results.append(preds.grad)
    same(results[0], results[1], rtol=1e-5)
