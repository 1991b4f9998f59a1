"""Siamese network: contrastive loss, triplet mining, pairwise distances, retrieval."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

random.seed(2)
torch.manual_seed(2)


class PairDataset(Dataset):
    def __init__(self, data, labels):
        self.data, self.labels = data, labels
        self.by_class = {int(c): torch.where(labels == c)[0] for c in labels.unique()}

    def __getitem__(self, index):
        anchor, label = self.data[index], self.labels[index].item()
        same = random.randint(0, 1)
        pool = self.by_class[label] if same else self.by_class[(label + 1) % len(self.by_class)]
        other = random.choice(pool.tolist())
        return anchor, self.data[other], torch.tensor(float(not same))

    def __len__(self):
        return len(self.data)


class ContrastiveLoss(torch.nn.Module):
    def __init__(self, margin=2.0):
        super(ContrastiveLoss, self).__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2, keepdim=True)
        label = label.view(-1, 1)
        return torch.mean(
            (1 - label) * torch.pow(distance, 2)
            + label * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2)
        )


class SiameseNetwork(nn.Module):
    def __init__(self):
        super(SiameseNetwork, self).__init__()
        self.cnn1 = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(1, 4, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(4),
            nn.Dropout2d(p=0.2),
            nn.MaxPool2d(2),
        )
        self.fc1 = nn.Sequential(nn.Linear(4 * 16, 16), nn.ReLU(inplace=True), nn.Linear(16, 5))

    def forward_once(self, x):
        output = self.cnn1(x)
        output = output.view(output.size()[0], -1)
        return self.fc1(output)

    def forward(self, input1, input2):
        return self.forward_once(input1), self.forward_once(input2)


centres = torch.randn(3, 1, 8, 8)
labels = torch.randint(3, (48,))
data = centres[labels] + 0.2 * torch.randn(48, 1, 8, 8)
net = SiameseNetwork()
loader = DataLoader(PairDataset(data, labels), batch_size=12, shuffle=True, num_workers=0)
criterion = ContrastiveLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.0005)
for epoch in range(2):
    for i, (img0, img1, label) in enumerate(loader, 0):
        optimizer.zero_grad()
        output1, output2 = net(img0, img1)
        loss = criterion(output1, output2, label)
        loss.backward()
        optimizer.step()
    print("Epoch number {}\n Current loss {}\n".format(epoch, round(loss.item(), 3)))


def batch_hard(embeddings, labels, margin=0.5):
    dist = torch.cdist(embeddings, embeddings)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    eye = torch.eye(len(labels), dtype=torch.bool)
    hardest_positive = (dist * (same & ~eye)).max(dim=1)[0]
    hardest_negative = dist.masked_fill(same, float("inf")).min(dim=1).values
    return F.relu(hardest_positive - hardest_negative + margin).mean()


triplet = nn.TripletMarginLoss(margin=1.0, p=2)
for step in range(3):
    optimizer.zero_grad()
    e = F.normalize(net.forward_once(data), p=2, dim=1)
    loss = batch_hard(e, labels) + triplet(e[:16], e[16:32], e[32:])
    loss.backward()
    optimizer.step()
    print(f"mining step {step}: {loss:.4f}")
net.eval()
with torch.no_grad():
    e = F.normalize(net.forward_once(data))
    similarity = e @ e.T
    similarity.fill_diagonal_(-1)
    nearest = similarity.argmax(1)
    print("recall@1 is a share:", 0 <= (labels[nearest] == labels).float().mean().item() <= 1)
    print("cosine", nn.CosineSimilarity(dim=1)(e[:4], e[4:8]))
    print("distance", F.pairwise_distance(e[:3], e[3:6]).tolist().__len__())
