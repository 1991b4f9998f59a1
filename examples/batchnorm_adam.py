"""A classifier with BatchNorm, ELU and Adam on a table with 9 features (is the water drinkable?).

The table is made up here (seeded), with missing values that are filled with the column's mean.
"""

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def made_up_table(rows=2000):
    rng = np.random.default_rng(1)
    table = rng.normal(0.0, 1.0, (rows, 9))
    distance = (table[:, 0] ** 2 + 0.7 * table[:, 1] ** 2 + 0.5 * table[:, 2] * table[:, 3]) / 1.5
    label = distance + rng.normal(0.0, 0.15, rows) < 0.8
    table[rng.random(table.shape) < 0.02] = np.nan
    means = np.nanmean(table, axis=0)
    table = np.where(np.isnan(table), means, table)
    return table.astype(np.float32), label.astype(np.float32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(9, 16)
        self.bn1 = nn.BatchNorm1d(16)
        self.fc2 = nn.Linear(16, 8)
        self.bn2 = nn.BatchNorm1d(8)
        self.fc3 = nn.Linear(8, 1)
        nn.init.kaiming_uniform_(self.fc1.weight)
        nn.init.kaiming_uniform_(self.fc2.weight)
        nn.init.kaiming_uniform_(self.fc3.weight, nonlinearity="sigmoid")

    def forward(self, x):
        x = nn.functional.elu(self.bn1(self.fc1(x)))
        x = nn.functional.elu(self.bn2(self.fc2(x)))
        return torch.sigmoid(self.fc3(x))


def accuracy(net, features, labels):
    net.eval()
    with torch.no_grad():
        guessed = net(features).squeeze(1) > 0.5
    return (guessed == (labels > 0.5)).float().mean().item()


features, labels = (torch.from_numpy(part) for part in made_up_table())
train = TensorDataset(features[:1600], labels[:1600])
loader = DataLoader(train, batch_size=32, shuffle=True)

net = Net()
criterion = nn.BCELoss()
optimizer = optim.Adam(net.parameters(), lr=0.005)

for epoch in range(1, 31):
    net.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y.view(-1, 1))
        loss.backward()
        optimizer.step()
    if epoch % 5 == 0:
        held_out = accuracy(net, features[1600:], labels[1600:])
        print(f"epoch {epoch:2}  loss {loss.item():.4f}  test accuracy {held_out:.3f}")

assert held_out > 0.8
