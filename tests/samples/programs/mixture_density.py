"""Mixture density network and friends: torch.distributions in losses and samplers."""

import torch
import torch.nn as nn
from torch import distributions as D
from torch.distributions import Bernoulli, Beta, Categorical, Independent, MixtureSameFamily, Normal
from torch.distributions.kl import kl_divergence

torch.manual_seed(77)


class MDN(nn.Module):
    def __init__(self, n_hidden=16, n_gaussians=3):
        super().__init__()
        self.z_h = nn.Sequential(nn.Linear(1, n_hidden), nn.Tanh())
        self.z_pi = nn.Linear(n_hidden, n_gaussians)
        self.z_sigma = nn.Linear(n_hidden, n_gaussians)
        self.z_mu = nn.Linear(n_hidden, n_gaussians)

    def forward(self, x):
        z_h = self.z_h(x)
        pi = nn.functional.softmax(self.z_pi(z_h), -1)
        sigma = torch.exp(self.z_sigma(z_h))
        return pi, sigma, self.z_mu(z_h)


def mdn_loss(pi, sigma, mu, y):
    m = torch.distributions.Normal(loc=mu, scale=sigma)
    log_prob = m.log_prob(y.expand_as(mu))
    return -torch.logsumexp(log_prob + torch.log(pi), dim=1).mean()


y = torch.linspace(-1, 1, 64).unsqueeze(1)
x = y + 0.3 * torch.sin(2 * torch.pi * y) + 0.05 * torch.rand_like(y)
net = MDN()
optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
for epoch in range(10):
    pi, sigma, mu = net(x)
    loss = mdn_loss(pi, sigma, mu, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 3 == 0:
        print(epoch, loss.data.tolist().__round__(4))
with torch.no_grad():
    pi, sigma, mu = net(x[:5])
    mix = MixtureSameFamily(Categorical(pi), Normal(mu, sigma))
    print(mix.batch_shape, mix.mean, mix.variance)
    print(-mix.log_prob(y[:5, 0]).mean(), mix.sample((2,)).shape)
    k = torch.multinomial(pi, 1).view(-1)
    print(k.shape, torch.normal(mu, sigma)[torch.arange(5), k].shape)

# a Bayesian layer by reparameterisation, with the KL to a prior
mu_w, rho = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.full((4,), -3.0))
features = torch.randn(30, 4)
target = features @ torch.tensor([1.0, -1.0, 0.5, 0.0])
opt = torch.optim.Adam([mu_w, rho], lr=0.05)
prior = Normal(0.0, 1.0)
for step in range(6):
    q = Normal(mu_w, torch.nn.functional.softplus(rho))
    w = q.rsample()
    nll = -Normal(features @ w, 0.3).log_prob(target).sum()
    kl = kl_divergence(q, prior).sum()
    opt.zero_grad()
    (nll + kl).backward()
    opt.step()
    print(f"elbo {-(nll + kl).item():.3f} kl {kl.item():.4f}")
print(q, prior.sample().shape, kl_divergence(Bernoulli(0.3), Bernoulli(probs=0.6)))
d = Independent(Normal(torch.zeros(3, 2), torch.ones(3, 2)), 1)
print(d, d.log_prob(torch.ones(3, 2)), d.entropy())
print(Beta(torch.tensor([2.0]), torch.tensor([5.0])).mean, D.Gamma(2.0, 3.0).variance)
print(D.Categorical(logits=torch.tensor([0.1, 0.2, 0.7])).entropy(), D.Poisson(4.0).sample((3,)).shape)
print(D.Uniform(0, 2).log_prob(torch.tensor(1.0)), D.Exponential(torch.tensor([1.0, 2.0])).rsample().shape)
try:
    Normal(torch.tensor([0.0]), torch.tensor([-1.0]))
except ValueError as error:
    print(error)
# squashed Gaussian, as soft actor-critic has it
normal = Normal(torch.zeros(5), torch.ones(5))
u = normal.rsample()
action = torch.tanh(u)
log_prob = normal.log_prob(u) - torch.log(1 - action.pow(2) + 1e-6)
flow = D.TransformedDistribution(normal, [D.transforms.TanhTransform(cache_size=1)])
print(torch.allclose(flow.log_prob(action), log_prob, atol=1e-3), log_prob.sum(-1, keepdim=True).shape)
