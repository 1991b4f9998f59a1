"""Fits with LBFGS: a time-sequence LSTMCell in double precision, then a polynomial."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

np.random.seed(2)
torch.manual_seed(2)
T, L, N = 20, 24, 6
x = np.empty((N, L), "int64")
x[:] = np.array(range(L)) + np.random.randint(-4 * T, 4 * T, N).reshape(N, 1)
data = np.sin(x / 1.0 / T).astype("float64")


class Sequence(nn.Module):
    def __init__(self):
        super(Sequence, self).__init__()
        self.lstm1 = nn.LSTMCell(1, 8)
        self.linear = nn.Linear(8, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), 8, dtype=torch.double)
        c_t = torch.zeros(input.size(0), 8, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            output = self.linear(h_t)
            outputs += [output]
        for i in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            output = self.linear(h_t)
            outputs += [output]
        return torch.cat(outputs, dim=1)


input = torch.from_numpy(data[2:, :-1])
target = torch.from_numpy(data[2:, 1:])
test_input = torch.from_numpy(data[:2, :-1])
seq = Sequence()
seq.double()
criterion = nn.MSELoss()
optimizer = optim.LBFGS(seq.parameters(), lr=0.8, max_iter=4)
for i in range(3):
    print("STEP: ", i)

    def closure():
        optimizer.zero_grad()
        out = seq(input)
        loss = criterion(out, target)
        print("loss:", loss.item())
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        pred = seq(test_input, future=5)
        y = pred.detach().numpy()
        print(y.shape, y.dtype, np.round(y[0, -3:], 4))

x = torch.linspace(-1, 1, 50, dtype=torch.float64)
design = torch.stack([x**k for k in range(4)], dim=1)
y = design @ torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=torch.float64)
w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
opt = torch.optim.LBFGS([w], max_iter=20, history_size=5, line_search_fn="strong_wolfe")


def closure():
    opt.zero_grad()
    objective = torch.nn.functional.mse_loss(design @ w, y)
    objective.backward()
    return objective


final = opt.step(closure)
print(f"start {final:.4f}, weights {[round(v, 3) for v in w.tolist()]}")
print(opt.state_dict()["state"][0]["n_iter"] > 3, w.grad.abs().max() < 1e-4)
print(torch.linalg.lstsq(design, y.unsqueeze(1)).solution.squeeze())
