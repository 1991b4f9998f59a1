"""A net with two inputs and two outputs: an image and a number in, a class and a sum out.

The image is a noisy bar, upright or lying; the net names the bar, and adds the bar's position to
the number that came with it. Both losses train the shared layers together.
"""

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)

SIZE = 8


class Bars(Dataset):
    def __init__(self, count):
        self.upright = torch.randint(0, 2, (count,))
        self.position = torch.randint(0, SIZE, (count,))
        self.number = torch.rand(count)
        self.image = 0.1 * torch.randn(count, SIZE, SIZE)
        for i in range(count):
            if self.upright[i]:
                self.image[i, :, self.position[i]] += 1.0
            else:
                self.image[i, self.position[i]] += 1.0

    def __len__(self):
        return len(self.number)

    def __getitem__(self, i):
        total = self.number[i] + self.position[i] / SIZE
        return (self.image[i], self.number[i]), {"upright": self.upright[i], "total": total}


class TwoInTwoOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 32), nn.ReLU())
        self.join = nn.Sequential(nn.Linear(32 + 1, 32), nn.ReLU())
        self.name = nn.Linear(32, 2)
        self.add = nn.Linear(32, 1)

    def forward(self, image, number):
        seen = self.look(image)
        joined = self.join(torch.cat([seen, number.unsqueeze(1)], dim=1))
        return self.name(joined), self.add(joined).squeeze(1)


net = TwoInTwoOut()
optimizer = optim.Adam(net.parameters(), lr=3e-3)
class_loss = nn.CrossEntropyLoss()
total_loss = nn.MSELoss()
loader = DataLoader(Bars(2000), batch_size=50, shuffle=True)
(held_image, held_number), held_target = next(iter(DataLoader(Bars(400), batch_size=400)))

for epoch in range(1, 11):
    net.train()
    for (image, number), target in loader:
        logits, total = net(image, number)
        loss = class_loss(logits, target["upright"]) + total_loss(total, target["total"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        logits, total = net(held_image, held_number)
        right = (logits.argmax(dim=1) == held_target["upright"]).float().mean().item()
        off = (total - held_target["total"]).abs().mean().item()
    print(f"epoch {epoch:2}  loss {loss.item():.4f}  right {right:.3f}  error of sum {off:.3f}")

assert right > 0.95
