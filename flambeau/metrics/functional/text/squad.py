"""Answers to questions as SQuAD counts them (Rajpurkar et al., arXiv:1606.05250)."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

from flambeau.metrics._torch import Tensor, float32, int32, tensor
from flambeau.metrics.utilities.prints import rank_zero_warn

FORMAT = {
    "answers": {"answer_start": [1], "text": ["This is a test text"]},
    "context": "This is a test context.",
    "id": "1",
    "question": "Is this a test?",
    "title": "train test",
}
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _plain(text: str) -> str:
    """Lower case without punctuation and articles."""
    words = re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def _overlap(said: str, meant: str) -> float:
    a, b = _plain(said).split(), _plain(meant).split()
    if not a or not b:
        return float(a == b)
    same = (Counter(a) & Counter(b)).total()
    return 2 * same / (len(a) + len(b))


def _check(preds: list[Any], targets: list[Any]) -> None:
    for pred in preds:
        if "prediction_text" not in pred or "id" not in pred:
            raise KeyError(
                "Expected keys in a single prediction are 'prediction_text' and 'id'."
                "Please make sure that 'prediction_text' maps to the answer string and 'id' maps "
                "to the key string."
            )
    for target in targets:
        if "answers" not in target or "id" not in target:
            raise KeyError(
                "Expected keys in a single target are 'answers' and 'id'."
                "Please make sure that 'answers' maps to a `SQuAD` format dictionary and 'id' maps "
                f"to the key string.\nSQuAD Format: {FORMAT}"
            )
        if "text" not in target["answers"]:
            raise KeyError(
                "Expected keys in a 'answers' are 'text'."
                "Please make sure that 'answer' maps to a `SQuAD` format dictionary.\n"
                f"SQuAD Format: {FORMAT}"
            )


def squad_counts(preds: Any, target: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of overlaps and of exact answers, and how many questions there are."""
    said = [preds] if isinstance(preds, dict) else preds
    meant = [target] if isinstance(target, dict) else target
    _check(said, meant)
    answers = {pred["id"]: pred["prediction_text"] for pred in said}
    overlap = exact = 0.0
    for question in meant:
        if question["id"] not in answers:
            rank_zero_warn(f"Unanswered question {question['id']} will receive score 0.")
            continue
        text, truths = answers[question["id"]], question["answers"]["text"]
        exact += max(float(_plain(text) == _plain(truth)) for truth in truths)
        overlap += max(_overlap(text, truth) for truth in truths)
    return (
        tensor(overlap, dtype=float32),
        tensor(exact, dtype=float32),
        tensor(len(meant), dtype=int32),
    )


def squad(preds: Any, target: Any) -> dict[str, Tensor]:
    """Percentages of exact answers, and of the words that answers share with true ones.

    preds are {"prediction_text", "id"}, targets {"answers": {"text": [...]}, "id"}, or lists of
    them. KeyError for others.
    """
    overlap, exact, total = squad_counts(preds, target)
    return {"exact_match": 100.0 * exact / total, "f1": 100.0 * overlap / total}
