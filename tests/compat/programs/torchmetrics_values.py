import torch, warnings

warnings.simplefilter("ignore")
import torchmetrics, torchmetrics.classification as C, torchmetrics.regression as R, torchmetrics.functional as F
from torchmetrics import *

print(torchmetrics.__version__, torchmetrics.__name__)
torch.manual_seed(0)
p = torch.rand(40, 4).softmax(-1)
t = torch.randint(0, 4, (40,))
bp = torch.rand(40)
bt = torch.randint(0, 2, (40,))
ml = torch.rand(20, 3)
mt = torch.randint(0, 2, (20, 3))
kw = dict(task="multiclass", num_classes=4)
for name in "Accuracy Precision Recall F1Score Specificity ConfusionMatrix AUROC AveragePrecision CohenKappa MatthewsCorrCoef HingeLoss JaccardIndex StatScores CalibrationError ExactMatch HammingDistance ROC PrecisionRecallCurve".split():
    for k, a, b in (
        (kw, p, t),
        (dict(task="binary"), bp, bt),
        (dict(task="multilabel", num_labels=3), ml, mt),
    ):
        for extra in ({}, {"average": "macro"}, {"average": None}, {"thresholds": 5}, {"top_k": 2}):
            try:
                m = getattr(torchmetrics, name)(**k, **extra)
            except (ValueError, TypeError) as e:
                continue
            try:
                m.update(a[:10], b[:10])
                m.update(a[10:], b[10:])
                print(name, k["task"], extra, m.compute())
            except Exception as e:
                print(name, k["task"], extra, type(e).__name__, str(e)[:60])
x = torch.rand(30)
y = x + 0.1 * torch.randn(30)
for name in "MeanSquaredError MeanAbsoluteError R2Score PearsonCorrCoef SpearmanCorrCoef KendallRankCorrCoef ExplainedVariance MeanAbsolutePercentageError SymmetricMeanAbsolutePercentageError MeanSquaredLogError TweedieDevianceScore LogCoshError ConcordanceCorrCoef RelativeSquaredError MinkowskiDistance".split():
    m = getattr(R, name)(**({"p": 3} if name == "MinkowskiDistance" else {}))
    print(name, m(y.abs(), x), m.compute())
m = MetricCollection(
    {
        "a": Accuracy(**kw),
        "f": F1Score(average="macro", **kw),
        "p": Precision(average="macro", **kw),
    },
    prefix="v_",
)
for i in range(4):
    print(m(p[i * 10 :][:10], t[i * 10 :][:10]))
print(m.compute(), m.compute_groups)
c = m.clone(postfix="_x")
print(c.compute())
m.reset()
a = MeanMetric()
a.update(torch.tensor([1.0, 2]), torch.tensor([1.0, 3.0]))
a.update(4)
print(a.compute())
for M in (SumMetric, MaxMetric, MinMetric, CatMetric):
    q = M(nan_strategy="ignore")
    q.update([1.0, float("nan"), 3.0])
    print(q.compute())
print((a + 1).compute(), abs(a - 5).compute(), a.state_dict(), Accuracy(**kw))
import pickle, copy

print(pickle.loads(pickle.dumps(a)).compute(), copy.deepcopy(a).compute())
print(
    BLEUScore
    if 0
    else torchmetrics.text.BLEUScore()(
        ["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]]
    ),
    torchmetrics.text.Perplexity()(torch.rand(2, 8, 5).softmax(-1).log(), torch.randint(5, (2, 8))),
    torchmetrics.text.WordErrorRate()(["a b c"], ["a b d"]),
)
from torchmetrics.image import (
    PeakSignalNoiseRatio,
    StructuralSimilarityIndexMeasure,
    TotalVariation,
)

i, j = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
print(
    PeakSignalNoiseRatio(data_range=1.0)(i, j),
    StructuralSimilarityIndexMeasure(data_range=1.0)(i, j),
    TotalVariation()(i),
)
from torchmetrics.retrieval import RetrievalMAP, RetrievalNormalizedDCG

idx = torch.tensor([0, 0, 0, 1, 1, 1, 1])
pr = torch.tensor([0.2, 0.3, 0.5, 0.1, 0.3, 0.5, 0.2])
tg = torch.tensor([0, 0, 1, 0, 1, 0, 1]).bool()
print(RetrievalMAP()(pr, tg, indexes=idx), RetrievalNormalizedDCG()(pr, tg, indexes=idx))
from torchmetrics.wrappers import MetricTracker, BootStrapper, ClasswiseWrapper

tr = MetricTracker(Accuracy(**kw), maximize=True)
for k in range(3):
    tr.increment()
    tr.update(p[k * 10 : (k + 1) * 10], t[k * 10 : (k + 1) * 10])
print(tr.best_metric(return_step=True), tr.compute_all())
print(ClasswiseWrapper(Accuracy(average=None, **kw))(p, t))
from torchmetrics.clustering import MutualInfoScore

print(MutualInfoScore()(t, torch.randint(0, 3, (40,))))
from torchmetrics.aggregation import RunningMean

r = RunningMean(3)
for k in range(5):
    print(r(torch.tensor(float(k))))
from torchmetrics.audio import SignalNoiseRatio, ScaleInvariantSignalDistortionRatio

print(SignalNoiseRatio()(x, y), ScaleInvariantSignalDistortionRatio()(x, y))
