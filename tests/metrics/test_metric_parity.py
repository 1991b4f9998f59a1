"""States, aggregation, collections and wrappers are those of torchmetrics."""

from __future__ import annotations

import copy
import operator
import pickle
import warnings
from typing import Any

import pytest

from tests.beside_torch import given, same
from tests.metrics.reference import PAIRS, outcome, place, stream, theirs, torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
NAN = float("nan")


def values(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


PLAIN = [(x,) for x in values((4,), (2, 3), ())]
HOLES = [(torch.tensor([1.0, NAN, 3.0]),), (torch.tensor([2.0]),), (torch.tensor([NAN]),)]
NUMBERS = [(1.5,), (2,), ([1.0, 4.0],), (torch.tensor([1, 2]),), (True,)]


@pytest.mark.parametrize("batches", [PLAIN, HOLES, NUMBERS], ids=["plain", "holes", "numbers"])
@pytest.mark.parametrize("strategy", ["warn", "ignore", "error", "disable", 0.5, "what"])
@pytest.mark.parametrize("name", ["Sum", "Mean", "Max", "Min", "Cat"])
def test_aggregation(name: str, strategy: Any, batches: Any) -> None:
    if strategy == "what":
        assert_same_error(f"{name}Metric", nan_strategy=strategy)
        return
    stream(f"{name}Metric", {"nan_strategy": strategy}, batches)


def assert_same_error(name: str, *args: Any, **kwargs: Any) -> None:
    mine, other = (
        outcome(lambda: place(m, name)(*given(lib, args), **given(lib, kwargs)))[0]
        for m, lib in PAIRS
    )
    assert isinstance(other, str) and mine == other


@pytest.mark.parametrize(
    "batches",
    [
        [(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.5])), (3.0, 2.0), (2.0,)],
        [(torch.ones(2, 3), 0.25), (torch.arange(4.0), torch.tensor(2.0))],
        [(torch.tensor([1.0, 2.0]), torch.tensor([NAN, 1.5]))],
    ],
)
def test_weighted_mean(batches: Any) -> None:
    stream("MeanMetric", {}, batches)


@pytest.mark.parametrize("name", ["RunningMean", "RunningSum"])
def test_running(name: str) -> None:
    stream(name, {"window": 3}, [(float(i),) for i in range(7)])


def pair(name: str, *args: Any, **kwargs: Any) -> list[Any]:
    return [place(m, name)(*given(lib, args), **given(lib, kwargs)) for m, lib in PAIRS]


def summed(module: Any, library: Any, full: bool | None) -> Any:
    """A metric as users write it."""

    class Summed(module.Metric):  # type: ignore[name-defined]
        full_state_update = full
        largest: Any
        least: Any

        def __init__(self) -> None:
            super().__init__()
            self.add_state("total", library.tensor(0.0), "sum", persistent=True)
            self.add_state("largest", library.tensor(-1e9), dist_reduce_fx="max")
            self.add_state("least", library.tensor(1e9), dist_reduce_fx="min")
            self.add_state("mean", library.tensor(0.0), dist_reduce_fx="mean")
            self.add_state("all", [], dist_reduce_fx="cat", persistent=True)

        def update(self, x: Any) -> None:
            self.total += x.sum()
            self.largest = library.maximum(self.largest, x.max())
            self.least = library.minimum(self.least, x.min())
            self.mean = x.mean()
            self.all.append(x)

        def compute(self) -> Any:
            return {"total": self.total, "all": library.cat(self.all), "ends": [self.largest]}

    return Summed()


@pytest.mark.parametrize("full", [True, False, None])
def test_a_metric_as_users_write_it(full: bool | None) -> None:
    results = []
    for module, library in PAIRS:
        metric = summed(module, library, full)
        seen = [metric(given(library, x).reshape(-1)) for (x,) in PLAIN[:2]]
        state = dict(metric.state_dict())
        total = metric.compute()
        assert metric.compute() is total  # kept until the next update
        again = copy.deepcopy(metric)
        again.update(library.ones(2))
        fresh = summed(module, library, full)
        fresh.load_state_dict(state)
        fresh._update_count = 2
        results.append(
            [seen, state, total, again.compute(), metric.metric_state, fresh.compute()["total"]]
            + [metric.set_dtype(library.float64).metric_state, metric.double().dtype]
            + [metric.update_count, metric.update_called, str(metric.device)]
        )
    same(results[0], results[1], rtol=1e-6)


