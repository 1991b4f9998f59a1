"""Forecasting: sliding windows, an LSTM, a temporal convolution, scaling and un-scaling."""

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import Variable
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, Dataset

np.random.seed(0)
torch.manual_seed(0)
t = np.arange(160)
series = (np.sin(t / 6) + 0.01 * t + np.random.randn(160) * 0.05).reshape(-1, 1)
low, high = series.min(), series.max()
scaled = 2 * (series - low) / (high - low) - 1


def sliding_windows(data, seq_length):
    x, y = [], []
    for i in range(len(data) - seq_length - 1):
        x.append(data[i : (i + seq_length)])
        y.append(data[i + seq_length])
    return np.array(x), np.array(y)


seq_length = 12
x, y = sliding_windows(scaled, seq_length)
train_size = int(len(y) * 0.67)
dataX, dataY = Variable(torch.Tensor(np.array(x))), Variable(torch.Tensor(np.array(y)))
trainX, trainY = dataX[:train_size], dataY[:train_size]
testX, testY = dataX[train_size:], dataY[train_size:]
print(trainX.shape, testX.shape, trainX.dtype, trainX[0, :3].flatten())


class LSTM(nn.Module):
    def __init__(self, num_classes, input_size, hidden_size, num_layers):
        super(LSTM, self).__init__()
        self.num_layers, self.hidden_size = num_layers, hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h_0 = Variable(torch.zeros(self.num_layers, x.size(0), self.hidden_size))
        c_0 = Variable(torch.zeros(self.num_layers, x.size(0), self.hidden_size))
        ula, (h_out, _) = self.lstm(x, (h_0, c_0))
        h_out = h_out.view(-1, self.hidden_size)
        return self.fc(h_out)


lstm = LSTM(1, 1, 6, 1)
criterion = torch.nn.MSELoss()
optimizer = torch.optim.Adam(lstm.parameters(), lr=0.01)
for epoch in range(4):
    outputs = lstm(trainX)
    optimizer.zero_grad()
    loss = criterion(outputs, trainY)
    loss.backward()
    optimizer.step()
    print("Epoch: %d, loss: %1.5f" % (epoch, loss.item()))
lstm.eval()
predict = (lstm(testX).data.numpy() + 1) / 2 * (high - low) + low
print(predict.shape, predict.dtype, np.round(predict[:3, 0], 2))


class Chomp1d(nn.Module):
    def __init__(self, chomp_size):
        super(Chomp1d, self).__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    def __init__(self, n_inputs, n_outputs, kernel_size, dilation, dropout=0.1):
        super(TemporalBlock, self).__init__()
        padding = (kernel_size - 1) * dilation
        self.net = nn.Sequential(
            weight_norm(nn.Conv1d(n_inputs, n_outputs, kernel_size, padding=padding, dilation=dilation)),
            Chomp1d(padding),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None

    def forward(self, x):
        res = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.net(x) + res)


class Windows(Dataset):
    def __init__(self, data, width):
        self.data, self.width = torch.as_tensor(data, dtype=torch.float32).squeeze(-1), width

    def __len__(self):
        return len(self.data) - self.width

    def __getitem__(self, i):
        window = self.data[i : i + self.width + 1]
        return window[:-1].unsqueeze(0), window[1:].unsqueeze(0)


tcn = nn.Sequential(TemporalBlock(1, 6, 3, 1), TemporalBlock(6, 6, 3, 2), nn.Conv1d(6, 1, 1))
print(tcn)
optimizer = torch.optim.AdamW(tcn.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=16)
quantile = lambda p, y, q: torch.max((q - 1) * (y - p), q * (y - p)).mean()
for epoch in range(2):
    total = 0.0
    for xb, yb in DataLoader(Windows(scaled, 16), batch_size=20, shuffle=True):
        loss = quantile(tcn(xb), yb, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item()
    print(f"epoch {epoch} pinball {total:.4f} lr {optimizer.param_groups[0]['lr']:.5f}")
history = torch.tensor(scaled[-16:], dtype=torch.float32).view(1, 1, -1)
tcn.eval()
with torch.no_grad():
    for _ in range(5):
        nxt = tcn(history)[:, :, -1:]
        history = torch.cat([history, nxt], dim=-1)
print(history.shape, history[0, 0, -5:].numpy().round(2).shape)
s = torch.tensor(series).squeeze()
print(s.unfold(0, 8, 4).mean(1)[:4], s.diff()[:3], torch.fft.rfft(s - s.mean()).abs().argmax())
print(torch.nn.functional.avg_pool1d(s[None, None], 5, 1)[0, 0, :3], s.cumsum(0)[-1], s.std(), s.var(0))
