"""Uncertainty by MC dropout; then a teacher's soft targets train a small student."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(99)
X = torch.linspace(-2, 2, 40).unsqueeze(-1)
Y = X.pow(3) * 0.2 + 0.05 * torch.randn_like(X)


class DropoutNet(nn.Module):
    def __init__(self, p=0.2):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(1, 32), nn.Linear(32, 32), nn.Linear(32, 1)
        self.p = p

    def forward(self, x):
        x = F.dropout(F.elu(self.fc1(x)), p=self.p, training=True)
        x = F.dropout(F.elu(self.fc2(x)), p=self.p)
        return self.fc3(x)


net = DropoutNet()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-4)
for step in range(20):
    optimizer.zero_grad()
    loss = F.mse_loss(net(X), Y)
    loss.backward()
    optimizer.step()
    if step % 5 == 4:
        print(f"step {step + 1:02d} loss {loss.item():.5f}")
with torch.no_grad():
    draws = torch.stack([net(X) for _ in range(10)])
mean, std = draws.mean(dim=0), draws.std(dim=0)
print(draws.shape, mean.squeeze()[:3], std.mean())


def enable_dropout(model):
    for m in model.modules():
        if m.__class__.__name__.startswith("Dropout"):
            m.train()


classifier = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Dropout(0.5), nn.Linear(16, 3))
classifier.eval()
enable_dropout(classifier)
print([m.training for m in classifier])
probs = torch.stack([F.softmax(classifier(torch.ones(2, 4)), -1) for _ in range(5)]).detach()
entropy = -(probs.mean(0) * probs.mean(0).log()).sum(-1)
mutual = entropy + (probs * probs.log()).sum(-1).mean(0)
print(entropy, mutual >= 0)


class Teacher(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, width * 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(width * 8, 4))

    def forward(self, x):
        return self.classifier(self.features(x))


x = torch.rand(40, 1, 8, 8)
y = (x[:, 0, :4].mean((1, 2)) > 0.5).long() * 2 + (x[:, 0, :, :4].mean((1, 2)) > 0.5).long()
teacher, student = Teacher(12), Teacher(3)
print("Teacher: %d, student: %d" % tuple(sum(p.numel() for p in m.parameters()) for m in (teacher, student)))


def train(model, epochs, loss_of):
    opt = torch.optim.Adam(model.parameters(), lr=0.003)
    model.train()
    for epoch in range(epochs):
        running = 0.0
        for xb, yb in zip(x.split(20), y.split(20)):
            opt.zero_grad()
            loss = loss_of(model(xb), xb, yb)
            loss.backward()
            opt.step()
            running += loss.item()
        print(f"Epoch {epoch + 1}/{epochs}, Loss: {running / 2:.4f}")


train(teacher, 3, lambda out, xb, yb: F.cross_entropy(out, yb))
teacher.eval()
T, soft_weight, ce_weight = 2.0, 0.25, 0.75


def distillation(out, xb, yb):
    with torch.no_grad():
        teacher_logits = teacher(xb)
    soft_targets = F.softmax(teacher_logits / T, dim=-1)
    soft_prob = F.log_softmax(out / T, dim=-1)
    soft_loss = torch.sum(soft_targets * (soft_targets.log() - soft_prob)) / soft_prob.size(0) * T**2
    kl = nn.KLDivLoss(reduction="batchmean")(soft_prob, soft_targets) * T**2
    assert torch.allclose(kl, soft_loss, atol=1e-5)
    return soft_weight * soft_loss + ce_weight * F.cross_entropy(out, yb)


plain = copy.deepcopy(student)
print(torch.norm(plain.features[0].weight).item() == torch.norm(student.features[0].weight).item())
train(plain, 2, lambda out, xb, yb: F.cross_entropy(out, yb))
train(student, 2, distillation)
print(torch.equal(plain.classifier[1].weight, student.classifier[1].weight))
