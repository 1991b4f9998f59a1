"""Metrics where neither torchmetrics nor PyTorch is installed: values worked out by hand."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import flambeau as fb
from flambeau import metrics as m
from flambeau.metrics import classification as c
from flambeau.metrics import functional as f
from flambeau.metrics import regression as r
from flambeau.record import recorder

ROOT = Path(__file__).resolve().parents[2]
SCORES = fb.tensor([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]])
TARGET = fb.tensor([0, 2, 2, 1])  # said: 0, 1, 2, 0
PREDS, TRUE = fb.tensor([0.1, 0.4, 0.35, 0.8]), fb.tensor([0, 0, 1, 1])
X, Y = fb.tensor([2.5, 0.0, 2.0, 8.0]), fb.tensor([3.0, -0.5, 2.0, 7.0])


def quiet(kind: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind()


VALUES: list[tuple[Any, Any, Any]] = [
    (m.Accuracy(task="multiclass", num_classes=3), (SCORES, TARGET), 0.5),
    (c.MulticlassAccuracy(3, average=None), (SCORES, TARGET), [1.0, 0.0, 0.5]),
    (c.MulticlassAccuracy(3, top_k=2, average="micro"), (SCORES, TARGET), 1.0),
    (c.MulticlassPrecision(3, average=None), (SCORES, TARGET), [0.5, 0.0, 1.0]),
    (c.MulticlassRecall(3), (SCORES, TARGET), 0.5),
    (c.MulticlassF1Score(3, average=None), (SCORES, TARGET), [2 / 3, 0.0, 2 / 3]),
    (c.MulticlassSpecificity(3, average=None), (SCORES, TARGET), [2 / 3, 2 / 3, 1.0]),
    (c.MulticlassConfusionMatrix(3), (SCORES, TARGET), [[1, 0, 0], [1, 0, 0], [0, 1, 1]]),
    (c.BinaryAUROC(), (PREDS, TRUE), 0.75),
    (c.BinaryAveragePrecision(), (PREDS, TRUE), 0.5 + 0.5 * 2 / 3),
    (c.BinaryStatScores(), (PREDS, TRUE), [1, 0, 2, 1, 2]),
    (c.BinaryF1Score(), (PREDS, TRUE), 2 / 3),
    (c.BinaryCohenKappa(), (PREDS, TRUE), 0.5),
    (c.BinaryJaccardIndex(), (PREDS, TRUE), 0.5),
    (c.BinaryMatthewsCorrCoef(), (PREDS, TRUE), 1 / 3**0.5),
    (r.MeanSquaredError(), (X, Y), 0.375),
    (r.MeanSquaredError(squared=False), (X, Y), 0.375**0.5),
    (r.MeanAbsoluteError(), (X, Y), 0.5),
    (r.R2Score(), (X, Y), 0.9486081370),
    (r.ExplainedVariance(), (X, Y), 0.9571734475),
    (quiet(r.SpearmanCorrCoef), (X, Y), 1.0),
    (r.KendallRankCorrCoef(), (X, Y), 1.0),
    (r.CosineSimilarity("mean"), (SCORES, SCORES * 2), 1.0),
    (m.Perplexity(), (fb.zeros(1, 4, 5), fb.tensor([[0, 1, 2, 3]])), 5.0),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("metric, batch, value", VALUES)
def test_values(metric: Any, batch: Any, value: Any) -> None:
    """The value of a batch, and after the batch came in two parts."""
    expected = pytest.approx(fb.tensor(value).flatten().tolist(), rel=1e-4)
    shown = metric(*batch)
    assert shown.shape == fb.tensor(value).shape
    assert shown.flatten().tolist() == expected
    metric.reset()
    for part in (slice(0, 2), slice(2, None)) if len(batch[0]) > 1 else (slice(None),):
        metric.update(*(x[part] for x in batch))
    assert metric.compute().flatten().tolist() == expected


def pending(x: Any) -> Any:
    """The same values, not computed yet."""
    return x + 0


@pytest.mark.parametrize("batch", [(PREDS, TRUE), (SCORES, TARGET)], ids=["binary", "classes"])
def test_an_update_waits_for_nothing(batch: Any) -> None:
    """What a model gives is not computed before somebody wants the value."""
    binary = batch[0] is PREDS
    kind: dict[str, Any] = {"task": "binary"} if binary else {"task": "multiclass"}
    kind.update({} if binary else {"num_classes": 3})
    metrics: list[Any] = [
        m.Accuracy(**kind),
        m.F1Score(**kind, average="macro"),
        m.ConfusionMatrix(**kind),
        m.AUROC(**kind),
        m.AUROC(**kind, thresholds=5),
        m.CalibrationError(**kind),
        m.HingeLoss(**kind),
        m.MetricCollection([m.Precision(**kind), m.Recall(**kind), m.ROC(**kind)]),
    ]
    for metric in metrics:
        fb.zeros(1).tolist()
        scores, target = pending(batch[0]), pending(batch[1])
        before = recorder.LOCAL.rec
        metric.update(scores, target)
        assert recorder.LOCAL.rec is before and not before.taken, metric
        metric.compute()


def test_values_that_nobody_could_see_are_checked_later() -> None:
    twos = fb.tensor([0, 0, 2, 2])
    for made, wrong in (
        (m.Accuracy(task="binary"), (PREDS, twos)),
        (m.Accuracy(task="multilabel", num_labels=3), (SCORES, fb.full((4, 3), 2))),
        (m.ConfusionMatrix(task="binary"), (twos, fb.tensor([0, 0, 1, 1]))),
    ):
        fb.zeros(1).tolist()  # what was recorded before has run
        with pytest.raises(RuntimeError, match="Detected the following values"):
            made.update(*wrong)
        made.reset()
        made.update(*(pending(x) for x in wrong))
        with pytest.raises(RuntimeError, match="Detected values"):
            made.compute()
        made.reset()
        made.update(*(pending(x) for x in (wrong[0] * 0, wrong[1] * 0)))
        made.compute()


def test_labels_that_nobody_could_see_are_refused_where_they_are_counted() -> None:
    metric = c.MulticlassAccuracy(3)
    metric.update(SCORES, pending(TARGET) + 2)
    with pytest.raises(RuntimeError, match="out of bounds"):
        metric.compute().item()


def test_nan_that_nobody_could_see() -> None:
    nan = fb.tensor([1.0, float("nan")])
    mean = m.MeanMetric()
    mean.update(pending(nan))
    with pytest.warns(UserWarning, match="Encountered `nan` values in tensor"):
        assert mean.compute().item() == 1.0
    strict = m.SumMetric(nan_strategy="error")
    strict.update(pending(nan))
    with pytest.raises(RuntimeError, match="Encountered `nan` values in tensor"):
        strict.compute()
    several = m.CatMetric(nan_strategy="ignore")
    several.update(pending(nan))
    several.update(2.0)
    assert several.compute().tolist() == [1.0, 2.0]


def test_a_failed_batch_leaves_the_states() -> None:
    metric = c.MulticlassAccuracy(3, average="micro")
    metric.update(SCORES, TARGET)
    with pytest.raises(ValueError, match="should be equal to number of classes"):
        metric(SCORES[:, :2], TARGET)
    assert metric.compute().item() == 0.5


def test_a_training_loop_with_metrics() -> None:
    fb.manual_seed(0)
    model = fb.nn.Linear(4, 3)
    optimizer = fb.optim.SGD(model.parameters(), lr=0.5)
    x, y = fb.randn(90, 4), fb.randint(0, 3, (90,))
    x = x + 3 * fb.nn.functional.one_hot(y, 4)
    accuracy, loss_mean = m.Accuracy(task="multiclass", num_classes=3), m.MeanMetric()
    by_hand, count = 0, 0
    for _ in range(3):
        for i in range(0, 90, 30):
            out = model(x[i : i + 30])
            loss = fb.nn.functional.cross_entropy(out, y[i : i + 30])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            batch = accuracy(out, y[i : i + 30])
            loss_mean.update(loss)
            right = int((out.argmax(1) == y[i : i + 30]).sum())
            assert batch.item() == pytest.approx(right / 30)
            by_hand, count = by_hand + right, count + 30
    assert accuracy.compute().item() == pytest.approx(by_hand / count) and by_hand / count > 0.6
    assert 0 < loss_mean.compute().item() < 1.5


def test_an_evaluation_is_one_program_a_batch() -> None:
    model, metric = fb.nn.Linear(3, 3), m.Accuracy(task="multiclass", num_classes=3)
    with fb.no_grad():
        for _ in range(4):
            metric.update(model(SCORES), TARGET)
            assert recorder.LOCAL.rec.state.ended
    assert metric.compute().item() == f.accuracy(
        model(SCORES), TARGET, task="multiclass", num_classes=3
    )


def test_a_metric_between_forward_and_backward_leaves_the_step_whole() -> None:
    model, metric = fb.nn.Linear(3, 3), m.Accuracy(task="multiclass", num_classes=3)
    out = model(SCORES)
    loss = fb.nn.functional.cross_entropy(out, TARGET)
    before = recorder.LOCAL.rec
    with fb.no_grad():
        metric.update(out.argmax(1), TARGET)
        value = metric(out, TARGET)
    assert recorder.LOCAL.rec is before and not before.state.ended
    loss.backward()
    assert recorder.LOCAL.rec is before and not before.taken
    assert model.weight.grad.shape == (3, 3) and 0 <= value.item() <= 1


def test_import_paths_of_programs() -> None:
    program = "\n".join(
        [
            "from flambeau import compat; compat.install()",
            "from torchmetrics.classification.accuracy import MulticlassAccuracy as a",
            "from torchmetrics.classification import MulticlassAccuracy as b",
            "from torchmetrics.functional.classification.f_beta import binary_f1_score as d",
            "from torchmetrics.functional.classification import binary_f1_score as e",
            "from torchmetrics.regression.mse import MeanSquaredError as g",
            "from torchmetrics.text.perplexity import Perplexity",
            "from torchmetrics.wrappers.tracker import MetricTracker",
            "from torchmetrics.utilities.data import dim_zero_cat, to_onehot, select_topk",
            "from torchmetrics.utilities.exceptions import TorchMetricsUserError",
            "from torchmetrics.metric import CompositionalMetric, Metric",
            "import torchmetrics",
            "print(a is b, d is e, torchmetrics.MeanSquaredError is g, torchmetrics.__version__)",
            "try:",
            "    from torchmetrics.detection import MeanAveragePrecision",
            "except ModuleNotFoundError as error:",
            "    print(str(error).split('.')[0])",
        ]
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.stdout.splitlines() == [
        "True True True 1.9.0",
        "flambeau has no torchmetrics",
    ], answer.stderr
