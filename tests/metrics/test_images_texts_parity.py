"""Metrics of images and of texts are those of torchmetrics."""

from __future__ import annotations

from typing import Any

import pytest

from tests.beside_torch import given
from tests.metrics.reference import PAIRS, both, place, stream, streamed, torch, valued

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
G = torch.Generator().manual_seed(6)


def images(*shape: int) -> Any:
    target = torch.rand(shape, generator=G)
    return (target * 0.8 + 0.1 * torch.rand(shape, generator=G), target)


SMALL = [images(2, 3, 16, 18), images(3, 3, 16, 18)]
BYTES = [((a * 255).to(torch.uint8), (b * 255).to(torch.uint8)) for a, b in SMALL]


@pytest.mark.parametrize(
    "options",
    [
        {"data_range": 1.0},
        {"data_range": (0.2, 0.7)},
        {"data_range": 2, "base": 2.0},
        {"data_range": 1.0, "dim": 0},
        {"data_range": 1.0, "dim": (1, 2, 3), "reduction": "none"},
        {"data_range": 1.0, "dim": (1, 2, 3), "reduction": "sum"},
        {"data_range": 1.0, "reduction": "sum"},
    ],
)
def test_peak_signal_noise_ratio(options: Any) -> None:
    for batches in (SMALL, BYTES if not isinstance(options["data_range"], tuple) else SMALL):
        for batch in batches:
            valued("functional.image.peak_signal_noise_ratio", *batch, **options, rtol=1e-5)
        streamed("image.PeakSignalNoiseRatio", options, batches, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_range": 1.0},
        {"data_range": (0.1, 0.9), "reduction": "none"},
        {"sigma": 0.8, "reduction": "sum", "data_range": 1.0},
        {"sigma": (0.8, 1.2), "data_range": 1.0},
        {"gaussian_kernel": False, "kernel_size": 5, "data_range": 1.0},
        {"gaussian_kernel": False, "kernel_size": (3, 7), "data_range": 1.0},
        {"return_full_image": True, "data_range": 1.0},
        {"return_contrast_sensitivity": True, "data_range": 1.0, "k1": 0.02, "k2": 0.05},
    ],
)
def test_structural_similarity(options: Any) -> None:
    function = "functional.image.structural_similarity_index_measure"
    for batch in SMALL:
        valued(function, *batch, **options, rtol=2e-5)
    streamed("image.StructuralSimilarityIndexMeasure", options, SMALL, rtol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4},
        {"sigma": -1.0},
        {"kernel_size": (3, 3, 3)},
        {"return_full_image": True, "return_contrast_sensitivity": True},
    ],
)
def test_mistakes(options: Any) -> None:
    function = "functional.image.structural_similarity_index_measure"
    assert isinstance(both(function, *SMALL[0], **options), str)
    assert isinstance(both(function, SMALL[0][0], SMALL[1][0]), str)
    assert isinstance(both(function, SMALL[0][0][0], SMALL[0][1][0]), str)


SAID = ["the cat is on the mat", "this is a prediction", "hello"]
MEANT = ["there is a cat on the mat", "this is the reference", "hello world"]
REFERENCES = [
    ["there is a cat on the mat", "a cat is on the mat"],
    ["this is the prediction", "that was a prediction"],
    ["hello", "hello there world"],
]


