"""DenseNet: layers named with add_module, concatenated features, model.half() and back."""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint as cp

torch.manual_seed(5)


class _DenseLayer(nn.Sequential):
    def __init__(self, num_input_features, growth_rate, bn_size, drop_rate):
        super(_DenseLayer, self).__init__()
        self.add_module("norm1", nn.BatchNorm2d(num_input_features)),
        self.add_module("relu1", nn.ReLU(inplace=True)),
        self.add_module(
            "conv1", nn.Conv2d(num_input_features, bn_size * growth_rate, 1, bias=False)
        ),
        self.add_module("norm2", nn.BatchNorm2d(bn_size * growth_rate)),
        self.add_module("relu2", nn.ReLU(inplace=True)),
        self.add_module(
            "conv2", nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        ),
        self.drop_rate = drop_rate

    def forward(self, x):
        new_features = super(_DenseLayer, self).forward(x)
        if self.drop_rate > 0:
            new_features = F.dropout(new_features, p=self.drop_rate, training=self.training)
        return torch.cat([x, new_features], 1)


class _Transition(nn.Sequential):
    def __init__(self, num_input_features, num_output_features):
        super(_Transition, self).__init__()
        self.add_module("norm", nn.BatchNorm2d(num_input_features))
        self.add_module("relu", nn.ReLU(inplace=True))
        self.add_module("conv", nn.Conv2d(num_input_features, num_output_features, 1, bias=False))
        self.add_module("pool", nn.AvgPool2d(kernel_size=2, stride=2))


class DenseNet(nn.Module):
    def __init__(self, growth=4, blocks=(2, 2), init=8, classes=3):
        super(DenseNet, self).__init__()
        self.features = nn.Sequential(
            OrderedDict(
                [
                    ("conv0", nn.Conv2d(3, init, kernel_size=5, stride=2, padding=2, bias=False)),
                    ("norm0", nn.BatchNorm2d(init)),
                    ("relu0", nn.ReLU(inplace=True)),
                    ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
                ]
            )
        )
        n = init
        for i, count in enumerate(blocks):
            block = nn.Sequential()
            for j in range(count):
                block.add_module("denselayer%d" % (j + 1), _DenseLayer(n, growth, 2, 0.1))
                n += growth
            self.features.add_module("denseblock%d" % (i + 1), block)
            if i != len(blocks) - 1:
                self.features.add_module("transition%d" % (i + 1), _Transition(n, n // 2))
                n = n // 2
        self.features.add_module("norm5", nn.BatchNorm2d(n))
        self.classifier = nn.Linear(n, classes)

    def forward(self, x):
        features = self.features(x)
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1)).view(features.size(0), -1)
        return self.classifier(out)


net = DenseNet()
print(net)
x = torch.autograd.Variable(torch.randn(12, 3, 24, 24))
y = torch.autograd.Variable(torch.LongTensor(12).random_(3))
params = [
    {"params": net.features.parameters(), "lr": 0.01},
    {"params": net.classifier.parameters()},
]
optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
for epoch in range(4):
    net.train()
    optimizer.zero_grad()
    out = net(x)
    loss = F.cross_entropy(out, y)
    loss.backward()
    optimizer.step()
    if epoch == 2:
        for g in optimizer.param_groups:
            g["lr"] *= 0.1
    _, predicted = torch.max(out.data, 1)
    correct = (predicted == y).sum().item()
    print("epoch %d loss %.3f correct %d lr %s" % (
        epoch, loss.data, correct >= 0, [round(g["lr"], 5) for g in optimizer.param_groups]
    ))
net.eval()
with torch.no_grad():
    plain = net(x)
    halved = net.half()
    print(next(halved.parameters()).dtype, net.features.norm0.running_mean.dtype)
    print(net.features.norm0.num_batches_tracked.dtype)
    net.float()
    back = net(x)
print((plain - back).abs().max().item() < 0.05)
for name, child in net.features.named_children():
    print(name, type(child).__name__, sum(p.numel() for p in child.parameters()))
net.train()
z = torch.randn(2, 3, 24, 24, requires_grad=True)
torch.manual_seed(1)
one = net(z).sum()
one.backward()
kept = z.grad.clone()
z.grad = None
torch.manual_seed(1)
two = net.classifier(
    cp.checkpoint(
        lambda t: F.relu(net.features(t)).mean((2, 3)), z, use_reentrant=False
    )
).sum()
two.backward()
print(torch.allclose(kept, z.grad, atol=1e-5), one.item() - two.item() < 1e-4)
print(net.state_dict().keys().__len__(), list(net.state_dict())[:3])
