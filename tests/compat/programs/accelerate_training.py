import torch
from torch import nn
from accelerate import Accelerator
from accelerate.utils import set_seed

set_seed(0)
a = Accelerator(cpu=True, gradient_accumulation_steps=2)
X = torch.randn(64, 4)
y = X.sum(1, keepdim=True)
dl = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=8, shuffle=True)
m = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
o = torch.optim.Adam(m.parameters(), 1e-2)
s = torch.optim.lr_scheduler.StepLR(o, 5)
m, o, dl, s = a.prepare(m, o, dl, s)
print(a.device, a.num_processes, a.is_main_process, type(m).__name__)
for ep in range(3):
    for xb, yb in dl:
        with a.accumulate(m):
            l = nn.functional.mse_loss(m(xb), yb)
            a.backward(l)
            a.clip_grad_norm_(m.parameters(), 1.0)
            o.step()
            s.step()
            o.zero_grad()
    print(f"{l.item():.4f} {s.get_last_lr()[0]:.2e}")
print(a.gather(torch.tensor([1, 2])), a.unwrap_model(m) is m)
import tempfile

with tempfile.TemporaryDirectory() as d:
    a.save_state(d)
    w = m[0].weight.detach().clone()
    with torch.no_grad():
        m[0].weight.zero_()
    a.load_state(d)
    print((w == m[0].weight).all())
