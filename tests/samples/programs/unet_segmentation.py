"""A small U-Net: transposed convolutions, skip connections, dice and BCE losses, IoU."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

np.random.seed(0)
torch.manual_seed(42)


class Circles(Dataset):
    def __init__(self, n, size=24):
        self.n, self.size = n, size
        self.rng = np.random.RandomState(3)
        self.centres = self.rng.randint(6, size - 6, (n, 2))
        self.radii = self.rng.randint(3, 6, n)

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        yy, xx = np.mgrid[: self.size, : self.size]
        cy, cx = self.centres[i]
        mask = ((yy - cy) ** 2 + (xx - cx) ** 2 <= self.radii[i] ** 2).astype(np.float32)
        noise = np.random.RandomState(i).randn(self.size, self.size).astype(np.float32)
        image = mask * 0.8 + 0.2 * noise
        return torch.from_numpy(image).unsqueeze(0), torch.from_numpy(mask)[None]


def double_conv(in_ch, out_ch):
    return nn.Sequential(
        nn.Conv2d(in_ch, out_ch, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_ch),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_ch, out_ch, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_ch),
        nn.ReLU(inplace=True),
    )


class Up(nn.Module):
    def __init__(self, in_ch, out_ch, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(in_ch, in_ch // 2, 1),
            )
        else:
            self.up = nn.ConvTranspose2d(in_ch, in_ch // 2, kernel_size=2, stride=2)
        self.conv = double_conv(in_ch, out_ch)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, base=4):
        super().__init__()
        self.inc = double_conv(1, base)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), double_conv(base, base * 2))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), double_conv(base * 2, base * 4))
        self.up1 = Up(base * 4, base * 2, bilinear=False)
        self.up2 = Up(base * 2, base, bilinear=True)
        self.outc = nn.Conv2d(base, 1, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x = self.up1(x3, x2)
        x = self.up2(x, x1)
        return self.outc(x)


class DiceBCELoss(nn.Module):
    def __init__(self, weight=None, size_average=True):
        super(DiceBCELoss, self).__init__()

    def forward(self, inputs, targets, smooth=1):
        bce = F.binary_cross_entropy_with_logits(inputs, targets)
        inputs = torch.sigmoid(inputs).view(-1)
        targets = targets.view(-1)
        intersection = (inputs * targets).sum()
        dice = 1 - (2.0 * intersection + smooth) / (inputs.sum() + targets.sum() + smooth)
        return bce + dice


def iou_score(output, target):
    with torch.no_grad():
        output = torch.sigmoid(output).data.cpu().numpy() > 0.5
        target = target.data.cpu().numpy() > 0.5
    intersection = (output & target).sum()
    union = (output | target).sum()
    return (intersection + 1e-5) / (union + 1e-5)


loader = DataLoader(Circles(24), batch_size=8, shuffle=True)
model = UNet()
print(model)
criterion = DiceBCELoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=0)
for epoch in range(3):
    model.train()
    epoch_loss = 0
    for images, masks in loader:
        assert images.shape[1] == 1, f"expected 1 channel, got {images.shape[1]}"
        masks_pred = model(images)
        loss = criterion(masks_pred, masks)
        epoch_loss += loss.item()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
    scheduler.step(epoch_loss)
    lr = optimizer.param_groups[0]["lr"]
    print(f"epoch {epoch}: loss {epoch_loss / len(loader):.4f}, lr {lr}")
model.eval()
with torch.no_grad():
    out = model(images)
print(out.shape, out.dtype, 0 <= iou_score(out, masks) <= 1)
print(model.inc[1].running_mean, model.inc[1].num_batches_tracked)
