"""`flambeau.summary` beside torchinfo: the same text for the same model, layer by layer."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import pytest

import flambeau

EVERY = "kernel_size input_size output_size num_params params_percent mult_adds trainable".split()


def models(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    Module: Any = nn.Module

    class Two(Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(5, 4), nn.Linear(4, 2)

        def forward(self, x, y):
            return self.c(torch.relu(self.a(x) + self.b(y)))

    class Shared(Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 4)
            self.again = self.one
            self.act = nn.ReLU()

        def forward(self, x):
            return self.again(self.act(self.one(self.act(self.one(x)))))

    class Lists(Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterList([nn.Parameter(torch.zeros(6, 6)) for _ in range(2)])
            self.own = nn.Parameter(torch.zeros(7))
            self.layers = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.ReLU())] * 2)
            self.layers.append(nn.Sequential(nn.Linear(6, 6), nn.Tanh()))
            self.heads = nn.ModuleDict({"a": nn.Linear(6, 2), "b": nn.Linear(6, 3)})

        def forward(self, x):
            for weight in self.weights:
                x = x @ weight
            for layer in self.layers:
                x = layer(x)
            return {name: head(x) for name, head in self.heads.items()}

    class Words(Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(20, 8)
            self.lstm = nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True)
            self.gru = nn.GRU(32, 4)
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            h, _ = self.lstm(self.table(x))
            h, _ = self.gru(h)
            return self.out(h[:, -1])

    class Residual(Module):
        def __init__(self, i, o, step):
            super().__init__()
            self.conv = nn.Conv2d(i, o, 3, step, 1, bias=False)
            self.norm = nn.BatchNorm2d(o)
            self.relu = nn.ReLU(inplace=True)
            self.down = nn.Sequential(nn.Conv2d(i, o, 1, step)) if i != o else None

        def forward(self, x):
            y = self.relu(self.norm(self.conv(x)))
            return self.relu(y + (x if self.down is None else self.down(x)))

    def cnn():
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, (3, 5)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        )

    def frozen():
        model = cnn()
        for p in [*model[0].parameters(), model[4].bias]:
            p.requires_grad_(False)
        return model

    def residual():
        blocks = [nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2)), Residual(16, 16, 1)]
        return nn.Sequential(nn.Conv2d(3, 8, 3), *blocks)

    def mlp():
        return nn.Sequential(
            nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)
        )

    def transformer():
        return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)

    two = {"x": torch.zeros(2, 3), "y": torch.zeros(2, 5)}
    names = ("var_names", "depth")
    long = [torch.long]
    return {
        "mlp": (mlp, {"input_size": (32, 3, 4)}),
        "batch_dim": (mlp, {"input_size": (3, 4), "batch_dim": 0}),
        "cnn": (cnn, {"input_size": (16, 1, 28, 28), "col_names": EVERY, "row_settings": names}),
        "verbose": (cnn, {"input_size": (4, 1, 12, 12), "col_names": EVERY, "verbose": 2}),
        "frozen": (frozen, {"input_size": (4, 1, 12, 12), "col_names": EVERY}),
        "residual": (residual, {"input_size": (2, 3, 16, 16), "col_names": EVERY, "col_width": 18}),
        "ascii": (
            residual,
            {"input_size": (2, 3, 16, 16), "depth": 2, "row_settings": ("ascii_only", *names)},
        ),
        "shallow": (residual, {"input_size": (2, 3, 16, 16), "depth": 1, "col_names": EVERY}),
        "recurrent": (
            Words,
            {"input_size": (4, 7), "dtypes": long, "col_names": EVERY, "verbose": 2},
        ),
        "transformer": (
            transformer,
            {"input_size": (2, 5, 16), "mode": "train", "depth": 4, "col_names": EVERY},
        ),
        "shared": (Shared, {"input_size": (2, 4), "col_names": EVERY, "row_settings": names}),
        "hidden": (Shared, {"input_size": (2, 4), "row_settings": ("hide_recursive_layers",)}),
        "lists": (Lists, {"input_size": (2, 6), "col_names": EVERY, "verbose": 2}),
        "two": (Two, {"input_size": [(2, 3), (2, 5)], "col_names": EVERY}),
        "keywords": (Two, {"input_data": two}),
        "no input": (residual, {}),
        "no input, lists": (Lists, {"depth": 1, "col_names": ("kernel_size", "trainable")}),
        "nothing": (nn.Identity, {"input_size": (2, 3)}),
    }


def printed(call: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = call()
    names = "params param_bytes mult_adds output_bytes".split()
    totals = [getattr(result, f"total_{name}") for name in names]
    # (torchinfo writes the name of its enumeration there, from Python 3.11 on)
    units = {"MEGABYTES": "M", "GIGABYTES": "G"}
    text = re.sub(r"Units\.(\w+)", lambda match: units[match[1]], out.getvalue())
    return f"{text}{result.trainable_params} {totals}"


@pytest.mark.parity
@pytest.mark.parametrize("name", list(models(flambeau)))
def test_the_text_is_torchinfos(name: str) -> None:
    torch = pytest.importorskip("torch")
    torchinfo = pytest.importorskip("torchinfo")
    make, options = models(torch)[name]
    theirs = printed(
        lambda: torchinfo.summary(
            make(), **options, **({} if "verbose" in options else {"verbose": 1})
        )
    )
    make, options = models(flambeau)[name]
    ours = printed(lambda: flambeau.summary(make(), **{"verbose": 1, **options}))
    assert ours == theirs


def test_nothing_is_left_behind_or_computed() -> None:
    model = flambeau.nn.Sequential(
        flambeau.nn.Linear(3, 4), flambeau.nn.BatchNorm1d(4), flambeau.nn.Dropout()
    )
    model[1].eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    stream = flambeau.get_rng_state()
    flambeau.summary(model, (5, 3), mode="train", verbose=0)
    assert model.training and not model[1].training and model[2].training
    assert all(flambeau.equal(v, state[k]) for k, v in model.state_dict().items())
    assert flambeau.equal(stream, flambeau.get_rng_state())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_operations_are_counted() -> None:
    nn = flambeau.nn
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = flambeau.randn(3, 5, 8)
    batch, length, width = x.shape
    seen = flambeau.summary(attention, input_data=[x, x, x], need_weights=False, verbose=0)
    projections, products = 4 * length * width * width, 2 * length * length * width
    assert seen.total_flops == 2 * batch * (projections + products)
    columns = ("flops", "memory")
    conv = flambeau.summary(
        nn.Conv2d(2, 6, 3, groups=2), (4, 2, 7, 7), col_names=columns, verbose=0
    )
    assert conv.total_flops == 2 * 4 * 6 * 5 * 5 * 9
    assert "Total FLOPs (M): 0.01" in str(conv) and "10,800" in str(conv)
    both = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))
    for _ in range(2):  # newly recorded, and recognised
        rows = flambeau.summary(both, (2, 3), verbose=0).summary_list
        assert [row.flops for row in rows] == [0, 48, 0, 80]
    lstm = flambeau.summary(nn.LSTM(3, 4), (7, 2, 3), verbose=0)
    assert lstm.total_flops == 2 * 7 * 2 * 4 * 4 * (3 + 4)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"input_size": (2, 3), "input_data": flambeau.zeros(2, 3)}, RuntimeError, "Only one"),
        ({"col_names": ["output_size"]}, ValueError, "must pass input_data or input_size"),
        ({"input_size": (2, -3)}, ValueError, "positive"),
        ({"input_size": 3}, TypeError, "tuple of sizes"),
        ({"input_size": (2, 4)}, RuntimeError, r"failed on this input .*layers up to: \[\]"),
        ({"input_size": (2, 3), "col_names": ["bogus"]}, ValueError, "'bogus' is not a valid"),
        ({"input_size": (2, 3), "row_settings": ["x"]}, ValueError, "'x' is not a valid"),
        ({"input_size": (2, 3), "verbose": 3}, ValueError, "Verbose must be"),
        ({"input_size": (2, 3), "col_width": 0}, ValueError, "Column width"),
        ({"input_size": [(2, 3)], "dtypes": []}, ValueError, "1 sizes"),
        ({"input_data": "text"}, TypeError, "input_data must be"),
        ({"cache_forward_pass": True}, NotImplementedError, "cache_forward_pass"),
    ],
)
def test_mistakes(options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        flambeau.summary(flambeau.nn.Linear(3, 4), **options)
