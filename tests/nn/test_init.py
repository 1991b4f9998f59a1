"""The initialisers and nn.utils against PyTorch's, from the same seeds."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

import flambeau
import flambeau.nn as ours

pytestmark = pytest.mark.parity
theirs = torch.nn

CASES: list[tuple[str, tuple[int, ...], tuple[Any, ...]]] = [
    ("uniform_", (3, 4), (-1.0, 2.0)),
    ("normal_", (30, 4), (1.0, 2.0)),
    ("trunc_normal_", (50, 4), (0.5, 2.0, -1.0, 1.0)),
    ("trunc_normal_", (50, 4), (0.0, 0.02)),
    ("trunc_normal_", (50, 4), (0.0, 1.0, 1.0, 1.4)),
    ("constant_", (3,), (2.5,)),
    ("ones_", (3,), ()),
    ("zeros_", (3,), ()),
    ("eye_", (3, 5), ()),
    ("dirac_", (6, 3, 3, 4), (2,)),
    ("dirac_", (4, 4, 3), ()),
    ("xavier_uniform_", (3, 4, 2), (1.5,)),
    ("xavier_normal_", (30, 4), ()),
    ("kaiming_uniform_", (3, 4, 5), (0.3, "fan_out", "leaky_relu")),
    ("kaiming_normal_", (30, 4), (0, "fan_in", "relu")),
    ("orthogonal_", (4, 6), (2.0,)),
    ("orthogonal_", (6, 2, 2), ()),
    ("sparse_", (9, 4), (0.3,)),
]

# Through a decomposition or an inverse error function, not digit by digit.
EXACT = {"orthogonal_": {"rtol": 1e-5, "atol": 1e-6}, "trunc_normal_": {"rtol": 1e-5, "atol": 1e-6}}


@pytest.mark.parametrize(("name", "shape", "args"), CASES)
@pytest.mark.parametrize("seeded", [False, True])
def test_initialiser(name: str, shape: Any, args: Any, seeded: bool) -> None:
    random = name not in ("constant_", "ones_", "zeros_", "eye_", "dirac_")
    results = []
    for library in LIBRARIES:
        library.manual_seed(3)
        extra = {"generator": library.Generator().manual_seed(1)} if seeded and random else {}
        tensor = library.nn.Parameter(library.full(shape, 9.0))
        assert getattr(library.nn.init, name)(tensor, *args, **extra) is tensor
        results.append(tensor)
    same(*results, **EXACT.get(name, {"rtol": 0, "atol": 0}))


@pytest.mark.parametrize(
    "name", ["xavier_uniform", "kaiming_normal", "normal", "constant", "orthogonal"]
)
def test_old_names_warn(name: str) -> None:
    value = (1.0,) if name == "constant" else ()
    flambeau.manual_seed(0)
    with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated"):
        mine = getattr(ours.init, name)(flambeau.empty(4, 3), *value)
    torch.manual_seed(0)
    same(mine, getattr(theirs.init, f"{name}_")(torch.empty(4, 3), *value))


@pytest.mark.parametrize("layer", ["Conv2d", "ConvTranspose2d", "Linear"])
@pytest.mark.parametrize("channels", [(0, 8), (8, 0)])
def test_layers_without_channels_draw_as_many_numbers(layer: str, channels: Any) -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(0)
        made = getattr(library.nn, layer)(*channels, *([1] if layer != "Linear" else []))
        results.append([made.bias, library.rand(3)])
    same(*results)


def test_gains_and_mistakes() -> None:
    for args in (("linear",), ("tanh",), ("relu",), ("leaky_relu", 0.3), ("selu",), ("sigmoid",)):
        assert ours.init.calculate_gain(*args) == theirs.init.calculate_gain(*args)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        ours.init.calculate_gain("none")
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        ours.init.xavier_uniform_(flambeau.ones(3))
    with pytest.raises(ValueError, match="not supported, please use one of"):
        ours.init.kaiming_normal_(flambeau.ones(3, 3), mode="fan")


@pytest.mark.parametrize("norm", [1.0, 2.0, float("inf")])
@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_clip_grad_norm(norm: float, limit: float) -> None:
    results = []
    for library in LIBRARIES:
        library.manual_seed(0)
        params = [library.zeros(n, requires_grad=True) for n in (3, 50, 7)]
        for p in params[:2]:
            p.grad = library.randn(p.shape)
        total = library.nn.utils.clip_grad_norm_(params, limit, norm)
        results.append([total, *(p.grad for p in params[:2])])
    same(*results)


def test_clip_grad_value_and_vectors() -> None:
    p = flambeau.zeros(4, requires_grad=True)
    p.grad = flambeau.tensor([-3.0, 0.5, 2.0, float("nan")])
    with pytest.raises(RuntimeError, match="non-finite"):
        ours.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    ours.utils.clip_grad_value_(p, 1.0)
    assert p.grad[:3].tolist() == [-1.0, 0.5, 1.0]
    layer = ours.Linear(3, 2)
    vector = ours.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    ours.utils.vector_to_parameters(flambeau.arange(8.0), layer.parameters())
    assert layer.weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert layer.bias.tolist() == [6.0, 7.0]
