"""WGAN with a gradient penalty: double backward through a convolutional critic."""

import torch
import torch.autograd as autograd
import torch.nn as nn

torch.manual_seed(12)
img_shape, latent_dim, lambda_gp, n_critic = (1, 8, 8), 6, 10, 2


class Generator(nn.Module):
    def __init__(self):
        super().__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(
            *block(latent_dim, 16, normalize=False),
            *block(16, 32),
            nn.Linear(32, 64),
            nn.Tanh(),
        )

    def forward(self, z):
        img = self.model(z)
        return img.view(img.shape[0], *img_shape)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.InstanceNorm2d(4, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(32, 1),
        )

    def forward(self, img):
        return self.model(img)


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = torch.rand(real_samples.size(0), 1, 1, 1)
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    fake = torch.ones(real_samples.shape[0], 1, requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=fake,
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


generator, critic = Generator(), Critic()
print(generator, critic)
optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.0005, betas=(0.5, 0.9))
optimizer_D = torch.optim.Adam(critic.parameters(), lr=0.0005, betas=(0.5, 0.9))
data = torch.rand(32, *img_shape).mul(2).sub(1).pow(3)
for i in range(6):
    imgs = data[torch.randint(0, 32, (8,))]
    optimizer_D.zero_grad()
    z = torch.randn(imgs.shape[0], latent_dim)
    fake_imgs = generator(z)
    real_validity = critic(imgs)
    fake_validity = critic(fake_imgs)
    gradient_penalty = compute_gradient_penalty(critic, imgs.data, fake_imgs.data)
    d_loss = -torch.mean(real_validity) + torch.mean(fake_validity) + lambda_gp * gradient_penalty
    d_loss.backward()
    optimizer_D.step()
    optimizer_G.zero_grad()
    if i % n_critic == 0:
        fake_imgs = generator(z)
        g_loss = -torch.mean(critic(fake_imgs))
        g_loss.backward()
        optimizer_G.step()
        print("[Batch %d/%d] [D loss: %f] [G loss: %f]" % (i, 6, d_loss.item(), g_loss.item()))
print("penalty", gradient_penalty, gradient_penalty.requires_grad)

# weight clipping, as the first WGAN had it
for p in critic.parameters():
    p.data.clamp_(-0.01, 0.01)
print(max(p.abs().max().item() for p in critic.parameters()) <= 0.01 + 1e-9)

# R1 regularisation and a Hessian-vector product by two backward passes
real = imgs.clone().requires_grad_()
scores = critic(real).sum()
(g,) = autograd.grad(scores, real, create_graph=True)
r1 = g.pow(2).flatten(1).sum(1).mean()
r1.backward()
print(r1.item() >= 0, real.grad is not None, critic.model[0].weight.grad.shape)
w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
v = torch.tensor([0.3, 0.1, -1.0])
f = (w**4).sum() + w.prod()
(g,) = autograd.grad(f, w, create_graph=True)
(hv,) = autograd.grad(g @ v, w)
print(g, hv)
