"""A GAN that learns a one-dimensional Gaussian: two optimizers, detach, moments of samples."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.autograd import Variable

torch.manual_seed(3)
np.random.seed(3)
data_mean, data_stddev = 4, 1.25


def get_distribution_sampler(mu, sigma):
    return lambda n: torch.Tensor(np.random.normal(mu, sigma, (1, n)))


def get_generator_input_sampler():
    return lambda m, n: torch.rand(m, n)


def get_moments(d):
    mean = torch.mean(d)
    diffs = d - mean
    var = torch.mean(torch.pow(diffs, 2.0))
    std = torch.pow(var, 0.5)
    zscores = diffs / std
    skews = torch.mean(torch.pow(zscores, 3.0))
    kurtoses = torch.mean(torch.pow(zscores, 4.0)) - 3.0
    return torch.cat(
        (mean.reshape(1), std.reshape(1), skews.reshape(1), kurtoses.reshape(1))
    )


class Generator(nn.Module):
    def __init__(self, input_size, hidden_size, output_size, f):
        super(Generator, self).__init__()
        self.map1 = nn.Linear(input_size, hidden_size)
        self.map2 = nn.Linear(hidden_size, hidden_size)
        self.map3 = nn.Linear(hidden_size, output_size)
        self.f = f

    def forward(self, x):
        x = self.f(self.map1(x))
        x = self.f(self.map2(x))
        return self.map3(x)


class Discriminator(Generator):
    def forward(self, x):
        x = self.f(self.map1(x))
        x = self.f(self.map2(x))
        return torch.sigmoid(self.map3(x))


def extract(v):
    return v.data.storage().tolist()


def stats(d):
    return [np.mean(d), np.std(d)]


minibatch = 32
d_sampler = get_distribution_sampler(data_mean, data_stddev)
gi_sampler = get_generator_input_sampler()
G = Generator(1, 5, 1, f=torch.tanh)
D = Discriminator(4, 10, 1, f=torch.sigmoid)
criterion = nn.BCELoss()
d_optimizer = optim.SGD(D.parameters(), lr=1e-3, momentum=0.9)
g_optimizer = optim.SGD(G.parameters(), lr=1e-3, momentum=0.9)
for epoch in range(6):
    for d_index in range(3):
        D.zero_grad()
        d_real_data = Variable(d_sampler(minibatch))
        d_real_decision = D(get_moments(d_real_data))
        d_real_error = criterion(d_real_decision, Variable(torch.ones([1])))
        d_real_error.backward()

        d_gen_input = Variable(gi_sampler(minibatch, 1))
        d_fake_data = G(d_gen_input).detach()
        d_fake_decision = D(get_moments(d_fake_data.t()))
        d_fake_error = criterion(d_fake_decision, Variable(torch.zeros([1])))
        d_fake_error.backward()
        d_optimizer.step()
        dre, dfe = extract(d_real_error)[0], extract(d_fake_error)[0]
    for g_index in range(3):
        G.zero_grad()
        gen_input = Variable(gi_sampler(minibatch, 1))
        g_fake_data = G(gen_input)
        dg_fake_decision = D(get_moments(g_fake_data.t()))
        g_error = criterion(dg_fake_decision, Variable(torch.ones([1])))
        g_error.backward()
        g_optimizer.step()
        ge = extract(g_error)[0]
    if epoch % 2 == 0:
        print(
            "Epoch %s: D (%.4f real_err, %.4f fake_err) G (%.4f err); Real Dist (%s),  Fake Dist (%s) "
            % (
                epoch,
                dre,
                dfe,
                ge,
                np.round(stats(extract(d_real_data)), 3),
                np.round(stats(extract(d_fake_data)), 3),
            )
        )
print(dg_fake_decision.grad_fn, d_real_decision.requires_grad, d_fake_data.requires_grad)
