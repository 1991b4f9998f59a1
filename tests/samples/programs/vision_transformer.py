"""A vision transformer on synthetic shapes: patches by Conv2d, class token, encoder layers."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)


class PatchEmbedding(nn.Module):
    def __init__(self, img_size=16, patch_size=4, in_chans=3, embed_dim=32):
        super().__init__()
        self.n_patches = (img_size // patch_size) ** 2
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x):
        x = self.proj(x)  # B, E, H/P, W/P
        return x.flatten(2).transpose(1, 2)


class ViT(nn.Module):
    def __init__(self, num_classes=4, embed_dim=32, depth=2, num_heads=4):
        super().__init__()
        self.patch_embed = PatchEmbedding(embed_dim=embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.patch_embed.n_patches + 1, embed_dim))
        layer = nn.TransformerEncoderLayer(
            d_model=embed_dim,
            nhead=num_heads,
            dim_feedforward=embed_dim * 2,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_classes)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x):
        x = self.patch_embed(x)
        cls = self.cls_token.expand(x.shape[0], -1, -1)
        x = torch.cat((cls, x), dim=1)
        x = x + self.pos_embed
        x = self.norm(self.encoder(x))
        return self.head(x[:, 0])


images = torch.rand(96, 3, 16, 16) * 0.3
labels = torch.arange(96) % 4
for i, label in enumerate(labels):
    r, c = divmod(label.item(), 2)
    images[i, :, r * 8 : r * 8 + 8, c * 8 : c * 8 + 8] += 0.6
dataset = TensorDataset(images, labels)
train_set, test_set = random_split(dataset, [80, 16])
train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
test_loader = DataLoader(test_set, batch_size=16)
print(len(train_loader.dataset), len(test_loader.dataset), len(train_loader))

model = ViT()
print(model)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
for epoch in range(3):
    model.train()
    running = 0.0
    for batch, (x, y) in enumerate(train_loader):
        pred = model(x)
        loss = criterion(pred, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        running += loss.item() * x.size(0)
        if batch % 2 == 0:
            loss, current = loss.item(), batch * 16 + len(x)
            print(f"loss: {loss:>7f}  [{current:>5d}/{len(train_loader.dataset):>5d}]")
    scheduler.step()
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for x, y in test_loader:
            pred = model(x)
            test_loss += criterion(pred, y).item()
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    print(f"epoch {epoch}: train {running / len(train_set):.4f}, test {test_loss:.4f}")
    print(f"lr {scheduler.get_last_lr()}")
print({k: tuple(v.shape) for k, v in list(model.state_dict().items())[:6]})
