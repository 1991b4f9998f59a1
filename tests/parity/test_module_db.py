"""Every module of PyTorch's database of modules, beside PyTorch's: see `module_database.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import module_database as modules

pytestmark = pytest.mark.parity

SAMPLES = 40  # per entry, in training and in evaluation each

# What is known to be missing, by the words of the refusal.
REFUSED = {
    "LinearCrossEntropyLoss": "LinearCrossEntropyLoss(options=...) is not implemented",
    "Embedding": "sparse gradients are not supported",
    "EmbeddingBag": "sparse gradients are not supported",
    # The table hands over what this runner does not translate yet:
    **dict.fromkeys(
        [f"LazyConv{kind}{n}d" for kind in ("", "Transpose") for n in (1, 2, 3)],
        "the shape of an uninitialized parameter",
    ),
    "TransformerEncoder": "a module as an argument",
    "TransformerEncoderLayer": "must be Tensor, not Tensor",
    "TransformerDecoderLayer": "must be Tensor, not Tensor",
}
ENTRIES = {modules.name_of(info): info for info in modules.entries()}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_module(name: str) -> None:
    report = modules.run(ENTRIES[name], SAMPLES)
    print(report.line())
    if report.missing:
        pytest.skip(f"torch.nn.{name} is not there yet")
    refused = REFUSED.get(name)
    wrong = [note for note in report.notes if refused is None or refused not in note]
    assert report.samples and not wrong, report.line()
