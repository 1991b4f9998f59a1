"""Metrics from scratch: confusion matrices, F1, top-k, IoU, R2, calibration, NMS."""

import torch
from torch import Tensor

torch.manual_seed(14)
torch.set_printoptions(precision=3)
n, C = 50, 4
logits = torch.randn(n, C)
y = torch.randint(0, C, (n,))
preds = logits.argmax(1)


def confusion(preds: Tensor, target: Tensor, k: int) -> Tensor:
    return torch.bincount(target * k + preds, minlength=k * k).reshape(k, k)


cm = confusion(preds, y, C)
print(cm)
slow = torch.zeros(C, C, dtype=torch.int64)
for t, p in zip(y.view(-1), preds.view(-1)):
    slow[t.long(), p.long()] += 1
print(torch.equal(cm, slow), cm.diag().sum() / cm.sum())
tp = cm.diag()
precision, recall = tp / cm.sum(0), tp / cm.sum(1)
f1 = 2 * precision * recall / (precision + recall)
print("P", precision, "\nR", recall, "\nF1", f1, f1.nan_to_num(0).mean())
for i, (a, b) in enumerate(zip(precision, recall)):
    print(f"class {i}: precision={a:.3f} recall={b:6.2%} support={(y == i).sum():d}")
onehot = torch.nn.functional.one_hot(y, num_classes=C)
print(onehot[:3], onehot.sum(0), onehot.dtype)
_, top2 = logits.topk(2, dim=1)
print("top-2", (top2 == y.unsqueeze(1)).any(1).float().mean())
probs = logits.softmax(-1)
conf, pred = probs.max(-1)
edges = torch.linspace(0, 1, 6)
ece = torch.zeros(1)
for low, high in zip(edges[:-1], edges[1:]):
    inside = conf.gt(low.item()) & conf.le(high.item())
    if inside.float().mean().item() > 0:
        gap = (pred[inside] == y[inside]).float().mean() - conf[inside].mean()
        ece += torch.abs(gap) * inside.float().mean()
print("ECE", ece, "NLL", -probs[range(n), y].log().mean(), "brier", ((probs - onehot) ** 2).sum(1).mean())

masks = torch.rand(2, 6, 6) > 0.5
inter = (masks[0] & masks[1]).sum().float()
union = (masks[0] | masks[1]).sum().float()
print("IoU", inter / union, "xor", (masks[0] ^ masks[1]).sum(), (~masks[0]).sum().item())
a, b = torch.randn(20), torch.randn(20)
ss_res, ss_tot = ((a - b) ** 2).sum(), ((a - a.mean()) ** 2).sum()
print("R2", 1 - ss_res / ss_tot, "corr", torch.corrcoef(torch.stack([a, b]))[0, 1], torch.cov(torch.stack([a, b])))
rank = lambda t: t.argsort().argsort().float()
print("spearman", torch.corrcoef(torch.stack((rank(a), rank(b))))[0, 1])


def box_iou(p: Tensor, q: Tensor) -> Tensor:
    lt = torch.max(p[:, None, :2], q[:, :2])
    rb = torch.min(p[:, None, 2:], q[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    area = lambda t: (t[:, 2] - t[:, 0]) * (t[:, 3] - t[:, 1])
    return inter / (area(p)[:, None] + area(q) - inter)


def nms(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    order, keep = scores.sort(descending=True)[1], []
    while order.numel() > 0:
        i = order[0]
        keep.append(i.item())
        if order.numel() == 1:
            break
        order = order[1:][box_iou(boxes[i : i + 1], boxes[order[1:]]).squeeze(0) <= limit]
    return torch.tensor(keep)


corners = torch.rand(12, 2) * 10
boxes = torch.cat([corners, corners + torch.rand(12, 2) * 6 + 1], 1)
print("kept", nms(boxes, torch.rand(12), 0.3), box_iou(boxes[:2], boxes[:3]))


class AverageMeter(object):
    def __init__(self, name, fmt=":f"):
        self.name, self.fmt = name, fmt
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

    def __str__(self):
        fmtstr = "{name} {val" + self.fmt + "} ({avg" + self.fmt + "})"
        return fmtstr.format(**self.__dict__)


meter, tensor_meter = AverageMeter("Loss", ":.4e"), AverageMeter("Acc", ":6.2f")
for chunk in torch.arange(10.0).split(3):
    meter.update(chunk.mean().item(), len(chunk))
    tensor_meter.update(chunk.max(), chunk.size(0))
print(meter, tensor_meter, tensor_meter.avg, sep=" | ")
tokens, ref = torch.tensor([1, 5, 5, 2]), torch.tensor([1, 5, 3, 2])
print("token accuracy", tokens.eq(ref).float().mean().item(), torch.eq(tokens, ref).all().item())


def edit_distance(p, q):
    d = torch.zeros(len(p) + 1, len(q) + 1, dtype=torch.int)
    d[:, 0], d[0, :] = torch.arange(len(p) + 1), torch.arange(len(q) + 1)
    for i in range(1, len(p) + 1):
        for j in range(1, len(q) + 1):
            cost = 0 if p[i - 1] == q[j - 1] else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[-1, -1]


print("edit", edit_distance("kitten", "sitting"), edit_distance([1, 2, 3], [1, 3]))
print(torch.argwhere(cm == cm.max()), torch.nonzero(cm.diag() > 3, as_tuple=True), torch.unravel_index(cm.argmax(), cm.shape))
