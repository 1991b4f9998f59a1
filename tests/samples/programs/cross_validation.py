"""k-fold cross validation on a table: standardising, SubsetRandomSampler, reset_parameters."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, SubsetRandomSampler, TensorDataset

torch.manual_seed(42)
rng = np.random.default_rng(7)
X = rng.normal(size=(60, 5)).astype(np.float32)
y = (X[:, 0] - 2 * X[:, 1] + 0.5 * X[:, 2] ** 2 > 0).astype(np.int64)
data = torch.tensor(X)
data = (data - data.mean(0)) / data.std(0)
print(data.mean(dim=0).abs().max() < 1e-6, data.std(0, unbiased=False))
first, second = TensorDataset(data[:40], torch.tensor(y[:40])), TensorDataset(
    data[40:], torch.as_tensor(y[40:])
)
dataset = ConcatDataset([first, second])


class KFold:
    def __init__(self, n_splits, seed):
        self.n_splits, self.rng = n_splits, np.random.RandomState(seed)

    def split(self, items):
        order = self.rng.permutation(len(items))
        for part in np.array_split(order, self.n_splits):
            yield np.setdiff1d(order, part), part


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2)
        )

    def forward(self, x):
        return self.layers(x)


def reset_weights(m):
    for layer in m.children():
        if hasattr(layer, "reset_parameters"):
            print(f"Reset trainable parameters of layer = {layer}")
            layer.reset_parameters()
        else:
            reset_weights(layer)


results = {}
network = MLP()
for fold, (train_ids, test_ids) in enumerate(KFold(3, 0).split(dataset)):
    print(f"FOLD {fold}\n--------------------------------")
    train_subsampler = SubsetRandomSampler(train_ids)
    test_subsampler = SubsetRandomSampler(test_ids)
    trainloader = DataLoader(dataset, batch_size=10, sampler=train_subsampler)
    testloader = DataLoader(dataset, batch_size=10, sampler=test_subsampler)
    network.apply(lambda m: None)
    reset_weights(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss_function = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.5]))
    for epoch in range(0, 2):
        network.train()
        current_loss = 0.0
        for i, (inputs, targets) in enumerate(trainloader, 0):
            optimizer.zero_grad()
            outputs = network(inputs)
            loss = loss_function(outputs, targets)
            loss.backward()
            optimizer.step()
            current_loss += loss.item()
            if i % 2 == 1:
                print("Loss after mini-batch %5d: %.3f" % (i + 1, current_loss / 2))
                current_loss = 0.0
    network.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for i, (inputs, targets) in enumerate(testloader, 0):
            outputs = network(inputs)
            _, predicted = torch.max(outputs.data, 1)
            total += targets.size(0)
            correct += (predicted == targets).sum().item()
    results[fold] = 100.0 * (correct / total)
    print("Accuracy for fold %d out of %d" % (fold, total))
print(f"K-FOLD CROSS VALIDATION RESULTS FOR {len(results)} FOLDS")
print(all(0 <= value <= 100 for value in results.values()))