def test_double_of_a_model_leaves_its_metrics() -> None:
    for module, library in PAIRS:
        model = library.nn.Sequential(library.nn.Linear(2, 2), module.MeanMetric())
        model.double()
        assert model[1].mean_value.dtype == library.float32
        model.to(library.float64)
        assert model[1].mean_value.dtype == library.float64


def test_gradients_of_a_batch() -> None:
    results = []
    for module, library in PAIRS:
        metric = module.MeanSquaredError() if False else module.SumMetric()
        x = library.tensor([1.0, 2.0]).requires_grad_()
        value = metric(x * x)
        value.backward()
        metric.update(x)
        results.append([x.grad, metric.compute(), metric.compute().requires_grad])
    same(results[0], results[1])


OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq", "ne", "lt", "ge"]


@pytest.mark.parametrize("name", OPERATORS)
def test_arithmetic(name: str) -> None:
    op = getattr(operator, name)
    results = []
    for module, library in PAIRS:
        mean, total = module.MeanMetric(), module.SumMetric()
        made = [op(mean, total), op(mean, 2.0), op(mean, library.tensor([2.0, 3.0]))]
        if name in ("add", "sub", "mul", "truediv"):
            made.append(op(2.0, mean))
        forwards = [m(library.tensor([1.0, 2.0, 4.5])) for m in made]
        results.append([forwards, [m.compute() for m in made], repr(made[0]), repr(made[1])])
        for m in made:
            m.reset()
        assert not mean.update_called and not total.update_called
    same(results[0], results[1])


def test_unary_operators_and_indexing() -> None:
    results = []
    for module, library in PAIRS:
        metric = module.CatMetric()
        made = [abs(metric), -metric, +metric, metric[1]]
        metric.update(library.tensor([1.0, -2.0, 3.0]))
        results.append([m.compute() for m in made])
    same(results[0], results[1])


def collection(module: Any, library: Any, **options: Any) -> Any:
    metrics = {"mean": module.MeanMetric(), "sum": module.SumMetric(), "top": module.MaxMetric()}
    return module.MetricCollection(metrics, **options)


@pytest.mark.parametrize("options", [{}, {"prefix": "a_"}, {"postfix": "_b", "prefix": "a_"}])
def test_collection(options: Any) -> None:
    results = []
    for module, library in PAIRS:
        many = collection(module, library, **options)
        steps = [many(given(library, x)) for (x,) in PLAIN]
        total = many.compute()
        many.reset()
        many.update(library.arange(3.0))
        clone = many.clone(prefix="c_")
        results.append(
            [steps, total, many.compute(), clone.compute(), repr(many), list(many.keys())]
            + [list(many.keys(keep_base=True)), len(many), many.compute_groups]
            + [many[next(iter(many))].compute(), "mean" in many, list(many)]
        )
    same(results[0], results[1])


def test_collections_of_collections_and_mistakes() -> None:
    results = []
    for module, library in PAIRS:
        inner = module.MetricCollection([module.MeanMetric(), module.SumMetric()], prefix="in_")
        outer = module.MetricCollection([inner, module.MaxMetric()], prefix="out_")
        named = module.MetricCollection({"a": inner.clone(), "b": module.MinMetric()})
        outer.update(library.arange(3.0))
        named.update(library.arange(3.0))
        wrong = [
            lambda m=module: m.MetricCollection([m.MeanMetric(), m.MeanMetric()]),
            lambda m=module: m.MetricCollection([m.MeanMetric()], prefix=1),
            lambda m=module: m.MetricCollection(3),
            lambda m=module: m.MetricCollection({"a": m.MeanMetric()}, compute_groups=[["b"]]),
            lambda m=module: m.MetricCollection({"a": 3}),
        ]
        said = [outcome(call)[0].split("[")[0].split("dict_keys")[0][:60] for call in wrong]
        results.append([outer.compute(), named.compute(), said])
    same(results[0], results[1])


