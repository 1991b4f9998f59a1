import numpy as np, torch, warnings

warnings.simplefilter("ignore")
from torch import nn
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor, NeuralNetBinaryClassifier
from skorch.callbacks import (
    EpochScoring,
    EarlyStopping,
    LRScheduler,
    Checkpoint,
    ProgressBar,
    TrainEndCheckpoint,
    LoadInitState,
)
from skorch.dataset import ValidSplit
import tempfile, os, pickle

X, y = make_classification(400, 20, n_informative=10, random_state=0)
X = X.astype(np.float32)
y = y.astype(np.int64)


class M(nn.Module):
    def __init__(self, num_units=10, nonlin=nn.ReLU()):
        super().__init__()
        self.dense0 = nn.Linear(20, num_units)
        self.nonlin = nonlin
        self.dropout = nn.Dropout(0.5)
        self.dense1 = nn.Linear(num_units, 2)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, X):
        return self.softmax(self.dense1(self.dropout(self.nonlin(self.dense0(X)))))


torch.manual_seed(0)
net = NeuralNetClassifier(
    M,
    max_epochs=5,
    lr=0.1,
    iterator_train__shuffle=True,
    verbose=0,
    callbacks=[EpochScoring("roc_auc", lower_is_better=False), LRScheduler("StepLR", step_size=2)],
)
net.fit(X, y)
print(
    np.round([h["train_loss"] for h in net.history], 4),
    np.round(net.history[:, "valid_loss"], 4),
    np.round(net.history[:, "roc_auc"], 4),
)
print(net.predict_proba(X[:3]).round(4), net.predict(X[:5]), round(net.score(X, y), 4))
print(net)
d = tempfile.mkdtemp()
net.save_params(f_params=d + "/p.pt", f_optimizer=d + "/o.pt", f_history=d + "/h.json")
new = NeuralNetClassifier(M, max_epochs=5, lr=0.1, verbose=0).initialize()
new.load_params(f_params=d + "/p.pt", f_optimizer=d + "/o.pt", f_history=d + "/h.json")
print((new.predict_proba(X) == net.predict_proba(X)).all())
new = pickle.loads(pickle.dumps(net))
print(np.abs(new.predict_proba(X) - net.predict_proba(X)).max() < 1e-6)
torch.manual_seed(0)
net = NeuralNetClassifier(M, max_epochs=3, lr=0.1, verbose=0, train_split=False)
gs = GridSearchCV(
    net, {"lr": [0.01, 0.1], "module__num_units": [5, 10]}, refit=False, cv=3, scoring="accuracy"
)
gs.fit(X, y)
print(round(gs.best_score_, 3), gs.best_params_)
pipe = Pipeline([("s", StandardScaler()), ("n", net)])
print(cross_val_score(pipe, X, y, cv=2).round(2))
Xr, yr = make_regression(200, 20, random_state=0)
Xr = Xr.astype(np.float32)
yr = (yr / 100).astype(np.float32)[:, None]


class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 1))

    def forward(self, X):
        return self.l(X)


torch.manual_seed(1)
with tempfile.TemporaryDirectory() as t:
    r = NeuralNetRegressor(
        R,
        max_epochs=20,
        lr=0.1,
        optimizer=torch.optim.Adam,
        optimizer__lr=0.01,
        verbose=0,
        callbacks=[("es", EarlyStopping(patience=3)), ("cp", Checkpoint(dirname=t))],
    )
    r.fit(Xr, yr)
    print(len(r.history), np.round(r.history[-1, "valid_loss"], 4), round(r.score(Xr, yr), 3))
    print(sorted(os.listdir(t)))
    r2 = NeuralNetRegressor(
        R,
        max_epochs=2,
        optimizer=torch.optim.Adam,
        verbose=0,
        callbacks=[LoadInitState(Checkpoint(dirname=t))],
    ).fit(Xr, yr)
    print(len(r2.history))


class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(20, 1)

    def forward(self, X):
        return self.l(X).squeeze(-1)


torch.manual_seed(1)
b = NeuralNetBinaryClassifier(B, max_epochs=3, verbose=0).fit(X, y.astype(np.float32))
print(round(b.score(X, y), 3), b.predict(X[:4]))
