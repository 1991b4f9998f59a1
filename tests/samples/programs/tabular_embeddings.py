"""Tabular data: categorical embeddings, continuous batch norm, a weighted loss, ROC by hand."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(30)
rng = np.random.RandomState(30)
rows = 160
columns = {"day": 7, "shop": 12, "promo": 2}
cats = np.stack([rng.randint(0, k, rows) for k in columns.values()], axis=1)
conts = rng.gamma(2.0, 1.0, (rows, 3))
conts[rng.rand(rows, 3) < 0.05] = np.nan
label = ((cats[:, 2] == 1) & (np.nan_to_num(conts[:, 0]) > 1.0)).astype(float)

cats = torch.tensor(cats, dtype=torch.int64)
conts = torch.tensor(conts, dtype=torch.float)
print("missing", torch.isnan(conts).sum(0).tolist(), conts.nanmean(0), conts.nanmedian())
conts = torch.where(torch.isnan(conts), conts.nanmean(0).expand_as(conts), conts)
conts = conts.log1p()
y = torch.tensor(label).float().reshape(-1, 1)
emb_szs = [(size, min(50, (size + 1) // 2)) for size in columns.values()]
print(emb_szs, cats.shape, y.mean())


class TabularModel(nn.Module):
    def __init__(self, emb_szs, n_cont, out_sz, layers, p=0.5):
        super().__init__()
        self.embeds = nn.ModuleList([nn.Embedding(ni, nf) for ni, nf in emb_szs])
        self.emb_drop = nn.Dropout(p)
        self.bn_cont = nn.BatchNorm1d(n_cont)
        layerlist = []
        n_emb = sum((nf for ni, nf in emb_szs))
        n_in = n_emb + n_cont
        for i in layers:
            layerlist.append(nn.Linear(n_in, i))
            layerlist.append(nn.ReLU(inplace=True))
            layerlist.append(nn.BatchNorm1d(i))
            layerlist.append(nn.Dropout(p))
            n_in = i
        layerlist.append(nn.Linear(layers[-1], out_sz))
        self.layers = nn.Sequential(*layerlist)

    def forward(self, x_cat, x_cont):
        embeddings = []
        for i, e in enumerate(self.embeds):
            embeddings.append(e(x_cat[:, i]))
        x = torch.cat(embeddings, 1)
        x = self.emb_drop(x)
        x_cont = self.bn_cont(x_cont)
        x = torch.cat([x, x_cont], 1)
        return self.layers(x)


model = TabularModel(emb_szs, conts.shape[1], 1, [24, 12], p=0.2)
print(model)
train_ds, test_ds = torch.utils.data.random_split(
    TensorDataset(cats, conts, y), [0.75, 0.25], generator=torch.Generator().manual_seed(1)
)
print(len(train_ds), len(test_ds), train_ds.indices[:5])
criterion = nn.BCEWithLogitsLoss(pos_weight=(1 - y.mean()) / y.mean())
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
aggregated_losses = []
for epoch in range(3):
    model.train()
    for cat, cont, target in DataLoader(train_ds, batch_size=32, shuffle=True):
        y_pred = model(cat, cont)
        single_loss = criterion(y_pred, target)
        aggregated_losses.append(single_loss)
        optimizer.zero_grad()
        single_loss.backward()
        optimizer.step()
    print(f"epoch: {epoch:3} loss: {single_loss.item():10.6f}")
print(torch.stack(aggregated_losses).detach().mean())
model.eval()
with torch.no_grad():
    scores = torch.cat(
        [model(c, x) for c, x, _ in DataLoader(test_ds, batch_size=64)]
    ).sigmoid().flatten()
truth = torch.stack([test_ds[k][2] for k in range(len(test_ds))]).flatten()


def roc_auc(scores, truth):
    order = torch.argsort(scores, descending=True)
    hits = truth[order]
    tpr = torch.cumsum(hits, 0) / hits.sum()
    fpr = torch.cumsum(1 - hits, 0) / (1 - hits).sum()
    return torch.trapezoid(tpr, fpr)


fixed = torch.linspace(1, 0, len(truth)) ** 2
print(f"AUC of a fixed ranking {roc_auc(fixed, truth):.4f}", 0 <= roc_auc(scores, truth) <= 1)
bins = torch.bucketize(fixed, torch.linspace(0, 1, 6)[1:-1])
print(torch.bincount(bins, minlength=5), torch.histc(fixed, bins=5, min=0, max=1))
print(torch.quantile(fixed, torch.tensor([0.25, 0.5, 0.75])), torch.unique(cats[:, 0], return_counts=True))
