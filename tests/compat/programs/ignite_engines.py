import torch, tempfile, os, warnings, logging
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from ignite.engine import Engine, Events, create_supervised_trainer, create_supervised_evaluator
from ignite.metrics import *
from ignite.handlers import (
    ModelCheckpoint,
    EarlyStopping,
    Checkpoint,
    DiskSaver,
    global_step_from_engine,
    TerminateOnNan,
    Timer,
    LRScheduler,
    PiecewiseLinear,
    CosineAnnealingScheduler,
    EMAHandler,
)
from ignite.handlers.tqdm_logger import ProgressBar
from ignite.handlers.tensorboard_logger import (
    TensorboardLogger,
    WeightsHistHandler,
    GradsHistHandler,
)
from ignite.utils import manual_seed, setup_logger, convert_tensor, to_onehot

manual_seed(3)
X = torch.randn(256, 8)
y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()
tl = DataLoader(TensorDataset(X[:192], y[:192]), 32, shuffle=True)
vl = DataLoader(TensorDataset(X[192:], y[192:]), 32)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
opt = torch.optim.Adam(model.parameters(), 0.02)
crit = nn.CrossEntropyLoss()
trainer = create_supervised_trainer(model, opt, crit, device="cpu")
m = {
    "acc": Accuracy(),
    "loss": Loss(crit),
    "top2": TopKCategoricalAccuracy(2),
    "cm": ConfusionMatrix(3),
}
p = Precision(average=False)
r = Recall(average=False)
m["f1"] = Fbeta(1, precision=p, recall=r)
m["p"] = p
m["macro"] = (p * r * 2 / (p + r)).mean()
ev = create_supervised_evaluator(model, metrics=m, device="cpu")
RunningAverage(output_transform=lambda o: o).attach(trainer, "ra")


@trainer.on(Events.ITERATION_COMPLETED(every=3))
def l(e):
    print("it", e.state.iteration, f"{e.state.output:.4f} {e.state.metrics['ra']:.4f}")


@trainer.on(Events.EPOCH_COMPLETED)
def v(e):
    s = ev.run(vl).metrics
    print(
        "ep",
        e.state.epoch,
        *(f"{k}={s[k]:.4f}" for k in ("acc", "loss", "top2", "f1", "macro")),
        s["cm"].tolist(),
        s["p"],
    )


d = tempfile.mkdtemp()
ck = ModelCheckpoint(
    d,
    "best",
    n_saved=2,
    score_function=lambda e: e.state.metrics["acc"],
    score_name="acc",
    global_step_transform=global_step_from_engine(trainer),
    require_empty=False,
)
ev.add_event_handler(Events.COMPLETED, ck, {"model": model, "optimizer": opt})
ev.add_event_handler(
    Events.COMPLETED, EarlyStopping(5, lambda e: -e.state.metrics["loss"], trainer)
)
trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
sch = PiecewiseLinear(opt, "lr", [(0, 0.01), (10, 0.02), (30, 0.0)])
trainer.add_event_handler(Events.ITERATION_STARTED, sch)
ema = EMAHandler(model, momentum=0.1)
ema.attach(trainer)
t = Timer(average=True)
t.attach(trainer)
tb = TensorboardLogger(log_dir=d + "/tb")
tb.attach_output_handler(
    trainer,
    event_name=Events.ITERATION_COMPLETED,
    tag="train",
    output_transform=lambda l: {"loss": l},
)
tb.attach(trainer, event_name=Events.EPOCH_COMPLETED, log_handler=WeightsHistHandler(model))
tb.attach(trainer, event_name=Events.EPOCH_COMPLETED, log_handler=GradsHistHandler(model))
tb.attach_opt_params_handler(trainer, event_name=Events.ITERATION_STARTED, optimizer=opt)
st = trainer.run(tl, max_epochs=5)
tb.close()
print(
    st.epoch,
    st.iteration,
    sorted(f for f in os.listdir(d) if f != "tb"),
    len(os.listdir(d + "/tb")),
)
to_load = {"model": model, "optimizer": opt}
Checkpoint.load_objects(
    to_load,
    torch.load(
        os.path.join(
            d,
            ck.last_checkpoint.name if hasattr(ck.last_checkpoint, "name") else ck.last_checkpoint,
        )
    ),
)
print(round(ev.run(vl).metrics["acc"], 4), ema.ema_model[0].weight.sum().item())


def upd(e, b):
    return b.sum()


for M, o in [
    (MeanSquaredError(), (torch.rand(5), torch.rand(5))),
    (MeanAbsoluteError(), (torch.rand(5), torch.rand(5))),
    (RootMeanSquaredError(), (torch.rand(5), torch.rand(5))),
    (SSIM(1.0), (torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))),
    (PSNR(1.0), (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8))),
    (MeanPairwiseDistance(), (torch.rand(4, 3), torch.rand(4, 3))),
    (IoU(ConfusionMatrix(3)), (torch.rand(9, 3), torch.arange(9) % 3)),
    (DiceCoefficient(ConfusionMatrix(3)), (torch.rand(9, 3), torch.arange(9) % 3)),
    (mIoU(ConfusionMatrix(3)), (torch.rand(9, 3), torch.arange(9) % 3)),
    (Rouge(), None),
    (Bleu(), None),
    (EpochMetric(lambda a, b: (a - b).abs().mean().item()), (torch.rand(4), torch.rand(4))),
    (CosineSimilarity(), (torch.rand(4, 3), torch.rand(4, 3))),
    (Entropy(), (torch.rand(4, 3), torch.arange(4) % 3)),
]:
    M.reset()
    if o is None:
        M.update(([["the", "cat", "is", "here"]], [[["the", "cat", "is", "there"], ["a", "cat"]]]))
        print(type(M).__name__, M.compute())
        continue
    if hasattr(M, "update"):
        M.update(o)
        print(type(M).__name__, M.compute())
from ignite.metrics.regression import R2Score, CanberraMetric, MedianAbsoluteError

for M in (R2Score(), CanberraMetric(), MedianAbsoluteError()):
    M.reset()
    M.update((torch.rand(6), torch.rand(6)))
    print(M.compute())
print(to_onehot(torch.tensor([0, 2]), 3))
amp = create_supervised_trainer(model, opt, crit, gradient_accumulation_steps=2)
print(amp.run(tl, max_epochs=1).iteration)
e = Engine(lambda e, b: b)
e.run(range(4), max_epochs=2)
print(e.state)
