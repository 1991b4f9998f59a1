"""Programs that the tests explain: sources, run as scripts."""

SLOW = """\
import math
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Shift:
    def __init__(self, rounds):
        self.rounds = rounds

    def __call__(self, image):
        total = 0.0
        for n in range(self.rounds):
            total += math.sin(n)
        return image + 1e-9 * total


class Digits(Dataset):
    def __init__(self, count):
        self.images = torch.rand(count, 1, 16, 16)
        self.labels = torch.randint(0, 10, (count,))
        self.transform = Shift(40000)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.pooling = nn.MaxPool2d(2)
        self.fc = nn.Linear(6 * 36, 10)

    def forward(self, x):
        x = torch.relu(self.pooling(self.conv1(x)))
        return self.fc(x.flatten(1))


torch.manual_seed(0)
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.5)
loader = DataLoader(Digits(176), batch_size=32, shuffle=True)
for epoch in range(3):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
"""

CHANGING = """\
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(12, 8), nn.Dropout(0.1), nn.Linear(8, 3))
for step in range(12):
    if step == 8:
        model[1].p = 0.4
    rows = 7 if step in (5, 6) else 20
    x = torch.ones(rows, 12)
    print(model(x).sum().item().hex())
"""
