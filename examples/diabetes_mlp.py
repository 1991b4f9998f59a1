"""A small network for a medical table: 8 features, a label of 0 or 1 in the last column.

    python diabetes_mlp.py [table.csv | table.csv.gz]

Without a file, a table of the same kind is made up here (seeded): features in [-1, 1], the label
depending on them in a curved way, with noise.
"""

import sys

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


def made_up_table(rows=759):
    rng = np.random.default_rng(0)
    features = np.clip(rng.normal(0.0, 0.45, (rows, 8)), -1, 1)
    glucose, mass, age = features[:, 1], features[:, 5], features[:, 7]
    score = 3.0 * glucose + 2.0 * mass + 1.5 * age * glucose + 1.2 * np.abs(age) - 0.3
    label = score + rng.logistic(0.0, 0.35, rows) > 0
    return np.column_stack([features, label]).astype(np.float32)


class TableDataset(Dataset):
    def __init__(self, table):
        self.len = table.shape[0]
        self.x_data = torch.from_numpy(np.ascontiguousarray(table[:, :-1]))
        self.y_data = torch.from_numpy(np.ascontiguousarray(table[:, [-1]]))

    def __getitem__(self, index):
        return self.x_data[index], self.y_data[index]

    def __len__(self):
        return self.len


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = torch.nn.Linear(8, 6)
        self.linear2 = torch.nn.Linear(6, 4)
        self.linear3 = torch.nn.Linear(4, 1)
        self.relu = torch.nn.ReLU()
        self.sigmoid = torch.nn.Sigmoid()

    def forward(self, x):
        x = self.relu(self.linear1(x))
        x = self.relu(self.linear2(x))
        return self.sigmoid(self.linear3(x))


def main():
    if len(sys.argv) > 1:
        table = np.loadtxt(sys.argv[1], delimiter=",", dtype=np.float32)
    else:
        table = made_up_table()
    split = len(table) * 4 // 5
    train_loader = DataLoader(TableDataset(table[:split]), batch_size=32, shuffle=True)
    test = TableDataset(table[split:])

    model = Model()
    criterion = torch.nn.BCELoss(reduction="mean")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    for epoch in range(1, 101):
        total = 0.0
        for inputs, labels in train_loader:
            loss = criterion(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % 20 == 0:
            with torch.no_grad():
                right = (model(test.x_data) > 0.5).float().eq(test.y_data).sum().item()
            mean = total / len(train_loader)
            print(f"epoch {epoch:3}  loss {mean:.4f}  test accuracy {right / len(test):.3f}")


if __name__ == "__main__":
    main()
