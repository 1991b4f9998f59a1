import torch, numpy as np
from torch import nn
from einops import rearrange, reduce, repeat, einsum, pack, unpack, parse_shape, asnumpy
from einops.layers.torch import Rearrange, Reduce, EinMix

torch.manual_seed(0)
x = torch.randn(2, 3, 8, 8, requires_grad=True)
y = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4)
print(y.shape, y.sum().item())
print(reduce(x, "b c h w -> b c", "mean"), reduce(x, "b c (h a) w -> b c h w", "max", a=2).shape)
print(repeat(x[0, 0], "h w -> h (w k)", k=3)[0, :6])
print(einsum(x, x, "b c h w, b d h w -> b c d"))
p, ps = pack([torch.zeros(2, 3), torch.ones(2, 4, 3)], "b * c")
print(p.shape, ps)
print([t.shape for t in unpack(p, ps, "b * c")])
print(parse_shape(x, "b c h w"))
print(asnumpy(y.detach()).shape)
net = nn.Sequential(
    Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4),
    nn.Linear(48, 16),
    nn.GELU(),
    EinMix("b t c -> b t d", weight_shape="c d", bias_shape="d", c=16, d=5),
    Reduce("b t d -> b d", "mean"),
)
print(net)
opt = torch.optim.Adam(net.parameters(), 1e-2)
t = torch.tensor([1, 3])
for i in range(4):
    loss = nn.functional.cross_entropy(net(x), t)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(round(loss.item(), 5))
print(x.grad.abs().sum().item())
print(
    reduce(torch.arange(12).reshape(3, 4), "a b -> b", "prod"),
    reduce(torch.ones(3, 4, dtype=torch.bool), "a b -> b", "all"),
)
print(rearrange([torch.ones(2), torch.zeros(2)], "k a -> a k"))
try:
    rearrange(x, "a b -> b a")
except Exception as e:
    print(type(e), str(e)[:60])
