"""Confusion matrices, what is made of them, and exact match, hinge loss, calibration error."""

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
    randn,
)

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
COUNT: dict[str, dict[str, Any]] = {
    "Binary": {},
    "Multiclass": {"num_classes": C},
    "Multilabel": {"num_labels": L},
}
TABLES = {"Binary": BINARY, "Multiclass": MULTICLASS, "Multilabel": MULTILABEL}
# Class, function, options in turn, kinds of batches that it takes (None: all), its forms.
METRICS: list[tuple[str, str, list[dict[str, Any]], Any, tuple[str, ...]]] = [
    (
        "ConfusionMatrix",
        "confusion_matrix",
        [{}, {"normalize": "true"}, {"normalize": "pred"}, {"normalize": "all"}],
        None,
        tuple(COUNT),
    ),
    (
        "CohenKappa",
        "cohen_kappa",
        [{}, {"weights": "linear"}, {"weights": "quadratic"}],
        None,
        ("Binary", "Multiclass"),
    ),
    ("MatthewsCorrCoef", "matthews_corrcoef", [{}], None, tuple(COUNT)),
    ("JaccardIndex", "jaccard_index", [{}, {"zero_division": 1.0}], None, tuple(COUNT)),
    (
        "ExactMatch",
        "exact_match",
        [{}, {"multidim_average": "samplewise"}],
        None,
        ("Multiclass", "Multilabel"),
    ),
    (
        "HingeLoss",
        "hinge_loss",
        [{}, {"squared": True}],
        ("probabilities", "logits", "scores", "dims"),
        ("Binary", "Multiclass"),
    ),
    (
        "CalibrationError",
        "calibration_error",
        [{"n_bins": 4}, {"norm": "l2"}, {"norm": "max", "n_bins": 3}],
        ("probabilities", "logits", "scores", "dims"),
        ("Binary", "Multiclass"),
    ),
]
CASES = [(m, form) for m in METRICS for form in m[4]]


def check(name: str, function: str, form: str, options: Any, batches: Any) -> None:
    options = {**COUNT[form], **options}
    for preds, target in batches:
        valued(f"{FUNCTION}{form.lower()}_{function}", preds, target, **options, rtol=2e-6)
    streamed(f"{CLASS}{form}{name}", options, batches, rtol=2e-6)


@pytest.mark.parametrize("metric, form", CASES, ids=lambda x: x if isinstance(x, str) else x[0])
def test_values(metric: Any, form: str) -> None:
    name, function, options, only, _ = metric
    for (kind, batches), own in itertools.product(TABLES[form].items(), options):
        if (only and kind not in only) or ("multidim_average" in own and "dims" not in kind):
            continue
        check(name, function, form, own, batches)
    kind = "labels" if only is None else ("logits" if form == "Binary" else "scores")
    some = [(p, holes(t, -1)) for p, t in TABLES[form][kind]]
    check(name, function, form, {"ignore_index": -1}, some)
    check(name, function, form, {"ignore_index": 1}, TABLES[form][kind])


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none", None])
def test_jaccard_averages(average: Any) -> None:
    for form, ignore in itertools.product(("Multiclass", "Multilabel"), (None, 0)):
        options = {"average": average, "ignore_index": ignore}
        for kind in ("labels", "dims"):
            check("JaccardIndex", "jaccard_index", form, options, TABLES[form][kind])


@pytest.mark.parametrize("mode", ["crammer-singer", "one-vs-all"])
def test_hinge_modes(mode: str) -> None:
    for squared in (True, False):
        options = {"multiclass_mode": mode, "squared": squared}
        check("HingeLoss", "hinge_loss", "Multiclass", options, MULTICLASS["scores"])


@pytest.mark.parametrize("cells", list(itertools.product((0, 1, 3), repeat=4)))
def test_matthews_in_the_limit(cells: Any) -> None:
    if not any(cells):
        return
    pairs = [(i // 2, i % 2) for i, n in enumerate(cells) for _ in range(n)]
    target, preds = (torch.tensor([p[k] for p in pairs]) for k in (0, 1))
    both(f"{FUNCTION}binary_matthews_corrcoef", preds, target, rtol=1e-3)


TASKS = ("binary", "multiclass", "multilabel", "what")


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m[0])
def test_by_task(metric: Any) -> None:
    name, function, _, _only, _forms = metric
    kinds = {"binary": "logits", "multiclass": "scores", "multilabel": "logits", "what": ""}
    for task in TASKS:
        batches = TABLES.get(task.capitalize(), BINARY)[kinds[task] or "logits"]
        for options in ({}, COUNT.get(task.capitalize(), {})):
            given = {"task": task, **options}
            made = both(f"functional.{function}", *batches[0], **given, rtol=2e-6)
            if isinstance(made, str):
                both(name, **given)
            else:
                stream(name, given, batches, rtol=2e-6)


P, T = BINARY["probabilities"][0]
S, Y = MULTICLASS["scores"][0]
MISTAKES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("binary_confusion_matrix", P, T, {"threshold": 2.0}),
    ("binary_confusion_matrix", P, T, {"normalize": "what"}),
    ("binary_confusion_matrix", P, T, {"ignore_index": "1"}),
    ("binary_confusion_matrix", P, T[:3], {}),
    ("binary_confusion_matrix", T * 2, T, {}),
    ("multiclass_confusion_matrix", S, Y, {"num_classes": 1}),
    ("multiclass_confusion_matrix", S, Y, {"num_classes": 3}),
    ("multiclass_confusion_matrix", Y[:3], Y, {"num_classes": C}),
    ("multiclass_confusion_matrix", Y, Y, {"num_classes": 3}),
    ("multilabel_confusion_matrix", S, S > 0, {"num_labels": 3}),
    ("multilabel_confusion_matrix", S, Y, {"num_labels": 5}),
    ("binary_cohen_kappa", P, T, {"weights": "what"}),
    ("multiclass_jaccard_index", S, Y, {"num_classes": C, "average": "what"}),
    ("multiclass_exact_match", S, Y, {"num_classes": C, "multidim_average": "what"}),
    ("binary_hinge_loss", P, T, {"squared": 1, "validate_args": True}),
    ("binary_hinge_loss", T, T, {"validate_args": True}),
    (
        "multiclass_hinge_loss",
        S,
        Y,
        {"num_classes": C, "multiclass_mode": 1, "validate_args": True},
    ),
    ("binary_calibration_error", P, T, {"n_bins": 0}),
    ("binary_calibration_error", P, T, {"norm": "what"}),
    ("binary_calibration_error", T, T, {}),
]


@pytest.mark.parametrize("name, preds, target, options", MISTAKES)
def test_mistakes(name: str, preds: Any, target: Any, options: Any) -> None:
    assert isinstance(both(f"{FUNCTION}{name}", preds, target, **options), str)


def test_gradient_of_the_hinge_loss() -> None:
    from tests.beside_torch import given, same
    from tests.metrics.reference import PAIRS

    scores, target = randn(6, C).softmax(dim=1), randint(C, 6)
    results = []
    for module, library in PAIRS:
        x = given(library, scores).requires_grad_()
        module.HingeLoss(task="multiclass", num_classes=C)(x, given(library, target)).backward()
        results.append(x.grad)
    same(results[0], results[1])
