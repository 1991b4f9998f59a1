"""Message passing without a library: index_add_, scatter_reduce, GAT, pooling by graph."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter

torch.manual_seed(15)
num_nodes = 14
edge_index = torch.tensor(
    [[i, (i + k) % num_nodes] for i in range(num_nodes) for k in (1, 3)], dtype=torch.long
).t().contiguous()
edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
print(edge_index.shape, edge_index[:, :6])
x = torch.randn(num_nodes, 6)
y = (torch.arange(num_nodes) // 5).clamp(max=2)
train_mask = torch.zeros(num_nodes, dtype=torch.bool)
train_mask[::2] = True


def degree(index, n):
    return torch.zeros(n).scatter_add_(0, index, torch.ones(index.numel()))


class GCNConv(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        self.bias = Parameter(torch.FloatTensor(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / self.weight.size(1) ** 0.5
        self.weight.data.uniform_(-stdv, stdv)
        self.bias.data.uniform_(-stdv, stdv)

    def forward(self, x, edge_index):
        row, col = edge_index
        deg = degree(row, x.size(0))
        deg_inv_sqrt = deg.pow(-0.5)
        deg_inv_sqrt[deg_inv_sqrt == float("inf")] = 0
        norm = deg_inv_sqrt[row] * deg_inv_sqrt[col]
        support = torch.mm(x, self.weight)
        out = torch.zeros_like(support).index_add_(0, row, norm.unsqueeze(1) * support[col])
        return out + self.bias

    def __repr__(self):
        return f"{self.__class__.__name__} ({self.weight.size(0)} -> {self.weight.size(1)})"


class GATLayer(nn.Module):
    def __init__(self, in_features, out_features, alpha=0.2):
        super().__init__()
        self.W = nn.Parameter(torch.empty(size=(in_features, out_features)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.a = nn.Parameter(torch.empty(size=(2 * out_features, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.leakyrelu = nn.LeakyReLU(alpha)
        self.out_features = out_features

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W)
        e = self.leakyrelu(
            torch.matmul(Wh, self.a[: self.out_features, :])
            + torch.matmul(Wh, self.a[self.out_features :, :]).T
        )
        zero_vec = -9e15 * torch.ones_like(e)
        attention = F.softmax(torch.where(adj > 0, e, zero_vec), dim=1)
        return F.elu(torch.matmul(attention, Wh))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.gat, self.conv2 = GCNConv(6, 8), GATLayer(8, 8), GCNConv(8, 3)

    def forward(self, x, edge_index, adj):
        x = F.relu(self.conv1(x, edge_index))
        x = F.dropout(x, p=0.2, training=self.training)
        x = self.gat(x, adj)
        return F.log_softmax(self.conv2(x, edge_index), dim=1)


adj = torch.zeros(num_nodes, num_nodes)
adj[edge_index[0], edge_index[1]] = 1
adj += torch.eye(num_nodes)
print(adj.sum(), torch.equal(adj, adj.T), degree(edge_index[0], num_nodes))
model = Net()
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(5):
    model.train()
    optimizer.zero_grad()
    out = model(x, edge_index, adj)
    loss = F.nll_loss(out[train_mask], y[train_mask])
    loss.backward()
    optimizer.step()
    print(f"Epoch: {epoch:03d}, Loss: {loss:.4f}")
model.eval()
pred = model(x, edge_index, adj).argmax(dim=1)
acc = int((pred[~train_mask] == y[~train_mask]).sum()) / int((~train_mask).sum())
print(0 <= acc <= 1, pred.shape)

batch = torch.tensor([0] * 4 + [1] * 7 + [2] * 3)
h = x.clone().requires_grad_()
mean = torch.zeros(3, 6).scatter_reduce(0, batch[:, None].expand(-1, 6), h, "mean", include_self=False)
top = torch.full((3, 6), -1e9).scatter_reduce(0, batch[:, None].expand_as(h), h, reduce="amax")
(mean.pow(2).sum() + top.sum()).backward()
print(mean[:, :3], top[0, :3], h.grad[:2, :3], sep="\n")
row, col = edge_index
pairs = torch.stack([torch.minimum(row, col), torch.maximum(row, col)])
print(torch.unique(pairs, dim=1).shape, torch.combinations(torch.arange(4)).tolist()[:3])
dist = torch.full((num_nodes,), float("inf"))
dist[0] = 0
for _ in range(4):
    dist = torch.minimum(dist, torch.full_like(dist, float("inf")).index_reduce_(0, row, dist[col] + 1, "amin"))
print(dist)
