"""A Dataset with transforms written by hand, class folders in memory, workers, a tiny CNN."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

random.seed(0)
np.random.seed(0)
torch.manual_seed(0)


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self):
        return "Compose(" + ", ".join(type(t).__name__ for t in self.transforms) + ")"


class ToTensor:
    def __call__(self, pic):
        img = torch.from_numpy(pic.transpose((2, 0, 1)).copy())
        return img.float().div(255) if isinstance(img, torch.ByteTensor) else img


class Normalize:
    def __init__(self, mean, std):
        self.mean = torch.tensor(mean).view(-1, 1, 1)
        self.std = torch.tensor(std).view(-1, 1, 1)

    def __call__(self, tensor):
        return tensor.clone().sub_(self.mean).div_(self.std)


class RandomHorizontalFlip:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, img):
        return img.flip(-1) if torch.rand(1) < self.p else img


class RandomCrop:
    def __init__(self, size, padding):
        self.size, self.padding = size, padding

    def __call__(self, img):
        img = F.pad(img, [self.padding] * 4, mode="constant", value=0)
        i = torch.randint(0, img.shape[1] - self.size + 1, size=(1,)).item()
        j = torch.randint(0, img.shape[2] - self.size + 1, size=(1,)).item()
        return img[:, i : i + self.size, j : j + self.size]


class Colours(Dataset):
    classes = ["red", "green", "blue"]

    def __init__(self, n=45, transform=None, target_transform=None):
        rng = np.random.RandomState(1)
        self.labels = rng.choice(3, n, p=[0.6, 0.3, 0.1])
        self.images = rng.randint(0, 120, (n, 12, 12, 3)).astype(np.uint8)
        for image, label in zip(self.images, self.labels):
            image[..., label] += 100
        self.transform, self.target_transform = transform, target_transform
        self.class_to_idx = {c: i for i, c in enumerate(self.classes)}

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        image, label = self.images[idx], self.labels[idx]
        if self.transform:
            image = self.transform(image)
        if self.target_transform:
            label = self.target_transform(label)
        return {"image": image, "label": label, "name": self.classes[int(label)]}


train_tf = Compose([ToTensor(), RandomHorizontalFlip(), RandomCrop(12, 2), Normalize([0.4] * 3, [0.3] * 3)])
test_tf = Compose([ToTensor(), Normalize([0.4] * 3, [0.3] * 3)])
print(train_tf)
train_set, test_set = Colours(transform=train_tf), Colours(transform=test_tf, target_transform=int)
item = test_set[torch.tensor(3)]
print(item["image"].shape, item["image"].dtype, type(item["label"]).__name__, item["name"])
print("mean", torch.stack([test_set[i]["image"] for i in range(10)]).mean(dim=[0, 2, 3]))
class_counts = np.bincount(train_set.labels)
weights = 1.0 / class_counts[train_set.labels]
sampler = WeightedRandomSampler(weights, num_samples=len(weights), replacement=True)
loader = DataLoader(train_set, batch_size=9, sampler=sampler)
batch = next(iter(loader))
print({k: (v.shape, v.dtype) if torch.is_tensor(v) else len(v) for k, v in batch.items()})
print(batch["label"], batch["name"][:3])
test_loader = DataLoader(test_set, batch_size=16, shuffle=False, num_workers=2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 8, 3)
        self.fc1 = nn.Linear(8, 12)
        self.fc2 = nn.Linear(12, 3)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
for epoch in range(2):
    running_loss = 0.0
    for i, data in enumerate(loader, 0):
        inputs, labels = data["image"], data["label"]
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 2 == 1:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2:.3f}")
            running_loss = 0.0
print("Finished Training")
correct_pred = {classname: 0 for classname in Colours.classes}
total_pred = {classname: 0 for classname in Colours.classes}
with torch.no_grad():
    for data in test_loader:
        outputs = net(data["image"])
        _, predictions = torch.max(outputs, 1)
        for label, prediction in zip(data["label"], predictions):
            if label == prediction:
                correct_pred[Colours.classes[label]] += 1
            total_pred[Colours.classes[label]] += 1
print(total_pred)
print(all(correct_pred[k] <= total_pred[k] for k in total_pred))
