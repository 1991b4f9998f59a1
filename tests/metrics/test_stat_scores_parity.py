"""Metrics made of true and false positives and negatives are those of torchmetrics."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.metrics.reference import both, stream, streamed, torch, valued

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
G = torch.Generator().manual_seed(4)
CLASS = "classification."
FUNCTION = "functional.classification."
# Class, function, options of their own.
FAMILIES: list[tuple[str, str, dict[str, Any]]] = [
    ("Accuracy", "accuracy", {}),
    ("Precision", "precision", {}),
    ("Recall", "recall", {}),
    ("F1Score", "f1_score", {}),
    ("FBetaScore", "fbeta_score", {"beta": 0.5}),
    ("Specificity", "specificity", {}),
    ("NegativePredictiveValue", "negative_predictive_value", {}),
    ("HammingDistance", "hamming_distance", {}),
    ("StatScores", "stat_scores", {}),
]
AVERAGES = ("micro", "macro", "weighted", "none", None)
C, L = 5, 4


def randint(high: int, *shape: int) -> Any:
    return torch.randint(0, high, shape, generator=G)


def holes(target: Any, value: int) -> Any:
    """The target with about a fifth of it to be ignored."""
    return torch.where(torch.rand(target.shape, generator=G) < 0.2, value, target)


def randn(*shape: int) -> Any:
    return torch.randn(shape, generator=G)


BINARY = {
    "probabilities": [(torch.rand(n, generator=G), randint(2, n)) for n in (7, 12)],
    "logits": [(randn(9) * 3, randint(2, 9)), (randn(1) - 4, randint(2, 1))],
    "labels": [(randint(2, 9), randint(2, 9))],
    "truth values": [(randint(2, 9) > 0, randint(2, 9) > 0)],
    "dims": [(randn(4, 3, 2), randint(2, 4, 3, 2))],
    "all wrong": [(torch.zeros(4), torch.ones(4).long())],
    "no positives": [(torch.zeros(4), torch.zeros(4).long())],
}
MULTICLASS = {
    "scores": [(randn(n, C), randint(C, n)) for n in (16, 9)],
    "labels": [(randint(C, 12), randint(C, 12))],
    "few classes": [(randint(2, 12), randint(2, 12))],
    "dims": [(randn(4, C, 3), randint(C, 4, 3)), (randn(2, C, 3), randint(C, 2, 3))],
    "label dims": [(randint(C, 4, 3, 2), randint(C, 4, 3, 2))],
}
MULTILABEL = {
    "logits": [(randn(n, L), randint(2, n, L)) for n in (6, 8)],
    "labels": [(randint(2, 6, L), randint(2, 6, L))],
    "dims": [(torch.rand(6, L, 3, generator=G), randint(2, 6, L, 3))],
}


def kinds(family: Any, table: Any) -> Any:
    """The states are the same for all: one family sees every batch, the others two kinds."""
    items = list(table.items())
    return items if family[0] == "Accuracy" else [items[0], ("dims", table["dims"])]


def check(family: Any, task: str, options: Any, batches: Any) -> None:
    name, function, own = family
    options = {**own, **options}
    for preds, target in batches:
        valued(f"{FUNCTION}{task.lower()}_{function}", preds, target, **options, rtol=2e-6)
    streamed(f"{CLASS}{task}{name}", options, batches, rtol=2e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f[0])
def test_binary(family: Any) -> None:
    for kind, batches in kinds(family, BINARY):
        check(family, "Binary", {}, batches)
        check(family, "Binary", {"threshold": 0.25}, batches)
        some = [(p, holes(t.long(), -1)) for p, t in batches]
        check(family, "Binary", {"ignore_index": -1}, some)
        if kind != "truth values":  # there torchmetrics takes what is ignored for True
            check(family, "Binary", {"ignore_index": 0}, batches)
        if kind == "dims":
            check(family, "Binary", {"multidim_average": "samplewise"}, batches)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f[0])
def test_multiclass(family: Any, average: Any) -> None:
    options = {"num_classes": C, "average": average}
    for kind, batches in kinds(family, MULTICLASS):
        check(family, "Multiclass", options, batches)
        some = [(p, holes(t, -100)) for p, t in batches]
        check(family, "Multiclass", {**options, "ignore_index": -100}, some)
        check(family, "Multiclass", {**options, "ignore_index": 1}, batches)
        if "dims" in kind:
            samplewise = {**options, "multidim_average": "samplewise"}
            check(family, "Multiclass", samplewise, batches)
            check(family, "Multiclass", {**samplewise, "ignore_index": 1}, batches)
            check(family, "Multiclass", {**samplewise, "ignore_index": -100}, some)
        elif kind == "scores":
            for k in (2, 3):
                check(family, "Multiclass", {**options, "top_k": k}, batches)
            check(family, "Multiclass", {**options, "top_k": 2, "ignore_index": -100}, some)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f[0])
def test_multilabel(family: Any, average: Any) -> None:
    options = {"num_labels": L, "average": average}
    for kind, batches in kinds(family, MULTILABEL):
        check(family, "Multilabel", options, batches)
        check(family, "Multilabel", {**options, "threshold": 0.75}, batches)
        some = [(p, holes(t, 7)) for p, t in batches]
        check(family, "Multilabel", {**options, "ignore_index": 7}, some)
        if kind == "dims":
            check(family, "Multilabel", {**options, "multidim_average": "samplewise"}, batches)


@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize("family", FAMILIES[1:5], ids=lambda f: f[0])
def test_zero_division(family: Any, zero: int) -> None:
    for batches in (BINARY["all wrong"], BINARY["no positives"]):
        check(family, "Binary", {"zero_division": zero}, batches)
    options = {"num_classes": C, "zero_division": zero}
    for average in ("macro", "none"):
        check(family, "Multiclass", {**options, "average": average}, MULTICLASS["few classes"])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f[0])
def test_by_task(family: Any) -> None:
    name, function, own = family
    cases: list[tuple[str, dict[str, Any], Any]] = [
        ("binary", {}, BINARY["probabilities"]),
        ("multiclass", {"num_classes": C}, MULTICLASS["scores"]),
        ("multiclass", {"num_classes": C, "top_k": 2, "average": "macro"}, MULTICLASS["scores"]),
        ("multilabel", {"num_labels": L}, MULTILABEL["logits"]),
    ]
    for task, options, batches in cases:
        given = {"task": task, **own, **options}
        stream(name, given, batches, rtol=2e-6)
        both(f"functional.{function}", *batches[0], **given, rtol=2e-6)
    for wrong in ({"task": "what"}, {"task": "multiclass"}, {"task": "multilabel"}):
        if function != "precision" or wrong["task"] != "what":  # a message of its own
            both(f"functional.{function}", *BINARY["labels"][0], **wrong)
        both(name, **wrong)


P, T = BINARY["probabilities"][0]
S, Y = MULTICLASS["scores"][0]
MISTAKES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("binary", P, T, {"threshold": 2.0}),
    ("binary", P, T, {"threshold": 1}),
    ("binary", P, T, {"multidim_average": "what"}),
    ("binary", P, T, {"ignore_index": 1.5}),
    ("binary", P, T, {"multidim_average": "samplewise"}),
    ("binary", P, T + 1, {}),
    ("binary", P, T + 1, {"ignore_index": 1}),
    ("binary", T * 3, T, {}),
    ("binary", P, T.float() * 3, {}),
    ("binary", P, T.int() * 3, {}),
    ("binary", P[:3], T, {}),
    ("multiclass", S, Y, {"num_classes": 1}),
    ("multiclass", S, Y, {"num_classes": None}),
    ("multiclass", S, Y, {"num_classes": C, "top_k": 9}),
    ("multiclass", S, Y, {"num_classes": C, "average": "what"}),
    ("multiclass", S, Y, {"num_classes": 3}),
    ("multiclass", S.long(), Y, {"num_classes": C}),
    ("multiclass", S, Y[:3], {"num_classes": C}),
    ("multiclass", S[:, :, None, None], Y, {"num_classes": C}),
    ("multiclass", Y[:3], Y, {"num_classes": C}),
    ("multiclass", Y, Y, {"num_classes": 3}),
    ("multiclass", Y * 3, Y, {"num_classes": C, "multidim_average": "samplewise"}),
    ("multiclass", S, Y, {"num_classes": C, "multidim_average": "samplewise"}),
    ("multilabel", S, S > 0, {"num_labels": 1}),
    ("multilabel", S, S > 0, {"num_labels": 3}),
    ("multilabel", S, S > 0, {"num_labels": C, "average": "what"}),
    ("multilabel", S, S > 0, {"num_labels": C, "threshold": 3}),
    ("multilabel", S, Y, {"num_labels": C}),
    ("multilabel", S, (S > 0).long() + 5, {"num_labels": C}),
    ("multilabel", S, S > 0, {"num_labels": C, "multidim_average": "samplewise"}),
]


@pytest.mark.parametrize("task, preds, target, options", MISTAKES)
def test_mistakes(task: str, preds: Any, target: Any, options: Any) -> None:
    for name, function, _ in (FAMILIES[0], FAMILIES[3]):
        assert isinstance(both(f"{FUNCTION}{task}_{function}", preds, target, **options), str)
        outcomes = f"{CLASS}{task.capitalize()}{name}"
        try:
            stream(outcomes, options, [(preds, target)])
        except ValueError:
            both(outcomes, **options)


def test_labels_that_are_no_class() -> None:
    """What torchmetrics finds out when it reshapes counts is an error here as well."""
    import flambeau
    from flambeau.metrics.functional import classification as f

    scores, target = flambeau.randn(4, 3), flambeau.tensor([0, 1, 7, 2])
    for average in ("macro", "none"):
        with pytest.raises(RuntimeError, match="no class"):
            f.multiclass_accuracy(scores, target, 3, average)
        later = f.multiclass_accuracy(scores, target + 0, 3, average)
        with pytest.raises(RuntimeError, match="out of bounds"):
            later.sum().item()
    assert f.multiclass_accuracy(scores, target, 3, "micro").item() <= 0.75


@pytest.mark.parametrize("pair", list(itertools.combinations(FAMILIES[:4], 2)), ids=str)
def test_flags(pair: Any) -> None:
    import torchmetrics.classification as theirs

    import flambeau.metrics.classification as ours

    for name, _, _ in pair:
        for task in ("Binary", "Multiclass", "Multilabel", ""):
            mine, other = getattr(ours, task + name), getattr(theirs, task + name)
            for flag in ("is_differentiable", "higher_is_better", "full_state_update"):
                assert getattr(mine, flag) == getattr(other, flag), (task + name, flag)
