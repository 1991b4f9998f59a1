"""Every layer against PyTorch's: signature, printed form, parameters drawn, and result."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, identical, same

import flambeau
import flambeau.nn as ours
from flambeau.nn import modules

pytestmark = pytest.mark.parity
theirs = torch.nn

NAMES = [name for name in modules.__all__ if name != "Module"]


@pytest.mark.parametrize("name", NAMES)
def test_constructor_has_pytorchs_signature(name: str) -> None:
    mine = inspect.signature(getattr(ours, name).__init__).parameters
    other = inspect.signature(getattr(theirs, name).__init__).parameters
    # A function that is a default is each library's own.
    assert [(p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in mine.values()] == [
        (p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in other.values()
    ]


# (class, constructor arguments, shapes of the inputs)
LAYERS: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    ("Identity", {}, [(3, 4)]),
    ("Linear", {"in_features": 5, "out_features": 3}, [(4, 5)]),
    ("Linear", {"in_features": 5, "out_features": 3, "bias": False}, [(2, 4, 5)]),
    ("Bilinear", {"in1_features": 3, "in2_features": 4, "out_features": 2}, [(5, 3), (5, 4)]),
    ("Flatten", {}, [(2, 3, 4)]),
    ("Flatten", {"start_dim": 0, "end_dim": 1}, [(2, 3, 4)]),
    ("Unflatten", {"dim": 1, "unflattened_size": (2, 3)}, [(4, 6)]),
    ("Embedding", {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": -1}, []),
    ("Embedding", {"num_embeddings": 7, "embedding_dim": 3, "max_norm": 1.5}, []),
    ("GLU", {}, [(3, 4)]),
    ("GELU", {"approximate": "tanh"}, [(3, 4)]),
    ("Softmax2d", {}, [(2, 3, 4, 4)]),
    ("Threshold", {"threshold": 0.1, "value": 2.0}, [(3, 4)]),
    ("PReLU", {"num_parameters": 3}, [(2, 3, 4)]),
    ("LayerNorm", {"normalized_shape": (3, 4)}, [(2, 3, 4)]),
    ("LayerNorm", {"normalized_shape": 4, "bias": False}, [(2, 3, 4)]),
    ("LayerNorm", {"normalized_shape": 4, "elementwise_affine": False}, [(2, 3, 4)]),
    ("GroupNorm", {"num_groups": 2, "num_channels": 4}, [(2, 4, 5)]),
    ("RMSNorm", {"normalized_shape": 4}, [(2, 3, 4)]),
    ("LocalResponseNorm", {"size": 3}, [(2, 5, 4, 4)]),
    ("PairwiseDistance", {"p": 1.0}, [(3, 4), (3, 4)]),
    ("CosineSimilarity", {}, [(3, 4), (3, 4)]),
    ("PixelShuffle", {"upscale_factor": 2}, [(1, 8, 3, 3)]),
    ("PixelUnshuffle", {"downscale_factor": 2}, [(1, 2, 4, 6)]),
    ("ChannelShuffle", {"groups": 2}, [(1, 4, 3, 3)]),
    ("Upsample", {"scale_factor": 2, "mode": "nearest"}, [(1, 2, 3, 3)]),
    ("Upsample", {"size": (5, 4), "mode": "bilinear", "align_corners": True}, [(1, 2, 3, 3)]),
    ("UpsamplingNearest2d", {"scale_factor": 2}, [(1, 2, 3, 3)]),
    ("UpsamplingBilinear2d", {"size": 6}, [(1, 2, 3, 3)]),
    ("LPPool1d", {"norm_type": 2, "kernel_size": 3}, [(2, 3, 9)]),
    ("LPPool2d", {"norm_type": 2, "kernel_size": 2}, [(2, 3, 6, 6)]),
    ("Hardtanh", {"min_val": -0.3, "max_val": 0.4}, [(3, 4)]),
    ("Softmax", {"dim": 1}, [(3, 4)]),
    ("Softmin", {"dim": 0}, [(3, 4)]),
    ("LogSoftmax", {"dim": -1}, [(3, 4)]),
]
for _name in (
    "ReLU RReLU ReLU6 Sigmoid Hardsigmoid Tanh SiLU Mish Hardswish ELU CELU SELU GELU Hardshrink "
    "LeakyReLU LogSigmoid Softplus Softshrink Softsign Tanhshrink PReLU Hardtanh Dropout "
    "AlphaDropout"
).split():
    LAYERS.append((_name, {}, [(3, 4)]))
for _name in "ReLU ReLU6 SiLU Mish ELU CELU SELU LeakyReLU RReLU Hardtanh Dropout".split():
    LAYERS.append((_name, {"inplace": True}, [(3, 4)]))
for _dims in (1, 2, 3):
    _space = (7, 6, 5)[:_dims]
    _image = (2, 4, *_space)
    LAYERS += [
        (f"Conv{_dims}d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3}, [_image]),
        (
            f"Conv{_dims}d",
            {
                "in_channels": 4,
                "out_channels": 6,
                "kernel_size": 3,
                "padding": "same",
                "dilation": 2,
                "groups": 2,
                "bias": False,
            },
            [_image],
        ),
        (
            f"ConvTranspose{_dims}d",
            {
                "in_channels": 4,
                "out_channels": 6,
                "kernel_size": 3,
                "stride": 2,
                "padding": 1,
                "output_padding": 1,
                "groups": 2,
            },
            [_image],
        ),
        (f"MaxPool{_dims}d", {"kernel_size": 3, "stride": 2, "padding": 1}, [_image]),
        (f"MaxPool{_dims}d", {"kernel_size": 2, "ceil_mode": True}, [_image]),
        (f"AvgPool{_dims}d", {"kernel_size": 3, "padding": 1}, [_image]),
        (f"AvgPool{_dims}d", {"kernel_size": 2, "stride": 1}, [_image]),
        (f"AdaptiveAvgPool{_dims}d", {"output_size": 3}, [_image]),
        (f"AdaptiveMaxPool{_dims}d", {"output_size": 2}, [_image]),
        (f"BatchNorm{_dims}d", {"num_features": 4}, [_image]),
        (f"BatchNorm{_dims}d", {"num_features": 4, "momentum": None}, [_image]),
        (f"BatchNorm{_dims}d", {"num_features": 4, "affine": False}, [_image]),
        (f"BatchNorm{_dims}d", {"num_features": 4, "track_running_stats": False}, [_image]),
        (f"InstanceNorm{_dims}d", {"num_features": 4}, [_image]),
        (f"InstanceNorm{_dims}d", {"num_features": 4, "affine": True}, [(4, *_space)]),
        (f"InstanceNorm{_dims}d", {"num_features": 4, "track_running_stats": True}, [_image]),
        (f"Dropout{_dims}d", {"p": 0.3}, [_image]),
        (f"ConstantPad{_dims}d", {"padding": 1, "value": 2.5}, [_image]),
    ]
    for _mode in ("reflect", "replicate", "circular"):
        LAYERS.append(
            (
                f"Conv{_dims}d",
                {
                    "in_channels": 4,
                    "out_channels": 2,
                    "kernel_size": 3,
                    "padding": 2,
                    "stride": 2,
                    "padding_mode": _mode,
                },
                [_image],
            )
        )
    for _kind in ("Circular", "Reflection", "Replication", "Zero"):
        LAYERS.append((f"{_kind}Pad{_dims}d", {"padding": 1}, [_image]))
        _each = tuple(range(1, 2 * _dims + 1)) if _dims < 3 else (1, 2, 1, 2, 1, 2)
        LAYERS.append((f"{_kind}Pad{_dims}d", {"padding": _each}, [_image]))


def _pair(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    made = []
    for library in LIBRARIES:
        library.manual_seed(11)
        made.append(getattr(library.nn, name)(**options))
    return made[0], made[1]


def _inputs(shapes: Any, generator: Any) -> list[Any]:
    if shapes:
        return [torch.randn(shape, generator=generator) for shape in shapes]
    return [torch.randint(0, 7, (3, 2), generator=generator)]


@pytest.mark.parametrize(("name", "options", "shapes"), LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_layer_is_pytorchs(name: str, options: Any, shapes: Any, training: bool) -> None:
    mine, other = _pair(name, options)
    assert repr(mine) == repr(other)
    mine.train(training)
    other.train(training)
    _same_state(mine, other, exact=True)
    generator = torch.Generator().manual_seed(5)
    for _ in range(2):
        inputs = _inputs(shapes, generator)
        flambeau.manual_seed(3)
        result = mine(*[given(flambeau, t) for t in inputs])
        torch.manual_seed(3)
        same(result, other(*[t.clone() for t in inputs]))
    _same_state(mine, other)


@pytest.mark.parametrize(("name", "options", "shapes"), LAYERS)
def test_gradients_are_pytorchs(name: str, options: Any, shapes: Any) -> None:
    """Of a random cotangent, for the inputs and the parameters."""
    mine, other = _pair(name, options)
    inplace = options.get("inplace")
    generator = torch.Generator().manual_seed(6)
    inputs = _inputs(shapes, generator)
    results = []
    cotangent = None
    for library, layer in zip(LIBRARIES[::-1], (other, mine)):
        library.manual_seed(3)
        leaves = given(library, inputs)
        if shapes:
            leaves = [leaf.requires_grad_() for leaf in leaves]
        out = layer(*[leaf * 1 if inplace else leaf for leaf in leaves])
        if not out.requires_grad:
            return
        if cotangent is None:
            cotangent = torch.randn(out.shape, generator=generator)
        out.backward(given(library, cotangent))
        results.append([*[t.grad for t in leaves], *[p.grad for p in layer.parameters()]])
    same(results[1], results[0], rtol=1e-4, atol=2e-5)


def _same_state(mine: Any, other: Any, *, exact: bool = False) -> None:
    first, second = mine.state_dict(), other.state_dict()
    assert first._metadata == second._metadata
    (identical if exact else same)(first, second)
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in other.named_parameters()]


LOSSES: list[tuple[str, dict[str, Any], str]] = [
    ("L1Loss", {}, "real"),
    ("MSELoss", {"reduction": "sum"}, "real"),
    ("SmoothL1Loss", {"beta": 0.3}, "real"),
    ("HuberLoss", {"delta": 0.7}, "real"),
    ("SoftMarginLoss", {}, "sign"),
    ("HingeEmbeddingLoss", {"margin": 0.4}, "sign"),
    ("PoissonNLLLoss", {"full": True}, "count"),
    ("KLDivLoss", {"reduction": "batchmean", "log_target": True}, "real"),
    ("BCELoss", {"weight": torch.rand(4)}, "probability"),
    ("BCEWithLogitsLoss", {"pos_weight": torch.rand(4)}, "unit"),
    ("MultiLabelSoftMarginLoss", {"weight": torch.rand(4)}, "unit"),
    ("MultiLabelMarginLoss", {}, "labels"),
    ("NLLLoss", {"weight": torch.rand(4), "ignore_index": 2}, "class"),
    ("CrossEntropyLoss", {"weight": torch.rand(4), "label_smoothing": 0.1}, "class"),
    ("CrossEntropyLoss", {"reduction": "none"}, "unit"),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": torch.rand(4)}, "class"),
    ("GaussianNLLLoss", {"full": True}, "variance"),
    ("CosineEmbeddingLoss", {"margin": 0.1}, "pair"),
    ("MarginRankingLoss", {"margin": 0.1}, "ranking"),
    ("TripletMarginLoss", {"swap": True, "p": 1.5}, "triplet"),
    ("TripletMarginWithDistanceLoss", {"margin": 0.5}, "triplet"),
    ("CTCLoss", {"zero_infinity": True}, "ctc"),
]


def _loss_inputs(kind: str) -> list[Any]:
    x = torch.randn(6, 4)
    y = torch.randn(6, 4)
    tables: dict[str, list[Any]] = {
        "real": [x, y],
        "sign": [x, y.sign()],
        "count": [x, torch.randint(0, 9, (6, 4)).float()],
        "probability": [x.sigmoid(), y.sigmoid()],
        "unit": [x, y.softmax(1)],
        "labels": [x, torch.tensor([[1, 2, -1, 0]]).repeat(6, 1)],
        "class": [x.log_softmax(1), torch.randint(0, 4, (6,))],
        "variance": [x, y, torch.rand(6, 4) + 0.1],
        "pair": [x, y, torch.randn(6).sign()],
        "ranking": [x, y, torch.randn(6, 4).sign()],
        "triplet": [x, y, torch.randn(6, 4)],
    }
    if kind == "ctc":
        lengths = torch.tensor([8, 7]), torch.tensor([3, 2])
        return [torch.randn(8, 2, 4).log_softmax(2), torch.randint(1, 4, (2, 3)), *lengths]
    return tables[kind]


@pytest.mark.parametrize(("name", "options", "kind"), LOSSES)
def test_loss_is_pytorchs(name: str, options: Any, kind: str) -> None:
    inputs = _loss_inputs(kind)
    results = []
    for library in LIBRARIES:
        loss = getattr(library.nn, name)(**given(library, options))
        mine = given(library, inputs)
        mine[0].requires_grad_()
        value = loss(*mine)
        value.sum().backward()
        results.append([list(loss.state_dict()), value.detach(), mine[0].grad])
    same(*results)


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
def test_legacy_reduction_arguments(size_average: Any, reduce: Any) -> None:
    with warnings.catch_warnings(record=True) as first:
        warnings.simplefilter("always")
        mine = ours.MSELoss(size_average, reduce)
    with warnings.catch_warnings(record=True) as second:
        warnings.simplefilter("always")
        other = theirs.MSELoss(size_average, reduce)
    assert mine.reduction == other.reduction
    assert [str(w.message) for w in first] == [str(w.message) for w in second]
    assert all(w.filename == __file__ for w in first)


MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("Conv2d", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "groups": 2}),
    ("Conv2d", {"in_channels": 4, "out_channels": 3, "kernel_size": 3, "groups": 2}),
    ("Conv2d", {"in_channels": 4, "out_channels": 3, "kernel_size": 3, "groups": 0}),
    (
        "Conv2d",
        {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": "same", "stride": 2},
    ),
    (
        "ConvTranspose2d",
        {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding_mode": "circular"},
    ),
    ("Dropout", {"p": 1.5}),
    ("GroupNorm", {"num_groups": 3, "num_channels": 4}),
    ("Bilinear", {"in1_features": 0, "in2_features": 4, "out_features": 2}),
    ("Embedding", {"num_embeddings": 4, "embedding_dim": 2, "padding_idx": 4}),
    ("Hardtanh", {"min_val": 2.0, "max_val": 1.0}),
    ("HuberLoss", {"delta": "x"}),
    ("MultiMarginLoss", {"p": 3}),
    ("TripletMarginLoss", {"margin": 0.0}),
    ("Unflatten", {"dim": 1, "unflattened_size": "ab"}),
]


@pytest.mark.parametrize(("name", "options"), MISTAKES)
def test_mistake_raises_what_pytorch_raises(name: str, options: Any) -> None:
    with pytest.raises(Exception) as expected:
        getattr(theirs, name)(**options)
    with pytest.raises(expected.type) as raised:
        getattr(ours, name)(**options)
    assert str(raised.value) == str(expected.value)


def test_conv_transpose_output_size() -> None:
    options = {"in_channels": 3, "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1}
    mine, other = _pair("ConvTranspose2d", options)
    x = torch.randn(2, 3, 5, 5)
    own = given(flambeau, x)
    for size in ([10, 10], [2, 2, 9, 10]):
        same(mine(own, output_size=size), other(x, output_size=size))
    with pytest.raises(ValueError, match="valid sizes range from"):
        mine(own, output_size=[12, 12])


def test_max_pool_indices() -> None:
    x = torch.randn(2, 3, 6, 6)
    result = ours.MaxPool2d(2, return_indices=True)(given(flambeau, x))
    same(result, theirs.MaxPool2d(2, return_indices=True)(x))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_that_is_refused_is_counted(momentum: float | None, affine: bool) -> None:
    """Found by a random training: PyTorch counts a batch before it looks at it."""
    counts = []
    for library in LIBRARIES:
        layer = library.nn.BatchNorm1d(3, momentum=momentum, affine=affine)
        for rows in (2, 1, 1, 4):
            x = library.ones(rows, 3)
            if rows > 1:
                layer(x)
                continue
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                layer(x)
        counts.append(int(layer.num_batches_tracked))
    assert counts == [4, 4]


def test_gradients_with_respect_to_nothing_are_refused() -> None:
    for library in LIBRARIES:
        x = library.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty"):
            library.autograd.grad(x.sum(), [])
        with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be"):
            x.sum().backward(inputs=[])
