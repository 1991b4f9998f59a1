"""Wrong uses of layers and losses: PyTorch's error and the first line of its message, and the
dtypes of what is taken.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Case = Callable[[Any, Any, Any], Any]  # of a library, a tensor of 2 x 4, images of 2 x 4 x 3 x 3
BOOL_MINUS = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
    "invert a mask, use the `~` or `logical_not()` operator instead."
)

REFUSED: list[tuple[Case, str, str]] = [
    # Linear maps.
    (
        lambda t, x, i: t.nn.Linear(4, 3)(x.sum()),
        "RuntimeError",
        "both arguments to linear need to be at least 1D, but they are 0D and 2D",
    ),
    (
        lambda t, x, i: t.nn.Bilinear(4, 5, 3)(x, x),
        "RuntimeError",
        "bilinear(): input2 size does not match weight size: got 4 but expected 5",
    ),
    (
        lambda t, x, i: t.nn.Bilinear(4, 4, 3)(x, x.double()),
        "RuntimeError",
        "All tensors must have the same dtype, got input1: float, input2: double, weight: float, "
        "bias: float",
    ),
    (
        lambda t, x, i: t.nn.Bilinear(4, 4, 3)(x, x[:1]),
        "RuntimeError",
        "bilinear(): input batch dimensions do not match at dim 0: got 2 and 1",
    ),
    # Windows.
    (
        lambda t, x, i: t.nn.Conv2d(4, 3, 2)([1]),
        "TypeError",
        "conv2d() received an invalid combination of arguments - got (list, Parameter, Parameter, "
        "tuple, tuple, tuple, int), but expected one of:",
    ),
    (
        lambda t, x, i: t.nn.Conv1d(4, 3, (1, 2))(i[0]),
        "RuntimeError",
        "Expected 4-dimensional input for 4-dimensional weight [3, 4, 1, 2], but got 3-dimensional "
        "input of size [4, 3, 3] instead",
    ),
    (
        lambda t, x, i: t.nn.MaxPool2d((1, 2, 3))(i),
        "RuntimeError",
        "max_pool2d: kernel_size must either be a single int, or a tuple of two ints",
    ),
    (
        lambda t, x, i: t.nn.MaxPool2d(2, stride=-1)(i),
        "RuntimeError",
        "stride should be greater than zero, but got dH: -1 dW: -1",
    ),
    (
        lambda t, x, i: t.nn.MaxPool2d(2, ceil_mode=1)(i),
        "TypeError",
        "max_pool2d(): argument 'ceil_mode' (position 6) must be bool, not int",
    ),
    (
        lambda t, x, i: t.nn.MaxPool1d("a")(i[0]),
        "TypeError",
        "max_pool1d(): argument 'kernel_size' (position 2) must be tuple of ints, not str",
    ),
    (
        lambda t, x, i: t.nn.AvgPool2d(2, divisor_override=1.5)(i),
        "TypeError",
        "avg_pool2d(): argument 'divisor_override' (position 7) must be int, not float",
    ),
    (
        lambda t, x, i: t.nn.AvgPool2d(2)(i[0, 0]),
        "IndexError",
        "Dimension out of range (expected to be in range of [-2, 1], but got -3)",
    ),
    (
        lambda t, x, i: t.nn.AdaptiveAvgPool2d(1.5)(i),
        "TypeError",
        "object of type 'float' has no len()",
    ),
    (
        lambda t, x, i: t.nn.Fold((4, 4), 0)(t.ones(2, 8, 9)),
        "RuntimeError",
        "kernel size should be greater than zero, but got kernel_height: 0 kernel_width: 0",
    ),
    (
        lambda t, x, i: t.nn.Unfold(2, padding=-1)(i),
        "RuntimeError",
        "padding should be non-negative, but got pad_height: -1 pad_width: -1",
    ),
    (
        lambda t, x, i: t.nn.ConstantPad1d(1, t.ones(2))(x),
        "TypeError",
        "pad(): argument 'value' (position 4) must be float, not Tensor",
    ),
    (
        lambda t, x, i: t.nn.PixelShuffle(2.5)(i),
        "TypeError",
        "pixel_shuffle(): argument 'upscale_factor' (position 2) must be int, not float",
    ),
    # Normalisation.
    (
        lambda t, x, i: t.nn.BatchNorm1d(4, eps=0)(x),
        "ValueError",
        "batch_norm eps must be positive during training, but got 0",
    ),
    (
        lambda t, x, i: t.nn.BatchNorm1d(4, momentum="a")(x),
        "TypeError",
        "batch_norm(): argument 'momentum' (position 7) must be float, not str",
    ),
    (
        lambda t, x, i: t.nn.BatchNorm1d(4)(x.long()),
        "NotImplementedError",
        "\"batch_norm\" not implemented for 'Long'",
    ),
    (
        lambda t, x, i: t.nn.LayerNorm(4)(x.long()),
        "RuntimeError",
        "mixed dtype (CPU): all inputs must share same datatype.",
    ),
    (
        lambda t, x, i: t.nn.functional.group_norm(x, -1),
        "RuntimeError",
        "Expected num groups to be greater than 0, got -1",
    ),
    (
        lambda t, x, i: t.nn.RMSNorm((1, 2, 4))(x),
        "ValueError",
        "Input tensor must have at least 3 dimensions, but got 2",
    ),
    # Recurrent layers, tables, dropout.
    (
        lambda t, x, i: t.nn.LSTM(4, 3, bias=1),
        "TypeError",
        "bias should be of type bool, got: int",
    ),
    (
        lambda t, x, i: t.nn.GRU(4, 3, batch_first=None),
        "TypeError",
        "batch_first should be of type bool, got: NoneType",
    ),
    (lambda t, x, i: t.nn.RNN(0, 3), "ValueError", "input_size must be greater than zero"),
    (
        lambda t, x, i: t.nn.LSTM(4, 3, bidirectional=1)(x[None]),
        "TypeError",
        "lstm() received an invalid combination of arguments - got (Tensor, tuple, list, bool, "
        "int, float, bool, int, bool), but expected one of:",
    ),
    (
        lambda t, x, i: t.nn.Embedding(5, 3, max_norm="a")(x.long()),
        "TypeError",
        "embedding_renorm_(): argument 'max_norm' (position 3) must be float, not str",
    ),
    (
        lambda t, x, i: t.nn.Dropout2d()(x[0]),
        "RuntimeError",
        "Feature dropout requires at least 2 dimensions in the input",
    ),
    (
        lambda t, x, i: t.nn.Softmax(1.5)(x),
        "TypeError",
        "softmax(): argument 'dim' (position 1) must be int, not float",
    ),
    # Losses.
    (lambda t, x, i: t.nn.L1Loss()(x.bool(), x), "RuntimeError", BOOL_MINUS),
    (lambda t, x, i: t.nn.TripletMarginLoss()(x.bool(), x, x), "RuntimeError", BOOL_MINUS),
    (lambda t, x, i: t.nn.PairwiseDistance()(x, x.bool()), "RuntimeError", BOOL_MINUS),
    (
        lambda t, x, i: t.nn.MSELoss(reduction=[1, 2])(x, x),
        "ValueError",
        "[1, 2] is not a valid value for reduction",
    ),
    (
        lambda t, x, i: t.nn.CrossEntropyLoss(reduction=["a"])(x, t.zeros(2).long()),
        "ValueError",
        "['a'] is not a valid value for reduction",
    ),
    (
        lambda t, x, i: t.nn.HuberLoss()(x.long(), x),
        "RuntimeError",
        "result type Float can't be cast to the desired output type Long",
    ),
    (
        lambda t, x, i: t.nn.SoftMarginLoss()(x[0], x),
        "RuntimeError",
        "output with shape [4] doesn't match the broadcast shape [2, 4]",
    ),
    (
        lambda t, x, i: t.nn.CrossEntropyLoss(ignore_index=1.5)(x, t.zeros(2).long()),
        "TypeError",
        "cross_entropy_loss(): argument 'ignore_index' (position 5) must be int, not float",
    ),
    (
        lambda t, x, i: t.nn.CrossEntropyLoss(label_smoothing="a")(x, t.zeros(2).long()),
        "TypeError",
        "cross_entropy_loss(): argument 'label_smoothing' (position 6) must be float, not str",
    ),
    (
        lambda t, x, i: t.nn.BCELoss(t.ones(2))(t.sigmoid(x), t.ones(2, 4)),
        "RuntimeError",
        "Attempting to broadcast a dimension of length 2 at -1! Mismatching argument at index 1 "
        "had torch.Size([2]); but expected shape should be broadcastable to [2, 4]",
    ),
    (
        lambda t, x, i: t.nn.BCELoss(t.ones(3, 2, 4))(t.sigmoid(x), t.ones(2, 4)),
        "RuntimeError",
        "output with shape [2, 4] doesn't match the broadcast shape [3, 2, 4]",
    ),
    (
        lambda t, x, i: t.nn.BCELoss()(x.long(), t.ones(2, 4)),
        "RuntimeError",
        "Found dtype Float but expected Long",
    ),
    (
        lambda t, x, i: t.nn.BCEWithLogitsLoss(t.ones(3, 2, 4))(x, t.ones(2, 4)),
        "RuntimeError",
        "output with shape [2, 4] doesn't match the broadcast shape [3, 2, 4]",
    ),
    (
        lambda t, x, i: t.nn.CosineEmbeddingLoss()(x, x, t.ones(3)),
        "RuntimeError",
        "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0",
    ),
    (
        lambda t, x, i: t.nn.HingeEmbeddingLoss()(x.long(), x),
        "RuntimeError",
        "mean(): could not infer output dtype. Input dtype must be either a floating point or "
        "complex dtype. Got: Long",
    ),
    (
        lambda t, x, i: t.nn.GaussianNLLLoss()(x[0], x, t.ones(2, 4)),
        "ValueError",
        "var is of incorrect size",
    ),
    (
        lambda t, x, i: t.nn.GaussianNLLLoss()(x, x, None),
        "TypeError",
        "'<' not supported between instances of 'NoneType' and 'int'",
    ),
    (
        lambda t, x, i: t.nn.KLDivLoss(log_target=1)(x, x),
        "TypeError",
        "kl_div(): argument 'log_target' must be bool, not int",
    ),
    (
        lambda t, x, i: t.nn.MultiLabelSoftMarginLoss()(3.0, x),
        "TypeError",
        "log_sigmoid(): argument 'input' (position 1) must be Tensor, not float",
    ),
    (
        lambda t, x, i: t.nn.MultiLabelSoftMarginLoss()(x, np.ones((2, 4))),
        "TypeError",
        "unsupported operand type(s) for *: 'numpy.ndarray' and 'Tensor'",
    ),
    (
        lambda t, x, i: t.nn.CTCLoss()([1], x, x, x),
        "TypeError",
        "ctc_loss() received an invalid combination of arguments - got (list, Tensor, Tensor, "
        "Tensor, int, int, bool), but expected one of:",
    ),
    (
        lambda t, x, i: t.nn.CTCLoss()(i[..., 0], x.long()[None], (3, 3), (2, 2)),
        "RuntimeError",
        "Expected 1 to 2 dimensions, but got 3-dimensional tensor for argument #2 'targets' (while "
        "checking arguments for ctc_loss_allocate_outputs)",
    ),
]

# What is taken, and the dtype of what comes of it.
TAKEN: list[tuple[Case, str]] = [
    (lambda t, x, i: t.nn.HuberLoss()(x.half(), x), "float16"),
    (lambda t, x, i: t.nn.HuberLoss(reduction="none")(x, x.double()), "float32"),
    (lambda t, x, i: t.nn.BCEWithLogitsLoss()(x.double(), t.ones(2, 4)), "float32"),
    (lambda t, x, i: t.nn.BCEWithLogitsLoss()(x, t.ones(2, 4).half()), "float16"),
    (lambda t, x, i: t.nn.SoftMarginLoss()(x.half(), t.ones(2, 4)), "float16"),
    (lambda t, x, i: t.nn.SoftMarginLoss()(x, t.ones(2, 4).double()), "float32"),
    (lambda t, x, i: t.nn.HingeEmbeddingLoss()(x, t.ones(2, 4).double()), "float32"),
    (lambda t, x, i: t.nn.HingeEmbeddingLoss(reduction="sum")(x.long(), x), "int64"),
    (lambda t, x, i: t.nn.RMSNorm(4)(x.half()), "float16"),
    (lambda t, x, i: t.nn.PairwiseDistance()(x + 0j, x), "float32"),
    (lambda t, x, i: t.nn.CrossEntropyLoss(label_smoothing=-1)(x, t.zeros(2).long()), "float32"),
    (lambda t, x, i: t.nn.GaussianNLLLoss()(x, x[None], t.ones(2, 4)), "float32"),
    (lambda t, x, i: t.nn.AdaptiveMaxPool2d(0)(i), "float32"),
    (lambda t, x, i: t.nn.BCELoss(t.ones(4))(t.sigmoid(x), t.ones(2, 4)), "float32"),
    (lambda t, x, i: t.nn.MultiheadAttention(4, 2)(x, x[:0], x[:0])[0], "float32"),
    (lambda t, x, i: t.nn.TransformerEncoderLayer(4, 2, 8)(x[:0]), "float32"),
]
LIBRARIES = ["flambeau", pytest.param("torch", marks=pytest.mark.parity)]


def library(name: str) -> Any:
    found = pytest.importorskip(name)
    importlib.import_module(f"{name}.nn.functional")
    found.manual_seed(0)
    return found


@pytest.mark.parametrize("case", range(len(REFUSED)), ids=str)
@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_refused(name: str, case: int) -> None:
    torch = library(name)
    use, kind, words = REFUSED[case]
    x, images = torch.randn(2, 4), torch.randn(2, 4, 3, 3)
    with pytest.raises(Exception) as raised:
        use(torch, x, images)
    assert type(raised.value).__name__ == kind
    assert str(raised.value).splitlines()[0].replace("flambeau", "torch") == words


@pytest.mark.parametrize("case", range(len(TAKEN)), ids=str)
@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_taken(name: str, case: int) -> None:
    torch = library(name)
    use, dtype = TAKEN[case]
    result = use(torch, torch.randn(2, 4), torch.randn(2, 4, 3, 3))
    assert result.dtype == getattr(torch, dtype)
    result.sum().item()


MIXED: list[Callable[[Any, Any, Any], Any]] = [
    # (PyTorch has no derivative of this one.)
    lambda f, x, t: f.huber_loss(x.detach().half(), t) + 0 * x.sum(),
    lambda f, x, t: f.huber_loss(x.detach(), t.double(), "sum", 0.3) + 0 * x.sum(),
    lambda f, x, t: f.huber_loss(x.detach().half(), t, "none", weight=t.abs().half()) + 0 * x,
    lambda f, x, t: f.soft_margin_loss(x, t.double()),
    lambda f, x, t: f.hinge_embedding_loss(x, t.sign().double(), reduction="none"),
    lambda f, x, t: f.binary_cross_entropy_with_logits(x.double(), t.sigmoid()),
    lambda f, x, t: f.binary_cross_entropy_with_logits(x, t.sigmoid(), t[0].abs()),
    lambda f, x, t: f.binary_cross_entropy(x.sigmoid(), t.sigmoid(), t[0].abs()),
    lambda f, x, t: f.rms_norm(x.half(), (4,), t[0]),
    lambda f, x, t: f.pairwise_distance(x * (1 + 2j), t),
    lambda f, x, t: f.gaussian_nll_loss(x, t[None], t.abs()),
]


@pytest.mark.parity
@pytest.mark.parametrize("case", range(len(MIXED)), ids=str)
def test_numbers_of_mixed_dtypes(case: int) -> None:
    found = []
    numbers = np.random.default_rng(case).normal(size=(2, 2, 4)).astype(np.float32)
    for name in ("flambeau", "torch"):
        torch = library(name)
        x = torch.tensor(numbers[0], requires_grad=True)
        result = MIXED[case](torch.nn.functional, x, torch.tensor(numbers[1]))
        result.float().sum().backward()
        found.append((str(result.dtype)[-7:], result.detach().float().numpy(), x.grad.numpy()))
    have, want = found
    assert have[0] == want[0]
    half = want[0] == "float16"
    for number, wanted in zip(have[1:], want[1:]):
        np.testing.assert_allclose(number, wanted, rtol=2e-3 if half else 1e-5, atol=1e-6)