def test_mistakes() -> None:
    results = []
    for module, library in PAIRS:
        metric = module.MeanMetric()
        calls = [
            lambda m=metric: m.add_state("a", [1], "sum"),
            lambda m=metric, t=library: m.add_state("a", t.zeros(1), "xyz"),
            lambda m=metric: setattr(m, "higher_is_better", True),
            lambda m=module: m.MeanMetric(foo=1, bar=2),
            lambda m=module: m.MeanMetric(compute_on_cpu=1),
            lambda m=module: m.MeanMetric(sync_on_compute=1),
            lambda m=module: m.MeanMetric(dist_sync_fn=1),
            lambda m=metric: m.unsync(),
            lambda m=metric: m.merge_state(3),
            lambda m=module: m.MaxMetric().merge_state(m.MaxMetric()),
            lambda m=metric: m.compute(),
            lambda m=metric: iter(m),
        ]
        results.append([outcome(call) for call in calls])
    for mine, other in zip(*results):
        same(mine[1], other[1])
        if isinstance(other[0], str):
            assert mine[0].split(" object")[0] == other[0].split(" object")[0]


def test_merged_states() -> None:
    results = []
    for module, library in PAIRS:
        first, second = module.SumMetric(), module.SumMetric()
        first.update(2.0)
        second.update(library.tensor([3.0, 4.0]))
        first.merge_state(second)
        results.append([first.compute(), first.update_count])
    same(results[0], results[1])


def test_processes_that_are_asked() -> None:
    """With `dist_sync_fn` the states of several processes become one."""
    results = []
    for module, _library in PAIRS:
        options = {
            "dist_sync_fn": lambda x, group=None: [x, x + 1],
            "distributed_available_fn": lambda: True,
        }
        found = []
        for name in ("SumMetric", "MaxMetric", "CatMetric"):
            metric = getattr(module, name)(**options)
            found.append(metric(2.0))
            metric.update(5.0)
            found += [metric.compute(), list(metric.metric_state.values())]
        results.append(found)
    same(results[0], results[1])


def test_pickles() -> None:
    for module, library in PAIRS:
        metric = module.MeanMetric()
        metric.update(library.arange(4.0))
        again = pickle.loads(pickle.dumps(metric))
        again.update(5.5)
        assert again.compute().item() == pytest.approx(2.3) and metric.compute().item() == 1.5


def test_tracker() -> None:
    results = []
    for module, library in PAIRS:
        found: list[Any] = []
        for base in (module.MaxMetric(), collection(module, library)):
            tracker = module.MetricTracker(base, maximize=True)
            found.append(outcome(tracker.compute)[0])
            for step in range(3):
                tracker.increment()
                tracker.update(library.tensor([1.0, (2.0 - step) ** 2]))
                tracker(library.tensor([0.5, 0.25]))
            found += [tracker.compute(), tracker.compute_all(), tracker.n_steps]
            found += [tracker.best_metric(), tracker.best_metric(return_step=True)]
            tracker.reset_all()
        found.append(outcome(lambda m=module: m.MetricTracker(m.MaxMetric()))[0])
        found.append(outcome(lambda m=module: m.MetricTracker(3))[0])
        found.append(outcome(lambda m=module: m.MetricTracker(m.MaxMetric(), maximize=3))[0])
        results.append(found)
    same(results[0], results[1])


def test_min_max() -> None:
    results = []
    for module, _library in PAIRS:
        metric = module.MinMaxMetric(module.MeanMetric())
        found: list[Any] = []
        for value in (2.0, 8.0, -1.0):
            metric.update(value)
            found.append(metric.compute())
        found.append(metric(3.0))
        results.append(found)
    same(results[0], results[1])


def test_classes_by_name() -> None:
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(9, 3, generator=generator), torch.randint(0, 3, (9,), generator=generator))
        for _ in range(2)
    ]
    results = []
    for module, library in PAIRS:
        found: list[Any] = []
        for labels in (None, ["a", "b", "c"]):
            inner = module.Accuracy(task="multiclass", num_classes=3, average=None)
            metric = module.ClasswiseWrapper(inner, labels=labels)
            found += [metric(*given(library, batch)) for batch in batches] + [metric.compute()]
        found.append(outcome(lambda m=module: m.ClasswiseWrapper(3))[0])
        found.append(outcome(lambda m=module: m.ClasswiseWrapper(m.MeanMetric(), labels=3))[0])
        results.append(found)
    same(results[0], results[1])