@pytest.mark.parametrize("name, function", [("Word", "word"), ("Char", "char")])
def test_error_rates(name: str, function: str) -> None:
    for said, meant in ((SAID, MEANT), (SAID[0], MEANT[0]), (["a b", ""], ["", "x"])):
        both(f"functional.text.{function}_error_rate", said, meant)
    streamed(f"text.{name}ErrorRate", {}, [(SAID, MEANT), (SAID[:1], MEANT[:1])])


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("smooth", [True, False])
def test_bleu(n: int, smooth: bool) -> None:
    options = {"n_gram": n, "smooth": smooth}
    valued("functional.text.bleu_score", SAID, REFERENCES, **options, rtol=1e-5)
    valued("functional.text.bleu_score", SAID, MEANT, **options, rtol=1e-5)
    streamed("text.BLEUScore", options, [(SAID, REFERENCES), (SAID[:1], REFERENCES[:1])], rtol=1e-5)
    weights = [1.0 / 2**k for k in range(n)]
    valued("functional.text.bleu_score", SAID, REFERENCES, n, smooth, weights, rtol=1e-5)
    assert isinstance(both("functional.text.bleu_score", SAID, REFERENCES, 3, False, [1.0]), str)
    assert isinstance(both("functional.text.bleu_score", SAID, REFERENCES[:2]), str)
    stream("text.BLEUScore", options, [([""], [["x"]])])


@pytest.mark.parametrize(
    "name, function",
    [
        ("MatchErrorRate", "match_error_rate"),
        ("WordInfoLost", "word_information_lost"),
        ("WordInfoPreserved", "word_information_preserved"),
    ],
)
def test_rates_of_words(name: str, function: str) -> None:
    for said, meant in ((SAID, MEANT), (SAID[0], MEANT[0]), (["a b", "c"], ["b a", "x"])):
        valued(f"functional.text.{function}", said, meant, rtol=1e-5)
    streamed(f"text.{name}", {}, [(SAID, MEANT), (SAID[:1], MEANT[:1])], rtol=1e-5)


def test_edits() -> None:
    for options in ({}, {"substitution_cost": 2}, {"reduction": "sum"}, {"reduction": None}):
        valued("functional.text.edit_distance", SAID, MEANT, **options)
        streamed("text.EditDistance", options, [(SAID, MEANT), (SAID[0], MEANT[0])])
    assert isinstance(both("functional.text.edit_distance", SAID, MEANT[:1]), str)
    assert isinstance(both("functional.text.edit_distance", [3], ["a"]), str)
    assert isinstance(both("functional.text.edit_distance", "a", "b", reduction="nope"), str)
    assert isinstance(stream("text.EditDistance", {}, [([1], ["a"])])[0], str)


ROUGE = ("rouge1", "rouge2", "rougeL")


@pytest.mark.parametrize("accumulate", ["best", "avg"])
def test_rouge(accumulate: str) -> None:
    options = {"accumulate": accumulate, "rouge_keys": ROUGE}
    for said, meant in ((SAID, MEANT), (SAID, REFERENCES), (SAID[0], MEANT[0]), ("", "a"),
                        (SAID[0], REFERENCES[0])):  # fmt: skip
        valued("functional.text.rouge_score", said, meant, **options, rtol=1e-5)
    streamed(
        "text.ROUGEScore", options, [(SAID, REFERENCES), (SAID[:1], REFERENCES[:1])], rtol=1e-5
    )
    told = {**options, "normalizer": str.upper, "tokenizer": str.split}
    valued("functional.text.rouge_score", SAID, REFERENCES, **told, rtol=1e-5)
    assert isinstance(both("functional.text.rouge_score", "a", "b", rouge_keys="rouge0"), str)


def test_rouge_of_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    split = lambda text: [part.strip() for part in text.split(".") if part.strip()]
    for where in ("torchmetrics.functional.text.rouge._split_sentence",
                  "flambeau.metrics.functional.text.rouge.sentences"):  # fmt: skip
        monkeypatch.setattr(where, split)
    said = "the cat sat. the dog ran away. it rained"
    meant = ["a cat sat there. it rained on the dog", "the dog sat. the cat ran"]
    for accumulate in ("best", "avg"):
        options = {"accumulate": accumulate, "rouge_keys": "rougeLsum"}
        valued("functional.text.rouge_score", [said], [meant], **options, rtol=1e-5)


