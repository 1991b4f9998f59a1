"""Curves over thresholds, exact and at fixed thresholds, and their areas."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.metrics.reference import both, stream, streamed, torch, valued
from tests.metrics.test_stat_scores_parity import (
    BINARY,
    CLASS,
    FUNCTION,
    MULTICLASS,
    MULTILABEL,
    C,
    L,
    holes,
    randint,
)

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
G = torch.Generator().manual_seed(8)
COUNT: dict[str, dict[str, Any]] = {
    "Binary": {},
    "Multiclass": {"num_classes": C},
    "Multilabel": {"num_labels": L},
}
TIES = (torch.rand(40, generator=G) * 8).round() / 8
BATCHES: dict[str, list[Any]] = {
    "Binary": [
        BINARY["probabilities"],
        BINARY["logits"][:1],
        BINARY["dims"],
        [(TIES, randint(2, 40))],
        BINARY["all wrong"],
        BINARY["no positives"],
    ],
    "Multiclass": [
        MULTICLASS["scores"],
        MULTICLASS["dims"],
        [(torch.randn(6, C, generator=G), torch.zeros(6).long())],
        [(torch.randn(6, C, generator=G).softmax(1), randint(2, 6) + 1)],
    ],
    "Multilabel": [
        MULTILABEL["logits"],
        MULTILABEL["dims"],
        [(torch.rand(5, L, generator=G), torch.zeros(5, L).long())],
    ],
}
THRESHOLDS: list[Any] = [None, 5, [0.1, 0.5, 0.9], torch.tensor([0.0, 0.3, 0.35, 1.0])]
CURVES = [("PrecisionRecallCurve", "precision_recall_curve"), ("ROC", "roc")]
AREAS = [("AUROC", "auroc"), ("AveragePrecision", "average_precision")]


def check(metric: Any, form: str, options: Any, batches: Any) -> None:
    name, function = metric
    options = {**COUNT[form], **options}
    for preds, target in batches:
        valued(f"{FUNCTION}{form.lower()}_{function}", preds, target, **options, rtol=1e-5)
    if not (
        options.get("average") == "micro" and name in dict(CURVES) and options.get("thresholds")
    ):
        # (There the classes of torchmetrics fail with a size that does not match.)
        streamed(f"{CLASS}{form}{name}", options, batches, rtol=1e-5)


@pytest.mark.parametrize("form", list(COUNT))
@pytest.mark.parametrize("metric", CURVES + AREAS, ids=lambda m: m[0])
def test_values(metric: Any, form: str) -> None:
    for (i, batches), limits in itertools.product(enumerate(BATCHES[form]), THRESHOLDS):
        if i > 1 and not (limits is None or isinstance(limits, int)):
            continue
        check(metric, form, {"thresholds": limits}, batches)
        if i < 2:
            some = [(p, holes(t, -1)) for p, t in batches]
            check(metric, form, {"thresholds": limits, "ignore_index": -1}, some)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none", None])
def test_averages(average: Any) -> None:
    for form, limits in itertools.product(("Multiclass", "Multilabel"), (None, 7)):
        options = {"thresholds": limits, "average": average}
        for metric, batches in itertools.product(AREAS, BATCHES[form][::2]):
            if form == "Multilabel" or average != "micro":
                check(metric, form, options, batches)
        if form == "Multiclass" and average in ("micro", "macro", None):
            for metric, batches in itertools.product(CURVES, BATCHES[form][:1]):
                check(metric, form, options, batches)


@pytest.mark.parametrize("max_fpr", [0.2, 0.5, 0.93, 1.0])
def test_partial_area(max_fpr: float) -> None:
    for batches, limits in itertools.product(BATCHES["Binary"][:4], (None, 20)):
        check(AREAS[0], "Binary", {"max_fpr": max_fpr, "thresholds": limits}, batches)


@pytest.mark.parametrize("metric", CURVES + AREAS, ids=lambda m: m[0])
def test_by_task(metric: Any) -> None:
    name, function = metric
    for form, own in COUNT.items():
        for limits in (None, 4):
            given = {"task": form.lower(), "thresholds": limits, **own}
            stream(name, given, BATCHES[form][0], rtol=1e-5)
            both(f"functional.{function}", *BATCHES[form][0][0], **given, rtol=1e-5)
        if own:
            assert isinstance(both(name, task=form.lower()), str)
    assert isinstance(both(name, task="what"), str)


FIXED = [
    ("RecallAtFixedPrecision", "recall_at_fixed_precision", "min_precision"),
    ("PrecisionAtFixedRecall", "precision_at_fixed_recall", "min_recall"),
]


@pytest.mark.parametrize("form", list(COUNT))
@pytest.mark.parametrize("name, function, minimum", FIXED, ids=[f[0] for f in FIXED])
def test_at_a_fixed_other(name: str, function: str, minimum: str, form: str) -> None:
    for value, limits in itertools.product((0.3, 0.6, 1.0), (None, 6)):
        options = {minimum: value, "thresholds": limits}
        for batches in BATCHES[form][:2]:
            check((name, function), form, options, batches)
    batches = [(p, holes(t, -1)) for p, t in BATCHES[form][0]]
    check((name, function), form, {minimum: 0.5, "ignore_index": -1}, batches)
    given = {"task": form.lower(), minimum: 0.5, **COUNT[form]}
    stream(name, given, BATCHES[form][0], rtol=1e-5)
    for wrong in ({minimum: 2}, {minimum: 0.5, "thresholds": 1}):
        assert isinstance(both(name, **{**given, **wrong}), str)


P, T = BINARY["probabilities"][0]
S, Y = MULTICLASS["scores"][0]
MISTAKES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("binary_roc", P, T, {"thresholds": 1}),
    ("binary_roc", P, T, {"thresholds": [2.0]}),
    ("binary_roc", P, T, {"thresholds": "what"}),
    ("binary_roc", P, T, {"thresholds": torch.zeros(2, 2)}),
    ("binary_roc", P, T, {"ignore_index": 1.5}),
    ("binary_roc", P, T[:3], {}),
    ("binary_roc", P, T.float(), {}),
    ("binary_roc", T, T, {}),
    ("binary_roc", P, T * 3, {}),
    ("multiclass_roc", S, Y, {"num_classes": 1}),
    ("multiclass_roc", S, Y, {"num_classes": 3}),
    ("multiclass_roc", S, Y, {"num_classes": C, "average": "what"}),
    ("multiclass_roc", Y, Y, {"num_classes": C}),
    ("multiclass_roc", S, Y[:3], {"num_classes": C}),
    ("multiclass_roc", S, Y.float(), {"num_classes": C}),
    ("multiclass_roc", S.long(), Y, {"num_classes": C}),
    ("multiclass_roc", S[:, :2], Y, {"num_classes": 2}),
    ("multilabel_roc", S, (S > 0).long(), {"num_labels": 2}),
    ("multiclass_auroc", S, Y, {"num_classes": C, "average": "micro"}),
    ("multilabel_average_precision", S, (S > 0).long(), {"num_labels": C, "average": "what"}),
]


@pytest.mark.parametrize("name, preds, target, options", MISTAKES)
def test_mistakes(name: str, preds: Any, target: Any, options: Any) -> None:
    assert isinstance(both(f"{FUNCTION}{name}", preds, target, **options), str)


@pytest.mark.parametrize("seed", range(3))
def test_areas_of_scikit_learn(seed: int) -> None:
    """An authority that shares no code with torchmetrics."""
    sklearn = pytest.importorskip("sklearn.metrics")
    import flambeau
    from flambeau.metrics import functional as f

    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(60, generator=generator).mul(20).round().div(20).numpy()
    target = torch.randint(0, 2, (60,), generator=generator).numpy()
    given = (flambeau.from_numpy(scores), flambeau.from_numpy(target))
    for mine, theirs in (
        (f.auroc, sklearn.roc_auc_score),
        (f.average_precision, sklearn.average_precision_score),
    ):
        value = mine(*given, task="binary").item()
        assert value == pytest.approx(theirs(target, scores), rel=1e-5)
