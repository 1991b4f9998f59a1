"""`flambeau.plot`: what the pictures say; mistakes; what is left as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt

import flambeau as torch
from flambeau import nn, plot
from flambeau.plot import canvas

ROOT = Path(__file__).resolve().parents[2]
F = nn.functional


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture
def draw():
    return np.random.default_rng()


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )


def texts(ax: Any) -> list[str]:
    return [t.get_text() for t in ax.texts if t.get_text()]


# ---- training ------------------------------------------------------------------------------------


KINDS = [list, np.array, torch.tensor, lambda values: [torch.tensor(v) for v in values]]


@pytest.mark.parametrize("kind", KINDS)
def test_loss_curves_hold_the_losses(kind: Any, draw: Any) -> None:
    train, validation = draw.random(40), draw.random(4)
    ax = plot.loss_curves(kind(train.tolist()), kind(validation.tolist()))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["training"].get_ydata(), train, rtol=1e-6)
    np.testing.assert_allclose(lines["validation"].get_ydata(), validation, rtol=1e-6)
    assert lines["validation"].get_xdata().tolist() == [10, 20, 30, 40]
    gap = validation[-1] - train[-1]
    assert any(f"lowest: {validation.min():.4g}; gap at the end: {gap:.3g}" == x for x in lines)


def test_loss_curves_smooth_and_compare_and_mark(draw: Any) -> None:
    values = draw.random(30)
    ax = plot.loss_curves({"a": values, "b": [1.0, np.nan]}, smoothing=0.8, log=True)
    assert ax.get_yscale() == "log"
    mean, weight, wanted = 0.0, 0.0, []
    for value in values:
        mean, weight = 0.8 * mean + 0.2 * value, 0.8 * weight + 0.2
        wanted.append(mean / weight)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), wanted)
    assert "not finite from 2" in [t.get_text() for t in ax.get_legend().get_texts()]


def everything(model: Any, optimizer: Any) -> list[Any]:
    state = [(k, v.tolist()) for k, v in model.state_dict().items()]
    grads = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    return [
        state,
        grads,
        [m.training for m in model.modules()],
        str(optimizer.state_dict()),
        torch.get_rng_state().tolist(),
    ]


def test_the_range_test_leaves_all_as_it_was() -> None:
    model = network()
    model[1].eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.123)
    data = torch.utils.data.TensorDataset(torch.randn(30, 1, 8, 8), torch.arange(30) % 3)
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    F.cross_entropy(model(data[:4][0]), data[:4][1]).backward()
    optimizer.step()
    before = everything(model, optimizer)
    found = plot.range_test(model, nn.CrossEntropyLoss(), loader, optimizer, steps=30, end=1.0)
    assert everything(model, optimizer) == before
    assert 5 < len(found.rates) <= 30 and found.rates[0] == pytest.approx(1e-6)
    assert len(found.rates) == len(found.losses) == len(found.raw)
    ax = plot.lr_find(found)
    assert ax.get_xscale() == "log"
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.losses)


def test_the_range_test_finds_the_edge_of_a_parabola() -> None:
    """Gradient descent on x * x diverges from a rate of 1 on; it falls fastest below that."""
    x = nn.Parameter(torch.tensor([3.0]))
    model = nn.Module()
    model.x = x
    model.forward = lambda inputs: model.x * inputs
    batches = [(torch.ones(1), torch.zeros(1))] * 3
    found = plot.range_test(model, nn.MSELoss(), batches, steps=80, end=100.0, smoothing=0.5)
    assert found.rates[-1] < 60 and found.suggestion is not None
    assert 0.003 < found.suggestion < 1
    assert f"{found.suggestion:.2g}" in plot.lr_find(found).get_title()
    assert x.item() == 3.0 and x.grad is None
    flat = plot.range_test(model, lambda y, t: y.sum() * 0 + 1, batches, steps=8)
    assert flat.suggestion is None and "does not fall" in plot.lr_find(flat).get_title()


# ---- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix_counts(normalize: Any, draw: Any) -> None:
    true, scores = draw.integers(0, 4, 60), draw.normal(size=(60, 4))
    answers = scores.argmax(axis=1)
    wanted = np.zeros((4, 4))
    for a, b in zip(true, answers):
        wanted[a, b] += 1
    ax = plot.confusion_matrix(true, torch.from_numpy(scores), "abcd", normalize=normalize)
    assert ax.get_title() == f"{np.trace(wanted) / 60:.1%} of 60 right"
    if normalize:
        axis = {"true": 1, "pred": 0, "all": None}[normalize]
        wanted = wanted / np.maximum(wanted.sum(axis=axis, keepdims=True), 1)
        shown = [[f"{100 * v:.0f}" if v else "" for v in row] for row in wanted]
    else:
        shown = [[f"{v:.0f}" if v else "" for v in row] for row in wanted]
    cells = {tuple(int(v) for v in t.get_position()): t.get_text() for t in ax.texts}
    assert [[cells.get((x, y), "") for x in range(4)] for y in range(4)] == shown
    assert [t.get_text() for t in ax.get_yticklabels()] == list("abcd")


def test_worst_errors_are_those_with_the_largest_loss(draw: Any) -> None:
    images, true = draw.random((30, 3, 6, 6)), draw.integers(0, 5, 30)
    scores = draw.normal(size=(30, 5)) * 3
    loss = F.cross_entropy(torch.tensor(scores), torch.tensor(true), reduction="none").numpy()
    wrong = [n for n in np.argsort(-loss) if scores[n].argmax() != true[n]][:4]
    ax = plot.worst_errors(images, true, scores, count=4)
    assert [t.split(",")[0] for t in texts(ax)] == [
        f"{true[n]} > {scores[n].argmax()}" for n in wrong
    ]
    shown = np.asarray(ax.images[0].get_array())
    corner = next(t for t in ax.texts if t.get_text()).get_position()
    left, top = round(corner[0] - 2.5), round(corner[1] + 1)
    wanted = np.moveaxis(images[wrong[0]], 0, -1)
    np.testing.assert_allclose(shown[top : top + 6, left : left + 6, :3], wanted, atol=1e-6)
    right = plot.worst_errors(images[:2], [0, 1], np.eye(5)[:2])
    assert texts(right) == ["all 2 right"]


def test_decision_boundary_shows_the_models_answers(draw: Any) -> None:
    points = draw.normal(size=(40, 2))
    labels = (points[:, 0] > 0).astype(int)
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.9))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[4.0, 0.0]]))
        model[0].bias.zero_()
    ax = plot.decision_boundary(model, points, torch.from_numpy(labels), resolution=41)
    assert model.training
    boundary = np.concatenate([p.vertices for p in ax.collections[1].get_paths()])
    np.testing.assert_allclose(boundary[:, 0], 0, atol=0.02)
    four = nn.Linear(2, 4)
    ax = plot.decision_boundary(four, points, draw.integers(0, 4, 40), "wxyz", resolution=30)
    picture = np.asarray(ax.images[0].get_array())
    lines = [np.linspace(low, high, 30) for low, high in (ax.get_xlim(), ax.get_ylim())]
    grid = np.stack(np.meshgrid(*lines), -1)
    with torch.no_grad():
        best = four(torch.tensor(grid.reshape(-1, 2), dtype=torch.float32)).argmax(1).numpy()
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in canvas.LIGHT])[best].reshape(30, 30, 3)
    assert (np.abs(picture[..., :3] - rgb) < 1e-6).all(axis=-1).mean() > 0.98


# ---- functions, layers ---------------------------------------------------------------------------


def test_activations_and_their_derivatives() -> None:
    left, right = plot.activations(["relu", nn.Tanh(), torch.sin], limits=(-2, 2))
    x = np.asarray(left.lines[0].get_xdata())
    np.testing.assert_allclose(left.lines[1].get_ydata(), np.tanh(x), atol=1e-6)
    np.testing.assert_allclose(right.lines[1].get_ydata(), 1 - np.tanh(x) ** 2, atol=1e-6)
    np.testing.assert_allclose(right.lines[2].get_ydata(), np.cos(x), atol=1e-6)
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["relu", "Tanh", "sin"]


@pytest.mark.parametrize("shape", [(5, 1, 3, 3), (4, 3, 5, 5), (6, 2, 3, 3)])
def test_filters_are_all_there(shape: Any, draw: Any) -> None:
    weight = draw.normal(size=shape)
    ax = plot.filters(torch.tensor(weight))
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    height, width = shape[2:]
    first = shown[:height, :width]
    if shape[1] == 3:
        one = np.moveaxis(weight[0], 0, -1)
        np.testing.assert_allclose(first[..., :3], (one - one.min()) / np.ptp(one), atol=1e-6)
    else:
        np.testing.assert_allclose(first, weight[0, 0], atol=1e-6)
        assert np.isfinite(shown).sum() == weight.size
    tiles = plot.filters(nn.Linear(12, 4), shape=(3, 4))
    assert np.isfinite(np.asarray(tiles.images[0].get_array(), float)).sum() >= 48


def test_feature_maps_are_the_layers_output(draw: Any) -> None:
    model, image = network(), torch.randn(1, 8, 8)
    with torch.no_grad():
        wanted = model.eval()[0](image.unsqueeze(0))[0].numpy()
    model.train()
    for layer in ("0", model[0]):
        ax = plot.feature_maps(model, image, layer, columns=4)
        shown = np.asarray(ax.images[0].get_array())
        np.testing.assert_allclose(shown[:, 7:13], wanted[1], atol=1e-6)
    assert all(m.training for m in model.modules()) and not model[0]._forward_hooks


def test_gradient_flow_tells_vanishing_exploding_and_missing() -> None:
    values = {"fine": 1e-3, "tiny": 1e-9, "huge": 1e4, "zero": 0.0, "broken": float("nan")}
    pairs = []
    for name, value in values.items():
        p = nn.Parameter(torch.ones(4))
        p.grad = torch.full((4,), value)
        pairs.append((name, p))
    pairs.append(("unused", nn.Parameter(torch.ones(2))))
    pairs.append(("frozen", nn.Parameter(torch.ones(2), requires_grad=False)))
    ax = plot.gradient_flow(pairs)
    assert [t.get_text() for t in ax.get_yticklabels()] == [*values, "unused"]
    assert texts(ax) == ["vanishing", "exploding", "zero", "not finite", "none"]
    assert sorted(bar.get_width() for bar in ax.patches) == pytest.approx([1e-9, 1e-3, 1e4])


def test_weight_histograms_have_the_spreads(draw: Any) -> None:
    model = network()
    ax = plot.weight_histograms(model)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.weight", "4.weight"]
    wanted = [f"{p.detach().numpy().std():.2g}" for n, p in model.named_parameters() if p.ndim > 1]
    assert texts(ax)[:2] == wanted
    ax = plot.weight_histograms({"a": draw.normal(size=99), "b": draw.normal(size=99) * 1e-5})
    assert "its row's largest" in ax.get_xlabel()
    ax = plot.weight_histograms([("a", torch.tensor([1.0, float("nan"), 2.0]))])
    assert texts(ax)[0] == "0.5, 1 not finite"


# ---- the loss surface ----------------------------------------------------------------------------


def test_loss_surface_is_the_loss_along_the_directions(draw: Any) -> None:
    model = nn.Linear(2, 1, bias=False)
    x, y = torch.randn(16, 2), torch.randn(16, 1)
    own = model.weight.detach().numpy().copy()
    ax = plot.loss_surface(
        *(model, nn.MSELoss(), (x, y)), directions=np.eye(2), points=5, span=2.0, kind="3d"
    )
    np.testing.assert_array_equal(model.weight.detach().numpy(), own)
    assert ax.name == "3d"
    seen: list[float] = []
    mse = nn.MSELoss()

    def loss(output: Any, target: Any) -> Any:
        value = mse(output, target)
        seen.append(value.item())
        return value

    plot.loss_surface(model, loss, [(x, y)], directions=np.eye(2), points=5, span=2.0)
    a, b = np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5))
    weights = np.stack([own[0, 0] + a.ravel(), own[0, 1] + b.ravel()])
    wanted = ((x.numpy() @ weights - y.numpy()) ** 2).mean(axis=0)
    np.testing.assert_allclose(seen, wanted, rtol=1e-4)


def test_directions_are_as_long_as_the_filters_and_pca_holds_the_path(draw: Any) -> None:
    from flambeau.plot import surface

    model = network()
    direction = surface._filterwise(model, draw)
    start = 0
    for p in model.parameters():
        part = direction[start : start + p.numel()].reshape(p.shape[0], -1)
        start += p.numel()
        own = p.detach().numpy().reshape(len(p), -1) if p.ndim > 1 else np.zeros((len(p), 1))
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), np.linalg.norm(own, axis=1))
    model = nn.Linear(3, 2)
    middle, basis = plot.snapshot(model), draw.normal(size=(2, 8))
    places = np.array([[3.0, 1.0], [2.0, -1.0], [1.0, 0.5], [0.0, 0.0]])
    path = middle + places @ basis
    plane = surface._plane(model, "pca", path, middle, 0)
    found = surface._project(path - middle, plane) @ plane + middle
    np.testing.assert_allclose(found, path, atol=1e-9)
    data = (torch.randn(8, 3), torch.randn(8, 2))
    for kind in ("contour", "3d"):
        ax = plot.loss_surface(
            *(model, nn.MSELoss(), data), directions="pca", trajectory=path, points=4, kind=kind
        )
        assert ax.lines
    ax = plot.loss_surface(model, nn.MSELoss(), data, trajectory=list(path), points=4)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["start", "end"]


# ---- all of them ---------------------------------------------------------------------------------

CASES: dict[str, Any] = {
    "loss_curves": lambda ax: plot.loss_curves([3, 2, 1], [3, 2.5], ax=ax),
    "confusion_matrix": lambda ax: plot.confusion_matrix([0, 1, 1], [0, 1, 0], ax=ax),
    "worst_errors": lambda ax: plot.worst_errors(
        np.ones((2, 4, 4)), [0, 1], [[0, 1], [0, 1]], ax=ax
    ),
    "decision_boundary": lambda ax: plot.decision_boundary(
        nn.Linear(2, 2), [[0, 1], [1, 0]], [0, 1], resolution=5, ax=ax
    ),
    "filters": lambda ax: plot.filters(nn.Conv2d(1, 2, 3), ax=ax),
    "feature_maps": lambda ax: plot.feature_maps(network(), np.ones((1, 8, 8)), "0", ax=ax),
    "weight_histograms": lambda ax: plot.weight_histograms(network(), ax=ax),
    "loss_surface": lambda ax: plot.loss_surface(
        nn.Linear(2, 1), nn.MSELoss(), (torch.ones(2, 2), torch.ones(2, 1)), points=3, ax=ax
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_given_axes_are_drawn_into_in_light_and_dark(name: str, tmp_path: Path) -> None:
    for style in ("default", "dark_background"):
        with plt.style.context(style):
            figure, ax = plt.subplots()
            assert CASES[name](ax) is ax
            assert canvas.is_dark(ax) == (style == "dark_background")
            figure.savefig(tmp_path / f"{style}.png", dpi=30)
            with pytest.raises(TypeError, match="must be matplotlib axes"):
                CASES[name]("axes")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: plot.loss_curves("abc"), TypeError, "must be numbers"),
        (lambda: plot.loss_curves([]), ValueError, "no losses"),
        (lambda: plot.loss_curves([[1, 2]]), ValueError, "1 dimensions"),
        (lambda: plot.loss_curves([1], smoothing=1), ValueError, "smoothing"),
        (lambda: plot.loss_curves({"a": [1], "b": [2]}, [1]), ValueError, "one run"),
        (lambda: plot.confusion_matrix([0, 1], [0]), ValueError, "truth has 2, predicted has 1"),
        (lambda: plot.confusion_matrix([0, 1], [0, 0.5]), ValueError, "numbers of classes"),
        (lambda: plot.confusion_matrix([0, 2], [0, 1], ["a"]), ValueError, "3 classes"),
        (lambda: plot.confusion_matrix([0], [0], normalize="x"), ValueError, "'true', 'pred'"),
        (
            lambda: plot.worst_errors(np.ones((2, 5, 4, 4)), [0, 1], np.eye(2)),
            ValueError,
            "channels",
        ),
        (lambda: plot.worst_errors(np.ones((1, 4, 4)), [3], [[0, 1]]), ValueError, "0 to 1"),
        (lambda: plot.decision_boundary(len, [[0, 1, 2]], [0]), ValueError, "two coordinates"),
        (lambda: plot.activations(["bogus"]), ValueError, "no 'bogus'"),
        (lambda: plot.activations(limits=(1, 0)), ValueError, "limits"),
        (lambda: plot.filters(nn.ReLU()), TypeError, "no weight"),
        (lambda: plot.filters(nn.Linear(3, 2)), ValueError, "out, in, H, W"),
        (lambda: plot.feature_maps(network(), np.ones((1, 8, 8)), "9"), ValueError, "it has 0, 1"),
        (lambda: plot.feature_maps(network(), np.ones((1, 8, 8)), "4"), ValueError, "no maps"),
        (lambda: plot.gradient_flow(network()), ValueError, "call backward"),
        (lambda: plot.weight_histograms(nn.ReLU()), ValueError, "no parameters"),
        (lambda: plot.weight_histograms(3), TypeError, "a model, a mapping"),
        (lambda: plot.lr_find(network()), TypeError, "a loss and a loader"),
        (
            lambda: plot.range_test(network(), nn.MSELoss(), [], steps=9),
            ValueError,
            "no batches",
        ),
        (
            lambda: plot.range_test(network(), nn.MSELoss(), [torch.ones(3)]),
            TypeError,
            r"\(x, y\)",
        ),
        (
            lambda: plot.loss_surface(nn.Linear(1, 1), F.mse_loss, torch.ones(1)),
            TypeError,
            "a batch",
        ),
        (
            lambda: plot.loss_surface(
                nn.Linear(1, 1), F.mse_loss, (torch.ones(1), torch.ones(1)), directions="pca"
            ),
            ValueError,
            "trajectory",
        ),
    ],
)
def test_mistakes(call: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_without_matplotlib_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None; import flambeau.plot as plot\n"
        "try: plot.loss_curves([1, 2])\n"
        "except ImportError as error: print(error)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pip install 'flambeau[plot]'" in answer.stdout