def test_squad() -> None:
    meant = [
        {"answers": {"answer_start": [1], "text": ["The big cat!", "a cat"]}, "id": "1"},
        {"answers": {"answer_start": [1], "text": ["in 1976"]}, "id": "2"},
        {"answers": {"answer_start": [1], "text": [""]}, "id": "3"},
    ]
    said = [{"prediction_text": text, "id": str(i)} for i, text in enumerate(("cat", "1976 in"), 1)]
    valued("functional.text.squad", said, meant[:2], rtol=1e-5)
    valued("functional.text.squad", said[0], meant[0], rtol=1e-5)
    both("functional.text.squad", said, meant)
    streamed("text.SQuAD", {}, [(said, meant[:2]), (said[:1], meant[:1])], rtol=1e-5)
    assert isinstance(both("functional.text.squad", {"id": "1"}, meant), str)
    assert isinstance(both("functional.text.squad", said, {"id": "1"}), str)


LARGE = [images(2, 2, 70, 80), images(1, 2, 70, 80)]


@pytest.mark.parametrize(
    "options",
    [
        {"data_range": 1.0, "betas": (0.3, 0.3, 0.4), "kernel_size": 5},
        {"betas": (0.5, 0.5), "normalize": "simple", "reduction": "none"},
        {"betas": (0.5, 0.5), "normalize": None, "reduction": "sum", "data_range": (0.0, 1.0)},
    ],
)
def test_similarity_at_scales(options: Any) -> None:
    function = "functional.image.multiscale_structural_similarity_index_measure"
    for batch in LARGE:
        valued(function, *batch, **options, rtol=1e-4)
    streamed("image.MultiScaleStructuralSimilarityIndexMeasure", options, LARGE, rtol=1e-4)
    for wrong in ({"betas": [0.5]}, {"betas": (1, 2)}, {"normalize": "nope"}, {}):
        assert isinstance(both(function, *SMALL[0], **wrong), str)


BANDS: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("universal_image_quality_index", "UniversalImageQualityIndex",
     [{}, {"kernel_size": (5, 7), "sigma": (1.0, 2.0)}]),
    ("spectral_angle_mapper", "SpectralAngleMapper", [{}]),
    ("error_relative_global_dimensionless_synthesis",
     "ErrorRelativeGlobalDimensionlessSynthesis", [{}, {"ratio": 2}]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "name", "options"), BANDS, ids=[row[1] for row in BANDS])
def test_bands(function: str, name: str, options: Any) -> None:
    call = f"functional.image.{function}"
    batches = [SMALL[0], SMALL[0]]
    for one in options:
        for reduction in ("elementwise_mean", "sum", "none"):
            told = {**one, "reduction": reduction}
            valued(call, *SMALL[1], **told, rtol=1e-4)
            if "kernel_size" not in told:  # of which theirs counts other places than it sums
                mine, other = stream_values(f"image.{name}", told, batches)
                assert mine == pytest.approx(other, rel=1e-3)
    assert isinstance(both(call, SMALL[0][0], SMALL[1][0]), str)
    assert isinstance(both(call, SMALL[0][0].double(), SMALL[0][1]), str)
    assert isinstance(both(call, SMALL[0][0][0], SMALL[0][1][0]), str)


def stream_values(name: str, options: Any, batches: Any) -> list[Any]:
    """The value of all batches in both libraries, whose states are not the same."""
    found = []
    for module, library in PAIRS:
        metric = place(module, name)(**options)
        for batch in batches:
            metric.update(*given(library, batch))
        found.append(metric.compute().flatten().tolist())
    return found


def test_variation() -> None:
    for reduction in ("sum", "mean", "none"):
        valued("functional.image.total_variation", SMALL[0][0], reduction, rtol=1e-4)
        options = {"reduction": reduction}
        streamed("image.TotalVariation", options, [(a,) for a, _ in SMALL], rtol=1e-4)
    valued("functional.image.image_gradients", SMALL[0][0])
    for function in ("total_variation", "image_gradients"):
        assert isinstance(both(f"functional.image.{function}", SMALL[0][0][0]), str)
    assert isinstance(both("functional.image.total_variation", SMALL[0][0], "nope"), str)
