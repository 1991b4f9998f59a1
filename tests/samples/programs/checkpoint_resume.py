"""Training that is interrupted and resumed from a file continues bit for bit."""

import copy
import os
import pickle
import random
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

SEED = 77


def set_seed(seed=SEED):
    random.seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.bn = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.3)
        self.fc1 = nn.Linear(6 * 3 * 3, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn(self.conv1(x))))
        x = self.drop(torch.flatten(x, 1))
        return self.fc1(x)


set_seed()
data = TensorDataset(torch.randn(40, 1, 8, 8), torch.randint(0, 10, (40,)))
folder = tempfile.mkdtemp()
PATH = os.path.join(folder, "model.pt")


def build():
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    return net, optimizer, optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)


def run_epoch(net, optimizer, scheduler):
    net.train()
    running_loss = 0.0
    for x, y in DataLoader(data, batch_size=8, shuffle=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    scheduler.step()
    return running_loss


net, optimizer, scheduler = build()
print("Model's state_dict:")
for param_tensor in net.state_dict():
    print(param_tensor, "\t", net.state_dict()[param_tensor].size())
print("Optimizer's state_dict:")
for var_name in optimizer.state_dict():
    print(var_name, "\t", optimizer.state_dict()[var_name])
print(f"{run_epoch(net, optimizer, scheduler):.4f}")
torch.save(
    {
        "epoch": 1,
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "args": {"lr": 0.01, "name": "net"},
    },
    PATH,
)
kept = copy.deepcopy(net)
straight = [run_epoch(net, optimizer, scheduler) for _ in range(2)]

resumed, optimizer2, scheduler2 = build()
checkpoint = torch.load(PATH, map_location="cpu", weights_only=True)
print(sorted(checkpoint), checkpoint["args"], type(checkpoint["model_state_dict"]).__name__)
print(resumed.load_state_dict(checkpoint["model_state_dict"], strict=True))
optimizer2.load_state_dict(checkpoint["optimizer_state_dict"])
scheduler2.load_state_dict(checkpoint["scheduler"])
torch.set_rng_state(checkpoint["rng"])
again = [run_epoch(resumed, optimizer2, scheduler2) for _ in range(2)]
print("same losses:", straight == again, "lr:", scheduler2.get_last_lr())
print(
    "same weights:",
    all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), resumed.state_dict().values())),
)
print("moved on:", not torch.equal(kept.fc1.weight, net.fc1.weight))

state = torch.load(PATH)["model_state_dict"]
state["fc2.weight"] = state.pop("fc1.weight")
print(resumed.load_state_dict(state, strict=False))
try:
    resumed.load_state_dict(state)
except RuntimeError as error:
    print(error)
try:
    nn.Linear(3, 2).load_state_dict(nn.Linear(2, 2).state_dict())
except RuntimeError as error:
    print(error)
torch.save(net, PATH)
try:
    torch.load(PATH)
except pickle.UnpicklingError as error:
    print(str(error).splitlines()[0][:60])
whole = torch.load(PATH, weights_only=False)
whole.eval()
net.eval()
print(torch.equal(whole(data.tensors[0]), net(data.tensors[0])), whole.training)
blob = pickle.dumps({"t": torch.arange(3), "p": nn.Parameter(torch.ones(2)), "d": torch.float16})
print(pickle.loads(blob))
print(os.path.getsize(PATH) > 1000, os.listdir(folder))
