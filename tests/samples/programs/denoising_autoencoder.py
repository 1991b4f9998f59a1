"""A convolutional denoising autoencoder with early stopping and the best weights restored."""

import copy

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(17)
np.random.seed(17)


class EarlyStopping:
    def __init__(self, patience=2, verbose=False, delta=0.0, trace_func=print):
        self.patience, self.verbose, self.delta = patience, verbose, delta
        self.counter, self.best_score, self.early_stop = 0, None, False
        self.val_loss_min = np.inf
        self.trace_func = trace_func
        self.best_state = None

    def __call__(self, val_loss, model):
        score = -val_loss
        if self.best_score is None:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
        elif score < self.best_score + self.delta:
            self.counter += 1
            self.trace_func(f"EarlyStopping counter: {self.counter} out of {self.patience}")
            if self.counter >= self.patience:
                self.early_stop = True
        else:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
            self.counter = 0

    def save_checkpoint(self, val_loss, model):
        if self.verbose:
            self.trace_func(
                f"Validation loss decreased ({self.val_loss_min:.4f} --> {val_loss:.4f})."
            )
        self.best_state = copy.deepcopy(model.state_dict())
        self.val_loss_min = val_loss


class ConvAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12 * 4 * 4, 8),
        )
        self.decoder = nn.Sequential(
            nn.Linear(8, 12 * 4 * 4),
            nn.Unflatten(1, (12, 4, 4)),
            nn.ReLU(),
            nn.ConvTranspose2d(12, 6, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(6, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


stripes = torch.zeros(80, 1, 16, 16)
for i in range(80):
    stripes[i, 0, :, i % 13 : i % 13 + 3] = 1.0
    if i % 2:
        stripes[i] = stripes[i].transpose(1, 2).clone()
dataset = TensorDataset(stripes)
indices = np.random.permutation(len(dataset))
train_loader = DataLoader(Subset(dataset, indices[:64]), batch_size=16, shuffle=True, drop_last=True)
valid_loader = DataLoader(Subset(dataset, indices[64:]), batch_size=16)


def add_noise(img, noise_factor=0.3):
    noisy = img + torch.randn(*img.shape) * noise_factor
    return torch.clamp(noisy, 0.0, 1.0)


model = ConvAutoencoder()
print(model)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=10.0)
stopper = EarlyStopping(verbose=True)
for epoch in range(1, 9):
    train_losses, valid_losses = [], []
    model.train()
    for (images,) in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(add_noise(images)), images)
        loss.backward()
        optimizer.step()
        train_losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        for (images,) in valid_loader:
            valid_losses.append(criterion(model(add_noise(images)), images).item())
    scheduler.step()
    print(f"[{epoch:>2}/8] train_loss: {np.average(train_losses):.4f}")
    stopper(np.average(valid_losses), model)
    if epoch == 4:
        optimizer.param_groups[0]["lr"] = 0.5
    if stopper.early_stop:
        print("Early stopping")
        break
print(model.load_state_dict(stopper.best_state))
sample = model(stripes[:2]).squeeze(1)
print(sample.shape, (sample > 0.5).float().mean() <= 1, model.encoder[0].weight.norm())
