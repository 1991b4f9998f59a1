"""MNIST with a CNN: load, train one epoch, test.    mnist_cnn.py ROOT"""

import sys

import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
train_set = datasets.MNIST(sys.argv[1], train=True, transform=transform)
test_set = datasets.MNIST(sys.argv[1], train=False, transform=transform)
train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
test_loader = DataLoader(test_set, batch_size=64, shuffle=False)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.pooling = nn.MaxPool2d(2)
        self.fc = nn.Linear(320, 10)

    def forward(self, x):
        batch_size = x.size(0)
        x = torch.relu(self.pooling(self.conv1(x)))
        x = torch.relu(self.pooling(self.conv2(x)))
        return self.fc(x.view(batch_size, -1))


model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.5)

running_loss = 0.0
for step, (images, labels) in enumerate(train_loader):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    running_loss += loss.item()
    if step % 300 == 299:
        print(f"step {step + 1}: loss {running_loss / 300:.3f}")
        running_loss = 0.0

correct = total = 0
with torch.no_grad():
    for images, labels in test_loader:
        _, predicted = torch.max(model(images), dim=1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
print(f"accuracy {100 * correct / total:.2f} %")
