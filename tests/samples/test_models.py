"""Programs of the kinds people write, run under Flambeau and under PyTorch from one seed."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

Sample = Callable[[Any], list[float]]


def _numbers(tensor: Any) -> list[float]:
    return [float(v) for v in tensor.detach().reshape(-1).tolist()]


def autoencoder(torch: Any) -> list[float]:
    nn = torch.nn
    net = nn.Sequential(
        nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12)
    )
    x = torch.rand(16, 12)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = nn.functional.mse_loss(net(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + _numbers(net(x))


def variational_autoencoder(torch: Any) -> list[float]:
    nn, F = torch.nn, torch.nn.functional
    encoder, decoder = nn.Linear(10, 4), nn.Linear(2, 10)
    x = torch.rand(16, 10)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    losses = []
    for _ in range(5):
        mean, log_variance = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        fit = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        optimizer.zero_grad()
        (fit + divergence).backward()
        optimizer.step()
        losses += [fit.item(), divergence.item()]
    return losses


def adversarial(torch: Any) -> list[float]:
    nn = torch.nn
    generator = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    first = torch.optim.Adam(generator.parameters(), lr=1e-2, betas=(0.5, 0.999))
    second = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.5, 0.999))
    criterion, losses = nn.BCEWithLogitsLoss(), []
    for _ in range(4):
        real, fake = torch.randn(16, 2) * 0.3 + 1, generator(torch.randn(16, 3))
        second.zero_grad()
        judged = criterion(critic(real), torch.ones(16, 1))
        judged = judged + criterion(critic(fake.detach()), torch.zeros(16, 1))
        judged.backward()
        second.step()
        first.zero_grad()
        fooled = criterion(critic(fake), torch.ones(16, 1))
        fooled.backward()
        first.step()
        losses += [judged.item(), fooled.item()]
    return losses


def word_vectors(torch: Any) -> list[float]:
    F = torch.nn.functional
    center, context = torch.nn.Embedding(20, 6), torch.nn.Embedding(20, 6)
    optimizer = torch.optim.SGD([*center.parameters(), *context.parameters()], lr=0.5)
    losses = []
    for _ in range(4):
        word, near = torch.randint(0, 20, (8,)), torch.randint(0, 20, (8,))
        noise = torch.randint(0, 20, (8, 5))
        v = center(word)
        positive = F.logsigmoid((v * context(near)).sum(1))
        negative = F.logsigmoid(-torch.bmm(context(noise), v.unsqueeze(2)).squeeze(2)).sum(1)
        loss = -(positive + negative).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + _numbers(center.weight)


def graph_convolution(torch: Any) -> list[float]:
    edges = (torch.rand(9, 9) > 0.6).float()
    adjacency = ((edges + edges.T) > 0).float() + torch.eye(9)
    scale = adjacency.sum(1).pow(-0.5)
    adjacency = scale[:, None] * adjacency * scale[None, :]
    x, target = torch.randn(9, 5), torch.randint(0, 3, (9,))
    one, two = torch.nn.Linear(5, 8, bias=False), torch.nn.Linear(8, 3)
    optimizer = torch.optim.AdamW([*one.parameters(), *two.parameters()], lr=1e-2)
    mask, losses = torch.arange(9) < 6, []
    for _ in range(5):
        out = adjacency @ two(torch.relu(adjacency @ one(x)))
        loss = torch.nn.functional.cross_entropy(out[mask], target[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + _numbers(out)


def policy_gradient(torch: Any) -> list[float]:
    policy = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        choice = torch.distributions.Categorical(logits=policy(torch.randn(16, 4)))
        action = choice.sample()
        reward = (action == 1).float() - 0.3
        loss = -(choice.log_prob(action) * reward).mean() - 0.01 * choice.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + _numbers(policy.weight)


def target_network(torch: Any) -> list[float]:
    online = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    target = copy.deepcopy(online)
    optimizer = torch.optim.RMSprop(online.parameters(), lr=1e-2)
    replay = [(torch.randn(4), i % 2, float(i % 3), torch.randn(4)) for i in range(20)]
    losses = []
    for step in range(6):
        rows = [replay[i] for i in torch.randperm(20)[:8].tolist()]
        state, after = torch.stack([r[0] for r in rows]), torch.stack([r[3] for r in rows])
        action, reward = torch.tensor([r[1] for r in rows]), torch.tensor([r[2] for r in rows])
        value = online(state).gather(1, action.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            wanted = reward + 0.9 * target(after).max(1).values
        loss = torch.nn.functional.smooth_l1_loss(value, wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(online.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 2:
            target.load_state_dict(online.state_dict())
    return losses


def tied_language_model(torch: Any) -> list[float]:
    nn, F = torch.nn, torch.nn.functional
    embedding, head, mix = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False), nn.Linear(8, 24)
    norm = nn.LayerNorm(8)
    head.weight = embedding.weight
    optimizer = torch.optim.AdamW([*embedding.parameters(), *mix.parameters()], lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    tokens, losses = torch.randint(0, 11, (4, 7)), []
    for _ in range(5):
        x = embedding(tokens[:, :-1])
        q, k, v = (p.view(4, 6, 2, 4).transpose(1, 2) for p in mix(norm(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        logits = head(x + y.transpose(1, 2).reshape(4, 6, 8))
        loss = F.cross_entropy(logits.reshape(-1, 11), tokens[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses += [loss.item(), schedule.get_last_lr()[0]]
    return losses


def triplets(torch: Any) -> list[float]:
    net = torch.nn.Linear(6, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(4):
        parts = [net(torch.randn(8, 6)) for _ in range(3)]
        loss = torch.nn.TripletMarginLoss(margin=1.0)(*parts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def style_image(torch: Any) -> list[float]:
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)

    def gram(image: Any) -> Any:
        features = convolution(image).flatten(2).squeeze(0)
        return features @ features.T / features.numel()

    wanted = gram(torch.rand(1, 3, 8, 8))
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    optimizer, losses = torch.optim.LBFGS([image], max_iter=4), []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = 100 * (gram(image) - wanted).pow(2).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    optimizer.step(closure)
    return losses


def accumulation_and_averages(torch: Any) -> list[float]:
    net = torch.nn.Linear(5, 1)
    average = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for step in range(6):
        loss = net(torch.randn(8, 5)).pow(2).mean() / 2
        loss.backward()
        if step % 2:
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                for kept, new in zip(average.parameters(), net.parameters(), strict=True):
                    kept.mul_(0.9).add_(new, alpha=0.1)
    return _numbers(average.weight) + _numbers(net.weight)


def checkpoint(torch: Any) -> list[float]:
    net, x = torch.nn.Linear(5, 2), torch.randn(8, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

    def steps(model: Any, rule: Any) -> None:
        for _ in range(2):
            rule.zero_grad()
            model(x).pow(2).mean().backward()
            rule.step()

    steps(net, optimizer)
    file = io.BytesIO()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)
    other = torch.nn.Linear(5, 2)
    rule = torch.optim.Adam(other.parameters(), lr=0.5)
    other.load_state_dict(saved["model"])
    rule.load_state_dict(saved["optimizer"])
    steps(net, optimizer)
    steps(other, rule)
    assert torch.equal(net.weight, other.weight)
    return _numbers(other.weight)


def custom_function_and_hooks(torch: Any) -> list[float]:
    class Straight(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sign()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * (x.abs() < 1).float()

    net, seen = torch.nn.Linear(4, 3), []
    handle = net.register_forward_hook(lambda module, args, out: seen.append(out.mean().item()))
    Straight.apply(net(torch.randn(6, 4))).pow(3).sum().backward()
    handle.remove()
    net(torch.randn(6, 4))
    return [*seen, *_numbers(net.weight.grad)]


SAMPLES: list[Sample] = [
    autoencoder,
    variational_autoencoder,
    adversarial,
    word_vectors,
    graph_convolution,
    policy_gradient,
    target_network,
    tied_language_model,
    triplets,
    style_image,
    accumulation_and_averages,
    checkpoint,
    custom_function_and_hooks,
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.__name__)
def test_sample(sample: Sample) -> None:
    results = []
    for module in (flambeau, reference):
        module.manual_seed(7)
        results.append(np.array(sample(module)))
    assert np.isfinite(results[1]).all()
    np.testing.assert_allclose(results[0], results[1], rtol=2e-4, atol=2e-5)
