"""Looking into a network: saliency, Grad-CAM with hooks, occlusion, adversarial steps."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(6)


class SmallVGG(nn.Module):
    def __init__(self):
        super().__init__()
        cfg, layers, channels = [6, "M", 10, 10, "M"], [], 1
        for v in cfg:
            if v == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(channels, v, 3, padding=1), nn.ReLU(inplace=True)]
                channels = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(40, 20), nn.ReLU(True), nn.Dropout(), nn.Linear(20, 3)
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


model = SmallVGG().eval()
activations, gradients = {}, {}


def forward_hook(name):
    def hook(module, input, output):
        activations[name] = output.detach()

    return hook


def backward_hook(module, grad_input, grad_output):
    gradients["value"] = grad_output[0]


for name, layer in model.named_modules():
    if isinstance(layer, nn.Conv2d):
        layer.register_forward_hook(forward_hook(name))
handle = model.features[6].register_full_backward_hook(backward_hook) if False else (
    model.features[7].register_full_backward_hook(backward_hook)
)
image = torch.rand(1, 1, 16, 16)
image.requires_grad_()
scores = model(image)
index = scores.argmax(dim=1).item()
score = scores[0, index]
score.backward()
print(scores, sorted(activations), [tuple(a.shape) for a in activations.values()])
saliency, _ = torch.max(image.grad.data.abs(), dim=1)
print(saliency.shape, saliency.sum(), image.grad.norm())
pooled_gradients = torch.mean(gradients["value"], dim=[0, 2, 3])
feature = activations["features.5"].clone()
for i in range(feature.shape[1]):
    feature[:, i, :, :] *= pooled_gradients[i]
heatmap = torch.mean(feature, dim=1).squeeze()
heatmap = torch.clamp(heatmap, min=0)
heatmap /= heatmap.max() + 1e-8
print(heatmap.shape, heatmap.max() <= 1)
big = F.interpolate(heatmap[None, None], size=(16, 16), mode="bilinear", align_corners=False)
print(big.shape, big.mean())
handle.remove()


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    return torch.clamp(perturbed_image, 0, 1)


for eps in [0, 0.05, 0.1]:
    x = image.detach().clone()
    x.requires_grad = True
    loss = F.nll_loss(F.log_softmax(model(x), dim=1), torch.tensor([index]))
    model.zero_grad()
    loss.backward()
    perturbed = fgsm_attack(x, eps, x.grad.data)
    after = F.cross_entropy(model(perturbed), torch.tensor([index])).item()
    print(f"Epsilon: {eps}\tloss {loss.item():.4f} -> {after:.4f}")
delta = torch.zeros_like(image, requires_grad=True)
for step in range(3):
    loss = F.cross_entropy(model(image.detach() + delta), torch.tensor([index]))
    loss.backward()
    delta.data = (delta + 0.02 * delta.grad.detach().sign()).clamp(-0.05, 0.05)
    delta.grad.zero_()
    print("pgd", round(loss.item(), 4), delta.abs().max())

# occlusion: slide a grey patch
base = F.softmax(model(image), 1)[0, index]
drops = torch.zeros(4, 4)
with torch.no_grad():
    for r in range(4):
        for c in range(4):
            covered = image.clone()
            covered[..., r * 4 : r * 4 + 4, c * 4 : c * 4 + 4] = 0.5
            drops[r, c] = base - F.softmax(model(covered), 1)[0, index]
print(drops.abs().max() < 1, drops.shape)

# activation maximisation, starting from noise
x = torch.randn(1, 1, 16, 16) * 0.1
x.requires_grad_(True)
optimizer = torch.optim.Adam([x], lr=0.1, weight_decay=1e-6)
for i in range(4):
    optimizer.zero_grad()
    out = model.features[:4](x)
    loss = -out[0, 3].mean()
    loss.backward()
    optimizer.step()
    print("Iteration {:02d} Loss {:.4f}".format(i, loss.item()))


class Extractor(nn.Module):
    def __init__(self, trunk, wanted):
        super().__init__()
        self.trunk, self.wanted = trunk, wanted

    def forward(self, x):
        found = []
        for name, layer in self.trunk._modules.items():
            x = layer(x)
            if name in self.wanted:
                found.append(x)
        return found


print([f.shape for f in Extractor(model.features, ["1", "4"])(image)])
print(*[f"{n}: {type(m).__name__}" for n, m in model.named_modules() if n and "." not in n], sep=", ")
print(list(model.children())[-1][-1].weight.grad.shape, len(list(model.modules())))
