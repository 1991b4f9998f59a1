"""Recurrent layers and cells, and packed sequences, beside PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, built, given, same, same_mistake

import flambeau

pytestmark = pytest.mark.parity

RTOL, ATOL = 1e-4, 2e-5


def flat(value: Any) -> list[Any]:
    """The floating tensors in nested tuples."""
    if isinstance(value, (tuple, list)):
        return [part for inner in value for part in flat(inner)]
    return [value] if hasattr(value, "requires_grad") and value.requires_grad else []


def compared(modules: list[Any], inputs: tuple[Any, ...], **named: Any) -> None:
    """Asserts equal results, and equal gradients of a random weighting of all of them."""
    results, gradients = [], []
    weights: list[Any] = []
    for library, module in zip(LIBRARIES, modules):
        mine = given(library, inputs)
        library.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = module(*mine, **given(library, named))
        parts = flat(result)
        weights = weights or [torch.randn(p.shape, dtype=torch.float64).numpy() for p in parts]
        total = sum((p * library.tensor(w)).sum() for p, w in zip(parts, weights, strict=True))
        total.backward()
        results.append(tuple(result) if isinstance(result, tuple) else result)
        wanted = [*flat(mine), *(p for p in module.parameters() if p.requires_grad)]
        gradients.append([p.grad for p in wanted])
    same(results[0], results[1], rtol=RTOL, atol=ATOL)
    same(gradients[0], gradients[1], rtol=RTOL, atol=5 * ATOL)


def randn(*shape: int, grad: bool = True) -> Any:
    return torch.randn(shape).requires_grad_(grad)


LAYERS: list[tuple[str, dict[str, Any]]] = [
    (kind, options)
    for kind in ("RNN", "LSTM", "GRU")
    for options in (
        {},
        {"batch_first": True, "bias": False},
        {"num_layers": 2, "bidirectional": True},
        {"num_layers": 2, "dropout": 0.4},
        {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.25},
    )
]
LAYERS += [
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
]


@pytest.mark.parametrize(("kind", "options"), LAYERS)
@pytest.mark.parametrize("form", ["batched", "state", "unbatched", "packed", "unsorted"])
def test_layer(kind: str, options: dict[str, Any], form: str) -> None:
    torch.manual_seed(1)
    layers = built(kind, 4, 3, **options)
    outer = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    size = options.get("proj_size") or 3
    state: Any = randn(outer, 5, size)
    if kind == "LSTM":
        state = (state, randn(outer, 5, 3))
    x = randn(5, 6, 4) if options.get("batch_first") else randn(6, 5, 4)
    if form == "batched":
        compared(layers, (x,))
    elif form == "state":
        compared(layers, (x, state))
    elif form == "unbatched":
        compared(layers, (randn(6, 4),))
        one = tuple(s[:, 0] for s in state) if kind == "LSTM" else state[:, 0]
        compared(layers, (randn(6, 4), one))
    else:
        lengths = [6, 5, 5, 2, 1] if form == "packed" else [2, 6, 1, 5, 5]
        results = []
        for library, layer in zip(LIBRARIES, layers):
            rnn = library.nn.utils.rnn
            mine, start = given(library, (x, state))
            library.manual_seed(5)
            packed = rnn.pack_padded_sequence(
                mine, lengths, options.get("batch_first", False), form == "packed"
            )
            output, after = layer(packed, start)
            padded = rnn.pad_packed_sequence(output, True, -1.0, 7)
            (padded[0] ** 2).sum().backward()
            grads = [p.grad for p in layer.parameters()]
            results.append([tuple(packed), tuple(output), after, padded, mine.grad, grads])
        same(results[0], results[1], rtol=RTOL, atol=5 * ATOL)


CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNNCell", {}),
    ("RNNCell", {"nonlinearity": "relu", "bias": False}),
    ("LSTMCell", {}),
    ("LSTMCell", {"bias": False}),
    ("GRUCell", {}),
    ("GRUCell", {"bias": False}),
]


@pytest.mark.parametrize(("kind", "options"), CELLS)
def test_cell(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(2)
    cells = built(kind, 4, 3, **options)
    state: Any = randn(5, 3)
    if kind == "LSTMCell":
        state = (state, randn(5, 3))
    compared(cells, (randn(5, 4),))
    compared(cells, (randn(5, 4), state))
    compared(cells, (randn(4),))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_second_derivative(kind: str) -> None:
    torch.manual_seed(4)
    layers = [layer.double() for layer in built(kind, 3, 2)]
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    results = []
    for library, layer in zip(LIBRARIES, layers):
        mine = given(library, x).requires_grad_()
        output, _ = layer(mine)
        first = library.autograd.grad((output**2).sum(), [mine], create_graph=True)[0]
        (first**2).sum().backward()
        results.append([first, mine.grad, *(p.grad for p in layer.parameters())])
    same(results[0], results[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_dtypes(dtype: str) -> None:
    torch.manual_seed(5)
    layers = [
        layer.to(getattr(library, dtype)) for library, layer in zip(LIBRARIES, built("GRU", 4, 3))
    ]
    x = torch.randn(6, 5, 4).to(getattr(torch, dtype))
    results = [layer(given(library, x))[0] for library, layer in zip(LIBRARIES, layers)]
    tolerance = 1e-10 if dtype == "float64" else 3e-2
    same(results[0], results[1], rtol=tolerance, atol=tolerance)


def test_weights_are_found_by_attribute() -> None:
    for library in LIBRARIES:
        layer = library.nn.LSTM(4, 3, 2, bidirectional=True)
        assert [len(part) for part in layer.all_weights] == [4] * 4
        layer.flatten_parameters()
        layer.weight_hh_l0 = library.nn.Parameter(library.zeros(12, 3))
        assert layer._flat_weights[1] is layer.weight_hh_l0
        library.nn.utils.weight_norm(layer, "weight_hh_l1")
        layer(library.randn(5, 2, 4))[0].sum().backward()
        assert float(layer.weight_hh_l1_g.grad.abs().sum()) > 0


def attempts(library: Any) -> list[Any]:
    nn, r = library.nn, library.randn
    rnn = nn.utils.rnn
    lstm, gru = nn.LSTM(4, 3), nn.GRU(4, 3)
    x = r(5, 3, 4)
    pack = rnn.pack_padded_sequence
    return [
        lambda: lstm(r(2)),
        lambda: lstm(r(5, 2, 4, 1)),
        lambda: lstm(r(5, 2, 3)),
        lambda: lstm(x, (r(1, 3, 4), r(1, 3, 3))),
        lambda: lstm(x, (r(1, 3, 3), r(1, 3))),
        lambda: lstm(r(5, 4), (r(1, 2, 3), r(1, 3))),
        lambda: lstm(x.double()),
        lambda: lstm(r(0, 2, 4)),
        lambda: gru(x, r(1, 3)),
        lambda: gru(r(5, 4), r(1, 1, 3)),
        lambda: gru(x, r(2, 3, 3)),
        lambda: nn.LSTM(4, 3, proj_size=3),
        lambda: nn.LSTM(4, 3, proj_size=-1),
        lambda: nn.GRU(4, 3, proj_size=2),
        lambda: nn.LSTM(4, 3, dropout=2),
        lambda: nn.LSTM(4, 0),
        lambda: nn.LSTM(4, 3, 0),
        lambda: nn.LSTM(4, 2.5),
        lambda: nn.RNN(4, 3, nonlinearity="x"),
        lambda: nn.RNNBase("X", 3, 4),
        lambda: nn.RNNCell(4, 3, nonlinearity="x")(x[0]),
        lambda: nn.LSTMCell(4, 3)(r(1, 2, 4)),
        lambda: nn.LSTMCell(4, 3)(r(2, 5)),
        lambda: nn.LSTMCell(4, 3)(r(2, 4), (r(3, 3), r(3, 3))),
        lambda: nn.LSTMCell(4, 3)(r(2, 4), (r(1, 2, 3), r(2, 3))),
        lambda: nn.GRUCell(4, 3)(r(2, 4), r(2, 4)),
        lambda: nn.GRUCell(4, 3)(r(2, 4), r(2, 1, 3)),
        lambda: pack(x, [3, 2]),
        lambda: pack(x, [2, 3, 1]),
        lambda: pack(x, [3, 2, 0]),
        lambda: pack(x, [2, 0, 3], enforce_sorted=False),
        lambda: pack(r(0, 3, 2), [1, 1, 1]),
        lambda: pack(x, library.tensor([[3, 2, 1]])),
        lambda: rnn.pad_sequence([]),
        lambda: rnn.pad_sequence(3),
        lambda: rnn.pad_sequence([x], padding_side="a"),
        lambda: rnn.PackedSequence(x),
        lambda: rnn.pad_packed_sequence(pack(x, [3, 2, 1]), total_length=2),
    ]


@pytest.mark.parametrize("place", range(len(attempts(flambeau))))
def test_mistakes(place: int) -> None:
    same_mistake(attempts(flambeau)[place], attempts(torch)[place])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_sequences(batch_first: bool, side: str) -> None:
    torch.manual_seed(6)
    parts = [randn(n, 2) for n in (3, 5, 1)]
    results = []
    for library in LIBRARIES:
        rnn = library.nn.utils.rnn
        mine = given(library, parts)
        padded = rnn.pad_sequence(mine, batch_first, 0.5, side)
        # A copy: PyTorch's transposes its argument in place.
        back = rnn.unpad_sequence(padded.clone(), library.tensor([3, 5, 1]), batch_first)
        packed = rnn.pack_sequence(mine, enforce_sorted=False)
        listed = rnn.unpack_sequence(packed.double())
        (padded**2).sum().backward()
        results.append([padded, back, tuple(packed), listed, [p.grad for p in mine]])
    same(results[0], results[1])
    assert isinstance(results[0][0], flambeau.Tensor)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("look", [False, True])
def test_outputs_may_be_overwritten(kind: str, steps: int, layers: int, look: bool) -> None:
    def outcome(module: Any) -> Any:
        module.manual_seed(0)
        layer = getattr(module.nn, kind)(4, 3, layers, batch_first=True)
        output, _ = layer(module.randn(4, steps, 4))
        last = output[:, -1]
        if look:
            last.sum().item()
        module.nn.functional.elu(last, inplace=True)
        last.sum().backward()
        return [p.grad.tolist() for p in layer.parameters()]

    for _ in range(2):
        for own, wanted in zip(outcome(flambeau), outcome(torch), strict=True):
            torch.testing.assert_close(torch.tensor(own), torch.tensor(wanted))