def test_several_outputs() -> None:
    x, y = torch.rand(2, 8, 2).unbind()
    x[3, 1] = NAN
    results = []
    for module, library in PAIRS:
        metric = module.MultioutputWrapper(module.MeanSquaredError(), num_outputs=2)
        found = [metric(*given(library, (x, y))), metric.compute()]
        metric.reset()
        metric.update(*given(library, (x[:3], y[:3])))
        results.append([*found, metric.compute()])
    same(results[0], results[1])


def test_several_tasks() -> None:
    preds = {"a": torch.rand(6), "b": torch.rand(6)}
    target = {"a": torch.rand(6), "b": torch.randint(0, 2, (6,))}
    results = []
    for module, library in PAIRS:
        metrics = module.MetricCollection(
            [module.Accuracy(task="binary"), module.F1Score("binary")]
        )
        metric = module.wrappers.MultitaskWrapper(
            {"a": module.MeanSquaredError(), "b": metrics}, prefix="t_"
        )
        batch = given(library, (preds, target))
        found = [metric(*batch), metric.compute(), list(metric.keys())]
        found += [list(metric.keys(flatten=False)), metric.clone(postfix="_u").compute()]
        metric.reset()
        metric.update(*batch)
        found.append(metric.compute())
        wrong = outcome(lambda m=metric: m.update({}, {}))[0]
        found += [wrong[:90], outcome(lambda m=module: m.wrappers.MultitaskWrapper(3))[0]]
        results.append(found)
    same(results[0], results[1])


def test_bootstrap() -> None:
    """The samples are those of PyTorch's generator."""
    results = []
    for module, library in PAIRS:
        found = []
        for strategy in ("multinomial", "poisson"):
            library.manual_seed(3)
            metric = module.BootStrapper(
                module.MeanMetric(), num_bootstraps=4, raw=True, sampling_strategy=strategy
            )
            metric.update(library.arange(20.0))
            found.append(metric.compute())
        results.append(found)
    same(results[0], results[1], rtol=1e-5)


def test_no_warning_is_new() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = PAIRS[0][0].MeanMetric()
        metric.update(1.0)
        metric.compute()
    assert theirs.__version__.split(".")[0] == PAIRS[0][0].__version__.split(".")[0]


GROUPED = ["Accuracy", "Precision", "Recall", "ConfusionMatrix", "AUROC", "AveragePrecision"]


def test_groups_of_classification_metrics() -> None:
    """Values of batches, of all, before and after resets: with states that are shared."""
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(9, 4, generator=generator), torch.randint(0, 4, (9,), generator=generator))
        for _ in range(5)
    ]
    options = {"task": "multiclass", "num_classes": 4}
    results = []
    for module, library in PAIRS:
        metrics = {name: getattr(module, name)(**options) for name in GROUPED}
        metrics["macro"] = module.Accuracy(**options, average="macro")
        metrics["f1"] = module.F1Score(**options, average="macro")
        many = module.MetricCollection(metrics, prefix="val_")
        found: list[Any] = []
        given_batches = [given(library, batch) for batch in batches]
        found.append(many(*given_batches[0]))
        many.update(*given_batches[1])
        found += [many.compute(), many["val_f1"].compute(), many(*given_batches[2])]
        found += [many.compute(), many.clone().compute()]
        many.reset()
        many.update(*given_batches[3])
        many["val_f1"].update(*given_batches[4])  # that one alone
        found.append(many["val_f1"].compute())
        found.append(sorted(sorted(group) for group in many.compute_groups.values()))
        results.append(found)
    for mine, other in zip(*results):
        same(mine, other, rtol=1e-5)


def test_shared_states_are_updated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from flambeau.metrics import Accuracy, F1Score, MetricCollection
    from flambeau.metrics.classification import MulticlassAccuracy

    options = {"task": "multiclass", "num_classes": 3, "average": "macro"}
    many = MetricCollection([Accuracy(**options), F1Score(**options)])
    scores, target = (given(PAIRS[0][1], x) for x in (torch.randn(5, 3), torch.arange(5) % 3))
    seen: list[Any] = []
    original = MulticlassAccuracy._update_state

    def counted(self: Any, *more: Any) -> None:
        seen.append(self)
        original(self, *more)

    monkeypatch.setattr(MulticlassAccuracy, "_update_state", counted)
    for call in (many, many, many.update):
        call(scores, target)
    assert len(seen) == 3 and many.compute_groups == {
        0: ["MulticlassAccuracy", "MulticlassF1Score"]
    }
    assert many["MulticlassF1Score"].update_count == 3
