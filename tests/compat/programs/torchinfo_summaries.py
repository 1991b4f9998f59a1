import torch
from torch import nn
from torchinfo import summary
import torchsummary


class N(nn.Module):
    def __init__(s):
        super().__init__()
        s.c = nn.Conv2d(1, 10, 5)
        s.d = nn.Dropout2d()
        s.f = nn.Linear(1440, 10)
        s.p = nn.Parameter(torch.ones(3))

    def forward(s, x):
        x = torch.relu(torch.max_pool2d(s.d(s.c(x)), 2))
        return s.f(x.flatten(1))


print(summary(N(), (2, 1, 28, 28), verbose=0))
print(
    summary(
        N(),
        (2, 1, 28, 28),
        col_names=(
            "input_size",
            "output_size",
            "num_params",
            "kernel_size",
            "mult_adds",
            "trainable",
            "params_percent",
        ),
        row_settings=("var_names", "depth", "ascii_only"),
        verbose=0,
    )
)
for m, k in [
    (nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True), dict(input_size=(4, 7, 8))),
    (nn.GRU(8, 16), dict(input_size=(4, 7, 8))),
    (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), dict(input_size=(2, 5, 32))),
    (nn.Transformer(32, 4, 2, 2, 64), dict(input_size=[(2, 5, 32)] * 2)),
    (
        nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(40, 2)),
        dict(input_data=torch.zeros(3, 5, dtype=torch.long)),
    ),
    (
        nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(40, 2)),
        dict(input_size=(3, 5), dtypes=[torch.long]),
    ),
    (nn.Sequential(nn.Linear(3, 4)), {}),
    (nn.MultiheadAttention(16, 4), dict(input_data=[torch.ones(3, 2, 16)] * 3)),
    (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.ModuleList([nn.Linear(2, 2)])[0] if 0 else nn.Identity(),
            nn.AdaptiveAvgPool2d(1),
        ),
        dict(input_size=(3, 8, 8), batch_dim=0),
    ),
    (
        nn.Sequential(
            nn.ConvTranspose2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.LazyLinear(4)
        ),
        dict(input_size=(2, 3, 8, 8)),
    ),
]:
    print(summary(m, verbose=0, **k))
torchsummary.summary(N(), (1, 28, 28), device="cpu")
m = N()
for p in m.c.parameters():
    p.requires_grad = False
s = summary(m, (2, 1, 28, 28), device="cpu", depth=1, verbose=0)
print(s, s.total_params, s.trainable_params, s.total_mult_adds, s.total_output_bytes)
try:
    summary(N(), (2, 3, 28, 28), verbose=0)
except RuntimeError as e:
    print(str(e)[:80])
    print(type(e.__cause__))
