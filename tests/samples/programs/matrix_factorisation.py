"""Collaborative filtering: user and item embeddings with biases, ratings, top-n recommendation."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

np.random.seed(5)
torch.manual_seed(5)
n_users, n_items, n_factors = 20, 15, 4
true_u, true_i = np.random.randn(n_users, 3), np.random.randn(n_items, 3)
triples = [
    (u, i, float(np.clip(3 + true_u[u] @ true_i[i], 1, 5)))
    for u in range(n_users)
    for i in range(n_items)
    if np.random.rand() < 0.5
]
print(len(triples), "ratings")


class Ratings(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, k):
        u, i, r = self.rows[k]
        return u, i, r


class MatrixFactorization(nn.Module):
    def __init__(self, n_users, n_items, n_factors, y_range=(0.5, 5.5)):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, n_factors)
        self.item_factors = nn.Embedding(n_items, n_factors)
        self.user_biases = nn.Embedding(n_users, 1)
        self.item_biases = nn.Embedding(n_items, 1)
        self.y_range = y_range
        for e in (self.user_factors, self.item_factors):
            e.weight.data.uniform_(-0.05, 0.05)
        self.user_biases.weight.data.fill_(0.01)
        self.item_biases.weight.data.fill_(0.01)

    def forward(self, user, item):
        pred = self.user_biases(user) + self.item_biases(item)
        pred += (self.user_factors(user) * self.item_factors(item)).sum(dim=1, keepdim=True)
        low, high = self.y_range
        return (torch.sigmoid(pred) * (high - low) + low).squeeze()


order = torch.randperm(len(triples)).tolist()
split = int(0.8 * len(triples))
train_dl = DataLoader(Ratings([triples[k] for k in order[:split]]), batch_size=16, shuffle=True)
valid_dl = DataLoader(Ratings([triples[k] for k in order[split:]]), batch_size=64)
u, i, r = next(iter(valid_dl))
print(u.dtype, r.dtype, r.mean())
model = MatrixFactorization(n_users, n_items, n_factors)
opt = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5)
loss_fn = nn.MSELoss()
for epoch in range(3):
    total, seen = 0.0, 0
    for u, i, r in train_dl:
        r = r.float()
        loss = loss_fn(model(u, i), r)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(r)
        seen += len(r)
    with torch.no_grad():
        errors = torch.cat([model(u, i) - r for u, i, r in valid_dl])
    print("epoch %d train %.4f rmse %.4f (%s)" % (epoch, total / seen, errors.pow(2).mean() ** 0.5, errors.dtype))
with torch.no_grad():
    user = torch.full((n_items,), 3)
    scores = model(user, torch.arange(n_items))
    seen_items = torch.tensor(sorted({i for u, i, _ in triples if u == 3}))
    scores[seen_items] = -float("inf")
    best = scores.topk(3)
    print(set(best.indices.tolist()).isdisjoint(seen_items.tolist()), best.values.isfinite().all())

# alternating least squares on the dense matrix, without any gradient
R = torch.zeros(n_users, n_items)
for u, i, r in triples:
    R[u, i] = r
mask = R > 0
P, Q = torch.rand(n_users, 2), torch.rand(n_items, 2)
for _ in range(3):
    for k in range(n_users):
        q = Q[mask[k]]
        P[k] = torch.linalg.solve(q.T @ q + 0.1 * torch.eye(2), q.T @ R[k, mask[k]])
    for k in range(n_items):
        p = P[mask[:, k]]
        Q[k] = torch.linalg.solve(p.T @ p + 0.1 * torch.eye(2), p.T @ R[mask[:, k], k])
    print("ALS rmse", ((R - P @ Q.T)[mask] ** 2).mean().sqrt())
U, S, Vh = torch.linalg.svd(R, full_matrices=False)
print(S[:3], torch.dist(U @ torch.diag(S) @ Vh, R) < 1e-4)
