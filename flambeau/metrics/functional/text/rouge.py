"""ROUGE: words, n-grams and common sequences that summaries share (Lin, 2004)."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, tensor

KEYS: dict[str, int | str] = {
    **{f"rouge{n}": n for n in range(1, 10)},
    "rougeL": "L",
    "rougeLsum": "Lsum",
}
ACCUMULATE = ("avg", "best")
KINDS = ("fmeasure", "precision", "recall")
Words = list[str]
Scores = dict[str, float]


def stemmer_of(use_stemmer: bool) -> Any:
    """nltk's Porter stemmer, or None. ModuleNotFoundError without nltk."""
    if not use_stemmer:
        return None
    try:
        module = importlib.import_module("nltk.stem.porter")
    except ImportError:
        raise ModuleNotFoundError(
            "Stemmer requires that `nltk` is installed. Use `pip install nltk`."
        ) from None
    return module.PorterStemmer()


def sentences(text: str) -> list[str]:
    """A text's sentences, as nltk splits them. ModuleNotFoundError without nltk."""
    try:
        nltk = importlib.import_module("nltk")
    except ImportError:
        raise ModuleNotFoundError(
            "ROUGE-Lsum calculation requires that `nltk` is installed. Use `pip install nltk`."
        ) from None
    found: list[str] = nltk.sent_tokenize(text)
    return found


def _scores(hits: int, said: int, meant: int) -> Scores:
    if not (hits and said and meant):
        return dict.fromkeys(KINDS, 0.0)
    precision, recall = hits / said, hits / meant
    both = 2 * precision * recall / (precision + recall)
    return {"fmeasure": both, "precision": precision, "recall": recall}


def _grams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _table(said: Words, meant: Words) -> list[list[int]]:
    """The length of the longest common sequence of all beginnings."""
    rows = [[0] * (len(said) + 1)]
    for word in meant:
        above, row = rows[-1], [0]
        for j, other in enumerate(said):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
        rows.append(row)
    return rows


def _places(said: Words, meant: Words) -> set[int]:
    """Which words of `meant` are in a longest sequence that it has in common with `said`."""
    rows = _table(said, meant)
    i, j, found = len(said), len(meant), set()
    while i > 0 and j > 0:
        if said[i - 1] == meant[j - 1]:
            i, j = i - 1, j - 1
            found.add(j)
        elif rows[j][i - 1] > rows[j - 1][i]:
            i -= 1
        else:
            j -= 1
    return found


def _of_sentences(said: list[Words], meant: list[Words]) -> Scores:
    left = [Counter(word for part in text for word in part) for text in (said, meant)]
    hits = 0
    for sentence in meant:
        common = sorted(set().union(*(_places(one, sentence) for one in said)))
        for word in (sentence[place] for place in common):
            if left[0][word] > 0 and left[1][word] > 0:
                hits += 1
                left[0][word] -= 1
                left[1][word] -= 1
    return _scores(hits, sum(map(len, said)), sum(map(len, meant)))


class Reader:
    """Texts as words: lower case letters and digits, unless a normalizer or tokenizer is given."""

    def __init__(
        self,
        stemmer: Any = None,
        normalizer: Callable[[str], str] | None = None,
        tokenizer: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self.stemmer, self.normalizer, self.tokenizer = stemmer, normalizer, tokenizer

    def words(self, text: str) -> Words:
        """The words of a text."""
        plain = (
            self.normalizer(text)
            if callable(self.normalizer)
            else re.sub(r"[^a-z0-9]+", " ", text.lower())
        )
        found = self.tokenizer(plain) if callable(self.tokenizer) else re.split(r"\s+", plain)
        if self.stemmer:
            found = [self.stemmer.stem(word) if len(word) > 3 else word for word in found]
        return [word for word in found if isinstance(word, str) and word]

    def score(self, said: str, meant: str, key: int | str) -> Scores:
        """What two texts share, for one of the keys."""
        if key == "Lsum":
            return _of_sentences(
                [self.words(part) for part in sentences(said)],
                [self.words(part) for part in sentences(meant)],
            )
        a, b = self.words(said), self.words(meant)
        if key == "L":
            return _scores(_table(a, b)[-1][-1], len(a), len(b))
        assert isinstance(key, int)
        first, second = _grams(a, key), _grams(b, key)
        return _scores((first & second).total(), first.total(), second.total())


def checked_keys(rouge_keys: Any) -> tuple[str, ...]:
    """Keys as a tuple. ValueError for unknown ones."""
    keys = rouge_keys if isinstance(rouge_keys, tuple) else (rouge_keys,)
    for key in keys:
        if key not in KEYS:
            raise ValueError(f"Got unknown rouge key {key}. Expected to be one of {list(KEYS)}")
    return keys


def rouge_scores(
    preds: Any, target: Any, keys: Sequence[str], accumulate: str, reader: Reader
) -> dict[str, list[Scores]]:
    """The scores of each prediction: of its best target by each key, or the mean of all."""
    if isinstance(target, list) and all(isinstance(text, str) for text in target):
        target = [target] if isinstance(preds, str) else [[text] for text in target]
    said = [preds] if isinstance(preds, str) else preds
    meant = [[target]] if isinstance(target, str) else target
    found: dict[str, list[Scores]] = {key: [] for key in keys}
    for text, references in zip(said, meant):
        for key in keys:
            each = [reader.score(text, reference, KEYS[key]) for reference in references]
            if accumulate == "best":
                best = np.argmax([np.float32(one["fmeasure"]) for one in each])
                found[key].append(each[best])
            elif accumulate == "avg":
                means = {kind: float(np.mean([one[kind] for one in each])) for kind in KINDS}
                found[key].append(means)
    return found


def rouge_score(
    preds: Any,
    target: Any,
    accumulate: str = "best",
    use_stemmer: bool = False,
    normalizer: Callable[[str], str] | None = None,
    tokenizer: Callable[[str], Sequence[str]] | None = None,
    rouge_keys: Any = ("rouge1", "rouge2", "rougeL", "rougeLsum"),
) -> dict[str, Tensor]:
    """F-measure, precision and recall of what texts share, the mean of all pairs.

    Keys are rouge1 to rouge9 (n-grams), rougeL (the longest common sequence) and rougeLsum (of
    sentences, which needs nltk, as use_stemmer does: ModuleNotFoundError). ValueError for others.
    """
    stemmer = stemmer_of(use_stemmer)
    keys = checked_keys(rouge_keys)
    found = rouge_scores(preds, target, keys, accumulate, Reader(stemmer, normalizer, tokenizer))
    return {
        f"{key}_{kind}": tensor(float(np.mean([one[kind] for one in found[key]])))
        for key in keys
        for kind in KINDS
    }
